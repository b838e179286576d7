//! Patterns of tensor names with captures, and the names that are made of what they capture.

use indexmap::IndexMap;
use sward_core::dim::Dim;
use sward_core::expr::{Constant, Interpolated, Scope, interpolate};

/// What captures and loops have bound, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Bindings(Vec<(String, String)>);

impl Bindings {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, text)| text.as_str())
    }

    pub fn with(&self, name: &str, text: &str) -> Bindings {
        let mut more = self.clone();
        more.0.push((name.to_owned(), text.to_owned()));
        more
    }
}

impl Scope for Bindings {
    fn lookup(&self, name: &str) -> Option<Constant> {
        let text = self.get(name)?;
        // `01` is a text: written back as a number it would be another name.
        let number = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
        Some(number.map_or_else(|| Constant::Text(text.to_owned()), |number| Constant::Int(Dim::constant(number))))
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }
}

/// Fills a name: `blocks.{n}.attn.qkv.{kind}`, `layer{stage + 1}`.
pub(super) fn fill(template: &str, bindings: &Bindings) -> Result<String, String> {
    match interpolate(template, bindings) {
        Ok(Interpolated::One(text)) => Ok(text),
        Ok(Interpolated::Many(_)) => Err("an expression in a name gives one text, not a list".into()),
        Err(error) => Err(error.to_string()),
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    /// One or more characters; without `across`, no dot among them.
    Capture {
        name: String,
        across: bool,
    },
}

/// A pattern of names: `encoder.layer.{n}.norm1.{kind}`. `{n}` stands for some characters without a dot, `{rest...}` for any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    text: String,
    pieces: Vec<Piece>,
}

impl Pattern {
    /// Reads a pattern. Braces around an expression of names that a loop has bound are filled at once.
    pub fn parse(text: &str, bound: &Bindings) -> Result<Self, String> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            literal += &rest[..open];
            if rest[open..].starts_with('}') {
                return Err("`}` closes nothing".into());
            }
            let Some(length) = rest[open..].find('}') else { return Err("the brace opened here is not closed".into()) };
            let inside = &rest[open + 1..open + length];
            rest = &rest[open + length + 1..];
            let (name, across) = inside.strip_suffix("...").map_or((inside, false), |name| (name, true));
            let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !is_name || (bound.get(name).is_some() && !across) {
                literal += &fill(&format!("{{{inside}}}"), bound)?;
                continue;
            }
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            if matches!(pieces.last(), Some(Piece::Capture { .. })) {
                return Err(format!("`{{{inside}}}` follows a capture directly: nothing says where one ends"));
            }
            pieces.push(Piece::Capture { name: name.into(), across });
        }
        literal += rest;
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        if pieces.is_empty() {
            return Err("a pattern is not empty".into());
        }
        Ok(Self { text: text.to_owned(), pieces })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names of the captures.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Capture { name, .. } => Some(name.as_str()),
            Piece::Literal(_) => None,
        })
    }

    /// What the captures stand for in a name, where the pattern fits it.
    pub fn find(&self, name: &str) -> Option<IndexMap<String, String>> {
        let mut captured = Vec::new();
        if !fits(&self.pieces, name, &mut captured) {
            return None;
        }
        Some(captured.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect())
    }
}

/// Whether the pieces fit the whole text; the shortest captures that do so win.
fn fits<'p, 't>(pieces: &'p [Piece], text: &'t str, captured: &mut Vec<(&'p str, &'t str)>) -> bool {
    match pieces {
        [] => text.is_empty(),
        [Piece::Literal(literal), rest @ ..] => {
            text.strip_prefix(literal.as_str()).is_some_and(|text| fits(rest, text, captured))
        }
        [Piece::Capture { name, across }, rest @ ..] => {
            for (end, character) in text.char_indices().map(|(at, character)| (at + character.len_utf8(), character)) {
                if character == '.' && !across {
                    return false;
                }
                let taken = &text[..end];
                let agrees = captured.iter().all(|(own, before)| *own != name.as_str() || *before == taken);
                if agrees {
                    captured.push((name, taken));
                    if fits(rest, &text[end..], captured) {
                        return true;
                    }
                    captured.pop();
                }
            }
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(pattern: &str, name: &str) -> Option<Vec<String>> {
        let pattern = Pattern::parse(pattern, &Bindings::default()).unwrap();
        pattern.find(name).map(|found| found.into_values().collect())
    }

    #[test]
    fn captures_take_parts_of_segments_and_dots_only_where_they_say_so() {
        assert_eq!(find("layer.{n}.norm.{kind}", "layer.3.norm.weight").unwrap(), ["3", "weight"]);
        assert_eq!(find("layer{n}.w", "layer12.w").unwrap(), ["12"]);
        assert_eq!(find("a.{n}.c", "a.b.b.c"), None);
        assert_eq!(find("a.{rest...}.c", "a.b.b.c").unwrap(), ["b.b"]);
        assert_eq!(find("a.{rest...}", "a."), None);
        assert_eq!(find("{n}.x.{n}", "4.x.4").unwrap(), ["4"]);
        assert_eq!(find("{n}.x.{n}", "4.x.5"), None);
        assert_eq!(find("encoder_layer_{n}.{rest...}", "encoder_layer_0.ln_1.weight").unwrap(), ["0", "ln_1.weight"]);
    }

    #[test]
    fn names_are_filled_with_arithmetic() {
        let bindings = Bindings::default().with("n", "3").with("kind", "weight");
        assert_eq!(fill("layer{n + 1}.{kind}", &bindings).unwrap(), "layer4.weight");
        assert!(fill("layer{m}", &bindings).is_err());
        let pattern = Pattern::parse("features.{2 * n + 1}.{block}", &bindings).unwrap();
        assert_eq!(pattern.find("features.7.5").unwrap()["block"], "5");
    }

    #[test]
    fn broken_patterns_are_refused() {
        for text in ["", "a.{n", "a.}", "{a}{b}", "x.{1 +}"] {
            assert!(Pattern::parse(text, &Bindings::default()).is_err(), "{text}");
        }
    }
}
