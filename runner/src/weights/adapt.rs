//! Making a tensor fit another image size, window or number of channels.

use super::mapping::Adaptation;
use sward_ops::primitives::{Resize, ResizeMode};

/// An adaptation with the sizes that it goes between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adapt {
    /// Learned positions of another grid.
    Positions {
        /// Tokens before the grid's, which stay as they are.
        prefix: usize,
        /// Rows and columns of the file's grid.
        from: usize,
        /// Rows and columns of the graph's grid.
        to: usize,
    },
    /// A table of relative positions of another window, by its rows and columns `2 * window - 1`.
    Window {
        /// Of the file.
        from: usize,
        /// Of the graph.
        to: usize,
    },
    /// Another number of channels.
    Channels {
        /// The axis of the channels.
        axis: usize,
        /// The number in the graph; the file's is 3, or any where this is 1.
        to: usize,
    },
}

/// The square root of a square.
fn root(number: usize) -> Option<usize> {
    let root = number.isqrt();
    (root > 0 && root * root == number).then_some(root)
}

impl Adapt {
    /// How a tensor of the shape `found` becomes one of the shape `wanted`, where the adaptation can do that.
    pub fn between(adaptation: Adaptation, found: &[usize], wanted: &[usize]) -> Option<Adapt> {
        if found.len() != wanted.len() {
            return None;
        }
        let same_but = |axis: usize| (0..found.len()).all(|own| own == axis || found[own] == wanted[own]);
        match adaptation {
            Adaptation::Positions => {
                if found.len() != 3 || !same_but(1) {
                    return None;
                }
                // The tokens before the grid are as many in both, so they are what is over a square in both.
                let prefix = wanted[1] - wanted[1].isqrt().pow(2);
                let (from, to) = (root(found[1].checked_sub(prefix)?)?, root(wanted[1] - prefix)?);
                Some(Adapt::Positions { prefix, from, to })
            }
            Adaptation::Window => {
                if found.len() != 2 || !same_but(0) {
                    return None;
                }
                let (from, to) = (root(found[0])?, root(wanted[0])?);
                (from % 2 == 1 && to % 2 == 1).then_some(Adapt::Window { from, to })
            }
            Adaptation::Channels(axis) => {
                if axis >= found.len() || !same_but(axis) {
                    return None;
                }
                let is_possible = found[axis] == 3 || wanted[axis] == 1;
                is_possible.then_some(Adapt::Channels { axis, to: wanted[axis] })
            }
        }
    }

    /// What is done, for people.
    pub fn describe(&self) -> String {
        match self {
            Adapt::Positions { from, to, .. } => format!("resampled from {from} x {from} to {to} x {to} positions"),
            Adapt::Window { from, to } => format!("resampled from {from} x {from} to {to} x {to} distances"),
            Adapt::Channels { to: 1, .. } => "summed over its channels".to_string(),
            Adapt::Channels { to, .. } => format!("repeated to {to} channels"),
        }
    }

    /// Whether it is a resampling, rather than another number of channels.
    pub fn is_resampling(&self) -> bool {
        !matches!(self, Adapt::Channels { .. })
    }

    /// The adapted values of a tensor of the shape `shape`.
    pub fn run(&self, shape: &[usize], values: &[f32]) -> Vec<f32> {
        match *self {
            Adapt::Positions { prefix, from, to } => {
                let width = shape[2];
                let (kept, grid) = values.split_at(prefix * width);
                let mut result = kept.to_vec();
                result.extend(resize(grid, from, to, width, true));
                result
            }
            Adapt::Window { from, to } => resize(values, from, to, shape[1], false),
            Adapt::Channels { axis, to } => {
                let inner: usize = shape[axis + 1..].iter().product();
                let (found, outer): (usize, usize) = (shape[axis], shape[..axis].iter().product());
                let mut result = Vec::with_capacity(outer * to * inner);
                for row in 0..outer {
                    let channels = &values[row * found * inner..(row + 1) * found * inner];
                    if to == 1 {
                        let sum = |at: usize| (0..found).map(|channel| channels[channel * inner + at]).sum::<f32>();
                        result.extend((0..inner).map(sum));
                    } else {
                        let scale = (found as f64 / to as f64) as f32;
                        for channel in 0..to {
                            let source = &channels[channel % found * inner..][..inner];
                            result.extend(source.iter().map(|value| value * scale));
                        }
                    }
                }
                result
            }
        }
    }
}

/// A square map `[from, from, width]` at another size, bicubically: columns, then rows.
fn resize(values: &[f32], from: usize, to: usize, width: usize, antialias: bool) -> Vec<f32> {
    let filter = Resize { mode: ResizeMode::Bicubic, output: (to, to), align_corners: false, antialias };
    let taps = filter.taps(from, to);
    let mut rows = vec![0.0f64; from * to * width];
    for row in 0..from {
        for (column, tap) in taps.iter().enumerate() {
            let target = &mut rows[(row * to + column) * width..][..width];
            for (offset, weight) in tap.weights.iter().enumerate() {
                let source = &values[(row * from + tap.start + offset) * width..][..width];
                target.iter_mut().zip(source).for_each(|(sum, value)| *sum += weight * f64::from(*value));
            }
        }
    }
    let mut result = Vec::with_capacity(to * to * width);
    for tap in &taps {
        for at in 0..to * width {
            let taken = tap.weights.iter().enumerate();
            let sum: f64 = taken.map(|(offset, weight)| weight * rows[(tap.start + offset) * to * width + at]).sum();
            result.push(sum as f32);
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_no_adaptation_joins_are_refused() {
        let between = |adaptation, found: &[usize], wanted: &[usize]| Adapt::between(adaptation, found, wanted).is_some();
        assert!(between(Adaptation::Positions, &[1, 577, 8], &[1, 197, 8]));
        assert!(between(Adaptation::Positions, &[1, 1369, 8], &[1, 256, 8]));
        assert!(!between(Adaptation::Positions, &[1, 197, 8], &[1, 256, 8]), "one has a class position, the other none");
        assert!(!between(Adaptation::Positions, &[1, 577, 8], &[1, 197, 9]));
        assert!(between(Adaptation::Window, &[169, 3], &[529, 3]));
        assert!(!between(Adaptation::Window, &[169, 3], &[144, 3]));
        assert!(between(Adaptation::Channels(1), &[8, 3, 4, 4], &[8, 5, 4, 4]));
        assert!(between(Adaptation::Channels(1), &[8, 4, 4, 4], &[8, 1, 4, 4]));
        assert!(!between(Adaptation::Channels(1), &[8, 4, 4, 4], &[8, 5, 4, 4]));
        assert!(!between(Adaptation::Channels(1), &[8, 3, 14, 14], &[8, 3, 16, 16]));
    }
}
