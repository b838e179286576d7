//! Evaluating what stands in fields: expressions in a scope, by the kind that a field or param takes.

use crate::diagnostic::{Diagnostic, codes};
use crate::dim::{Dim, Obligation};
use crate::expr::{self, Constant, Expr, ExprError, ExprErrorKind, Interpolated, Scope};
use crate::language::{FieldExpression, FieldForm, ParamKind, within};
use crate::op::{FieldKind, FieldValue, Initializer};
use crate::program::DType;
use crate::source::Span;
use crate::suggest::nearest;
use crate::syntax::{Kind, Value};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// The names that expressions of one module instance may use, innermost last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names {
    values: FxHashMap<Arc<str>, Constant>,
    frames: Vec<Vec<(Arc<str>, Constant)>>,
}

impl Names {
    /// Defines a name of the instance.
    pub fn define(&mut self, name: &str, value: Constant) {
        self.values.insert(Arc::from(name), value);
    }

    /// Opens a frame (one iteration of a `Repeat`).
    pub fn push(&mut self, frame: Vec<(Arc<str>, Constant)>) {
        self.frames.push(frame);
    }

    /// Closes the innermost frame.
    pub fn pop(&mut self) {
        self.frames.pop();
    }
}

impl Scope for Names {
    fn lookup(&self, name: &str) -> Option<Constant> {
        for frame in self.frames.iter().rev() {
            if let Some((_, value)) = frame.iter().find(|(own, _)| &**own == name) {
                return Some(value.clone());
            }
        }
        self.values.get(name).cloned()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.values.keys().map(|name| name.to_string()).collect();
        names.extend(self.frames.iter().flatten().map(|(name, _)| name.to_string()));
        names.sort();
        names.dedup();
        names
    }
}

/// Obligations that evaluation collects.
pub type Obligations = Vec<(Obligation, Span)>;

/// Turns an expression's error into a diagnostic at its place in the quotes.
pub fn expression_error(error: &ExprError, text: &str, span: Span) -> Diagnostic {
    let place = within(span, text, error.range.clone());
    match &error.kind {
        ExprErrorKind::UnknownName { name, known } => {
            let diagnostic = Diagnostic::new(codes::UNKNOWN_NAME, error.message.clone(), place);
            match nearest(name, known.iter().map(String::as_str)) {
                Some(near) => diagnostic.suggest(Some(near)),
                None if known.is_empty() => diagnostic.help("this file has no params and its inputs bind no dimensions"),
                None => diagnostic.help(format!("the names known here are {}", known.join(", "))),
            }
        }
        ExprErrorKind::UnknownFunction { name, known } => Diagnostic::new(codes::EXPRESSION, error.message.clone(), place)
            .suggest(nearest(name, known.iter().map(String::as_str))),
        ExprErrorKind::Undecided => Diagnostic::new(codes::UNDECIDED, error.message.clone(), place)
            .help("decide by params that have numbers; sizes of inputs are open when a graph is read"),
        ExprErrorKind::Arithmetic(_) => Diagnostic::new(codes::SIZE_ARITHMETIC, error.message.clone(), place),
        _ => {
            let shown = expr::excerpt(text, &error.range);
            Diagnostic::new(codes::EXPRESSION, format!("in the expression \"{shown}\": {}", error.message), place)
        }
    }
}

/// Evaluates a parsed expression. Without its `text`, messages show the expression as it prints.
pub fn evaluate(
    expression: &Expr,
    text: Option<&str>,
    span: Span,
    names: &Names,
    obligations: &mut Obligations,
) -> Result<Constant, Diagnostic> {
    let evaluated = expr::evaluate(expression, names).map_err(|error| match text {
        Some(text) => expression_error(&error, text, span),
        None => expression_error(&error, &expression.to_string(), span),
    })?;
    obligations.extend(evaluated.obligations.into_iter().map(|obligation| (obligation, span)));
    Ok(evaluated.value)
}

