//! The figures, one file each. Every function takes plain data and gives the markup of one or several figures.

mod ablation;
mod calibration;
mod curves;
mod distributions;
mod gallery;
mod groups;
mod predictions;

pub(super) use ablation::ablation;
pub(super) use calibration::calibration;
pub(super) use curves::curves;
pub(super) use distributions::distributions;
pub(super) use gallery::gallery;
pub(super) use groups::groups;
pub(super) use predictions::predictions;
