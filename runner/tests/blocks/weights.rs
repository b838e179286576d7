//! Weights files against the reference implementation, and every way in which a file can be broken.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use proptest::prelude::*;
use serde_json::json;
use sward::rundir::Disk;
use sward::weights::{Dtype, TensorOut, WeightError, WeightFile, WeightSet, to_bytes, write};

use crate::fixture::{load, numbers};

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/weights")).join(name)
}

/// A file with this header, its length, and this much data.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn open(bytes: &[u8]) -> Result<WeightFile, WeightError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("w.safetensors");
    std::fs::write(&path, bytes).unwrap();
    WeightFile::open(&path)
}

#[track_caller]
fn refused(bytes: &[u8], text: &str) {
    let error = open(bytes).unwrap_err().to_string();
    assert!(error.contains(text), "`{error}` does not say `{text}`");
}

#[test]
fn every_dtype_reads_as_pytorch_wrote_it() {
    let file = WeightFile::open(&fixture("every_dtype.safetensors")).unwrap();
    let values = load("weights/values.json");
    assert_eq!(file.len(), 8);
    assert_eq!(file.metadata()["format"], "pt");
    for tensor in file.tensors() {
        let expected = numbers(&values[tensor.name]);
        let found: Vec<f64> = match tensor.dtype {
            Dtype::I64 => tensor.to_i64().unwrap().into_iter().map(|value| value as f64).collect(),
            Dtype::Bool => tensor.to_bool().unwrap().into_iter().map(f64::from).collect(),
            Dtype::U8 => tensor.bytes.iter().map(|&value| f64::from(value)).collect(),
            _ => tensor.to_f32().unwrap().iter().map(|&value| f64::from(value)).collect(),
        };
        assert_eq!(found, expected, "{}", tensor.name);
    }
    let scalar = file.require("norm.num_batches_tracked", Dtype::I64, &[]).unwrap();
    assert_eq!(scalar.to_i64().unwrap(), [17]);
    assert!(file.require("empty", Dtype::F32, &[0, 4]).unwrap().to_f32().unwrap().is_empty());
}

#[test]
fn a_file_of_the_reference_is_written_again_byte_by_byte() {
    for name in ["every_dtype.safetensors", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"] {
        let file = WeightFile::open(&fixture(name)).unwrap();
        let mut tensors: Vec<TensorOut> = file.tensors().map(TensorOut::from).collect();
        tensors.reverse();
        let directory = tempfile::tempdir().unwrap();
        let copy = directory.path().join("copy.safetensors");
        write(&Disk, &copy, &tensors, file.metadata()).unwrap();
        assert_eq!(std::fs::read(&copy).unwrap(), std::fs::read(fixture(name)).unwrap(), "{name}");
    }
}

#[test]
fn what_is_needed_and_not_there_is_named() {
    let file = WeightFile::open(&fixture("every_dtype.safetensors")).unwrap();
    let error = |name, dtype, shape: &[usize]| {
        let text = file.require(name, dtype, shape).unwrap_err().to_string();
        text.split_once("`: ").unwrap().1.to_owned()
    };
    assert_eq!(error("stem.1.weight", Dtype::F32, &[1]), "has no tensor `stem.1.weight`; the nearest name is `stem.0.weight`");
    assert_eq!(error("zzz", Dtype::F32, &[1]), "has no tensor `zzz`");
    assert_eq!(error("half", Dtype::F32, &[5]), "tensor `half` has dtype F16, needed is F32");
    assert_eq!(error("half", Dtype::F16, &[1, 5]), "tensor `half` has shape [5], needed is [1, 5]");
}

#[test]
fn every_truncation_and_every_extension_is_refused() {
    let whole = std::fs::read(fixture("every_dtype.safetensors")).unwrap();
    for length in 0..whole.len() {
        let error = open(&whole[..length]).unwrap_err().to_string();
        assert!(error.contains("is truncated"), "{length} bytes: {error}");
    }
    let last = "tensor `mask` ends at byte";
    refused(&whole[..whole.len() - 1], last);
    let longer = [whole, vec![0; 3]].concat();
    refused(&longer, "has 3 trailing bytes after the last tensor `mask`");
}

