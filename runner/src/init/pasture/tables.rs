//! The tables of the competition: one line for each sample and target.

use super::super::{DrawError, NewFile};
use super::survey::{Missing, Quadrat, Survey};
use crate::table::{Cell, to_csv};

/// The targets, in the order of the lines of one sample.
pub const TARGETS: [&str; 5] = ["Dry_Clover_g", "Dry_Dead_g", "Dry_Green_g", "Dry_Total_g", "GDM_g"];

/// `train.csv`, `test.csv` and `test_truth.csv`, which the competition keeps.
pub fn tables(survey: &Survey) -> Result<Vec<NewFile>, DrawError> {
    let side = |is_test: bool| survey.quadrats.iter().filter(move |quadrat| survey.visits[quadrat.visit].is_test == is_test);
    let train = to_csv(
        "train.csv",
        &[
            "sample_id",
            "image_path",
            "Sampling_Date",
            "State",
            "Species",
            "Pre_GSHH_NDVI",
            "Height_Ave_cm",
            "target_name",
            "target",
        ],
        texts(side(false).flat_map(|quadrat| {
            let visit = &survey.visits[quadrat.visit];
            TARGETS.iter().zip(values(quadrat)).map(move |(target, value)| {
                vec![
                    sample_id(quadrat, target),
                    quadrat.image_path(visit),
                    visit.date.clone(),
                    visit.state.name.to_owned(),
                    visit.mixture.name.to_owned(),
                    decimal(quadrat.ndvi_hundredths as u64, 2),
                    decimal((quadrat.height_thirds * 10_000 + 1) / 3, 4),
                    (*target).to_owned(),
                    value.map_or_else(String::new, |value| decimal(value, 4)),
                ]
            })
        }))
        .iter()
        .map(|row| row.iter().map(|text| Cell::Text(text))),
    )?;
    let test = to_csv(
        "test.csv",
        &["sample_id", "image_path", "target_name"],
        texts(side(true).flat_map(|quadrat| {
            let path = quadrat.image_path(&survey.visits[quadrat.visit]);
            TARGETS.iter().map(move |target| vec![sample_id(quadrat, target), path.clone(), (*target).to_owned()])
        }))
        .iter()
        .map(|row| row.iter().map(|text| Cell::Text(text))),
    )?;
    let truth = to_csv(
        "test_truth.csv",
        &["sample_id", "target"],
        texts(side(true).flat_map(|quadrat| {
            TARGETS.iter().zip(values(quadrat)).map(move |(target, value)| {
                vec![sample_id(quadrat, target), value.map_or_else(String::new, |value| decimal(value, 4))]
            })
        }))
        .iter()
        .map(|row| row.iter().map(|text| Cell::Text(text))),
    )?;
    let file = |name: &str, bytes| NewFile { path: format!("data/{name}"), bytes };
    Ok(vec![file("train.csv", train), file("test.csv", test), file("test_truth.csv", truth)])
}

fn texts(rows: impl Iterator<Item = Vec<String>>) -> Vec<Vec<String>> {
    rows.collect()
}

fn sample_id(quadrat: &Quadrat, target: &str) -> String {
    format!("ID{}__{target}", quadrat.number)
}

/// The weighed masses in the order of [`TARGETS`], in units of 0.0001 g; `None` where it was not weighed.
fn values(quadrat: &Quadrat) -> [Option<u64>; 5] {
    let measured = &quadrat.measured;
    let gdm = measured.green + measured.clover;
    let is_sorted = quadrat.missing != Missing::NothingSorted;
    let is_split = quadrat.missing == Missing::Nothing;
    [
        is_split.then_some(measured.clover),
        is_sorted.then_some(measured.dead),
        is_split.then_some(measured.green),
        Some(gdm + measured.dead),
        is_sorted.then_some(gdm),
    ]
}

/// A number of units of `10^-digits` as the competition writes it: without zeros at the end, but with one digit after the point.
pub fn decimal(units: u64, digits: u32) -> String {
    let scale = 10_u64.pow(digits);
    let text = format!("{}.{:0width$}", units / scale, units % scale, width = digits as usize);
    let trimmed = text.trim_end_matches('0');
    if trimmed.ends_with('.') { format!("{trimmed}0") } else { trimmed.to_owned() }
}
