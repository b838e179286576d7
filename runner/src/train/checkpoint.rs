//! Checkpoints: everything that a run needs to go on with the same bits, and the weights of its best epoch.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use sward_core::program::{Program, Role, TensorType};
use sward_kernels::{Plan, Tensor};

use super::error::{Result, TrainError};
use super::programs::{EvaluationOptions, evaluation_forward, forward, sizes_for};
use crate::experiment::Joined;
use crate::feed::FittedData;
use crate::rundir::{Checkpoint, RunDirectory};
use crate::schedule::{EarlyStopping, Plateau};
use crate::tensors::{from_view, to_out};
use crate::weights::{TensorOut, TensorView, WeightFile};

/// The key of the training loop's state in a checkpoint's metadata.
const LOOP: &str = "sward.loop";
/// The key of the tensors' hashes there.
const CONTENT: &str = "sward.content";

/// The first sixteen digits of a tensor's BLAKE3 hash: bits that flip on a disk would otherwise train and predict on.
fn content(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex()[..16].to_owned()
}

/// How far the training loop is. All random numbers follow from it and the seed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoopState {
    /// Steps done.
    pub step: u64,
    /// The epoch, from 0.
    pub epoch: u64,
    /// Steps of the epoch that are done.
    pub done_in_epoch: u64,
    /// The sum of this epoch's losses so far.
    pub loss_sum: f64,
    /// How many losses it is of.
    pub loss_count: u64,
    /// Steps left out because their gradients were not finite.
    pub skipped: u64,
    /// How often training was rewound.
    pub rewinds: u64,
    /// The schedule's reductions.
    pub plateau: Option<Plateau>,
    /// Early stopping.
    pub stopping: Option<EarlyStopping>,
    /// The best value of the watched metric, and its epoch.
    pub best: Option<(f64, u64)>,
    /// Whether training came to its end.
    pub finished: bool,
}

/// What of a plan is kept: parameters, buffers, moments, averages. Accumulated gradients are zeros between steps.
fn kept(plan: &dyn Plan) -> Vec<String> {
    plan.program()
        .arguments
        .iter()
        .filter(|argument| matches!(argument.role, Role::Parameter { .. } | Role::State))
        .filter(|argument| !argument.name.starts_with("accumulated."))
        .map(|argument| argument.name.clone())
        .collect()
}

/// Writes the checkpoint to resume from.
///
/// # Errors
/// A value that is not finite, or storage that fails; the previous checkpoint survives.
pub fn save_last(run: &RunDirectory, plan: &dyn Plan, state: &LoopState) -> Result<()> {
    let mut tensors = Vec::new();
    for name in kept(plan) {
        tensors.push((name.clone(), plan.get(&name)?));
    }
    save(run, Checkpoint::Last, &tensors, state)
}

/// Writes a checkpoint of named tensors.
///
/// # Errors
/// As [`save_last`].
pub fn save(run: &RunDirectory, which: Checkpoint, tensors: &[(String, Tensor)], state: &LoopState) -> Result<()> {
    let outs: Vec<TensorOut<'_>> = tensors.iter().map(|(name, tensor)| to_out(name, tensor)).collect();
    let text = serde_json::to_string(state).map_err(|error| TrainError::Usage(error.to_string()))?;
    let hashes: BTreeMap<&str, String> = outs.iter().map(|out| (&*out.name, content(&out.bytes))).collect();
    let hashes = serde_json::to_string(&hashes).map_err(|error| TrainError::Usage(error.to_string()))?;
    let metadata: IndexMap<String, String> =
        [("format".to_owned(), "sward".to_owned()), (LOOP.to_owned(), text), (CONTENT.to_owned(), hashes)].into_iter().collect();
    Ok(run.save(which, &outs, &metadata)?)
}

