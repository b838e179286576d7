//! Every diagnostic of the registry is triggered by its own wrong example, and by nothing in its right one.

use sward_core::check::{Overrides, Session};
use sward_core::diagnostic::codes::Entry;
use sward_core::diagnostic::{all_codes, render};
use sward_core::roots::{MemoryFolder, Roots};

/// Checks files in memory, the first one as the command line would; returns the codes found and the text.
fn check(files: &[(&str, &str)]) -> (Vec<String>, String) {
    let mut folder = MemoryFolder::new();
    for (path, text) in files {
        folder.insert(*path, text.as_bytes().to_vec());
    }
    let mut roots = Roots::new();
    let root = roots.add_root("", folder);
    let mut session = Session::new(sward_ops::catalogue::catalogue(), roots);
    if let Some((id, graph_file)) = session.open_in(root, files[0].0) {
        sward::experiment::check(&mut session, id, &graph_file, &Overrides::default());
    }
    let mut codes: Vec<String> = session.diagnostics.sorted().iter().map(|found| found.code.to_string()).collect();
    codes.dedup();
    (codes, render::text(&session.sources, &session.diagnostics, false))
}

/// The codes whose examples are whole graph files: those of the reading stage are fragments, tried by the reader's own tests, and those of
/// running need a machine.
fn checked_codes() -> impl Iterator<Item = &'static Entry> {
    all_codes().filter(|entry| entry.untested.is_none() && (100..900).contains(&entry.code.number()))
}

#[test]
fn every_wrong_example_triggers_exactly_its_code_and_every_right_one_none() {
    let mut faults = Vec::new();
    for entry in checked_codes() {
        let (codes, text) = check(&entry.wrong_files());
        if codes != [entry.code.to_string()] {
            faults.push(format!("{} wrong example gives {codes:?}\n{text}\n{}", entry.code, entry.wrong));
        }
        let (codes, text) = check(&entry.right_files());
        if !codes.is_empty() {
            faults.push(format!("{} right example gives {codes:?}\n{text}\n{}", entry.code, entry.right));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n\n"));
}

#[test]
fn diagnostics_read_as_they_should() {
    let mut texts = String::new();
    for entry in checked_codes() {
        texts += &check(&entry.wrong_files()).1;
        texts += "\n";
    }
    insta::assert_snapshot!(texts);
}

#[test]
fn independent_errors_are_reported_at_once() {
    let text = r#"Module(
    inputs: { "x": F32(["batch", 8]) },
    nodes: {
        "a": Liner(from: "x", units: 4),
        "b": Linear(from: "x", unit: 4),
        "c": Linear(from: "zz", units: 4),
        "d": Formula("x + + 1"),
    },
    outputs: { "y": As("x", F32(["batch", 9])) },
)"#;
    let (codes, _) = check(&[("main.ron", text)]);
    for expected in ["S0202", "S0201", "S0203", "S0207", "S0108", "S0330"] {
        assert!(codes.contains(&expected.to_string()), "{expected} in {codes:?}");
    }
}
