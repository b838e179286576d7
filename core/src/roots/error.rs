//! What can be wrong with a path.

use crate::diagnostic::{Diagnostic, codes};
use crate::source::Span;
use crate::suggest::nearest;
use std::io;
use std::path::Path;
use thiserror::Error;

/// Why a path does not give a file. [`PathError::diagnostic`] tells it to people.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PathError {
    /// No place has such a file.
    #[error("there is no file `{path}`")]
    NotFound {
        /// The path as it is written.
        path: String,
        /// The folders where it was looked for, in order.
        tried: Vec<String>,
        /// The nearest path that exists.
        nearest: Option<String>,
    },
    /// The path starts at the top of a disk.
    #[error("the path `{path}` is absolute")]
    Absolute {
        /// The path as it is written.
        path: String,
    },
    /// The path goes up.
    #[error("the path `{path}` goes up with `..`")]
    Parent {
        /// The path as it is written.
        path: String,
    },
    /// The path is no path of plain names.
    #[error("`{path}` cannot be the path of a file: {reason}")]
    Bad {
        /// The path as it is written.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A symbolic link leads out of the root.
    #[error("`{path}` leads out of its root through a symbolic link")]
    LeavesRoot {
        /// The path as it is shown.
        path: String,
    },
    /// A folder, pipe, socket or device.
    #[error("`{path}` is not a regular file")]
    NotAFile {
        /// The path as it is shown.
        path: String,
    },
    /// Over the limit for graph files.
    #[error("`{path}` has {bytes} bytes; a graph file has at most {limit}", limit = crate::syntax::MAX_FILE_BYTES)]
    TooLarge {
        /// The path as it is shown.
        path: String,
        /// Its size, or what was read of it.
        bytes: u64,
    },
    /// Not UTF-8.
    #[error("`{path}` is not UTF-8 text")]
    NotText {
        /// The path as it is shown.
        path: String,
        /// The finding, which points into the file.
        fault: Box<Diagnostic>,
    },
    /// The system refuses.
    #[error("`{path}` cannot be read: {reason}")]
    Unreadable {
        /// The path as it is shown.
        path: String,
        /// What the system says.
        reason: String,
    },
}

impl PathError {
    /// What the system said about `path`.
    pub(super) fn from_io(path: &str, error: &io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                PathError::NotFound { path, tried: Vec::new(), nearest: None }
            }
            _ => {
                // The number that the standard library adds says nothing to people.
                let reason = error.to_string();
                let reason = reason.split(" (os error").next().unwrap_or_default().to_lowercase();
                PathError::Unreadable { path, reason }
            }
        }
    }

    /// The same error about a path that is shown otherwise.
    pub(super) fn renamed(mut self, shown: &str) -> Self {
        match &mut self {
            PathError::NotFound { path, .. }
            | PathError::Absolute { path }
            | PathError::Parent { path }
            | PathError::Bad { path, .. }
            | PathError::LeavesRoot { path }
            | PathError::NotAFile { path }
            | PathError::TooLarge { path, .. }
            | PathError::NotText { path, .. }
            | PathError::Unreadable { path, .. } => shown.clone_into(path),
        }
        self
    }

    /// Adds the nearest name in the folder of a command-line path that is not there.
    pub(super) fn with_neighbours(mut self, wanted: &Path) -> Self {
        if let PathError::NotFound { nearest: found, .. } = &mut self {
            let folder = wanted.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let names: Vec<String> = std::fs::read_dir(folder)
                .map(|entries| entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
                .unwrap_or_default();
            let name = wanted.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            *found = nearest(&name, names.iter().map(String::as_str))
                .map(|name| wanted.with_file_name(name).to_string_lossy().into_owned());
        }
        self
    }

    /// The error as a diagnostic at the place that names the path; without one for a path of the command line.
    pub fn diagnostic(&self, span: Option<Span>) -> Diagnostic {
        let code = match self {
            PathError::NotFound { .. } => codes::FILE_NOT_FOUND,
            PathError::Absolute { .. } => codes::ABSOLUTE_PATH,
            PathError::Parent { .. } => codes::PARENT_PATH,
            PathError::Bad { .. } => codes::BAD_PATH,
            PathError::LeavesRoot { .. } => codes::PATH_LEAVES_ROOT,
            PathError::NotAFile { .. } => codes::NOT_A_FILE,
            PathError::TooLarge { .. } => codes::FILE_TOO_LARGE,
            PathError::NotText { .. } => codes::NOT_UTF8,
            PathError::Unreadable { .. } => codes::FILE_UNREADABLE,
        };
        if let PathError::NotText { fault, .. } = self {
            let fault = (**fault).clone();
            return match span {
                Some(span) => fault.label(span, "the file is named here"),
                None => fault,
            };
        }
        let diagnostic = match span {
            Some(span) => Diagnostic::new(code, self.to_string(), span),
            None => Diagnostic::without_place(code, self.to_string()),
        };
        match self {
            PathError::NotFound { tried, nearest, .. } => {
                let diagnostic = diagnostic.suggest(nearest.as_deref());
                if tried.is_empty() { diagnostic } else { diagnostic.help(format!("looked in {}", quoted(tried))) }
            }
            PathError::Absolute { .. } | PathError::Parent { .. } | PathError::LeavesRoot { .. } => {
                diagnostic.help("name the file relative to this file's folder or to a search root; `--root FOLDER` adds one")
            }
            _ => diagnostic,
        }
    }
}

fn quoted(folders: &[String]) -> String {
    folders.iter().map(|folder| format!("`{folder}`")).collect::<Vec<_>>().join(", ")
}
