//! What is kept apart from a backbone: heads, which name it by hash, and low-rank adapters.

use super::fixture::Fixture;
use super::{channels, check, fixtures, graph, save, worst};
use std::cell::Cell;
use std::collections::BTreeMap;
use sward::rundir::Disk;
use sward::weights::artifact::{backbone_metadata, hash};
use sward::weights::lora::{merge, save as save_adapters};
use sward::weights::{LoadError, LoadRequest, Part, TensorOut, WeightFile, WeightSet, load, load_several, write};
use sward_core::check::{Checked, LoraRewrite, Overrides, Rewrite, Session};
use sward_core::dim::Sizes;
use sward_core::lower::{LowerOptions, lower};
use sward_core::program::{Array, Role, RunKey, interpret};
use sward_core::source::Span;
use sward_kernels::Tensor;
use sward_ops::primitives::AddAlgebra;
use sward_ops::training::{GradientOptions, Loss, gradient_program};

/// Declares adapters, each at a place of its own text.
fn adapters(list: &[(&str, i64, f64, f64)]) -> impl FnOnce(&mut Session<'_>, &mut Overrides) {
    move |session, overrides| {
        for (pattern, rank, alpha, dropout) in list {
            let text = format!("Lora(\"{pattern}\", rank: {rank})");
            let file = session.sources.add("experiment.ron", text.clone());
            overrides.rewrites.push(Rewrite::Lora(LoraRewrite {
                pattern: (*pattern).to_string(),
                rank: *rank,
                alpha: *alpha,
                dropout: *dropout,
                span: Span::new(file, 5..text.len()),
                used: Cell::new(false),
            }));
        }
    }
}

fn library() -> (String, String) {
    let read = |name: &str| std::fs::read_to_string(fixtures().join("lora").join(name)).expect("a graph");
    (read("graph.ron"), read("block.ron"))
}

/// The graph of the fixture with its adapters.
fn adapted(list: &[(&str, i64, f64, f64)]) -> Result<Checked, String> {
    use sward_core::roots::{MemoryFolder, Roots};
    let (graph, block) = library();
    let mut roots = Roots::new();
    let root = roots.add_root("", MemoryFolder::new().with("graph.ron", &graph).with("block.ron", &block));
    let mut session = Session::new(sward_ops::catalogue::catalogue(), roots);
    let mut overrides = Overrides::default();
    adapters(list)(&mut session, &mut overrides);
    let checked = session.open_in(root, "graph.ron").and_then(|(id, file)| session.check_file(id, &file, &overrides));
    checked.ok_or_else(|| sward_core::diagnostic::render::text(&session.sources, &session.diagnostics, false))
}

const ADAPTERS: [(&str, i64, f64, f64); 2] = [("blocks.*.qkv", 2, 4.0, 0.0), ("head", 3, 1.5, 0.0)];

fn sizes() -> Sizes {
    let mut sizes = Sizes::new();
    for (name, size) in [("batch", 2), ("tokens", 5), ("width", 6)] {
        sizes.insert(name, size);
    }
    sizes
}

fn tensor(array: &Array) -> Tensor {
    Tensor::from_array(array)
}

#[test]
fn adapters_compute_what_pytorch_computes_forward_and_backward() {
    let fixture = Fixture::read(&fixtures().join("lora/lora.safetensors"));
    let checked = adapted(&ADAPTERS).unwrap_or_else(|text| panic!("{text}"));
    let case = &fixture.cases["a"];
    let mut builder = lower(&checked, &sizes(), &LowerOptions::default(), &AddAlgebra).expect("a program");
    // The scalar of the fixture: the output times numbers of its own.
    let output = builder.program().output("y").expect("y").value;
    let seed = builder.argument("cotangent", Role::Input, case.cotangents["y"].tensor_type());
    let product = sward_ops::primitives::EmitExt::mul(&mut builder, output, seed).expect("a product");
    builder.output("scalar", product);
    let options = GradientOptions { loss: Loss::Output("scalar".into()), parameters: true, inputs: true };
    let program = gradient_program(builder, &options).expect("gradients");
    let mut arguments: BTreeMap<String, Array> = fixture.weights.clone();
    arguments.extend(case.inputs.clone());
    arguments.insert("cotangent".into(), case.cotangents["y"].clone());
    let (outputs, _) = interpret(&program, &arguments, RunKey::default()).expect("all arguments are given");
    assert!(worst(&outputs["y"].data, &case.outputs["y"].data) < 1e-6);
    for (name, expected) in &case.gradients {
        let key = if name == "x" { "grad_in.x".to_string() } else { format!("grad.{name}") };
        let worst = worst(&outputs[&key].data, &expected.data);
        assert!(worst < 1e-6, "{name}: {worst}");
    }
    assert_eq!(case.gradients.len(), 2 * 3 + 2 * 2 + 1);
    // The base is frozen: no gradient of it is computed.
    assert!(!outputs.contains_key("grad.blocks.0.qkv.weight") && !outputs.contains_key("grad.head.bias"));
    assert!(!checked.parameters()["head.weight"].trained && checked.parameters()["head.lora_A.weight"].trained);
}

