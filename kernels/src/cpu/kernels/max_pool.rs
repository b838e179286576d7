//! Maximum pooling of channels-last images, and its gradient to the first maximum of each window. NaN counts as a maximum.

use super::matmul::{Data, DataMut};
use super::rows::{read, room, write};
use crate::cpu::features::Level;
use crate::cpu::simd::{Kernel, Simd, dispatch};
use crate::cpu::threads::{Scratch, parallel};

/// Channels whose gradient one part of the work scatters.
const CHANNELS: usize = 64;

/// The windows of a pooling: positions of the input, by position of the result.
#[derive(Clone, Debug)]
pub struct Windows {
    /// Along rows.
    pub rows: Vec<Vec<usize>>,
    /// Along columns.
    pub columns: Vec<Vec<usize>>,
}

/// The largest element of each window.
///
/// # Safety
/// `x` is `[batch, input, channels]`, `y` `[batch, rows, columns, channels]`.
pub unsafe fn forward(
    level: Level,
    batch: usize,
    input: (usize, usize),
    channels: usize,
    windows: &Windows,
    x: Data,
    y: DataMut,
) {
    let rows = windows.rows.len();
    parallel(batch * rows, |part| {
        dispatch(level, ForwardRow { input, channels, windows, x, y, image: part / rows, row: part % rows });
    });
}

struct ForwardRow<'a> {
    input: (usize, usize),
    channels: usize,
    windows: &'a Windows,
    x: Data,
    y: DataMut,
    image: usize,
    row: usize,
}

impl Kernel for ForwardRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let ForwardRow { input, channels, windows, x, y, image, row } = self;
        let mut scratch = Scratch::words(2 * channels);
        let copy: *mut f32 = scratch.pointer();
        // SAFETY: windows name positions of the input; the scratch holds two pixels.
        unsafe {
            for column in 0..windows.columns.len() {
                let at = ((image * windows.rows.len() + row) * windows.columns.len() + column) * channels;
                let out = room(y, at, copy.add(channels));
                for channel in 0..channels {
                    *out.add(channel) = f32::NEG_INFINITY;
                }
                for source_row in &windows.rows[row] {
                    for source_column in &windows.columns[column] {
                        let from = ((image * input.0 + source_row) * input.1 + source_column) * channels;
                        let from = read(s, x, from, channels, copy);
                        for channel in 0..channels {
                            let (most, value) = (*out.add(channel), *from.add(channel));
                            *out.add(channel) = if most >= value || most.is_nan() { most } else { value };
                        }
                    }
                }
                write(s, y, at, channels, out);
            }
        }
    }
}

/// The gradient: each window's goes to its first maximum, in the order of the windows.
///
/// # Safety
/// `dy` is `[batch, rows, columns, channels]`, `x` and `dx` `[batch, input, channels]`.
pub unsafe fn backward(
    level: Level,
    batch: usize,
    input: (usize, usize),
    channels: usize,
    windows: &Windows,
    dy: Data,
    x: Data,
    dx: DataMut,
) {
    let blocks = channels.div_ceil(CHANNELS);
    parallel(batch * blocks, |part| {
        let (image, block) = (part / blocks, part % blocks);
        let first = block * CHANNELS;
        let count = CHANNELS.min(channels - first);
        dispatch(level, BackwardBlock { input, channels, windows, dy, x, dx, image, first, count });
    });
}

struct BackwardBlock<'a> {
    input: (usize, usize),
    channels: usize,
    windows: &'a Windows,
    dy: Data,
    x: Data,
    dx: DataMut,
    image: usize,
    first: usize,
    count: usize,
}

impl Kernel for BackwardBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let BackwardBlock { input, channels, windows, dy, x, dx, image, first, count } = self;
        let pixels = input.0 * input.1;
        let mut scratch = Scratch::words(pixels * count + 2 * CHANNELS);
        let sums: *mut f32 = scratch.pointer();
        // SAFETY: windows name positions of the input; the scratch holds this block's gradient and two pixels.
        unsafe {
            std::slice::from_raw_parts_mut(sums, pixels * count).fill(0.0);
            let (copy, copy_dy) = (sums.add(pixels * count), sums.add(pixels * count + CHANNELS));
            for row in 0..windows.rows.len() {
                for column in 0..windows.columns.len() {
                    let mut most = [f32::NEG_INFINITY; CHANNELS];
                    let mut place = [usize::MAX; CHANNELS];
                    for source_row in &windows.rows[row] {
                        for source_column in &windows.columns[column] {
                            let pixel = source_row * input.1 + source_column;
                            let from = read(s, x, (image * pixels + pixel) * channels + first, count, copy);
                            for channel in 0..count {
                                let value = *from.add(channel);
                                let is_more = value > most[channel]
                                    || place[channel] == usize::MAX
                                    || (value.is_nan() && !most[channel].is_nan());
                                if is_more {
                                    (most[channel], place[channel]) = (value, pixel);
                                }
                            }
                        }
                    }
                    let at = ((image * windows.rows.len() + row) * windows.columns.len() + column) * channels + first;
                    let dy = read(s, dy, at, count, copy_dy);
                    for channel in 0..count {
                        if place[channel] != usize::MAX {
                            *sums.add(place[channel] * count + channel) += *dy.add(channel);
                        }
                    }
                }
            }
            for pixel in 0..pixels {
                write(s, dx, (image * pixels + pixel) * channels + first, count, sums.add(pixel * count));
            }
        }
    }
}
