//! Creating, resuming and describing a run directory.

use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::environment::Environment;
use super::lock::{Lock, LockError};
use super::storage::{Storage, StorageError, remove_unfinished, write_atomically};
use crate::weights::{TensorOut, WeightError, write};

/// The version of the layout that this program writes and reads.
const LAYOUT: u32 = 1;

/// What a run is, written to `run.json` when it begins and again when its state changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The version of the directory's layout.
    pub layout: u32,
    /// The version of the program that made it.
    pub sward: String,
    /// The experiment's name.
    pub name: String,
    /// When it began, in UTC.
    pub created: String,
    /// The hash of everything that went in, see [`content_hash`].
    pub hash: String,
    /// The seed.
    pub seed: u64,
    /// The command line.
    pub command: Vec<String>,
    /// Settings given on the command line, with their paths.
    pub overrides: IndexMap<String, String>,
    /// Every file that was read, with its BLAKE3 hash.
    pub inputs: IndexMap<String, String>,
    /// How far it is.
    pub state: State,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It began and has not said how it ended: it runs, or was killed.
    Running,
    /// It reached its end.
    Finished,
    /// It was asked to stop and saved.
    Interrupted,
    /// It ended with an error.
    Failed,
}

/// Which checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkpoint {
    /// The one with the best watched metric.
    Best,
    /// The one to resume from.
    Last,
}

/// Why a run directory cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Another process works in it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A checkpoint cannot be written.
    #[error(transparent)]
    Weights(#[from] WeightError),
    /// A name that would make a path of it.
    #[error("`{0}` cannot name a run: use letters, digits, `.`, `_` and `-`, and begin with a letter or a digit")]
    Name(String),
    /// A path that leaves the run directory.
    #[error("`{}` is not a path inside the run directory", .0.display())]
    Outside(PathBuf),
    /// Not a run directory.
    #[error("`{}` is not a run directory: {reason}", path.display())]
    NotARun {
        /// The directory.
        path: PathBuf,
        /// What is missing or broken.
        reason: String,
    },
    /// A run directory of another layout.
    #[error("`{}` was written by sward {sward} in layout {found}; this is sward {}, which reads layout {wanted}", path.display(), env!("CARGO_PKG_VERSION"))]
    OtherLayout {
        /// The directory.
        path: PathBuf,
        /// Its layout.
        found: u32,
        /// The layout that this program reads.
        wanted: u32,
        /// The program that made it.
        sward: String,
    },
}

impl RunError {
    /// Whether the caller named the wrong directory, rather than the machine failing.
    pub fn is_usage(&self) -> bool {
        matches!(self, RunError::Name(_) | RunError::Outside(_) | RunError::NotARun { .. } | RunError::OtherLayout { .. })
    }
}

/// A run directory that this process holds the lock of.
pub struct RunDirectory {
    path: PathBuf,
    storage: Arc<dyn Storage>,
    description: Description,
    lock: Lock,
}

impl Description {
    /// A run that begins now.
    pub fn new(name: &str, seed: u64, hash: String) -> Self {
        Self {
            layout: LAYOUT,
            sward: env!("CARGO_PKG_VERSION").into(),
            name: name.into(),
            created: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            hash,
            seed,
            command: std::env::args().collect(),
            overrides: IndexMap::new(),
            inputs: IndexMap::new(),
            state: State::Running,
        }
    }

    /// Reads `run.json` of a directory, without a lock.
    ///
    /// # Errors
    /// A directory that is no run, or of another layout.
    pub fn read(path: &Path) -> Result<Self, RunError> {
        read_description(path, RunDirectory::DESCRIPTION, LAYOUT)
    }
}

impl RunDirectory {
    /// The file that says what a run is.
    pub const DESCRIPTION: &'static str = "run.json";
    /// The folder of weights.
    pub const CHECKPOINTS: &'static str = "checkpoints";

    /// Makes `<root>/<name>/<time>-<hash>/`, takes its lock, and writes `run.json` and `environment.json`.
    ///
    /// # Errors
    /// A name that is no file name, or storage that fails.
    pub fn create(
        storage: Arc<dyn Storage>,
        root: &Path,
        description: Description,
        environment: &Environment,
    ) -> Result<Self, RunError> {
        let path = fresh_place(&*storage, root, &description.name, "", &description.created, &description.hash)?;
        let lock = Lock::take(&path)?;
        let run = Self::describe(storage, path, description, lock, environment)?;
        let parent = run.path.parent().unwrap_or(root).to_owned();
        run.storage.sync_directory(&parent).map_err(StorageError::wrap("make durable", &parent))?;
        Ok(run)
    }

