//! The choice of an engine: one enum for `--engine`, one function that makes it.

use clap::ValueEnum;
use sward_kernels::cpu::CpuEngine;
use sward_kernels::cuda::CudaEngine;
use sward_kernels::dfdx::DfdxEngine;
use sward_kernels::{Engine, PrepareError};

/// What runs a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum EngineChoice {
    /// This machine's processor
    #[default]
    Cpu,
    /// An NVIDIA GPU: the first one that the driver shows (CUDA_VISIBLE_DEVICES chooses)
    Cuda,
    /// Tensors of the library dfdx, op by op in f64: a slow second opinion, gradients by its own tape
    Dfdx,
}

impl EngineChoice {
    /// The name, as `--engine` has it.
    pub fn name(self) -> &'static str {
        match self {
            EngineChoice::Cpu => "cpu",
            EngineChoice::Cuda => "cuda",
            EngineChoice::Dfdx => "dfdx",
        }
    }
}

/// Makes the engine; `threads` (0: one for each processor) is the CPU engine's.
///
/// # Errors
/// Where the device or its libraries cannot be used, with what was searched.
pub fn engine(choice: EngineChoice, threads: usize) -> Result<Box<dyn Engine>, PrepareError> {
    Ok(match choice {
        EngineChoice::Cpu => Box::new(CpuEngine::new(threads)?),
        EngineChoice::Cuda => {
            let engine = CudaEngine::new()?;
            let device = engine.device().description();
            if !device.is_tested() {
                eprintln!("warning: {device}: the kernels are tested for sm_80 and sm_90 alone");
            }
            Box::new(engine)
        }
        EngineChoice::Dfdx => Box::new(DfdxEngine),
    })
}
