//! The resampling kernels: Pillow's two passes, horizontal before vertical, in its fixed point.
//!
//! Each pass multiplies 8-bit values by weights with 22 bits behind the point and rounds to 8 bits, so the result equals Pillow's.

use super::picture::{Picture, Region};
use super::resize::Interpolation;

/// Bits behind the point of a weight: 32, less 8 for a value and 2 for sums that overshoot.
const PRECISION: u32 = 22;

/// Values that one step of the inner loop takes; a multiple of every channel count, so that a lane keeps its channel.
const LANES: usize = 24;

/// Resamples a region that lies inside the picture.
pub(super) fn resample(
    picture: &Picture,
    region: Region,
    (height, width): (usize, usize),
    interpolation: Interpolation,
) -> Picture {
    if interpolation == Interpolation::Nearest {
        return nearest(picture, region, (height, width));
    }
    let cut;
    let (mut current, mut window) = (picture, region);
    if window.width != width {
        let weights = Weights::new(window.width, width, interpolation);
        cut = horizontal(current, window, &weights);
        current = &cut;
        window = Region { top: 0, left: 0, height: window.height, width };
    }
    if window.height != height {
        let weights = Weights::new(window.height, height, interpolation);
        return vertical(current, window, &weights);
    }
    let stride = picture.channels();
    let mut data = Vec::with_capacity(height * width * stride);
    for row in window.top..window.top + height {
        data.extend_from_slice(&current.row(row)[window.left * stride..(window.left + width) * stride]);
    }
    Picture::from_parts(height, width, stride, data)
}

/// Pillow's nearest: the source position is stepped, not multiplied, so that rounding is the same.
fn nearest(picture: &Picture, region: Region, (height, width): (usize, usize)) -> Picture {
    let positions = |start: usize, length: usize, count: usize| -> Vec<usize> {
        let step = length as f64 / count as f64;
        std::iter::successors(Some(step * 0.5), |position| Some(position + step))
            .take(count)
            .map(|position| start + (position as usize).min(length - 1))
            .collect()
    };
    let columns = positions(region.left, region.width, width);
    let channels = picture.channels();
    let mut data = Vec::with_capacity(height * width * channels);
    for row in positions(region.top, region.height, height) {
        let row = picture.row(row);
        for column in &columns {
            data.extend_from_slice(&row[column * channels..(column + 1) * channels]);
        }
    }
    Picture::from_parts(height, width, channels, data)
}

/// The source values that each result takes, and their weights.
struct Weights {
    /// First source index of each result.
    starts: Vec<usize>,
    /// Weights of each result.
    taps: Vec<Vec<i32>>,
}

