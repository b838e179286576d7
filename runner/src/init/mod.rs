//! New projects: a template's graph files together with data that is drawn on the spot.
//!
//! A template is a folder of `examples/`, embedded in the binary. Its data is either part of it (digits) or a pure function
//! of a seed (textures, pasture): the same bytes on every machine and for any number of threads, because every picture has a
//! random stream of its own and nothing but IEEE arithmetic and `libm` is used. No clock is read.

mod folder;
pub mod pasture;
pub mod template;
pub mod textures;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rayon::prelude::*;

use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::rundir::{Storage, StorageError};
use crate::table::TableError;

pub use folder::FolderError;
pub use template::Template;

/// A file of a new project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    /// Where it belongs below the project's folder, with `/` between the parts.
    pub path: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// Data that is drawn from a seed: tables at once, pictures one by one and in any order.
pub trait Drawing: Send + Sync {
    /// The tables.
    ///
    /// # Errors
    /// A cell that cannot be written.
    fn tables(&self) -> Result<Vec<NewFile>, DrawError>;

    /// How many pictures there are.
    fn pictures(&self) -> usize;

    /// One of the pictures.
    ///
    /// # Errors
    /// A picture that cannot be encoded.
    fn picture(&self, index: usize) -> Result<NewFile, DrawError>;
}

/// Why data cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum DrawError {
    /// A picture that cannot be read or written.
    #[error("cannot code `{path}`: {source}")]
    Picture {
        /// Which one.
        path: String,
        /// What the codec says.
        source: image::ImageError,
    },
    /// A table that cannot be written.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// Why a project cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// An option that the template does not have, or a value out of its range.
    #[error("{0}")]
    Option(String),
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Something cannot be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The data cannot be drawn.
    #[error(transparent)]
    Draw(#[from] DrawError),
    /// The pool of threads cannot be made.
    #[error("cannot start {threads} threads: {source}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the pool says.
        source: rayon::ThreadPoolBuildError,
    },
    /// A signal came. Nothing is left behind.
    #[error("interrupted; nothing was written")]
    Interrupted,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The template.
    pub template: Template,
    /// The number of pictures; the template's own number if it is not stated.
    pub samples: Option<usize>,
    /// The seed; 42 if it is not stated.
    pub seed: Option<u64>,
    /// Threads; 0 takes one for each processor.
    pub threads: usize,
}

/// Makes the project in `folder`, which must not exist or must be empty: whole, or not at all.
///
/// # Errors
/// A folder that is in use or not empty, an option that the template does not take, a file that cannot be written, a signal. In
/// all these cases the folder is as it was.
pub fn create(
    storage: &dyn Storage,
    folder: &Path,
    request: &Request,
    interrupt: &Interrupt,
    progress: &mut Progress,
) -> Result<PathBuf, InitError> {
    let drawing = request.template.drawing(request.samples, request.seed)?;
    let unfinished = folder::Unfinished::begin(storage, folder)?;
    for file in request.template.files() {
        unfinished.write(&file.path, &file.bytes)?;
    }
    if let Some(drawing) = drawing {
        for table in drawing.tables()? {
            unfinished.write(&table.path, &table.bytes)?;
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(request.threads).build();
        let pool = pool.map_err(|source| InitError::Threads { threads: request.threads, source })?;
        let shown = Mutex::new((0, progress));
        pool.install(|| {
            (0..drawing.pictures()).into_par_iter().try_for_each(|index| {
                if interrupt.requested() {
                    return Err(InitError::Interrupted);
                }
                let file = drawing.picture(index)?;
                unfinished.write(&file.path, &file.bytes)?;
                // A thread that panicked while it counted leaves the count usable.
                let mut shown = shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                shown.0 += 1;
                let done = shown.0;
                shown.1.count(done, "photographs");
                Ok(())
            })
        })?;
    }
    if interrupt.requested() {
        return Err(InitError::Interrupted);
    }
    Ok(unfinished.finish()?)
}
