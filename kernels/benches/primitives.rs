//! Every family of primitives as the engine runs it, as a share of what this machine was measured to reach: arithmetic of a large matrix
//! product, memory of a copy. Both are measured in turns with the kernel, so that a busy moment hits all alike; criterion keeps the kernel's times
//! and compares them with those of the last run.
//!
//! `cargo bench -p sward-kernels --bench primitives [-- FILTER]`; `THREADS=1` for one thread. The share is the larger of the two: what binds a
//! kernel is what it comes near to.

mod common;

use std::time::{Duration, Instant};

use common::lower_quartile;
use criterion::{Criterion, Throughput};
use sward_core::program::{BuildError, Builder, DType, Program, Role, RunKey, TensorType, ValueId};
use sward_kernels::cpu::CpuEngine;
use sward_kernels::{Engine, Plan, Tensor};
use sward_ops::primitives as op;
use sward_ops::primitives::{EmitExt, ReduceKind};

type Emit = fn(&mut Builder, &[ValueId]) -> Result<ValueId, BuildError>;

/// A family: its name, its operands (f32 unless said otherwise) and its one instruction.
struct Case {
    name: &'static str,
    operands: Vec<TensorType>,
    emit: Emit,
}

fn f32(shape: &[usize]) -> TensorType {
    TensorType::f32(shape)
}

fn matmul(dtype: DType) -> op::MatMul {
    op::MatMul { transpose_a: false, transpose_b: true, dtype, epilogue: None }
}

fn convolution() -> op::ConvolutionGeometry {
    op::ConvolutionGeometry { padding: ((1, 1), (1, 1)), ..op::ConvolutionGeometry::default() }
}

const ATTENTION: op::Attention = op::Attention { scale: 0.125, causal: false, mask: op::AttentionMask::None };
const POOL: op::MaxPool = op::MaxPool { kernel: (3, 3), stride: (2, 2), padding: (1, 1), dilation: (1, 1), ceil_mode: false };

fn cases() -> Vec<Case> {
    let image = [8, 56, 56, 96];
    let heads = [8, 196, 6, 64];
    let case = |name, operands, emit| Case { name, operands, emit };
    let bf16 = |shape: &[usize]| TensorType::new(DType::BF16, shape);
    vec![
        case("matmul f32", vec![f32(&[1568, 768]), f32(&[3072, 768])], |b, x| b.emit_one(matmul(DType::F32), x)),
        case("matmul bf16", vec![bf16(&[1568, 768]), bf16(&[3072, 768])], |b, x| b.emit_one(matmul(DType::BF16), x)),
        case("convolution 3x3", vec![f32(&[8, 28, 28, 128]), f32(&[128, 3, 3, 128])], |b, x| {
            b.convolution(x[0], x[1], convolution())
        }),
        case("attention", vec![f32(&heads), f32(&heads), f32(&heads)], |b, x| Ok(b.emit(ATTENTION, x)?[0])),
        case("map: sigmoid", vec![f32(&image)], |b, x| b.map1(x[0], |graph, x| graph.sigmoid(x))),
        case("map: add", vec![f32(&image), f32(&image)], |b, x| b.add(x[0], x[1])),
        case("reduce: rows", vec![f32(&image)], |b, x| b.reduce(ReduceKind::Sum, x[0], &[3])),
        case("reduce: columns", vec![f32(&image)], |b, x| b.reduce(ReduceKind::Sum, x[0], &[0, 1, 2])),
        case("layer norm", vec![f32(&image), f32(&[96]), f32(&[96])], |b, x| {
            Ok(b.emit(op::LayerNorm { epsilon: 1e-6, centered: true, weight: true, bias: true }, x)?[0])
        }),
        case("softmax", vec![f32(&[8 * 6 * 196, 196])], |b, x| b.softmax(x[0])),
        case("max pool", vec![f32(&[8, 112, 112, 64])], |b, x| b.emit_one(POOL, x)),
        case("average pool", vec![f32(&image)], |b, x| {
            let pool =
                op::AveragePool { kernel: (2, 2), stride: (2, 2), padding: (0, 0), ceil_mode: false, count_include_pad: true };
            b.emit_one(pool, x)
        }),
        case("resize, bilinear", vec![f32(&image)], |b, x| {
            let mode = op::ResizeMode::Bilinear;
            b.emit_one(op::Resize { mode, output: (112, 112), align_corners: false, antialias: false }, x)
        }),
        case("permute", vec![f32(&image)], |b, x| b.permute(x[0], &[0, 3, 1, 2])),
        case("concat", vec![f32(&image), f32(&image)], |b, x| b.concat(x, 3)),
        case("take", vec![f32(&[30_000, 384]), TensorType::new(DType::I64, &[64, 256])], |b, x| {
            b.emit_one(op::Take { axis: 0 }, x)
        }),
        case("cumulative sum", vec![f32(&image)], |b, x| b.emit_one(op::CumulativeSum { axis: 3, reverse: false }, x)),
        case("adamw", vec![f32(&[3072, 768]), f32(&[3072, 768]), f32(&[4]), f32(&[3072, 768]), f32(&[3072, 768])], |b, x| {
            let rule = op::OptimizerRule::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
            Ok(b.emit(op::OptimizerUpdate { rule, weight_decay: 0.01 }, x)?[0])
        }),
    ]
}

