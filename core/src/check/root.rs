//! Checking a root file: its own inputs, interfaces, contract, and what is unused or untrained.

use super::checked::{Checked, GraphInput, GraphOutput, Node, NodeKind, Source};
use super::elaborate::Elaborator;
use super::instance::{Instance, Outcome, ReferenceText, Tensor, for_each_reference};
use super::overrides::Overrides;
use super::place::{domain_error, word};
use super::session::Session;
use super::values::{self, Names};
use crate::diagnostic::{Diagnostic, codes};
use crate::dim::{Dim, Sizes, Verdict, compare};
use crate::expr::{Constant, Scope};
use crate::language::{Body, ContractCase, FieldExpression, FieldForm, GraphFile, Interface, Module, RepeatCount};
use crate::op::{Differentiable, SymbolicType, display_shape};
use crate::source::{FileId, Span};
use crate::suggest::nearest;
use petgraph::Direction;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// Checks one module file. `None` where an error was reported.
pub(super) fn check_module(session: &mut Session<'_>, file: FileId, module: &Module, overrides: &Overrides) -> Option<Checked> {
    let errors_before = session.diagnostics.errors();
    let mut elaborator = Elaborator::new(session, overrides);
    let (outcome, mut root) = elaborate_root(&mut elaborator, file, module, None)?;
    elaborator.report_unowned();
    let outputs = collect_outputs(&outcome, module);
    report_untrained(&mut elaborator, &outputs);
    // Where something is wrong, what looks unused often is not meant so.
    let is_sound = elaborator.session.diagnostics.errors() == errors_before && !module.is_broken;
    if is_sound {
        report_unused(&mut elaborator, module);
    }
    let Elaborator { graph, inputs, parameters, params, obligations, .. } = elaborator;
    report_unused_overrides(session, overrides, &root);
    if is_sound {
        check_interfaces(session, file, module, overrides);
    }
    let places = graph.node_weights().map(|node| (node.span, session.sources.place(node.span))).collect();
    let path = session.sources.path(file);
    let name = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".ron").to_string();
    let checked = Checked {
        name,
        doc: module.doc.as_ref().map(|doc| doc.value.clone()),
        graph,
        inputs,
        outputs,
        parameters,
        params,
        obligations,
        places,
    };
    if is_sound {
        for case in &module.contract {
            check_contract(session, &checked, case, &mut root);
        }
    }
    (is_sound && session.diagnostics.errors() == errors_before).then_some(checked)
}

/// Elaborates a module as a root, with the types of its own declarations or with those that an interface gives.
fn elaborate_root<'m>(
    elaborator: &mut Elaborator<'_, '_>,
    file: FileId,
    module: &'m Module,
    given: Option<&FxHashMap<Arc<str>, (SymbolicType, Span)>>,
) -> Option<(Outcome, Instance<'m>)> {
    let mut root = Instance {
        module,
        path: Arc::from(""),
        weights: Arc::from(""),
        names: Names::default(),
        inputs: FxHashMap::default(),
        results: FxHashMap::default(),
        shared: false,
        trained: true,
        placed_at: None,
    };
    if module.has_broken_params || !elaborator.root_params(&mut root) {
        return None;
    }
    match given {
        Some(given) => bind_given(elaborator, module, given, &mut root)?,
        None => bind_declared(elaborator, module, &mut root)?,
    }
    elaborator.stack.push((file, module.span));
    let outcome = elaborator.run(&mut root);
    elaborator.stack.pop();
    Some((outcome, root))
}

