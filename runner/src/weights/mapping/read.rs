//! From a mapping's text to a [`Mapping`].

use super::pattern::{Bindings, Pattern};
use super::{Adaptation, Combine, Mapping, Part, Rule, SourcePattern};
use sward_core::diagnostic::{Diagnostic, Diagnostics, codes};
use sward_core::language::FieldReader;
use sward_core::source::{FileId, Sources, Span};
use sward_core::suggest::nearest;
use sward_core::syntax::{self, Kind, Value};

const RULES: &[&str] = &["Rename", "Join", "Sum", "Split", "Ignore", "Each"];
const ADAPTATIONS: &[&str] = &["Positions", "Window", "Channels"];

/// A mapping and the one that it goes on with.
pub(super) struct Written {
    pub mapping: Mapping,
    /// The path named by `extends`, and its place.
    pub extends: Option<(String, Span)>,
}

/// Reads a mapping that extends none, or whose base does not matter. `None` where an error was pushed.
pub fn read_mapping(sources: &Sources, file: FileId, diagnostics: &mut Diagnostics) -> Option<Mapping> {
    read(sources, file, diagnostics).map(|written| written.mapping)
}

/// Reads one file.
pub(super) fn read(sources: &Sources, file: FileId, diagnostics: &mut Diagnostics) -> Option<Written> {
    let tree = syntax::read(sources, file, diagnostics)?;
    let before = diagnostics.errors();
    let path = sources.path(file);
    let name = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".ron").to_owned();
    let is_mapping = matches!(&tree.kind, Kind::Call(call) if call.name() == "Weights");
    if !is_mapping {
        let text = format!("a mapping is Weights(...), this file holds {}", tree.describe());
        diagnostics.push(Diagnostic::new(codes::FILE_KIND, text, tree.span));
        return None;
    }
    let known = &["doc", "extends", "prefixes", "requires", "rules", "adapt", "optional"];
    let mut fields = FieldReader::new(&tree, "Weights", known, diagnostics);
    let doc = fields.text("doc", diagnostics).map_or_else(String::new, |doc| doc.value);
    let extends = fields.text("extends", diagnostics).map(|path| (path.value, path.span));
    let prefixes = texts(&fields.list("prefixes", diagnostics), "a prefix", diagnostics);
    let requires = texts(&fields.list("requires", diagnostics), "a tensor's name", diagnostics);
    let optional = texts(&fields.list("optional", diagnostics), "a pattern of parameters", diagnostics);
    let rules = fields.list("rules", diagnostics);
    let mut mapping =
        Mapping { name, doc, prefixes, requires, rules: Vec::new(), ignored: Vec::new(), adapt: Vec::new(), optional };
    for rule in rules {
        read_rule(rule, &Bindings::default(), &mut mapping, diagnostics);
    }
    for (pattern, value) in fields.map("adapt", diagnostics) {
        if let Some(adaptation) = adaptation(value, diagnostics) {
            mapping.adapt.push((pattern.value.to_string(), adaptation));
        }
    }
    (diagnostics.errors() == before).then_some(Written { mapping, extends })
}

fn texts(values: &[&Value], what: &str, diagnostics: &mut Diagnostics) -> Vec<String> {
    values.iter().filter_map(|value| text(value, what, diagnostics)).collect()
}

fn text(value: &Value, what: &str, diagnostics: &mut Diagnostics) -> Option<String> {
    let found = value.as_text();
    if found.is_none() {
        let text = format!("{what} in quotes is expected, not {}", value.describe());
        diagnostics.push(Diagnostic::new(codes::FORM, text, value.span));
    }
    found.map(str::to_owned)
}

fn adaptation(value: &Value, diagnostics: &mut Diagnostics) -> Option<Adaptation> {
    let name = match &value.kind {
        Kind::Name(name) => name.as_str(),
        Kind::Call(call) => call.name(),
        _ => "",
    };
    match name {
        "Positions" | "Window" if matches!(value.kind, Kind::Name(_)) => {
            Some(if name == "Window" { Adaptation::Window } else { Adaptation::Positions })
        }
        "Channels" => {
            let mut fields = FieldReader::new(value, "Channels", &["axis"], diagnostics);
            Some(Adaptation::Channels(natural(&mut fields, "axis", 1, diagnostics)?))
        }
        other => {
            let text = format!("an adaptation is expected, not {}", value.describe());
            let diagnostic = Diagnostic::new(codes::FORM, text, value.span);
            let near = nearest(other, ADAPTATIONS.iter().copied());
            diagnostics.push(diagnostic.suggest(near).help("the adaptations are Positions, Window and Channels(axis: 1)"));
            None
        }
    }
}

