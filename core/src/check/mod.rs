//! Checking: from files to a proof.
//!
//! [`Session`] reads files, each once; [`Session::check`] elaborates one and returns [`Checked`], the only thing that later stages
//! accept, or diagnostics.

mod binding;
mod checked;
mod contract;
mod elaborate;
mod instance;
mod interfaces;
mod ops;
mod order;
mod overrides;
mod params;
mod place;
mod references;
mod repeat;
mod replay;
mod requires;
mod rewrite;
mod root;
mod rules;
mod session;
mod untrained;
mod unused;
mod values;

pub use checked::{Adapter, Checked, Edge, Graph, GraphInput, GraphOutput, Node, NodeKind, Parameter, ResolvedParam, Source};
pub use elaborate::{MAX_NODES, MAX_USE_DEPTH};
pub use overrides::{DimOverride, LoraRewrite, Overrides, Rewrite, SetOverride, SwapOverride};
pub use session::Session;
pub use values::{Names, expression_error, param as param_value};
