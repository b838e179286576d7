//! What the reductions share: fields, shapes, lowering.

use crate::catalogue::prelude::*;
use crate::primitives::{ArgReduce, ArgReduceKind, Reduce, ReduceKind};

/// The axes of a reduction.
pub(super) const AXES: Field = Field::new(
    "axes",
    FieldKind::Ints,
    Default::Absent,
    "the axes to reduce, one or a list; negative counts from the end. All of them where it is left out",
);
/// The axis of a reduction over one.
pub(super) const AXIS: Field =
    Field::new("axis", FieldKind::Int, Default::Int(-1), "the axis to reduce; negative counts from the end");
/// Whether reduced axes stay.
pub(super) const KEEP: Field =
    Field::new("keep", FieldKind::Flag, Default::Flag(false), "whether reduced axes stay, with size 1");
/// The correction of a variance.
pub(super) const CORRECTION: Field =
    Field::new("correction", FieldKind::Float, Default::Float(1.0), "the sum of squares is divided by the count less this");
/// The rule of reductions.
pub(super) const SHAPE_RULE: &str = "[...] -> [... without the reduced axes], or size 1 in their place with `keep`";

/// The type of a reduction over the field `axes`.
pub(super) fn reduced(call: &mut Call<'_>, dtype: DType, domain: Domain) -> Inferred {
    let x = call.input("from");
    let axes = axes_field(call, "axes", x.rank())?;
    if axes.is_empty() && x.rank() > 0 {
        call.field_error("axes", codes::SETTING_OUT_OF_RANGE, "`axes` names no axis").help("leave it out to reduce all axes");
        return Err(Refused);
    }
    let shape = reduced_shape(&x.shape, &axes, call.flag("keep"));
    Ok(smallvec![SymbolicType::new(dtype, shape).with_domain(domain)])
}

/// Reduces over the field `axes`; reduced axes stay with size 1.
pub(super) fn reduce(
    builder: &mut Builder,
    call: &LowerCall<'_>,
    x: ValueId,
    kind: ReduceKind,
    dtype: DType,
) -> Result<ValueId, BuildError> {
    let axes = lowered_axes(call, "axes", builder.shape(x).len());
    builder.emit_one(Reduce { kind, axes, dtype }, &[x])
}

/// The type of a position along the field `axis`.
pub(super) fn arg_reduced(call: &mut Call<'_>) -> Inferred {
    let x = call.input("from");
    let axis = axis_field(call, "axis", x.rank())?;
    let shape = reduced_shape(&x.shape, &[axis], call.flag("keep"));
    Ok(smallvec![SymbolicType::new(DType::I64, shape).with_domain(index_below(&x.shape[axis]))])
}

/// The lowering of [`arg_reduced`].
pub(super) fn arg_reduce(builder: &mut Builder, call: &LowerCall<'_>, kind: ArgReduceKind) -> Lowered {
    let x = call.input("from");
    let axis = lowered_axis(call, "axis", builder.shape(x).len());
    let y = builder.emit_one(ArgReduce { kind, axis }, &[x])?;
    Ok(smallvec![builder.reshape(y, &call.output(0).shape)?])
}

/// Complains where the correction is known to leave nothing to divide by.
pub(super) fn correction_fits(call: &mut Call<'_>) -> Result<(), Refused> {
    let correction = float_within(call, "correction", |value| value >= 0.0 && value.is_finite(), "at least 0")?;
    let x = call.input("from");
    let axes = axes_field(call, "axes", x.rank())?;
    let count = call.checked(Dim::product(axes.iter().map(|axis| &x.shape[*axis])))?;
    match count.as_constant() {
        Some(count) if count as f64 <= correction => {
            let message = format!(
                "a variance over {count} elements with a correction of {correction} divides by {}",
                count as f64 - correction
            );
            call.field_error("correction", codes::SETTING_OUT_OF_RANGE, message)
                .help("state `correction: 0`, or reduce more elements");
            Err(Refused)
        }
        _ => Ok(()),
    }
}

/// The variance over the field `axes`; reduced axes stay with size 1.
pub(super) fn variance(builder: &mut Builder, call: &LowerCall<'_>) -> Result<ValueId, BuildError> {
    let x = call.input("from");
    let shape = builder.shape(x);
    let count: usize = lowered_axes(call, "axes", shape.len()).iter().map(|axis| shape[*axis]).product();
    let correction = call.float("correction");
    let divisor = count as f64 - correction;
    if divisor <= 0.0 {
        let reason = format!("a variance over {count} elements with a correction of {correction} divides by {divisor}");
        return Err(call.refuse(builder, reason));
    }
    let mean = reduce(builder, call, x, ReduceKind::Mean, DType::F32)?;
    let squares = emit(builder, "(x - mean) ** 2", &[("x", x), ("mean", mean)], &[])?;
    let sum = reduce(builder, call, squares, ReduceKind::Sum, DType::F32)?;
    emit(builder, "sum / divisor", &[("sum", sum)], &[("divisor", divisor)])
}
