//! Pooling and resizing of images and sequences.

mod adaptive_avg_pool2d;
mod avg_pool1d;
mod avg_pool2d;
mod layers;
mod max_pool1d;
mod max_pool2d;
mod resize;

pub use adaptive_avg_pool2d::AdaptiveAvgPool2d;
pub use avg_pool1d::AvgPool1d;
pub use avg_pool2d::AvgPool2d;
pub use max_pool1d::MaxPool1d;
pub use max_pool2d::MaxPool2d;
pub use resize::Resize;
