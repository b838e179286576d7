//! Steps as calls of a device.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::staging::Staging;
use crate::cuda::device::{Address, Device, DeviceError, Function, Launch, PreparedProduct};
use crate::cuda::steps::Action;

/// What a run does for one instruction.
#[derive(Debug)]
pub(super) enum Call {
    Launch(Function, Launch),
    Product(PreparedProduct),
    Zero { address: Address, bytes: usize },
}

/// One instruction, compiled.
#[derive(Debug)]
pub(super) struct Ready {
    pub kernel: &'static str,
    pub calls: Vec<Call>,
    /// The search for values that are not finite, one for each float result.
    pub traps: Vec<Call>,
}

/// Turns what a step does into calls, and uploads its tables.
pub(super) fn calls(
    device: &Arc<dyn Device>,
    functions: &FxHashMap<String, Function>,
    actions: Vec<Action>,
) -> Result<Vec<Call>, DeviceError> {
    let mut calls = Vec::with_capacity(actions.len());
    for action in actions {
        match action {
            Action::Launch { kernel, launch } => calls.push(Call::Launch(functions[&kernel], launch)),
            Action::Product(product) => calls.push(Call::Product(device.prepare_product(&product)?)),
            Action::Zero { address, bytes } => calls.push(Call::Zero { address, bytes }),
            Action::Upload { address, bytes } => {
                let staging = Staging::new(device, bytes.len())?;
                // SAFETY: the staging memory holds the bytes until the device has read them.
                unsafe {
                    std::ptr::copy_nonoverlapping(bytes.as_ptr(), staging.pointer, bytes.len());
                    device.upload(address, staging.pointer, bytes.len())?;
                }
                device.synchronize()?;
            }
        }
    }
    Ok(calls)
}
