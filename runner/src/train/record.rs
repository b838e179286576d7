//! What a run directory keeps of an experiment: every file that it was read from, and what was changed on the command line. A run can be
//! opened again from it alone.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sward_core::check::{Overrides, Session};
use sward_core::language::GraphFile;
use sward_core::syntax::{Value, print};

use super::error::{Result, TrainError};
use crate::experiment::{Joined, join, library_session};
use crate::feed::{DataFolder, FittedData};
use crate::rundir::{RunDirectory, Storage, write_inside};
use crate::table::Table;

/// The folder of a run's graph files.
pub const FILES: &str = "files";

/// What is not in the files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSettings {
    /// The experiment's path below `files`.
    pub experiment: String,
    /// `--set`, in order.
    pub sets: Vec<String>,
    /// `--swap`, in order.
    pub swaps: Vec<String>,
    /// The fold that is trained.
    pub fold: usize,
    /// The folder of tables and photographs.
    pub data: PathBuf,
    /// The seed that folds are drawn with, where it is not the run's own: arms and seeds of an ablation share their folds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold_seed: Option<u64>,
    /// The BLAKE3 hashes of the tables, joined ones included: folds are made anew of the same rows only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
}

impl RunSettings {
    /// The seed that folds are drawn with.
    pub fn fold_seed(&self, joined: &Joined) -> u64 {
        self.fold_seed.unwrap_or(joined.experiment.train.value.seed)
    }
}

/// A run that is open again, in a session of its own.
pub struct OpenedRun {
    /// Its directory.
    pub path: PathBuf,
    /// The session that its files were read in.
    pub session: Session<'static>,
    /// The experiment.
    pub joined: Joined,
    /// What is not in the files.
    pub settings: RunSettings,
    /// What was fitted on its training rows.
    pub fitted: FittedData,
}

impl OpenedRun {
    /// Opens a run from what its directory holds.
    ///
    /// # Errors
    /// As [`reopen`].
    pub fn open(path: &Path) -> Result<OpenedRun> {
        let mut session = library_session();
        let (joined, settings, fitted) = reopen(&mut session, path)?;
        Ok(OpenedRun { path: path.to_owned(), session, joined, settings, fitted })
    }
}

/// The texts of overrides, as the command line would give them.
pub fn override_texts(overrides: &Overrides) -> (Vec<String>, Vec<String>) {
    let one_line = |value: &Value| print(value).split_whitespace().collect::<Vec<_>>().join(" ");
    let sets = overrides.sets.iter().map(|set| format!("{}={}", set.path, one_line(&set.value.to_value()))).collect();
    let swaps = overrides.swaps.iter().map(|swap| format!("{}={}", swap.node, swap.file)).collect();
    (sets, swaps)
}