/// A whole number from 0, or what it is where it was not written. `None` where it is negative.
fn natural(fields: &mut FieldReader<'_>, name: &str, otherwise: usize, diagnostics: &mut Diagnostics) -> Option<usize> {
    match fields.spanned_whole(name, diagnostics) {
        None => Some(otherwise),
        Some(number) => match usize::try_from(number.value) {
            Ok(number) => Some(number),
            Err(_) => {
                let text = format!("`{name}` is a whole number from 0, not {}", number.value);
                diagnostics.push(Diagnostic::new(codes::FIELD_FORM, text, number.span));
                None
            }
        },
    }
}

fn read_rule(value: &Value, bound: &Bindings, mapping: &mut Mapping, diagnostics: &mut Diagnostics) -> Option<()> {
    let name = value.as_call().map_or("", |call| call.name());
    match name {
        "Rename" => {
            let mut fields = FieldReader::with_item(value, name, "from", &["from", "to", "transpose", "squeeze"], diagnostics);
            let from = fields.required("from", diagnostics)?;
            let to = fields.required("to", diagnostics)?;
            let transpose = transpose(&mut fields, diagnostics)?;
            let squeeze = fields.flag("squeeze", false, diagnostics);
            let sources = vec![source(from, bound, diagnostics)?];
            let targets = vec![text(to, "a parameter's name", diagnostics)?];
            let rule = Rule { sources, combine: Combine::One, transpose, squeeze, targets, split_axis: 0, bound: bound.clone() };
            add(rule, to.span, mapping, diagnostics)
        }
        "Join" | "Sum" => {
            let known: &[&'static str] = if name == "Join" { &["from", "to", "axis"] } else { &["from", "to"] };
            let mut fields = FieldReader::with_item(value, name, "from", known, diagnostics);
            fields.required("from", diagnostics)?;
            let to = fields.required("to", diagnostics)?;
            let axis = natural(&mut fields, "axis", 0, diagnostics)?;
            let from = fields.list("from", diagnostics);
            if from.len() < 2 {
                let text = format!("`{name}` takes two or more tensors; one alone is a Rename");
                diagnostics.push(Diagnostic::new(codes::FIELD_FORM, text, value.span));
                return None;
            }
            let sources = from.into_iter().map(|from| source(from, bound, diagnostics)).collect::<Option<Vec<_>>>()?;
            let targets = vec![text(to, "a parameter's name", diagnostics)?];
            let combine = if name == "Join" { Combine::Join(axis) } else { Combine::Sum };
            let rule = Rule { sources, combine, transpose: None, squeeze: false, targets, split_axis: 0, bound: bound.clone() };
            add(rule, to.span, mapping, diagnostics)
        }
        "Split" => {
            let mut fields = FieldReader::with_item(value, name, "from", &["from", "to", "axis"], diagnostics);
            let from = fields.required("from", diagnostics)?;
            let to = fields.required("to", diagnostics)?;
            let split_axis = natural(&mut fields, "axis", 0, diagnostics)?;
            let targets = texts(&fields.list("to", diagnostics), "a parameter's name", diagnostics);
            if targets.len() < 2 {
                diagnostics.push(Diagnostic::new(codes::FIELD_FORM, "`Split.to` is a list of two or more names", to.span));
                return None;
            }
            let sources = vec![source(from, bound, diagnostics)?];
            let rule = Rule {
                sources,
                combine: Combine::One,
                transpose: None,
                squeeze: false,
                targets,
                split_axis,
                bound: bound.clone(),
            };
            add(rule, to.span, mapping, diagnostics)
        }
        "Ignore" => {
            let mut fields = FieldReader::with_item(value, name, "from", &["from"], diagnostics);
            let from = fields.required("from", diagnostics)?;
            mapping.ignored.push(pattern(from, bound, diagnostics)?);
            Some(())
        }
        "Each" => each(value, bound, mapping, diagnostics),
        other => {
            let text = format!("a rule is expected, not {}", value.describe());
            let diagnostic = Diagnostic::new(codes::FORM, text, value.span);
            let near = nearest(other, RULES.iter().copied());
            diagnostics.push(diagnostic.suggest(near).help(format!("the rules are {}", RULES.join(", "))));
            None
        }
    }
}

/// `Each("stage", of: [0, 1], rules: [...])`: the rules once for every number.
fn each(value: &Value, bound: &Bindings, mapping: &mut Mapping, diagnostics: &mut Diagnostics) -> Option<()> {
    let mut fields = FieldReader::with_item(value, "Each", "name", &["name", "of", "rules"], diagnostics);
    fields.required("name", diagnostics)?;
    let of = fields.required("of", diagnostics)?;
    fields.required("rules", diagnostics)?;
    let name = fields.text("name", diagnostics)?.value;
    let rules = fields.list("rules", diagnostics);
    if bound.get(&name).is_some() {
        diagnostics.push(Diagnostic::new(codes::NAME_TAKEN, format!("`{name}` is bound by an Each around this one"), value.span));
        return None;
    }
    for item in fields.list("of", diagnostics) {
        let Kind::Integer(number) = item.kind else {
            diagnostics.push(Diagnostic::new(codes::FIELD_FORM, "`Each.of` is a list of whole numbers", of.span));
            return None;
        };
        let bound = bound.with(&name, &number.to_string());
        for rule in &rules {
            read_rule(rule, &bound, mapping, diagnostics);
        }
    }
    Some(())
}

fn transpose(fields: &mut FieldReader<'_>, diagnostics: &mut Diagnostics) -> Option<Option<Vec<usize>>> {
    let Some(value) = fields.value("transpose") else { return Some(None) };
    let axes: Option<Vec<usize>> = match &value.kind {
        Kind::List(items) => items
            .iter()
            .map(|item| match item.kind {
                Kind::Integer(axis) => usize::try_from(axis).ok(),
                _ => None,
            })
            .collect(),
        _ => None,
    };
    let axes = axes.filter(|axes| {
        let mut sorted = axes.clone();
        sorted.sort_unstable();
        sorted.into_iter().eq(0..axes.len())
    });
    if axes.is_none() {
        diagnostics.push(Diagnostic::new(codes::FIELD_FORM, "`transpose` is an order of the axes: [1, 0]", value.span));
        return None;
    }
    Some(axes)
}

fn source(value: &Value, bound: &Bindings, diagnostics: &mut Diagnostics) -> Option<SourcePattern> {
    if value.as_call().is_none_or(|call| call.name() != "Slice") {
        return Some(SourcePattern { pattern: pattern(value, bound, diagnostics)?, part: None });
    }
    let mut fields = FieldReader::with_item(value, "Slice", "from", &["from", "axis", "start", "length"], diagnostics);
    let from = fields.required("from", diagnostics)?;
    let axis = natural(&mut fields, "axis", 0, diagnostics)?;
    let start = natural(&mut fields, "start", 0, diagnostics)?;
    let length = match fields.value("length") {
        Some(_) => Some(natural(&mut fields, "length", 0, diagnostics)?),
        None => None,
    };
    Some(SourcePattern { pattern: pattern(from, bound, diagnostics)?, part: Some(Part { axis, start, length }) })
}

fn pattern(value: &Value, bound: &Bindings, diagnostics: &mut Diagnostics) -> Option<Pattern> {
    let written = text(value, "a pattern of tensor names", diagnostics)?;
    match Pattern::parse(&written, bound) {
        Ok(pattern) => Some(pattern),
        Err(reason) => {
            diagnostics.push(Diagnostic::new(codes::FIELD_FORM, format!("in the pattern \"{written}\": {reason}"), value.span));
            None
        }
    }
}

/// Adds a rule whose names can be filled: every name in a target is captured by each source, or bound by a loop.
fn add(rule: Rule, span: Span, mapping: &mut Mapping, diagnostics: &mut Diagnostics) -> Option<()> {
    let mut trial = rule.bound.clone();
    for capture in rule.sources[0].pattern.captures() {
        // Any number tells whether the names are known and the arithmetic is right.
        trial = trial.with(capture, "1");
    }
    for target in &rule.targets {
        if let Err(reason) = super::pattern::fill(target, &trial) {
            let text = format!("in the name \"{target}\": {reason}");
            let help = "names in braces are captures of the first pattern, or bound by Each";
            diagnostics.push(Diagnostic::new(codes::UNKNOWN_NAME, text, span).help(help));
            return None;
        }
    }
    let captures: Vec<&str> = rule.sources[0].pattern.captures().collect();
    for other in &rule.sources[1..] {
        if let Some(extra) = other.pattern.captures().find(|capture| !captures.contains(capture)) {
            let text = format!("the first pattern does not capture `{extra}`, which \"{}\" needs", other.pattern.text());
            diagnostics.push(Diagnostic::new(codes::UNKNOWN_NAME, text, span));
            return None;
        }
        if let Err(reason) = super::pattern::fill(other.pattern.text(), &trial) {
            let text = format!("in the pattern \"{}\": {reason}", other.pattern.text());
            diagnostics.push(Diagnostic::new(codes::FIELD_FORM, text, span));
            return None;
        }
    }
    mapping.rules.push(rule);
    Some(())
}
