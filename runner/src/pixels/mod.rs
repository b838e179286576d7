//! Pictures: strict decoding, geometry, colour, augmentation and the floats that a model reads.
//!
//! ```text
//! file --decode--> Picture (u8, height x width x channels) --Step, Step, ...--> Picture --Normalize--> Planes (f32, channels x height x width)
//!                                                          \--Tiles or Views--> several Pictures of one size
//! ```
//!
//! Every transform is plain data with three duties: it states the shape of its result before any file is read ([`Transform::shape`]),
//! it draws random numbers from a [`Draws`] keyed by (seed, epoch, sample, node) alone, and it keeps the semantics of the torchvision,
//! albumentations or Pillow function that its doc comment names. [`batch`] mixes whole batches.

mod affine;
pub mod batch;
mod blur;
mod colour;
mod crop;
mod decode;
mod distort;
mod draws;
mod erase;
mod error;
mod flip;
mod hsv;
mod jpeg;
mod normalize;
mod overlay;
mod picture;
mod resample;
mod resize;
mod sample;
mod step;
mod tiles;

#[cfg(test)]
mod tests;

pub use affine::{AffineMap, RandomAffine};
pub use blur::{GaussianBlur, GaussianNoise, gaussian_blur};
pub use colour::{
    Brightness, ColorJitter, Contrast, Saturation, adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation,
};
pub use crop::{CenterCrop, Crop, RandomCrop, RandomResizedCrop};
pub use decode::{Colours, DecodeOptions, Header, decode, decode_bytes, read_file, read_header};
pub use distort::{ElasticTransform, GridDistortion, displace, grid_axis};
pub use draws::{DrawKey, Draws};
pub use erase::{CoarseDropout, RandomErasing, fill_region};
pub use error::{PixelError, Result};
pub use flip::{
    HorizontalFlip, RandomRotate90, Rotate90, Transpose, VerticalFlip, flip_horizontal, flip_vertical, orient, rotate_quarters,
    transpose,
};
pub use hsv::{HueSaturationValue, shift_hsv};
pub use normalize::Normalize;
pub use overlay::{LightSpot, Timestamp, draw_text, light_spot, text_size};
pub use picture::{Picture, Planes, Region, Shape};
pub use resize::{Interpolation, Resize, ResizeShorter, resize, resize_region};
pub use sample::{Border, warp};
pub use step::{Clean, Maybe, OneOf, Pipeline, Step, Transform};
pub use tiles::{Tiles, View, Views, grid_regions};
