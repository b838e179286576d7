//! A photograph of one quadrat: soil, litter, leaves by height, light.
//!
//! Leaves are drawn until their area reaches the mass times the leaf area of a gram, so that the photograph carries what the tables
//! say. Leaves hide each other, as they do: the denser the stand, the less the next gram shows.

use super::SIZE;
use super::canvas::{Canvas, Colour, Light, linear, mix, scaled};
use super::clover::Leaf;
use super::ground::soil;
use super::noise::Noise;
use super::stroke::{Pen, Stroke, Taper};
use super::survey::{Quadrat, Visit};
use crate::random::Stream;

/// The leaf area of a gram, relative to the area of the quadrat.
mod area_per_gram {
    pub const GREEN: f32 = 0.052;
    pub const DEAD: f32 = 0.045;
    pub const CLOVER: f32 = 0.075;
}

/// Something that is drawn, with its height above the ground (0 to 1).
enum Thing {
    Stroke(Stroke),
    Leaf(Leaf),
}

/// What a scene is drawn with.
struct Scene<'s> {
    quadrat: &'s Quadrat,
    visit: &'s Visit,
    stream: Stream,
    things: Vec<(f32, Thing)>,
    /// How much darker the bottom of the stand is than its top.
    depth: f32,
    /// Where tussocks stand.
    tussocks: Vec<[f32; 2]>,
}

/// Draws the photograph: sRGB bytes, row by row.
pub fn photograph(quadrat: &Quadrat, visit: &Visit, stream: Stream) -> Vec<u8> {
    let (width, height) = SIZE;
    let mut scene = Scene { quadrat, visit, stream, things: Vec::new(), depth: 0.0, tussocks: Vec::new() };
    let light = scene.light();
    let mut canvas = Canvas::new(width, height);
    let ground = scaled(linear(visit.state.soil), scene.draw(0.8, 1.25));
    soil(&mut canvas, ground, &light, &mut scene.stream);

    let truth = &quadrat.truth;
    let cover = truth.green as f32 * area_per_gram::GREEN
        + truth.dead as f32 * area_per_gram::DEAD
        + truth.clover as f32 * area_per_gram::CLOVER;
    scene.depth = 0.85 * cover / (1.0 + cover);
    let count = 14 + scene.stream.below(26) as usize;
    scene.tussocks = (0..count).map(|_| scene.place()).collect();
    scene.dead(truth.dead as f32 * area_per_gram::DEAD);
    scene.grass(truth.green as f32 * area_per_gram::GREEN);
    scene.clover(truth.clover as f32 * area_per_gram::CLOVER);

    // Stable, so that things of one height keep the order in which they were drawn.
    scene.things.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut pen = Pen::new(width, height);
    for (_, thing) in &scene.things {
        match thing {
            Thing::Stroke(stroke) => pen.draw(&mut canvas, stroke, &light),
            Thing::Leaf(leaf) => leaf.draw(&mut canvas, &light),
        }
    }
    let falloff = [scene.draw(-0.22, 0.22), scene.draw(-0.18, 0.18)];
    let (exposure, grain) = (scene.draw(0.92, 1.1) * 1.25, scene.draw(0.008, 0.02));
    let seed = scene.stream.next_u32();
    canvas.expose(&light, falloff, exposure, grain, seed)
}