    /// Makes a run in a directory that the caller names: one fold of many, one job of an ablation. What a process left there that died
    /// before its first checkpoint is taken over.
    ///
    /// # Errors
    /// A directory that another process works in, or that holds a checkpoint already; storage that fails.
    pub fn create_at(
        storage: Arc<dyn Storage>,
        path: &Path,
        description: Description,
        environment: &Environment,
    ) -> Result<Self, RunError> {
        storage.create_directory(path).map_err(StorageError::wrap("create", path))?;
        let lock = Lock::take(path)?;
        if checkpoint_path(path, Checkpoint::Last).exists() {
            let reason = "it holds a run with a checkpoint already; go on with that one".to_owned();
            return Err(RunError::NotARun { path: path.to_owned(), reason });
        }
        Self::describe(storage, path.to_owned(), description, lock, environment)
    }

    /// Writes what every run begins with.
    fn describe(
        storage: Arc<dyn Storage>,
        path: PathBuf,
        description: Description,
        lock: Lock,
        environment: &Environment,
    ) -> Result<Self, RunError> {
        let checkpoints = path.join(Self::CHECKPOINTS);
        storage.create_directory(&checkpoints).map_err(StorageError::wrap("create", &checkpoints))?;
        let run = Self { path, storage, description, lock };
        run.write_json(Self::DESCRIPTION, &run.description)?;
        run.write_json("environment.json", environment)?;
        Ok(run)
    }

    /// Takes the lock of an existing run, and removes what a killed process left unfinished.
    ///
    /// # Errors
    /// A directory that is no run or of another layout, or that another process works in.
    pub fn resume(storage: Arc<dyn Storage>, path: &Path) -> Result<Self, RunError> {
        Description::read(path)?;
        let lock = Lock::take(path)?;
        // Read again: the process that had the lock may have changed it.
        let description = Description::read(path)?;
        let run = Self { path: path.to_owned(), storage, description, lock };
        for directory in [run.path.clone(), run.path.join(Self::CHECKPOINTS)] {
            remove_unfinished(&*run.storage, &directory)?;
        }
        Ok(run)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the run is.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The process that held the lock before and died.
    pub fn stale_owner(&self) -> Option<u32> {
        self.lock.stale_owner()
    }

    /// The storage that the run writes through.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Where a checkpoint lies.
    pub fn checkpoint_path(&self, which: Checkpoint) -> PathBuf {
        checkpoint_path(&self.path, which)
    }

    /// Writes a checkpoint; the previous one survives any failure. `metadata` carries the state of the training loop.
    ///
    /// # Errors
    /// A value that is not finite, or storage that fails.
    pub fn save(&self, which: Checkpoint, tensors: &[TensorOut], metadata: &IndexMap<String, String>) -> Result<(), RunError> {
        Ok(write(&*self.storage, &self.checkpoint_path(which), tensors, metadata)?)
    }

    /// Says how far the run is.
    ///
    /// # Errors
    /// Storage that fails.
    pub fn set_state(&mut self, state: State) -> Result<(), RunError> {
        self.description.state = state;
        self.write_json(Self::DESCRIPTION, &self.description)
    }

    /// Writes a file inside the run directory, atomically, with the folders above it.
    ///
    /// # Errors
    /// A path that leaves the directory, or storage that fails.
    pub fn write_file(&self, relative: impl AsRef<Path>, content: &[u8]) -> Result<(), RunError> {
        write_inside(&*self.storage, &self.path, relative.as_ref(), content)
    }

    /// Writes a value as indented JSON.
    ///
    /// # Errors
    /// As [`RunDirectory::write_file`].
    pub fn write_json(&self, relative: impl AsRef<Path>, value: &impl Serialize) -> Result<(), RunError> {
        write_json_inside(&*self.storage, &self.path, relative.as_ref(), value)
    }
}

/// How far the run is that a directory may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// There is none, or it died before its first checkpoint.
    Absent,
    /// It can be gone on with.
    Begun,
    /// It reached its end.
    Finished,
}

impl Standing {
    /// Looks at a directory, without a lock.
    ///
    /// # Errors
    /// A run of another layout.
    pub fn of(path: &Path) -> Result<Standing, RunError> {
        if !path.join(RunDirectory::DESCRIPTION).exists() {
            return Ok(Standing::Absent);
        }
        Ok(match Description::read(path)?.state {
            State::Finished => Standing::Finished,
            _ if checkpoint_path(path, Checkpoint::Last).exists() => Standing::Begun,
            _ => Standing::Absent,
        })
    }
}

