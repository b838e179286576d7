//! Several pictures of one: tiles of a grid, and the views of test-time augmentation.

use serde::{Deserialize, Serialize};

use super::crop::centre;
use super::error::{Result, parameter, shape};
use super::picture::{Picture, Region, Shape};
use super::resize::{Interpolation, check_size, resize_region};

/// The starts and the common length of `count` spans that cover `size` and overlap by at least `overlap` of a span.
fn spans(size: usize, count: usize, overlap: f64) -> (Vec<usize>, usize) {
    let exact = size as f64 / (count as f64 - (count as f64 - 1.0) * overlap);
    // A hair below a whole number is that number: the division rounds.
    let length = ((exact - 1e-9).ceil() as usize).clamp(1, size);
    let starts = (0..count)
        .map(|index| match count {
            1 => 0,
            _ => ((size - length) * index + (count - 1) / 2) / (count - 1),
        })
        .collect();
    (starts, length)
}

/// The regions of a grid, row by row; they cover the picture and have one size.
pub fn grid_regions(height: usize, width: usize, rows: usize, columns: usize, overlap: f64) -> Vec<Region> {
    let (tops, tile_height) = spans(height, rows, overlap);
    let (lefts, tile_width) = spans(width, columns, overlap);
    tops.iter()
        .flat_map(|&top| lefts.iter().map(move |&left| Region { top, left, height: tile_height, width: tile_width }))
        .collect()
}

fn check_grid(transform: &'static str, rows: usize, columns: usize, overlap: f64) -> Result<()> {
    for (name, count) in [("rows", rows), ("columns", columns)] {
        if !(1..=256).contains(&count) {
            return Err(parameter(transform, name, count, "between 1 and 256"));
        }
    }
    if !(0.0..1.0).contains(&overlap) {
        return Err(parameter(transform, "overlap", overlap, "at least 0 and below 1"));
    }
    Ok(())
}

/// Cuts a picture into a grid of equal tiles, row by row, each resized to one size.
///
/// A photograph of twice the width of its height makes two square tiles with `rows: 1, columns: 2`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tiles {
    /// Rows of the grid.
    pub rows: usize,
    /// Columns of the grid.
    pub columns: usize,
    /// The share of a tile that it has in common with its neighbour, 0 to below 1.
    #[serde(default)]
    pub overlap: f64,
    /// Rows of each resulting picture.
    pub height: usize,
    /// Columns of each resulting picture.
    pub width: usize,
    /// The filter of the resize; bilinear by default.
    #[serde(default)]
    pub interpolation: Interpolation,
}

impl Tiles {
    /// How many pictures result.
    pub fn count(&self) -> usize {
        self.rows * self.columns
    }

    /// The shape of each resulting picture.
    pub fn shape(&self, input: Shape) -> Result<Shape> {
        check_grid("Tiles", self.rows, self.columns, self.overlap)?;
        check_size("Tiles", self.height, self.width)?;
        for (side, count, name) in [(input.height, self.rows, "rows"), (input.width, self.columns, "columns")] {
            if side.is_some_and(|side| side < count) {
                return Err(shape("Tiles", format!("{count} {name} of tiles do not fit into {input}")));
            }
        }
        Ok(input.with_sides(self.height, self.width))
    }

    /// The tiles, row by row.
    pub fn apply(&self, picture: &Picture) -> Result<Vec<Picture>> {
        self.shape(picture.shape())?;
        grid_regions(picture.height(), picture.width(), self.rows, self.columns, self.overlap)
            .into_iter()
            .map(|region| resize_region(picture, region, (self.height, self.width), self.interpolation))
            .collect()
    }
}

/// One way, or a few ways, to look at a picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum View {
    /// The whole picture.
    Global,
    /// The tiles of a grid, row by row.
    Grid {
        /// Rows of the grid.
        rows: usize,
        /// Columns of the grid.
        columns: usize,
        /// The share of a tile that it has in common with its neighbour, 0 to below 1.
        overlap: f64,
    },
    /// The middle, with sides that are a share of the picture's.
    Center {
        /// Share of each side, above 0 and at most 1.
        share: f64,
    },
    /// The two ends of the longer side, each as long as the shorter side: left and right of a wide picture, top and bottom of a tall one.
    Sides,
}

impl View {
    fn count(&self) -> usize {
        match self {
            View::Global | View::Center { .. } => 1,
            View::Grid { rows, columns, .. } => rows * columns,
            View::Sides => 2,
        }
    }

    fn check(&self) -> Result<()> {
        match *self {
            View::Grid { rows, columns, overlap } => check_grid("Views", rows, columns, overlap),
            View::Center { share } if !(share > 0.0 && share <= 1.0) => {
                Err(parameter("Views", "share", share, "above 0 and at most 1"))
            }
            _ => Ok(()),
        }
    }

    fn regions(&self, height: usize, width: usize) -> Vec<Region> {
        let whole = Region { top: 0, left: 0, height, width };
        match *self {
            View::Global => vec![whole],
            View::Grid { rows, columns, overlap } => grid_regions(height, width, rows, columns, overlap),
            View::Center { share } => {
                let side = |size: usize| ((size as f64 * share).round() as usize).clamp(1, size);
                vec![centre((height, width), (side(height), side(width)))]
            }
            View::Sides => {
                let side = height.min(width);
                let first = Region { top: 0, left: 0, height: side, width: side };
                vec![first, Region { top: height - side, left: width - side, ..first }]
            }
        }
    }
}

/// Several views of one decoded picture, each resized to one size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Views {
    /// The views, in the order of the results.
    pub views: Vec<View>,
    /// Rows of each resulting picture.
    pub height: usize,
    /// Columns of each resulting picture.
    pub width: usize,
    /// The filter of the resize; bilinear by default.
    #[serde(default)]
    pub interpolation: Interpolation,
}

impl Views {
    /// How many pictures result.
    pub fn count(&self) -> usize {
        self.views.iter().map(View::count).sum()
    }

    /// The shape of each resulting picture.
    pub fn shape(&self, input: Shape) -> Result<Shape> {
        check_size("Views", self.height, self.width)?;
        if self.views.is_empty() {
            return Err(parameter("Views", "views", &self.views, "at least one view"));
        }
        for view in &self.views {
            view.check()?;
            if let View::Grid { rows, columns, .. } = *view {
                let too_small = |side: Option<usize>, count: usize| side.is_some_and(|side| side < count);
                if too_small(input.height, rows) || too_small(input.width, columns) {
                    return Err(shape("Views", format!("a grid of {rows} x {columns} does not fit into {input}")));
                }
            }
        }
        Ok(input.with_sides(self.height, self.width))
    }

    /// The views in their order.
    pub fn apply(&self, picture: &Picture) -> Result<Vec<Picture>> {
        self.shape(picture.shape())?;
        self.views
            .iter()
            .flat_map(|view| view.regions(picture.height(), picture.width()))
            .map(|region| resize_region(picture, region, (self.height, self.width), self.interpolation))
            .collect()
    }
}
