//! `Prelu`: negative elements shrink by a trained factor.

use crate::catalogue::prelude::*;

/// Negative elements shrink by a trained factor.
pub struct Prelu;

static SCHEMA: Schema = Schema {
    name: "Prelu",
    category: "Activations",
    doc: "`x` where it is positive, `weight * x` elsewhere; one trained factor for all, or one for each channel of axis 1 (He et al., 2015).",
    ports: &[Port::one("from", Accepts::Float, "`[...]`, with `channels` `[batch, channels, ...]`")],
    fields: &[
        Field::new("channels", FieldKind::Flag, Default::Flag(false), "whether every channel of axis 1 has its own factor"),
        Field::new("weight_init", FieldKind::Initial, Default::Initial(Initializer::Fill(0.25)), "how the factors start"),
    ],
    outputs: Outputs::Named(&["y"]),
    parameters: "weight [1] or [channels]",
    shape_rule: "[...] -> [...]",
    domain_rule: "Finite where the input is",
    gradient: "by rule",
    pytorch: "torch.nn.PReLU",
    example: r#"Prelu(from: "x", channels: true)"#,
};

impl Op for Prelu {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let mut count = Dim::ONE;
        if call.flag("channels") {
            expect_rank_from(call, "from", 2, "[batch, channels, ...]")?;
            count = call.input("from").shape[1].clone();
        }
        let weight_init = call.initial("weight_init", Initializer::Fill(0.25));
        call.parameter("weight", &[count], weight_init);
        let x = call.input("from");
        Ok(smallvec![x.clone().with_domain(finite_if(&[x]))])
    }

    fn flops(&self, _: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        per_element(&outputs[0], 2)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let x = call.input("from");
        let rank = builder.shape(x).len();
        let mut weight = call.parameter("weight");
        if call.flag("channels") {
            weight = along_axis(builder, weight, 1, rank)?;
        } else if rank == 0 {
            weight = builder.reshape(weight, &[])?;
        }
        Ok(smallvec![emit(builder, "where(x > 0, x, weight * x)", &[("x", x), ("weight", weight)], &[])?])
    }
}
