//! `MaxPool1d`: the greatest element of each window of a sequence.

use super::layers;
use crate::catalogue::prelude::*;
use crate::primitives;

/// The greatest element of each window of a sequence.
pub struct MaxPool1d;

static SCHEMA: Schema = Schema {
    name: "MaxPool1d",
    category: "Pooling and resizing",
    doc: "The greatest element of each window over the last axis of a sequence, per channel. Padding counts as minus infinity.",
    ports: &[Port::one("from", Accepts::Float, "`[batch, channels, length]`")],
    fields: &[
        layers::LENGTH,
        layers::STEP,
        layers::ENDS,
        Field::new("dilation", FieldKind::Dim, Default::Int(1), "distance of the elements that a window reads"),
        layers::CEIL_MODE,
    ],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[batch, channels, length] -> [batch, channels, (length + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1]",
    domain_rule: "the input's",
    gradient: "by rule, to the first greatest element of a window",
    pytorch: "torch.nn.MaxPool1d",
    example: r#"MaxPool1d(from: "series", kernel: 2)"#,
};

impl Op for MaxPool1d {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        layers::pooled_sequence(call)
    }

    fn flops(&self, call: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        elements(&outputs[0])? * call.dim("kernel")
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let [kernel, stride, padding] = layers::lowered_sequence(call);
        let (dilation, ceil_mode) = ((1, call.size("dilation")), call.flag("ceil_mode"));
        let pool = primitives::MaxPool { kernel, stride, padding, dilation, ceil_mode };
        Ok(smallvec![as_image(builder, call.input("from"), |builder, x| builder.emit_one(pool, &[x]))?])
    }
}
