//! Reading nodes: ops, `Use`, `Repeat`, `Chain`, `If` and `As`.

use super::elsewhere::instead_of;
use super::fields::{FieldReader, map_entries, unknown_field};
use super::module::{
    AsBody, Body, ChainBody, FieldExpression, IfBody, OpBody, PortExpression, Reference, RepeatBody, RepeatCount,
    SourceExpression, UseBody, ValueSet,
};
use super::read::Reader;
use crate::diagnostic::{Diagnostic, codes};
use crate::op::{FieldKind, PortKind, Schema};
use crate::source::{Span, Spanned};
use crate::suggest::nearest;
use crate::syntax::{Call, Kind, Value};
use std::sync::Arc;

/// Constructs of the language that stand where an op may.
pub const CONSTRUCTS: &[&str] = &["Use", "Repeat", "Chain", "If", "As"];

/// Fields that every op with parameters takes.
const COMMON_FIELDS: &[&str] = &["shares", "weights", "trained"];

/// Reads a node's body. `needs_input` is false inside a chain or a repeat, where the first input is fed from outside.
pub(super) fn read_body(reader: &mut Reader<'_>, value: &Value, needs_input: bool) -> Body {
    let body = match &value.kind {
        Kind::Name(name) => read_op(reader, value, name, value.span, None, needs_input),
        Kind::Call(call) => match &call.name {
            Some(name) => match name.value.as_str() {
                "Use" => read_use(reader, value),
                "Repeat" => read_repeat(reader, value, needs_input),
                "Chain" => read_chain(reader, value, needs_input),
                "If" => read_if(reader, value, needs_input),
                "As" => read_as(reader, value).map(Body::As),
                op => read_op(reader, value, op, name.span, Some(call), needs_input),
            },
            None => not_a_node(reader, value),
        },
        _ => not_a_node(reader, value),
    };
    body.unwrap_or(Body::Broken { span: value.span, references: Vec::new() })
}

fn not_a_node(reader: &mut Reader<'_>, value: &Value) -> Option<Body> {
    reader.push(
        Diagnostic::new(codes::FORM, format!("a node is an op with its fields, not {}", value.describe()), value.span)
            .help("write for example Linear(from: \"x\", units: 8)"),
    );
    None
}

