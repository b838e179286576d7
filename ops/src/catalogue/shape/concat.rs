//! `Concat`: tensors joined along an axis.

use crate::catalogue::prelude::*;

/// Tensors joined along an existing axis.
pub struct Concat;

static SCHEMA: Schema = Schema {
    name: "Concat",
    category: "Shape",
    doc: "Joins tensors along an axis that they have; all other sizes are equal.",
    ports: &[Port::many("from", Accepts::Any, "`[..., size, ...]`, of one dtype")],
    fields: &[Field::required("axis", FieldKind::Int, "the axis to join along; negative counts from the end")],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[..., a, ...], [..., b, ...], ... -> [..., a + b + ..., ...]",
    domain_rule: "the smallest that contains those of all inputs",
    gradient: "by rule",
    pytorch: "torch.cat",
    example: r#"Concat(from: ["image", "table"], axis: 1)"#,
};

impl Op for Concat {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let inputs = call.inputs("from");
        let dtype = expect_one_dtype(call, "from")?;
        let first = &inputs[0].tensor_type;
        let axis = axis_field(call, "axis", first.rank())?;
        for (index, input) in inputs.iter().enumerate().skip(1) {
            let other = &input.tensor_type;
            if other.rank() != first.rank() {
                let message =
                    format!("{} and {} differ in their number of axes", display_shape(&first.shape), display_shape(&other.shape));
                pair_error(call, ("from", 0), ("from", index), codes::WRONG_RANK, message).help(
                    "Concat joins along an axis that all have; add axes of size 1 with Reshape, or use Stack for a new axis",
                );
                return Err(Refused);
            }
            for own in (0..first.rank()).filter(|own| *own != axis) {
                let what = format!("tensors joined along axis {axis} agree in axis {own}");
                expect_same(call, (("from", 0), own), (("from", index), own), &what)?;
            }
        }
        let joined_size = call.checked(Dim::sum(inputs.iter().map(|input| &input.tensor_type.shape[axis])))?;
        let mut shape = first.shape.clone();
        shape[axis] = joined_size;
        let domain = joined(inputs.iter().map(|input| &input.tensor_type));
        Ok(smallvec![SymbolicType::new(dtype, shape).with_domain(domain)])
    }

    fn flops(&self, _: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        Ok(Dim::ZERO)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let axis = lowered_axis(call, "axis", call.output(0).rank());
        Ok(smallvec![builder.concat(call.inputs("from"), axis)?])
    }
}
