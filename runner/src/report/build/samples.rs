//! The samples with the largest and the smallest errors.

use super::parts::{error_sums, errors, section};
use super::photographs::photographs;
use crate::experiment::Joined;
use crate::feed::Labels;
use crate::report::{Content, Sample, Section, Table};
use crate::train::{FieldPrediction, Labelled, OpenedRun};

/// How many samples a gallery shows.
const SHOWN: usize = 6;

/// Worst and best samples: with their photographs where there are some, else as tables. The second value tells why photographs are missing.
pub fn samples(run: &OpenedRun, all: &Labelled) -> (Vec<Section>, Option<String>) {
    let errors = errors(all);
    let mut order: Vec<usize> = (0..all.rows.len()).filter(|row| errors[*row].is_some()).collect();
    order.sort_by(|a, b| errors[*b].unwrap_or(0.0).total_cmp(&errors[*a].unwrap_or(0.0)).then(a.cmp(b)));
    let worst: Vec<usize> = order.iter().copied().take(SHOWN).collect();
    // A row of which little is known is easily right: the best are chosen among those with all labels, where there are any.
    let known: Vec<usize> = error_sums(all).into_iter().map(|(_, count)| count).collect();
    let complete = known.iter().copied().max().unwrap_or(0);
    let is_complete = |row: &usize| known[*row] == complete && !worst.contains(row);
    let best: Vec<usize> = order.iter().rev().copied().filter(is_complete).take(SHOWN).collect();
    let has_pictures = run.joined.data.fields.values().any(|field| field.transform.is_some());
    let chosen: Vec<usize> = worst.iter().chain(&best).copied().collect();
    let (mut pictures, reason) = match has_pictures.then(|| photographs(run, all, &chosen)) {
        Some(Ok(pictures)) if pictures.len() == chosen.len() => (Some(pictures.into_iter()), None),
        Some(Err(error)) => (None, Some(format!("The photographs cannot be shown: {error}."))),
        _ => (None, None),
    };
    let mut sections = Vec::new();
    for (title, note, chosen) in [
        (
            "Worst samples",
            "The largest errors, in spreads of the labels (of classes and presence: one minus the probability of what is true). True value → prediction.",
            worst,
        ),
        ("Best samples", "The smallest errors. True value → prediction.", best),
    ] {
        if chosen.is_empty() {
            continue;
        }
        let content = match &mut pictures {
            Some(pictures) => Content::Gallery(
                chosen
                    .iter()
                    .zip(pictures)
                    .map(|(&position, (picture, tiles))| Sample {
                        name: all.samples[position].clone(),
                        picture,
                        tiles,
                        facts: facts(&run.joined, all, position, errors[position]),
                    })
                    .collect(),
            ),
            None => table(&run.joined, all, &chosen, &errors),
        };
        sections.push(section(title, note, content));
    }
    (sections, reason)
}

/// What was true and what was predicted.
fn facts(joined: &Joined, all: &Labelled, position: usize, error: Option<f64>) -> Vec<(String, String)> {
    let number = crate::report::plot::number;
    let mut facts = Vec::new();
    for (field, prediction) in &all.predictions {
        match (prediction, &all.labels[field]) {
            (
                FieldPrediction::Numbers(columns) | FieldPrediction::Present(columns),
                Labels::Numbers(known) | Labels::Present(known),
            ) => {
                for (name, numbers) in known {
                    let Some(values) = columns.get(name) else { continue };
                    let truth = match numbers.observed[position] {
                        true => number(numbers.values[position]),
                        false => "unknown".to_owned(),
                    };
                    let is_presence = matches!(prediction, FieldPrediction::Present(_));
                    let name = if is_presence { format!("presence of {name}") } else { name.clone() };
                    facts.push((name, format!("{truth} → {}", number(values[position]))));
                }
            }
            (FieldPrediction::Classes(values, classes), Labels::Classes(known, _)) => {
                let row = &values[position * classes.len()..(position + 1) * classes.len()];
                let best = (0..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best });
                let truth = known[position].map_or("unknown", |class| classes[class].as_str());
                facts.push((field.clone(), format!("{truth} → {} ({:.0} %)", classes[best], 100.0 * row[best])));
            }
            _ => {}
        }
    }
    debug_assert!(!joined.experiment.predictions.is_empty());
    facts.extend(error.map(|error| ("error".to_owned(), number(error))));
    facts
}

fn table(joined: &Joined, all: &Labelled, chosen: &[usize], errors: &[Option<f64>]) -> Content {
    let mut head = vec![if all.id.is_empty() { "sample".to_owned() } else { all.id.clone() }];
    let mut rows = Vec::new();
    for &position in chosen {
        let facts = facts(joined, all, position, errors[position]);
        if head.len() == 1 {
            head.extend(facts.iter().map(|(name, _)| name.clone()));
        }
        let name = match all.samples[position].is_empty() {
            true => format!("row {}", all.rows[position]),
            false => all.samples[position].clone(),
        };
        rows.push(std::iter::once(name).chain(facts.into_iter().map(|(_, value)| value)).collect());
    }
    Content::Table(Table { head, rows })
}
