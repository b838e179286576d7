//! Wrong files and wrong mappings: what is wrong is named, and a way out where one is known.

use super::{channels, fixtures, graph, save};
use std::path::Path;
use sward::weights::mapping::{MappingError, Mappings, open_mapping, read_mapping};
use sward::weights::{LoadError, LoadRequest, load, match_file};
use sward_core::diagnostic::{Diagnostics, render};
use sward_core::program::{Array, DType};
use sward_core::source::Sources;

fn error(path: &Path) -> String {
    load(&graph("backbones/resnet18.ron", &[]), &channels(3), &LoadRequest::whole(path)).expect_err("a wrong file").to_string()
}

#[test]
fn pickles_are_recognised_and_never_opened() {
    for name in ["zipped.pt", "legacy.pt"] {
        let text = error(&fixtures().join("weights").join(name));
        assert!(text.contains("is a PyTorch pickle (.pt, .pth, .bin), not safetensors"), "{text}");
        assert!(text.contains("Unpickling can run code") && text.contains("s.save_file("), "{text}");
    }
}

#[test]
fn half_a_download_names_the_tensor_that_is_cut_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("half.safetensors");
    let whole = std::fs::read(fixtures().join("weights/mappings/transformers_vit.safetensors")).expect("a fixture");
    std::fs::write(&path, &whole[..whole.len() / 2]).expect("a file");
    let text = error(&path);
    assert!(text.contains("is truncated: tensor `") && text.contains("ends at byte"), "{text}");
    std::fs::write(&path, b"{\"error\": \"not found\"}").expect("a file");
    assert!(error(&path).contains("claims a header of"), "{}", error(&path));
    assert!(error(&folder.path().join("nothing.safetensors")).contains("cannot be read"));
}

#[test]
fn a_checkpoint_of_another_family_names_the_backbone_that_it_fits() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("other.safetensors");
    let checked = graph("backbones/convnextv2_atto.ron", &[]);
    let wanted = sward::weights::wanted(&checked, &channels(3), "").expect("parameters");
    let weights: std::collections::BTreeMap<String, Array> = wanted
        .into_iter()
        .map(|own| (own.name, Array::new(DType::F32, &own.shape, vec![0.5; own.shape.iter().product()])))
        .collect();
    save(&path, &weights);
    let error =
        load(&graph("backbones/resnet18.ron", &[]), &channels(3), &LoadRequest::whole(&path)).expect_err("another family");
    let LoadError::Differs(report) = &error else { panic!("{error}") };
    assert!(!report.plan.missing.is_empty() && !report.plan.left_over.is_empty());
    let text = error.to_string();
    assert!(text.contains("help: the file fits backbones/convnextv2_atto.ron"), "{text}");
    assert_eq!(report.json()["exact"], false);
}

#[test]
fn what_is_missing_and_left_over_comes_with_the_nearest_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("typo.safetensors");
    let sets = ["embedding=8", "depth=1", "heads=2", "hidden=16", "patch=4", "layers=[0]"];
    let checked = graph("backbones/vit.ron", &sets);
    let wanted = sward::weights::wanted(&checked, &channels(3), "").expect("parameters");
    let rename = |name: String| name.replace("blocks.0.norm1.weight", "blocks.0.norm_1.weight");
    let weights: std::collections::BTreeMap<String, Array> = wanted
        .into_iter()
        .map(|own| (rename(own.name), Array::new(DType::F32, &own.shape, vec![0.5; own.shape.iter().product()])))
        .collect();
    save(&path, &weights);
    let loaded = match_file(&checked, &channels(3), &LoadRequest::whole(&path)).expect("a file");
    let text = loaded.report.text();
    assert!(text.contains("blocks.0.norm1.weight [8]; the nearest left over is `blocks.0.norm_1.weight`"), "{text}");
    assert!(text.contains("blocks.0.norm_1.weight; the nearest missing is `blocks.0.norm1.weight`"), "{text}");
    // What may keep its start is said, and what is left over stays wrong.
    let keep = ["blocks.0.norm1.*".to_string()];
    let request = LoadRequest { keep: &keep, ..LoadRequest::whole(&path) };
    let loaded = match_file(&checked, &channels(3), &request).expect("a file");
    assert_eq!(loaded.report.plan.kept, ["blocks.0.norm1.weight"]);
    assert!(loaded.report.plan.missing.is_empty() && !loaded.report.is_exact());
}