fn read_op(
    reader: &mut Reader<'_>,
    value: &Value,
    name: &str,
    name_span: Span,
    call: Option<&Call>,
    needs_input: bool,
) -> Option<Body> {
    let Some(op) = reader.catalogue.get(name) else {
        let known = reader.catalogue.names().chain(CONSTRUCTS.iter().copied());
        let diagnostic = Diagnostic::new(codes::UNKNOWN_OP, format!("there is no op called `{name}`"), name_span);
        let diagnostic = match instead_of(name) {
            Some(instead) => diagnostic.help(instead),
            None if reader.diagnostics.is_full() => diagnostic,
            None => diagnostic.suggest(nearest(name, known)),
        };
        reader.push(diagnostic.help("docs/ops.md lists the ops; another graph file is placed with Use(module: ...)"));
        // Whatever op was meant, `from` names what it reads.
        let from = call.and_then(|call| call.field("from")).map(|field| &field.value);
        let references = from.into_iter().filter_map(reference).collect();
        return Some(Body::Broken { span: value.span, references });
    };
    let schema = op.schema();
    let mut body = OpBody {
        op,
        ports: schema.ports.iter().map(|_| None).collect(),
        fields: schema.fields.iter().map(|_| None).collect(),
        shares: None,
        weights: None,
        trained: true,
        name_span,
        span: value.span,
    };
    let mut sound = true;
    if let Some(call) = call {
        sound &= read_items(reader, schema, call, &mut body);
        for field in &call.fields {
            let key = field.key.value.as_str();
            let port = schema.ports.iter().position(|port| port.name == key && port.kind != PortKind::Named);
            if let Some(index) = port {
                match read_port(reader, schema, index, &field.value) {
                    Some(expression) => body.ports[index] = Some(expression),
                    None => sound = false,
                }
            } else if let Some(index) = schema.field_index(key) {
                if body.fields[index].is_some() {
                    reader.push(Diagnostic::new(
                        codes::UNNAMED_VALUE,
                        format!("`{key}` is given twice: as the unnamed value and by name"),
                        field.key.span,
                    ));
                    sound = false;
                    continue;
                }
                body.fields[index] = Some(FieldExpression::of(&field.value));
            } else if !schema.parameters.is_empty() && key == "shares" {
                body.shares = reader.text(&field.value, "a node's name");
            } else if !schema.parameters.is_empty() && key == "weights" {
                body.weights = reader.text(&field.value, "a path");
                if let Some(weights) = &body.weights {
                    reader.check_name(&weights.clone().map(Arc::from));
                }
            } else if !schema.parameters.is_empty() && key == "trained" {
                match field.value.kind {
                    Kind::Bool(flag) => body.trained = flag,
                    _ => reader.push(Diagnostic::new(codes::FIELD_FORM, "`trained` is true or false", field.value.span)),
                }
            } else {
                let mut known: Vec<&str> =
                    schema.ports.iter().filter(|port| port.kind != PortKind::Named).map(|port| port.name).collect();
                known.extend(schema.fields.iter().map(|field| field.name));
                if !schema.parameters.is_empty() {
                    known.extend(COMMON_FIELDS);
                }
                reader.push(unknown_field(schema.name, key, field.key.span, &known));
                sound = false;
            }
        }
    }
    if let (Some(shares), Some(weights)) = (&body.shares, &body.weights) {
        reader.push(
            Diagnostic::new(
                codes::FIELD_FORM,
                "`weights` names parameters of the op's own; with `shares` it has none",
                weights.span,
            )
            .label(shares.span, "the parameters of this node are taken"),
        );
        sound = false;
    }
    for (index, field) in schema.fields.iter().enumerate() {
        if field.default == crate::op::Default::Required && body.fields[index].is_none() {
            reader.push(
                Diagnostic::new(codes::MISSING_FIELD, format!("`{}` needs the field `{}`", schema.name, field.name), value.span)
                    .text(format!("`{}` is missing", field.name))
                    .help(format!("`{}`: {}", field.name, field.doc)),
            );
            sound = false;
        }
    }
    let missing: Vec<usize> = (0..schema.ports.len())
        .filter(|index| body.ports[*index].is_none() && matches!(schema.ports[*index].kind, PortKind::One | PortKind::Many))
        .collect();
    if !needs_input && missing.is_empty() && sound {
        reader.push(
            Diagnostic::new(
                codes::FED_TWICE,
                format!("`{}` is fed by the step before it, and all its inputs are named", schema.name),
                value.span,
            )
            .help("leave the input out that the step before gives, or make this a node of its own"),
        );
        sound = false;
    }
    // An unnamed value is probably the input that is missing.
    let has_unnamed =
        call.is_some_and(|call| !call.items.is_empty()) && !schema.fields.iter().any(|field| field.kind == FieldKind::Formula);
    for index in missing.into_iter().skip(if has_unnamed { usize::MAX } else { usize::from(!needs_input) }) {
        let port = &schema.ports[index];
        reader.push(
            Diagnostic::new(codes::MISSING_INPUT, format!("`{}` needs the input `{}`", schema.name, port.name), value.span)
                .text(format!("`{}` is missing", port.name))
                .help(format!("`{}`: {}", port.name, port.doc)),
        );
        sound = false;
    }
    if !sound {
        let sources = body.ports.into_iter().flatten().flat_map(|port| port.sources);
        let references = sources.filter_map(|source| match source {
            SourceExpression::Reference(reference) => Some(reference),
            SourceExpression::Number(..) => None,
        });
        return Some(Body::Broken { span: value.span, references: references.collect() });
    }
    Some(Body::Op(body))
}

/// Unnamed values: a formula's text, or the op's first field where it has exactly one unnamed value.
fn read_items(reader: &mut Reader<'_>, schema: &'static Schema, call: &Call, body: &mut OpBody) -> bool {
    let formula = schema.fields.iter().position(|field| field.kind == FieldKind::Formula);
    let mut sound = true;
    for (position, item) in call.items.iter().enumerate() {
        match formula {
            Some(index) if position == 0 => {
                body.fields[index] = Some(FieldExpression::of(item));
            }
            _ => {
                let example = schema.example;
                reader.push(
                    Diagnostic::new(codes::UNNAMED_VALUE, format!("the values of `{}` have names", schema.name), item.span)
                        .help(format!("write for example {example}")),
                );
                sound = false;
            }
        }
    }
    sound
}

