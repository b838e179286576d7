//! `matmul`: batched matrix products.

use super::epilogue::{apply_epilogue, check_epilogue, epilogue_flops, epilogue_gradient, epilogue_text};
use super::expand::sum_to_shape;
use super::reshape::Reshape;
use super::support::{build, expect_float, expect_float_dtype, list, no_gradients, result_gradient};
use std::any::Any;
use sward_core::program::{
    Array, BuildError, Builder, DType, GradientCall, Primitive, RunKey, Shape, TensorType, ValueId, broadcast_shapes,
    element_count,
};
use sward_core::scalar::ScalarFunction;

/// Matrix products over batch axes: a `[..., m, k]` (`[..., k, m]` where transposed), b `[..., k, n]` (`[..., n, k]`) and the epilogue's extras give `[..., m, n]`. Equal
/// ranks; batch sizes equal or 1. PyTorch: `torch.matmul`; `torch.nn.functional.linear` with `transpose_b`.
#[derive(Clone, PartialEq, Debug)]
pub struct MatMul {
    /// Whether a's last two axes are exchanged.
    pub transpose_a: bool,
    /// Whether b's last two axes are exchanged.
    pub transpose_b: bool,
    /// The result's float dtype.
    pub dtype: DType,
    /// What is computed from each product and the extras before it is stored: a function of (product, extras).
    pub epilogue: Option<ScalarFunction>,
}

/// The sizes of one `matmul`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MatMulSizes {
    /// The batch axes of the result.
    pub batch: Shape,
    /// Rows of the result.
    pub m: usize,
    /// Length of the sums.
    pub k: usize,
    /// Columns of the result.
    pub n: usize,
}

fn matrix(shape: &[usize], transposed: bool) -> (usize, usize) {
    let (rows, columns) = (shape[shape.len() - 2], shape[shape.len() - 1]);
    if transposed { (columns, rows) } else { (rows, columns) }
}

fn batch_of(shape: &[usize]) -> &[usize] {
    &shape[..shape.len() - 2]
}

impl MatMul {
    /// Reads the sizes off the operands' shapes.
    ///
    /// # Errors
    /// Where they do not fit each other.
    pub fn sizes(&self, a: &[usize], b: &[usize]) -> Result<MatMulSizes, String> {
        if a.len() < 2 || b.len() < 2 {
            return Err(format!("matrices expected, sizes {} and {} given", list(a), list(b)));
        }
        let batch = broadcast_shapes([batch_of(a), batch_of(b)])?;
        let ((m, k), (k_of_b, n)) = (matrix(a, self.transpose_a), matrix(b, self.transpose_b));
        if k != k_of_b {
            return Err(format!("rows of {k} elements times columns of {k_of_b}"));
        }
        Ok(MatMulSizes { batch, m, k, n })
    }

    /// The gradient in a, of a's sizes but for broadcast batch axes.
    fn a_gradient(&self, builder: &mut Builder, dy: ValueId, b: ValueId, dtype: DType) -> Result<ValueId, BuildError> {
        let (transpose_a, transpose_b, operands) = match self.transpose_a {
            false => (false, !self.transpose_b, [dy, b]),
            true => (self.transpose_b, true, [b, dy]),
        };
        builder.emit_one(MatMul { transpose_a, transpose_b, dtype, epilogue: None }, &operands)
    }

    /// The gradient in b, of b's sizes but for broadcast batch axes.
    fn b_gradient(&self, builder: &mut Builder, dy: ValueId, a: ValueId, dtype: DType) -> Result<ValueId, BuildError> {
        let (transpose_a, transpose_b, operands) = match self.transpose_b {
            false => (!self.transpose_a, false, [a, dy]),
            true => (true, self.transpose_a, [dy, a]),
        };
        builder.emit_one(MatMul { transpose_a, transpose_b, dtype, epilogue: None }, &operands)
    }

