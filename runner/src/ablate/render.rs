//! A comparison as text, CSV and JSON.

use std::path::Path;

use super::collect::{ArmResult, Comparison};
use crate::rundir::{Disk, write_inside, write_json_inside};
use crate::table::{Cell, to_csv};
use crate::train::TrainError;

impl Comparison {
    /// For people: a line an arm, then what each arm changes.
    pub fn text(&self) -> String {
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.5}"));
        let signed = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:+.5}"));
        let head = ["arm", "jobs", "value", "effect", "low", "high", "seed spread", "parameters", "FLOPs", "seconds"];
        let head: Vec<String> = head.iter().map(|text| (*text).to_owned()).collect();
        let line = |arm: &ArmResult| {
            let count = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
            vec![
                arm.name.clone(),
                format!("{}/{}", arm.finished, arm.of),
                number(arm.value),
                signed(arm.effect.map(|effect| effect.estimate)),
                signed(arm.effect.map(|effect| effect.low)),
                signed(arm.effect.map(|effect| effect.high)),
                number(arm.spread()),
                count(arm.parameters),
                count(arm.flops),
                arm.seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1}")),
            ]
        };
        let lines: Vec<Vec<String>> = self.arms.iter().map(line).collect();
        let mut text = crate::plain::aligned(&head, &lines);
        text += &format!(
            "\n{}: {} is better; {}\n",
            self.metric,
            if self.larger_is_better { "larger" } else { "smaller" },
            self.basis()
        );
        for arm in &self.arms {
            text += &format!("{}: {}\n", arm.name, arm.explanation);
        }
        if self.finished < self.of {
            text += &format!("NOT FINISHED: {} of {} jobs are done\n", self.finished, self.of);
        }
        text
    }

    /// What effects and intervals are made of, as a sentence.
    pub fn basis(&self) -> String {
        let unit = match self.groups.as_slice() {
            [] => "rows".to_owned(),
            groups => format!("whole groups of {}", groups.join(" and ")),
        };
        format!(
            "effects are means over {} {}, paired on {} samples of {} {}; intervals hold 95 % of 2000 resamples of {unit}",
            self.seeds.len(),
            if self.seeds.len() == 1 { "seed" } else { "seeds" },
            self.samples,
            self.folds.len(),
            if self.folds.len() == 1 { "fold" } else { "folds" },
        )
    }

    /// As CSV. Seconds, which no two runs have in common, stand last.
    ///
    /// # Errors
    /// A number that is not finite.
    pub fn csv(&self) -> Result<Vec<u8>, TrainError> {
        let head = [
            "arm",
            "finished",
            "jobs",
            "value",
            "effect",
            "low",
            "high",
            "standard_error",
            "seed_spread",
            "parameters",
            "flops",
            "explanation",
            "seconds",
        ];
        let cell = |value: Option<f64>| value.filter(|value| value.is_finite()).map_or(Cell::Missing, Cell::Number);
        let rows = self.arms.iter().map(|arm| {
            let effect = arm.effect;
            [
                Cell::Text(&arm.name),
                Cell::Number(arm.finished as f64),
                Cell::Number(arm.of as f64),
                cell(arm.value),
                cell(effect.map(|effect| effect.estimate)),
                cell(effect.map(|effect| effect.low)),
                cell(effect.map(|effect| effect.high)),
                cell(effect.map(|effect| effect.standard_error)),
                cell(arm.spread()),
                cell(arm.parameters.map(|count| count as f64)),
                cell(arm.flops.map(|count| count as f64)),
                Cell::Text(&arm.explanation),
                cell(arm.seconds),
            ]
        });
        to_csv("table.csv", &head, rows).map_err(|error| TrainError::Feed(crate::feed::FeedError::Table(error)))
    }

    /// Writes `table.txt`, `table.csv` and `table.json`.
    ///
    /// # Errors
    /// Storage that fails.
    pub fn write(&self, directory: &Path) -> Result<(), TrainError> {
        write_inside(&Disk, directory, Path::new("table.txt"), self.text().as_bytes())?;
        write_inside(&Disk, directory, Path::new("table.csv"), &self.csv()?)?;
        Ok(write_json_inside(&Disk, directory, Path::new("table.json"), self)?)
    }
}
