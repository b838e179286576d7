//! Kernels that are bound by memory, as a share of a copy of the same bytes measured in the same run; depthwise convolution as GFLOP/s.
//!
//! `cargo bench -p sward-kernels --bench memory`; `EXAMPLES=64` for tensors that no cache holds, `THREADS` for other than two threads;
//! `-- NAME` for the kernels with that in their names.

mod common;

use common::{Buffer, pool, quartile_seconds_of_each};
use smallvec::smallvec;
use sward_core::program::RunKey;
use sward_core::scalar::{ScalarFunction, ScalarGraph, ScalarId, ScalarKind};
use sward_kernels::cpu::features::Features;
use sward_kernels::cpu::kernels::depthwise::{self, Depthwise};
use sward_kernels::cpu::kernels::layer_norm::{self, LayerNorm};
use sward_kernels::cpu::kernels::map::{Elements, MapInput, MapProgram, map};
use sward_kernels::cpu::kernels::matmul::{Data, DataMut};
use sward_kernels::cpu::kernels::movement::StridedCopy;
use sward_kernels::cpu::kernels::reduce::{Reduce, Reduction};
use sward_kernels::cpu::kernels::softmax;
use sward_kernels::cpu::threads::{Shared, parallel_ranges};

const WIDTH: usize = 96;

type Build = fn(&mut ScalarGraph, &[ScalarId]) -> ScalarId;

