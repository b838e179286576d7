//! Planes whose rows are the other side's columns.
//!
//! A plane is cut into blocks that the second cache holds; a block is transposed in tiles, in registers. Memory is so read in order, a whole
//! block ahead, and each row of the result gets several lines at once.

use half::bf16;

use super::StridedCopy;
use crate::cpu::simd::stream::LINE;
use crate::cpu::simd::{Element, Kernel, LANES, Simd, prefetch_second};
use crate::cpu::threads::Shared;

/// Bytes of a block.
const BLOCK_BYTES: usize = 96 << 10;
/// The most bytes of a block's line in the source: longer ones are cut, so that a row of the result still gets several lines of memory.
const LINE_BYTES: usize = 512;

/// Two axes: elements of a column of the result lie together in the source, elements of a row in the result.
#[derive(Clone, Copy)]
pub(super) struct Plane {
    /// Rows of the result.
    pub rows: usize,
    /// Columns of the result.
    pub columns: usize,
    /// Elements from one column to the next in the source.
    pub from_stride: isize,
    /// Elements from one row to the next in the result.
    pub to_stride: isize,
    /// Bytes of an element.
    pub bytes: usize,
}

/// How a plane is cut.
#[derive(Clone, Copy)]
pub(super) struct Blocks {
    /// Rows of a block.
    rows: usize,
    /// Columns of a block, whole tiles.
    columns: usize,
    /// Blocks side by side down the rows.
    down: usize,
    /// Blocks side by side along the columns.
    along: usize,
}

impl Blocks {
    /// Blocks of a plane.
    pub fn count(&self) -> usize {
        self.down * self.along
    }

    /// Columns of a block.
    #[cfg(test)]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Elements of a block, at most.
    pub fn elements(&self) -> usize {
        self.rows * self.columns
    }
}

/// A part of a plane.
#[derive(Clone, Copy)]
struct Block {
    /// The plane's first element on both sides, in elements.
    from: isize,
    to: isize,
    rows: (usize, usize),
    columns: (usize, usize),
    /// Columns before the first tile of its own, so that tiles begin where lines of the result begin; 0 or the plane's first columns.
    head: usize,
}

impl Plane {
    pub fn blocks(&self) -> Blocks {
        // Columns of a tile: a line of the result.
        let tile = LINE / self.bytes;
        let down = (self.rows * self.bytes).div_ceil(LINE_BYTES).max(1);
        let rows = self.rows.div_ceil(down).next_multiple_of(LANES).min(self.rows);
        let fitting = (BLOCK_BYTES / (rows * self.bytes) / tile).max(1) * tile;
        let columns = fitting.min(self.columns.next_multiple_of(tile));
        Blocks { rows, columns, down: self.rows.div_ceil(rows), along: self.columns.div_ceil(columns) }
    }
}

/// Some blocks of all planes of a copy, in the order of the source.
pub(super) struct Transposition<'a> {
    pub copy: &'a StridedCopy,
    pub plane: Plane,
    pub blocks: Blocks,
    /// Planes.
    pub outer: usize,
    pub sides: (Shared<u8>, Shared<u8>),
    pub range: std::ops::Range<usize>,
    /// Whether lines of the result go past the caches.
    pub streams: bool,
}

