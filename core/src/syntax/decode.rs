//! From a tree of values to typed data: a serde deserializer whose errors have places.
//!
//! What a `Data`, `Transform`, `Experiment` or `Ablation` holds is plain data, so its types derive `Deserialize`. [`decode`] reads one from a
//! tree; every error becomes a [`Diagnostic`] at the value that is at fault. A type that must remember where it was written is
//! [`Spanned`]; one that keeps a part of the tree as it stands, to be read by somebody else, holds a [`Raw`].
//!
//! Numbers and switches may be written as expressions in quotes where a [`Scope`] is given: `"size / 2"`.

mod access;
mod decoder;
mod error;

use super::Value;
use crate::diagnostic::Diagnostic;
use crate::expr::{Constant, Scope};
use crate::source::{FileId, Span, Spanned};
use decoder::Decoder;
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use std::cell::RefCell;
use std::fmt;

/// Reads typed data from a tree. In texts, `scope` fills `{name}` and gives expressions their names.
///
/// # Errors
/// The first thing that does not fit, at its place.
pub fn decode<'v, T: Deserialize<'v>>(value: &'v Value, scope: &dyn Scope) -> Result<T, Box<Diagnostic>> {
    T::deserialize(Decoder { value, scope }).map_err(|error| Box::new(error.diagnostic(value)))
}

/// No names.
pub struct NoNames;

impl Scope for NoNames {
    fn lookup(&self, _: &str) -> Option<Constant> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A part of a tree as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Raw(pub Value);

const SPANNED: &str = "$sward::Spanned";
const RAW: &str = "$sward::Raw";

thread_local! {
    /// A value on its way through serde's data model, which has no word for it.
    static IN_TRANSIT: RefCell<Option<Value>> = const { RefCell::new(None) };
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        struct RawVisitor;
        impl<'de> Visitor<'de> for RawVisitor {
            type Value = Raw;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a part of a graph file")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Raw, E> {
                let value = IN_TRANSIT.with(|place| place.borrow_mut().take());
                value.map(Raw).ok_or_else(|| E::custom("only a graph file can hold this"))
            }
        }
        deserializer.deserialize_unit_struct(RAW, RawVisitor)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Spanned<T>, D::Error> {
        struct SpannedVisitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for SpannedVisitor<T> {
            type Value = Spanned<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a value with its place")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Spanned<T>, A::Error> {
                let mut number = || parts.next_element::<u32>()?.ok_or_else(|| de::Error::custom("a place has three numbers"));
                let (file, start, end) = (number()?, number()?, number()?);
                let value = parts.next_element()?.ok_or_else(|| de::Error::custom("a value follows its place"))?;
                Ok(Spanned::new(value, Span { file: FileId::from_index(file), start, end }))
            }
        }
        deserializer.deserialize_tuple_struct(SPANNED, 4, SpannedVisitor(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Diagnostics;
    use crate::dim::Dim;
    use crate::source::Sources;
    use crate::syntax;
    use indexmap::IndexMap;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Resize {
        height: u32,
        #[serde(default)]
        width: Option<u32>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    enum Step {
        Resize(Resize),
        Named {
            path: String,
            #[serde(default)]
            scale: f64,
        },
        Weights(IndexMap<String, f64>),
        Flip,
    }

    struct Size;

    impl Scope for Size {
        fn lookup(&self, name: &str) -> Option<Constant> {
            (name == "size").then(|| Constant::Int(Dim::constant(12)))
        }

        fn names(&self) -> Vec<String> {
            vec!["size".to_owned()]
        }
    }

    fn tree(text: &str) -> (Sources, Value) {
        let mut sources = Sources::new();
        let file = sources.add("a.ron", text);
        let mut diagnostics = Diagnostics::new();
        let value = syntax::read(&sources, file, &mut diagnostics).expect("the text is RON");
        (sources, value)
    }

    fn steps(text: &str) -> Result<Vec<Step>, (String, String)> {
        let (sources, value) = tree(text);
        decode(&value, &Size).map_err(|error| {
            let place = error.span().map(|span| sources.slice(span).to_owned()).unwrap_or_default();
            (error.message, place)
        })
    }

    #[test]
    fn variants_are_written_with_the_fields_of_what_they_hold() {
        let read = steps(
            r#"[Resize(height: "size / 2", width: 3), Named("a/{size}.png"), Named(path: "b", scale: 2), Weights({ "x": 1 }), Flip]"#,
        );
        let named = |path: &str, scale| Step::Named { path: path.to_owned(), scale };
        let weights = Step::Weights([("x".to_owned(), 1.0)].into_iter().collect());
        assert_eq!(
            read,
            Ok(vec![
                Step::Resize(Resize { height: 6, width: Some(3) }),
                named("a/12.png", 0.0),
                named("b", 2.0),
                weights,
                Step::Flip
            ])
        );
    }

    #[test]
    fn every_error_has_the_place_of_what_is_at_fault() {
        let place = |text: &str| steps(text).expect_err(text).1;
        assert_eq!(place("[Resize(heigth: 4)]"), "heigth");
        assert_eq!(place("[Resize(height: -4)]"), "-4");
        assert_eq!(place("[Resize(height: 1.5)]"), "1.5");
        assert_eq!(place("[Resize(height: \"sise\")]"), "sise");
        assert_eq!(place("[Resize(width: 1)]"), "Resize(width: 1)");
        assert_eq!(place("[Rezise(height: 4)]"), "Rezise");
        assert_eq!(place("[Flip(3)]"), "Flip(3)");
        assert_eq!(place("[Weights({ \"x\": Flip })]"), "Flip");
        assert_eq!(place("[Named(\"a\", \"b\")]"), "\"b\"");
        assert_eq!(place("{ \"a\": 1 }"), "{ \"a\": 1 }");
    }

    #[test]
    fn an_unknown_field_is_said_of_what_lacks_it() {
        let message = |text: &str| steps(text).expect_err(text).0;
        assert_eq!(message("[Resize(heigth: 4)]"), "`Resize` has no field `heigth`");
        assert_eq!(message("[Named(path: \"a\", scael: 2)]"), "`Named` has no field `scael`");
        let (_, value) = tree("(heigth: 4)");
        let error = decode::<Resize>(&value, &NoNames).expect_err("no field of this name");
        assert_eq!(error.message, "`Resize` has no field `heigth`");
    }

    #[test]
    fn places_and_raw_parts_are_kept() {
        #[derive(Deserialize)]
        struct Kept {
            name: Spanned<String>,
            body: Raw,
            more: IndexMap<Spanned<String>, Raw>,
        }
        let (sources, value) = tree("(name: \"n\", body: Use(module: \"m.ron\"), more: { \"k\": [1] })");
        let kept: Kept = decode(&value, &NoNames).expect("it fits");
        assert_eq!((kept.name.value.as_str(), sources.slice(kept.name.span)), ("n", "\"n\""));
        assert_eq!(sources.slice(kept.body.0.span), "Use(module: \"m.ron\")");
        let (key, raw) = kept.more.first().expect("one entry");
        assert_eq!((sources.slice(key.span), sources.slice(raw.0.span)), ("\"k\"", "[1]"));
    }
}
