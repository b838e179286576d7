//! `sward render`: a graph as one flat file.

use super::Exit;
use super::graph::{GraphOptions, Opened, dtype_word, open_as, session, type_text, write_out};
use super::written::{self, NotAFormulaName};
use clap::Args;
use sward_core::check::{Checked, Node, NodeKind, Overrides, ResolvedParam, Session};
use sward_core::diagnostic::render as diagnostics;
use sward_core::domain::Domain;
use sward_core::expr::Constant;
use sward_core::op::{Default, FieldKind, ParameterKind, PortKind, SymbolicType};
use sward_core::roots::{MemoryFolder, Roots};
use sward_core::source::{Sources, Span};
use sward_core::syntax::{self, Kind, Value};

/// Arguments of `render`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward render graphs/fusion/film.ron --set hidden=64 > flat.ron
  sward check flat.ron

The file places no other file: every node stands in it under its full path, with evaluated fields. Behind each value stands where it
comes from. Parameter names, shapes and results are those of the graph; its contract and interfaces are left out.")]
pub struct Arguments {
    /// The graph file
    file: String,
    #[command(flatten)]
    options: GraphOptions,
}

/// Runs `render`.
pub fn run(arguments: &Arguments) -> Exit {
    let Opened { checked, sources, .. } = match open_as(&arguments.file, &arguments.options, true) {
        Ok(opened) => opened,
        Err(exit) => return exit,
    };
    let text = match flat(&checked, &sources) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("error: {} cannot be written as one flat file: {error}", arguments.file);
            return Exit::Findings;
        }
    };
    // What is printed is proved to be the same graph.
    let Ok(mut session) = session(&arguments.options.roots) else { return Exit::Usage };
    match check_text(&mut session, &text) {
        Some(again) if super::diff::compare(&checked, &again).is_empty() => {
            write_out(&text);
            Exit::Fine
        }
        Some(_) => {
            eprintln!("error: {} has no flat form that is the same graph", arguments.file);
            Exit::Findings
        }
        None => {
            eprint!("{}", diagnostics::text(&session.sources, &session.diagnostics, false));
            eprintln!("error: {} has no flat form that checks by itself", arguments.file);
            Exit::Findings
        }
    }
}

/// Checks a text as a file of its own. `None` where it has errors: they are in the session's diagnostics.
pub fn check_text(session: &mut Session<'_>, text: &str) -> Option<Checked> {
    let mut roots = Roots::new();
    let root = roots.add_root("", MemoryFolder::new().with("flat.ron", text));
    *session = Session::new(sward_ops::catalogue::catalogue(), roots);
    let (id, file) = session.open_in(root, "flat.ron")?;
    session.check_file(id, &file, &Overrides::default())
}

/// The graph as a flat module that checks by itself and gives the same nodes, types and parameters. A comment behind each value names
/// where it was written.
///
/// # Errors
/// A formula that reads a node whose name cannot stand in a formula.
pub fn flat(checked: &Checked, sources: &Sources) -> Result<String, NotAFormulaName> {
    let origins = Origins { checked, sources };
    let mut text = String::new();
    for param in checked.params() {
        let is_set = param.span.is_some_and(|span| is_override(sources, span));
        if param.span.is_some() && (param.instance.is_empty() || is_set) {
            let path =
                if param.instance.is_empty() { param.name.to_string() } else { format!("{}.{}", param.instance, param.name) };
            text += &format!("// param {path} = {}: {}\n", param.value, origins.param(param, 0));
        }
    }
    text += "Module(\n";
    if let Some(doc) = checked.doc() {
        text += &format!("    doc: {},\n", quoted(checked, doc));
    }
    let open: Vec<&ResolvedParam> =
        checked.params().iter().filter(|param| param.instance.is_empty() && param.span.is_none()).collect();
    if !open.is_empty() {
        text += "    params: {\n";
        let lines = open.iter().map(|param| Line::new(format!("\"{}\": Int,", param.name), sources.place(param.declared)));
        text += &aligned(&lines.collect::<Vec<_>>(), 8);
        text += "    },\n";
    }
    text += "    inputs: {\n";
    let inputs = checked.inputs().iter().map(|input| {
        Line::new(format!("\"{}\": {},", input.name, stated(checked, &input.tensor_type)), sources.place(input.span))
    });
    text += &aligned(&inputs.collect::<Vec<_>>(), 8);
    text += "    },\n";
    if !checked.obligations().is_empty() {
        // A divisibility may come from a param or a stated type that the flat file no longer has.
        let required = checked
            .obligations()
            .iter()
            .map(|(obligation, span)| Line::new(format!("{},", quoted(checked, &obligation.to_string())), sources.place(*span)));
        text += "    requires: [\n";
        text += &aligned(&required.collect::<Vec<_>>(), 8);
        text += "    ],\n";
    }
    text += "    nodes: {\n";
    for node in checked.graph().node_weights() {
        text += &node_text(&origins, node)?;
    }
    text += "    },\n    outputs: {\n";
    let outputs = checked.outputs().iter().map(|output| {
        let source = written::reference(checked, output.source);
        let made = match output.source {
            sward_core::check::Source::Node { node, output } => &checked.graph()[node].outputs[output as usize],
            sward_core::check::Source::Number(_) => &output.tensor_type,
        };
        // A domain that the file states beyond what is inferred stays stated.
        let value = match *made == output.tensor_type {
            true => format!("\"{source}\""),
            false => format!("As(\"{source}\", {})", stated(checked, &output.tensor_type)),
        };
        let origin = format!("{}, {}", type_text(&output.tensor_type), sources.place(output.span));
        Line::new(format!("\"{}\": {value},", output.name), origin)
    });
    text += &aligned(&outputs.collect::<Vec<_>>(), 8);
    text += "    },\n)\n";
    Ok(text)
}

