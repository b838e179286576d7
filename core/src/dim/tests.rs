//! Promises of the canonical form, checked on chosen cases and on random expressions.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use proptest::prelude::*;

use super::*;

fn name(text: &str) -> Dim {
    Dim::name(text)
}

fn number(value: i64) -> Dim {
    Dim::constant(value)
}

/// Reads an expression, so that cases below look like the language.
fn dim(text: &str) -> Dim {
    struct Free;
    impl crate::expr::Scope for Free {
        fn lookup(&self, name: &str) -> Option<crate::expr::Constant> {
            Some(crate::expr::Constant::Int(Dim::name(name)))
        }
        fn names(&self) -> Vec<String> {
            Vec::new()
        }
    }
    let evaluated = crate::expr::parse(text).and_then(|expr| crate::expr::evaluate(&expr, &Free));
    match evaluated.unwrap_or_else(|error| panic!("{text}: {error}")).value {
        crate::expr::Constant::Int(dim) => dim,
        other => panic!("{text} is not a size: {other}"),
    }
}

fn must_divide(dividend: &str, divisor: &str) -> Obligation {
    Obligation { dividend: dim(dividend), divisor: dim(divisor) }
}

fn hash_of(dim: &Dim) -> u64 {
    let mut hasher = DefaultHasher::new();
    dim.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn equal_sizes_have_one_form() {
    for (left, right) in [
        ("(a + b) * 2", "2 * b + 2 * a"),
        ("(a + b) * (a - b)", "a * a - b * b"),
        ("(32 * n) // 32", "n"),
        ("(4 * n + 3) // 4", "n"),
        ("n // 4 // 8", "n // 32"),
        ("(n // 2 + 3) // 5", "(n + 6) // 10"),
        ("(2 * n + 1) // 4", "n // 2"),
        ("(h + 2 * 1 - 3) // 2 + 1", "(h + 1) // 2"),
        ("(h + 2 * 3 - 7) // 4 + 1", "(h + 3) // 4"),
        ("(h - 16) // 16 + 1", "h // 16"),
        ("ceil_div(h, 4)", "(h + 3) // 4"),
        ("h / 2 - h / 4", "h / 4"),
        ("batch * tiles / tiles", "batch"),
        ("(batch * h + batch * w) / (h + w)", "batch"),
        ("(batch * tiles) // tiles", "batch"),
        ("n // a // b", "n // (a * b)"),
        ("(h + 64) % 32", "h % 32"),
        ("(h // 8) * 8 + h % 8", "h"),
        ("min(a, a + 1)", "a"),
        ("max(a * b, a)", "a * b"),
        ("min(a + 1, b + 1)", "1 + min(b, a)"),
        ("min(2 * a, 2 * b)", "2 * min(a, b)"),
        ("min(min(a, b), c)", "min(c, min(b, a))"),
        ("max(n, 1)", "n"),
    ] {
        assert_eq!(dim(left), dim(right), "{left} against {right}");
        assert_eq!(hash_of(&dim(left)), hash_of(&dim(right)));
    }
}

#[test]
fn sizes_read_well() {
    for (text, shown) in [
        ("channels * 2", "2 * channels"),
        ("height / 32", "height / 32"),
        ("(height - 7) // 4 + 1", "(height - 3) // 4"),
        ("(height + 2 * 3 - 7) // 4 + 1", "(height + 3) // 4"),
        ("7 - height", "7 - height"),
        ("-height - 7", "-height - 7"),
        ("3 * (height / 32) * width", "3 * height * width / 32"),
        ("(height + 2) / 4", "(height + 2) / 4"),
        ("height / 4 + 1", "height / 4 + 1"),
        ("width / (2 * heads)", "width / (2 * heads)"),
        ("height // 2 * width", "width * (height // 2)"),
        ("2 * (height // 2)", "2 * (height // 2)"),
        ("-(height // 2)", "-(height // 2)"),
        ("height % 32", "height % 32"),
        ("-height % 32", "31 * height % 32"),
        ("(height + 5) % width", "(height + 5) % width"),
        ("n * n", "n ** 2"),
        ("min(a, b + 1) * 2", "2 * min(a, b + 1)"),
        ("a / (b + c)", "a / (b + c)"),
    ] {
        let shown_now = dim(text).to_string();
        assert_eq!(dim(&shown_now), dim(text), "{shown_now} must read back as {text}");
        assert_eq!(shown_now, shown);
    }
}

#[test]
fn exact_division_states_the_reduced_condition() {
    let divide = |left: &str, right: &str| dim(left).exact_div(&dim(right)).map(|(_, obligation)| obligation);
    assert_eq!(divide("batch * tiles", "tiles"), Ok(None));
    assert_eq!(divide("64 * n", "32"), Ok(None));
    assert_eq!(divide("6 * h", "4"), Ok(Some(must_divide("3 * h", "2"))));
    assert_eq!(divide("width", "heads"), Ok(Some(must_divide("width", "heads"))));
    assert_eq!(divide("width * 3", "heads * 3"), Ok(Some(must_divide("width", "heads"))));
    assert!(matches!(divide("2 * n + 1", "2"), Err(DimError::NotDivisible { .. })));
    assert!(matches!(divide("7", "2"), Err(DimError::NotDivisible { .. })));
    assert_eq!(divide("n", "n - n"), Err(DimError::DivisionByZero));
    assert_eq!(must_divide("2 * n + 1", "m + 1").to_string(), "(2 * n + 1) % (m + 1) == 0");
}

#[test]
fn arithmetic_never_wraps() {
    let large = number(i64::MAX);
    assert_eq!(&large + 1, Err(DimError::Overflow));
    assert_eq!(number(i64::MIN) - 1, Err(DimError::Overflow));
    assert_eq!((name("n") * i64::MAX).and_then(|dim| dim * 2), Err(DimError::Overflow));
    assert_eq!(number(i64::MIN).floor_div(&number(-1)), Err(DimError::Overflow));
    assert_eq!(number(i64::MIN).exact_div(&number(-1)), Err(DimError::Overflow));
    assert_eq!(number(i64::MIN).modulo(&number(-1)), Err(DimError::Overflow));
    assert_eq!(number(2).power(&number(70)), Err(DimError::Overflow));
    let product = (name("a") * name("b")).unwrap();
    let sizes = Sizes::from_iter([("a", 1 << 40), ("b", 1 << 40)]);
    assert_eq!(product.evaluate(&sizes), Err(DimError::Overflow));
}

#[test]
fn growth_is_bounded() {
    let mut tower = name("n");
    let outcome = (0..200).try_for_each(|step| {
        tower = tower.minimum(&(name(&format!("m{step}")) * &tower)?)?.floor_div(&name("k"))?;
        tower = (&tower * &tower)?;
        Ok::<(), DimError>(())
    });
    assert!(matches!(outcome, Err(DimError::TooComplex | DimError::Overflow)));
}

#[test]
fn evaluation_names_what_fails() {
    let none = Sizes::new();
    assert_eq!(dim("n + 1").evaluate(&none), Err(DimError::UnknownName(Name::new("n"))));
    let sizes = Sizes::from_iter([("height", 225), ("zero", 0)]);
    let message = |text: &str| dim(text).evaluate(&sizes).unwrap_err().to_string();
    assert_eq!(message("height / 32"), "height = 225 is not divisible by 32");
    assert_eq!(message("height / zero"), "division by zero");
    assert_eq!(message("height // zero"), "division by zero");
}

#[test]
fn lower_bounds_hold_for_names_of_at_least_one() {
    for (text, bound) in [
        ("n", Some(1)),
        ("2 * n + 3", Some(5)),
        ("a * b - a", Some(0)),
        ("n // 4", Some(0)),
        ("h % 8", Some(0)),
        ("n - 5", Some(-4)),
        ("5 - n", None),
        ("max(n - 10, 3)", Some(3)),
        ("min(n, 3)", Some(1)),
        ("h / 32", Some(1)),
    ] {
        assert_eq!(dim(text).lower_bound(), bound, "{text}");
    }
}

#[test]
fn obligations_are_rewrite_facts() {
    let equal = |left: &str, right: &str, facts: &[Obligation]| compare(&dim(left), &dim(right), facts);
    let by_32 = [must_divide("height", "32")];
    assert_eq!(equal("(height // 32) * 32", "height", &by_32), Verdict::Equal);
    assert_eq!(equal("height // 32", "height / 32", &[]), Verdict::Equal);
    assert_eq!(equal("(height + 31) // 32", "height // 32", &by_32), Verdict::Equal);
    assert_eq!(equal("(width // heads) * heads", "width", &[must_divide("width", "heads")]), Verdict::Equal);
    assert_eq!(equal("(tokens + 1) // 4", "(tokens + 1) / 4", &[]), Verdict::Equal);
    let both = [must_divide("height", "32"), must_divide("height", "14")];
    assert_eq!(equal("(height // 224) * 224", "height", &both), Verdict::Equal);
    let Verdict::Different(example) = equal("height // 64", "height // 32", &by_32) else { panic!() };
    assert_eq!(example.sizes.get("height").unwrap() % 32, 0);
}

#[test]
fn a_declared_quotient_obliges_its_caller() {
    let mut bindings = Bindings::new();
    bindings.insert("height", dim("image // 8"));
    let halves = Obligation { dividend: dim("image // 8"), divisor: Dim::constant(2) };
    let outcome = unify(&dim("height / 2"), &dim("image // 16"), &mut bindings, &[]).unwrap();
    assert_eq!(outcome, Unification::Matches(Some(halves.clone())));
    let outcome = unify(&dim("height / 2"), &dim("image // 16"), &mut bindings, &[halves]).unwrap();
    assert_eq!(outcome, Unification::Matches(None));
}

#[test]
fn obligations_on_floors_leave_out_cases() {
    let halves = Obligation { dividend: dim("h // 8"), divisor: Dim::constant(2) };
    assert_eq!(compare(&dim("(h // 8) / 2"), &dim("h // 16"), &[]), Verdict::Equal);
    assert_eq!(compare(&dim("2 * (h // 16)"), &dim("h // 8"), std::slice::from_ref(&halves)), Verdict::Equal);
    assert!(matches!(compare(&dim("2 * (h // 16)"), &dim("h // 8"), &[]), Verdict::Different(_)));
    assert!(matches!(compare(&dim("4 * (h // 32)"), &dim("h // 8"), &[halves]), Verdict::Different(_)));
}

#[test]
fn floors_by_constants_are_decided_by_cases() {
    assert_eq!(compare(&dim("h // 2 + (h + 1) // 2"), &name("h"), &[]), Verdict::Equal);
    assert_eq!(compare(&dim("h - h // 2"), &dim("ceil_div(h, 2)"), &[]), Verdict::Equal);
    assert_eq!(compare(&dim("((h + 1) // 2) * 2 - h"), &dim("h % 2"), &[]), Verdict::Equal);
}

#[test]
fn counterexamples_show_plausible_sizes() {
    let shown = |left: &str, right: &str| match compare(&dim(left), &dim(right), &[]) {
        Verdict::Different(example) => example.to_string(),
        other => panic!("{left} against {right}: {other:?}"),
    };
    assert_eq!(shown("3", "4"), "3 on the left and 4 on the right");
    assert_eq!(shown("channels", "2 * channels"), "channels = 2 gives 2 on the left and 4 on the right");
    assert_eq!(shown("a", "b"), "a = 2, b = 3 give 2 on the left and 3 on the right");
    assert_eq!(shown("h // 300", "(h + 1) // 300"), "h = 599 gives 1 on the left and 2 on the right");
}

#[test]
fn patterns_bind_or_compare() {
    let mut bindings = Bindings::new();
    let mut unify = |pattern: &str, actual: &str| unify(&dim(pattern), &dim(actual), &mut bindings, &[]).unwrap();
    assert_eq!(unify("width", "2 * n"), Unification::Matches(None));
    assert_eq!(unify("4 * width", "8 * n"), Unification::Matches(None));
    assert!(matches!(unify("4 * width", "4 * n"), Unification::Differs { .. }));
    assert_eq!(unify("2 * channels", "192"), Unification::Matches(None));
    assert_eq!(unify("channels", "96"), Unification::Matches(None));
    assert_eq!(unify("3 * odd", "7"), Unification::Unsolvable { name: Name::new("odd") });
    assert_eq!(unify("negative + 10", "7"), Unification::Unsolvable { name: Name::new("negative") });
    assert_eq!(unify("2 * half", "n"), Unification::Matches(Some(must_divide("n", "2"))));
    assert_eq!(unify("half", "n / 2"), Unification::Matches(None));
    assert_eq!(unify("p * q", "6"), Unification::Unbound(vec![Name::new("p"), Name::new("q")]));
    assert_eq!(unify("square * square", "9"), Unification::Unbound(vec![Name::new("square")]));
    assert_eq!(unify("rest + width", "2 * n + 5"), Unification::Matches(None));
    assert_eq!(unify("rest", "5"), Unification::Matches(None));
}

/// A random expression in the language, without exact division, so that it has a value everywhere.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned),
        (1_i64..8).prop_map(|value| value.to_string()),
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        (inner.clone(), inner, 0..7, 1_i64..9).prop_map(|(left, right, kind, constant)| match kind {
            0 => format!("({left} + {right})"),
            1 => format!("({left} - {right})"),
            2 => format!("({left} * {right})"),
            3 => format!("({left} // {constant})"),
            4 => format!("({left} % {constant})"),
            5 => format!("min({left}, {right})"),
            _ => format!("max({left}, {right})"),
        })
    })
}