/// The root's inputs have the types that it declares: every name that is no param is a dimension.
fn bind_declared(elaborator: &mut Elaborator<'_, '_>, module: &Module, root: &mut Instance<'_>) -> Option<()> {
    for input in &module.inputs {
        for size in &input.tensor_type.shape {
            let mut names = Vec::new();
            size.expression.for_each_name(&mut |name, _| names.push(name.to_string()));
            for name in names {
                if root.names.lookup(&name).is_some() {
                    continue;
                }
                let overridden = elaborator.overrides.dims.iter().rev().find(|dim| dim.name == name);
                let dim = match overridden {
                    Some(dim) => {
                        dim.used.set(true);
                        Dim::constant(dim.size)
                    }
                    None => Dim::name(&name),
                };
                root.names.define(&name, Constant::Int(dim));
            }
        }
    }
    let mut sound = true;
    for (index, input) in module.inputs.iter().enumerate() {
        let mut shape = Vec::with_capacity(input.tensor_type.shape.len());
        for size in &input.tensor_type.shape {
            let mut obligations = Vec::new();
            let text = size.expression.to_string();
            match values::evaluate(&size.expression, &text, size.span, &root.names, &mut obligations) {
                Ok(Constant::Int(dim)) => {
                    elaborator.oblige(obligations);
                    shape.push(dim);
                }
                Ok(other) => {
                    elaborator.push(Diagnostic::new(
                        codes::EXPRESSION,
                        format!("a size is a whole number, not {other}"),
                        size.span,
                    ));
                    sound = false;
                }
                Err(diagnostic) => {
                    elaborator.push(diagnostic);
                    sound = false;
                }
            }
        }
        if !sound {
            continue;
        }
        let tensor_type = SymbolicType::new(input.tensor_type.dtype, shape).with_domain(input.tensor_type.domain);
        add_input(elaborator, root, index, &input.name.value, tensor_type, input.name.span);
    }
    sound.then_some(())
}

fn add_input(
    elaborator: &mut Elaborator<'_, '_>,
    root: &mut Instance<'_>,
    index: usize,
    name: &Arc<str>,
    tensor_type: SymbolicType,
    span: Span,
) {
    let node = Node {
        path: name.clone(),
        kind: NodeKind::Input { index },
        inputs: Default::default(),
        outputs: [tensor_type.clone()].into_iter().collect(),
        parameters: Default::default(),
        span,
        placed_at: None,
    };
    if let Some(node) = elaborator.add_node(root, node) {
        elaborator.inputs.push(GraphInput { name: name.clone(), tensor_type: tensor_type.clone(), span, node });
        let tensor = Tensor { source: Source::Node { node, output: 0 }, tensor_type, span };
        root.inputs.insert(name.clone(), Some(tensor));
    }
}

/// The root's inputs have the types of an interface: its dimensions are bound to them as by a `Use`.
fn bind_given(
    elaborator: &mut Elaborator<'_, '_>,
    module: &Module,
    given: &FxHashMap<Arc<str>, (SymbolicType, Span)>,
    root: &mut Instance<'_>,
) -> Option<()> {
    let mut arrived = Vec::with_capacity(module.inputs.len());
    for (index, input) in module.inputs.iter().enumerate() {
        let (tensor_type, span) = given.get(&input.name.value)?;
        add_input(elaborator, root, index, &input.name.value, tensor_type.clone(), *span);
        let tensor = root.inputs.remove(&input.name.value)?;
        arrived.push((tensor, input.name.span));
    }
    let caller = Instance {
        module,
        path: Arc::from(""),
        weights: Arc::from(""),
        names: Names::default(),
        inputs: FxHashMap::default(),
        results: FxHashMap::default(),
        shared: false,
        trained: true,
        placed_at: None,
    };
    let mut bindings = crate::dim::Bindings::new();
    for declaration in &module.params {
        if let Some(Constant::Int(dim)) = root.names.lookup(&declaration.name.value) {
            bindings.insert(declaration.name.value.as_ref(), dim);
        }
    }
    elaborator.bind_inputs(&caller, module, arrived, bindings, root).then_some(())
}

fn collect_outputs(outcome: &Outcome, module: &Module) -> Vec<GraphOutput> {
    let mut outputs = Vec::with_capacity(outcome.outputs.len());
    for (name, tensor) in &outcome.outputs {
        let span = module.outputs.iter().find(|output| output.name.value == *name).map_or(module.span, |output| output.name.span);
        if let Some(tensor) = tensor {
            outputs.push(GraphOutput {
                name: name.clone(),
                source: tensor.source,
                tensor_type: tensor.tensor_type.clone(),
                span,
            });
        }
    }
    outputs
}

