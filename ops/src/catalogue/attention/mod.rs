//! Attention and positions.

mod rotary_embedding;
mod scaled_dot_product_attention;

pub use rotary_embedding::RotaryEmbedding;
pub use scaled_dot_product_attention::ScaledDotProductAttention;
