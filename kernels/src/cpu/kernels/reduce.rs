//! Reductions over any axes, of a tensor or of an elementwise program's result that is never stored.
//!
//! The axes are joined into runs of kept and reduced ones. Work is cut by shape alone: along the kept positions, and along the reduced ones into
//! at most [`SPLITS`] parts, whose partial results are joined in order.

use smallvec::SmallVec;
use sward_core::program::RunKey;

use super::map::{Elements, Evaluation, MapProgram, store};
use crate::cpu::features::Level;
use crate::cpu::simd::{Kernel, LANES, Simd, dispatch};
use crate::cpu::threads::{Scratch, Shared, parallel};

/// What a reduction computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// The sum.
    Sum,
    /// The sum over the number of elements.
    Mean,
    /// The largest, NaN where there is one.
    Max,
    /// The smallest, NaN where there is one.
    Min,
}

/// The most parts that reduced positions are cut into.
const SPLITS: usize = 64;
/// Elements that are worth a part of their own.
const GRAIN: usize = 1 << 14;
/// Columns of a part when the innermost axis is kept.
const COLUMNS: usize = 2048;

impl Reduction {
    fn start(self) -> f32 {
        match self {
            Reduction::Sum | Reduction::Mean => 0.0,
            Reduction::Max => f32::NEG_INFINITY,
            Reduction::Min => f32::INFINITY,
        }
    }

    #[inline(always)]
    fn join<S: Simd>(self, s: S, a: S::V, b: S::V) -> S::V {
        match self {
            Reduction::Sum | Reduction::Mean => s.add(a, b),
            Reduction::Max => s.max_nan(a, b),
            Reduction::Min => s.min_nan(a, b),
        }
    }

    /// The lanes of a vector, by halves.
    #[inline(always)]
    fn fold<S: Simd>(self, s: S, x: S::V) -> f32 {
        let mut lanes = s.to_array(x);
        let mut half = LANES / 2;
        while half > 0 {
            for i in 0..half {
                let (a, b) = (lanes[i], lanes[i + half]);
                lanes[i] = match self {
                    Reduction::Sum | Reduction::Mean => a + b,
                    Reduction::Max if a.is_nan() || a > b => a,
                    Reduction::Min if a.is_nan() || a < b => a,
                    Reduction::Max | Reduction::Min => b,
                };
            }
            half /= 2;
        }
        lanes[0]
    }
}

/// Positions of an index space: sizes and the elements from one to the next.
#[derive(Clone, Debug, Default)]
struct Walk {
    sizes: SmallVec<[usize; 4]>,
    strides: SmallVec<[usize; 4]>,
}

impl Walk {
    fn count(&self) -> usize {
        self.sizes.iter().product()
    }

    #[inline(always)]
    fn offset(&self, mut index: usize) -> usize {
        let mut offset = 0;
        for axis in (0..self.sizes.len()).rev() {
            offset += index % self.sizes[axis] * self.strides[axis];
            index /= self.sizes[axis];
        }
        offset
    }
}

/// A reduction bound to the shape of what it reduces.
#[derive(Clone, Debug)]
pub struct Reduce {
    kind: Reduction,
    /// Kept and reduced positions outside of a row.
    kept: Walk,
    reduced: Walk,
    /// Elements of a row, and whether they are reduced.
    row: usize,
    row_is_reduced: bool,
    /// A kept row is cut into pieces of so many columns.
    columns: usize,
    /// Reduced units (rows, or blocks of a reduced row) are cut into so many parts.
    splits: usize,
    count: usize,
}

impl Reduce {
    /// Binds a reduction of `shape` over `axes` (rising).
    pub fn new(kind: Reduction, shape: &[usize], axes: &[usize]) -> Reduce {
        // Joined runs from the innermost: (size, is reduced).
        let mut runs: Vec<(usize, bool)> = Vec::new();
        for axis in (0..shape.len()).rev() {
            let is_reduced = axes.contains(&axis);
            match runs.last_mut() {
                _ if shape[axis] == 1 => {}
                Some((size, last)) if *last == is_reduced => *size *= shape[axis],
                _ => runs.push((shape[axis], is_reduced)),
            }
        }
        let (row, row_is_reduced) = runs.first().copied().unwrap_or((1, true));
        let (mut kept, mut reduced) = (Walk::default(), Walk::default());
        let mut stride = row;
        for (size, is_reduced) in runs.iter().skip(1) {
            let walk = if *is_reduced { &mut reduced } else { &mut kept };
            walk.sizes.insert(0, *size);
            walk.strides.insert(0, stride);
            stride *= size;
        }
        let count = axes.iter().map(|axis| shape[*axis]).product();
        let columns = if row_is_reduced { 1 } else { row.clamp(1, COLUMNS) };
        let per_result = if row_is_reduced { count } else { reduced.count() * columns };
        let results = kept.count() * if row_is_reduced { 1 } else { row.div_ceil(columns) };
        // Few results of much work each are cut; long sums are cut for their accuracy too.
        let wanted = (per_result / GRAIN).max(if results < 16 { per_result / (GRAIN / 8) } else { 0 });
        let units = if row_is_reduced { reduced.count() * row.div_ceil(GRAIN / 16).max(1) } else { reduced.count() };
        let splits = wanted.clamp(1, SPLITS).min(units.max(1));
        Reduce { kind, kept, reduced, row, row_is_reduced, columns, splits, count }
    }