/// Where a file of the session lies below `files`: its path within its root.
fn inside(session: &Session<'_>, file: sward_core::source::FileId) -> Option<String> {
    let (_, folder) = session.roots().origin(file)?;
    let path = session.sources.path(file);
    let name = path.rsplit('/').next().unwrap_or(path);
    Some(if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") })
}

/// The settings of a run that begins.
///
/// # Errors
/// A data file without a folder on the disk.
pub fn settings(session: &Session<'_>, joined: &Joined, overrides: &Overrides, fold: usize) -> Result<RunSettings> {
    let (sets, swaps) = override_texts(overrides);
    let experiment = inside(session, joined.file).unwrap_or_else(|| session.sources.path(joined.file).to_owned());
    let data = data_folder(session, joined)?;
    let mut tables: Vec<String> = Vec::new();
    // A table that cannot be read is told with its place when rows are loaded.
    if let Ok(folder) = DataFolder::open(&data) {
        let paths = joined.data.spec.table.value.paths().into_iter();
        tables.extend(paths.filter_map(|path| content_of(&folder.find("the table", path).ok()?)));
    }
    Ok(RunSettings { experiment, sets, swaps, fold, data, fold_seed: None, tables })
}

/// The BLAKE3 hash of a file's bytes.
pub(super) fn content_of(path: &Path) -> Option<String> {
    std::fs::read(path).ok().map(|bytes| blake3::hash(&bytes).to_hex().to_string())
}

/// Refuses a table that is not one of those that a run was begun with; `kept` are their hashes, none of which stands for any table.
///
/// # Errors
/// The first file that differs.
pub fn check_tables(kept: &[String], table: &Table) -> Result<()> {
    // A run that begins reads its tables once, not again for their hashes.
    if kept.is_empty() {
        return Ok(());
    }
    let is_other = |file: &&str| content_of(Path::new(file)).is_some_and(|hash| !kept.contains(&hash));
    match table.files().into_iter().find(is_other) {
        Some(file) => Err(TrainError::Usage(format!(
            "{file}: the table has changed since the run began: folds made of it anew would validate rows that were trained on; \
             restore the table, or train anew (`sward eval RUN --table FILE` measures all rows of another table)"
        ))),
        None => Ok(()),
    }
}

/// What `settings.json` of a run says.
///
/// # Errors
/// A file that is not there or not what this version writes.
pub fn read_settings(run: &Path) -> Result<RunSettings> {
    read_json(run, "settings.json")
}

fn read_json<T: serde::de::DeserializeOwned>(run: &Path, name: &str) -> Result<T> {
    let path = run.join(name);
    let fault = |cause: String| TrainError::Checkpoint { path: path.display().to_string(), cause };
    let text = std::fs::read_to_string(&path).map_err(|error| fault(format!("cannot be read: {error}")))?;
    serde_json::from_str(&text).map_err(|error| fault(format!("is not what this version writes: {error}")))
}

/// The folder of an experiment's data file.
///
/// # Errors
/// A data file that is built in.
pub fn data_folder(session: &Session<'_>, joined: &Joined) -> Result<PathBuf> {
    let file = session.sources.path(joined.data.file).to_owned();
    let folder = session.roots().folder_on_disk(joined.data.file).ok_or(crate::feed::FeedError::BuiltIn { file })?;
    Ok(folder)
}

/// The content of every file that was read: path below `files`, and text.
pub fn files(session: &Session<'_>) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = Vec::new();
    for (id, source) in session.sources.iter() {
        if let Some(path) = inside(session, id)
            && !files.iter().any(|(own, _)| *own == path)
        {
            files.push((path, source.text().to_owned()));
        }
    }
    files.sort();
    files
}

/// Writes what opens the run again.
///
/// # Errors
/// Storage that fails.
pub fn write(run: &RunDirectory, session: &Session<'_>, settings: &RunSettings, fitted: &FittedData) -> Result<()> {
    write_files(&**run.storage(), run.path(), session)?;
    run.write_json("settings.json", settings)?;
    run.write_json("fitted.json", fitted)?;
    Ok(())
}

/// Writes the files of a session below `files` of a directory of results.
///
/// # Errors
/// Storage that fails.
pub fn write_files(storage: &dyn Storage, directory: &Path, session: &Session<'_>) -> Result<()> {
    let folder = Path::new(FILES);
    for (path, text) in files(session) {
        write_inside(storage, directory, &folder.join(path), text.as_bytes())?;
    }
    // The mark of a root: nothing above the run's files is looked at.
    Ok(write_inside(storage, directory, &folder.join(sward_core::roots::ROOT_MARKER), b"")?)
}

/// Opens a run again: its experiment, from the files that it keeps.
///
/// # Errors
/// A directory that is no run, or files that no longer check with this version.
pub fn reopen(session: &mut Session<'_>, run: &Path) -> Result<(Joined, RunSettings, FittedData)> {
    crate::rundir::Description::read(run)?;
    let settings = read_settings(run)?;
    let fitted: FittedData = read_json(run, "fitted.json")?;
    let joined = rejoin(session, run, &settings)?;
    Ok((joined, settings, fitted))
}

/// Reads and proves the experiment again whose files a directory of results keeps.
///
/// # Errors
/// Files that no longer check with this version; what is wrong is in the session.
pub fn rejoin(session: &mut Session<'_>, run: &Path, settings: &RunSettings) -> Result<Joined> {
    let path = run.join(FILES).join(&settings.experiment);
    let fault = || TrainError::Checkpoint {
        path: path.display().to_string(),
        cause: "the experiment of the run no longer checks with this version".to_owned(),
    };
    let (file, graph_file) = session.open(&path.to_string_lossy()).ok_or_else(fault)?;
    let overrides = session.overrides(&settings.sets, &settings.swaps, &[]).ok_or_else(fault)?;
    let GraphFile::Other { tree, .. } = &*graph_file else { return Err(fault()) };
    let joined = join(session, file, tree, &overrides).ok_or_else(fault)?;
    Ok(Joined { tables: settings.tables.clone(), ..joined })
}
