//! Finding the files that files name.
//!
//! A file names another by a path of plain names, `fusion/film.ron`. It is looked up in these places, in this order; the first that
//! has it wins:
//!
//! 1. the folder of the file that names it,
//! 2. the *root* of that file,
//! 3. the search roots, in the order in which they were added (`--root FOLDER`),
//! 4. the built-in library.
//!
//! A file of the built-in library sees its own folder and the library alone, so that nobody's files change what the library means.
//!
//! The root of a file that is named on the command line is the nearest folder above it (its own included) that is called `graphs` or
//! holds a file called `sward.ron`; if there is none, its own folder. The root of a file that another file names is the root in which
//! it was found. What a file means therefore never depends on the folder in which the program is started.
//!
//! Nothing outside of its root is ever opened: absolute paths, `..` and symbolic links that lead out are refused; so are folders,
//! pipes and devices, which are recognized before they are opened, and graph files over 4 MiB. Each file is read once, however many
//! names lead to it.

mod error;
mod folder;

pub use error::PathError;
pub use folder::{DiskFolder, Folder, Found, FoundKind, MemoryFolder, graph_files};

use crate::source::{FileId, Sources};
use crate::syntax::{self, MAX_FILE_BYTES};
use rustc_hash::FxHashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name of the file that marks a folder as a root.
pub const ROOT_MARKER: &str = "sward.ron";

/// The name of a folder that is a root without a mark.
pub const ROOT_FOLDER: &str = "graphs";

/// How many files are looked at for a suggestion.
const SUGGESTION_FILES: usize = 20_000;

/// Names one root of a [`Roots`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RootId(usize);

struct Root {
    /// What its files' paths start with when they are shown; empty, or ending with `/`.
    shown: String,
    folder: Arc<dyn Folder>,
}

/// Where a file was found.
#[derive(Debug, Clone)]
pub struct Located {
    /// The root.
    pub root: RootId,
    /// The path within the root.
    pub path: String,
    /// The path as people are shown it.
    pub shown: String,
    /// The path by which the system opens it; `None` in a folder that is not on a disk.
    pub on_disk: Option<PathBuf>,
    /// Its size.
    pub bytes: u64,
    /// What all names of this one file have in common.
    pub identity: String,
}

/// The roots of one invocation, and which files were read from them.
#[derive(Default)]
pub struct Roots {
    roots: Vec<Root>,
    search: Vec<RootId>,
    library: Option<RootId>,
    /// What reading a file gave, by its identity.
    read: FxHashMap<String, Result<FileId, PathError>>,
    /// Root and folder of each file that was read.
    origins: FxHashMap<FileId, (RootId, String)>,
}

impl Roots {
    /// No roots and no library.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a folder that is neither a search root nor the library: files of it are opened by [`Roots::open_in`]. `shown` is what
    /// the paths of its files start with.
    pub fn add_root(&mut self, shown: &str, folder: impl Folder + 'static) -> RootId {
        let shown = if shown.is_empty() || shown.ends_with('/') { shown.to_owned() } else { format!("{shown}/") };
        self.roots.push(Root { shown, folder: Arc::new(folder) });
        RootId(self.roots.len() - 1)
    }

    /// Adds a search root, after those that are there.
    pub fn add_search_root(&mut self, shown: &str, folder: impl Folder + 'static) -> RootId {
        let root = self.add_root(shown, folder);
        self.search.push(root);
        root
    }

    /// Adds a folder on the disk as a search root (`--root FOLDER`).
    pub fn add_search_folder(&mut self, path: &Path) -> Result<RootId, PathError> {
        let folder = DiskFolder::open(path)?;
        Ok(self.add_search_root(&path.to_string_lossy(), folder))
    }

    /// Sets the built-in library.
    pub fn set_library(&mut self, folder: impl Folder + 'static) -> RootId {
        let root = self.add_root("<built-in>", folder);
        self.library = Some(root);
        root
    }

    /// The built-in library, if there is one.
    pub fn library(&self) -> Option<RootId> {
        self.library
    }

    /// Whether a file comes from the built-in library.
    pub fn is_built_in(&self, file: FileId) -> bool {
        self.origins.get(&file).is_some_and(|(root, _)| Some(*root) == self.library)
    }

