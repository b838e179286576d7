//! Whatever is misspelt, the nearest name is told; and what modules require of their sizes, and where paths of params lead.

use sward_core::check::{Checked, Overrides, Session};
use sward_core::diagnostic::render;
use sward_core::roots::{MemoryFolder, Roots};

/// What checking `main.ron` of some files gave, and what was said.
fn check(files: &[(&str, &str)], sets: &[&str], swaps: &[&str], dims: &[&str]) -> (Option<Checked>, String) {
    let mut folder = MemoryFolder::new();
    for (path, text) in files {
        folder.insert(*path, text.as_bytes().to_vec());
    }
    let mut roots = Roots::new();
    let root = roots.add_root("", folder);
    let mut session = Session::new(sward_ops::catalogue::catalogue(), roots);
    let owned = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect::<Vec<_>>();
    let overrides: Option<Overrides> = session.overrides(&owned(sets), &owned(swaps), &owned(dims));
    let checked =
        session.open_in(root, "main.ron").and_then(|(id, file)| session.check_file(id, &file, &overrides.unwrap_or_default()));
    (checked, render::text(&session.sources, &session.diagnostics, false))
}

/// A file with a bit of everything, and one that it places.
const MAIN: &str = r#"Module(
    params: { "hidden": Int(16) },
    inputs: { "image": F32(["batch", "channels", "height", "width"]) },
    nodes: {
        "stem": Conv2d(from: "image", channels: "hidden", kernel: 3, padding: 1),
        "gated": Use(module: "gate.ron", inputs: { "features": "stem" }, params: { "squeeze": 4 }),
        "halves": Split(from: "gated", axis: 1, parts: 2),
        "pooled": Mean(from: "halves:0", axes: [2, 3]),
        "best": TopK(from: "pooled", k: 2),
    },
    outputs: { "y": As("best:values", F32(["batch", 2])) },
)"#;

const GATE: &str = r#"Module(
    params: { "squeeze": Int(8, min: 1) },
    inputs: { "features": F32(["batch", "channels", "height", "width"]) },
    nodes: {
        "mean": Mean(from: "features", axes: [2, 3], keep: true),
        "narrow": Conv2d(from: "mean", channels: "squeeze", kernel: 1),
        "wide": Conv2d(from: "narrow", channels: "channels", kernel: 1),
        "y": Formula("features * sigmoid(wide)"),
    },
    outputs: { "features": As("y", F32(["batch", "channels", "height", "width"])) },
)"#;

#[test]
fn every_misspelt_name_is_answered_with_the_nearest() {
    let good = check(&[("main.ron", MAIN), ("gate.ron", GATE)], &[], &[], &[]);
    assert!(good.0.is_some() && good.1.is_empty(), "{}", good.1);
    let wrong = [
        ("an op", "Conv2d(from", "Conv2D(from", "Conv2d"),
        ("an op", "Mean(from", "Maen(from", "Mean"),
        ("a field", "padding:", "pading:", "padding"),
        ("a port of an op", "from: \"image\"", "form: \"image\"", "from"),
        ("a node", "\"stem\" }", "\"stme\" }", "stem"),
        ("an output of a node", "best:values", "best:value", "values"),
        ("a param of a module", "\"squeeze\": 4", "\"squeze\": 4", "squeeze"),
        ("an input of a module", "\"features\": \"stem\"", "\"feature\": \"stem\"", "features"),
        ("a file", "gate.ron", "gaet.ron", "gate.ron"),
        ("a param in an expression", "\"hidden\", kernel", "\"hiden\", kernel", "hidden"),
        ("a dimension in a stated type", "[\"batch\", 2]", "[\"bacth\", 2]", "batch"),
        ("a dtype", "F32([\"batch\", 2])", "F23([\"batch\", 2])", "F32"),
        ("a field of a module", "outputs:", "output:", "outputs"),
        ("a kind of param", "Int(16)", "Itn(16)", "Int"),
        ("a kind of file", "Module(", "Modul(", "Module"),
    ];
    for (what, right, misspelt, wanted) in wrong {
        assert!(MAIN.contains(right), "{what}: {right}");
        let text = MAIN.replacen(right, misspelt, 1);
        let (checked, told) = check(&[("main.ron", &text), ("gate.ron", GATE)], &[], &[], &[]);
        assert!(checked.is_none(), "{what} is not noticed");
        assert!(told.contains(&format!("did you mean `{wanted}`?")), "{what}: `{wanted}` is not told:\n{told}");
    }
    let formula = GATE.replace("sigmoid(wide)", "sigmod(wide)");
    let (_, told) = check(&[("main.ron", &formula)], &[], &[], &[]);
    assert!(told.contains("did you mean `sigmoid`?"), "{told}");
    let choice =
        r#"Module(inputs: { "x": F32(["b", 2]) }, nodes: { "y": Gelu(from: "x", approximate: Tahn) }, outputs: { "y": "y" })"#;
    assert!(check(&[("main.ron", choice)], &[], &[], &[]).1.contains("did you mean `Tanh`?"));
    let domain = r#"Module(inputs: { "x": F32(["b", 2], domain: Positve) }, outputs: { "y": "x" })"#;
    assert!(check(&[("main.ron", domain)], &[], &[], &[]).1.contains("did you mean `Positive`?"));
}

