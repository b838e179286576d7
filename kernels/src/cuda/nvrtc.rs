//! Compiling kernels by NVRTC.

use std::ffi::CString;

use cudarc::nvrtc::{result, sys};

use super::device::DeviceError;
use super::libraries::Library;

/// The compiler's version, for example (12, 9).
///
/// # Errors
/// When the library is missing.
pub fn version() -> Result<(i32, i32), DeviceError> {
    Library::Nvrtc.demand()?;
    let (mut major, mut minor) = (0, 0);
    // SAFETY: the library is there and both numbers are ours.
    unsafe { sys::nvrtcVersion(&mut major, &mut minor) }.result().map_err(|error| failed("nvrtcVersion", error))?;
    Ok((major, minor))
}

/// The architectures that it compiles for, as numbers: 90 is sm_90.
///
/// # Errors
/// When the library is missing.
pub fn architectures() -> Result<Vec<i32>, DeviceError> {
    Library::Nvrtc.demand()?;
    let mut count = 0;
    // SAFETY: the library is there; the list is as long as it says.
    unsafe {
        sys::nvrtcGetNumSupportedArchs(&mut count).result().map_err(|error| failed("nvrtcGetNumSupportedArchs", error))?;
        let mut known = vec![0; count.max(0) as usize];
        sys::nvrtcGetSupportedArchs(known.as_mut_ptr()).result().map_err(|error| failed("nvrtcGetSupportedArchs", error))?;
        Ok(known)
    }
}

fn failed(call: &'static str, error: result::NvrtcError) -> DeviceError {
    DeviceError::Call { call, reason: error.to_string() }
}

/// Machine code for an architecture (`sm_90`) from CUDA C++.
///
/// # Errors
/// When the library is missing, or the source does not compile: with the compiler's words.
pub fn compile(source: &str, architecture: &str) -> Result<Vec<u8>, DeviceError> {
    compile_with(source, architecture, &[]).map(|(code, _)| code)
}

/// The same with further options, and what the compiler says of the code.
///
/// # Errors
/// The same.
pub fn compile_with(source: &str, architecture: &str, further: &[&str]) -> Result<(Vec<u8>, String), DeviceError> {
    Library::Nvrtc.demand()?;
    let text = CString::new(source).map_err(|error| DeviceError::Compile(error.to_string()))?;
    let program = result::create_program(&text, Some(c"sward.cu")).map_err(|error| failed("nvrtcCreateProgram", error))?;
    let architecture_option = format!("--gpu-architecture={architecture}");
    // Generated kernels name positions and registers that not every expression reads (177).
    let options = [&*architecture_option, "--std=c++17", "-default-device", "--diag-suppress=177"];
    let options: Vec<String> = options.iter().chain(further).map(|option| (*option).to_string()).collect();
    // SAFETY: the program was just created and is destroyed once, below; the buffers have the sizes that the library says.
    unsafe {
        let compiled = result::compile_program(program, &options);
        let log = result::get_program_log(program).unwrap_or_default();
        let log: Vec<u8> = log.into_iter().map(|character| character as u8).take_while(|byte| *byte != 0).collect();
        let log = String::from_utf8_lossy(&log).into_owned();
        let code = match compiled {
            Ok(()) => cubin(program).map(|code| (code, log)),
            Err(error) => Err(DeviceError::Compile(format!("{error} for {architecture}: {log}"))),
        };
        let destroyed = result::destroy_program(program).map_err(|error| failed("nvrtcDestroyProgram", error));
        code.and_then(|code| destroyed.map(|()| code))
    }
}

/// # Safety
/// The program was compiled for a real architecture.
unsafe fn cubin(program: sys::nvrtcProgram) -> Result<Vec<u8>, DeviceError> {
    let mut size = 0;
    // SAFETY: the caller's promise; the buffer is as large as the library says.
    unsafe {
        sys::nvrtcGetCUBINSize(program, &mut size).result().map_err(|error| failed("nvrtcGetCUBINSize", error))?;
        let mut code = vec![0u8; size];
        sys::nvrtcGetCUBIN(program, code.as_mut_ptr().cast()).result().map_err(|error| failed("nvrtcGetCUBIN", error))?;
        Ok(code)
    }
}
