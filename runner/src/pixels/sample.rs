//! Values at places between pixels: what every geometric warp reads through.

use serde::{Deserialize, Serialize};

use super::error::{Result, parameter};
use super::picture::Picture;
use super::resize::Interpolation;

/// What lies outside a picture when a warp reads there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Border {
    /// One colour (red, green, blue; a grey picture takes the first).
    Fill(u8, u8, u8),
    /// The picture mirrored at its outermost pixels (OpenCV's `BORDER_REFLECT_101`).
    Reflect,
}

impl Default for Border {
    fn default() -> Self {
        Border::Fill(0, 0, 0)
    }
}

/// Builds a picture of the source's size by reading the source at `place(row, column)` = (x, y) for every pixel.
///
/// Places are continuous, as in Pillow's `transform`: the pixel in row r and column c covers (c..c+1, r..r+1) and its value stands at
/// the centre. A place outside the picture yields the border; inside, neighbours beyond the edge repeat it.
pub fn warp(
    picture: &Picture,
    interpolation: Interpolation,
    border: Border,
    mut place: impl FnMut(usize, usize) -> (f64, f64),
) -> Picture {
    let (height, width, channels) = (picture.height(), picture.width(), picture.channels());
    let mut data = vec![0; picture.data().len()];
    let mut target = data.chunks_exact_mut(channels);
    let (right, bottom) = (width as f64, height as f64);
    for row in 0..height {
        for column in 0..width {
            let (mut x, mut y) = place(row, column);
            let Some(pixel) = target.next() else { break };
            // A place that is not finite lies outside, too.
            if !(x >= 0.0 && x < right && y >= 0.0 && y < bottom) {
                match border {
                    Border::Fill(red, green, blue) => {
                        pixel.copy_from_slice(&[red, green, blue][..channels]);
                        continue;
                    }
                    Border::Reflect => {
                        x = reflect(x - 0.5, width) + 0.5;
                        y = reflect(y - 0.5, height) + 0.5;
                    }
                }
            }
            match interpolation {
                Interpolation::Nearest => {
                    pixel.copy_from_slice(picture.pixel((y as usize).min(height - 1), (x as usize).min(width - 1)));
                }
                Interpolation::Bilinear => bilinear(picture, x, y, pixel),
                Interpolation::Bicubic | Interpolation::Lanczos3 => bicubic(picture, x, y, pixel),
            }
        }
    }
    Picture::from_parts(height, width, channels, data)
}

/// Folds a pixel coordinate back into 0..=size - 1, mirroring at both ends without repeating them.
fn reflect(value: f64, size: usize) -> f64 {
    let last = (size - 1) as f64;
    if last == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let folded = value.abs() % (2.0 * last);
    if folded > last { 2.0 * last - folded } else { folded }
}

/// The index of the pixel at or before a centre coordinate, and the fraction beyond it.
fn split(place: f64) -> (isize, f32) {
    let coordinate = place - 0.5;
    let whole = coordinate.floor();
    (whole as isize, (coordinate - whole) as f32)
}

fn clamp_index(index: isize, size: usize) -> usize {
    index.clamp(0, size as isize - 1) as usize
}

fn bilinear(picture: &Picture, x: f64, y: f64, pixel: &mut [u8]) {
    let (height, width) = (picture.height(), picture.width());
    let ((left, x_share), (top, y_share)) = (split(x), split(y));
    let (left, right) = (clamp_index(left, width), clamp_index(left + 1, width));
    let (upper, lower) = (picture.row(clamp_index(top, height)), picture.row(clamp_index(top + 1, height)));
    let channels = pixel.len();
    for (channel, value) in pixel.iter_mut().enumerate() {
        let at = |row: &[u8], column: usize| f32::from(row[column * channels + channel]);
        let above = at(upper, left) + (at(upper, right) - at(upper, left)) * x_share;
        let below = at(lower, left) + (at(lower, right) - at(lower, left)) * x_share;
        *value = (above + (below - above) * y_share + 0.5) as u8;
    }
}

/// Weights of four neighbours in cubic convolution with a = -1, as in Pillow's `transform`.
fn cubic_weights(share: f32) -> [f32; 4] {
    const A: f32 = -1.0;
    let near = |distance: f32| ((A + 2.0) * distance - (A + 3.0)) * distance * distance + 1.0;
    let far = |distance: f32| ((A * distance - 5.0 * A) * distance + 8.0 * A) * distance - 4.0 * A;
    [far(1.0 + share), near(share), near(1.0 - share), far(2.0 - share)]
}

fn bicubic(picture: &Picture, x: f64, y: f64, pixel: &mut [u8]) {
    let (height, width) = (picture.height(), picture.width());
    let ((left, x_share), (top, y_share)) = (split(x), split(y));
    let (x_weights, y_weights) = (cubic_weights(x_share), cubic_weights(y_share));
    let channels = pixel.len();
    let columns: [usize; 4] = std::array::from_fn(|index| clamp_index(left + index as isize - 1, width) * channels);
    let mut sums = [0.0f32; 3];
    for (index, y_weight) in y_weights.into_iter().enumerate() {
        let row = picture.row(clamp_index(top + index as isize - 1, height));
        for (sum, channel) in sums.iter_mut().zip(0..channels) {
            let across: f32 =
                columns.iter().zip(x_weights).map(|(column, weight)| f32::from(row[column + channel]) * weight).sum();
            *sum += across * y_weight;
        }
    }
    for (value, sum) in pixel.iter_mut().zip(sums) {
        // `as` saturates, so overshoots of the cubic are clipped.
        *value = (sum + 0.5) as u8;
    }
}

/// Refuses Lanczos for a warp: its antialias belongs to resizing.
pub(crate) fn check_warp_interpolation(transform: &'static str, interpolation: Interpolation) -> Result<()> {
    if interpolation == Interpolation::Lanczos3 {
        return Err(parameter(transform, "interpolation", interpolation, "Nearest, Bilinear or Bicubic"));
    }
    Ok(())
}
