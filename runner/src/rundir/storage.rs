//! The one door through which a run writes to disk.
//!
//! Everything that a run leaves behind goes through [`Storage`], so that tests can make every single operation fail, and
//! [`write_atomically`] is the only way to replace a file: the previous one survives whatever happens.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// An operation on storage that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`: {source}", path.display())]
pub struct StorageError {
    /// What was tried, as a verb.
    pub action: &'static str,
    /// On which path.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

impl StorageError {
    /// Adds what was tried and where to what the system says.
    pub fn wrap(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { action, path, source }
    }

    /// Whether the disk or a quota is full.
    pub fn is_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// What a run needs of a file system.
pub trait Storage: Send + Sync {
    /// Creates a file that must not exist yet. A symbolic link in its place counts as existing.
    ///
    /// # Errors
    /// What the system says.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn StorageFile>>;

    /// Opens a regular file for appending, creating it if need be. Symbolic links are refused.
    ///
    /// # Errors
    /// What the system says, or that the path is no regular file.
    fn append(&self, path: &Path) -> io::Result<Box<dyn StorageFile>>;

    /// Cuts a file off at a length and makes the cut durable.
    ///
    /// # Errors
    /// What the system says.
    fn truncate(&self, path: &Path, length: u64) -> io::Result<()>;

    /// Puts a file in another's place, atomically.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Creates a directory and its parents.
    ///
    /// # Errors
    /// What the system says.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// Makes a directory's entries (creations, renames) durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
}

/// A file open for writing.
pub trait StorageFile: Write + Send {
    /// Makes what was written durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync(&mut self) -> io::Result<()>;
}

/// The machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

struct DiskFile(File);

impl Write for DiskFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl StorageFile for DiskFile {
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_all()
    }
}

/// Flags that open neither a symbolic link nor wait for the other end of a FIFO.
fn careful_flags() -> i32 {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    flags.bits() as i32
}

impl Storage for Disk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(Box::new(DiskFile(file)))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        let file = OpenOptions::new().append(true).create(true).custom_flags(careful_flags()).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        Ok(Box::new(DiskFile(file)))
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).custom_flags(careful_flags()).open(path)?;
        file.set_len(length)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

/// Ends the name of every file that is being written.
const UNFINISHED: &str = ".unfinished";

/// Replaces a file, or leaves it as it was: `fill` writes a temporary file beside the target, which is made durable and
/// renamed into place, and then the directory is made durable.
///
/// After an error the target is the previous file, bit by bit; only where the very last step fails (the directory's sync)
/// may it already be the new one, whole. A process that dies leaves at most a temporary file, see [`remove_unfinished`].
///
/// # Errors
/// The step that failed. The temporary file is removed where that is possible.
pub fn write_atomically(
    storage: &dyn Storage,
    target: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), StorageError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = target
        .file_name()
        .ok_or_else(|| StorageError::wrap("write", target)(io::Error::new(io::ErrorKind::InvalidInput, "it names no file")))?;
    if let Ok(existing) = std::fs::symlink_metadata(target)
        && !existing.is_file()
    {
        let refusal = io::Error::new(io::ErrorKind::InvalidInput, "it exists and is not a regular file");
        return Err(StorageError::wrap("replace", target)(refusal));
    }
    let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let unique = format!(".{}.{}-{count}{UNFINISHED}", name.to_string_lossy(), std::process::id());
    let temporary = directory.join(unique);

    let file = storage.create_new(&temporary).map_err(StorageError::wrap("create", &temporary))?;
    let written = fill_file(file, fill)
        .map_err(StorageError::wrap("write", target))
        .and_then(|()| storage.rename(&temporary, target).map_err(StorageError::wrap("replace", target)));
    if let Err(error) = written {
        // The first error is the one to report; a temporary file that stays is removed at the next start.
        let _ = storage.remove(&temporary);
        return Err(error);
    }
    storage.sync_directory(directory).map_err(StorageError::wrap("make durable", directory))
}

fn fill_file(file: Box<dyn StorageFile>, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut buffered = BufWriter::with_capacity(1 << 16, file);
    let filled = fill(&mut buffered).and_then(|()| buffered.flush());
    // `into_parts` and not drop: dropping would try to write the rest again.
    let (mut file, _) = buffered.into_parts();
    filled?;
    file.sync()
}

/// Removes temporary files that a killed process left in a directory. Call it while holding the run's lock.
///
/// # Errors
/// A directory that cannot be read, or a file that cannot be removed.
pub fn remove_unfinished(storage: &dyn Storage, directory: &Path) -> Result<usize, StorageError> {
    let mut removed = 0;
    for entry in std::fs::read_dir(directory).map_err(StorageError::wrap("list", directory))? {
        let entry = entry.map_err(StorageError::wrap("list", directory))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && name.ends_with(UNFINISHED) {
            storage.remove(&entry.path()).map_err(StorageError::wrap("remove", &entry.path()))?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("state.json");
        for text in ["one", "two"] {
            write_atomically(&Disk, &target, |writer| writer.write_all(text.as_bytes())).unwrap();
            assert_eq!(std::fs::read_to_string(&target).unwrap(), text);
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_a_directory_and_a_fifo_are_refused_as_targets() {
        let directory = tempfile::tempdir().unwrap();
        let outside = directory.path().join("outside");
        std::fs::write(&outside, "kept").unwrap();
        let link = &*directory.path().join("link");
        std::os::unix::fs::symlink(&outside, link).unwrap();
        let fifo = &*directory.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        for path in [link, fifo, directory.path(), Path::new("/dev/full")] {
            let error = write_atomically(&Disk, path, |writer| writer.write_all(b"x")).unwrap_err();
            assert!(error.to_string().contains("not a regular file"), "{error}");
            assert!(Disk.append(path).is_err(), "{}", path.display());
        }
        assert_eq!(std::fs::read_to_string(&outside).unwrap(), "kept");
    }

    #[test]
    fn leftovers_of_a_killed_process_are_removed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        for name in [".last.safetensors.12-0.unfinished", "last.safetensors", ".hidden", "a.unfinished"] {
            std::fs::write(directory.path().join(name), "x").unwrap();
        }
        assert_eq!(remove_unfinished(&Disk, directory.path()).unwrap(), 1);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 3);
    }
}
