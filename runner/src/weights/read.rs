//! Reads one safetensors file through a memory map.

use std::borrow::Cow;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use indexmap::IndexMap;
use memmap2::Mmap;

use super::format::{HEADER_LIMIT, Header};
use super::nearest::nearest;
use super::{Dtype, TensorInfo, WeightError, WeightFault};

/// How many bytes are hashed before their pages are given back.
const RELEASED: usize = 16 << 20;

/// An open safetensors file whose header has been checked against its length.
#[derive(Debug)]
pub struct WeightFile {
    path: PathBuf,
    map: Mmap,
    data_start: usize,
    header: Header,
}

/// One tensor of an open file. Its bytes are little endian and row-major.
#[derive(Debug, Clone, Copy)]
pub struct TensorView<'a> {
    path: &'a Path,
    /// The name.
    pub name: &'a str,
    /// The element type.
    pub dtype: Dtype,
    /// The shape, outermost dimension first.
    pub shape: &'a [usize],
    /// The bytes.
    pub bytes: &'a [u8],
}

impl WeightFile {
    /// Opens a file and checks its header: nothing truncated, trailing, overlapping or unknown.
    ///
    /// # Errors
    /// The first defect, with the tensor's name.
    pub fn open(path: &Path) -> Result<Self, WeightError> {
        Self::open_file(path).map_err(WeightError::of(path))
    }

    fn open_file(path: &Path) -> Result<Self, WeightFault> {
        // Without NONBLOCK, opening a FIFO would wait for a writer.
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
        let description = file.metadata()?;
        if !description.is_file() {
            return Err(WeightFault::NotRegular);
        }
        let found = description.len();
        if found < 8 {
            return Err(WeightFault::TruncatedHeader { needed: 8, found });
        }
        // SAFETY: the map is read-only. Rust needs the bytes to stay as they are while it is borrowed. Files written by this
        // crate are replaced by rename and never changed in place, so the mapped one stays; a foreign program that truncates
        // a file that is being read ends this process with SIGBUS, as with every memory-mapped reader.
        let map = unsafe { Mmap::map(&file)? };
        let mut length = [0; 8];
        length.copy_from_slice(&map[..8]);
        if let Some((format, advice)) = recognise(&map, path) {
            return Err(WeightFault::OtherFormat { format, advice });
        }
        let claimed = u64::from_le_bytes(length);
        if claimed > HEADER_LIMIT {
            return Err(WeightFault::HeaderTooLarge { claimed, limit: HEADER_LIMIT });
        }
        if claimed + 8 > found {
            return Err(WeightFault::TruncatedHeader { needed: claimed + 8, found });
        }
        let data_start = 8 + claimed as usize;
        let header = Header::parse(&map[8..data_start])?;
        let data_start = data_start as u64;
        // The last entry's end bounds all others, because tensors lie one after another.
        if let Some((name, info)) = header.tensors.iter().find(|(_, info)| data_start.saturating_add(info.end) > found) {
            let needed = data_start.saturating_add(info.end);
            return Err(WeightFault::TruncatedTensor { tensor: name.clone(), needed, found });
        }
        let last = header.tensors.last();
        let end = data_start + last.map_or(0, |(_, info)| info.end);
        if end < found {
            let tensor = last.map(|(name, _)| name.clone());
            return Err(WeightFault::Trailing { tensor, extra: found - end });
        }
        Ok(Self { path: path.to_owned(), map, data_start: data_start as usize, header })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The texts about the whole file, in the file's order.
    pub fn metadata(&self) -> &IndexMap<String, String> {
        &self.header.metadata
    }

    /// Every tensor in the order of its bytes.
    pub fn tensors(&self) -> impl Iterator<Item = TensorView<'_>> {
        self.header.tensors.iter().map(|(name, info)| self.view(name, info))
    }

    /// How many tensors there are.
    pub fn len(&self) -> usize {
        self.header.tensors.len()
    }

    /// Whether there is no tensor.
    pub fn is_empty(&self) -> bool {
        self.header.tensors.is_empty()
    }

    /// A tensor by name.
    pub fn get(&self, name: &str) -> Option<TensorView<'_>> {
        self.header.tensors.get_key_value(name).map(|(name, info)| self.view(name, info))
    }

    /// A tensor that must be there with this dtype and shape.
    ///
    /// # Errors
    /// The tensor is missing or another than needed.
    pub fn require(&self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<TensorView<'_>, WeightError> {
        let missing = || {
            let nearest = nearest(name, self.header.tensors.keys().map(String::as_str));
            WeightError::of(&self.path)(WeightFault::Missing { tensor: name.into(), nearest })
        };
        let view = self.get(name).ok_or_else(missing)?;
        view.expect(dtype, shape)?;
        Ok(view)
    }

    /// The BLAKE3 hash of the whole file, in hexadecimal.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for (chunk, bytes) in self.map.chunks(RELEASED).enumerate() {
            hasher.update(bytes);
            self.release_range(chunk * RELEASED, bytes.len());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// Gives the pages of a tensor back to the system; they are read again where they are needed again.
    pub fn release(&self, name: &str) {
        if let Some(info) = self.header.tensors.get(name) {
            self.release_range(self.data_start + info.start as usize, (info.end - info.start) as usize);
        }
    }

    fn release_range(&self, start: usize, length: usize) {
        // SAFETY: the map is of a file and is never written, so pages that are given back hold the same bytes when they are read again.
        let given_back = unsafe { self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, length) };
        // A system that keeps the pages costs memory and nothing else.
        let _ = given_back;
    }

    fn view<'a>(&'a self, name: &'a str, info: &'a TensorInfo) -> TensorView<'a> {
        let bytes = &self.map[self.data_start..][info.start as usize..info.end as usize];
        TensorView { path: &self.path, name, dtype: info.dtype, shape: &info.shape, bytes }
    }
}

