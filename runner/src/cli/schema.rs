//! `sward schema`: the catalogue of ops.

use super::Exit;
use super::graph::{TextOrJson, write_out};
use clap::Args;
use std::fmt::Write;
use sward_core::op::Schema;
use sward_core::suggest::nearest;
use sward_ops::catalogue::{catalogue, document};

/// Arguments of `schema`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward schema                           every op in a line
  sward schema Conv2d                    one op: inputs, fields with defaults, rules, an example
  sward schema --format json > ops.json  the whole catalogue, for programs; its `version` is raised when its form changes")]
pub struct Arguments {
    /// An op, by its name
    op: Option<String>,
    /// For people, or for programs
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
}

/// Runs `schema`.
pub fn run(arguments: &Arguments) -> Exit {
    let name = arguments.op.as_deref();
    if let Some(name) = name.filter(|name| catalogue().get(name).is_none()) {
        let near = nearest(name, catalogue().names()).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        eprintln!("error: there is no op called `{name}`{near}");
        return Exit::Usage;
    }
    let text = match (arguments.format, name.and_then(|name| catalogue().get(name))) {
        (TextOrJson::Text, None) => listing(),
        (TextOrJson::Text, Some(op)) => page(op.schema()),
        (TextOrJson::Json, op) => json(op.map(|op| op.schema().name)),
    };
    write_out(&text);
    Exit::Fine
}

/// The catalogue as JSON; with a name, only that op.
pub fn json(name: Option<&str>) -> String {
    let mut value = document::schema();
    if let (Some(name), Some(ops)) = (name, value["ops"].as_array_mut()) {
        ops.retain(|op| op["name"] == name);
    }
    // A value of texts and numbers always has a text.
    format!("{value:#}\n")
}

/// A line an op, under its headings.
pub fn listing() -> String {
    let schemas: Vec<&Schema> = catalogue().schemas().collect();
    let width = schemas.iter().map(|schema| schema.name.len()).max().unwrap_or(0);
    let mut categories: Vec<&str> = Vec::new();
    for schema in &schemas {
        if !categories.contains(&schema.category) {
            categories.push(schema.category);
        }
    }
    let mut text = String::new();
    for category in categories {
        text += &format!("{category}\n");
        for schema in schemas.iter().filter(|schema| schema.category == category) {
            let doc = schema.doc.split_once(". ").map_or(schema.doc, |(first, _)| first).trim_end_matches('.');
            text += &format!("  {:width$}  {doc}\n", schema.name);
        }
        text += "\n";
    }
    text.trim_end().to_string() + "\n"
}

/// One op for people.
pub fn page(schema: &Schema) -> String {
    let mut value = document::schema();
    let op = value["ops"].as_array_mut().and_then(|ops| ops.iter_mut().find(|op| op["name"] == schema.name)).map(std::mem::take);
    let op = op.unwrap_or_default();
    let mut text = format!("{}: {}\n", schema.name, schema.doc);
    let mut section = |title: &str, rows: Vec<[String; 3]>| {
        if rows.is_empty() {
            return;
        }
        let _ = writeln!(text, "\n{title}");
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let (first, second) = (width(0), width(1));
        for [name, kind, doc] in &rows {
            let _ = writeln!(text, "  {name:first$}  {kind:second$}  {doc}");
        }
    };
    let word = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
    let rows = |key: &str| op[key].as_array().cloned().unwrap_or_default();
    section(
        "Inputs",
        rows("inputs")
            .iter()
            .map(|port| {
                let dtypes: Vec<String> = port["dtypes"].as_array().into_iter().flatten().map(&word).collect();
                let number = if port["number"] == true { ", or a number" } else { "" };
                let count = match port["count"].as_str() {
                    Some("optional") => ", optional",
                    Some("many") => ", a list",
                    Some("named") => ", those the formula names",
                    _ => "",
                };
                [word(&port["name"]), format!("{}{count}{number}", dtypes.join(" or ")), word(&port["doc"])]
            })
            .collect(),
    );
    section(
        "Fields",
        rows("fields")
            .iter()
            .map(|field| {
                let kind = match field["choices"].as_array() {
                    Some(choices) => choices.iter().map(&word).collect::<Vec<_>>().join(" | "),
                    None => word(&field["kind"]),
                };
                let default = match (&field["required"], &field["default"]) {
                    (serde_json::Value::Bool(true), _) => "required".to_string(),
                    (_, serde_json::Value::Null) => "may be left out".to_string(),
                    (_, default) => format!("default {}", word(default)),
                };
                [word(&field["name"]), format!("{kind}, {default}"), word(&field["doc"])]
            })
            .collect(),
    );
    let outputs = match schema.outputs {
        sward_core::op::Outputs::Named(names) => names.join(", "),
        sward_core::op::Outputs::OnRequest(names) => format!("{}; on request {}", names[0], names[1..].join(", ")),
        sward_core::op::Outputs::Counted { fields } => format!("0, 1, ...: as many as {} says", fields.join(" or ")),
    };
    let _ = write!(text, "\noutputs:    {outputs}\n");
    for (title, line) in [
        ("parameters", schema.parameters),
        ("shape", schema.shape_rule),
        ("domain", schema.domain_rule),
        ("gradient", schema.gradient),
        ("PyTorch", schema.pytorch),
        ("example", schema.example),
    ] {
        if !line.is_empty() {
            let title = format!("{title}:");
            let _ = writeln!(text, "{title:11} {line}");
        }
    }
    text
}
