//! `AvgPool2d`: the mean of each window.

use super::layers;
use crate::catalogue::prelude::*;
use crate::primitives;

/// The mean of each window.
pub struct AvgPool2d;

static SCHEMA: Schema = Schema {
    name: "AvgPool2d",
    category: "Pooling and resizing",
    doc: "The mean of each window, per channel.",
    ports: &[Port::one("from", Accepts::Float, "`[batch, channels, height, width]`")],
    fields: &[
        layers::KERNEL,
        layers::STRIDE,
        layers::PADDING,
        layers::CEIL_MODE,
        Field::new("count_include_pad", FieldKind::Flag, Default::Flag(true), "whether padding counts as pixels of 0"),
    ],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[batch, channels, height, width] -> [batch, channels, (height + 2 * padding - kernel) // stride + 1, the same of width]",
    domain_rule: "the input's, with 0 where padding counts",
    gradient: "by rule",
    pytorch: "torch.nn.AvgPool2d",
    example: r#"AvgPool2d(from: "x", kernel: 2)"#,
};

impl Op for AvgPool2d {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let mut types = layers::pooled(call)?;
        let padded = call.pair("padding").iter().any(|dim| *dim != Dim::ZERO);
        if padded && call.flag("count_include_pad") {
            types[0].domain = types[0].domain.join(&Domain::point(0.0));
        }
        Ok(types)
    }

    fn flops(&self, call: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        layers::flops(call, outputs)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let pool = primitives::AveragePool {
            kernel: call.pair("kernel").into(),
            stride: layers::lowered_stride(call),
            padding: call.pair("padding").into(),
            ceil_mode: call.flag("ceil_mode"),
            count_include_pad: call.flag("count_include_pad"),
        };
        Ok(smallvec![channels_last(builder, call.input("from"), |builder, x| builder.emit_one(pool, &[x]))?])
    }
}
