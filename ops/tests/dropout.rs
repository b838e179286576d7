//! What dropouts drop, and that the backward pass drops the same.

mod support;

use serde_json::json;
use support::{Arguments, Node};
use sward_core::program::{Array, Role, RunKey, differentiate, interpret};
use sward_ops::primitives::AddAlgebra;

/// The result of ones, and the gradient of its sum, for a batch of samples of some width.
fn run(op: &str, p: f64, batch: usize, width: usize, key: RunKey) -> (Array, Array) {
    let node = Node::new(op, &json!({ "p": p }), &json!({ "from": ["F32", batch, width] }));
    let mut lowered = node.lower(&Default::default(), true).expect("a program");
    let y = lowered.values[0];
    let own = lowered.builder.type_of(y).clone();
    let seed = lowered.builder.argument("seed", Role::Input, own.clone());
    let x = lowered.builder.program().argument("from").expect("the input").value;
    let gradients = differentiate(&mut lowered.builder, &[(y, seed)], &[x], &AddAlgebra).expect("a gradient");
    lowered.builder.output("gradient", gradients.of(x).expect("a gradient"));
    let ones = Array::filled(&own, 1.0);
    let arguments = Arguments::from([("from".to_string(), ones.clone()), ("seed".to_string(), ones)]);
    let (mut outputs, _) = interpret(&lowered.finish(), &arguments, key).expect("given arguments");
    (outputs.remove("0").expect("the result"), outputs.remove("gradient").expect("the gradient"))
}

#[test]
fn dropout_drops_its_share_of_elements_and_keeps_the_mean() {
    let (y, gradient) = run("Dropout", 0.3, 64, 64, RunKey { seed: 1, step: 0 });
    assert!(y.data.iter().all(|value| *value == 0.0 || (*value - 1.0 / 0.7).abs() < 1e-12));
    let dropped = y.data.iter().filter(|value| **value == 0.0).count() as f64 / 4096.0;
    // Four standard deviations of a binomial share.
    assert!((dropped - 0.3).abs() < 4.0 * (0.3_f64 * 0.7 / 4096.0).sqrt(), "{dropped}");
    assert_eq!(y.data, gradient.data, "the gradient of x * kept is kept");
}

#[test]
fn drop_path_drops_whole_samples() {
    let (y, gradient) = run("DropPath", 0.5, 400, 3, RunKey { seed: 2, step: 5 });
    let samples: Vec<&[f64]> = y.data.chunks(3).collect();
    assert!(samples.iter().all(|sample| sample == &[0.0; 3] || sample == &[2.0; 3]));
    let dropped = samples.iter().filter(|sample| sample[0] == 0.0).count() as f64 / 400.0;
    assert!((dropped - 0.5).abs() < 4.0 * (0.25_f64 / 400.0).sqrt(), "{dropped}");
    assert_eq!(y.data, gradient.data);
}

#[test]
fn every_step_drops_anew_and_the_same_step_drops_the_same() {
    let at = |step| run("Dropout", 0.5, 8, 8, RunKey { seed: 3, step }).0.data;
    assert_eq!(at(1), at(1));
    assert_ne!(at(1), at(2));
}

#[test]
fn two_dropouts_of_one_program_draw_apart() {
    let node = Node::new("Dropout", &json!({}), &json!({ "from": ["F32", 64] }));
    let first = node.lower(&Default::default(), true).expect("a program");
    let mut builder = first.builder;
    let stream = builder.random_stream();
    assert_ne!(stream, builder.random_stream());
    assert!(stream > 0, "the lowering took a stream of its own");
}
