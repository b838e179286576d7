//! A module against the interfaces that it implements, for all sizes.

use super::binding::{domain_error, word};
use super::checked::GraphInput;
use super::elaborate::Elaborator;
use super::instance::Outcome;
use super::overrides::Overrides;
use super::root::elaborate_root;
use super::session::Session;
use super::values::Names;
use crate::diagnostic::{Diagnostic, codes};
use crate::dim::{Dim, Obligation};
use crate::expr::Constant;
use crate::language::{GraphFile, Interface, Module};
use crate::op::{SymbolicType, display_shape};
use crate::source::{FileId, Span};
use crate::suggest::nearest;
use rustc_hash::FxHashMap;

/// What elaborating a module with its own declarations gave.
pub(super) struct Elaborated<'a> {
    /// Its inputs.
    pub inputs: &'a [GraphInput],
    /// Its outputs.
    pub outcome: &'a Outcome,
    /// Its obligations.
    pub known: &'a [Obligation],
}

/// Gives the module every interface's types and compares what comes out, for all sizes.
pub(super) fn check_interfaces(
    session: &mut Session<'_>,
    file: FileId,
    module: &Module,
    overrides: &Overrides,
    own: &Elaborated<'_>,
) {
    for path in &module.implements {
        let Some((_, loaded)) = session.load(module.file, &path.value, path.span) else { continue };
        let GraphFile::Interface(interface) = &*loaded else {
            let text = format!("`{}` is no Interface", path.value);
            session.diagnostics.push(Diagnostic::new(codes::NOT_AN_INTERFACE, text, path.span));
            continue;
        };
        check_interface(session, file, module, interface, path.span, overrides, own);
    }
}

