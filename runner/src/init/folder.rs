//! A folder that appears whole or not at all.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{FlockOperation, OFlags, flock};

use crate::rundir::{Storage, StorageError};

/// Why a folder cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The path ends in `..` or is a root or the current folder.
    #[error("`{}` does not name a new folder: give it a name", .0.display())]
    Nameless(PathBuf),
    /// The folder it would be in is missing.
    #[error("there is no folder `{}` to put it in: make that first", .0.display())]
    NoParent(PathBuf),
    /// Something is there already.
    #[error("`{}` exists and is not empty: choose another name, or move it away", .0.display())]
    NotEmpty(PathBuf),
    /// Something that is not a folder is there already.
    #[error("`{}` exists and is not a folder: choose another name", .0.display())]
    NotAFolder(PathBuf),
    /// Another process makes the same folder.
    #[error("another process is making `{}`: wait for it", .0.display())]
    Busy(PathBuf),
    /// The system refuses.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The folder while it is filled, under a hidden name beside its place. Dropped unfinished, it is removed.
///
/// A process that is killed leaves the hidden folder; the next one with the same target empties and reuses it. The kernel's
/// lock on it, which ends with the process, tells a folder that is being filled from one that was left.
pub struct Unfinished<'s> {
    storage: &'s dyn Storage,
    target: PathBuf,
    path: PathBuf,
    parent: PathBuf,
    folders: Mutex<BTreeSet<PathBuf>>,
    is_finished: bool,
    _lock: File,
}

impl<'s> Unfinished<'s> {
    /// Begins the folder `target`.
    ///
    /// # Errors
    /// A target that exists and is not an empty folder, has no name or no parent, or is being made by another process.
    pub fn begin(storage: &'s dyn Storage, target: &Path) -> Result<Self, FolderError> {
        let Some(name) = target.file_name() else { return Err(FolderError::Nameless(target.to_owned())) };
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        if !parent.is_dir() {
            return Err(FolderError::NoParent(parent));
        }
        refuse_occupied(target)?;
        let path = parent.join(format!(".{}.sward-init.unfinished", name.to_string_lossy()));
        let lock = lock_new_folder(storage, &path, target)?;
        let folders = Mutex::new(BTreeSet::from([path.clone()]));
        Ok(Self { storage, target: target.to_owned(), path, parent, folders, is_finished: false, _lock: lock })
    }

    /// Writes a file of the folder, durably, with the folders above it.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, relative: &str, bytes: &[u8]) -> Result<(), StorageError> {
        let path = self.path.join(relative);
        for above in path.ancestors().skip(1).take_while(|above| above.starts_with(&self.path)) {
            // A thread that panicked while it inserted leaves the set usable.
            let mut folders = self.folders.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if folders.contains(above) {
                break;
            }
            self.storage.create_directory(above).map_err(StorageError::wrap("create", above))?;
            folders.insert(above.to_owned());
        }
        let mut file = self.storage.create_new(&path).map_err(StorageError::wrap("create", &path))?;
        file.write_all(bytes).and_then(|()| file.sync()).map_err(StorageError::wrap("write", &path))
    }

    /// Puts the folder in its place.
    ///
    /// # Errors
    /// What the system says. Only where the very last step fails (the sync of the folder above) may it already be there, whole.
    pub fn finish(mut self) -> Result<PathBuf, StorageError> {
        // A thread that panicked while it inserted leaves the set usable.
        let folders = std::mem::take(&mut *self.folders.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        for folder in &folders {
            self.storage.sync_directory(folder).map_err(StorageError::wrap("make durable", folder))?;
        }
        self.storage.rename(&self.path, &self.target).map_err(StorageError::wrap("create", &self.target))?;
        self.is_finished = true;
        self.storage.sync_directory(&self.parent).map_err(StorageError::wrap("make durable", &self.parent))?;
        Ok(self.target.clone())
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            // The error that led here is the one to report; what stays is emptied by the next attempt.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn refuse_occupied(target: &Path) -> Result<(), FolderError> {
    match fs::symlink_metadata(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StorageError::wrap("look at", target)(error).into()),
        Ok(existing) if !existing.is_dir() => Err(FolderError::NotAFolder(target.to_owned())),
        Ok(_) => {
            let mut entries = fs::read_dir(target).map_err(StorageError::wrap("list", target))?;
            if entries.next().is_some() { Err(FolderError::NotEmpty(target.to_owned())) } else { Ok(()) }
        }
    }
}

