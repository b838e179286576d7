//! Blades, stems and litter: tapered curved strokes with a fold along the middle.

use super::canvas::{Canvas, Colour, Light, mix, scaled};

/// The segments that a curve is drawn by.
const SEGMENTS: usize = 9;

/// How the width runs along a stroke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taper {
    /// A leaf: pointed at its end.
    Blade,
    /// A stem or a broken piece: of one width.
    Stem,
}

impl Taper {
    /// The width at a place along the stroke (0 to 1), relative to the widest.
    fn width(self, along: f32) -> f32 {
        match self {
            Self::Blade => (0.62 + 1.2 * along).min(1.0) * (1.0 - along * along * along),
            Self::Stem => 1.0,
        }
    }
}

/// A stroke along a quadratic curve.
#[derive(Debug, Clone, Copy)]
pub struct Stroke {
    /// Start, control point and end, in pixels.
    pub curve: [[f32; 2]; 3],
    /// Half the greatest width, in pixels.
    pub half_width: f32,
    /// How it tapers.
    pub taper: Taper,
    /// The colours of base and tip.
    pub colours: [Colour; 2],
    /// The height above the ground, 0 to 1: how far its shadow falls.
    pub lift: f32,
    /// How strongly the two sides of the fold differ, -1 to 1.
    pub fold: f32,
}

impl Stroke {
    fn point(&self, along: f32) -> [f32; 2] {
        let [start, control, end] = self.curve;
        let rest = 1.0 - along;
        std::array::from_fn(|axis| rest * rest * start[axis] + 2.0 * rest * along * control[axis] + along * along * end[axis])
    }

    /// The area that it covers, in square pixels.
    pub fn area(&self) -> f32 {
        let mut area = 0.0;
        let mut from = self.point(0.0);
        for segment in 0..SEGMENTS {
            let (start, end) = (segment as f32 / SEGMENTS as f32, (segment + 1) as f32 / SEGMENTS as f32);
            let to = self.point(end);
            let length = ((to[0] - from[0]) * (to[0] - from[0]) + (to[1] - from[1]) * (to[1] - from[1])).sqrt();
            area += length * self.half_width * (self.taper.width(start) + self.taper.width(end));
            from = to;
        }
        area
    }
}

/// Draws strokes; it keeps the memory that they need.
pub struct Pen {
    width: usize,
    height: usize,
    /// For each pixel: how deep inside the stroke it lies, in pixels, the place along it, and the place across it (-1 to 1).
    depth: Vec<f32>,
    along: Vec<f32>,
    across: Vec<f32>,
}

/// The depth of pixels that a stroke does not touch.
const OUTSIDE: f32 = -1e9;

/// Pixels from `low` to below `high` along both axes.
#[derive(Clone, Copy)]
struct Window {
    low: [usize; 2],
    high: [usize; 2],
}

impl Pen {
    /// A pen for a canvas of a size.
    pub fn new(width: usize, height: usize) -> Self {
        let pixels = width * height;
        Self { width, height, depth: vec![OUTSIDE; pixels], along: vec![0.0; pixels], across: vec![0.0; pixels] }
    }

    /// Draws a stroke with its shadow.
    pub fn draw(&mut self, canvas: &mut Canvas, stroke: &Stroke, light: &Light) {
        let fall = 0.8 + 5.5 * stroke.lift;
        let offset = [-light.from[0] * fall, -light.from[1] * fall];
        let soft = 0.8 + 2.2 * stroke.lift;
        let strength = light.shadow * (0.75 - 0.3 * stroke.lift);
        if let Some(window) = self.trace(stroke, offset, soft, 4) {
            self.each(window, |at, depth, _, _| {
                let cover = ((depth + soft) / (2.0 * soft)).clamp(0.0, 1.0);
                canvas.darken(at, strength * cover * cover * (3.0 - 2.0 * cover));
            });
        }
        // Light skims along a blade, so that one across its direction looks brighter.
        let run = [stroke.curve[2][0] - stroke.curve[0][0], stroke.curve[2][1] - stroke.curve[0][1]];
        let length = (run[0] * run[0] + run[1] * run[1]).sqrt().max(1.0);
        let side = (run[0] * light.from[1] - run[1] * light.from[0]) / length;
        if let Some(window) = self.trace(stroke, [0.0; 2], 0.5, SEGMENTS) {
            self.each(window, |at, depth, along, across| {
                let cover = (depth + 0.5).clamp(0.0, 1.0);
                let base = mix(stroke.colours[0], stroke.colours[1], along);
                let fold = 1.0 + light.contrast * stroke.fold * side * across;
                let rib = 1.0 + 0.22 * (1.0 - 3.0 * across.abs()).max(0.0);
                let bow = 0.86 + 0.3 * along * (1.0 - along) * 4.0 * (0.5 + 0.5 * side.abs());
                canvas.blend(at, scaled(base, fold * rib * bow), cover);
            });
        }
    }

