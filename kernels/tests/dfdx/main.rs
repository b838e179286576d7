//! dfdx beside the CPU engine: whole graphs, random programs, and graphs as dfdx modules.

mod library;
mod module;
#[path = "../../../ops/tests/compiling/random.rs"]
mod random;
mod random_programs;
#[allow(dead_code)]
#[path = "../../../ops/tests/compiling/support.rs"]
mod support;

use std::collections::BTreeMap;
use sward_core::program::{Array, Builder, Program, RunKey};
use sward_kernels::cpu::CpuEngine;
use sward_kernels::dfdx::{Traced, gradients};
use sward_kernels::{Engine, Tensor};
use sward_ops::primitives::problems::{Draw, Extent};
use sward_ops::training::{GradientOptions, Loss, gradient_program};

const KEY: RunKey = RunKey { seed: 7, step: 3 };

type Arrays = BTreeMap<String, Array>;

/// Runs a program on an engine; gives its outputs.
fn run(engine: &dyn Engine, program: &Program, given: &Arrays) -> Arrays {
    let mut plan = engine.prepare(program).unwrap_or_else(|error| panic!("{error}"));
    for argument in &program.arguments {
        plan.set(&argument.name, &Tensor::from_array(&given[&argument.name])).expect("fits");
    }
    plan.run(KEY).unwrap_or_else(|error| panic!("{error}"));
    let read = |name: &str| plan.output(name).expect("an output").to_array();
    program.outputs.iter().map(|output| (output.name.clone(), read(&output.name))).collect()
}

fn assert_near(wanted: &Array, found: &Array, tolerance: f64, place: &str) {
    assert_eq!(wanted.shape, found.shape, "{place}");
    let largest = wanted.data.iter().filter(|number| number.is_finite()).fold(1e-2f64, |most, number| most.max(number.abs()));
    for (element, (wanted, found)) in wanted.data.iter().zip(&found.data).enumerate() {
        let is_near = wanted == found || wanted.is_nan() && found.is_nan() || (wanted - found).abs() <= tolerance * largest;
        assert!(is_near, "element {element} is {found}, not {wanted}: {place}");
    }
}

/// Values and gradients by dfdx's tape, of one output weighted by ones.
fn by_tape(program: &Program, given: &Arrays, output: &str) -> Traced {
    let shape = &program.type_of(program.output(output).expect("an output").value).shape;
    let ones = Array::f32(shape, vec![1.0; shape.iter().product()]);
    gradients(program, given, &Arrays::from([(output.to_string(), ones)]), KEY).unwrap_or_else(|error| panic!("{error}"))
}

/// Values and gradients of our gradient program on the CPU engine against those of dfdx's tape on the forward program.
fn assert_cpu_is_dfdx(builder: Builder, output: &str, seed: u64, tolerance: f64, place: &str) {
    let forward = builder.program().clone();
    let given = rounded(support::arguments(&forward, seed));
    let traced = by_tape(&forward, &given, output);
    let options = GradientOptions { loss: Loss::Output(output.to_string()), parameters: true, inputs: true };
    let ours = gradient_program(builder, &options).unwrap_or_else(|error| panic!("{error}"));
    let found = run(&CpuEngine::new(1).expect("threads"), &ours, &given);
    for (name, wanted) in &traced.outputs {
        assert_near(wanted, &found[name], tolerance, &format!("output {name} of {place}"));
    }
    for (name, wanted) in &traced.gradients {
        let own = found.get(&format!("grad.{name}")).unwrap_or_else(|| &found[&format!("grad_in.{name}")]);
        assert_near(wanted, own, tolerance, &format!("gradient of {name} of {place}"));
    }
    assert_eq!(found.len(), traced.outputs.len() + traced.gradients.len(), "{place}");
}

/// Arrays whose numbers are exact in f32, so that both sides start from the same ones.
fn rounded(arrays: Arrays) -> Arrays {
    let draw = Draw::new(0, sward_core::program::DType::F32, Extent::Small);
    arrays.into_iter().map(|(name, array)| (name, draw.round(array))).collect()
}
