//! Pinned memory of a plan's arguments.

use std::sync::Arc;

use sward_core::program::{Role, ValueId};

use crate::cuda::device::{Device, DeviceError};

/// What happened to an argument.
#[derive(Debug)]
pub(super) struct Slot {
    pub value: ValueId,
    pub role: Role,
    pub is_set: bool,
    /// Pinned memory of an input or setting, each from the `set` on that needs it: while one is read for a run that goes on, the other takes what
    /// the next run reads.
    pub staging: [Option<Staging>; 2],
    /// How often it was set since the device was last known to have read everything.
    pub sets: usize,
}

/// Pinned memory that belongs to a device.
#[derive(Debug)]
pub(super) struct Staging {
    device: Arc<dyn Device>,
    pub pointer: *mut u8,
}

// SAFETY: the memory belongs to this value alone.
unsafe impl Send for Staging {}

impl Staging {
    pub(super) fn new(device: &Arc<dyn Device>, bytes: usize) -> Result<Staging, DeviceError> {
        Ok(Staging { device: Arc::clone(device), pointer: device.allocate_staging(bytes)? })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        self.device.free_staging(self.pointer);
    }
}
