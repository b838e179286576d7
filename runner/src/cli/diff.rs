//! `sward diff`: how two graphs differ in structure.

use super::Exit;
use super::graph::{GraphOptions, Opened, TextOrJson, grouped, open_as, type_text, write_out};
use super::written;
use clap::Args;
use indexmap::IndexMap;
use serde::Serialize;
use sward_core::check::{Checked, Node, NodeKind};
use sward_core::dim::{Dim, DimError, Sizes};
use sward_core::op::{ParameterKind, display_shape};

/// Arguments of `diff`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward diff fusion/film.ron fusion/concat.ron                       two files
  sward diff model.ron --swap fusion=fusion/concat.ron --dim batch=8 a file with itself changed

Nodes are matched by their paths. Overrides change the second graph. Exit code: 0 when the graphs are equal, 1 when they differ.")]
pub struct Arguments {
    /// A graph file
    first: String,
    /// Another one; without it the first file is compared with itself changed by --set and --swap
    second: Option<String>,
    /// For people, or for programs
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
    #[command(flatten)]
    options: GraphOptions,
}

/// Runs `diff`.
pub fn run(arguments: &Arguments) -> Exit {
    let options = &arguments.options;
    if arguments.second.is_none() && options.sets.is_empty() && options.swaps.is_empty() {
        eprintln!("error: name a second file, or change the first with --set or --swap");
        return Exit::Usage;
    }
    let unchanged = GraphOptions { sets: Vec::new(), swaps: Vec::new(), ..options.clone() };
    let first = match open_as(&arguments.first, &unchanged, false) {
        Ok(opened) => opened,
        Err(exit) => return unreadable(exit),
    };
    let second = match open_as(arguments.second.as_deref().unwrap_or(&arguments.first), options, false) {
        Ok(opened) => opened,
        Err(exit) => return unreadable(exit),
    };
    let Opened { checked: first, sizes, .. } = first;
    let known: Vec<String> = first.dimensions().into_iter().chain(second.checked.dimensions()).collect();
    if let Some((unknown, _)) = sizes.iter().find(|(name, _)| !known.iter().any(|own| own == name.as_str())) {
        eprintln!("error: --dim {unknown}: neither graph has an open dimension of this name");
        return Exit::Usage;
    }
    let difference = compare(&first, &second.checked);
    let totals = totals(&first, &second.checked, &sizes);
    let text = match arguments.format {
        TextOrJson::Text => text(&difference, &totals),
        TextOrJson::Json => json(&difference, &totals),
    };
    write_out(&text);
    if difference.is_empty() { Exit::Fine } else { Exit::Findings }
}

/// A graph that does not check is no answer: 1 is kept for graphs that differ.
fn unreadable(_: Exit) -> Exit {
    Exit::Usage
}

/// A value on both sides; `None` where a side has none.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Change {
    /// In the first graph.
    pub before: Option<String>,
    /// In the second graph.
    pub after: Option<String>,
}

/// What a named part of a graph is: its properties by name, in order.
pub type Properties = IndexMap<String, String>;

/// How one kind of named parts differs.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Parts {
    /// Only in the second graph.
    pub added: IndexMap<String, Properties>,
    /// Only in the first graph.
    pub removed: IndexMap<String, Properties>,
    /// In both: the properties that differ.
    pub changed: IndexMap<String, IndexMap<String, Change>>,
}

impl Parts {
    fn of(before: IndexMap<String, Properties>, after: IndexMap<String, Properties>) -> Parts {
        let mut parts = Parts::default();
        for (name, old) in &before {
            let Some(new) = after.get(name) else {
                parts.removed.insert(name.clone(), old.clone());
                continue;
            };
            let mut changes = IndexMap::new();
            for key in old.keys().chain(new.keys().filter(|key| !old.contains_key(*key))) {
                let (before, after) = (old.get(key).cloned(), new.get(key).cloned());
                if before != after {
                    changes.insert(key.clone(), Change { before, after });
                }
            }
            if !changes.is_empty() {
                parts.changed.insert(name.clone(), changes);
            }
        }
        parts.added = after.into_iter().filter(|(name, _)| !before.contains_key(name)).collect();
        parts
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// How two graphs differ.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Difference {
    /// Inputs, by name.
    pub inputs: Parts,
    /// Nodes, by path.
    pub nodes: Parts,
    /// Parameters and buffers, by full name.
    pub parameters: Parts,
    /// Outputs, by name.
    pub outputs: Parts,
}

impl Difference {
    /// Whether the graphs are equal.
    pub fn is_empty(&self) -> bool {
        [&self.inputs, &self.nodes, &self.parameters, &self.outputs].into_iter().all(Parts::is_empty)
    }
}

/// A sum over the whole graph, on both sides.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Total {
    /// What is counted.
    pub name: &'static str,
    /// In symbols.
    pub symbolic: Change,
    /// At the sizes given; absent where none are.
    pub at_sizes: Option<Change>,
    /// The second as a multiple of the first, where both are numbers.
    pub ratio: Option<f64>,
}

