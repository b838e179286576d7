//! The graph library: every file checks, has the parameters of the published checkpoints, and computes what other programs compute.
//!
//! Fixtures come from `tests/fixtures/*/make.py`, which runs timm, transformers and plain PyTorch. Here they are compared through the
//! reference interpreter, which defines what a program means.

mod checking;
mod fixture;
mod keys;
mod list;
mod values;

use std::path::{Path, PathBuf};
use sward_core::check::{Checked, Session};
use sward_core::diagnostic::render;
use sward_core::roots::{DiskFolder, Roots};

/// The folder of the graph library.
fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../graphs")
}

/// The folder of the fixtures.
fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// All files of that ending below a folder, by their paths within it, in order.
fn files(folder: &Path, ending: &str) -> Vec<String> {
    fn walk(root: &Path, folder: &Path, ending: &str, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                walk(root, &entry, ending, found);
            } else if entry.extension().is_some_and(|own| own == ending) {
                let path = entry.strip_prefix(root).expect("below the root");
                found.push(path.to_str().expect("a plain name").replace('\\', "/"));
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, ending, &mut found);
    found.sort();
    found
}

/// Checks a file of the library with `--set`. Errors are the diagnostics as people see them; warnings come beside the graph.
fn check(path: &str, sets: &[String]) -> Result<(Option<Checked>, String), String> {
    let mut roots = Roots::new();
    let root = roots.add_search_root("graphs", DiskFolder::open(&library()).expect("the library"));
    let mut session = Session::new(sward_ops::catalogue(), roots);
    let overrides = session.overrides(sets, &[], &[]);
    let checked = overrides
        .zip(session.open_in(root, path))
        .and_then(|(overrides, (file, graph_file))| session.check_file(file, &graph_file, &overrides));
    let text = render::text(&session.sources, &session.diagnostics, false);
    if session.diagnostics.has_errors() { Err(text) } else { Ok((checked, text)) }
}
