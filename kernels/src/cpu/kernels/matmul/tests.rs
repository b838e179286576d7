use half::bf16;
use proptest::prelude::*;

use super::*;

/// Deterministic numbers in -1 .. 1 with all bits in use, so that sums round.
fn numbers(n: usize, salt: u64) -> Vec<f32> {
    let scramble = |i: u64| {
        let x = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt.wrapping_mul(0xd1b5_4a32_d192_ed03);
        (x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40
    };
    (0..n as u64).map(|i| scramble(i) as f32 / 8_388_608.0 - 1.0).collect()
}

/// The numbers as stored.
fn stored(x: Vec<f32>, is_bf16: bool) -> Vec<f32> {
    if is_bf16 { x.into_iter().map(|x| bf16::from_f32(x).to_f32()).collect() } else { x }
}

fn to_bf16(x: &[f32]) -> Vec<bf16> {
    x.iter().map(|x| bf16::from_f32(*x)).collect()
}

#[derive(Clone, Debug)]
struct Problem {
    batch: usize,
    m: usize,
    n: usize,
    k: usize,
    transpose_left: bool,
    transpose_right: bool,
    shared: bool,
    accumulate: bool,
    left_bf16: bool,
    right_bf16: bool,
    out_bf16: bool,
    packed: bool,
}

fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0usize), Just(1), Just(2), Just(16), Just(31), Just(33), Just(63), 1..130usize]
}

fn problems() -> impl Strategy<Value = Problem> {
    let flags = proptest::collection::vec(any::<bool>(), 8);
    (1..3usize, sizes(), sizes(), sizes(), flags).prop_map(|(batch, m, n, k, f)| Problem {
        batch,
        m,
        n,
        k,
        transpose_left: f[0],
        transpose_right: f[1],
        shared: f[2],
        accumulate: f[3],
        left_bf16: f[4],
        right_bf16: f[5],
        out_bf16: f[6],
        packed: f[7] && f[2],
    })
}

struct AddRow<'a>(&'a [f32]);

impl Epilogue for AddRow<'_> {
    unsafe fn apply(&self, place: Place, tile: *mut f32, stride: usize) {
        for row in 0..place.rows {
            for column in 0..place.columns {
                let column_index = place.column + column;
                // SAFETY: the tile holds the place's rows and columns.
                unsafe { *tile.add(row * stride + column) += self.0[column_index] + (place.row + row + place.batch) as f32 };
            }
        }
    }
}

/// The result on `threads` threads.
fn run(p: &Problem, features: Features, threads: usize) -> Vec<f32> {
    let left = numbers(p.batch * p.m * p.k, 1);
    let right = numbers(if p.shared { 1 } else { p.batch } * p.n * p.k, 2);
    let bias = numbers(p.n, 3);
    let (left16, right16) = (to_bf16(&left), to_bf16(&right));
    let mut out = numbers(p.batch * p.m * p.n, 4);
    let mut out16 = to_bf16(&out);
    let data = |is_bf16, x: &[f32], x16: &[bf16]| if is_bf16 { Data::Bf16(x16.as_ptr()) } else { Data::F32(x.as_ptr()) };
    let (left, right) = (data(p.left_bf16, &left, &left16), data(p.right_bf16, &right, &right16));
    let left = |b: usize| {
        let (i_stride, k_stride) = if p.transpose_left { (1, p.m) } else { (p.k, 1) };
        // SAFETY: the matrix lies within the batch.
        Source::Matrix { data: unsafe { left.offset(b * p.m * p.k) }, i_stride, k_stride }
    };
    let right = |b: usize| {
        let (i_stride, k_stride) = if p.transpose_right { (p.k, 1) } else { (1, p.n) };
        // SAFETY: as above.
        Source::Matrix { data: unsafe { right.offset(if p.shared { 0 } else { b * p.n * p.k }) }, i_stride, k_stride }
    };
    let product = Product {
        features,
        batch: p.batch,
        m: p.m,
        n: p.n,
        k: p.k,
        left: &left,
        right: &right,
        right_shared: p.shared,
        packed: None,
        out: if p.out_bf16 { DataMut::Bf16(out16.as_mut_ptr()) } else { DataMut::F32(out.as_mut_ptr()) },
        out_batch_stride: p.m * p.n,
        out_row_stride: p.n,
        accumulate: p.accumulate,
        epilogue: Some(&AddRow(&bias)),
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        // SAFETY: all buffers have the sizes of the problem.
        unsafe {
            let packed = p.packed.then(|| Packed::new(&product));
            multiply(&Product { packed: packed.as_ref(), ..product });
        }
    });
    if p.out_bf16 { out16.iter().map(|x| x.to_f32()).collect() } else { out }
}

fn reference(p: &Problem) -> Vec<f64> {
    let left = stored(numbers(p.batch * p.m * p.k, 1), p.left_bf16);
    let right = stored(numbers(if p.shared { 1 } else { p.batch } * p.n * p.k, 2), p.right_bf16);
    let bias = numbers(p.n, 3);
    let old = stored(numbers(p.batch * p.m * p.n, 4), p.out_bf16);
    let mut out = Vec::new();
    for b in 0..p.batch {
        for i in 0..p.m {
            for j in 0..p.n {
                let mut sum = 0.0;
                for k in 0..p.k {
                    let l = left[b * p.m * p.k + if p.transpose_left { k * p.m + i } else { i * p.k + k }];
                    let r = right
                        [if p.shared { 0 } else { b * p.n * p.k } + if p.transpose_right { j * p.k + k } else { k * p.n + j }];
                    sum += f64::from(l) * f64::from(r);
                }
                let old = if p.accumulate { f64::from(old[out.len()]) } else { 0.0 };
                out.push(sum + old + f64::from(bias[j]) + (i + b) as f64);
            }
        }
    }
    out
}

