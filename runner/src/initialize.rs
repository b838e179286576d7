//! The first values of parameters: a pure function of the seed and the parameter's name.
//!
//! Formulas are those of `torch.nn.init`; the numbers are ours, so that adding or removing a node leaves all other parameters alone.

use crate::random::{Lane, Stream, purpose};
use rayon::prelude::*;
use sward_core::check::Checked;
use sward_core::op::Initializer;
use sward_core::program::{Argument, DType, Program, Role};
use sward_kernels::{Data, Tensor};

/// Values for every parameter and buffer of a program lowered from `checked`, by name, in the program's order.
pub fn initial_values(checked: &Checked, program: &Program, seed: u64) -> Vec<(String, Tensor)> {
    initial_values_but(checked, program, seed, &|_| false)
}

/// As [`initial_values`], but for those that get their values elsewhere: drawing the numbers of a large backbone takes seconds.
pub fn initial_values_but(
    checked: &Checked,
    program: &Program,
    seed: u64,
    is_given: &(dyn Fn(&str) -> bool + Sync),
) -> Vec<(String, Tensor)> {
    // Each parameter has a stream of its own, so that their order is of no account.
    let value = |argument: &Argument| {
        if !matches!(argument.role, Role::Parameter { .. } | Role::State) || is_given(&argument.name) {
            return None;
        }
        let parameter = checked.parameters().get(&argument.name)?;
        let tensor_type = program.type_of(argument.value);
        let shape = &tensor_type.shape;
        let fan_shape = match parameter.spec.initial {
            Initializer::FanInOfWeight => weight_shape(program, &argument.name).unwrap_or_else(|| shape.to_vec()),
            _ => shape.to_vec(),
        };
        let numbers = draw(parameter.spec.initial, &fan_shape, tensor_type.elements(), stream(seed, &argument.name));
        let tensor = match tensor_type.dtype {
            DType::I64 => Tensor::new(shape, Data::I64(numbers.iter().map(|number| *number as i64).collect())),
            DType::Bool => Tensor::new(shape, Data::Bool(numbers.iter().map(|number| u8::from(*number != 0.0)).collect())),
            DType::F32 | DType::BF16 => Tensor::f32(shape, numbers.iter().map(|number| *number as f32).collect()),
        };
        Some((argument.name.clone(), tensor))
    };
    program.arguments.par_iter().filter_map(value).collect()
}

fn stream(seed: u64, name: &str) -> Stream {
    let digest = blake3::hash(name.as_bytes());
    let word = |at: usize| u32::from_le_bytes(digest.as_bytes()[at..at + 4].try_into().expect("four bytes"));
    Stream::new(seed, Lane { purpose: purpose::INITIAL_VALUES, outer: word(0), inner: word(4) })
}

/// The shape of the `weight` beside a `bias`.
fn weight_shape(program: &Program, name: &str) -> Option<Vec<usize>> {
    let (node, _) = name.rsplit_once('.')?;
    let weight = program.argument(&format!("{node}.weight"))?;
    Some(program.type_of(weight.value).shape.to_vec())
}

fn draw(initial: Initializer, shape: &[usize], count: usize, mut stream: Stream) -> Vec<f64> {
    let fan_in = shape.iter().skip(1).product::<usize>().max(1) as f64;
    let receptive = shape.iter().skip(2).product::<usize>() as f64;
    let fan_out = (shape.first().copied().unwrap_or(1) as f64 * receptive).max(1.0);
    let mut uniform = |bound: f64| (0..count).map(|_| stream.between(-bound, bound)).collect();
    match initial {
        Initializer::Zeros => vec![0.0; count],
        Initializer::Ones => vec![1.0; count],
        Initializer::Fill(value) => vec![value; count],
        Initializer::Uniform { bound } => uniform(bound),
        Initializer::XavierUniform => uniform((6.0 / (fan_in + fan_out)).sqrt()),
        Initializer::KaimingUniform => uniform((6.0 / fan_in).sqrt()),
        Initializer::FanIn | Initializer::FanInOfWeight => uniform(1.0 / fan_in.sqrt()),
        Initializer::Normal { std } => (0..count).map(|_| std * stream.normal()).collect(),
        Initializer::KaimingNormal => {
            let std = (2.0 / fan_out).sqrt();
            (0..count).map(|_| std * stream.normal()).collect()
        }
        Initializer::TruncatedNormal { std } => (0..count)
            .map(|_| {
                loop {
                    let number = stream.normal();
                    if number.abs() <= 2.0 {
                        break std * number;
                    }
                }
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_have_the_spread_that_their_formulas_say() {
        let shape = [64, 32, 3, 3];
        let count = shape.iter().product();
        let spread = |initial| {
            let numbers = draw(initial, &shape, count, stream(7, "conv.weight"));
            (numbers.iter().map(|number| number * number).sum::<f64>() / count as f64).sqrt()
        };
        let near = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 0.03, "{found} against {expected}");
        near(spread(Initializer::FanIn), 1.0 / (3.0 * 288.0f64).sqrt());
        near(spread(Initializer::KaimingUniform), (2.0f64 / 288.0).sqrt());
        near(spread(Initializer::KaimingNormal), (2.0f64 / 576.0).sqrt());
        near(spread(Initializer::XavierUniform), (2.0f64 / (288.0 + 576.0)).sqrt());
        near(spread(Initializer::Normal { std: 0.02 }), 0.02);
        // A normal cut at two standard deviations keeps 0.8796 of its spread.
        near(spread(Initializer::TruncatedNormal { std: 0.02 }), 0.02 * 0.8796);
    }

    #[test]
    fn a_parameter_starts_the_same_whatever_else_the_graph_holds() {
        let one = draw(Initializer::FanIn, &[4, 4], 16, stream(42, "fc.weight"));
        assert_eq!(one, draw(Initializer::FanIn, &[4, 4], 16, stream(42, "fc.weight")));
        assert_ne!(one, draw(Initializer::FanIn, &[4, 4], 16, stream(42, "fc2.weight")));
        assert_ne!(one, draw(Initializer::FanIn, &[4, 4], 16, stream(43, "fc.weight")));
    }
}
