//! The end of an epoch, and of the run: validation, checkpoints, and what is written at last.

use indexmap::IndexMap;

use super::super::checkpoint::{load_weights, save};
use super::super::error::Result;
use super::super::labelled::{MAPS, write_maps};
use super::super::measure::measure_all;
use super::super::output::{prediction_rows, write_predictions};
use super::super::predictions::{Predictions, invert};
use super::{Outcome, Trainer};
use crate::experiment::spec::Schedule as WrittenSchedule;
use crate::feed::Feed;
use crate::rundir::{Checkpoint, State, checkpoint_path};
use crate::schedule::Verdict;

/// What an evaluation of the validation rows gives.
struct Validated {
    predictions: Predictions,
    values: IndexMap<String, f64>,
    reasons: Vec<String>,
    maps: IndexMap<String, Vec<Vec<f32>>>,
}

impl Trainer<'_> {
    /// Validates, logs, saves, and decides whether training ends.
    pub(super) fn end_epoch(&mut self, feed: &Feed<'_>) -> Result<()> {
        let rate = self.schedule.rate(self.train.optimizer.learning_rate(), self.state.step.saturating_sub(1));
        let mut values: IndexMap<String, f64> = IndexMap::new();
        values.insert("train/loss".to_owned(), self.state.loss_sum / self.state.loss_count.max(1) as f64);
        values.insert("train/lr".to_owned(), self.state.plateau.as_ref().map_or(rate, |plateau| plateau.rate(rate)));
        self.evaluator.set_weights(self.stepper.weights()?)?;
        let Validated { values: measured, reasons, .. } = self.validate(feed)?;
        for reason in reasons {
            self.progress.warning(&format!("no value for {reason}"));
        }
        values.extend(measured);
        let epoch = self.state.epoch;
        let watched = |name: &str| values.get(name).copied().unwrap_or(f64::NAN);
        let (name, direction) = (self.best.0.clone(), self.best.1);
        let value = watched(&name);
        let is_better = match self.state.best {
            None => value.is_finite(),
            Some((best, _)) => direction.improves(value, best, 0.0),
        };
        if let (Some(plateau), WrittenSchedule::Plateau { metric, .. }) = (&mut self.state.plateau, &self.train.schedule)
            && plateau.observe(watched(&metric.value))
        {
            self.progress.message("the metric stands still: the learning rate falls");
        }
        let mut ends = false;
        if let (Some(stopping), Some(stop)) = (&mut self.state.stopping, &self.train.stop) {
            ends = stopping.observe(watched(&stop.metric.value)) == Verdict::Stop;
        }
        if ends {
            self.progress.message(&format!(
                "no improvement for {} epochs: training ends",
                self.train.stop.as_ref().map_or(0, |stop| stop.patience)
            ));
        }
        self.progress.metrics(epoch, values.iter().map(|(name, value)| (name.as_str(), *value)));
        self.record(values)?;
        self.state.epoch += 1;
        self.state.done_in_epoch = 0;
        (self.state.loss_sum, self.state.loss_count) = (0.0, 0);
        self.state.finished = ends;
        if is_better || self.state.best.is_none() {
            // An infinite value has no place in a checkpoint's JSON, and says no more than none.
            self.state.best = value.is_finite().then_some((value, epoch));
            save(&self.run, Checkpoint::Best, &self.stepper.weights()?, &self.state)?;
        }
        self.save()
    }

    /// Predictions, losses and metrics of the validation rows.
    fn validate(&mut self, feed: &Feed<'_>) -> Result<Validated> {
        let joined = self.request.joined;
        let rows = &self.prepared.split().validation;
        let raw = self.evaluator.run_with(feed, rows, None, self.features.as_ref())?;
        let predictions = invert(&joined.data, &self.prepared.fitted, &raw);
        let mut values: IndexMap<String, f64> = raw.losses.iter().map(|(name, value)| (format!("val/{name}"), *value)).collect();
        let (metrics, reasons) = measure_all(joined, &predictions, &self.labels, rows);
        values.extend(metrics.into_iter().map(|(name, value)| (format!("val/{name}"), value)));
        Ok(Validated { predictions, values, reasons, maps: raw.maps })
    }

    /// Writes the predictions of the best epoch.
    pub(super) fn finish(&mut self) -> Result<Outcome> {
        let joined = self.request.joined;
        let best = checkpoint_path(self.run.path(), Checkpoint::Best);
        self.evaluator.set_weights(load_weights(&best, joined, &self.prepared.fitted)?)?;
        let inputs = self.inputs.clone();
        let feed = Feed::new(&joined.data, &inputs, &self.prepared.encoded, self.train.seed, 0);
        let Validated { predictions, values, maps, .. } = self.validate(&feed)?;
        let rows = &self.prepared.split().validation;
        let table = prediction_rows(joined, &self.prepared.loaded.table, &predictions, &self.labels, rows);
        write_predictions(&self.run.path().join("predictions.csv"), &table)?;
        if !maps.is_empty() {
            write_maps(&self.run.path().join(MAPS), rows, &maps)?;
        }
        // After a resume, the time of the steps before is taken to be that of the steps since.
        let steps = self.state.step - self.first_step;
        let seconds = (steps > 0).then(|| self.started.elapsed().as_secs_f64() * self.state.step as f64 / steps as f64);
        let features = self.features.as_ref().map(|features| features.count);
        self.run.write_json(
            "timing.json",
            &serde_json::json!({ "version": 1, "seconds": seconds, "steps": self.state.step, "features": features }),
        )?;
        let best_epoch = self.state.best.map_or(0, |(_, epoch)| epoch);
        let finite: IndexMap<&String, Option<f64>> =
            values.iter().map(|(name, value)| (name, value.is_finite().then_some(*value))).collect();
        self.run.write_json(
            "results.json",
            &serde_json::json!({ "version": 1, "best_epoch": best_epoch, "watched": self.best.0, "metrics": finite }),
        )?;
        self.run.set_state(State::Finished)?;
        self.progress.finish();
        if self.request.profile {
            self.report_time();
        }
        Ok(Outcome { directory: self.run.path().to_owned(), interrupted: false, metrics: values, best_epoch })
    }

    /// Says which side waits.
    fn report_time(&mut self) {
        self.progress.message(&self.clock.sentence());
        self.progress.message(&crate::cli::profile_text(&self.stepper.profile()));
    }
}
