//! `Select`: one position of an axis.

use crate::catalogue::prelude::*;

/// One position of an axis.
pub struct Select;

static SCHEMA: Schema = Schema {
    name: "Select",
    category: "Shape",
    doc: "Takes one position of an axis; the axis goes: the class token of `[batch, tokens, width]` is `Select(axis: 1, index: 0)`.",
    ports: &[Port::one("from", Accepts::Any, "`[..., size, ...]`")],
    fields: &[
        Field::required("axis", FieldKind::Int, "the axis; negative counts from the end"),
        Field::required("index", FieldKind::Dim, "the position; a negative number counts from the end"),
    ],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[..., size, ...] -> [..., ...]",
    domain_rule: "the input's",
    gradient: "by rule",
    pytorch: "torch.select",
    example: r#"Select(from: "tokens", axis: 1, index: 0)"#,
};

impl Op for Select {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let x = call.input("from");
        let axis = axis_field(call, "axis", x.rank())?;
        let index = call.dim("index");
        let size = &x.shape[axis];
        if let (Some(index), Some(size)) = (index.as_constant(), size.as_constant())
            && !(-size..size).contains(&index)
        {
            let message = format!("there is no position {index} in an axis of {size}");
            call.field_error("index", codes::OUT_OF_BOUNDS, message);
            return Err(Refused);
        }
        Ok(smallvec![x.with_shape(reduced_shape(&x.shape, &[axis], false))])
    }

    fn flops(&self, _: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        Ok(Dim::ZERO)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let x = call.input("from");
        let axis = lowered_axis(call, "axis", builder.shape(x).len());
        let size = builder.shape(x)[axis];
        let index = wrap_axis(call.int("index"), size)
            .ok_or_else(|| call.refuse(builder, format!("there is no position {} in an axis of {size}", call.int("index"))))?;
        let part = builder.slice(x, axis, index, 1, 1)?;
        Ok(smallvec![builder.reshape(part, &call.output(0).shape)?])
    }
}
