//! From an `Experiment` file to one checked graph, from fields to losses and predictions.
//!
//! The experiment's nodes are put into one module, whose inputs are the fields of the data: the checker then proves the whole of it, with
//! the places of the experiment's own text. What a module cannot say (roles of columns, folds, metrics) is checked beside it.

use indexmap::IndexMap;
use std::cell::Cell;
use sward_core::check::{Checked, LoraRewrite, NodeKind, Overrides, Rewrite, Source};
use sward_core::diagnostic::{Diagnostic, codes};
use sward_core::program::DType;
use sward_core::source::{FileId, Span, Spanned};
use sward_core::suggest::nearest;
use sward_core::syntax::Value;
use sward_core::syntax::decode::{NoNames, Raw, decode};

use super::data::FieldSpec;
use super::read_data::{DataFile, Field, FieldRole, Session, apply, read_data, told};
use super::settings::check_settings;
use super::spec::{Adapt, Experiment, ExperimentFile, Folds, GradientRule, Metric, Mix, Output, Train, Weights};
use super::tree::{call, for_each_text, list, map, map_texts, mentions, name, part, text};

/// An experiment whose chain from column to output is proved.
#[derive(Debug)]
pub struct Joined {
    /// Its name: the file's, without ending.
    pub name: String,
    /// The file.
    pub file: FileId,
    /// Training, folds, metrics, output.
    pub experiment: Experiment,
    /// Columns and fields.
    pub data: DataFile,
    /// The graph: inputs are fields, outputs are `loss`, `loss.<name>`, `predict.<field>` and `map.<field>`.
    pub checked: Checked,
    /// Which field each input of the graph is.
    pub inputs: Vec<GraphField>,
    /// The names of the losses.
    pub losses: Vec<String>,
    /// The BLAKE3 hashes of the tables that a run was begun with, where the experiment is a run's; folds are made of no others.
    pub tables: Vec<String>,
}

/// An input of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphField {
    /// Its name in the graph.
    pub input: String,
    /// The field.
    pub field: String,
    /// Whether it is the field's mask.
    pub is_mask: bool,
}

/// The name of the output that predicts a field.
pub fn prediction_output(field: &str) -> String {
    format!("predict.{field}")
}

/// The node that adds up the losses: no field would be called that.
const TOTAL: &str = "losses.of_all.weighted";

/// What the names of losses with their weights begin with, where gradients are projected.
pub const PROJECTED: &str = "projected.";

/// The name of the output that is a loss with its weight, where gradients are projected.
pub fn projected_output(loss: &str) -> String {
    format!("{PROJECTED}{loss}")
}

/// Beside the fields, what a graph may read: each sample's partner in the batch, `I64([batch])`, as `mix:partner`. Without mixing it is the sample
/// itself.
pub const MIX_PARTNER: &str = "mix.partner";

/// The sample's own share in a mixture, `F32([batch])`, as `mix:share`; 1 without mixing.
pub const MIX_SHARE: &str = "mix.share";

/// The name of the output that weighs the tiles of a field of photographs.
pub fn map_output(field: &str) -> String {
    format!("map.{field}")
}

/// Reads and proves an experiment. `None` where an error was reported.
pub fn join(session: &mut Session<'_>, file: FileId, tree: &Value, overrides: &Overrides) -> Option<Joined> {
    let errors_before = session.diagnostics.errors();
    let parted = part(overrides);
    let mut tree = tree.clone();
    apply(session, &mut tree, &parted.experiment)?;
    let spec: ExperimentFile = told(session, decode(&tree, &NoNames))?;
    let experiment = read_parts(session, &spec);
    let data = read_data(session, file, &spec.data, &parted.data)?;
    let experiment = experiment?;
    check_predictions(session, &experiment, &data);
    check_maps(session, &experiment, &data);
    check_losses(session, &spec, &experiment);
    check_settings(session, &experiment, &data);
    if session.diagnostics.errors() > errors_before {
        return None;
    }
    let inputs = used_inputs(&spec, &experiment, &data);
    let module = module(&spec, &experiment, &data, &inputs, tree.span);
    let mut graph_overrides = parted.graph;
    graph_overrides.rewrites.extend(experiment.train.value.adapt.iter().map(rewrite));
    let checked = session.check_tree(file, &module, &graph_overrides)?;
    check_reach(session, &experiment, &data, &checked, &inputs);
    check_groups(session, &experiment, &checked);
    check_mix(session, &experiment, &data, &checked, &inputs);
    check_rematerialized(session, &experiment, &checked);
    if session.diagnostics.errors() > errors_before {
        return None;
    }
    let losses = spec.losses.keys().map(|name| name.value.clone()).collect();
    Some(Joined { name: checked.name().to_owned(), file, experiment, data, checked, inputs, losses, tables: Vec::new() })
}

