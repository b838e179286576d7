//! `AvgPool1d`: the mean of each window of a sequence.

use super::layers;
use crate::catalogue::prelude::*;
use crate::primitives;

/// The mean of each window of a sequence.
pub struct AvgPool1d;

static SCHEMA: Schema = Schema {
    name: "AvgPool1d",
    category: "Pooling and resizing",
    doc: "The mean of each window over the last axis of a sequence, per channel.",
    ports: &[Port::one("from", Accepts::Float, "`[batch, channels, length]`")],
    fields: &[
        layers::LENGTH,
        layers::STEP,
        layers::ENDS,
        layers::CEIL_MODE,
        Field::new("count_include_pad", FieldKind::Flag, Default::Flag(true), "whether padding counts as elements of 0"),
    ],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[batch, channels, length] -> [batch, channels, (length + 2 * padding - kernel) // stride + 1]",
    domain_rule: "the input's, with 0 where padding counts",
    gradient: "by rule",
    pytorch: "torch.nn.AvgPool1d",
    example: r#"AvgPool1d(from: "series", kernel: 4)"#,
};

impl Op for AvgPool1d {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let mut types = layers::pooled_sequence(call)?;
        if call.dim("padding") != Dim::ZERO && call.flag("count_include_pad") {
            types[0].domain = types[0].domain.join(&Domain::point(0.0));
        }
        Ok(types)
    }

    fn flops(&self, call: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        elements(&outputs[0])? * call.dim("kernel")
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let [kernel, stride, padding] = layers::lowered_sequence(call);
        let (ceil_mode, count_include_pad) = (call.flag("ceil_mode"), call.flag("count_include_pad"));
        let pool = primitives::AveragePool { kernel, stride, padding, ceil_mode, count_include_pad };
        Ok(smallvec![as_image(builder, call.input("from"), |builder, x| builder.emit_one(pool, &[x]))?])
    }
}
