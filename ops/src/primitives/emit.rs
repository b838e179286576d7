//! Short names for emitting primitives, so that lowerings read like the mathematics.

use super::map::{Map, emit_roots};
use super::{
    ArgReduce, ArgReduceKind, Concat, Constant, Convolution, ConvolutionGeometry, Expand, Iota, MatMul, Pad, PadMode, Permute,
    Reduce, ReduceKind, Reshape, Slice, Softmax, Take, TakeAlong,
};
use smallvec::SmallVec;
use sward_core::program::{Algebra, BuildError, Builder, DType, Shape, TensorType, ValueId, broadcast_shapes};
use sward_core::scalar::{ScalarGraph, ScalarId, ScalarKind, ScalarNode, ScalarOp};

type Emitted = Result<ValueId, BuildError>;

/// Emission of primitives on a [`Builder`]. Operands that already have the wanted sizes or dtype are returned as they are.
///
/// Elementwise methods take operands of any ranks, which are aligned at their last axis and broadcast (NumPy's rule). Their result is `bool` for a
/// truth value; else `f32` if any operand is, else `bf16` if any operand is; else, where the expression is whole-numbered arithmetic, `i64`.
///
/// # Errors
/// All methods: [`BuildError::Operands`] where operands do not fit.
pub trait EmitExt {
    /// A literal tensor.
    fn constant(&mut self, dtype: DType, shape: &[usize], data: Vec<f64>) -> Emitted;
    /// A tensor filled with one number, which is not stored as a literal.
    fn fill(&mut self, dtype: DType, shape: &[usize], value: f64) -> Emitted;
    /// `i64` 0, 1, 2, ...
    fn iota(&mut self, length: usize) -> Emitted;

    /// Elementwise arithmetic of one expression; `body` gets one scalar input for every operand (a truth value for a `bool` one).
    fn map(&mut self, operands: &[ValueId], body: impl FnOnce(&mut ScalarGraph, &[ScalarId]) -> ScalarId) -> Emitted;
    /// As [`EmitExt::map`] with the dtype of the result.
    fn map_as(
        &mut self,
        dtype: DType,
        operands: &[ValueId],
        body: impl FnOnce(&mut ScalarGraph, &[ScalarId]) -> ScalarId,
    ) -> Emitted;
    /// Elementwise arithmetic of one operand.
    fn map1(&mut self, x: ValueId, body: impl FnOnce(&mut ScalarGraph, ScalarId) -> ScalarId) -> Emitted;
    /// One operation on its operands.
    fn apply(&mut self, op: ScalarOp, operands: &[ValueId]) -> Emitted;
    /// `a + b`
    fn add(&mut self, a: ValueId, b: ValueId) -> Emitted;
    /// `a - b`
    fn sub(&mut self, a: ValueId, b: ValueId) -> Emitted;
    /// `a * b`
    fn mul(&mut self, a: ValueId, b: ValueId) -> Emitted;
    /// `a / b`
    fn div(&mut self, a: ValueId, b: ValueId) -> Emitted;
    /// `factor * x`
    fn scale(&mut self, x: ValueId, factor: f64) -> Emitted;
    /// `x + offset`
    fn offset(&mut self, x: ValueId, offset: f64) -> Emitted;
    /// `then` where the `bool` condition holds, `otherwise` elsewhere.
    fn select(&mut self, condition: ValueId, then: ValueId, otherwise: ValueId) -> Emitted;
    /// The same numbers in another dtype.
    fn cast(&mut self, x: ValueId, dtype: DType) -> Emitted;

