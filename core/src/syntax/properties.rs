//! What holds for every text: no panic, places that fit, a print that reads back, agreement with the `ron` crate.

use super::*;
use crate::diagnostic::render;
use proptest::collection::vec;
use proptest::prelude::*;

/// A file in the manner of real ones, to be damaged.
const MODULE: &str = r##"// A comment, /* not */ nested.
Module(
    doc: "FiLM: \"scale\" and shift\u{2014}twice.",
    params: { "hidden": Int(128, above: 0), "rate": Float(1.5e-3, above: 0.0, below: 1.0) },
    inputs: {
        "features": F32(["batch", "channels", 7, 0x10]), /* block /* nested */ */
        "observed": Bool(["batch"], domain: Positive),
    },
    nodes: {
        "mlp.0": Chain(from: "context", layers: [Linear(units: "hidden"), Gelu, (1, 2), ()]),
        "raw": Formula(r#"a "b" c"#),
    },
    outputs: { "features": -1_000, "flag": true, 3: Some(4) },
)
"##;

fn read_text(text: &str) -> (Sources, FileId, Option<Value>, Diagnostics) {
    let mut sources = Sources::new();
    let file = sources.add("a.ron", text);
    let mut diagnostics = Diagnostics::new();
    let value = read(&sources, file, &mut diagnostics);
    (sources, file, value, diagnostics)
}

fn text_value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z:./ *]{0,12}",
        // Everything that has an escape, and letters of two, three and four bytes.
        "[\"\\\\\n\r\t\u{0}'é–🌱\u{7}\u{2028}\u{feff}x{}u]{0,8}",
        any::<String>(),
    ]
}

fn name() -> impl Strategy<Value = String> {
    "[A-Za-z_][A-Za-z0-9_]{0,6}".prop_filter("a bare name must not be another kind of value, nor one of RON's own", |name| {
        !["true", "false", "Some", "None", "inf", "inff32", "inff64", "NaN", "NaNf32", "NaNf64"].contains(&name.as_str())
    })
}

/// A value without a place.
fn free(kind: Kind) -> Value {
    Value { span: Span::at(Sources::new().add("", ""), 0), kind }
}

fn distinct<T, K: PartialEq>(items: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut kept: Vec<T> = Vec::new();
    for item in items {
        if kept.iter().all(|other| key(other) != key(&item)) {
            kept.push(item);
        }
    }
    kept
}

/// Trees that can be written. `mixed` allows calls with both kinds of arguments, which RON itself does not have.
fn tree(mixed: bool) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Kind::Unit),
        any::<bool>().prop_map(Kind::Bool),
        any::<i64>().prop_map(Kind::Integer),
        any::<f64>().prop_filter("finite", |value| value.is_finite()).prop_map(Kind::Float),
        text_value().prop_map(Kind::Text),
        name().prop_map(Kind::Name),
    ]
    .prop_map(free);
    leaf.prop_recursive(5, 60, 6, move |inner| {
        let key = prop_oneof![
            text_value().prop_map(Kind::Text),
            any::<i64>().prop_map(Kind::Integer),
            name().prop_map(Kind::Name),
            any::<bool>().prop_map(Kind::Bool),
        ];
        let fields = vec((name(), inner.clone()), 0..4);
        let call = (proptest::option::of(name()), vec(inner.clone(), 0..4), fields, any::<bool>()).prop_map(
            move |(name, mut items, fields, named)| {
                let mut fields = distinct(fields, |field| field.0.clone());
                if !mixed {
                    if named { items.clear() } else { fields.clear() }
                }
                if name.is_none() && items.is_empty() && fields.is_empty() {
                    return free(Kind::Unit);
                }
                let spanned = |text: String| Spanned::new(text, free(Kind::Unit).span);
                let fields = fields.into_iter().map(|(key, value)| Field { key: spanned(key), value }).collect();
                free(Kind::Call(Call { name: name.map(spanned), items, fields }))
            },
        );
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(|items| free(Kind::List(items))),
            vec((key.prop_map(free), inner), 0..5)
                .prop_map(|entries| free(Kind::Map(distinct(entries, |entry| format!("{:?}", entry.0.kind))))),
            call,
        ]
    })
}