    /// The gradient in a `b` without batch: the batch joins the rows, so that one product sums over both.
    fn shared_b_gradient(&self, builder: &mut Builder, dy: ValueId, a: ValueId, b: ValueId) -> Result<ValueId, BuildError> {
        let mut flat = |value: ValueId| {
            let shape = builder.shape(value);
            let columns = shape[shape.len() - 1];
            let rows = element_count(&shape[..shape.len() - 1]);
            builder.emit_one(Reshape { shape: Shape::from_slice(&[rows, columns]) }, &[value])
        };
        let (flat_dy, flat_a) = (flat(dy)?, flat(a)?);
        let flat_gradient = self.b_gradient(builder, flat_dy, flat_a, DType::F32)?;
        let shape = builder.type_of(b).shape.clone();
        builder.emit_one(Reshape { shape }, &[flat_gradient])
    }
}

impl Primitive for MatMul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn attributes(&self) -> String {
        let epilogue = epilogue_text(self.epilogue.as_ref());
        format!("transpose_a={}, transpose_b={}, dtype={}{epilogue}", self.transpose_a, self.transpose_b, self.dtype)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        if inputs.len() < 2 {
            return Err(format!("two matrices expected, {} operands given", inputs.len()));
        }
        expect_float(&inputs[0], "a")?;
        expect_float(&inputs[1], "b")?;
        expect_float_dtype(self.dtype)?;
        let sizes = self.sizes(&inputs[0].shape, &inputs[1].shape)?;
        let shape: Shape = sizes.batch.iter().copied().chain([sizes.m, sizes.n]).collect();
        check_epilogue(self.epilogue.as_ref(), &shape, &inputs[2..])?;
        Ok(vec![TensorType { dtype: self.dtype, shape }])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = result_gradient(call) else {
            return Ok(no_gradients(call));
        };
        if let Some(epilogue) = &self.epilogue {
            let plain = MatMul { epilogue: None, ..self.clone() };
            return epilogue_gradient(builder, call, plain, epilogue, self.dtype);
        }
        let (a, b) = (call.inputs[0], call.inputs[1]);
        let is_shared_b = element_count(batch_of(builder.shape(b))) == 1;
        let has_batch = builder.shape(b).len() > 2;
        let mut results = no_gradients(call);
        if call.wanted[0] {
            let dtype = builder.type_of(a).dtype;
            let whole = self.a_gradient(builder, gradient, b, dtype)?;
            results[0] = Some(sum_to_shape(builder, whole, a)?);
        }
        if call.wanted[1] && is_shared_b && has_batch && !self.transpose_a {
            results[1] = Some(self.shared_b_gradient(builder, gradient, a, b)?);
        } else if call.wanted[1] {
            // A b without batch is a weight: its gradient stays in f32, as a convolution's does.
            let dtype = if is_shared_b { DType::F32 } else { builder.type_of(b).dtype };
            let whole = self.b_gradient(builder, gradient, a, dtype)?;
            results[1] = Some(sum_to_shape(builder, whole, b)?);
        }
        Ok(results)
    }

    fn reference(&self, inputs: &[&Array], key: RunKey) -> Vec<Array> {
        let (a, b) = (inputs[0], inputs[1]);
        let sizes = self.sizes(&a.shape, &b.shape).expect("checked operands");
        let shape: Shape = sizes.batch.iter().copied().chain([sizes.m, sizes.n]).collect();
        let rank = shape.len();
        // The index of an operand for batch position `index` and matrix position (row, column).
        let position = |operand: &Array, index: &[usize], row: usize, column: usize, transposed: bool| -> f64 {
            let mut at: Vec<usize> = (0..rank - 2).map(|axis| if operand.shape[axis] == 1 { 0 } else { index[axis] }).collect();
            at.extend(if transposed { [column, row] } else { [row, column] });
            operand.at(&at)
        };
        let product = build(self.dtype, &shape, |index| {
            (0..sizes.k)
                .map(|inner| {
                    position(a, index, index[rank - 2], inner, self.transpose_a)
                        * position(b, index, inner, index[rank - 1], self.transpose_b)
                })
                .sum()
        });
        vec![apply_epilogue(self.epilogue.as_ref(), product, &inputs[2..], key)]
    }

    fn flops(&self, inputs: &[TensorType], outputs: &[TensorType]) -> f64 {
        let inner = matrix(&inputs[0].shape, self.transpose_a).1;
        let extra = epilogue_flops(self.epilogue.as_ref(), outputs[0].elements());
        2.0 * outputs[0].elements() as f64 * inner as f64 + extra
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