fn sizes() -> impl Strategy<Value = Sizes> {
    (1_i64..40, 1_i64..40, 1_i64..40).prop_map(|(a, b, c)| Sizes::from_iter([("a", a), ("b", b), ("c", c)]))
}

/// The value by plain integer arithmetic, which knows nothing of the normal form.
fn plain_value(expr: &crate::expr::Expr, sizes: &Sizes) -> i64 {
    use crate::expr::{BinaryOp, ExprKind};
    match &expr.kind {
        ExprKind::Int(value) => *value,
        ExprKind::Name(name) => sizes.get(name).unwrap(),
        ExprKind::Call { function, arguments, .. } => {
            let values: Vec<i64> = arguments.iter().map(|argument| plain_value(argument, sizes)).collect();
            if function == "min" { values[0].min(values[1]) } else { values[0].max(values[1]) }
        }
        ExprKind::Binary { op, left, right } => {
            let (left, right) = (plain_value(left, sizes), plain_value(right, sizes));
            match op {
                BinaryOp::Add => left + right,
                BinaryOp::Subtract => left - right,
                BinaryOp::Multiply => left * right,
                BinaryOp::FloorDivide => left.div_euclid(right),
                BinaryOp::Remainder => left.rem_euclid(right),
                other => panic!("{other:?} is not generated"),
            }
        }
        other => panic!("{other:?} is not generated"),
    }
}

