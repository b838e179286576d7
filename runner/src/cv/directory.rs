//! The directory of a cross-validation.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use sward_core::check::Session;

use crate::experiment::Joined;
use crate::rundir::{
    Description, Lock, RunDirectory, RunError, Standing, Storage, content_hash, fresh_place, read_description, write_json_inside,
};
use crate::train::{Pretrained, RunSettings, TrainError, files, write_files};

/// The version of the layout that this program writes and reads.
const LAYOUT: u32 = 1;

/// What a cross-validation is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CvDescription {
    /// The version of the directory's layout.
    pub layout: u32,
    /// The version of the program that made it.
    pub sward: String,
    /// The experiment's name.
    pub name: String,
    /// When it began, in UTC.
    pub created: String,
    /// The hash of everything that went in.
    pub hash: String,
    /// The seed.
    pub seed: u64,
    /// How many folds there are.
    pub folds: usize,
    /// The command line.
    pub command: Vec<String>,
    /// Settings given on the command line, with their paths.
    pub overrides: IndexMap<String, String>,
    /// What opens the experiment again; the fold is that of the first.
    pub settings: RunSettings,
    /// Files whose values parameters begin with.
    pub pretrained: Vec<Pretrained>,
}

impl CvDescription {
    /// Reads `cv.json` of a directory, without a lock.
    ///
    /// # Errors
    /// A directory that is none, or of another layout.
    pub fn read(path: &Path) -> Result<CvDescription, RunError> {
        read_description(path, CvDirectory::DESCRIPTION, LAYOUT)
    }
}

/// A cross-validation that this process holds the lock of.
pub struct CvDirectory {
    path: PathBuf,
    storage: Arc<dyn Storage>,
    description: CvDescription,
    _lock: Lock,
}

impl CvDirectory {
    /// The file that says what it is.
    pub const DESCRIPTION: &'static str = "cv.json";

    /// Makes `<root>/<name>/cv-<time>-<hash>/`.
    ///
    /// # Errors
    /// Storage that fails.
    pub fn create(
        storage: Arc<dyn Storage>,
        root: &Path,
        session: &Session<'_>,
        joined: &Joined,
        settings: RunSettings,
        pretrained: Vec<Pretrained>,
        folds: usize,
    ) -> Result<CvDirectory, TrainError> {
        let files = files(session);
        let text = serde_json::to_string(&settings).unwrap_or_default();
        let mut contents: Vec<(&str, &[u8])> = files.iter().map(|(path, text)| (path.as_str(), text.as_bytes())).collect();
        contents.push(("settings", text.as_bytes()));
        let seed = joined.experiment.train.value.seed;
        let run = Description::new(&joined.name, seed, content_hash(contents));
        let split = |(flag, texts): (&'static str, &Vec<String>)| -> Vec<(String, String)> {
            let pair = |text: &String| text.split_once('=').map(|(path, value)| (format!("{flag} {path}"), value.to_owned()));
            texts.iter().filter_map(pair).collect()
        };
        let overrides = [("--set", &settings.sets), ("--swap", &settings.swaps)].into_iter().flat_map(split).collect();
        let description = CvDescription {
            layout: LAYOUT,
            sward: run.sward,
            name: run.name,
            created: run.created,
            hash: run.hash,
            seed,
            folds,
            command: run.command,
            overrides,
            settings,
            pretrained,
        };
        let path = fresh_place(&*storage, root, &description.name, "cv-", &description.created, &description.hash)?;
        let lock = Lock::take(&path).map_err(RunError::from)?;
        write_files(&*storage, &path, session)?;
        // Last: a directory without it is not one yet.
        write_json_inside(&*storage, &path, Path::new(Self::DESCRIPTION), &description)?;
        Ok(CvDirectory { path, storage, description, _lock: lock })
    }

    /// Takes the lock of an existing one.
    ///
    /// # Errors
    /// A directory that is none or of another layout, or that another process works in.
    pub fn resume(storage: Arc<dyn Storage>, path: &Path) -> Result<CvDirectory, RunError> {
        let description = CvDescription::read(path)?;
        let lock = Lock::take(path)?;
        Ok(CvDirectory { path: path.to_owned(), storage, description, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is.
    pub fn description(&self) -> &CvDescription {
        &self.description
    }

    /// What its writes go through.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// The directory of a fold.
    pub fn fold(&self, fold: usize) -> PathBuf {
        fold_directory(&self.path, fold)
    }
}

/// The directory of a fold of a cross-validation.
pub fn fold_directory(path: &Path, fold: usize) -> PathBuf {
    path.join(format!("fold-{fold}"))
}

/// Puts the folds of cross-validations in place of their directories, for ensembles.
///
/// # Errors
/// A fold that has not finished, named.
pub fn expand_runs(paths: &[PathBuf]) -> Result<Vec<PathBuf>, RunError> {
    let mut runs = Vec::new();
    for path in paths {
        if path.join(RunDirectory::DESCRIPTION).exists() || !path.join(CvDirectory::DESCRIPTION).exists() {
            runs.push(path.clone());
            continue;
        }
        for fold in 0..CvDescription::read(path)?.folds {
            let own = fold_directory(path, fold);
            if Standing::of(&own)? != Standing::Finished {
                let reason = format!("fold {fold} has not finished; go on with `sward cv --resume {}`", path.display());
                return Err(RunError::NotARun { path: path.clone(), reason });
            }
            runs.push(own);
        }
    }
    Ok(runs)
}
