//! Which primitives dfdx can express, and how.

use dfdx::prelude::{Cpu, OwnedTape, Tape};
use sward_core::program::{Array, DType, Primitive, RunKey, TensorType};
use sward_core::scalar::ScalarFunction;
use sward_ops::primitives as op;

use super::recorder::{Recorder, Value};
use super::{images, movement, optimizer, products, reductions, scalars};

/// How a primitive is expressed; `docs/dfdx.md` prints it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expression {
    /// The primitive's name.
    pub primitive: &'static str,
    /// What it becomes.
    pub by: &'static str,
    /// Whether dfdx's tape records it, so that gradients flow through it.
    pub recorded: bool,
}

const fn recorded(primitive: &'static str, by: &'static str) -> Expression {
    Expression { primitive, by, recorded: true }
}

const fn apart(primitive: &'static str, by: &'static str) -> Expression {
    Expression { primitive, by, recorded: false }
}

/// All primitives that the engine runs, in the order of `docs/program.md`.
pub const EXPRESSIONS: &[Expression] = &[
    apart("constant", "`tensor_from_vec`"),
    apart("iota", "`tensor_from_vec`"),
    recorded(
        "map",
        "one operation a scalar node; comparisons, rounding and random leaves apart; no `lgamma`, `digamma`, `trigamma`; powers with a constant exponent or positive base",
    ),
    recorded("map_reduce", "`map`, then `reduce`"),
    recorded("reduce", "`gather`, `reshape_like`, `sum`; extremes as the mean of what equals them"),
    apart("arg_reduce", "apart: it has no gradient"),
    recorded("matmul", "`gather` for transposes and broadcasting, `matmul` of three axes; the epilogue as a `map`"),
    recorded("convolution", "`gather` of windows, `matmul` with one batch for each group"),
    recorded("convolution_input_gradient", "`gather` of windows, `matmul`"),
    apart("convolution_weight_gradient", "dfdx's tape of `convolution`"),
    recorded("layer_norm", "sums, products, `sqrt`, `recip`"),
    apart("layer_norm_gradient", "written out from the saved mean and rstd"),
    recorded("softmax", "`softmax` or `log_softmax` of two axes"),
    apart("softmax_gradient", "written out from the saved result"),
    recorded("attention", "`matmul`, `choose`, `softmax`, `matmul`; logsumexp apart"),
    apart("attention_gradient", "dfdx's tape of `attention`"),
    recorded("max_pool", "`gather` of the first maxima"),
    apart("max_pool_gradient", "dfdx's tape of `max_pool`"),
    recorded("average_pool", "`matmul` along height and width"),
    apart("average_pool_gradient", "dfdx's tape of `average_pool`"),
    recorded("adaptive_average_pool", "`matmul` along height and width"),
    apart("adaptive_average_pool_gradient", "dfdx's tape of `adaptive_average_pool`"),
    recorded("resize", "`matmul` along height and width"),
    apart("resize_gradient", "dfdx's tape of `resize`"),
    recorded("reshape", "nothing to do"),
    apart("detach", "a tensor that the tape does not know"),
    recorded("permute", "`gather`"),
    recorded("expand", "`gather`"),
    recorded("slice", "`gather`"),
    recorded("slice_gradient", "`concat_along` with a zero, `gather`"),
    recorded("pad", "`concat_along` with the number, `gather`"),
    apart("pad_gradient", "dfdx's tape of `pad`"),
    recorded("concat", "`concat_along`, `gather`"),
    recorded("take", "`gather`"),
    apart("take_gradient", "dfdx's tape of `take`"),
    recorded("take_along", "`gather`"),
    apart("take_along_gradient", "dfdx's tape of `take_along`"),
    recorded("top_k", "positions apart, `gather`"),
    recorded("cumulative_sum", "`matmul` with a triangle of ones"),
    recorded("squared_norm", "`square`, `sum`"),
    apart("optimizer_update", "sums and products, `sqrt`"),
];

