//! Every primitive's gradient rule against f64 central differences through the reference interpreter.

use proptest::prelude::*;
use proptest::test_runner::{TestCaseResult, TestRunner};
use std::collections::BTreeMap;
use sward_core::program::{
    Array, BuildError, Builder, DType, Program, Role, RunKey, TensorType, ValueId, differentiate, interpret, verify,
};
use sward_ops::primitives::AddAlgebra;
use sward_ops::primitives::problems::{Draw, Extent, Family, Problem, families};

/// How many elements of each operand are shifted.
const SHIFTED: usize = 12;

type Arguments = BTreeMap<String, Array>;

/// A problem's operands as arguments, and random gradients of its differentiable results as `seed<index>`.
fn arguments(problem: &Problem, forward: &Program, draw: &mut Draw) -> Arguments {
    let mut arguments = Arguments::new();
    for (index, input) in problem.inputs.iter().enumerate() {
        arguments.insert(format!("x{index}"), input.clone());
    }
    for index in &problem.differentiable {
        let shape = &forward.type_of(forward.outputs[*index].value).shape;
        arguments.insert(format!("seed{index}"), draw.floats_of(DType::F32, shape, -1.0, 1.0));
    }
    arguments
}

/// The forward program with the gradients of all float operands as outputs `grad<index>` where they are not zero everywhere.
fn backward(problem: &Problem, forward: Program) -> Program {
    let results: Vec<ValueId> = forward.outputs.iter().map(|output| output.value).collect();
    let wanted: Vec<(usize, ValueId)> = (forward.arguments.iter().enumerate())
        .filter(|(_, argument)| forward.type_of(argument.value).dtype.is_float())
        .map(|(index, argument)| (index, argument.value))
        .collect();
    let mut builder = Builder::from_program(forward, 1000);
    let seeds: Vec<(ValueId, ValueId)> = (problem.differentiable.iter())
        .map(|index| {
            let tensor_type = builder.type_of(results[*index]).clone();
            (results[*index], builder.argument(&format!("seed{index}"), Role::Input, tensor_type))
        })
        .collect();
    let values: Vec<ValueId> = wanted.iter().map(|(_, value)| *value).collect();
    let gradients =
        differentiate(&mut builder, &seeds, &values, &AddAlgebra).unwrap_or_else(|error| panic!("{problem}: {error}"));
    for (index, value) in wanted {
        if let Some(gradient) = gradients.of(value) {
            builder.output(&format!("grad{index}"), gradient);
        }
    }
    builder.finish()
}

/// The scalar whose gradient is judged: the inner product of results and seeds.
fn scalar(problem: &Problem, forward: &Program, arguments: &Arguments) -> f64 {
    let (outputs, _) = interpret(forward, arguments, RunKey { seed: 7, step: 3 }).expect("given arguments");
    let product = |index: &usize| -> f64 {
        let (y, seed) = (&outputs[&format!("y{index}")], &arguments[&format!("seed{index}")]);
        y.data.iter().zip(&seed.data).map(|(value, weight)| value * weight).sum()
    };
    problem.differentiable.iter().map(product).sum()
}

fn judge(family: &Family, seed: u64) -> TestCaseResult {
    let problem = family.problem(Draw::new(seed, DType::F32, Extent::Small));
    let forward = problem.program();
    verify(&forward).map_err(|error| TestCaseError::fail(error.to_string()))?;
    if problem.differentiable.is_empty() {
        return Ok(());
    }
    let mut draw = Draw::new(!seed, DType::F32, Extent::Small);
    let mut arguments = arguments(&problem, &forward, &mut draw);
    let program = backward(&problem, forward.clone());
    verify(&program).map_err(|error| TestCaseError::fail(format!("{problem}: {error}\n{program}")))?;
    let (gradients, _) = interpret(&program, &arguments, RunKey { seed: 7, step: 3 }).expect("given arguments");
    for (index, input) in problem.inputs.iter().enumerate().filter(|(_, input)| input.dtype.is_float()) {
        let name = format!("x{index}");
        let zeros = Array::filled(&TensorType::f32(&input.shape), 0.0);
        let gradient = gradients.get(&format!("grad{index}")).unwrap_or(&zeros);
        prop_assert_eq!(&gradient.shape, &input.shape, "{}: sizes of the gradient in {}", problem, name);
        for _ in 0..input.data.len().min(SHIFTED) {
            let element = draw.below(input.data.len());
            let step = 1e-5 * input.data[element].abs().max(1.0);
            let mut shifted = |by: f64| {
                arguments.get_mut(&name).expect("an operand").data[element] = input.data[element] + by;
                scalar(&problem, &forward, &arguments)
            };
            let expected = (shifted(step) - shifted(-step)) / (2.0 * step);
            shifted(0.0);
            let given = gradient.data[element];
            prop_assert!(
                (given - expected).abs() <= 1e-6 * (1.0 + expected.abs()),
                "{problem}: gradient in {name}[{element}] is {given}, differences give {expected}\n{program}"
            );
        }
    }
    Ok(())
}

#[test]
fn gradients_are_what_central_differences_give() {
    // Sixty-four problems of each primitive, or as many as the usual variable says.
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64);
    let mut failures = Vec::new();
    for family in families() {
        let mut runner = TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() });
        if let Err(error) = runner.run(&any::<u64>(), |seed| judge(&family, seed)) {
            failures.push(format!("{}: {error}", family.name));
        }
    }
    assert!(failures.is_empty(), "{} families fail:\n{}", failures.len(), failures.join("\n\n"));
}

#[test]
fn a_missing_gradient_is_an_error_and_not_zero() {
    const WITHOUT: [&str; 5] =
        ["layer_norm_gradient", "softmax_gradient", "attention_gradient", "max_pool_gradient", "optimizer_update"];
    for family in families().into_iter().filter(|family| WITHOUT.contains(&family.name)) {
        let problem = family.problem(Draw::new(3, DType::F32, Extent::Small));
        let mut builder = Builder::from_program(problem.program(), 0);
        let arguments: Vec<ValueId> = builder.program().arguments.iter().map(|argument| argument.value).collect();
        let result = builder.program().outputs[0].value;
        let refused = differentiate(&mut builder, &[(result, result)], &arguments, &AddAlgebra);
        assert!(matches!(refused, Err(BuildError::NoGradient { .. })), "{problem}: {refused:?}");
    }
}

#[test]
fn a_family_gives_the_same_problem_for_the_same_seed() {
    for family in families() {
        let make = || family.problem(Draw::new(11, DType::BF16, Extent::Large));
        assert_eq!(make().to_string(), make().to_string());
        let bits = |problem: Problem| -> Vec<u64> {
            problem.inputs.iter().flat_map(|input| &input.data).map(|value| value.to_bits()).collect()
        };
        assert_eq!(bits(make()), bits(make()), "{}", family.name);
    }
}