impl Weights {
    fn new(source: usize, target: usize, interpolation: Interpolation) -> Weights {
        let (filter, support): (fn(f64) -> f64, f64) = match interpolation {
            Interpolation::Nearest | Interpolation::Bilinear => (triangle, 1.0),
            Interpolation::Bicubic => (cubic, 2.0),
            Interpolation::Lanczos3 => (lanczos3, 3.0),
        };
        let scale = source as f64 / target as f64;
        // An enlargement keeps the filter's own width.
        let stretch = scale.max(1.0);
        let support = support * stretch;
        let mut weights = Weights { starts: Vec::with_capacity(target), taps: Vec::with_capacity(target) };
        for index in 0..target {
            let centre = (index as f64 + 0.5) * scale;
            let start = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(source);
            let raw: Vec<f64> = (start..end).map(|place| filter((place as f64 - centre + 0.5) * (1.0 / stretch))).collect();
            let sum: f64 = raw.iter().sum();
            let fixed = |weight: f64| {
                let weight = if sum == 0.0 { weight } else { weight / sum } * f64::from(1 << PRECISION);
                (if weight < 0.0 { weight - 0.5 } else { weight + 0.5 }) as i32
            };
            weights.starts.push(start);
            weights.taps.push(raw.into_iter().map(fixed).collect());
        }
        weights
    }
}

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn lanczos3(x: f64) -> f64 {
    let sinc = |x: f64| {
        let angle = x * std::f64::consts::PI;
        if x == 0.0 { 1.0 } else { libm::sin(angle) / angle }
    };
    if (-3.0..3.0).contains(&x) { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}

fn clip(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// Adds values times weights, lane by lane; `values` holds at least as many as `weights`.
#[inline(always)]
fn accumulate(values: &[u8], weights: &[i32]) -> [i32; LANES] {
    let mut sums = [0; LANES];
    for (values, weights) in values.as_chunks::<LANES>().0.iter().zip(weights.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            sums[lane] += i32::from(values[lane]) * weights[lane];
        }
    }
    sums
}

/// One result pixel after another of one row. `source` starts at the region's first value and may run past the row's end.
#[inline(always)]
fn horizontal_row(source: &[u8], channels: usize, starts: &[usize], weights: &[Vec<i32>], target: &mut [u8]) {
    for ((pixel, &start), weights) in target.chunks_exact_mut(channels).zip(starts).zip(weights) {
        let values = &source[start * channels..];
        let sums = if values.len() >= weights.len() {
            accumulate(values, weights)
        } else {
            // The padding of the weights reaches past the picture's last value.
            let mut padded = vec![0; weights.len()];
            padded[..values.len()].copy_from_slice(values);
            accumulate(&padded, weights)
        };
        for (channel, value) in pixel.iter_mut().enumerate() {
            let sum: i32 = sums.iter().skip(channel).step_by(channels).sum();
            *value = clip(sum + (1 << (PRECISION - 1)));
        }
    }
}

#[inline(always)]
fn horizontal_rows(picture: &Picture, window: Region, starts: &[usize], weights: &[Vec<i32>], target: &mut [u8]) {
    let channels = picture.channels();
    let stride = picture.width() * channels;
    for (row, target) in target.chunks_exact_mut(starts.len() * channels).enumerate() {
        let first = (window.top + row) * stride + window.left * channels;
        horizontal_row(&picture.data()[first..], channels, starts, weights, target);
    }
}

#[inline(always)]
fn vertical_rows(picture: &Picture, window: Region, weights: &Weights, target: &mut [u8]) {
    let channels = picture.channels();
    let span = window.left * channels..(window.left + window.width) * channels;
    let mut sums = vec![0i32; span.len()];
    for ((target, &start), taps) in target.chunks_exact_mut(span.len()).zip(&weights.starts).zip(&weights.taps) {
        sums.fill(1 << (PRECISION - 1));
        for (offset, &weight) in taps.iter().enumerate() {
            let row = &picture.row(window.top + start + offset)[span.clone()];
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += i32::from(value) * weight;
            }
        }
        for (value, &sum) in target.iter_mut().zip(&sums) {
            *value = clip(sum);
        }
    }
}

/// The same loops compiled for 256-bit vectors; whole numbers give the same sums in any order.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::{Picture, Region, Weights};

    #[target_feature(enable = "avx2")]
    pub(super) fn horizontal_rows(picture: &Picture, window: Region, starts: &[usize], weights: &[Vec<i32>], target: &mut [u8]) {
        super::horizontal_rows(picture, window, starts, weights, target);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn vertical_rows(picture: &Picture, window: Region, weights: &Weights, target: &mut [u8]) {
        super::vertical_rows(picture, window, weights, target);
    }
}

fn horizontal(picture: &Picture, window: Region, weights: &Weights) -> Picture {
    let channels = picture.channels();
    let width = weights.starts.len();
    // Every weight stands once per channel, padded with zeros to whole steps of the inner loop.
    let lanes: Vec<Vec<i32>> = weights
        .taps
        .iter()
        .map(|taps| {
            let mut lanes: Vec<i32> = taps.iter().flat_map(|&weight| std::iter::repeat_n(weight, channels)).collect();
            lanes.resize(lanes.len().next_multiple_of(LANES), 0);
            lanes
        })
        .collect();
    let mut data = vec![0; window.height * width * channels];
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function demands.
        unsafe { avx2::horizontal_rows(picture, window, &weights.starts, &lanes, &mut data) };
        return Picture::from_parts(window.height, width, channels, data);
    }
    horizontal_rows(picture, window, &weights.starts, &lanes, &mut data);
    Picture::from_parts(window.height, width, channels, data)
}

fn vertical(picture: &Picture, window: Region, weights: &Weights) -> Picture {
    let channels = picture.channels();
    let height = weights.starts.len();
    let mut data = vec![0; height * window.width * channels];
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function demands.
        unsafe { avx2::vertical_rows(picture, window, weights, &mut data) };
        return Picture::from_parts(height, window.width, channels, data);
    }
    vertical_rows(picture, window, weights, &mut data);
    Picture::from_parts(height, window.width, channels, data)
}
