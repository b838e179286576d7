//! `Split`: a tensor cut into parts along an axis.

use crate::catalogue::prelude::*;
use sward_core::op::MAX_OUTPUTS;

/// Parts of a tensor along an axis.
pub struct Split;

static SCHEMA: Schema = Schema {
    name: "Split",
    category: "Shape",
    doc: "Cuts a tensor along an axis into equal `parts`, or into parts of the given `sizes`. The parts are the outputs `0`, `1`, ...: `\"halves:0\"`.",
    ports: &[Port::one("from", Accepts::Any, "`[..., size, ...]`")],
    fields: &[
        Field::required("axis", FieldKind::Int, "the axis to cut; negative counts from the end"),
        Field::new("parts", FieldKind::Int, Default::Absent, "how many equal parts"),
        Field::new("sizes", FieldKind::Dims, Default::Absent, "the parts' sizes, instead of `parts`"),
    ],
    outputs: Outputs::Counted { fields: &["parts", "sizes"] },
    parameters: "",
    shape_rule: "[..., size, ...] -> parts times [..., size / parts, ...]",
    domain_rule: "the input's",
    gradient: "by rule",
    pytorch: "torch.chunk for equal parts, torch.split for sizes",
    example: r#"Split(from: "x", axis: -1, parts: 2)"#,
};

impl Op for Split {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let x = call.input("from");
        let axis = axis_field(call, "axis", x.rank())?;
        let size = x.shape[axis].clone();
        let sizes = match (call.optional_dim("parts"), call.dims("sizes")) {
            (Some(parts), None) => {
                at_least(call, "parts", &parts, 1)?;
                // `Int` fields are known when the graph is read.
                let count = usize::try_from(parts.as_constant().unwrap_or(1)).unwrap_or(usize::MAX);
                if count > MAX_OUTPUTS {
                    let message = format!("{count} parts are more outputs than a node may have, which is {MAX_OUTPUTS}");
                    call.field_error("parts", codes::SETTING_OUT_OF_RANGE, message)
                        .help("Reshape cuts an axis into many parts of one tensor");
                    return Err(Refused);
                }
                let part = call.exact_div("parts", &size, &parts)?;
                vec![part; count]
            }
            (None, Some(sizes)) => listed_sizes(call, sizes, &size)?,
            _ => {
                call.error(codes::SETTINGS_CONFLICT, "Split needs either `parts` or `sizes`")
                    .help("add `parts: 2` for two halves");
                return Err(Refused);
            }
        };
        Ok(sizes
            .into_iter()
            .map(|part| {
                let mut shape = x.shape.clone();
                shape[axis] = part;
                x.with_shape(shape)
            })
            .collect())
    }

    fn flops(&self, _: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        Ok(Dim::ZERO)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let x = call.input("from");
        let axis = lowered_axis(call, "axis", builder.shape(x).len());
        let mut start = 0;
        let mut parts = SmallVec::new();
        for part in call.outputs() {
            let length = part.shape[axis];
            parts.push(builder.slice(x, axis, start, length, 1)?);
            start += length;
        }
        Ok(parts)
    }
}

fn listed_sizes(call: &mut Call<'_>, sizes: Vec<Dim>, size: &Dim) -> Result<Vec<Dim>, Refused> {
    for own in &sizes {
        at_least(call, "sizes", own, 1)?;
    }
    let sum = call.checked(Dim::sum(&sizes))?;
    let Some(reason) = difference(call, &sum, size) else { return Ok(sizes) };
    let input = &call.inputs("from")[0];
    let (span, text) = (input.span, described(input));
    let message = format!("the parts sum to {sum}, and the axis has {size}{reason}");
    call.field_error("sizes", codes::SIZES_DIFFER, message).also(span, text);
    Err(Refused)
}
