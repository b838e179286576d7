//! The CUDA engine: the same programs on an NVIDIA GPU. `docs/cuda.md` says how it works.

mod blas;
pub mod cache;
mod compiler;
pub mod device;
mod draft;
pub mod driver;
#[cfg(any(test, feature = "host-shim"))]
pub mod host;
pub mod libraries;
pub mod nvrtc;
mod plan;
mod proof;
pub mod source;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use device::{Device, DeviceError};
use sward_core::program::Program;

use crate::engine::{Engine, Plan, PrepareError};

/// Runs programs on a GPU.
#[derive(Clone, Debug)]
pub struct CudaEngine {
    device: Arc<dyn Device>,
    turn: Arc<Mutex<()>>,
    shares_memory: bool,
    memory_limit: Option<usize>,
    warpgroups: bool,
    warpgroup_columns: Option<usize>,
    /// Attentions, and kernels of convolutions, by warpgroup products that were proved.
    proved: Arc<Mutex<BTreeSet<String>>>,
    proves: bool,
}

/// The variable of the environment that turns [`CudaEngine::with_warpgroups`] off where it is 0.
const WARPGROUPS: &str = "SWARD_CUDA_WARPGROUPS";

impl CudaEngine {
    /// An engine on the first GPU that the driver shows.
    ///
    /// # Errors
    /// When a library is missing (with what was searched for), or there is no GPU that is new enough.
    pub fn new() -> Result<CudaEngine, PrepareError> {
        let is_off = std::env::var_os(WARPGROUPS).is_some_and(|value| value == "0");
        Ok(CudaEngine::on(Arc::new(driver::Driver::open()?)).with_warpgroups(!is_off))
    }

    /// An engine on a device.
    pub fn on(device: Arc<dyn Device>) -> CudaEngine {
        CudaEngine {
            device,
            turn: Arc::default(),
            shares_memory: true,
            memory_limit: None,
            warpgroups: false,
            warpgroup_columns: None,
            proved: Arc::default(),
            proves: true,
        }
    }

    /// The same with (the default) or without values that share memory when their lifetimes allow.
    pub fn with_memory_sharing(self, shares_memory: bool) -> CudaEngine {
        CudaEngine { shares_memory, ..self }
    }

    /// The same with a bound on a plan's bytes instead of the memory that is free.
    pub fn with_memory_limit(self, bytes: usize) -> CudaEngine {
        CudaEngine { memory_limit: Some(bytes), ..self }
    }

    /// The same with or without Hopper's warpgroup products, for attention with heads of 64 and 128 and convolutions of many channels in bf16. On
    /// devices of another architecture it changes nothing.
    pub fn with_warpgroups(self, warpgroups: bool) -> CudaEngine {
        CudaEngine { warpgroups: warpgroups && self.device.description().capability == (9, 0), ..self }
    }

    /// The same with blocks of so many columns (64, 128 or 256) for every convolution by warpgroup products, which otherwise go by the sizes: for
    /// tests of each.
    pub fn with_warpgroup_columns(self, columns: usize) -> CudaEngine {
        CudaEngine { warpgroup_columns: Some(columns), ..self }
    }

    /// The same without a proof of the kernels by warpgroup products before they are used: for tests that judge them.
    pub fn without_proof(self) -> CudaEngine {
        CudaEngine { proves: false, ..self }
    }

    /// Whether it may use Hopper's warpgroup products.
    pub fn has_warpgroups(&self) -> bool {
        self.warpgroups
    }

    fn limits(&self) -> steps::Limits {
        let device = self.device.description();
        steps::Limits {
            shared_memory: device.shared_memory,
            warpgroups: self.warpgroups,
            multiprocessors: device.multiprocessors as usize,
            warpgroup_columns: self.warpgroup_columns,
        }
    }

    /// The device.
    pub fn device(&self) -> &dyn Device {
        self.device.as_ref()
    }

    /// Compiles the kernels of many programs at once, so that preparing them finds them compiled.
    ///
    /// # Errors
    /// Where an instruction has no kernel, or the compiler is missing.
    pub fn compile_ahead<'a>(&self, programs: impl IntoIterator<Item = &'a Program>) -> Result<usize, PrepareError> {
        let kernels = kernels_of(programs, self.limits())?;
        Ok(compiler::compile(self.device.as_ref(), &kernels)?.len())
    }
}

/// The kernels of many programs, for a device that offers this.
///
/// # Errors
/// Where an instruction has no kernel.
fn kernels_of<'a>(
    programs: impl IntoIterator<Item = &'a Program>,
    limits: steps::Limits,
) -> Result<Vec<source::Kernel>, PrepareError> {
    let mut kernels = Vec::new();
    for program in programs {
        kernels.extend(draft::kernels_of(program, limits)?);
    }
    kernels.sort_by(|a, b| (a.family, &a.name).cmp(&(b.family, &b.name)));
    kernels.dedup();
    Ok(kernels)
}

impl From<DeviceError> for PrepareError {
    fn from(error: DeviceError) -> PrepareError {
        PrepareError::Device(error.to_string())
    }
}

impl Engine for CudaEngine {
    fn name(&self) -> &'static str {
        "cuda"
    }

    fn identity(&self) -> String {
        format!("cuda {}", self.device.description())
    }

    fn prepare(&self, program: &Program) -> Result<Box<dyn Plan>, PrepareError> {
        if self.warpgroups && self.proves {
            proof::prove(self, program)?;
        }
        let plan = plan::CudaPlan::new(program, &self.device, &self.turn, self.limits(), self.shares_memory, self.memory_limit)?;
        Ok(Box::new(plan))
    }
}
