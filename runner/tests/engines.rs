//! `sward run` on the engines: the same tensors, gradients by two autodiffs, and the first node that is not finite.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use sward::Tensor;
use sward::parameters::write_tensors;
use sward::weights::WeightSet;

const GATE: &str = r#"Module(
    inputs: { "x": F32(["batch", 4]) },
    nodes: {
        "fc": Linear(from: "x", units: 3),
        "y": Chain(from: "fc", layers: [Gelu, Tanh]),
    },
    outputs: { "y": "y" },
)"#;

/// Negative numbers have no square root.
const ROOT: &str = r#"Module(
    inputs: { "x": F32(["batch", 4]) },
    nodes: {
        "shifted": Formula("x + 1"),
        "root": Formula("sqrt(shifted)"),
        "y": Formula("root * 2"),
    },
    outputs: { "y": "y" },
)"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn with_graph() -> Folder {
        let folder = Folder(tempfile::tempdir().expect("a folder"));
        std::fs::write(folder.path("gate.ron"), GATE).expect("written");
        std::fs::write(folder.path("root.ron"), ROOT).expect("written");
        let x = Tensor::f32(&[2, 4], vec![0.5, -0.5, 0.25, 2.0, -0.75, -1.5, 1.5, -2.0]);
        write_tensors(&folder.path("in.safetensors"), &[("x".to_string(), x)]).expect("written");
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, graph: &str, output: &str, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_sward"))
            .current_dir(self.0.path())
            .args(["run", graph, "--inputs", "in.safetensors", "--outputs", output])
            .args(more)
            .output()
            .expect("sward starts")
    }
}

fn numbers(path: &Path, name: &str) -> Vec<f32> {
    let file = WeightSet::open(path).expect("a file");
    let view = file.get(name).unwrap_or_else(|| panic!("no {name}"));
    view.to_f32().expect("f32").into_owned()
}

#[test]
fn gradients_by_dfdx_are_those_of_our_autodiff() {
    let folder = Folder::with_graph();
    for engine in ["cpu", "dfdx"] {
        let output = folder.run("gate.ron", engine, &["--engine", engine, "--gradients-of", "y"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    for name in ["y", "grad.fc.weight", "grad.fc.bias", "grad_in.x"] {
        let (ours, theirs) = (numbers(&folder.path("cpu"), name), numbers(&folder.path("dfdx"), name));
        assert_eq!(ours.len(), theirs.len(), "{name}");
        let is_near = ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(is_near && ours.iter().any(|number| number.abs() > 1e-3), "{name}: {ours:?} and {theirs:?}");
    }
    let unknown = folder.run("gate.ron", "out", &["--engine", "dfdx", "--gradients-of", "z"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no output `z` to take gradients of; the outputs are y"));
}

#[test]
fn a_trap_names_the_node_and_its_place() {
    let folder = Folder::with_graph();
    for engine in ["cpu", "dfdx"] {
        let output = folder.run("root.ron", "out", &["--engine", engine, "--trap-nonfinite"]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{told}");
        assert!(told.contains("node `root` (root.ron:5:17): map gives NaN at element 5"), "{told}");
    }
}

/// A photograph's channels are three for every verb that compiles, unless a size says otherwise.
#[test]
fn a_program_of_photographs_needs_no_size_for_their_channels() {
    let folder = Folder(tempfile::tempdir().expect("a folder"));
    let graph = r#"Module(
        inputs: { "image": F32(["batch", "channels", "height", "width"]) },
        nodes: { "y": Conv2d(from: "image", channels: 4, kernel: 3) },
        outputs: { "y": "y" },
    )"#;
    std::fs::write(folder.path("conv.ron"), graph).expect("written");
    for (more, channels) in [(&[][..], 3), (&["--dim", "channels=5"][..], 5)] {
        let sizes = ["show", "conv.ron", "--program", "--dim", "batch=2", "--dim", "height=8", "--dim", "width=8"];
        let shown = Command::new(env!("CARGO_BIN_EXE_sward")).current_dir(folder.0.path()).args(sizes).args(more).output();
        let shown = shown.expect("sward starts");
        let program = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(
            program.contains(&format!("f32[2,{channels},8,8] = input image")),
            "{program}{}",
            String::from_utf8_lossy(&shown.stderr)
        );
    }
}
