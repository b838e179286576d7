//! Reading, computing and printing expressions.

use proptest::prelude::*;

use super::*;
use crate::dim::Dim;

/// `batch` and `height` are sizes, the rest are parameters.
struct Names;

impl Scope for Names {
    fn lookup(&self, name: &str) -> Option<Constant> {
        match name {
            "batch" | "height" => Some(Constant::Int(Dim::name(name))),
            "depth" => Some(Constant::from(12)),
            "rate" => Some(Constant::Float(0.1)),
            "depths" => Some(Constant::List(vec![Constant::from(3), Constant::from(9)])),
            "mode" => Some(Constant::Text("exact".into())),
            _ => None,
        }
    }

    fn names(&self) -> Vec<String> {
        ["batch", "height", "depth", "rate", "depths", "mode"].map(str::to_owned).to_vec()
    }
}

fn value(text: &str) -> Result<Constant, ExprError> {
    parse(text).and_then(|expr| evaluate(&expr, &Names)).map(|evaluated| evaluated.value)
}

fn shown(text: &str) -> String {
    value(text).unwrap_or_else(|error| panic!("{text}: {error}")).to_string()
}

#[test]
fn values_follow_the_language_reference() {
    for (text, expected) in [
        ("2 + 3 * 4", "14"),
        ("(2 + 3) * 4", "20"),
        ("7 // 2 - -7 // 2", "7"),
        ("-7 % 4", "1"),
        ("2 ** 3 ** 2", "512"),
        ("-2 ** 2", "-4"),
        ("2 ** -1", "0.5"),
        ("6 / 3", "2"),
        ("1.0 / 4", "0.25"),
        ("1e-3", "0.001"),
        ("1_000 + .5", "1000.5"),
        ("rate * depth", "1.2000000000000002"),
        ("4 * height", "4 * height"),
        ("height // 2 + 1", "height // 2 + 1"),
        ("height / 32 * 32", "height"),
        ("ceil_div(height, 4)", "(height + 3) // 4"),
        ("min(depth, 8)", "8"),
        ("max(depths)", "9"),
        ("min(rate, 1)", "0.1"),
        ("depths[1] + sum(depths) * len(depths)", "33"),
        ("sum([])", "0"),
        ("sum(take(depths, 0))", "0"),
        ("take(depths, 2)", "[3, 9]"),
        ("[1, 2.5, 'a']", "[1, 2.5, 'a']"),
        ("[1] + [2]", "[1, 2]"),
        ("'a' + 'b'", "'ab'"),
        ("depth == 12 and not rate > 1", "true"),
        ("mode == 'exact'", "true"),
        ("mode != 'tanh' or 1 / 0 == 1", "true"),
        ("where(depth > 1, rate / (depth - 1), 0.0)", "0.009090909090909092"),
        ("where(false, 1 / 0, 2)", "2"),
        ("height + 1 > height", "true"),
        ("height >= 1", "true"),
        ("height < height", "false"),
        ("2 * height == height + height", "true"),
        ("height == height + 1", "false"),
        ("round(2.5) + floor(-0.5)", "1"),
        ("abs(-3) + abs(-0.5)", "3.5"),
        ("float(1) / 3", "0.3333333333333333"),
        ("sqrt(16) + exp(0) + ln(1)", "5.0"),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn exact_division_collects_obligations_once() {
    let expr = parse("height / 32 + height / 32 + batch / 2").unwrap();
    let obligations: Vec<String> = evaluate(&expr, &Names).unwrap().obligations.iter().map(ToString::to_string).collect();
    assert_eq!(obligations, ["height % 32 == 0", "batch % 2 == 0"]);
}

#[test]
fn errors_say_what_and_where() {
    for (text, message, place) in [
        ("", "the expression is empty", ""),
        ("4 * ", "the expression ends where a value should stand", ""),
        ("(1 + 2", "the parenthesis opened here is not closed", "("),
        ("min(1, 2", "the parenthesis opened here is not closed", "("),
        ("[1, 2", "the bracket opened here is not closed", "["),
        ("1 + 2)", "`)` closes nothing", ")"),
        ("2 width", "an operator is missing before `width`", "width"),
        ("2width", "`2width` is neither a number nor a name", "2width"),
        ("a ^ 2", "`^` is no operator; a power is `**`", "^"),
        ("a = 2", "`=` is no operator; equality is `==`", "="),
        ("1 < 2 < 3", "comparisons do not chain; write `a < b and b < c`", "<"),
        ("* 3", "a value should stand before `*`", "*"),
        ("'open", "the text in single quotes does not end", "'open"),
        ("stages. + 1", "a part of the name is missing after `stages.`", "stages."),
        ("halves:", "the name of a port is missing after `halves:`", "halves:"),
        ("1e999", "the number `1e999` is too large", "1e999"),
        ("9223372036854775808", "the whole number `9223372036854775808` exceeds 64 bits", "9223372036854775808"),
        ("heigth + 1", "the name `heigth` is not known here", "heigth"),
        ("1 + minimum(2, 3)", "there is no function `minimum`", "minimum"),
        ("len(3)", "`len` does not take a whole number (3); len(list): the number of elements", "3"),
        ("depths[2]", "index 2 lies outside the list, which has 2 elements", "2"),
        ("take(depths, 3)", "the first 3 elements of a list that has 2 elements", "3"),
        ("depths[-1]", "index -1 lies outside the list, which has 2 elements", "-1"),
        ("depth[0]", "only a list has elements, and this is a whole number (12)", "depth"),
        ("1 + 'a'", "`+` takes numbers, not a text ('a')", "1 + 'a'"),
        ("rate * height", "`*` mixes a float with `height`, whose value is not known before the sizes are", "rate * height"),
        ("height > 8", "whether height > 8 depends on the sizes", "height > 8"),
        ("height == 8", "whether height == 8 depends on the sizes", "height == 8"),
        (
            "2 + 7 / 2",
            "7 is not divisible by 2; `//` rounds down, and a float on either side (`1.0 / 2`) gives a fraction",
            "7 / 2",
        ),
        ("1 // 0", "division by zero", "1 // 0"),
        ("1.5 / 0", "division by zero", "1.5 / 0"),
        ("not 3", "true or false should stand here, not a whole number (3)", "3"),
        ("2 ** 64", "a size exceeds the range of 64-bit integers", "2 ** 64"),
        ("2 ** height", "a size cannot be raised to the power of height", "2 ** height"),
        ("sqrt(-1)", "the result is not finite (NaN)", "sqrt(-1)"),
    ] {
        let error = value(text).expect_err(text);
        assert_eq!(error.message, message, "{text}");
        assert_eq!(&text[error.range.clone()], place, "{text}: {:?}", error.range);
    }
}

#[test]
fn unknown_names_carry_the_known_ones() {
    let error = value("heigth").unwrap_err();
    let ExprErrorKind::UnknownName { name, known } = error.kind else { panic!("{:?}", error.kind) };
    assert_eq!(name, "heigth");
    assert!(known.contains(&"height".to_owned()));
}

#[test]
fn names_have_dots_and_ports() {
    for name in ["halves:0", "model:biomass", "stages.0.blocks", "stages.0.blocks:out", "_x", "länge"] {
        assert_eq!(parse(name).unwrap().kind, ExprKind::Name(name.to_owned()));
    }
}

#[test]
fn hostile_nesting_is_refused_without_recursion() {
    for text in [
        "(".repeat(60_000),
        "-".repeat(60_000),
        "not ".repeat(16_000),
        "min(".repeat(16_000),
        "a[".repeat(30_000),
        "2**".repeat(20_000),
        format!("1{}", "+1".repeat(30_000)),
        format!("a{}", "[0]".repeat(20_000)),
    ] {
        let message = parse(&text).unwrap_err().message;
        assert_eq!(message, "the expression nests more than 200 operations");
    }
    assert!(parse(&"1".repeat(70_000)).is_err());
    assert!(parse(&format!("{}1{}", "(".repeat(150), ")".repeat(150))).is_ok());
}

#[test]
fn texts_interpolate() {
    let one = |text: &str| match interpolate(text, &Names) {
        Ok(Interpolated::One(text)) => text,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(one("blocks.{depth - 1}"), "blocks.11");
    assert_eq!(one("plain"), "plain");
    assert_eq!(one("{mode}_{depth}"), "exact_12");
    assert_eq!(one("{{{depth}}}"), "{12}");
    assert_eq!(one("{'}'}"), "}");
    let many = interpolate("b.{depths}.c", &Names);
    assert_eq!(many, Ok(Interpolated::Many(vec!["b.3.c".into(), "b.9.c".into()])));
    for (text, message, range) in [
        ("blocks.{depht}", "the name `depht` is not known here", 8..13),
        ("blocks.{1 +}", "the expression ends where a value should stand", 11..11),
        ("a{1", "the brace opened here is not closed", 1..2),
        ("a}1", "`}` closes nothing; a brace in a text is written twice", 1..2),
        ("{height}", "a name cannot be made from a whole number (height)", 1..7),
        ("{depths}{depths}", "a text has at most one expression that is a list", 9..15),
    ] {
        let error = interpolate(text, &Names).expect_err(text);
        assert_eq!((error.message.as_str(), error.range), (message, range), "{text}");
    }
}

#[test]
fn lists_and_texts_do_not_grow_without_end() {
    assert_eq!(value("range(3)"), value("[0, 1, 2]"));
    assert_eq!(value("range(0)"), value("[]"));
    let wrong = |text: &str| value(text).expect_err(text).message;
    assert_eq!(wrong("range(10001)"), "`range` counts from 0 to 10000, and not to 10001");
    assert_eq!(wrong("range(0 - 1)"), "`range` counts from 0 to 10000, and not to -1");
    let doubled = format!("len({})", ["range(10000)"; 11].join(" + "));
    assert_eq!(wrong(&doubled), "this makes 110000 elements; at most 100000 are allowed");
    let listed = format!("{}{{range(100)}}", "a".repeat(20_000));
    let error = interpolate(&listed, &Names).expect_err("a megabyte and more");
    assert_eq!(error.message, "this makes 2000000 bytes; at most 1048576 are allowed");
}

/// A random tree, places left out.
fn tree() -> impl Strategy<Value = Expr> {
    let expr = |kind| Expr { kind, range: 0..0 };
    let leaf = prop_oneof![
        (0..i64::MAX).prop_map(ExprKind::Int),
        (0.0..f64::MAX).prop_map(ExprKind::Float),
        any::<bool>().prop_map(ExprKind::Bool),
        "[^\u{0}]{0,6}".prop_map(ExprKind::Text),
        "[a-z_][a-z0-9_]{3,5}(\\.[a-z0-9]{1,3}){0,2}(:[a-z0-9]{1,2})?".prop_map(ExprKind::Name),
    ]
    .prop_filter(
        "keywords are no names",
        |kind| !matches!(kind, ExprKind::Name(name) if matches!(name.as_str(), "true" | "false")),
    )
    .prop_map(expr);
    leaf.prop_recursive(6, 48, 3, move |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        let sign = prop_oneof![Just(UnaryOp::Negate), Just(UnaryOp::Not)];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(ExprKind::List),
            (boxed.clone(), boxed.clone()).prop_map(|(list, index)| ExprKind::Index { list, index }),
            ("[a-z_]{4,6}", prop::collection::vec(inner, 0..3))
                .prop_map(|(function, arguments)| { ExprKind::Call { function, function_range: 0..0, arguments } }),
            (sign, boxed.clone()).prop_map(|(op, operand)| ExprKind::Unary { op, operand }),
            (prop::sample::select(BinaryOp::ALL.to_vec()), boxed.clone(), boxed).prop_map(|(op, left, right)| ExprKind::Binary {
                op,
                left,
                right
            }),
        ]
        .prop_map(expr)
    })
}

/// Places forgotten, so that trees from text and random ones compare.
fn without_places(expr: &Expr) -> Expr {
    let mut kind = expr.kind.clone();
    match &mut kind {
        ExprKind::List(items) => items.iter_mut().for_each(|item| *item = without_places(item)),
        ExprKind::Call { function_range, arguments, .. } => {
            *function_range = 0..0;
            arguments.iter_mut().for_each(|item| *item = without_places(item));
        }
        ExprKind::Index { list, index } => {
            **list = without_places(list);
            **index = without_places(index);
        }
        ExprKind::Unary { operand, .. } => **operand = without_places(operand),
        ExprKind::Binary { left, right, .. } => {
            **left = without_places(left);
            **right = without_places(right);
        }
        _ => {}
    }
    Expr { kind, range: 0..0 }
}

fn no_panic(text: &str) -> Result<(), TestCaseError> {
    if let Err(error) = value(text) {
        prop_assert!(error.range.start <= error.range.end && error.range.end <= text.len());
        prop_assert!(text.is_char_boundary(error.range.start) && text.is_char_boundary(error.range.end));
    }
    let _ = interpolate(text, &Names);
    Ok(())
}

proptest! {
    #[test]
    fn printed_trees_read_back(tree in tree()) {
        let text = tree.to_string();
        let read = parse(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        prop_assert_eq!(without_places(&read), tree, "{}", text);
    }

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        no_panic(&text)?;
    }

    #[test]
    fn almost_expressions_never_panic(text in "([a-h0-9.:_' ,()\\[\\]{}+*/%<>=!-]|and |or |not |min\\(|depth|depths|height|rate){0,24}") {
        no_panic(&text)?;
    }
}
