use super::*;
use crate::cpu::features::Features;

/// A plane transposed beside others: from `[outer, columns, rows]` to `[outer, rows, columns]`, lines longer than what they hold by a gap.
struct Problem {
    outer: usize,
    rows: usize,
    columns: usize,
    from_gap: usize,
    to_gap: usize,
    bytes: usize,
}

impl Problem {
    fn copy(&self) -> StridedCopy {
        let (from_line, to_line) = ((self.rows + self.from_gap) as isize, (self.columns + self.to_gap) as isize);
        StridedCopy::new(
            &[self.outer, self.rows, self.columns],
            &[from_line * self.columns as isize, 1, from_line],
            &[to_line * self.rows as isize, to_line, 1],
            self.bytes,
        )
    }

    /// Copies at a level from and to addresses that lie `shift` elements behind a line's beginning; compares every byte of the result's
    /// memory, what the copy must leave alone included.
    fn check(&self, level: Level, shift: usize, streams: bool) {
        let Problem { outer, rows, columns, from_gap, to_gap, bytes } = *self;
        let from: Vec<u8> = (0..outer * columns * (rows + from_gap) * bytes).map(|i| (i * 31 + i / 251) as u8).collect();
        let (from_line, to_line) = (rows + from_gap, columns + to_gap);
        let mut want = vec![0xa5; outer * rows * to_line * bytes];
        for o in 0..outer {
            for row in 0..rows {
                for column in 0..columns {
                    let source = ((o * columns + column) * from_line + row) * bytes;
                    let target = ((o * rows + row) * to_line + column) * bytes;
                    want[target..target + bytes].copy_from_slice(&from[source..source + bytes]);
                }
            }
        }
        // Room to begin at a line, and behind it.
        let mut memory = vec![0xa5; want.len() + 4 * 64];
        let start = (memory.as_ptr() as usize).wrapping_neg() % 64 + shift * bytes;
        // SAFETY: both sides hold all elements, and the room.
        unsafe { self.copy().run_with(level, from.as_ptr(), memory.as_mut_ptr().add(start), streams) };
        let name = || format!("{rows} rows of {columns}, gaps {from_gap} and {to_gap}, {bytes} bytes, shift {shift}, {level:?}");
        assert!(memory[start..start + want.len()] == want, "{}", name());
        assert!(memory[..start].iter().chain(&memory[start + want.len()..]).all(|byte| *byte == 0xa5), "{}", name());
    }
}

/// Runs a body on pools of several sizes, at every level.
fn everywhere(body: impl Fn(Level) + Sync) {
    let mut levels: Vec<Level> = Features::available().iter().map(|features| features.level()).collect();
    levels.dedup();
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| levels.iter().for_each(|level| body(*level)));
    }
}

#[test]
fn planes_of_all_small_sizes_are_transposed() {
    everywhere(|level| {
        for bytes in [1, 2, 4, 8] {
            for rows in [2, 3, 15, 16, 17, 33] {
                for columns in [2, 7, 15, 16, 17, 31, 32, 33, 49, 64, 100] {
                    let problem = Problem { outer: 3, rows, columns, from_gap: rows % 2, to_gap: columns % 3, bytes };
                    problem.check(level, (rows + columns) % 16, columns % 2 == 0);
                }
            }
        }
    });
}

#[test]
fn rows_that_begin_alike_within_a_line_are_streamed_from_wherever_that_is() {
    everywhere(|level| {
        for bytes in [2, 4] {
            // A row of five lines, of which the gap takes up to one and a half.
            let line = 64 / bytes;
            for to_gap in [0, 1, line - 1, line, line + 5] {
                for shift in [0, 1, 2, 7, line - 1] {
                    for streams in [false, true] {
                        let columns = 5 * line - to_gap;
                        Problem { outer: 2, rows: 21, columns, from_gap: 2, to_gap, bytes }.check(level, shift, streams);
                    }
                }
            }
        }
    });
}

#[test]
fn planes_of_several_blocks_are_transposed() {
    everywhere(|level| {
        for bytes in [1, 2, 4, 8] {
            // Rows around one block's, of a plane that is cut both ways.
            for rows in [24, 2048 / bytes, 2048 / bytes + 1, 3 * 2048 / bytes - 5] {
                let blocks = Problem { outer: 1, rows, columns: 1 << 20, from_gap: 0, to_gap: 0, bytes }.blocks();
                for columns in [blocks - 1, blocks, blocks + 1, 2 * blocks + 37] {
                    for (shift, to_gap) in [(0, columns.wrapping_neg() % 64), (3, columns.wrapping_neg() % 64), (1, 1)] {
                        Problem { outer: 2, rows, columns, from_gap: 0, to_gap, bytes }.check(level, shift, shift > 0);
                    }
                }
            }
        }
    });
}

impl Problem {
    /// Columns of a block.
    fn blocks(&self) -> usize {
        let plane = Plane { rows: self.rows, columns: self.columns, from_stride: 0, to_stride: 0, bytes: self.bytes };
        plane.blocks().columns()
    }
}

#[test]
fn axes_without_elements_are_nothing() {
    for shape in [[0, 4, 5], [3, 0, 5], [3, 4, 0]] {
        let copy = StridedCopy::new(&shape, &[20, 1, 4], &[20, 5, 1], 4);
        // SAFETY: there is no element to read or write.
        unsafe { copy.run(Level::Portable, std::ptr::dangling(), std::ptr::dangling_mut()) };
    }
}