#[test]
fn overrides_are_answered_with_the_nearest_path_of_the_whole_tree() {
    let files = [("main.ron", MAIN), ("gate.ron", GATE)];
    let set = |path: &str| check(&files, &[path], &[], &[]).1;
    assert!(set("hiden=8").contains("did you mean `hidden`?"));
    assert!(set("gated.squeze=8").contains("did you mean `gated.squeeze`?"));
    assert!(set("gated.narrow.kernl=1").contains("did you mean `gated.narrow.kernel`?"));
    assert!(set("gated.*.kernl=1").contains("did you mean `gated.*.kernel`?"));
    assert!(set("neck.squeeze=1").contains("`squeeze` can be set at gated.squeeze"), "{}", set("neck.squeeze=1"));
    assert!(check(&files, &[], &["gaeted=gate.ron"], &[]).1.contains("did you mean `gated`?"));
    assert!(check(&files, &[], &[], &["hieght=8"]).1.contains("did you mean `height`?"));
}

#[test]
fn a_divisibility_that_a_module_requires_is_an_obligation_of_whoever_places_it() {
    let half = r#"Module(
    params: { "by": Int(4, min: 1) },
    inputs: { "x": F32(["batch", "channels", "height", "width"]) },
    requires: ["height % by == 0 and width % by == 0", "by >= 2"],
    nodes: { "y": AvgPool2d(from: "x", kernel: "by") },
    outputs: { "y": As("y", F32(["batch", "channels", "height / by", "width / by"])) },
)"#;
    let place = |shape: &str, params: &str| {
        format!(
            r#"Module(inputs: {{ "x": F32(["batch", 3, {shape}]) }}, nodes: {{ "y": Use(module: "half.ron", from: "x", params: {{ {params} }}) }}, outputs: {{ "y": "y" }})"#
        )
    };
    let run = |shape: &str, params: &str| check(&[("main.ron", &place(shape, params)), ("half.ron", half)], &[], &[], &[]);
    let (checked, told) = run("\"rows\", 16", "");
    let required: Vec<String> = checked.expect(&told).obligations().iter().map(|(own, _)| own.to_string()).collect();
    assert_eq!(required, ["rows % 4 == 0"]);
    let (checked, told) = run("30, 16", "");
    assert!(checked.is_none() && told.contains("`height % by == 0` is required, and 30 leaves 2 on division by 4"), "{told}");
    let (checked, told) = run("\"rows\", 16", "\"by\": 1");
    assert!(checked.is_none() && told.contains("`by >= 2` is required, and by is 1"), "{told}");
    let undecided = half.replace("by >= 2", "height > 7");
    let (checked, told) = check(&[("main.ron", &undecided)], &[], &[], &[]);
    assert!(checked.is_none() && told.contains("depends on the sizes"), "{told}");
}

#[test]
fn the_path_of_a_file_param_is_relative_to_the_file_that_it_was_written_in() {
    let placing = r#"Module(
    inputs: { "x": F32(["batch", 4]) },
    nodes: { "y": Use(module: "deep/outer.ron", from: "x", params: { "block": "own.ron" }) },
    outputs: { "y": "y" },
)"#;
    // The outer module hands the param on; the inner one uses it: neither has a file of that name beside it.
    let outer = r#"Module(
    params: { "block": File("default.ron") },
    inputs: { "x": F32(["batch", "width"]) },
    nodes: { "y": Use(module: "deep/er/inner.ron", from: "x", params: { "block": "block" }) },
    outputs: { "y": "y" },
)"#;
    let inner = r#"Module(
    params: { "block": File("default.ron") },
    inputs: { "x": F32(["batch", "width"]) },
    nodes: { "y": Use(module: "{block}", from: "x") },
    outputs: { "y": "y" },
)"#;
    let leaf = |op: &str| {
        format!(
            r#"Module(inputs: {{ "x": F32(["batch", "width"]) }}, nodes: {{ "y": {op}(from: "x") }}, outputs: {{ "y": "y" }})"#
        )
    };
    let (relu, tanh, exp, sin) = (leaf("Relu"), leaf("Tanh"), leaf("Exp"), leaf("Sin"));
    let without_param = placing.replace(", params: { \"block\": \"own.ron\" }", "");
    let files = |main| {
        vec![
            ("main.ron", main),
            ("deep/outer.ron", outer),
            ("deep/er/inner.ron", inner),
            ("own.ron", relu.as_str()),
            ("deep/er/own.ron", exp.as_str()),
            ("deep/own.ron", exp.as_str()),
            ("deep/default.ron", tanh.as_str()),
            ("deep/er/default.ron", sin.as_str()),
        ]
    };
    let ops = |main, sets: &[&str]| {
        let (checked, told) = check(&files(main), sets, &[], &[]);
        let checked = checked.unwrap_or_else(|| panic!("{told}"));
        checked.graph().node_weights().map(|node| format!("{:?}", node.kind)).collect::<Vec<_>>()
    };
    assert_eq!(ops(placing, &[]), ["Input(0)", "Relu"]);
    // A default is the placed file's own.
    assert_eq!(ops(&without_param, &[]), ["Input(0)", "Tanh"]);
    // What the command line sets is as if the root file named it.
    assert_eq!(ops(placing, &["y.block=own.ron"]), ["Input(0)", "Relu"]);
}
