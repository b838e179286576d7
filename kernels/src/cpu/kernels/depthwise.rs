//! Depthwise convolution of channels-last images: one filter a channel.
//!
//! A part of the work is one image, a block of channels and a band of result rows. Its input is first laid out in f32 with its padding (and, for the
//! gradient of a strided convolution, with zeros between), so that the inner loop has no borders: one tap at a time over eight neighbouring
//! results.

use super::matmul::{Data, DataMut};
use super::rows::{load_from, save_to};
use crate::cpu::features::Level;
use crate::cpu::simd::{Element, Kernel, LANES, Simd, dispatch};
use crate::cpu::threads::{Scratch, Shared, parallel};

/// Channels of a part.
const CHANNELS: usize = 2 * LANES;
/// Neighbouring results that the inner loop computes together.
const RESULTS: usize = 8;
/// Elements of a part's laid out input, roughly: what stays in the second cache.
const LAID_OUT: usize = 1 << 16;

/// A depthwise correlation. All pairs are (height, width).
#[derive(Clone, Copy, Debug)]
pub struct Depthwise {
    /// Images.
    pub batch: usize,
    /// Channels.
    pub channels: usize,
    /// Sizes of what is read.
    pub input: (usize, usize),
    /// Sizes of the result.
    pub output: (usize, usize),
    /// Sizes of the filter.
    pub kernel: (usize, usize),
    /// From one result to the next, in laid out positions.
    pub stride: (usize, usize),
    /// Laid out positions before the first of the input; negative to leave some out.
    pub padding: (isize, isize),
    /// From one tap to the next, in laid out positions.
    pub dilation: (usize, usize),
    /// From one input position to the next, in laid out positions: zeros stand between.
    pub spread: (usize, usize),
}

impl Depthwise {
    /// Laid out columns that the results read.
    fn columns(&self) -> usize {
        // Whole groups of results are computed, so the last may read beyond.
        let results = self.output.1.next_multiple_of(RESULTS);
        (results - 1) * self.stride.1 + (self.kernel.1 - 1) * self.dilation.1 + 1
    }

    /// Laid out rows for so many result rows.
    fn rows(&self, results: usize) -> usize {
        (results - 1) * self.stride.0 + (self.kernel.0 - 1) * self.dilation.0 + 1
    }

    /// Result rows of a band.
    fn band(&self) -> usize {
        let per_row = self.columns() * CHANNELS * self.stride.0;
        (LAID_OUT / per_row.max(1)).clamp(self.kernel.0.max(4), self.output.0.max(self.kernel.0.max(4))).min(self.output.0)
    }

    fn is_empty(&self) -> bool {
        self.batch == 0 || self.channels == 0 || self.output.0 == 0 || self.output.1 == 0
    }
}

/// Filters `[channels, taps]` as `[taps, channels padded to vectors]` in f32, the taps reversed for a gradient.
fn filters(level: Level, problem: &Depthwise, weight: Data, reversed: bool) -> (Scratch, Shared<f32>, usize) {
    let taps = problem.kernel.0 * problem.kernel.1;
    let padded = problem.channels.next_multiple_of(CHANNELS);
    let mut scratch = Scratch::words(taps * padded);
    let out = scratch.floats(taps * padded);
    out.fill(0.0);
    let _ = level;
    for channel in 0..problem.channels {
        for tap in 0..taps {
            let from = channel * taps + if reversed { taps - 1 - tap } else { tap };
            // SAFETY: the weight has a filter for each channel.
            out[tap * padded + channel] = unsafe {
                match weight {
                    Data::F32(p) => *p.add(from),
                    Data::Bf16(p) => (*p.add(from)).to_f32(),
                }
            };
        }
    }
    let shared = Shared::new(out);
    (scratch, shared, padded)
}

