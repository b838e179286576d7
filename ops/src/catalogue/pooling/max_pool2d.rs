//! `MaxPool2d`: the greatest pixel of each window.

use super::layers;
use crate::catalogue::prelude::*;
use crate::primitives;

/// The greatest pixel of each window.
pub struct MaxPool2d;

static SCHEMA: Schema = Schema {
    name: "MaxPool2d",
    category: "Pooling and resizing",
    doc: "The greatest pixel of each window, per channel. Padding counts as minus infinity.",
    ports: &[Port::one("from", Accepts::Float, "`[batch, channels, height, width]`")],
    fields: &[
        layers::KERNEL,
        layers::STRIDE,
        layers::PADDING,
        Field::new("dilation", FieldKind::Pair, Default::Ints(&[1, 1]), "distance of the pixels that a window reads"),
        layers::CEIL_MODE,
    ],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[batch, channels, height, width] -> [batch, channels, (height + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1, the same of width]",
    domain_rule: "the input's",
    gradient: "by rule, to the first greatest pixel of a window",
    pytorch: "torch.nn.MaxPool2d",
    example: r#"MaxPool2d(from: "x", kernel: 3, stride: 2, padding: 1)"#,
};

impl Op for MaxPool2d {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        layers::pooled(call)
    }

    fn flops(&self, call: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        layers::flops(call, outputs)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let pool = primitives::MaxPool {
            kernel: call.pair("kernel").into(),
            stride: layers::lowered_stride(call),
            padding: call.pair("padding").into(),
            dilation: call.pair("dilation").into(),
            ceil_mode: call.flag("ceil_mode"),
        };
        Ok(smallvec![channels_last(builder, call.input("from"), |builder, x| builder.emit_one(pool, &[x]))?])
    }
}
