//! `AdaptiveAvgPool2d`: means that give a fixed size.

use crate::catalogue::prelude::*;
use crate::primitives;

/// Means that give a fixed size.
pub struct AdaptiveAvgPool2d;

static SCHEMA: Schema = Schema {
    name: "AdaptiveAvgPool2d",
    category: "Pooling and resizing",
    doc: "Cuts the image into `size` windows, which overlap where they must, and takes the mean of each, per channel.",
    ports: &[Port::one("from", Accepts::Float, "`[batch, channels, height, width]`")],
    fields: &[Field::required("size", FieldKind::Pair, "height and width of the result")],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[batch, channels, height, width] -> [batch, channels, size, size]",
    domain_rule: "the input's",
    gradient: "by rule",
    pytorch: "torch.nn.AdaptiveAvgPool2d",
    example: r#"AdaptiveAvgPool2d(from: "x", size: 7)"#,
};

impl Op for AdaptiveAvgPool2d {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        expect_rank(call, "from", 4, "[batch, channels, height, width]")?;
        let x = call.input("from");
        let [height, width] = call.pair("size");
        for dim in [&height, &width] {
            at_least(call, "size", dim, 1)?;
        }
        Ok(smallvec![x.with_shape([x.shape[0].clone(), x.shape[1].clone(), height, width])])
    }

    fn flops(&self, call: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        elements(call.input("from"))
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let pool = primitives::AdaptiveAveragePool { output: call.pair("size").into() };
        Ok(smallvec![channels_last(builder, call.input("from"), |builder, x| builder.emit_one(pool, &[x]))?])
    }
}
