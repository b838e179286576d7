//! Photographs composed of patches of grass, gravel and brick in known shares.
//!
//! A picture is a grid of tiles; every tile is a random crop of one of three real photographs, turned and mirrored, under a light
//! of its own. All crops of one picture come from one quadrant of the photographs, so that folds grouped by quadrant never
//! validate on pixels that were trained on. The grass of a picture is enlarged by one factor, `grass_zoom`: a target that only the
//! grass tiles tell, for judging where a model looks.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, GrayImage, ImageEncoder, ImageFormat};

use super::{DrawError, Drawing, NewFile, Template};
use crate::random::{Lane, Stream, purpose};
use crate::table::{Cell, to_csv};

/// The textures, in the order of their columns.
pub const CLASSES: [&str; 3] = ["grass", "gravel", "brick"];

/// The index of grass among [`CLASSES`].
const GRASS: usize = 0;

/// Tiles along a side of a picture.
pub const GRID: usize = 4;

/// Pixels along a side of a tile.
pub const TILE: usize = 48;

/// The quadrants of the photographs that crops come from.
pub const QUADRANTS: [&str; 4] = ["top_left", "top_right", "bottom_left", "bottom_right"];

/// Mean and standard deviation of every photograph's grey values (0 to 1) before lighting: alike, so that grey alone does
/// not tell the texture.
const GREY: (f64, f64) = (0.45, 0.16);

/// The data of the template `textures`.
pub struct Textures {
    samples: usize,
    seed: u64,
    photographs: Vec<Photograph>,
}

/// Grey values of mean and spread [`GREY`], (height, width).
struct Photograph {
    width: usize,
    height: usize,
    greys: Vec<f32>,
}

/// What a picture shows, known before it is composed.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Index into [`QUADRANTS`].
    pub quadrant: usize,
    /// Index into [`CLASSES`] of each tile, row by row.
    pub tiles: Vec<usize>,
    /// How many times the grass is enlarged, in hundredths.
    pub zoom_hundredths: u32,
}

impl Plan {
    /// The share of tiles of each class.
    pub fn shares(&self) -> [f64; 3] {
        let count = |class| self.tiles.iter().filter(|&&tile| tile == class).count();
        std::array::from_fn(|class| count(class) as f64 / self.tiles.len() as f64)
    }
}

impl Textures {
    /// The fewest pictures: two of each quadrant.
    pub const FEWEST: usize = 8;

    /// The pictures that are drawn where no number is stated.
    pub const SAMPLES: usize = 320;

    /// Reads the photographs.
    ///
    /// # Errors
    /// A photograph that cannot be decoded.
    pub fn new(samples: usize, seed: u64) -> Result<Self, DrawError> {
        let photographs = CLASSES.iter().map(|class| photograph(&format!("{class}.png"))).collect::<Result<_, _>>()?;
        Ok(Self { samples, seed, photographs })
    }

    fn stream(&self, part: u32, index: usize) -> Stream {
        Stream::new(self.seed, Lane { purpose: purpose::EXAMPLES, outer: part, inner: index as u32 })
    }

    /// What a picture shows.
    pub fn plan(&self, index: usize) -> Plan {
        let mut stream = self.stream(0, index);
        // Powers of exponential deviates, as shares: often uneven, now and then without one of the three.
        let weights: [f64; 3] = std::array::from_fn(|_| {
            let exponential = -libm::log(1.0 - stream.unit());
            exponential * libm::sqrt(exponential)
        });
        let total: f64 = weights.iter().sum();
        let mut tile = || {
            let mut left = stream.unit() * total;
            let mut class = 0;
            while class + 1 < weights.len() && left >= weights[class] {
                left -= weights[class];
                class += 1;
            }
            class
        };
        let tiles = (0..GRID * GRID).map(|_| tile()).collect();
        Plan { quadrant: index % QUADRANTS.len(), tiles, zoom_hundredths: 100 + stream.below(101) as u32 }
    }

