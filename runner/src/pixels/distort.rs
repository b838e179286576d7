//! Grid distortion and elastic transform: smooth random displacement of every pixel.

use serde::{Deserialize, Serialize};

use super::Transform;
use super::blur::{blur_values, gaussian_kernel};
use super::draws::Draws;
use super::error::{Result, parameter};
use super::picture::{Picture, Shape};
use super::resize::Interpolation;
use super::sample::{Border, check_warp_interpolation, warp};

/// Stretches and squeezes the columns and rows of a grid (albumentations' `GridDistortion` with `normalized=True`).
///
/// Every step of the grid takes a random share of the source; the shares of an axis sum to the whole, so nothing leaves the picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GridDistortion {
    /// Steps of the grid along each axis.
    pub num_steps: usize,
    /// A step's size is drawn from 1 - limit to 1 + limit times the even size.
    pub distort_limit: f64,
    /// How values between pixels are found.
    pub interpolation: Interpolation,
}

impl Default for GridDistortion {
    fn default() -> Self {
        GridDistortion { num_steps: 5, distort_limit: 0.3, interpolation: Interpolation::Bilinear }
    }
}

/// Source coordinates of the pixel centres along one axis, for the relative sizes of the grid's steps.
pub fn grid_axis(size: usize, steps: &[f64]) -> Vec<f64> {
    let total: f64 = steps.iter().sum();
    let mut knots = vec![0.0];
    let mut reached = 0.0;
    for step in steps {
        reached += step / total;
        knots.push(reached * size as f64);
    }
    (0..size)
        .map(|index| {
            let position = (index as f64 + 0.5) / size as f64 * steps.len() as f64;
            let cell = (position as usize).min(steps.len() - 1);
            let share = position - cell as f64;
            knots[cell] + (knots[cell + 1] - knots[cell]) * share
        })
        .collect()
}

impl Transform for GridDistortion {
    fn name(&self) -> &'static str {
        "GridDistortion"
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        if !(1..=1000).contains(&self.num_steps) {
            return Err(parameter(self.name(), "num_steps", self.num_steps, "between 1 and 1000"));
        }
        if !(0.0..1.0).contains(&self.distort_limit) {
            return Err(parameter(self.name(), "distort_limit", self.distort_limit, "at least 0 and below 1"));
        }
        check_warp_interpolation(self.name(), self.interpolation)?;
        Ok(input)
    }

    fn apply(&self, picture: Picture, draws: &mut Draws) -> Result<Picture> {
        let mut steps = || -> Vec<f64> {
            (0..self.num_steps).map(|_| draws.uniform(1.0 - self.distort_limit, 1.0 + self.distort_limit)).collect()
        };
        let (columns, rows) = (grid_axis(picture.width(), &steps()), grid_axis(picture.height(), &steps()));
        Ok(warp(&picture, self.interpolation, Border::Reflect, |row, column| (columns[column], rows[row])))
    }
}

/// Moves every pixel by a smooth random field (torchvision's `ElasticTransform`).
///
/// Each axis draws a number from -1 to 1 per pixel, blurs this field with a Gaussian of `sigma` pixels and multiplies it by `alpha / 2`
/// pixels (torchvision's `alpha` in coordinates where the picture spans -1 to 1).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ElasticTransform {
    /// Strength of the displacement.
    pub alpha: f64,
    /// Smoothness of the displacement: standard deviation in pixels.
    pub sigma: f64,
    /// How values between pixels are found.
    pub interpolation: Interpolation,
    /// What lies outside the picture.
    pub border: Border,
}

impl Default for ElasticTransform {
    fn default() -> Self {
        ElasticTransform { alpha: 50.0, sigma: 5.0, interpolation: Interpolation::Bilinear, border: Border::default() }
    }
}

impl ElasticTransform {
    /// Draws the displacement of one axis, in pixels, row by row.
    pub fn field(&self, height: usize, width: usize, draws: &mut Draws) -> Vec<f32> {
        let noise: Vec<f32> = (0..height * width).map(|_| draws.uniform(-1.0, 1.0) as f32).collect();
        let size = (8.0 * self.sigma) as usize + 1;
        let mut field = blur_values(&noise, (height, width, 1), &gaussian_kernel(size | 1, self.sigma));
        for value in &mut field {
            *value *= (self.alpha / 2.0) as f32;
        }
        field
    }
}

/// Reads every pixel from its place plus a displacement in pixels, given per axis and row by row.
pub fn displace(picture: &Picture, x: &[f32], y: &[f32], interpolation: Interpolation, border: Border) -> Picture {
    let width = picture.width();
    warp(picture, interpolation, border, |row, column| {
        let index = row * width + column;
        (column as f64 + 0.5 + f64::from(x[index]), row as f64 + 0.5 + f64::from(y[index]))
    })
}

impl Transform for ElasticTransform {
    fn name(&self) -> &'static str {
        "ElasticTransform"
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        if !(self.alpha >= 0.0 && self.alpha.is_finite()) {
            return Err(parameter(self.name(), "alpha", self.alpha, "not negative"));
        }
        if !(self.sigma > 0.0 && self.sigma <= 128.0) {
            return Err(parameter(self.name(), "sigma", self.sigma, "above 0 and at most 128"));
        }
        check_warp_interpolation(self.name(), self.interpolation)?;
        Ok(input)
    }

    fn apply(&self, picture: Picture, draws: &mut Draws) -> Result<Picture> {
        let (height, width) = (picture.height(), picture.width());
        let x = self.field(height, width, draws);
        let y = self.field(height, width, draws);
        Ok(displace(&picture, &x, &y, self.interpolation, self.border))
    }
}
