//! Modules that are placed again are copied; the graph is the one that elaborating each of them gives.

use std::fmt::Write;
use sward_core::check::{Checked, NodeKind, Overrides, Session};
use sward_core::language::{FieldForm, GraphFile, Module};
use sward_core::roots::{MemoryFolder, RootId, Roots};
use sward_core::syntax::{Kind, Value};
use sward_ops::catalogue::catalogue;

/// All that later stages see of a graph.
fn description(checked: &Checked) -> String {
    let mut text = String::new();
    for node in checked.graph().node_weights() {
        let NodeKind::Op { op, fields, flops, gradients } = &node.kind else { continue };
        let (name, inputs, outputs) = (op.schema().name, &node.inputs, &node.outputs);
        let parameters = &node.parameters;
        writeln!(text, "{} {name} {fields:?} {inputs:?} {outputs:?} {parameters:?} {flops} {gradients:?}", node.path).unwrap();
        writeln!(text, "  at {} in {:?}", checked.place(node.span), node.placed_at.map(|span| checked.place(span))).unwrap();
    }
    for edge in checked.graph().raw_edges() {
        writeln!(text, "{:?} -> {:?} {:?}", edge.source(), edge.target(), edge.weight).unwrap();
    }
    for (name, parameter) in checked.parameters() {
        writeln!(text, "{name} {parameter:?}").unwrap();
    }
    for param in checked.params() {
        writeln!(text, "{} {} {:?}", param.instance, param.name, param.value).unwrap();
    }
    writeln!(text, "{:?} {:?}", checked.outputs(), checked.obligations()).unwrap();
    text
}

/// An override that changes nothing: with one, every module is elaborated where it stands.
fn same_value(module: &Module) -> Option<String> {
    module.params.iter().find_map(|param| match param.default.as_ref().map(|default| &default.form) {
        Some(FieldForm::Other(Value { kind: Kind::Integer(number), .. })) => Some(format!("{}={number}", param.name.value)),
        _ => None,
    })
}

/// Checks a file without and with an override that changes nothing; `None` where it has no param for one.
fn both_ways(root: RootId, roots: Roots, path: &str) -> Option<(String, String)> {
    let mut session = Session::new(catalogue(), roots);
    let (id, file) = session.open_in(root, path)?;
    let GraphFile::Module(module) = &*file else { return None };
    let set = same_value(module)?;
    let plain = session.check_file(id, &file, &Overrides::default())?;
    let overrides = session.overrides(&[set], &[], &[])?;
    let slow = session.check_file(id, &file, &overrides)?;
    Some((description(&plain), description(&slow)))
}

#[test]
fn copies_are_what_elaboration_gives_in_every_file_of_the_library() {
    let mut compared = 0;
    for (path, _) in sward_graphs::files() {
        let mut roots = Roots::new();
        let root = roots.set_library(sward_graphs::files().into_iter().collect::<MemoryFolder>());
        if let Some((plain, slow)) = both_ways(root, roots, &path) {
            assert!(plain == slow, "{path}");
            compared += 1;
        }
    }
    assert!(compared > 50, "only {compared} files have a param to set");
}

#[test]
fn copies_keep_apart_what_differs() {
    let inner = r#"Module(
        inputs: { "a": F32(["batch", "width"]), "b": F32(["batch", "width"]) },
        nodes: {
            "fc": Linear(from: "a", units: "width"),
            "again": Linear(from: "fc", units: "width", shares: "fc"),
            "y": Add(left: "again", right: "b"),
        },
        outputs: { "a": "y", "passed": "b" },
    )"#;
    let outer = r#"Module(
        params: { "times": Int(3) },
        inputs: { "x": F32(["batch", 4]), "z": F32(["batch", 4]) },
        nodes: {
            "same": Use(module: "inner.ron", inputs: { "a": "x", "b": "x" }),
            "apart": Use(module: "inner.ron", inputs: { "a": "x", "b": "z" }),
            "swapped": Use(module: "inner.ron", inputs: { "a": "z", "b": "x" }),
            "row": Repeat(times: "times", of: Use(module: "inner.ron", inputs: { "a": "apart:a", "b": "same:passed" })),
            "frozen": Use(module: "inner.ron", inputs: { "a": "x", "b": "z" }, trained: false),
            "wide": Concat(from: ["row:a", "z"], axis: 1),
            "wider": Use(module: "inner.ron", inputs: { "a": "wide", "b": "wide" }),
            "twin": Use(module: "inner.ron", inputs: { "a": "x", "b": "z" }, shares: "apart"),
            "sum": Formula("same:a + swapped:a + frozen:a + twin:a + row:passed"),
        },
        outputs: { "sum": "sum", "wider": "wider:a" },
    )"#;
    let mut roots = Roots::new();
    let root = roots.add_root("", MemoryFolder::new().with("inner.ron", inner).with("outer.ron", outer));
    let (plain, slow) = both_ways(root, roots, "outer.ron").expect("both ways check");
    assert_eq!(plain, slow);
}