#[test]
fn sizes_that_nobody_gave_are_asked_for() {
    let path = fixtures().join("weights/mappings/transformers_vit.safetensors");
    let error = match_file(&graph("backbones/vit.ron", &[]), &Default::default(), &LoadRequest::whole(&path)).expect_err("open");
    assert!(error.to_string().contains("depends on the size of channels; say for example --dim channels=3"), "{error}");
    let request = LoadRequest { within: "modle", ..LoadRequest::whole(&path) };
    let error = match_file(&graph("backbones/resnet18.ron", &[]), &channels(3), &request).expect_err("no such path");
    assert!(error.to_string().contains("no parameter of the graph is below `modle`"), "{error}");
}

fn complaints(text: &str) -> String {
    let (mut sources, mut diagnostics) = (Sources::new(), Diagnostics::new());
    let file = sources.add("mine.ron", text);
    assert!(read_mapping(&sources, file, &mut diagnostics).is_none(), "{text}");
    render::text(&sources, &diagnostics, false)
}

#[test]
fn mappings_are_read_strictly() {
    for (text, expected) in [
        ("Weights(rules: [Renam(\"a\", to: \"b\")])", "a rule is expected"),
        ("Weights(rules: [Rename(\"a\", too: \"b\")])", "`Rename` has no field `too`"),
        ("Weights(rules: [Rename(\"a\")])", "`Rename` needs the field `to`"),
        ("Weights(rules: [Rename(\"a.{n}\", to: \"b.{m}\")])", "`m`"),
        ("Weights(rules: [Rename(\"a.{n\", to: \"b\")])", "the brace opened here is not closed"),
        ("Weights(rules: [Join([\"a\"], to: \"b\")])", "one alone is a Rename"),
        ("Weights(rules: [Join([\"a.{n}\", \"b.{m}\"], to: \"c\")])", "does not capture `m`"),
        ("Weights(rules: [Rename(\"a\", to: \"b\", transpose: [0, 0])])", "`transpose` is an order of the axes"),
        ("Weights(adapt: { \"a\": Position })", "Positions"),
        ("Weights(prefix: [\"a\"])", "`Weights` has no field `prefix`"),
        ("Module(outputs: {})", "a mapping is Weights(...)"),
        ("Weights(rules: [Rename(Slice(\"a\", axis: -1), to: \"b\")])", "`axis` is a whole number from 0"),
        ("Weights(rules: [Each(\"s\", of: [0.5], rules: [])])", "`Each.of` is a list of whole numbers"),
    ] {
        let found = complaints(text);
        assert!(found.contains(expected) && found.contains("mine.ron:1:"), "{text}\n{found}");
    }
}

#[test]
fn mappings_are_named_as_the_library_names_them() {
    assert!(Mappings::library().is_ok_and(|mappings| mappings.iter().next().is_some_and(|first| first.name == "timm")));
    let error = open_mapping("transformers_vits").expect_err("no such mapping");
    assert!(matches!(&error, MappingError::Unknown { nearest: Some(near), .. } if near == "transformers_vit"), "{error}");
    assert!(matches!(open_mapping("nowhere/mine.ron"), Err(MappingError::Io { .. })));
    let folder = tempfile::tempdir().expect("a folder");
    let own = folder.path().join("mine.ron");
    std::fs::write(&own, "Weights(extends: \"weights/timm.ron\", rules: [Rename(\"x.{rest...}\", to: \"conv1.weight\")])")
        .expect("a file");
    assert!(open_mapping(own.to_str().expect("a path")).is_ok());
    std::fs::write(&own, "Weights(rules: [Rename(\"a\")])").expect("a file");
    assert!(matches!(open_mapping(own.to_str().expect("a path")), Err(MappingError::Broken(_))));
}
