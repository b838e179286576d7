//! Trees put together from parts of files, and changes of a tree from outside.

use sward_core::check::{Overrides, SetOverride};
use sward_core::diagnostic::{Diagnostic, codes};
use sward_core::source::{Span, Spanned};
use sward_core::suggest::nearest;
use sward_core::syntax::{Call, Field, Kind, Value};

/// A text at a place.
pub fn text(span: Span, text: impl Into<String>) -> Value {
    Value { span, kind: Kind::Text(text.into()) }
}

/// A bare name at a place.
pub fn name(span: Span, name: &str) -> Value {
    Value { span, kind: Kind::Name(name.to_owned()) }
}

/// A list at a place.
pub fn list(span: Span, items: Vec<Value>) -> Value {
    Value { span, kind: Kind::List(items) }
}

/// A call at a place.
pub fn call(span: Span, name: &str, items: Vec<Value>, fields: Vec<(&str, Value)>) -> Value {
    let field = |(key, value): (&str, Value)| Field { key: Spanned::new(key.to_owned(), span), value };
    let fields = fields.into_iter().map(field).collect();
    Value { span, kind: Kind::Call(Call { name: Some(Spanned::new(name.to_owned(), span)), items, fields }) }
}

/// A map at a place, with its keys at places of their own.
pub fn map(span: Span, entries: Vec<(Spanned<String>, Value)>) -> Value {
    let entries = entries.into_iter().map(|(key, value)| (text(key.span, key.value), value)).collect();
    Value { span, kind: Kind::Map(entries) }
}

/// Calls `visit` with every text of a tree.
pub fn for_each_text<'v>(value: &'v Value, visit: &mut dyn FnMut(&'v str)) {
    if let Kind::Text(text) = &value.kind {
        visit(text);
    }
    value.children().into_iter().for_each(|child| for_each_text(child, visit));
}

/// The tree with every text changed. A change that keeps a text's length keeps the places within it.
pub fn map_texts(value: &Value, change: &dyn Fn(&str) -> String) -> Value {
    let each = |values: &[Value]| values.iter().map(|value| map_texts(value, change)).collect();
    let kind = match &value.kind {
        Kind::Text(text) => Kind::Text(change(text)),
        Kind::List(items) => Kind::List(each(items)),
        Kind::Map(entries) => Kind::Map(entries.iter().map(|(key, value)| (key.clone(), map_texts(value, change))).collect()),
        Kind::Call(call) => Kind::Call(Call {
            name: call.name.clone(),
            items: each(&call.items),
            fields: call
                .fields
                .iter()
                .map(|field| Field { key: field.key.clone(), value: map_texts(&field.value, change) })
                .collect(),
        }),
        other => other.clone(),
    };
    Value { span: value.span, kind }
}

/// Whether a text holds a name as a word of its own.
pub fn mentions(text: &str, name: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(|character| is_part(character) || character == '.') && !after.is_some_and(is_part)
    })
}

/// The fields of an experiment that `--set` reaches by their names; every other path leads into the graph.
const OWN: &[&str] = &["doc", "data", "weights", "predictions", "maps", "train", "folds", "metrics", "output", "contract"];

/// Overrides by where they lead.
#[derive(Default)]
pub struct Parted {
    /// Into the experiment's own tree.
    pub experiment: Vec<SetOverride>,
    /// Into the data file's tree; the paths are without `data.`.
    pub data: Vec<SetOverride>,
    /// Into the graph.
    pub graph: Overrides,
}

/// Parts overrides by where they lead.
pub fn part(overrides: &Overrides) -> Parted {
    let mut parted = Parted { graph: overrides.clone(), ..Parted::default() };
    parted.graph.sets.clear();
    for set in &overrides.sets {
        let first = set.path.split('.').next().unwrap_or_default();
        match set.path.strip_prefix("data.") {
            Some(rest) => parted.data.push(SetOverride { path: rest.to_owned(), ..set.clone() }),
            None if OWN.contains(&first) => parted.experiment.push(set.clone()),
            None => parted.graph.sets.push(set.clone()),
        }
    }
    parted
}

