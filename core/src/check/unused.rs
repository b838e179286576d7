//! Nodes, inputs, params and overrides of the root file that nothing uses.

use super::elaborate::Elaborator;
use super::instance::{ReferenceText, for_each_reference};
use super::overrides::Overrides;
use super::session::Session;
use crate::diagnostic::{Diagnostic, codes};
use crate::expr::Expr;
use crate::language::{Body, FieldExpression, FieldForm, GraphFile, Module, RepeatCount};
use crate::suggest::nearest;
use rustc_hash::FxHashSet;
use std::borrow::Cow;

/// Nodes, inputs and params of the root file that nothing uses.
pub(super) fn report_unused(elaborator: &mut Elaborator<'_, '_>, module: &Module) {
    let mut used_nodes = vec![false; module.nodes.len()];
    let mut used_names: UsedNames<'_> = FxHashSet::default();
    let mut waiting: Vec<usize> = Vec::new();
    for output in &module.outputs {
        let reference = ReferenceText::Written(&output.source);
        used_names.insert(Cow::Borrowed(reference.node_prefix().0));
        waiting.extend(module.candidates(reference));
    }
    while let Some(index) = waiting.pop() {
        if std::mem::replace(&mut used_nodes[index], true) {
            continue;
        }
        for_each_reference(&module.nodes[index].body, &mut |reference| waiting.extend(module.candidates(reference)));
        if let Some(shares) = shares_of(&module.nodes[index].body)
            && let Some(shared) = module.node_index.get(shares)
        {
            waiting.push(*shared);
        }
    }
    for (node, used) in module.nodes.iter().zip(&used_nodes) {
        if !used && !matches!(node.body, Body::Broken { .. }) {
            let text = format!("no output depends on the node `{}`", node.name.value);
            elaborator.push(Diagnostic::new(codes::UNUSED_NODE, text, node.name.span).help("remove it, or name it in an output"));
        }
    }
    for node in &module.nodes {
        names_of_body(&node.body, &mut used_names);
    }
    for output in &module.outputs {
        names_of_text(&output.source.text, &mut used_names);
        if let Some(condition) = &output.condition {
            names_of_field(condition, &mut used_names);
        }
        for size in output.tensor_type.iter().flat_map(|stated| &stated.shape) {
            names_of_expression(&size.expression, &mut used_names);
        }
    }
    let required: FxHashSet<String> = interface_inputs(elaborator.session, module);
    for input in &module.inputs {
        if !used_names.contains(&*input.name.value) && !required.contains(&*input.name.value) {
            let text = format!("nothing reads the input `{}`", input.name.value);
            elaborator.push(Diagnostic::new(codes::UNUSED_INPUT, text, input.name.span).help("remove it, or read it"));
        }
        for size in &input.tensor_type.shape {
            names_of_expression(&size.expression, &mut used_names);
        }
    }
    for condition in &module.requires {
        names_of_expression(&condition.expression, &mut used_names);
    }
    for param in &module.params {
        if let Some(default) = &param.default {
            names_of_field(default, &mut used_names);
        }
    }
    for param in &module.params {
        if !used_names.contains(&*param.name.value) {
            let text = format!("nothing uses the param `{}`", param.name.value);
            elaborator.push(Diagnostic::new(codes::UNUSED_PARAM, text, param.name.span).help("remove it, or use it"));
        }
    }
}

fn shares_of(body: &Body) -> Option<&str> {
    match body {
        Body::Op(op) => op.shares.as_ref().map(|shares| shares.value.as_str()),
        Body::Use(placed) => placed.shares.as_ref().map(|shares| shares.value.as_str()),
        _ => None,
    }
}

/// The inputs that the module's interfaces demand: to leave one of these unread is the point of some modules.
fn interface_inputs(session: &mut Session<'_>, module: &Module) -> FxHashSet<String> {
    let mut names = FxHashSet::default();
    for path in &module.implements {
        if let Some((_, file)) = session.load(module.file, &path.value, path.span)
            && let GraphFile::Interface(interface) = &*file
        {
            names.extend(interface.inputs.iter().map(|input| input.name.value.to_string()));
        }
    }
    names
}

/// Names that something mentions.
type UsedNames<'m> = FxHashSet<Cow<'m, str>>;

fn names_of_expression<'m>(expression: &'m Expr, names: &mut UsedNames<'m>) {
    expression.for_each_name(&mut |name, _| {
        names.insert(Cow::Borrowed(name));
    });
}

fn names_of_text<'m>(text: &'m str, names: &mut UsedNames<'m>) {
    names.insert(Cow::Borrowed(text.split(':').next().unwrap_or(text)));
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let Some(close) = rest[open..].find('}') else { break };
        if let Ok(expression) = crate::expr::parse(&rest[open + 1..open + close]) {
            expression.for_each_name(&mut |name, _| {
                names.insert(Cow::Owned(name.to_owned()));
            });
        }
        rest = &rest[open + close + 1..];
    }
}