fn check(p: &Problem) {
    let want = reference(p);
    for features in Features::available() {
        let got = run(p, features, 1);
        for (i, (got, want)) in got.iter().zip(&want).enumerate() {
            let tolerance = if p.out_bf16 { 4e-3 } else { 1e-6 } * (want.abs() + (p.k as f64).sqrt());
            assert!((f64::from(*got) - want).abs() <= tolerance, "{p:?} {features:?} element {i}: {got}, not {want}");
        }
        for threads in [2, 3, 5] {
            let again = run(p, features, threads);
            assert!(
                got.iter().zip(&again).all(|(a, b)| a.to_bits() == b.to_bits()),
                "{p:?} {features:?}: bits differ on {threads} threads"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn products_agree_with_f64_sums_on_any_threads(problem in problems()) {
        check(&problem);
    }
}

#[test]
fn large_products_are_cut_and_split_alike() {
    let base = Problem {
        batch: 1,
        m: 300,
        n: 200,
        k: 700,
        transpose_left: false,
        transpose_right: true,
        shared: true,
        accumulate: false,
        left_bf16: true,
        right_bf16: true,
        out_bf16: true,
        packed: false,
    };
    check(&base);
    check(&Problem { packed: true, left_bf16: false, right_bf16: false, ..base.clone() });
    // Few results, many summands: the sum is split.
    let deep = Problem { m: 33, n: 40, k: 9000, transpose_left: true, transpose_right: false, out_bf16: false, ..base };
    assert!(Cut::new(Features::detect(), true, 1, 33, 40, 9000).splits > 1);
    check(&deep);
    check(&Problem { left_bf16: false, right_bf16: false, accumulate: true, ..deep });
}

#[test]
fn patches_are_read_in_place() {
    let (h, w, c, first, all) = (7, 6, 3, 2, 8);
    let image = numbers(2 * h * w * all, 5);
    for (kernel, stride, padding, dilation) in
        [((3, 3), (1, 1), (1, 1), (1, 1)), ((2, 3), (2, 3), (0, 2), (2, 1)), ((3, 2), (1, 2), (2, 2), (1, 2))]
    {
        let output = (
            (h + 2 * padding.0 - dilation.0 * (kernel.0 - 1) - 1) / stride.0 + 1,
            (w + 2 * padding.1 - dilation.1 * (kernel.1 - 1) - 1) / stride.1 + 1,
        );
        let patches = Patches {
            data: Data::F32(image.as_ptr()),
            size: (h, w),
            all_channels: all,
            channels: c,
            first_channel: first,
            output,
            kernel,
            stride,
            padding: (padding.0 as isize, padding.1 as isize),
            dilation,
        };
        let (m, n, k) = (2 * output.0 * output.1, 5, kernel.0 * kernel.1 * c);
        let weights = numbers(n * k, 6);
        let element = |pixel: usize, e: usize| {
            let (b, y, x) = (pixel / (output.0 * output.1), pixel / output.1 % output.0, pixel % output.1);
            let (ky, kx, ch) = (e / c / kernel.1, e / c % kernel.1, e % c);
            let y = (y * stride.0 + ky * dilation.0) as isize - padding.0 as isize;
            let x = (x * stride.1 + kx * dilation.1) as isize - padding.1 as isize;
            let inside = y >= 0 && y < h as isize && x >= 0 && x < w as isize;
            if inside { f64::from(image[((b * h + y as usize) * w + x as usize) * all + first + ch]) } else { 0.0 }
        };
        for features in Features::available() {
            let right = |_| Source::Matrix { data: Data::F32(weights.as_ptr()), i_stride: k, k_stride: 1 };
            let left = |_| Source::Patches(patches);
            let mut out = vec![0.0; m * n];
            let product = Product {
                features,
                batch: 1,
                m,
                n,
                k,
                left: &left,
                right: &right,
                right_shared: true,
                packed: None,
                out: DataMut::F32(out.as_mut_ptr()),
                out_batch_stride: 0,
                out_row_stride: n,
                accumulate: false,
                epilogue: None,
            };
            // SAFETY: the buffers have the sizes of the problem.
            unsafe { multiply(&product) };
            for i in 0..m {
                for j in 0..n {
                    let want: f64 = (0..k).map(|e| element(i, e) * f64::from(weights[j * k + e])).sum();
                    assert!((f64::from(out[i * n + j]) - want).abs() < 1e-5);
                }
            }
            // The gradient of the weights: sums over pixels.
            let dy = numbers(m * n, 7);
            let mut dw = vec![0.0; n * k];
            let left = |_| Source::Matrix { data: Data::F32(dy.as_ptr()), i_stride: 1, k_stride: n };
            let right = |_| Source::PatchColumns(patches);
            let product = Product {
                m: n,
                n: k,
                k: m,
                left: &left,
                right: &right,
                out: DataMut::F32(dw.as_mut_ptr()),
                out_row_stride: k,
                ..product
            };
            // SAFETY: the buffers have the sizes of the problem.
            unsafe { multiply(&product) };
            for j in 0..n {
                for e in 0..k {
                    let want: f64 = (0..m).map(|i| element(i, e) * f64::from(dy[i * n + j])).sum();
                    assert!((f64::from(dw[j * k + e]) - want).abs() < 1e-4);
                }
            }
        }
    }
}
