//! One process per run directory.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};

use super::storage::StorageError;

/// The name of the lock file in a run directory.
const FILE: &str = ".lock";

/// Why a run directory cannot be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process works in it.
    #[error("`{}` is in use by process {}: wait for it, stop it, or choose another directory", directory.display(), owner(*pid))]
    Busy {
        /// The run directory.
        directory: PathBuf,
        /// The other process, unless it has not yet written its number.
        pid: Option<u32>,
    },
    /// The lock file cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

fn owner(pid: Option<u32>) -> String {
    pid.map_or_else(|| "(unknown)".into(), |pid| pid.to_string())
}

/// The right to write into a run directory. The kernel takes it back when the process ends, however it ends, so a lock is
/// never left behind; the file's content only says whose it is or was.
#[derive(Debug)]
pub struct Lock {
    file: File,
    stale: Option<u32>,
}

impl Lock {
    /// Takes the lock at once or not at all.
    ///
    /// # Errors
    /// [`LockError::Busy`] with the other process's number.
    pub fn take(directory: &Path) -> Result<Self, LockError> {
        let path = directory.join(FILE);
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).custom_flags(flags).open(&path);
        let mut file = file.map_err(StorageError::wrap("open", &path))?;
        let mut text = String::new();
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                // The content is for people; one that cannot be read makes no difference to who has the lock.
                let _ = file.read_to_string(&mut text);
                return Err(LockError::Busy { directory: directory.to_owned(), pid: text.trim().parse().ok() });
            }
            Err(error) => return Err(StorageError::wrap("lock", &path)(error.into()).into()),
        }
        let written = file.read_to_string(&mut text).and_then(|_| write_owner(&mut file, &std::process::id().to_string()));
        written.map_err(StorageError::wrap("write", &path))?;
        Ok(Self { file, stale: text.trim().parse().ok() })
    }

    /// Whether a process works in a directory now. It leaves the lock as it is.
    pub fn is_held(directory: &Path) -> bool {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
        let Ok(file) = OpenOptions::new().read(true).custom_flags(flags).open(directory.join(FILE)) else { return false };
        // A lock that was got ends with the file's handle, at once.
        matches!(flock(&file, FlockOperation::NonBlockingLockShared), Err(rustix::io::Errno::WOULDBLOCK))
    }

    /// The process that held the lock before and died without giving it back.
    pub fn stale_owner(&self) -> Option<u32> {
        self.stale
    }
}

fn write_owner(file: &mut File, text: &str) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text.as_bytes())
}

impl Drop for Lock {
    fn drop(&mut self) {
        // An empty file says that the lock was given back. If that fails, the next owner takes this one for dead.
        let _ = write_owner(&mut self.file, "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_is_first() {
        let directory = tempfile::tempdir().unwrap();
        let first = Lock::take(directory.path()).unwrap();
        assert_eq!(first.stale_owner(), None);
        let error = Lock::take(directory.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("is in use by process {}", std::process::id())), "{error}");
        assert!(Lock::is_held(directory.path()));
        drop(first);
        assert!(!Lock::is_held(directory.path()));
        assert_eq!(Lock::take(directory.path()).unwrap().stale_owner(), None);
    }

    #[test]
    fn the_lock_of_a_dead_process_is_taken_over_and_reported() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(FILE), "4194305").unwrap();
        assert_eq!(Lock::take(directory.path()).unwrap().stale_owner(), Some(4_194_305));
    }

    #[test]
    fn a_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let outside = directory.path().join("outside");
        std::fs::write(&outside, "kept").unwrap();
        std::os::unix::fs::symlink(&outside, directory.path().join(FILE)).unwrap();
        assert!(matches!(Lock::take(directory.path()), Err(LockError::Storage(_))));
        assert_eq!(std::fs::read_to_string(outside).unwrap(), "kept");
    }
}
