//! `TopK`: the greatest elements along an axis.

use crate::catalogue::prelude::*;
use crate::primitives;

/// The greatest elements along an axis.
pub struct TopK;

static SCHEMA: Schema = Schema {
    name: "TopK",
    category: "Indexing",
    doc: "The `k` greatest elements along an axis in falling order, or the least in rising order, and where they stood. Equal elements keep their order.",
    ports: &[Port::one("from", Accepts::Number, "`[..., size, ...]`")],
    fields: &[
        Field::required("k", FieldKind::Dim, "how many; at most the axis' size"),
        Field::new("axis", FieldKind::Int, Default::Int(-1), "the axis; negative counts from the end"),
        Field::new("largest", FieldKind::Flag, Default::Flag(true), "`false` takes the least"),
    ],
    outputs: Outputs::Named(&["values", "indices"]),
    parameters: "",
    shape_rule: "[..., size, ...] -> [..., k, ...], [..., k, ...] of I64",
    domain_rule: "values: the input's; indices: from 0 to size - 1",
    gradient: "by rule, from the values to the elements that were taken; the indices have none",
    pytorch: "torch.topk",
    example: r#"TopK(from: "attention", k: 4, axis: 1)"#,
};

impl Op for TopK {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let x = call.input("from");
        let axis = axis_field(call, "axis", x.rank())?;
        let k = size_field(call, "k")?;
        let size = &x.shape[axis];
        if (size - &k).is_ok_and(|rest| rest.as_constant().is_some_and(|rest| rest < 0)) {
            call.field_error("k", codes::OUT_OF_BOUNDS, format!("{k} elements are asked of an axis that has {size}"));
            return Err(Refused);
        }
        let mut shape = x.shape.clone();
        shape[axis] = k;
        let indices = SymbolicType::new(DType::I64, shape.iter().cloned()).with_domain(index_below(size));
        Ok(smallvec![x.with_shape(shape), indices])
    }

    fn flops(&self, call: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        elements(call.input("from"))
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let x = call.input("from");
        let rank = builder.shape(x).len();
        let axis = lowered_axis(call, "axis", rank);
        let (k, size) = (call.size("k"), builder.shape(x)[axis]);
        if k > size {
            return Err(call.refuse(builder, format!("{k} elements are asked of an axis that has {size}")));
        }
        let order = axis_last(rank, axis);
        let moved = builder.permute(x, &order)?;
        let results = builder.emit(primitives::TopK { k, largest: call.flag("largest") }, &[moved])?;
        results.into_iter().map(|result| builder.permute(result, &inverse(&order))).collect()
    }
}
