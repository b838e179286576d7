//! The nearest name to one that was not found.

use std::cmp::Reverse;

/// The candidate that was most likely meant by `name`, if one is near enough.
///
/// Names that differ in case and separators alone (`conv_2d`, `Conv2d`) come first. Otherwise the distance counts inserted, deleted,
/// exchanged and transposed characters; up to a third of the longer name's characters may differ, and at least one. Among equally near
/// candidates the one with the longer common beginning wins, then the first in alphabetical order, so the order of the candidates
/// does not matter.
///
/// ```
/// use sward_core::suggest::nearest;
///
/// assert_eq!(nearest("conv_2d", ["Conv1d", "Conv2d", "Linear"]), Some("Conv2d"));
/// assert_eq!(nearest("Liner", ["Conv1d", "Conv2d", "Linear"]), Some("Linear"));
/// assert_eq!(nearest("Softmax", ["Conv1d", "Conv2d", "Linear"]), None);
/// ```
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(name);
    let best = candidates.into_iter().filter(|candidate| *candidate != name).filter_map(|candidate| {
        let other = fold(candidate);
        let allowed = (folded.len().max(other.len()) / 3).max(1);
        if folded.len().abs_diff(other.len()) > allowed {
            return None;
        }
        let distance = distance(&folded, &other);
        // Of two characters, one that differs is half of the name: too much to be a slip.
        let slip = distance <= allowed && distance < folded.len().max(other.len()).saturating_sub(1);
        let common = folded.iter().zip(&other).take_while(|(a, b)| a == b).count();
        (distance == 0 || slip).then_some((distance, Reverse(common), candidate))
    });
    best.min().map(|(_, _, candidate)| candidate)
}

/// The characters of a name without case and separators.
fn fold(name: &str) -> Vec<char> {
    let folded: Vec<char> = name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect();
    if folded.is_empty() { name.chars().collect() } else { folded }
}

/// How many characters must be inserted, deleted, exchanged or transposed with their neighbour to make `b` of `a` (optimal string
/// alignment: no part is edited twice).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (row, x) in a.iter().enumerate() {
        let mut current = Vec::with_capacity(b.len() + 1);
        current.push(row + 1);
        for (column, y) in b.iter().enumerate() {
            let exchanged = last[column] + usize::from(x != y);
            let mut least = exchanged.min(last[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && *x == b[column - 1] && a[row - 1] == *y {
                least = least.min(before_last[column - 1] + 1);
            }
            current.push(least);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OPS: [&str; 8] = ["Conv1d", "Conv2d", "ConvTranspose2d", "Linear", "LayerNorm", "RmsNorm", "Relu", "LeakyRelu"];

    #[test]
    fn case_and_separators_do_not_count() {
        assert_eq!(nearest("conv2d", OPS), Some("Conv2d"));
        assert_eq!(nearest("Conv_2d", OPS), Some("Conv2d"));
        assert_eq!(nearest("layer-norm", OPS), Some("LayerNorm"));
        assert_eq!(nearest("RELU", OPS), Some("Relu"));
    }

    #[test]
    fn slips_of_the_keyboard_are_found() {
        assert_eq!(nearest("Lienar", OPS), Some("Linear"));
        assert_eq!(nearest("LayrNorm", OPS), Some("LayerNorm"));
        assert_eq!(nearest("ConvTranpose2d", OPS), Some("ConvTranspose2d"));
        assert_eq!(nearest("heigth", ["height", "width"]), Some("height"));
        assert_eq!(nearest("unit", ["units", "bias"]), Some("units"));
    }

    #[test]
    fn far_names_are_not_suggested() {
        assert_eq!(nearest("Dropout", OPS), None);
        assert_eq!(nearest("x", ["y", "z"]), None);
        assert_eq!(nearest("k", ["q", "kv"]), None);
        assert_eq!(nearest("", OPS), None);
        assert_eq!(nearest("Relu", ["Relu"]), None);
    }

    #[test]
    fn the_order_of_candidates_does_not_matter() {
        assert_eq!(nearest("head", ["heads", "heap"]), nearest("head", ["heap", "heads"]));
        assert_eq!(nearest("Conv3d", ["Conv2d", "Conv1d"]), Some("Conv1d"));
    }

    #[test]
    fn distances_are_right() {
        let distance = |a: &str, b: &str| distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abcd", "acbd"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("ca", "abc"), 3);
    }

    proptest! {
        #[test]
        fn the_distance_is_symmetric_and_bounded(a in "[abc]{0,8}", b in "[abc]{0,8}") {
            let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            let found = distance(&a, &b);
            prop_assert_eq!(found, distance(&b, &a));
            prop_assert!(found <= a.len().max(b.len()) && found >= a.len().abs_diff(b.len()));
            prop_assert_eq!(found == 0, a == b);
        }
    }
}
