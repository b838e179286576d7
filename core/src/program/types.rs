//! Dtypes, sizes and tensor types of a program.

use smallvec::SmallVec;
use std::fmt;

/// The element type of a tensor.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum DType {
    /// 32-bit IEEE 754.
    F32,
    /// The upper half of an `F32`; arithmetic on it is done in f32.
    BF16,
    /// 64-bit signed integer.
    I64,
    /// One byte, 0 or 1.
    Bool,
}

impl DType {
    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            DType::F32 => 4,
            DType::BF16 => 2,
            DType::I64 => 8,
            DType::Bool => 1,
        }
    }

    /// Whether gradients can flow through values of this type.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::BF16)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DType::F32 => "f32",
            DType::BF16 => "bf16",
            DType::I64 => "i64",
            DType::Bool => "bool",
        })
    }
}

/// The sizes of a tensor, outermost first.
pub type Shape = SmallVec<[usize; 6]>;

/// Number of elements of a tensor with these sizes; 1 for rank 0. Saturates.
pub fn element_count(shape: &[usize]) -> usize {
    shape.iter().fold(1, |count: usize, size| count.saturating_mul(*size))
}

/// Dtype and sizes of a value.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TensorType {
    /// The element type.
    pub dtype: DType,
    /// The sizes, outermost first.
    pub shape: Shape,
}

impl TensorType {
    /// A type from its parts.
    pub fn new(dtype: DType, shape: &[usize]) -> TensorType {
        TensorType { dtype, shape: Shape::from_slice(shape) }
    }

    /// An `F32` tensor of these sizes.
    pub fn f32(shape: &[usize]) -> TensorType {
        TensorType::new(DType::F32, shape)
    }

    /// Number of sizes.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        element_count(&self.shape)
    }

    /// Bytes of the dense tensor. Saturates.
    pub fn bytes(&self) -> usize {
        self.elements().saturating_mul(self.dtype.bytes())
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[", self.dtype)?;
        for (position, size) in self.shape.iter().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            write!(f, "{size}")?;
        }
        f.write_str("]")
    }
}

/// The common shape of operands of equal rank, each size equal or 1 (NumPy's rule without rank extension).
///
/// # Errors
/// A text that names the axis and both sizes, or the two ranks.
pub fn broadcast_shapes<'a>(shapes: impl IntoIterator<Item = &'a [usize]>) -> Result<Shape, String> {
    let mut common: Option<Shape> = None;
    for shape in shapes {
        let Some(target) = &mut common else {
            common = Some(Shape::from_slice(shape));
            continue;
        };
        if target.len() != shape.len() {
            return Err(format!("operands of rank {} and {} do not broadcast", target.len(), shape.len()));
        }
        for (axis, (target, size)) in target.iter_mut().zip(shape).enumerate() {
            if *target == 1 {
                *target = *size;
            } else if *size != 1 && *size != *target {
                return Err(format!("axis {axis}: sizes {target} and {size} do not broadcast"));
            }
        }
    }
    Ok(common.unwrap_or_default())
}
