//! Training programs against loops in f64 and against finite differences.

use super::support::{Arguments, arguments, lowered, run};
use std::collections::BTreeMap;
use sward_core::program::{Array, Program, Role, verify};
use sward_ops::passes::{PassOptions, optimize};
use sward_ops::primitives::OptimizerRule;
use sward_ops::training::{
    Accumulation, GradientOptions, LayerDecay, Loss, ParameterGroup, TrainOptions, TrainingError, gradient_program,
    training_program,
};

/// Two layers and a loss; `u` sums parts, so that its gradient has every path.
const MODEL: &str = r#"Module(
    inputs: { "x": F32(["batch", 3]), "target": F32(["batch", 2]) },
    nodes: {
        "hidden": Chain(from: "x", layers: { "one": Linear(units: 4), "act": Tanh }),
        "two": Linear(from: "hidden", units: 2),
        "squares": Formula("(two - target) ** 2"),
        "loss": Mean(from: "squares"),
    },
    outputs: { "loss": "loss", "y": "two" },
)"#;

const ADAMW: OptimizerRule = OptimizerRule::AdamW { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 };

fn model() -> sward_core::program::Builder {
    lowered(MODEL, &[("batch", 5)], true)
}

fn loss() -> Loss {
    Loss::Output("loss".to_string())
}