    /// The same elements under other sizes.
    fn reshape(&mut self, x: ValueId, shape: &[usize]) -> Emitted;
    /// Axes in another order; a view where only axes of size 1 move.
    fn permute(&mut self, x: ValueId, axes: &[usize]) -> Emitted;
    /// Two axes exchanged.
    fn transpose(&mut self, x: ValueId, first: usize, second: usize) -> Emitted;
    /// Axes of size 1 repeated; missing axes are added in front.
    fn expand(&mut self, x: ValueId, shape: &[usize]) -> Emitted;
    /// Axes of size 1 added in front up to a rank.
    fn align(&mut self, x: ValueId, rank: usize) -> Emitted;
    /// An axis of size 1 added at a position.
    fn unsqueeze(&mut self, x: ValueId, axis: usize) -> Emitted;
    /// Axes of size 1 taken away.
    fn squeeze(&mut self, x: ValueId, axes: &[usize]) -> Emitted;
    /// Positions `start, start + step, ...` of an axis.
    fn slice(&mut self, x: ValueId, axis: usize, start: usize, length: usize, step: isize) -> Emitted;
    /// A larger tensor around x.
    fn pad(&mut self, x: ValueId, low: &[usize], high: &[usize], mode: PadMode) -> Emitted;
    /// Tensors joined along an axis.
    fn concat(&mut self, parts: &[ValueId], axis: usize) -> Emitted;
    /// Slices of an axis by number.
    fn take(&mut self, x: ValueId, indices: ValueId, axis: usize) -> Emitted;
    /// For every position its own pick along an axis.
    fn take_along(&mut self, x: ValueId, indices: ValueId, axis: usize) -> Emitted;

    /// A reduction over axes, which stay with size 1. The result has x's dtype; sums and means of whole numbers are `f32`.
    fn reduce(&mut self, kind: ReduceKind, x: ValueId, axes: &[usize]) -> Emitted;
    /// The sum over axes, which stay with size 1.
    fn reduce_sum(&mut self, x: ValueId, axes: &[usize]) -> Emitted;
    /// The mean over axes, which stay with size 1.
    fn reduce_mean(&mut self, x: ValueId, axes: &[usize]) -> Emitted;
    /// The largest over axes, which stay with size 1.
    fn reduce_max(&mut self, x: ValueId, axes: &[usize]) -> Emitted;
    /// The smallest over axes, which stay with size 1.
    fn reduce_min(&mut self, x: ValueId, axes: &[usize]) -> Emitted;
    /// The first position of an axis' largest or smallest.
    fn arg_reduce(&mut self, kind: ArgReduceKind, x: ValueId, axis: usize) -> Emitted;
    /// Softmax over the last axis, in x's dtype.
    fn softmax(&mut self, x: ValueId) -> Emitted;
    /// The logarithm of the softmax over the last axis, in x's dtype.
    fn log_softmax(&mut self, x: ValueId) -> Emitted;

    /// The product of matrices, in a's dtype; batch axes of equal rank, broadcast.
    fn matmul(&mut self, a: ValueId, b: ValueId) -> Emitted;
    /// As [`EmitExt::matmul`] with operands that may be transposed.
    fn matmul_transposed(&mut self, a: ValueId, transpose_a: bool, b: ValueId, transpose_b: bool) -> Emitted;
    /// A convolution of channels-last images, in x's dtype.
    fn convolution(&mut self, x: ValueId, weight: ValueId, geometry: ConvolutionGeometry) -> Emitted;
}

/// What an expression of operands of these dtypes is stored as.
fn result_dtype(graph: &ScalarGraph, root: ScalarId, operands: &[DType]) -> DType {
    if graph.kind(root) == ScalarKind::Bool {
        return DType::Bool;
    }
    if operands.contains(&DType::F32) {
        return DType::F32;
    }
    if operands.contains(&DType::BF16) {
        return DType::BF16;
    }
    let is_whole = |id: ScalarId| match graph.node(id) {
        ScalarNode::Number(value) => value.fract() == 0.0,
        ScalarNode::Random { .. } => false,
        ScalarNode::Apply { op, .. } => {
            matches!(
                op,
                ScalarOp::Add
                    | ScalarOp::Subtract
                    | ScalarOp::Multiply
                    | ScalarOp::Minimum
                    | ScalarOp::Maximum
                    | ScalarOp::Negate
                    | ScalarOp::Absolute
                    | ScalarOp::Sign
                    | ScalarOp::Floor
                    | ScalarOp::Round
                    | ScalarOp::Where
            ) || op.result_kind() == ScalarKind::Bool
        }
        _ => true,
    };
    let is_whole_numbered = operands.contains(&DType::I64) && graph.reachable(&[root]).into_iter().all(is_whole);
    if is_whole_numbered { DType::I64 } else { DType::F32 }
}