/// The value of a field whose texts are expressions: a constant.
pub fn constant(field: &FieldExpression, names: &Names, obligations: &mut Obligations) -> Result<Constant, Diagnostic> {
    match &field.form {
        FieldForm::Text { text, expression } => match expression {
            Some(expression) => evaluate(expression, Some(text), field.span, names, obligations),
            None => Err(match expr::parse(text) {
                Err(error) => expression_error(&error, text, field.span),
                Ok(_) => Diagnostic::new(codes::EXPRESSION, "an expression is expected", field.span),
            }),
        },
        FieldForm::List(items) => {
            Ok(Constant::List(items.iter().map(|item| constant(item, names, obligations)).collect::<Result<_, _>>()?))
        }
        FieldForm::Other(value) => match &value.kind {
            Kind::Integer(number) => Ok(Constant::Int(Dim::constant(*number))),
            Kind::Float(number) => Ok(Constant::Float(*number)),
            Kind::Bool(flag) => Ok(Constant::Bool(*flag)),
            _ => Err(Diagnostic::new(
                codes::FIELD_FORM,
                format!("a number, a switch, a list or an expression in quotes is expected, not {}", value.describe()),
                field.span,
            )),
        },
    }
}

/// A text with its `{}` filled.
pub fn text(text: &str, span: Span, names: &Names) -> Result<String, Diagnostic> {
    if !expr::has_interpolation(text) {
        return Ok(text.to_string());
    }
    match expr::interpolate(text, names).map_err(|error| expression_error(&error, text, span))? {
        Interpolated::One(text) => Ok(text),
        Interpolated::Many(_) => {
            Err(Diagnostic::new(codes::EXPRESSION, "the expression gives a list where one text is expected", span))
        }
    }
}

/// The value of a param.
pub fn param(
    name: &str,
    kind: &ParamKind,
    field: &FieldExpression,
    names: &Names,
    obligations: &mut Obligations,
) -> Result<Constant, Diagnostic> {
    let wrong = |expected: String| {
        Err(Diagnostic::new(codes::PARAM_VALUE, format!("the param `{name}` takes {expected}"), field.span)
            .text(format!("this is {}", field.describe())))
    };
    match kind {
        ParamKind::Text | ParamKind::File | ParamKind::Choice(_) => {
            let FieldForm::Text { text: written, .. } = &field.form else {
                return wrong("a text in quotes".to_string());
            };
            // A bare name of a param of the caller hands that param's text on.
            let filled = match Scope::lookup(names, written) {
                Some(Constant::Text(value)) => value.to_string(),
                _ => text(written, field.span, names)?,
            };
            if let ParamKind::Choice(of) = kind
                && !of.contains(&filled)
            {
                return Err(Diagnostic::new(
                    codes::PARAM_VALUE,
                    format!("the param `{name}` cannot be \"{filled}\""),
                    field.span,
                )
                .suggest(nearest(&filled, of.iter().map(String::as_str)))
                .help(format!("it is one of {}", of.join(", "))));
            }
            Ok(Constant::Text(filled))
        }
        ParamKind::Int { min, max } => {
            let value = constant(field, names, obligations)?;
            let Constant::Int(dim) = &value else {
                return wrong(format!("a whole number, not {value}"));
            };
            let low = dim.as_constant().or_else(|| dim.lower_bound());
            let too_low = min.is_some_and(|min| low.is_some_and(|low| low < min) && dim.as_constant().is_some());
            let too_high = max.is_some_and(|max| low.is_some_and(|low| low > max));
            if too_low || too_high {
                let range = match (min, max) {
                    (Some(min), Some(max)) => format!("from {min} to {max}"),
                    (Some(min), None) => format!("of at least {min}"),
                    (None, Some(max)) => format!("of at most {max}"),
                    (None, None) => String::new(),
                };
                return Err(Diagnostic::new(
                    codes::PARAM_VALUE,
                    format!("the param `{name}` is {dim}; it takes a whole number {range}"),
                    field.span,
                ));
            }
            Ok(value)
        }
        ParamKind::Float { range } => {
            let value = constant(field, names, obligations)?;
            let Some(number) = value.as_float() else {
                return wrong(format!("a number, not {value}"));
            };
            if !range.contains_value(number) {
                return Err(Diagnostic::new(
                    codes::PARAM_VALUE,
                    format!("the param `{name}` is {number}; it takes a number in {range}"),
                    field.span,
                ));
            }
            Ok(Constant::Float(number))
        }
        ParamKind::Flag => match constant(field, names, obligations)? {
            Constant::Bool(flag) => Ok(Constant::Bool(flag)),
            other => wrong(format!("true or false, not {other}")),
        },
        ParamKind::Ints => match constant(field, names, obligations)? {
            Constant::List(items) if items.iter().all(|item| matches!(item, Constant::Int(_))) => Ok(Constant::List(items)),
            other => wrong(format!("a list of whole numbers, not {other}")),
        },
        ParamKind::Floats => match constant(field, names, obligations)? {
            Constant::List(items) if items.iter().all(|item| item.as_float().is_some()) => {
                Ok(Constant::List(items.iter().filter_map(Constant::as_float).map(Constant::Float).collect()))
            }
            other => wrong(format!("a list of numbers, not {other}")),
        },
    }
}

