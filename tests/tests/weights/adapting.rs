//! Positions, windows and channels of other sizes, as timm adapts them; and through a whole file.

use super::{channels, fixtures, graph, save, worst};
use std::collections::BTreeMap;
use sward::weights::mapping::Adaptation;
use sward::weights::{Adapt, LoadRequest, WeightFile, WeightSet, load, match_file, wanted};
use sward_core::dim::Sizes;
use sward_core::program::Array;

fn pairs(kind: &str) -> Vec<(String, Array, Array)> {
    let file = WeightFile::open(&fixtures().join("weights/adapting/adapting.safetensors")).expect("a fixture");
    let read = |name: &str| {
        let view = file.get(name).unwrap_or_else(|| panic!("{name}"));
        let values = view.to_f32().expect("finite").iter().map(|value| f64::from(*value)).collect();
        Array::new(sward_core::program::DType::F32, view.shape, values)
    };
    let names: Vec<String> = file.tensors().filter_map(|view| Some(view.name.strip_suffix("/in")?.to_owned())).collect();
    let own: Vec<_> = names.iter().filter(|name| name.starts_with(&format!("{kind}/"))).collect();
    assert!(own.len() >= 2);
    own.into_iter().map(|name| (name.clone(), read(&format!("{name}/in")), read(&format!("{name}/out")))).collect()
}

#[test]
fn adapted_tensors_equal_timms() {
    for (kind, adaptation) in
        [("positions", Adaptation::Positions), ("window", Adaptation::Window), ("channels", Adaptation::Channels(1))]
    {
        for (name, before, after) in pairs(kind) {
            if before.shape == after.shape {
                continue;
            }
            let adapt = Adapt::between(adaptation, &before.shape, &after.shape).unwrap_or_else(|| panic!("{name}"));
            let values: Vec<f32> = before.data.iter().map(|value| *value as f32).collect();
            let found: Vec<f64> = adapt.run(&before.shape, &values).into_iter().map(f64::from).collect();
            // timm computes in f32.
            assert!(worst(&found, &after.data) < 2e-6, "{name}: {}", worst(&found, &after.data));
        }
    }
}

/// Values for all parameters of a graph.
fn values(path: &str, sets: &[&str], sizes: &Sizes) -> BTreeMap<String, Array> {
    let wanted = wanted(&graph(path, sets), sizes, "").expect("parameters");
    let value = |at: usize| ((at * 37 % 101) as f64 - 50.0) / 64.0;
    wanted
        .into_iter()
        .map(|own| {
            let count = own.shape.iter().product();
            (own.name, Array::new(own.dtype, &own.shape, (0..count).map(value).collect()))
        })
        .collect()
}

const SMALL: [&str; 6] = ["embedding=8", "depth=1", "heads=2", "hidden=16", "patch=4", "layers=[0]"];

#[test]
fn a_checkpoint_of_another_image_size_and_number_of_channels_is_adapted_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vit.safetensors");
    let before: Vec<&str> = SMALL.into_iter().chain(["grid=6"]).collect();
    let weights = values("backbones/vit.ron", &before, &channels(3));
    save(&path, &weights);
    let after: Vec<&str> = SMALL.into_iter().chain(["grid=4"]).collect();
    let checked = graph("backbones/vit.ron", &after);
    let loaded = load(&checked, &channels(5), &LoadRequest::whole(&path)).expect("it fits");
    let text = loaded.report.text();
    assert!(text.contains("pos_embed [1, 17, 8] from [1, 37, 8]: resampled from 6 x 6 to 4 x 4 positions"), "{text}");
    assert!(text.contains("patch_embed.proj.weight [8, 5, 4, 4] from [8, 3, 4, 4]: repeated to 5 channels"), "{text}");
    let weight = loaded.tensor("patch_embed.proj.weight").expect("finite").expect("it is there");
    let (found, original) = (weight.as_f32().expect("floats"), &weights["patch_embed.proj.weight"].data);
    // Channel 3 of the first unit repeats channel 0, at three fifths.
    assert!((f64::from(found[3 * 16]) - original[0] * 0.6).abs() < 1e-6);
    let class = loaded.tensor("pos_embed").expect("finite").expect("it is there");
    assert_eq!(f64::from(class.as_f32().expect("floats")[3]), weights["pos_embed"].data[3], "the class position stays");
}

#[test]
fn a_checkpoint_of_another_patch_size_is_refused_with_both_sizes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vit.safetensors");
    save(
        &path,
        &values("backbones/vit.ron", &["embedding=8", "depth=1", "heads=2", "hidden=16", "patch=7", "layers=[0]"], &channels(3)),
    );
    let loaded = match_file(&graph("backbones/vit.ron", &SMALL), &channels(3), &LoadRequest::whole(&path)).expect("a file");
    assert!(!loaded.report.is_exact());
    let text = loaded.report.text();
    assert!(text.contains("patch_embed.proj.weight is [8, 3, 4, 4], the file has [8, 3, 7, 7]"), "{text}");
    assert!(text.contains("help: the file's patches are 7 x 7 pixels, the graph's 4 x 4"), "{text}");
}

#[test]
fn reading_a_header_touches_no_tensor() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vit.safetensors");
    let mut weights = values("backbones/vit.ron", &SMALL, &channels(3));
    weights.get_mut("norm.weight").expect("a parameter").data[2] = f64::NAN;
    save_unchecked(&path, &weights);
    let checked = graph("backbones/vit.ron", &SMALL);
    let loaded = load(&checked, &channels(3), &LoadRequest::whole(&path)).expect("names and shapes fit");
    let error = loaded.tensor("norm.weight").expect_err("a NaN").to_string();
    assert!(error.contains("tensor `norm.weight` holds NaN at element 2"), "{error}");
    assert!(WeightSet::open(&path).is_ok());
}

/// As `save`, for values that are not finite.
fn save_unchecked(path: &std::path::Path, arrays: &BTreeMap<String, Array>) {
    use sward::weights::{Dtype, TensorOut, to_bytes};
    let owned: Vec<(&String, &Array, Vec<u8>)> = arrays
        .iter()
        .map(|(name, array)| (name, array, array.data.iter().flat_map(|value| (*value as f32).to_le_bytes()).collect()))
        .collect();
    let tensors: Vec<TensorOut<'_>> = owned
        .iter()
        .map(|(name, array, bytes)| TensorOut {
            name: name.as_str().into(),
            dtype: Dtype::F32,
            shape: array.shape.as_slice().into(),
            bytes: bytes.as_slice().into(),
        })
        .collect();
    std::fs::write(path, to_bytes(&tensors, &indexmap::IndexMap::new()).expect("a file")).expect("a file");
}
