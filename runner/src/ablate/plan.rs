//! What an ablation trains: its arms, seeds and folds, and the jobs that they make.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use sward_core::check::Session;
use sward_core::dim::Dim;
use sward_core::language::GraphFile;
use sward_core::source::FileId;
use sward_kernels::Engine;

use super::explain::explain;
use crate::experiment::ablation::{Arms, arms};
use crate::experiment::watched_direction;
use crate::rundir::{Disk, Environment, RunError, content_hash, read_description, write_json_inside};
use crate::schedule::Direction;
use crate::train::{Prepared, TrainError, data_folder, files, override_texts, prepare_run, settings, sizes_for, step_memory};

/// The version of the layout that this program writes and reads.
const LAYOUT: u32 = 1;

/// An ablation whose arms are proved, with what it was read from.
pub struct AblationFile {
    /// The file.
    pub file: FileId,
    /// Its arms.
    pub arms: Arms,
}

/// What an ablation trains, written to `ablation.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The version of the directory's layout.
    pub layout: u32,
    /// The version of the program that made it.
    pub sward: String,
    /// The ablation's name.
    pub name: String,
    /// The hash of all files and of the table.
    pub hash: String,
    /// The metric that arms are compared by, `val/...`.
    pub metric: String,
    /// Which way it is better.
    pub larger_is_better: bool,
    /// The seeds of every arm.
    pub seeds: Vec<u64>,
    /// The folds of every arm.
    pub folds: Vec<usize>,
    /// The seed that folds are drawn with: the base's, for all arms and seeds.
    pub fold_seed: u64,
    /// The base, then the others.
    pub arms: Vec<PlannedArm>,
}

/// One arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedArm {
    /// `base`, or what is changed: `fusion=film`.
    pub name: String,
    /// The choice of each axis that is not the base's.
    pub choices: IndexMap<String, String>,
    /// What it does to the base, in one line.
    pub explanation: String,
    /// The folder of its runs, below `arms`.
    pub folder: String,
    /// The experiment's path, as the ablation writes it.
    pub experiment: String,
    /// `--set`, in order.
    pub sets: Vec<String>,
    /// `--swap`, in order.
    pub swaps: Vec<String>,
    /// Parameters, trained and frozen.
    pub parameters: Option<u64>,
    /// Floating-point operations of a forward pass of one sample, losses included.
    pub flops: Option<u64>,
}

/// One training: an arm with a seed on a fold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its number, from 0.
    pub index: usize,
    /// The arm's number.
    pub arm: usize,
    /// The arm's name.
    pub name: String,
    /// The seed.
    pub seed: u64,
    /// The fold.
    pub fold: usize,
    /// Its run directory below that of the ablation.
    pub directory: String,
}

/// Why there is no ablation to work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAblation {
    /// The file cannot be read as a graph file; the session's diagnostics say why.
    Unreadable,
    /// It holds something else.
    OtherKind,
    /// An arm does not check; the session's diagnostics say why.
    Unproved,
}

/// Opens an ablation file and proves its arms.
///
/// # Errors
/// Which step it failed at; what is wrong stands in the session's diagnostics.
pub fn open(session: &mut Session<'_>, path: &str) -> Result<AblationFile, NoAblation> {
    let (file, graph_file) = session.open(path).ok_or(NoAblation::Unreadable)?;
    match &*graph_file {
        GraphFile::Other { kind, tree } if kind.value == "Ablation" => {
            let arms = arms(session, file, tree).ok_or(NoAblation::Unproved)?;
            Ok(AblationFile { file, arms })
        }
        _ => Err(NoAblation::OtherKind),
    }
}

/// A name as a folder: lower-case letters, digits and hyphens.
fn slug(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_ascii_alphanumeric() || letter == '.' {
            text.push(letter.to_ascii_lowercase());
        } else if !text.ends_with('-') {
            text.push('-');
        }
    }
    text.trim_matches('-').chars().take(60).collect()
}

