//! The CUDA engine: the same programs on an NVIDIA GPU. `docs/cuda.md` says how it works.

mod blas;
pub mod cache;
pub mod device;
pub mod driver;
pub mod libraries;
pub mod nvrtc;

use std::sync::Arc;

use device::{Device, DeviceError};
use sward_core::program::Program;

use crate::engine::{Engine, Plan, PrepareError};

/// Runs programs on a GPU.
#[derive(Clone, Debug)]
pub struct CudaEngine {
    device: Arc<dyn Device>,
}

impl CudaEngine {
    /// An engine on the first GPU that the driver shows.
    ///
    /// # Errors
    /// When a library is missing (with what was searched for), or there is no GPU that is new enough.
    pub fn new() -> Result<CudaEngine, PrepareError> {
        Ok(CudaEngine { device: Arc::new(driver::Driver::open()?) })
    }
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

    fn prepare(&self, _: &Program) -> Result<Box<dyn Plan>, PrepareError> {
        Err(PrepareError::Device(format!("{}: this build has no kernels", self.device.description())))
    }
}
