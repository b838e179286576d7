//! Sentences to vectors: MiniLM with its published weights and tokenizer.
//!
//!     cargo run --release --example embed_sentences -- MODEL_FOLDER sentences.txt vectors.safetensors
//!
//! MODEL_FOLDER holds `model.safetensors` and `tokenizer.json`; the sentences stand one a line. The result has `pooled`, a row of
//! length 1 for every sentence. `tests/fixtures/text/sentences.py` compares it with sentence-transformers.

use std::error::Error;
use std::path::Path;
use sward::Graph;
use sward::rundir::Disk;
use sward::tensors::to_out;
use sward::text::TextEncoder;
use sward::weights::{LoadRequest, WeightError, load, write};
use sward_core::dim::Sizes;
use sward_core::lower::{LowerOptions, lower_to_program};
use sward_core::program::RunKey;
use sward_kernels::cpu::CpuEngine;
use sward_kernels::{Data, Engine, Tensor};
use sward_ops::passes::{PassOptions, optimize};
use sward_ops::primitives::AddAlgebra;

/// Tokens a row; longer sentences are cut, as the published model does.
const LENGTH: usize = 256;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, sentences, output] = arguments.as_slice() else {
        return Err("usage: embed_sentences MODEL_FOLDER sentences.txt vectors.safetensors".into());
    };
    let folder = Path::new(folder);
    let text = std::fs::read_to_string(sentences)?;
    let lines: Vec<&str> = text.lines().collect();
    let tokens = TextEncoder::open(&folder.join("tokenizer.json"), LENGTH)?.encode(&lines)?;

    let graph = Graph::read_library("backbones/minilm.ron")?;
    let checked = graph.checked();
    let mut sizes = Sizes::new();
    sizes.insert("batch", lines.len() as i64);
    sizes.insert("tokens", LENGTH as i64);
    let loaded = load(checked, &sizes, &LoadRequest::whole(&folder.join("model.safetensors")))?;
    eprintln!("{}", loaded.report.summary());

    let program = lower_to_program(checked, &sizes, &LowerOptions::default(), &AddAlgebra)?;
    let program = optimize(program, &PassOptions::default())?;
    let mut plan = CpuEngine::new(0)?.prepare(&program)?;
    let mut failed = None;
    loaded.for_each(|name, tensor| {
        if program.argument(name).is_some() {
            failed = failed.take().or(plan.set(name, &tensor).err());
        }
        Ok::<(), WeightError>(())
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let shape = [tokens.texts, tokens.length];
    plan.set("ids", &Tensor::new(&shape, Data::I64(tokens.ids)))?;
    plan.set("mask", &Tensor::new(&shape, Data::Bool(tokens.mask)))?;
    plan.run(RunKey::default())?;
    let pooled = plan.output("pooled")?;
    write(&Disk, Path::new(output), &[to_out("pooled", &pooled)], &indexmap::IndexMap::new())?;
    Ok(())
}
