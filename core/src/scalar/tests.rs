//! Values, derivatives, bounds and register programs of scalar expressions.

use proptest::prelude::*;

use super::*;
use crate::domain::Domain;
use crate::expr::{Constant, ExprError, parse};

/// Inputs `x`, `y`, `z`, `condition`, parameters `power`, `weights`, size `width`.
struct Names;

impl FormulaScope for Names {
    fn lookup(&self, name: &str) -> Option<Operand> {
        let input = |index, kind| Some(Operand::Input { index, kind });
        match name {
            "x" => input(0, ScalarKind::Number),
            "y" => input(1, ScalarKind::Number),
            "z" => input(2, ScalarKind::Number),
            "condition" => input(3, ScalarKind::Bool),
            "power" => Some(Operand::Constant(Constant::Float(1.5))),
            "weights" => Some(Operand::Constant(Constant::List(vec![Constant::Float(0.25), Constant::from(4)]))),
            "width" => Some(Operand::Constant(Constant::Int(crate::dim::Dim::name("width")))),
            _ => None,
        }
    }

    fn names(&self) -> Vec<String> {
        ["x", "y", "z", "condition", "power", "weights", "width"].map(str::to_owned).to_vec()
    }
}

const KINDS: [ScalarKind; 4] = [ScalarKind::Number, ScalarKind::Number, ScalarKind::Number, ScalarKind::Bool];

fn read(text: &str) -> Result<ScalarFunction, ExprError> {
    let mut graph = ScalarGraph::new();
    let root = from_expr(&parse(text)?, &mut graph, &Names)?;
    Ok(ScalarFunction::new(&graph, root, &KINDS))
}

