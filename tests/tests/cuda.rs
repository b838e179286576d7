//! The CUDA engine's whole way on the host shim: training steps of the library's blocks against the CPU engine.

use std::sync::Arc;

use sward_core::program::DType;
use sward_kernels::cpu::CpuEngine;
use sward_kernels::cuda::{CudaEngine, host::HostDevice};
use sward_tests::comparison::side_by_side;
use sward_tests::graphs::{blocks, training_step};

/// Enough for a step that is launched one by one, one that is recorded, and one from the recording.
const STEPS: u64 = 4;

#[test]
fn blocks_train_on_the_host_shim_as_on_the_processor() {
    let folder = std::env::temp_dir().join("sward-host-kernels");
    let cuda = match HostDevice::new(folder, 227 << 10) {
        Ok(device) => CudaEngine::on(Arc::new(device)),
        Err(error) => {
            eprintln!("skipped: {error}");
            return;
        }
    };
    let cpu = CpuEngine::new(2).unwrap();
    let steps: Vec<_> = blocks()
        .into_iter()
        .flat_map(|placement| {
            let step = |dtype| training_step(&placement, dtype);
            [(DType::F32, step(DType::F32)), (DType::BF16, step(DType::BF16))].map(|(dtype, step)| (placement.name, dtype, step))
        })
        .collect();
    cuda.compile_ahead(steps.iter().map(|(_, _, (_, program))| program)).unwrap_or_else(|error| panic!("{error}"));
    for (name, dtype, (checked, program)) in &steps {
        let found = side_by_side([&cpu, &cuda], checked, program, STEPS, *dtype, name).unwrap_or_else(|error| panic!("{error}"));
        assert!(found.worst <= 1.0, "{dtype}: {} off by {} times the tolerance {}", found.place, found.worst, found.tolerance);
    }
}