fn trained(options: &TrainOptions) -> Program {
    let program = training_program(model(), options).unwrap_or_else(|error| panic!("{error}"));
    verify(&program).unwrap_or_else(|error| panic!("{error}"));
    let program = optimize(program, &PassOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    verify(&program).unwrap_or_else(|error| panic!("{error}"));
    program
}

/// Arguments of a training program at its start: moments and sums are zeros, averages the parameters.
fn start(program: &Program, seed: u64) -> Arguments {
    let mut given = arguments(program, seed);
    for argument in &program.arguments {
        let zeros = argument.name.starts_with("optimizer.") || argument.name.starts_with("accumulated.");
        if zeros {
            given.get_mut(&argument.name).expect("an argument").data.fill(0.0);
        }
        if let Some(parameter) = argument.name.strip_prefix("ema.").filter(|name| *name != "decay") {
            given.insert(argument.name.clone(), given[parameter].clone());
        }
    }
    given
}

fn set(given: &mut Arguments, name: &str, values: &[f64]) {
    given.get_mut(name).unwrap_or_else(|| panic!("no {name}")).data.copy_from_slice(values);
}

fn parameter_names(program: &Program) -> Vec<String> {
    let is_parameter = |role: Role| matches!(role, Role::Parameter { .. });
    program.arguments.iter().filter(|own| is_parameter(own.role)).map(|own| own.name.clone()).collect()
}

/// The loss of [`MODEL`] by plain loops.
fn loss_by_hand(given: &Arguments) -> f64 {
    let at = |name: &str| &given[name].data;
    let (x, target) = (at("x"), at("target"));
    let mut total = 0.0;
    for sample in 0..5 {
        let hidden: Vec<f64> = (0..4)
            .map(|unit| {
                let sum: f64 = (0..3).map(|input| at("hidden.one.weight")[unit * 3 + input] * x[sample * 3 + input]).sum();
                (sum + at("hidden.one.bias")[unit]).tanh()
            })
            .collect();
        for unit in 0..2 {
            let sum: f64 = (0..4).map(|input| at("two.weight")[unit * 4 + input] * hidden[input]).sum();
            total += (sum + at("two.bias")[unit] - target[sample * 2 + unit]).powi(2);
        }
    }
    total / 10.0
}

/// Gradients of [`loss_by_hand`] by central differences.
fn gradients_by_hand(given: &Arguments, names: &[String]) -> BTreeMap<String, Vec<f64>> {
    let step = 1e-5;
    let mut gradients = BTreeMap::new();
    for name in names {
        let gradient = (0..given[name].data.len())
            .map(|element| {
                let shifted = |by: f64| {
                    let mut moved = given.clone();
                    moved.get_mut(name).expect("a parameter").data[element] += by;
                    loss_by_hand(&moved)
                };
                (shifted(step) - shifted(-step)) / (2.0 * step)
            })
            .collect();
        gradients.insert(name.clone(), gradient);
    }
    gradients
}

fn assert_close(what: &str, found: &[f64], wanted: &[f64], tolerance: f64) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    for (position, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        assert!((found - wanted).abs() <= tolerance * wanted.abs().max(1.0), "{what}[{position}] is {found}, wanted {wanted}");
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let options = GradientOptions { loss: loss(), parameters: true, inputs: true };
    let program = gradient_program(model(), &options).expect("gradients");
    let given = arguments(&program, 1);
    let (outputs, updates) = run(&program, &given);
    assert!(updates.is_empty());
    assert_close("loss", &outputs["loss"].data, &[loss_by_hand(&given)], 1e-12);
    for (name, wanted) in gradients_by_hand(&given, &parameter_names(&program)) {
        assert_close(&name, &outputs[&format!("grad.{name}")].data, &wanted, 1e-8);
    }
    for (name, wanted) in gradients_by_hand(&given, &["x".to_string(), "target".to_string()]) {
        assert_close(&name, &outputs[&format!("grad_in.{name}")].data, &wanted, 1e-8);
    }
}

#[test]
fn adamw_over_several_steps_is_the_published_loop() {
    let options = TrainOptions { weight_decay: 0.1, ..TrainOptions::new(loss(), ADAMW) };
    let program = trained(&options);
    let names = parameter_names(&program);
    let mut given = start(&program, 2);
    let mut by_hand = given.clone();
    let mut moments: BTreeMap<String, Vec<[f64; 2]>> =
        names.iter().map(|name| (name.clone(), vec![[0.0; 2]; given[name].data.len()])).collect();
    for step in 1..=4u64 {
        set(&mut given, "optimizer.settings", &ADAMW.settings_at(step, 0.01, 1.0));
        let (_, updates) = run(&program, &given);
        given.extend(updates);
        for (name, gradient) in gradients_by_hand(&by_hand, &names) {
            let parameter = &mut by_hand.get_mut(&name).expect("a parameter").data;
            for (element, own) in moments.get_mut(&name).expect("moments").iter_mut().enumerate() {
                own[0] = 0.9 * own[0] + 0.1 * gradient[element];
                own[1] = 0.99 * own[1] + 0.01 * gradient[element].powi(2);
                let mean = own[0] / (1.0 - 0.9f64.powi(step as i32));
                let root = (own[1] / (1.0 - 0.99f64.powi(step as i32))).sqrt() + 1e-8;
                parameter[element] -= 0.01 * 0.1 * parameter[element];
                parameter[element] -= 0.01 * mean / root;
            }
        }
        for name in &names {
            assert_close(&format!("step {step} {name}"), &given[name].data, &by_hand[name].data, 1e-6);
        }
    }
}

#[test]
fn gradients_beyond_the_norm_are_scaled_to_it() {
    let sgd = OptimizerRule::Sgd { momentum: 0.0, nesterov: false, dampening: 0.0 };
    for largest in [0.01, 1e6] {
        let program = trained(&TrainOptions { clip_norm: Some(largest), ..TrainOptions::new(loss(), sgd) });
        let names = parameter_names(&program);
        let mut given = start(&program, 3);
        set(&mut given, "optimizer.settings", &sgd.settings_at(1, 0.5, 2.0));
        let (outputs, updates) = run(&program, &given);
        let gradients = gradients_by_hand(&given, &names);
        // A gradient scale of 2 counts before clipping.
        let norm = 2.0 * gradients.values().flatten().map(|value| value * value).sum::<f64>().sqrt();
        assert_close("norm", &outputs["gradient_norm"].data, &[norm], 1e-8);
        let factor = 2.0 * (largest / (norm + 1e-6)).min(1.0);
        for name in &names {
            let wanted: Vec<f64> =
                given[name].data.iter().zip(&gradients[name]).map(|(value, slope)| value - 0.5 * factor * slope).collect();
            assert_close(name, &updates[name].data, &wanted, 1e-8);
        }
    }
}

#[test]
fn accumulated_batches_give_the_step_of_their_mean() {
    let rule = OptimizerRule::Sgd { momentum: 0.9, nesterov: false, dampening: 0.0 };
    let with = |accumulation| trained(&TrainOptions { accumulation, ..TrainOptions::new(loss(), rule) });
    let (gather, finish) = (with(Accumulation::Gather), with(Accumulation::Finish));
    let names = parameter_names(&finish);
    let mut given = start(&finish, 4);
    set(&mut given, "optimizer.settings", &rule.settings_at(1, 0.1, 0.5));
    let mut second = given.clone();
    for (position, value) in second.get_mut("x").expect("an input").data.iter_mut().enumerate() {
        *value += 0.1 * position as f64;
    }
    let first = gradients_by_hand(&given, &names);
    let last = gradients_by_hand(&second, &names);
    let (_, updates) = run(&gather, &given);
    assert!(updates.keys().all(|name| name.starts_with("accumulated.")), "no step is taken");
    second.extend(updates);
    let (_, updates) = run(&finish, &second);
    for name in &names {
        let wanted: Vec<f64> = (0..first[name].len())
            .map(|element| given[name].data[element] - 0.1 * (first[name][element] + last[name][element]) / 2.0)
            .collect();
        assert_close(name, &updates[name].data, &wanted, 1e-8);
        assert!(updates[&format!("accumulated.{name}")].data.iter().all(|value| *value == 0.0), "{name} starts anew");
    }
}

#[test]
fn averages_follow_the_new_parameters() {
    let program = trained(&TrainOptions { ema: true, ..TrainOptions::new(loss(), ADAMW) });
    let mut given = start(&program, 5);
    set(&mut given, "optimizer.settings", &ADAMW.settings_at(1, 0.1, 1.0));
    set(&mut given, "ema.decay", &[0.75]);
    let (_, updates) = run(&program, &given);
    for name in parameter_names(&program) {
        let wanted: Vec<f64> =
            given[&name].data.iter().zip(&updates[&name].data).map(|(old, new)| 0.75 * old + 0.25 * new).collect();
        assert_close(&name, &updates[&format!("ema.{name}")].data, &wanted, 1e-12);
    }
}

#[test]
fn groups_scale_and_freeze() {
    let sgd = OptimizerRule::Sgd { momentum: 0.0, nesterov: false, dampening: 0.0 };
    let groups = vec![
        ParameterGroup { frozen: true, ..ParameterGroup::new("*.one.bias") },
        ParameterGroup { learning_rate_scale: 0.1, weight_decay: Some(0.0), ..ParameterGroup::new("hidden.*") },
    ];
    let program = trained(&TrainOptions { groups, weight_decay: 0.2, ..TrainOptions::new(loss(), sgd) });
    let mut given = start(&program, 6);
    set(&mut given, "optimizer.settings", &sgd.settings_at(1, 0.5, 1.0));
    let (_, updates) = run(&program, &given);
    assert!(!updates.contains_key("hidden.one.bias"));
    let gradients = gradients_by_hand(&given, &parameter_names(&program));
    for (name, rate, decay) in [("hidden.one.weight", 0.05, 0.0), ("two.weight", 0.5, 0.2), ("two.bias", 0.5, 0.2)] {
        let wanted: Vec<f64> = (given[name].data.iter().zip(&gradients[name]))
            .map(|(value, slope)| value - rate * (slope + decay * value))
            .collect();
        assert_close(name, &updates[name].data, &wanted, 1e-8);
    }
}

#[test]
fn a_layer_decay_shrinks_the_learning_rate_of_earlier_blocks() {
    let sgd = OptimizerRule::Sgd { momentum: 0.0, nesterov: false, dampening: 0.0 };
    let decay = |pattern: &str| Some(LayerDecay { pattern: pattern.into(), decay: 0.5 });
    let groups = vec![ParameterGroup { learning_rate_scale: 0.5, layer_decay: decay("hidden.{}"), ..ParameterGroup::new("*") }];
    let program = trained(&TrainOptions { groups, ..TrainOptions::new(loss(), sgd) });
    let mut given = start(&program, 6);
    set(&mut given, "optimizer.settings", &sgd.settings_at(1, 0.5, 1.0));
    let (_, updates) = run(&program, &given);
    let gradients = gradients_by_hand(&given, &parameter_names(&program));
    for (name, rate) in [("hidden.one.weight", 0.125), ("hidden.one.bias", 0.125), ("two.weight", 0.25)] {
        let wanted: Vec<f64> = given[name].data.iter().zip(&gradients[name]).map(|(value, slope)| value - rate * slope).collect();
        assert_close(name, &updates[name].data, &wanted, 1e-8);
    }
    let none = ParameterGroup { layer_decay: decay("layers.{}"), ..ParameterGroup::new("*") };
    let options = TrainOptions { groups: vec![none], ..TrainOptions::new(loss(), sgd) };
    assert!(training_program(model(), &options).is_err_and(|error| error.to_string().contains("names no parameter")));
}

#[test]
fn guarded_steps_leave_everything_as_it_was_where_a_gradient_is_not_finite() {
    let program = trained(&TrainOptions { guard: true, ema: true, ..TrainOptions::new(loss(), ADAMW) });
    let mut given = start(&program, 7);
    set(&mut given, "optimizer.settings", &ADAMW.settings_at(1, 0.1, 1.0));
    set(&mut given, "ema.decay", &[0.5]);
    let (outputs, updates) = run(&program, &given);
    assert_eq!(outputs["is_finite"].data, [1.0]);
    assert_ne!(updates["two.weight"], given["two.weight"]);
    for poison in [f64::NAN, f64::INFINITY] {
        let mut given = given.clone();
        given.get_mut("x").expect("an input").data[4] = poison;
        let (outputs, updates) = run(&program, &given);
        // tanh of infinity is finite: there the weight's gradient is 0 times infinity.
        assert_eq!(outputs["is_finite"].data, [0.0], "{poison}");
        for (name, next) in updates {
            assert_eq!(next.data, given[&name].data, "{name} with {poison}");
        }
    }
}

#[test]
fn what_cannot_be_trained_is_refused_by_name() {
    let refused = |options: &TrainOptions| training_program(model(), options).expect_err("refused").to_string();
    let plain = |loss: &str| TrainOptions::new(Loss::Output(loss.to_string()), ADAMW);
    assert_eq!(refused(&plain("lost")), "there is no output `lost` to take gradients of; the outputs are loss, y");
    assert_eq!(refused(&plain("y")), "the loss `y` is f32[5,2], and a training step needs one number");
    let group = |pattern: &str, frozen| ParameterGroup { frozen, ..ParameterGroup::new(pattern) };
    let unused = TrainOptions { groups: vec![group("hiden.*", false)], ..plain("loss") };
    assert_eq!(refused(&unused), "the group `hiden.*` matches no parameter");
    let frozen = TrainOptions { groups: vec![group("*", true)], ..plain("loss") };
    assert_eq!(training_program(model(), &frozen).err(), Some(TrainingError::NothingTrained));
}

#[test]
fn a_parameter_that_the_loss_does_not_see_has_a_gradient_of_zeros() {
    let options = GradientOptions { loss: Loss::Output("loss".to_string()), parameters: true, inputs: false };
    let text = MODEL
        .replace(r#""y": "two""#, r#""y": "two", "other": "other""#)
        .replace(r#""loss": Mean("#, r#""other": Linear(from: "x", units: 1), "loss": Mean("#);
    let program = gradient_program(lowered(&text, &[("batch", 5)], true), &options).expect("gradients");
    let (outputs, _) = run(&program, &arguments(&program, 8));
    assert_eq!(outputs["grad.other.weight"], Array::f32(&[1, 3], vec![0.0; 3]));
}

/// Three losses on shared layers, of which some pull apart.
const THREE: &str = r#"Module(
    inputs: { "x": F32(["batch", 3]), "target": F32(["batch", 3]) },
    nodes: {
        "hidden": Chain(from: "x", layers: { "one": Linear(units: 4), "act": Tanh }),
        "y": Linear(from: "hidden", units: 3),
        "squares": Formula("(y - target) ** 2"),
        "parts": Split(from: "squares", axis: 1, sizes: [1, 1, 1]),
        "a": Mean(from: "parts:0"),
        "b": Mean(from: "parts:1"),
        "own": Linear(from: "hidden", units: 1),
        "c": Mean(from: "own"),
        "against": Formula("0.5 * c - 3.0 * a"),
        "loss": Formula("a + b + against"),
    },
    outputs: { "loss": "loss", "a": "a", "b": "b", "against": "against" },
)"#;

#[test]
fn gradients_that_conflict_are_projected_as_published() {
    let lowered_model = || lowered(THREE, &[("batch", 5)], true);
    let sgd = OptimizerRule::Sgd { momentum: 0.0, nesterov: false, dampening: 0.0 };
    let mut projections = 0;
    for losses in [vec!["a", "against"], vec!["a", "b", "against"], vec!["a", "b"]] {
        let names: Vec<String> = losses.iter().map(|name| (*name).to_string()).collect();
        let options = TrainOptions { projected: names, ..TrainOptions::new(loss(), sgd) };
        let program = training_program(lowered_model(), &options).expect("a training program");
        let program = optimize(program, &PassOptions::default()).expect("optimized");
        verify(&program).expect("sound");
        for seed in 0..4 {
            let mut given = start(&program, seed);
            set(&mut given, "optimizer.settings", &sgd.settings_at(1, 1.0, 1.0));
            let (_, updates) = run(&program, &given);
            // The loop of the paper, on one vector for each loss.
            let parameters = parameter_names(&program);
            let own: Vec<Vec<f64>> = losses
                .iter()
                .map(|name| {
                    let options = GradientOptions { loss: Loss::Output((*name).to_string()), parameters: true, inputs: false };
                    let gradients = gradient_program(lowered_model(), &options).expect("gradients");
                    let (outputs, _) = run(&gradients, &given);
                    parameters.iter().flat_map(|name| outputs[&format!("grad.{name}")].data.clone()).collect()
                })
                .collect();
            let inner = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let mut total = vec![0.0; own[0].len()];
            for first in 0..own.len() {
                let mut gradient = own[first].clone();
                for second in (1..own.len()).map(|step| &own[(first + step) % own.len()]) {
                    let product = inner(&gradient, second);
                    if product < 0.0 {
                        projections += 1;
                        let ratio = product / inner(second, second);
                        gradient.iter_mut().zip(second).for_each(|(own, other)| *own -= ratio * other);
                    }
                }
                total.iter_mut().zip(&gradient).for_each(|(sum, own)| *sum += own);
            }
            let found: Vec<f64> = parameters
                .iter()
                .flat_map(|name| given[name].data.iter().zip(&updates[name].data).map(|(old, new)| old - new).collect::<Vec<_>>())
                .collect();
            assert_close(&format!("{losses:?} seed {seed}"), &found, &total, 1e-10);
        }
    }
    assert!(projections > 8, "only {projections} gradients were in conflict");
}
