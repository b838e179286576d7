//! One field of a `Data` file: its columns, its role, and the types of its tensors.

use indexmap::IndexMap;
use sward_core::diagnostic::{Diagnostic, codes};
use sward_core::program::DType;
use sward_core::source::{FileId, Span, Spanned};
use sward_core::syntax::decode::{NoNames, Raw, decode};

use super::data::{Column, DomainName, FieldSpec, MissingFeature, Role, Scale};
use super::read_data::{Field, FieldRole, Session, column_of, expand_range, told};
use super::read_transform::read_transform;
use super::transform::TransformGraph;
use crate::pixels::Normalize;

/// Reads a field. `None` where an error was reported.
pub(super) fn read_field(
    session: &mut Session<'_>,
    file: FileId,
    name: &Spanned<String>,
    raw: &Raw,
    columns: &IndexMap<String, (Column, Span)>,
) -> Option<Field> {
    let spec: FieldSpec = told(session, decode(&raw.0, &NoNames))?;
    let is_name = |text: &str| {
        text.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
            && text.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    if !is_name(&name.value) || matches!(name.value.as_str(), "model" | "loss" | "losses" | "batch") {
        let message = format!("`{}` cannot name a field", name.value);
        let help = "a field's name is a word of letters, digits and `_`, other than model, loss, losses and batch";
        session.diagnostics.push(Diagnostic::new(codes::BAD_NAME, message, name.span).help(help));
        return None;
    }
    let mut resolved = Vec::new();
    let mut sound = true;
    for source in spec.sources() {
        let names = match expand_range(&source.value) {
            Ok(names) => names.unwrap_or_else(|| vec![source.value.clone()]),
            Err(cause) => {
                session.diagnostics.push(Diagnostic::new(codes::UNKNOWN_COLUMN, cause, source.span));
                sound = false;
                continue;
            }
        };
        for own in names {
            match column_of(session, columns, &own, source.span) {
                Some(column) => {
                    sound &= fits(session, &spec, column, &own, source.span);
                    resolved.push((own, column.clone()));
                }
                None => sound = false,
            }
        }
    }
    if !sound || resolved.is_empty() {
        return None;
    }
    let role = role_of(session, &spec, &resolved, raw.0.span)?;
    let transform = match &spec {
        FieldSpec::Transform { graph, params, .. } => Some(read_transform(session, file, graph, params)?),
        _ => None,
    };
    let (dtype, shape, domain) = types(session, &spec, &resolved, transform.as_ref(), raw.0.span)?;
    let observed = mask(&spec, &resolved);
    let vocabulary = |column: &Column| match column {
        Column::Category { values, .. } if !values.is_empty() => Some(values.len()),
        _ => None,
    };
    let size = match &spec {
        FieldSpec::Categories { .. } => Some((format!("{}_categories", name.value), vocabulary(&resolved[0].1).map(|n| n + 1))),
        FieldSpec::Labels { .. } => Some((format!("{}_classes", name.value), vocabulary(&resolved[0].1))),
        _ => None,
    };
    Some(Field {
        name: name.value.clone(),
        spec,
        span: raw.0.span,
        columns: resolved.into_iter().map(|(name, _)| name).collect(),
        role,
        dtype,
        shape,
        domain,
        observed,
        size,
        transform,
    })
}

/// Whether a column is of the kind that a field is made of.
fn fits(session: &mut Session<'_>, spec: &FieldSpec, column: &Column, name: &str, span: Span) -> bool {
    let (wanted, is_right) = match spec {
        FieldSpec::Transform { .. } => ("Image", matches!(column, Column::Image { .. })),
        FieldSpec::Numbers { .. }
        | FieldSpec::Vector { .. }
        | FieldSpec::Targets { .. }
        | FieldSpec::Present { .. }
        | FieldSpec::Coordinates { .. } => ("Number", matches!(column, Column::Number { .. })),
        FieldSpec::Categories { .. } | FieldSpec::Labels { .. } => ("Category", matches!(column, Column::Category { .. })),
        FieldSpec::DayOfYear { .. } => ("Date", matches!(column, Column::Date { .. })),
        FieldSpec::Tokens { .. } => ("Text or Category", matches!(column, Column::Text { .. } | Column::Category { .. })),
        FieldSpec::Tensors { .. } => {
            ("Image, Id, Text or Category", !matches!(column, Column::Number { .. } | Column::Date { .. }))
        }
    };
    if !is_right {
        let message = format!("`{}` is made of {wanted} columns, and `{name}` is a {} column", spec.kind(), column.kind());
        session.diagnostics.push(Diagnostic::new(codes::COLUMN_KIND, message, span));
    }
    is_right
}

fn role_of(session: &mut Session<'_>, spec: &FieldSpec, columns: &[(String, Column)], span: Span) -> Option<FieldRole> {
    let mut role = if spec.is_target() { FieldRole::Target } else { FieldRole::Feature };
    for (name, column) in columns {
        match column.role() {
            Role::Group => {
                let message = format!("the column `{name}` has the role Group: folds read it, no field does");
                let help = "give it the role Feature or TrainOnly; folds may group by any column";
                session.diagnostics.push(Diagnostic::new(codes::COLUMN_ROLE, message, span).help(help));
                return None;
            }
            Role::Target if !spec.is_target() => {
                let message = format!("the column `{name}` has the role Target, and `{}` makes features", spec.kind());
                let help =
                    "targets are read by Targets, Present and Labels; a column known in training alone has the role TrainOnly";
                session.diagnostics.push(Diagnostic::new(codes::COLUMN_ROLE, message, span).help(help));
                return None;
            }
            Role::TrainOnly if !spec.is_target() => role = FieldRole::TrainOnly,
            Role::Feature if spec.is_target() => {
                let message =
                    format!("the column `{name}` has the role Feature, and `{}` makes something to predict", spec.kind());
                session.diagnostics.push(
                    Diagnostic::new(codes::COLUMN_ROLE, message, span)
                        .help("give it the role Target, or TrainOnly for auxiliary losses"),
                );
                return None;
            }
            _ => {}
        }
    }
    Some(role)
}

/// Whether the field has a mask, and of which shape.
fn mask(spec: &FieldSpec, columns: &[(String, Column)]) -> Option<Vec<usize>> {
    let any_missing = columns.iter().any(|(_, column)| column.may_be_missing());
    match spec {
        FieldSpec::Targets { .. } | FieldSpec::Present { .. } => Some(vec![columns.len()]),
        FieldSpec::Labels { .. } => Some(Vec::new()),
        FieldSpec::Tokens { length, .. } => Some(vec![*length]),
        FieldSpec::Numbers { missing: Some(MissingFeature::Masked), .. } => Some(vec![columns.len()]),
        FieldSpec::DayOfYear { .. } | FieldSpec::Coordinates { .. } | FieldSpec::Categories { .. } if any_missing => {
            Some(Vec::new())
        }
        _ => None,
    }
}

fn types(
    session: &mut Session<'_>,
    spec: &FieldSpec,
    columns: &[(String, Column)],
    transform: Option<&TransformGraph>,
    span: Span,
) -> Option<(DType, Vec<usize>, &'static str)> {
    let mut fault = |message: String, help: &str| {
        session.diagnostics.push(Diagnostic::new(codes::FIELD_SETTING, message, span).help(help.to_owned()));
        None
    };
    let may_be_missing = columns.iter().find(|(_, column)| column.may_be_missing()).map(|(name, _)| name);
    let positive = |number: f64| number.is_finite() && number > 0.0;
    match spec {
        FieldSpec::Transform { .. } => {
            let transform = transform?;
            let domain = if transform.normalize == Normalize::unit() { "Unit" } else { "Finite" };
            Some((DType::F32, transform.sample_shape(), domain))
        }
        FieldSpec::Numbers { missing, .. } => match (may_be_missing, missing) {
            (Some(name), None) => fault(
                format!("the column `{name}` may be missing, and `Numbers` does not say how a model sees that"),
                "write missing: Indicator (one more feature) or missing: Masked (a mask, `field:observed`)",
            ),
            (_, Some(MissingFeature::Indicator)) => Some((DType::F32, vec![2 * columns.len()], "Finite")),
            _ => Some((DType::F32, vec![columns.len()], "Finite")),
        },
        FieldSpec::Vector { divide, .. } => match may_be_missing {
            Some(name) => fault(
                format!("the column `{name}` may be missing, and a vector has no gaps"),
                "use Numbers, which has a rule for missing cells",
            ),
            None if !positive(*divide) => {
                fault(format!("`divide` is {divide}; it is above zero"), "leave it out to keep the numbers")
            }
            None => Some((DType::F32, vec![columns.len()], "Finite")),
        },
        FieldSpec::Categories { .. } | FieldSpec::Labels { .. } => Some((DType::I64, Vec::new(), "Any")),
        FieldSpec::DayOfYear { .. } => Some((DType::F32, vec![2], "Finite")),
        FieldSpec::Coordinates { levels, .. } => match levels {
            1..=16 => Some((DType::F32, vec![4 * *levels as usize], "Finite")),
            _ => fault(format!("`levels` is {levels}; it is from 1 to 16"), "4 levels tell regions apart, 8 farms"),
        },
        FieldSpec::Tokens { length, .. } => match length {
            1..=65_536 => Some((DType::I64, vec![*length], "Any")),
            _ => fault(format!("`length` is {length}; it is from 1 to 65536"), "sentences take about 64 tokens"),
        },
        FieldSpec::Tensors { shape, .. } => {
            let elements = shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
            match elements {
                Some(1..=0x1000_0000) => Some((DType::F32, shape.clone(), "Finite")),
                _ => fault(
                    format!("a tensor of the shape {shape:?} has no elements or too many"),
                    "give the shape of one row's tensor",
                ),
            }
        }
        FieldSpec::Targets { divide, scale, .. } => {
            if !positive(*divide) {
                return fault(format!("`divide` is {divide}; it is above zero"), "leave it out to keep the unit");
            }
            Some((DType::F32, vec![columns.len()], if *scale == Scale::ZScore { "Finite" } else { common_domain(columns) }))
        }
        FieldSpec::Present { above, .. } => {
            if !above.is_finite() {
                return fault(format!("`above` is {above}"), "it is a number");
            }
            Some((DType::F32, vec![columns.len()], "Probability"))
        }
    }
}

/// The narrowest domain that holds all columns; a missing cell is 0 behind its mask.
fn common_domain(columns: &[(String, Column)]) -> &'static str {
    let domains: Vec<DomainName> = columns
        .iter()
        .map(|(_, column)| match column {
            Column::Number { domain: DomainName::Positive, .. } if column.may_be_missing() => DomainName::NonNegative,
            Column::Number { domain, .. } => *domain,
            _ => DomainName::Any,
        })
        .collect();
    let all = |is: &dyn Fn(DomainName) -> bool| domains.iter().all(|domain| is(*domain));
    if all(&|domain| matches!(domain, DomainName::Probability | DomainName::Unit)) {
        "Probability"
    } else if all(&|domain| domain == DomainName::Positive) {
        "Positive"
    } else if all(&|domain| domain != DomainName::Any) {
        "NonNegative"
    } else {
        "Finite"
    }
}