/// Checks that the text under every span is that value alone, and that values lie within the one that holds them.
fn check_places(sources: &Sources, value: &Value) {
    let (_, _, again, _) = read_text(sources.slice(value.span));
    let again = again.unwrap_or_else(|| panic!("the place of a value holds something else: {:?}", sources.slice(value.span)));
    assert!(again.same(value), "{:?}", sources.slice(value.span));
    assert_eq!((again.span.start, again.span.end), (0, value.span.end - value.span.start), "a place is wider than its value");
    for child in value.children() {
        assert!(value.span.contains(child.span));
        check_places(sources, child);
    }
    if let Kind::Call(call) = &value.kind {
        for name in call.name.iter().chain(call.fields.iter().map(|field| &field.key)) {
            assert_eq!(sources.slice(name.span), name.value);
        }
    }
}

/// What `ron` makes of a value that our reader read: names are units to it, and names of calls are dropped.
fn as_ron_sees_it(value: &Value) -> ron::Value {
    match &value.kind {
        Kind::Unit | Kind::Name(_) => ron::Value::Unit,
        Kind::Bool(value) => ron::Value::Bool(*value),
        Kind::Text(text) => ron::Value::String(text.clone()),
        Kind::Integer(_) | Kind::Float(_) => ron::from_str(&single_number(value)).unwrap(),
        Kind::List(items) => ron::Value::Seq(items.iter().map(as_ron_sees_it).collect()),
        Kind::Map(entries) => {
            ron::Value::Map(entries.iter().map(|(key, value)| (as_ron_sees_it(key), as_ron_sees_it(value))).collect())
        }
        Kind::Call(call) if call.fields.is_empty() => ron::Value::Seq(call.items.iter().map(as_ron_sees_it).collect()),
        Kind::Call(call) => {
            let entries =
                call.fields.iter().map(|field| (ron::Value::String(field.key.value.clone()), as_ron_sees_it(&field.value)));
            ron::Value::Map(entries.collect())
        }
    }
}

