//! What ops say of nodes that do not fit: code, sentence and mend.

mod support;

use serde_json::{Value, json};
use support::Node;
use sward_core::diagnostic::{Code, codes};

/// Checks that a node is refused with this code, that the sentence holds these words, and that a mend holds these (if any).
fn refused(op: &str, fields: Value, inputs: Value, code: Code, message: &str, help: &str) {
    let complaints = Node::new(op, &fields, &inputs).check().complaints;
    let [complaint] = complaints.as_slice() else { panic!("{op}: {complaints:?}") };
    assert_eq!(complaint.code, code, "{op}: {}", complaint.message);
    assert!(complaint.message.contains(message), "{op}: {}", complaint.message);
    assert!(help.is_empty() || complaint.help.iter().any(|own| own.contains(help)), "{op}: {:?}", complaint.help);
}

fn image() -> Value {
    json!({ "from": ["F32", "batch", 6, "height", "width"] })
}

fn matrix() -> Value {
    json!({ "from": ["F32", "batch", "width"] })
}

#[test]
fn ranks() {
    refused(
        "Conv2d",
        json!({ "channels": 8, "kernel": 3 }),
        matrix(),
        codes::WRONG_RANK,
        "`x` has 2 axes; 4 are needed",
        "Reshape",
    );
    refused("LayerNorm", json!({}), json!({ "from": ["F32"] }), codes::WRONG_RANK, "at least 1", "");
    refused(
        "MatMul",
        json!({}),
        json!({ "left": ["F32", "n"], "right": ["F32", "n", 2] }),
        codes::WRONG_RANK,
        "`left`, the left, has 1 axis",
        "",
    );
    refused("BatchNorm1d", json!({}), image(), codes::WRONG_RANK, "has 4 axes; 2 or 3 are needed", "");
    let parts = json!({ "from": [["F32", "a", "b"], ["F32", "a"]] });
    refused("Concat", json!({ "axis": 0 }), parts.clone(), codes::WRONG_RANK, "[a, b] and [a]", "Stack");
    refused("Stack", json!({}), parts, codes::WRONG_RANK, "differ in their number of axes", "");
    refused("Expand", json!({ "shape": ["width"] }), matrix(), codes::WRONG_RANK, "more axes", "Reshape");
}

#[test]
fn axes() {
    refused("Mean", json!({ "axes": [2] }), matrix(), codes::NO_SUCH_AXIS, "no axis 2 in a tensor of 2 axes", "0 to 1");
    refused("Softmax", json!({ "axis": -3 }), matrix(), codes::NO_SUCH_AXIS, "no axis -3", "");
    refused("Sum", json!({ "axes": [1, -1] }), matrix(), codes::REPEATED_AXIS, "axis 1 is named twice", "");
    refused("Permute", json!({ "axes": [1] }), matrix(), codes::NOT_A_PERMUTATION, "1 of 2 axes", "[0]");
    refused("Sum", json!({ "axes": [] }), matrix(), codes::SETTING_OUT_OF_RANGE, "names no axis", "leave it out");
}

#[test]
fn sizes_that_differ() {
    let operands = json!({ "left": ["F32", "batch", "width"], "right": ["F32", "units", "width"] });
    refused(
        "MatMul",
        json!({}),
        operands,
        codes::SIZES_DIFFER,
        "[batch, width] x [units, width] differ: width and units",
        "transpose_right: true",
    );
    let parts = json!({ "from": [["F32", "batch", "a"], ["F32", "rows", "b"]] });
    refused("Concat", json!({ "axis": 1 }), parts, codes::SIZES_DIFFER, "agree in axis 0: batch and rows", "");
    refused(
        "Split",
        json!({ "axis": 1, "sizes": [2, 3] }),
        json!({ "from": ["F32", "n", 6] }),
        codes::SIZES_DIFFER,
        "sum to 5, and the axis has 6",
        "",
    );
    let heads = |name: &str| json!(["F32", "batch", 2, name, "width"]);
    let inputs = json!({ "query": heads("queries"), "key": heads("keys"), "value": heads("other") });
    refused("ScaledDotProductAttention", json!({}), inputs, codes::SIZES_DIFFER, "one value for each key: keys and other", "");
    let tokens = json!({ "from": ["F32", "tokens", 8] });
    refused("RotaryEmbedding", json!({ "grid": [3, 2] }), tokens, codes::SIZES_DIFFER, "`grid` and `prefix` make 6", "");
    let pair = json!({ "from": ["F32", "a", "n"], "indices": ["I64", "b", "k"] });
    refused("Gather", json!({ "axis": 1 }), pair, codes::SIZES_DIFFER, "agree in axis 0: a and b", "");
}