/// Correlates: `out[n, y, x, c] = sum over taps of laid out input times weight[c, tap]` (plus `bias[c]`).
///
/// # Safety
/// `x` has `[batch, input, channels]`, `weight` `[channels, kernel]`, `bias` `[channels]`, `out` `[batch, output, channels]` elements, which do not overlap.
pub unsafe fn forward(
    level: Level,
    problem: &Depthwise,
    x: Data,
    weight: Data,
    reversed: bool,
    bias: Option<Data>,
    out: DataMut,
) {
    if problem.is_empty() {
        return;
    }
    let (_memory, filters, padded) = filters(level, problem, weight, reversed);
    let blocks = problem.channels.div_ceil(CHANNELS);
    let band = problem.band();
    let bands = problem.output.0.div_ceil(band);
    parallel(problem.batch * bands * blocks, |part| {
        let (rest, block) = (part / blocks, part % blocks);
        let (image, first_row) = (rest / bands, rest % bands * band);
        let rows = band.min(problem.output.0 - first_row);
        dispatch(level, Band { problem, x, filters, padded, bias, out, image, first_row, rows, channel: block * CHANNELS });
    });
}

struct Band<'a> {
    problem: &'a Depthwise,
    x: Data,
    filters: Shared<f32>,
    padded: usize,
    bias: Option<Data>,
    out: DataMut,
    image: usize,
    first_row: usize,
    rows: usize,
    channel: usize,
}

