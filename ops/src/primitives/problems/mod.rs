//! Small random problems for every primitive: what gradients, engines and other autodiffs are tested on.
//!
//! A [`Problem`] is a primitive with operands that fit it and lie off its kinks (no ties where a maximum is chosen, no zero where a root is taken).
//! It is a pure function of a seed, so that a failing one is named by two words: family and seed. Sizes are 0, 1, odd and prime ones among others.

mod attentions;
mod convolutions;
mod draw;
mod elementwise;
mod images;
mod indexing;
mod movement;
mod normalization;
mod products;
mod reductions;
mod training;

pub use attentions::{attention_gradients, attentions};
pub use convolutions::wide_convolutions;
pub use draw::{Draw, Extent};
pub use products::products_with_epilogues;

use std::fmt;
use std::sync::Arc;
use sward_core::program::{Array, Builder, Primitive, Program, TensorType};

/// A primitive and operands for it.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The primitive.
    pub op: Arc<dyn Primitive>,
    /// The operands; floats are exactly representable in their dtype.
    pub inputs: Vec<Array>,
    /// The results through which gradients flow to every float operand; empty where the primitive has no gradient.
    pub differentiable: Vec<usize>,
}

impl Problem {
    /// A problem whose first result is differentiable.
    pub fn new(op: impl Primitive, inputs: Vec<Array>) -> Problem {
        Problem { op: Arc::new(op), inputs, differentiable: vec![0] }
    }

    /// A problem of a primitive without gradient.
    pub fn fixed(op: impl Primitive, inputs: Vec<Array>) -> Problem {
        Problem { differentiable: Vec::new(), ..Problem::new(op, inputs) }
    }

    /// The operands' types.
    pub fn types(&self) -> Vec<TensorType> {
        self.inputs.iter().map(Array::tensor_type).collect()
    }

    /// The one-instruction program: arguments `x0`, `x1`, ... and outputs `y0`, `y1`, ...
    ///
    /// # Panics
    /// When the operands do not fit: a bug of the family.
    pub fn program(&self) -> Program {
        Builder::single(self.op.clone(), &self.types()).unwrap_or_else(|error| panic!("{self}: {error}"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types: Vec<String> = self.types().iter().map(TensorType::to_string).collect();
        write!(f, "{}<{}>({})", self.op.name(), self.op.attributes(), types.join(", "))
    }
}

/// All problems of one primitive.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The primitive's name.
    pub name: &'static str,
    make: fn(&mut Draw) -> Problem,
}

impl Family {
    const fn new(name: &'static str, make: fn(&mut Draw) -> Problem) -> Family {
        Family { name, make }
    }

    /// The problem of a seed. Float operands (where the primitive allows) are of the dtype `Draw` was made with.
    pub fn problem(&self, mut draw: Draw) -> Problem {
        let problem = (self.make)(&mut draw);
        debug_assert_eq!(problem.op.name(), self.name, "a family is named after its primitive");
        problem
    }
}

/// The families of all primitives.
pub fn families() -> Vec<Family> {
    [
        elementwise::FAMILIES,
        movement::FAMILIES,
        reductions::FAMILIES,
        products::FAMILIES,
        normalization::FAMILIES,
        images::FAMILIES,
        indexing::FAMILIES,
        training::FAMILIES,
    ]
    .concat()
}