fn check_interface(
    session: &mut Session<'_>,
    file: FileId,
    module: &Module,
    interface: &Interface,
    at: Span,
    overrides: &Overrides,
    own: &Elaborated<'_>,
) {
    let mut sound = true;
    for input in &module.inputs {
        if !interface.inputs.iter().any(|own| own.name.value == input.name.value) {
            let text = format!("the interface has no input `{}`", input.name.value);
            let known: Vec<&str> = interface.inputs.iter().map(|own| &*own.name.value).collect();
            session.diagnostics.push(
                Diagnostic::new(codes::INTERFACE_INPUT, text, input.name.span)
                    .label(at, "implemented here")
                    .suggest(nearest(&input.name.value, known.iter().copied())),
            );
            sound = false;
        }
    }
    for input in &interface.inputs {
        if !module.inputs.iter().any(|own| own.name.value == input.name.value) {
            let text = format!("the interface's input `{}` is missing", input.name.value);
            session.diagnostics.push(Diagnostic::new(codes::INTERFACE_INPUT, text, at).label(input.name.span, "declared here"));
            sound = false;
        }
    }
    if !sound {
        return;
    }
    let mut symbols = Names::default();
    for size in interface.inputs.iter().flat_map(|input| &input.tensor_type.shape) {
        size.expression.for_each_name(&mut |name, _| symbols.define(name, Constant::Int(Dim::name(name))));
    }
    let mut given = FxHashMap::default();
    for input in &interface.inputs {
        let mut shape = Vec::new();
        for size in &input.tensor_type.shape {
            if let Ok(evaluated) = crate::expr::evaluate(&size.expression, &symbols)
                && let Constant::Int(dim) = evaluated.value
            {
                shape.push(dim);
            }
        }
        let tensor_type = SymbolicType::new(input.tensor_type.dtype, shape).with_domain(input.tensor_type.domain);
        given.insert(input.name.value.clone(), (tensor_type, input.tensor_type.span));
    }
    let errors_before = session.diagnostics.errors();
    // Most modules name their inputs' sizes as the interface does: then the graph is there already.
    let is_same = own.inputs.iter().all(|input| given.get(&input.name).is_some_and(|(wanted, _)| *wanted == input.tensor_type));
    let (outcome, known) = if is_same {
        (Some(own.outcome.clone()), own.known.to_vec())
    } else {
        let mut elaborator = Elaborator::new(session, overrides);
        let outcome = elaborate_root(&mut elaborator, file, module, Some(&given)).map(|(outcome, _)| outcome);
        (outcome, elaborator.known)
    };
    let Some(outcome) = outcome else {
        if session.diagnostics.errors() > errors_before {
            let text = "the module does not take what its interface gives, for all sizes; the errors above say where";
            session.diagnostics.push(Diagnostic::new(codes::INTERFACE_INPUT, text, at));
        }
        return;
    };
    let mut bindings = crate::dim::Bindings::new();
    for size in interface.inputs.iter().flat_map(|input| &input.tensor_type.shape) {
        size.expression.for_each_name(&mut |name, _| {
            bindings.insert(name, Dim::name(name));
        });
    }
    let demanded =
        interface.outputs.iter().map(|output| (output, false)).chain(interface.optional.iter().map(|output| (output, true)));
    for (output, is_optional) in demanded {
        let name = &output.name.value;
        let Some((_, tensor)) = outcome.outputs.iter().find(|(own, _)| own == name) else {
            if !is_optional {
                let text = format!("the interface's output `{name}` is missing");
                session
                    .diagnostics
                    .push(Diagnostic::new(codes::INTERFACE_OUTPUT, text, at).label(output.name.span, "declared here"));
            }
            continue;
        };
        let Some(tensor) = tensor else { continue };
        let place = module.outputs.iter().find(|own| own.name.value == *name).map_or(at, |own| own.name.span);
        let found = &tensor.tensor_type;
        let refuse = |text: String| {
            Diagnostic::new(codes::INTERFACE_OUTPUT, text, place)
                .label(output.tensor_type.span, "the interface says so here")
                .label(tensor.span, format!("made here: {found}"))
        };
        if output.tensor_type.dtype != found.dtype {
            let text =
                format!("the output `{name}` is {}, the interface wants {}", word(found.dtype), word(output.tensor_type.dtype));
            session.diagnostics.push(refuse(text));
            continue;
        }
        if output.tensor_type.shape.len() != found.shape.len() {
            let text = format!(
                "the output `{name}` is {}, with {} axes; the interface wants {}",
                display_shape(&found.shape),
                found.shape.len(),
                output.tensor_type.shape.len()
            );
            session.diagnostics.push(refuse(text));
            continue;
        }
        for (axis, size) in output.tensor_type.shape.iter().enumerate() {
            let mut open = symbols.clone();
            size.expression.for_each_name(&mut |name, _| open.define(name, Constant::Int(Dim::name(name))));
            let Ok(evaluated) = crate::expr::evaluate(&size.expression, &open) else { continue };
            let Constant::Int(pattern) = evaluated.value else { continue };
            let actual = &found.shape[axis];
            use crate::dim::Unification;
            let reason = match crate::dim::unify(&pattern, actual, &mut bindings, &known) {
                Ok(Unification::Matches(_)) => continue,
                Ok(Unification::Differs { counterexample, .. }) => counterexample.to_string(),
                Ok(Unification::Undecided { .. }) => "it cannot be shown that they are equal".to_string(),
                Ok(Unification::Unsolvable { name }) => format!("no `{name}` makes them equal"),
                // A compound of open names stands for whatever size the module gives.
                Ok(Unification::Unbound(_)) => continue,
                Err(error) => error.to_string(),
            };
            let text = format!("axis {axis} of the output `{name}` is {actual}, the interface wants {pattern}: {reason}");
            session.diagnostics.push(refuse(text));
        }
        if !output.tensor_type.domain.contains(&found.domain) {
            session.diagnostics.push(
                domain_error(name, &output.tensor_type.domain, found, place)
                    .label(output.tensor_type.span, "the interface says so here"),
            );
        }
    }
}
