//! Ops against values and gradients that PyTorch and timm computed in 64-bit floats; `tests/fixtures/ops/make.py` writes them.

mod support;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use support::{Arguments, Node, array, sizes};
use sward_core::op::{Default, FieldKind};
use sward_core::program::{Array, Role, RunKey, differentiate, interpret, verify};
use sward_ops::catalogue;
use sward_ops::primitives::AddAlgebra;

const CASES: &str = include_str!("../../tests/fixtures/ops/cases.json");
const DEFAULTS: &str = include_str!("../../tests/fixtures/ops/defaults.json");

fn cases() -> Vec<Value> {
    serde_json::from_str(CASES).expect("the fixture")
}

fn name(case: &Value) -> &str {
    case["name"].as_str().expect("a name")
}

fn node(case: &Value) -> Node {
    Node::new(case["op"].as_str().expect("an op"), &case["fields"], &case["inputs"])
}

fn arguments(case: &Value) -> Arguments {
    case["arguments"].as_object().expect("arrays").iter().map(|(name, value)| (name.clone(), array(value))).collect()
}

fn assert_close(case: &Value, what: &str, own: &Array, expected: &Array) {
    let tolerance = case["tolerance"].as_f64().expect("a number");
    assert_eq!(own.shape, expected.shape, "{}: shape of {what}", name(case));
    assert_eq!(own.dtype, expected.dtype, "{}: dtype of {what}", name(case));
    for (index, (own, expected)) in own.data.iter().zip(&expected.data).enumerate() {
        let same =
            own == expected || own.is_nan() && expected.is_nan() || (own - expected).abs() <= tolerance * (1.0 + expected.abs());
        assert!(same, "{}: {what}[{index}] is {own}, PyTorch has {expected}", name(case));
    }
}

#[test]
fn values_and_updates_are_pytorchs() {
    for case in cases() {
        let node = node(&case);
        let lowered = node.lower(&sizes(&case["sizes"]), case["training"] == true);
        let lowered = lowered.unwrap_or_else(|error| panic!("{}: {error}", name(&case)));
        for (value, output) in lowered.values.iter().zip(&lowered.outputs) {
            assert_eq!(lowered.builder.type_of(*value), output, "{}: the program's type", name(&case));
        }
        let program = lowered.finish();
        verify(&program).unwrap_or_else(|error| panic!("{}: {error}", name(&case)));
        let (outputs, updates) = interpret(&program, &arguments(&case), RunKey::default()).expect("arguments for all");
        let expected = case["outputs"].as_array().expect("arrays");
        assert_eq!(outputs.len(), expected.len(), "{}: outputs", name(&case));
        for (index, expected) in expected.iter().enumerate() {
            assert_close(&case, &format!("output {index}"), &outputs[&index.to_string()], &array(expected));
        }
        let expected = case["updates"].as_object().expect("arrays");
        let names = |keys: Vec<&String>| keys.into_iter().cloned().collect::<BTreeSet<_>>();
        assert_eq!(names(updates.keys().collect()), names(expected.keys().collect()), "{}: updates", name(&case));
        for (key, expected) in expected {
            assert_close(&case, key, &updates[key], &array(expected));
        }
    }
}

#[test]
fn gradients_are_pytorchs() {
    let mut compared = 0;
    for case in cases().iter().filter(|case| case["gradients"].is_object()) {
        let node = node(case);
        let mut lowered = node.lower(&sizes(&case["sizes"]), case["training"] == true).expect("a program");
        let expected = case["gradients"].as_object().expect("arrays");
        let mut arguments = arguments(case);
        let mut seeds = Vec::new();
        for (index, seed) in case["seeds"].as_object().expect("arrays") {
            let value = lowered.values[index.parse::<usize>().expect("a position")];
            let own = lowered.builder.type_of(value).clone();
            seeds.push((value, lowered.builder.argument(&format!("seed.{index}"), Role::Input, own)));
            arguments.insert(format!("seed.{index}"), array(seed));
        }
        let wanted: Vec<_> = (expected.keys())
            .map(|key| {
                lowered.builder.program().argument(key).unwrap_or_else(|| panic!("{}: no argument {key}", name(case))).value
            })
            .collect();
        let gradients = differentiate(&mut lowered.builder, &seeds, &wanted, &AddAlgebra);
        let gradients = gradients.unwrap_or_else(|error| panic!("{}: {error}", name(case)));
        for (key, value) in expected.keys().zip(&wanted) {
            if let Some(gradient) = gradients.of(*value) {
                lowered.builder.output(key, gradient);
            }
        }
        let (outputs, _) = interpret(&lowered.finish(), &arguments, RunKey::default()).expect("arguments for all");
        for (key, expected) in expected {
            let expected = array(expected);
            match outputs.get(key) {
                Some(own) => assert_close(case, &format!("gradient of {key}"), own, &expected),
                None => assert!(expected.data.iter().all(|value| *value == 0.0), "{}: no gradient of {key}", name(case)),
            }
            compared += 1;
        }
    }
    assert!(compared > 150, "{compared} gradients");
}

#[test]
fn every_op_has_a_case() {
    let covered: BTreeSet<String> = cases().iter().map(|case| case["op"].as_str().expect("an op").to_string()).collect();
    let missing: Vec<&str> = catalogue().names().filter(|name| !covered.contains(*name)).collect();
    assert!(missing.is_empty(), "no case of {missing:?}");
}

#[test]
fn defaults_are_pytorchs() {
    let defaults: BTreeMap<String, BTreeMap<String, Value>> = serde_json::from_str(DEFAULTS).expect("the fixture");
    for (op, fields) in defaults {
        let schema = catalogue().get(&op).expect("an op").schema();
        for (field, expected) in fields {
            let own = &schema.fields[schema.field_index(&field).unwrap_or_else(|| panic!("{op}.{field}"))];
            let same = match (own.default, own.kind) {
                (Default::Int(value), _) => expected == value,
                (Default::Float(value), _) => expected.as_f64() == Some(value),
                (Default::Flag(value), _) => expected == value,
                (Default::Ints(values), FieldKind::Pair | FieldKind::Padding) => values.iter().all(|value| expected == *value),
                _ => false,
            };
            assert!(same, "{op}.{field} is {:?}, PyTorch has {expected}", own.default);
        }
    }
}