/// Trained parameters that no output depends on, or that no gradient reaches.
fn report_untrained(elaborator: &mut Elaborator<'_, '_>, outputs: &[GraphOutput]) {
    if elaborator.session.diagnostics.errors() > 0 {
        return;
    }
    let graph = &elaborator.graph;
    let mut reached = vec![false; graph.node_count()];
    let mut trained = vec![false; graph.node_count()];
    let mut blocked: FxHashMap<NodeIndex, (NodeIndex, &'static str, Span)> = FxHashMap::default();
    let start = |flags: &mut Vec<bool>| -> Vec<NodeIndex> {
        outputs
            .iter()
            .filter_map(|output| match output.source {
                Source::Node { node, .. } if !std::mem::replace(&mut flags[node.index()], true) => Some(node),
                _ => None,
            })
            .collect()
    };
    let mut waiting = start(&mut reached);
    while let Some(node) = waiting.pop() {
        for source in graph.neighbors_directed(node, Direction::Incoming) {
            if !std::mem::replace(&mut reached[source.index()], true) {
                waiting.push(source);
            }
        }
    }
    let mut waiting = start(&mut trained);
    while let Some(node) = waiting.pop() {
        let NodeKind::Op { gradients, .. } = &graph[node].kind else { continue };
        for edge in graph.edges_directed(node, Direction::Incoming) {
            match gradients[edge.weight().port as usize] {
                Differentiable::Rule => {
                    if !std::mem::replace(&mut trained[edge.source().index()], true) {
                        waiting.push(edge.source());
                    }
                }
                Differentiable::Zero(reason) | Differentiable::None(reason) => {
                    blocked.entry(edge.source()).or_insert((node, reason, graph[node].span));
                }
            }
        }
    }
    let mut found = Vec::new();
    for node in graph.node_indices() {
        let owns = graph[node].parameters.iter().find(|(_, index)| elaborator.parameters[*index].trained);
        let Some((_, index)) = owns else { continue };
        let (name, _) = elaborator.parameters.get_index(*index).expect("an index of the map");
        let span = graph[node].span;
        if !reached[node.index()] {
            let text = format!("no output depends on the trained parameter `{name}`");
            found.push(
                Diagnostic::new(codes::PARAMETER_UNUSED, text, span)
                    .help("connect the node to an output, remove it, or say trained: false"),
            );
        } else if !trained[node.index()] {
            let text = format!("no gradient reaches the trained parameter `{name}`");
            let mut diagnostic = Diagnostic::new(codes::NO_GRADIENT, text, span);
            if let Some((reason, place)) = first_block(graph, node, &trained, &blocked) {
                diagnostic = diagnostic.label(place, format!("gradients end here: {reason}"));
            }
            found.push(diagnostic.help("say trained: false at the node or the Use that places it, or take another op"));
        }
    }
    found.into_iter().for_each(|diagnostic| elaborator.push(diagnostic));
}

/// The first op after a node through which no gradient comes back.
fn first_block(
    graph: &super::checked::Graph,
    node: NodeIndex,
    trained: &[bool],
    blocked: &FxHashMap<NodeIndex, (NodeIndex, &'static str, Span)>,
) -> Option<(&'static str, Span)> {
    let mut seen = FxHashSet::default();
    let mut waiting = std::collections::VecDeque::from([node]);
    while let Some(node) = waiting.pop_front() {
        if let Some((_, reason, span)) = blocked.get(&node) {
            return Some((reason, *span));
        }
        for reader in graph.neighbors_directed(node, Direction::Outgoing) {
            if !trained[reader.index()] && seen.insert(reader) {
                waiting.push_back(reader);
            }
        }
    }
    None
}

/// Nodes, inputs and params of the root file that nothing uses.
fn report_unused(elaborator: &mut Elaborator<'_, '_>, module: &Module) {
    let mut used_nodes = vec![false; module.nodes.len()];
    let mut used_names: FxHashSet<String> = FxHashSet::default();
    let mut waiting: Vec<usize> = Vec::new();
    for output in &module.outputs {
        let reference = ReferenceText::Written(&output.source);
        used_names.insert(reference.node_prefix().0.to_string());
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
        if !used && !matches!(node.body, Body::Broken(_)) {
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
            size.expression.for_each_name(&mut |name, _| {
                used_names.insert(name.to_string());
            });
        }
    }
    let required: FxHashSet<String> = interface_inputs(elaborator.session, module);
    for input in &module.inputs {
        if !used_names.contains(&*input.name.value) && !required.contains(&*input.name.value) {
            let text = format!("nothing reads the input `{}`", input.name.value);
            elaborator.push(Diagnostic::new(codes::UNUSED_INPUT, text, input.name.span).help("remove it, or read it"));
        }
        for size in &input.tensor_type.shape {
            size.expression.for_each_name(&mut |name, _| {
                used_names.insert(name.to_string());
            });
        }
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

fn names_of_text(text: &str, names: &mut FxHashSet<String>) {
    names.insert(text.split(':').next().unwrap_or(text).to_string());
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let Some(close) = rest[open..].find('}') else { break };
        if let Ok(expression) = crate::expr::parse(&rest[open + 1..open + close]) {
            expression.for_each_name(&mut |name, _| {
                names.insert(name.to_string());
            });
        }
        rest = &rest[open + close + 1..];
    }
}

fn names_of_field(field: &FieldExpression, names: &mut FxHashSet<String>) {
    match &field.form {
        FieldForm::Text { text, expression } => {
            names_of_text(text, names);
            if let Some(expression) = expression {
                expression.for_each_name(&mut |name, _| {
                    names.insert(name.to_string());
                });
            }
        }
        FieldForm::List(items) => items.iter().for_each(|item| names_of_field(item, names)),
        FieldForm::Other(value) => {
            for child in value.children() {
                names_of_field(&FieldExpression::of(child), names);
            }
        }
    }
}

fn names_of_body(body: &Body, names: &mut FxHashSet<String>) {
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
        Body::As(stated) => stated.tensor_type.shape.iter().for_each(|size| {
            size.expression.for_each_name(&mut |name, _| {
                names.insert(name.to_string());
            });
        }),
        Body::Broken(_) => {}
    }
}

fn report_unused_overrides(session: &mut Session<'_>, overrides: &Overrides, root: &Instance<'_>) {
    let module = root.module;
    for set in overrides.sets.iter().filter(|set| !set.used.get()) {
        let mut known: Vec<String> = module.params.iter().map(|param| param.name.value.to_string()).collect();
        known.extend(session.settable.iter().cloned());
        let diagnostic =
            Diagnostic::new(codes::OVERRIDE_UNMATCHED, format!("--set {}: nothing has this path", set.path), set.span);
        session.diagnostics.push(diagnostic.suggest(nearest(&set.path, known.iter().map(String::as_str))));
    }
    for swap in overrides.swaps.iter().filter(|swap| !swap.used.get()) {
        let known: Vec<&str> =
            module.nodes.iter().filter(|node| matches!(node.body, Body::Use(_))).map(|node| &*node.name.value).collect();
        let diagnostic =
            Diagnostic::new(codes::OVERRIDE_UNMATCHED, format!("--swap {}: no Use node has this path", swap.node), swap.span);
        session.diagnostics.push(match nearest(&swap.node, known.iter().copied()) {
            Some(near) => diagnostic.suggest(Some(near)),
            None if known.is_empty() => diagnostic.help("this file has no Use nodes"),
            None => diagnostic.help(format!("the Use nodes of this file are {}", known.join(", "))),
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

/// Gives the module every interface's types and compares what comes out, for all sizes.
fn check_interfaces(session: &mut Session<'_>, file: FileId, module: &Module, overrides: &Overrides) {
    for path in &module.implements {
        let Some((_, loaded)) = session.load(module.file, &path.value, path.span) else { continue };
        let GraphFile::Interface(interface) = &*loaded else {
            let text = format!("`{}` is no Interface", path.value);
            session.diagnostics.push(Diagnostic::new(codes::NOT_AN_INTERFACE, text, path.span));
            continue;
        };
        check_interface(session, file, module, interface, path.span, overrides);
    }
}

fn check_interface(
    session: &mut Session<'_>,
    file: FileId,
    module: &Module,
    interface: &Interface,
    at: Span,
    overrides: &Overrides,
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
    let mut elaborator = Elaborator::new(session, overrides);
    let outcome = elaborate_root(&mut elaborator, file, module, Some(&given)).map(|(outcome, _)| outcome);
    let known = elaborator.known.clone();
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

fn check_contract(session: &mut Session<'_>, checked: &Checked, case: &ContractCase, root: &mut Instance<'_>) {
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
            let text = stated.expression.to_string();
            let stated_dim = match values::evaluate(&stated.expression, &text, stated.span, &root.names, &mut obligations) {
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