/// Whether an instruction can be expressed, and if not, why.
pub(super) fn check(primitive: &dyn Primitive, operands: &[&TensorType], results: &[&TensorType]) -> Result<(), String> {
    if operands.iter().chain(results).any(|tensor_type| tensor_type.dtype == DType::BF16) {
        return Err("dfdx computes no bf16 on a processor".to_string());
    }
    if !EXPRESSIONS.iter().any(|expression| expression.primitive == primitive.name()) {
        return Err("dfdx has nothing to make it of".to_string());
    }
    let function = |function: &Option<ScalarFunction>| {
        function.as_ref().map_or(Ok(()), |function| scalars::check(function.graph(), &[function.root()]))
    };
    if let Some(map) = primitive.downcast::<op::Map>() {
        scalars::check(&map.scalars, &map.roots)
    } else if let Some(fused) = primitive.downcast::<op::MapReduce>() {
        scalars::check(&fused.map.scalars, &fused.map.roots)
    } else if let Some(product) = primitive.downcast::<op::MatMul>() {
        function(&product.epilogue)
    } else if let Some(product) = primitive.downcast::<op::Convolution>() {
        function(&product.epilogue)
    } else {
        Ok(())
    }
}

/// Whether dfdx's tape records a primitive.
pub(super) fn is_recorded(primitive: &dyn Primitive) -> bool {
    EXPRESSIONS.iter().any(|expression| expression.primitive == primitive.name() && expression.recorded)
}

/// The results of a checked instruction.
///
/// # Errors
/// An index outside of its axis.
pub(super) fn express<T: Tape<f64, Cpu>>(
    recorder: &mut Recorder<T>,
    primitive: &dyn Primitive,
    operands: &[(&Value, &TensorType)],
    results: &[&TensorType],
    key: RunKey,
) -> Result<Vec<Value>, String> {
    if let Some(values) = express_arithmetic(recorder, primitive, operands, results, key)? {
        return Ok(values);
    }
    if let Some(value) = express_image(recorder, primitive, operands, results) {
        return Ok(vec![value]);
    }
    if let Some(values) = express_backward(recorder, primitive, operands)? {
        return Ok(values);
    }
    express_movement(recorder, primitive, operands)
}

/// Elementwise arithmetic, products, sums and norms.
fn express_arithmetic<T: Tape<f64, Cpu>>(
    recorder: &mut Recorder<T>,
    primitive: &dyn Primitive,
    operands: &[(&Value, &TensorType)],
    results: &[&TensorType],
    key: RunKey,
) -> Result<Option<Vec<Value>>, String> {
    let one = |value: Value| Ok(Some(vec![value]));
    if let Some(map) = primitive.downcast::<op::Map>() {
        return Ok(Some(scalars::map(recorder, map, operands, &results[0].shape, key)));
    }
    if let Some(fused) = primitive.downcast::<op::MapReduce>() {
        let types: Vec<TensorType> = operands.iter().map(|(_, tensor_type)| (*tensor_type).clone()).collect();
        let mapped = fused.map.infer(&types)?.remove(0);
        let value = scalars::map(recorder, &fused.map, operands, &mapped.shape, key).remove(0);
        return one(reductions::reduce(recorder, &fused.reduce, &value, &mapped));
    }
    if let Some(reduce) = primitive.downcast::<op::Reduce>() {
        return one(reductions::reduce(recorder, reduce, operands[0].0, operands[0].1));
    }
    if let Some(matmul) = primitive.downcast::<op::MatMul>() {
        return one(products::matmul(recorder, matmul, operands, results[0], key)?);
    }
    if let Some(op::Convolution { geometry, epilogue, .. }) = primitive.downcast() {
        let ((x, image), (weight, kernel)) = (operands[0], operands[1]);
        let shape = &results[0].shape;
        let product = products::convolution(recorder, geometry, (x, &image.shape), (weight, &kernel.shape), shape);
        return one(products::epilogue(recorder, epilogue.as_ref(), product, &operands[2..], results[0], key));
    }
    if let Some(op::ConvolutionInputGradient { geometry, .. }) = primitive.downcast() {
        let ((dy, out), (weight, kernel)) = (operands[0], operands[1]);
        let (out, kernel, image) = (&out.shape, &kernel.shape, &results[0].shape);
        return one(products::convolution_input_gradient(recorder, geometry, (dy, out), (weight, kernel), image));
    }
    if let Some(norm) = primitive.downcast::<op::LayerNorm>() {
        return Ok(Some(reductions::layer_norm(recorder, norm, operands)));
    }
    if let Some(norm) = primitive.downcast::<op::LayerNormGradient>() {
        return Ok(Some(reductions::layer_norm_gradient(recorder, norm, operands)));
    }
    if let Some(softmax) = primitive.downcast::<op::Softmax>() {
        let [rows, width] = reductions::rows(operands[0].1);
        return one(recorder.softmax(operands[0].0, rows, width, softmax.log));
    }
    if let Some(softmax) = primitive.downcast::<op::SoftmaxGradient>() {
        let sizes = reductions::rows(operands[0].1);
        return one(reductions::softmax_gradient(recorder, softmax, operands[0].0, operands[1].0, sizes));
    }
    if let Some(attention) = primitive.downcast::<op::Attention>() {
        return Ok(Some(products::attention(recorder, attention, operands)?));
    }
    if let Some(sum) = primitive.downcast::<op::CumulativeSum>() {
        return one(reductions::cumulative_sum(recorder, sum, operands[0].0, &operands[0].1.shape));
    }
    if primitive.downcast::<op::SquaredNorm>().is_some() {
        let parts: Vec<&Value> = operands.iter().map(|(value, _)| *value).collect();
        let joined = recorder.join(&parts);
        let squares = recorder.multiply(&joined, &joined);
        return one(recorder.row_sums(&squares, 1, squares.len()));
    }
    if let Some(update) = primitive.downcast::<op::OptimizerUpdate>() {
        let values: Vec<&Value> = operands.iter().map(|(value, _)| *value).collect();
        return Ok(Some(optimizer::update(recorder, update, &values)));
    }
    Ok(None)
}