impl Plan {
    /// The plan of an ablation whose arms are proved. Reads every arm's table: folds, vocabularies and sizes follow from it.
    ///
    /// # Errors
    /// Data of an arm that is not what its files say, a fold that does not exist or lacks a target, folds that leak.
    pub fn new(session: &Session<'_>, opened: &AblationFile) -> Result<Plan, TrainError> {
        let arms = &opened.arms;
        let base = &arms.arms[0];
        let own_seed = base.joined.experiment.train.value.seed;
        let seeds = if arms.spec.seeds.is_empty() { vec![own_seed] } else { arms.spec.seeds.clone() };
        if let Some(twice) = (1..seeds.len()).find(|at| seeds[..*at].contains(&seeds[*at])) {
            return Err(TrainError::Usage(format!("the seed {} stands twice", seeds[twice])));
        }
        let mut planned = Vec::with_capacity(arms.arms.len());
        let mut folds = Vec::new();
        let mut table = Vec::new();
        for (number, arm) in arms.arms.iter().enumerate() {
            let of_arm = |source: TrainError| TrainError::Arm { arm: arm.name.clone(), source: Box::new(source) };
            let prepared = prepared(session, opened, number, 0, own_seed).map_err(of_arm)?;
            if number == 0 {
                let count = prepared.splits.len();
                folds = arms.spec.folds.clone().unwrap_or_else(|| (0..count).collect());
                if let Some(fold) = folds.iter().find(|fold| **fold >= count) {
                    return Err(TrainError::Usage(format!("there is no fold {fold}: the folds are 0 to {}", count - 1)));
                }
                if folds.is_empty() {
                    return Err(TrainError::Usage(format!("`folds` names none; there are 0 to {}", count - 1)));
                }
                if let Some(twice) = (1..folds.len()).find(|at| folds[..*at].contains(&folds[*at])) {
                    return Err(TrainError::Usage(format!("the fold {} stands twice", folds[twice])));
                }
                table = std::fs::read(Path::new(prepared.loaded.raw.file())).unwrap_or_default();
            }
            let sizes = sizes_for(&arm.joined.checked, &prepared.fitted, 1);
            let known = |dim: Result<Dim, sward_core::dim::DimError>| -> Option<u64> {
                let dim = dim.ok()?.substitute(&|name| sizes.get(name).map(Dim::constant)).ok()?;
                dim.as_constant().and_then(|number| u64::try_from(number).ok())
            };
            let (sets, swaps) = override_texts(&arm.overrides);
            planned.push(PlannedArm {
                name: arm.name.clone(),
                choices: arm.choices.clone(),
                explanation: explain(base, arm),
                folder: format!("{number:02}-{}", slug(&arm.name)),
                experiment: arm.path.clone(),
                sets,
                swaps,
                parameters: known(arm.joined.checked.parameter_count()),
                flops: known(arm.joined.checked.flops()),
            });
        }
        let texts = files(session);
        let mut contents: Vec<(&str, &[u8])> = texts.iter().map(|(path, text)| (path.as_str(), text.as_bytes())).collect();
        contents.push(("the table", &table));
        let direction = watched_direction(&base.joined.experiment, &arms.metric).unwrap_or(Direction::Minimize);
        Ok(Plan {
            layout: LAYOUT,
            sward: env!("CARGO_PKG_VERSION").to_owned(),
            name: arms.name.clone(),
            hash: content_hash(contents),
            metric: arms.metric.clone(),
            larger_is_better: direction == Direction::Maximize,
            seeds,
            folds,
            fold_seed: own_seed,
            arms: planned,
        })
    }

    /// All jobs, arm by arm, seed by seed, fold by fold.
    pub fn jobs(&self) -> Vec<Job> {
        let mut jobs = Vec::with_capacity(self.arms.len() * self.seeds.len() * self.folds.len());
        for (arm, planned) in self.arms.iter().enumerate() {
            for &seed in &self.seeds {
                for &fold in &self.folds {
                    let directory = format!("arms/{}/seed-{seed}/fold-{fold}", planned.folder);
                    jobs.push(Job { index: jobs.len(), arm, name: planned.name.clone(), seed, fold, directory });
                }
            }
        }
        jobs
    }

    /// Reads `ablation.json` of a directory.
    ///
    /// # Errors
    /// A directory that is none, or of another layout.
    pub fn read(path: &Path) -> Result<Plan, RunError> {
        read_description(path, Plan::FILE, LAYOUT)
    }

    /// The file of the plan in an ablation's directory.
    pub const FILE: &'static str = "ablation.json";

