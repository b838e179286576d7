//! Storage that fails on purpose, for tests of what survives.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::storage::{Storage, StorageFile};

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing happens, and the error is reported.
    Refuse(io::ErrorKind),
    /// A write takes in half of its bytes before the error; every other operation is refused.
    Short(io::ErrorKind),
}

/// Fails the operation number `at` (counted from 0), and all that follow where the fault lasts, as on a full disk.
///
/// Every creation, write, sync, rename, removal and truncation counts as one operation.
pub struct Faulty<S> {
    inner: S,
    plan: Arc<Plan>,
}

struct Plan {
    at: u64,
    lasts: bool,
    fault: Fault,
    done: AtomicU64,
}

impl Plan {
    /// Counts one operation; says how it fails if it does.
    fn next(&self) -> Option<Fault> {
        let number = self.done.fetch_add(1, Ordering::SeqCst);
        (number == self.at || (self.lasts && number > self.at)).then_some(self.fault)
    }

    fn check(&self) -> io::Result<()> {
        match self.next() {
            None => Ok(()),
            Some(Fault::Refuse(kind) | Fault::Short(kind)) => Err(io::Error::from(kind)),
        }
    }
}

impl<S: Storage> Faulty<S> {
    /// Wraps storage whose operation `at` fails.
    pub fn new(inner: S, at: u64, lasts: bool, fault: Fault) -> Self {
        Self { inner, plan: Arc::new(Plan { at, lasts, fault, done: AtomicU64::new(0) }) }
    }

    /// Whether the fault has struck.
    pub fn struck(&self) -> bool {
        self.plan.done.load(Ordering::SeqCst) > self.plan.at
    }
}

struct FaultyFile {
    inner: Box<dyn StorageFile>,
    plan: Arc<Plan>,
}

impl Write for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.plan.next() {
            None => self.inner.write(bytes),
            Some(Fault::Refuse(kind)) => Err(io::Error::from(kind)),
            Some(Fault::Short(kind)) => {
                self.inner.write_all(&bytes[..bytes.len() / 2])?;
                Err(io::Error::from(kind))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl StorageFile for FaultyFile {
    fn sync(&mut self) -> io::Result<()> {
        self.plan.check()?;
        self.inner.sync()
    }
}

impl<S: Storage> Storage for Faulty<S> {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        self.plan.check()?;
        Ok(Box::new(FaultyFile { inner: self.inner.create_new(path)?, plan: self.plan.clone() }))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        self.plan.check()?;
        Ok(Box::new(FaultyFile { inner: self.inner.append(path)?, plan: self.plan.clone() }))
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        self.plan.check()?;
        self.inner.truncate(path, length)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.plan.check()?;
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.plan.check()?;
        self.inner.remove(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.plan.check()?;
        self.inner.create_directory(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.plan.check()?;
        self.inner.sync_directory(path)
    }
}
