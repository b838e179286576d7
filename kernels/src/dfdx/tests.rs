//! dfdx against the reference: values of all primitives, and gradients by its tape against ours.

use std::collections::{BTreeMap, BTreeSet};

use sward_core::program::{Array, Builder, DType, Origin, Program, Role, RunKey, TensorType, ValueId, differentiate, interpret};
use sward_ops::primitives::problems::{Draw, Extent, Family, families};
use sward_ops::primitives::{AddAlgebra, EmitExt};

use super::*;
use crate::engine::{PrepareError, RunError};
use crate::tensor::Tensor;

const KEY: RunKey = RunKey { seed: 7, step: 3 };

type Arrays = BTreeMap<String, Array>;

/// Numbers near each other, relative to the largest.
fn assert_near(wanted: &Array, found: &Array, tolerance: f64, place: &str) {
    assert_eq!(wanted.shape, found.shape, "{place}");
    let largest = wanted.data.iter().filter(|number| number.is_finite()).fold(1.0f64, |most, number| most.max(number.abs()));
    for (element, (wanted, found)) in wanted.data.iter().zip(&found.data).enumerate() {
        let is_near = wanted == found || wanted.is_nan() && found.is_nan() || (wanted - found).abs() <= tolerance * largest;
        assert!(is_near, "element {element} is {found}, not {wanted}: {place}");
    }
}

/// Runs a family's problems; gives how many dfdx can express.
fn judge(family: &Family) -> usize {
    let mut expressed = 0;
    for seed in 0..40 {
        let problem = family.problem(Draw::new(seed, DType::F32, Extent::Small));
        let program = problem.program();
        let Ok(mut plan) = DfdxEngine.prepare(&program) else { continue };
        expressed += 1;
        let given: Arrays = problem.inputs.iter().enumerate().map(|(at, own)| (format!("x{at}"), own.clone())).collect();
        let (wanted, _) = interpret(&program, &given, KEY).expect("given arguments");
        for (name, input) in &given {
            plan.set(name, &Tensor::from_array(input)).expect("fits");
        }
        plan.run(KEY).expect("it runs");
        for (name, wanted) in &wanted {
            let found = plan.output(name).expect("an output").to_array();
            let rounded = Tensor::from_array(&Array { dtype: found.dtype, ..wanted.clone() }).to_array();
            assert_near(&rounded, &found, 1e-6, &format!("{name} of {problem}"));
        }
        if !problem.differentiable.is_empty() {
            judge_gradients(&program, &given, &problem.differentiable, seed, &problem.to_string());
        }
    }
    expressed
}

/// Gradients by dfdx's tape against our rules, both in f64.
fn judge_gradients(program: &Program, given: &Arrays, differentiable: &[usize], seed: u64, place: &str) {
    let mut draw = Draw::new(!seed, DType::F32, Extent::Small);
    let seeds: Arrays = (differentiable.iter())
        .map(|at| {
            let output = &program.outputs[*at];
            (output.name.clone(), draw.floats_of(DType::F32, &program.type_of(output.value).shape, -1.0, 1.0))
        })
        .collect();
    let found = match gradients(program, given, &seeds, KEY) {
        Ok(found) => found,
        // Gradients of gradients are not recorded.
        Err(GradientsError::Prepare(PrepareError::Unsupported { .. })) => return,
        Err(error) => panic!("{place}: {error}"),
    };
    let wanted = ours(program, given, &seeds);
    for (name, found) in &found.gradients {
        assert_near(&wanted[name], found, 1e-9, &format!("the gradient of {name} of {place}"));
    }
}

/// The same gradients by our autodiff and the reference.
fn ours(program: &Program, given: &Arrays, seeds: &Arrays) -> Arrays {
    let mut builder = Builder::from_program(program.clone(), 1000);
    let pairs: Vec<(ValueId, ValueId)> = (seeds.iter())
        .map(|(name, seed)| {
            let value = program.output(name).expect("an output").value;
            (value, builder.constant(DType::F32, &seed.shape, seed.data.clone()).expect("a constant"))
        })
        .collect();
    let is_wanted = |role: Role| matches!(role, Role::Input | Role::Parameter { trained: true });
    let wanted: Vec<_> = (program.arguments.iter())
        .filter(|own| is_wanted(own.role) && program.type_of(own.value).dtype.is_float())
        .map(|own| (own.name.clone(), own.value))
        .collect();
    let values: Vec<ValueId> = wanted.iter().map(|(_, value)| *value).collect();
    let gradients =
        differentiate(&mut builder, &pairs, &values, &AddAlgebra).unwrap_or_else(|error| panic!("{error}\n{program}"));
    builder.program_mut().outputs.clear();
    let mut zeros = Arrays::new();
    for (name, value) in &wanted {
        match gradients.of(*value) {
            Some(gradient) => builder.output(name, gradient),
            None => _ = zeros.insert(name.clone(), Array::filled(program.type_of(*value), 0.0)),
        }
    }
    let (mut found, _) = interpret(&builder.finish(), given, KEY).expect("given arguments");
    found.extend(zeros);
    found
}

