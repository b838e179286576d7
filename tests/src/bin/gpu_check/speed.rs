//! Speed: kernels by the device's own clock, as shares of what the device reaches in a copy and in a large matrix product.

use sward_core::program::{Builder, DType, Primitive, Program, Role, RunKey, TensorType};
use sward_core::scalar::{ScalarGraph, ScalarKind};
use sward_kernels::cuda::CudaEngine;
use sward_kernels::{Engine, PrepareError, RunError, Tensor};
use sward_ops::primitives as op;

use super::Line;

/// Measured runs of each kernel; the mean of them is told.
const RUNS: u64 = 20;

/// Why nothing was measured.
#[derive(Debug)]
pub struct Failure(String);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Failure {
        Failure(error.to_string())
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Failure {
        Failure(error.to_string())
    }
}

/// One instruction with results of its own.
fn single(op: impl Primitive, operands: &[TensorType]) -> Result<Program, Failure> {
    let mut builder = Builder::new();
    let arguments: Vec<_> =
        operands.iter().enumerate().map(|(i, t)| builder.argument(&i.to_string(), Role::Input, t.clone())).collect();
    let results = builder.emit(op, &arguments).map_err(|error| Failure(error.to_string()))?;
    for (i, value) in results.into_iter().enumerate() {
        builder.output(&i.to_string(), value);
    }
    Ok(builder.finish())
}

/// Seconds, operations and bytes of one run.
struct Measured {
    seconds: f64,
    flops: f64,
    bytes: f64,
}

fn run(engine: &CudaEngine, op: impl Primitive, operands: &[TensorType]) -> Result<Measured, Failure> {
    let program = single(op, operands)?;
    let mut plan = engine.prepare(&program)?;
    for argument in &program.arguments {
        let tensor_type = program.type_of(argument.value);
        let data = (0..tensor_type.elements()).map(|at| ((at * 2_654_435_761) % 2000) as f64 / 1000.0 - 1.0).collect();
        let array = sward_core::program::Array::new(tensor_type.dtype, &tensor_type.shape, data);
        plan.set(&argument.name, &Tensor::from_array(&array))?;
    }
    for step in 0..3 {
        plan.run(RunKey { seed: 1, step })?;
    }
    plan.set_profiling(true);
    for step in 0..RUNS {
        plan.run(RunKey { seed: 1, step })?;
    }
    let times = plan.profile();
    let seconds = times.iter().map(|time| time.seconds).sum::<f64>() / RUNS as f64;
    Ok(Measured { seconds, flops: times.iter().map(|time| time.flops).sum(), bytes: times.iter().map(|time| time.bytes).sum() })
}

/// `x * 2` of a tensor far beyond the caches: what a copy reaches.
fn copy() -> op::Map {
    let mut graph = ScalarGraph::new();
    let x = graph.input(0, ScalarKind::Number);
    let two = graph.number(2.0);
    let root = graph.multiply(x, two);
    op::Map::new(graph, root, DType::F32)
}

/// GELU by the error function.
fn gelu() -> op::Map {
    let mut graph = ScalarGraph::new();
    let x = graph.input(0, ScalarKind::Number);
    let (root, one, half) = (graph.number(std::f64::consts::FRAC_1_SQRT_2), graph.number(1.0), graph.number(0.5));
    let scaled = graph.multiply(x, root);
    let bell = graph.erf(scaled);
    let sum = graph.add(one, bell);
    let product = graph.multiply(x, sum);
    let result = graph.multiply(product, half);
    op::Map::new(graph, result, DType::BF16)
}

