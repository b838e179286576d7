//! `Dropout`: elements set to 0 at random in training.

use super::layers;
use crate::catalogue::prelude::*;

/// Elements set to 0 at random in training.
pub struct Dropout;

static SCHEMA: Schema = Schema {
    name: "Dropout",
    category: "Regularization",
    doc: "In training, sets every element to 0 with probability `p` and divides the others by 1 - p; otherwise, the identity.",
    ports: &[Port::one("from", Accepts::Float, "`[...]`")],
    fields: &[Field::new("p", FieldKind::Float, Default::Float(0.5), "the probability to drop, from 0 to 1")],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[...] -> [...]",
    domain_rule: "NonNegative where the input is; Finite where the input is",
    gradient: "by rule, with the same elements dropped",
    pytorch: "torch.nn.Dropout",
    example: r#"Dropout(from: "x", p: 0.1)"#,
};

impl Op for Dropout {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        layers::dropped(call)
    }

    fn flops(&self, _: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        Ok(Dim::ZERO)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let x = call.input("from");
        let p = call.float("p");
        if !call.drops() || p == 0.0 {
            return Ok(smallvec![x]);
        }
        let shape = builder.shape(x).to_vec();
        Ok(smallvec![layers::drop(builder, x, &shape, p)?])
    }
}
