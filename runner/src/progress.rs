//! What a person sees while a run goes on: on stderr, a bar on a terminal only, else a line now and then.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, with an `event` field.
    Json,
}

/// What is shown and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verbosity {
    /// Nothing but warnings.
    pub quiet: bool,
    /// How it is written.
    pub format: LogFormat,
}

/// The state of a run after one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Steps done, over the whole run.
    pub step: u64,
    /// The current epoch, counted from 0.
    pub epoch: u64,
    /// The loss of this step.
    pub loss: f64,
    /// The learning rate of this step.
    pub rate: f64,
    /// The samples of this step.
    pub samples: u64,
}

/// How long lines that are not drawn over each other wait.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Shows the progress of a run.
pub struct Progress {
    sink: Sink,
    meter: Meter,
    total: u64,
    epochs: u64,
    start: Instant,
    last_line: Option<Instant>,
}

enum Sink {
    Bar(ProgressBar),
    /// Lines to a writer: stderr, or a buffer in tests.
    Lines(Box<dyn Write + Send>, LogFormat),
    Quiet,
}

impl Progress {
    /// Begins to show a run of `total` steps and `epochs` epochs, of which `done` steps were made before.
    pub fn new(verbosity: Verbosity, total: u64, epochs: u64, done: u64) -> Self {
        let sink = match verbosity {
            Verbosity { quiet: true, .. } => Sink::Quiet,
            Verbosity { format: LogFormat::Json, .. } => Sink::Lines(Box::new(std::io::stderr()), LogFormat::Json),
            _ if std::io::stderr().is_terminal() => Sink::Bar(bar(total, done)),
            _ => Sink::Lines(Box::new(std::io::stderr()), LogFormat::Text),
        };
        Self::with_sink(sink, total, epochs, done)
    }

    fn with_sink(sink: Sink, total: u64, epochs: u64, done: u64) -> Self {
        Self { sink, meter: Meter::new(done), total, epochs, start: Instant::now(), last_line: None }
    }

    /// Takes in one step. Cheap enough to be called after each.
    pub fn step(&mut self, step: Step) {
        self.meter.observe(self.start.elapsed().as_secs_f64(), step.step, step.samples);
        let speed = self.meter.samples_per_second();
        let left = self.meter.seconds_left(self.total);
        let (epochs, total) = (self.epochs, self.total);
        match &mut self.sink {
            Sink::Quiet => {}
            Sink::Bar(bar) => {
                bar.set_position(step.step);
                bar.set_message(text(&step, epochs, speed, left));
            }
            Sink::Lines(writer, format) => {
                let is_due = self.last_line.is_none_or(|last| last.elapsed() >= LINE_INTERVAL);
                if !is_due && step.step < total {
                    return;
                }
                self.last_line = Some(Instant::now());
                let line = match format {
                    LogFormat::Text => format!("step {}/{total}  {}", step.step, text(&step, epochs, speed, left)),
                    LogFormat::Json => json!({
                        "event": "progress", "step": step.step, "steps": total, "epoch": step.epoch,
                        "loss": finite(step.loss), "lr": step.rate, "samples_per_second": speed, "seconds_left": left,
                    })
                    .to_string(),
                };
                put_line(writer, &line);
            }
        }
    }

    /// Takes in that `done` of the total are made, where there is no loss to show; `unit` names them, in plural.
    pub fn count(&mut self, done: u64, unit: &str) {
        self.meter.observe(self.start.elapsed().as_secs_f64(), done, done.saturating_sub(self.meter.last_step));
        let (speed, left, total) = (self.meter.samples_per_second(), self.meter.seconds_left(self.total), self.total);
        let text = rest_text(speed, unit, left);
        match &mut self.sink {
            Sink::Quiet => {}
            Sink::Bar(bar) => {
                bar.set_position(done);
                bar.set_message(text);
            }
            Sink::Lines(writer, format) => {
                let is_due = self.last_line.is_none_or(|last| last.elapsed() >= LINE_INTERVAL);
                if !is_due && done < total {
                    return;
                }
                self.last_line = Some(Instant::now());
                let line = match format {
                    LogFormat::Text => format!("{done}/{total}{text}"),
                    LogFormat::Json => json!({
                        "event": "count", "done": done, "total": total, "unit": unit, "per_second": speed, "seconds_left": left,
                    })
                    .to_string(),
                };
                put_line(writer, &line);
            }
        }
    }

