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
fn a_large_file_is_read_in_time_linear_in_its_size() {
    let line = r#"        "stages.0.blocks.1": Linear(from: "x", units: "4 * dim", rate: Float(1.5, above: 1e-3)),"#;
    let seconds = |lines: usize| {
        let numbered = (0..lines).map(|index| line.replace("stages.0", &format!("s{index}")) + "\n");
        let mut sources = Sources::new();
        let file = sources.add("a.ron", format!("Module(nodes: {{\n{}}})", numbered.collect::<String>()));
        let started = std::time::Instant::now();
        assert!(read(&sources, file, &mut Diagnostics::new()).is_some());
        started.elapsed().as_secs_f64()
    };
    let small = (0..5).map(|_| seconds(4_000)).fold(f64::INFINITY, f64::min);
    let large = (0..5).map(|_| seconds(40_000)).fold(f64::INFINITY, f64::min);
    println!("4,000 lines: {small:.4} s, 40,000 lines: {large:.4} s");
    assert!(large < 70.0 * small, "ten times the text takes {} times as long", large / small);
}

#[test]
fn hostile_texts_take_no_longer_than_others() {
    const SIZE: usize = 1 << 20;
    let hostile = [
        "[".repeat(SIZE),
        "]".repeat(SIZE),
        "[)".repeat(SIZE / 2),
        "({[".repeat(SIZE / 3),
        "/*".repeat(SIZE / 2),
        "\"\n".repeat(SIZE / 2 - 1) + "\"",
        "r#".repeat(SIZE / 2),
        format!("r{}\"", "#".repeat(SIZE - 2)),
        "'".repeat(SIZE),
        "a=".repeat(SIZE / 2),
        "é".repeat(SIZE / 2),
        "a@".repeat(SIZE / 2),
        "1.".repeat(SIZE / 2),
        "\\".repeat(SIZE),
        format!("\"{}\"", "\\q".repeat(SIZE / 2 - 1)),
        format!("A({})", "a:1,".repeat(SIZE / 4 - 1)),
        "b\"".repeat(SIZE / 2),
        "#!".repeat(SIZE / 2),
    ];
    for text in hostile {
        let started = std::time::Instant::now();
        assert!(!codes_of(&text).is_empty());
        let beginning: String = text.chars().take(12).collect();
        println!("{beginning}: {:?}", started.elapsed());
        // What is sound takes well under a second; what is quadratic takes minutes.
        assert!(started.elapsed().as_secs() < 60, "{beginning} took {:?}", started.elapsed());
    }
}

#[test]
fn a_file_over_the_limit_is_refused() {
    assert_eq!(codes_of(&" ".repeat(MAX_FILE_BYTES + 1))[0].0, "S0002");
    assert_eq!(codes_of(&(" ".repeat(MAX_FILE_BYTES - 1) + "A")), []);
}