    fn compose(&self, index: usize, plan: &Plan) -> GrayImage {
        let mut stream = self.stream(1, index);
        let side = GRID * TILE;
        let mut picture = GrayImage::new(side as u32, side as u32);
        let slope = [stream.between(-0.12, 0.12), stream.between(-0.12, 0.12)];
        for (place, &class) in plan.tiles.iter().enumerate() {
            let zoom = if class == GRASS { f64::from(plan.zoom_hundredths) / 100.0 } else { 1.0 };
            let patch = self.photographs[class].crop(plan.quadrant, zoom, &mut stream);
            let (gain, offset) = (stream.between(0.75, 1.25), stream.between(-0.1, 0.1));
            let (top, left) = (place / GRID * TILE, place % GRID * TILE);
            for (at, grey) in patch.into_iter().enumerate() {
                let (row, column) = (top + at / TILE, left + at % TILE);
                let light = slope[0] * (row as f64 / side as f64 - 0.5) + slope[1] * (column as f64 / side as f64 - 0.5);
                let value = GREY.0 + gain * (f64::from(grey) - GREY.0) + offset + light;
                picture.put_pixel(column as u32, row as u32, image::Luma([(value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8]));
            }
        }
        picture
    }
}

fn picture_path(index: usize) -> String {
    format!("images/{:05}.png", index + 1)
}

fn photograph(name: &str) -> Result<Photograph, DrawError> {
    let bytes = Template::Textures.photograph(name);
    let decoded = image::load_from_memory_with_format(bytes, ImageFormat::Png);
    let decoded = decoded.map_err(|source| DrawError::Picture { path: name.to_owned(), source })?.into_luma8();
    let (width, height) = (decoded.width() as usize, decoded.height() as usize);
    let greys: Vec<f64> = decoded.into_raw().into_iter().map(|grey| f64::from(grey) / 255.0).collect();
    let mean = greys.iter().sum::<f64>() / greys.len() as f64;
    let spread = libm::sqrt(greys.iter().map(|grey| (grey - mean) * (grey - mean)).sum::<f64>() / greys.len() as f64);
    let greys = greys.into_iter().map(|grey| (GREY.0 + (grey - mean) * GREY.1 / spread) as f32).collect();
    Ok(Photograph { width, height, greys })
}

impl Photograph {
    /// A random crop of a quadrant, enlarged `zoom` times (at least 1) and turned or mirrored at random: `TILE * TILE` greys.
    fn crop(&self, quadrant: usize, zoom: f64, stream: &mut Stream) -> Vec<f32> {
        let (half_width, half_height) = (self.width / 2, self.height / 2);
        let extent = TILE as f64 / zoom;
        let mut start = |from: usize, length: usize| from as f64 + libm::floor(stream.unit() * (length as f64 - extent));
        let left = start(quadrant % 2 * half_width, half_width);
        let top = start(quadrant / 2 * half_height, half_height);
        let turn = stream.below(8);
        let (is_transposed, is_mirrored, is_flipped) = (turn & 1 != 0, turn & 2 != 0, turn & 4 != 0);
        let (rows, columns) = (quadrant / 2 * half_height, quadrant % 2 * half_width);
        let mut patch = Vec::with_capacity(TILE * TILE);
        for row in 0..TILE {
            for column in 0..TILE {
                let (mut y, mut x) = if is_transposed { (column, row) } else { (row, column) };
                if is_mirrored {
                    x = TILE - 1 - x;
                }
                if is_flipped {
                    y = TILE - 1 - y;
                }
                // Centres of pixels lie at halves; what a crop reads stays in its quadrant.
                let inside = |at: usize, start: f64, from: usize, length: usize| {
                    (start + (at as f64 + 0.5) / zoom - 0.5).clamp(from as f64, (from + length - 1) as f64)
                };
                patch.push(self.between_pixels(inside(y, top, rows, half_height), inside(x, left, columns, half_width)));
            }
        }
        patch
    }

    /// The grey between four pixels, bilinear.
    fn between_pixels(&self, y: f64, x: f64) -> f32 {
        let (row, column) = (libm::floor(y) as usize, libm::floor(x) as usize);
        let (down, right) = ((y - row as f64) as f32, (x - column as f64) as f32);
        let at = |row: usize, column: usize| self.greys[row.min(self.height - 1) * self.width + column.min(self.width - 1)];
        let upper = at(row, column) * (1.0 - right) + at(row, column + 1) * right;
        let lower = at(row + 1, column) * (1.0 - right) + at(row + 1, column + 1) * right;
        upper * (1.0 - down) + lower * down
    }
}

impl Drawing for Textures {
    fn tables(&self) -> Result<Vec<NewFile>, DrawError> {
        let plans: Vec<(String, Plan)> = (0..self.samples).map(|index| (picture_path(index), self.plan(index))).collect();
        let header = ["image_path", "grass", "gravel", "brick", "grass_zoom", "quadrant"];
        let shares = to_csv(
            "textures.csv",
            &header,
            plans.iter().map(|(path, plan)| {
                let [grass, gravel, brick] = plan.shares();
                // Where there is no grass, nobody can say how large it is.
                let zoom = if grass > 0.0 { Cell::Number(f64::from(plan.zoom_hundredths) / 100.0) } else { Cell::Missing };
                let quadrant = Cell::Text(QUADRANTS[plan.quadrant]);
                [Cell::Text(path), Cell::Number(grass), Cell::Number(gravel), Cell::Number(brick), zoom, quadrant]
            }),
        )?;
        let tiles = to_csv(
            "tiles.csv",
            &["image_path", "row", "column", "texture"],
            plans.iter().flat_map(|(path, plan)| {
                plan.tiles.iter().enumerate().map(move |(place, &class)| {
                    let (row, column) = ((place / GRID) as f64, (place % GRID) as f64);
                    [Cell::Text(path), Cell::Number(row), Cell::Number(column), Cell::Text(CLASSES[class])]
                })
            }),
        )?;
        let file = |name: &str, bytes| NewFile { path: format!("data/{name}"), bytes };
        Ok(vec![file("textures.csv", shares), file("tiles.csv", tiles)])
    }

    fn pictures(&self) -> usize {
        self.samples
    }

    fn picture(&self, index: usize) -> Result<NewFile, DrawError> {
        let picture = self.compose(index, &self.plan(index));
        let path = format!("data/{}", picture_path(index));
        let mut bytes = Vec::new();
        let written =
            PngEncoder::new(&mut bytes).write_image(picture.as_raw(), picture.width(), picture.height(), ExtendedColorType::L8);
        written.map_err(|source| DrawError::Picture { path: path.clone(), source })?;
        Ok(NewFile { path, bytes })
    }
}
