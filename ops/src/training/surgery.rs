//! Gradients of several losses that do not work against each other (PCGrad; Yu et al., "Gradient surgery for multi-task learning", 2020).
//!
//! Where the gradients of two losses point apart (their inner product is negative), each is projected onto the plane normal to the other;
//! the step takes the sum. A projected gradient is a combination of the losses' own gradients, so that the whole procedure needs the
//! gradients' inner products and, from there on, one small table of coefficients.

use super::{TrainingError, backward, find_loss};
use crate::primitives::EmitExt;
use sward_core::program::{Argument, BuildError, Builder, DType, Gradients, ValueId};

/// The gradients of some losses, put together: for every argument of `wanted`, in order. Nothing where no loss depends on it.
///
/// A loss' gradient meets the others' in the order of the losses after its own, cyclically; the paper draws the order anew in each step.
/// With two losses there is but one.
pub(super) fn projected(
    builder: &mut Builder,
    losses: &[String],
    wanted: &[Argument],
) -> Result<Vec<Option<ValueId>>, TrainingError> {
    let mut apart: Vec<Gradients> = Vec::with_capacity(losses.len());
    for name in losses {
        let value = find_loss(builder.program(), name)?;
        apart.push(backward(builder, value, wanted)?);
    }
    // In f32, and `None` where a loss does not depend on the argument.
    let mut wide: Vec<Vec<Option<ValueId>>> = Vec::with_capacity(losses.len());
    for gradients in &apart {
        let of = |argument: &Argument| gradients.of(argument.value);
        let casts = wanted.iter().map(|argument| of(argument).map(|own| builder.cast(own, DType::F32)).transpose());
        wide.push(casts.collect::<Result<_, BuildError>>()?);
    }
    let coefficients = coefficients(builder, &wide)?;
    let combined = (0..wanted.len()).map(|position| {
        let mut sum: Option<ValueId> = None;
        for (gradients, coefficient) in wide.iter().zip(&coefficients) {
            let Some(gradient) = gradients[position] else { continue };
            let scaled = builder.mul(gradient, *coefficient)?;
            sum = Some(match sum {
                Some(sum) => builder.add(sum, scaled)?,
                None => scaled,
            });
        }
        Ok(sum)
    });
    Ok(combined.collect::<Result<_, BuildError>>()?)
}

/// The inner product of two gradients over all arguments: `f32 []`.
fn product(builder: &mut Builder, a: &[Option<ValueId>], b: &[Option<ValueId>]) -> Result<ValueId, BuildError> {
    let mut sum = builder.fill(DType::F32, &[], 0.0)?;
    for (a, b) in a.iter().zip(b) {
        let (Some(a), Some(b)) = (a, b) else { continue };
        let product = builder.mul(*a, *b)?;
        let axes: Vec<usize> = (0..builder.shape(product).len()).collect();
        let total = builder.reduce_sum(product, &axes)?;
        let total = builder.reshape(total, &[])?;
        sum = builder.add(sum, total)?;
    }
    Ok(sum)
}

/// What each loss' gradient counts in the sum of all projected ones.
fn coefficients(builder: &mut Builder, gradients: &[Vec<Option<ValueId>>]) -> Result<Vec<ValueId>, BuildError> {
    let count = gradients.len();
    let mut products: Vec<Vec<ValueId>> = vec![Vec::new(); count];
    for first in 0..count {
        for second in 0..count {
            let own = match second < first {
                true => products[second][first],
                false => product(builder, &gradients[first], &gradients[second])?,
            };
            products[first].push(own);
        }
    }
    let (zero, one) = (builder.fill(DType::F32, &[], 0.0)?, builder.fill(DType::F32, &[], 1.0)?);
    let mut totals = vec![zero; count];
    for own in 0..count {
        let mut parts: Vec<ValueId> = (0..count).map(|other| if other == own { one } else { zero }).collect();
        for other in (1..count).map(|step| (own + step) % count) {
            let mut inner = zero;
            for (part, products) in parts.iter().zip(&products) {
                let share = builder.mul(*part, products[other])?;
                inner = builder.add(inner, share)?;
            }
            parts[other] = builder.map(&[parts[other], inner, products[other][other]], |graph, inputs| {
                let zero = graph.number(0.0);
                let is_apart = graph.less(inputs[1], zero);
                let ratio = graph.divide(inputs[1], inputs[2]);
                let projected = graph.subtract(inputs[0], ratio);
                graph.select(is_apart, projected, inputs[0])
            })?;
        }
        for (total, part) in totals.iter_mut().zip(parts) {
            *total = builder.add(*total, part)?;
        }
    }
    Ok(totals)
}
