//! What an op of the language is: its schema, its rule for types, its lowering.
//!
//! Core knows this trait and no concrete op. The catalogue in `sward-ops` holds one op a file and registers them in a
//! [`Catalogue`]. Resolving reads an op's [`Schema`] to check fields and references before the op sees them; checking calls
//! [`Op::infer`] once for every node of a graph, with symbolic types; compiling calls [`Op::lower`] with sizes.

mod call;
mod catalogue;
mod field;
mod initializer;
mod lowering;
mod schema;
mod types;
mod view;

pub use call::{Call, Complaint, Input, Refused};
pub use catalogue::{Catalogue, CatalogueError};
pub use field::{FieldValue, Fields, FormulaName, FormulaText};
pub use initializer::Initializer;
pub use lowering::{LowerCall, Mode};
pub use schema::{Accepts, Default, Field, FieldKind, Outputs, Port, PortKind, Schema};
pub use types::{ParameterKind, ParameterSpec, SymbolicType, display_shape};
pub use view::FieldView;

use crate::dim::{Dim, DimError};
use crate::program::{BuildError, Builder, ValueId};
use smallvec::SmallVec;

/// What a gradient does at a port of an op.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Differentiable {
    /// Gradients flow by a rule.
    Rule,
    /// The gradient is zero almost everywhere, for this reason (comparisons, rounding, `Detach`): it ends here silently, as asked.
    Zero(&'static str),
    /// There is no gradient, for this reason: a trained parameter before this port is an error.
    None(&'static str),
}

/// One op of the catalogue. Implementors are unit structs; an op's file holds everything that is to know about it.
pub trait Op: Send + Sync + 'static {
    /// Name, fields, ports and documentation.
    fn schema(&self) -> &'static Schema;

    /// The types of the outputs, in the order of [`Op::output_names`]; declares parameters and obligations on the way.
    ///
    /// # Errors
    /// [`Refused`], after at least one [`Call::error`]: the checker marks the outputs unknown and goes on with other nodes.
    fn infer(&self, call: &mut Call<'_>) -> Result<SmallVec<[SymbolicType; 2]>, Refused>;

    /// Whether and how gradients pass from the outputs to this port. Asked only where the port's tensor and an output are floats.
    fn differentiable(&self, _call: &Call<'_>, _port: &str) -> Differentiable {
        Differentiable::Rule
    }

    /// Floating point operations of the forward pass, a multiply-add counted as two.
    ///
    /// # Errors
    /// When the count leaves 64 bits.
    fn flops(&self, call: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError>;

    /// Emits the op's program with sizes; returns one value an output, of the types that `infer` gives at these sizes. Outputs on request
    /// that nothing reads are not asked for.
    ///
    /// # Errors
    /// As the builder's; [`LowerCall::refuse`] for sizes that a lowering cannot carry.
    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Result<SmallVec<[ValueId; 2]>, BuildError>;
}

/// The most outputs of one node; an op refuses fields that ask for more.
pub const MAX_OUTPUTS: usize = 4096;

/// The names of an op's outputs for these fields: the schema's, or `0`, `1`, ... where their number depends on a field.
pub fn output_names(schema: &Schema, fields: &Fields) -> Vec<String> {
    match schema.outputs {
        Outputs::Named(names) | Outputs::OnRequest(names) => names.iter().map(|name| (*name).to_string()).collect(),
        Outputs::Counted { fields: counted } => {
            let count = counted.iter().find_map(|field| match fields.get(schema, field)? {
                FieldValue::Dim(dim) => Some(dim.as_constant().unwrap_or(0).max(0) as usize),
                FieldValue::List(items) => Some(items.len()),
                _ => None,
            });
            (0..count.unwrap_or(0).min(MAX_OUTPUTS)).map(|index| index.to_string()).collect()
        }
    }
}
