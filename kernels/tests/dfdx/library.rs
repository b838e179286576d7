//! Graphs of the library: the CPU engine and our autodiff against dfdx's tape.

use super::assert_cpu_is_dfdx;
use super::support::lowered;

/// Checks the graph file at these sizes and in both modes.
fn check(file: &str, params: &str, sizes: &[(&str, i64)], output: &str) {
    let (_, text) = sward_graphs::files().into_iter().find(|(path, _)| path == file).unwrap_or_else(|| panic!("no {file}"));
    let mut text = std::str::from_utf8(text).expect("a text").to_string();
    for change in params.split(';').filter(|change| !change.is_empty()) {
        let (from, to) = change.split_once("=>").expect("from=>to");
        assert!(text.contains(from), "{file} has no {from}");
        text = text.replace(from, to);
    }
    for training in [false, true] {
        assert_cpu_is_dfdx(lowered(&text, sizes, training), output, 11, 2e-4, &format!("{file}, training: {training}"));
    }
}

#[test]
fn fusion_by_film_agrees() {
    let sizes = [("batch", 2), ("channels", 5), ("height", 3), ("width", 4), ("fields", 7)];
    check("fusion/film.ron", "Int(128, min: 1)=>Int(11, min: 1)", &sizes, "features");
}

#[test]
fn an_mlp_with_dropout_agrees() {
    let sizes = [("batch", 2), ("tokens", 5), ("width", 7)];
    check("blocks/mlp.ron", "Int(min: 1)=>Int(13, min: 1);Float(0.0=>Float(0.3", &sizes, "tokens");
}

#[test]
fn attention_pooling_agrees() {
    let sizes = [("batch", 3), ("instances", 5), ("width", 7)];
    check("pooling/attention_mil.ron", "Int(128=>Int(9", &sizes, "pooled");
}

#[test]
fn the_weights_of_an_attention_agree() {
    let text = r#"Module(
        inputs: { "q": F32(["b", 2, "t", 4]), "k": F32(["b", 2, "s", 4]), "v": F32(["b", 2, "s", 3]), "m": F32(["t", "s"]) },
        nodes: {
            "attend": ScaledDotProductAttention(query: "q", key: "k", value: "v", mask: "m", causal: true),
            "y": Formula("sin(4 * attend:weights)"),
        },
        outputs: { "y": "y", "values": "attend", "weights": "attend:weights" },
    )"#;
    let builder = lowered(text, &[("b", 2), ("t", 3), ("s", 5)], false);
    assert_cpu_is_dfdx(builder, "y", 5, 2e-4, "the weights of an attention");
}

#[test]
fn a_convnext_block_agrees() {
    let sizes = [("batch", 2), ("channels", 3), ("height", 8), ("width", 5)];
    check("blocks/convnext.ron", "Float(1e-6)=>Float(0.5)", &sizes, "features");
}

#[test]
fn a_basic_block_with_batch_norm_agrees() {
    let text = r#"Module(
        inputs: { "x": F32(["batch", 4, "height", "width"]) },
        nodes: {
            "body": Chain(from: "x", layers: {
                "conv": Conv2d(channels: 6, kernel: 3, stride: 2, padding: 1, groups: 2, bias: false), "bn": BatchNorm2d, "act": Relu,
                "pool": MaxPool2d(kernel: 2), "up": ConvTranspose2d(channels: 3, kernel: 2, stride: 2), "resize": Resize(size: [5, 7], mode: Bilinear),
            }),
            "loss": Mean(from: "body"),
        },
        outputs: { "y": "body", "loss": "loss" },
    )"#;
    for training in [false, true] {
        let builder = lowered(text, &[("batch", 3), ("height", 9), ("width", 11)], training);
        assert_cpu_is_dfdx(builder, "y", 5, 5e-4, "a convolutional chain");
    }
}

#[test]
fn a_transformer_block_agrees() {
    let text = r#"Module(
        inputs: { "tokens": F32(["batch", "tokens", 12]) },
        nodes: { "block": Use(module: "blocks/vit.ron", inputs: { "tokens": "tokens" }, params: { "heads": 3, "hidden": 20 }) },
        outputs: { "tokens": "block" },
    )"#;
    assert_cpu_is_dfdx(lowered(text, &[("batch", 2), ("tokens", 5)], true), "tokens", 6, 2e-4, "blocks/vit.ron");
}

#[test]
fn losses_agree_where_dfdx_has_their_functions() {
    let sizes = [("batch", 4), ("targets", 3)];
    for file in ["losses/mse.ron", "losses/huber.ron", "losses/log_cosh.ron"] {
        check(file, "", &sizes, "loss");
    }
}