    /// The root of a file that was read from one, and its path's folder within it (empty at the top).
    pub fn origin(&self, file: FileId) -> Option<(RootId, &str)> {
        self.origins.get(&file).map(|(root, folder)| (*root, folder.as_str()))
    }

    /// The folder on the disk that holds a file which was read; `None` where it is on no disk.
    pub fn folder_on_disk(&self, file: FileId) -> Option<PathBuf> {
        let (root, folder) = self.origins.get(&file)?;
        self.roots[root.0].folder.disk_path(folder)
    }

    /// Reads a file that is named on the command line. Such a name is the user's own: it may be absolute and may hold `..`.
    pub fn open(&mut self, sources: &mut Sources, path: &Path) -> Result<FileId, PathError> {
        let shown = path.to_string_lossy().replace('\\', "/");
        let canonical = path.canonicalize().map_err(|error| PathError::from_io(&shown, &error).with_neighbours(path))?;
        if !canonical.is_file() {
            return Err(PathError::NotAFile { path: shown });
        }
        let own = canonical.parent().unwrap_or(Path::new("/")).to_path_buf();
        let root_path = own.ancestors().find(|folder| is_root(folder)).unwrap_or(&own).to_path_buf();
        let within = folder::slashed(canonical.strip_prefix(&root_path).unwrap_or(&canonical));
        let root = self.disk_root(&root_path, &shown, &within)?;
        let found = self.look(root, &within)?.ok_or_else(|| PathError::NotAFile { path: shown.clone() })?;
        self.load(sources, Located { shown, ..found })
    }

    /// The root of a folder on the disk, made on first use. Its files are shown in the manner of `shown`, the name of one of them.
    fn disk_root(&mut self, path: &Path, shown: &str, within: &str) -> Result<RootId, PathError> {
        if let Some(known) = self.roots.iter().position(|root| root.folder.disk_path("") == Some(path.to_path_buf())) {
            return Ok(RootId(known));
        }
        let prefix = match shown.strip_suffix(within) {
            Some(prefix) if prefix.is_empty() || prefix.ends_with('/') => prefix.to_owned(),
            _ => folder::shown_folder(path),
        };
        Ok(self.add_root(&prefix, DiskFolder::open(path)?))
    }

    /// Reads a file by its path within a root.
    pub fn open_in(&mut self, sources: &mut Sources, root: RootId, path: &str) -> Result<FileId, PathError> {
        check_path(path)?;
        match self.look(root, path)? {
            Some(found) => self.load(sources, found),
            None => Err(self.not_found(path, &[(root, String::new())])),
        }
    }

    /// Reads the file that `from` names by `path`. It is read once: further names of it give the same id at no cost.
    pub fn resolve(&mut self, sources: &mut Sources, from: FileId, path: &str) -> Result<FileId, PathError> {
        let located = self.locate(from, path)?;
        self.load(sources, located)
    }

