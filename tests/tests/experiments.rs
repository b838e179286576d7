//! The pages on experiments and transforms: every example proves, every step is there.

use sward::experiment::{check, library_session};
use sward_core::check::Overrides;
use sward_core::diagnostic::render;
use sward_core::roots::MemoryFolder;
use sward_core::source::Sources;
use sward_core::syntax;

/// The model that the page's experiment speaks of: tiles of photographs in, three means out.
const MODEL: &str = r#"Module(
    params: { "targets": Int(3) },
    inputs: { "image": F32(["batch", "tiles", 3, "height", "width"]) },
    nodes: {
        "pixels": Mean(from: "image", axes: [1, 3, 4]),
        "backbone": Chain(from: "pixels", layers: { "fc": Linear(units: 8), "act": Gelu }),
        "fusion": Use(module: "fusion.ron", from: "backbone"),
        "head": Chain(from: "fusion", layers: { "fc": Linear(units: "targets"), "positive": Softplus }),
    },
    outputs: { "biomass": "head" },
)"#;

const FUSION: &str = r#"Module(
    inputs: { "x": F32(["batch", "width"]) },
    nodes: { "fc": Linear(from: "x", units: "width") },
    outputs: { "y": "fc" },
)"#;

fn blocks(page: &'static str) -> Vec<&'static str> {
    page.split("```ron\n").skip(1).map(|block| block.split("```").next().expect("a block has an end")).collect()
}

fn check_one(files: &MemoryFolder, name: &str) -> String {
    let mut session = library_session();
    let root = session.roots_mut().add_root("", files.clone());
    if let Some((id, file)) = session.open_in(root, name) {
        check(&mut session, id, &file, &Overrides::default());
    }
    render::text(&session.sources, &session.diagnostics, false)
}

#[test]
fn every_example_of_the_page_on_experiments_proves() {
    let mut files = MemoryFolder::new().with("model.ron", MODEL).with("fusion.ron", FUSION);
    // What the page's ablation swaps in.
    for name in ["fusion/concat.ron", "fusion/film.ron"] {
        files = files.with(name, &FUSION.replace("\"fc\"", &format!("\"{}\"", &name[7..11])));
    }
    let names = [
        ("Data(", "data.ron"),
        ("Transform(", "field_photo.ron"),
        ("Experiment(", "experiment.ron"),
        ("Ablation(", "ablation.ron"),
        ("Module(", "tiles.ron"),
    ];
    let page = blocks(include_str!("../../docs/experiments.md"));
    for block in &page {
        let (_, name) = names.iter().find(|(kind, _)| block.starts_with(kind)).expect("a kind of file");
        files = files.with(name, block);
    }
    assert_eq!(page.len(), names.len(), "one example a kind");
    for (_, name) in names {
        let found = check_one(&files, name);
        assert!(found.is_empty(), "{name}:\n{found}");
    }
}

#[test]
fn every_step_stands_on_the_page_on_transforms_with_an_example_that_reads() {
    use sward::pixels::{Shape, Step, Transform};
    let page = include_str!("../../docs/transforms.md");
    let mut found = Vec::new();
    for row in page.lines().filter_map(|line| line.strip_prefix("| `")) {
        let example = row.split('`').next().expect("a code span ends");
        let name = example.split('(').next().unwrap_or_default();
        if !Step::NAMES.contains(&name) {
            continue;
        }
        let mut sources = Sources::new();
        let file = sources.add("step.ron", example);
        let mut diagnostics = sward_core::diagnostic::Diagnostics::new();
        let value = syntax::read(&sources, file, &mut diagnostics).unwrap_or_else(|| panic!("{example}"));
        let step: Step = syntax::decode::decode(&value, &syntax::decode::NoNames)
            .unwrap_or_else(|error| panic!("{example}: {}", error.message));
        step.shape(Shape::known(3, 300, 300)).unwrap_or_else(|error| panic!("{example}: {error}"));
        found.push(name);
    }
    let missing: Vec<_> = Step::NAMES.iter().filter(|name| !found.contains(name)).collect();
    assert!(missing.is_empty(), "without a row: {missing:?}");
}

#[test]
fn the_transforms_of_the_library_prove() {
    let files: MemoryFolder = sward_graphs::files().into_iter().collect();
    let mut count = 0;
    let names: Vec<String> =
        sward_graphs::files().into_iter().map(|(path, _)| path).filter(|path| path.starts_with("transforms/")).collect();
    for name in names {
        let found = check_one(&files, &name);
        assert!(found.is_empty(), "{name}:\n{found}");
        count += 1;
    }
    assert!(count >= 3);
}
