//! `sward show-data`: what the model will see.

use super::Exit;
use super::experiment::{ExperimentOptions, OpenedExperiment, open_experiment, report};
use super::graph::write_out;
use super::outputs::{photographs, refuse_same, sources_on_disk, tables};
use crate::experiment::{Joined, Parts};
use crate::feed::{Batch, Cell, Feed, contact_sheet};
use crate::pixels::Picture;
use crate::plain::counted;
use crate::rundir::{Disk, write_atomically};
use crate::train::{Prepared, TrainError, data_folder, prepare};
use clap::Args;
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use std::path::PathBuf;
use sward_core::check::Session;
use sward_kernels::Data;

/// Arguments of `show-data`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward show-data experiment.ron --samples 16 -o sheet.png
  sward show-data experiment.ron --plain            without the steps that run in training only")]
pub struct Arguments {
    /// The experiment file
    experiment: String,
    /// How many training rows
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=400))]
    samples: u64,
    /// The picture to write (PNG)
    #[arg(short, long, default_value = "data.png")]
    output: PathBuf,
    /// Leave out the steps that run in training only
    #[arg(long)]
    plain: bool,
    /// The epoch whose random numbers are drawn
    #[arg(long, default_value_t = 0)]
    epoch: u64,
    /// The fold whose training rows are shown
    #[arg(long, default_value_t = 0)]
    fold: usize,
    #[command(flatten)]
    options: ExperimentOptions,
}

/// Runs `show-data`.
pub fn run(arguments: &Arguments) -> Exit {
    let OpenedExperiment { session, joined, .. } = match open_experiment(&arguments.experiment, &arguments.options) {
        Ok(opened) => opened,
        Err(exit) => return exit,
    };
    match try_run(arguments, &session, &joined) {
        Ok(text) => {
            write_out(&text);
            Exit::Fine
        }
        Err(exit) => exit,
    }
}

fn try_run(arguments: &Arguments, session: &Session<'_>, joined: &Joined) -> Result<String, Exit> {
    let told = |error: TrainError| report(&error);
    let folder = data_folder(session, joined).map_err(told)?;
    let prepared = prepare(joined, &folder, arguments.fold).map_err(told)?;
    let inputs = sources_on_disk(&session.sources).into_iter().chain(tables(joined, &folder));
    refuse_same(&[("-o", &arguments.output)], inputs.chain(photographs(joined, &prepared.loaded, &folder)))?;
    let (text, sheet) = show(arguments, joined, &prepared).map_err(told)?;
    let picture = png(&sheet).map_err(told)?;
    write_atomically(&Disk, &arguments.output, |file| file.write_all(&picture)).map_err(|error| {
        eprintln!("error: {error}");
        Exit::of_write(&error.source)
    })?;
    Ok(format!("{text}: {}\n", arguments.output.display()))
}

/// What is said of the samples, and the sheet with them.
fn show(arguments: &Arguments, joined: &Joined, prepared: &Prepared<'_>) -> Result<(String, Picture), TrainError> {
    let split = prepared.split();
    let step = (split.train.len() / arguments.samples as usize).max(1);
    let rows: Vec<usize> = split.train.iter().copied().step_by(step).take(arguments.samples as usize).collect();
    let feed = Feed::new(&joined.data, &joined.inputs, &prepared.encoded, joined.experiment.train.value.seed, 0);
    let batch = feed.batch(&rows, arguments.epoch, !arguments.plain, None)?;
    let mut text = format!(
        "{}: {} rows; fold {} of {}: {} to train, {} to validate\n",
        prepared.loaded.table.file(),
        prepared.loaded.table.rows(),
        prepared.fold,
        prepared.splits.len(),
        split.train.len(),
        split.validation.len()
    );
    for note in &prepared.loaded.notes {
        text += &format!("note: {note}\n");
    }
    for (name, tensor) in &batch {
        text += &format!("{name}: {}{}\n", tensor.tensor_type(), spread(tensor.data()));
    }
    for (name, size) in &prepared.fitted.sizes {
        text += &format!("{name} = {size}\n");
    }
    let cells = (0..rows.len()).map(|index| cell(joined, prepared, &batch, &rows, index)).collect::<Result<Vec<_>, _>>()?;
    let columns = (1..=cells.len()).find(|columns| columns * columns >= cells.len()).unwrap_or(1);
    let fault =
        |source| TrainError::Feed(crate::feed::FeedError::Picture { place: "the sheet".to_owned(), source: Box::new(source) });
    let sheet = contact_sheet(&cells, columns).map_err(fault)?;
    text += &counted(rows.len(), "sample");
    Ok((text, sheet))
}

/// Least, mean and largest number, for floats.
fn spread(data: &Data) -> String {
    let Data::F32(values) = data else { return String::new() };
    if values.is_empty() {
        return String::new();
    }
    let (low, high) =
        values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64;
    format!(", {low:.3} to {high:.3}, mean {mean:.3}")
}

fn cell(joined: &Joined, prepared: &Prepared<'_>, batch: &Batch, rows: &[usize], index: usize) -> Result<Cell, TrainError> {
    let mut pictures: Vec<Picture> = Vec::new();
    let mut columns = None;
    let mut lines = vec![format!("row {}", rows[index])];
    for (input, (_, tensor)) in joined.inputs.iter().zip(batch) {
        let field = &joined.data.fields[&input.field];
        if input.is_mask {
            continue;
        }
        let width = tensor.tensor_type().elements() / rows.len();
        if let (Some(transform), Some(values)) = (&field.transform, tensor.as_f32()) {
            let own = transform.invert(&values[index * width..(index + 1) * width]).map_err(|source| {
                TrainError::Feed(crate::feed::FeedError::Picture { place: "the sheet".to_owned(), source: Box::new(source) })
            })?;
            if let Parts::Tiles(tiles) = &transform.parts {
                columns = Some(tiles.columns);
            }
            pictures.extend(own);
        }
    }
    for field in joined.data.fields.values().filter(|field| field.spec.is_target()) {
        for name in &field.columns {
            let text = prepared.loaded.table.column(name).ok().and_then(|column| column.text(rows[index])).unwrap_or_default();
            let line = format!("{name} {}", if text.is_empty() { "missing" } else { text });
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    Ok(Cell { pictures, columns, lines })
}

fn png(picture: &Picture) -> Result<Vec<u8>, TrainError> {
    let mut bytes = Vec::new();
    let colour = if picture.channels() == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    PngEncoder::new(&mut bytes)
        .write_image(picture.data(), picture.width() as u32, picture.height() as u32, colour)
        .map_err(|error| TrainError::Usage(format!("the sheet cannot be encoded: {error}")))?;
    Ok(bytes)
}
