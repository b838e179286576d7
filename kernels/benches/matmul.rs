//! Matrix products against the `gemm` crate (f32) and the machine's AMX peak (bf16), measured in turns in one run.
//!
//! `cargo bench -p sward-kernels --bench matmul`, for cases whose names hold a text `-- weight`.

mod common;

use common::{Buffer, pool, quartile_seconds_of_each};
use half::bf16;
use sward_kernels::cpu::features::Features;
use sward_kernels::cpu::kernels::matmul::{Data, DataMut, Packed, Product, Source, multiply};

struct Case {
    name: &'static str,
    m: usize,
    k: usize,
    n: usize,
    transpose_left: bool,
    transpose_right: bool,
}

const fn case(name: &'static str, m: usize, k: usize, n: usize, transpose_left: bool, transpose_right: bool) -> Case {
    Case { name, m, k, n, transpose_left, transpose_right }
}

const CASES: [Case; 15] = [
    case("linear", 1568, 768, 3072, false, true),
    case("input gradient", 1568, 3072, 768, false, false),
    case("weight gradient", 768, 1568, 3072, true, false),
    case("narrow linear", 25088, 96, 384, false, true),
    case("narrow back", 25088, 384, 96, false, true),
    case("narrow weight gradient", 384, 25088, 96, true, false),
    case("head", 8, 768, 1000, false, true),
    case("square", 1024, 1024, 1024, false, false),
    // Eight examples through a block of ViT-S/16.
    case("token query, key, value", 1576, 384, 1152, false, true),
    case("token projection", 1576, 384, 384, false, true),
    case("token fc1", 1576, 384, 1536, false, true),
    case("token fc2", 1576, 1536, 384, false, true),
    case("token fc1 back", 1576, 1536, 384, false, false),
    case("token fc2 back", 1576, 384, 1536, false, false),
    case("token weight gradient", 1536, 1576, 384, true, false),
];

fn main() {
    let features = Features::detect();
    let threads: usize = std::env::var("THREADS").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
    println!("{features:?}, {threads} threads");
    pool(threads).install(|| {
        let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
        for case in CASES.iter().filter(|case| case.name.contains(&wanted)) {
            let Case { m, k, n, .. } = *case;
            let left = Buffer::<f32>::filled(m * k, |i| ((i * 7919) % 1000) as f32 / 500.0 - 1.0);
            let right = Buffer::<f32>::filled(k * n, |i| ((i * 104_729) % 1000) as f32 / 500.0 - 1.0);
            let left16 = Buffer::<bf16>::filled(m * k, |i| bf16::from_f32(left[i]));
            let right16 = Buffer::<bf16>::filled(k * n, |i| bf16::from_f32(right[i]));
            let mut out = Buffer::<f32>::filled(m * n, |_| 0.0);
            let mut out2 = Buffer::<f32>::filled(m * n, |_| 0.0);
            let mut out16 = Buffer::<bf16>::filled(m * n, |_| bf16::ZERO);
            let (left_strides, right_strides) =
                (if case.transpose_left { (1, m) } else { (k, 1) }, if case.transpose_right { (k, 1) } else { (1, n) });
            let source = |data, strides: (usize, usize)| move |_: usize| Source::Matrix { data, i_stride: strides.0, k_stride: strides.1 };
            let f32_left = source(Data::F32(left.as_ptr()), left_strides);
            let f32_right = source(Data::F32(right.as_ptr()), right_strides);
            let bf16_left = source(Data::Bf16(left16.as_ptr()), left_strides);
            let bf16_right = source(Data::Bf16(right16.as_ptr()), right_strides);
            let product = Product {
                features,
                batch: 1,
                m,
                n,
                k,
                left: &f32_left,
                right: &f32_right,
                right_shared: true,
                packed: None,
                out: DataMut::F32(out.as_mut_ptr()),
                out_batch_stride: 0,
                out_row_stride: n,
                accumulate: false,
                epilogue: None,
            };
            let half = Product { left: &bf16_left, right: &bf16_right, out: DataMut::Bf16(out16.as_mut_ptr()), ..product };
            // SAFETY: the buffers have the sizes of the case.
            let packed = unsafe { Packed::new(&half) };
            let half_packed = Product { packed: Some(&packed), ..half };
            let out2 = out2.as_mut_ptr();
            let seconds = quartile_seconds_of_each(&mut [
                // SAFETY: the buffers have the sizes of the case.
                &mut || unsafe {
                    gemm::gemm(
                        m,
                        n,
                        k,
                        out2,
                        1,
                        n as isize,
                        false,
                        left.as_ptr(),
                        left_strides.1 as isize,
                        left_strides.0 as isize,
                        right.as_ptr(),
                        right_strides.0 as isize,
                        right_strides.1 as isize,
                        0.0,
                        1.0,
                        false,
                        false,
                        false,
                        gemm::Parallelism::Rayon(0),
                    )
                },
                // SAFETY: the buffers have the sizes of the case.
                &mut || unsafe { multiply(&product) },
                // SAFETY: as above.
                &mut || unsafe { multiply(&half) },
                // SAFETY: as above.
                &mut || unsafe { multiply(&half_packed) },
            ]);
            let rate = |seconds: f64| 2.0 * (m * n * k) as f64 / seconds / 1e9;
            println!(
                "{:24} {m:6} x {k:6} x {n:6}: gemm {:6.0} GFLOP/s, f32 {:6.0} ({:3.0} % of gemm), bf16 {:6.0}, bf16 packed ahead {:6.0}",
                case.name,
                rate(seconds[0]),
                rate(seconds[1]),
                100.0 * seconds[0] / seconds[1],
                rate(seconds[2]),
                rate(seconds[3]),
            );
        }
    });
}