impl Scene<'_> {
    fn draw(&mut self, low: f64, high: f64) -> f32 {
        self.stream.between(low, high) as f32
    }

    /// A place on the photograph or just beside it.
    fn place(&mut self) -> [f32; 2] {
        let (width, height) = (SIZE.0 as f64, SIZE.1 as f64);
        [self.draw(-12.0, width + 12.0), self.draw(-12.0, height + 12.0)]
    }

    fn light(&mut self) -> Light {
        let angle = self.draw(0.0, std::f64::consts::TAU);
        let (sun, warmth) = (self.visit.sun as f32, self.visit.warmth as f32);
        Light {
            from: [libm::cosf(angle), libm::sinf(angle)],
            shadow: 0.34 + 0.36 * sun,
            contrast: 0.5 + 0.6 * sun,
            colour: [1.0 + 0.07 * warmth, 1.0, 1.0 - 0.09 * warmth],
        }
    }

    /// How bright a thing at a height is, under what stands above it.
    fn under(&self, lift: f32) -> f32 {
        1.0 - self.depth * (1.0 - lift) * (1.0 - 0.3 * lift)
    }

    /// The length of a blade lying flat, in pixels, before chance.
    fn blade_length(&self) -> f32 {
        26.0 + 4.2 * (self.quadrat.height() as f32).min(26.0)
    }

    /// A curve from a place in a direction.
    fn curve(&mut self, start: [f32; 2], angle: f32, length: f32, bend: f32) -> [[f32; 2]; 3] {
        let turn = angle + bend * self.stream.normal() as f32;
        let step = |from: [f32; 2], angle: f32, length: f32| {
            [from[0] + libm::cosf(angle) * length, from[1] + libm::sinf(angle) * length]
        };
        let control = step(start, angle, 0.55 * length);
        [start, control, step(control, turn, 0.5 * length)]
    }

    /// Where a blade starts, and in which direction it leans: out of its tussock, or anywhere.
    fn root(&mut self) -> ([f32; 2], f32) {
        if self.stream.unit() < 0.45 {
            return (self.place(), self.draw(0.0, std::f64::consts::TAU));
        }
        let chosen = self.stream.below(self.tussocks.len() as u64) as usize;
        let [x, y] = self.tussocks[chosen];
        let angle = self.draw(0.0, std::f64::consts::TAU);
        let spread = 15.0 * self.stream.unit() as f32;
        let lean = angle + 0.5 * self.stream.normal() as f32;
        ([x + libm::cosf(angle) * spread, y + libm::sinf(angle) * spread], lean)
    }

    /// Adds things until they cover `share` times the quadrat; the last one may be smaller or left out by chance.
    fn fill(&mut self, share: f32, mut make: impl FnMut(&mut Self) -> (f32, f32, Thing)) {
        let mut left = share * (SIZE.0 * SIZE.1) as f32;
        while left > 0.0 {
            let (lift, area, thing) = make(self);
            // Without chance here, a little mass would always show as one leaf too many.
            if area > left && self.stream.unit() as f32 * area > left {
                break;
            }
            left -= area;
            self.things.push((lift, thing));
        }
    }

    fn grass(&mut self, share: f32) {
        let hue = self.visit.mixture.hue as f32;
        let deep = linear([54, 88, 34]);
        let fresh = mix(linear([128, 152, 62]), linear([96, 140, 74]), 0.5 + 0.5 * hue);
        let straw = linear([186, 172, 96]);
        let length = self.blade_length();
        let half_width = self.visit.mixture.half_width as f32;
        self.fill(share, |scene| {
            let (start, angle) = scene.root();
            let lift = scene.draw(0.0, 1.0);
            // The steeper a blade stands, the shorter it looks from above.
            let length = length * scene.draw(0.4, 1.25) * (0.55 + 0.45 * lift);
            let curve = scene.curve(start, angle, length, 0.45);
            let tone = scene.draw(0.0, 1.0);
            let bright = scene.under(lift) * scene.draw(0.75, 1.25);
            let base = scaled(mix(deep, fresh, tone), bright);
            let tip = if scene.stream.unit() < 0.16 {
                mix(base, scaled(straw, bright), scene.draw(0.3, 0.9))
            } else {
                scaled(base, scene.draw(1.0, 1.3))
            };
            let stroke = Stroke {
                curve,
                half_width: half_width * scene.draw(0.7, 1.3),
                taper: Taper::Blade,
                colours: [scaled(base, 0.85), tip],
                lift,
                fold: scene.draw(-0.35, 0.35),
            };
            (lift, stroke.area(), Thing::Stroke(stroke))
        });
    }

    fn dead(&mut self, share: f32) {
        let tones = [[206, 188, 140], [178, 160, 118], [150, 126, 88], [112, 88, 60], [78, 62, 46]].map(linear);
        let length = self.blade_length();
        self.fill(share, |scene| {
            let is_standing = scene.stream.unit() < 0.45;
            let (start, angle) = scene.root();
            let lift = if is_standing { scene.draw(0.25, 0.95) } else { scene.draw(0.0, 0.25) };
            let long = if is_standing { length * scene.draw(0.45, 1.2) } else { scene.draw(10.0, 46.0) };
            let curve = scene.curve(start, angle, long, if is_standing { 0.35 } else { 0.7 });
            let tone = scene.draw(0.0, if is_standing { 2.4 } else { 3.99 });
            let (index, rest) = (tone as usize, tone - (tone as usize) as f32);
            // Light reaches pale litter under leaves better than it reaches the soil.
            let bright = (0.25 + 0.75 * scene.under(lift)) * scene.draw(0.75, 1.15);
            let colour: Colour = scaled(mix(tones[index], tones[index + 1], rest), bright);
            let stroke = Stroke {
                curve,
                half_width: scene.draw(0.7, 1.7),
                taper: if is_standing || scene.stream.unit() < 0.5 { Taper::Blade } else { Taper::Stem },
                colours: [scaled(colour, 0.88), scaled(colour, scene.draw(0.9, 1.15))],
                lift: 0.6 * lift,
                fold: scene.draw(-0.3, 0.3),
            };
            (lift, stroke.area(), Thing::Stroke(stroke))
        });
    }

    fn clover(&mut self, share: f32) {
        let patches = Noise::new(self.stream.next_u32());
        let (dark, light) = (linear([56, 92, 34]), linear([116, 150, 66]));
        let size = self.draw(6.5, 9.5);
        let chevron = self.draw(0.15, 0.9);
        let patchy = self.draw(0.0, 0.6);
        self.fill(share, |scene| {
            let centre = scene.patch(patches, patchy);
            let lift = scene.draw(0.15, 0.9);
            let turn = scene.draw(0.0, std::f64::consts::TAU);
            let directions = std::array::from_fn(|leaflet| {
                let angle = turn + leaflet as f32 * (std::f32::consts::TAU / 3.0) + 0.1 * scene.stream.normal() as f32;
                [libm::cosf(angle), libm::sinf(angle)]
            });
            let bright = scene.under(lift) * scene.draw(0.8, 1.2);
            let tilts = std::array::from_fn(|_| scene.draw(0.82, 1.2));
            let lean = scene.draw(0.0, std::f64::consts::TAU);
            let tone = scene.draw(0.0, 1.0);
            let leaf = Leaf {
                centre,
                radius: size * scene.draw(0.6, 1.3),
                directions,
                tilts,
                lean: ([libm::cosf(lean), libm::sinf(lean)], scene.draw(0.65, 1.0)),
                colour: scaled(mix(dark, light, tone), bright),
                chevron,
                lift,
            };
            if scene.stream.unit() < 0.5 {
                let stalk = scene.stalk(&leaf);
                scene.things.push((0.6 * lift, Thing::Stroke(stalk)));
            }
            (lift, leaf.area(), Thing::Leaf(leaf))
        });
    }

    /// A place that is likelier where a field of noise is high.
    fn patch(&mut self, patches: Noise, patchy: f32) -> [f32; 2] {
        // A bounded search: the last place is taken as it is.
        for _ in 0..12 {
            let place = self.place();
            if patches.fractal(place[0] / 70.0, place[1] / 70.0, 3) > patchy * self.draw(0.6, 1.2) {
                return place;
            }
        }
        self.place()
    }

    fn stalk(&mut self, leaf: &Leaf) -> Stroke {
        let (angle, length) = (self.draw(0.0, std::f64::consts::TAU), self.draw(8.0, 26.0));
        let bright = self.under(0.4 * leaf.lift);
        Stroke {
            curve: self.curve(leaf.centre, angle, length, 0.5),
            half_width: 0.55,
            taper: Taper::Stem,
            colours: [scaled(linear([120, 146, 84]), bright), scaled(linear([110, 112, 70]), bright)],
            lift: 0.5 * leaf.lift,
            fold: 0.0,
        }
    }
}
