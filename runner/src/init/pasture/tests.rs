//! What the drawn survey promises.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Drawing;
use super::*;

/// A table by its name: its header and its rows.
fn table(pasture: &Pasture, name: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let tables = pasture.tables().unwrap();
    let file = tables.iter().find(|file| file.path == format!("data/{name}")).unwrap();
    let mut reader = csv::Reader::from_reader(&*file.bytes);
    let cells = |record: &csv::StringRecord| record.iter().map(Into::into).collect::<Vec<String>>();
    let header = cells(reader.headers().unwrap());
    (header, reader.records().map(|record| cells(&record.unwrap())).collect())
}

/// Units of 0.0001 g.
fn units(cell: &str) -> Option<u64> {
    let (whole, rest) = cell.split_once('.')?;
    assert!((1..=4).contains(&rest.len()), "{cell}");
    Some(whole.parse::<u64>().unwrap() * 10_000 + format!("{rest:0<4}").parse::<u64>().unwrap())
}

fn correlation(pairs: &[(f64, f64)]) -> f64 {
    let count = pairs.len() as f64;
    let mean = pairs.iter().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0 / count, sum.1 + pair.1 / count));
    let sum = |of: fn(f64, f64) -> f64| pairs.iter().map(|pair| of(pair.0 - mean.0, pair.1 - mean.1)).sum::<f64>();
    sum(|x, y| x * y) / (sum(|x, _| x * x) * sum(|_, y| y * y)).sqrt()
}

#[test]
fn tables_have_the_columns_and_lines_of_the_competition() {
    let pasture = Pasture::new(60, 1);
    let (header, train) = table(&pasture, "train.csv");
    let columns = "sample_id image_path Sampling_Date State Species Pre_GSHH_NDVI Height_Ave_cm target_name target";
    assert_eq!(header.join(" "), columns);
    let (header, test) = table(&pasture, "test.csv");
    assert_eq!(header, ["sample_id", "image_path", "target_name"]);
    let (header, truth) = table(&pasture, "test_truth.csv");
    assert_eq!(header, ["sample_id", "target"]);
    assert_eq!(train.len() + test.len(), 60 * 5);
    assert!(!test.is_empty() && test.len() < train.len() / 2);
    for (rows, folder, target) in [(&train, "train", 7), (&test, "test", 2)] {
        for (at, row) in rows.iter().enumerate() {
            let (id, name) = row[0].split_once("__").unwrap();
            assert_eq!((name, &*row[target]), (TARGETS[at % 5], TARGETS[at % 5]));
            assert_eq!(row[1], format!("{folder}/{id}.jpg"));
            assert!(id.strip_prefix("ID").is_some_and(|number| number.parse::<u64>().is_ok()));
        }
    }
    let ids: BTreeSet<&String> = train.iter().chain(&test).map(|row| &row[0]).collect();
    assert_eq!(ids.len(), 300, "sample ids are unique");
    assert_eq!(test.iter().map(|row| &row[0]).collect::<Vec<_>>(), truth.iter().map(|row| &row[0]).collect::<Vec<_>>());
    assert!(truth.iter().all(|row| units(&row[1]).is_some()), "what is kept for scoring is complete");
    let paths: BTreeSet<String> = (0..pasture.pictures())
        .map(|index| {
            let quadrat = &pasture.survey().quadrats[index];
            quadrat.image_path(&pasture.survey().visits[quadrat.visit])
        })
        .collect();
    assert_eq!(paths, train.iter().chain(&test).map(|row| row[1].clone()).collect());
}

#[test]
fn sums_hold_to_the_last_digit_wherever_they_are_known() {
    let (_, rows) = table(&Pasture::new(400, 2), "train.csv");
    let mut checked = 0;
    for lines in rows.chunks(5) {
        let [clover, dead, green, total, gdm] = std::array::from_fn(|at| units(&lines[at][8]));
        if let (Some(clover), Some(green)) = (clover, green) {
            assert_eq!(gdm, Some(clover + green));
            checked += 1;
        }
        if let (Some(gdm), Some(dead)) = (gdm, dead) {
            assert_eq!(total, Some(gdm + dead));
        }
        assert!(total.unwrap() > 0);
    }
    assert!(checked > 250);
}

#[test]
fn a_third_of_the_quadrats_has_no_clover_and_few_labels_are_missing_for_a_reason() {
    for seed in 0..8 {
        let (_, rows) = table(&Pasture::new(360, seed), "train.csv");
        let lines: Vec<&[Vec<String>]> = rows.chunks(5).collect();
        let share = |count: usize, all: usize| count as f64 / all as f64;
        let zeros = lines.iter().filter(|lines| lines[0][8] == "0.0").count();
        assert!((0.24..0.45).contains(&share(zeros, lines.len())), "seed {seed}: {zeros} of {}", lines.len());
        let missing = rows.iter().filter(|row| row[8].is_empty()).count();
        assert!((0.01..0.08).contains(&share(missing, rows.len())), "seed {seed}: {missing} of {}", rows.len());
        for lines in &lines {
            let [has_clover, has_dead, has_green, has_total, has_gdm] = std::array::from_fn(|at| !lines[at][8].is_empty());
            assert!(has_total, "the whole sample is always weighed");
            assert_eq!(has_clover, has_green, "grass and clover are sorted in one go");
            assert_eq!(has_dead, has_gdm, "dead and living are sorted in one go");
            assert!(has_dead || !has_clover, "clover is not sorted before the dead");
        }
    }
}

