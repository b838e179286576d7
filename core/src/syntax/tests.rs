use super::*;
use crate::diagnostic::{all_codes, render};
use insta::assert_snapshot;

/// Reads a text that has no fault.
fn sound(text: &str) -> (Sources, Value) {
    let mut sources = Sources::new();
    let file = sources.add("a.ron", text);
    let mut diagnostics = Diagnostics::new();
    let value = read(&sources, file, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{text}\n{}", render::text(&sources, &diagnostics, false));
    (sources, value.expect("a text without fault has a value"))
}

/// Reads a text that has faults, and gives what people are told.
fn faults(text: &str) -> String {
    let mut sources = Sources::new();
    let file = sources.add("a.ron", text);
    let mut diagnostics = Diagnostics::new();
    let value = read(&sources, file, &mut diagnostics);
    assert!(value.is_none() && diagnostics.has_errors(), "no fault found in {text}");
    render::text(&sources, &diagnostics, false)
}

/// The codes and covered texts of a text's faults, in reading order.
fn codes_of(text: &str) -> Vec<(String, String)> {
    let mut sources = Sources::new();
    let file = sources.add("a.ron", text);
    let mut diagnostics = Diagnostics::new();
    read(&sources, file, &mut diagnostics);
    let covered = |diagnostic: &Diagnostic| diagnostic.span().map_or(String::new(), |span| sources.slice(span).to_owned());
    diagnostics.sorted().into_iter().map(|diagnostic| (diagnostic.code.to_string(), covered(diagnostic))).collect()
}

fn kind(text: &str) -> Kind {
    sound(text).1.kind
}

#[test]
fn every_kind_of_value_is_read() {
    assert_eq!(kind("()"), Kind::Unit);
    assert_eq!(kind("( /* nothing */ )"), Kind::Unit);
    assert_eq!(kind("true"), Kind::Bool(true));
    assert_eq!(kind("-12"), Kind::Integer(-12));
    assert_eq!(kind("+1_000"), Kind::Integer(1000));
    assert_eq!(kind("0xFF"), Kind::Integer(255));
    assert_eq!(kind("-0o17"), Kind::Integer(-15));
    assert_eq!(kind("0b1_01"), Kind::Integer(5));
    assert_eq!(kind("-9223372036854775808"), Kind::Integer(i64::MIN));
    assert_eq!(kind("3e-4"), Kind::Float(3e-4));
    assert_eq!(kind(".5"), Kind::Float(0.5));
    assert_eq!(kind("1."), Kind::Float(1.0));
    assert_eq!(kind("1E+2"), Kind::Float(100.0));
    assert_eq!(kind("Gelu"), Kind::Name("Gelu".to_owned()));
    assert_eq!(kind("\"a b\""), Kind::Text("a b".to_owned()));
    assert_eq!(kind("[]"), Kind::List(Vec::new()));
    assert_eq!(kind("{}"), Kind::Map(Vec::new()));
    assert_eq!(print(&sound("Relu()").1), "Relu()\n");
}

#[test]
fn a_call_may_hold_values_without_names_before_its_fields() {
    let (sources, value) = sound("Float ( 1.5, above /* not: this */ : 1.0, below: 2.0, )");
    let call = value.as_call().unwrap();
    assert_eq!((call.name(), call.items.len(), call.fields.len()), ("Float", 1, 2));
    assert_eq!(sources.slice(call.fields[0].key.span), "above");
    assert_eq!(sources.slice(call.fields[1].value.span), "2.0");
    assert_eq!(sources.slice(value.span), sources.text(value.span.file));
}

#[test]
fn escapes_and_raw_texts_mean_what_they_mean_in_ron() {
    let text = |text: &str| sound(text).1.as_text().unwrap().to_owned();
    assert_eq!(text(r#""\"\\\'\n\r\t\0\x41\u{e9}\xc3\xa9""#), "\"\\'\n\r\t\0Aéé");
    assert_eq!(text("\"one \\\n    two\""), "one two");
    assert_eq!(text("\"one \\\r\n  two\""), "one two");
    assert_eq!(text("\"two\nlines\""), "two\nlines");
    assert_eq!(text(r##"r#"C:\data "x""#"##), "C:\\data \"x\"");
    assert_eq!(text(r#"r"\d""#), "\\d");
}

#[test]
fn comments_are_skipped_and_nest() {
    assert_eq!(kind("// one\n/* two /* three */ \" */ 4 // five"), Kind::Integer(4));
}

#[test]
fn a_place_within_a_text_is_found_through_its_escapes() {
    let (sources, value) = sound(r#"  "a\u{e9}\x41 b""#);
    let part = |range| sources.slice(span_in_text(&sources, value.span, range)).to_owned();
    // The value is `aéA b`, where `é` has two bytes.
    assert_eq!(part(0..1), "a");
    assert_eq!(part(1..3), r"\u{e9}");
    assert_eq!(part(3..4), r"\x41");
    assert_eq!(part(1..4), r"\u{e9}\x41");
    assert_eq!(part(5..6), "b");
    assert_eq!(part(0..6), r"a\u{e9}\x41 b");
    let end = span_in_text(&sources, value.span, 6..6);
    assert_eq!((end.start, end.end), (value.span.end - 1, value.span.end - 1));
    let (sources, value) = sound(r##"r#"ab"#"##);
    assert_eq!(sources.slice(span_in_text(&sources, value.span, 1..2)), "b");
}

#[test]
fn every_wrong_example_of_the_reader_has_its_fault_and_no_other() {
    let path_codes = 30;
    for entry in all_codes().filter(|entry| entry.code.number() < path_codes && entry.untested.is_none()) {
        let found: Vec<_> = codes_of(entry.wrong).into_iter().map(|(code, _)| code).collect();
        assert_eq!(found, [entry.code.to_string()], "the wrong example of {}", entry.code);
        assert_eq!(codes_of(entry.right), [], "the right example of {}", entry.code);
    }
}

#[test]
fn nesting_is_read_up_to_the_limit_and_refused_past_it() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    sound(&nested(MAX_DEPTH));
    assert_eq!(codes_of(&nested(MAX_DEPTH + 1)), [("S0017".to_owned(), "[".to_owned())]);
    let calls = format!("{}1{}", "A(b: ".repeat(MAX_DEPTH), ")".repeat(MAX_DEPTH));
    sound(&calls);
    // A million levels neither overflow the stack nor take long.
    assert_eq!(codes_of(&nested(1_000_000))[0].0, "S0017");
    let codes: Vec<_> = codes_of(&"[".repeat(1_000_000)).into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, ["S0017", "S0008"]);
}

#[test]
fn a_repeated_field_shows_both_places() {
    assert_snapshot!(faults("Linear(\n    units: 4,\n    bias: true,\n    units: 8,\n)"), @r#"
error[S0015]: field `units` is given twice
 --> a.ron:4:5
  |
2 |     units: 4,
  |     ----- first given here
3 |     bias: true,
4 |     units: 8,
  |     ^^^^^ given again here
  |
  = help: keep one of them
"#);
}
