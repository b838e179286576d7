//! What a checked graph would look like in a file: references, fields and formulas as one would write them.

use sward_core::check::{Checked, Node, NodeKind, Source};
use sward_core::dim::Dim;
use sward_core::op::{FieldKind, FieldValue, FormulaName, FormulaText, Initializer, Outputs, PortKind, output_names};
use sward_core::source::{Span, Spanned};
use sward_core::syntax::{self, Call, Field, Kind, Value};

/// A name that cannot stand in a formula.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the formula of `{node}` reads `{name}`, and in a formula this would not be a name: letters, digits and `_` are")]
pub struct NotAFormulaName {
    /// The node with the formula.
    pub node: String,
    /// The node or output that it reads.
    pub name: String,
}

/// A tensor as a file refers to it: `node`, `node:port`, or a number.
pub fn reference(checked: &Checked, source: Source) -> String {
    match source {
        Source::Number(number) => format!("{number:?}"),
        Source::Node { node, output } => {
            let node = &checked.graph()[node];
            let NodeKind::Op { op, fields, .. } = &node.kind else { return node.path.to_string() };
            let is_main = output == 0 && matches!(op.schema().outputs, Outputs::OnRequest(_));
            match output_names(op.schema(), fields).as_slice() {
                names if names.len() > 1 && !is_main => format!("{}:{}", node.path, names[output as usize]),
                _ => node.path.to_string(),
            }
        }
    }
}

/// A field's value in the language; `None` where it is absent or is a start that has no word in the language.
pub fn field(node: &Node, kind: FieldKind, value: &FieldValue, named: &[String]) -> Result<Option<Value>, NotAFormulaName> {
    let at = |kind| Value { span: node.span, kind };
    Ok(Some(match value {
        FieldValue::Absent => return Ok(None),
        FieldValue::Dim(dim) => at(size(dim)),
        FieldValue::Float(number) => at(Kind::Float(*number)),
        FieldValue::Flag(flag) => at(Kind::Bool(*flag)),
        FieldValue::Choice(word) => at(Kind::Name((*word).to_string())),
        FieldValue::Text(text) => at(Kind::Text(text.replace('{', "{{").replace('}', "}}"))),
        FieldValue::Same => at(Kind::Name("Same".to_string())),
        FieldValue::DType(dtype) => at(Kind::Name(super::graph::dtype_word(*dtype).to_string())),
        FieldValue::Formula(formula) => at(Kind::Text(formula_text(node, formula, named)?)),
        FieldValue::List(items) => {
            let is_even = matches!(kind, FieldKind::Pair | FieldKind::Padding) && items.windows(2).all(|two| two[0] == two[1]);
            if is_even && let Some(first) = items.first() {
                return field(node, kind, first, named);
            }
            let items: Result<Vec<_>, _> = items.iter().map(|item| field(node, kind, item, named)).collect();
            at(Kind::List(items?.into_iter().flatten().collect()))
        }
        FieldValue::Initial(initial) => match initializer(initial, node.span) {
            Some(kind) => at(kind),
            None => return Ok(None),
        },
    }))
}

/// A size in the language: a number, or an expression in quotes.
pub fn size(dim: &Dim) -> Kind {
    dim.as_constant().map_or_else(|| Kind::Text(dim.to_string()), Kind::Integer)
}

fn initializer(initial: &Initializer, span: Span) -> Option<Kind> {
    let call = |name: &str, key: Option<&str>, number: f64| {
        let value = Value { span, kind: Kind::Float(number) };
        let (mut items, mut fields) = (Vec::new(), Vec::new());
        match key {
            Some(key) => fields.push(Field { key: Spanned::new(key.to_string(), span), value }),
            None => items.push(value),
        }
        Kind::Call(Call { name: Some(Spanned::new(name.to_string(), span)), items, fields })
    };
    match *initial {
        Initializer::Fill(value) => Some(call("Fill", None, value)),
        Initializer::Normal { std } => Some(call("Normal", Some("std"), std)),
        Initializer::TruncatedNormal { std } => Some(call("TruncatedNormal", Some("std"), std)),
        Initializer::Uniform { bound } => Some(call("Uniform", Some("bound"), bound)),
        // It follows the start of the op's other parameter, so it is only ever a default.
        Initializer::FanInOfWeight => None,
        word => Some(Kind::Name(word.to_string())),
    }
}

/// A value on one line, for people and comparisons.
pub fn one_line(value: &Value) -> String {
    let text = syntax::print(value);
    let parts: Vec<&str> = text.lines().map(str::trim).collect();
    parts
        .join(" ")
        .replace("( ", "(")
        .replace("[ ", "[")
        .replace(", )", ")")
        .replace(", ]", "]")
        .replace(",)", ")")
        .replace(",]", "]")
}

/// The formula with the paths of what it reads, and with the values of params.
fn formula_text(node: &Node, formula: &FormulaText, named: &[String]) -> Result<String, NotAFormulaName> {
    let mut places = Vec::new();
    formula.expression.for_each_name(&mut |name, range| places.push((range, name.to_string())));
    places.sort_by_key(|(range, _)| range.start);
    let mut text = String::new();
    let mut end = 0;
    for (range, name) in places {
        text += &formula.text[end..range.start];
        end = range.end;
        text += &match formula.names.iter().find(|(own, _)| *own == name).map(|(_, value)| value) {
            Some(FormulaName::Input(index)) => {
                let path = &named[*index];
                if !may_stand_in_formula(path) {
                    return Err(NotAFormulaName { node: node.path.to_string(), name: path.clone() });
                }
                path.clone()
            }
            Some(FormulaName::Number(number)) => number_text(*number),
            Some(FormulaName::Size(dim)) if dim.as_name().is_some() => dim.to_string(),
            Some(FormulaName::Size(dim)) => match dim.as_constant() {
                Some(number) => number_text(number as f64),
                None => format!("({dim})"),
            },
            None => name,
        };
    }
    text += &formula.text[end..];
    Ok(text)
}

fn number_text(number: f64) -> String {
    let text = if number.fract() == 0.0 && number.abs() < 1e15 { format!("{number:.0}") } else { format!("{number:?}") };
    if number < 0.0 { format!("({text})") } else { text }
}

fn may_stand_in_formula(path: &str) -> bool {
    let is_word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
    path.split(['.', ':']).all(is_word) && path.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// What a node reads, port by port: the port's name, whether it takes a list, and the references.
pub fn ports(checked: &Checked, node: &Node) -> Vec<(&'static str, PortKind, Vec<String>)> {
    let NodeKind::Op { op, .. } = &node.kind else { return Vec::new() };
    let read = |sources: &[Source]| sources.iter().map(|source| reference(checked, *source)).collect::<Vec<_>>();
    op.schema().ports.iter().zip(&node.inputs).map(|(port, sources)| (port.name, port.kind, read(sources))).collect()
}

/// What the formula of a node reads, in the order of its port.
pub fn named(checked: &Checked, node: &Node) -> Vec<String> {
    ports(checked, node).into_iter().find(|(_, kind, _)| *kind == PortKind::Named).map_or_else(Vec::new, |(_, _, read)| read)
}
