//! What an op's file needs.

pub(crate) use super::support::*;
pub(crate) use crate::primitives::EmitExt;
pub(crate) use smallvec::{SmallVec, smallvec};
pub(crate) use sward_core::diagnostic::codes;
pub(crate) use sward_core::dim::{Dim, DimError};
pub(crate) use sward_core::domain::Domain;
pub(crate) use sward_core::op::{
    Accepts, Call, Complaint, Default, Differentiable, Field, FieldKind, Initializer, Input, LowerCall, Op, Outputs, Port,
    Refused, Schema, SymbolicType, display_shape,
};
pub(crate) use sward_core::program::{BuildError, Builder, DType, TensorType, ValueId};

/// The types of an op's outputs.
pub(crate) type Inferred = Result<SmallVec<[SymbolicType; 2]>, Refused>;
/// The values of an op's outputs.
pub(crate) type Lowered = Result<SmallVec<[ValueId; 2]>, BuildError>;
/// The sizes of a tensor in a graph.
pub(crate) type Sizes = SmallVec<[Dim; 4]>;
