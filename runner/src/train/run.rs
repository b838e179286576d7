//! The training loop.

mod begin;
mod finish;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use indexmap::IndexMap;
use sward_core::check::Session;
use sward_core::program::RunKey;
use sward_kernels::Engine;

use super::checkpoint::{LoopState, load_last, save_last};
use super::error::{Result, TrainError};
use super::evaluate::Evaluator;
use super::features::{FeatureFolder, FeatureStore, inputs_of};
use super::prepare::{Prepared, prepare_run};
use super::pretrained::{Pretrained, load_pretrained};
use super::programs::{EvaluationOptions, ParameterCount, evaluation_forward, forward, frozen_part, parameter_groups, sizes_for};
use super::record::{RunSettings, check_tables, read_settings};
use super::schedule::resolve_schedule;
use super::steps::Stepper;
use crate::experiment::spec::{Nonfinite, Train};
use crate::experiment::{GraphField, Joined, best_metric, watched_direction};
use crate::feed::{Batch, Feed, FeedError, Labels, MixSpec, labels};
use crate::interrupt::Interrupt;
use crate::plain::counted;
use crate::progress::{Progress, Step, Verbosity};
use crate::rundir::{Checkpoint, EventFile, MetricsLog, Record, RunDirectory, State, Storage, checkpoint_path};
use crate::schedule::{Direction, Schedule};
use begin::{batches, begin, features_of, first_state, seed_after};

/// Batches that are made ahead of the step that takes them.
const AHEAD: usize = 2;

/// What training needs beside the experiment.
pub struct TrainRequest<'a> {
    /// The session that the experiment was read with.
    pub session: &'a Session<'a>,
    /// The experiment.
    pub joined: &'a Joined,
    /// What opens the run again.
    pub settings: RunSettings,
    /// What runs programs.
    pub engine: &'a dyn Engine,
    /// Threads, for the record.
    pub threads: usize,
    /// Where runs lie.
    pub root: PathBuf,
    /// The directory of a new run, in place of one below `root`.
    pub directory: Option<PathBuf>,
    /// A run that is continued.
    pub resume: Option<PathBuf>,
    /// What writes go through.
    pub storage: Arc<dyn Storage>,
    /// Files whose values parameters begin with.
    pub pretrained: Vec<Pretrained>,
    /// What is shown.
    pub verbosity: Verbosity,
    /// Asks for an orderly end.
    pub interrupt: Interrupt,
    /// Memory for decoded photographs, in bytes.
    pub cache_bytes: usize,
    /// Where features of frozen parts are kept for other runs; `None` keeps them in memory alone.
    pub features: Option<FeatureFolder>,
    /// Whether to say where the time goes.
    pub profile: bool,
}

/// How a run ended.
pub struct Outcome {
    /// Its directory.
    pub directory: PathBuf,
    /// Whether it was asked to stop before its end.
    pub interrupted: bool,
    /// The metrics of the best epoch on the validation rows; empty where the run was interrupted.
    pub metrics: IndexMap<String, f64>,
    /// The best epoch, from 0.
    pub best_epoch: u64,
}

/// Trains one fold of an experiment, or goes on with a run.
///
/// # Errors
/// Data, graph or machine that do not allow it; numbers that are not finite; storage that fails. The last checkpoint survives.
pub fn train(request: &TrainRequest<'_>) -> Result<Outcome> {
    let prepared = prepare_run(request.joined, &request.settings)?;
    if let Some(run) = &request.resume {
        // An arm of an ablation is read from its own files, which say nothing of the table.
        check_tables(&read_settings(run)?.tables, &prepared.loaded.table)?;
    }
    let mut trainer = match Trainer::new(request, &prepared)? {
        Ok(trainer) => trainer,
        Err(outcome) => return Ok(outcome),
    };
    let outcome = trainer.run();
    if outcome.is_err() {
        // The first error tells more than a second one of writing would.
        let _ = trainer.run.set_state(State::Failed);
    }
    outcome
}

