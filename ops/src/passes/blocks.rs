//! How the axes of a tensor and of its reshaped form correspond.

use std::ops::Range;
use sward_core::program::{Shape, element_count};

/// A run of axes before a reshape and the run of axes after it that holds the same elements.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Block {
    pub(crate) before: Range<usize>,
    pub(crate) after: Range<usize>,
}

/// The finest correspondence of two shapes of as many elements, outermost first. Axes of size 1 join the block before them (the first block, if
/// there is none). `None` for tensors without elements.
pub(crate) fn blocks(before: &[usize], after: &[usize]) -> Option<Vec<Block>> {
    if element_count(before) == 0 || element_count(before) != element_count(after) {
        return None;
    }
    let mut blocks: Vec<Block> = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < before.len() || j < after.len() {
        let (first_i, first_j) = (i, j);
        let (mut left, mut right) = (1usize, 1usize);
        loop {
            if left == right && left > 1 {
                break;
            }
            if left <= right && i < before.len() && (left < right || before[i] > 1 || j >= after.len() || after[j] == 1) {
                left *= before[i];
                i += 1;
            } else if j < after.len() {
                right *= after[j];
                j += 1;
            } else if i < before.len() {
                left *= before[i];
                i += 1;
            } else {
                break;
            }
        }
        // Ones that follow belong to this block.
        while i < before.len() && before[i] == 1 {
            i += 1;
        }
        while j < after.len() && after[j] == 1 {
            j += 1;
        }
        blocks.push(Block { before: first_i..i, after: first_j..j });
    }
    Some(blocks)
}

/// The sizes that an operand of sizes `own`, which broadcasts to `before`, has as one that broadcasts to `after`; `None` where it repeats along
/// part of a block.
pub(crate) fn reshaped_operand(own: &[usize], before: &[usize], after: &[usize], blocks: &[Block]) -> Option<Shape> {
    let mut shape = Shape::from_elem(1, after.len());
    for block in blocks {
        let sizes = &own[block.before.clone()];
        if sizes == &before[block.before.clone()] {
            shape[block.after.clone()].copy_from_slice(&after[block.after.clone()]);
        } else if sizes.iter().any(|size| *size != 1) {
            return None;
        }
    }
    Some(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(before: &[usize], after: &[usize]) -> Vec<(Range<usize>, Range<usize>)> {
        blocks(before, after).expect("elements").into_iter().map(|block| (block.before, block.after)).collect()
    }

    #[test]
    fn axes_that_merge_or_split_form_blocks() {
        assert_eq!(pairs(&[6, 5], &[2, 3, 5]), [(0..1, 0..2), (1..2, 2..3)]);
        assert_eq!(pairs(&[2, 3, 5], &[6, 5]), [(0..2, 0..1), (2..3, 1..2)]);
        assert_eq!(pairs(&[4, 6], &[6, 4]), [(0..2, 0..2)]);
        assert_eq!(pairs(&[2, 5], &[2, 1, 1, 5]), [(0..1, 0..3), (1..2, 3..4)]);
        assert_eq!(pairs(&[1, 5], &[5]), [(0..2, 0..1)]);
        assert_eq!(pairs(&[], &[1, 1]), [(0..0, 0..2)]);
        assert_eq!(blocks(&[0, 2], &[0]), None);
    }

    #[test]
    fn broadcast_operands_follow_whole_blocks_alone() {
        let (before, after) = ([2, 3, 5], [6, 5]);
        let blocks = blocks(&before, &after).expect("elements");
        let reshaped = |own: &[usize]| reshaped_operand(own, &before, &after, &blocks).map(|shape| shape.to_vec());
        assert_eq!(reshaped(&[1, 1, 5]), Some(vec![1, 5]));
        assert_eq!(reshaped(&[2, 3, 1]), Some(vec![6, 1]));
        assert_eq!(reshaped(&[2, 1, 1]), None);
    }
}