fn names_of_field<'m>(field: &'m FieldExpression, names: &mut UsedNames<'m>) {
    match &field.form {
        FieldForm::Text { text, expression } => {
            names_of_text(text, names);
            if let Some(expression) = expression {
                names_of_expression(expression, names);
            }
        }
        FieldForm::List(items) => items.iter().for_each(|item| names_of_field(item, names)),
        FieldForm::Other(value) => {
            for child in value.children() {
                let (inner, mut found) = (FieldExpression::of(child), FxHashSet::default());
                names_of_field(&inner, &mut found);
                names.extend(found.into_iter().map(|name| Cow::Owned(name.into_owned())));
            }
        }
    }
}

fn names_of_body<'m>(body: &'m Body, names: &mut UsedNames<'m>) {
    for_each_reference(body, &mut |reference| match reference {
        ReferenceText::Written(written) => names_of_text(&written.text, names),
        ReferenceText::Formula(name) => names_of_text(name, names),
    });
    match body {
        Body::Op(op) => op.fields.iter().flatten().for_each(|field| names_of_field(field, names)),
        Body::Use(placed) => {
            names_of_text(&placed.module.value, names);
            placed.params.iter().for_each(|(_, field)| names_of_field(field, names));
        }
        Body::Repeat(repeat) => {
            match &repeat.count {
                RepeatCount::Times(times) => names_of_field(times, names),
                RepeatCount::Over(sets) => sets.iter().flatten().for_each(|(_, field)| names_of_field(field, names)),
            }
            names_of_body(&repeat.of, names);
        }
        Body::Chain(chain) => chain.steps.iter().for_each(|(_, step)| names_of_body(step, names)),
        Body::If(branches) => {
            names_of_field(&branches.condition, names);
            names_of_body(&branches.then, names);
            names_of_body(&branches.otherwise, names);
        }
        Body::As(stated) => stated.tensor_type.shape.iter().for_each(|size| names_of_expression(&size.expression, names)),
        Body::Broken { .. } => {}
    }
}

/// Overrides that matched nothing. `settable` and `swappable` are the paths of the whole tree that they could have meant.
pub(super) fn report_unused_overrides(
    session: &mut Session<'_>,
    overrides: &Overrides,
    module: &Module,
    settable: &[String],
    swappable: &[String],
) {
    for set in overrides.sets.iter().filter(|set| !set.used.get()) {
        let diagnostic =
            Diagnostic::new(codes::OVERRIDE_UNMATCHED, format!("--set {}: nothing has this path", set.path), set.span);
        session.diagnostics.push(with_nearest_path(diagnostic, &set.path, settable, "the paths that can be set here are"));
    }
    for swap in overrides.swaps.iter().filter(|swap| !swap.used.get()) {
        let diagnostic =
            Diagnostic::new(codes::OVERRIDE_UNMATCHED, format!("--swap {}: no Use node has this path", swap.node), swap.span);
        session.diagnostics.push(match swappable {
            [] => diagnostic.help("this file has no Use nodes"),
            _ => with_nearest_path(diagnostic, &swap.node, swappable, "the Use nodes are"),
        });
    }
    for dim in overrides.dims.iter().filter(|dim| !dim.used.get()) {
        let mut known: Vec<String> = Vec::new();
        for size in module.inputs.iter().flat_map(|input| &input.tensor_type.shape) {
            size.expression.for_each_name(&mut |name, _| known.push(name.to_string()));
        }
        let text = format!("--dim {}: no input has a dimension of this name", dim.name);
        let diagnostic = Diagnostic::new(codes::OVERRIDE_UNMATCHED, text, dim.span);
        session.diagnostics.push(match nearest(&dim.name, known.iter().map(String::as_str)) {
            Some(near) => diagnostic.suggest(Some(near)),
            None => diagnostic.help(format!("the dimensions are {}", known.join(", "))),
        });
    }
}

/// How many paths a message lists where none is near.
const LISTED: usize = 12;

/// Suggests the path of the tree that is nearest to an override's; where the override has stars, so has the suggestion.
fn with_nearest_path(diagnostic: Diagnostic, path: &str, known: &[String], listing: &str) -> Diagnostic {
    let starred: Vec<bool> = path.split('.').map(|part| part == "*").collect();
    let mut seen = FxHashSet::default();
    let mut candidates: Vec<String> = Vec::new();
    for own in known {
        let parts: Vec<&str> = own.split('.').collect();
        let candidate = match path.contains('*') && parts.len() == starred.len() {
            true => parts.iter().zip(&starred).map(|(part, star)| if *star { "*" } else { part }).collect::<Vec<_>>().join("."),
            false => own.clone(),
        };
        if seen.insert(candidate.clone()) {
            candidates.push(candidate);
        }
    }
    match nearest(path, candidates.iter().map(String::as_str)) {
        Some(near) => diagnostic.suggest(Some(near)),
        None if candidates.len() <= LISTED && !candidates.is_empty() => {
            diagnostic.help(format!("{listing} {}", candidates.join(", ")))
        }
        None => {
            // The field alone may be right, below another node.
            let field = path.rsplit('.').next().unwrap_or(path);
            let ends = candidates.iter().filter(|own| own.rsplit('.').next() == Some(field)).take(LISTED);
            let ends: Vec<&str> = ends.map(String::as_str).collect();
            match ends.as_slice() {
                [] => diagnostic,
                _ => diagnostic.help(format!("`{field}` can be set at {}", ends.join(", "))),
            }
        }
    }
}
