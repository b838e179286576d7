//! Contact sheets: what a model will see, as one picture.

use crate::pixels::{Picture, Region, Result, draw_text, resize};

/// One sample: its pictures (tiles or views side by side) and a few lines below.
pub struct Cell {
    /// The pictures.
    pub pictures: Vec<Picture>,
    /// Lines of text.
    pub lines: Vec<String>,
}

const CELL: usize = 200;
const LINE: usize = 10;
const GAP: usize = 8;

/// Lays samples out in rows of `columns`, each scaled to one width, with its lines below.
///
/// # Errors
/// Never for pictures that hold pixels.
pub fn contact_sheet(cells: &[Cell], columns: usize) -> Result<Picture> {
    let lines = cells.iter().map(|cell| cell.lines.len()).max().unwrap_or(0);
    let mosaics = cells.iter().map(|cell| mosaic(&cell.pictures)).collect::<Result<Vec<_>>>()?;
    let tallest = mosaics.iter().map(Picture::height).max().unwrap_or(CELL);
    let (cell_height, cell_width) = (tallest + lines * LINE + GAP, CELL + GAP);
    let columns = columns.clamp(1, cells.len().max(1));
    let rows = cells.len().div_ceil(columns).max(1);
    let mut sheet = Picture::filled(rows * cell_height + GAP, columns * cell_width + GAP, &[250, 250, 248])?;
    for (index, (cell, mosaic)) in cells.iter().zip(&mosaics).enumerate() {
        let (top, left) = (GAP + index / columns * cell_height, GAP + index % columns * cell_width);
        paste(&mut sheet, &mosaic.to_rgb(), top, left);
        for (line, text) in cell.lines.iter().enumerate() {
            let shown: String = text.chars().take(CELL / 6).collect();
            draw_text(&mut sheet, &shown, top + tallest + 2 + line * LINE, left, 1, (40, 40, 40));
        }
    }
    Ok(sheet)
}

/// Several pictures in a near-square grid, scaled to one cell's width.
fn mosaic(pictures: &[Picture]) -> Result<Picture> {
    let first = match pictures {
        [] => return Picture::filled(CELL / 2, CELL, &[220, 220, 220]),
        [only] => only.to_rgb(),
        several => {
            let columns = (1..=several.len()).find(|columns| columns * columns >= several.len()).unwrap_or(1);
            let (height, width) = (several[0].height(), several[0].width());
            let gap = (width / 40).max(1);
            let rows = several.len().div_ceil(columns);
            let mut grid = Picture::filled(rows * (height + gap) - gap, columns * (width + gap) - gap, &[250, 250, 248])?;
            for (index, picture) in several.iter().enumerate() {
                paste(&mut grid, &picture.to_rgb(), index / columns * (height + gap), index % columns * (width + gap));
            }
            grid
        }
    };
    let height = (first.height() * CELL).div_ceil(first.width()).max(1);
    resize(&first, (height, CELL), crate::pixels::Interpolation::default())
}

/// Copies a picture into a larger one of as many channels; what would lie outside is cut off.
fn paste(target: &mut Picture, picture: &Picture, top: usize, left: usize) {
    let channels = target.channels();
    let (target_height, target_width) = (target.height(), target.width());
    let region = Region { top, left, height: picture.height(), width: picture.width() };
    let width = region.width.min(target_width.saturating_sub(left));
    for row in 0..region.height.min(target_height.saturating_sub(top)) {
        let from = row * picture.width() * channels;
        let to = ((top + row) * target_width + left) * channels;
        let bytes = picture.data()[from..from + width * channels].to_vec();
        target.data_mut()[to..to + width * channels].copy_from_slice(&bytes);
    }
}