fn read_port(reader: &mut Reader<'_>, schema: &'static Schema, index: usize, value: &Value) -> Option<PortExpression> {
    let port = &schema.ports[index];
    let (values, is_list): (Vec<&Value>, bool) = match &value.kind {
        Kind::List(items) => (items.iter().collect(), true),
        _ => (vec![value], false),
    };
    if is_list && port.kind != PortKind::Many {
        reader.push(Diagnostic::new(
            codes::FIELD_FORM,
            format!("`{}.{}` takes one tensor, not a list", schema.name, port.name),
            value.span,
        ));
        return None;
    }
    if values.is_empty() {
        reader.push(Diagnostic::new(
            codes::MISSING_INPUT,
            format!("`{}.{}` needs at least one tensor", schema.name, port.name),
            value.span,
        ));
        return None;
    }
    let sources = values.into_iter().map(|value| read_source(reader, value, port.literal)).collect::<Option<Vec<_>>>()?;
    Some(PortExpression { sources, is_list, span: value.span })
}

fn read_source(reader: &mut Reader<'_>, value: &Value, literal: bool) -> Option<SourceExpression> {
    match value.kind {
        Kind::Integer(number) if literal => Some(SourceExpression::Number(number as f64, value.span)),
        Kind::Float(number) if literal => Some(SourceExpression::Number(number, value.span)),
        Kind::Integer(_) | Kind::Float(_) => {
            reader.push(
                Diagnostic::new(codes::FIELD_FORM, "a tensor is expected here, not a number", value.span)
                    .help("name a node or an input in quotes; Constant(value: ...) makes a tensor of a number"),
            );
            None
        }
        _ => read_reference(reader, value).map(SourceExpression::Reference),
    }
}

/// What a text names.
fn reference(value: &Value) -> Option<Reference> {
    let text = value.as_text()?;
    Some(Reference { text: Arc::from(text), is_template: text.contains('{'), span: value.span })
}

/// Reads the name of a tensor.
pub(super) fn read_reference(reader: &mut Reader<'_>, value: &Value) -> Option<Reference> {
    match &value.kind {
        Kind::Text(text) if text.is_empty() => {
            reader.push(Diagnostic::new(codes::UNKNOWN_NODE, "the name of a node is empty", value.span));
            None
        }
        Kind::Text(_) => reference(value),
        _ => {
            reader.push(
                Diagnostic::new(
                    codes::FIELD_FORM,
                    format!("the name of a node is expected, not {}", value.describe()),
                    value.span,
                )
                .help("write it in quotes: \"node\" or \"node:port\""),
            );
            None
        }
    }
}

pub(super) fn read_as(reader: &mut Reader<'_>, value: &Value) -> Option<AsBody> {
    let Kind::Call(call) = &value.kind else { return None };
    let ([source, stated], true) = (call.items.as_slice(), call.fields.is_empty()) else {
        reader.push(
            Diagnostic::new(codes::FORM, "As takes a node and a type", value.span)
                .help("write As(\"node\", F32([\"batch\", 8]))"),
        );
        return None;
    };
    let source = read_reference(reader, source)?;
    let tensor_type = reader.tensor_type(stated)?;
    Some(AsBody { source, tensor_type, span: value.span })
}

fn read_use(reader: &mut Reader<'_>, value: &Value) -> Option<Body> {
    let known = ["module", "inputs", "from", "params", "shares", "prefix", "trained"];
    let mut fields = FieldReader::new(value, "Use", &known, reader.diagnostics);
    let module = fields.required("module", reader.diagnostics);
    let inputs = fields.map("inputs", reader.diagnostics);
    let from = fields.value("from");
    let params = fields.map("params", reader.diagnostics);
    let shares = fields.text("shares", reader.diagnostics);
    let prefix = fields.text("prefix", reader.diagnostics);
    let trained = fields.flag("trained", true, reader.diagnostics);
    let module = reader.text(module?, "the path of a graph file")?;
    let from = match from {
        Some(from) => Some(read_source(reader, from, false)?),
        None => None,
    };
    if let Some(prefix) = prefix.as_ref().filter(|prefix| !prefix.value.is_empty()) {
        reader.push(
            Diagnostic::new(codes::FIELD_FORM, "`prefix` can only be \"\"", prefix.span)
                .help("to change the prefix of parameter names, rename the node"),
        );
    }
    let mut sources = Vec::with_capacity(inputs.len());
    for (name, input) in inputs {
        sources.push((name, read_source(reader, input, false)?));
    }
    let params = params.into_iter().map(|(name, value)| (name, FieldExpression::of(value))).collect();
    Some(Body::Use(UseBody { module, inputs: sources, from, params, shares, bare: prefix.is_some(), trained, span: value.span }))
}

