//! `Formula`: elementwise arithmetic over named nodes.

use crate::catalogue::prelude::*;
use std::rc::Rc;
use sward_core::expr::{Constant, ExprError, ExprErrorKind};
use sward_core::op::{FormulaName, FormulaText};
use sward_core::scalar::{FormulaScope, Operand, ScalarFunction, ScalarGraph, ScalarKind, from_expr};
use sward_core::source::Span;
use sward_core::suggest::nearest;

/// Elementwise arithmetic over named nodes.
pub struct Formula;

static SCHEMA: Schema = Schema {
    name: "Formula",
    category: "Elementwise",
    doc: "Elementwise arithmetic over nodes, inputs and params, which are broadcast: sizes of 1 and missing leading axes repeat, and a named size meets only itself. Operators are + - * / // % **, comparisons, and, or, not; functions are listed in the language reference. Every number is a float: a formula gives F32, and Bool where it ends in a comparison.",
    ports: &[Port::named("inputs", Accepts::Any, "the tensors that the formula names")],
    fields: &[Field::required("formula", FieldKind::Formula, "the expression")],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[...], [...], ... -> their broadcast",
    domain_rule: "by interval arithmetic",
    gradient: "by rule, derived symbolically",
    pytorch: "the expression itself",
    example: r#"Formula("features * (1 + scale) + shift")"#,
};

/// The names of a formula: tensors by their position, numbers, and sizes (as further inputs while they are known by name alone).
struct Names<'a> {
    formula: &'a FormulaText,
    kinds: &'a [ScalarKind],
    /// The number that a size is known to be.
    size: &'a dyn Fn(&Dim) -> Option<i64>,
}

impl Names<'_> {
    /// The kinds of the function's inputs: those of the tensors, then one number for each name.
    fn inputs(&self) -> Vec<ScalarKind> {
        self.kinds.iter().copied().chain(self.formula.names.iter().map(|_| ScalarKind::Number)).collect()
    }

    fn function(&self) -> Result<ScalarFunction, ExprError> {
        let mut graph = ScalarGraph::new();
        let root = from_expr(&self.formula.expression, &mut graph, self)?;
        Ok(ScalarFunction::new(&graph, root, &self.inputs()))
    }
}

impl FormulaScope for Names<'_> {
    fn lookup(&self, name: &str) -> Option<Operand> {
        let position = self.formula.names.iter().position(|(own, _)| own == name)?;
        Some(match &self.formula.names[position].1 {
            FormulaName::Input(index) => Operand::Input { index: *index as u32, kind: self.kinds[*index] },
            FormulaName::Number(value) => Operand::Constant(Constant::Float(*value)),
            FormulaName::Size(dim) => match (self.size)(dim) {
                Some(value) => Operand::Constant(Constant::Int(Dim::constant(value))),
                None => Operand::Input { index: (self.kinds.len() + position) as u32, kind: ScalarKind::Number },
            },
        })
    }

    fn names(&self) -> Vec<String> {
        self.formula.names.iter().map(|(name, _)| name.clone()).collect()
    }
}

fn kinds(call: &Call<'_>) -> Vec<ScalarKind> {
    call.inputs("inputs").iter().map(|input| scalar_kind(input.tensor_type.dtype)).collect()
}

fn function(call: &Call<'_>) -> Rc<Result<ScalarFunction, ExprError>> {
    call.shared(|| Names { formula: call.formula("formula"), kinds: &kinds(call), size: &Dim::as_constant }.function())
}

impl Op for Formula {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let function = function(call);
        let function = match &*function {
            Ok(function) => function,
            Err(error) => return Err(complain(call, error)),
        };
        let inputs = call.inputs("inputs");
        let places: Vec<Place<'_>> = (0..inputs.len()).map(|index| ("inputs", index)).collect();
        let shape = broadcast(call, &places)?;
        let dtype = if function.kind() == ScalarKind::Bool { DType::Bool } else { DType::F32 };
        let sizes = call.formula("formula").names.iter().map(|(_, name)| match name {
            FormulaName::Size(dim) => Domain {
                low: dim.lower_bound().unwrap_or(i64::MIN) as f64,
                high: f64::INFINITY,
                low_open: false,
                high_open: true,
            },
            _ => Domain::ANY,
        });
        let domains: Vec<Domain> = inputs.iter().map(|input| values(&input.tensor_type)).chain(sizes).collect();
        Ok(smallvec![SymbolicType::new(dtype, shape).with_domain(function.domain(&domains))])
    }

    fn differentiable(&self, call: &Call<'_>, _: &str) -> Differentiable {
        let floats: Vec<usize> = call
            .inputs("inputs")
            .iter()
            .enumerate()
            .filter(|(_, input)| input.tensor_type.dtype.is_float())
            .map(|(index, _)| index)
            .collect();
        match &*function(call) {
            Ok(function) => slope_of(function, &floats),
            Err(_) => Differentiable::None("the formula has an error"),
        }
    }

    fn flops(&self, call: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        per_element(&outputs[0], function(call).as_ref().as_ref().map_or(0, |function| function.cost() as i64))
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let operands = call.inputs("inputs");
        let kinds: Vec<ScalarKind> = operands.iter().map(|value| scalar_kind(builder.type_of(*value).dtype)).collect();
        let names = Names { formula: call.formula("formula"), kinds: &kinds, size: &|dim| Some(call.evaluate(dim)) };
        let function = names.function().map_err(|error| call.refuse(builder, error.to_string()))?;
        let TensorType { dtype, shape } = call.output(0);
        Ok(smallvec![emit_function(builder, &function, operands, *dtype, Some(shape))?])
    }
}

/// Turns an error of the expression into a complaint at its part of the text.
fn complain(call: &mut Call<'_>, error: &ExprError) -> Refused {
    let whole = call.field_span("formula");
    let text = &call.formula("formula").text;
    // Positions hold where the text stands in the file as it is, between two quotes.
    let verbatim = whole.range().len() == text.len() + 2;
    let part = whole.start as usize + 1 + error.range.start..whole.start as usize + 1 + error.range.end;
    let complaint = call.field_error("formula", codes::FORMULA, error.message.clone());
    if verbatim {
        complaint.span = Span::new(whole.file, part);
    }
    if let ExprErrorKind::UnknownFunction { name, known } | ExprErrorKind::UnknownName { name, known } = &error.kind {
        complaint.help(match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", known.join(", ")),
        });
    }
    Refused
}
