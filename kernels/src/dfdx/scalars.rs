//! Elementwise arithmetic: a scalar graph, one dfdx operation a node.

use dfdx::prelude::*;
use rustc_hash::FxHashMap;
use sward_core::program::{DType, RunKey, Shape, TensorType};
use sward_core::scalar::{ScalarGraph, ScalarId, ScalarNode, ScalarOp};
use sward_ops::primitives::Map;

use super::movement::broadcast;
use super::recorder::{Flat, Recorder, Value};

/// Whether the nodes that these expressions need can be expressed, and if not, why.
pub(super) fn check(graph: &ScalarGraph, roots: &[ScalarId]) -> Result<(), String> {
    for id in graph.reachable(roots) {
        let ScalarNode::Apply { op, operands } = graph.node(id) else { continue };
        match op {
            ScalarOp::Lgamma | ScalarOp::Digamma | ScalarOp::Trigamma => {
                return Err(format!("dfdx has nothing to make `{}` of", op.name()));
            }
            ScalarOp::Power if graph.as_number(operands[1]).is_none() => {
                let base = graph.as_number(operands[0]);
                if base.is_none_or(|base| base <= 0.0) {
                    return Err("dfdx has powers with a constant exponent or a positive constant base alone".to_string());
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The results of a map.
pub(super) fn map<T: Tape<f64, Cpu>>(
    recorder: &mut Recorder<T>,
    map: &Map,
    operands: &[(&Value, &TensorType)],
    shape: &Shape,
    key: RunKey,
) -> Vec<Value> {
    let graph = &*map.scalars;
    let count: usize = shape.iter().product();
    let mut values: FxHashMap<ScalarId, Value> = FxHashMap::default();
    for id in graph.reachable(&map.roots) {
        let value = match *graph.node(id) {
            ScalarNode::Input { index, .. } => {
                let (value, tensor_type) = operands[index as usize];
                broadcast(recorder, value, &tensor_type.shape, shape)
            }
            ScalarNode::Number(number) => recorder.fill(count, number),
            ScalarNode::Bool(flag) => recorder.fill(count, f64::from(u8::from(flag))),
            ScalarNode::Random { stream } => {
                recorder.constant((0..count as u64).map(|element| f64::from(key.uniform(stream, element))).collect())
            }
            ScalarNode::Apply { op, operands } => {
                let numbers = [0, 1].map(|position| graph.as_number(operands[position]));
                apply(recorder, op, operands.map(|operand| &values[&operand]), numbers)
            }
        };
        values.insert(id, value);
    }
    let stored = |(root, dtype): (&ScalarId, &DType)| {
        let value = &values[root];
        match dtype {
            DType::F32 | DType::BF16 => value.clone(),
            DType::I64 => recorder.apart(&[value], |x| x[0].trunc()),
            DType::Bool => recorder.apart(&[value], |x| f64::from(u8::from(x[0] != 0.0))),
        }
    };
    map.roots.iter().zip(&map.dtypes).map(stored).collect()
}

/// One operation. `numbers` are the first two operands where they are constant.
fn apply<T: Tape<f64, Cpu>>(
    recorder: &mut Recorder<T>,
    op: ScalarOp,
    [a, b, c]: [&Value; 3],
    numbers: [Option<f64>; 2],
) -> Value {
    type Unary<T> = fn(Flat<T>) -> Flat<T>;
    let unary: Unary<T> = match op {
        ScalarOp::Add => return recorder.add(a, b),
        ScalarOp::Subtract => return recorder.subtract(a, b),
        ScalarOp::Multiply => return recorder.multiply(a, b),
        ScalarOp::Divide => return recorder.divide(a, b),
        ScalarOp::Where => return recorder.choose(a, b, c),
        ScalarOp::Power => return power(recorder, a, b, numbers),
        ScalarOp::Minimum | ScalarOp::Maximum => return extreme(recorder, op, a, b),
        ScalarOp::Softplus => return softplus(recorder, a),
        ScalarOp::Erf => return erf(recorder, a),
        ScalarOp::Negate => |x| -x,
        ScalarOp::Absolute => |x| x.abs(),
        ScalarOp::Exp => |x| x.exp(),
        ScalarOp::Ln => |x| x.ln(),
        ScalarOp::Log1p => |x| (x + 1.0).ln(),
        ScalarOp::Expm1 => |x| x.exp() - 1.0,
        ScalarOp::Sqrt => |x| x.sqrt(),
        ScalarOp::Rsqrt => |x| x.sqrt().recip(),
        ScalarOp::Sigmoid => |x| x.sigmoid(),
        ScalarOp::Tanh => |x| x.tanh(),
        ScalarOp::Sin => |x| x.sin(),
        ScalarOp::Cos => |x| x.cos(),
        // Flat between their steps: no gradient, and nothing for a tape to record.
        ScalarOp::Sign | ScalarOp::Floor | ScalarOp::Round | ScalarOp::Not => {
            return recorder.apart(&[a], |x| op.apply(x[0], 0.0, 0.0));
        }
        ScalarOp::Equal | ScalarOp::NotEqual | ScalarOp::Less | ScalarOp::LessEqual | ScalarOp::And | ScalarOp::Or => {
            return recorder.apart(&[a, b], |x| op.apply(x[0], x[1], 0.0));
        }
        ScalarOp::Lgamma | ScalarOp::Digamma | ScalarOp::Trigamma => unreachable!("refused when the program was prepared"),
    };
    recorder.unary(a, unary)
}

fn power<T: Tape<f64, Cpu>>(recorder: &mut Recorder<T>, a: &Value, b: &Value, numbers: [Option<f64>; 2]) -> Value {
    match numbers {
        [_, Some(exponent)] => recorder.unary(a, |a| a.powf(exponent)),
        [Some(base), _] => recorder.unary(b, |b| (b * base.ln()).exp()),
        _ => unreachable!("refused when the program was prepared"),
    }
}

/// The smaller or the larger one. Equal operands share the gradient evenly, NaN wins.
fn extreme<T: Tape<f64, Cpu>>(recorder: &mut Recorder<T>, op: ScalarOp, a: &Value, b: &Value) -> Value {
    let wins = recorder.apart(&[a, b], |x| {
        let is_first = if op == ScalarOp::Minimum { x[0] < x[1] } else { x[0] > x[1] };
        f64::from(u8::from(is_first || x[0].is_nan()))
    });
    let ties = recorder.apart(&[a, b], |x| f64::from(u8::from(x[0] == x[1])));
    let chosen = recorder.choose(&wins, a, b);
    if ties.numbers().iter().all(|tie| *tie == 0.0) {
        return chosen;
    }
    let (half_a, half_b) = (recorder.scale(a, 0.5), recorder.scale(b, 0.5));
    let both = recorder.add(&half_a, &half_b);
    recorder.choose(&ties, &both, &chosen)
}

/// `-ln(sigmoid(-x))`, and `x` where that has become `x`.
fn softplus<T: Tape<f64, Cpu>>(recorder: &mut Recorder<T>, x: &Value) -> Value {
    const LARGE: f64 = 40.0;
    let is_large = recorder.apart(&[x], |x| f64::from(u8::from(x[0] > LARGE)));
    let limit = recorder.fill(x.len(), LARGE);
    let limited = recorder.choose(&is_large, &limit, x);
    let curved = recorder.unary(&limited, |x| -(-x).sigmoid().ln());
    recorder.choose(&is_large, x, &curved)
}

/// `erf(x) = 2 / sqrt(pi) exp(-x^2) sum_n 2^n x^(2n+1) / (2n+1)!!` (Abramowitz and Stegun 7.1.6): all terms have one sign, so that nothing cancels. Beyond six it is 1 in f64.
fn erf<T: Tape<f64, Cpu>>(recorder: &mut Recorder<T>, x: &Value) -> Value {
    const END: f64 = 6.0;
    const TERMS: u32 = 140;
    let beyond = recorder.apart(&[x], |x| f64::from(u8::from(x[0].abs() > END)));
    let sign = recorder.apart(&[x], |x| x[0].signum());
    let zero = recorder.fill(x.len(), 0.0);
    let inside = recorder.choose(&beyond, &zero, x);
    let doubled = recorder.unary(&inside, |x| x.square() * 2.0);
    let mut sum = recorder.fill(x.len(), 1.0);
    for term in (1..=TERMS).rev() {
        let product = recorder.multiply(&sum, &doubled);
        sum = recorder.unary(&product, |x| x * (1.0 / f64::from(2 * term + 1)) + 1.0);
    }
    let bell = recorder.unary(&inside, |x| (-x.square()).exp() * std::f64::consts::FRAC_2_SQRT_PI);
    let scaled = recorder.multiply(&bell, &inside);
    let value = recorder.multiply(&scaled, &sum);
    recorder.choose(&beyond, &sign, &value)
}
