//! What an arm changes, in one line.

use crate::cli::diff::{Difference, Parts, compare};
use crate::experiment::ablation::Arm;
use crate::train::override_texts;

/// The arm against the base: what is set and swapped, and what that does to the graph.
pub fn explain(base: &Arm, arm: &Arm) -> String {
    if arm.choices.is_empty() {
        return "the base".to_owned();
    }
    let (sets, swaps) = override_texts(&arm.overrides);
    let mut changes: Vec<String> = swaps.iter().chain(&sets).map(|text| text.replacen('=', " = ", 1)).collect();
    if arm.path != base.path {
        changes.insert(0, format!("experiment = {}", arm.path));
    }
    format!("{}: {}", changes.join(", "), graph(&compare(&base.joined.checked, &arm.joined.checked)))
}

/// The difference of two graphs in a few words.
fn graph(difference: &Difference) -> String {
    if difference.is_empty() {
        return "the same graph".to_owned();
    }
    let counts = |what: &str, parts: &Parts| {
        let signs = [('-', parts.removed.len()), ('+', parts.added.len()), ('~', parts.changed.len())];
        let counts: Vec<String> =
            signs.iter().filter(|(_, count)| *count > 0).map(|(sign, count)| format!("{sign}{count}")).collect();
        (!counts.is_empty()).then(|| format!("{what} {}", counts.join(" ")))
    };
    let parts = [
        counts("inputs", &difference.inputs),
        counts("nodes", &difference.nodes),
        counts("parameters", &difference.parameters),
        counts("outputs", &difference.outputs),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
