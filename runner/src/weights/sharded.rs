//! Weights over several files: `model.safetensors.index.json` names the file of each tensor.

use std::path::{Component, Path};

use indexmap::IndexMap;

use super::format::UniqueMap;
use super::nearest::nearest;
use super::{Dtype, TensorView, WeightError, WeightFault, WeightFile};

/// The largest index that is read.
const INDEX_LIMIT: u64 = 64 << 20;

/// The weights of a model: one safetensors file, or an index with its shards.
#[derive(Debug)]
pub struct WeightSet {
    files: Vec<WeightFile>,
    file_of: IndexMap<String, usize>,
}

#[derive(serde::Deserialize)]
struct Index {
    // Written by every exporter; it repeats what the shards say.
    #[serde(default)]
    #[allow(dead_code)]
    metadata: serde_json::Value,
    weight_map: UniqueMap<String>,
}

impl WeightSet {
    /// Opens a `.safetensors` file, or the `.safetensors.index.json` of a sharded model.
    ///
    /// # Errors
    /// A defect of a file, or an index that contradicts its shards.
    pub fn open(path: &Path) -> Result<Self, WeightError> {
        if path.extension().is_some_and(|extension| extension == "json") {
            return Self::open_index(path);
        }
        let file = WeightFile::open(path)?;
        let file_of = file.tensors().map(|tensor| (tensor.name.to_owned(), 0)).collect();
        Ok(Self { files: vec![file], file_of })
    }

    fn open_index(path: &Path) -> Result<Self, WeightError> {
        let fault = WeightError::of(path);
        let index = |text: String| fault(WeightFault::Index(text));
        let description = std::fs::metadata(path).map_err(|error| fault(error.into()))?;
        if !description.is_file() {
            return Err(fault(WeightFault::NotRegular));
        }
        if description.len() > INDEX_LIMIT {
            return Err(index(format!("is an index of {} bytes; the limit is {INDEX_LIMIT}", description.len())));
        }
        let text = std::fs::read(path).map_err(|error| fault(error.into()))?;
        let Index { weight_map: UniqueMap(weight_map), .. } =
            serde_json::from_slice(&text).map_err(|error| index(format!("is no index of shards: {error}")))?;

        let mut names: IndexMap<String, usize> = IndexMap::new();
        let mut files = Vec::new();
        let mut file_of = IndexMap::new();
        for (tensor, shard) in weight_map {
            let number = match names.get(&shard) {
                Some(&number) => number,
                None => {
                    let is_plain = matches!(
                        Path::new(&shard).components().collect::<Vec<_>>().as_slice(),
                        [Component::Normal(name)] if name.to_str() == Some(&shard)
                    );
                    if !is_plain {
                        return Err(index(format!("tensor `{tensor}`: shard `{shard}` is not a file name beside the index")));
                    }
                    files.push(WeightFile::open(&path.with_file_name(&shard))?);
                    names.insert(shard.clone(), files.len() - 1);
                    files.len() - 1
                }
            };
            if files[number].get(&tensor).is_none() {
                return Err(index(format!("says that tensor `{tensor}` is in `{shard}`, but it is not")));
            }
            file_of.insert(tensor, number);
        }
        for (shard, number) in &names {
            let stray = files[*number].tensors().find(|tensor| file_of.get(tensor.name) != Some(number));
            if let Some(tensor) = stray {
                return Err(index(format!("does not say that tensor `{}` is in `{shard}`", tensor.name)));
            }
        }
        Ok(Self { files, file_of })
    }

    /// The files.
    pub fn files(&self) -> &[WeightFile] {
        &self.files
    }

    /// The names of all tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.file_of.keys().map(String::as_str)
    }

    /// A tensor by name.
    pub fn get(&self, name: &str) -> Option<TensorView<'_>> {
        self.files[*self.file_of.get(name)?].get(name)
    }

    /// A text about the whole model, from the first file that has it.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.files.iter().find_map(|file| file.metadata().get(key)).map(String::as_str)
    }

    /// Gives the pages of a tensor back to the system; they are read again where they are needed again.
    pub fn release(&self, name: &str) {
        if let Some(number) = self.file_of.get(name) {
            self.files[*number].release(name);
        }
    }

    /// A tensor that must be there with this dtype and shape.
    ///
    /// # Errors
    /// The tensor is missing or another than needed.
    pub fn require(&self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<TensorView<'_>, WeightError> {
        match self.file_of.get(name) {
            Some(&number) => self.files[number].require(name, dtype, shape),
            None => {
                let path = self.files.first().map_or(Path::new(""), WeightFile::path);
                let nearest = nearest(name, self.names());
                Err(WeightError::of(path)(WeightFault::Missing { tensor: name.into(), nearest }))
            }
        }
    }
}
