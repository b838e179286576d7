//! Clover: leaves of three rounded leaflets, each with a pale chevron.

use super::canvas::{Canvas, Colour, Light, mix, scaled};

/// One leaf, seen from above.
#[derive(Debug, Clone, Copy)]
pub struct Leaf {
    /// Where the leaflets meet, in pixels.
    pub centre: [f32; 2],
    /// The length of a leaflet, in pixels.
    pub radius: f32,
    /// The directions of the leaflets, as cosine and sine.
    pub directions: [[f32; 2]; 3],
    /// How each leaflet catches the light: its brightness, relative.
    pub tilts: [f32; 3],
    /// The direction in which the leaf is seen foreshortened, and its apparent width there (0 to 1).
    pub lean: ([f32; 2], f32),
    /// The colour.
    pub colour: Colour,
    /// How marked the chevron is, 0 to 1.
    pub chevron: f32,
    /// The height above the ground, 0 to 1.
    pub lift: f32,
}

/// The greatest half width of a leaflet, relative to its length.
const BROAD: f32 = 0.74;

/// The mean of the half width along a leaflet, relative to its length: `BROAD` times the beta function at (3/2, 5/4).
const MEAN_WIDTH: f32 = BROAD * 0.499_4;

impl Leaf {
    /// The area that it covers, in square pixels, where leaflets do not overlap.
    pub fn area(&self) -> f32 {
        3.0 * 2.0 * MEAN_WIDTH * self.radius * self.radius * self.lean.1
    }

    /// Draws the leaf with its shadow.
    pub fn draw(&self, canvas: &mut Canvas, light: &Light) {
        let fall = 1.0 + 4.0 * self.lift;
        let soft = 1.2 + 1.5 * self.lift;
        let reach = self.radius + fall + soft + 1.0;
        let range = |centre: f32, limit: usize| {
            let (low, high) = ((centre - reach).floor().max(0.0), ((centre + reach).ceil() + 1.0).min(limit as f32));
            if low < high { low as usize..high as usize } else { 0..0 }
        };
        let (rows, columns) = (range(self.centre[1], canvas.height), range(self.centre[0], canvas.width));
        for y in rows.clone() {
            for x in columns.clone() {
                let at = [x as f32 + light.from[0] * fall, y as f32 + light.from[1] * fall];
                let inside = self.deepest(at);
                let cover = ((inside + soft) / (2.0 * soft)).clamp(0.0, 1.0);
                canvas.darken(y * canvas.width + x, light.shadow * 0.65 * cover);
            }
        }
        for y in rows {
            for x in columns.clone() {
                self.paint(canvas, x, y, light);
            }
        }
    }

    fn paint(&self, canvas: &mut Canvas, x: usize, y: usize, light: &Light) {
        let local = self.unleaned([x as f32, y as f32]);
        let place = y * canvas.width + x;
        for (direction, tilt) in self.directions.iter().zip(self.tilts) {
            let Some(spot) = self.leaflet(local, *direction) else { continue };
            let cover = (spot.inside + 0.5).clamp(0.0, 1.0);
            if cover <= 0.0 {
                continue;
            }
            // The two halves of a leaflet meet in a fold.
            let towards = direction[0] * light.from[1] - direction[1] * light.from[0];
            let half = 1.0 + light.contrast * 0.16 * towards * spot.across.signum() * spot.across.abs().min(0.4) * 2.5;
            let vein = if spot.across.abs() < 0.09 { 1.14 } else { 1.0 };
            let edge = 0.84 + 0.16 * (spot.inside / 1.6).clamp(0.0, 1.0);
            let centre = 0.72 + 0.28 * (spot.along * 3.0).min(1.0);
            // Leaflets are a shade apart where they overlap.
            let colour = scaled(self.colour, tilt * half * vein * edge * centre);
            let bend = spot.along - (0.66 - 0.30 * spot.across.abs());
            let pale = self.chevron * (1.0 - (bend / 0.10) * (bend / 0.10)).max(0.0);
            let bright = [self.colour[0] * 1.2 + 0.13, self.colour[1] * 1.15 + 0.14, self.colour[2] * 1.2 + 0.07];
            canvas.blend(place, mix(colour, scaled(bright, tilt), pale), cover);
        }
    }

    /// How deep a point lies inside the leaf, in pixels; negative outside.
    fn deepest(&self, at: [f32; 2]) -> f32 {
        let local = self.unleaned(at);
        let depth = |direction: &[f32; 2]| self.leaflet(local, *direction).map_or(-1e9, |spot| spot.inside);
        self.directions.iter().map(depth).fold(-1e9, f32::max)
    }

    /// A point as seen from straight above the leaf, relative to its centre.
    fn unleaned(&self, at: [f32; 2]) -> [f32; 2] {
        let (dx, dy) = (at[0] - self.centre[0], at[1] - self.centre[1]);
        let (axis, apparent) = self.lean;
        let stretch = (dx * axis[0] + dy * axis[1]) * (1.0 / apparent - 1.0);
        [dx + stretch * axis[0], dy + stretch * axis[1]]
    }

    /// Where a point lies on a leaflet; `None` far from it.
    fn leaflet(&self, local: [f32; 2], direction: [f32; 2]) -> Option<Spot> {
        let along = (local[0] * direction[0] + local[1] * direction[1]) / self.radius;
        let side = (local[1] * direction[0] - local[0] * direction[1]) / self.radius;
        if !(-0.5..=1.6).contains(&along) {
            return None;
        }
        // Narrow where it is attached, broad beyond the middle, rounded at the end.
        let inner = along.clamp(0.0, 1.0);
        let half = BROAD * inner.sqrt() * (1.0 - inner).sqrt().sqrt();
        let notch = 0.09 * (1.0 - side.abs() / 0.22).max(0.0);
        let across = (half - side.abs()) * self.radius;
        let ends = along.min(1.0 - notch - along) * self.radius;
        Some(Spot { along, across: side / half.max(0.1), inside: across.min(ends) })
    }
}

/// A point on a leaflet: its place along (0 to 1) and across (-1 to 1), and how deep it lies inside, in pixels.
struct Spot {
    along: f32,
    across: f32,
    inside: f32,
}
