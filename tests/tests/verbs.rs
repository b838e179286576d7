//! The verbs plot, diff, render and schema, by the functions that make their texts.

use sward::cli::{diff, plot, render, schema};
use sward::experiment::library_session;
use sward_core::check::{Checked, Overrides, Session};
use sward_core::diagnostic::render as diagnostics;
use sward_core::dim::Sizes;
use sward_core::lower::{LowerOptions, lower_to_program};
use sward_core::roots::{MemoryFolder, Roots};
use sward_core::source::Sources;
use sward_ops::primitives::AddAlgebra;

/// Checks a file of the library, or a text as the file `graph.ron`.
fn open(path: &str, text: Option<&str>, sets: &[&str], swaps: &[&str]) -> (Checked, Sources) {
    let mut session = library_session();
    let root = match text {
        Some(text) => session.roots_mut().add_root("", MemoryFolder::new().with(path, text)),
        None => session.roots().library().expect("the session has the library"),
    };
    let owned = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect::<Vec<_>>();
    let overrides = session.overrides(&owned(sets), &owned(swaps), &[]).unwrap_or_default();
    let checked = session.open_in(root, path).and_then(|(id, file)| session.check_file(id, &file, &overrides));
    let found = diagnostics::text(&session.sources, &session.diagnostics, false);
    (checked.unwrap_or_else(|| panic!("{path}:\n{found}")), session.sources)
}

fn again(text: &str) -> Checked {
    let mut session = Session::new(sward_ops::catalogue::catalogue(), Roots::new());
    match render::check_text(&mut session, text) {
        Some(checked) => checked,
        None => panic!("{}\n{text}", diagnostics::text(&session.sources, &session.diagnostics, false)),
    }
}

/// What `show` lists of a graph.
fn table(checked: &Checked) -> Vec<String> {
    let nodes = checked.graph().node_weights().map(|node| format!("{} {:?} {:?}", node.path, node.kind, node.outputs));
    let parameters = checked.parameters().iter().map(|(name, own)| format!("{name} {:?} {}", own.spec, own.trained));
    let outputs = checked.outputs().iter().map(|output| format!("{} {:?} {:?}", output.name, output.source, output.tensor_type));
    nodes.chain(parameters).chain(outputs).collect()
}

const BLOCK: &str = r#"Module(
    doc: "A residual block. It is small.",
    params: { "hidden": Int(16), "rate": Float(0.1) },
    inputs: { "x": F32(["batch", "width"]), "context": F32(["batch", "fields"]) },
    nodes: {
        "mlp": Chain(from: "x", layers: [Linear(units: "2 * hidden"), Gelu, Dropout(p: "rate"), Linear(units: "width")]),
        "gate": Linear(from: "context", units: "width", bias: false),
        "y": Formula("x + mlp * sigmoid(gate) * (1 - rate)"),
    },
    outputs: { "y": "y" },
)"#;

#[test]
fn rendering_and_checking_again_gives_the_same_nodes_types_and_parameters() {
    let mut count = 0;
    for (path, text) in sward_graphs::files() {
        let is_module = String::from_utf8_lossy(text).contains("Module(");
        let is_listed = ["blocks/", "fusion/", "heads/", "losses/", "models/", "pooling/"]
            .iter()
            .any(|folder| path.starts_with(folder))
            || ["backbones/resnet18.ron", "backbones/vit_tiny_patch16_224.ron", "backbones/swin.ron"].contains(&path.as_str());
        if !is_module || !is_listed {
            continue;
        }
        let (checked, sources) = open(&path, None, &[], &[]);
        let flat = render::flat(&checked, &sources).unwrap_or_else(|error| panic!("{path}: {error}"));
        let rendered = again(&flat);
        assert_eq!(table(&checked), table(&rendered), "{path}:\n{flat}");
        assert!(diff::compare(&checked, &rendered).is_empty(), "{path}");
        count += 1;
    }
    assert!(count >= 30, "the library has files: {count}");
}