/// A line of the file and the comment behind it.
struct Line {
    text: String,
    comment: String,
}

impl Line {
    fn new(text: String, comment: String) -> Line {
        Line { text, comment }
    }
}

/// Lines with their comments in one column.
fn aligned(lines: &[Line], indent: usize) -> String {
    const WIDEST: usize = 72;
    let width = |line: &Line| line.text.rsplit('\n').next().map_or(0, |last| last.chars().count());
    let column = lines.iter().map(width).filter(|width| *width <= WIDEST).max().unwrap_or(0);
    let mut text = String::new();
    for line in lines {
        text += &" ".repeat(indent);
        text += &line.text;
        if !line.comment.is_empty() {
            text += &" ".repeat(column.saturating_sub(width(line)) + 2);
            text += &format!("// {}", line.comment);
        }
        text += "\n";
    }
    text
}

fn quoted(checked: &Checked, text: &str) -> String {
    let span = checked.inputs().first().map(|input| input.span).or(checked.outputs().first().map(|output| output.span));
    match span {
        Some(span) => syntax::print(&Value { span, kind: Kind::Text(text.to_string()) }).trim_end().to_string(),
        None => format!("{text:?}"),
    }
}

/// A type as a file states it: `F32(["batch", 3], domain: Positive)`.
fn stated(checked: &Checked, tensor_type: &SymbolicType) -> String {
    let sizes: Vec<String> = tensor_type
        .shape
        .iter()
        .map(|dim| match written::size(dim) {
            Kind::Integer(number) => number.to_string(),
            _ => quoted(checked, &dim.to_string()),
        })
        .collect();
    let named = Domain::NAMED.iter().find(|(_, domain)| *domain == tensor_type.domain && tensor_type.domain != Domain::ANY);
    let domain = named.map_or_else(String::new, |(name, _)| format!(", domain: {name}"));
    format!("{}([{}]{domain})", dtype_word(tensor_type.dtype), sizes.join(", "))
}

fn node_text(origins: &Origins<'_>, node: &Node) -> Result<String, NotAFormulaName> {
    let (checked, sources) = (origins.checked, origins.sources);
    let NodeKind::Op { op, fields, .. } = &node.kind else { return Ok(String::new()) };
    let schema = op.schema();
    let mut lines = Vec::new();
    let named = written::named(checked, node);
    for ((field, value), span) in schema.fields.iter().zip(&fields.values).zip(&fields.spans) {
        let origin = span.map_or_else(|| "default".to_string(), |span| origins.value(span, &node.path, 0));
        let is_formula = field.kind == FieldKind::Formula;
        match written::field(node, field.kind, value, &named)? {
            Some(value) => {
                let printed = syntax::print(&value);
                let printed = printed.trim_end().replace('\n', "\n            ");
                let key = if is_formula { String::new() } else { format!("{}: ", field.name) };
                lines.push(Line::new(format!("{key}{printed},"), origin));
            }
            None => {
                if let Default::Initial(initial) = field.default {
                    lines.push(Line::new(format!("// {}: {initial}", field.name), origin));
                }
            }
        }
    }
    // A formula's text stands first, then what the node reads, then its settings.
    let first =
        lines.iter().take_while(|_| schema.fields.first().is_some_and(|field| field.kind == FieldKind::Formula)).take(1).count();
    let rest = lines.split_off(first);
    for ((name, kind, read), sources) in written::ports(checked, node).into_iter().zip(&node.inputs) {
        let items: Vec<String> = read
            .iter()
            .zip(sources)
            .map(|(text, source)| match source {
                sward_core::check::Source::Number(_) => text.clone(),
                sward_core::check::Source::Node { .. } => format!("\"{text}\""),
            })
            .collect();
        match kind {
            PortKind::Named => {}
            PortKind::Many => lines.push(Line::new(format!("{name}: [{}],", items.join(", ")), String::new())),
            PortKind::One | PortKind::Optional => {
                lines.extend(items.first().map(|item| Line::new(format!("{name}: {item},"), String::new())));
            }
        }
    }
    lines.extend(rest);
    lines.extend(parameter_lines(checked, node));
    let place = sources.place(node.span);
    let head = format!("\"{}\": {}", node.path, schema.name);
    Ok(match lines.as_slice() {
        [] => format!("        {head},  // {place}\n"),
        [only] if only.comment.is_empty() => {
            format!("        {head}({}),  // {place}\n", only.text.trim_end_matches(','))
        }
        lines => format!("        {head}(  // {place}\n{}        ),\n", aligned(lines, 12)),
    })
}

