//! What may be wrong with a weights file.

use std::path::{Path, PathBuf};

use super::Dtype;
use crate::rundir::StorageError;

/// A weights file that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("`{}`: {fault}", path.display())]
pub struct WeightError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub fault: Box<WeightFault>,
}

impl WeightError {
    /// Says in which file a fault is.
    pub fn of(path: &Path) -> impl Fn(WeightFault) -> Self {
        let path = path.to_owned();
        move |fault| Self { path: path.clone(), fault: Box::new(fault) }
    }
}

/// What is wrong with a weights file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightFault {
    /// It cannot be opened or mapped.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It cannot be written.
    #[error("{0}")]
    Storage(#[from] StorageError),
    /// It is a directory, a FIFO or a device.
    #[error("is not a regular file")]
    NotRegular,
    /// It is of another format.
    #[error("is {format}, not safetensors{advice}")]
    OtherFormat {
        /// What it is, with an article.
        format: &'static str,
        /// How to convert it, beginning with a separator; may be empty.
        advice: String,
    },
    /// It ends inside the header.
    #[error("is truncated: the header needs {needed} bytes, the file has {found}")]
    TruncatedHeader {
        /// The bytes up to the header's end.
        needed: u64,
        /// The file's length.
        found: u64,
    },
    /// It ends inside a tensor.
    #[error("is truncated: tensor `{tensor}` ends at byte {needed}, the file has {found}")]
    TruncatedTensor {
        /// The first tensor that is cut off.
        tensor: String,
        /// Where it should end.
        needed: u64,
        /// The file's length.
        found: u64,
    },
    /// It goes on after the last tensor.
    #[error("has {extra} trailing bytes after the last tensor{}", after(tensor))]
    Trailing {
        /// The last tensor, where there is one.
        tensor: Option<String>,
        /// How many bytes.
        extra: u64,
    },
    /// The header claims to be larger than any real one.
    #[error("claims a header of {claimed} bytes; the limit is {limit}")]
    HeaderTooLarge {
        /// What it claims.
        claimed: u64,
        /// What is allowed.
        limit: u64,
    },
    /// The header is not the JSON that it should be.
    #[error("has a header that cannot be read: {0}")]
    Header(String),
    /// A tensor's bytes overlap another's, or leave a gap.
    #[error("tensor `{tensor}` {problem}")]
    Offsets {
        /// The tensor.
        tensor: String,
        /// What is wrong, as a sentence without subject.
        problem: String,
    },
    /// A dtype that Sward does not use.
    #[error("tensor `{tensor}` has dtype {dtype}; known are F32, F16, BF16, I64, BOOL and U8")]
    UnknownDtype {
        /// The tensor.
        tensor: String,
        /// As the file spells it.
        dtype: String,
    },
    /// A tensor of another dtype than needed.
    #[error("tensor `{tensor}` has dtype {found}, needed is {expected}")]
    WrongDtype {
        /// The tensor.
        tensor: String,
        /// What is needed.
        expected: Dtype,
        /// What it has.
        found: Dtype,
    },
    /// A tensor of another shape than needed.
    #[error("tensor `{tensor}` has shape {found:?}, needed is {expected:?}")]
    WrongShape {
        /// The tensor.
        tensor: String,
        /// What is needed.
        expected: Vec<usize>,
        /// What it has.
        found: Vec<usize>,
    },
    /// A tensor that is not there.
    #[error("has no tensor `{tensor}`{}", nearest_text(nearest))]
    Missing {
        /// The tensor.
        tensor: String,
        /// The name most like it, where one is alike.
        nearest: Option<String>,
    },
    /// A NaN or an infinity.
    #[error("tensor `{tensor}` holds {value} at element {element}")]
    NotFinite {
        /// The tensor.
        tensor: String,
        /// The place of the first, counted in row-major order.
        element: usize,
        /// `NaN`, `inf` or `-inf`.
        value: f32,
    },
    /// A BOOL byte other than 0 and 1.
    #[error("tensor `{tensor}` is BOOL but holds the byte {byte} at element {element}")]
    NotBool {
        /// The tensor.
        tensor: String,
        /// The place of the first.
        element: usize,
        /// The byte.
        byte: u8,
    },
    /// A tensor to be written whose bytes do not fit its shape.
    #[error("tensor `{tensor}` of dtype {dtype} and shape {shape:?} comes with {bytes} bytes")]
    WrongLength {
        /// The tensor.
        tensor: String,
        /// Its dtype.
        dtype: Dtype,
        /// Its shape.
        shape: Vec<usize>,
        /// The bytes that came.
        bytes: usize,
    },
    /// Two tensors of one name.
    #[error("has two tensors named `{0}`")]
    Duplicate(String),
    /// An index of shards that contradicts its shards.
    #[error("{0}")]
    Index(String),
}

fn after(tensor: &Option<String>) -> String {
    tensor.as_ref().map_or_else(String::new, |name| format!(" `{name}`"))
}

pub(super) fn nearest_text(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |name| format!("; the nearest name is `{name}`"))
}