    /// Shows metrics of an epoch, or any other named numbers.
    pub fn metrics<'m>(&mut self, epoch: u64, values: impl IntoIterator<Item = (&'m str, f64)>) {
        let values: Vec<(&str, f64)> = values.into_iter().collect();
        if matches!(self.sink, Sink::Lines(_, LogFormat::Json)) {
            let map: serde_json::Map<_, _> =
                values.iter().map(|(name, value)| ((*name).to_owned(), json!(finite(*value)))).collect();
            self.raw(&json!({ "event": "metrics", "epoch": epoch, "values": map }).to_string());
        } else {
            let parts: Vec<String> = values.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
            self.raw(&format!("epoch {}/{}  {}", epoch + 1, self.epochs, parts.join("  ")));
        }
    }

    /// Shows a sentence about the run.
    pub fn message(&mut self, sentence: &str) {
        match &self.sink {
            Sink::Lines(_, LogFormat::Json) => self.raw(&json!({ "event": "message", "text": sentence }).to_string()),
            _ => self.raw(sentence),
        }
    }

    /// Shows a warning, even in a quiet run.
    pub fn warning(&mut self, sentence: &str) {
        match &mut self.sink {
            Sink::Quiet => put_line(&mut std::io::stderr(), &format!("warning: {sentence}")),
            Sink::Lines(writer, LogFormat::Json) => {
                put_line(writer, &json!({ "event": "warning", "text": sentence }).to_string());
            }
            _ => self.raw(&format!("warning: {sentence}")),
        }
    }

    /// Takes the bar away.
    pub fn finish(&mut self) {
        if let Sink::Bar(bar) = &self.sink {
            bar.finish_and_clear();
        }
    }

    fn raw(&mut self, line: &str) {
        match &mut self.sink {
            Sink::Quiet => {}
            Sink::Bar(bar) => bar.suspend(|| put_line(&mut std::io::stderr(), line)),
            Sink::Lines(writer, _) => put_line(writer, line),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

fn bar(total: u64, done: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(8));
    let style = ProgressStyle::with_template("{bar:24} {pos}/{len}  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_position(done);
    bar
}

/// A closed pipe must not end a run that trains well.
fn put_line(writer: &mut dyn Write, line: &str) {
    let _ = writeln!(writer, "{line}");
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

fn text(step: &Step, epochs: u64, speed: Option<f64>, left: Option<f64>) -> String {
    let text = format!("epoch {}/{epochs}  loss {:.4}  lr {:.2e}", step.epoch + 1, step.loss, step.rate);
    text + &rest_text(speed, "samples", left)
}

/// Speed and time left, as far as they are known, each with two spaces before it.
fn rest_text(speed: Option<f64>, unit: &str, left: Option<f64>) -> String {
    let mut text = String::new();
    if let Some(speed) = speed {
        text += &format!("  {speed:.*} {unit}/s", usize::from(speed < 10.0));
    }
    if let Some(left) = left {
        text += &format!("  {} left", duration(left));
    }
    text
}

/// `3 s`, `2 min 05 s`, `1 h 04 min`.
fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Speed over the last few seconds. It takes times instead of looking at a clock.
#[derive(Debug, Clone)]
pub struct Meter {
    last_seconds: f64,
    last_step: u64,
    seconds: f64,
    steps: f64,
    samples: f64,
}

impl Meter {
    /// How long, in seconds, an observation counts until it has faded to a third.
    const MEMORY: f64 = 10.0;

    /// Before the first step of this process.
    pub fn new(done: u64) -> Self {
        Self { last_seconds: 0.0, last_step: done, seconds: 0.0, steps: 0.0, samples: 0.0 }
    }

    /// Takes in a step that ended at `seconds` after the start.
    pub fn observe(&mut self, seconds: f64, step: u64, samples: u64) {
        let passed = (seconds - self.last_seconds).max(0.0);
        let fade = (-passed / Self::MEMORY).exp();
        self.seconds = self.seconds * fade + passed;
        self.steps = self.steps * fade + step.saturating_sub(self.last_step) as f64;
        self.samples = self.samples * fade + samples as f64;
        self.last_seconds = seconds;
        self.last_step = step;
    }

    /// Samples a second, once some time has passed.
    pub fn samples_per_second(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.samples / self.seconds)
    }

    /// The seconds that the rest of `total` steps will take.
    pub fn seconds_left(&self, total: u64) -> Option<f64> {
        let is_known = self.seconds > 0.0 && self.steps > 0.0;
        is_known.then(|| total.saturating_sub(self.last_step) as f64 * self.seconds / self.steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn lines(format: LogFormat, act: impl FnOnce(&mut Progress)) -> Vec<String> {
        let buffer = Buffer::default();
        let sink = Sink::Lines(Box::new(buffer.clone()), format);
        act(&mut Progress::with_sink(sink, 20, 2, 0));
        let bytes = buffer.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(Into::into).collect()
    }

    fn step(step: u64) -> Step {
        Step { step, epoch: step / 11, loss: 0.25, rate: 3e-4, samples: 16 }
    }

    #[test]
    fn without_a_terminal_the_first_and_the_last_step_make_a_line() {
        let lines = lines(LogFormat::Text, |progress| {
            (1..=20).for_each(|at| progress.step(step(at)));
            progress.metrics(1, [("val/r2_score", 0.5)]);
            progress.message("saved");
        });
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!(lines[0].starts_with("step 1/20  epoch 1/2  loss 0.2500  lr 3.00e-4"), "{}", lines[0]);
        assert!(lines[1].starts_with("step 20/20  epoch 2/2"));
        assert_eq!(lines[2], "epoch 2/2  val/r2_score 0.5000");
        assert_eq!(lines[3], "saved");
    }

    #[test]
    fn counts_make_a_first_and_a_last_line() {
        let text = lines(LogFormat::Text, |progress| (1..=20).for_each(|done| progress.count(done, "pictures")));
        assert_eq!(text.len(), 2, "{text:?}");
        assert!(text[0].starts_with("1/20  ") && text[0].contains(" pictures/s  "), "{}", text[0]);
        assert!(text[1].starts_with("20/20  ") && text[1].ends_with("0 s left"), "{}", text[1]);
        let json = lines(LogFormat::Json, |progress| progress.count(20, "pictures"));
        let value: serde_json::Value = serde_json::from_str(&json[0]).unwrap();
        assert_eq!((&value["event"], &value["done"], &value["total"]), (&json!("count"), &json!(20), &json!(20)));
    }

    #[test]
    fn json_lines_are_json_whatever_the_loss() {
        let lines = lines(LogFormat::Json, |progress| {
            progress.step(Step { loss: f64::NAN, ..step(1) });
            progress.metrics(0, [("val/a", f64::INFINITY)]);
            progress.warning("a \"quoted\" word");
        });
        let values: Vec<serde_json::Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&values[0]["event"], &values[0]["loss"]), (&json!("progress"), &json!(null)));
        assert_eq!(values[1]["values"]["val/a"], json!(null));
        assert_eq!(values[2], json!({ "event": "warning", "text": "a \"quoted\" word" }));
    }

    #[test]
    fn the_meter_knows_speed_and_rest_and_forgets_a_pause() {
        let mut meter = Meter::new(100);
        assert_eq!(meter.seconds_left(200), None);
        for at in 1..=50 {
            meter.observe(f64::from(at) * 0.5, 100 + at as u64, 8);
        }
        assert!((meter.samples_per_second().unwrap() - 16.0).abs() < 1e-9);
        assert!((meter.seconds_left(200).unwrap() - 25.0).abs() < 1e-9);
        meter.observe(625.0, 151, 8);
        for at in 1..=200 {
            meter.observe(625.0 + f64::from(at) * 0.5, 151 + at as u64, 8);
        }
        assert!((meter.samples_per_second().unwrap() - 16.0).abs() < 0.5);
    }

    #[test]
    fn durations_read_well() {
        let texts: Vec<String> = [0.4, 59.4, 125.0, 3840.0, 90_000.0].into_iter().map(duration).collect();
        assert_eq!(texts, ["0 s", "59 s", "2 min 05 s", "1 h 04 min", "25 h 00 min"]);
    }
}
