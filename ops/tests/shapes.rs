//! The rule for types of every op at many sizes: what it says in symbols is what its program has.

mod support;

use proptest::prelude::*;
use serde_json::Value;
use support::Node;
use sward_core::dim::Sizes;
use sward_core::program::verify;

fn cases() -> Vec<Value> {
    serde_json::from_str(include_str!("../../tests/fixtures/ops/cases.json")).expect("the fixture")
}

/// Values for the names of a case, drawn from a seed: small, with primes and 1.
fn draw(case: &Value, seed: u64) -> Sizes {
    let values = [1, 2, 3, 4, 5, 7, 8, 11, 12, 13];
    let mut state = seed;
    let sizes = case["sizes"].as_object().expect("sizes by name");
    sizes
        .keys()
        .map(|name| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (name.as_str(), values[(state >> 33) as usize % values.len()])
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn symbolic_types_at_sizes_are_the_programs(seed: u64) {
        let mut compared = 0;
        let cases = cases();
        for case in &cases {
            let node = Node::new(case["op"].as_str().expect("an op"), &case["fields"], &case["inputs"]);
            let checked = node.check();
            let types = checked.types.unwrap_or_else(|| panic!("{}: {:?}", case["name"], checked.complaints));
            let sizes = draw(case, seed);
            let flops = node.flops(&types).evaluate(&sizes);
            let met = checked.obligations.iter().all(|own| {
                own.dividend.evaluate(&sizes).is_ok_and(|dividend| dividend % own.divisor.evaluate(&sizes).unwrap_or(1) == 0)
            });
            // Windows may not fit at every size; the checker looks at sizes before it lowers.
            let positive = types.iter().flat_map(|own| &own.shape).all(|dim| dim.evaluate(&sizes).is_ok_and(|size| size >= 1));
            if !met || !positive {
                continue;
            }
            prop_assert!(flops.is_ok_and(|flops| flops >= 0), "{}: operations", case["name"]);
            match node.lower(&sizes, case["training"] == true) {
                Ok(lowered) => {
                    for (value, output) in lowered.values.iter().zip(&lowered.outputs) {
                        prop_assert_eq!(lowered.builder.type_of(*value), output, "{} at {}", case["name"], sizes);
                    }
                    let program = lowered.finish();
                    prop_assert!(verify(&program).is_ok(), "{} at {}", case["name"], sizes);
                    compared += 1;
                }
                Err(error) => {
                    let op = case["op"].as_str().expect("an op");
                    let may_refuse = ["Slice", "Select", "TopK", "Pad", "BatchNorm1d", "BatchNorm2d", "Var", "Std"].contains(&op);
                    prop_assert!(may_refuse, "{} at {}: {}", case["name"], sizes, error);
                }
            }
        }
        prop_assert!(compared * 2 > cases.len(), "{compared} of {} cases", cases.len());
    }
}
