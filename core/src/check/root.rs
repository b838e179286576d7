//! Checking a root file: its own inputs, interfaces, contract, and what is unused or untrained.

use super::checked::{Checked, Graph, GraphInput, GraphOutput, Node, NodeKind, Source};
use super::contract::check_contract;
use super::elaborate::Elaborator;
use super::instance::{Instance, Outcome, Tensor};
use super::interfaces::{Elaborated, check_interfaces};
use super::overrides::Overrides;
use super::rewrite::report_unused_rewrites;
use super::session::Session;
use super::untrained::report_untrained;
use super::unused::{report_unused, report_unused_overrides};
use super::values::{self, Names};
use crate::diagnostic::{Diagnostic, codes};
use crate::dim::{Dim, Obligation};
use crate::expr::{Constant, Scope};
use crate::language::Module;
use crate::op::{Outputs, SymbolicType};
use crate::source::{FileId, Span};
use rustc_hash::FxHashMap;
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
    let Elaborator { mut graph, inputs, parameters, params, adapters, obligations, known, settable, swappable, .. } = elaborator;
    report_unused_overrides(session, overrides, module, &settable, &swappable);
    report_unused_rewrites(session, overrides, &graph);
    if is_sound {
        check_interfaces(session, file, module, overrides, &Elaborated { inputs: &inputs, outcome: &outcome, known: &known });
    }
    leave_out_unread(&mut graph, &outputs);
    let obligations = without_implied(obligations);
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
        adapters,
        sources: session.sources.clone(),
    };
    if is_sound {
        for case in &module.contract {
            check_contract(session, &checked, case, &mut root);
        }
    }
    (is_sound && session.diagnostics.errors() == errors_before).then_some(checked)
}

/// Elaborates a module as a root, with the types of its own declarations or with those that an interface gives.
pub(super) fn elaborate_root<'m>(
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
        written_in: FxHashMap::default(),
        inputs: FxHashMap::default(),
        results: FxHashMap::with_capacity_and_hasher(module.nodes.len(), Default::default()),
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
    elaborator.graph.reserve_nodes(module.nodes.len());
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
            match values::evaluate(&size.expression, None, size.span, &root.names, &mut obligations) {
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
        written_in: FxHashMap::default(),
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

/// How many obligations are compared with each other; a graph with more of them lists them all.
const COMPARED_OBLIGATIONS: usize = 64;

/// Leaves out obligations that follow from the others: where 32 divides a height, 16 need not be asked for.
fn without_implied(obligations: Vec<(Obligation, Span)>) -> Vec<(Obligation, Span)> {
    if !(2..=COMPARED_OBLIGATIONS).contains(&obligations.len()) {
        return obligations;
    }
    let mut kept: Vec<bool> = vec![true; obligations.len()];
    // Of two that say the same, the first one is kept.
    for index in (0..obligations.len()).rev() {
        let others = obligations.iter().zip(&kept).enumerate().filter(|(own, (_, kept))| *own != index && **kept);
        let others: Vec<Obligation> = others.map(|(_, ((obligation, _), _))| obligation.clone()).collect();
        kept[index] = !obligations[index].0.follows_from(&others);
    }
    obligations.into_iter().zip(kept).filter_map(|(obligation, kept)| kept.then_some(obligation)).collect()
}

/// Takes outputs on request that neither a node nor an output of the graph reads from the end of their nodes' outputs: nothing is made of
/// them, counted or planned.
fn leave_out_unread(graph: &mut Graph, outputs: &[GraphOutput]) {
    let is_on_request =
        |node: &Node| matches!(&node.kind, NodeKind::Op { op, .. } if matches!(op.schema().outputs, Outputs::OnRequest(_)));
    if !graph.node_weights().any(is_on_request) {
        return;
    }
    let mut made = vec![1; graph.node_count()];
    let inputs = graph.node_weights().flat_map(|node| node.inputs.iter().flatten());
    for source in inputs.chain(outputs.iter().map(|output| &output.source)) {
        if let Source::Node { node, output } = source {
            let own = &mut made[node.index()];
            *own = usize::from(*output + 1).max(*own);
        }
    }
    for (node, made) in graph.node_weights_mut().zip(made) {
        if is_on_request(node) {
            node.outputs.truncate(made);
        }
    }
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
