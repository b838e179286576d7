//! Shapes.

mod concat;
mod expand;
mod flip;
mod pad;
mod permute;
mod reshape;
mod roll;
mod select;
mod slice;
mod split;
mod stack;

pub use concat::Concat;
pub use expand::Expand;
pub use flip::Flip;
pub use pad::Pad;
pub use permute::Permute;
pub use reshape::Reshape;
pub use roll::Roll;
pub use select::Select;
pub use slice::Slice;
pub use split::Split;
pub use stack::Stack;