/// The value of an op's field.
pub fn field(
    op: &str,
    name: &str,
    kind: FieldKind,
    field: &FieldExpression,
    names: &Names,
    obligations: &mut Obligations,
) -> Result<FieldValue, Diagnostic> {
    let wrong = |expected: &str| {
        Err(Diagnostic::new(codes::FIELD_FORM, format!("`{op}.{name}` is {expected}, not {}", field.describe()), field.span))
    };
    match kind {
        FieldKind::Dim | FieldKind::Int | FieldKind::Float | FieldKind::Flag => {
            let value = constant(field, names, obligations)?;
            scalar(op, name, kind, &value, field.span)
        }
        FieldKind::Choice(words) => {
            let word = match &field.form {
                FieldForm::Other(Value { kind: Kind::Name(word), .. }) => word.clone(),
                FieldForm::Text { text: written, .. } => match Scope::lookup(names, written) {
                    Some(Constant::Text(value)) => value,
                    _ => text(written, field.span, names)?,
                },
                _ => return wrong(&format!("one of the words {}", words.join(", "))),
            };
            match words.iter().find(|own| **own == word) {
                Some(word) => Ok(FieldValue::Choice(word)),
                None => Err(Diagnostic::new(codes::FIELD_VALUE, format!("`{op}.{name}` cannot be `{word}`"), field.span)
                    .suggest(nearest(&word, words.iter().copied()))
                    .help(format!("it is one of {}", words.join(", ")))),
            }
        }
        FieldKind::Text => match &field.form {
            FieldForm::Text { text: written, .. } => Ok(FieldValue::Text(text(written, field.span, names)?.into())),
            _ => wrong("a text in quotes"),
        },
        FieldKind::Dims | FieldKind::Ints | FieldKind::Floats => {
            let item_kind = match kind {
                FieldKind::Dims => FieldKind::Dim,
                FieldKind::Ints => FieldKind::Int,
                _ => FieldKind::Float,
            };
            let items = match constant(field, names, obligations)? {
                Constant::List(items) => items,
                single if kind != FieldKind::Dims => vec![single],
                _ => return wrong("a list of sizes"),
            };
            list(items.iter().map(|item| scalar(op, name, item_kind, item, field.span)))
        }
        FieldKind::Pair => match constant(field, names, obligations)? {
            Constant::List(items) if items.len() == 2 => {
                list(items.iter().map(|item| scalar(op, name, FieldKind::Dim, item, field.span)))
            }
            single @ Constant::Int(_) => {
                list([&single, &single].into_iter().map(|item| scalar(op, name, FieldKind::Dim, item, field.span)))
            }
            _ => wrong("a size, or a list of two: height and width"),
        },
        FieldKind::Padding => {
            if let FieldForm::Other(Value { kind: Kind::Name(word), .. }) = &field.form {
                if word == "Same" {
                    return Ok(FieldValue::Same);
                }
                return wrong("a size, a list of two or four, or Same");
            }
            let items = match constant(field, names, obligations)? {
                Constant::List(items) if items.len() == 2 => {
                    vec![items[0].clone(), items[0].clone(), items[1].clone(), items[1].clone()]
                }
                Constant::List(items) if items.len() == 4 => items,
                single @ Constant::Int(_) => vec![single; 4],
                _ => return wrong("a size, a list of two (height, width) or four (top, bottom, left, right), or Same"),
            };
            list(items.iter().map(|item| scalar(op, name, FieldKind::Dim, item, field.span)))
        }
        FieldKind::Initial => initializer(op, name, field, names, obligations).map(FieldValue::Initial),
        FieldKind::DType => match &field.form {
            FieldForm::Other(Value { kind: Kind::Name(word), .. }) => match word.as_str() {
                "F32" => Ok(FieldValue::DType(DType::F32)),
                "I64" => Ok(FieldValue::DType(DType::I64)),
                "Bool" => Ok(FieldValue::DType(DType::Bool)),
                _ => wrong("one of the words F32, I64, Bool"),
            },
            _ => wrong("one of the words F32, I64, Bool"),
        },
        FieldKind::Formula => wrong("a formula in quotes"),
    }
}

fn list(items: impl Iterator<Item = Result<FieldValue, Diagnostic>>) -> Result<FieldValue, Diagnostic> {
    Ok(FieldValue::List(items.collect::<Result<Vec<_>, _>>()?.into()))
}

