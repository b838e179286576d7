//! Bare soil: clumps under slanting light, and stones.

use super::canvas::{Canvas, Colour, Light, mix, scaled};
use super::noise::Noise;
use crate::random::Stream;

/// Covers the canvas with soil of a colour.
pub fn soil(canvas: &mut Canvas, colour: Colour, light: &Light, stream: &mut Stream) {
    let seed = stream.next_u32();
    let (clumps, crumbs, moisture) = (Noise::new(seed), Noise::new(seed ^ 0x5555), Noise::new(seed ^ 0xAAAA));
    let relief = |x: f32, y: f32| {
        // Ridges of noise make rounded clumps with narrow furrows between them.
        let clump = 1.0 - (2.0 * clumps.fractal(x / 26.0, y / 26.0, 4) - 1.0).abs();
        clump * 0.72 + 0.16 * crumbs.at(x / 2.1, y / 2.1) + 0.12 * crumbs.at(x / 5.3 + 91.0, y / 5.3)
    };
    let mut above: Vec<f32> = (0..=canvas.width).map(|x| relief(x as f32, -1.0)).collect();
    for y in 0..canvas.height {
        let here: Vec<f32> = (0..=canvas.width).map(|x| relief(x as f32 - 1.0, y as f32)).collect();
        for x in 0..canvas.width {
            let height = here[x + 1];
            let slope = (height - here[x]) * light.from[0] + (height - above[x]) * light.from[1];
            let lit = (1.0 - light.contrast * 6.5 * slope).clamp(0.3, 1.8);
            let depth = 0.35 + 0.75 * height * height;
            let wet = moisture.fractal(x as f32 / 90.0, y as f32 / 90.0, 3);
            let tint = mix(colour, scaled(colour, 0.62), wet);
            let grey = (tint[0] + tint[1] + tint[2]) / 3.0;
            let dusty = mix(tint, [grey; 3], 0.35 * crumbs.at(x as f32 / 9.0, y as f32 / 9.0));
            canvas.pixels[y * canvas.width + x] = scaled(dusty, lit * depth);
            above[x] = here[x + 1];
        }
    }
    for _ in 0..4 + stream.below(26) {
        stone(canvas, light, stream);
    }
}

/// A pebble: an ellipse lit from one side, with its shadow.
fn stone(canvas: &mut Canvas, light: &Light, stream: &mut Stream) {
    let size = stream.unit();
    let (long, flat) = (1.2 + 5.0 * (size * size * size) as f32, stream.between(0.55, 0.95) as f32);
    let centre = [stream.unit() as f32 * canvas.width as f32, stream.unit() as f32 * canvas.height as f32];
    let turn = stream.unit() as f32 * std::f32::consts::PI;
    let (sine, cosine) = (libm::sinf(turn), libm::cosf(turn));
    let grey = stream.between(0.10, 0.34) as f32;
    let colour = [grey * 1.08, grey, grey * stream.between(0.8, 1.0) as f32];
    let rough = Noise::new(stream.next_u32());
    let reach = long + 3.0;
    let range = |centre: f32, limit: usize| {
        let (low, high) = ((centre - reach).floor().max(0.0), (centre + reach).ceil().min(limit as f32 - 1.0));
        low as usize..=(high.max(0.0) as usize)
    };
    for y in range(centre[1], canvas.height) {
        for x in range(centre[0], canvas.width) {
            let at = y * canvas.width + x;
            let local = |dx: f32, dy: f32| {
                let (u, v) = ((dx * cosine + dy * sine) / long, (dy * cosine - dx * sine) / (long * flat));
                (u, v, (u * u + v * v).sqrt())
            };
            let (dx, dy) = (x as f32 - centre[0], y as f32 - centre[1]);
            let (_, _, shade) = local(dx + light.from[0] * 1.6, dy + light.from[1] * 1.6);
            canvas.darken(at, light.shadow * (1.4 - shade).clamp(0.0, 0.7));
            let (_, _, radius) = local(dx, dy);
            let cover = ((1.0 - radius) * long * flat + 0.5).clamp(0.0, 1.0);
            if cover > 0.0 {
                let towards = (dx * light.from[0] + dy * light.from[1]) / long;
                let lit = 1.0 + light.contrast * 0.9 * towards - 0.25 * radius * radius;
                let grain = 0.8 + 0.4 * rough.at(x as f32 / 1.7, y as f32 / 1.7);
                canvas.blend(at, scaled(colour, lit * grain), cover);
            }
        }
    }
}