fn formula(text: &str) -> ScalarFunction {
    read(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn names() -> Vec<String> {
    ["x", "y", "z", "condition"].map(str::to_owned).to_vec()
}

#[test]
fn simplification_is_visible_in_the_text() {
    for (text, shown) in [
        ("x + 0", "x"),
        ("0 + x * 1", "x"),
        ("x * 0", "x * 0.0"),
        ("x - x", "x - x"),
        ("x / x", "x / x"),
        ("--x", "x"),
        ("x + -y", "x - y"),
        ("x - -y", "x + y"),
        ("-x * -y", "x * y"),
        ("-x * y", "-(x * y)"),
        ("x / 4", "x * 0.25"),
        ("x / 3", "x / 3.0"),
        ("x * 2 * 3", "x * 6.0"),
        ("pow(x, 0)", "1.0"),
        ("pow(x, 2)", "x * x"),
        ("x ** 3", "x * x * x"),
        ("x ** 0.5", "sqrt(x)"),
        ("x ** -1", "1.0 / x"),
        ("x ** power", "pow(x, 1.5)"),
        ("1 / sqrt(x)", "rsqrt(x)"),
        ("min(x, x)", "min(x, x)"),
        ("x > y", "y < x"),
        ("not not (x < y)", "x < y"),
        ("where(not condition, x, y)", "where(condition, y, x)"),
        ("where(condition, x, x)", "x"),
        ("where(1 < 2, x, y)", "x"),
        ("condition and true", "condition"),
        ("condition or true", "true"),
        ("2 - power", "0.5"),
        ("weights[0] * x * weights[1]", "x"),
        ("sum(weights) + x", "4.25 + x"),
        ("x // 2", "floor(x * 0.5)"),
        ("(x + y) * (y + x)", "(x + y) * (x + y)"),
        ("-(x + y)", "-(x + y)"),
        ("x - (y - z)", "x - (y - z)"),
        ("x / (y * z)", "x / (y * z)"),
        ("(x < y) == (y < z)", "never"),
    ] {
        if shown == "never" {
            assert!(read(text).is_err());
            continue;
        }
        let expected = if shown == "min(x, x)" { "x" } else { shown };
        assert_eq!(formula(text).display_with(&names()), expected, "{text}");
    }
}

#[test]
fn values_are_those_of_python() {
    for (text, inputs, expected) in [
        ("x // y", [-7.0, 2.0, 0.0, 0.0], -4.0),
        ("x % y", [-7.0, 4.0, 0.0, 0.0], 1.0),
        ("x % y", [7.0, -4.0, 0.0, 0.0], -1.0),
        ("1 / 2 * x", [3.0, 0.0, 0.0, 0.0], 1.5),
        ("-x ** 2", [3.0, 0.0, 0.0, 0.0], -9.0),
        ("where(x > 0 and x <= 2, y, z)", [2.0, 5.0, 6.0, 0.0], 5.0),
        ("where(condition, y, z)", [0.0, 5.0, 6.0, 1.0], 5.0),
        ("where(where(condition, x > 0, y > 0), 1, 2)", [-1.0, 1.0, 0.0, 1.0], 2.0),
        ("clamp(x, -1, 1)", [3.0, 0.0, 0.0, 0.0], 1.0),
        ("min(x, y, z)", [3.0, -2.0, 0.0, 0.0], -2.0),
        ("max(x, y, 4)", [3.0, -2.0, 0.0, 0.0], 4.0),
        ("round(x)", [2.5, 0.0, 0.0, 0.0], 2.0),
        ("relu(x) + relu(y)", [-3.0, 2.0, 0.0, 0.0], 2.0),
        ("sign(x)", [-0.0, 0.0, 0.0, 0.0], 0.0),
    ] {
        assert_eq!(formula(text).evaluate(&inputs), expected, "{text}");
    }
}

#[test]
fn missing_values_pass_and_are_masked_only_by_where() {
    let at_nan = |text: &str| formula(text).evaluate(&[f64::NAN, 1.0, 2.0, 0.0]);
    for text in ["min(x, y)", "max(y, x)", "relu(x)", "clamp(x, 0, 1)", "x * 0", "x - x", "softplus(x)", "abs(x)"] {
        assert!(at_nan(text).is_nan(), "{text}");
    }
    assert_eq!(at_nan("where(condition, x, y)"), 1.0);
    // The branch that is not taken leaves no trace in the derivative either.
    let guarded = formula("where(y > 0, y, ln(y) * x)").derivative(1).unwrap();
    assert_eq!(guarded.evaluate(&[f64::NAN, 1.0, 2.0, 0.0]), 1.0);
    let root = formula("where(x > 0, sqrt(x), 0)").derivative(0).unwrap();
    assert_eq!(root.evaluate(&[0.0, 0.0, 0.0, 0.0]), 0.0);
}

#[test]
fn kinks_have_the_subgradients_of_pytorch() {
    for (text, point, slope) in [
        ("relu(x)", 0.0, 0.0),
        ("abs(x)", 0.0, 0.0),
        ("max(x, 0)", 0.0, 0.5),
        ("min(0, x)", 0.0, 0.5),
        ("max(x, 0)", 1.0, 1.0),
        ("max(x, 0)", -1.0, 0.0),
        ("max(x, x * 3)", 0.0, 2.0),
        ("clamp(x, 0, 1)", 0.0, 0.0),
        ("clamp(x, 0, 1)", 1.0, 0.0),
        ("clamp(x, 0, 1)", 0.5, 1.0),
        ("pow(x, 0)", 0.0, 0.0),
        ("pow(x, 3)", 0.0, 0.0),
        ("pow(0, x)", 0.0, 0.0),
        ("sqrt(x)", 0.0, f64::INFINITY),
        ("sign(x) + floor(x) + round(x)", 0.3, 0.0),
        ("exp(x)", -800.0, 0.0),
        ("sigmoid(x)", 800.0, 0.0),
        ("softplus(x)", 800.0, 1.0),
    ] {
        let value = formula(text).derivative(0).unwrap().evaluate(&[point, 0.0, 0.0, 0.0]);
        assert_eq!(value, slope, "{text} at {point}");
    }
}

/// The slope of a smooth function by central differences of the sixth order.
fn central_difference(function: &ScalarFunction, inputs: &[f64], input: usize, step: f64) -> f64 {
    let step = step * inputs[input].abs().max(0.1);
    let at = |steps: f64| {
        let mut moved = inputs.to_vec();
        moved[input] += steps * step;
        function.evaluate(&moved)
    };
    (45.0 * (at(1.0) - at(-1.0)) - 9.0 * (at(2.0) - at(-2.0)) + (at(3.0) - at(-3.0))) / (60.0 * step)
}

fn check_slope(text: &str, inputs: &[f64]) -> Result<(), String> {
    let function = formula(text);
    for input in 0..3 {
        let slope = function.derivative(input).map_err(|error| error.to_string())?.evaluate(inputs);
        let expected = central_difference(&function, inputs, input as usize, 1e-3);
        let scale = expected.abs().max(function.evaluate(inputs).abs()).max(1e-3);
        if (slope - expected).abs() > 1e-7 * scale {
            return Err(format!("{text} at {inputs:?} by {input}: {slope} against {expected}"));
        }
    }
    Ok(())
}

#[test]
fn derivatives_agree_with_differences() {
    for text in [
        "x + y * z",
        "x / y",
        "x / (y * y + z)",
        "pow(x, y)",
        "pow(x, 1.7)",
        "pow(x, -2)",
        "pow(1.3, x)",
        "exp(x * y)",
        "ln(x)",
        "log1p(x)",
        "expm1(x)",
        "sqrt(x)",
        "rsqrt(x)",
        "abs(x - 3)",
        "min(x, y) * max(y, z)",
        "sigmoid(x) * tanh(y)",
        "softplus(x)",
        "erf(x)",
        "lgamma(x)",
        "digamma(x)",
        "sin(x) * cos(y)",
        "where(x > y, x * y, x - y)",
        "clamp(x, 0, 1.5) * y",
        "0.5 * x * (1 + erf(x / sqrt(2)))",
        "x * tanh(softplus(x))",
        "pow(x, 2 - power) / (2 - power) - y * pow(x, 1 - power) / (1 - power)",
        "lgamma(z) + x / z + (z - 1) * ln(y)",
    ] {
        for inputs in [[0.37, 1.62, 0.81, 1.0], [1.13, 0.29, 2.44, 0.0], [2.71, 3.33, 0.58, 1.0]] {
            check_slope(text, &inputs).unwrap();
        }
    }
}

#[test]
fn domains_follow_the_operations() {
    let any = [Domain::ANY, Domain::POSITIVE, Domain::PROBABILITY];
    for (text, expected) in [
        ("softplus(x)", Domain::POSITIVE),
        ("exp(x)", Domain::POSITIVE),
        ("x * x", Domain::NON_NEGATIVE),
        ("x ** 4", Domain::NON_NEGATIVE),
        ("abs(x)", Domain::NON_NEGATIVE),
        ("relu(x)", Domain::NON_NEGATIVE),
        ("max(x, 0)", Domain::NON_NEGATIVE),
        ("max(x, 1e-3)", Domain { low: 1e-3, high: f64::INFINITY, low_open: false, high_open: true }),
        ("where(x > 0, x, 1)", Domain::POSITIVE),
        ("where(x > 0, x, exp(x))", Domain::POSITIVE),
        ("clamp(x, 0, 1)", Domain::PROBABILITY),
        ("clamp(x, 0.25, 0.5)", Domain::closed(0.25, 0.5)),
        ("sigmoid(x)", Domain::open(0.0, 1.0)),
        ("tanh(x)", Domain::open(-1.0, 1.0)),
        ("sin(x)", Domain::closed(-1.0, 1.0)),
        ("sign(y)", Domain::point(1.0)),
        ("x + y", Domain::ANY),
        ("y + z", Domain::POSITIVE),
        ("y - z", Domain { low: -1.0, high: f64::INFINITY, low_open: true, high_open: true }),
        ("1 - z", Domain::PROBABILITY),
        ("z * (1 - z)", Domain::PROBABILITY),
        ("y * z", Domain::NON_NEGATIVE),
        ("z / y", Domain::NON_NEGATIVE),
        ("1 / y", Domain::POSITIVE),
        ("1 / z", Domain::ANY),
        ("1 / (1 + y)", Domain::open(0.0, 1.0)),
        ("ln(y)", Domain::FINITE),
        ("ln(z)", Domain::ANY),
        ("log1p(z)", Domain::closed(0.0, std::f64::consts::LN_2)),
        ("sqrt(y)", Domain::POSITIVE),
        ("sqrt(x)", Domain::ANY),
        ("pow(y, power)", Domain::POSITIVE),
        ("pow(y, x)", Domain::POSITIVE),
        ("-y", Domain::open(f64::NEG_INFINITY, 0.0)),
        ("lgamma(y)", Domain::FINITE),
        ("floor(z * 2.5)", Domain::closed(0.0, 2.0)),
    ] {
        let domain = formula(text).domain(&any);
        let close = |a: f64, b: f64| a == b || (a - b).abs() < 1e-12;
        assert!(close(domain.low, expected.low) && close(domain.high, expected.high), "{text}: {domain} instead of {expected}");
        assert_eq!((domain.low_open, domain.high_open), (expected.low_open, expected.high_open), "{text}: {domain}");
    }
}

#[test]
fn formula_errors_say_what_and_where() {
    for (text, message, place) in [
        (
            "x * condition",
            "`condition` is true or false where a number should stand; `where(condition, 1, 0)` makes it one",
            "condition",
        ),
        ("where(x, 1, 2)", "`x` is a number where a condition should stand; compare it, as in `x > 0`", "x"),
        (
            "where(condition, 1, true)",
            "the two values of `where` are a number and a truth value; they must be of one kind",
            "1, true",
        ),
        ("gelu(x)", "there is no function `gelu` in formulas", "gelu"),
        ("meen + 1", "the name `meen` is not known here", "meen"),
        ("pow(x)", "`pow` does not take 1 arguments; pow(a, b): a to the power of b", "pow(x)"),
        ("clamp(x, 2, 1)", "the limits of `clamp` are in the wrong order: 2.0 is above 1.0", "clamp(x, 2, 1)"),
        ("x / (power - 1.5)", "division by zero", "(power - 1.5)"),
        ("x / width", "the value of `width` is not known before the sizes are", "width"),
        ("x + 'a'", "a formula computes with numbers, not with a text ('a')", "'a'"),
        ("x + weights", "a formula computes with numbers, not with a list ([0.25, 4])", "weights"),
    ] {
        let error = read(text).expect_err(text);
        assert_eq!(error.message, message, "{text}");
        assert_eq!(&text[error.range.clone()], place, "{text}");
    }
}

#[test]
fn functions_are_equal_however_they_are_built() {
    let direct = formula("sigmoid(x) * x");
    let indirect = ScalarFunction::build(&KINDS, |graph, inputs| {
        graph.exp(inputs[1]);
        let gate = graph.sigmoid(inputs[0]);
        graph.multiply(gate, inputs[0])
    });
    assert_eq!(direct, indirect);
    assert_ne!(direct, formula("sigmoid(x) * y"));
    assert!(direct.uses(0) && !direct.uses(1));
}

#[test]
fn fusion_shares_common_parts() {
    let inner = formula("sigmoid(x)");
    let outer = formula("x * (1 - x) + y");
    let mut graph = ScalarGraph::new();
    let inputs: Vec<ScalarId> = (0..2).map(|index| graph.input(index, ScalarKind::Number)).collect();
    let middle = graph.import(inner.graph(), inner.root(), &inputs[..1], 0);
    let fused = graph.import(outer.graph(), outer.root(), &[middle, inputs[1]], 0);
    assert_eq!(graph.display(fused).to_string(), "sigmoid($0) * (1.0 - sigmoid($0)) + $1");
    assert_eq!(graph.cost(&[fused]), ScalarOp::Sigmoid.cost() + 3);
    let replaced = graph.substitute(fused, &|index| (index == 1).then_some(inputs[0]));
    assert_eq!(graph.display(replaced).to_string(), "sigmoid($0) * (1.0 - sigmoid($0)) + $0");
}

#[test]
fn random_streams_stay_apart_when_fused() {
    let mut dropout = ScalarGraph::new();
    let x = dropout.input(0, ScalarKind::Number);
    let (chance, rate, zero) = (dropout.random(0), dropout.number(0.5), dropout.number(0.0));
    let dropped = dropout.less(chance, rate);
    let root = dropout.select(dropped, zero, x);
    let mut graph = ScalarGraph::new();
    let input = graph.input(0, ScalarKind::Number);
    let first = graph.import(&dropout, root, &[input], 0);
    let second = graph.import(&dropout, root, &[first], 1);
    assert_eq!(graph.evaluate_with(second, &[3.0], &|stream| [0.7, 0.2][stream as usize]), 0.0);
    assert_eq!(graph.evaluate_with(second, &[3.0], &|_| 0.7), 3.0);
    let chance = graph.random(0);
    assert_eq!(graph.domain(chance, &[]), Domain { high_open: true, ..Domain::UNIT });
}

#[test]
fn deep_fused_chains_need_no_deep_stack() {
    let mut graph = ScalarGraph::new();
    let mut value = graph.input(0, ScalarKind::Number);
    for _ in 0..100_000 {
        value = graph.sin(value);
    }
    let program = graph.linearize(&[value]);
    assert_eq!(program.registers.len(), 1);
    assert!(graph.display(value).to_string().ends_with('…'));
    assert!(graph.derivative(value, 0).is_ok());
}

/// A random formula over `x`, `y`, `z` that is smooth or piecewise smooth, and finite near the inputs of the tests.
fn random_formula() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["x", "y", "z"]).prop_map(str::to_owned),
        (1..9).prop_map(|tenths| format!("0.{tenths}")),
    ];
    leaf.prop_recursive(5, 20, 3, |inner| {
        let unary = prop::sample::select(vec!["tanh", "sigmoid", "softplus", "erf", "sin", "cos", "abs", "relu", "-"]);
        let binary = prop::sample::select(vec!["+", "-", "*"]);
        prop_oneof![
            (unary, inner.clone()).prop_map(|(function, operand)| format!("{function}({operand})")),
            (binary, inner.clone(), inner.clone()).prop_map(|(op, left, right)| format!("({left} {op} {right})")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left} / (1.5 + abs({right})))")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("pow(1.1 + abs({left}), tanh({right}))")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("min({left}, {right})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(first, second, third)| format!("where({first} < {second}, {third}, {first})")),
            (inner.clone(), inner).prop_map(|(left, right)| format!("log1p(exp(tanh({left})) + relu({right}))")),
        ]
    })
}

