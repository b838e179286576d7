//! Photographs of samples as the model saw them.

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

use super::parts::rows_of;
use crate::experiment::{Field, Parts, TransformGraph};
use crate::feed::{Feed, encode};
use crate::pixels::{Interpolation, Picture, resize};
use crate::report::{Thumbnail, Tiles};
use crate::train::{Labelled, OpenedRun, TrainError};

/// The width of a thumbnail in pixels.
const WIDTH: usize = 480;

/// The photographs of some positions, with the weights of their tiles where the experiment has a map of them.
///
/// # Errors
/// Data that is not there, or a photograph that cannot be read.
pub fn photographs(run: &OpenedRun, all: &Labelled, positions: &[usize]) -> Result<Vec<(Thumbnail, Option<Tiles>)>, TrainError> {
    let data = &run.joined.data;
    let pictured = |field: &&Field| field.transform.is_some();
    let mapped = data.fields.values().filter(pictured).find(|field| all.maps.contains_key(&field.name));
    let Some(field) = mapped.or_else(|| data.fields.values().find(pictured)) else { return Ok(Vec::new()) };
    let Some(input) = run.joined.inputs.iter().position(|input| input.field == field.name && !input.is_mask) else {
        return Ok(Vec::new());
    };
    let (folder, loaded) = rows_of(run)?;
    let encoded = encode(data, &run.fitted, &loaded.table, &folder, false)?;
    let feed = Feed::new(data, &run.joined.inputs, &encoded, 0, 0);
    let transform = field.transform.as_ref().expect("a field of photographs has a transform");
    let size: usize = transform.sample_shape().iter().product();
    let mut photographs = Vec::with_capacity(positions.len());
    for &position in positions {
        let batch = feed.batch(&[all.rows[position]], 0, false, None)?;
        let values = batch[input].1.as_f32().unwrap_or_default();
        let weights = all.maps.get(&field.name).map(|own| own[position].clone());
        photographs.push(
            photograph(transform, &values[..size.min(values.len())], weights)
                .map_err(|error| TrainError::Usage(format!("the photograph of {}: {error}", all.samples[position])))?,
        );
    }
    Ok(photographs)
}

fn photograph(
    transform: &TransformGraph,
    values: &[f32],
    weights: Option<Vec<f32>>,
) -> Result<(Thumbnail, Option<Tiles>), crate::pixels::PixelError> {
    let parts = transform.invert(values)?;
    let (rows, columns) = match &transform.parts {
        Parts::Tiles(tiles) => (tiles.rows, tiles.columns),
        Parts::Whole => (1, 1),
        Parts::Views(_) => (1, parts.len().max(1)),
    };
    let whole = mosaic(&parts, rows, columns)?;
    let shown = match whole.width() > WIDTH {
        true => resize(&whole, ((whole.height() * WIDTH).div_ceil(whole.width()).max(1), WIDTH), Interpolation::default())?,
        false => whole,
    };
    let usable = weights.filter(|own| own.len() == rows * columns && own.iter().all(|own| own.is_finite() && *own >= 0.0));
    let tiles = usable.map(|weights| Tiles { rows, columns, weights });
    Ok((jpeg(&shown), tiles))
}

/// Pictures of one size in a grid.
fn mosaic(parts: &[Picture], rows: usize, columns: usize) -> Result<Picture, crate::pixels::PixelError> {
    let (height, width) = parts.first().map_or((1, 1), |part| (part.height(), part.width()));
    let mut whole = Picture::filled(rows * height, columns * width, &[255, 255, 255])?;
    for (index, part) in parts.iter().enumerate().take(rows * columns) {
        let part = part.to_rgb();
        let (top, left) = (index / columns * height, index % columns * width);
        for row in 0..height {
            let to = ((top + row) * columns * width + left) * 3;
            let from = row * width * 3;
            whole.data_mut()[to..to + width * 3].copy_from_slice(&part.data()[from..from + width * 3]);
        }
    }
    Ok(whole)
}

fn jpeg(picture: &Picture) -> Thumbnail {
    let mut bytes = Vec::new();
    let (width, height) = (picture.width() as u32, picture.height() as u32);
    // Writing into memory fails for pictures without pixels only, and there are none.
    let _ = JpegEncoder::new_with_quality(&mut bytes, 82).encode(picture.data(), width, height, ExtendedColorType::Rgb8);
    Thumbnail { media_type: "image/jpeg", bytes, size: (width, height) }
}
