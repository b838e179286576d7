//! Backbone and head as separate files: a head names the backbone that it was trained on by hash.

use super::WeightSet;
use indexmap::IndexMap;

/// The metadata key of the backbone's hash.
pub const BACKBONE_HASH: &str = "sward.backbone.blake3";
/// The metadata key of the backbone's file name, for people.
pub const BACKBONE_NAME: &str = "sward.backbone.name";

/// A head or adapter whose backbone is another one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackboneError {
    /// The backbone given has another hash.
    #[error("`{head}` was trained on the backbone{} with the hash {expected}; `{backbone}` has the hash {found}", named(.name))]
    Other {
        /// The file of the head.
        head: String,
        /// The file name that the head's backbone had.
        name: Option<String>,
        /// The hash that the head names.
        expected: String,
        /// The file given.
        backbone: String,
        /// Its hash.
        found: String,
    },
    /// No backbone is given.
    #[error("`{head}` holds no backbone: it was trained on the one{} with the hash {expected}, which must be given, too", named(.name))]
    NotGiven {
        /// The file of the head.
        head: String,
        /// The file name that the head's backbone had.
        name: Option<String>,
        /// The hash that the head names.
        expected: String,
    },
}

fn named(name: &Option<String>) -> String {
    name.as_ref().map_or_else(String::new, |name| format!(" `{name}`"))
}

/// The hash of a checkpoint: BLAKE3 of its file, in hexadecimal; of a sharded one, of the lines `name hash` of its shards by name.
pub fn hash(weights: &WeightSet) -> String {
    let mut hashes: Vec<(String, String)> = weights
        .files()
        .iter()
        .map(|file| {
            let name = file.path().file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            (name, file.hash())
        })
        .collect();
    if let [(_, only)] = hashes.as_slice() {
        return only.clone();
    }
    hashes.sort();
    let mut hasher = blake3::Hasher::new();
    for (name, hash) in hashes {
        hasher.update(format!("{name} {hash}\n").as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// What a head or adapter says of its backbone, for its file's metadata.
pub fn backbone_metadata(backbone: &WeightSet) -> IndexMap<String, String> {
    let mut metadata = IndexMap::from([(BACKBONE_HASH.to_owned(), hash(backbone))]);
    if let Some(name) = backbone.files().first().and_then(|file| file.path().file_name()) {
        metadata.insert(BACKBONE_NAME.to_owned(), name.to_string_lossy().into_owned());
    }
    metadata
}

/// Checks that one of the other files is the backbone that a file names, where it names one.
///
/// # Errors
/// None of them is, with both hashes.
pub fn require_backbone(head: &WeightSet, others: &[&WeightSet]) -> Result<(), BackboneError> {
    let Some(expected) = head.metadata(BACKBONE_HASH) else { return Ok(()) };
    let path = |set: &WeightSet| set.files().first().map_or_else(String::new, |file| file.path().display().to_string());
    let (expected, name) = (expected.to_owned(), head.metadata(BACKBONE_NAME).map(str::to_owned));
    let mut last = None;
    for other in others {
        let found = hash(other);
        if found == expected {
            return Ok(());
        }
        last = Some((path(other), found));
    }
    Err(match last {
        Some((backbone, found)) => BackboneError::Other { head: path(head), name, expected, backbone, found },
        None => BackboneError::NotGiven { head: path(head), name, expected },
    })
}
