//! A module's contract: budgets and promises at named sizes.

use super::checked::Checked;
use super::instance::Instance;
use super::session::Session;
use super::values;
use crate::diagnostic::{Diagnostic, codes};
use crate::dim::{Dim, Sizes, Verdict, compare};
use crate::expr::Constant;
use crate::language::ContractCase;
use crate::op::display_shape;
use crate::source::Span;
use crate::suggest::nearest;

pub(super) fn check_contract(session: &mut Session<'_>, checked: &Checked, case: &ContractCase, root: &mut Instance<'_>) {
    let mut sizes = Sizes::new();
    let dimensions = checked.dimensions();
    for (name, size) in &case.at {
        if !dimensions.iter().any(|own| *own == *name.value) {
            session.diagnostics.push(
                Diagnostic::new(codes::CONTRACT, format!("there is no dimension called `{}`", name.value), name.span)
                    .suggest(nearest(&name.value, dimensions.iter().map(String::as_str))),
            );
            return;
        }
        sizes.insert(&*name.value, *size);
    }
    let mut budget = |what: &str, stated: f64, span: Span, exact: bool, value: Result<i64, crate::dim::DimError>| match value {
        Ok(value) if exact && value as f64 != stated => {
            let text = format!("the graph has {value} {what}, the contract says {stated}");
            session.diagnostics.push(Diagnostic::new(codes::CONTRACT, text, span));
        }
        Ok(value) if !exact && value as f64 > stated => {
            let text = format!("the graph needs {value} {what}, the contract allows {stated}");
            session.diagnostics.push(Diagnostic::new(codes::CONTRACT, text, span));
        }
        Ok(_) => {}
        Err(error) => session.diagnostics.push(
            Diagnostic::new(codes::CONTRACT, format!("the {what} cannot be counted: {error}"), span)
                .help("give every dimension a size in `at`"),
        ),
    };
    let evaluate = |dim: Result<Dim, crate::dim::DimError>| dim.and_then(|dim| dim.evaluate(&sizes));
    if let Some(stated) = &case.parameters {
        budget("parameters", stated.value as f64, stated.span, true, evaluate(checked.parameter_count()));
    }
    if let Some(stated) = &case.max_parameters {
        budget("parameters", stated.value as f64, stated.span, false, evaluate(checked.parameter_count()));
    }
    if let Some(stated) = &case.max_flops {
        budget("floating point operations", stated.value, stated.span, false, evaluate(checked.flops()));
    }
    if let Some(stated) = &case.max_memory_bytes {
        let bytes = checked.forward_memory_bytes(&sizes).map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
        budget("bytes", stated.value as f64, stated.span, false, bytes);
    }
    for (name, shape) in &case.outputs {
        let Some(output) = checked.outputs.iter().find(|output| output.name == name.value) else {
            let known: Vec<&str> = checked.outputs.iter().map(|output| &*output.name).collect();
            session.diagnostics.push(
                Diagnostic::new(codes::CONTRACT, format!("there is no output called `{}`", name.value), name.span)
                    .suggest(nearest(&name.value, known.iter().copied())),
            );
            continue;
        };
        let found = &output.tensor_type.shape;
        if found.len() != shape.len() {
            let text = format!("the output `{}` is {}", name.value, display_shape(found));
            session.diagnostics.push(Diagnostic::new(codes::CONTRACT, text, name.span));
            continue;
        }
        for (axis, (stated, actual)) in shape.iter().zip(found).enumerate() {
            let mut obligations = Vec::new();
            let stated_dim = match values::evaluate(&stated.expression, None, stated.span, &root.names, &mut obligations) {
                Ok(Constant::Int(dim)) => dim,
                Ok(_) => continue,
                Err(diagnostic) => {
                    session.diagnostics.push(diagnostic);
                    continue;
                }
            };
            let at = |dim: &Dim| dim.substitute(&|name| sizes.get(name).map(Dim::constant));
            let (Ok(left), Ok(right)) = (at(&stated_dim), at(actual)) else { continue };
            if let Verdict::Different(example) = compare(&left, &right, &[]) {
                let text = format!("axis {axis} of `{}` is {right}, the contract says {left}: {example}", name.value);
                session.diagnostics.push(Diagnostic::new(codes::CONTRACT, text, stated.span));
            }
        }
    }
}