fn scalar(op: &str, name: &str, kind: FieldKind, value: &Constant, span: Span) -> Result<FieldValue, Diagnostic> {
    let wrong =
        |expected: &str| Err(Diagnostic::new(codes::FIELD_FORM, format!("`{op}.{name}` is {expected}, not {value}"), span));
    match (kind, value) {
        (FieldKind::Dim, Constant::Int(dim)) => Ok(FieldValue::Dim(dim.clone())),
        (FieldKind::Dim, _) => wrong("a whole number or size"),
        (FieldKind::Int, Constant::Int(dim)) if dim.as_constant().is_some() => Ok(FieldValue::Dim(dim.clone())),
        (FieldKind::Int, Constant::Int(dim)) => Err(Diagnostic::new(
            codes::UNDECIDED,
            format!("`{op}.{name}` must be known when the graph is read; it is {dim}"),
            span,
        )),
        (FieldKind::Int, _) => wrong("a whole number"),
        (FieldKind::Float, value) => match (value.as_float(), value) {
            (Some(number), _) => Ok(FieldValue::Float(number)),
            (None, Constant::Int(dim)) => Ok(FieldValue::Dim(dim.clone())),
            _ => wrong("a number"),
        },
        (_, Constant::Bool(flag)) => Ok(FieldValue::Flag(*flag)),
        _ => wrong("true or false"),
    }
}

const INITIALIZERS: &[&str] = &[
    "Zeros",
    "Ones",
    "Fill",
    "Normal",
    "TruncatedNormal",
    "Uniform",
    "XavierUniform",
    "KaimingUniform",
    "KaimingNormal",
    "FanIn",
];

fn initializer(
    op: &str,
    name: &str,
    field: &FieldExpression,
    names: &Names,
    obligations: &mut Obligations,
) -> Result<Initializer, Diagnostic> {
    let help = format!("the starts are {}", INITIALIZERS.join(", "));
    let FieldForm::Other(value) = &field.form else {
        return Err(Diagnostic::new(
            codes::FIELD_FORM,
            format!("`{op}.{name}` is a start such as Normal(std: 0.02)"),
            field.span,
        )
        .help(help));
    };
    let (word, argument) = match &value.kind {
        Kind::Name(word) => (word.as_str(), None),
        Kind::Call(call) => (call.name(), call.items.first().or(call.fields.first().map(|field| &field.value))),
        _ => {
            return Err(Diagnostic::new(
                codes::FIELD_FORM,
                format!("`{op}.{name}` is a start such as Normal(std: 0.02)"),
                field.span,
            )
            .help(help));
        }
    };
    let expected_key = match word {
        "Fill" => Some("value"),
        "Normal" | "TruncatedNormal" => Some("std"),
        "Uniform" => Some("bound"),
        _ => None,
    };
    if let Kind::Call(call) = &value.kind
        && let Some(extra) = call.fields.iter().find(|field| Some(field.key.value.as_str()) != expected_key)
    {
        return Err(crate::language::unknown_field(word, &extra.key.value, extra.key.span, expected_key.as_slice()));
    }
    let number = match (argument, expected_key) {
        (Some(argument), Some(key)) => match constant(&FieldExpression::of(argument), names, obligations)?.as_float() {
            Some(number) => number,
            None => return Err(Diagnostic::new(codes::FIELD_FORM, format!("`{word}.{key}` is a number"), argument.span)),
        },
        (None, Some(key)) => {
            return Err(Diagnostic::new(codes::MISSING_FIELD, format!("`{word}` needs the field `{key}`"), field.span));
        }
        _ => 0.0,
    };
    Ok(match word {
        "Zeros" => Initializer::Zeros,
        "Ones" => Initializer::Ones,
        "Fill" => Initializer::Fill(number),
        "Normal" => Initializer::Normal { std: number },
        "TruncatedNormal" => Initializer::TruncatedNormal { std: number },
        "Uniform" => Initializer::Uniform { bound: number },
        "XavierUniform" => Initializer::XavierUniform,
        "KaimingUniform" => Initializer::KaimingUniform,
        "KaimingNormal" => Initializer::KaimingNormal,
        "FanIn" => Initializer::FanIn,
        other => {
            return Err(Diagnostic::new(codes::FIELD_VALUE, format!("`{op}.{name}` cannot be `{other}`"), field.span)
                .suggest(nearest(other, INITIALIZERS.iter().copied()))
                .help(help));
        }
    })
}
