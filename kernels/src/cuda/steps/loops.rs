//! Loops over broadcast operands with as few axes as can be, and the C++ text of their index arithmetic.

use std::fmt::Write;

use super::Operand;

/// Axes that several operands are walked along together; neighbours that every operand walks as one are one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Loop {
    /// The sizes, outermost first.
    pub sizes: Vec<usize>,
    /// Whether each axis is reduced.
    pub reduced: Vec<bool>,
    /// Per operand, elements from one position of each axis to the next.
    pub strides: Vec<Vec<usize>>,
}

/// Strides of a dense operand for reading it as `shape`: 0 where it repeats.
pub(super) fn broadcast_strides(own: &[usize], shape: &[usize]) -> Vec<usize> {
    let stride = |axis: usize| own[axis + 1..].iter().product::<usize>();
    (0..shape.len()).map(|axis| if own[axis] == 1 { 0 } else { stride(axis) }).collect()
}

/// Row-major strides.
pub(super) fn dense_strides(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect()
}

impl Loop {
    /// Axes of `shape` (some of them reduced) for operands with these strides.
    pub(super) fn new(shape: &[usize], is_reduced: impl Fn(usize) -> bool, strides: &[Vec<usize>]) -> Loop {
        let mut result = Loop { sizes: Vec::new(), reduced: Vec::new(), strides: vec![Vec::new(); strides.len()] };
        for axis in (0..shape.len()).filter(|axis| shape[*axis] != 1) {
            let joins = result.sizes.last().is_some()
                && result.reduced.last() == Some(&is_reduced(axis))
                && strides.iter().zip(&result.strides).all(|(own, taken)| taken.last() == Some(&(own[axis] * shape[axis])));
            if joins {
                *result.sizes.last_mut().expect("there is one") *= shape[axis];
                for (taken, own) in result.strides.iter_mut().zip(strides) {
                    *taken.last_mut().expect("there is one") = own[axis];
                }
            } else {
                result.sizes.push(shape[axis]);
                result.reduced.push(is_reduced(axis));
                for (taken, own) in result.strides.iter_mut().zip(strides) {
                    taken.push(own[axis]);
                }
            }
        }
        result
    }

    /// The loop over `shape` of an elementwise kernel's operands.
    pub(super) fn of_operands(shape: &[usize], operands: &[Operand]) -> Loop {
        let strides: Vec<Vec<usize>> = operands.iter().map(|operand| broadcast_strides(operand.shape(), shape)).collect();
        Loop::new(shape, |_| false, &strides)
    }

    /// Whether an operand is walked row-major without repeating.
    pub(super) fn is_dense(&self, operand: usize) -> bool {
        self.strides[operand] == dense_strides(&self.sizes)
    }

    /// Whether an operand is the same everywhere.
    pub(super) fn is_constant(&self, operand: usize) -> bool {
        self.strides[operand].iter().all(|stride| *stride == 0)
    }

    /// C++ lines that take `variable` apart into positions `prefix<axis>` along the kept or the reduced axes. What is left after an axis is
    /// named after that axis, so that lines for both kinds of axes may stand in one scope.
    pub(super) fn positions(&self, variable: &str, prefix: &str, index: &str, is_wanted: impl Fn(usize) -> bool) -> String {
        let mut text = String::new();
        let mut rest = variable.to_string();
        let outermost = (0..self.sizes.len()).find(|axis| is_wanted(*axis));
        for axis in (0..self.sizes.len()).rev().filter(|axis| is_wanted(*axis)) {
            if Some(axis) == outermost {
                let _ = writeln!(text, "    const {index} {prefix}{axis} = {rest};");
            } else {
                let (size, left) = (self.sizes[axis], format!("{prefix}rest{axis}"));
                let _ = writeln!(text, "    const {index} {prefix}{axis} = {rest} % {size}, {left} = {rest} / {size};");
                rest = left;
            }
        }
        text
    }

    /// The C++ expression of an operand's element at the positions `prefix<axis>`.
    pub(super) fn offset(&self, operand: usize, prefix: &str) -> String {
        let terms: Vec<String> = (0..self.sizes.len())
            .filter(|axis| self.strides[operand][*axis] != 0)
            .map(|axis| match self.strides[operand][axis] {
                1 => format!("{prefix}{axis}"),
                stride => format!("{prefix}{axis} * {stride}"),
            })
            .collect();
        if terms.is_empty() { "0".to_string() } else { terms.join(" + ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_that_all_operands_walk_as_one_are_one() {
        let shape = [2, 3, 1, 4, 5];
        let dense = broadcast_strides(&[2, 3, 1, 4, 5], &shape);
        let bias = broadcast_strides(&[1, 1, 1, 4, 5], &shape);
        let walked = Loop::new(&shape, |_| false, &[dense, bias]);
        assert_eq!(walked.sizes, [6, 20]);
        assert_eq!(walked.strides, [vec![20, 1], vec![0, 1]]);
        assert!(walked.is_dense(0) && !walked.is_dense(1));
    }

    #[test]
    fn reduced_axes_do_not_join_kept_ones() {
        let shape = [2, 3, 4];
        let walked = Loop::new(&shape, |axis| axis == 1, &[dense_strides(&shape)]);
        assert_eq!((walked.sizes, walked.reduced), (vec![2, 3, 4], vec![false, true, false]));
    }

    #[test]
    fn positions_of_kept_and_of_reduced_axes_share_a_scope() {
        let shape = [2, 3, 4, 5];
        let walked = Loop::new(&shape, |axis| axis % 2 == 1, &[dense_strides(&shape)]);
        let kept = walked.positions("kept", "i", "i64", |axis| !walked.reduced[axis]);
        let reduced = walked.positions("reduced", "i", "i64", |axis| walked.reduced[axis]);
        assert_eq!(kept, "    const i64 i2 = kept % 4, irest2 = kept / 4;\n    const i64 i0 = irest2;\n");
        assert_eq!(reduced, "    const i64 i3 = reduced % 5, irest3 = reduced / 5;\n    const i64 i1 = irest3;\n");
    }
}