/// Makes the hidden folder, or takes over one that a dead process left, and locks it.
fn lock_new_folder(storage: &dyn Storage, path: &Path, target: &Path) -> Result<File, FolderError> {
    loop {
        storage.create_directory(path).map_err(StorageError::wrap("create", path))?;
        let flags = (OFlags::NOFOLLOW | OFlags::DIRECTORY).bits() as i32;
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let folder = match opened {
            // The process that made it has just put it into its place.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened.map_err(StorageError::wrap("open", path))?,
        };
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(FolderError::Busy(target.to_owned())),
            Err(error) => return Err(StorageError::wrap("lock", path)(error.into()).into()),
        }
        let locked = folder.metadata().map_err(StorageError::wrap("look at", path))?;
        let is_same = fs::symlink_metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (locked.dev(), locked.ino()));
        if !is_same {
            // Between opening and locking, its process finished; the lock is on a folder that is in its place by now.
            refuse_occupied(target)?;
            continue;
        }
        empty(path).map_err(StorageError::wrap("empty", path))?;
        return Ok(folder);
    }
}

fn empty(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rundir::Disk;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_appears_when_it_is_finished_and_not_before() {
        let above = tempfile::tempdir().unwrap();
        let target = above.path().join("new");
        let unfinished = Unfinished::begin(&Disk, &target).unwrap();
        unfinished.write("data/deep/a.csv", b"x").unwrap();
        assert!(!target.exists());
        unfinished.finish().unwrap();
        assert_eq!(names(above.path()), ["new"]);
        assert_eq!(fs::read(target.join("data/deep/a.csv")).unwrap(), b"x");
    }

    #[test]
    fn a_dropped_folder_leaves_nothing() {
        let above = tempfile::tempdir().unwrap();
        let unfinished = Unfinished::begin(&Disk, &above.path().join("new")).unwrap();
        unfinished.write("a", b"x").unwrap();
        drop(unfinished);
        assert!(names(above.path()).is_empty());
    }

    #[test]
    fn what_a_killed_process_left_is_not_in_the_next_folder() {
        let above = tempfile::tempdir().unwrap();
        let left = above.path().join(".new.sward-init.unfinished");
        fs::create_dir_all(left.join("data")).unwrap();
        fs::write(left.join("data/half.csv"), "ha").unwrap();
        let unfinished = Unfinished::begin(&Disk, &above.path().join("new")).unwrap();
        unfinished.write("a", b"x").unwrap();
        let target = unfinished.finish().unwrap();
        assert_eq!(names(&target), ["a"]);
    }

    #[test]
    fn two_at_once_are_refused_and_an_empty_folder_is_taken() {
        let above = tempfile::tempdir().unwrap();
        let target = above.path().join("new");
        fs::create_dir(&target).unwrap();
        let first = Unfinished::begin(&Disk, &target).unwrap();
        assert!(matches!(Unfinished::begin(&Disk, &target), Err(FolderError::Busy(_))));
        first.write("a", b"x").unwrap();
        first.finish().unwrap();
        assert_eq!(names(above.path()), ["new"]);
        assert!(matches!(Unfinished::begin(&Disk, &target), Err(FolderError::NotEmpty(_))));
    }

    #[test]
    fn files_links_and_nameless_paths_are_refused() {
        let above = tempfile::tempdir().unwrap();
        let file = above.path().join("file");
        fs::write(&file, "kept").unwrap();
        let link = above.path().join("link");
        std::os::unix::fs::symlink(above.path(), &link).unwrap();
        for occupied in [&file, &link] {
            assert!(matches!(Unfinished::begin(&Disk, occupied), Err(FolderError::NotAFolder(_))));
        }
        assert!(matches!(Unfinished::begin(&Disk, Path::new("..")), Err(FolderError::Nameless(_))));
        assert!(matches!(Unfinished::begin(&Disk, &above.path().join("no/such")), Err(FolderError::NoParent(_))));
        assert_eq!(names(above.path()), ["file", "link"]);
    }
}