/// Lays out the input rows that result rows from `first_row` on read, for one block of channels: `[rows][columns][CHANNELS]`.
#[inline(always)]
unsafe fn lay_out<S: Simd>(
    s: S,
    problem: &Depthwise,
    x: Data,
    image: usize,
    channel: usize,
    first_row: usize,
    rows: usize,
    to: *mut f32,
) {
    let columns = problem.columns();
    let channels = CHANNELS.min(problem.channels - channel);
    let (height, width) = problem.input;
    for row in 0..rows {
        // SAFETY: rows and columns are checked against the input; the layout holds `rows` times `columns` positions.
        unsafe {
            let line = to.add(row * columns * CHANNELS);
            let at = (first_row * problem.stride.0 + row) as isize - problem.padding.0;
            let is_inside = at >= 0 && (at as usize).is_multiple_of(problem.spread.0) && at as usize / problem.spread.0 < height;
            if !is_inside {
                zero(s, line, columns * CHANNELS);
                continue;
            }
            let y = at as usize / problem.spread.0;
            if problem.spread.1 > 1 {
                zero(s, line, columns * CHANNELS);
            }
            // The first and one past the last input column with a place in the layout.
            let first = if problem.padding.1 >= 0 { 0 } else { ((-problem.padding.1) as usize).div_ceil(problem.spread.1) };
            let room = columns as isize - problem.padding.1;
            let end = if room <= 0 { 0 } else { ((room - 1) as usize / problem.spread.1 + 1).min(width) };
            if problem.spread.1 == 1 {
                let before = if first < end { (first as isize + problem.padding.1) as usize } else { columns };
                zero(s, line, before * CHANNELS);
                let after = if first < end { (end as isize + problem.padding.1) as usize } else { columns };
                zero(s, line.add(after * CHANNELS), (columns - after) * CHANNELS);
            }
            for column in first..end {
                let place = ((column * problem.spread.1) as isize + problem.padding.1) as usize;
                let from = ((image * height + y) * width + column) * problem.channels + channel;
                let to = line.add(place * CHANNELS);
                match x {
                    Data::F32(p) => copy_channels(s, p.add(from), channels, to),
                    Data::Bf16(p) => copy_channels(s, p.add(from), channels, to),
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn zero<S: Simd>(s: S, to: *mut f32, n: usize) {
    for i in (0..n).step_by(LANES) {
        // SAFETY: the caller promises `n` elements, a whole number of vectors.
        unsafe { s.store(to.add(i), s.zero()) };
    }
}

/// Copies up to a block of channels, zeros beyond.
#[inline(always)]
unsafe fn copy_channels<S: Simd, T: Element>(s: S, from: *const T, channels: usize, to: *mut f32) {
    // SAFETY: the caller promises the channels and room for a block.
    unsafe {
        if channels == CHANNELS {
            s.store(to, T::load(s, from));
            s.store(to.add(LANES), T::load(s, from.add(LANES)));
        } else {
            let low = channels.min(LANES);
            s.store(to, T::load_part(s, from, low));
            let high = channels - low;
            s.store(to.add(LANES), if high > 0 { T::load_part(s, from.add(LANES), high) } else { s.zero() });
        }
    }
}

impl Kernel for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Band { problem, x, filters, padded, bias, out, image, first_row, rows, channel } = self;
        let columns = problem.columns();
        let laid_rows = problem.rows(rows);
        let mut scratch = Scratch::words(laid_rows * columns * CHANNELS);
        let laid: *mut f32 = scratch.pointer();
        let (height, width) = problem.output;
        // SAFETY: all positions lie within the layout, the filters and the result.
        unsafe {
            lay_out(s, problem, x, image, channel, first_row, laid_rows, laid);
            for vector in 0..2 {
                let first_channel = channel + vector * LANES;
                if first_channel >= problem.channels {
                    break;
                }
                let lanes = LANES.min(problem.channels - first_channel);
                let start = match bias {
                    Some(bias) => load_from(s, bias, first_channel, lanes),
                    None => s.zero(),
                };
                for row in 0..rows {
                    for column in (0..width).step_by(RESULTS) {
                        let mut sums = [start; RESULTS];
                        let corner =
                            laid.add((row * problem.stride.0 * columns + column * problem.stride.1) * CHANNELS + vector * LANES);
                        let mut filter = filters.pointer().add(first_channel).cast_const();
                        let step = problem.stride.1 * CHANNELS;
                        for tap_row in 0..problem.kernel.0 {
                            let mut at = corner.add(tap_row * problem.dilation.0 * columns * CHANNELS).cast_const();
                            for _ in 0..problem.kernel.1 {
                                let weight = s.load(filter);
                                for i in 0..RESULTS {
                                    sums[i] = s.fma(s.load(at.add(i * step)), weight, sums[i]);
                                }
                                at = at.add(problem.dilation.1 * CHANNELS);
                                filter = filter.add(padded);
                            }
                        }
                        let place = ((image * height + first_row + row) * width + column) * problem.channels + first_channel;
                        for i in 0..RESULTS.min(width - column) {
                            let at = place + i * problem.channels;
                            save_to(s, out, at, lanes, sums[i]);
                        }
                    }
                }
            }
        }
    }
}

/// The gradient of the filters: `out[c, tap] = sum over images and results of dy times laid out input`, f32. Images are added in order.
///
/// # Safety
/// `x` and `dy` have the problem's input and output elements, `out` `[channels, kernel]`.
pub unsafe fn weight_gradient(level: Level, problem: &Depthwise, x: Data, dy: Data, out: *mut f32) {
    let taps = problem.kernel.0 * problem.kernel.1;
    let out = Shared::from_pointer(out);
    let blocks = problem.channels.div_ceil(CHANNELS);
    if problem.is_empty() {
        // SAFETY: the caller's promise.
        unsafe { out.slice(0..problem.channels * taps) }.fill(0.0);
        return;
    }
    let mut partials = Scratch::words(problem.batch * blocks * taps * CHANNELS);
    let partials = Shared::<f32>::from_pointer(partials.pointer());
    parallel(problem.batch * blocks, |part| {
        let (image, block) = (part / blocks, part % blocks);
        let sums = partials.pointer().wrapping_add(part * taps * CHANNELS);
        dispatch(level, FilterSums { problem, x, dy, image, channel: block * CHANNELS, sums });
    });
    parallel(blocks, |block| {
        for tap in 0..taps {
            for lane in 0..CHANNELS.min(problem.channels - block * CHANNELS) {
                // SAFETY: every part has written its sums; blocks have channels of their own.
                unsafe {
                    let of_image =
                        |image: usize| *partials.pointer().add(((image * blocks + block) * taps + tap) * CHANNELS + lane);
                    *out.pointer().add((block * CHANNELS + lane) * taps + tap) = (0..problem.batch).map(of_image).sum();
                }
            }
        }
    });
}

struct FilterSums<'a> {
    problem: &'a Depthwise,
    x: Data,
    dy: Data,
    image: usize,
    channel: usize,
    /// `[taps][CHANNELS]`
    sums: *mut f32,
}

impl Kernel for FilterSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let FilterSums { problem, x, dy, image, channel, sums } = self;
        let (height, width) = problem.output;
        let columns = problem.columns();
        let band = problem.band();
        let mut scratch = Scratch::words(problem.rows(band) * columns * CHANNELS + width * CHANNELS);
        let laid: *mut f32 = scratch.pointer();
        let channels = CHANNELS.min(problem.channels - channel);
        // SAFETY: all positions lie within the layout, the tensors and the sums.
        unsafe {
            let line = laid.add(problem.rows(band) * columns * CHANNELS);
            zero(s, sums, problem.kernel.0 * problem.kernel.1 * CHANNELS);
            for first_row in (0..height).step_by(band) {
                let rows = band.min(height - first_row);
                lay_out(s, problem, x, image, channel, first_row, problem.rows(rows), laid);
                for row in 0..rows {
                    for column in 0..width {
                        let from = ((image * height + first_row + row) * width + column) * problem.channels + channel;
                        match dy {
                            Data::F32(p) => copy_channels(s, p.add(from), channels, line.add(column * CHANNELS)),
                            Data::Bf16(p) => copy_channels(s, p.add(from), channels, line.add(column * CHANNELS)),
                        }
                    }
                    for tap_row in 0..problem.kernel.0 {
                        let from = laid.add((row * problem.stride.0 + tap_row * problem.dilation.0) * columns * CHANNELS);
                        for vector in 0..2 {
                            let sums = sums.add(tap_row * problem.kernel.1 * CHANNELS + vector * LANES);
                            let (line, from) = (line.add(vector * LANES), from.add(vector * LANES));
                            let (step, gap) = (problem.stride.1 * CHANNELS, problem.dilation.1 * CHANNELS);
                            let mut tap = 0;
                            while tap < problem.kernel.1 {
                                let (sums, from) = (sums.add(tap * CHANNELS), from.add(tap * gap));
                                match problem.kernel.1 - tap {
                                    7.. => {
                                        taps::<S, 7>(s, width, line, from, step, gap, sums);
                                        tap += 7;
                                    }
                                    5..7 => {
                                        taps::<S, 5>(s, width, line, from, step, gap, sums);
                                        tap += 5;
                                    }
                                    3..5 => {
                                        taps::<S, 3>(s, width, line, from, step, gap, sums);
                                        tap += 3;
                                    }
                                    _ => {
                                        taps::<S, 1>(s, width, line, from, step, gap, sums);
                                        tap += 1;
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Adds one row's products for `N` neighbouring taps.
#[inline(always)]
unsafe fn taps<S: Simd, const N: usize>(
    s: S,
    width: usize,
    line: *const f32,
    from: *const f32,
    step: usize,
    gap: usize,
    sums: *mut f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut totals = [s.zero(); N];
        for i in 0..N {
            totals[i] = s.load(sums.add(i * CHANNELS));
        }
        for column in 0..width {
            let dy = s.load(line.add(column * CHANNELS));
            let at = from.add(column * step);
            for i in 0..N {
                totals[i] = s.fma(dy, s.load(at.add(i * gap)), totals[i]);
            }
        }
        for i in 0..N {
            s.store(sums.add(i * CHANNELS), totals[i]);
        }
    }
}
