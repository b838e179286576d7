//! The header of a safetensors file: what it may say, and how it is read strictly.
//!
//! A file is the header's length as 8 bytes (little endian), the header as JSON, and the tensors' bytes, without a gap, in
//! the order of their offsets. See <https://huggingface.co/docs/safetensors>.

use std::fmt;

use indexmap::IndexMap;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use super::WeightFault;

/// The largest header that is read, the limit of the reference implementation.
pub(super) const HEADER_LIMIT: u64 = 100_000_000;

/// The element type of a stored tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of single precision.
    BF16,
    /// Signed 64-bit integers.
    I64,
    /// One byte each, 0 or 1.
    Bool,
    /// Unsigned bytes.
    U8,
}

impl Dtype {
    /// Bytes per element.
    pub fn size(self) -> usize {
        match self {
            Self::I64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::Bool | Self::U8 => 1,
        }
    }

    /// The name in a file.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::I64 => "I64",
            Self::Bool => "BOOL",
            Self::U8 => "U8",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::F32, Self::F16, Self::BF16, Self::I64, Self::Bool, Self::U8].into_iter().find(|dtype| dtype.name() == name)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What a header says of one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// The element type.
    pub dtype: Dtype,
    /// The shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// Where the bytes begin, counted from the header's end.
    pub start: u64,
    /// Where the bytes end.
    pub end: u64,
}

/// A map that remembers the order of its keys and refuses to have one twice.
pub(super) struct UniqueMap<V>(pub IndexMap<String, V>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for UniqueMap<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Unique<V>(std::marker::PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Unique<V> {
            type Value = UniqueMap<V>;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut map = IndexMap::new();
                while let Some(key) = access.next_key::<String>()? {
                    if map.contains_key(&key) {
                        return Err(A::Error::custom(format!("`{key}` is there twice")));
                    }
                    let value = access.next_value::<V>().map_err(|error| A::Error::custom(format!("in `{key}`: {error}")))?;
                    map.insert(key, value);
                }
                Ok(UniqueMap(map))
            }
        }
        deserializer.deserialize_map(Unique(std::marker::PhantomData))
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// A header's value: a tensor, or the file's metadata under `__metadata__`.
struct RawHeader {
    metadata: IndexMap<String, String>,
    tensors: IndexMap<String, RawTensor>,
}

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let UniqueMap(values) = UniqueMap::<Box<serde_json::value::RawValue>>::deserialize(deserializer)?;
        let mut header = Self { metadata: IndexMap::new(), tensors: IndexMap::new() };
        for (key, value) in values {
            let wrong = |error| D::Error::custom(format!("in `{key}`: {error}"));
            if key == METADATA {
                header.metadata = serde_json::from_str::<UniqueMap<String>>(value.get()).map_err(wrong)?.0;
            } else {
                let tensor = serde_json::from_str(value.get()).map_err(wrong)?;
                header.tensors.insert(key, tensor);
            }
        }
        Ok(header)
    }
}

/// The key under which a header keeps texts about the whole file.
pub(super) const METADATA: &str = "__metadata__";

/// A header that has been checked: tensors lie one after another without gap or overlap, and their sizes fit their shapes.
#[derive(Debug)]
pub(super) struct Header {
    pub metadata: IndexMap<String, String>,
    /// In the order of their bytes.
    pub tensors: IndexMap<String, TensorInfo>,
}

impl Header {
    /// Parses a header's text.
    pub fn parse(text: &[u8]) -> Result<Self, WeightFault> {
        if text.first() != Some(&b'{') {
            return Err(WeightFault::Header("it does not begin with `{`".into()));
        }
        let raw: RawHeader = serde_json::from_slice(text).map_err(|error| WeightFault::Header(error.to_string()))?;
        let mut tensors = raw
            .tensors
            .into_iter()
            .map(|(name, tensor)| Ok((name.clone(), tensor.check(&name)?)))
            .collect::<Result<Vec<_>, WeightFault>>()?;
        // A stable sort: tensors without bytes keep their place.
        tensors.sort_by_key(|(_, info)| (info.start, info.end));
        let mut end = 0;
        for (name, info) in &tensors {
            if info.start != end {
                let problem = if info.start < end {
                    format!("begins at byte {}, inside the tensor before it, which ends at {end}", info.start)
                } else {
                    format!("begins at byte {}, {} bytes after the end of what comes before", info.start, info.start - end)
                };
                return Err(WeightFault::Offsets { tensor: name.clone(), problem });
            }
            end = info.end;
        }
        Ok(Self { metadata: raw.metadata, tensors: tensors.into_iter().collect() })
    }
}

impl RawTensor {
    fn check(self, name: &str) -> Result<TensorInfo, WeightFault> {
        let Some(dtype) = Dtype::parse(&self.dtype) else {
            return Err(WeightFault::UnknownDtype { tensor: name.into(), dtype: self.dtype });
        };
        let wrong = |problem: String| WeightFault::Offsets { tensor: name.into(), problem };
        let [start, end] = self.data_offsets;
        let size = self
            .shape
            .iter()
            .try_fold(dtype.size() as u64, |size, &length| size.checked_mul(length))
            .ok_or_else(|| wrong(format!("has the shape {:?}, whose size overflows", self.shape)))?;
        if start > end {
            return Err(wrong(format!("ends at byte {end} before it begins at {start}")));
        }
        if end - start != size {
            let found = end - start;
            return Err(wrong(format!("has {found} bytes, but {dtype} of shape {:?} takes {size}", self.shape)));
        }
        let shape = self.shape.iter().map(|&length| length as usize).collect();
        Ok(TensorInfo { dtype, shape, start, end })
    }
}
