//! Contact sheets: what a model will see, as one picture.

use font8x8::{BASIC_FONTS, LATIN_FONTS, UnicodeFonts};

use crate::pixels::{Picture, Region, Result, resize};

/// One sample: its pictures (tiles or views side by side) and a few lines below.
pub struct Cell {
    /// The pictures.
    pub pictures: Vec<Picture>,
    /// How many pictures stand side by side; as near to a square as can be where `None`.
    pub columns: Option<usize>,
    /// Lines of text.
    pub lines: Vec<String>,
}

const CELL: usize = 200;
const LINE: usize = 11;
const GAP: usize = 8;
/// Width and height of a letter.
const GLYPH: usize = 8;

/// Lays samples out in rows of `columns`, each scaled to one width, with its lines below.
///
/// # Errors
/// Never for pictures that hold pixels.
pub fn contact_sheet(cells: &[Cell], columns: usize) -> Result<Picture> {
    let lines = cells.iter().map(|cell| cell.lines.len()).max().unwrap_or(0);
    let mosaics = cells.iter().map(|cell| mosaic(&cell.pictures, cell.columns)).collect::<Result<Vec<_>>>()?;
    let tallest = mosaics.iter().map(Picture::height).max().unwrap_or(CELL);
    let (cell_height, cell_width) = (tallest + lines * LINE + GAP, CELL + GAP);
    let columns = columns.clamp(1, cells.len().max(1));
    let rows = cells.len().div_ceil(columns).max(1);
    let mut sheet = Picture::filled(rows * cell_height + GAP, columns * cell_width + GAP, &[250, 250, 248])?;
    for (index, (cell, mosaic)) in cells.iter().zip(&mosaics).enumerate() {
        let (top, left) = (GAP + index / columns * cell_height, GAP + index % columns * cell_width);
        paste(&mut sheet, &mosaic.to_rgb(), top, left);
        for (line, text) in cell.lines.iter().enumerate() {
            write(&mut sheet, text, top + tallest + 3 + line * LINE, left);
        }
    }
    Ok(sheet)
}

/// Several pictures in a grid, scaled to one cell's width.
fn mosaic(pictures: &[Picture], columns: Option<usize>) -> Result<Picture> {
    let first = match pictures {
        [] => return Picture::filled(CELL / 2, CELL, &[220, 220, 220]),
        [only] => only.to_rgb(),
        several => {
            let square = (1..=several.len()).find(|columns| columns * columns >= several.len()).unwrap_or(1);
            let columns = columns.unwrap_or(square).clamp(1, several.len());
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

/// Writes a line of text, as much of it as fits into a cell. Characters without a glyph leave a gap.
fn write(sheet: &mut Picture, text: &str, top: usize, left: usize) {
    let channels = sheet.channels();
    let (height, width) = (sheet.height(), sheet.width());
    for (index, character) in text.chars().take(CELL / GLYPH).enumerate() {
        let Some(rows) = BASIC_FONTS.get(character).or_else(|| LATIN_FONTS.get(character)) else { continue };
        for (row, bits) in rows.into_iter().enumerate() {
            for column in (0..GLYPH).filter(|column| bits >> column & 1 == 1) {
                let (y, x) = (top + row, left + index * GLYPH + column);
                if y < height && x < width {
                    let at = (y * width + x) * channels;
                    sheet.data_mut()[at..at + channels].fill(40);
                }
            }
        }
    }
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
