//! `docs/library.md` says what the files of the built-in library take and give, as the files themselves say it.

use std::fmt::Write;

use sward_core::diagnostic::Diagnostics;
use sward_core::source::Sources;
use sward_core::syntax::{self, Call, Kind, Value};

/// Folders in the order of the page, with what their files are. Backbones and mappings have pages of their own.
const FOLDERS: [(&str, &str); 8] = [
    ("losses", "What is minimized: a prediction, a target and where the target was observed give one number."),
    ("heads", "From features to predictions."),
    ("pooling", "From many tokens, tiles or views to one vector."),
    ("fusion", "Features of two kinds become one."),
    ("blocks", "Parts that backbones and models are made of."),
    ("models", "Whole networks."),
    ("interfaces", "What a file must take and give to stand in for another."),
    ("transforms", "Preparation of photographs."),
];

const HEAD: &str = "# The built-in library

Every file may be used from any graph or experiment: `Use(module: \"losses/tweedie.ron\", ...)`, `graph: \"transforms/...\"`. `sward show losses/tweedie.ron` prints one with its
shapes, `sward render` its text with all modules placed, `sward plot` draws it. A file of the same path in your own folder or in a search root stands before the library's.

Params are written with their defaults; inputs and outputs with their types. Names in types are sizes: `\"batch\"`, `\"channels\"`. Backbones: [backbones.md](backbones.md).

Written by `tests/tests/library_page.rs` from the files themselves.
";

fn field<'a>(call: &'a Call, name: &str) -> Option<&'a Value> {
    call.fields.iter().find(|field| field.key.value == name).map(|field| &field.value)
}

/// A value's text on one line, without comments.
fn on_one_line(sources: &Sources, value: &Value) -> String {
    let lines = sources.slice(value.span).lines().map(|line| line.split("//").next().unwrap_or_default());
    let text = lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ");
    text.replace("( ", "(").replace(", )", ")").replace(" )", ")").replace(", ]", "]")
}

/// The type that an output states, or nothing.
fn stated_type(value: &Value) -> Option<&Value> {
    match &value.kind {
        Kind::Call(call) if call.name.as_ref().is_some_and(|name| name.value == "As") => call.items.get(1),
        Kind::Text(_) => None,
        _ => Some(value),
    }
}

fn entry(page: &mut String, path: &str, text: &str) {
    let mut sources = Sources::new();
    let file = sources.add(path, text);
    let value = syntax::read(&sources, file, &mut Diagnostics::new()).unwrap_or_else(|| panic!("{path} is no graph file"));
    let call = value.as_call().unwrap_or_else(|| panic!("{path} is no call"));
    let doc = field(call, "doc").and_then(Value::as_text).unwrap_or_else(|| panic!("{path} has no doc"));
    let _ = writeln!(page, "\n#### `{path}`\n\n{doc}\n");
    for part in ["params", "inputs", "outputs"] {
        let Some(Kind::Map(pairs)) = field(call, part).map(|value| &value.kind) else { continue };
        let words: Vec<String> = pairs
            .iter()
            .map(|(name, value)| {
                let name = name.as_text().unwrap_or_else(|| panic!("{path}: a name in {part}"));
                let written = if part == "outputs" { stated_type(value) } else { Some(value) };
                written.map_or_else(|| format!("`{name}`"), |value| format!("`{name}: {}`", on_one_line(&sources, value)))
            })
            .collect();
        let _ = writeln!(page, "- {part}: {}", words.join(", "));
    }
}

fn page() -> String {
    let mut files: Vec<(String, String)> = sward_graphs::files()
        .into_iter()
        .map(|(path, text)| (path.to_string(), String::from_utf8_lossy(text).into_owned()))
        .collect();
    files.sort();
    let mut page = HEAD.to_owned();
    for (folder, what) in FOLDERS {
        let _ = write!(page, "\n## `{folder}`\n\n{what}\n");
        let own = files.iter().filter(|(path, _)| path.split('/').next() == Some(folder));
        own.for_each(|(path, text)| entry(&mut page, path, text));
    }
    page
}

#[test]
fn the_page_is_as_the_files_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/library.md");
    let page = page();
    if std::env::var_os("SWARD_BLESS").is_some() {
        std::fs::write(path, &page).expect("docs/library.md can be written");
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page, "docs/library.md is stale: run SWARD_BLESS=1 cargo test -p sward-tests --test library_page");
}

#[test]
fn every_folder_of_the_library_stands_on_a_page() {
    for (path, _) in sward_graphs::files() {
        let folder = path.split('/').next().unwrap_or_default();
        let known = FOLDERS.iter().any(|(own, _)| *own == folder) || ["backbones", "weights"].contains(&folder);
        assert!(known, "{path} is on no page");
    }
}
