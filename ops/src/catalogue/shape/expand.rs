//! `Expand`: axes of size 1 repeated.

use crate::catalogue::prelude::*;

/// Axes of size 1 repeated.
pub struct Expand;

static SCHEMA: Schema = Schema {
    name: "Expand",
    category: "Shape",
    doc: "Repeats axes of size 1, and adds leading axes: `[1, 1, width]` to `[batch, 1, width]`. A size of -1 keeps the input's.",
    ports: &[Port::one("from", Accepts::Any, "`[...]`")],
    fields: &[Field::required("shape", FieldKind::Dims, "the new sizes, each the input's wherever that is not 1")],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[...] -> shape",
    domain_rule: "the input's",
    gradient: "by rule",
    pytorch: "Tensor.expand",
    example: r#"Expand(from: "cls_token", shape: ["batch", 1, "width"])"#,
};

impl Op for Expand {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let x = call.input("from");
        let mut shape: Sizes = call.dims("shape").unwrap_or_default().into();
        let Some(leading) = shape.len().checked_sub(x.rank()) else {
            let message = format!("{} has more axes than {}", display_shape(&x.shape), display_shape(&shape));
            call.field_error("shape", codes::WRONG_RANK, message)
                .help("Expand adds leading axes and removes none; join axes with Reshape");
            return Err(Refused);
        };
        for axis in 0..shape.len() {
            let own = axis.checked_sub(leading).map(|own| &x.shape[own]);
            match (shape[axis].as_constant(), own) {
                (Some(-1), Some(own)) => shape[axis] = own.clone(),
                (Some(value), _) if value < 1 => at_least(call, "shape", &shape[axis].clone(), 1)?,
                (_, Some(own)) if !own.is_one() => keeps_size(call, own, &shape, axis)?,
                _ => {}
            }
        }
        Ok(smallvec![x.with_shape(shape)])
    }

    fn flops(&self, _: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        Ok(Dim::ZERO)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let shape = &call.output(0).shape;
        let x = builder.align(call.input("from"), shape.len())?;
        Ok(smallvec![builder.expand(x, shape)?])
    }
}

fn keeps_size(call: &mut Call<'_>, own: &Dim, shape: &[Dim], axis: usize) -> Result<(), Refused> {
    let Some(reason) = difference(call, own, &shape[axis]) else { return Ok(()) };
    let input = &call.inputs("from")[0];
    let (span, text) = (input.span, described(input));
    let message = format!("axis {axis} of {} is {}, and the input has {own} there{reason}", display_shape(shape), shape[axis]);
    call.field_error("shape", codes::NO_BROADCAST, message)
        .also(span, text)
        .help("only axes of size 1 are repeated; -1 keeps a size");
    Err(Refused)
}