fn emit_map(
    builder: &mut Builder,
    dtype: Option<DType>,
    operands: &[ValueId],
    body: impl FnOnce(&mut ScalarGraph, &[ScalarId]) -> ScalarId,
) -> Emitted {
    let rank = operands.iter().map(|operand| builder.shape(*operand).len()).max().unwrap_or(0);
    let aligned = operands.iter().map(|operand| builder.align(*operand, rank)).collect::<Result<Vec<_>, _>>()?;
    let dtypes: Vec<DType> = aligned.iter().map(|operand| builder.type_of(*operand).dtype).collect();
    let mut graph = ScalarGraph::new();
    let inputs: Vec<ScalarId> = (0u32..)
        .zip(&dtypes)
        .map(|(index, dtype)| graph.input(index, if *dtype == DType::Bool { ScalarKind::Bool } else { ScalarKind::Number }))
        .collect();
    let root = body(&mut graph, &inputs);
    let dtype = dtype.unwrap_or_else(|| result_dtype(&graph, root, &dtypes));
    let shape = broadcast_shapes(aligned.iter().map(|operand| builder.shape(*operand)))
        .map_err(|reason| builder.refuse(format!("map: {reason}")))?;
    Ok(emit_roots(builder, &graph, &[(root, dtype)], &aligned, &shape)?[0])
}

impl EmitExt for Builder {
    fn constant(&mut self, dtype: DType, shape: &[usize], data: Vec<f64>) -> Emitted {
        self.emit_one(Constant::new(dtype, shape, data), &[])
    }

    fn fill(&mut self, dtype: DType, shape: &[usize], value: f64) -> Emitted {
        let mut graph = ScalarGraph::new();
        let root = graph.number(value);
        let map = Map { shape: Some(Shape::from_slice(shape)), ..Map::new(graph, root, dtype) };
        self.emit_one(map, &[])
    }

    fn iota(&mut self, length: usize) -> Emitted {
        self.emit_one(Iota { length }, &[])
    }

    fn map(&mut self, operands: &[ValueId], body: impl FnOnce(&mut ScalarGraph, &[ScalarId]) -> ScalarId) -> Emitted {
        emit_map(self, None, operands, body)
    }

    fn map_as(
        &mut self,
        dtype: DType,
        operands: &[ValueId],
        body: impl FnOnce(&mut ScalarGraph, &[ScalarId]) -> ScalarId,
    ) -> Emitted {
        emit_map(self, Some(dtype), operands, body)
    }

    fn map1(&mut self, x: ValueId, body: impl FnOnce(&mut ScalarGraph, ScalarId) -> ScalarId) -> Emitted {
        self.map(&[x], |graph, inputs| body(graph, inputs[0]))
    }

    fn apply(&mut self, op: ScalarOp, operands: &[ValueId]) -> Emitted {
        self.map(operands, |graph, inputs| graph.apply(op, inputs))
    }

    fn add(&mut self, a: ValueId, b: ValueId) -> Emitted {
        self.apply(ScalarOp::Add, &[a, b])
    }

    fn sub(&mut self, a: ValueId, b: ValueId) -> Emitted {
        self.apply(ScalarOp::Subtract, &[a, b])
    }

    fn mul(&mut self, a: ValueId, b: ValueId) -> Emitted {
        self.apply(ScalarOp::Multiply, &[a, b])
    }

    fn div(&mut self, a: ValueId, b: ValueId) -> Emitted {
        self.apply(ScalarOp::Divide, &[a, b])
    }

