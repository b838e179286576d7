//! The fixtures that `tests/fixtures/fixture.py` describes.

use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::path::Path;
use sward_core::program::{Array, DType};

/// A graph file's peer: what another program computed.
pub struct Fixture {
    /// The graph file, by its path in the library.
    pub graph: String,
    /// `--set` for its params.
    pub sets: Vec<String>,
    /// Parameters and buffers.
    pub weights: BTreeMap<String, Array>,
    /// Cases by their letter.
    pub cases: BTreeMap<String, Case>,
}

/// Tensors of one case.
#[derive(Default)]
pub struct Case {
    /// What goes in.
    pub inputs: BTreeMap<String, Array>,
    /// What comes out.
    pub outputs: BTreeMap<String, Array>,
    /// Gradients of the scalar by outputs.
    pub cotangents: BTreeMap<String, Array>,
    /// Gradients of the scalar by parameters and inputs.
    pub gradients: BTreeMap<String, Array>,
}

impl Fixture {
    /// Reads a fixture.
    pub fn read(path: &Path) -> Fixture {
        let bytes = std::fs::read(path).expect("a fixture");
        let (_, metadata) = SafeTensors::read_metadata(&bytes).expect("a safetensors header");
        let metadata = metadata.metadata().clone().expect("metadata");
        let params: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&metadata["params"]).expect("params");
        let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
        let (mut weights, mut cases) = (BTreeMap::new(), BTreeMap::<String, Case>::new());
        for (name, view) in tensors.tensors() {
            let array = array(&view);
            let (section, rest) = name.split_once('/').expect("a section");
            if section == "weights" {
                weights.insert(rest.to_string(), array);
                continue;
            }
            let (kind, name) = rest.split_once('/').expect("a kind");
            let case = cases.entry(section.to_string()).or_default();
            let map = match kind {
                "inputs" => &mut case.inputs,
                "outputs" => &mut case.outputs,
                "cotangents" => &mut case.cotangents,
                "gradients" | "input_gradients" => &mut case.gradients,
                other => panic!("{}: unknown section `{other}`", path.display()),
            };
            map.insert(name.to_string(), array);
        }
        Fixture {
            graph: metadata["graph"].clone(),
            sets: params.iter().map(|(name, value)| format!("{name}={value}")).collect(),
            weights,
            cases,
        }
    }
}

fn array(view: &safetensors::tensor::TensorView<'_>) -> Array {
    let data = view.data();
    let (dtype, numbers): (DType, Vec<f64>) = match view.dtype() {
        Dtype::F32 => {
            (DType::F32, data.chunks_exact(4).map(|bytes| f64::from(f32::from_le_bytes(bytes.try_into().expect("4")))).collect())
        }
        Dtype::I64 => {
            (DType::I64, data.chunks_exact(8).map(|bytes| i64::from_le_bytes(bytes.try_into().expect("8")) as f64).collect())
        }
        Dtype::BOOL => (DType::Bool, data.iter().map(|byte| f64::from(*byte)).collect()),
        other => panic!("a fixture holds F32, I64 and BOOL, not {other:?}"),
    };
    Array::new(dtype, view.shape(), numbers)
}