#[test]
fn adapters_are_saved_apart_and_merged_into_the_weights_they_adapt() {
    let fixture = Fixture::read(&fixtures().join("lora/lora.safetensors"));
    let folder = tempfile::tempdir().expect("a folder");
    let (base_path, lora_path, out) = (
        folder.path().join("base.safetensors"),
        folder.path().join("lora.safetensors"),
        folder.path().join("merged.safetensors"),
    );
    save(&base_path, fixture.weights.iter().filter(|(name, _)| !name.contains("lora")));
    let base = WeightSet::open(&base_path).expect("the base");
    let checked = adapted(&ADAPTERS).expect("a graph");
    save_adapters(&checked, "", &mut |name| fixture.weights.get(name).map(tensor), Some(&base), &Disk, &lora_path)
        .expect("a file");
    let lora = WeightSet::open(&lora_path).expect("the adapters");
    assert_eq!(lora.names().count(), 6);
    assert_eq!(merge(&base, &lora, &Disk, &out).expect("they go together"), 3);
    let merged = WeightFile::open(&out).expect("the merged weights");
    for (name, expected) in &fixture.cases["b"].outputs {
        let name = name.strip_prefix("merged/").expect("a merged weight");
        let found: Vec<f64> =
            merged.get(name).expect("it is there").to_f32().expect("finite").iter().map(|x| f64::from(*x)).collect();
        assert!(worst(&found, &expected.data) < 1e-6, "{name}");
    }
    let untouched = |set: &WeightFile, name: &str| set.get(name).expect("it is there").bytes.to_vec();
    assert_eq!(untouched(&merged, "head.bias"), untouched(&base.files()[0], "head.bias"));
    // The adapters go into the graph that declares them, the base beside them; with another scale they are refused.
    let parts =
        [Part { within: String::new(), file: base_path.clone() }, Part { within: String::new(), file: lora_path.clone() }];
    let loaded = load_several(&checked, &sizes(), &parts, None, &[]).expect("both fit");
    assert_eq!(loaded[0].names().count() + loaded[1].names().count(), checked.parameters().len());
    let other = adapted(&[("blocks.*.qkv", 2, 8.0, 0.0), ("head", 3, 1.5, 0.0)]).expect("a graph");
    let error = load_several(&other, &sizes(), &parts, None, &[]).expect_err("another scale").to_string();
    assert!(error.contains("was trained with alpha / rank = 2, the graph declares 4"), "{error}");
    // Another base is refused with both hashes.
    let other_path = folder.path().join("other.safetensors");
    save(&other_path, fixture.weights.iter().filter(|(name, _)| !name.contains("lora")).take(3));
    let error = load_several(
        &checked,
        &sizes(),
        &[Part { within: String::new(), file: other_path.clone() }, parts[1].clone()],
        None,
        &[],
    );
    let (expected, found) = (hash(&base), hash(&WeightSet::open(&other_path).expect("a file")));
    let text = error.expect_err("another base").to_string();
    assert!(text.contains(&expected) && text.contains(&found) && text.contains("base.safetensors"), "{text}");
}

#[test]
fn patterns_that_match_no_linear_are_errors_with_their_place() {
    let error = adapted(&[("blocks.*.qvk", 2, 4.0, 0.0)]).expect_err("no such node");
    assert!(
        error.contains("S0110") && error.contains("experiment.ron:1:6") && error.contains("did you mean `blocks.0.qkv`?"),
        "{error}"
    );
    let error = adapted(&[("blocks.*.weights", 2, 4.0, 0.0)]).expect_err("a softmax");
    assert!(
        error.contains("S0115") && error.contains("`blocks.0.weights` is `Softmax`") && error.contains("block.ron:10"),
        "{error}"
    );
    let error = adapted(&[("blocks", 2, 4.0, 0.0)]).expect_err("no op has this path");
    assert!(error.contains("matches no node"), "{error}");
    for (rank, alpha, dropout) in [(0, 1.0, 0.0), (2, f64::NAN, 0.0), (2, 1.0, 1.0)] {
        assert!(adapted(&[("head", rank, alpha, dropout)]).expect_err("a wrong number").contains("S0115"));
    }
}

