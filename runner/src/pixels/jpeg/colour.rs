//! Upsampling of chroma and conversion to RGB, equal to libjpeg's "fancy" upsampling and its 16-bit fixed point.

use super::Plane;
use crate::pixels::picture::Picture;

/// Writes one row of RGB.
#[inline(always)]
fn convert_row(luma: &[u8], blue: &[u8], red: &[u8], target: &mut [u8]) {
    const HALF: i32 = 1 << 15;
    let (pixels, _) = target.as_chunks_mut::<3>();
    for (((pixel, &luma), &blue), &red) in pixels.iter_mut().zip(luma).zip(blue).zip(red) {
        let (luma, blue, red) = (i32::from(luma), i32::from(blue) - 128, i32::from(red) - 128);
        let level = |value: i32| value.clamp(0, 255) as u8;
        *pixel = [
            level(luma + ((91881 * red + HALF) >> 16)),
            level(luma + ((-22554 * blue - 46802 * red + HALF) >> 16)),
            level(luma + ((116130 * blue + HALF) >> 16)),
        ];
    }
}

/// Doubles a row of sums of weight `weight` each: three parts of the sample and one of its neighbour.
#[inline(always)]
fn widen(sums: &[i32], weight: i32, target: &mut [u8]) {
    let shift = (4 * weight).trailing_zeros();
    // libjpeg alternates the rounding, so that no bias builds up.
    let (left_bias, right_bias) = if weight == 1 { (1, 2) } else { (8, 7) };
    let last = sums.len() - 1;
    let pair = |own: i32, left: i32, right: i32| {
        [((3 * own + left + left_bias) >> shift) as u8, ((3 * own + right + right_bias) >> shift) as u8]
    };
    let (pairs, _) = target.as_chunks_mut::<2>();
    for index in 1..last {
        pairs[index] = pair(sums[index], sums[index - 1], sums[index + 1]);
    }
    pairs[0] = pair(sums[0], sums[0], sums[1]);
    pairs[last] = pair(sums[last], sums[last - 1], sums[last]);
}

/// Chroma of one row of the picture, at the picture's width rounded up to a pair.
#[inline(always)]
fn upsample_row(plane: &Plane, row: usize, rows: usize, columns: usize, down: usize, sums: &mut [i32], target: &mut [u8]) {
    let line = |row: usize| &plane.data[row * plane.stride..row * plane.stride + columns];
    // Very narrow chroma is repeated, as libjpeg does.
    if columns <= 2 {
        for (pair, &value) in target.as_chunks_mut::<2>().0.iter_mut().zip(line(row / down)) {
            *pair = [value; 2];
        }
        return;
    }
    if down == 1 {
        for (sum, &value) in sums.iter_mut().zip(line(row)) {
            *sum = i32::from(value);
        }
        return widen(sums, 1, target);
    }
    let near = row / 2;
    let far = if row.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(rows - 1) };
    for ((sum, &near), &far) in sums.iter_mut().zip(line(near)).zip(line(far)) {
        *sum = 3 * i32::from(near) + i32::from(far);
    }
    widen(sums, 4, target);
}

#[inline(always)]
fn convert_portably(planes: &[Plane], (height, width): (usize, usize), (across, down): (usize, usize), target: &mut [u8]) {
    let [luma, blue, red] = planes else { return };
    let (rows, columns) = (height.div_ceil(down), width.div_ceil(across));
    let mut sums = vec![0; columns];
    let mut wide = [vec![0; 2 * columns], vec![0; 2 * columns]];
    for (row, target) in target.chunks_exact_mut(width * 3).enumerate() {
        let luma = &luma.data[row * luma.stride..];
        if across == 1 {
            convert_row(luma, &blue.data[row * blue.stride..], &red.data[row * red.stride..], target);
            continue;
        }
        for (plane, wide) in [blue, red].into_iter().zip(&mut wide) {
            upsample_row(plane, row, rows, columns, down, &mut sums, wide);
        }
        convert_row(luma, &wide[0], &wide[1], target);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn convert_avx2(planes: &[Plane], size: (usize, usize), sampling: (usize, usize), target: &mut [u8]) {
    convert_portably(planes, size, sampling, target);
}

/// The RGB picture of three planes whose chroma has 1 / `sampling` of the pixels across and down.
pub(super) fn convert(planes: &[Plane], size: (usize, usize), sampling: (usize, usize)) -> Picture {
    let mut data = vec![0; size.0 * size.1 * 3];
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function demands.
        unsafe { convert_avx2(planes, size, sampling, &mut data) };
        return Picture::from_parts(size.0, size.1, 3, data);
    }
    convert_portably(planes, size, sampling, &mut data);
    Picture::from_parts(size.0, size.1, 3, data)
}
