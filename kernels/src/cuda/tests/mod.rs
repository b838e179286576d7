//! The kernels on the host shim against the reference interpreter, and by NVRTC for the architectures that matter.

mod attentions;
mod convolutions;
mod plan;
mod sizes;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use sward_core::program::{Array, DType, Program, RunKey, interpret};
use sward_ops::primitives::problems::{Draw, Extent, Family, attention_gradients, attentions, families, wide_convolutions};

use super::*;
use crate::cpu::tests::assert_near;
use crate::tensor::Tensor;

/// Problems of each family and dtype.
const PROBLEMS: u64 = 16;

/// Problems of each family whose kernels are generated: as many as `gpu_check` has, as each may be another text.
const PROBLEMS_GENERATED: u64 = 40;

/// Shared memory of a block on sm_90.
const SHARED_MEMORY: usize = 227 << 10;

/// An engine on the host shim; `None`, with a line that says so, where there is no C++ compiler.
fn host() -> Option<CudaEngine> {
    static ENGINE: OnceLock<Option<CudaEngine>> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| device().map(|device| CudaEngine::on(Arc::new(device))));
    if engine.is_none() {
        eprintln!("skipped: no C++ compiler");
    }
    engine.clone()
}

/// A device of its own.
fn device() -> Option<host::HostDevice> {
    host::HostDevice::new(std::env::temp_dir().join("sward-host-kernels"), SHARED_MEMORY).ok()
}

/// The problems of a family: f32 and bf16, small and large.
fn problems(family: &Family) -> Vec<(Program, Vec<Tensor>)> {
    let mut problems = Vec::new();
    let count = if ["map", "map_reduce", "reduce"].contains(&family.name) { PROBLEMS_GENERATED } else { PROBLEMS };
    for dtype in [DType::F32, DType::BF16] {
        for seed in 0..count {
            let extent = if seed % 2 == 0 { Extent::Small } else { Extent::Large };
            let problem = family.problem(Draw::new(seed, dtype, extent));
            problems.push((problem.program(), problem.inputs.iter().map(Tensor::from_array).collect()));
        }
    }
    problems
}

/// Runs a program three times (step by step, recorded, from the recording) and compares each with the reference.
fn check(engine: &CudaEngine, program: &Program, arguments: &[Tensor], tolerance: f64) {
    let arrays: BTreeMap<String, Array> =
        program.arguments.iter().zip(arguments).map(|(argument, tensor)| (argument.name.clone(), tensor.to_array())).collect();
    let mut plan = engine.prepare(program).unwrap_or_else(|error| panic!("{error}\n{program}"));
    for (argument, tensor) in program.arguments.iter().zip(arguments) {
        plan.set(&argument.name, tensor).expect("it fits");
    }
    let is_random = program.instructions.iter().any(|instruction| instruction.op.is_random());
    let mut want = BTreeMap::new();
    for step in [3, 4, 1 << 33] {
        let key = RunKey { seed: 7 << 30, step };
        plan.run(key).unwrap_or_else(|error| panic!("{error}\n{program}"));
        if is_random || want.is_empty() {
            (want, _) = interpret(program, &arrays, key).expect("arguments fit");
        }
        for output in &program.outputs {
            let got = plan.output(&output.name).expect("it is there").to_array();
            assert_near(&want[&output.name], &got, tolerance, &format!("output {} of\n{program}", output.name));
        }
    }
}

#[test]
fn every_family_agrees_with_the_reference_on_the_host_shim() {
    let Some(engine) = host() else { return };
    let only = std::env::var("SWARD_FAMILY").ok();
    let mut failed = Vec::new();
    for family in families() {
        if only.as_ref().is_some_and(|only| *only != family.name) {
            continue;
        }
        let problems = problems(&family);
        let agrees = || {
            engine.compile_ahead(problems.iter().map(|(program, _)| program)).unwrap_or_else(|error| panic!("{error}"));
            for (program, arguments) in &problems {
                check(&engine, program, arguments, 2e-4);
            }
        };
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(agrees)).is_err() {
            failed.push(family.name);
        }
    }
    assert!(failed.is_empty(), "families that disagree: {failed:?}");
}

/// Every function for every architecture; its further instances for one of them each, in turn, as a compilation takes a good part of a second.
#[test]
fn every_kernel_compiles_for_the_architectures_that_matter() {
    const ARCHITECTURES: [&str; 3] = ["sm_80", "sm_90", "sm_90a"];
    if !libraries::Library::Nvrtc.is_present() {
        eprintln!("skipped: NVRTC not found");
        return;
    }
    let known = nvrtc::architectures().expect("the library is there");
    assert!(known.contains(&80) && known.contains(&90), "{known:?}");
    let mut programs: Vec<Program> =
        families().iter().flat_map(|family| problems(family).into_iter().map(|(program, _)| program)).collect();
    programs.extend(convolutions::depthwise_programs());
    let limits =
        |warpgroups| steps::Limits { shared_memory: SHARED_MEMORY, warpgroups, multiprocessors: 132, warpgroup_columns: None };
    let mut kernels = kernels_of(&programs, limits(false)).expect("kernels for every problem");
    let further: Vec<Program> = [DType::F32, DType::BF16]
        .into_iter()
        .flat_map(|dtype| attentions(dtype).into_iter().chain(attention_gradients(dtype)).chain(wide_convolutions(dtype)))
        .map(|problem| problem.program())
        .collect();
    kernels.extend(kernels_of(&further, limits(true)).expect("kernels for every problem"));
    for (columns, _) in steps::WARPGROUP_COLUMNS {
        let limits = steps::Limits { warpgroup_columns: Some(columns), ..limits(true) };
        kernels.extend(kernels_of(&further, limits).expect("kernels for every problem"));
    }
    kernels.sort_by(|a, b| (a.family, &a.name).cmp(&(b.family, &b.name)));
    kernels.dedup();
    let mut compiled = 0;
    for family in source::Family::ALL {
        let own: Vec<&source::Kernel> = kernels.iter().filter(|kernel| kernel.family == family).collect();
        assert!(!own.is_empty(), "no problem asks for a kernel of {family:?}");
        let is_first = |at: usize| own[..at].iter().all(|before| before.function != own[at].function);
        for (turn, architecture) in ARCHITECTURES.into_iter().enumerate() {
            if family.is_by_warpgroups() && architecture != "sm_90a" {
                continue;
            }
            let part: Vec<&source::Kernel> =
                (0..own.len()).filter(|at| is_first(*at) || at % ARCHITECTURES.len() == turn).map(|at| own[at]).collect();
            let told = nvrtc::compile_with(&source::assemble(family, &part), architecture, &["--ptxas-options=--verbose"]);
            let (code, log) = told.unwrap_or_else(|error| panic!("{family:?}: {error}"));
            // Where ptxas does not see that sums are left alone while products write them, it lets one product wait for the other.
            let waits: Vec<&str> = log.lines().filter(|line| line.contains("are serialized")).collect();
            assert!(waits.is_empty(), "{family:?}: {waits:?}");
            assert!(code.starts_with(b"\x7fELF"), "{family:?} for {architecture} is no cubin");
            compiled += part.len();
        }
    }
    eprintln!("compiled {compiled} instances of {} kernels", kernels.len());
}