#[test]
fn a_rendered_file_compiles_to_the_same_program() {
    for path in
        ["losses/tweedie.ron", "losses/zero_inflated_gamma.ron", "losses/focal.ron", "fusion/film.ron", "blocks/convnext.ron"]
    {
        let (checked, sources) = open(path, None, &[], &[]);
        let rendered = again(&render::flat(&checked, &sources).expect("it has a flat form"));
        let mut sizes = Sizes::new();
        for name in checked.dimensions() {
            sizes.insert(name.as_str(), 8);
        }
        let program = |checked: &Checked| {
            let program = lower_to_program(checked, &sizes, &LowerOptions::default(), &AddAlgebra);
            program.unwrap_or_else(|error| panic!("{path}: {error}")).to_string()
        };
        assert_eq!(program(&checked), program(&rendered), "{path}");
    }
}

#[test]
fn a_rendered_file_says_where_every_value_comes_from() {
    let (checked, sources) = open("graph.ron", Some(BLOCK), &["hidden=24"], &[]);
    insta::assert_snapshot!(render::flat(&checked, &sources).expect("it has a flat form"));
}

#[test]
fn frozen_shared_and_renamed_parameters_keep_their_names() {
    let text = r#"Module(
        inputs: { "a": F32(["batch", 4, 8]), "b": F32(["batch", 4, 8]) },
        nodes: {
            "thin": Use(module: "blocks/mlp.ron", from: "a", params: { "hidden": 16 }, prefix: ""),
            "one": Use(module: "blocks/mlp.ron", from: "thin", params: { "hidden": 16 }, trained: false),
            "two": Use(module: "blocks/mlp.ron", from: "b", params: { "hidden": 16 }, shares: "one"),
            "y": Concat(from: ["one", "two"], axis: 1),
        },
        outputs: { "y": "y" },
    )"#;
    let (checked, sources) = open("graph.ron", Some(text), &[], &[]);
    let flat = render::flat(&checked, &sources).expect("it has a flat form");
    let rendered = again(&flat);
    assert_eq!(table(&checked), table(&rendered), "{flat}");
    assert!(
        flat.contains("shares: \"one.fc1\"") && flat.contains("weights: \"fc1\"") && flat.contains("trained: false"),
        "{flat}"
    );
}

#[test]
fn a_formula_that_reads_an_unspeakable_name_has_no_flat_form() {
    let text = r#"Module(
        inputs: { "x": F32(["batch"]) },
        nodes: { "a-b": Relu(from: "x"), "y": Use(module: "blocks/activations/double.ron", inputs: { "x": "a-b" }) },
        outputs: { "y": "y" },
    )"#;
    let double = r#"Module(inputs: { "x": F32(["batch"]) }, nodes: { "y": Formula("2 * x") }, outputs: { "y": "y" })"#;
    let mut roots = Roots::new();
    let files = MemoryFolder::new().with("graph.ron", text).with("blocks/activations/double.ron", double);
    let root = roots.add_root("", files);
    let mut session = Session::new(sward_ops::catalogue::catalogue(), roots);
    let (id, file) = session.open_in(root, "graph.ron").expect("it reads");
    let checked = session.check_file(id, &file, &Overrides::default()).expect("it checks");
    let error = render::flat(&checked, &session.sources).expect_err("a-b is a difference in a formula");
    assert_eq!((error.node.as_str(), error.name.as_str()), ("y.y", "a-b"));
}

#[test]
fn a_graph_equals_itself() {
    let (one, _) = open("graph.ron", Some(BLOCK), &[], &[]);
    let (other, _) = open("graph.ron", Some(BLOCK), &[], &[]);
    let difference = diff::compare(&one, &other);
    assert!(difference.is_empty());
    assert_eq!(diff::text(&difference, &diff::totals(&one, &other, &Sizes::new())), "the graphs are equal\n");
}

