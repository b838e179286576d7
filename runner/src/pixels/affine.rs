//! Rotation, scale, shear and translation in one map.

use serde::{Deserialize, Serialize};

use super::Transform;
use super::draws::Draws;
use super::error::{Result, parameter};
use super::picture::{Picture, Shape};
use super::resize::Interpolation;
use super::sample::{Border, check_warp_interpolation, warp};

/// An affine map about a picture's centre, with torchvision's order and signs (`torchvision.transforms.functional.affine`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AffineMap {
    /// Rotation in degrees; positive turns clockwise.
    pub degrees: f64,
    /// Shift to the right, in pixels.
    pub shift_x: f64,
    /// Shift downwards, in pixels.
    pub shift_y: f64,
    /// Magnification.
    pub scale: f64,
    /// Shear along x in degrees.
    pub shear_x: f64,
    /// Shear along y in degrees.
    pub shear_y: f64,
}

impl AffineMap {
    /// Coefficients (a, b, c, d, e, f) of the inverse: the result's (x, y) reads the source's (ax + by + c, dx + ey + f).
    pub fn inverse(&self, height: usize, width: usize) -> [f64; 6] {
        let (centre_x, centre_y) = (width as f64 * 0.5, height as f64 * 0.5);
        let (rotation, shear_x, shear_y) = (self.degrees.to_radians(), self.shear_x.to_radians(), self.shear_y.to_radians());
        let (sine, cosine) = libm::sincos(rotation - shear_y);
        let (shear_cosine, shear_tangent) = (libm::cos(shear_y), libm::tan(shear_x));
        let a = cosine / shear_cosine;
        let b = -cosine * shear_tangent / shear_cosine - libm::sin(rotation);
        let c = sine / shear_cosine;
        let d = -sine * shear_tangent / shear_cosine + libm::cos(rotation);
        // The determinant of [[a, b], [c, d]] is 1, so that its inverse needs no division but that by the scale.
        let [m0, m1, m3, m4] = [d, -b, -c, a].map(|value| value / self.scale);
        let (x, y) = (-centre_x - self.shift_x, -centre_y - self.shift_y);
        [m0, m1, m0 * x + m1 * y + centre_x, m3, m4, m3 * x + m4 * y + centre_y]
    }

    /// Maps a picture; places that come from outside take the border.
    pub fn apply(&self, picture: &Picture, interpolation: Interpolation, border: Border) -> Picture {
        let [a, b, c, d, e, f] = self.inverse(picture.height(), picture.width());
        warp(picture, interpolation, border, |row, column| {
            let (x, y) = (column as f64 + 0.5, row as f64 + 0.5);
            (a * x + b * y + c, d * x + e * y + f)
        })
    }
}

/// A random affine map about the centre (torchvision's `RandomAffine`). The defaults change nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandomAffine {
    /// Range of the rotation in degrees; positive turns clockwise.
    pub degrees: (f64, f64),
    /// The largest shift along x and along y, as shares of width and height.
    pub translate: (f64, f64),
    /// Range of the magnification.
    pub scale: (f64, f64),
    /// Range of the shear along x in degrees.
    pub shear_x: (f64, f64),
    /// Range of the shear along y in degrees.
    pub shear_y: (f64, f64),
    /// How values between pixels are found; bilinear by default (torchvision: nearest).
    pub interpolation: Interpolation,
    /// What lies outside the picture.
    pub border: Border,
}

impl Default for RandomAffine {
    fn default() -> Self {
        RandomAffine {
            degrees: (0.0, 0.0),
            translate: (0.0, 0.0),
            scale: (1.0, 1.0),
            shear_x: (0.0, 0.0),
            shear_y: (0.0, 0.0),
            interpolation: Interpolation::Bilinear,
            border: Border::default(),
        }
    }
}

impl RandomAffine {
    /// Draws a map for a picture of the given size; shifts are whole pixels, as in torchvision.
    pub fn draw(&self, height: usize, width: usize, draws: &mut Draws) -> AffineMap {
        let degrees = draws.within(self.degrees);
        let (limit_x, limit_y) = (self.translate.0 * width as f64, self.translate.1 * height as f64);
        AffineMap {
            degrees,
            shift_x: draws.uniform(-limit_x, limit_x).round(),
            shift_y: draws.uniform(-limit_y, limit_y).round(),
            scale: draws.within(self.scale),
            shear_x: draws.within(self.shear_x),
            shear_y: draws.within(self.shear_y),
        }
    }
}

impl Transform for RandomAffine {
    fn name(&self) -> &'static str {
        "RandomAffine"
    }

    fn shape(&self, input: Shape) -> Result<Shape> {
        let range = |name, (low, high): (f64, f64), least: f64, most: f64| {
            if least < low && low <= high && high < most {
                return Ok(());
            }
            Err(parameter("RandomAffine", name, (low, high), format!("a range between {least} and {most}")))
        };
        range("degrees", self.degrees, -3600.0, 3600.0)?;
        range("scale", self.scale, 0.0, 1000.0)?;
        range("shear_x", self.shear_x, -90.0, 90.0)?;
        range("shear_y", self.shear_y, -90.0, 90.0)?;
        for share in [self.translate.0, self.translate.1] {
            if !(0.0..=1.0).contains(&share) {
                return Err(parameter(self.name(), "translate", self.translate, "two shares between 0 and 1"));
            }
        }
        check_warp_interpolation(self.name(), self.interpolation)?;
        Ok(input)
    }

    fn apply(&self, picture: Picture, draws: &mut Draws) -> Result<Picture> {
        let map = self.draw(picture.height(), picture.width(), draws);
        Ok(map.apply(&picture, self.interpolation, self.border))
    }
}
