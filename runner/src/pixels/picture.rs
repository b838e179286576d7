//! A picture in memory, and the static shape of one.

use std::fmt;

use super::error::{PixelError, Result, shape};

/// An 8-bit picture, stored row by row with interleaved channels (height, width, channels), as Pillow stores it.
///
/// Pictures stay 8-bit until [`Normalize`](super::Normalize) turns them into floats: every transform rounds where Pillow, torchvision or
/// albumentations round, so that results can be compared with theirs, and a decoded photograph takes a quarter of the memory of floats.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    height: usize,
    width: usize,
    channels: usize,
    data: Vec<u8>,
}

impl Picture {
    /// A picture from its pixels, row by row, channels interleaved.
    pub fn new(height: usize, width: usize, channels: usize, data: Vec<u8>) -> Result<Picture> {
        let expected = height.checked_mul(width).and_then(|area| area.checked_mul(channels));
        if height == 0 || width == 0 || !matches!(channels, 1 | 3) {
            return Err(shape(
                "Picture",
                format!("{height} x {width} with {channels} channels: a picture has at least one pixel and 1 or 3 channels"),
            ));
        }
        if expected != Some(data.len()) {
            return Err(shape(
                "Picture",
                format!("{height} x {width} with {channels} channels does not hold {} bytes", data.len()),
            ));
        }
        Ok(Picture { height, width, channels, data })
    }

    /// A picture of one colour; `colour` gives one value per channel.
    pub fn filled(height: usize, width: usize, colour: &[u8]) -> Result<Picture> {
        Picture::new(height, width, colour.len(), colour.repeat(height * width))
    }

    /// A picture whose dimensions and data are known to agree.
    pub(crate) fn from_parts(height: usize, width: usize, channels: usize, data: Vec<u8>) -> Picture {
        debug_assert_eq!(data.len(), height * width * channels);
        Picture { height, width, channels, data }
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// 1 (grey) or 3 (red, green, blue).
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The shape, with both sides known.
    pub fn shape(&self) -> Shape {
        Shape { channels: self.channels, height: Some(self.height), width: Some(self.width) }
    }

    /// The pixels, row by row, channels interleaved.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The pixels, to write.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// Gives up the pixels.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// The memory that the pixels take, in bytes.
    pub fn bytes(&self) -> usize {
        self.data.len()
    }

    /// The channels of the pixel at (row, column).
    ///
    /// # Panics
    ///
    /// When the position lies outside the picture.
    pub fn pixel(&self, row: usize, column: usize) -> &[u8] {
        assert!(row < self.height && column < self.width, "pixel ({row}, {column}) of {self:?}");
        let start = (row * self.width + column) * self.channels;
        &self.data[start..start + self.channels]
    }

    /// One row of interleaved pixels.
    pub(crate) fn row(&self, row: usize) -> &[u8] {
        let stride = self.width * self.channels;
        &self.data[row * stride..(row + 1) * stride]
    }

    /// Copies a rectangle; it must lie inside the picture.
    pub fn region(&self, region: Region) -> Result<Picture> {
        region.check_inside("region", self)?;
        let mut data = Vec::with_capacity(region.height * region.width * self.channels);
        for row in region.top..region.top + region.height {
            let row = self.row(row);
            data.extend_from_slice(&row[region.left * self.channels..(region.left + region.width) * self.channels]);
        }
        Ok(Picture::from_parts(region.height, region.width, self.channels, data))
    }

    /// The picture in grey, with Pillow's weights (`convert("L")`: 299, 587 and 114 thousandths in 16-bit fixed point).
    pub fn to_grey(&self) -> Picture {
        if self.channels == 1 {
            return self.clone();
        }
        let data = self
            .data
            .chunks_exact(3)
            .map(|pixel| {
                let (r, g, b) = (u32::from(pixel[0]), u32::from(pixel[1]), u32::from(pixel[2]));
                ((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16) as u8
            })
            .collect();
        Picture::from_parts(self.height, self.width, 1, data)
    }

    /// The picture with three channels; grey is repeated.
    pub fn to_rgb(&self) -> Picture {
        if self.channels == 3 {
            return self.clone();
        }
        let data = self.data.iter().flat_map(|&value| [value; 3]).collect();
        Picture::from_parts(self.height, self.width, 3, data)
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Picture({} x {} x {})", self.height, self.width, self.channels)
    }
}

/// A rectangle of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Region {
    /// Refuses an empty rectangle and one that reaches outside the picture.
    pub(crate) fn check_inside(&self, transform: &'static str, picture: &Picture) -> Result<()> {
        let inside =
            |start: usize, length: usize, size: usize| length > 0 && start.checked_add(length).is_some_and(|end| end <= size);
        if inside(self.top, self.height, picture.height) && inside(self.left, self.width, picture.width) {
            return Ok(());
        }
        Err(shape(
            transform,
            format!(
                "the region of {} x {} at row {}, column {} does not lie inside the picture of {} x {}",
                self.height, self.width, self.top, self.left, picture.height, picture.width
            ),
        ))
    }
}

/// The shape of a picture before any file is read: a side that depends on the file is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// 1 or 3.
    pub channels: usize,
    /// Rows, where known.
    pub height: Option<usize>,
    /// Columns, where known.
    pub width: Option<usize>,
}

impl Shape {
    /// A shape with both sides known.
    pub fn known(channels: usize, height: usize, width: usize) -> Shape {
        Shape { channels, height: Some(height), width: Some(width) }
    }

    /// The shape of photographs whose sizes differ.
    pub fn any_size(channels: usize) -> Shape {
        Shape { channels, height: None, width: None }
    }

    /// The same channels with other sides.
    pub fn with_sides(self, height: usize, width: usize) -> Shape {
        Shape { height: Some(height), width: Some(width), ..self }
    }

    /// Height and width exchanged.
    pub fn transposed(self) -> Shape {
        Shape { height: self.width, width: self.height, ..self }
    }

    /// Whether a picture of this shape is certain to be square.
    pub fn is_square(self) -> bool {
        matches!((self.height, self.width), (Some(height), Some(width)) if height == width)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |side: Option<usize>| side.map_or("?".to_owned(), |side| side.to_string());
        write!(formatter, "({}, {}, {})", self.channels, side(self.height), side(self.width))
    }
}

/// A picture as floats, channel by channel (channels, height, width): what a model reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Planes {
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Values, channel by channel, row by row.
    pub data: Vec<f32>,
}

impl Planes {
    /// Planes from their values.
    pub fn new(channels: usize, height: usize, width: usize, data: Vec<f32>) -> Result<Planes> {
        if channels * height * width != data.len() {
            return Err(PixelError::Shape {
                transform: "Planes",
                cause: format!("({channels}, {height}, {width}) does not hold {} values", data.len()),
            });
        }
        Ok(Planes { channels, height, width, data })
    }
}
