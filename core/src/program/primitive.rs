//! The trait of what an instruction can do.

use super::{Array, BuildError, Builder, DType, TensorType, ValueId};
use std::any::Any;
use std::fmt::Debug;

/// What random leaves depend on beside their stream and element: the same key gives the same numbers on every engine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct RunKey {
    /// The user's seed.
    pub seed: u64,
    /// The training step (the micro-step, under gradient accumulation).
    pub step: u64,
}

/// What a gradient rule is given.
pub struct GradientCall<'a> {
    /// The instruction's inputs.
    pub inputs: &'a [ValueId],
    /// The instruction's outputs.
    pub outputs: &'a [ValueId],
    /// For every output, the gradient of the scalar with respect to it, of the output's shape; `None` where it is zero.
    pub gradients: &'a [Option<ValueId>],
    /// For every input, whether its gradient is needed.
    pub wanted: &'a [bool],
}

/// One kind of instruction: its text, its rule for types, its gradient, its reference semantics and its cost.
///
/// Adding a primitive is one file in `sward-ops` that implements this trait; engines add kernels by downcasting.
pub trait Primitive: Debug + Send + Sync + Any {
    /// The name in a program's text, for example `matmul`.
    fn name(&self) -> &'static str;

    /// All attributes in a canonical text form, for example `axes=[1,2]`; together with the name and the inputs it decides
    /// whether two instructions compute the same. Empty when there are none.
    fn attributes(&self) -> String;

    /// The types of the results, or why these operands do not fit.
    ///
    /// # Errors
    /// A sentence for the verifier's message; a checked graph lowers to operands that fit.
    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String>;

    /// Emits instructions for the gradient with respect to every wanted input (`None`: zero everywhere).
    ///
    /// # Errors
    /// [`BuildError::NoGradient`] where a wanted gradient does not exist.
    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError>;

    /// Computes the results in f64, plainly: the definition that engines are compared with.
    fn reference(&self, inputs: &[&Array], key: RunKey) -> Vec<Array>;

    /// Floating point operations, counted as the field does (a multiply-add is two).
    fn flops(&self, inputs: &[TensorType], outputs: &[TensorType]) -> f64;

    /// Whether the result depends on the [`RunKey`].
    fn is_random(&self) -> bool {
        false
    }

    /// Whether results are the input's own bytes with another shape, so that an engine need not copy.
    fn is_view(&self) -> bool {
        false
    }

    /// Pairs (input, output) where the output may be written over the input when nobody reads the input later.
    fn in_place(&self) -> &[(usize, usize)] {
        &[]
    }

    /// The dtype that an input is read in best when the precision pass may choose; `None` leaves it.
    fn preferred_input(&self, _input: usize, wanted: DType) -> DType {
        wanted
    }

    /// For downcasting in engines and passes.
    fn as_any(&self) -> &dyn Any;
}

impl dyn Primitive {
    /// The concrete primitive, if it is one of type `T`.
    pub fn downcast<T: Primitive>(&self) -> Option<&T> {
        self.as_any().downcast_ref::<T>()
    }
}