/// `shares`, `weights` and `trained`, where the node's own name and the default do not say it.
fn parameter_lines(checked: &Checked, node: &Node) -> Vec<Line> {
    let mut lines = Vec::new();
    let own = |index: &usize| checked.parameters().get_index(*index).expect("a node's parameters are the graph's");
    if let Some((key, index)) = node.parameters.first() {
        let (name, parameter) = own(index);
        let stem =
            if key.is_empty() { name } else { name.strip_suffix(key).map_or(name.as_str(), |stem| stem.trim_end_matches('.')) };
        if parameter.node != node.path {
            lines.push(Line::new(format!("shares: \"{stem}\","), format!("parameters of {}", parameter.node)));
        } else if *stem != *node.path {
            lines.push(Line::new(format!("weights: \"{stem}\","), "the names of its parameters".to_string()));
        }
    }
    let mut trained = node.parameters.iter().map(|(_, index)| own(index).1).filter(|own| own.spec.kind == ParameterKind::Trained);
    if trained.clone().next().is_some() && trained.all(|parameter| !parameter.trained) {
        lines.push(Line::new("trained: false,".to_string(), "frozen".to_string()));
    }
    lines
}

fn is_override(sources: &Sources, span: Span) -> bool {
    sources.path(span.file).starts_with("--set ")
}

/// Where values come from.
struct Origins<'c> {
    checked: &'c Checked,
    sources: &'c Sources,
}

impl Origins<'_> {
    /// The origin of a value written at `span` for the node or module of that path: its place, and the origins of the params in it.
    fn value(&self, span: Span, path: &str, depth: usize) -> String {
        let written = self.sources.slice(span);
        if is_override(self.sources, span) {
            return format!("{}={}", self.sources.path(span.file), self.sources.text(span.file));
        }
        let mut text = self.sources.place(span);
        let mut names: Vec<String> = Vec::new();
        // Lists hold expressions too: every quoted part is looked at.
        for part in written.split('"').skip(1).step_by(2) {
            if let Ok(expression) = sward_core::expr::parse(part) {
                expression.for_each_name(&mut |name, _| {
                    if !names.iter().any(|known| known == name) {
                        names.push(name.to_string());
                    }
                });
            }
        }
        let params: Vec<String> = names
            .iter()
            .filter_map(|name| self.find(name, span, path))
            .filter(|_| depth < 6)
            .map(|param| format!("{} = {}: {}", param.name, shown(&param.value), self.param(param, depth + 1)))
            .collect();
        if !params.is_empty() {
            text += &format!("; {}", params.join("; "));
        }
        text
    }

    /// The origin of a param's value.
    fn param(&self, param: &ResolvedParam, depth: usize) -> String {
        let Some(span) = param.span else { return format!("open, {}", self.sources.place(param.declared)) };
        if param.is_default {
            return format!("default, {}", self.sources.place(span));
        }
        // A placing node's expression is evaluated in the module that holds the node.
        let parent = param.instance.rfind('.').map_or("", |dot| &param.instance[..dot]);
        self.value(span, parent, depth)
    }

    /// The param of that name in the innermost module around the path that the text belongs to.
    fn find(&self, name: &str, span: Span, path: &str) -> Option<&ResolvedParam> {
        let holds = |instance: &str| {
            instance.is_empty() || path == instance || path.strip_prefix(instance).is_some_and(|rest| rest.starts_with('.'))
        };
        let params = self.checked.params().iter();
        params
            .filter(|param| *param.name == *name && param.declared.file == span.file && holds(&param.instance))
            .max_by_key(|param| param.instance.len())
    }
}

fn shown(value: &Constant) -> String {
    let text = value.to_string();
    if text.chars().count() <= 40 { text } else { format!("{}…", text.chars().take(39).collect::<String>()) }
}
