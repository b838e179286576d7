//! Kernels by warpgroup products are proved on the device and by the compiler at hand before a plan uses them: each kind of attention that a
//! program holds, and each kernel of its convolutions, computes small sizes beside the kernel that it takes the place of.
//!
//! Their registers are written while the program goes on, and only ptxas knows which of them are free: version 13.0 gave away registers that the
//! next round of a loop read. Nothing but a run on a GPU shows such a thing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use sward_core::program::{Array, Builder, DType, Instruction, Program, RunKey, TensorType};
use sward_ops::primitives as op;

use super::CudaEngine;
use super::draft;
use super::plan::CudaPlan;
use super::source::Family;
use super::steps::{BY_WARPGROUPS, LONG, Limits, WARPGROUP_COLUMNS};
use crate::engine::{Plan, PrepareError, RunError};
use crate::tensor::Tensor;

/// The largest difference, relative to the largest element: both sides round to bf16.
const TOLERANCE: f64 = 2e-2;
/// Tokens of a proof, and keys where a program has many: several tiles with an end that is not whole.
const TOKENS: usize = 200;
const MANY_KEYS: usize = LONG + 76;

fn small(tokens: usize) -> usize {
    if tokens > LONG { MANY_KEYS } else { tokens.min(TOKENS) }
}

/// `[batch, tokens, heads, width]` of one sample at most, two heads and few tokens.
fn small_rows(rows: &TensorType, is_key: bool) -> TensorType {
    let [samples, tokens, heads, width] = <[usize; 4]>::try_from(&rows.shape[..]).expect("an attention's operand has four axes");
    let tokens = if is_key { small(tokens) } else { tokens.min(TOKENS) };
    TensorType::new(rows.dtype, &[samples.min(1), tokens, heads.min(2), width])
}

/// An attention at small sizes: its operands q, k, v and the mask.
fn small_operands(op: &op::Attention, operands: &[TensorType]) -> Vec<TensorType> {
    let mut own = vec![small_rows(&operands[0], false), small_rows(&operands[1], true), small_rows(&operands[2], true)];
    if op.mask != op::AttentionMask::None {
        let mask = &operands[3].shape;
        let limits = [own[0].shape[0], own[0].shape[2], own[0].shape[1], own[1].shape[1]];
        let sizes: Vec<usize> = mask.iter().zip(limits).map(|(size, limit)| (*size).min(limit)).collect();
        own.push(TensorType::new(operands[3].dtype, &sizes));
    }
    own
}

/// Numbers between -1 and 1 without a pattern.
fn spread(tensor_type: &TensorType, salt: usize) -> Tensor {
    let number = |at: usize| f64::from(((at + 977 * salt) as u32).wrapping_mul(2_654_435_761) >> 8) / f64::from(1u32 << 23) - 1.0;
    let data = (0..tensor_type.elements()).map(number);
    let data = match tensor_type.dtype {
        DType::Bool => data.map(|x| f64::from(u8::from(x > -0.5))).collect(),
        _ => data.collect(),
    };
    Tensor::from_array(&Array::new(tensor_type.dtype, &tensor_type.shape, data))
}

/// A plan without a bound: what bounds a program's memory is not about its proof.
fn plan(engine: &CudaEngine, program: &Program) -> Result<CudaPlan, PrepareError> {
    CudaPlan::new(program, &engine.device, &engine.turn, engine.limits(), engine.shares_memory, None)
}

fn cannot(error: &dyn std::fmt::Display) -> PrepareError {
    PrepareError::Device(format!("the proof of kernels by warpgroup products cannot be made: {error}"))
}

fn refused(kind: &str, error: f64) -> PrepareError {
    PrepareError::Device(format!(
        "{kind}: the kernels by warpgroup products give wrong numbers on this device (an error of {error:.2e} of the largest), probably by a bug \
         of this version of NVRTC; another version may do, and SWARD_CUDA_WARPGROUPS=0 has other kernels compute it"
    ))
}

