//! Symbolic tensor types and the parameters that ops make.

use super::Initializer;
use crate::dim::Dim;
use crate::domain::Domain;
use crate::program::DType;
use smallvec::SmallVec;
use std::fmt;

/// The type of a tensor in a graph: dtype, symbolic sizes and domain.
#[derive(Clone, PartialEq, Debug)]
pub struct SymbolicType {
    /// The element type; `BF16` never occurs in a graph.
    pub dtype: DType,
    /// The sizes, outermost first.
    pub shape: SmallVec<[Dim; 4]>,
    /// What values are possible.
    pub domain: Domain,
}

impl SymbolicType {
    /// A type whose values may be anything.
    pub fn new(dtype: DType, shape: impl IntoIterator<Item = Dim>) -> SymbolicType {
        SymbolicType { dtype, shape: shape.into_iter().collect(), domain: Domain::ANY }
    }

    /// The same with a domain.
    pub fn with_domain(self, domain: Domain) -> SymbolicType {
        SymbolicType { domain, ..self }
    }

    /// The same dtype and domain with other sizes.
    pub fn with_shape(&self, shape: impl IntoIterator<Item = Dim>) -> SymbolicType {
        SymbolicType { dtype: self.dtype, shape: shape.into_iter().collect(), domain: self.domain }
    }

    /// Number of sizes.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }
}

impl fmt::Display for SymbolicType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, display_shape(&self.shape))
    }
}

/// Sizes as they are shown to people: `[batch, 2 * channels, height / 32]`.
pub fn display_shape(shape: &[Dim]) -> String {
    format!("[{}]", shape.iter().map(Dim::to_string).collect::<Vec<_>>().join(", "))
}

/// What a parameter is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ParameterKind {
    /// Changed by the optimizer (unless the graph freezes it).
    Trained,
    /// Running statistics and fixed tables: saved, loaded, never given a gradient.
    Buffer,
}

/// A parameter that an op makes.
#[derive(Clone, PartialEq, Debug)]
pub struct ParameterSpec {
    /// The last part of its name, `weight`; empty when the node's own name is the parameter's.
    pub name: &'static str,
    /// PyTorch's layout.
    pub shape: SmallVec<[Dim; 4]>,
    /// How it starts.
    pub initial: Initializer,
    /// Trained or buffer.
    pub kind: ParameterKind,
    /// The element type; `I64` only for buffers.
    pub dtype: DType,
}
