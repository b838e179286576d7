//! Drawn photographs of pasture, with the tables of a biomass survey.
//!
//! Tables, columns, names and identities are those of the CSIRO Image2Biomass competition (70 cm by 30 cm quadrats, photographed
//! from above, cut, dried, sorted and weighed), so that a project made here reads the real files when its paths are changed.
//! A survey draws what stands on each quadrat; a scene draws its photograph, in which the area of leaves follows the masses; the
//! tables hold the masses as a survey would have weighed them.

mod canvas;
mod clover;
mod ground;
mod noise;
mod scene;
mod species;
mod stroke;
mod survey;
mod tables;

#[cfg(test)]
mod tests;

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::{DrawError, Drawing, NewFile};
pub use survey::{Biomass, Measured, Missing, Quadrat, Survey, Visit};
pub use tables::{TARGETS, decimal};

/// Pixels across and down a photograph.
pub const SIZE: (usize, usize) = (512, 256);

/// The quality of the JPEG files, of 100.
const QUALITY: u8 = 90;

/// The data of the template `pasture`.
pub struct Pasture {
    survey: Survey,
}

impl Pasture {
    /// The fewest photographs: a few of each of the fewest visits.
    pub const FEWEST: usize = 20;

    /// The photographs that are drawn where no number is stated.
    pub const SAMPLES: usize = 360;

    /// Draws the survey.
    pub fn new(samples: usize, seed: u64) -> Self {
        Self { survey: Survey::new(samples, seed) }
    }

    /// What stands on the quadrats, and what was measured.
    pub fn survey(&self) -> &Survey {
        &self.survey
    }
}

impl Drawing for Pasture {
    fn tables(&self) -> Result<Vec<NewFile>, DrawError> {
        tables::tables(&self.survey)
    }

    fn pictures(&self) -> usize {
        self.survey.quadrats.len()
    }

    fn picture(&self, index: usize) -> Result<NewFile, DrawError> {
        let quadrat = &self.survey.quadrats[index];
        let visit = &self.survey.visits[quadrat.visit];
        let picture = scene::photograph(quadrat, visit, self.survey.stream(survey::part::SCENE, quadrat.index));
        let path = format!("data/{}", quadrat.image_path(visit));
        let mut bytes = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
        let written = encoder.write_image(&picture, SIZE.0 as u32, SIZE.1 as u32, ExtendedColorType::Rgb8);
        written.map_err(|source| DrawError::Picture { path: path.clone(), source })?;
        Ok(NewFile { path, bytes })
    }
}
