use half::bf16;
use sward_core::scalar::{ScalarFunction, ScalarKind};

use super::super::rows::tests::levels;
use super::*;

/// Results of three dtypes, `shift` elements behind a line's beginning, with what lies around them.
fn results(level: Level, n: usize, shift: usize, streams: bool) -> (Vec<u32>, Vec<u16>, Vec<u8>) {
    let function = ScalarFunction::build(&[ScalarKind::Number; 2], |graph, x| graph.add(x[0], x[1]));
    let drawn = ScalarFunction::build(&[ScalarKind::Number; 2], |graph, x| {
        let (draw, zero) = (graph.random(3), graph.number(0.25));
        let kept = graph.less(zero, draw);
        graph.select(kept, x[0], x[1])
    });
    let a: Vec<f32> = (0..n).map(|i| (i % 89) as f32 - 44.0).collect();
    let b: Vec<f32> = (0..7).map(|i| i as f32).collect();
    let (mut words, mut halves, mut bools) = (vec![0.5f32; n + 128], vec![bf16::ONE; n + 128], vec![9u8; n + 128]);
    let starts = [words.as_ptr() as usize, halves.as_ptr() as usize, bools.as_ptr() as usize].map(|at| at.wrapping_neg() % LINE);
    let [word, half, bool] = [starts[0] / 4, starts[1] / 2, starts[2]].map(|start| start + shift);
    let rows = n / 7;
    for function in [function, drawn] {
        let inputs = [(&a, [7, 1]), (&b, [0, 1])].map(|(data, strides)| MapInput {
            elements: Elements::F32(data.as_ptr().cast_mut()),
            strides: strides.into_iter().collect(),
        });
        let program = MapProgram::new(&function.linearize(), &[rows, 7], inputs.to_vec());
        for output in [
            Elements::F32(words[word..].as_mut_ptr()),
            Elements::Bf16(halves[half..].as_mut_ptr()),
            Elements::Bool(bools[bool..].as_mut_ptr()),
        ] {
            // SAFETY: operands and results have the shape's elements.
            unsafe { map_with(level, &program, RunKey { seed: 5, step: 9 }, &[output], &[streams]) };
        }
    }
    // Around the results the fill is the same on all sides, however far they lie from the memory's beginning.
    let around = |start: usize| start - shift..start - shift + n + 64;
    let words = words[around(word)].iter().map(|x| x.to_bits()).collect();
    (words, halves[around(half)].iter().map(|x| x.to_bits()).collect(), bools[around(bool)].to_vec())
}

#[test]
fn results_past_the_caches_are_the_same_on_any_number_of_threads() {
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            for level in levels() {
                for n in [0, 7, 112, 119, 7 * 4096, 7 * 5001] {
                    for shift in [0, 4, 5, 16] {
                        assert_eq!(
                            results(level, n, shift, false),
                            results(level, n, shift, true),
                            "{n} elements behind {shift} at {level:?}"
                        );
                    }
                }
            }
        });
    }
}

/// Draws a stretch of a stream.
struct Draw(u64, usize);

const KEY: RunKey = RunKey { seed: 0x1234_5678_9abc_def0, step: 0x0fed_cba9_8765_4321 };

impl Kernel for Draw {
    type Output = Vec<f32>;
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Vec<f32> {
        let mut out = vec![2.0; self.1 + 1];
        // SAFETY: there is room for the numbers.
        unsafe { steps::uniform(s, KEY, 77, self.0, self.1, out.as_mut_ptr()) };
        assert_eq!(out.pop(), Some(2.0), "what lies behind is left alone");
        out
    }
}

#[test]
fn random_numbers_are_those_of_the_program_wherever_a_block_begins() {
    // The last starts lie around the overflow of a block's lower word, and around the largest element.
    let overflow = 4 << 32;
    for level in levels() {
        for first in [0, 1, 2, 3, 64, 1021, overflow - 260, overflow - 64, overflow - 63, overflow - 61, overflow, u64::MAX - 300]
        {
            for n in [0, 1, 3, 4, 61, 63, 64, 65, 128, 131, 260] {
                let want: Vec<f32> = (0..n as u64).map(|i| KEY.uniform(77, first + i)).collect();
                assert_eq!(dispatch(level, Draw(first, n)), want, "{n} from {first} at {level:?}");
            }
        }
    }
}