fn point() -> impl Strategy<Value = [f64; 4]> {
    (-2.0..2.0, -2.0..2.0, -2.0..2.0).prop_map(|(x, y, z)| [x, y, z, 0.0])
}

proptest! {
    #[test]
    fn register_programs_compute_the_same(texts in prop::collection::vec(random_formula(), 1..4), inputs in point()) {
        let mut graph = ScalarGraph::new();
        let roots: Vec<ScalarId> = texts
            .iter()
            .map(|text| from_expr(&parse(text).unwrap(), &mut graph, &Names).unwrap())
            .collect();
        let program = graph.linearize(&roots);
        let values = program.run(&inputs, &|_| 0.0);
        for (root, value) in roots.iter().zip(values) {
            prop_assert_eq!(value.to_bits(), graph.evaluate(*root, &inputs).to_bits());
        }
        for step in &program.steps {
            if let StepOp::Apply(op) = step.op {
                prop_assert_eq!(program.registers[usize::from(step.destination)], op.result_kind());
            }
        }
    }

    #[test]
    fn values_lie_in_their_domain(text in random_formula(), inputs in point()) {
        let function = formula(&text);
        let bounds = Domain::closed(-2.0, 2.0);
        let domain = function.domain(&[bounds; 3]);
        let value = function.evaluate(&inputs);
        // Bounds are exact, values rounded: an open end may be touched.
        let slack = 1e-9 * (1.0 + value.abs());
        let wide = Domain::closed(domain.low - slack, domain.high + slack);
        prop_assert!(wide.contains_value(value), "{} outside {}", value, domain);
    }

    #[test]
    fn random_derivatives_agree_with_differences(text in random_formula(), inputs in point()) {
        let function = formula(&text);
        for input in 0..3_u32 {
            let slope = function.derivative(input).unwrap().evaluate(&inputs);
            let difference = |step| central_difference(&function, &inputs, input as usize, step);
            let (coarse, fine) = (difference(1e-3), difference(1e-4));
            // Where two step widths disagree, a kink or a jump lies between, and differences mean nothing.
            let scale = 1.0 + slope.abs() + function.evaluate(&inputs).abs();
            if (coarse - fine).abs() < 1e-6 * scale {
                prop_assert!((slope - fine).abs() < 1e-5 * scale, "{}: {} against {}", text, slope, fine);
            }
        }
    }

    #[test]
    fn printed_formulas_read_back_with_equal_values(text in random_formula(), inputs in point()) {
        let function = formula(&text);
        let again = formula(&function.display_with(&names()));
        let (value, repeated) = (function.evaluate(&inputs), again.evaluate(&inputs));
        prop_assert!((value - repeated).abs() <= 1e-12 * (1.0 + value.abs()), "{} against {}", value, repeated);
    }

    #[test]
    fn substitution_is_composition(outer in random_formula(), inner in random_formula(), inputs in point()) {
        let (outer, inner) = (formula(&outer), formula(&inner));
        let mut graph = ScalarGraph::new();
        let arguments: Vec<ScalarId> = (0..3).map(|index| graph.input(index, ScalarKind::Number)).collect();
        let middle = graph.import(inner.graph(), inner.root(), &arguments, 0);
        let fused = graph.import(outer.graph(), outer.root(), &[middle, arguments[1], arguments[2]], 0);
        let mut moved = inputs;
        moved[0] = inner.evaluate(&inputs);
        let (value, expected) = (graph.evaluate(fused, &inputs), outer.evaluate(&moved));
        prop_assert!((value - expected).abs() <= 1e-9 * (1.0 + expected.abs()), "{} against {}", value, expected);
    }
}
