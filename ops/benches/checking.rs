//! How long checking takes, how it grows with the graph, and how much memory it needs.
//!
//! `cargo bench -p sward-ops --bench checking`. The growth benchmark checks a Repeat of a residual block, a flat file of single nodes
//! and a backbone's block placed many times; the library benchmark reads and checks every file of `graphs`, as `sward check graphs` does.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use sward_core::check::{Checked, Overrides, Session};
use sward_core::diagnostic::render;
use sward_core::roots::{MemoryFolder, Roots};
use sward_ops::catalogue::catalogue;

/// Counts the bytes that are held, and the most that ever were.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes on to the system's allocator with the same arguments; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(held, Ordering::Relaxed);
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A residual block, `count` times in a row: 10 nodes an iteration.
fn repeated(count: usize) -> String {
    format!(
        r#"Module(
    inputs: {{ "x": F32(["batch", "tokens", 64]) }},
    nodes: {{ "blocks": Repeat(times: {}, of: Use(module: "block.ron", from: "x")) }},
    outputs: {{ "y": "blocks" }},
)"#,
        count / 10
    )
}

const BLOCK: &str = r#"Module(
    inputs: { "x": F32(["batch", "tokens", "width"]) },
    nodes: {
        "norm": LayerNorm(from: "x"),
        "heads": Linear(from: "norm", units: "3 * width"),
        "parts": Split(from: "heads", axis: -1, parts: 3),
        "attended": ScaledDotProductAttention(query: "parts:0", key: "parts:1", value: "parts:2"),
        "joined": Add(left: "x", right: "attended"),
        "mlp": Chain(from: "joined", layers: [LayerNorm, Linear(units: "4 * width"), Gelu, Linear(units: "width")]),
        "y": Formula("joined + mlp"),
    },
    outputs: { "y": As("y", F32(["batch", "tokens", "width"])) },
)"#;

/// A file of `count` nodes, each written out.
fn flat(count: usize) -> String {
    let mut text = String::from(
        "Module(\n    inputs: { \"x\": F32([\"batch\", \"width\"]) },\n    nodes: {\n        \"n0\": Relu(from: \"x\"),\n",
    );
    for index in 1..count {
        let before = index - 1;
        text += &match index % 4 {
            0 => format!("        \"n{index}\": Linear(from: \"n{before}\", units: 32, bias: false),\n"),
            1 => format!("        \"n{index}\": Gelu(from: \"n{before}\"),\n"),
            2 => format!("        \"n{index}\": LayerNorm(from: \"n{before}\"),\n"),
            _ => format!("        \"n{index}\": Formula(\"n{before} * 2 + 1\"),\n"),
        };
    }
    text += &format!("    }},\n    outputs: {{ \"y\": \"n{}\" }},\n)", count - 1);
    text
}

fn check(text: &str) -> Checked {
    let mut roots = Roots::new();
    let folder = MemoryFolder::new().with("main.ron", text).with("block.ron", BLOCK);
    let root = roots.add_root("", folder);
    let mut session = Session::new(catalogue(), roots);
    let (id, file) = session.open_in(root, "main.ron").expect("the file reads");
    let checked = session.check_file(id, &file, &Overrides::default());
    checked.unwrap_or_else(|| panic!("{}", render::text(&session.sources, &session.diagnostics, false)))
}

/// Reads and checks every file of the library; returns the number of nodes of all graphs.
fn check_library() -> usize {
    let mut roots = Roots::new();
    let files = sward_graphs::files();
    let root = roots.set_library(files.iter().cloned().collect::<MemoryFolder>());
    let mut session = Session::new(catalogue(), roots);
    let mut nodes = 0;
    for (path, _) in &files {
        if let Some((id, file)) = session.open_in(root, path)
            && let Some(checked) = session.check_file(id, &file, &Overrides::default())
        {
            nodes += checked.graph().node_count();
        }
    }
    assert_eq!(session.diagnostics.errors(), 0, "the library checks");
    nodes
}

/// The most bytes that `work` holds at once, beyond those held before it.
fn peak_bytes<T>(work: impl FnOnce() -> T) -> usize {
    let before = HELD.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    black_box(work());
    PEAK.load(Ordering::Relaxed) - before
}

/// A graph's name, its text for so many nodes, and the numbers of nodes that are measured.
type Shape = (&'static str, fn(usize) -> String, [usize; 3]);

fn growth(criterion: &mut Criterion) {
    // A file of 100,000 written nodes would be larger than a graph file may be.
    let shapes: [Shape; 2] = [("repeat", repeated, [1_000, 10_000, 99_000]), ("flat", flat, [1_000, 10_000, 50_000])];
    for (name, write, counts) in shapes {
        let mut group = criterion.benchmark_group(name);
        group.sample_size(10);
        for count in counts {
            let text = write(count);
            let nodes = check(&text).graph().node_count();
            println!("{name}/{count}: {nodes} nodes, peak {:.1} MiB", peak_bytes(|| check(&text)) as f64 / 1_048_576.0);
            group.throughput(Throughput::Elements(nodes as u64));
            group.bench_with_input(BenchmarkId::from_parameter(count), &text, |bench, text| bench.iter(|| check(text)));
        }
        group.finish();
    }
}

fn library(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("library");
    group.sample_size(10);
    println!("library: {} nodes, peak {:.1} MiB", check_library(), peak_bytes(check_library) as f64 / 1_048_576.0);
    group.bench_function("all files", |bench| bench.iter(check_library));
    group.finish();
}

criterion_group!(benches, growth, library);
criterion_main!(benches);