/// Compares two graphs part by part.
pub fn compare(first: &Checked, second: &Checked) -> Difference {
    Difference {
        inputs: Parts::of(inputs(first), inputs(second)),
        nodes: Parts::of(nodes(first), nodes(second)),
        parameters: Parts::of(parameters(first), parameters(second)),
        outputs: Parts::of(outputs(first), outputs(second)),
    }
}

fn inputs(checked: &Checked) -> IndexMap<String, Properties> {
    let part = |input: &sward_core::check::GraphInput| Properties::from([("type".to_string(), with_domain(&input.tensor_type))]);
    checked.inputs().iter().map(|input| (input.name.to_string(), part(input))).collect()
}

fn outputs(checked: &Checked) -> IndexMap<String, Properties> {
    let part = |output: &sward_core::check::GraphOutput| {
        Properties::from([
            ("from".to_string(), written::reference(checked, output.source)),
            ("type".to_string(), with_domain(&output.tensor_type)),
        ])
    };
    checked.outputs().iter().map(|output| (output.name.to_string(), part(output))).collect()
}

fn with_domain(tensor_type: &sward_core::op::SymbolicType) -> String {
    match tensor_type.domain == sward_core::domain::Domain::ANY {
        true => type_text(tensor_type),
        false => format!("{}, {}", type_text(tensor_type), tensor_type.domain),
    }
}

fn nodes(checked: &Checked) -> IndexMap<String, Properties> {
    checked.graph().node_weights().filter_map(|node| Some((node.path.to_string(), node_part(checked, node)?))).collect()
}

fn node_part(checked: &Checked, node: &Node) -> Option<Properties> {
    let NodeKind::Op { op, fields, .. } = &node.kind else { return None };
    let mut part = Properties::from([("op".to_string(), op.schema().name.to_string())]);
    for (name, _, read) in written::ports(checked, node) {
        if !read.is_empty() {
            part.insert(name.to_string(), read.join(", "));
        }
    }
    let named = written::named(checked, node);
    for (field, value) in op.schema().fields.iter().zip(&fields.values) {
        let text = match written::field(node, field.kind, value, &named) {
            Ok(Some(value)) => written::one_line(&value),
            Ok(None) => continue,
            // It cannot stand in a file, but it can be compared.
            Err(_) => format!("{value:?}"),
        };
        part.insert(field.name.to_string(), text);
    }
    let types: Vec<String> = node.outputs.iter().map(with_domain).collect();
    part.insert("output".to_string(), types.join("; "));
    Some(part)
}

fn parameters(checked: &Checked) -> IndexMap<String, Properties> {
    let part = |parameter: &sward_core::check::Parameter| {
        let kind = match (parameter.spec.kind, parameter.trained) {
            (ParameterKind::Buffer, _) => "buffer",
            (ParameterKind::Trained, true) => "trained",
            (ParameterKind::Trained, false) => "frozen",
        };
        Properties::from([
            ("shape".to_string(), display_shape(&parameter.spec.shape)),
            ("kind".to_string(), kind.to_string()),
            ("start".to_string(), parameter.spec.initial.to_string()),
        ])
    };
    checked.parameters().iter().map(|(name, parameter)| (name.clone(), part(parameter))).collect()
}

