//! `BatchNorm1d`: normalization of vectors or sequences over the batch.

use super::batch_norm;
use crate::catalogue::prelude::*;

/// Normalization of vectors or sequences over the batch.
pub struct BatchNorm1d;

static SCHEMA: Schema = batch_norm::schema(
    "BatchNorm1d",
    &[Port::one("from", Accepts::Float, "`[batch, channels]` or `[batch, channels, length]`")],
    "[batch, channels, ...] -> [batch, channels, ...]",
    "torch.nn.BatchNorm1d",
    r#"BatchNorm1d(from: "x")"#,
);

impl Op for BatchNorm1d {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        expect_rank_of_two(call, "from", [2, 3], "[batch, channels] or [batch, channels, length]")?;
        batch_norm::infer(call)
    }

    fn flops(&self, _: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        per_element(&outputs[0], 4)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let x = call.input("from");
        if builder.shape(x).len() == 2 {
            return Ok(smallvec![batch_norm::normalized(call, builder, x)?]);
        }
        let moved = builder.permute(x, &[0, 2, 1])?;
        let y = batch_norm::normalized(call, builder, moved)?;
        Ok(smallvec![builder.permute(y, &[0, 2, 1])?])
    }
}
