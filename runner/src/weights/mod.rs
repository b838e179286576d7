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

mod adapt;
pub mod artifact;
mod error;
mod export;
mod family;
mod format;
mod load;
pub mod lora;
pub mod mapping;
mod nearest;
mod plan;
mod read;
mod recipe;
mod report;
mod several;
mod sharded;
mod write;

pub use adapt::Adapt;
pub use error::{WeightError, WeightFault};
pub use export::{ExportError, export};
pub use family::Family;
pub use format::{Dtype, TensorInfo};
pub use load::{LoadError, LoadRequest, Loaded, load, match_file, match_set, wanted};
pub use plan::{Candidates, Load, LoadPlan, Wanted, WrongShape};
pub use read::{TensorView, WeightFile};
pub use recipe::{Recipe, Source, Take};
pub use report::Report;
pub use several::{Part, load_several};
pub use sharded::WeightSet;
pub use write::{TensorOut, to_bytes, write};