    /// Reduces the only result of `program`, whose shape is that of the reduction, into `out`.
    ///
    /// # Safety
    /// The program's operands are readable; `out` is writable for the reduction's results and overlaps none of them.
    pub unsafe fn run(&self, level: Level, program: &MapProgram, key: RunKey, out: Elements) {
        let results = self.kept.count() * if self.row_is_reduced { 1 } else { self.row };
        if results == 0 {
            return;
        }
        if program.elements() == 0 {
            dispatch(level, Finish { reduce: self, partials: None, out, first: 0, n: results });
            return;
        }
        let mut partials = Scratch::words(results * self.splits);
        let partials = Shared::<f32>::from_pointer(partials.pointer());
        let pieces = if self.row_is_reduced { 1 } else { self.row.div_ceil(self.columns) };
        // Several kept positions of little work make one part.
        let work = program.elements() / (self.kept.count() * pieces * self.splits).max(1);
        let group = (GRAIN / work.max(1)).clamp(1, self.kept.count());
        let groups = self.kept.count().div_ceil(group);
        parallel(groups * pieces * self.splits, |part| {
            let (rest, split) = (part / self.splits, part % self.splits);
            let (group_index, piece) = (rest / pieces, rest % pieces);
            let kept = group_index * group..((group_index + 1) * group).min(self.kept.count());
            let columns = piece * self.columns..((piece + 1) * self.columns).min(self.row);
            dispatch(level, Part { reduce: self, program, key, kept, columns, split, results, partials });
        });
        let grain = (GRAIN / self.splits).max(64);
        parallel(results.div_ceil(grain), |part| {
            let first = part * grain;
            dispatch(
                level,
                Finish { reduce: self, partials: Some((partials, results)), out, first, n: grain.min(results - first) },
            );
        });
    }
}

/// Reduces one split of some kept positions (and columns) into its partial results.
struct Part<'a> {
    reduce: &'a Reduce,
    program: &'a MapProgram,
    key: RunKey,
    kept: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    split: usize,
    results: usize,
    partials: Shared<f32>,
}

impl Kernel for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Part { reduce, program, key, ref kept, ref columns, split, results, partials } = self;
        let mut memory = Scratch::words(program.scratch_words());
        let partial = partials.pointer().wrapping_add(split * results);
        // SAFETY: blocks lie within the program's result; partial results are this part's own.
        unsafe {
            let mut evaluation = Evaluation::new(s, program, key, memory.pointer());
            if reduce.row_is_reduced {
                self.reduce_rows(s, &mut evaluation, partial);
                return;
            }
            let rows = reduce.reduced.count();
            let share = rows.div_ceil(reduce.splits);
            let (from, to) = ((split * share).min(rows), ((split + 1) * share).min(rows));
            // Rows that follow one another in memory are evaluated together.
            let whole = columns.len() == reduce.row && reduce.reduced.sizes.len() == 1 && reduce.reduced.strides[0] == reduce.row;
            for position in kept.clone() {
                let sums = partial.add(position * reduce.row + columns.start);
                for i in (0..columns.len()).step_by(LANES) {
                    s.store_part(sums.add(i), LANES.min(columns.len() - i), s.splat(reduce.kind.start()));
                }
                let base = reduce.kept.offset(position) + columns.start;
                if whole {
                    self.join_flat(s, &mut evaluation, base + from * reduce.row, base + to * reduce.row, base, sums);
                } else {
                    for row in from..to {
                        let start = base + reduce.reduced.offset(row);
                        self.join_flat(s, &mut evaluation, start, start + columns.len(), start, sums);
                    }
                }
            }
        }
    }
}