#[test]
fn independent_faults_are_all_told() {
    let text = r#"Module(
    doc: "50\% more",
    params: { "a": Int(1e999) "b": 2, "a": 3 },
    list: [1, , 2],
    x: y: 3,
)"#;
    assert_snapshot!(faults(text), @r#"
    error[S0012]: unknown escape `\%`
     --> a.ron:2:13
      |
    2 |     doc: "50\% more",
      |             ^^
      |
      = help: a backslash that means itself is written `\\`, or the text is written raw: `r"…"`

    error[S0014]: `1e999` is too large for a 64-bit floating-point number
     --> a.ron:3:24
      |
    3 |     params: { "a": Int(1e999) "b": 2, "a": 3 },
      |                        ^^^^^
      |
      = help: the largest is about 1.8e308

    error[S0006]: a comma is missing before a text
     --> a.ron:3:30
      |
    3 |     params: { "a": Int(1e999) "b": 2, "a": 3 },
      |                              ^ expected `,`

    error[S0016]: key `a` is given twice
     --> a.ron:3:39
      |
    3 |     params: { "a": Int(1e999) "b": 2, "a": 3 },
      |               --- first given here    ^^^ given again here
      |
      = help: keep one of them

    error[S0007]: expected a value, found `,`
     --> a.ron:4:15
      |
    4 |     list: [1, , 2],
      |               ^ expected a value

    error[S0007]: expected `,`, found `:`
     --> a.ron:5:9
      |
    5 |     x: y: 3,
      |         ^ unexpected `:`
    "#);
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

#[test]
fn brackets_that_do_not_match_are_told_once_with_both_ends() {
    assert_snapshot!(faults("Chain(\n    layers: [Linear(units: 4), Gelu,\n    from: \"x\",\n)"), @r#"
    error[S0008]: `[` is never closed
     --> a.ron:2:13
      |
    2 |     layers: [Linear(units: 4), Gelu,
      |             ^ opened here
    3 |     from: "x",
    4 | )
      | - `]` is needed before this `)`
    "#);
}

#[test]
fn a_bracket_that_the_file_never_closes_is_told_with_a_guess() {
    let text = r#"Module(
    nodes: {
        "a": { "b": 1,
    },
    outputs: {},
)
"#;
    assert_snapshot!(faults(text), @r#"
    error[S0008]: `{` is never closed
     --> a.ron:2:12
      |
    2 |     nodes: {
      |            ^ opened here
    3 |         "a": { "b": 1,
      |              - this one may lack its counterpart
    4 |     },
      |     - because the one that closes it is indented differently
    5 |     outputs: {},
    6 | )
      | - `}` is needed before this `)`
    "#);
    let text = r#"Module(
    nodes: {
        "a": Chain(layers: [Gelu]),
    },
    outputs: { "x": "a" },
"#;
    assert_snapshot!(faults(text), @r#"
    error[S0008]: `(` is never closed
     --> a.ron:1:7
      |
    1 | Module(
      |       ^ opened here
    ...
    5 |     outputs: { "x": "a" },
      |                           - the file ends here
      |
      = help: `)` is missing
    "#);
}

#[test]
fn a_missing_quote_is_told_where_it_is_missing() {
    assert_snapshot!(faults("Module(\n    from: \"context,\n    to: \"image\",\n)\n"), @r#"
    error[S0010]: a text is never closed
     --> a.ron:2:11
      |
    2 |     from: "context,
      |           ^ this text goes over a line end: is its closing quote missing?
    3 |     to: "image",
      |               - the last `"` opens a text
      |
      = help: close it with `"`
    "#);
}

#[test]
fn arithmetic_and_dotted_names_without_quotes_get_help() {
    assert_snapshot!(faults("[4 * dim, dim-1, stages.0.conv, 2dim]"), @r#"
    error[S0005]: `*` means nothing here
     --> a.ron:1:4
      |
    1 | [4 * dim, dim-1, stages.0.conv, 2dim]
      |    ^
      |
      = help: arithmetic is written in quotes: `"4 * dim"`

    error[S0006]: a comma is missing before the number `-1`
     --> a.ron:1:14
      |
    1 | [4 * dim, dim-1, stages.0.conv, 2dim]
      |              ^ expected `,`
      |
      = help: arithmetic is written in quotes: `"4 * dim"`

    error[S0006]: a comma is missing before the number `.0.conv`
     --> a.ron:1:24
      |
    1 | [4 * dim, dim-1, stages.0.conv, 2dim]
      |                        ^ expected `,`
      |
      = help: a name with dots is written in quotes: `"stages.0"`

    error[S0013]: `2dim` is not a number
     --> a.ron:1:33
      |
    1 | [4 * dim, dim-1, stages.0.conv, 2dim]
      |                                 ^^^^
      |
      = help: a name starts with a letter, and arithmetic is written in quotes: `"4 * dim"`
    "#);
}

#[test]
fn spellings_of_other_languages_get_help() {
    assert_snapshot!(faults("Module(\n    units = 4;\n    name: 'mean',\n    \"key\": 1,\n    # a note\n)"), @r#"
    error[S0005]: `=` means nothing here
     --> a.ron:2:11
      |
    2 |     units = 4;
      |           ^
      |
      = help: a field is written `name: value`

    error[S0005]: `;` means nothing here
     --> a.ron:2:14
      |
    2 |     units = 4;
      |              ^
      |
      = help: items are separated by `,`

    error[S0020]: single quotes are not part of the language
     --> a.ron:3:11
      |
    3 |     name: 'mean',
      |           ^^^^^^
      |
      = help: write it in double quotes: `"mean"`

    error[S0007]: the name of a field is written without quotes
     --> a.ron:4:5
      |
    4 |     "key": 1,
      |     ^^^^^
      |
      = help: write `key:`; keys in quotes belong to maps, `{ "key": … }`

    error[S0005]: `#` means nothing here
     --> a.ron:5:5
      |
    5 |     # a note
      |     ^
      |
      = help: a comment starts with `//`
    "#);
}

#[test]
fn look_alikes_are_named_by_their_number() {
    assert_snapshot!(faults("L\u{456}near(units:\u{a0}4, doc: \u{201c}x\u{201d})"), @r#"
    error[S0005]: `і` (U+0456) cannot be part of a name
     --> a.ron:1:2
      |
    1 | Lіnear(units: 4, doc: “x”)
      |  ^ not a letter from a to z
      |
      = help: names use the letters a to z, digits and `_`; a text is written in quotes: `"Lіnear"`

    error[S0005]: the character U+00A0 means nothing here
     --> a.ron:1:14
      |
    1 | Lіnear(units: 4, doc: “x”)
      |              ^
      |
      = help: it looks like a space or like nothing: delete it or type a plain space

    error[S0005]: `“` (U+201C) means nothing here
     --> a.ron:1:23
      |
    1 | Lіnear(units: 4, doc: “x”)
      |                       ^
      |
      = help: a text is written in plain double quotes

    error[S0005]: `”` (U+201D) means nothing here
     --> a.ron:1:25
      |
    1 | Lіnear(units: 4, doc: “x”)
      |                         ^
      |
      = help: a text is written in plain double quotes
    "#);
}

#[test]
fn numbers_that_do_not_fit_are_told_apart() {
    assert_snapshot!(faults("[1e999, 1e-999, 9223372036854775808, -inf, NaN, 4u8, 0x, 1._5, 0b12]"), @r#"
    error[S0014]: `1e999` is too large for a 64-bit floating-point number
     --> a.ron:1:2
      |
    1 | [1e999, 1e-999, 9223372036854775808, -inf, NaN, 4u8, 0x, 1._5, 0b12]
      |  ^^^^^
      |
      = help: the largest is about 1.8e308

    error[S0014]: `1e-999` is not zero and too small for a 64-bit floating-point number
     --> a.ron:1:9
      |
    1 | [1e999, 1e-999, 9223372036854775808, -inf, NaN, 4u8, 0x, 1._5, 0b12]
      |         ^^^^^^
      |
      = help: the smallest is about 4.9e-324; write `0.0` for zero

    error[S0014]: the integer `9223372036854775808` does not fit in 64 bits
     --> a.ron:1:17
      |
    1 | [1e999, 1e-999, 9223372036854775808, -inf, NaN, 4u8, 0x, 1._5, 0b12]
      |                 ^^^^^^^^^^^^^^^^^^^
      |
      = help: integers go from -9223372036854775808 to 9223372036854775807; a larger number is written with an exponent: `1e20`

    error[S0014]: `-inf` is not a finite number
     --> a.ron:1:38
      |
    1 | [1e999, 1e-999, 9223372036854775808, -inf, NaN, 4u8, 0x, 1._5, 0b12]
      |                                      ^^^^
      |
      = help: every number in a graph file is finite

    error[S0014]: `NaN` is not a finite number
     --> a.ron:1:44
      |
    1 | [1e999, 1e-999, 9223372036854775808, -inf, NaN, 4u8, 0x, 1._5, 0b12]
      |                                            ^^^
      |
      = help: every number in a graph file is finite

    error[S0013]: the number `4u8` has a type suffix
     --> a.ron:1:49
      |
    1 | [1e999, 1e-999, 9223372036854775808, -inf, NaN, 4u8, 0x, 1._5, 0b12]
      |                                                 ^^^
      |
      = help: write `4`: types follow from where a number stands

    error[S0013]: `0x` is not a number
     --> a.ron:1:54
      |
    1 | [1e999, 1e-999, 9223372036854775808, -inf, NaN, 4u8, 0x, 1._5, 0b12]
      |                                                      ^^
      |
      = help: a name starts with a letter, and arithmetic is written in quotes: `"4 * dim"`

    error[S0013]: `1._5` is not a number
     --> a.ron:1:58
      |
    1 | [1e999, 1e-999, 9223372036854775808, -inf, NaN, 4u8, 0x, 1._5, 0b12]
      |                                                          ^^^^
      |
      = help: a name starts with a letter, and arithmetic is written in quotes: `"4 * dim"`

    error[S0013]: `0b12` is not a number
     --> a.ron:1:64
      |
    1 | [1e999, 1e-999, 9223372036854775808, -inf, NaN, 4u8, 0x, 1._5, 0b12]
      |                                                                ^^^^
      |
      = help: a name starts with a letter, and arithmetic is written in quotes: `"4 * dim"`
    "#);
}

#[test]
fn escapes_are_pointed_at_one_by_one() {
    assert_snapshot!(faults(r#"["\d", "\x4", "\u{110000}", "\u{12", "\xff"]"#), @r#"
    error[S0012]: unknown escape `\d`
     --> a.ron:1:3
      |
    1 | ["\d", "\x4", "\u{110000}", "\u{12", "\xff"]
      |   ^^
      |
      = help: a backslash that means itself is written `\\`, or the text is written raw: `r"…"`

    error[S0012]: `\x` takes two hexadecimal digits
     --> a.ron:1:9
      |
    1 | ["\d", "\x4", "\u{110000}", "\u{12", "\xff"]
      |         ^^
      |
      = help: a backslash that means itself is written `\\`, or the text is written raw: `r"…"`

    error[S0012]: there is no such character in Unicode
     --> a.ron:1:16
      |
    1 | ["\d", "\x4", "\u{110000}", "\u{12", "\xff"]
      |                ^^^^^^^^^^
      |
      = help: a backslash that means itself is written `\\`, or the text is written raw: `r"…"`

    error[S0012]: `\u` takes one to six hexadecimal digits in curly brackets: `\u{e9}`
     --> a.ron:1:30
      |
    1 | ["\d", "\x4", "\u{110000}", "\u{12", "\xff"]
      |                              ^^^^^
      |
      = help: a backslash that means itself is written `\\`, or the text is written raw: `r"…"`

    error[S0012]: these bytes are not a character in UTF-8
     --> a.ron:1:39
      |
    1 | ["\d", "\x4", "\u{110000}", "\u{12", "\xff"]
      |                                       ^^^^
      |
      = help: a backslash that means itself is written `\\`, or the text is written raw: `r"…"`
    "#);
}

#[test]
fn calls_lists_and_maps_that_are_mixed_up_are_told() {
    assert_snapshot!(faults(r#"A("a": 1, b: 2, 3, list: [c: 4], map: { "d" 5, "e", f: 6 })"#), @r#"
    error[S0007]: the name of a field is written without quotes
     --> a.ron:1:3
      |
    1 | A("a": 1, b: 2, 3, list: [c: 4], map: { "d" 5, "e", f: 6 })
      |   ^^^
      |
      = help: write `a:`; keys in quotes belong to maps, `{ "a": … }`

    error[S0018]: the integer `3` has no name and follows the field `a`
     --> a.ron:1:17
      |
    1 | A("a": 1, b: 2, 3, list: [c: 4], map: { "d" 5, "e", f: 6 })
      |   ---           ^
      |   |
      |   named fields start here
      |
      = help: values without a name come first

    error[S0007]: a list holds values without keys
     --> a.ron:1:28
      |
    1 | A("a": 1, b: 2, 3, list: [c: 4], map: { "d" 5, "e", f: 6 })
      |                            ^ unexpected `:`
      |
      = help: a map is written in curly brackets: `{ "key": value }`

    error[S0007]: expected `:` and a value, found the number `5`
     --> a.ron:1:45
      |
    1 | A("a": 1, b: 2, 3, list: [c: 4], map: { "d" 5, "e", f: 6 })
      |                                         --- ^ expected `:` and a value
      |                                         |
      |                                         after this key

    error[S0007]: expected `:` and a value, found `,`
     --> a.ron:1:51
      |
    1 | A("a": 1, b: 2, 3, list: [c: 4], map: { "d" 5, "e", f: 6 })
      |                                                ---^ expected `:` and a value
      |                                                |
      |                                                after this key
    "#);
}

#[test]
fn forms_of_ron_that_are_not_used_are_told() {
    assert_snapshot!(faults("#![enable(implicit_some)]\n[b\"x\", r#a.b, 0..4, 'x', br#\"y\"#]"), @r##"
    error[S0020]: attributes are not part of the language
     --> a.ron:1:1
      |
    1 | #![enable(implicit_some)]
      | ^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: take it out: no extension of RON is needed

    error[S0020]: byte strings are not part of the language
     --> a.ron:2:2
      |
    2 | [b"x", r#a.b, 0..4, 'x', br#"y"#]
      |  ^^^^
      |
      = help: write a text without the `b`

    error[S0020]: raw names are not part of the language
     --> a.ron:2:8
      |
    2 | [b"x", r#a.b, 0..4, 'x', br#"y"#]
      |        ^^^^^
      |
      = help: write the name without `r#`

    error[S0020]: ranges are not part of the language
     --> a.ron:2:15
      |
    2 | [b"x", r#a.b, 0..4, 'x', br#"y"#]
      |               ^^^^
      |
      = help: write the bounds as two values

    error[S0020]: single quotes are not part of the language
     --> a.ron:2:21
      |
    2 | [b"x", r#a.b, 0..4, 'x', br#"y"#]
      |                     ^^^
      |
      = help: write it in double quotes: `"x"`

    error[S0020]: byte strings are not part of the language
     --> a.ron:2:26
      |
    2 | [b"x", r#a.b, 0..4, 'x', br#"y"#]
      |                          ^^^^^^^
      |
      = help: write a text without the `b`
    "##);
}

#[test]
fn a_line_is_not_shown_beyond_what_matters() {
    let long = format!("A(text: \"{}\", units: 4, units: 5, more: \"{}\")", "x".repeat(300), "y".repeat(300));
    assert_snapshot!(faults(&long), @r#"
    error[S0015]: field `units` is given twice
     --> a.ron:1:323
      |
    1 | ...xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", units: 4, units: 5, more: "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy...
      |                                                     -----     ^^^^^ given again here
      |                                                     |
      |                                                     first given here
      |
      = help: keep one of them
    "#);
}

#[test]
fn bytes_that_are_no_text_are_told_with_their_place() {
    let mut sources = Sources::new();
    let mut diagnostics = Diagnostics::new();
    let bytes = b"\xef\xbb\xbfA(\n  \"caf\xe9\")".to_vec();
    let file = add_bytes(&mut sources, "a.ron", bytes, &mut diagnostics).unwrap_err();
    assert_eq!(sources.path(file), "a.ron");
    assert_snapshot!(render::text(&sources, &diagnostics, false), @r#"
    error[S0003]: the file is not UTF-8 text: byte 0xe9 at offset 12
     --> a.ron:2:7
      |
    2 |   "caf�")
      |       ^ not UTF-8 from here
      |
      = help: save the file with the encoding UTF-8
    "#);
    let mut diagnostics = Diagnostics::new();
    add_bytes(&mut sources, "b.ron", b"\xff\xfeA\0".to_vec(), &mut diagnostics).unwrap_err();
    assert!(diagnostics.sorted()[0].primary.as_ref().unwrap().text.contains("UTF-16"));
}

#[test]
fn printing_breaks_lines_where_they_are_too_long() {
    let numbers: Vec<String> = (1..=40).map(|number| number.to_string()).collect();
    let text = format!(
        r#"Module(doc:"FiLM.",params:{{"hidden":Int(128)}},inputs:{{"features":F32(["batch","channels"]),"context":F32(["batch"])}},
        nodes:{{"mlp":Chain(from:"context",layers:[Linear(units:"hidden"),Gelu,Linear(units:"2 * channels"),Linear(units:"channels")])}},
        table:[{}],empty:(),none:[],map:{{}})"#,
        numbers.join(",")
    );
    let printed = print(&sound(&text).1);
    assert_snapshot!(printed, @r#"
    Module(
        doc: "FiLM.",
        params: { "hidden": Int(128) },
        inputs: {
            "features": F32(["batch", "channels"]),
            "context": F32(["batch"]),
        },
        nodes: {
            "mlp": Chain(
                from: "context",
                layers: [Linear(units: "hidden"), Gelu, Linear(units: "2 * channels"), Linear(units: "channels")],
            ),
        },
        table: [
            1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
            29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
        ],
        empty: (),
        none: [],
        map: {},
    )
    "#);
    assert!(printed.lines().all(|line| line.chars().count() <= LINE_WIDTH));
}