#[test]
fn broadcasts() {
    let inputs = json!({ "x": ["F32", "batch", "channels", "height", "width"], "scale": ["F32", "channels"] });
    refused(
        "Formula",
        json!({ "formula": "x * scale" }),
        inputs,
        codes::NO_BROADCAST,
        "axis -1 is width on one side and channels on the other",
        "Reshape(shape: [1, \"channels\", 1, 1])",
    );
    let swapped = json!({ "left": ["F32", "a", "b"], "right": ["F32", "b", "a"] });
    refused("Add", json!({}), swapped, codes::NO_BROADCAST, "[a, b] and [b, a] do not broadcast", "Permute(axes: [1, 0])");
    let inputs = json!({ "query": ["F32", "h", "q", "d"], "key": ["F32", "h", "k", "d"], "value": ["F32", "h", "k", "d"], "mask": ["Bool", "k", "q"] });
    refused(
        "ScaledDotProductAttention",
        json!({}),
        inputs,
        codes::NO_BROADCAST,
        "does not broadcast to the scores [h, q, k]",
        "queries and keys",
    );
    refused(
        "Expand",
        json!({ "shape": ["batch", "units"] }),
        matrix(),
        codes::NO_BROADCAST,
        "axis 1 of [batch, units] is units",
        "-1 keeps",
    );
    let batches = json!({ "left": ["F32", "a", "m", "k"], "right": ["F32", "b", "k", "n"] });
    refused("MatMul", json!({}), batches, codes::NO_BROADCAST, "batch axes [a] and [b]", "");
}

#[test]
fn reshapes() {
    let tokens = json!({ "from": ["F32", "batch", "tokens", 64] });
    refused(
        "Reshape",
        json!({ "shape": ["batch", "tokens", 4, 8] }),
        tokens.clone(),
        codes::RESHAPE_COUNT,
        "64 * batch * tokens elements",
        "a size of 2 is missing",
    );
    refused("Reshape", json!({ "shape": [-1, -1] }), tokens.clone(), codes::RESHAPE_COUNT, "only one size may be -1", "");
    refused("Reshape", json!({ "shape": ["batch", 0] }), tokens, codes::SETTING_OUT_OF_RANGE, "at least 1", "");
    refused("Reshape", json!({ "shape": [4, -1] }), json!({ "from": ["F32", 6] }), codes::RESHAPE_COUNT, "do not divide", "");
}

#[test]
fn divisions() {
    refused(
        "Conv2d",
        json!({ "channels": 8, "kernel": 3, "groups": 4 }),
        image(),
        codes::NOT_DIVISIBLE,
        "4 groups do not divide the 6 channels of the input",
        "must divide",
    );
    refused(
        "Conv2d",
        json!({ "channels": 8, "kernel": 3, "groups": 3 }),
        image(),
        codes::NOT_DIVISIBLE,
        "the 8 channels of the result",
        "",
    );
    refused("GroupNorm", json!({ "groups": 4 }), image(), codes::NOT_DIVISIBLE, "6 is not divisible by 4", "");
    refused("Split", json!({ "axis": 1, "parts": 4 }), image(), codes::NOT_DIVISIBLE, "6 is not divisible by 4", "");
    refused("RotaryEmbedding", json!({}), json!({ "from": ["F32", "tokens", 7] }), codes::NOT_DIVISIBLE, "the width 7", "");
}

