//! Published sizes: the names and shapes of checkpoints fit the library's graphs, read from headers alone.

use super::{channels, fixtures, graph};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use sward::weights::{LoadRequest, match_file};

#[path = "../library/list.rs"]
mod list;

/// A file with these names and shapes and a hole in place of the values: as large as the real one, and it takes no room.
fn hollow(path: &Path, names: &std::collections::BTreeMap<String, String>) {
    let (mut text, mut end) = (String::from("{"), 0u64);
    for (name, shape) in names {
        let sizes: Vec<u64> =
            if shape == "scalar" { Vec::new() } else { shape.split('x').map(|size| size.parse().expect("a size")).collect() };
        let (dtype, bytes) = if name.ends_with("num_batches_tracked") { ("I64", 8) } else { ("F32", 4) };
        let length = sizes.iter().product::<u64>() * bytes;
        let comma = if end == 0 && text.len() == 1 { "" } else { "," };
        write!(text, r#"{comma}"{name}":{{"dtype":"{dtype}","shape":{sizes:?},"data_offsets":[{end},{}]}}"#, end + length)
            .expect("a text");
        end += length;
    }
    text.push('}');
    let mut file = std::fs::File::create(path).expect("a file");
    file.write_all(&(text.len() as u64).to_le_bytes()).expect("a header");
    file.write_all(text.as_bytes()).expect("a header");
    file.set_len(8 + text.len() as u64 + end).expect("a hole");
}

fn fits(folder: &str, mapping: impl Fn(&str) -> String) {
    let temporary = tempfile::tempdir().expect("a folder");
    let path = temporary.path().join("hollow.safetensors");
    let mut failed = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(fixtures().join(folder)).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.extension().is_none_or(|ending| ending != "txt") {
            continue;
        }
        let stem = entry.file_stem().expect("a name").to_string_lossy().into_owned();
        let model = stem.rsplit('@').next().expect("a model");
        hollow(&path, &list::read(&std::fs::read_to_string(&entry).expect("a list")));
        let checked = graph(&format!("backbones/{model}.ron"), &[]);
        let loaded = match_file(&checked, &channels(3), &LoadRequest::whole(&path)).expect("a file and a graph");
        let chosen = &loaded.report.plan.mapping;
        if !loaded.report.is_exact() || *chosen != mapping(&stem) {
            failed.push(format!("{stem} by {chosen}:\n{}", loaded.report.text()));
        }
        count += 1;
    }
    assert!(count > 20, "{count} lists");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn published_sizes_of_timm_fit_without_renaming() {
    fits("backbones/keys", |_| "timm".to_string());
}

#[test]
fn published_sizes_of_transformers_and_torchvision_fit_by_their_mappings() {
    fits("weights/keys", |stem| stem.split('@').next().expect("a mapping").to_string());
}