/// Writes a file inside a directory, atomically, with the folders above it.
///
/// # Errors
/// A path that leaves the directory, or storage that fails.
pub fn write_inside(storage: &dyn Storage, root: &Path, relative: &Path, content: &[u8]) -> Result<(), RunError> {
    let path = inside(root, relative)?;
    if let Some(parent) = path.parent() {
        storage.create_directory(parent).map_err(StorageError::wrap("create", parent))?;
    }
    Ok(write_atomically(storage, &path, |writer| writer.write_all(content))?)
}

/// Writes a value as indented JSON inside a directory.
///
/// # Errors
/// As [`write_inside`].
pub fn write_json_inside(storage: &dyn Storage, root: &Path, relative: &Path, value: &impl Serialize) -> Result<(), RunError> {
    let path = root.join(relative);
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| StorageError::wrap("write", &path)(error.into()))?;
    text.push(b'\n');
    write_inside(storage, root, relative, &text)
}

/// Reads the JSON file that says what a directory of results is: whatever else it holds, it has a `layout` and the version of `sward`.
///
/// # Errors
/// A directory without the file, or of another layout.
pub fn read_description<T: DeserializeOwned>(directory: &Path, name: &str, layout: u32) -> Result<T, RunError> {
    let not_a_run = |reason: String| RunError::NotARun { path: directory.to_owned(), reason };
    let text = std::fs::read(directory.join(name)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => not_a_run(format!("it has no `{name}`")),
        _ => not_a_run(format!("`{name}` cannot be read: {error}")),
    })?;
    /// The part that every layout has.
    #[derive(Deserialize)]
    struct Version {
        layout: u32,
        sward: String,
    }
    let broken = |error: serde_json::Error| not_a_run(format!("`{name}`: {error}"));
    let Version { layout: found, sward } = serde_json::from_slice(&text).map_err(broken)?;
    if found != layout {
        return Err(RunError::OtherLayout { path: directory.to_owned(), found, wanted: layout, sward });
    }
    serde_json::from_slice(&text).map_err(broken)
}

/// The absolute place of a relative path without `..`, none of whose folders is a symbolic link.
fn inside(root: &Path, relative: &Path) -> Result<PathBuf, RunError> {
    let plain = relative.components().all(|component| matches!(component, Component::Normal(_)));
    if !plain || relative.file_name().is_none() {
        return Err(RunError::Outside(relative.to_owned()));
    }
    let mut path = root.to_owned();
    for component in relative.components() {
        path.push(component);
        if std::fs::symlink_metadata(&path).is_ok_and(|existing| existing.is_symlink()) {
            return Err(RunError::Outside(relative.to_owned()));
        }
    }
    Ok(path)
}

/// Makes `<root>/<name>/<prefix><time>-<hash>/`, which did not exist before.
///
/// # Errors
/// A name that is no file name, or storage that fails.
pub fn fresh_place(
    storage: &dyn Storage,
    root: &Path,
    name: &str,
    prefix: &str,
    created: &str,
    hash: &str,
) -> Result<PathBuf, RunError> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    if !name.starts_with(|first: char| first.is_ascii_alphanumeric()) || !name.chars().all(allowed) || name.len() > 100 {
        return Err(RunError::Name(name.to_owned()));
    }
    let parent = root.join(name);
    storage.create_directory(&parent).map_err(StorageError::wrap("create", &parent))?;
    let time: String = created.chars().filter(|letter| !"-:".contains(*letter)).collect();
    let short: String = hash.chars().take(8).collect();
    Ok(fresh_directory(&parent, &format!("{prefix}{time}-{short}"))?)
}

/// Where a checkpoint of a run directory lies.
pub fn checkpoint_path(run: &Path, which: Checkpoint) -> PathBuf {
    run.join(RunDirectory::CHECKPOINTS).join(match which {
        Checkpoint::Best => "best.safetensors",
        Checkpoint::Last => "last.safetensors",
    })
}

/// Makes a directory that did not exist: runs that begin in the same second get a number.
fn fresh_directory(parent: &Path, name: &str) -> Result<PathBuf, StorageError> {
    let mut path = parent.join(name);
    let mut number = 1;
    loop {
        match std::fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                number += 1;
                path = parent.join(format!("{name}-{number}"));
            }
            Err(error) => return Err(StorageError::wrap("create", &path)(error)),
        }
    }
}