impl Transposition<'_> {
    #[inline(always)]
    fn block(&self, unit: usize) -> Block {
        let Transposition { plane, blocks, .. } = self;
        let (outer, inner) = (unit / blocks.count(), unit % blocks.count());
        let (along, down) = (inner / blocks.down, inner % blocks.down);
        let (from, to) = self.copy.offsets(outer, self.copy.shape.len() - 2);
        // Where all rows begin alike within a line, tiles may fill lines.
        let alike = (plane.to_stride * plane.bytes as isize) % LINE as isize == 0;
        let start = self.sides.1.pointer().wrapping_offset(to * plane.bytes as isize) as usize;
        let head = (start.wrapping_neg() % LINE) / plane.bytes;
        let head = if alike && plane.columns * plane.bytes >= 4 * LINE { head } else { 0 };
        let cut = |at: usize| match at {
            0 => 0,
            _ if at == blocks.along => plane.columns,
            _ => (at * blocks.columns + head).min(plane.columns),
        };
        let first = down * blocks.rows;
        Block {
            from,
            to,
            rows: (first, plane.rows.min(first + blocks.rows)),
            columns: (cut(along), cut(along + 1)),
            head: if along == 0 { head } else { 0 },
        }
    }

    /// Elements of other sizes than the tiles': one at a time.
    #[inline(always)]
    fn scalars<T: Copy>(&self) {
        let Plane { from_stride, to_stride, .. } = self.plane;
        for unit in self.range.clone() {
            let Block { from, to, rows, columns, .. } = self.block(unit);
            for row in rows.0..rows.1 {
                // SAFETY: the caller of `run` promises the elements.
                unsafe {
                    let from = self.sides.0.pointer().cast::<T>().offset(from).add(row);
                    let to = self.sides.1.pointer().cast::<T>().offset(to + row as isize * to_stride);
                    for column in columns.0..columns.1 {
                        *to.add(column) = *from.offset(column as isize * from_stride);
                    }
                }
            }
        }
    }

    /// Elements of `BYTES` bytes: 4, or 2, of which a lane holds a pair.
    #[inline(always)]
    fn tiles<S: Simd, const BYTES: usize>(&self, s: S) {
        let tile = LINE / BYTES;
        let (from_step, to_step) = (self.plane.from_stride * BYTES as isize, self.plane.to_stride * BYTES as isize);
        for unit in self.range.clone() {
            let Block { from, to, rows, columns, head } = self.block(unit);
            let mut ahead = self.ahead(unit + 1, (rows.1 - rows.0).div_ceil(LANES) * (columns.1 - columns.0).div_ceil(tile));
            // SAFETY: the caller of `run` promises the elements; lanes beyond a tile are neither read nor written.
            unsafe {
                let from = self.sides.0.pointer().offset(from * BYTES as isize);
                let to = self.sides.1.pointer().offset(to * BYTES as isize);
                for row in (rows.0..rows.1).step_by(LANES) {
                    let height = LANES.min(rows.1 - row);
                    let (from, to) = (from.add(row * BYTES), to.offset(row as isize * to_step));
                    let mut column = columns.0;
                    while column < columns.1 {
                        let width = if column < head { head } else { tile.min(columns.1 - column) };
                        ahead.ask();
                        let lines = load::<S, BYTES>(s, from.offset(column as isize * from_step), from_step, width, height);
                        let lines = s.transpose(lines);
                        let to = to.add(column * BYTES);
                        column += width;
                        // A fixed number of lines stays in registers.
                        macro_rules! each_line {
                            (|$to:ident, $line:ident| $store:expr) => {
                                if height == LANES {
                                    for i in 0..LANES {
                                        let ($to, $line) = (to.offset(i as isize * to_step), lines[i]);
                                        $store;
                                    }
                                } else {
                                    for i in 0..height {
                                        let ($to, $line) = (to.offset(i as isize * to_step), lines[i]);
                                        $store;
                                    }
                                }
                            };
                        }
                        if width < tile {
                            each_line!(|to, line| save::<S, BYTES>(s, to, width, line));
                        } else if self.streams && (to as usize).is_multiple_of(LINE) && to_step % LINE as isize == 0 {
                            each_line!(|to, line| s.stream(to.cast(), line));
                        } else {
                            each_line!(|to, line| s.store(to.cast(), line));
                        }
                    }
                }
            }
        }
        if self.streams {
            s.fence();
        }
    }

    /// What to ask for while a block of so many tiles is transposed, so that the next block is near when its turn comes.
    #[inline(always)]
    fn ahead(&self, unit: usize, tiles: usize) -> Ahead {
        if unit >= self.outer * self.blocks.count() {
            return Ahead { at: std::ptr::null(), end: std::ptr::null(), bytes: 0, step: 0, left: 0, lines: 0 };
        }
        let Block { from, rows, columns, .. } = self.block(unit);
        let bytes = self.plane.bytes;
        let step = self.plane.from_stride * bytes as isize;
        let start = from * bytes as isize + columns.0 as isize * step + (rows.0 * bytes) as isize;
        let (mut each, mut left) = ((rows.1 - rows.0) * bytes, columns.1 - columns.0);
        if step == each as isize {
            // One run of memory.
            (each, left) = (each * left, 1);
        }
        let at = self.sides.0.pointer().cast_const().wrapping_offset(start);
        let lines = (left * each.div_ceil(LINE)).div_ceil(tiles.max(1));
        Ahead { at, end: at.wrapping_add(each), bytes: each, step, left, lines }
    }
}