/// A declared adaptation, as the checker takes it.
fn rewrite(adapt: &Spanned<Adapt>) -> Rewrite {
    let Adapt::Lora { pattern, rank, alpha, dropout } = &adapt.value;
    Rewrite::Lora(LoraRewrite {
        pattern: pattern.value.clone(),
        rank: *rank,
        alpha: *alpha,
        dropout: *dropout,
        span: pattern.span,
        used: Cell::new(false),
    })
}

/// Reads the parts that are no nodes, each with its own errors.
fn read_parts(session: &mut Session<'_>, spec: &ExperimentFile) -> Option<Experiment> {
    fn optional<T: for<'v> serde::Deserialize<'v> + Default>(
        session: &mut Session<'_>,
        raw: Option<&Raw>,
        otherwise: Span,
    ) -> Option<Spanned<T>> {
        match raw {
            Some(raw) => told(session, decode(&raw.0, &NoNames)).map(|value| Spanned::new(value, raw.0.span)),
            None => Some(Spanned::new(T::default(), otherwise)),
        }
    }
    let span = spec.data.span;
    let train = told(session, decode::<Train>(&spec.train.0, &NoNames)).map(|train| Spanned::new(train, spec.train.0.span));
    let weights = optional::<Weights>(session, spec.weights.as_ref(), span);
    let folds = optional::<Folds>(session, spec.folds.as_ref(), span);
    let output = optional::<Output>(session, spec.output.as_ref(), span);
    let mut metrics = IndexMap::new();
    for (name, raw) in &spec.metrics {
        if let Some(metric) = told(session, decode::<Metric>(&raw.0, &NoNames)) {
            metrics.insert(name.clone(), Spanned::new(metric, raw.0.span));
        }
    }
    Some(Experiment {
        doc: spec.doc.as_ref().map(|doc| doc.value.clone()),
        weights: weights?.value,
        predictions: spec.predictions.clone(),
        maps: spec.maps.clone(),
        train: train?,
        folds: folds?,
        metrics,
        output: output?,
    })
}

fn check_predictions(session: &mut Session<'_>, experiment: &Experiment, data: &DataFile) {
    for field in experiment.predictions.keys() {
        let diagnostic = match data.fields.get(&field.value) {
            Some(known) if known.role == FieldRole::Target && known.spec.is_target() => continue,
            Some(known) => {
                let message =
                    format!("`{}` is a field of features ({}); only targets are predicted", field.value, known.spec.kind());
                Diagnostic::new(codes::PREDICTION, message, field.span)
            }
            None => {
                let targets = data.fields.values().filter(|field| field.spec.is_target()).map(|field| field.name.as_str());
                Diagnostic::new(codes::PREDICTION, format!("the data has no field `{}`", field.value), field.span)
                    .suggest(nearest(&field.value, targets))
            }
        };
        session.diagnostics.push(diagnostic);
    }
    if experiment.predictions.is_empty() {
        let message = "nothing is predicted: `predictions` is empty";
        let help = "write for example predictions: { \"biomass\": \"model:biomass\" }";
        session.diagnostics.push(Diagnostic::new(codes::PREDICTION, message, experiment.train.span).help(help));
    }
}

