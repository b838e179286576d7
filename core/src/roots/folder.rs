//! Folders of files: on the disk, or in memory for the built-in library and for tests.

use super::PathError;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoundKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A pipe, a socket, a device.
    Other,
}

/// What is known of a path without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What all names of this one file have in common.
    pub identity: String,
    /// What it is.
    pub kind: FoundKind,
    /// Its size.
    pub bytes: u64,
}

/// A tree of files that nothing can be reached outside of. Paths are relative, of plain names separated by `/`; the callers have seen
/// to that.
pub trait Folder: Send + Sync {
    /// Looks at what a path names, without opening it. `None` if it names nothing.
    fn look(&self, path: &str) -> Result<Option<Found>, PathError>;

    /// Reads a regular file, at most `limit` bytes of it.
    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, PathError>;

    /// The paths of the files below `folder` (empty for all), relative to it, in alphabetical order, looking at no more than `limit`.
    fn list(&self, folder: &str, limit: usize) -> Vec<String>;

    /// The path by which the system opens a file of this folder, if it is on a disk.
    fn disk_path(&self, path: &str) -> Option<PathBuf>;
}

/// Files in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryFolder {
    files: BTreeMap<String, Cow<'static, [u8]>>,
}

impl MemoryFolder {
    /// No files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a file.
    pub fn insert(&mut self, path: impl Into<String>, content: impl Into<Cow<'static, [u8]>>) {
        self.files.insert(path.into(), content.into());
    }

    /// Adds or replaces a file, in a chain.
    pub fn with(mut self, path: &str, text: &str) -> Self {
        self.insert(path, text.as_bytes().to_vec());
        self
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for MemoryFolder {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(files: I) -> Self {
        files.into_iter().fold(Self::new(), |folder, (path, text)| folder.with(path, text))
    }
}

/// Files that the binary holds.
impl FromIterator<(String, &'static [u8])> for MemoryFolder {
    fn from_iter<I: IntoIterator<Item = (String, &'static [u8])>>(files: I) -> Self {
        Self { files: files.into_iter().map(|(path, content)| (path, content.into())).collect() }
    }
}

impl Folder for MemoryFolder {
    fn look(&self, path: &str) -> Result<Option<Found>, PathError> {
        if let Some(content) = self.files.get(path) {
            return Ok(Some(Found { identity: path.to_owned(), kind: FoundKind::File, bytes: content.len() as u64 }));
        }
        let inside = format!("{path}/");
        let folder = self.files.range(inside.clone()..).next().is_some_and(|(first, _)| first.starts_with(&inside));
        Ok(folder.then(|| Found { identity: path.to_owned(), kind: FoundKind::Folder, bytes: 0 }))
    }

    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, PathError> {
        let content = self.files.get(path).ok_or_else(|| PathError::from_io(path, &io::ErrorKind::NotFound.into()))?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(content[..content.len().min(limit)].to_vec())
    }

    fn list(&self, folder: &str, limit: usize) -> Vec<String> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let paths = self.files.keys().filter_map(|path| path.strip_prefix(&prefix));
        paths.take(limit).map(str::to_owned).collect()
    }

    fn disk_path(&self, _path: &str) -> Option<PathBuf> {
        None
    }
}

/// A folder on the disk. Symbolic links within it are followed; one that leads out of it is an error.
#[derive(Debug, Clone)]
pub struct DiskFolder {
    /// Without symbolic links.
    path: PathBuf,
}

impl DiskFolder {
    /// The folder at `path`, which must be one.
    pub fn open(path: &Path) -> Result<Self, PathError> {
        let shown = path.to_string_lossy();
        let canonical = path.canonicalize().map_err(|error| PathError::from_io(&shown, &error))?;
        if !canonical.is_dir() {
            return Err(PathError::Bad { path: shown.into_owned(), reason: "it is not a folder" });
        }
        Ok(Self { path: canonical })
    }