/// Pieces of memory to be asked for line by line.
struct Ahead {
    /// The next address, and the end of its piece.
    at: *const u8,
    end: *const u8,
    /// Bytes of a piece, and from one to the next.
    bytes: usize,
    step: isize,
    /// Pieces that are left, this one included.
    left: usize,
    /// Lines to ask for at once.
    lines: usize,
}

impl Ahead {
    #[inline(always)]
    fn ask(&mut self) {
        for _ in 0..self.lines {
            if self.left == 0 {
                return;
            }
            prefetch_second(self.at);
            self.at = self.at.wrapping_add(LINE);
            if self.at >= self.end {
                self.left -= 1;
                self.at = self.end.wrapping_sub(self.bytes).wrapping_offset(self.step);
                self.end = self.at.wrapping_add(self.bytes);
            }
        }
    }
}

/// Loads `width` lines of `height` elements each, `step` bytes apart; lines of 2-byte elements in pairs, the first's element below the second's.
///
/// # Safety
/// The elements are readable.
#[inline(always)]
unsafe fn load<S: Simd, const BYTES: usize>(s: S, from: *const u8, step: isize, width: usize, height: usize) -> [S::V; LANES] {
    let mut lines = [s.zero(); LANES];
    let whole = width == LINE / BYTES && height == LANES;
    // SAFETY: the caller's promise.
    unsafe {
        if BYTES == 4 && whole {
            for i in 0..LANES {
                lines[i] = s.load(from.offset(i as isize * step).cast());
            }
        } else if BYTES == 4 {
            for i in 0..width {
                lines[i] = s.load_part(from.offset(i as isize * step).cast(), height);
            }
        } else if whole {
            for i in 0..LANES {
                let even = s.load_bf16(from.offset(2 * i as isize * step).cast());
                let odd = s.load_bf16(from.offset((2 * i + 1) as isize * step).cast());
                lines[i] = s.interleave_bf16(even, odd);
            }
        } else {
            for i in 0..width.div_ceil(2) {
                let even = bf16::load_part(s, from.offset(2 * i as isize * step).cast(), height);
                let odd = if 2 * i + 1 < width {
                    bf16::load_part(s, from.offset((2 * i + 1) as isize * step).cast(), height)
                } else {
                    s.zero()
                };
                lines[i] = s.interleave_bf16(even, odd);
            }
        }
    }
    lines
}

/// Stores the first `n` elements of a vector.
///
/// # Safety
/// They are writable.
#[inline(always)]
unsafe fn save<S: Simd, const BYTES: usize>(s: S, to: *mut u8, n: usize, x: S::V) {
    // SAFETY: the caller's promise, and a vector has at least so many elements.
    unsafe {
        if BYTES == 4 {
            s.store_part(to.cast(), n, x);
        } else {
            let lanes = s.to_array(x);
            std::ptr::copy_nonoverlapping(lanes.as_ptr().cast::<u8>(), to, n * BYTES);
        }
    }
}

impl Kernel for Transposition<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.plane.bytes {
            1 => self.scalars::<u8>(),
            2 => self.tiles::<S, 2>(s),
            4 => self.tiles::<S, 4>(s),
            _ => self.scalars::<u64>(),
        }
    }
}