    /// Fills the pen's memory with a stroke moved by `offset`, `reach` pixels beyond its edge; the window it lies in.
    fn trace(&mut self, stroke: &Stroke, offset: [f32; 2], reach: f32, segments: usize) -> Option<Window> {
        let mut whole: Option<Window> = None;
        let mut from = stroke.point(0.0);
        for segment in 0..segments {
            let (start, end) = (segment as f32 / segments as f32, (segment + 1) as f32 / segments as f32);
            let to = stroke.point(end);
            let ends = [from, to].map(|point| [point[0] + offset[0], point[1] + offset[1]]);
            let widths = [start, end].map(|along| stroke.half_width * stroke.taper.width(along));
            if let Some(window) = self.segment(ends, widths, [start, end], reach) {
                whole = Some(whole.map_or(window, |whole| whole.join(window)));
            }
            from = to;
        }
        whole
    }

    fn segment(&mut self, ends: [[f32; 2]; 2], widths: [f32; 2], along: [f32; 2], reach: f32) -> Option<Window> {
        let [a, b] = ends;
        let window = self.window(a, b, widths[0].max(widths[1]) + reach)?;
        let run = [b[0] - a[0], b[1] - a[1]];
        let squared = (run[0] * run[0] + run[1] * run[1]).max(1e-6);
        let (inverse, inverse_length) = (1.0 / squared, 1.0 / squared.sqrt());
        for y in window.low[1]..window.high[1] {
            let dy = y as f32 - a[1];
            for x in window.low[0]..window.high[0] {
                let dx = x as f32 - a[0];
                let share = ((dx * run[0] + dy * run[1]) * inverse).clamp(0.0, 1.0);
                let (ex, ey) = (dx - share * run[0], dy - share * run[1]);
                let width = widths[0] + (widths[1] - widths[0]) * share;
                let depth = width - (ex * ex + ey * ey).sqrt();
                let at = y * self.width + x;
                if depth > -reach && depth > self.depth[at] {
                    self.depth[at] = depth;
                    self.along[at] = along[0] + (along[1] - along[0]) * share;
                    let side = (run[0] * dy - run[1] * dx) * inverse_length;
                    self.across[at] = (side / width.max(0.4)).clamp(-1.0, 1.0);
                }
            }
        }
        Some(window)
    }

    /// The pixels around a line, as far as they are on the canvas.
    fn window(&self, a: [f32; 2], b: [f32; 2], reach: f32) -> Option<Window> {
        let limits = [self.width, self.height];
        let mut window = Window { low: [0; 2], high: [0; 2] };
        for axis in 0..2 {
            let low = (a[axis].min(b[axis]) - reach).floor().max(0.0);
            let high = (a[axis].max(b[axis]) + reach).ceil().min(limits[axis] as f32 - 1.0) + 1.0;
            if low >= high {
                return None;
            }
            (window.low[axis], window.high[axis]) = (low as usize, high as usize);
        }
        Some(window)
    }

    /// Hands out the pixels that were traced, with depth and the places along and across, and forgets them.
    fn each(&mut self, window: Window, mut paint: impl FnMut(usize, f32, f32, f32)) {
        for y in window.low[1]..window.high[1] {
            for at in y * self.width + window.low[0]..y * self.width + window.high[0] {
                if self.depth[at] > OUTSIDE {
                    paint(at, self.depth[at], self.along[at], self.across[at]);
                    self.depth[at] = OUTSIDE;
                }
            }
        }
    }
}

impl Window {
    fn join(self, other: Self) -> Self {
        let pick = |one: [usize; 2], two: [usize; 2], choose: fn(usize, usize) -> usize| {
            [choose(one[0], two[0]), choose(one[1], two[1])]
        };
        Self { low: pick(self.low, other.low, usize::min), high: pick(self.high, other.high, usize::max) }
    }
}
