//! From the files that an experiment names to the tensors of a batch.
//!
//! ```text
//! Csv --load--> Table --fit on training rows--> Fitted --encode--> Encoded --Feed, by rows--> tensors by the graph's input names
//!                                                                 \--labels--> numbers that metrics compare
//! ```
//!
//! What is fitted is fitted on the training rows alone. A batch is a pure function of its rows, the epoch and the seed: neither workers nor
//! the order in which batches are asked for change it.

mod batches;
mod cache;
mod encode;
mod error;
mod fit;
mod labels;
mod load;
mod sheet;

pub use batches::{Batch, Feed, MixSpec};
pub use encode::{Encoded, EncodedField, Values, encode};
pub use error::FeedError;
pub use fit::{Fitted, FittedData, fit};
pub use labels::{Labels, check_classes, labels};
pub use load::{DataFolder, Loaded, load, load_rows};
pub use sheet::{Cell, contact_sheet};