impl Part<'_> {
    /// Joins elements `from .. to`, rows of the columns that begin at `origin`, into `sums`.
    #[inline(always)]
    unsafe fn join_flat<S: Simd>(
        &self,
        s: S,
        evaluation: &mut Evaluation<'_>,
        from: usize,
        to: usize,
        origin: usize,
        sums: *mut f32,
    ) {
        let width = self.columns.len();
        let mut first = from;
        while first < to {
            let n = self.program.block().min(to - first);
            // SAFETY: the caller's promise.
            unsafe {
                evaluation.run(s, first, n, &[]);
                let (values, mask) = evaluation.root(0, first, n, false).expect("kept in a register");
                let mut at = 0;
                while at < n {
                    let column = (first + at - origin) % width;
                    let part = (width - column).min(n - at);
                    let mut i = 0;
                    while i < part {
                        let lanes = LANES.min(part - i);
                        let value = if mask == 0 { s.load(values) } else { s.load_part(values.add(at + i), lanes) };
                        let sum = s.load_part(sums.add(column + i), lanes);
                        s.store_part(sums.add(column + i), lanes, self.reduce.kind.join(s, sum, value));
                        i += lanes;
                    }
                    at += part;
                }
            }
            first += n;
        }
    }

    /// Reduces rows whose elements are all reduced.
    #[inline(always)]
    unsafe fn reduce_rows<S: Simd>(&self, s: S, evaluation: &mut Evaluation<'_>, partial: *mut f32) {
        let Part { reduce, program, ref kept, split, .. } = *self;
        // SAFETY: as for `run`.
        unsafe {
            let rows = reduce.reduced.count();
            if rows == 1 && reduce.splits == 1 && reduce.kept.sizes.len() <= 1 {
                // Rows of neighbouring results lie together: evaluate many at once.
                let (end, mut first) = (kept.end * reduce.row, kept.start * reduce.row);
                let mut running = s.splat(reduce.kind.start());
                while first < end {
                    let n = program.block().min(end - first);
                    evaluation.run(s, first, n, &[]);
                    let (values, mask) = evaluation.root(0, first, n, false).expect("kept in a register");
                    let mut at = 0;
                    while at < n {
                        let column = (first + at) % reduce.row;
                        let part = (reduce.row - column).min(n - at);
                        if column == 0 {
                            running = s.splat(reduce.kind.start());
                        }
                        running = self.join_run(s, running, values.add(if mask == 0 { 0 } else { at }), mask, part);
                        at += part;
                        if column + part == reduce.row {
                            *partial.add((first + at - 1) / reduce.row) = reduce.kind.fold(s, running);
                        }
                    }
                    first += n;
                }
                return;
            }
            // Units of a row's length or a block of it, shared among the splits.
            let block = program.block();
            let blocks = reduce.row.div_ceil(block);
            let units = rows * blocks;
            let share = units.div_ceil(reduce.splits);
            let (from, to) = ((split * share).min(units), ((split + 1) * share).min(units));
            for position in kept.clone() {
                let base = reduce.kept.offset(position);
                let mut running = s.splat(reduce.kind.start());
                for unit in from..to {
                    let column = unit % blocks * block;
                    let first = base + reduce.reduced.offset(unit / blocks) + column;
                    let n = block.min(reduce.row - column);
                    evaluation.run(s, first, n, &[]);
                    let (values, mask) = evaluation.root(0, first, n, false).expect("kept in a register");
                    running = self.join_run(s, running, values, mask, n);
                }
                *partial.add(position) = reduce.kind.fold(s, running);
            }
        }
    }

    /// Joins `n` values into the lanes of `running`.
    #[inline(always)]
    unsafe fn join_run<S: Simd>(&self, s: S, running: S::V, values: *const f32, mask: usize, n: usize) -> S::V {
        let kind = self.reduce.kind;
        let (mut a, mut b) = (running, s.splat(kind.start()));
        // SAFETY: the caller promises `n` values (or one line of them).
        unsafe {
            let mut i = 0;
            while i + 2 * LANES <= n {
                a = kind.join(s, a, s.load(values.add(i & mask)));
                b = kind.join(s, b, s.load(values.add((i + LANES) & mask)));
                i += 2 * LANES;
            }
            if i + LANES <= n {
                a = kind.join(s, a, s.load(values.add(i & mask)));
                i += LANES;
            }
            if i < n {
                let mut lanes = s.to_array(s.splat(kind.start()));
                for j in i..n {
                    lanes[j - i] = *values.add(j & mask);
                }
                a = kind.join(s, a, s.from_array(lanes));
            }
        }
        kind.join(s, a, b)
    }
}

/// Joins the splits of some results, divides means, stores.
struct Finish<'a> {
    reduce: &'a Reduce,
    /// The partial results and how many each split has; none for a reduction of nothing.
    partials: Option<(Shared<f32>, usize)>,
    out: Elements,
    first: usize,
    n: usize,
}

impl Kernel for Finish<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Finish { reduce, partials, out, first, n } = self;
        let count = s.splat(reduce.count as f32);
        for i in (0..n).step_by(LANES) {
            let lanes = LANES.min(n - i);
            // SAFETY: partial results and results have these elements.
            unsafe {
                let mut joined = s.splat(reduce.kind.start());
                if let Some((partials, results)) = partials {
                    joined = s.load_part(partials.pointer().add(first + i), lanes);
                    for split in 1..reduce.splits {
                        let part = s.load_part(partials.pointer().add(split * results + first + i), lanes);
                        joined = reduce.kind.join(s, joined, part);
                    }
                }
                if reduce.kind == Reduction::Mean {
                    joined = s.div(joined, count);
                }
                let line = s.to_array(joined);
                store(s, (line.as_ptr(), usize::MAX), out, first + i, lanes);
            }
        }
    }
}
