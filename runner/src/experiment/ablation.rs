//! An `Ablation` file: its arms, each an experiment that is proved before any trains.

use indexmap::IndexMap;
use std::cell::Cell;
use sward_core::check::{Overrides, SetOverride, SwapOverride};
use sward_core::diagnostic::{Diagnostic, codes};
use sward_core::language::FieldExpression;
use sward_core::source::{FileId, Span, Spanned};
use sward_core::syntax::decode::{NoNames, Raw, decode};
use sward_core::syntax::{Kind, Value};

use super::join::{Joined, join};
use super::read_data::{Session, load_kind, told};
use super::settings::{best_metric, watched_direction};
use super::spec::{Ablation, Axis, Design};

/// The most arms that one file may have.
const MAX_ARMS: usize = 1000;

/// One variant of the base.
pub struct Arm {
    /// `base`, or what is changed: `fusion=film`.
    pub name: String,
    /// The choice of each axis that is not the base's: axis and value.
    pub choices: IndexMap<String, String>,
    /// The experiment.
    pub joined: Joined,
    /// The experiment's file: the base's, or the one that an axis names.
    pub path: String,
    /// What changes the file.
    pub overrides: Overrides,
    /// The place of the choice.
    pub span: Span,
}

/// An ablation whose arms are proved; the first is the base.
pub struct Arms {
    /// Its name: the file's, without ending.
    pub name: String,
    /// As it is written.
    pub spec: Ablation,
    /// The base, then the others.
    pub arms: Vec<Arm>,
    /// The metric that they are compared by, `val/...`.
    pub metric: String,
}

/// Checks an ablation's arms; what is wrong is reported.
pub fn check(session: &mut Session<'_>, file: FileId, tree: &Value) {
    arms(session, file, tree);
}

/// Reads an ablation and proves every arm. `None` where an error was reported.
pub fn arms(session: &mut Session<'_>, file: FileId, tree: &Value) -> Option<Arms> {
    let errors_before = session.diagnostics.errors();
    let spec: Ablation = told(session, decode(tree, &NoNames))?;
    let choices = combinations(session, &spec, tree.span)?;
    let (base_file, base_tree) = load_kind(session, file, &spec.base, "Experiment")?;
    let base = join(session, base_file, &base_tree, &Overrides::default())?;
    let metric = spec.metric.as_ref().map_or_else(|| best_metric(&base.experiment), |metric| metric.value.clone());
    if watched_direction(&base.experiment, &metric).is_none() {
        let span = spec.metric.as_ref().map_or(tree.span, |metric| metric.span);
        session.diagnostics.push(Diagnostic::new(codes::ABLATION, format!("the base has no metric `{metric}`"), span));
    }
    if metric == "val/loss" {
        let span = spec.metric.as_ref().map_or(tree.span, |metric| metric.span);
        let message = "a loss is a mean over batches, and arms are compared row by row: it cannot be the metric of an ablation";
        let help = "name one of the base's metrics with `metric`, such as \"val/score\"";
        session.diagnostics.push(Diagnostic::new(codes::ABLATION, message, span).help(help));
    }
    let mut arms = vec![Arm {
        name: "base".to_owned(),
        choices: IndexMap::new(),
        joined: base,
        path: spec.base.value.clone(),
        overrides: Overrides::default(),
        span: spec.base.span,
    }];
    for choice in choices {
        if let Some(arm) = arm(session, file, &spec, (base_file, &base_tree), choice) {
            compare(session, &arms, &arm, &metric);
            arms.push(arm);
        }
    }
    let path = session.sources.path(file);
    let name = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".ron").to_owned();
    (session.diagnostics.errors() == errors_before).then_some(Arms { name, spec, arms, metric })
}

/// One value of one axis.
#[derive(Clone)]
struct Choice {
    axis: String,
    label: String,
    whats: Vec<What>,
    span: Span,
}

#[derive(Clone)]
enum What {
    Swap { node: String, file: Spanned<String> },
    Set { path: String, value: Value },
    Experiment(Spanned<String>),
}