#[test]
fn hostile_headers_are_refused_by_tensor() {
    let entry = |name: &str, dtype: &str, shape: &str, start: u64, end: u64| {
        format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}"#)
    };
    let two = |a: String, b: String| format!("{{{a},{b}}}");
    let a = || entry("a", "F32", "[2]", 0, 8);
    refused(&file(&two(a(), entry("b", "F32", "[1]", 4, 8)), 8), "tensor `b` begins at byte 4, inside the tensor before");
    refused(&file(&two(a(), entry("b", "F32", "[1]", 12, 16)), 16), "tensor `b` begins at byte 12, 4 bytes after");
    refused(&file(&two(a(), a()), 8), "`a` is there twice");
    refused(&file(&format!("{{{}}}", entry("a", "F32", "[3]", 0, 8)), 8), "tensor `a` has 8 bytes, but F32 of shape [3]");
    refused(&file(&format!("{{{}}}", entry("a", "F32", "[2]", 8, 0)), 8), "tensor `a` ends at byte 0 before it begins");
    refused(&file(&format!("{{{}}}", entry("a", "C64", "[1]", 0, 8)), 8), "tensor `a` has dtype C64; known are F32");
    let overflow = format!("[{},4]", u64::MAX / 2);
    refused(&file(&format!("{{{}}}", entry("a", "F32", &overflow, 0, 8)), 8), "whose size overflows");
    refused(&file(&format!("{{{}}}", entry("a", "F32", "[-1]", 0, 8)), 8), "in `a`");
    refused(&file(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}}"#, 8), "unknown field `x`");
    refused(&file(r#"{"__metadata__":{"k":1}}"#, 0), "in `__metadata__`");
    refused(&file("[]", 0), "does not begin with `{`");
    refused(&file("{\"a\"", 0), "cannot be read");
    refused(&[b"\xff\xff\xff\xff\xff\xff\xff\xff".as_slice(), b"{}"].concat(), "claims a header of 18446744073709551615");
    assert!(open(&file("{}", 0)).unwrap().is_empty());
    refused(&file("{}", 5), "has 5 trailing bytes");
}

#[test]
fn values_that_are_not_finite_are_named_when_read_and_when_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("w.safetensors");
    let good = TensorOut::f32("w", &[3], &[1.0, 2.0, 3.0]);
    write(&Disk, &path, std::slice::from_ref(&good), &IndexMap::new()).unwrap();
    let before = std::fs::read(&path).unwrap();
    let bad = TensorOut::f32("w", &[3], &[1.0, f32::NAN, 3.0]);
    let error = write(&Disk, &path, std::slice::from_ref(&bad), &IndexMap::new()).unwrap_err();
    assert!(error.to_string().ends_with("tensor `w` holds NaN at element 1"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before, "a broken model never replaces a good one");

    let file = open(&to_bytes(&[bad], &IndexMap::new()).unwrap()).unwrap();
    let error = file.get("w").unwrap().to_f32().unwrap_err();
    assert!(error.to_string().ends_with("tensor `w` holds NaN at element 1"), "{error}");
    for (dtype, bytes) in [(Dtype::F16, 0x7c00u16.to_le_bytes()), (Dtype::BF16, 0xff80u16.to_le_bytes())] {
        let tensor = TensorOut { name: "h".into(), dtype, shape: vec![1].into(), bytes: bytes.to_vec().into() };
        let file = open(&to_bytes(&[tensor], &IndexMap::new()).unwrap()).unwrap();
        assert!(file.get("h").unwrap().to_f32().unwrap_err().to_string().contains("inf at element 0"));
    }
    let flag = TensorOut { name: "m".into(), dtype: Dtype::Bool, shape: vec![2].into(), bytes: vec![1, 2].into() };
    let file = open(&to_bytes(&[flag], &IndexMap::new()).unwrap()).unwrap();
    assert!(file.get("m").unwrap().to_bool().unwrap_err().to_string().contains("holds the byte 2 at element 1"));
}

#[test]
fn pickles_and_other_formats_are_recognised_and_never_loaded() {
    for name in ["zipped.pt", "legacy.pt"] {
        let error = WeightFile::open(&fixture(name)).unwrap_err().to_string();
        assert!(error.contains("is a PyTorch pickle"), "{error}");
        assert!(error.contains(&format!("torch.load('{name}'")) && error.contains("s.save_file("), "{error}");
    }
    refused(b"\x89HDF\r\n\x1a\n........", "is an HDF5 file, not safetensors");
    refused(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "run `git lfs pull`");
    let directory = tempfile::tempdir().unwrap();
    assert!(WeightFile::open(directory.path()).unwrap_err().to_string().ends_with("is not a regular file"));
    assert!(WeightFile::open(&directory.path().join("none")).unwrap_err().to_string().contains("No such file"));
    // A header of 640 bytes begins with the bytes of a pickle.
    let name = "n".repeat(588);
    let header = format!(r#"{{"{name}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}}}"#);
    let padded = format!("{header:640}");
    assert_eq!(padded.len(), 640);
    assert_eq!(open(&file(&padded, 0)).unwrap().len(), 1);
}

#[test]
fn a_sharded_model_reads_as_one_and_contradictions_are_named() {
    let set = WeightSet::open(&fixture("model.safetensors.index.json")).unwrap();
    assert_eq!(set.names().collect::<Vec<_>>(), ["stem.0.weight", "head.bias", "half"]);
    assert_eq!(*set.require("head.bias", Dtype::F32, &[3]).unwrap().to_f32().unwrap(), [0.5, -1.25, 3.0]);
    assert!(set.require("head.bia", Dtype::F32, &[3]).unwrap_err().to_string().contains("nearest name is `head.bias`"));

    let first = "model-00001-of-00002.safetensors";
    let second = "model-00002-of-00002.safetensors";
    let directory = tempfile::tempdir().unwrap();
    for shard in [first, second] {
        std::fs::copy(fixture(shard), directory.path().join(shard)).unwrap();
    }
    let index = |map: serde_json::Value| {
        let path = directory.path().join("model.safetensors.index.json");
        std::fs::write(&path, json!({ "weight_map": map }).to_string()).unwrap();
        WeightSet::open(&path).unwrap_err().to_string()
    };
    let says = |error: String, text: &str| assert!(error.contains(text), "{error}");
    says(index(json!({ "stem.0.weight": second })), "says that tensor `stem.0.weight` is in");
    says(index(json!({ "half": second })), "does not say that tensor `head.bias` is in");
    for shard in ["../evil.safetensors", "/etc/passwd", "a/../b", ".", ""] {
        says(index(json!({ "half": shard })), "is not a file name beside the index");
    }
    says(index(json!({ "half": "model-3.safetensors" })), "No such file");
    says(index(json!([1])), "is no index of shards");
}

proptest! {
    #[test]
    fn what_is_written_reads_the_same_here_and_in_the_reference(
        lengths in proptest::collection::vec((0usize..5, 0usize..4, 0usize..6), 0..8), fill: u8,
    ) {
        let dtypes = [Dtype::I64, Dtype::F32, Dtype::F16, Dtype::BF16, Dtype::U8, Dtype::Bool];
        let tensors: Vec<TensorOut> = lengths.iter().enumerate().map(|(at, &(rows, columns, dtype))| {
            let dtype = dtypes[dtype];
            let bytes = vec![fill & 1; rows * columns * dtype.size()];
            TensorOut { name: format!("t\"{at}/ü").into(), dtype, shape: vec![rows, columns].into(), bytes: bytes.into() }
        }).collect();
        let bytes = to_bytes(&tensors, &IndexMap::new()).unwrap();
        let ours = open(&bytes).unwrap();
        let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        prop_assert_eq!(ours.len(), tensors.len());
        prop_assert_eq!(theirs.len(), tensors.len());
        for tensor in &tensors {
            let view = ours.require(&tensor.name, tensor.dtype, &tensor.shape).unwrap();
            prop_assert_eq!(view.bytes, &*tensor.bytes);
            prop_assert_eq!(theirs.tensor(&tensor.name).unwrap().data(), &*tensor.bytes);
        }
    }

    #[test]
    fn no_flipped_byte_makes_the_reader_panic(at in 0usize..900, value: u8) {
        let mut bytes = std::fs::read(fixture("every_dtype.safetensors")).unwrap();
        let at = at % bytes.len();
        bytes[at] = value;
        if let Ok(file) = open(&bytes) {
            for tensor in file.tensors() {
                let _ = (tensor.to_f32(), tensor.to_i64(), tensor.to_bool());
            }
        }
    }
}