/// Measures all kernels.
///
/// # Errors
/// When one does not run.
pub fn measure(engine: &CudaEngine) -> Result<Vec<Line>, Failure> {
    let half = |shape: &[usize]| TensorType::new(DType::BF16, shape);
    let copied = run(engine, copy(), &[TensorType::f32(&[1 << 28])])?;
    let bandwidth = copied.bytes / copied.seconds;
    let matmul = |dtype| op::MatMul { transpose_a: false, transpose_b: true, dtype, epilogue: None };
    let large = run(engine, matmul(DType::BF16), &[half(&[8192, 8192]), half(&[8192, 8192])])?;
    let rate = large.flops / large.seconds;
    let mut lines = Vec::new();
    let mut by_memory = |name: &str, measured: &Measured| lines.push(memory_line(name, measured, bandwidth));
    by_memory("device copy, 1 GiB f32 (the peak of memory)", &copied);
    by_memory("gelu 64 M bf16", &run(engine, gelu(), &[half(&[1 << 26])])?);
    let (x, weight, statistics) = (half(&[65_536, 1024]), TensorType::f32(&[1024]), TensorType::f32(&[65_536, 1]));
    let norm = op::LayerNorm { epsilon: 1e-6, centered: true, weight: true, bias: true };
    by_memory("layer_norm 65536 x 1024 bf16", &run(engine, norm, &[x.clone(), weight.clone(), weight.clone()])?);
    let gradient = op::LayerNormGradient { centered: true, weight: true, weight_gradient: true, bias_gradient: true };
    let operands = [x.clone(), x.clone(), weight, statistics.clone(), statistics];
    by_memory("layer_norm_gradient 65536 x 1024 bf16", &run(engine, gradient, &operands)?);
    by_memory(
        "softmax 65536 x 1024 bf16",
        &run(engine, op::Softmax { log: false, dtype: DType::BF16 }, std::slice::from_ref(&x))?,
    );
    let permute = op::Permute { axes: [0, 2, 3, 1].into_iter().collect() };
    by_memory("permute NCHW to NHWC, 64 x 256 x 56 x 56 bf16", &run(engine, permute, &[half(&[64, 256, 56, 56])])?);
    let depthwise = op::ConvolutionGeometry { padding: ((3, 3), (3, 3)), groups: 256, ..op::ConvolutionGeometry::default() };
    let convolution = op::Convolution { geometry: depthwise, dtype: DType::BF16, epilogue: None };
    by_memory(
        "depthwise 7 x 7, 64 x 56 x 56 x 256 bf16",
        &run(engine, convolution, &[half(&[64, 56, 56, 256]), half(&[256, 7, 7, 1])])?,
    );

    let mut by_arithmetic = |name: &str, measured: &Measured| lines.push(arithmetic_line(name, measured, rate));
    by_arithmetic("matmul 8192 bf16 (the peak of arithmetic)", &large);
    by_arithmetic(
        "matmul 12608 x 1024 x 4096 bf16",
        &run(engine, matmul(DType::BF16), &[half(&[12_608, 1024]), half(&[4096, 1024])])?,
    );
    by_arithmetic(
        "matmul 4096 f32",
        &run(engine, matmul(DType::F32), &[TensorType::f32(&[4096, 4096]), TensorType::f32(&[4096, 4096])])?,
    );
    let dense = op::ConvolutionGeometry { padding: ((1, 1), (1, 1)), ..op::ConvolutionGeometry::default() };
    let convolution = op::Convolution { geometry: dense, dtype: DType::BF16, epilogue: None };
    by_arithmetic(
        "convolution 3 x 3, 64 x 28 x 28 x 256 bf16",
        &run(engine, convolution, &[half(&[64, 28, 28, 256]), half(&[256, 3, 3, 256])])?,
    );
    let hopper = engine.clone().with_warpgroups(true);
    for (tokens, width) in [(1800, 64), (4096, 64), (4096, 128)] {
        let q = half(&[8, tokens, 16, width]);
        let attention = op::Attention { scale: 1.0 / (width as f64).sqrt(), causal: false, mask: op::AttentionMask::None };
        let operands = [q.clone(), q.clone(), q.clone()];
        by_arithmetic(&format!("attention 8 x 16 x {tokens} x {width} bf16"), &run(engine, attention, &operands)?);
        if hopper.has_warpgroups() {
            by_arithmetic(&format!("  the same by warpgroups, x {width}"), &run(&hopper, attention, &operands)?);
        }
        let gradient = op::AttentionGradient { attention, mask_gradient: false };
        let operands = [q.clone(), q.clone(), q.clone(), q.clone(), q, TensorType::f32(&[8, 16, tokens])];
        by_arithmetic(&format!("attention_gradient 8 x 16 x {tokens} x {width} bf16"), &run(engine, gradient, &operands)?);
    }
    let attention = op::Attention { scale: 0.125, causal: false, mask: op::AttentionMask::None };
    let operands = [half(&[8, 1, 16, 64]), half(&[8, 4096, 16, 64]), half(&[8, 4096, 16, 64])];
    lines.push(memory_line(
        "attention of one query over 4096 keys, 8 x 16 x 64 bf16",
        &run(engine, attention, &operands)?,
        bandwidth,
    ));
    Ok(lines)
}

fn memory_line(name: &str, measured: &Measured, peak: f64) -> Line {
    let rate = measured.bytes / measured.seconds;
    let result = format!("{:>10.1} us {:>8.0} GB/s {:>5.0} %", measured.seconds * 1e6, rate * 1e-9, 100.0 * rate / peak);
    Line { name: name.to_string(), result, passed: None }
}

fn arithmetic_line(name: &str, measured: &Measured, peak: f64) -> Line {
    let rate = measured.flops / measured.seconds;
    let result = format!("{:>10.1} us {:>8.1} TFLOP/s {:>5.0} %", measured.seconds * 1e6, rate * 1e-12, 100.0 * rate / peak);
    Line { name: name.to_string(), result, passed: None }
}
