//! `MatMul`: a product of two tensors' last two axes.

use crate::catalogue::prelude::*;

/// Matrix products over the last two axes.
pub struct MatMul;

static SCHEMA: Schema = Schema {
    name: "MatMul",
    category: "Dense layers",
    doc: "Matrix products over the last two axes; the leading axes are batches, which broadcast. `transpose_left` and `transpose_right` swap the last two axes of an operand first.",
    ports: &[
        Port::one("left", Accepts::Float, "`[..., m, k]`, or `[..., k, m]` with `transpose_left`"),
        Port::one("right", Accepts::Float, "`[..., k, n]`, or `[..., n, k]` with `transpose_right`"),
    ],
    fields: &[
        Field::new("transpose_left", FieldKind::Flag, Default::Flag(false), "swap the last two axes of `left`"),
        Field::new("transpose_right", FieldKind::Flag, Default::Flag(false), "swap the last two axes of `right`"),
    ],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[..., m, k] x [..., k, n] -> [..., m, n]",
    domain_rule: "NonNegative where both operands are, Finite where both operands are",
    gradient: "by rule in both operands",
    pytorch: "torch.matmul, for operands of two axes and more",
    example: r#"MatMul(left: "scores", right: "values")"#,
};

/// The positions of rows and columns of an operand, before its transpose.
fn matrix_axes(rank: usize, transposed: bool) -> (usize, usize) {
    if transposed { (rank - 1, rank - 2) } else { (rank - 2, rank - 1) }
}

impl Op for MatMul {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        for port in ["left", "right"] {
            expect_rank_from(call, port, 2, "[..., rows, columns]")?;
        }
        let (left, right) = (call.input("left"), call.input("right"));
        let (rows, inner_left) = matrix_axes(left.rank(), call.flag("transpose_left"));
        let (inner_right, columns) = matrix_axes(right.rank(), call.flag("transpose_right"));
        inner_sizes_agree(call, inner_left, inner_right)?;
        let mut shape = batch_axes(call, &left.shape[..left.rank() - 2], &right.shape[..right.rank() - 2])?;
        shape.push(left.shape[rows].clone());
        shape.push(right.shape[columns].clone());
        let signed = if left.domain.low >= 0.0 && right.domain.low >= 0.0 { Domain::NON_NEGATIVE } else { Domain::FINITE };
        let domain = if finite_if(&[left, right]) == Domain::FINITE { signed } else { Domain::ANY };
        Ok(smallvec![SymbolicType::new(DType::F32, shape).with_domain(domain)])
    }

    fn flops(&self, call: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        let left = call.input("left");
        let (_, inner) = matrix_axes(left.rank(), call.flag("transpose_left"));
        (elements(&outputs[0])? * &left.shape[inner])? * 2
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let rank = call.output(0).rank();
        let left = builder.align(call.input("left"), rank)?;
        let right = builder.align(call.input("right"), rank)?;
        Ok(smallvec![builder.matmul_transposed(left, call.flag("transpose_left"), right, call.flag("transpose_right"))?])
    }
}

fn inner_sizes_agree(call: &mut Call<'_>, left_axis: usize, right_axis: usize) -> Result<(), Refused> {
    let (left, right) = (call.input("left"), call.input("right"));
    let (inner_left, inner_right) = (&left.shape[left_axis], &right.shape[right_axis]);
    let Some(reason) = difference(call, inner_left, inner_right) else { return Ok(()) };
    let transpose_mends = |axis: usize, rank: usize| 2 * rank - 3 - axis;
    let right_turned = right.shape[transpose_mends(right_axis, right.rank())] == *inner_left;
    let left_turned = left.shape[transpose_mends(left_axis, left.rank())] == *inner_right;
    let message = format!(
        "the inner sizes of {} x {} differ: {inner_left} and {inner_right}{reason}",
        display_shape(&left.shape),
        display_shape(&right.shape)
    );
    let complaint = pair_error(call, ("left", 0), ("right", 0), codes::SIZES_DIFFER, message);
    if right_turned {
        complaint.help("transpose the right operand: `transpose_right: true`");
    } else if left_turned {
        complaint.help("transpose the left operand: `transpose_left: true`");
    }
    Err(Refused)
}

fn batch_axes(call: &mut Call<'_>, left: &[Dim], right: &[Dim]) -> Result<Sizes, Refused> {
    let mut shape = Sizes::new();
    let rank = left.len().max(right.len());
    for axis in 0..rank {
        let of = |own: &[Dim]| (axis + own.len()).checked_sub(rank).map_or(Dim::ONE, |own_axis| own[own_axis].clone());
        let (a, b) = (of(left), of(right));
        if a.is_one() || b.is_one() {
            shape.push(if a.is_one() { b } else { a });
        } else if let Some(reason) = difference(call, &a, &b) {
            let message = format!(
                "the batch axes {} and {} do not broadcast: {a} and {b}{reason}",
                display_shape(left),
                display_shape(right)
            );
            pair_error(call, ("left", 0), ("right", 0), codes::NO_BROADCAST, message);
            return Err(Refused);
        } else {
            shape.push(a);
        }
    }
    Ok(shape)
}
