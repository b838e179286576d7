//! Every mapping: chosen by itself, complete, with the outputs of the library that wrote the file, and back again byte by byte.

use super::fixture::Fixture;
use super::{channels, check, fixtures, save, worst};
use std::collections::BTreeMap;
use sward::rundir::Disk;
use sward::weights::{LoadRequest, Loaded, WeightError, export, load};
use sward_core::check::Checked;
use sward_core::dim::Sizes;
use sward_core::lower::{LowerOptions, lower_to_program};
use sward_core::program::{Array, Role, RunKey, interpret};
use sward_kernels::{Data, Tensor};
use sward_ops::primitives::AddAlgebra;

/// The fixtures of the mappings.
fn all() -> Vec<(String, Fixture)> {
    let folder = fixtures().join("weights/mappings");
    let mut found: Vec<(String, Fixture)> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "safetensors"))
        .map(|path| (path.file_stem().expect("a name").to_string_lossy().into_owned(), Fixture::read(&path)))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(found.len() >= 18, "{} fixtures", found.len());
    found
}

fn tensors(loaded: &Loaded) -> BTreeMap<String, Array> {
    let mut found = BTreeMap::new();
    loaded
        .for_each(|name, tensor| {
            found.insert(name.to_owned(), tensor.to_array());
            Ok::<(), WeightError>(())
        })
        .expect("finite values");
    found
}

fn sizes_of(checked: &Checked, inputs: &BTreeMap<String, Array>) -> Sizes {
    let mut sizes = Sizes::new();
    for input in checked.inputs() {
        for (dim, size) in input.tensor_type.shape.iter().zip(&inputs[&*input.name].shape) {
            if let Some(name) = dim.as_name() {
                sizes.insert(name.as_str(), *size as i64);
            }
        }
    }
    sizes
}

#[test]
fn every_mapping_is_chosen_by_itself_and_gives_the_outputs_of_the_library_it_is_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut failed = Vec::new();
    for (name, fixture) in all() {
        let path = folder.path().join(format!("{name}.safetensors"));
        save(&path, &fixture.weights);
        let checked = match check(&fixture.graph, None, &fixture.sets, |_, _| {}) {
            Ok(checked) => checked,
            Err(text) => {
                failed.push(format!("{name}:\n{text}"));
                continue;
            }
        };
        let loaded = match load(&checked, &channels(3), &LoadRequest::whole(&path)) {
            Ok(loaded) => loaded,
            Err(error) => {
                failed.push(format!("{name}: {error}"));
                continue;
            }
        };
        let expected = name.split('+').next().expect("a name");
        if loaded.report.plan.mapping != expected {
            failed.push(format!("{name}: the mapping {} was chosen", loaded.report.plan.mapping));
        }
        let parameters = tensors(&loaded);
        for (letter, case) in &fixture.cases {
            let sizes = sizes_of(&checked, &case.inputs);
            let program = lower_to_program(&checked, &sizes, &LowerOptions::default(), &AddAlgebra).expect("a program");
            let mut arguments = case.inputs.clone();
            for argument in program.arguments.iter().filter(|argument| argument.role != Role::Input) {
                let value = parameters.get(&argument.name).cloned();
                // A counter that the file lacks keeps its start.
                let value = value.unwrap_or_else(|| Array::new(program.type_of(argument.value).dtype, &[], vec![0.0]));
                arguments.insert(argument.name.clone(), value);
            }
            let (outputs, _) = interpret(&program, &arguments, RunKey::default()).expect("all arguments are given");
            for (output, expected) in &case.outputs {
                let found = &outputs[output.as_str()];
                let worst = worst(&found.data, &expected.data);
                // transformers and timm differ in the epsilons of a few norms, far below this.
                if found.shape != expected.shape || worst > 2e-5 {
                    failed.push(format!("{name} {letter}: {output} differs by {worst:.1e} of the largest value"));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn weights_go_back_out_byte_by_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, fixture) in all() {
        let path = folder.path().join(format!("{name}.safetensors"));
        save(&path, &fixture.weights);
        let checked = check(&fixture.graph, None, &fixture.sets, |_, _| {}).expect("a graph");
        let loaded = load(&checked, &channels(3), &LoadRequest::whole(&path)).expect("it fits");
        let back = folder.path().join("back.safetensors");
        export(&loaded, &mut |name| loaded.tensor(name).expect("finite values"), &Disk, &back).expect("it goes back");
        assert_eq!(std::fs::read(&path).expect("the file"), std::fs::read(&back).expect("the file"), "{name}");
    }
}

#[test]
fn changed_values_go_back_to_where_they_came_from() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, fixture) in all() {
        let path = folder.path().join(format!("{name}.safetensors"));
        save(&path, &fixture.weights);
        let checked = check(&fixture.graph, None, &fixture.sets, |_, _| {}).expect("a graph");
        let loaded = load(&checked, &channels(3), &LoadRequest::whole(&path)).expect("it fits");
        // Halves and adds eighths: exact for most values, so that what comes back is comparable closely.
        let changed = |name: &str| {
            let tensor = loaded.tensor(name).expect("finite values")?;
            let Data::F32(values) = tensor.data() else { return Some(tensor) };
            let values = values.iter().enumerate().map(|(at, value)| value * 0.5 + (at % 7) as f32 * 0.125).collect();
            Some(Tensor::f32(tensor.shape(), values))
        };
        let back = folder.path().join("back.safetensors");
        export(&loaded, &mut |name| changed(name), &Disk, &back).expect("it goes back");
        let again = load(&checked, &channels(3), &LoadRequest::whole(&back)).expect("it fits again");
        for parameter in again.names() {
            let (found, expected) = (again.tensor(&parameter).expect("finite"), changed(&parameter).expect("a value"));
            let found = found.expect("it is there");
            let (found, expected) = (found.to_array(), expected.to_array());
            assert!(worst(&found.data, &expected.data) < 1e-6, "{name}: {parameter}");
        }
    }
}