    /// Where a path leads once all symbolic links are followed: within this folder, or nowhere.
    fn follow(&self, path: &str) -> Result<Option<PathBuf>, PathError> {
        match self.path.join(path).canonicalize() {
            Ok(canonical) if canonical.starts_with(&self.path) => Ok(Some(canonical)),
            Ok(_) => Err(PathError::LeavesRoot { path: path.to_owned() }),
            // A file where the path needs a folder means that there is no such file.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(PathError::from_io(path, &error)),
        }
    }
}

impl Folder for DiskFolder {
    fn look(&self, path: &str) -> Result<Option<Found>, PathError> {
        let Some(canonical) = self.follow(path)? else { return Ok(None) };
        let metadata = fs::symlink_metadata(&canonical).map_err(|error| PathError::from_io(path, &error))?;
        let kind = match metadata.file_type() {
            kind if kind.is_file() => FoundKind::File,
            kind if kind.is_dir() => FoundKind::Folder,
            _ => FoundKind::Other,
        };
        Ok(Some(Found { identity: canonical.to_string_lossy().into_owned(), kind, bytes: metadata.len() }))
    }

    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, PathError> {
        let fault = |error: io::Error| PathError::from_io(path, &error);
        let canonical = self.follow(path)?.ok_or_else(|| fault(io::ErrorKind::NotFound.into()))?;
        if !fs::symlink_metadata(&canonical).map_err(fault)?.is_file() {
            return Err(PathError::NotAFile { path: path.to_owned() });
        }
        let file = open_without_waiting(&canonical).map_err(fault)?;
        // What was looked at may have been exchanged since.
        if !file.metadata().map_err(fault)?.is_file() {
            return Err(PathError::NotAFile { path: path.to_owned() });
        }
        let mut content = Vec::new();
        file.take(limit).read_to_end(&mut content).map_err(fault)?;
        Ok(content)
    }

    fn list(&self, folder: &str, limit: usize) -> Vec<String> {
        let top = self.path.join(folder);
        let mut files = Vec::new();
        let mut looked_at = 0;
        walk(&top, &mut |path| {
            looked_at += 1;
            if let Ok(within) = path.strip_prefix(&top) {
                files.push(slashed(within));
            }
            looked_at < limit
        });
        files.sort();
        files
    }

    fn disk_path(&self, path: &str) -> Option<PathBuf> {
        Some(if path.is_empty() { self.path.clone() } else { self.path.join(path) })
    }
}

/// Opens a file so that a pipe that has taken its place does not block, and a link that has is not followed.
#[cfg(unix)]
fn open_without_waiting(path: &Path) -> io::Result<File> {
    use rustix::fs::OFlags;
    use std::os::unix::fs::OpenOptionsExt;
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)
}

/// Opens a file.
#[cfg(not(unix))]
fn open_without_waiting(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Visits the regular files below a folder in alphabetical order, until `visit` says no. Symbolic links and what is hidden are left
/// out, and what cannot be read is skipped.
fn walk(folder: &Path, visit: &mut dyn FnMut(&Path) -> bool) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return true };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.')) {
            continue;
        }
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let go_on = if metadata.is_dir() { walk(&path, visit) } else { !metadata.is_file() || visit(&path) };
        if !go_on {
            return false;
        }
    }
    true
}

/// The graph files below a folder on the disk, in alphabetical order: every `.ron` file but the marks of roots. Symbolic links and
/// what is hidden are left out.
pub fn graph_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    walk(folder, &mut |path| {
        let marks_root = path.file_name().is_some_and(|name| name == super::ROOT_MARKER);
        if !marks_root && path.extension().is_some_and(|extension| extension == "ron") {
            files.push(path.to_owned());
        }
        true
    });
    files
}

/// A relative path with `/` between its names.
pub(super) fn slashed(path: &Path) -> String {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_string_lossy()),
        _ => None,
    });
    names.collect::<Vec<_>>().join("/")
}

/// How a folder is shown: relative to the current one if it is below that.
pub(super) fn shown_folder(path: &Path) -> String {
    let below = std::env::current_dir()
        .ok()
        .and_then(|current| current.canonicalize().ok())
        .and_then(|current| path.strip_prefix(&current).ok().map(slashed));
    below.unwrap_or_else(|| path.to_string_lossy().into_owned())
}
