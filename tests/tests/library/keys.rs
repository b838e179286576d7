//! Backbones have the parameters of timm's models: the same names, the same shapes.

use super::list::read;
use super::{check, files, fixtures};
use std::collections::BTreeMap;

#[test]
fn published_sizes_have_the_names_and_shapes_of_timm() {
    let folder = fixtures().join("backbones/keys");
    let mut failed = Vec::new();
    let lists = files(&folder, "txt");
    assert!(lists.len() > 40, "{} lists", lists.len());
    for list in lists {
        let model = list.trim_end_matches(".txt");
        let expected = read(&std::fs::read_to_string(folder.join(&list)).expect("a list"));
        let checked = match check(&format!("backbones/{model}.ron"), &[]) {
            Ok((checked, _)) => checked.expect("a module"),
            Err(text) => {
                failed.push(format!("{model}\n{text}"));
                continue;
            }
        };
        let found: BTreeMap<String, String> = checked
            .parameters()
            .iter()
            .map(|(name, parameter)| {
                let sizes: Vec<String> = parameter.spec.shape.iter().map(ToString::to_string).collect();
                (name.clone(), if sizes.is_empty() { "scalar".to_string() } else { sizes.join("x") })
            })
            .collect();
        let mut differences: Vec<String> = Vec::new();
        for (name, shape) in &expected {
            match found.get(name) {
                None => differences.push(format!("{name} {shape} is missing")),
                Some(own) if own.replace("channels", "3") != *shape => differences.push(format!("{name} is {own}, not {shape}")),
                Some(_) => {}
            }
        }
        differences.extend(found.keys().filter(|name| !expected.contains_key(*name)).map(|name| format!("{name} is not timm's")));
        if !differences.is_empty() {
            differences.truncate(8);
            failed.push(format!("{model}\n  {}", differences.join("\n  ")));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn lists_are_read_as_they_are_written() {
    let found = read("a.*.b.*.w 2x3 0.1-2 4.0\nhead 5\nc.*.n scalar 0-1,3\n");
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(names, ["a.0.b.1.w", "a.0.b.2.w", "a.4.b.0.w", "c.0.n", "c.1.n", "c.3.n", "head"]);
    assert_eq!(found["a.4.b.0.w"], "2x3");
}
