//! The report of an ablation.

use std::path::Path;

use super::parts::{configuration, environment, epoch_records, graph, section, shown};
use super::run::file_name;
use crate::ablate::{Comparison, Plan, collect};
use crate::plain::counted;
use crate::report::{Ablation, Arm, Content, Curve, CurvePanel, Report, Table};
use crate::rundir::{Description, Standing};
use crate::train::{OpenedRun, TrainError};

/// More curves than there are colours hide each other.
const CURVES: usize = 6;

/// The report of an ablation, finished or not.
///
/// # Errors
/// A directory that is none, or of another version.
pub fn report(path: &Path) -> Result<Report, TrainError> {
    let plan = Plan::read(path)?;
    let comparison = collect(path, &plan)?;
    let is_whole = comparison.finished == comparison.of;
    let warning = (!is_whole).then(|| {
        format!(
            "Not finished: {} of {} jobs are done. Arms with a missing job have no effect yet.",
            comparison.finished, comparison.of
        )
    });
    let base = comparison.arms.first();
    let best = comparison
        .arms
        .iter()
        .skip(1)
        .filter_map(|arm| Some((arm, arm.effect?.estimate)))
        .max_by(|a, b| if plan.larger_is_better { a.1.total_cmp(&b.1) } else { b.1.total_cmp(&a.1) });
    let mut summary = vec![
        (format!("base, {}", plan.metric), shown(base.and_then(|base| base.value))),
        ("jobs".to_owned(), format!("{} of {}", comparison.finished, comparison.of)),
        ("samples".to_owned(), comparison.samples.to_string()),
    ];
    if let Some((arm, effect)) = best {
        let is_better = if plan.larger_is_better { effect > 0.0 } else { effect < 0.0 };
        let text = if is_better { format!("{} ({})", arm.name, shown(Some(effect))) } else { "the base".to_owned() };
        summary.push(("best".to_owned(), text));
    }
    let mut sections = Vec::new();
    if comparison.arms.len() > 1 {
        let note = sentence(&comparison);
        sections.push(section("Effects", &note, Content::Ablation(intervals(&comparison))));
    }
    sections.push(section("Arms", "What each arm changes: - removed, + added, ~ changed.", Content::Table(arms(&comparison))));
    let curves = curves(path, &plan);
    if curves.iter().any(|panel| !panel.curves.is_empty()) {
        let arms = if plan.arms.len() > CURVES { format!("the first {CURVES} arms") } else { "each arm".to_owned() };
        sections.push(section("Learning curves", &format!("The first seed and fold of {arms}."), Content::Curves(curves)));
    }
    let first = plan.jobs().into_iter().map(|job| path.join(&job.directory));
    if let Some(own) = first.into_iter().find(|own| Standing::of(own).is_ok_and(|standing| standing != Standing::Absent)) {
        let run = OpenedRun::open(&own)?;
        let description = Description::read(&own)?;
        sections.push(graph(&run.joined));
        sections.push(configuration(&own, &description.overrides));
        sections.push(environment(&own, Some(&description)));
    }
    Ok(Report {
        title: plan.name.clone(),
        subtitle: format!(
            "Ablation {}: {}, {}, {}.",
            file_name(path),
            counted(plan.arms.len(), "arm"),
            counted(plan.seeds.len(), "seed"),
            counted(plan.folds.len(), "fold")
        ),
        warning,
        summary,
        sections,
    })
}

/// What effects are made of, as a sentence of its own.
fn sentence(comparison: &Comparison) -> String {
    let basis = comparison.basis();
    let mut letters = basis.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

fn intervals(comparison: &Comparison) -> Ablation {
    Ablation {
        metric: comparison.metric.clone(),
        larger_is_better: comparison.larger_is_better,
        base: comparison.arms[0].value.unwrap_or(f64::NAN),
        arms: comparison
            .arms
            .iter()
            .skip(1)
            .map(|arm| Arm {
                name: arm.name.clone(),
                effect: arm.effect,
                seeds: arm.effects.clone(),
                parameters: arm.parameters,
                flops: arm.flops,
                seconds: arm.seconds,
            })
            .collect(),
    }
}

fn arms(comparison: &Comparison) -> Table {
    let head = ["arm", "jobs", "value", "change"].map(str::to_owned).to_vec();
    let row = |arm: &crate::ablate::ArmResult| {
        vec![arm.name.clone(), format!("{}/{}", arm.finished, arm.of), shown(arm.value), arm.explanation.clone()]
    };
    Table { head, rows: comparison.arms.iter().map(row).collect() }
}

/// The metric and the training loss of each arm's first job.
fn curves(path: &Path, plan: &Plan) -> Vec<CurvePanel> {
    let jobs = plan.jobs();
    let own = |measure: &str| CurvePanel {
        title: measure.trim_start_matches("val/").to_owned(),
        horizontal: "epoch".to_owned(),
        curves: plan
            .arms
            .iter()
            .enumerate()
            .take(CURVES)
            .filter_map(|(number, arm)| {
                let job = jobs.iter().find(|job| job.arm == number)?;
                let records = epoch_records(&path.join(&job.directory));
                let point = |record: &crate::rundir::Record| Some(((record.epoch + 1) as f64, *record.values.get(measure)?));
                let points: Vec<(f64, f64)> = records.iter().filter_map(point).collect();
                (!points.is_empty()).then(|| Curve { name: arm.name.clone(), points })
            })
            .collect(),
    };
    vec![own(&plan.metric), own("train/loss")]
}
