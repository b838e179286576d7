//! Compiled kernels on disk, by the hash of what they were compiled from. A cache that cannot be read or written costs time alone.

use std::path::PathBuf;

/// The folder of compiled kernels: `sward/kernels` in `XDG_CACHE_HOME` or `~/.cache`.
pub fn folder() -> Option<PathBuf> {
    let is_set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = is_set("XDG_CACHE_HOME").or_else(|| is_set("HOME").map(|home| home.join(".cache")))?;
    Some(base.join("sward").join("kernels"))
}

/// The name of what is compiled from these parts.
pub fn key(parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..40].to_string()
}

/// Bytes from the cache with the hash that stands before them.
pub fn read(folder: Option<&PathBuf>, key: &str) -> Option<Vec<u8>> {
    let bytes = std::fs::read(folder?.join(key)).ok()?;
    // A damaged file is as good as none: what is loaded into a GPU is what was written.
    let (hash, code) = bytes.split_at_checked(32)?;
    (blake3::hash(code).as_bytes().as_slice() == hash).then(|| code.to_vec())
}

/// Puts bytes into the cache: whole or not at all, and silently not where the folder does not allow it.
pub fn write(folder: Option<&PathBuf>, key: &str, code: &[u8]) {
    let Some(folder) = folder else { return };
    if std::fs::create_dir_all(folder).is_err() {
        return;
    }
    let temporary = folder.join(format!("{key}.{}", std::process::id()));
    let mut bytes = blake3::hash(code).as_bytes().to_vec();
    bytes.extend_from_slice(code);
    let is_written = std::fs::write(&temporary, bytes).is_ok() && std::fs::rename(&temporary, folder.join(key)).is_ok();
    if !is_written {
        // Nothing is lost where this fails too.
        let _ = std::fs::remove_file(&temporary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_what_is_damaged_is_not() {
        let folder = std::env::temp_dir().join(format!("sward-kernel-cache-{}", std::process::id()));
        let key = key(&["source", "sm_90"]);
        assert_eq!(read(Some(&folder), &key), None);
        write(Some(&folder), &key, b"code");
        assert_eq!(read(Some(&folder), &key).as_deref(), Some(b"code".as_slice()));
        std::fs::write(folder.join(&key), [7; 40]).unwrap();
        assert_eq!(read(Some(&folder), &key), None);
        write(None, &key, b"code");
        std::fs::remove_dir_all(&folder).unwrap();
        // A file where the folder should be: nothing is written, nothing fails.
        std::fs::write(&folder, b"").unwrap();
        write(Some(&folder), &key, b"code");
        assert_eq!(read(Some(&folder), &key), None);
        std::fs::remove_file(&folder).unwrap();
    }

    #[test]
    fn keys_tell_parts_apart() {
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
    }
}