/// Marks a run as failed that cannot begin: otherwise it would pass for one that runs.
fn or_failed<T>(run: &mut RunDirectory, outcome: Result<T>) -> Result<T> {
    if outcome.is_err() {
        // The first error tells more than a second one of writing would.
        let _ = run.set_state(State::Failed);
    }
    outcome
}

struct Trainer<'a> {
    request: &'a TrainRequest<'a>,
    prepared: &'a Prepared<'a>,
    train: &'a Train,
    run: RunDirectory,
    stepper: Stepper,
    evaluator: Evaluator<'a>,
    features: Option<FeatureStore>,
    inputs: Vec<GraphField>,
    labels: IndexMap<String, Labels>,
    schedule: Schedule,
    batch: usize,
    state: LoopState,
    log: MetricsLog,
    events: EventFile,
    progress: Progress,
    best: (String, Direction),
    started: Instant,
    first_step: u64,
    clock: LoopClock,
}

/// Where the time of the loop over steps goes, in seconds.
#[derive(Clone, Copy, Debug, Default)]
struct LoopClock {
    /// All of it.
    total: f64,
    /// In the programs of steps.
    stepped: f64,
    /// Waiting for batches.
    waited: f64,
}

impl LoopClock {
    /// The shares, and which side waits for the other.
    fn sentence(&self) -> String {
        let share = |seconds: f64| 100.0 * seconds / self.total.max(1e-9);
        let own = (self.total - self.stepped - self.waited).max(0.0);
        let side = if self.waited > self.stepped { "training waits for data" } else { "data keeps up" };
        format!(
            "{side}: of {:.2} s, steps {:.1} %, waiting for data {:.1} %, the loop itself {:.1} %",
            self.total,
            share(self.stepped),
            share(self.waited),
            share(own)
        )
    }
}