fn combinations(session: &mut Session<'_>, spec: &Ablation, span: Span) -> Option<Vec<Vec<Choice>>> {
    let mut axes: Vec<Vec<Choice>> = Vec::new();
    for (name, axis) in &spec.axes {
        let choices = choices(&name.value, &axis.value);
        if choices.is_empty() {
            let message = format!("the axis `{}` has no value", name.value);
            session.diagnostics.push(Diagnostic::new(codes::ABLATION, message, axis.span));
            return None;
        }
        axes.push(choices);
    }
    if axes.is_empty() {
        session.diagnostics.push(Diagnostic::new(codes::ABLATION, "there is no axis, so that nothing is compared", span));
        return None;
    }
    let combined = match spec.design {
        Design::OneAtATime => axes.into_iter().flatten().map(|choice| vec![choice]).collect(),
        Design::Grid => {
            let count = axes.iter().try_fold(1usize, |product, axis| product.checked_mul(axis.len() + 1));
            if count.is_none_or(|count| count > MAX_ARMS) {
                let message = format!("the grid has more than {MAX_ARMS} arms");
                session.diagnostics.push(Diagnostic::new(codes::ABLATION, message, span));
                return None;
            }
            let mut all: Vec<Vec<Choice>> = vec![Vec::new()];
            for axis in &axes {
                let with = |own: &Vec<Choice>| {
                    let own = own.clone();
                    std::iter::once(own.clone())
                        .chain(axis.iter().map(move |choice| [own.clone(), vec![choice.clone()]].concat()))
                };
                all = all.iter().flat_map(with).collect();
            }
            all.retain(|choices| !choices.is_empty());
            all
        }
    };
    Some(combined)
}

fn choices(axis: &str, spec: &Axis) -> Vec<Choice> {
    let stem = |path: &str| path.rsplit('/').next().unwrap_or(path).trim_end_matches(".ron").to_owned();
    match spec {
        Axis::Swap { node, to } => to
            .iter()
            .map(|file| Choice {
                axis: axis.to_owned(),
                label: stem(&file.value),
                whats: vec![What::Swap { node: node.value.clone(), file: file.clone() }],
                span: file.span,
            })
            .collect(),
        Axis::Set { path, to } => to
            .iter()
            .map(|raw| Choice {
                axis: axis.to_owned(),
                label: label(&raw.0),
                whats: vec![What::Set { path: path.value.clone(), value: raw.0.clone() }],
                span: raw.0.span,
            })
            .collect(),
        Axis::Experiment(files) => files
            .iter()
            .map(|file| Choice {
                axis: axis.to_owned(),
                label: stem(&file.value),
                whats: vec![What::Experiment(file.clone())],
                span: file.span,
            })
            .collect(),
        Axis::Changes(changes) => changes
            .iter()
            .map(|(name, change)| {
                let swap = |(node, file): (&Spanned<String>, &Spanned<String>)| What::Swap {
                    node: node.value.clone(),
                    file: file.clone(),
                };
                let set = |(path, raw): (&Spanned<String>, &Raw)| What::Set { path: path.value.clone(), value: raw.0.clone() };
                let swaps = change.value.swap.iter().map(swap);
                Choice {
                    axis: axis.to_owned(),
                    label: name.value.clone(),
                    whats: swaps.chain(change.value.set.iter().map(set)).collect(),
                    span: change.span,
                }
            })
            .collect(),
    }
}

/// A value in few words.
fn label(value: &Value) -> String {
    match &value.kind {
        Kind::Text(text) => text.clone(),
        Kind::Name(name) => name.clone(),
        _ => sward_core::syntax::print(value).trim().to_owned(),
    }
}