/// Nodes, parameters and floating point operations of both graphs; at `sizes` too, where there are some.
pub fn totals(first: &Checked, second: &Checked, sizes: &Sizes) -> Vec<Total> {
    let ops = |checked: &Checked| {
        let count = checked.graph().node_weights().filter(|node| matches!(node.kind, NodeKind::Op { .. })).count();
        Ok(Dim::constant(count as i64))
    };
    vec![
        total("nodes", ops(first), ops(second), &Sizes::new()),
        total("parameters", first.parameter_count(), second.parameter_count(), sizes),
        total("FLOPs of a forward pass", first.flops(), second.flops(), sizes),
    ]
}

fn total(name: &'static str, before: Result<Dim, DimError>, after: Result<Dim, DimError>, sizes: &Sizes) -> Total {
    let known = |dim: &Result<Dim, DimError>| -> Result<Dim, DimError> {
        dim.clone()?.substitute(&|name| sizes.get(name).map(Dim::constant))
    };
    let text = |dim: &Result<Dim, DimError>| match dim {
        Ok(dim) => grouped(dim),
        Err(error) => error.to_string(),
    };
    let (old, new) = (known(&before), known(&after));
    let number = |dim: &Result<Dim, DimError>| dim.as_ref().ok().and_then(Dim::as_constant).map(|number| number as f64);
    let ratio = match (number(&old), number(&new)) {
        (Some(old), Some(new)) if old != 0.0 => Some(new / old),
        _ => None,
    };
    let change = |before, after| Change { before: Some(text(before)), after: Some(text(after)) };
    let at_sizes = (!sizes.is_empty()).then(|| change(&old, &new));
    Total { name, symbolic: change(&before, &after), at_sizes, ratio }
}

/// The difference as JSON, with its totals.
pub fn json(difference: &Difference, totals: &[Total]) -> String {
    let value = serde_json::json!({ "version": 1, "equal": difference.is_empty(), "difference": difference, "totals": totals });
    format!("{value:#}\n")
}

/// The difference for people: `+` only in the second graph, `-` only in the first, `~` in both but changed.
pub fn text(difference: &Difference, totals: &[Total]) -> String {
    if difference.is_empty() {
        return "the graphs are equal\n".to_string();
    }
    let mut text = String::new();
    write_parts(&mut text, "inputs", &difference.inputs, &["type"]);
    write_parts(&mut text, "nodes", &difference.nodes, &["op", "output"]);
    write_parts(&mut text, "parameters", &difference.parameters, &["shape", "kind"]);
    write_parts(&mut text, "outputs", &difference.outputs, &["type"]);
    let width = totals.iter().map(|total| total.name.len()).max().unwrap_or(0);
    for total in totals {
        let shown = total.at_sizes.as_ref().unwrap_or(&total.symbolic);
        text += &format!("{:width$}  {}", total.name, arrow(shown));
        if let Some(ratio) = total.ratio.filter(|ratio| *ratio != 1.0) {
            text += &format!("  ({:+.1} %)", (ratio - 1.0) * 100.0);
        }
        text += "\n";
        if total.at_sizes.is_some() && total.symbolic != *shown {
            text += &format!("{:width$}  {}\n", "  in symbols", arrow(&total.symbolic));
        }
    }
    text
}

fn write_parts(text: &mut String, title: &str, parts: &Parts, shown: &[&str]) {
    if parts.is_empty() {
        return;
    }
    let counts = [(parts.removed.len(), "removed"), (parts.added.len(), "added"), (parts.changed.len(), "changed")];
    let counts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    *text += &format!("{title}: {}\n", counts.join(", "));
    let names = parts.removed.keys().chain(parts.added.keys()).chain(parts.changed.keys());
    let width = names.map(|name| name.chars().count()).max().unwrap_or(0);
    for (sign, group) in [('-', &parts.removed), ('+', &parts.added)] {
        for (name, part) in group {
            let values: Vec<&str> = shown.iter().filter_map(|key| part.get(*key).map(String::as_str)).collect();
            *text += &format!("  {sign} {name:width$}  {}\n", values.join("  "));
        }
    }
    for (name, changes) in &parts.changed {
        let changes: Vec<String> = changes.iter().map(|(key, change)| format!("{key}: {}", arrow(change))).collect();
        *text += &format!("  ~ {name:width$}  {}\n", changes.join(", "));
    }
    *text += "\n";
}

fn arrow(change: &Change) -> String {
    let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "none".to_string());
    if change.before == change.after {
        side(&change.before)
    } else {
        format!("{} -> {}", side(&change.before), side(&change.after))
    }
}
