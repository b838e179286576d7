//! What is reported of a whole file: every independent fault, and no demand that follows from another.

use sward_core::check::{Checked, Overrides, Session};
use sward_core::roots::{MemoryFolder, Roots};
use sward_ops::catalogue::catalogue;

/// Checks one file; gives the graph, and the messages of what was found in reading order.
fn check(text: &str) -> (Option<Checked>, Vec<String>) {
    let mut roots = Roots::new();
    let root = roots.add_root("", MemoryFolder::new().with("main.ron", text));
    let mut session = Session::new(catalogue(), roots);
    let opened = session.open_in(root, "main.ron");
    let checked = opened.and_then(|(id, file)| session.check_file(id, &file, &Overrides::default()));
    let messages = session.diagnostics.sorted().into_iter().map(|found| found.message.clone()).collect();
    (checked, messages)
}

#[test]
fn a_node_with_a_wrong_field_still_has_its_inputs_looked_for() {
    let (_, messages) = check(
        r#"Module(
            inputs: { "x": F32(["batch", "width"]) },
            nodes: {
                "a": Linaer(from: "y", units: 8),
                "b": Linear(from: "z", units: 8, bais: false),
                "c": Relu(from: "a"),
            },
            outputs: { "b": "b", "c": "c" },
        )"#,
    );
    let expected = [
        "there is no op called `Linaer`",
        "there is no node or input called `y`",
        "there is no node or input called `z`",
        "`Linear` has no field `bais`",
    ];
    assert_eq!(messages, expected);
}

#[test]
fn demands_that_follow_from_others_are_not_listed() {
    let (checked, messages) = check(
        r#"Module(
            inputs: { "x": F32(["batch", 3, "height", "width"]) },
            requires: ["height % 4 == 0 and width % 12 == 0", "height % 6 == 0"],
            nodes: {
                "a": Reshape(from: "x", shape: ["batch", "3 * 8 * 4", "height / 8", "width / 4"]),
                "b": Reshape(from: "a", shape: ["batch", "3 * 16 * 4", "height / 16", "width / 4"]),
            },
            outputs: { "y": "b" },
        )"#,
    );
    assert!(messages.is_empty(), "{messages:?}");
    let checked = checked.expect("the file checks");
    let mut listed: Vec<String> = checked.obligations().iter().map(|(obligation, _)| obligation.to_string()).collect();
    listed.sort();
    assert_eq!(listed, ["height % 16 == 0", "height % 6 == 0", "width % 12 == 0"]);
}

#[test]
fn a_long_expression_is_shown_around_its_fault() {
    let sum = "1 + ".repeat(150);
    let (_, messages) = check(&format!(
        r#"Module(inputs: {{ "x": F32(["batch", 4]) }}, nodes: {{ "y": Linear(from: "x", units: "{sum}* 2") }}, outputs: {{ "y": "y" }})"#
    ));
    let [message] = messages.as_slice() else { panic!("{messages:?}") };
    assert!(message.starts_with("in the expression \"…1 + 1 + ") && message.len() < 200, "{message}");
}