impl<'a> TensorView<'a> {
    /// A tensor in memory that is to become part of the file at `path`.
    pub(super) fn detached(path: &'a Path, name: &'a str, dtype: Dtype, shape: &'a [usize], bytes: &'a [u8]) -> Self {
        Self { path, name, dtype, shape, bytes }
    }

    fn fault(&self, fault: WeightFault) -> WeightError {
        WeightError::of(self.path)(fault)
    }

    /// Demands a dtype and a shape.
    ///
    /// # Errors
    /// The one that differs.
    pub fn expect(&self, dtype: Dtype, shape: &[usize]) -> Result<(), WeightError> {
        let tensor = || self.name.to_owned();
        if self.dtype != dtype {
            let fault = WeightFault::WrongDtype { tensor: tensor(), expected: dtype, found: self.dtype };
            return Err(self.fault(fault));
        }
        if self.shape != shape {
            let (expected, found) = (shape.to_vec(), self.shape.to_vec());
            return Err(self.fault(WeightFault::WrongShape { tensor: tensor(), expected, found }));
        }
        Ok(())
    }

    /// The number of elements.
    pub fn elements(&self) -> usize {
        self.bytes.len() / self.dtype.size()
    }

    /// The values of a floating-point tensor as single precision, exactly. Borrowed where the file allows it.
    ///
    /// # Errors
    /// A value that is not finite, or a tensor of integers.
    pub fn to_f32(&self) -> Result<Cow<'a, [f32]>, WeightError> {
        let values: Cow<'a, [f32]> = match self.dtype {
            Dtype::F32 if cfg!(target_endian = "little") => match bytemuck::try_cast_slice(self.bytes) {
                Ok(values) => Cow::Borrowed(values),
                Err(_) => Cow::Owned(decode(self.bytes, f32::from_le_bytes)),
            },
            Dtype::F32 => Cow::Owned(decode(self.bytes, f32::from_le_bytes)),
            Dtype::F16 => Cow::Owned(decode(self.bytes, |bytes| f16::from_le_bytes(bytes).to_f32())),
            Dtype::BF16 => Cow::Owned(decode(self.bytes, |bytes| bf16::from_le_bytes(bytes).to_f32())),
            found => {
                let tensor = self.name.to_owned();
                return Err(self.fault(WeightFault::WrongDtype { tensor, expected: Dtype::F32, found }));
            }
        };
        if let Some(element) = values.iter().position(|value| !value.is_finite()) {
            let tensor = self.name.to_owned();
            return Err(self.fault(WeightFault::NotFinite { tensor, element, value: values[element] }));
        }
        Ok(values)
    }

    /// The values of an I64 tensor.
    ///
    /// # Errors
    /// A tensor of another dtype.
    pub fn to_i64(&self) -> Result<Vec<i64>, WeightError> {
        self.expect(Dtype::I64, self.shape)?;
        Ok(decode(self.bytes, i64::from_le_bytes))
    }

    /// The values of a BOOL tensor.
    ///
    /// # Errors
    /// A tensor of another dtype, or a byte other than 0 and 1.
    pub fn to_bool(&self) -> Result<Vec<bool>, WeightError> {
        self.expect(Dtype::Bool, self.shape)?;
        if let Some(element) = self.bytes.iter().position(|&byte| byte > 1) {
            let (tensor, byte) = (self.name.to_owned(), self.bytes[element]);
            return Err(self.fault(WeightFault::NotBool { tensor, element, byte }));
        }
        Ok(self.bytes.iter().map(|&byte| byte == 1).collect())
    }
}

/// Reads elements of `N` bytes each.
fn decode<const N: usize, T>(bytes: &[u8], element: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (elements, _) = bytes.as_chunks::<N>();
    elements.iter().map(|bytes| element(*bytes)).collect()
}

/// Formats that people pass by mistake, by their first bytes.
fn recognise(bytes: &[u8], path: &Path) -> Option<(&'static str, String)> {
    let pickle = "a PyTorch pickle (.pt, .pth, .bin)";
    let zip = bytes.starts_with(b"PK\x03\x04");
    // Protocols 2 to 5; read as a header's length, these bytes could not pass for one in a file of real size, but a
    // header of 640 bytes begins with 0x80 0x02, so what follows must not be the opening brace of a header.
    let bare = bytes[0] == 0x80 && (2..=5).contains(&bytes[1]) && bytes.get(8) != Some(&b'{');
    if zip || bare {
        let name = path.file_name().map_or_else(|| "model.pt".into(), |name| name.to_string_lossy().replace('\'', ""));
        let stem = path.file_stem().map_or_else(|| "model".into(), |name| name.to_string_lossy().replace('\'', ""));
        let advice = format!(
            ". Unpickling can run code, so it is never done here. Convert it once, where you trust it:\n  \
             python -c \"import torch, safetensors.torch as s; w = torch.load('{name}', map_location='cpu', \
             weights_only=True); w = w.get('state_dict', w); \
             s.save_file({{k: v.contiguous().clone() for k, v in w.items()}}, '{stem}.safetensors')\""
        );
        return Some((pickle, advice));
    }
    let others: [(&[u8], &str); 4] = [
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"GGUF", "a GGUF file"),
        (b"\x93NUMPY", "a NumPy array"),
        (b"version https://git-lfs", "a Git LFS pointer"),
    ];
    let (_, format) = others.into_iter().find(|(magic, _)| bytes.starts_with(magic))?;
    let advice = if format == "a Git LFS pointer" { "; run `git lfs pull` to get the file itself" } else { "" };
    Some((format, advice.into()))
}