fn main() {
    let threads: usize = std::env::var("THREADS").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
    // Eight examples of a first stage fit into a shared cache of 32 MB; sixty-four do not.
    let examples: usize = std::env::var("EXAMPLES").ok().and_then(|n| n.parse().ok()).unwrap_or(8);
    let rows = examples * 56 * 56;
    let n = rows * WIDTH;
    let features = Features::detect();
    let level = features.level();
    println!("{features:?}, {threads} threads, tensors of {} MB", n * 4 / 1_000_000);
    pool(threads).install(|| {
        let a = Buffer::<f32>::filled(n, |i| ((i * 7919) % 1000) as f32 / 500.0 - 1.0);
        let b = Buffer::<f32>::filled(n, |i| ((i * 104_729) % 1000) as f32 / 500.0 - 1.0);
        let row = Buffer::<f32>::filled(WIDTH, |i| i as f32);
        let mut out = Buffer::<f32>::filled(n, |_| 0.0);
        let mut copied = Buffer::<f32>::filled(n, |_| 0.0);
        let mut row_out = Buffer::<f32>::filled(4 * rows, |_| 0.0);
        let out = out.as_mut_ptr();
        let row_out = row_out.as_mut_ptr();
        let mut copy = {
            let (from, to) = (Shared::from_pointer(a.as_ptr().cast_mut()), Shared::new(&mut copied));
            move || {
                // SAFETY: ranges are disjoint parts of both buffers.
                parallel_ranges(n, 1 << 16, |range| unsafe {
                    std::ptr::copy_nonoverlapping(from.pointer().add(range.start), to.pointer().add(range.start), range.len());
                });
            }
        };
        let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
        let mut report = |name: &str, bytes: usize, flops: usize, kernel: &mut dyn FnMut()| {
            if !wanted.is_empty() && !wanted.iter().any(|wanted| name.contains(wanted.as_str())) {
                return;
            }
            let seconds = quartile_seconds_of_each(&mut [&mut copy, kernel]);
            let (copy_rate, rate) = (8.0 * n as f64 / seconds[0], bytes as f64 / seconds[1]);
            println!(
                "{name:28} {:6.1} GB/s, {:4.0} % of a copy's {:5.1}; {:6.1} GFLOP/s; {:.2} ms",
                rate / 1e9,
                100.0 * rate / copy_rate,
                copy_rate / 1e9,
                flops as f64 / seconds[1] / 1e9,
                seconds[1] * 1e3
            );
        };
        let dense = |data: &[f32]| MapInput { elements: Elements::F32(data.as_ptr().cast_mut()), strides: smallvec![WIDTH, 1] };
        let bias = MapInput { elements: Elements::F32(row.as_ptr().cast_mut()), strides: smallvec![0, 1] };
        let maps: [(&str, usize, Vec<MapInput>, Build); 6] = [
            ("scale", 2, vec![dense(&a)], |g, x| {
                let two = g.number(1.5);
                g.multiply(x[0], two)
            }),
            ("add", 3, vec![dense(&a), dense(&b)], |g, x| g.add(x[0], x[1])),
            ("add a row", 2, vec![dense(&a), bias.clone()], |g, x| g.add(x[0], x[1])),
            ("gelu", 2, vec![dense(&a)], |g, x| {
                let scale = g.number(std::f64::consts::FRAC_1_SQRT_2);
                let (half, one) = (g.number(0.5), g.number(1.0));
                let inner = g.multiply(x[0], scale);
                let erf = g.erf(inner);
                let sum = g.add(erf, one);
                let product = g.multiply(x[0], half);
                g.multiply(product, sum)
            }),
            ("silu", 2, vec![dense(&a)], |g, x| {
                let gate = g.sigmoid(x[0]);
                g.multiply(x[0], gate)
            }),
            ("dropout", 2, vec![dense(&a)], |g, x| {
                let (draw, keep, zero, scale) = (g.random(3), g.number(0.9), g.number(0.0), g.number(1.0 / 0.9));
                let kept = g.less(draw, keep);
                let scaled = g.multiply(x[0], scale);
                g.select(kept, scaled, zero)
            }),
        ];
        for (name, tensors, inputs, build) in maps {
            let function = ScalarFunction::build(&vec![ScalarKind::Number; inputs.len()], build);
            let program = MapProgram::new(&function.linearize(), &[rows, WIDTH], inputs);
            // SAFETY: all buffers have the shape's elements.
            report(name, tensors * 4 * n, 0, &mut || unsafe { map(level, &program, RunKey::default(), &[Elements::F32(out)]) });
        }
        let identity = ScalarFunction::build(&[ScalarKind::Number], |_, x| x[0]).linearize();
        let program = MapProgram::new(&identity, &[rows, WIDTH], vec![dense(&a)]);
        for (name, axes) in [("sum of rows", vec![1]), ("sum of columns", vec![0]), ("sum of all", vec![0, 1])] {
            let reduce = Reduce::new(Reduction::Sum, &[rows, WIDTH], &axes);
            // SAFETY: as above.
            report(name, 4 * n, 0, &mut || unsafe { reduce.run(level, &program, RunKey::default(), Elements::F32(row_out)) });
        }
        let norm = LayerNorm { rows, width: WIDTH, epsilon: 1e-6, centered: true };
        let weight = Some(Data::F32(row.as_ptr()));
        let statistics = [Shared::from_pointer(row_out), Shared::from_pointer(row_out.wrapping_add(rows))];
        let forward = layer_norm::Forward {
            x: Data::F32(a.as_ptr()),
            weight,
            bias: weight,
            y: DataMut::F32(out),
            mean: statistics[0],
            rstd: statistics[1],
        };
        // SAFETY: as above.
        report("layer norm", 8 * n, 0, &mut || unsafe { layer_norm::forward(level, norm, &forward) });
        let backward = layer_norm::Backward {
            dy: Data::F32(b.as_ptr()),
            x: Data::F32(a.as_ptr()),
            weight,
            mean: statistics[0].pointer(),
            rstd: statistics[1].pointer(),
            dx: DataMut::F32(out),
            dweight: Some(row_out.wrapping_add(2 * rows)),
            dbias: Some(row_out.wrapping_add(3 * rows)),
        };
        // SAFETY: as above.
        report("layer norm gradient", 12 * n, 0, &mut || unsafe { layer_norm::backward(level, norm, &backward) });
        // SAFETY: as above.
        report("softmax", 8 * n, 0, &mut || unsafe {
            softmax::forward(level, rows, WIDTH, false, Data::F32(a.as_ptr()), DataMut::F32(out));
        });
        let pixels = rows / examples;
        let (small, matrix) = (n / (49 * 8 * WIDTH), n / (16 * WIDTH));
        for (name, planes, plane_rows, columns, bytes) in [
            ("permute to channels first", examples, WIDTH, pixels, 4),
            ("permute bf16", examples, WIDTH, pixels, 2),
            ("permute planes of 7x7", small, 8 * WIDTH, 49, 4),
            ("permute a matrix", 1, 16 * WIDTH, matrix, 4),
        ] {
            let plane = (plane_rows * columns) as isize;
            let from = [plane, 1, plane_rows as isize];
            let transpose = StridedCopy::new(&[planes, plane_rows, columns], &from, &[plane, columns as isize, 1], bytes);
            // SAFETY: as above.
            report(name, 2 * bytes * n, 0, &mut || unsafe { transpose.run(level, a.as_ptr().cast(), out.cast()) });
        }
        let problem = Depthwise {
            batch: examples,
            channels: WIDTH,
            input: (56, 56),
            output: (56, 56),
            kernel: (7, 7),
            stride: (1, 1),
            padding: (3, 3),
            dilation: (1, 1),
            spread: (1, 1),
        };
        let filters = Data::F32(b.as_ptr());
        // SAFETY: as above.
        report("depthwise 7x7", 8 * n, 98 * n, &mut || unsafe {
            depthwise::forward(level, &problem, Data::F32(a.as_ptr()), filters, false, None, DataMut::F32(out));
        });
        // SAFETY: as above.
        report("depthwise 7x7 weight gradient", 8 * n, 98 * n, &mut || unsafe {
            depthwise::weight_gradient(level, &problem, Data::F32(a.as_ptr()), filters, row_out);
        });
    });
}