/// The program, and the bytes that it reads and writes.
fn program(case: &Case) -> (Program, f64) {
    let mut builder = Builder::new();
    let arguments: Vec<ValueId> = (case.operands.iter().enumerate())
        .map(|(position, tensor_type)| builder.argument(&position.to_string(), Role::Input, tensor_type.clone()))
        .collect();
    let result = (case.emit)(&mut builder, &arguments).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    builder.output("y", result);
    let program = builder.finish();
    let bytes = case.operands.iter().chain([program.type_of(result)]).map(|own| own.bytes() as f64).sum();
    (program, bytes)
}

fn prepared(engine: &CpuEngine, program: &Program) -> Box<dyn Plan> {
    let mut plan = engine.prepare(program).unwrap_or_else(|error| panic!("{error}"));
    for argument in &program.arguments {
        let tensor_type = program.type_of(argument.value);
        let numbers = (0..tensor_type.elements()).map(|index| (index * 7919 % 1000) as f64 / 1000.0);
        let numbers =
            if tensor_type.dtype.is_float() { numbers.collect() } else { numbers.map(|number| (number * 9e3).floor()).collect() };
        let array = sward_core::program::Array::new(tensor_type.dtype, &tensor_type.shape, numbers);
        plan.set(&argument.name, &Tensor::from_array(&array)).expect("fits");
    }
    plan
}

/// Seconds of a step of a plan.
fn timed(plan: &mut dyn Plan) -> f64 {
    let start = Instant::now();
    plan.run(RunKey::default()).unwrap_or_else(|error| panic!("{error}"));
    start.elapsed().as_secs_f64()
}

fn main() {
    let threads: usize = std::env::var("THREADS").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
    let engine = CpuEngine::new(threads).expect("threads");
    let yardstick = |name, operands, emit| prepared(&engine, &program(&Case { name, operands, emit }).0);
    let mut product =
        yardstick("product", vec![f32(&[1024, 1024]), f32(&[1024, 1024])], |b, x| b.emit_one(matmul(DType::F32), x));
    const COPIED: usize = 1 << 25;
    // A broadcast copy: what a kernel that only moves bytes reaches here.
    let mut copy = yardstick("copy", vec![f32(&[COPIED / 4])], |b, x| b.scale(x[0], 0.5));
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    println!("{threads} threads; shares of a matrix product's GFLOP/s and of a copy's GB/s, measured in turns");
    for case in cases() {
        let (program, bytes) = program(&case);
        let mut plan = prepared(&engine, &program);
        // Seconds of the product, of the copy and of the kernel.
        let mut times = [const { Vec::new() }; 3];
        let mut group = criterion.benchmark_group("primitives");
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(case.name, |bench| {
            bench.iter_custom(|count| {
                let mut own = 0.0;
                for _ in 0..count {
                    times[0].push(timed(product.as_mut()));
                    times[1].push(timed(copy.as_mut()));
                    let seconds = timed(plan.as_mut());
                    times[2].push(seconds);
                    own += seconds;
                }
                Duration::from_secs_f64(own)
            });
        });
        group.finish();
        // A filter left it out.
        if times[2].is_empty() {
            continue;
        }
        let seconds = times.map(lower_quartile);
        let (peak, stream) = (2.0 * 1024f64.powi(3) / seconds[0], 2.0 * COPIED as f64 / seconds[1]);
        let (flops, moved) = (program.flops() / seconds[2], bytes / seconds[2]);
        let share = (flops / peak).max(moved / stream);
        println!(
            "{:18} {:8.2} ms  {:7.1} GFLOP/s ({:4.0} %)  {:6.1} GB/s ({:4.0} %)  share of what binds it: {:4.0} %\n",
            case.name,
            seconds[2] * 1e3,
            flops / 1e9,
            100.0 * flops / peak,
            moved / 1e9,
            100.0 * moved / stream,
            100.0 * share
        );
    }
    criterion.final_summary();
}