    fn scale(&mut self, x: ValueId, factor: f64) -> Emitted {
        self.map1(x, |graph, x| {
            let factor = graph.number(factor);
            graph.multiply(x, factor)
        })
    }

    fn offset(&mut self, x: ValueId, offset: f64) -> Emitted {
        self.map1(x, |graph, x| {
            let offset = graph.number(offset);
            graph.add(x, offset)
        })
    }

    fn select(&mut self, condition: ValueId, then: ValueId, otherwise: ValueId) -> Emitted {
        self.map(&[condition, then, otherwise], |graph, inputs| graph.select(inputs[0], inputs[1], inputs[2]))
    }

    fn cast(&mut self, x: ValueId, dtype: DType) -> Emitted {
        self.map_as(dtype, &[x], |_, inputs| inputs[0])
    }

    fn reshape(&mut self, x: ValueId, shape: &[usize]) -> Emitted {
        if self.shape(x) == shape {
            return Ok(x);
        }
        self.emit_one(Reshape { shape: Shape::from_slice(shape) }, &[x])
    }

    fn permute(&mut self, x: ValueId, axes: &[usize]) -> Emitted {
        let shape = self.shape(x).to_vec();
        let is_permutation = axes.len() == shape.len() && (0..shape.len()).all(|axis| axes.contains(&axis));
        // Axes longer than 1 that keep their order keep the elements' order, too.
        let long: Vec<usize> = axes.iter().copied().filter(|axis| shape.get(*axis) != Some(&1)).collect();
        if is_permutation && long.is_sorted() {
            let target: Vec<usize> = axes.iter().map(|axis| shape[*axis]).collect();
            return self.reshape(x, &target);
        }
        self.emit_one(Permute { axes: SmallVec::from_slice(axes) }, &[x])
    }

    fn transpose(&mut self, x: ValueId, first: usize, second: usize) -> Emitted {
        let mut axes: Vec<usize> = (0..self.shape(x).len()).collect();
        if first >= axes.len() || second >= axes.len() {
            return Err(self.refuse(format!("axes {first} and {second} of {}", self.type_of(x))));
        }
        axes.swap(first, second);
        self.permute(x, &axes)
    }

    fn expand(&mut self, x: ValueId, shape: &[usize]) -> Emitted {
        let x = self.align(x, shape.len())?;
        if self.shape(x) == shape {
            return Ok(x);
        }
        self.emit_one(Expand { shape: Shape::from_slice(shape) }, &[x])
    }

    fn align(&mut self, x: ValueId, rank: usize) -> Emitted {
        let own = self.shape(x);
        let missing = rank.saturating_sub(own.len());
        let shape: Vec<usize> = std::iter::repeat_n(1, missing).chain(own.iter().copied()).collect();
        self.reshape(x, &shape)
    }

    fn unsqueeze(&mut self, x: ValueId, axis: usize) -> Emitted {
        let mut shape = self.shape(x).to_vec();
        if axis > shape.len() {
            return Err(self.refuse(format!("a new axis {axis} of {}", self.type_of(x))));
        }
        shape.insert(axis, 1);
        self.reshape(x, &shape)
    }

    fn squeeze(&mut self, x: ValueId, axes: &[usize]) -> Emitted {
        let kept = |axis: &usize| !axes.contains(axis);
        let shape: Vec<usize> = (0..self.shape(x).len()).filter(kept).map(|axis| self.shape(x)[axis]).collect();
        self.reshape(x, &shape)
    }

    fn slice(&mut self, x: ValueId, axis: usize, start: usize, length: usize, step: isize) -> Emitted {
        if start == 0 && step == 1 && self.shape(x).get(axis) == Some(&length) {
            return Ok(x);
        }
        self.emit_one(Slice { axis, start, length, step }, &[x])
    }

