//! `BatchNorm2d`: normalization of images over the batch.

use super::batch_norm;
use crate::catalogue::prelude::*;

/// Normalization of images over the batch.
pub struct BatchNorm2d;

static SCHEMA: Schema = batch_norm::schema(
    "BatchNorm2d",
    &[Port::one("from", Accepts::Float, "`[batch, channels, height, width]`")],
    "[batch, channels, height, width] -> [batch, channels, height, width]",
    "torch.nn.BatchNorm2d",
    r#"BatchNorm2d(from: "x")"#,
);

impl Op for BatchNorm2d {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        expect_rank(call, "from", 4, "[batch, channels, height, width]")?;
        batch_norm::infer(call)
    }

    fn flops(&self, _: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        per_element(&outputs[0], 4)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        Ok(smallvec![channels_last(builder, call.input("from"), |builder, x| batch_norm::normalized(call, builder, x))?])
    }
}
