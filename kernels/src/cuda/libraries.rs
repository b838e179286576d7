//! Which CUDA libraries this machine has. cudarc panics where one is missing, so that each is probed before its first call.

use super::device::DeviceError;

/// A library that the engine uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Library {
    /// The driver (`libcuda`), which comes with the GPU's kernel module.
    Driver,
    /// NVRTC, the compiler of kernels.
    Nvrtc,
    /// cuBLASLt, matrix products.
    CublasLt,
}

impl Library {
    /// All of them, in the order in which the engine needs them.
    pub const ALL: [Library; 3] = [Library::Driver, Library::Nvrtc, Library::CublasLt];

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Library::Driver => "the CUDA driver",
            Library::Nvrtc => "NVRTC",
            Library::CublasLt => "cuBLASLt",
        }
    }

    /// The file names that are tried, in order, in the system's library folders and those of `LD_LIBRARY_PATH`.
    pub fn searched(self) -> Vec<String> {
        let stems: &[&str] = match self {
            Library::Driver => &["cuda", "nvcuda"],
            Library::Nvrtc => &["nvrtc"],
            Library::CublasLt => &["cublasLt"],
        };
        let mut names: Vec<String> = Vec::new();
        for name in stems.iter().flat_map(|stem| cudarc::get_lib_name_candidates(stem)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Whether it can be loaded.
    pub fn is_present(self) -> bool {
        // SAFETY: loading these libraries runs their initializers alone, which the vendor makes safe to run at any time.
        unsafe {
            match self {
                Library::Driver => cudarc::driver::sys::is_culib_present(),
                Library::Nvrtc => cudarc::nvrtc::sys::is_culib_present(),
                Library::CublasLt => cudarc::cublaslt::sys::is_culib_present(),
            }
        }
    }

    /// Nothing where it can be loaded.
    ///
    /// # Errors
    /// [`DeviceError::Missing`] with what was searched for.
    pub fn demand(self) -> Result<(), DeviceError> {
        match self.is_present() {
            true => Ok(()),
            false => Err(DeviceError::Missing { library: self.name(), searched: self.searched() }),
        }
    }
}