fn read_repeat(reader: &mut Reader<'_>, value: &Value, needs_input: bool) -> Option<Body> {
    let mut fields = FieldReader::new(value, "Repeat", &["times", "over", "of"], reader.diagnostics);
    let times = fields.value("times");
    let over = fields.value("over");
    let of = fields.required("of", reader.diagnostics)?;
    let count = match (times, over) {
        (Some(times), None) => RepeatCount::Times(FieldExpression::of(times)),
        (None, Some(over)) => RepeatCount::Over(read_sets(reader, over)?),
        _ => {
            reader.push(
                Diagnostic::new(codes::MISSING_FIELD, "`Repeat` needs one of the fields `times` and `over`", value.span)
                    .help("write times: 4, or over: [{ \"width\": 64 }, { \"width\": 128 }]"),
            );
            return None;
        }
    };
    let of = Box::new(read_body(reader, of, needs_input));
    Some(Body::Repeat(RepeatBody { count, of, span: value.span }))
}

fn read_sets(reader: &mut Reader<'_>, over: &Value) -> Option<Vec<ValueSet>> {
    let Kind::List(sets) = &over.kind else {
        reader.push(Diagnostic::new(
            codes::FIELD_FORM,
            format!("`Repeat.over` is a list of maps, not {}", over.describe()),
            over.span,
        ));
        return None;
    };
    let mut read = Vec::with_capacity(sets.len());
    for set in sets {
        let Some(entries) = map_entries(set, reader.diagnostics) else {
            reader.push(Diagnostic::new(
                codes::FIELD_FORM,
                format!("`Repeat.over` is a list of maps; this is {}", set.describe()),
                set.span,
            ));
            return None;
        };
        read.push(entries.into_iter().map(|(name, value)| (name, FieldExpression::of(value))).collect());
    }
    Some(read)
}

fn read_chain(reader: &mut Reader<'_>, value: &Value, needs_input: bool) -> Option<Body> {
    let mut fields = FieldReader::new(value, "Chain", &["from", "layers"], reader.diagnostics);
    let from = fields.value("from");
    let layers = fields.required("layers", reader.diagnostics)?;
    if from.is_none() && needs_input {
        reader
            .push(Diagnostic::new(codes::MISSING_INPUT, "`Chain` needs the input `from`", value.span).text("`from` is missing"));
        return None;
    }
    let from = match from {
        Some(from) => Some(read_source(reader, from, false)?),
        None => None,
    };
    let mut steps = Vec::new();
    match &layers.kind {
        Kind::List(items) => {
            for (position, item) in items.iter().enumerate() {
                let name = Spanned::new(Arc::from(position.to_string()), item.span);
                steps.push((name, read_body(reader, item, false)));
            }
        }
        Kind::Map(_) => {
            for (name, item) in map_entries(layers, reader.diagnostics)? {
                reader.check_name(&name);
                steps.push((name, read_body(reader, item, false)));
            }
        }
        _ => {
            reader.push(Diagnostic::new(
                codes::FIELD_FORM,
                format!("`Chain.layers` is a list or a map of ops, not {}", layers.describe()),
                layers.span,
            ));
            return None;
        }
    }
    if steps.is_empty() {
        reader.push(Diagnostic::new(codes::FIELD_FORM, "a chain has at least one step", layers.span));
        return None;
    }
    Some(Body::Chain(ChainBody { from, steps, span: value.span }))
}

fn read_if(reader: &mut Reader<'_>, value: &Value, needs_input: bool) -> Option<Body> {
    let mut fields = FieldReader::new(value, "If", &["condition", "then", "otherwise"], reader.diagnostics);
    let condition = fields.required("condition", reader.diagnostics)?;
    let then = fields.required("then", reader.diagnostics)?;
    let otherwise = fields.required("otherwise", reader.diagnostics)?;
    let condition = FieldExpression::of(condition);
    let then = Box::new(read_body(reader, then, needs_input));
    let otherwise = Box::new(read_body(reader, otherwise, needs_input));
    Some(Body::If(IfBody { condition, then, otherwise, span: value.span }))
}
