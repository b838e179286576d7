//! What the rules for types share: ranks, axes, broadcasts, windows, settings and counts.

mod axes;
mod broadcast;
mod compare;
mod domains;
mod elementwise;
mod emit;
mod formulas;
mod settings;
mod windows;

pub(crate) use axes::*;
pub(crate) use broadcast::*;
pub(crate) use compare::*;
pub(crate) use domains::*;
pub use elementwise::*;
pub(crate) use emit::*;
pub(crate) use formulas::*;
pub(crate) use settings::*;
pub(crate) use windows::*;
