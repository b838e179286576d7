//! Samples with their photographs, and tile weights laid over them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

use super::super::{ReportError, Sample, Tiles};

pub(in super::super) fn gallery(samples: &[Sample]) -> Result<Markup, ReportError> {
    let drawn = samples.iter().map(sample).collect::<Result<Vec<_>, _>>()?;
    Ok(html! { div.gallery { @for sample in drawn { (sample) } } })
}

fn sample(sample: &Sample) -> Result<Markup, ReportError> {
    let (width, height) = sample.picture.size;
    if width == 0 || height == 0 {
        let reason = format!("its picture is {width} × {height} pixels");
        return Err(ReportError::Data { figure: sample.name.clone(), reason });
    }
    let source = format!("data:{};base64,{}", sample.picture.media_type, STANDARD.encode(&sample.picture.bytes));
    let overlay = sample.tiles.as_ref().map(|tiles| overlay(&sample.name, tiles, (width, height))).transpose()?;
    Ok(html! {
        figure {
            div.photo {
                img src=(source) width=(width) height=(height) alt={ "The photograph of " (sample.name) };
                @if let Some(overlay) = overlay { (overlay) }
            }
            figcaption { strong { (sample.name) } }
            dl { @for (name, value) in &sample.facts { dt { (name) } dd { (value) } } }
        }
    })
}

/// A grid over the photograph: what weighs more than its fair share is coloured, what weighs less is shaded.
fn overlay(name: &str, tiles: &Tiles, (width, height): (u32, u32)) -> Result<Markup, ReportError> {
    let wrong = |reason: String| Err(ReportError::Data { figure: name.to_owned(), reason });
    if tiles.rows == 0 || tiles.columns == 0 || tiles.weights.len() != tiles.rows * tiles.columns {
        return wrong(format!("{} weights for {} × {} tiles", tiles.weights.len(), tiles.rows, tiles.columns));
    }
    if let Some(weight) = tiles.weights.iter().find(|weight| !weight.is_finite() || **weight < 0.0) {
        return wrong(format!("a tile's weight is {weight}"));
    }
    let total = tiles.weights.iter().sum::<f32>().max(f32::MIN_POSITIVE);
    let fair = total / tiles.weights.len() as f32;
    let heaviest = tiles.weights.iter().fold(0.0f32, |most, &weight| most.max(weight / fair));
    // Equal weights, all near their fair share, leave the photograph as it is.
    let mark = |weight: f32| match weight / fair {
        share if share > 1.0 => ("tile", 0.55 * (share - 1.0) / (heaviest - 1.0).max(1.0)),
        share => ("tile light", 0.55 * (1.0 - share)),
    };
    let tile = (f64::from(width) / tiles.columns as f64, f64::from(height) / tiles.rows as f64);
    let letters = (tile.0 / 4.0).min(tile.1 / 2.0).min(f64::from(width) / 14.0);
    Ok(html! {
        svg viewBox={ "0 0 " (width) " " (height) } preserveAspectRatio="none" role="img" aria-label={ "Tile weights of " (name) } {
            @for (at, weight) in tiles.weights.iter().enumerate() {
                @let left = (at % tiles.columns) as f64 * tile.0;
                @let top = (at / tiles.columns) as f64 * tile.1;
                @let (class, opacity) = mark(*weight);
                rect class=(class) x=(format!("{left:.1}")) y=(format!("{top:.1}")) width=(format!("{:.1}", tile.0))
                    height=(format!("{:.1}", tile.1)) fill-opacity=(format!("{opacity:.2}")) {}
                text.weight x=(format!("{:.1}", left + tile.0 / 2.0)) y=(format!("{:.1}", top + tile.1 / 2.0))
                    font-size=(format!("{letters:.1}")) { (format!("{:.0} %", 100.0 * weight / total)) }
            }
        }
    })
}