/// Maps weigh the tiles or views of photographs.
fn check_maps(session: &mut Session<'_>, experiment: &Experiment, data: &DataFile) {
    for field in experiment.maps.keys() {
        let tiled = |field: &Field| field.transform.as_ref().is_some_and(|transform| transform.parts.count().is_some());
        let diagnostic = match data.fields.get(&field.value) {
            Some(known) if tiled(known) => continue,
            Some(known) => {
                let message = format!(
                    "`{}` is made by {} and has no tiles or views to weigh",
                    field.value,
                    if known.transform.is_some() { "a Transform without Tiles or Views" } else { known.spec.kind() }
                );
                Diagnostic::new(codes::PREDICTION, message, field.span)
            }
            None => {
                let fields = data.fields.values().filter(|field| tiled(field)).map(|field| field.name.as_str());
                Diagnostic::new(codes::PREDICTION, format!("the data has no field `{}`", field.value), field.span)
                    .suggest(nearest(&field.value, fields))
            }
        };
        session.diagnostics.push(diagnostic);
    }
}

fn check_losses(session: &mut Session<'_>, spec: &ExperimentFile, experiment: &Experiment) {
    let is_word = |text: &str| {
        text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if spec.losses.is_empty() {
        session.diagnostics.push(Diagnostic::new(codes::LOSS, "there is no loss to train with", spec.train.0.span));
    }
    for loss in spec.losses.keys().filter(|loss| !is_word(&loss.value)) {
        let message = format!("`{}` cannot name a loss: use letters, digits and `_`", loss.value);
        session.diagnostics.push(Diagnostic::new(codes::LOSS, message, loss.span));
    }
    if experiment.train.value.gradients == GradientRule::PcGrad && spec.losses.len() < 2 {
        let message = "PCGrad keeps the gradients of several losses from working against each other, and there is one loss";
        let diagnostic = Diagnostic::new(codes::LOSS, message, spec.train.0.span);
        session.diagnostics.push(diagnostic.help("leave `gradients` out, or add a loss"));
    }
    if let Weights::Fixed(factors) = &experiment.weights {
        for (loss, factor) in factors {
            if !spec.losses.keys().any(|own| own.value == loss.value) {
                let known = nearest(&loss.value, spec.losses.keys().map(|own| own.value.as_str()));
                let message = format!("there is no loss `{}`", loss.value);
                session.diagnostics.push(Diagnostic::new(codes::LOSS, message, loss.span).suggest(known));
            } else if !factor.is_finite() || *factor < 0.0 {
                let message = format!("the factor of the loss `{}` is {factor}; it is zero or more", loss.value);
                session.diagnostics.push(Diagnostic::new(codes::LOSS, message, loss.span));
            }
        }
    }
}

/// The trees whose texts name fields.
fn node_trees(spec: &ExperimentFile) -> impl Iterator<Item = &Value> {
    std::iter::once(&spec.model.0).chain(spec.nodes.values().map(|raw| &raw.0)).chain(spec.losses.values().map(|raw| &raw.0))
}

/// The fields that nodes read. A data file serves several experiments, so that one that reads less of it is no fault.
fn used_inputs(spec: &ExperimentFile, experiment: &Experiment, data: &DataFile) -> Vec<GraphField> {
    let mut inputs = Vec::new();
    for field in data.fields.values() {
        let mask = format!("{}:observed", field.name);
        let (mut plain, mut masked) = (false, false);
        let mut look = |text: &str| {
            masked |= field.observed.is_some() && mentions(text, &mask);
            // What is left without the mask's name may name the field itself.
            plain |= mentions(&text.replace(&mask, ""), &field.name);
        };
        node_trees(spec).for_each(|tree| for_each_text(tree, &mut look));
        experiment.predictions.values().chain(experiment.maps.values()).for_each(|reference| look(&reference.value));
        if plain {
            inputs.push(GraphField { input: field.name.clone(), field: field.name.clone(), is_mask: false });
        }
        if masked {
            inputs.push(GraphField { input: field.observed_input(), field: field.name.clone(), is_mask: true });
        }
    }
    inputs
}

/// The type of a field's tensor, as a file would state it.
fn field_type(field: &Field, is_mask: bool, span: Span) -> Value {
    let (word, shape, domain) = match (is_mask, field.dtype) {
        (true, _) => ("Bool", field.observed.clone().unwrap_or_default(), None),
        (false, DType::I64) => ("I64", field.shape.clone(), None),
        (false, _) => ("F32", field.shape.clone(), Some(field.domain)),
    };
    let whole = |size: usize| Value { span, kind: sward_core::syntax::Kind::Integer(size as i64) };
    let sizes = std::iter::once(text(span, "batch")).chain(shape.into_iter().map(whole)).collect();
    let domain = domain.map(|word| ("domain", name(span, word)));
    call(span, word, vec![list(span, sizes)], domain.into_iter().collect())
}

/// The one module that the experiment is.
fn module(spec: &ExperimentFile, experiment: &Experiment, data: &DataFile, inputs: &[GraphField], span: Span) -> Value {
    // The mask of a field is an input of its own; its name is as long as what the file writes, so that places within texts stay.
    let masks: Vec<(String, String)> = data
        .fields
        .values()
        .filter(|field| field.observed.is_some())
        .map(|field| (format!("{}:observed", field.name), field.observed_input()))
        .collect();
    let mixers = [MIX_PARTNER, MIX_SHARE].map(|input| (input.replace('.', ":"), input.to_owned()));
    let renamed =
        |text: &str| masks.iter().chain(&mixers).fold(text.to_owned(), |text, (from, to)| text.replace(from.as_str(), to));
    let spanned = |text: String, span: Span| Spanned::new(text, span);
    let mut ports: Vec<(Spanned<String>, Value)> = inputs
        .iter()
        .map(|input| {
            let field = &data.fields[&input.field];
            (spanned(input.input.clone(), field.span), field_type(field, input.is_mask, field.span))
        })
        .collect();
    for (written, input) in &mixers {
        let mut is_read = false;
        node_trees(spec).for_each(|tree| for_each_text(tree, &mut |text| is_read |= mentions(text, written)));
        if is_read {
            let shape = list(span, vec![text(span, "batch")]);
            let (word, domain) =
                if input == MIX_PARTNER { ("I64", None) } else { ("F32", Some(("domain", name(span, "Probability")))) };
            ports.push((spanned(input.clone(), span), call(span, word, vec![shape], domain.into_iter().collect())));
        }
    }
    let mut nodes = vec![(spanned("model".to_owned(), spec.model.0.span), map_texts(&spec.model.0, &renamed))];
    for (own, raw) in &spec.nodes {
        nodes.push((own.clone(), map_texts(&raw.0, &renamed)));
    }
    let mut outputs = vec![(spanned("loss".to_owned(), span), scalar(TOTAL, span))];
    let is_apart = experiment.train.value.gradients == GradientRule::PcGrad;
    let mut sum = Vec::new();
    for (loss, raw) in &spec.losses {
        let node = format!("losses.{}", loss.value);
        nodes.push((spanned(node.clone(), loss.span), map_texts(&raw.0, &renamed)));
        outputs.push((spanned(format!("loss.{}", loss.value), loss.span), scalar(&node, raw.0.span)));
        let term = match &experiment.weights {
            Weights::Fixed(factors) => {
                let factor = factors.iter().find(|(own, _)| own.value == loss.value).map_or(1.0, |(_, factor)| *factor);
                if factor == 1.0 { node } else { format!("{factor:?} * {node}") }
            }
            Weights::Uncertainty => {
                let variance = format!("uncertainty.{}", loss.value);
                let zeros = call(
                    loss.span,
                    "Parameter",
                    Vec::new(),
                    vec![("shape", list(loss.span, Vec::new())), ("init", name(loss.span, "Zeros"))],
                );
                let term = format!("0.5 * exp(-{variance}) * {node} + 0.5 * {variance}");
                nodes.push((spanned(variance, loss.span), zeros));
                term
            }
        };
        if is_apart {
            // The step takes the gradient of each term by itself.
            let name = projected_output(&loss.value);
            nodes.push((spanned(name.clone(), loss.span), call(loss.span, "Formula", vec![text(loss.span, term)], Vec::new())));
            outputs.push((spanned(name.clone(), loss.span), scalar(&name, raw.0.span)));
            sum.push(name);
        } else {
            sum.push(term);
        }
    }
    nodes.push((spanned(TOTAL.to_owned(), span), call(span, "Formula", vec![text(span, sum.join(" + "))], Vec::new())));
    for (field, reference) in &experiment.predictions {
        let known = &data.fields[&field.value];
        let stated = prediction_type(known, reference.span);
        let source = text(reference.span, renamed(&reference.value));
        outputs.push((
            spanned(prediction_output(&field.value), field.span),
            call(reference.span, "As", vec![source, stated], Vec::new()),
        ));
    }
    for (field, reference) in &experiment.maps {
        let tiles = data.fields[&field.value].shape.first().copied().unwrap_or_default();
        let whole = Value { span: reference.span, kind: sward_core::syntax::Kind::Integer(tiles as i64) };
        let shape = list(reference.span, vec![text(reference.span, "batch"), whole]);
        let stated = call(reference.span, "F32", vec![shape], Vec::new());
        let source = text(reference.span, renamed(&reference.value));
        outputs
            .push((spanned(map_output(&field.value), field.span), call(reference.span, "As", vec![source, stated], Vec::new())));
    }
    let all = map(span, nodes);
    let mut fields = vec![("inputs", map(span, ports))];
    let params = sizes(data, &all, experiment, span);
    if !params.is_empty() {
        fields.push(("params", map(span, params)));
    }
    fields.extend([("nodes", all), ("outputs", map(span, outputs))]);
    if let Some(contract) = &spec.contract {
        fields.push(("contract", contract.0.clone()));
    }
    call(span, "Module", Vec::new(), fields)
}

/// A statement that a node is one number.
fn scalar(node: &str, span: Span) -> Value {
    call(span, "As", vec![text(span, node), call(span, "F32", vec![list(span, Vec::new())], Vec::new())], Vec::new())
}

/// What an output must be to predict a field.
fn prediction_type(field: &Field, span: Span) -> Value {
    match (&field.spec, &field.size) {
        (FieldSpec::Labels { .. }, Some((size, _))) => {
            call(span, "F32", vec![list(span, vec![text(span, "batch"), text(span, size.clone())])], Vec::new())
        }
        (FieldSpec::Present { .. }, _) => field_type(field, false, span),
        _ => field_type(&Field { domain: "Any", ..field.clone() }, false, span),
    }
}

/// The sizes that the data gives and nodes name, as params of the module: open ones where the vocabulary is fitted.
fn sizes(data: &DataFile, nodes: &Value, experiment: &Experiment, span: Span) -> Vec<(Spanned<String>, Value)> {
    let mut params = Vec::new();
    for field in data.fields.values() {
        let Some((size, value)) = &field.size else { continue };
        let mut used =
            experiment.predictions.keys().any(|own| own.value == field.name) && matches!(field.spec, FieldSpec::Labels { .. });
        for_each_text(nodes, &mut |text| used |= mentions(text, size));
        if used {
            let declared = match value {
                Some(value) => {
                    let number = Value { span, kind: sward_core::syntax::Kind::Integer(*value as i64) };
                    call(field.span, "Int", vec![number], Vec::new())
                }
                None => name(field.span, "Int"),
            };
            params.push((Spanned::new(size.clone(), field.span), declared));
        }
    }
    params
}

/// Predictions depend on features alone.
fn check_reach(session: &mut Session<'_>, experiment: &Experiment, data: &DataFile, checked: &Checked, inputs: &[GraphField]) {
    let graph = checked.graph();
    let predicted =
        experiment.predictions.iter().map(|(field, reference)| (prediction_output(&field.value), "prediction", field, reference));
    let mapped = experiment.maps.iter().map(|(field, reference)| (map_output(&field.value), "map", field, reference));
    for (name, what, field, reference) in predicted.chain(mapped) {
        let output = checked.outputs().iter().find(|output| *output.name == *name);
        let Some(Source::Node { node, .. }) = output.map(|output| output.source) else { continue };
        let mut seen = vec![false; graph.node_count()];
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            if std::mem::replace(&mut seen[node.index()], true) {
                continue;
            }
            if let NodeKind::Input { index } = graph[node].kind {
                let own = &checked.inputs()[index].name;
                let known = inputs.iter().find(|input| *input.input == **own).map(|input| &data.fields[&input.field]);
                if let Some(known) = known.filter(|known| known.role != FieldRole::Feature) {
                    let why = if known.role == FieldRole::Target { "is a target" } else { "has the role TrainOnly" };
                    let columns = known.columns.join(", ");
                    let message = format!(
                        "the {what} of `{}` depends on the field `{}`, which {why}: it is not there at prediction time",
                        field.value, known.name
                    );
                    let diagnostic = Diagnostic::new(codes::TRAIN_ONLY, message, reference.span)
                        .label(known.span, format!("made of {columns}"))
                        .help("let a loss read it through a head of its own, or give the column the role Feature if it is known then");
                    session.diagnostics.push(diagnostic);
                }
            }
            for source in graph[node].inputs.iter().flatten() {
                if let Source::Node { node, .. } = source {
                    open.push(*node);
                }
            }
        }
    }
}

