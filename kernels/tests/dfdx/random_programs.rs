//! Random programs: what all ways of running them have in common.

use super::{KEY, assert_near, random, rounded, run, support};
use proptest::prelude::*;
use sward_core::program::{Builder, Program, interpret};
use sward_kernels::cpu::CpuEngine;
use sward_kernels::dfdx::DfdxEngine;
use sward_ops::passes::{PassOptions, optimize, optimize_forward};
use sward_ops::training::{GradientOptions, Loss, gradient_program};

/// The program's outputs and the gradients of their mean of squares.
fn with_gradients(mut builder: Builder, optimized: bool) -> Program {
    let options = PassOptions::default();
    if optimized {
        optimize_forward(builder.program_mut(), &options).unwrap_or_else(|error| panic!("{error}"));
    }
    let wanted = GradientOptions { loss: Loss::MeanOfSquares, parameters: true, inputs: true };
    let program = gradient_program(builder, &wanted).unwrap_or_else(|error| panic!("{error}"));
    if optimized { optimize(program, &options).unwrap_or_else(|error| panic!("{error}")) } else { program }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_ways_of_running_a_program_agree(seed in any::<u64>()) {
        let plain = with_gradients(random::program(seed), false);
        let optimized = with_gradients(random::program(seed), true);
        let given = rounded(support::arguments(&plain, seed));
        let (wanted, _) = interpret(&plain, &given, KEY).expect("given arguments");
        let cpu = CpuEngine::new(2).expect("threads");
        let unplanned = cpu.clone().with_memory_sharing(false);
        let ways = [
            ("unoptimized on the CPU", run(&cpu, &plain, &given)),
            ("optimized on the CPU", run(&cpu, &optimized, &given)),
            ("optimized on the CPU without shared memory", run(&unplanned, &optimized, &given)),
            ("optimized on dfdx", run(&DfdxEngine, &optimized, &given)),
        ];
        for (way, found) in &ways {
            prop_assert_eq!(found.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
            for (name, wanted) in &wanted {
                // Executed shapes are the inferred ones: `assert_near` compares them, too.
                let place = format!("{name} of seed {seed}, {way}\n{optimized}");
                assert_near(wanted, &found[name], 2e-4, &place);
            }
        }
        let (planned, unplanned) = (&ways[1].1, &ways[2].1);
        // NaN is no bit pattern to compare by `==`.
        let bits = |arrays: &super::Arrays| -> Vec<u64> { arrays.values().flat_map(|own| &own.data).map(|number| number.to_bits()).collect() };
        prop_assert_eq!(bits(planned), bits(unplanned), "shared memory changes bits: seed {}", seed);
    }
}