/// Puts a checkpoint into a plan.
///
/// # Errors
/// A file that is no checkpoint of this graph.
pub fn load_last(path: &Path, plan: &mut dyn Plan) -> Result<LoopState> {
    let file = WeightFile::open(path)?;
    let text =
        file.metadata().get(LOOP).ok_or_else(|| fault(path, "the file holds weights and no state of training".to_owned()))?;
    let state: LoopState =
        serde_json::from_str(text).map_err(|error| fault(path, format!("the state of training cannot be read: {error}")))?;
    let hashes = hashes(path, &file)?;
    let names = kept(plan);
    if let Some(view) = file.tensors().find(|view| !names.iter().any(|name| name == view.name)) {
        return Err(not_of_the_graph(path, view.name));
    }
    for name in names {
        let argument = plan.program().argument(&name).expect("the name is the program's");
        let wanted = plan.program().type_of(argument.value).clone();
        let view = file.get(&name).ok_or_else(|| missing(path, &name))?;
        check_tensor(path, &view, &wanted, &hashes)?;
        plan.set(&name, &from_view(&view, &wanted)?)?;
    }
    Ok(state)
}

/// The tensors of a file of weights, by name: all that the graph has, and no other.
///
/// # Errors
/// A file that cannot be read, or whose tensors are not the graph's.
pub fn load_weights(path: &Path, joined: &Joined, fitted: &FittedData) -> Result<Vec<(String, Tensor)>> {
    let file = WeightFile::open(path)?;
    let sizes = sizes_for(&joined.checked, fitted, joined.experiment.train.value.batch);
    let evaluation = evaluation_forward(joined, &sizes, EvaluationOptions::WITH_LOSSES)?;
    // What training alone has (a count of batches, say) may be there.
    let training = forward(joined, &sizes)?.finish();
    let known: HashMap<&str, &TensorType> = [&training, &evaluation].into_iter().flat_map(weights_of).collect();
    let hashes = hashes(path, &file)?;
    let mut tensors = Vec::new();
    for view in file.tensors() {
        let wanted = known.get(view.name).ok_or_else(|| not_of_the_graph(path, view.name))?;
        check_tensor(path, &view, wanted, &hashes)?;
        tensors.push((view.name.to_owned(), from_view(&view, wanted)?));
    }
    match weights_of(&evaluation).find(|(name, _)| file.get(name).is_none()) {
        Some((name, _)) => Err(missing(path, name)),
        None => Ok(tensors),
    }
}

/// Parameters and buffers of a program, and their types.
fn weights_of(program: &Program) -> impl Iterator<Item = (&str, &TensorType)> {
    let arguments = program.arguments.iter().filter(|argument| matches!(argument.role, Role::Parameter { .. } | Role::State));
    arguments.map(|argument| (argument.name.as_str(), program.type_of(argument.value)))
}

fn fault(path: &Path, cause: String) -> TrainError {
    TrainError::Checkpoint { path: path.display().to_string(), cause }
}

fn missing(path: &Path, name: &str) -> TrainError {
    fault(path, format!("the tensor `{name}` is missing: the graph has changed since"))
}

fn not_of_the_graph(path: &Path, name: &str) -> TrainError {
    fault(path, format!("the graph has no tensor `{name}`: it has changed since, or the file is another graph's"))
}

/// The hashes that a checkpoint's tensors were written with; none in a file of another program.
fn hashes(path: &Path, file: &WeightFile) -> Result<HashMap<String, String>> {
    let Some(text) = file.metadata().get(CONTENT) else { return Ok(HashMap::new()) };
    serde_json::from_str(text).map_err(|error| fault(path, format!("the hashes of its tensors cannot be read: {error}")))
}

/// A tensor of the graph's shape, as it was written.
fn check_tensor(path: &Path, view: &TensorView<'_>, wanted: &TensorType, hashes: &HashMap<String, String>) -> Result<()> {
    check_shape(path, view, wanted)?;
    match hashes.get(view.name) {
        Some(written) if *written != content(view.bytes) => {
            let damage = "is not as it was written: the file was damaged, or changed by another program";
            Err(fault(path, format!("the tensor `{}` {damage}; take another checkpoint, or train again", view.name)))
        }
        _ => Ok(()),
    }
}

fn check_shape(path: &Path, view: &TensorView<'_>, wanted: &TensorType) -> Result<()> {
    if *view.shape == wanted.shape[..] {
        return Ok(());
    }
    Err(fault(path, format!("the tensor `{}` is {:?}, the graph wants {:?}", view.name, view.shape, &wanted.shape[..])))
}