/// What a loss compares with is mixed as the features are: class indices cannot be.
fn check_mix(session: &mut Session<'_>, experiment: &Experiment, data: &DataFile, checked: &Checked, inputs: &[GraphField]) {
    let Some(mix) = &experiment.train.value.mix else { return };
    let reads_partner = checked.inputs().iter().any(|input| *input.name == *MIX_PARTNER);
    if matches!(mix.value, Mix::Manifold { .. }) && !reads_partner {
        let message = "`Manifold` mixes the targets and leaves the features to the graph, and no node reads `mix:partner`";
        let help = "give it to blocks/mix_rows.ron within the model, or say Mixup";
        session.diagnostics.push(Diagnostic::new(codes::MIX, message, mix.span).help(help));
    }
    for input in inputs.iter().filter(|input| !input.is_mask) {
        let field = &data.fields[&input.field];
        if field.role == FieldRole::Feature || field.dtype == DType::F32 {
            continue;
        }
        let name = match mix.value {
            Mix::Mixup { .. } => "Mixup",
            Mix::Manifold { .. } => "Manifold",
            Mix::CutMix { .. } => "CutMix",
        };
        let message = format!("`{name}` cannot mix the classes of `{}`: they are indices", field.name);
        let help = "leave `mix` out, or give each class a column of 0 and 1 and read them by Present, which is mixed";
        let diagnostic =
            Diagnostic::new(codes::MIX, message, mix.span).label(field.span, format!("a {} field", field.spec.kind())).help(help);
        session.diagnostics.push(diagnostic);
    }
}

