//! Weighted sums of pixels along rows and columns of channels-last images: resizing, average pooling and their gradients are all this, with other
//! taps.

use super::matmul::{Data, DataMut};
use super::rows::{load, read, room, save, write};
use crate::cpu::features::Level;
use crate::cpu::simd::{Kernel, LANES, Simd, dispatch};
use crate::cpu::threads::{Scratch, parallel};

/// For every position of a result, the positions it reads and their weights.
#[derive(Clone, Debug, Default)]
pub struct Taps {
    starts: Vec<usize>,
    taps: Vec<(usize, f32)>,
}

impl Taps {
    /// Taps of each position in turn.
    pub fn new(positions: impl IntoIterator<Item = Vec<(usize, f64)>>) -> Taps {
        let mut taps = Taps { starts: vec![0], taps: Vec::new() };
        for position in positions {
            taps.taps.extend(position.into_iter().map(|(from, weight)| (from, weight as f32)));
            taps.starts.push(taps.taps.len());
        }
        taps
    }

    /// Number of positions of the result.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether the result has no positions.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same weights seen from the `size` positions that are read: what a gradient sums.
    pub fn transposed(&self, size: usize) -> Taps {
        let mut columns = vec![Vec::new(); size];
        for position in 0..self.len() {
            for (from, weight) in self.of(position) {
                columns[*from].push((position, f64::from(*weight)));
            }
        }
        Taps::new(columns)
    }

    fn of(&self, position: usize) -> &[(usize, f32)] {
        &self.taps[self.starts[position]..self.starts[position + 1]]
    }
}

/// `out[n, y, x, c] = sum over rows of weight * sum over columns of weight * from[n, row, column, c]`.
///
/// # Safety
/// `from` is `[batch, input, channels]`, `out` `[batch, rows.len(), columns.len(), channels]`; the taps read positions of the input.
pub unsafe fn resample(
    level: Level,
    batch: usize,
    input: (usize, usize),
    channels: usize,
    taps: (&Taps, &Taps),
    from: Data,
    out: DataMut,
) {
    let rows = taps.0.len();
    parallel(batch * rows, |part| {
        let (image, row) = (part / rows, part % rows);
        dispatch(level, Row { input, channels, taps, from, out, image, row });
    });
}

struct Row<'a> {
    input: (usize, usize),
    channels: usize,
    taps: (&'a Taps, &'a Taps),
    from: Data,
    out: DataMut,
    image: usize,
    row: usize,
}

impl Kernel for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Row { input, channels, taps: (rows, columns), from, out, image, row } = self;
        let line = input.1 * channels;
        let mut scratch = Scratch::words(2 * line + channels);
        let sums: *mut f32 = scratch.pointer();
        // SAFETY: taps name positions of the input; the scratch holds two lines and a pixel.
        unsafe {
            let copy = sums.add(line);
            for i in (0..line).step_by(LANES) {
                save(s, sums.add(i), LANES.min(line - i), s.zero());
            }
            for (source, weight) in rows.of(row) {
                let from = read(s, from, (image * input.0 + source) * line, line, copy);
                let weight = s.splat(*weight);
                for i in (0..line).step_by(LANES) {
                    let n = LANES.min(line - i);
                    save(s, sums.add(i), n, s.fma(weight, load(s, from.add(i), n), load(s, sums.add(i), n)));
                }
            }
            let pixel = copy.add(line);
            for column in 0..columns.len() {
                let at = ((image * rows.len() + row) * columns.len() + column) * channels;
                let to = room(out, at, pixel);
                for i in (0..channels).step_by(LANES) {
                    let n = LANES.min(channels - i);
                    let mut sum = s.zero();
                    for (source, weight) in columns.of(column) {
                        sum = s.fma(s.splat(*weight), load(s, sums.add(source * channels + i), n), sum);
                    }
                    save(s, to.add(i), n, sum);
                }
                write(s, out, at, channels, to);
            }
        }
    }
}
