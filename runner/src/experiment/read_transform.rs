//! From a `Transform` file to a transform whose shapes are proved.

use indexmap::IndexMap;
use sward_core::check::{Names, param_value};
use sward_core::diagnostic::{Diagnostic, codes};
use sward_core::expr::Constant;
use sward_core::language::{FieldExpression, GraphFile, ParamDeclaration, read_graph_file};
use sward_core::op::Catalogue;
use sward_core::source::{FileId, Span, Spanned};
use sward_core::suggest::nearest;
use sward_core::syntax::decode::{NoNames, Raw, decode};
use sward_core::syntax::{Kind, Value};

use super::read_data::{Session, load_kind, told};
use super::transform::{ITEMS, Item, TransformFile, TransformGraph};
use super::tree::{call, map};
use crate::pixels::{DecodeOptions, Step};

/// Reads a `Transform` file with values for its params.
pub fn read_transform(
    session: &mut Session<'_>,
    from: FileId,
    path: &Spanned<String>,
    params: &IndexMap<Spanned<String>, Raw>,
) -> Option<TransformGraph> {
    let (file, tree) = load_kind(session, from, path, "Transform")?;
    read_transform_tree(session, file, &tree, params)
}

/// As [`read_transform`], for a tree that was read.
pub fn read_transform_tree(
    session: &mut Session<'_>,
    file: FileId,
    tree: &Value,
    params: &IndexMap<Spanned<String>, Raw>,
) -> Option<TransformGraph> {
    let spec: TransformFile = told(session, decode(tree, &NoNames))?;
    let names = transform_params(session, file, tree.span, &spec, params)?;
    let decode_options = match &spec.decode {
        Some(raw) => {
            let mut value = raw.0.clone();
            if let Kind::Call(call) = &mut value.kind
                && call.name() == "Decode"
            {
                call.name = None;
            }
            told(session, decode::<DecodeOptions>(&value, &names))?
        }
        None => DecodeOptions::default(),
    };
    let mut items = Vec::new();
    let mut sound = true;
    for raw in &spec.steps {
        match read_item(raw, &names) {
            Ok(item) => items.push(item),
            Err(diagnostic) => {
                session.diagnostics.push(*diagnostic);
                sound = false;
            }
        }
    }
    if !sound {
        return None;
    }
    match TransformGraph::new(decode_options, items) {
        Ok(graph) => Some(graph),
        Err((index, cause)) => {
            let span = index.map_or(tree.span, |index| spec.steps[index].0.span);
            session.diagnostics.push(Diagnostic::new(codes::TRANSFORM, cause, span));
            None
        }
    }
}

/// The declared params of a `Transform` file, which are declared as those of a module.
pub fn declared_params(
    session: &mut Session<'_>,
    catalogue: &Catalogue,
    file: FileId,
    span: Span,
    spec: &TransformFile,
) -> Vec<ParamDeclaration> {
    let params = map(span, spec.params.iter().map(|(name, raw)| (name.clone(), raw.0.clone())).collect());
    let tree = call(span, "Module", Vec::new(), vec![("params", params), ("outputs", map(span, Vec::new()))]);
    match read_graph_file(file, &tree, catalogue, &mut session.diagnostics) {
        Some(GraphFile::Module(module)) => module.params,
        _ => Vec::new(),
    }
}

fn transform_params(
    session: &mut Session<'_>,
    file: FileId,
    span: Span,
    spec: &TransformFile,
    given: &IndexMap<Spanned<String>, Raw>,
) -> Option<Names> {
    let catalogue = session.catalogue();
    let declared = declared_params(session, catalogue, file, span, spec);
    let mut sound = declared.len() == spec.params.len();
    for name in given.keys() {
        if !declared.iter().any(|param| *param.name.value == *name.value) {
            let message = format!("the transform has no param `{}`", name.value);
            let known = nearest(&name.value, declared.iter().map(|param| &*param.name.value));
            session.diagnostics.push(Diagnostic::new(codes::UNKNOWN_PARAM, message, name.span).suggest(known));
            sound = false;
        }
    }
    let mut names = Names::default();
    for param in &declared {
        let own = given.iter().find(|(name, _)| *name.value == *param.name.value).map(|(_, raw)| FieldExpression::of(&raw.0));
        let Some(expression) = own.as_ref().or(param.default.as_ref()) else {
            let message = format!("the param `{}` needs a value", param.name.value);
            session.diagnostics.push(Diagnostic::new(codes::MISSING_PARAM, message, param.span));
            sound = false;
            continue;
        };
        match param_value(&param.name.value, &param.kind, expression, &names, &mut Vec::new()) {
            Ok(value) => names.define(&param.name.value, value),
            Err(diagnostic) => {
                session.diagnostics.push(diagnostic);
                names.define(&param.name.value, Constant::from(1));
                sound = false;
            }
        }
    }
    sound.then_some(names)
}

fn read_item(raw: &Raw, names: &Names) -> Result<Item, Box<Diagnostic>> {
    let word = match &raw.0.kind {
        Kind::Call(call) => call.name(),
        Kind::Name(name) => name.as_str(),
        _ => "",
    };
    match word {
        "Training" => match &raw.0.kind {
            Kind::Call(call) if call.items.len() == 1 && call.fields.is_empty() => {
                Ok(Item::Training(decode(&call.items[0], names)?))
            }
            _ => Err(Box::new(
                Diagnostic::new(codes::FIELD_FORM, "`Training` holds one list of steps", raw.0.span)
                    .help("write Training([HorizontalFlip(p: 0.5)])"),
            )),
        },
        "Tiles" => Ok(Item::Tiles(decode(&raw.0, names)?)),
        "Views" => Ok(Item::Views(decode(&raw.0, names)?)),
        "Normalize" => Ok(Item::Normalize(decode(&raw.0, names)?)),
        other if !other.is_empty() && !Step::NAMES.contains(&other) => {
            let known = Step::NAMES.iter().chain(ITEMS).copied();
            let message = format!("there is no step called `{other}`");
            Err(Box::new(
                Diagnostic::new(codes::UNKNOWN_OP, message, raw.0.span)
                    .suggest(nearest(other, known))
                    .help("docs/transforms.md lists the steps"),
            ))
        }
        _ => Ok(Item::Always(decode::<Step>(&raw.0, names)?)),
    }
}