/// The hash of named contents, in hexadecimal: graph files, data and overrides of a run. The order does not matter.
pub fn content_hash<'c>(contents: impl IntoIterator<Item = (&'c str, &'c [u8])>) -> String {
    let mut contents: Vec<(&str, &[u8])> = contents.into_iter().collect();
    contents.sort_unstable();
    let mut hasher = blake3::Hasher::new();
    for (name, content) in contents {
        // Lengths keep ("ab", "c") apart from ("a", "bc").
        for part in [name.as_bytes(), content] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::super::storage::Disk;
    use super::*;

    fn create(root: &Path, name: &str) -> Result<RunDirectory, RunError> {
        let description = Description::new(name, 42, content_hash([("a", b"b".as_slice())]));
        RunDirectory::create(Arc::new(Disk), root, description, &Environment::current("cpu", 2))
    }

    #[test]
    fn a_run_can_be_made_described_and_resumed() {
        let root = tempfile::tempdir().unwrap();
        let mut run = create(root.path(), "pasture").unwrap();
        let path = run.path().to_owned();
        assert!(path.starts_with(root.path().join("pasture")));
        run.write_file("graphs/models/m.ron", b"Module()").unwrap();
        run.save(Checkpoint::Last, &[TensorOut::f32("w", &[1], &[1.0])], &IndexMap::new()).unwrap();
        run.set_state(State::Interrupted).unwrap();
        let error = RunDirectory::resume(Arc::new(Disk), &path).err().unwrap().to_string();
        assert!(error.contains(&format!("in use by process {}", std::process::id())), "{error}");
        drop(run);
        std::fs::write(path.join("checkpoints/.last.safetensors.9-9.unfinished"), "torn").unwrap();
        let run = RunDirectory::resume(Arc::new(Disk), &path).unwrap();
        assert_eq!(run.description().state, State::Interrupted);
        assert_eq!(std::fs::read_dir(path.join("checkpoints")).unwrap().count(), 1);
        assert!(path.join("environment.json").exists());
    }

    #[test]
    fn runs_of_the_same_second_do_not_meet() {
        let root = tempfile::tempdir().unwrap();
        let description = Description::new("a", 1, "0123456789".into());
        let environment = Environment::current("cpu", 1);
        let make = || RunDirectory::create(Arc::new(Disk), root.path(), description.clone(), &environment).unwrap();
        let (first, second) = (make(), make());
        assert_ne!(first.path(), second.path());
    }

    #[test]
    fn names_and_paths_that_leave_the_directory_are_refused() {
        let root = tempfile::tempdir().unwrap();
        for name in ["", "..", ".hidden", "a/b", "-x", "a b"] {
            assert!(matches!(create(root.path(), name), Err(RunError::Name(_))), "{name}");
        }
        let run = create(root.path(), "ok").unwrap();
        for path in ["../x", "/tmp/x", "a/../../x", "", "."] {
            assert!(matches!(run.write_file(path, b""), Err(RunError::Outside(_))), "{path}");
        }
        std::os::unix::fs::symlink(root.path(), run.path().join("link")).unwrap();
        assert!(matches!(run.write_file("link/x", b""), Err(RunError::Outside(_))));
        assert!(!root.path().join("x").exists());
    }

    #[test]
    fn what_is_no_run_or_of_another_layout_is_named() {
        let root = tempfile::tempdir().unwrap();
        let error = |text: &str| {
            std::fs::write(root.path().join("run.json"), text).unwrap();
            Description::read(root.path()).unwrap_err().to_string()
        };
        assert!(Description::read(root.path()).unwrap_err().to_string().ends_with("it has no `run.json`"));
        assert!(error("{").contains("is not a run directory: `run.json`: EOF"));
        let other = error(r#"{"layout": 9, "sward": "7.0.0", "new": []}"#);
        assert!(other.contains("was written by sward 7.0.0 in layout 9"), "{other}");
    }

    #[test]
    fn a_hash_depends_on_names_and_contents_and_not_on_order() {
        let hash = |parts: &[(&str, &str)]| content_hash(parts.iter().map(|(name, text)| (*name, text.as_bytes())));
        assert_eq!(hash(&[("a", "1"), ("b", "2")]), hash(&[("b", "2"), ("a", "1")]));
        assert_ne!(hash(&[("ab", "c")]), hash(&[("a", "bc")]));
        assert_ne!(hash(&[("a", "1")]), hash(&[("a", "2")]));
    }
}
