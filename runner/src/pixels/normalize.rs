//! From levels to the floats that a model reads, and back for looking at them.

use serde::{Deserialize, Serialize};

use super::error::{Result, parameter, shape};
use super::picture::{Picture, Planes};

/// Turns levels into (level / 255 - mean) / std, channel by channel (torchvision's `ToDtype(float32, scale=True)` and `Normalize`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    /// Mean of each channel; one value stands for all.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel; one value stands for all.
    pub std: Vec<f32>,
}

impl Normalize {
    /// The statistics of ImageNet, which timm's and torchvision's backbones expect.
    pub fn imagenet() -> Normalize {
        Normalize { mean: vec![0.485, 0.456, 0.406], std: vec![0.229, 0.224, 0.225] }
    }

    /// Values from 0 to 1.
    pub fn unit() -> Normalize {
        Normalize { mean: vec![0.0], std: vec![1.0] }
    }

    /// Refuses statistics that do not suit the channels or cannot be divided by.
    pub fn check(&self, channels: usize) -> Result<()> {
        for (name, values) in [("mean", &self.mean), ("std", &self.std)] {
            if values.len() != 1 && values.len() != channels {
                return Err(shape(
                    "Normalize",
                    format!("{name} has {} values, but the picture has {channels} channels", values.len()),
                ));
            }
        }
        if let Some(bad) = self.mean.iter().find(|value| !value.is_finite()) {
            return Err(parameter("Normalize", "mean", bad, "finite"));
        }
        if let Some(bad) = self.std.iter().find(|value| !(value.is_finite() && **value > 0.0)) {
            return Err(parameter("Normalize", "std", bad, "positive"));
        }
        Ok(())
    }

    fn channel(&self, channel: usize) -> (f32, f32) {
        let of = |values: &[f32]| values[channel.min(values.len() - 1)];
        (of(&self.mean), of(&self.std))
    }

    /// Writes the planes (channels, height, width) of a picture into a slice of a batch.
    pub fn apply_into(&self, picture: &Picture, target: &mut [f32]) -> Result<()> {
        let channels = picture.channels();
        self.check(channels)?;
        if target.len() != picture.data().len() {
            return Err(shape("Normalize", format!("{picture:?} does not fill {} values", target.len())));
        }
        let plane = picture.height() * picture.width();
        for (channel, values) in target.chunks_exact_mut(plane).enumerate() {
            let (mean, std) = self.channel(channel);
            // torchvision scales by the rounded reciprocal.
            let scale = (1.0f64 / 255.0) as f32;
            let table: [f32; 256] = std::array::from_fn(|level| (level as f32 * scale - mean) / std);
            for (value, pixel) in values.iter_mut().zip(picture.data().chunks_exact(channels)) {
                *value = table[usize::from(pixel[channel])];
            }
        }
        Ok(())
    }

    /// The planes of a picture.
    pub fn apply(&self, picture: &Picture) -> Result<Planes> {
        let mut data = vec![0.0; picture.data().len()];
        self.apply_into(picture, &mut data)?;
        Planes::new(picture.channels(), picture.height(), picture.width(), data)
    }

    /// The picture that planes show, rounded and clipped: for contact sheets.
    pub fn invert(&self, planes: &Planes) -> Result<Picture> {
        self.check(planes.channels)?;
        let area = planes.height * planes.width;
        let mut data = vec![0; planes.data.len()];
        for (channel, values) in planes.data.chunks_exact(area).enumerate() {
            let (mean, std) = self.channel(channel);
            for (pixel, value) in data.chunks_exact_mut(planes.channels).zip(values) {
                pixel[channel] = ((value * std + mean) * 255.0).round() as u8;
            }
        }
        Picture::new(planes.height, planes.width, planes.channels, data)
    }
}