/// Poolings and resizing.
fn express_image<T: Tape<f64, Cpu>>(
    recorder: &mut Recorder<T>,
    primitive: &dyn Primitive,
    operands: &[(&Value, &TensorType)],
    results: &[&TensorType],
) -> Option<Value> {
    let (x, tensor_type) = operands.first()?;
    let (shape, result) = (&tensor_type.shape, &results[0].shape);
    if let Some(pool) = primitive.downcast::<op::MaxPool>() {
        return Some(images::max_pool(recorder, pool, x, shape, result));
    }
    if let Some(pool) = primitive.downcast::<op::AveragePool>() {
        return Some(images::average_pool(recorder, pool, x, shape, result));
    }
    if let Some(pool) = primitive.downcast::<op::AdaptiveAveragePool>() {
        return Some(images::adaptive_average_pool(recorder, x, shape, pool.output));
    }
    primitive.downcast::<op::Resize>().map(|resize| images::resize(recorder, resize, x, shape))
}

/// Movements, and what is worked out apart.
fn express_movement<T: Tape<f64, Cpu>>(
    recorder: &mut Recorder<T>,
    primitive: &dyn Primitive,
    operands: &[(&Value, &TensorType)],
) -> Result<Vec<Value>, String> {
    let reference = || -> Vec<Array> {
        let arrays: Vec<Array> = (operands.iter())
            .map(|(value, tensor_type)| Array::new(tensor_type.dtype, &tensor_type.shape, value.numbers()))
            .collect();
        primitive.reference(&arrays.iter().collect::<Vec<_>>(), RunKey::default())
    };
    let axis_of_indices = match (primitive.downcast::<op::Take>(), primitive.downcast::<op::TakeAlong>()) {
        (Some(take), _) => Some(take.axis),
        (_, Some(take)) => Some(take.axis),
        _ => None,
    };
    if let Some(axis) = axis_of_indices {
        movement::check_indices(operands[1].0, operands[0].1.shape[axis])?;
    }
    Ok(match primitive.name() {
        "reshape" => vec![operands[0].0.clone()],
        "constant" | "iota" | "arg_reduce" | "detach" => {
            reference().into_iter().map(|array| recorder.constant(array.data)).collect()
        }
        "top_k" => {
            let [values, positions]: [Array; 2] = reference().try_into().expect("values and positions");
            let width = operands[0].1.shape.last().copied().unwrap_or(1);
            let k = values.shape.last().copied().unwrap_or(1).max(1);
            let sources = positions.data.iter().enumerate().map(|(at, position)| at / k * width + *position as usize).collect();
            vec![recorder.gather(operands[0].0, sources), recorder.constant(positions.data)]
        }
        _ => vec![movement::moved(recorder, primitive, operands)?],
    })
}

/// The gradient of a primitive by dfdx's own tape: `forward` of the differentiable operands, then back from `dy`.
fn by_tape(
    operands: &[&Value],
    dy: &Value,
    forward: impl FnOnce(&mut Recorder<OwnedTape<f64, Cpu>>, &[Value]) -> Result<Value, String>,
) -> Result<Vec<Vec<f64>>, String> {
    let mut tape = Recorder::<OwnedTape<f64, Cpu>>::new();
    let own: Vec<Value> = operands.iter().map(|operand| tape.constant(operand.numbers())).collect();
    let y = forward(&mut tape, &own)?;
    let weights = tape.constant(dy.numbers());
    Ok(tape.backward(&[(&y, &weights)], &own.iter().collect::<Vec<_>>()))
}

