//! Speed: kernels many times in a row in one recorded graph, as shares of what the device reaches in a copy and in a large matrix product.

use std::sync::Arc;
use std::time::Instant;

use half::bf16;
use rayon::prelude::*;
use sward_core::program::{Builder, DType, Primitive, Role, RunKey, TensorType};
use sward_core::scalar::{ScalarGraph, ScalarKind};
use sward_kernels::cuda::CudaEngine;
use sward_kernels::{Data, Engine, PrepareError, RunError, Tensor};
use sward_ops::primitives as op;

use super::Line;

/// How often a program holds its kernel, so that what a run costs besides is spread over them.
const REPEATS: usize = 20;
/// Measured runs of a program; the median is told.
const RUNS: u64 = 5;

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

/// Seconds, operations and bytes of one run.
struct Measured {
    seconds: f64,
    flops: f64,
    bytes: f64,
}

/// Numbers between -1 and 1 without a pattern, as products are slower of them than of zeros.
fn spread(tensor_type: &TensorType) -> Tensor {
    let number = |at: usize| ((at as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0;
    let numbers = (0..tensor_type.elements()).into_par_iter().map(number);
    match tensor_type.dtype {
        DType::BF16 => Tensor::new(&tensor_type.shape, Data::BF16(numbers.map(bf16::from_f32).collect())),
        _ => Tensor::f32(&tensor_type.shape, numbers.collect()),
    }
}

fn run(engine: &CudaEngine, case: &Case) -> Result<Measured, Failure> {
    let mut builder = Builder::new();
    let named = case.operands.iter().enumerate();
    let inputs: Vec<_> = named.map(|(at, own)| builder.argument(&format!("x{at}"), Role::Input, own.clone())).collect();
    for _ in 0..REPEATS {
        builder.emit_shared(Arc::clone(&case.op), &inputs).map_err(|error| Failure(error.to_string()))?;
    }
    let program = builder.finish();
    let mut plan = engine.prepare(&program)?;
    for argument in &program.arguments {
        let tensor_type = program.type_of(argument.value);
        plan.set(&argument.name, &spread(tensor_type))?;
    }
    // Step by step, recorded, from the recording.
    for step in 0..3 {
        plan.run(RunKey { seed: 1, step })?;
    }
    let mut seconds = Vec::new();
    for step in 0..RUNS {
        let start = Instant::now();
        plan.run(RunKey { seed: 1, step })?;
        seconds.push(start.elapsed().as_secs_f64() / REPEATS as f64);
    }
    seconds.sort_by(f64::total_cmp);
    let kernel = &plan.profile()[0];
    Ok(Measured { seconds: seconds[seconds.len() / 2], flops: kernel.flops, bytes: kernel.bytes })
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

/// What bounds a kernel.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    Memory,
    Arithmetic,
}

/// A kernel to measure.
struct Case {
    name: String,
    bound: Bound,
    op: Arc<dyn Primitive>,
    operands: Vec<TensorType>,
}

fn case(name: impl Into<String>, bound: Bound, op: impl Primitive, operands: &[TensorType]) -> Case {
    Case { name: name.into(), bound, op: Arc::new(op), operands: operands.to_vec() }
}

fn of_bf16(shape: &[usize]) -> TensorType {
    TensorType::new(DType::BF16, shape)
}

fn matmul(dtype: DType) -> op::MatMul {
    op::MatMul { transpose_a: false, transpose_b: true, dtype, epilogue: None }
}

/// What reaches the device's peaks: a copy far beyond its caches, and a large product.
fn peaks() -> [Case; 2] {
    [
        case("device copy, 512 MiB f32 (the peak of memory)", Bound::Memory, copy(), &[TensorType::f32(&[1 << 27])]),
        case(
            "matmul 8192 bf16 (the peak of arithmetic)",
            Bound::Arithmetic,
            matmul(DType::BF16),
            &[of_bf16(&[8192, 8192]), of_bf16(&[8192, 8192])],
        ),
    ]
}

fn convolution(padding: usize, groups: usize) -> op::Convolution {
    let padding = ((padding, padding), (padding, padding));
    let geometry = op::ConvolutionGeometry { padding, groups, ..op::ConvolutionGeometry::default() };
    op::Convolution { geometry, dtype: DType::BF16, epilogue: None }
}

fn bounded_by_memory() -> Vec<Case> {
    use Bound::Memory;
    let (x, weight, statistics) = (of_bf16(&[65_536, 1024]), TensorType::f32(&[1024]), TensorType::f32(&[65_536, 1]));
    let norm = op::LayerNorm { epsilon: 1e-6, centered: true, weight: true, bias: true };
    let gradient = op::LayerNormGradient { centered: true, weight: true, weight_gradient: true, bias_gradient: true };
    let of_gradient = [x.clone(), x.clone(), weight.clone(), statistics.clone(), statistics];
    let permute = op::Permute { axes: [0, 2, 3, 1].into_iter().collect() };
    let image = of_bf16(&[64, 56, 56, 256]);
    vec![
        case("gelu 64 M bf16", Memory, gelu(), &[of_bf16(&[1 << 26])]),
        case("layer_norm 65536 x 1024 bf16", Memory, norm, &[x.clone(), weight.clone(), weight]),
        case("layer_norm_gradient 65536 x 1024 bf16", Memory, gradient, &of_gradient),
        case("softmax 65536 x 1024 bf16", Memory, op::Softmax { log: false, dtype: DType::BF16 }, std::slice::from_ref(&x)),
        case("permute NCHW to NHWC, 64 x 256 x 56 x 56 bf16", Memory, permute, &[of_bf16(&[64, 256, 56, 56])]),
        case("depthwise 7 x 7, 64 x 56 x 56 x 256 bf16", Memory, convolution(3, 256), &[image, of_bf16(&[256, 7, 7, 1])]),
        attention_case(1, 4096, 64).0,
    ]
}

/// A convolution of 3 x 3 of 64 images, as many channels as results, and its gradients.
fn convolution_cases(pixels: usize, channels: usize) -> [Case; 3] {
    let forward = convolution(1, 1);
    let (image, weight) = (of_bf16(&[64, pixels, pixels, channels]), of_bf16(&[channels, 3, 3, channels]));
    let backward = op::ConvolutionInputGradient { geometry: forward.geometry, input: (pixels, pixels), dtype: DType::BF16 };
    let weights = op::ConvolutionWeightGradient { geometry: forward.geometry, kernel: (3, 3) };
    let name = format!("3 x 3, 64 x {pixels} x {pixels} x {channels} bf16");
    [
        case(format!("convolution {name}"), Bound::Arithmetic, forward, &[image.clone(), weight.clone()]),
        case(format!("convolution_input_gradient {name}"), Bound::Arithmetic, backward, &[image.clone(), weight]),
        case(format!("convolution_weight_gradient {name}"), Bound::Arithmetic, weights, &[image.clone(), image]),
    ]
}

fn bounded_by_arithmetic() -> Vec<Case> {
    use Bound::Arithmetic;
    let products = [
        case(
            "matmul 12608 x 1024 x 4096 bf16",
            Arithmetic,
            matmul(DType::BF16),
            &[of_bf16(&[12_608, 1024]), of_bf16(&[4096, 1024])],
        ),
        case(
            "matmul 4096 f32",
            Arithmetic,
            matmul(DType::F32),
            &[TensorType::f32(&[4096, 4096]), TensorType::f32(&[4096, 4096])],
        ),
    ];
    let sizes = [(56, 64), (28, 128), (28, 256), (14, 256)];
    products.into_iter().chain(sizes.into_iter().flat_map(|(pixels, channels)| convolution_cases(pixels, channels))).collect()
}

/// Attention of 8 samples and 16 heads, and its gradient.
fn attention_case(queries: usize, keys: usize, width: usize) -> (Case, Case) {
    let attention = op::Attention { scale: 1.0 / (width as f64).sqrt(), causal: false, mask: op::AttentionMask::None };
    let gradient = op::AttentionGradient { attention, mask_gradient: false };
    let (q, k) = (of_bf16(&[8, queries, 16, width]), of_bf16(&[8, keys, 16, width]));
    let of_gradient = [q.clone(), q.clone(), k.clone(), k.clone(), q.clone(), TensorType::f32(&[8, 16, queries])];
    let bound = if queries == 1 { Bound::Memory } else { Bound::Arithmetic };
    let name = format!("{queries} x {keys}, 8 x 16 heads of {width} bf16");
    (
        case(format!("attention {name}"), bound, attention, &[q, k.clone(), k]),
        case(format!("attention_gradient {name}"), bound, gradient, &of_gradient),
    )
}

/// Measures the kernels whose names hold a text, and tells each as it is known.
pub fn measure(engine: &CudaEngine, only: &str, tell: &mut dyn FnMut(Line)) {
    let mut reached = [0.0; 2];
    for (peak, reached) in peaks().iter().zip(&mut reached) {
        match run(engine, peak) {
            Ok(measured) => {
                *reached = measured.rate(peak.bound);
                tell(measured.line(&peak.name, peak.bound, *reached));
            }
            Err(error) => return tell(Line { name: peak.name.clone(), result: error.to_string(), passed: Some(false) }),
        }
    }
    let mut measure = |engine: &CudaEngine, case: &Case| {
        if !case.name.contains(only) {
            return;
        }
        let peak = reached[usize::from(case.bound == Bound::Arithmetic)];
        tell(match run(engine, case) {
            Ok(measured) => measured.line(&case.name, case.bound, peak),
            Err(error) => Line { name: case.name.clone(), result: error.to_string(), passed: Some(false) },
        });
    };
    for case in bounded_by_memory().iter().chain(&bounded_by_arithmetic()) {
        measure(engine, case);
    }
    for (tokens, width) in [(197, 64), (1800, 64), (4096, 64), (4096, 128)] {
        let (forward, gradient) = attention_case(tokens, tokens, width);
        measure(engine, &forward);
        measure(engine, &gradient);
    }
    if engine.has_warpgroups() {
        let (forward, gradient) = attention_case(4096, 4096, 64);
        let cases: Vec<Case> = [forward, gradient].into_iter().chain(convolution_cases(28, 256)).collect();
        for mut case in cases {
            case.name += ", without warpgroups";
            measure(&engine.clone().with_warpgroups(false), &case);
        }
    }
}

impl Measured {
    /// Bytes or operations a second.
    fn rate(&self, bound: Bound) -> f64 {
        let done = if bound == Bound::Memory { self.bytes } else { self.flops };
        done / self.seconds
    }

    fn line(&self, name: &str, bound: Bound, peak: f64) -> Line {
        let rate = self.rate(bound);
        let told = match bound {
            Bound::Memory => format!("{:>8.0} GB/s   ", rate * 1e-9),
            Bound::Arithmetic => format!("{:>8.1} TFLOP/s", rate * 1e-12),
        };
        let result = format!("{:>10.1} us {told} {:>5.0} %", self.seconds * 1e6, 100.0 * rate / peak);
        Line { name: name.to_string(), result, passed: None }
    }
}