fn arm(session: &mut Session<'_>, file: FileId, spec: &Ablation, base: (FileId, &Value), choices: Vec<Choice>) -> Option<Arm> {
    let mut overrides = Overrides::default();
    let mut own: Option<Spanned<String>> = None;
    for what in choices.iter().flat_map(|choice| &choice.whats) {
        match what {
            What::Swap { node, file } => overrides.swaps.push(SwapOverride {
                node: node.clone(),
                file: file.value.clone(),
                span: file.span,
                used: Cell::new(false),
            }),
            What::Set { path, value } => overrides.sets.push(SetOverride {
                path: path.clone(),
                value: FieldExpression::of(value),
                span: value.span,
                used: Cell::new(false),
            }),
            What::Experiment(path) => own = Some(path.clone()),
        }
    }
    let name = choices.iter().map(|choice| format!("{}={}", choice.axis, choice.label)).collect::<Vec<_>>().join(", ");
    let span = choices[0].span;
    let loaded = match &own {
        Some(path) => load_kind(session, file, path, "Experiment"),
        None => Some((base.0, base.1.clone())),
    };
    let joined = loaded.and_then(|(own_file, tree)| join(session, own_file, &tree, &overrides));
    let Some(joined) = joined else {
        let message = format!("the arm `{name}` does not check; its errors stand beside this one");
        session.diagnostics.push(Diagnostic::new(codes::ABLATION, message, span));
        return None;
    };
    let path = own.map_or_else(|| spec.base.value.clone(), |path| path.value);
    let choices = choices.into_iter().map(|choice| (choice.axis, choice.label)).collect();
    Some(Arm { name, choices, joined, path, overrides, span })
}

/// Refuses what cannot be paired with the base, and an arm that is another arm's twin.
fn compare(session: &mut Session<'_>, arms: &[Arm], arm: &Arm, metric: &str) {
    let base = &arms[0];
    let mut fault = |message: String| {
        session.diagnostics.push(Diagnostic::new(codes::ABLATION, message, arm.span));
    };
    if arms.iter().any(|other| other.name == arm.name) {
        fault(format!("two arms are called `{}`", arm.name));
    }
    let table = |arm: &Arm| format!("{:?} {:?}", arm.joined.data.spec.table.value.path.value, arm.joined.data.file);
    if table(base) != table(arm) {
        fault(format!("the arm `{}` reads another table than the base, so that samples cannot be paired", arm.name));
    }
    let folds = |arm: &Arm| unplaced(&format!("{:?}", arm.joined.experiment.folds.value));
    if folds(base) != folds(arm) {
        fault(format!("the arm `{}` has other folds than the base, so that samples cannot be paired", arm.name));
    }
    let measured = |arm: &Arm| {
        let name = metric.strip_prefix("val/").unwrap_or(metric);
        let own = arm.joined.experiment.metrics.iter().find(|(own, _)| own.value == name);
        own.map(|(_, own)| unplaced(&format!("{:?}", own.value)))
    };
    if watched_direction(&arm.joined.experiment, metric).is_none() {
        fault(format!("the arm `{}` has no metric `{metric}`", arm.name));
    } else if measured(base) != measured(arm) {
        fault(format!("the arm `{}` computes the metric `{metric}` in another way than the base", arm.name));
    }
    let own = fingerprint(&arm.joined);
    if let Some(twin) = arms.iter().find(|other| fingerprint(&other.joined) == own) {
        let what = if twin.choices.is_empty() { "nothing is changed" } else { "both make the same change" };
        fault(format!("the arm `{}` is the same as the arm `{}`: {what}", arm.name, twin.name));
    }
}

/// Everything that an arm's result depends on, as text.
fn fingerprint(joined: &Joined) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    let graph = joined.checked.graph();
    for node in graph.node_weights() {
        let _ = write!(text, "{} {:?} {:?}", node.path, node.kind, node.inputs);
        if let sward_core::check::NodeKind::Op { fields, .. } = &node.kind {
            let _ = write!(text, " {fields:?}");
        }
        text.push('\n');
    }
    for (name, parameter) in joined.checked.parameters() {
        let _ = writeln!(text, "{name} {:?} {}", parameter.spec, parameter.trained);
    }
    let experiment = &joined.experiment;
    let _ = write!(text, "{:?} {:?} {:?}", experiment.train.value, experiment.weights, experiment.predictions);
    let _ = write!(text, "{:?}", joined.data.spec.fields);
    let transforms: Vec<_> = joined.data.fields.values().map(|field| &field.transform).collect();
    let _ = write!(text, "{transforms:?}");
    unplaced(&text)
}

/// A debug text without places, which differ between files that say the same.
fn unplaced(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("Span {") {
        plain.push_str(&rest[..at]);
        rest = rest[at..].find('}').map_or("", |end| &rest[at + end + 1..]);
    }
    plain + rest
}