/// A number written as Rust writes it, so that `ron` reads the value that we hold and not the text that we read.
fn single_number(value: &Value) -> String {
    match value.kind {
        Kind::Integer(value) => value.to_string(),
        Kind::Float(value) => format!("{value:e}"),
        _ => unreachable!("called for numbers alone"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_printed_tree_reads_back_as_itself(value in tree(true)) {
        let printed = print(&value);
        let (sources, _, again, diagnostics) = read_text(&printed);
        let again = again.unwrap_or_else(|| panic!("{printed}\n{}", render::text(&sources, &diagnostics, false)));
        prop_assert!(again.same(&value), "{}", printed);
        prop_assert_eq!(print(&again), printed);
        check_places(&sources, &again);
    }

    #[test]
    fn values_are_those_that_ron_reads(value in tree(false)) {
        let printed = print(&value);
        let theirs: ron::Value = ron::Options::default().without_recursion_limit().from_str(&printed).unwrap();
        prop_assert_eq!(theirs, as_ron_sees_it(&value), "{}", printed);
    }

    #[test]
    fn arbitrary_bytes_give_a_value_or_an_error(bytes in vec(any::<u8>(), 0..200)) {
        let mut sources = Sources::new();
        let mut diagnostics = Diagnostics::new();
        let added = add_bytes(&mut sources, "a.ron", bytes, &mut diagnostics);
        let read_it = added.is_ok_and(|file| read(&sources, file, &mut diagnostics).is_some());
        prop_assert_eq!(read_it, !diagnostics.has_errors());
        render::text(&sources, &diagnostics, true);
    }

    #[test]
    fn a_damaged_file_gives_a_value_or_an_error_within_it(
        cuts in vec((any::<prop::sample::Index>(), 0..12_usize, "[()\\[\\]{}:,\"'/*\\\\a1.#=r \n-]{0,3}"), 1..4)
    ) {
        let mut text = MODULE.to_owned();
        for (index, length, inserted) in cuts {
            let mut start = index.index(text.len() + 1);
            let mut end = (start + length).min(text.len());
            while !text.is_char_boundary(start) { start -= 1 }
            while !text.is_char_boundary(end) { end += 1 }
            text.replace_range(start..end, &inserted);
        }
        let (sources, file, value, diagnostics) = read_text(&text);
        prop_assert_eq!(value.is_some(), !diagnostics.has_errors());
        for diagnostic in &diagnostics {
            let span = diagnostic.span().unwrap();
            prop_assert!(span.file == file && span.end as usize <= text.len());
            prop_assert!(text.is_char_boundary(span.start as usize) && text.is_char_boundary(span.end as usize));
            // Nothing that our reader lets through is left for the judge to find, but for `Some` and `None`.
            prop_assert!(diagnostic.code != codes::REFUSED_BY_RON || text.contains("Some"), "{}\n{}", text, diagnostic.message);
        }
        render::text(&sources, &diagnostics, false);
        if let Some(value) = value {
            check_places(&sources, &value);
        }
    }

    #[test]
    fn what_ron_reads_is_read_or_refused_for_a_stated_reason(
        text in "([a-z]{1,3}[(]|[\\[{(\\]})]|[0-9]{1,2}|-1|1[.]5|0x1f|\"[a-z]\"|r\"x\"|[a-z]{1,2}|: |, |,|/[*] x [*]/|// x\n| ){1,14}"
    ) {
        let theirs: Result<ron::Value, _> = ron::from_str(&text);
        let (sources, _, value, diagnostics) = read_text(&text);
        // RON's own reader takes these texts of ours for what we take them for, and takes no others.
        if let Some(value) = &value {
            if !has_mixed_call(value) {
                prop_assert_eq!(theirs.clone().ok(), Some(as_ron_sees_it(value)), "{}", text);
            }
        } else if theirs.is_ok() {
            let stated = [codes::DUPLICATE_FIELD, codes::DUPLICATE_KEY, codes::BAD_MAP_KEY];
            for diagnostic in &diagnostics {
                prop_assert!(stated.contains(&diagnostic.code), "{}", render::one(&sources, diagnostic, false));
            }
        }
    }
}

fn has_mixed_call(value: &Value) -> bool {
    let mixed = value.as_call().is_some_and(|call| !call.items.is_empty() && !call.fields.is_empty());
    mixed || value.children().into_iter().any(has_mixed_call)
}

#[test]
fn the_file_that_is_damaged_is_sound_and_stays_itself_when_printed() {
    let (sources, _, value, diagnostics) = read_text(MODULE);
    assert!(diagnostics.is_empty(), "{}", render::text(&sources, &diagnostics, false));
    let value = value.unwrap();
    check_places(&sources, &value);
    let (_, _, again, _) = read_text(&print(&value));
    assert!(again.unwrap().same(&value));
}

#[test]
fn every_beginning_of_a_file_gives_an_error_where_it_is_cut() {
    // Before its bracket the name of the call is a value of its own.
    let opened = MODULE.find("Module(").unwrap() + "Module(".len();
    for end in (opened..MODULE.trim_end().len()).filter(|end| MODULE.is_char_boundary(*end)) {
        let (sources, _, value, diagnostics) = read_text(&MODULE[..end]);
        assert!(value.is_none() && diagnostics.has_errors(), "cut at {end}");
        assert!(diagnostics.len() <= 3, "cut at {end}: {}", render::text(&sources, &diagnostics, false));
    }
}