#[test]
fn a_changed_param_shows_in_nodes_parameters_and_totals() {
    let (one, _) = open("graph.ron", Some(BLOCK), &[], &[]);
    let (other, _) = open("graph.ron", Some(BLOCK), &["hidden=24", "mlp.2.p=0.5"], &[]);
    let difference = diff::compare(&one, &other);
    let mut sizes = Sizes::new();
    for (name, size) in [("batch", 4), ("width", 10), ("fields", 3)] {
        sizes.insert(name, size);
    }
    let totals = diff::totals(&one, &other, &sizes);
    // mlp: 10 * 32 + 32 + 32 * 10 + 10, gate: 3 * 10; with 48 instead of 32 hidden.
    assert_eq!(totals[1].at_sizes.as_ref().and_then(|change| change.before.clone()).as_deref(), Some("712"));
    assert_eq!(totals[1].at_sizes.as_ref().and_then(|change| change.after.clone()).as_deref(), Some("1,048"));
    insta::assert_snapshot!(diff::text(&difference, &totals));
    let json: serde_json::Value = serde_json::from_str(&diff::json(&difference, &totals)).expect("it is JSON");
    assert_eq!(json["equal"], false);
    assert_eq!(json["difference"]["nodes"]["changed"]["mlp.2"]["p"]["after"], "0.5");
}

#[test]
fn a_swap_adds_and_removes_nodes() {
    let text = r#"Module(
        inputs: { "map": F32(["batch", 32, "height", "width"]), "table": F32(["batch", 6]) },
        nodes: { "fusion": Use(module: "fusion/film.ron", inputs: { "features": "map", "context": "table" }) },
        outputs: { "y": "fusion" },
    )"#;
    let (one, _) = open("graph.ron", Some(text), &[], &[]);
    let (other, _) = open("graph.ron", Some(text), &[], &["fusion=fusion/gated.ron"]);
    let difference = diff::compare(&one, &other);
    assert!(difference.nodes.removed.contains_key("fusion.mlp.0"));
    assert!(!difference.nodes.added.is_empty() && !difference.parameters.added.is_empty());
    let (back, forth) = (diff::compare(&other, &one), difference);
    assert_eq!((&back.nodes.added, &back.nodes.removed), (&forth.nodes.removed, &forth.nodes.added));
}

#[test]
fn a_dot_file_has_a_box_for_every_group() {
    let (checked, _) = open("graph.ron", Some(BLOCK), &[], &[]);
    insta::assert_snapshot!(plot::dot(&checked, 1));
    let deep = plot::dot(&checked, 2);
    assert!(deep.contains("mlp.0") && deep.contains("mlp.3") && !deep.contains("4 nodes"));
}

#[test]
fn groups_that_would_form_a_cycle_are_opened() {
    let text = r#"Module(
        inputs: { "x": F32(["batch", 8]) },
        nodes: {
            "blocks.0": Relu(from: "x"),
            "between": Gelu(from: "blocks.0"),
            "blocks.1": Relu(from: "between"),
        },
        outputs: { "y": "blocks.1" },
    )"#;
    let (checked, _) = open("graph.ron", Some(text), &[], &[]);
    let dot = plot::dot(&checked, 1);
    assert!(dot.contains("blocks.0") && dot.contains("blocks.1") && dot.contains("between"), "{dot}");
}

#[test]
fn a_picture_is_one_file_that_names_everything_it_shows() {
    for path in ["fusion/film.ron", "backbones/resnet18.ron", "blocks/convnext.ron"] {
        let (checked, _) = open(path, None, &[], &[]);
        for depth in [1, 2, 9] {
            let svg = plot::svg(&checked, depth);
            assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
            let links = ["href", "url(http", "@import", "<script"];
            assert!(links.iter().all(|link| !svg.contains(link)), "{path} is self-contained");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{path} has places");
            for input in checked.inputs() {
                assert!(svg.contains(&format!(">{}</text>", input.name)), "{path}: {}", input.name);
            }
        }
    }
}

#[test]
fn the_catalogue_is_printed_for_programs_and_for_people() {
    let all: serde_json::Value = serde_json::from_str(&schema::json(None)).expect("it is JSON");
    let ops = all["ops"].as_array().expect("a list of ops");
    assert_eq!(ops.len(), sward_ops::catalogue::catalogue().schemas().count());
    let one: serde_json::Value = serde_json::from_str(&schema::json(Some("Linear"))).expect("it is JSON");
    assert_eq!(one["ops"].as_array().map(Vec::len), Some(1));
    assert_eq!(one["version"], all["version"]);
    let listing = schema::listing();
    assert!(ops.iter().all(|op| listing.contains(op["name"].as_str().expect("a name"))));
    let linear = sward_ops::catalogue::catalogue().get("Linear").expect("the op");
    insta::assert_snapshot!(schema::page(linear.schema()));
}