    /// Writes the plan into a directory, or sees that the directory holds this plan already. Processes may do so at once: all write the
    /// same bytes.
    ///
    /// # Errors
    /// A directory of another plan, or storage that fails.
    pub fn place(&self, directory: &Path) -> Result<(), TrainError> {
        if directory.join(Plan::FILE).exists() {
            let found = Plan::read(directory)?;
            if found.hash != self.hash || found.jobs() != self.jobs() {
                let what = "holds another ablation, or files or table have changed since: choose another --output";
                return Err(TrainError::Usage(format!("{} {what}", directory.display())));
            }
            return Ok(());
        }
        std::fs::create_dir_all(directory)
            .map_err(|error| TrainError::Usage(format!("{}: cannot be made: {error}", directory.display())))?;
        Ok(write_json_inside(&Disk, directory, Path::new(Plan::FILE), self)?)
    }
}

/// An arm's rows, for one fold.
pub(super) fn prepared<'j>(
    session: &Session<'_>,
    opened: &'j AblationFile,
    arm: usize,
    fold: usize,
    fold_seed: u64,
) -> Result<Prepared<'j>, TrainError> {
    let arm = &opened.arms.arms[arm];
    data_folder(session, &arm.joined)?;
    let mut settings = settings(session, &arm.joined, &arm.overrides, fold)?;
    settings.fold_seed = Some(fold_seed);
    prepare_run(&arm.joined, &settings)
}

/// Proves that every arm's training step fits the machine's memory, before the first trains. Gives each arm's bytes.
///
/// # Errors
/// The first arm that does not fit or cannot be compiled, named.
pub fn prove(session: &Session<'_>, opened: &AblationFile, plan: &Plan, engine: &dyn Engine) -> Result<Vec<usize>, TrainError> {
    let memory = Environment::current(engine.name(), 0).memory_bytes as usize;
    let mut bytes = Vec::with_capacity(plan.arms.len());
    for (number, arm) in opened.arms.arms.iter().enumerate() {
        let of_arm = |source: TrainError| TrainError::Arm { arm: arm.name.clone(), source: Box::new(source) };
        let fold = plan.folds.first().copied().unwrap_or_default();
        let prepared = prepared(session, opened, number, fold, plan.fold_seed).map_err(of_arm)?;
        let own = step_memory(engine, &arm.joined, &prepared.fitted, prepared.split().train.len()).map_err(of_arm)?;
        let wanted = own.arena + own.held;
        if memory > 0 && wanted > memory {
            return Err(of_arm(TrainError::Usage(format!(
                "a step takes {} MiB, and this machine has {} MiB; a smaller `train.batch` with `train.accumulate` takes less",
                wanted >> 20,
                memory >> 20
            ))));
        }
        bytes.push(wanted);
    }
    Ok(bytes)
}

/// Where an ablation lies that is given no directory: the same for the same files, so that the same command goes on.
pub fn default_directory(root: &Path, plan: &Plan) -> PathBuf {
    let short: String = plan.hash.chars().take(8).collect();
    root.join(&plan.name).join(format!("ablation-{short}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_arms_are_plain() {
        assert_eq!(slug("fusion=film, power=1.3"), "fusion-film-power-1.3");
        assert_eq!(slug("../../etc"), "..-..-etc".trim_start_matches('-'));
        assert!(!slug("a/b").contains('/'));
    }

    #[test]
    fn jobs_are_numbered_arm_by_arm() {
        let arm = |name: &str| PlannedArm {
            name: name.to_owned(),
            choices: IndexMap::new(),
            explanation: String::new(),
            folder: name.to_owned(),
            experiment: "e.ron".to_owned(),
            sets: Vec::new(),
            swaps: Vec::new(),
            parameters: None,
            flops: None,
        };
        let plan = Plan {
            layout: LAYOUT,
            sward: String::new(),
            name: "a".to_owned(),
            hash: String::new(),
            metric: "val/r2".to_owned(),
            larger_is_better: true,
            seeds: vec![1, 2],
            folds: vec![0, 3],
            fold_seed: 42,
            arms: vec![arm("base"), arm("x")],
        };
        let jobs = plan.jobs();
        assert_eq!(jobs.len(), 8);
        assert_eq!(
            jobs[5],
            Job { index: 5, arm: 1, name: "x".into(), seed: 1, fold: 3, directory: "arms/x/seed-1/fold-3".into() }
        );
    }
}
