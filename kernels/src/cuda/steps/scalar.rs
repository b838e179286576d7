//! The C++ text of scalar expressions.

use std::fmt::Write;

use sward_core::scalar::{LinearProgram, ScalarKind, ScalarOp, StepOp};

/// A number as C++ has it.
fn literal(value: f64) -> String {
    if value.is_nan() {
        "real(not_a_number())".to_string()
    } else if value.is_infinite() {
        format!("real({}infinity())", if value < 0.0 { "-" } else { "" })
    } else {
        format!("real({value:?})")
    }
}

/// What an operation is called, or how it is written between its operands.
fn apply(op: ScalarOp, [a, b, c]: [&str; 3]) -> String {
    let between = |sign: &str| format!("{a} {sign} {b}");
    let one = |name: &str| format!("{name}({a})");
    let two = |name: &str| format!("{name}({a}, {b})");
    match op {
        ScalarOp::Add => between("+"),
        ScalarOp::Subtract => between("-"),
        ScalarOp::Multiply => between("*"),
        ScalarOp::Divide => between("/"),
        ScalarOp::Power => two("s_pow"),
        ScalarOp::Minimum => two("s_min"),
        ScalarOp::Maximum => two("s_max"),
        ScalarOp::Negate => format!("-{a}"),
        ScalarOp::Absolute => one("s_abs"),
        ScalarOp::Sign => one("s_sign"),
        ScalarOp::Floor => one("s_floor"),
        ScalarOp::Round => one("s_round"),
        ScalarOp::Exp => one("s_exp"),
        ScalarOp::Ln => one("s_ln"),
        ScalarOp::Log1p => one("s_log1p"),
        ScalarOp::Expm1 => one("s_expm1"),
        ScalarOp::Sqrt => one("s_sqrt"),
        ScalarOp::Rsqrt => one("s_rsqrt"),
        ScalarOp::Sigmoid => one("s_sigmoid"),
        ScalarOp::Tanh => one("s_tanh"),
        ScalarOp::Softplus => one("s_softplus"),
        ScalarOp::Erf => one("s_erf"),
        ScalarOp::Lgamma => one("s_lgamma"),
        ScalarOp::Digamma => one("s_digamma"),
        ScalarOp::Trigamma => one("s_trigamma"),
        ScalarOp::Sin => one("s_sin"),
        ScalarOp::Cos => one("s_cos"),
        ScalarOp::Equal => between("=="),
        ScalarOp::NotEqual => between("!="),
        ScalarOp::Less => between("<"),
        ScalarOp::LessEqual => between("<="),
        ScalarOp::And => between("&&"),
        ScalarOp::Or => between("||"),
        ScalarOp::Not => format!("!{a}"),
        ScalarOp::Where => format!("{a} ? {b} : {c}"),
    }
}

/// A float divided by a constant: by its reciprocal, which is exact for powers of two.
fn divide_by(a: &str, by: f64) -> Option<String> {
    let held = f64::from(by as f32);
    let inverse = f64::from((1.0 / held) as f32);
    let is_power_of_two = held * inverse == 1.0;
    match held.abs() {
        _ if is_power_of_two && inverse.abs() >= f64::from(f32::MIN_POSITIVE) => Some(format!("{a} * real({inverse:?})")),
        1e-30..=1e30 => Some(format!("s_divide_by({a}, real({held:?}), real({inverse:?}))")),
        _ => None,
    }
}

/// Lines that compute the expressions' registers in `float` or `double`; `input` and `random` give the C++ expressions of the leaves.
pub(super) fn body(program: &LinearProgram, real: &str, input: &dyn Fn(u32) -> String, random: &dyn Fn(u32) -> String) -> String {
    let mut text = String::new();
    for (register, kind) in program.registers.iter().enumerate() {
        let kind = if *kind == ScalarKind::Bool { "bool" } else { "real" };
        let _ = writeln!(text, "        {kind} r{register};");
    }
    // Which registers hold a constant at this point.
    let mut constants: Vec<Option<f64>> = vec![None; program.registers.len()];
    for step in &program.steps {
        let register = step.destination;
        let divisor = constants.get(usize::from(step.operands[1])).copied().flatten();
        constants[usize::from(register)] = match step.op {
            StepOp::Number(value) => Some(value),
            _ => None,
        };
        let names = step.operands.map(|operand| format!("r{operand}"));
        let value = match step.op {
            StepOp::Input(index) => match program.registers[usize::from(register)] {
                ScalarKind::Bool => format!("{} != 0", input(index)),
                ScalarKind::Number => format!("to<real>({})", input(index)),
            },
            StepOp::Number(value) => literal(value),
            StepOp::Bool(value) => value.to_string(),
            StepOp::Random(stream) => format!("real({})", random(stream)),
            StepOp::Apply(op) => {
                let by = divisor.filter(|_| op == ScalarOp::Divide && real == "float").and_then(|by| divide_by(&names[0], by));
                by.unwrap_or_else(|| apply(op, [&names[0], &names[1], &names[2]]))
            }
        };
        let _ = writeln!(text, "        r{register} = {value};");
    }
    text
}

/// The inputs that the steps read, rising, each once.
pub(super) fn inputs_read(program: &LinearProgram) -> Vec<usize> {
    let mut read: Vec<usize> = program
        .steps
        .iter()
        .filter_map(|step| match step.op {
            StepOp::Input(index) => Some(index as usize),
            _ => None,
        })
        .collect();
    read.sort_unstable();
    read.dedup();
    read
}

/// The random streams that the steps draw from, rising, each once.
pub(super) fn streams_drawn(program: &LinearProgram) -> Vec<u32> {
    let mut drawn: Vec<u32> = program
        .steps
        .iter()
        .filter_map(|step| match step.op {
            StepOp::Random(stream) => Some(stream),
            _ => None,
        })
        .collect();
    drawn.sort_unstable();
    drawn.dedup();
    drawn
}