impl<'a> Trainer<'a> {
    /// A trainer; the outcome of a run that was asked to stop before its first step.
    fn new(request: &'a TrainRequest<'a>, prepared: &'a Prepared<'a>) -> Result<std::result::Result<Trainer<'a>, Outcome>> {
        let joined = request.joined;
        let train = &joined.experiment.train.value;
        let rows = &prepared.split().train;
        let batch = train.batch.min(rows.len());
        let batches = batches(prepared, train, batch, 0)?;
        let steps = batches.steps_per_epoch().div_ceil(train.accumulate);
        let total = steps * train.epochs;
        let schedule = resolve_schedule(&train.schedule, steps, total)?;
        let sizes = sizes_for(&joined.checked, &prepared.fitted, batch);
        let lowered = forward(joined, &sizes)?;
        let streams = lowered.next_stream();
        let whole = (lowered.finish(), streams);
        let split = frozen_part(joined, &whole.0, batch);
        let mut stepper = match &split {
            Some(split) => Stepper::new(request.engine, joined, &(split.suffix.clone(), streams))?,
            None => Stepper::new(request.engine, joined, &whole)?,
        };
        let mut evaluator = Evaluator::new(request.engine, joined, &prepared.fitted, EvaluationOptions::WITH_LOSSES);
        if split.is_none() {
            evaluator.make_ready(prepared.split().validation.len())?;
        }
        let mut known = IndexMap::new();
        for name in joined.experiment.predictions.keys() {
            let field = &joined.data.fields[&name.value];
            known.insert(name.value.clone(), labels(&joined.data, &prepared.fitted, field, &prepared.loaded.table)?);
        }
        let watched = best_metric(&joined.experiment);
        let direction = watched_direction(&joined.experiment, &watched).unwrap_or(Direction::Minimize);
        let (mut run, state) = match &request.resume {
            Some(path) => {
                // Before the run is marked as running again.
                if !checkpoint_path(path, Checkpoint::Last).exists() {
                    let cause = "the run ended before it saved anything, so that there is nothing to go on with; \
                                 remove the directory and train anew";
                    return Err(TrainError::Checkpoint { path: path.display().to_string(), cause: cause.to_owned() });
                }
                let run = RunDirectory::resume(request.storage.clone(), path)?;
                let state = load_last(&run.checkpoint_path(Checkpoint::Last), stepper.plan_mut())?;
                (run, state)
            }
            None => {
                let mut tell = |sentence: &str| {
                    if !request.verbosity.quiet {
                        eprintln!("{sentence}");
                    }
                };
                let loaded = load_pretrained(joined, &prepared.fitted, &request.pretrained, &mut tell)?;
                stepper.initialize(&joined.checked, train.seed, &loaded)?;
                let mut run = begin(request, prepared)?;
                let state = first_state(joined);
                let saved = save_last(&run, stepper.plan(), &state);
                or_failed(&mut run, saved)?;
                (run, state)
            }
        };
        let features = match &split {
            Some(split) => match features_of(request, prepared, split, batch, &stepper) {
                Err(TrainError::Interrupted) => {
                    run.set_state(State::Interrupted)?;
                    return Ok(Err(interrupted(&run, &state)));
                }
                features => or_failed(&mut run, features)?,
            },
            None => None,
        };
        if split.is_some() && features.is_none() {
            // What was split is put together again: the same parameters, the whole graph.
            let mut again = Stepper::new(request.engine, joined, &whole)?;
            again.take_over(&stepper)?;
            stepper = again;
        }
        let inputs = match &features {
            Some(_) => {
                let evaluation = evaluation_forward(joined, &sizes, EvaluationOptions::WITH_LOSSES)?;
                let rest = frozen_part(joined, &evaluation, batch).map_or(evaluation, |split| split.suffix);
                inputs_of(joined, &[stepper.program(), &rest])
            }
            None => joined.inputs.clone(),
        };
        let log = MetricsLog::open(request.storage.clone(), run.path(), state.step);
        let log = or_failed(&mut run, log.map_err(TrainError::from))?;
        let events = EventFile::open(&request.storage, run.path(), state.step, now());
        let events = or_failed(&mut run, events.map_err(TrainError::from))?;
        let progress = Progress::new(request.verbosity, total, train.epochs, state.step);
        let first_step = state.step;
        let mut trainer = Trainer {
            request,
            prepared,
            train,
            run,
            stepper,
            evaluator,
            features,
            inputs,
            labels: known,
            schedule,
            batch,
            state,
            log,
            events,
            progress,
            best: (watched, direction),
            started: Instant::now(),
            first_step,
            clock: LoopClock::default(),
        };
        trainer.introduce(rows.len(), steps);
        trainer.stepper.set_profiling(request.profile);
        Ok(Ok(trainer))
    }

    /// Says what is trained, on what.
    fn introduce(&mut self, rows: usize, steps: u64) {
        let split = self.prepared.split();
        let count = ParameterCount::of(self.stepper.program(), &parameter_groups(self.train));
        let memory = self.stepper.memory();
        let folds = self.prepared.splits.len();
        let fold = if folds > 1 { format!(", fold {} of {folds}", self.prepared.fold) } else { String::new() };
        let mut sentences = vec![
            format!(
                "{}: {rows} rows to train, {} to validate{fold}; {} trained parameters, {} frozen",
                self.request.joined.name,
                split.validation.len(),
                count.trained,
                count.frozen
            ),
            format!(
                "{} of {} of {}; memory {} MiB; {}",
                counted(self.train.epochs as usize, "epoch"),
                counted(steps as usize, "step"),
                counted(self.batch * self.train.accumulate as usize, "sample"),
                (memory.arena + memory.held) >> 20,
                self.run.path().display()
            ),
        ];
        if self.state.step > 0 {
            sentences.push(format!("goes on after step {}", self.state.step));
        }
        if let Some(owner) = self.run.stale_owner() {
            sentences.push(format!("the process {owner} that trained here before has died"));
        }
        sentences.iter().for_each(|sentence| self.progress.message(sentence));
        for note in &self.prepared.loaded.notes {
            self.progress.warning(note);
        }
    }

    fn run(&mut self) -> Result<Outcome> {
        while self.state.epoch < self.train.epochs && !self.state.finished {
            if !self.epoch()? {
                self.save()?;
                self.run.set_state(State::Interrupted)?;
                self.progress.message("interrupted: everything is saved");
                return Ok(interrupted(&self.run, &self.state));
            }
        }
        self.finish()
    }

    /// The rest of the present epoch. `false` where the run was asked to stop.
    fn epoch(&mut self) -> Result<bool> {
        let rewinds = self.state.rewinds;
        let batches = batches(self.prepared, self.train, self.batch, rewinds)?;
        let epoch = self.state.epoch;
        let order = batches.epoch(epoch);
        let rows = &self.prepared.split().train;
        let per_epoch = batches.steps_per_epoch();
        let accumulate = self.train.accumulate;
        let steps = per_epoch.div_ceil(accumulate);
        let seed = seed_after(self.train.seed, rewinds);
        let inputs = self.inputs.clone();
        let feed = Feed::new(&self.request.joined.data, &inputs, &self.prepared.encoded, seed, self.request.cache_bytes);
        let mix = self.train.mix.as_ref().map(|mix| mix.value);
        let first = self.state.done_in_epoch * accumulate;
        let chosen = |place: u64| -> Vec<usize> { order[batches.range(place)].iter().map(|index| rows[*index]).collect() };
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel::<Result<Batch, FeedError>>(AHEAD);
            let (feed, chosen) = (&feed, &chosen);
            scope.spawn(move || {
                for place in first..per_epoch {
                    let spec = mix.map(|mix| MixSpec { mix, step: epoch * per_epoch + place });
                    // The receiver is gone once the loop ends early.
                    if sender.send(feed.batch(&chosen(place), epoch, true, spec)).is_err() {
                        return;
                    }
                }
            });
            let key = |place: u64| RunKey { seed, step: epoch * per_epoch + place };
            let whole = |features: Option<&FeatureStore>, mut batch: Batch, place: u64| {
                if let Some(features) = features {
                    features.add_to(&mut batch, &chosen(place));
                }
                batch
            };
            // The next step's batch, or why there is none, where it was there already while the device computed.
            let mut ahead: Option<Result<Batch, FeedError>> = None;
            for place in self.state.done_in_epoch..steps {
                let micro: Vec<u64> = (place * accumulate..((place + 1) * accumulate).min(per_epoch)).collect();
                let begun = Instant::now();
                let mut made = Vec::with_capacity(micro.len());
                for place in &micro {
                    made.push(match ahead.take() {
                        Some(batch) => batch?,
                        None => {
                            let received = receiver.recv();
                            let received =
                                received.map_err(|_| TrainError::Usage("the thread that reads data has died".to_owned()))?;
                            whole(self.features.as_ref(), received?, *place)
                        }
                    });
                }
                self.clock.waited += begun.elapsed().as_secs_f64();
                let keys: Vec<RunKey> = micro.iter().map(|place| key(*place)).collect();
                let next = |features: Option<&FeatureStore>| match receiver.try_recv().ok()? {
                    Ok(batch) => Some((key(place + 1), whole(features, batch, place + 1))),
                    Err(error) => {
                        ahead = Some(Err(error));
                        None
                    }
                };
                let next = (accumulate == 1 && place + 1 < steps).then_some(next);
                let (goes_on, batch) = self.step(&made, &keys, steps, next)?;
                if !goes_on {
                    return Ok(true);
                }
                ahead = ahead.or(batch.map(Ok));
                self.clock.total += begun.elapsed().as_secs_f64();
                let every = self.train.checkpoint_steps;
                if every > 0 && self.state.step.is_multiple_of(every) && self.state.done_in_epoch < steps {
                    self.save()?;
                }
                if self.request.interrupt.requested() && self.state.done_in_epoch < steps {
                    return Ok(false);
                }
            }
            self.end_epoch(feed)?;
            Ok(!self.request.interrupt.requested() || self.state.finished || self.state.epoch >= self.train.epochs)
        })
    }

    /// One step, and the next one's batch where `next` gave it. `false` where training was rewound, so that the epoch begins again.
    fn step(
        &mut self,
        batches: &[Batch],
        keys: &[RunKey],
        steps: u64,
        next: Option<impl FnOnce(Option<&FeatureStore>) -> Option<(RunKey, Batch)>>,
    ) -> Result<(bool, Option<Batch>)> {
        let number = self.state.step + 1;
        let mut rate = self.schedule.rate(self.train.optimizer.learning_rate(), self.state.step);
        if let Some(plateau) = &self.state.plateau {
            rate = plateau.rate(rate);
        }
        let features = self.features.as_ref();
        let (result, next) = self.stepper.step(number, rate, batches, keys, || next?(features))?;
        self.clock.stepped += result.seconds;
        if !result.is_finite && !self.bear(batches, keys, result.loss)? {
            return Ok((false, None));
        }
        if result.is_finite {
            self.state.loss_sum += result.loss;
            self.state.loss_count += 1;
        }
        self.state.step = number;
        self.state.done_in_epoch += 1;
        let samples = (batches.len() * self.batch) as u64;
        self.progress.step(Step { step: number, epoch: self.state.epoch, loss: result.loss, rate, samples });
        let every = steps.div_ceil(10).max(1);
        if self.state.done_in_epoch.is_multiple_of(every) && self.state.done_in_epoch < steps {
            let mut values = vec![("train/step_loss".to_owned(), result.loss), ("train/lr".to_owned(), rate)];
            values.extend(result.gradient_norm.map(|norm| ("train/gradient_norm".to_owned(), norm)));
            self.record(values.into_iter().collect())?;
        }
        Ok((true, next))
    }

    /// What happens at numbers that are not finite. `true` where the step is left out; `false` where training was rewound.
    fn bear(&mut self, batches: &[Batch], keys: &[RunKey], loss: f64) -> Result<bool> {
        let what = if loss.is_finite() { "a gradient" } else { "the loss" };
        let step = self.state.step + 1;
        let stop = |this: &mut Self| {
            let traced = batches.iter().zip(keys).find_map(|(batch, key)| this.stepper.trace(batch, *key));
            let place = traced.map_or_else(String::new, |sentence| format!("; the first bad value: {sentence}"));
            let help = "a smaller learning rate or clip_norm often mends it; `nonfinite: Skip(n)` leaves such steps out";
            Err(TrainError::NonFinite(format!("{what} of step {step} is not finite{place}\nhelp: {help}")))
        };
        match self.train.nonfinite {
            Nonfinite::Stop => stop(self),
            Nonfinite::Skip(allowed) if self.state.skipped >= allowed => stop(self),
            Nonfinite::Rewind(allowed) if self.state.rewinds >= allowed => stop(self),
            Nonfinite::Skip(_) => {
                self.state.skipped += 1;
                self.progress.warning(&format!("{what} of step {step} is not finite: the step is left out"));
                Ok(true)
            }
            Nonfinite::Rewind(_) => {
                let rewinds = self.state.rewinds + 1;
                self.state = load_last(&self.run.checkpoint_path(Checkpoint::Last), self.stepper.plan_mut())?;
                self.state.rewinds = rewinds;
                self.log = MetricsLog::open(self.request.storage.clone(), self.run.path(), self.state.step)?;
                let sentence = format!(
                    "{what} of step {step} is not finite: goes on from step {} with other random numbers",
                    self.state.step
                );
                self.progress.warning(&sentence);
                Ok(false)
            }
        }
    }

    /// Appends to the logs.
    fn record(&mut self, values: IndexMap<String, f64>) -> Result<()> {
        self.events.scalars(self.state.step, now(), values.iter().map(|(name, value)| (name.as_str(), *value)))?;
        Ok(self.log.append(Record { step: self.state.step, epoch: self.state.epoch, values })?)
    }

    /// Makes the logs durable, then the checkpoint.
    fn save(&mut self) -> Result<()> {
        self.log.sync()?;
        self.events.sync()?;
        save_last(&self.run, self.stepper.plan(), &self.state)
    }
}

/// The outcome of a run that goes on some other time.
fn interrupted(run: &RunDirectory, state: &LoopState) -> Outcome {
    Outcome {
        directory: run.path().to_owned(),
        interrupted: true,
        metrics: IndexMap::new(),
        best_epoch: state.best.map_or(0, |(_, epoch)| epoch),
    }
}

/// Seconds since 1970, for curves.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
