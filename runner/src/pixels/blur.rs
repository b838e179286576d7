//! Gaussian blur and Gaussian noise.

use serde::{Deserialize, Serialize};

use super::Transform;
use super::draws::Draws;
use super::error::{Result, parameter, shape};
use super::picture::{Picture, Shape};

/// A normalized Gaussian of `size` samples (odd), centred.
pub(crate) fn gaussian_kernel(size: usize, sigma: f64) -> Vec<f32> {
    let centre = (size / 2) as f64;
    let weights: Vec<f64> = (0..size).map(|index| libm::exp(-0.5 * ((index as f64 - centre) / sigma).powi(2))).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| (weight / sum) as f32).collect()
}

/// Mirrors an index into 0..size without repeating the ends, however far outside it lies.
fn reflect(index: isize, size: usize) -> usize {
    if size == 1 {
        return 0;
    }
    let period = 2 * (size as isize - 1);
    let folded = index.rem_euclid(period);
    folded.min(period - folded) as usize
}

/// Convolves values of `height` rows, each of `width` pixels of `channels`, along both axes; edges are mirrored.
pub(crate) fn blur_values(values: &[f32], (height, width, channels): (usize, usize, usize), kernel: &[f32]) -> Vec<f32> {
    let radius = (kernel.len() / 2) as isize;
    let stride = width * channels;
    let mut across = vec![0.0f32; values.len()];
    let mut padded = vec![0.0f32; (width + kernel.len() - 1) * channels];
    for (source, target) in values.chunks_exact(stride).zip(across.chunks_exact_mut(stride)) {
        for (index, pixel) in padded.chunks_exact_mut(channels).enumerate() {
            let column = reflect(index as isize - radius, width);
            pixel.copy_from_slice(&source[column * channels..(column + 1) * channels]);
        }
        for (tap, &weight) in kernel.iter().enumerate() {
            for (sum, &value) in target.iter_mut().zip(&padded[tap * channels..]) {
                *sum += weight * value;
            }
        }
    }
    let mut result = vec![0.0f32; values.len()];
    for (row, target) in result.chunks_exact_mut(stride).enumerate() {
        for (tap, &weight) in kernel.iter().enumerate() {
            let source = reflect(row as isize + tap as isize - radius, height);
            for (sum, &value) in target.iter_mut().zip(&across[source * stride..(source + 1) * stride]) {
                *sum += weight * value;
            }
        }
    }
    result
}

/// Blurs with a Gaussian of `size` samples a side (torchvision's `gaussian_blur`: mirrored edges, rounded result).
pub fn gaussian_blur(mut picture: Picture, size: usize, sigma: f64) -> Picture {
    let values: Vec<f32> = picture.data().iter().map(|&value| f32::from(value)).collect();
    let sides = (picture.height(), picture.width(), picture.channels());
    let blurred = blur_values(&values, sides, &gaussian_kernel(size, sigma));
    for (value, blurred) in picture.data_mut().iter_mut().zip(blurred) {
        *value = blurred.round_ties_even() as u8;
    }
    picture
}

/// Blurs with a Gaussian of random width (torchvision's `GaussianBlur`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GaussianBlur {
    /// Samples a side, odd.
    pub kernel_size: usize,
    /// Range of the standard deviation, in pixels.
    #[serde(default = "default_sigma")]
    pub sigma: (f64, f64),
}

fn default_sigma() -> (f64, f64) {
    (0.1, 2.0)
}

impl Transform for GaussianBlur {
    fn name(&self) -> &'static str {
        "GaussianBlur"
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        if self.kernel_size.is_multiple_of(2) || self.kernel_size > 1023 {
            return Err(parameter(self.name(), "kernel_size", self.kernel_size, "odd and at most 1023"));
        }
        let (low, high) = self.sigma;
        if !(low > 0.0 && low <= high && high.is_finite()) {
            return Err(parameter(self.name(), "sigma", self.sigma, "a range of positive numbers"));
        }
        let radius = self.kernel_size / 2;
        if [input.height, input.width].into_iter().flatten().any(|side| side <= radius) {
            return Err(shape(
                self.name(),
                format!("a kernel of {} samples needs sides above {radius}, but the picture is {input}", self.kernel_size),
            ));
        }
        Ok(input)
    }

    fn apply(&self, picture: Picture, draws: &mut Draws) -> Result<Picture> {
        self.shape(picture.shape())?;
        Ok(gaussian_blur(picture, self.kernel_size, draws.within(self.sigma)))
    }
}

/// Adds independent normal noise to every value and clips (torchvision's `GaussianNoise`, but rounded to the nearest level).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GaussianNoise {
    /// Mean, as a share of the full range.
    pub mean: f64,
    /// Range of the standard deviation, as a share of the full range.
    pub sigma: (f64, f64),
}

impl Default for GaussianNoise {
    fn default() -> Self {
        GaussianNoise { mean: 0.0, sigma: (0.1, 0.1) }
    }
}

impl Transform for GaussianNoise {
    fn name(&self) -> &'static str {
        "GaussianNoise"
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let (low, high) = self.sigma;
        if !(0.0 <= low && low <= high && high <= 1.0) {
            return Err(parameter(self.name(), "sigma", self.sigma, "a range between 0 and 1"));
        }
        if !(-1.0..=1.0).contains(&self.mean) {
            return Err(parameter(self.name(), "mean", self.mean, "between -1 and 1"));
        }
        Ok(input)
    }

    fn apply(&self, mut picture: Picture, draws: &mut Draws) -> Result<Picture> {
        let sigma = draws.within(self.sigma) * 255.0;
        let mean = self.mean * 255.0;
        let add = |value: &mut u8, noise: f64| *value = (f64::from(*value) + mean + sigma * noise).round() as u8;
        for pair in picture.data_mut().chunks_mut(2) {
            let (first, second) = draws.normal_pair();
            add(&mut pair[0], first);
            if let Some(value) = pair.get_mut(1) {
                add(value, second);
            }
        }
        Ok(picture)
    }
}
