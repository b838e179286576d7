//! What holds for all primitives: they are documented, and their attributes tell them apart.

use std::collections::BTreeSet;
use sward_core::program::DType;
use sward_ops::primitives::problems::{Draw, Extent, families};

const PAGE: &str = include_str!("../../docs/program.md");

/// The names in the first column of the page's tables.
fn documented() -> BTreeSet<&'static str> {
    PAGE.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|line| line.split('`').next()).collect()
}

#[test]
fn every_primitive_is_documented_and_has_problems() {
    let names: BTreeSet<&str> = families().iter().map(|family| family.name).collect();
    assert_eq!(names.len(), families().len(), "one family for each primitive");
    assert_eq!(names, documented());
}

#[test]
fn different_primitives_print_different_attributes() {
    for family in families() {
        for seed in 0..300 {
            let problem = |seed| family.problem(Draw::new(seed, DType::BF16, Extent::Small)).op;
            let (left, right) = (problem(seed), problem(seed + 1));
            // The debug text names every field, and prints a scalar graph node by node.
            let is_same = format!("{left:?}") == format!("{right:?}");
            if is_same {
                assert_eq!(left.attributes(), right.attributes(), "{}", family.name);
            } else if !["map", "map_reduce"].contains(&family.name) {
                assert_ne!(left.attributes(), right.attributes(), "{}: {left:?} and {right:?}", family.name);
            }
        }
    }
}

#[test]
fn problems_fit_for_every_dtype_and_extent() {
    for family in families() {
        for dtype in [DType::F32, DType::BF16] {
            for extent in [Extent::Small, Extent::Large] {
                for seed in 0..40 {
                    let problem = family.problem(Draw::new(seed, dtype, extent));
                    let program = problem.program();
                    sward_core::program::verify(&program).unwrap_or_else(|error| panic!("{problem}: {error}"));
                    assert!(program.flops() >= 0.0 && program.flops().is_finite(), "{problem}");
                }
            }
        }
    }
}