    fn pad(&mut self, x: ValueId, low: &[usize], high: &[usize], mode: PadMode) -> Emitted {
        let is_none = low.len() == self.shape(x).len() && low.iter().chain(high).all(|amount| *amount == 0);
        if is_none && low.len() == high.len() {
            return Ok(x);
        }
        self.emit_one(Pad { low: Shape::from_slice(low), high: Shape::from_slice(high), mode }, &[x])
    }

    fn concat(&mut self, parts: &[ValueId], axis: usize) -> Emitted {
        if let [only] = parts {
            return Ok(*only);
        }
        self.emit_one(Concat { axis }, parts)
    }

    fn take(&mut self, x: ValueId, indices: ValueId, axis: usize) -> Emitted {
        self.emit_one(Take { axis }, &[x, indices])
    }

    fn take_along(&mut self, x: ValueId, indices: ValueId, axis: usize) -> Emitted {
        self.emit_one(TakeAlong { axis }, &[x, indices])
    }

    fn reduce(&mut self, kind: ReduceKind, x: ValueId, axes: &[usize]) -> Emitted {
        let own = self.type_of(x).dtype;
        let is_extreme = matches!(kind, ReduceKind::Max | ReduceKind::Min);
        let dtype = if own.is_float() || is_extreme { own } else { DType::F32 };
        let mut axes: SmallVec<[usize; 6]> = SmallVec::from_slice(axes);
        axes.sort_unstable();
        if axes.is_empty() && dtype == own {
            return Ok(x);
        }
        self.emit_one(Reduce { kind, axes, dtype }, &[x])
    }

    fn reduce_sum(&mut self, x: ValueId, axes: &[usize]) -> Emitted {
        self.reduce(ReduceKind::Sum, x, axes)
    }

    fn reduce_mean(&mut self, x: ValueId, axes: &[usize]) -> Emitted {
        self.reduce(ReduceKind::Mean, x, axes)
    }

    fn reduce_max(&mut self, x: ValueId, axes: &[usize]) -> Emitted {
        self.reduce(ReduceKind::Max, x, axes)
    }

    fn reduce_min(&mut self, x: ValueId, axes: &[usize]) -> Emitted {
        self.reduce(ReduceKind::Min, x, axes)
    }

    fn arg_reduce(&mut self, kind: ArgReduceKind, x: ValueId, axis: usize) -> Emitted {
        self.emit_one(ArgReduce { kind, axis }, &[x])
    }

    fn softmax(&mut self, x: ValueId) -> Emitted {
        let dtype = self.type_of(x).dtype;
        self.emit_one(Softmax { log: false, dtype }, &[x])
    }

    fn log_softmax(&mut self, x: ValueId) -> Emitted {
        let dtype = self.type_of(x).dtype;
        self.emit_one(Softmax { log: true, dtype }, &[x])
    }

    fn matmul(&mut self, a: ValueId, b: ValueId) -> Emitted {
        self.matmul_transposed(a, false, b, false)
    }

    fn matmul_transposed(&mut self, a: ValueId, transpose_a: bool, b: ValueId, transpose_b: bool) -> Emitted {
        let dtype = self.type_of(a).dtype;
        self.emit_one(MatMul { transpose_a, transpose_b, dtype, epilogue: None }, &[a, b])
    }

    fn convolution(&mut self, x: ValueId, weight: ValueId, geometry: ConvolutionGeometry) -> Emitted {
        let dtype = self.type_of(x).dtype;
        self.emit_one(Convolution { geometry, dtype, epilogue: None }, &[x, weight])
    }
}

/// The catalogue's operations for differentiation: sums are maps; the sum of two dtypes is `f32`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AddAlgebra;

impl Algebra for AddAlgebra {
    fn add(&self, builder: &mut Builder, left: ValueId, right: ValueId) -> Emitted {
        builder.add(left, right)
    }

    fn fill(&self, builder: &mut Builder, tensor_type: &TensorType, value: f64) -> Emitted {
        EmitExt::fill(builder, tensor_type.dtype, &tensor_type.shape, value)
    }
}
