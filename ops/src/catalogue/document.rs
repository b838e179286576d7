//! The catalogue for readers: the page `docs/ops.md`, and the JSON that `sward schema` prints.

use super::catalogue;
use serde_json::{Value, json};
use std::fmt::Write;
use sward_core::op::{Accepts, Default, Field, FieldKind, Outputs, Port, PortKind, Schema};

/// The version of the JSON that [`schema`] returns; raised when a reader of it must change.
pub const SCHEMA_VERSION: u32 = 1;

/// The headings of the page, in its order.
const CATEGORIES: &[&str] = &[
    "Sources",
    "Dense layers",
    "Convolution",
    "Normalization",
    "Attention",
    "Activations",
    "Elementwise",
    "Reductions",
    "Shape",
    "Indexing",
    "Pooling and resizing",
    "Regularization",
];

/// The catalogue as JSON: one object an op, by name.
pub fn schema() -> Value {
    let ops: Vec<Value> = catalogue().schemas().map(op_json).collect();
    json!({ "version": SCHEMA_VERSION, "ops": ops })
}

fn op_json(schema: &'static Schema) -> Value {
    json!({
        "name": schema.name,
        "category": schema.category,
        "doc": schema.doc,
        "inputs": schema.ports.iter().map(port_json).collect::<Vec<_>>(),
        "fields": schema.fields.iter().map(field_json).collect::<Vec<_>>(),
        "outputs": match schema.outputs {
            Outputs::Named(names) => json!({ "names": names }),
            Outputs::OnRequest(names) => json!({ "names": names, "main": names[0] }),
            Outputs::Counted { fields } => json!({ "counted_by": fields }),
        },
        "parameters": schema.parameters,
        "shape": schema.shape_rule,
        "domain": schema.domain_rule,
        "gradient": schema.gradient,
        "pytorch": schema.pytorch,
        "example": schema.example,
    })
}

fn port_json(port: &Port) -> Value {
    let count = match port.kind {
        PortKind::One => "one",
        PortKind::Optional => "optional",
        PortKind::Many => "many",
        PortKind::Named => "named",
    };
    json!({ "name": port.name, "count": count, "dtypes": dtypes(port.accepts), "number": port.literal, "doc": port.doc })
}

fn dtypes(accepts: Accepts) -> &'static [&'static str] {
    match accepts {
        Accepts::Float => &["F32"],
        Accepts::Integer => &["I64"],
        Accepts::Bool => &["Bool"],
        Accepts::Number => &["F32", "I64"],
        Accepts::Any => &["F32", "I64", "Bool"],
    }
}

fn field_json(field: &Field) -> Value {
    let mut object = json!({
        "name": field.name,
        "kind": kind_name(field.kind),
        "required": field.default == Default::Required,
        "default": default_json(field.default),
        "doc": field.doc,
    });
    if let FieldKind::Choice(words) = field.kind {
        object["choices"] = json!(words);
    }
    object
}

fn kind_name(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Dim => "size",
        FieldKind::Int => "whole number",
        FieldKind::Float => "number",
        FieldKind::Flag => "flag",
        FieldKind::Choice(_) => "choice",
        FieldKind::Text => "text",
        FieldKind::Dims => "list of sizes",
        FieldKind::Ints => "list of whole numbers",
        FieldKind::Floats => "list of numbers",
        FieldKind::Pair => "size or pair",
        FieldKind::Padding => "padding",
        FieldKind::Initial => "initial values",
        FieldKind::DType => "dtype",
        FieldKind::Formula => "formula",
    }
}

fn default_json(default: Default) -> Value {
    match default {
        Default::Required | Default::Absent => Value::Null,
        Default::Int(value) => json!(value),
        Default::Float(value) => json!(value),
        Default::Flag(value) => json!(value),
        Default::Choice(value) | Default::Text(value) => json!(value),
        Default::Ints(values) => json!(values),
        Default::DType(value) => json!(super::support::language_dtype(value)),
        Default::Initial(value) => json!(value.to_string()),
    }
}

/// The page `docs/ops.md`.
pub fn page() -> String {
    let mut page = String::from(
        "# Ops\n\n<!-- Written by `SWARD_BLESS=1 cargo test -p sward-ops --test ops_page`; edit the op's file in ops/src/catalogue instead. -->\n\nEvery op of the language: its inputs, fields and rules. Names and defaults are PyTorch's where PyTorch has the op. Axes are counted from 0, or from -1 at the end; wherever\na number stands, an expression in quotes may stand.\n",
    );
    for category in CATEGORIES {
        let names: Vec<String> =
            of_category(category).map(|schema| format!("[{}](#{})", schema.name, schema.name.to_lowercase())).collect();
        let _ = write!(page, "\n**{category}**: {}\n", names.join(", "));
    }
    for category in CATEGORIES {
        let _ = write!(page, "\n## {category}\n");
        for schema in of_category(category) {
            write_op(&mut page, schema);
        }
    }
    page
}

fn of_category(category: &str) -> impl Iterator<Item = &'static Schema> {
    catalogue().schemas().filter(move |schema| schema.category == category)
}

fn write_op(page: &mut String, schema: &Schema) {
    let _ = write!(page, "\n### {}\n\n{}\n\n```ron\n{}\n```\n\n", schema.name, schema.doc, schema.example);
    if !schema.ports.is_empty() || !schema.fields.is_empty() {
        page.push_str("| input or field | takes | default | meaning |\n|---|---|---|---|\n");
    }
    for port in schema.ports {
        let count = match port.kind {
            PortKind::One | PortKind::Named => "",
            PortKind::Optional => ", may be left out",
            PortKind::Many => ", a list",
        };
        let _ = writeln!(page, "| `{}` | {}{count} | | {} |", port.name, dtypes(port.accepts).join(" or "), port.doc);
    }
    for field in schema.fields {
        let takes = match field.kind {
            FieldKind::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
            kind => kind_name(kind).to_string(),
        };
        let default = default_text(field);
        let _ = writeln!(page, "| `{}` | {takes} | {default} | {} |", field.name, field.doc);
    }
    if !schema.ports.is_empty() || !schema.fields.is_empty() {
        page.push('\n');
    }
    let outputs = match schema.outputs {
        Outputs::Named(&[_]) => String::new(),
        Outputs::Named(names) => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
        Outputs::OnRequest(names) => {
            let others: Vec<String> = names[1..].iter().map(|name| format!("`{name}`")).collect();
            format!("`{}`, which the node's name alone means, and {} where something names it", names[0], others.join(", "))
        }
        Outputs::Counted { .. } => "`0`, `1`, ...".to_string(),
    };
    let lines = [
        ("Outputs", outputs),
        ("Shape", code(schema.shape_rule)),
        ("Parameters", schema.parameters.to_string()),
        ("Domain", schema.domain_rule.to_string()),
        ("Gradient", schema.gradient.to_string()),
        ("PyTorch", code(schema.pytorch)),
    ];
    for (title, text) in lines.iter().filter(|(_, text)| !text.is_empty()) {
        let _ = writeln!(page, "- {title}: {text}");
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn default_text(field: &Field) -> String {
    match (field.default, field.kind) {
        (Default::Required, _) => "must be written".to_string(),
        (Default::Absent, _) => "none".to_string(),
        (Default::Ints(values), FieldKind::Pair | FieldKind::Padding) if values.windows(2).all(|pair| pair[0] == pair[1]) => {
            code(&values[0].to_string())
        }
        (default, _) => match default_json(default) {
            Value::String(word) => code(&word),
            value => code(&value.to_string()),
        },
    }
}