#[test]
fn adapters_reach_a_backbone_through_the_names_of_its_parameters_and_drop_in_training_alone() {
    let text = r#"Module(
        inputs: { "image": F32(["batch", 3, "height", "width"]) },
        nodes: {
            "backbone": Use(module: "backbones/vit_tiny_patch16_224.ron", from: "image", trained: false),
            "head": Linear(from: "backbone:pooled", units: 2),
        },
        outputs: { "y": "head" },
    )"#;
    let checked = check("graph.ron", Some(text), &[], adapters(&[("backbone.blocks.*.attn.qkv", 4, 8.0, 0.5)])).expect("a graph");
    assert_eq!(checked.adapters().len(), 12);
    let adapter = &checked.adapters()[3];
    assert_eq!((adapter.weight.as_str(), adapter.scale), ("backbone.blocks.3.attn.qkv.weight", 2.0));
    assert_eq!(adapter.a, "backbone.blocks.3.attn.qkv.lora_A.weight");
    let trained: Vec<&String> = checked.parameters().iter().filter(|(_, own)| own.trained).map(|(name, _)| name).collect();
    assert_eq!(trained.len(), 24 + 2, "{trained:?}");
    let mut sizes = Sizes::new();
    for (name, size) in [("batch", 1), ("height", 32), ("width", 32)] {
        sizes.insert(name, size);
    }
    let program = |training| {
        let options = LowerOptions { training, ..LowerOptions::default() };
        lower(&checked, &sizes, &options, &AddAlgebra).expect("a program").finish().to_string()
    };
    let draws = |text: &str| text.matches("random").count();
    assert_eq!(draws(&program(false)), 0);
    assert_eq!(draws(&program(true)), 12);
    // A checkpoint of the backbone fills it without asking for the adapters.
    let wanted = sward::weights::wanted(&checked, &sizes, "backbone").expect("parameters");
    assert!(wanted.iter().all(|own| !own.name.contains("lora")));
    let plain = graph("backbones/vit_tiny_patch16_224.ron", &[]);
    assert_eq!(wanted.len(), plain.parameters().len());
}

/// A model of a backbone and a head, with a checkpoint of the backbone and one of the head that names it.
const MODEL: &str = r#"Module(
    inputs: { "x": F32(["batch", 4]) },
    nodes: { "backbone": Use(module: "backbone.ron", from: "x"), "head": Linear(from: "backbone", units: 2) },
    outputs: { "y": "head" },
)"#;

#[test]
fn a_head_goes_with_the_backbone_it_names_and_with_no_other() {
    use sward_core::roots::{MemoryFolder, Roots};
    let backbone =
        r#"Module(inputs: { "x": F32(["batch", 4]) }, nodes: { "fc": Linear(from: "x", units: 3) }, outputs: { "y": "fc" })"#;
    let mut roots = Roots::new();
    let root = roots.add_root("", MemoryFolder::new().with("model.ron", MODEL).with("backbone.ron", backbone));
    let mut session = Session::new(sward_ops::catalogue::catalogue(), roots);
    let (id, file) = session.open_in(root, "model.ron").expect("a graph");
    let checked = session.check_file(id, &file, &Overrides::default()).expect("a graph");
    let folder = tempfile::tempdir().expect("a folder");
    let array =
        |shape: &[usize], value: f64| Array::new(sward_core::program::DType::F32, shape, vec![value; shape.iter().product()]);
    let first = folder.path().join("first.safetensors");
    let second = folder.path().join("second.safetensors");
    for (path, value) in [(&first, 0.5), (&second, 0.25)] {
        let arrays =
            BTreeMap::from([("fc.weight".to_string(), array(&[3, 4], value)), ("fc.bias".to_string(), array(&[3], value))]);
        save(path, &arrays);
    }
    let head = folder.path().join("head.safetensors");
    let values = [0.5f32; 6];
    let tensors = [TensorOut::f32("head.weight", &[2, 3], &values), TensorOut::f32("head.bias", &[2], &values[..2])];
    let named = WeightSet::open(&first).expect("a backbone");
    write(&Disk, &head, &tensors, &backbone_metadata(&named)).expect("a head");

    let parts = |backbone: &std::path::Path| {
        [Part { within: "backbone".into(), file: backbone.to_owned() }, Part { within: String::new(), file: head.clone() }]
    };
    let loaded = load_several(&checked, &Sizes::new(), &parts(&first), None, &[]).expect("they belong together");
    let mut names: Vec<String> = loaded.iter().flat_map(|loaded| loaded.names().collect::<Vec<_>>()).collect();
    names.sort();
    assert_eq!(names, ["backbone.fc.bias", "backbone.fc.weight", "head.bias", "head.weight"]);
    let error = load_several(&checked, &Sizes::new(), &parts(&second), None, &[]).expect_err("another backbone");
    let other = WeightSet::open(&second).expect("a backbone");
    let text = error.to_string();
    assert!(matches!(error, LoadError::Backbone(_)) && text.contains(&hash(&named)) && text.contains(&hash(&other)), "{text}");
    let alone = [parts(&first)[1].clone()];
    let text = load_several(&checked, &Sizes::new(), &alone, None, &[]).expect_err("no backbone").to_string();
    assert!(text.contains("holds no backbone") && text.contains("first.safetensors"), "{text}");
    // Only the backbone: the head is missing by name.
    let text = load_several(&checked, &Sizes::new(), &parts(&first)[..1], None, &[]).expect_err("no head").to_string();
    assert!(text.contains("no file fills the parameter `head.weight` and 1 more"), "{text}");
    let keep = ["head.*".to_string()];
    assert!(load_several(&checked, &Sizes::new(), &parts(&first)[..1], None, &keep).is_ok());
    let wrong = LoadRequest { within: "backbone", ..LoadRequest::whole(&head) };
    assert!(matches!(load(&checked, &channels(3), &wrong), Err(LoadError::Differs(_))));
}