/// The results of a plan.
fn results(mut plan: CudaPlan, inputs: &[Tensor]) -> Result<Vec<Array>, RunError> {
    for (at, tensor) in inputs.iter().enumerate() {
        plan.set(&format!("x{at}"), tensor)?;
    }
    plan.run(RunKey::default())?;
    let outputs = plan.program().outputs.iter();
    outputs.map(|output| plan.output(&output.name).map(|tensor| tensor.to_array())).collect()
}

/// The largest difference of two results, relative to the largest element of the second.
fn difference(got: &[Array], want: &[Array]) -> f64 {
    let relative = |(got, want): (&Array, &Array)| {
        let largest = want.data.iter().filter(|x| x.is_finite()).fold(1e-3f64, |most, x| most.max(x.abs()));
        let error = |(a, b): (&f64, &f64)| if a == b || (a.is_nan() && b.is_nan()) { 0.0 } else { (a - b).abs() };
        // A number on one side alone is no number here, and the largest error.
        got.data
            .iter()
            .zip(&want.data)
            .map(error)
            .fold(0.0f64, |most, error| if error.is_nan() { f64::INFINITY } else { most.max(error) })
            / largest
    };
    got.iter().zip(want).map(relative).fold(0.0, f64::max)
}

/// Compares both kernels for an attention, or its gradient; `None` where the program does not use warpgroup products.
fn compare(engine: &CudaEngine, instruction: &Instruction, types: &[TensorType]) -> Result<Option<f64>, PrepareError> {
    let ran = |results: Result<Vec<Array>, RunError>| results.map_err(|error| cannot(&error));
    let plain = engine.clone().with_warpgroups(false);
    let gradient = instruction.op.downcast::<op::AttentionGradient>();
    let (attention, operands) = match (instruction.op.downcast::<op::Attention>(), gradient) {
        (Some(attention), _) => (attention, types.to_vec()),
        // dout, q, k, v, out, logsumexp, mask.
        (None, Some(gradient)) => (&gradient.attention, [&types[1..4], &types[6..]].concat()),
        (None, None) => return Ok(None),
    };
    let own = small_operands(attention, &operands);
    let mut inputs: Vec<Tensor> = own.iter().enumerate().map(|(salt, own)| spread(own, salt)).collect();
    let mut program = Builder::single(Arc::new(*attention), &own).map_err(|error| cannot(&error))?;
    if let Some(gradient) = gradient {
        let forward: Vec<TensorType> = program.outputs.iter().map(|output| program.type_of(output.value).clone()).collect();
        let dout = TensorType { dtype: types[0].dtype, ..forward[0].clone() };
        let own = [vec![dout.clone()], own[..3].to_vec(), forward, own[3..].to_vec()].concat();
        let backward = Builder::single(Arc::new(*gradient), &own).map_err(|error| cannot(&error))?;
        if plan(engine, &backward)?.kernel(0) != BY_WARPGROUPS {
            return Ok(None);
        }
        let forward = ran(results(plan(&plain, &program)?, &inputs))?;
        let mask = inputs.split_off(3);
        inputs = [vec![spread(&dout, 9)], inputs, forward.iter().map(Tensor::from_array).collect(), mask].concat();
        program = backward;
    }
    let hopper = plan(engine, &program)?;
    if hopper.kernel(0) != BY_WARPGROUPS {
        return Ok(None);
    }
    let got = ran(results(hopper, &inputs))?;
    let want = ran(results(plan(&plain, &program)?, &inputs))?;
    Ok(Some(difference(&got, &want)))
}

