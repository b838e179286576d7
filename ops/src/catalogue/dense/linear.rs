//! `Linear`: a matrix product over the last axis.

use crate::catalogue::prelude::*;

/// `y = x weight^T + bias`.
pub struct Linear;

static SCHEMA: Schema = Schema {
    name: "Linear",
    category: "Dense layers",
    doc: "A dense layer over the last axis: `y = x weight^T + bias`.",
    ports: &[Port::one("from", Accepts::Float, "`[..., in]`")],
    fields: &[
        Field::required("units", FieldKind::Dim, "size of the result's last axis"),
        Field::new("bias", FieldKind::Flag, Default::Flag(true), "whether a bias is added"),
        Field::new("weight_init", FieldKind::Initial, Default::Initial(Initializer::FanIn), "how `weight` starts"),
        Field::new("bias_init", FieldKind::Initial, Default::Initial(Initializer::FanInOfWeight), "how `bias` starts"),
    ],
    outputs: Outputs::Named(&["y"]),
    parameters: "weight [units, in], bias [units]",
    shape_rule: "[..., in] -> [..., units]",
    domain_rule: "Finite where the input is",
    gradient: "by rule",
    pytorch: "torch.nn.Linear",
    example: r#"Linear(from: "x", units: 64)"#,
};

impl Op for Linear {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        expect_rank_from(call, "from", 1, "[..., in]")?;
        let x = call.input("from");
        let units = size_field(call, "units")?;
        let width = x.shape[x.rank() - 1].clone();
        let weight_init = call.initial("weight_init", Initializer::FanIn);
        call.parameter("weight", &[units.clone(), width], weight_init);
        if call.flag("bias") {
            let bias_init = call.initial("bias_init", Initializer::FanInOfWeight);
            call.parameter("bias", std::slice::from_ref(&units), bias_init);
        }
        let mut shape = x.shape.clone();
        shape[x.rank() - 1] = units;
        Ok(smallvec![SymbolicType::new(DType::F32, shape).with_domain(finite_if(&[x]))])
    }

    fn flops(&self, call: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        let x = call.input("from");
        let products = ((&elements(&outputs[0])? * &x.shape[x.rank() - 1])? * 2)?;
        if call.flag("bias") { products + elements(&outputs[0])? } else { Ok(products) }
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let x = call.input("from");
        let shape = builder.shape(x).to_vec();
        let (width, rows) = (shape[shape.len() - 1], shape[..shape.len() - 1].iter().product());
        let matrix = builder.reshape(x, &[rows, width])?;
        let mut y = builder.matmul_transposed(matrix, false, call.parameter("weight"), true)?;
        if let Some(bias) = call.optional_parameter("bias") {
            y = add_along(builder, y, bias, 1)?;
        }
        Ok(smallvec![builder.reshape(y, &call.output(0).shape)?])
    }
}
