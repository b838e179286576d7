//! Weights in files: safetensors, one file or sharded, read strictly and written atomically.
//!
//! Every defect of a file is an error that names the tensor. PyTorch pickles are recognised and refused, because
//! unpickling runs code.
//!
//! ```no_run
//! use std::path::Path;
//! use sward::weights::{Dtype, WeightSet};
//! let weights = WeightSet::open(Path::new("model.safetensors"))?;
//! let kernel = weights.require("stem.0.weight", Dtype::F32, &[40, 3, 4, 4])?.to_f32()?;
//! # Ok::<(), sward::weights::WeightError>(())
//! ```

mod error;
mod format;
mod matching;
mod read;
mod sharded;
mod write;

pub use error::{WeightError, WeightFault};
pub use format::{Dtype, TensorInfo};
pub use matching::{Expected, Match, Matching, match_weights};
pub use read::{TensorView, WeightFile};
pub use sharded::WeightSet;
pub use write::{TensorOut, to_bytes, write};