proptest! {
    #[test]
    fn the_form_keeps_the_value(text in expression(), sizes in sizes()) {
        let expected = plain_value(&crate::expr::parse(&text).unwrap(), &sizes);
        prop_assert_eq!(dim(&text).evaluate(&sizes), Ok(expected));
    }

    #[test]
    fn displayed_sizes_read_back_as_themselves(text in expression()) {
        let dim_before = dim(&text);
        prop_assert_eq!(dim(&dim_before.to_string()), dim_before);
    }

    #[test]
    fn rewriting_by_ring_laws_keeps_form_and_hash(x in expression(), y in expression(), z in expression()) {
        for (left, right) in [
            (format!("({x} + {y}) * {z}"), format!("{z} * {y} + {x} * {z}")),
            (format!("({x} - {y}) - {z}"), format!("{x} - ({z} + {y})")),
            (format!("({x}) // 3 + {y}"), format!("({x} + 3 * ({y})) // 3")),
            (format!("min({x}, {y})"), format!("min({y}, {x})")),
        ] {
            let (left, right) = (dim(&left), dim(&right));
            prop_assert_eq!(&left, &right);
            prop_assert_eq!(hash_of(&left), hash_of(&right));
        }
    }

    #[test]
    fn substitution_commutes_with_evaluation(text in expression(), inner in expression(), sizes in sizes()) {
        let (outer, inner) = (dim(&text), (dim(&inner).maximum(&Dim::ONE)).unwrap());
        let replaced = outer.substitute(&|own| (own == "a").then(|| inner.clone())).unwrap();
        let mut moved = sizes.clone();
        moved.insert("a", inner.evaluate(&sizes).unwrap());
        prop_assert_eq!(replaced.evaluate(&sizes), outer.evaluate(&moved));
    }

    #[test]
    fn verdicts_are_true(left in expression(), right in expression(), sizes in sizes()) {
        let (left, right) = (dim(&left), dim(&right));
        match compare(&left, &right, &[]) {
            Verdict::Equal => prop_assert_eq!(left.evaluate(&sizes), right.evaluate(&sizes)),
            Verdict::Different(example) => {
                prop_assert_ne!(example.left, example.right);
                let at = |dim: &Dim| dim.evaluate(&example.sizes).unwrap();
                prop_assert_eq!((at(&left), at(&right)), (example.left, example.right));
            }
            Verdict::Undecided => {}
        }
    }

    #[test]
    fn facts_prove_what_they_make_true(text in expression(), divisor in 2_i64..9, sizes in sizes()) {
        let size = dim(&text);
        let rounded = dim(&format!("(a // {divisor}) * {divisor}"));
        let other = size.substitute(&|own| (own == "a").then(|| rounded.clone())).unwrap();
        let fact = must_divide("a", &divisor.to_string());
        prop_assert_eq!(compare(&size, &other, &[fact]), Verdict::Equal);
        let mut divisible = sizes.clone();
        divisible.insert("a", sizes.get("a").unwrap() * divisor);
        prop_assert_eq!(size.evaluate(&divisible), other.evaluate(&divisible));
    }

    #[test]
    fn verdicts_under_obligations_are_true(
        left in expression(),
        right in expression(),
        divisor in 2_i64..9,
        added in 0_i64..9,
        factor in 1_i64..5,
        sizes in sizes(),
    ) {
        let facts = [must_divide(&format!("{factor} * a + {added}"), &divisor.to_string()), must_divide("b", "c")];
        let mut allowed = sizes.clone();
        allowed.insert("b", sizes.get("b").unwrap() * sizes.get("c").unwrap());
        let holds = |a: &i64| (factor * a + added) % divisor == 0;
        let start = sizes.get("a").unwrap();
        let Some(a) = (start..start + divisor).find(holds) else { return Ok(()) };
        allowed.insert("a", a);
        let (left, right) = (dim(&left), dim(&right));
        match compare(&left, &right, &facts) {
            Verdict::Equal => prop_assert_eq!(left.evaluate(&allowed), right.evaluate(&allowed)),
            Verdict::Different(example) => {
                let size = |name: &str| example.sizes.get(name);
                prop_assert!(size("a").is_none_or(|a| holds(&a)));
                if let (Some(b), Some(c)) = (size("b"), size("c")) {
                    prop_assert_eq!(b % c, 0);
                }
                let at = |dim: &Dim| dim.evaluate(&example.sizes).unwrap();
                prop_assert_eq!((at(&left), at(&right)), (example.left, example.right));
            }
            Verdict::Undecided => {}
        }
    }

    #[test]
    fn lower_bounds_are_below_the_value(text in expression(), sizes in sizes()) {
        let size = dim(&text);
        if let Some(bound) = size.lower_bound() {
            prop_assert!(bound <= size.evaluate(&sizes).unwrap());
        }
    }

    #[test]
    fn order_is_total_and_agrees_with_equality(x in expression(), y in expression(), z in expression()) {
        let (x, y, z) = (dim(&x), dim(&y), dim(&z));
        prop_assert_eq!(x.cmp(&y), y.cmp(&x).reverse());
        prop_assert_eq!(x.cmp(&y).is_eq(), x == y);
        if x <= y && y <= z {
            prop_assert!(x <= z);
        }
    }

    #[test]
    fn exact_division_undoes_multiplication(x in expression(), y in expression(), sizes in sizes()) {
        let (x, y) = (dim(&x), dim(&y));
        let product = (&x * &y).unwrap();
        if let Ok((quotient, _)) = product.exact_div(&y)
            && y.evaluate(&sizes).unwrap() != 0
        {
            prop_assert_eq!(quotient.evaluate(&sizes), x.evaluate(&sizes));
        }
    }
}