/// Convolutions that come to the same kernel as some other, with their gradients: two tiles of rows, of columns at any width, and ends that are
/// not whole.
fn small_convolutions() -> Result<Vec<Program>, PrepareError> {
    let geometry = op::ConvolutionGeometry { padding: ((1, 1), (1, 1)), ..op::ConvolutionGeometry::default() };
    let (image, weight) = (TensorType::new(DType::BF16, &[2, 10, 9, 264]), TensorType::new(DType::BF16, &[264, 3, 3, 264]));
    let mut programs = Vec::new();
    let mut add = |program: Result<Program, _>| program.map(|program| programs.push(program)).map_err(|error| cannot(&error));
    for dtype in [DType::BF16, DType::F32] {
        let forward = op::Convolution { geometry, dtype, epilogue: None };
        add(Builder::single(Arc::new(forward), &[image.clone(), weight.clone()]))?;
        let backward = op::ConvolutionInputGradient { geometry, input: (10, 9), dtype };
        add(Builder::single(Arc::new(backward), &[image.clone(), weight.clone()]))?;
    }
    let gradient = op::ConvolutionWeightGradient { geometry, kernel: (3, 3) };
    add(Builder::single(Arc::new(gradient), &[image.clone(), image.clone()]))?;
    Ok(programs)
}

/// The kernels of a program's convolutions by warpgroup products.
fn convolution_kernels(program: &Program, limits: Limits) -> Result<BTreeSet<String>, PrepareError> {
    let kernels = draft::kernels_of(program, limits)?.into_iter();
    Ok(kernels.filter(|kernel| kernel.family == Family::ProductWarpgroups).map(|kernel| kernel.name).collect())
}

/// Compares each of these kernels with the kernel whose place it takes.
fn prove_convolutions(engine: &CudaEngine, mut kernels: BTreeSet<String>) -> Result<(), PrepareError> {
    let plain = engine.clone().with_warpgroups(false);
    for program in small_convolutions()? {
        for columns in WARPGROUP_COLUMNS.map(|(columns, _)| columns) {
            let wide = engine.clone().with_warpgroup_columns(columns);
            for kernel in convolution_kernels(&program, wide.limits())? {
                if !kernels.remove(&kernel) {
                    continue;
                }
                let inputs: Vec<Tensor> =
                    program.arguments.iter().enumerate().map(|(salt, own)| spread(program.type_of(own.value), salt)).collect();
                let ran = |plan| results(plan, &inputs).map_err(|error| cannot(&error));
                let error = difference(&ran(plan(&wide, &program)?)?, &ran(plan(&plain, &program)?)?);
                if error > TOLERANCE {
                    return Err(refused(&kernel, error));
                }
                engine.proved.lock().unwrap_or_else(PoisonError::into_inner).insert(kernel);
            }
        }
    }
    match kernels.first() {
        None => Ok(()),
        Some(kernel) => Err(cannot(&format_args!("none is known for {kernel}"))),
    }
}

/// Proves the kernels by warpgroup products that a program asks for, each once for an engine.
///
/// # Errors
/// [`PrepareError::Device`] where they give other numbers than the kernels that they take the place of.
pub(super) fn prove(engine: &CudaEngine, program: &Program) -> Result<(), PrepareError> {
    let is_proved = |kind: &str| engine.proved.lock().unwrap_or_else(PoisonError::into_inner).contains(kind);
    let mut kinds: BTreeMap<String, (&Instruction, Vec<TensorType>)> = BTreeMap::new();
    for instruction in &program.instructions {
        let name = instruction.op.name();
        if name != "attention" && name != "attention_gradient" {
            continue;
        }
        let types: Vec<TensorType> = instruction.inputs.iter().map(|value| program.type_of(*value).clone()).collect();
        let written: Vec<String> = types.iter().map(TensorType::to_string).collect();
        kinds.entry(format!("{name}<{}>({})", instruction.op.attributes(), written.join(", "))).or_insert((instruction, types));
    }
    for (kind, (instruction, types)) in kinds {
        if is_proved(&kind) {
            continue;
        }
        if let Some(error) = compare(engine, instruction, &types)?
            && error > TOLERANCE
        {
            return Err(refused(&kind, error));
        }
        engine.proved.lock().unwrap_or_else(PoisonError::into_inner).insert(kind);
    }
    if !program.instructions.iter().any(|instruction| instruction.op.name().starts_with("convolution")) {
        return Ok(());
    }
    let mut kernels = convolution_kernels(program, engine.limits())?;
    kernels.retain(|kernel| !is_proved(kernel));
    prove_convolutions(engine, kernels)
}