#[test]
fn every_primitive_agrees_with_the_reference_in_value_and_gradient() {
    let mut failures = Vec::new();
    for family in families() {
        match std::panic::catch_unwind(|| judge(&family)) {
            Ok(count) if count >= 10 => {}
            Ok(count) => failures.push(format!("{}: {count} problems of 40 can be expressed", family.name)),
            Err(_) => failures.push(family.name.to_string()),
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}

#[test]
fn the_table_has_every_primitive_and_is_the_one_in_the_documents() {
    let names: BTreeSet<&str> = EXPRESSIONS.iter().map(|own| own.primitive).collect();
    assert_eq!(names, families().iter().map(|family| family.name).collect());
    let page = include_str!("../../../docs/dfdx.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let wanted: Vec<String> = (EXPRESSIONS.iter())
        .map(|own| format!("| `{}` | {} | {} |", own.primitive, own.by, if own.recorded { "yes" } else { "no" }))
        .collect();
    assert_eq!(rows, wanted);
}

/// A program of one map of `x`, at a place of a file.
fn mapped(
    build: impl FnOnce(&mut sward_core::scalar::ScalarGraph, sward_core::scalar::ScalarId) -> sward_core::scalar::ScalarId,
) -> Program {
    let mut builder = Builder::new();
    let x = builder.argument("x", Role::Input, TensorType::f32(&[4]));
    builder.set_origin(Origin { path: "head.act".into(), place: Some("model.ron:3:5".into()) });
    let y = builder.map1(x, build).expect("fits");
    builder.output("y", y);
    builder.finish()
}

#[test]
fn what_dfdx_lacks_is_refused_by_name_and_place() {
    let refused = DfdxEngine.prepare(&mapped(|graph, x| graph.lgamma(x))).err().expect("no lgamma").to_string();
    let wanted = "node `head.act` (model.ron:3:5): the dfdx engine does not run map<";
    assert!(refused.starts_with(wanted) && refused.ends_with("dfdx has nothing to make `lgamma` of"), "{refused}");
    let mut builder = Builder::new();
    let x = builder.argument("x", Role::Input, TensorType::new(DType::BF16, &[4]));
    let y = builder.map1(x, |graph, x| graph.exp(x)).expect("fits");
    builder.output("y", y);
    let refused = DfdxEngine.prepare(&builder.finish()).err().expect("no bf16").to_string();
    assert!(refused.ends_with("dfdx computes no bf16 on a processor"), "{refused}");
}

#[test]
fn special_functions_keep_their_accuracy_and_slope_far_from_zero() {
    let points = vec![-30.0, -4.0, -1e-3, 0.0];
    let more = vec![0.7, 5.5, 8.0, 60.0];
    type Build = fn(&mut sward_core::scalar::ScalarGraph, sward_core::scalar::ScalarId) -> sward_core::scalar::ScalarId;
    let functions: [Build; 4] = [|g, x| g.erf(x), |g, x| g.softplus(x), |g, x| g.sigmoid(x), |g, x| g.tanh(x)];
    for build in functions {
        let program = mapped(build);
        for points in [&points, &more] {
            let given = Arrays::from([("x".to_string(), Array::f32(&[4], points.clone()))]);
            let (wanted, _) = interpret(&program, &given, KEY).expect("given arguments");
            let seeds = Arrays::from([("y".to_string(), Array::f32(&[4], vec![1.0; 4]))]);
            let found = gradients(&program, &given, &seeds, KEY).expect("gradients");
            for (wanted, found) in wanted["y"].data.iter().zip(&found.outputs["y"].data) {
                assert!((wanted - found).abs() <= 1e-13 * wanted.abs().max(1e-3), "{found}, not {wanted}: {program}");
            }
            let slopes = ours(&program, &given, &seeds);
            for (wanted, found) in slopes["x"].data.iter().zip(&found.gradients["x"].data) {
                assert!((wanted - found).abs() <= 1e-12, "slope {found}, not {wanted}: {program}");
            }
        }
    }
}

#[test]
fn an_index_outside_of_its_axis_is_an_error_of_the_run() {
    let mut builder = Builder::new();
    let x = builder.argument("x", Role::Input, TensorType::f32(&[4]));
    let index = builder.argument("index", Role::Input, TensorType::new(DType::I64, &[1]));
    let y = builder.emit_one(sward_ops::primitives::Take { axis: 0 }, &[x, index]).expect("fits");
    builder.output("y", y);
    let mut plan = DfdxEngine.prepare(&builder.finish()).expect("prepared");
    assert_eq!(plan.run(KEY), Err(RunError::Missing { name: "x".into() }));
    plan.set("x", &Tensor::f32(&[4], vec![1.0; 4])).expect("fits");
    plan.set("index", &Tensor::new(&[1], crate::Data::I64(vec![4]))).expect("fits");
    let error = plan.run(KEY).expect_err("no such index").to_string();
    assert!(error.ends_with("take: the index 4 lies outside of 0..4"), "{error}");
}