#[test]
fn what_stands_there_explains_nine_tenths_of_what_was_weighed() {
    let survey = Survey::new(3000, 5);
    let score = |pair: fn(&Quadrat) -> (f64, u64)| {
        let pairs: Vec<(f64, f64)> =
            survey.quadrats.iter().map(pair).map(|(truth, units)| (truth, units as f64 / 10_000.0)).collect();
        let mean = pairs.iter().map(|pair| pair.1).sum::<f64>() / pairs.len() as f64;
        let error: f64 = pairs.iter().map(|(truth, weighed)| (truth - weighed) * (truth - weighed)).sum();
        1.0 - error / pairs.iter().map(|pair| (pair.1 - mean) * (pair.1 - mean)).sum::<f64>()
    };
    let scores = [
        score(|q| (q.truth.green, q.measured.green)),
        score(|q| (q.truth.dead, q.measured.dead)),
        score(|q| (q.truth.clover, q.measured.clover)),
        score(|q| (q.truth.green + q.truth.clover, q.measured.green + q.measured.clover)),
    ];
    assert!(scores.iter().all(|score| (0.85..0.97).contains(score)), "{scores:?}");
}

#[test]
fn a_visit_is_on_one_side_and_its_quadrats_share_state_date_and_species() {
    let (_, rows) = table(&Pasture::new(200, 4), "train.csv");
    let survey = Survey::new(200, 4);
    let mut dates: BTreeMap<&String, BTreeSet<(&String, &String)>> = BTreeMap::new();
    for row in &rows {
        dates.entry(&row[2]).or_default().insert((&row[3], &row[4]));
        let mut parts = row[2].split('/').map(|part| part.parse::<u32>().unwrap());
        assert!(parts.next() == Some(2015) && parts.next() <= Some(12) && parts.next() <= Some(31));
    }
    assert!(dates.len() >= 12, "{} dates", dates.len());
    let (test, train): (Vec<&Visit>, Vec<&Visit>) = survey.visits.iter().partition(|visit| visit.is_test);
    assert!(test.len() * 3 < train.len() * 2 && !test.is_empty());
    let states: BTreeSet<&String> = rows.iter().map(|row| &row[3]).collect();
    assert!(states.len() >= 3, "{states:?}");
}

#[test]
fn greenness_and_height_go_with_the_living_mass() {
    let survey = Survey::new(1000, 6);
    let living = |quadrat: &Quadrat| quadrat.truth.green + quadrat.truth.clover;
    let pairs = |of: fn(&Quadrat) -> f64| survey.quadrats.iter().map(|q| (living(q), of(q))).collect::<Vec<_>>();
    let greenness = correlation(&pairs(|quadrat| quadrat.ndvi_hundredths as f64));
    let height = correlation(&pairs(Quadrat::height));
    assert!((0.4..0.9).contains(&greenness) && (0.4..0.9).contains(&height), "{greenness} {height}");
    assert!(survey.quadrats.iter().all(|quadrat| (16..=91).contains(&quadrat.ndvi_hundredths)));
    assert!(survey.quadrats.iter().all(|quadrat| (1.0..=70.0).contains(&quadrat.height())));
}

#[test]
fn photographs_are_two_by_one_and_show_the_living_mass() {
    let pasture = Pasture::new(40, 9);
    let pairs: Vec<(f64, f64)> = (0..40)
        .map(|index| {
            let file = pasture.picture(index).unwrap();
            assert_eq!(file.bytes[..3], [0xFF, 0xD8, 0xFF]);
            let picture = image::load_from_memory(&file.bytes).unwrap().into_rgb8();
            assert_eq!((picture.width(), picture.height()), (512, 256));
            let is_green = |pixel: &&image::Rgb<u8>| i32::from(pixel.0[1]) > i32::from(pixel.0[0]) + 6;
            let green = picture.pixels().filter(is_green).count() as f64 / f64::from(512 * 256);
            let truth = &pasture.survey().quadrats[index].truth;
            let area = 0.05 * truth.green + 0.075 * truth.clover;
            (1.0 - (-area).exp(), green)
        })
        .collect();
    assert!(correlation(&pairs) > 0.8, "{pairs:?}");
}

#[test]
fn numbers_are_written_as_the_competition_writes_them() {
    let texts = [(0, 4), (45_000, 4), (162_751, 4), (7, 4), (76_667, 4), (62, 2)].map(|(units, digits)| decimal(units, digits));
    assert_eq!(texts, ["0.0", "4.5", "16.2751", "0.0007", "7.6667", "0.62"]);
}