/// Groups name parameters.
fn check_groups(session: &mut Session<'_>, experiment: &Experiment, checked: &Checked) {
    let names = || checked.parameters().keys().map(String::as_str);
    for group in &experiment.train.value.groups {
        let pattern = &group.value.pattern;
        if !names().any(|name| sward_ops::training::path_matches(&pattern.value, name)) {
            let tops: std::collections::BTreeSet<String> =
                names().map(|name| name.split('.').take(2).collect::<Vec<_>>().join(".")).collect();
            let tops: Vec<String> = tops.into_iter().take(8).map(|top| format!("{top}.*")).collect();
            let message = format!("no parameter's path matches `{}`", pattern.value);
            let diagnostic = Diagnostic::new(codes::GROUP, message, pattern.span).help(format!("there are {}", tops.join(", ")));
            session.diagnostics.push(diagnostic);
        }
    }
}

/// What is computed again are modules of the graph.
fn check_rematerialized(session: &mut Session<'_>, experiment: &Experiment, checked: &Checked) {
    let graph = checked.graph();
    for pattern in &experiment.train.value.rematerialize {
        let modules = || graph.node_weights().flat_map(|node| sward_ops::training::modules_of(&node.path));
        if !modules().any(|module| sward_ops::training::path_matches(&pattern.value, module)) {
            let message = format!("no module's path matches `{}`", pattern.value);
            let known = nearest(&pattern.value, modules());
            session.diagnostics.push(Diagnostic::new(codes::GROUP, message, pattern.span).suggest(known));
        }
    }
}