#[test]
fn divisions_of_names_become_obligations() {
    let checked = Node::new("Split", &json!({ "axis": 1, "parts": 3 }), &matrix()).check();
    assert_eq!(checked.obligations.iter().map(ToString::to_string).collect::<Vec<_>>(), ["width % 3 == 0"]);
    let convolution = Node::new(
        "Conv2d",
        &json!({ "channels": "2 * c", "kernel": 1, "groups": "c" }),
        &json!({ "from": ["F32", "b", "c", "h", "w"] }),
    );
    let checked = convolution.check();
    assert!(checked.obligations.is_empty(), "a depthwise convolution divides for every number of channels");
    assert_eq!(sward_core::op::display_shape(&checked.parameters[0].shape), "[2 * c, 1, 1, 1]");
}

#[test]
fn windows() {
    let small = json!({ "from": ["F32", "batch", 3, 4, "width"] });
    refused(
        "MaxPool2d",
        json!({ "kernel": 5 }),
        small.clone(),
        codes::WINDOW_TOO_LARGE,
        "a window of 5 does not fit into the height of 4",
        "padding",
    );
    refused(
        "Conv2d",
        json!({ "channels": 2, "kernel": 3, "dilation": 2 }),
        small.clone(),
        codes::WINDOW_TOO_LARGE,
        "height of 4",
        "",
    );
    refused(
        "ConvTranspose2d",
        json!({ "channels": 2, "kernel": 1, "padding": 2 }),
        small,
        codes::WINDOW_TOO_LARGE,
        "whole height",
        "",
    );
    refused("MaxPool2d", json!({ "kernel": 3, "padding": 2 }), image(), codes::SETTING_OUT_OF_RANGE, "more than half", "");
    refused(
        "Conv2d",
        json!({ "channels": 2, "kernel": 3, "stride": 2, "padding": "Same" }),
        image(),
        codes::SETTINGS_CONFLICT,
        "stride of 1",
        "(kernel - 1) / 2",
    );
}

#[test]
fn settings() {
    for (op, fields, inputs, words) in [
        ("Dropout", json!({ "p": 1.5 }), matrix(), "`p` is 1.5, and must be from 0 to 1"),
        ("Linear", json!({ "units": 0 }), matrix(), "`units` is 0"),
        ("Conv2d", json!({ "channels": 2, "kernel": 3, "stride": 0 }), image(), "`stride` is 0"),
        ("LayerNorm", json!({ "epsilon": -1.0 }), matrix(), "`epsilon` is -1"),
        ("BatchNorm2d", json!({ "momentum": 2.0 }), image(), "`momentum` is 2"),
        (
            "MaxPool1d",
            json!({ "kernel": 3, "padding": 2 }),
            json!({ "from": ["F32", "b", 2, 9] }),
            "more than half of the window's 3",
        ),
        ("AvgPool1d", json!({ "kernel": 3, "stride": 0 }), json!({ "from": ["F32", "b", 2, 9] }), "`stride` is 0"),
        ("Softplus", json!({ "beta": 0.0 }), matrix(), "`beta` is 0, and must be above 0"),
        ("ConvTranspose2d", json!({ "channels": 2, "kernel": 3, "output_padding": 1 }), image(), "`output_padding` is 1"),
        ("Var", json!({ "axes": [1] }), json!({ "from": ["F32", "b", 1] }), "divides by 0"),
        ("Constant", json!({ "value": 0.5, "dtype": "I64" }), json!({}), "0.5 is not a number of I64"),
        ("Slice", json!({ "axis": 1, "step": 0 }), matrix(), "`step` is 0"),
        ("Arange", json!({ "count": 3, "dtype": "Bool" }), json!({}), "`I64` or `F32`"),
    ] {
        refused(op, fields, inputs, codes::SETTING_OUT_OF_RANGE, words, "");
    }
    refused("Split", json!({ "axis": 1 }), matrix(), codes::SETTINGS_CONFLICT, "either `parts` or `sizes`", "parts: 2");
    refused("Slice", json!({ "axis": 1, "length": 1, "end": 2 }), matrix(), codes::SETTINGS_CONFLICT, "`length` and `end`", "");
    refused(
        "Resize",
        json!({ "size": 4, "align_corners": true }),
        image(),
        codes::SETTINGS_CONFLICT,
        "no meaning with `mode: Nearest`",
        "Bilinear",
    );
    refused(
        "Pad",
        json!({ "axes": [1], "low": [1], "mode": "Reflect", "value": 1.0 }),
        matrix(),
        codes::SETTINGS_CONFLICT,
        "`value`",
        "",
    );
    refused(
        "RotaryEmbedding",
        json!({ "reference": 4 }),
        json!({ "from": ["F32", "t", 8] }),
        codes::SETTINGS_CONFLICT,
        "`grid`",
        "",
    );
}