/// The primitives that are gradients of others: what dfdx's tape of the others gives.
fn express_backward<T: Tape<f64, Cpu>>(
    recorder: &mut Recorder<T>,
    primitive: &dyn Primitive,
    operands: &[(&Value, &TensorType)],
) -> Result<Option<Vec<Value>>, String> {
    let Some((dy, dy_type)) = operands.first() else { return Ok(None) };
    // A linear primitive is its own description: its gradient depends on the operand's type alone.
    let linear = |forward: &dyn Primitive, shape: &[usize], others: &[(&Value, &TensorType)]| -> Result<Vec<Vec<f64>>, String> {
        let x_type = TensorType::f32(shape);
        let x = Recorder::<OwnedTape<f64, Cpu>>::new().fill(x_type.elements(), 0.0);
        by_tape(&[&x], dy, |tape, own| {
            let mut all = vec![(&own[0], &x_type)];
            all.extend_from_slice(others);
            Ok(express(tape, forward, &all, &[dy_type], RunKey::default())?.remove(0))
        })
    };
    let with_images = |(height, width): (usize, usize)| [dy_type.shape[0], height, width, dy_type.shape[3]];
    let types = |values: &[(&Value, &TensorType)]| -> Vec<TensorType> { values.iter().map(|(_, own)| (*own).clone()).collect() };
    let gradients = if let Some(op::AveragePoolGradient { pool, input }) = primitive.downcast() {
        linear(pool, &with_images(*input), &[])?
    } else if let Some(op::AdaptiveAveragePoolGradient { input }) = primitive.downcast() {
        let pool = op::AdaptiveAveragePool { output: (dy_type.shape[1], dy_type.shape[2]) };
        linear(&pool, &with_images(*input), &[])?
    } else if let Some(op::ResizeGradient { resize, input }) = primitive.downcast() {
        linear(resize, &with_images(*input), &[])?
    } else if let Some(op::PadGradient { pad }) = primitive.downcast() {
        linear(pad, &primitive.infer(&types(operands))?[0].shape, &[])?
    } else if let Some(op::TakeGradient { axis, size }) = primitive.downcast() {
        movement::check_indices(operands[1].0, *size)?;
        linear(&op::Take { axis: *axis }, &primitive.infer(&types(operands))?[0].shape, &operands[1..])?
    } else if let Some(op::TakeAlongGradient { axis, size }) = primitive.downcast() {
        movement::check_indices(operands[1].0, *size)?;
        linear(&op::TakeAlong { axis: *axis }, &primitive.infer(&types(operands))?[0].shape, &operands[1..])?
    } else if let Some(op::MaxPoolGradient { pool }) = primitive.downcast() {
        let (x, x_type) = operands[1];
        by_tape(&[x], dy, |tape, own| Ok(images::max_pool(tape, pool, &own[0], &x_type.shape, &dy_type.shape)))?
    } else if let Some(op::ConvolutionWeightGradient { geometry, kernel }) = primitive.downcast() {
        let ((x, x_type), (dy, out)) = (operands[0], operands[1]);
        let kernel = [out.shape[3], kernel.0, kernel.1, x_type.shape[3] / geometry.groups];
        let weight = Recorder::<OwnedTape<f64, Cpu>>::new().fill(kernel.iter().product(), 0.0);
        by_tape(&[&weight], dy, |tape, own| {
            Ok(products::convolution(tape, geometry, (x, &x_type.shape), (&own[0], &kernel), &out.shape))
        })?
    } else if let Some(op::AttentionGradient { attention, mask_gradient }) = primitive.downcast() {
        let mut given = operands[1..4].to_vec();
        given.extend_from_slice(&operands[6..]);
        let values: Vec<&Value> = given.iter().map(|(value, _)| *value).collect();
        let mut gradients = by_tape(&values, dy, |tape, own| {
            let all: Vec<(&Value, &TensorType)> = own.iter().zip(&given).map(|(own, (_, own_type))| (own, *own_type)).collect();
            Ok(products::attention(tape, attention, &all)?.remove(0))
        })?;
        gradients.truncate(3 + usize::from(*mask_gradient));
        gradients
    } else {
        return Ok(None);
    };
    Ok(Some(gradients.into_iter().map(|numbers| recorder.constant(numbers)).collect()))
}