/// Puts a value in place of the one at a path; a field that is not written is added.
///
/// # Errors
/// A path that leads nowhere.
pub fn edit(tree: &mut Value, set: &SetOverride) -> Result<(), Diagnostic> {
    edit_at(tree, &set.path, set)
}

fn edit_at(tree: &mut Value, path: &str, set: &SetOverride) -> Result<(), Diagnostic> {
    if path.is_empty() {
        *tree = with_names(set.value.to_value());
        return Ok(());
    }
    let (head, rest) = path.split_once('.').unwrap_or((path, ""));
    let nowhere = |known: Vec<String>| {
        let message = format!("`--set {}` leads nowhere: there is no `{head}`", set.path);
        let diagnostic = Diagnostic::new(codes::OVERRIDE_UNMATCHED, message, set.span);
        match nearest(head, known.iter().map(String::as_str)) {
            Some(near) => diagnostic.suggest(Some(near)),
            None if known.is_empty() => diagnostic,
            None => diagnostic.help(format!("there are {}", known.join(", "))),
        }
    };
    match &mut tree.kind {
        Kind::Call(call) => {
            if let Some(field) = call.fields.iter_mut().find(|field| field.key.value == head) {
                return edit_at(&mut field.value, rest, set);
            }
            // The one map of a call, as in `Fixed({ "biomass": 1.0 })`, stands for the call: `weights.biomass` leads into it.
            if let ([only], []) = (call.items.as_mut_slice(), call.fields.as_slice())
                && matches!(only.kind, Kind::Map(_))
            {
                return edit_at(only, path, set);
            }
            if !rest.is_empty() {
                return Err(nowhere(call.fields.iter().map(|field| field.key.value.clone()).collect()));
            }
            call.fields.push(Field { key: Spanned::new(head.to_owned(), set.span), value: with_names(set.value.to_value()) });
            Ok(())
        }
        Kind::Map(entries) => {
            // Keys may hold dots: the longest one that the path begins with is meant.
            let fits = |key: &str| path == key || path.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
            let found = (0..entries.len())
                .filter(|index| entries[*index].0.as_text().is_some_and(fits))
                .max_by_key(|index| entries[*index].0.as_text().map_or(0, str::len));
            let Some(index) = found else {
                return Err(nowhere(entries.iter().filter_map(|(key, _)| key.as_text()).map(str::to_owned).collect()));
            };
            let (key, value) = &mut entries[index];
            let length = key.as_text().map_or(0, str::len);
            edit_at(value, path[length..].trim_start_matches('.'), set)
        }
        Kind::List(items) => match head.parse::<usize>().ok().filter(|index| *index < items.len()) {
            Some(index) => edit_at(&mut items[index], rest, set),
            None => Err(nowhere((0..items.len()).map(|index| index.to_string()).collect())),
        },
        Kind::Name(own) => {
            // A name without fields takes some: `Constant` becomes `Constant(warmup_steps: 5)`.
            let name = Some(Spanned::new(own.clone(), tree.span));
            tree.kind = Kind::Call(Call { name, items: Vec::new(), fields: Vec::new() });
            edit_at(tree, path, set)
        }
        _ => Err(nowhere(Vec::new())),
    }
}

/// The value of an override in a tree. A bare word that begins like a kind is one: `Bf16`.
fn with_names(Value { span, kind }: Value) -> Value {
    let is_word =
        |text: &str| text.chars().next().is_some_and(char::is_uppercase) && text.chars().all(|c| c.is_alphanumeric() || c == '_');
    let kind = match kind {
        Kind::Text(text) if is_word(&text) => Kind::Name(text),
        Kind::List(items) => Kind::List(items.into_iter().map(with_names).collect()),
        other => other,
    };
    Value { span, kind }
}
