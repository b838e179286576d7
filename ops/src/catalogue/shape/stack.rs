//! `Stack`: tensors joined along a new axis.

use crate::catalogue::prelude::*;

/// Tensors joined along a new axis.
pub struct Stack;

static SCHEMA: Schema = Schema {
    name: "Stack",
    category: "Shape",
    doc: "Joins tensors of one shape along a new axis.",
    ports: &[Port::many("from", Accepts::Any, "`[...]`, all of one shape and dtype")],
    fields: &[Field::new(
        "axis",
        FieldKind::Int,
        Default::Int(0),
        "where the new axis stands in the result; negative counts from the end",
    )],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "n times [...] -> [..., n, ...]",
    domain_rule: "the smallest that contains those of all inputs",
    gradient: "by rule",
    pytorch: "torch.stack",
    example: r#"Stack(from: ["left", "right"], axis: 1)"#,
};

impl Op for Stack {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let inputs = call.inputs("from");
        let dtype = expect_one_dtype(call, "from")?;
        let first = &inputs[0].tensor_type;
        let axis = axis_field(call, "axis", first.rank() + 1)?;
        for (index, input) in inputs.iter().enumerate().skip(1) {
            let other = &input.tensor_type;
            if other.rank() != first.rank() {
                let message =
                    format!("{} and {} differ in their number of axes", display_shape(&first.shape), display_shape(&other.shape));
                pair_error(call, ("from", 0), ("from", index), codes::WRONG_RANK, message);
                return Err(Refused);
            }
            for own in 0..first.rank() {
                let what = format!("stacked tensors agree in axis {own}");
                expect_same(call, (("from", 0), own), (("from", index), own), &what)?;
            }
        }
        let mut shape = first.shape.clone();
        shape.insert(axis, Dim::constant(inputs.len() as i64));
        let domain = joined(inputs.iter().map(|input| &input.tensor_type));
        Ok(smallvec![SymbolicType::new(dtype, shape).with_domain(domain)])
    }

    fn flops(&self, _: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        Ok(Dim::ZERO)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let axis = lowered_axis(call, "axis", call.output(0).rank());
        let mut shape = call.output(0).shape.clone();
        shape[axis] = 1;
        let parts: Vec<ValueId> =
            call.inputs("from").iter().map(|part| builder.reshape(*part, &shape)).collect::<Result<_, BuildError>>()?;
        Ok(smallvec![builder.concat(&parts, axis)?])
    }
}
