//! `Embedding`: rows of a table by index.

use crate::catalogue::prelude::*;

/// Rows of a trained table.
pub struct Embedding;

static SCHEMA: Schema = Schema {
    name: "Embedding",
    category: "Dense layers",
    doc: "Looks up rows of a trained table: every index is replaced by a vector of `width` numbers.",
    ports: &[Port::one("from", Accepts::Integer, "`[...]`, whole numbers from 0 to `count` - 1")],
    fields: &[
        Field::required("count", FieldKind::Dim, "rows of the table"),
        Field::required("width", FieldKind::Dim, "size of a row"),
        Field::new("weight_init", FieldKind::Initial, Default::Initial(Initializer::Normal { std: 1.0 }), "how `weight` starts"),
    ],
    outputs: Outputs::Named(&["y"]),
    parameters: "weight [count, width]",
    shape_rule: "[...] -> [..., width]",
    domain_rule: "Finite",
    gradient: "by rule in the table; the indices have none",
    pytorch: "torch.nn.Embedding",
    example: r#"Embedding(from: "species", count: 32, width: 16)"#,
};

impl Op for Embedding {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let indices = call.input("from");
        let (count, width) = (size_field(call, "count")?, size_field(call, "width")?);
        expect_indices(call, "from", &count)?;
        let weight_init = call.initial("weight_init", Initializer::Normal { std: 1.0 });
        call.parameter("weight", &[count, width.clone()], weight_init);
        let shape = indices.shape.iter().cloned().chain([width]);
        Ok(smallvec![SymbolicType::new(DType::F32, shape).with_domain(Domain::FINITE)])
    }

    fn differentiable(&self, _: &Call<'_>, _: &str) -> Differentiable {
        Differentiable::None("indices are whole numbers")
    }

    fn flops(&self, _: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        Ok(Dim::ZERO)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        Ok(smallvec![builder.take(call.parameter("weight"), call.input("from"), 0)?])
    }
}
