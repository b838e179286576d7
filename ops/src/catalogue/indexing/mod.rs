//! Indexing.

mod cum_sum;
mod gather;
mod index_select;
mod one_hot;
mod top_k;

pub use cum_sum::CumSum;
pub use gather::Gather;
pub use index_select::IndexSelect;
pub use one_hot::OneHot;
pub use top_k::TopK;
