//! The weights of an attention: nothing of them where nothing reads them, and right where something does.

use super::passes::{all, gradients};
use super::support::{arguments, assert_same, count, lowered, run};
use sward_core::program::Program;
use sward_ops::passes::{optimize, optimize_forward};
use sward_ops::training::{GradientOptions, Loss, gradient_program};

const SIZES: &[(&str, i64)] = &[("b", 2), ("t", 3), ("s", 5)];

fn attention(more: &str, outputs: &str) -> String {
    format!(
        r#"Module(
        inputs: {{
            "q": F32(["b", 2, "t", 4]), "k": F32(["b", 2, "s", 4]), "v": F32(["b", 2, "s", 3]),
            "added": F32(["t", "s"]), "seen": Bool(["b", 1, "t", "s"]),
        }},
        nodes: {{
            "attend": ScaledDotProductAttention(query: "q", key: "k", value: "v"{more}),
            "kept": Formula("added + where(seen, 1, 0)"),
        }},
        outputs: {{ {outputs}, "kept": "kept" }},
    )"#
    )
}

fn optimized(program: Program) -> Program {
    optimize(program, &all()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_program_that_does_not_read_them_has_nothing_of_them() {
    let without = lowered(&attention(r#", mask: "added""#, r#""y": "attend""#), SIZES, false).finish();
    assert_eq!((count(&without, "attention"), count(&without, "softmax"), count(&without, "matmul")), (1, 0, 0), "{without}");
    let with = attention(r#", mask: "added""#, r#""y": "attend:y", "weights": "attend:weights""#);
    let mut with = lowered(&with, SIZES, false).finish();
    assert_eq!((count(&with, "attention"), count(&with, "softmax"), count(&with, "matmul")), (1, 1, 1), "{with}");
    // Made for an output that a run then does without: the passes leave nothing of them.
    with.outputs.retain(|output| output.name != "weights");
    assert_eq!(optimized(with).to_string(), optimized(without).to_string());
}

#[test]
fn the_attended_values_stay_fused_and_the_same_bits_beside_them() {
    for more in ["", r#", mask: "added", causal: true"#, r#", mask: "seen""#] {
        let alone = optimized(lowered(&attention(more, r#""y": "attend""#), SIZES, false).finish());
        let both = lowered(&attention(more, r#""y": "attend", "weights": "attend:weights""#), SIZES, false).finish();
        let found = optimized(both.clone());
        assert_eq!(count(&found, "attention"), 1, "{found}");
        let given = arguments(&both, 3);
        let results = run(&found, &given);
        assert_eq!(results.0["y"], run(&alone, &given).0["y"], "{found}");
        assert_same(more, &run(&both, &given), &results, 1e-12);
        // The values are the weights' means of v.
        let (weights, v) = (&results.0["weights"], &given["v"]);
        for (position, y) in results.0["y"].data.iter().enumerate() {
            let [batch, head, query, column] = [position / 18, position / 9 % 2, position / 3 % 3, position % 3];
            let mean: f64 = (0..5).map(|key| weights.at(&[batch, head, query, key]) * v.at(&[batch, head, key, column])).sum();
            assert!((mean - y).abs() < 1e-12, "{mean} is not {y}");
        }
    }
}

#[test]
fn a_pool_whose_weights_nothing_reads_is_folded_as_if_it_had_none() {
    let pool = |outputs: &str| {
        let text = format!(
            r#"Module(
                inputs: {{ "x": F32(["b", "s", 24]) }},
                nodes: {{ "pool": Use(module: "pooling/cross_attention.ron", from: "x", params: {{ "heads": 2, "head_width": 8 }}) }},
                outputs: {{ {outputs} }},
            )"#
        );
        lowered(&text, &[("b", 2), ("s", 40)], true)
    };
    let alone = optimized(pool(r#""y": "pool:pooled""#).finish());
    assert_eq!((count(&alone, "attention"), count(&alone, "softmax")), (0, 1), "{alone}");
    let both = optimized(pool(r#""y": "pool:pooled", "weights": "pool:weights""#).finish());
    assert_eq!(count(&both, "attention"), 1, "{both}");
    let given = arguments(&both, 5);
    let wanted = run(&alone, &given).0["y"].clone();
    for (found, wanted) in run(&both, &given).0["y"].data.iter().zip(&wanted.data) {
        assert!((found - wanted).abs() < 1e-12, "{found} is not {wanted}");
    }
    // In a training step, too: its losses do not read what reports do.
    let step = |outputs: &str| {
        let mut builder = pool(outputs);
        builder.program_mut().outputs.retain(|output| output.name == "y");
        optimized(gradients(builder, true)).to_string()
    };
    assert_eq!(step(r#""y": "pool:pooled", "weights": "pool:weights""#), step(r#""y": "pool:pooled""#));
}

#[test]
fn their_gradients_are_those_of_finite_differences() {
    let cases = [("", 2), (r#", mask: "added", causal: true, scale: 0.7"#, 3), (r#", mask: "seen", causal: true"#, 2)];
    for (more, wanted) in cases {
        let text = attention(more, r#""loss": "loss""#).replace(
            r#""kept": Formula"#,
            r#""waves": Formula("sin(4 * attend:weights) + exp(attend:weights)"), "loss": Mean(from: "waves"),
            "kept": Formula"#,
        );
        let mut builder = lowered(&text, SIZES, false);
        let forward = builder.program().clone();
        optimize_forward(builder.program_mut(), &all()).unwrap_or_else(|error| panic!("{error}"));
        let options = GradientOptions { loss: Loss::Output("loss".to_string()), parameters: false, inputs: true };
        let program = optimized(gradient_program(builder, &options).unwrap_or_else(|error| panic!("{error}")));
        let mut given = arguments(&forward, 7);
        let (found, _) = run(&program, &given);
        let mut compared = 0;
        for name in ["q", "k", "added"] {
            let Some(gradient) = found.get(&format!("grad_in.{name}")) else { continue };
            for position in 0..gradient.data.len() {
                let step = 1e-5;
                let mut at = |offset: f64| {
                    let before = given[name].data[position];
                    given.get_mut(name).expect("an argument").data[position] = before + offset;
                    let loss = run(&forward, &given).0["loss"].data[0];
                    given.get_mut(name).expect("an argument").data[position] = before;
                    loss
                };
                let slope = (at(step) - at(-step)) / (2.0 * step);
                let own = gradient.data[position];
                assert!((slope - own).abs() < 1e-8, "{more}: the gradient of {name}[{position}] is {own}, not {slope}");
            }
            compared += usize::from(gradient.data.iter().any(|own| own.abs() > 1e-4));
        }
        assert_eq!(compared, wanted, "{more}: {:?}", found.keys());
    }
}