    /// Finds the file that `from` names by `path`, of whatever size, without opening it: a table, weights, an image.
    pub fn locate(&self, from: FileId, path: &str) -> Result<Located, PathError> {
        check_path(path)?;
        let places = self.places(from);
        let mut not_a_file = None;
        for (root, folder) in &places {
            match self.look(*root, &join(folder, path)) {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                // A folder of that name does not hide a file of a later place.
                Err(error @ PathError::NotAFile { .. }) => {
                    not_a_file.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(not_a_file.unwrap_or_else(|| self.not_found(path, &places)))
    }

    /// The places where a path that `from` names is looked up.
    fn places(&self, from: FileId) -> Vec<(RootId, String)> {
        let mut places = Vec::new();
        if let Some((root, folder)) = self.origins.get(&from) {
            places.push((*root, folder.clone()));
            places.push((*root, String::new()));
        }
        if !self.is_built_in(from) {
            places.extend(self.search.iter().chain(&self.library).map(|root| (*root, String::new())));
        }
        let mut distinct: Vec<(RootId, String)> = Vec::new();
        for place in places {
            if !distinct.contains(&place) {
                distinct.push(place);
            }
        }
        distinct
    }

    fn look(&self, root: RootId, path: &str) -> Result<Option<Located>, PathError> {
        let Root { shown, folder } = &self.roots[root.0];
        let shown = format!("{shown}{path}");
        let Some(found) = folder.look(path).map_err(|error| error.renamed(&shown))? else { return Ok(None) };
        if found.kind != FoundKind::File {
            return Err(PathError::NotAFile { path: shown });
        }
        let on_disk = folder.disk_path(path);
        // Two folders that are not on a disk may hold the same path.
        let identity = if on_disk.is_some() { found.identity } else { format!("{}:{}", root.0, found.identity) };
        Ok(Some(Located { root, path: path.to_owned(), shown, on_disk, bytes: found.bytes, identity }))
    }

    fn load(&mut self, sources: &mut Sources, located: Located) -> Result<FileId, PathError> {
        if let Some(known) = self.read.get(&located.identity) {
            return known.clone();
        }
        let result = self.load_new(sources, &located);
        if let Ok(file) = result {
            let folder = located.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            self.origins.insert(file, (located.root, folder.to_owned()));
        }
        self.read.insert(located.identity, result.clone());
        result
    }

    fn load_new(&self, sources: &mut Sources, located: &Located) -> Result<FileId, PathError> {
        let shown = located.shown.clone();
        if located.bytes > MAX_FILE_BYTES as u64 {
            return Err(PathError::TooLarge { path: shown, bytes: located.bytes });
        }
        let folder = &self.roots[located.root.0].folder;
        let bytes = folder.read(&located.path, MAX_FILE_BYTES as u64 + 1).map_err(|error| error.renamed(&shown))?;
        let size = bytes.len() as u64;
        let mut faults = crate::diagnostic::Diagnostics::new();
        match syntax::add_bytes(sources, shown.clone(), bytes, &mut faults) {
            Ok(file) => Ok(file),
            Err(_) => match faults.iter().next().cloned() {
                Some(fault) if size <= MAX_FILE_BYTES as u64 => Err(PathError::NotText { path: shown, fault: Box::new(fault) }),
                _ => Err(PathError::TooLarge { path: shown, bytes: size }),
            },
        }
    }

    fn not_found(&self, path: &str, places: &[(RootId, String)]) -> PathError {
        let shown = |(root, folder): &(RootId, String)| {
            let shown = format!("{}{folder}", self.roots[root.0].shown);
            if shown.is_empty() { "./".to_owned() } else { shown.trim_end_matches('/').to_owned() }
        };
        let wanted = path.rsplit_once('.').map(|(_, extension)| extension);
        let mut candidates = Vec::new();
        for (root, folder) in places {
            candidates.extend(self.roots[root.0].folder.list(folder, SUGGESTION_FILES));
        }
        candidates.retain(|candidate| candidate.rsplit_once('.').map(|(_, extension)| extension) == wanted);
        candidates.sort();
        let name = |path: &str| path.rsplit_once('/').map_or(path, |(_, name)| name).to_owned();
        let near = crate::suggest::nearest(path, candidates.iter().map(String::as_str));
        let near = near.or_else(|| candidates.iter().map(String::as_str).find(|candidate| name(candidate) == name(path)));
        PathError::NotFound { path: path.to_owned(), tried: places.iter().map(shown).collect(), nearest: near.map(str::to_owned) }
    }
}

/// Whether a folder on the disk is a root by its name or its mark.
fn is_root(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name == ROOT_FOLDER) || folder.join(ROOT_MARKER).is_file()
}

fn join(folder: &str, path: &str) -> String {
    if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") }
}

/// Refuses what is not a relative path of plain names.
pub fn check_path(path: &str) -> Result<(), PathError> {
    let bad = |reason| Err(PathError::Bad { path: path.to_owned(), reason });
    let drive = path.as_bytes().get(1) == Some(&b':') && path.as_bytes()[0].is_ascii_alphabetic();
    if path.starts_with(['/', '\\']) || drive || path.contains("://") {
        return Err(PathError::Absolute { path: path.to_owned() });
    }
    if path.split(['/', '\\']).any(|name| name == "..") {
        return Err(PathError::Parent { path: path.to_owned() });
    }
    if path.is_empty() {
        return bad("it is empty");
    }
    if path.len() > 4096 {
        return bad("it is longer than 4096 bytes");
    }
    if path.contains('\\') {
        return bad("names are separated by `/`, not by a backslash");
    }
    if path.contains(char::is_control) {
        return bad("it holds a control character");
    }
    if path.split('/').any(str::is_empty) {
        return bad("a name between slashes is empty");
    }
    if path.split('/').any(|name| name == ".") {
        return bad("`.` is not a name: leave it out");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
