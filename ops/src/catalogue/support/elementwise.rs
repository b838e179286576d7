//! Ops that are one formula: every element of the result depends on one element of each input.

use crate::catalogue::prelude::*;
use std::rc::Rc;
use sward_core::scalar::{ScalarFunction, ScalarKind};

/// An op that is one formula. Its file states the schema and the formula; all rules follow from them.
pub struct Elementwise {
    /// Name, ports, fields and documentation.
    pub schema: &'static Schema,
    /// The formula over ports (`from` is called `x`) and fields of the kind `Float`.
    pub formula: FormulaOf,
    /// The result's dtype.
    pub result: ResultOf,
    /// What is known of the result beyond what interval arithmetic finds.
    pub range: Domain,
    /// Fields that must be above 0.
    pub positive: &'static [&'static str],
}

/// Which formula.
pub enum FormulaOf {
    /// Always this one.
    One(&'static str),
    /// By the word of a `Choice` field.
    Choice {
        /// The field.
        field: &'static str,
        /// The formula of every word.
        formulas: &'static [(&'static str, &'static str)],
    },
}

/// The result's dtype.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ResultOf {
    /// `F32`.
    Float,
    /// `F32` where an input is, else `I64`.
    Promoted,
    /// `Bool`.
    Truth,
}

/// The rest of an op with one formula and an `F32` result.
pub const ELEMENTWISE: Elementwise =
    Elementwise { schema: &UNARY, formula: FormulaOf::One("x"), result: ResultOf::Float, range: Domain::ANY, positive: &[] };

/// The schema of an op over one float tensor; every file states the rest.
pub const UNARY: Schema = Schema {
    name: "",
    category: "Elementwise",
    doc: "",
    ports: &[Port::one("from", Accepts::Float, "`[...]`")],
    fields: &[],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[...] -> [...]",
    domain_rule: "by interval arithmetic",
    gradient: "by rule",
    pytorch: "",
    example: "",
};

/// The schema of an activation.
pub const ACTIVATION: Schema = Schema { category: "Activations", ..UNARY };

/// The schema of an op over two tensors of numbers.
pub const BINARY: Schema = Schema {
    ports: &[
        Port::one("left", Accepts::Number, "`[...]`, or a number").or_number(),
        Port::one("right", Accepts::Number, "`[...]`, or a number").or_number(),
    ],
    shape_rule: "[...], [...] -> their broadcast",
    gradient: "by rule in both",
    ..UNARY
};

/// The schema of a comparison.
pub const COMPARISON: Schema =
    Schema { domain_rule: "true or false", gradient: "zero: the result jumps and is flat between", ..BINARY };

/// The schema of an op over two truth values.
pub const LOGICAL: Schema = Schema {
    ports: &[Port::one("left", Accepts::Bool, "`[...]`"), Port::one("right", Accepts::Bool, "`[...]`")],
    domain_rule: "true or false",
    gradient: "none is needed",
    ..BINARY
};

impl Elementwise {
    fn text(&self, choice: impl Fn(&str) -> &'static str) -> &'static str {
        match self.formula {
            FormulaOf::One(text) => text,
            FormulaOf::Choice { field, formulas } => {
                let word = choice(field);
                formulas.iter().find(|(own, _)| *own == word).map_or("", |(_, text)| text)
            }
        }
    }

    fn function(
        &self,
        choice: impl Fn(&str) -> &'static str,
        number: impl Fn(&str) -> Option<f64>,
        kind: impl Fn(&str) -> ScalarKind,
    ) -> ScalarFunction {
        let inputs: Vec<(&str, ScalarKind)> =
            self.schema.ports.iter().map(|port| (if port.name == "from" { "x" } else { port.name }, kind(port.name))).collect();
        let numbers: Vec<(&str, f64)> =
            self.schema.fields.iter().filter_map(|field| number(field.name).map(|value| (field.name, value))).collect();
        own_formula(self.text(choice), &inputs, &numbers)
    }

    fn function_of(&self, call: &Call<'_>) -> Rc<ScalarFunction> {
        let kind = |port: &str| scalar_kind(call.input(port).dtype);
        call.shared(|| self.function(|field| call.choice(field), |field| call.optional_float(field), kind))
    }
}

/// What two intervals share; the first where they share nothing.
fn narrowed(domain: Domain, range: Domain) -> Domain {
    let mut both = domain;
    if range.low > both.low || range.low == both.low && range.low_open {
        (both.low, both.low_open) = (range.low, range.low_open);
    }
    if range.high < both.high || range.high == both.high && range.high_open {
        (both.high, both.high_open) = (range.high, range.high_open);
    }
    if both.low > both.high { domain } else { both }
}

impl Op for Elementwise {
    fn schema(&self) -> &'static Schema {
        self.schema
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        for field in self.positive {
            float_within(call, field, |value| value > 0.0 && value.is_finite(), "above 0")?;
        }
        let places: Vec<Place<'_>> = self.schema.ports.iter().map(|port| (port.name, 0)).collect();
        let shape = broadcast(call, &places)?;
        let inputs: Vec<&SymbolicType> = self.schema.ports.iter().map(|port| call.input(port.name)).collect();
        let dtype = match self.result {
            ResultOf::Float => DType::F32,
            ResultOf::Truth => DType::Bool,
            ResultOf::Promoted if inputs.iter().any(|input| input.dtype == DType::F32) => DType::F32,
            ResultOf::Promoted => DType::I64,
        };
        let domains: Vec<Domain> = inputs.iter().map(|input| values(input)).collect();
        let domain = narrowed(self.function_of(call).domain(&domains), self.range);
        Ok(smallvec![SymbolicType::new(dtype, shape).with_domain(domain)])
    }

    fn differentiable(&self, call: &Call<'_>, port: &str) -> Differentiable {
        let index = self.schema.ports.iter().position(|own| own.name == port).unwrap_or(0);
        slope_of(&self.function_of(call), &[index])
    }

    fn flops(&self, call: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        per_element(&outputs[0], self.function_of(call).cost() as i64)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let operands: Vec<ValueId> = self.schema.ports.iter().map(|port| call.input(port.name)).collect();
        let kind = |port: &str| scalar_kind(builder.type_of(call.input(port)).dtype);
        let function = self.function(|field| call.choice(field), |field| call.optional_float(field), kind);
        Ok(smallvec![emit_function(builder, &function, &operands, call.output(0).dtype, None)?])
    }
}

/// Whether a gradient flows from a function to any of these inputs.
pub(crate) fn slope_of(function: &ScalarFunction, inputs: &[usize]) -> Differentiable {
    if function.kind() == ScalarKind::Bool {
        return Differentiable::Zero("the result is true or false");
    }
    let mut flat = true;
    for input in inputs {
        match function.derivative(*input as u32) {
            Err(_) => return Differentiable::None("a function in it has no derivative"),
            Ok(slope) => flat &= slope.graph().as_number(slope.root()) == Some(0.0),
        }
    }
    if flat { Differentiable::Zero("the result is flat wherever it is not at a jump") } else { Differentiable::Rule }
}