#[test]
fn dtypes() {
    let parts = json!({ "from": [["F32", "a"], ["I64", "a"]] });
    refused("Concat", json!({ "axis": 0 }), parts, codes::DTYPES_DIFFER, "f32 and i64 do not go together", "Cast(to: F32)");
    let inputs = json!({ "condition": ["Bool", "a"], "then": ["F32", "a"], "otherwise": ["I64", "a"] });
    refused("Where", json!({}), inputs, codes::DTYPES_DIFFER, "`then` is F32 and `otherwise` is I64", "Cast");
    let inputs =
        json!({ "query": ["F32", "q", "d"], "key": ["F32", "k", "d"], "value": ["F32", "k", "d"], "mask": ["I64", "q", "k"] });
    refused("ScaledDotProductAttention", json!({}), inputs, codes::DTYPES_DIFFER, "Bool or F32", "Cast(to: Bool)");
}

#[test]
fn bounds() {
    let ten = json!({ "from": ["F32", "batch", 10] });
    refused(
        "Slice",
        json!({ "axis": 1, "start": 4, "end": 12 }),
        ten.clone(),
        codes::OUT_OF_BOUNDS,
        "from 4 to 12 leaves axis 1, which has 10",
        "",
    );
    refused("Slice", json!({ "axis": 1, "start": 4, "end": 4 }), ten.clone(), codes::OUT_OF_BOUNDS, "empty", "");
    refused("Slice", json!({ "axis": 1, "length": "width + 1" }), matrix(), codes::OUT_OF_BOUNDS, "leaves axis 1", "");
    refused("TopK", json!({ "k": 11 }), ten.clone(), codes::OUT_OF_BOUNDS, "11 elements are asked", "");
    refused("Select", json!({ "axis": 1, "index": 10 }), ten.clone(), codes::OUT_OF_BOUNDS, "no position 10", "");
    refused(
        "Pad",
        json!({ "axes": [1], "low": [10], "mode": "Reflect" }),
        ten.clone(),
        codes::OUT_OF_BOUNDS,
        "more than 10 elements",
        "",
    );
    refused("Pad", json!({ "axes": [1], "low": [1, 2] }), ten, codes::WRONG_LENGTH, "2 sizes for 1 axes", "");
    refused(
        "Constant",
        json!({ "value": [1.0, 2.0], "shape": [3] }),
        json!({}),
        codes::WRONG_LENGTH,
        "2 numbers for the 3 elements",
        "one number fills",
    );
}

#[test]
fn formulas() {
    let x = json!({ "x": ["F32", "n"] });
    refused("Formula", json!({ "formula": "tan(x)" }), x.clone(), codes::FORMULA, "no function `tan`", "tanh");
    refused(
        "Formula",
        json!({ "formula": "x + (x > 0)" }),
        x.clone(),
        codes::FORMULA,
        "true or false where a number should stand",
        "",
    );
    refused("Formula", json!({ "formula": "clamp(x, 0)" }), x.clone(), codes::FORMULA, "does not take 2 arguments", "");
    let node = Node::new("Formula", &json!({ "formula": "1 + tan(x)" }), &x);
    let complaints = node.check().complaints;
    assert_eq!(
        (complaints[0].span.start, complaints[0].span.end),
        (11 + 4, 11 + 7),
        "the place is that of the function in the text"
    );
}

#[test]
fn arithmetic() {
    let huge = json!({ "from": [["F32", 5_000_000_000_000_000_000_i64], ["F32", 5_000_000_000_000_000_000_i64]] });
    refused("Concat", json!({ "axis": 0 }), huge, codes::SIZE_ARITHMETIC, "64-bit", "");
}
