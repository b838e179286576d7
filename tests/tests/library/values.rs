//! What graph files compute, and their gradients, against the fixtures.

use super::fixture::{Case, Fixture};
use super::{check, files, fixtures};
use std::collections::BTreeMap;
use sward_core::check::Checked;
use sward_core::dim::Sizes;
use sward_core::lower::{LowerOptions, lower};
use sward_core::program::{Array, Role, RunKey, differentiate, interpret};
use sward_ops::primitives::AddAlgebra;

/// The largest difference, as a share of the largest value expected.
const TOLERANCE: f64 = 2e-5;

/// The sizes of the dimensions that the inputs bind.
fn sizes(checked: &Checked, case: &Case) -> Sizes {
    let mut sizes = Sizes::new();
    for input in checked.inputs() {
        let array = &case.inputs[&*input.name];
        for (dim, size) in input.tensor_type.shape.iter().zip(&array.shape) {
            let name = dim.to_string();
            if checked.dimensions().contains(&name) {
                sizes.insert(name.as_str(), *size as i64);
            }
        }
    }
    sizes
}

fn compare(what: &str, found: &Array, expected: &Array, failed: &mut Vec<String>) {
    if found.shape != expected.shape {
        failed.push(format!("{what} has the shape {:?}, not {:?}", found.shape, expected.shape));
        return;
    }
    let scale = expected.data.iter().fold(0.0f64, |scale, value| scale.max(value.abs()));
    // A gradient that vanishes by symmetry is rounding noise on both sides.
    let limit = TOLERANCE * scale + 1e-12;
    let worst = found.data.iter().zip(&expected.data).map(|(found, expected)| (found - expected).abs()).fold(0.0, f64::max);
    if worst.is_nan() || worst > limit || found.data.iter().any(|value| value.is_nan()) {
        failed.push(format!("{what} differs by {worst:.2e}, {:.2e} of the largest value", worst / scale));
    }
}

fn run(checked: &Checked, fixture: &Fixture, letter: &str, case: &Case, failed: &mut Vec<String>) {
    let before = failed.len();
    let mut builder = match lower(checked, &sizes(checked, case), &LowerOptions::default(), &AddAlgebra) {
        Ok(builder) => builder,
        Err(error) => {
            failed.push(format!("{letter}: {error}"));
            return;
        }
    };
    let mut arguments: BTreeMap<String, Array> = case.inputs.clone();
    for argument in builder.program().arguments.clone() {
        if argument.role == Role::Input {
            continue;
        }
        match fixture.weights.get(&argument.name) {
            Some(array) => {
                arguments.insert(argument.name, array.clone());
            }
            None => failed.push(format!("the fixture has no `{}`", argument.name)),
        }
    }
    failed.extend(
        fixture
            .weights
            .keys()
            .filter(|name| builder.program().argument(name).is_none() && !name.ends_with("num_batches_tracked"))
            .map(|name| format!("the graph has no `{name}`")),
    );
    if failed.len() > before {
        return;
    }
    let mut seeds = Vec::new();
    for (name, cotangent) in &case.cotangents {
        let output = builder.program().output(name).unwrap_or_else(|| panic!("no output `{name}`")).value;
        let key = format!("cotangent of {name}");
        let seed = builder.argument(&key, Role::Input, cotangent.tensor_type());
        arguments.insert(key, cotangent.clone());
        seeds.push((output, seed));
    }
    let wanted: Vec<_> = case
        .gradients
        .keys()
        .map(|name| (name, builder.program().argument(name).unwrap_or_else(|| panic!("no argument `{name}`")).value))
        .collect();
    let values: Vec<_> = wanted.iter().map(|(_, value)| *value).collect();
    let gradients = match differentiate(&mut builder, &seeds, &values, &AddAlgebra) {
        Ok(gradients) => gradients,
        Err(error) => {
            failed.push(format!("{letter}: {error}"));
            return;
        }
    };
    let mut zero = Vec::new();
    for (name, value) in &wanted {
        match gradients.of(*value) {
            Some(gradient) => builder.output(&format!("gradient of {name}"), gradient),
            None => zero.push((*name).clone()),
        }
    }
    let (outputs, _) = interpret(&builder.finish(), &arguments, RunKey::default()).expect("all arguments are given");
    for (name, expected) in &case.outputs {
        match outputs.get(name) {
            Some(found) => compare(&format!("{letter}: {name}"), found, expected, failed),
            None => failed.push(format!("there is no output `{name}`")),
        }
    }
    for (name, expected) in &case.gradients {
        match outputs.get(&format!("gradient of {name}")) {
            Some(found) => compare(&format!("{letter}: the gradient of {name}"), found, expected, failed),
            None if expected.data.iter().all(|value| *value == 0.0) => {}
            None => failed.push(format!("{letter}: {name} has no gradient")),
        }
    }
}

/// Compares every fixture of a folder whose name the filter takes.
fn parity(folder: &str, filter: impl Fn(&str) -> bool) {
    let folder = fixtures().join(folder);
    let mut report = Vec::new();
    let paths: Vec<String> =
        files(&folder, "safetensors").into_iter().filter(|path| filter(path.trim_end_matches(".safetensors"))).collect();
    assert!(!paths.is_empty());
    for path in paths {
        let fixture = Fixture::read(&folder.join(&path));
        let mut failed = Vec::new();
        match check(&fixture.graph, &fixture.sets) {
            Ok((checked, _)) => {
                let checked = checked.expect("a module");
                for (letter, case) in &fixture.cases {
                    run(&checked, &fixture, letter, case, &mut failed);
                }
            }
            Err(text) => failed.push(text),
        }
        if !failed.is_empty() {
            report.push(format!("{path} ({} {}):\n  {}", fixture.graph, fixture.sets.join(" "), failed.join("\n  ")));
        }
    }
    assert!(report.is_empty(), "{}", report.join("\n"));
}

#[test]
fn blocks_fusion_pooling_heads_losses_and_models_equal_pytorch() {
    parity("library", |_| true);
}

#[test]
fn convolutional_backbones_equal_timm() {
    parity("backbones", |name| name.starts_with("convnext") || name.starts_with("resnet"));
}

#[test]
fn mobile_backbones_equal_timm() {
    parity("backbones", |name| name.starts_with("efficientnet") || name.starts_with("mobilenet"));
}

#[test]
fn vision_transformers_equal_timm() {
    parity("backbones", |name| name.starts_with("vit") || name.starts_with("dino") || name.starts_with("swin"));
}

#[test]
fn the_sentence_encoder_equals_transformers() {
    parity("backbones", |name| name.starts_with("minilm"));
}
