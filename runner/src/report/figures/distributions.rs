//! Histograms of labels, and what share of them is zero or missing.

use maud::{Markup, html};
use plotters::prelude::*;

use super::super::plot::{Axes, SERIES, SIZE, drawing, figure, padded};
use super::super::{Distribution, ReportError};

const BINS: usize = 28;

pub(in super::super) fn distributions(targets: &[Distribution]) -> Result<Markup, ReportError> {
    let drawn = targets.iter().map(target).collect::<Result<Vec<_>, _>>()?;
    Ok(html! { div.figures { @for target in drawn { (target) } } })
}

fn target(target: &Distribution) -> Result<Markup, ReportError> {
    if let Some(value) = target.values.iter().find(|value| !value.is_finite()) {
        let reason = format!("a label is {value}");
        return Err(ReportError::Data { figure: target.target.clone(), reason });
    }
    let total = target.values.len() + target.missing;
    let zeros = target.values.iter().filter(|&&value| value == 0.0).count();
    // Zeros have a strip of their own; among the bars they would hide all others.
    let shown: Vec<f64> = target.values.iter().copied().filter(|&value| value != 0.0).collect();
    let mut range = padded(shown.iter().copied(), 0.0);
    if range.start > 0.0 {
        range.start = 0.0;
    }
    let counts = histogram(&shown, range.start, range.end);
    let highest = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    let horizontal_title = if target.unit.is_empty() { "label".to_owned() } else { format!("label ({})", target.unit) };
    let svg = figure(&format!("{}: distribution of labels", target.target), SIZE, |area| {
        let axes = Axes {
            horizontal: range.clone(),
            vertical: 0.0..highest * 1.06,
            horizontal_title: &horizontal_title,
            vertical_title: "count",
            vertical_logarithm: false,
        };
        let mut chart = axes.draw(area)?;
        let width = (range.end - range.start) / BINS as f64;
        let bars = counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(bin, &count)| {
            let left = range.start + width * bin as f64;
            Rectangle::new([(left, 0.0), (left + width * 0.92, count as f64)], SERIES[0].filled())
        });
        chart.draw_series(bars).map_err(drawing)?;
        Ok(())
    })?;
    let share = |count: usize| 100.0 * count as f64 / total.max(1) as f64;
    let parts = [("other than zero", shown.len(), "s0"), ("zero", zeros, "s1"), ("missing", target.missing, "gap")];
    Ok(html! {
        figure {
            figcaption { strong { (target.target) } ", labels other than zero" }
            (svg)
            div.strip aria-hidden="true" {
                @for (_, count, class) in parts {
                    @if count > 0 { span class=(class) style={ "flex:" (count) " 0 0" } {} }
                }
            }
            ul.legend {
                @for (name, count, class) in parts {
                    li { span class={ "swatch " (class) } {} (name) " " (count) " (" (format!("{:.1}", share(count))) " %)" }
                }
            }
        }
    })
}

/// How many values fall into each of equal bins; the last bin is closed on both sides.
fn histogram(values: &[f64], low: f64, high: f64) -> Vec<usize> {
    let mut counts = vec![0; BINS];
    for value in values {
        let bin = ((value - low) / (high - low) * BINS as f64) as usize;
        counts[bin.min(BINS - 1)] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_falls_into_a_bin() {
        let counts = histogram(&[0.0, 1.0, 0.5, 1.0], 0.0, 1.0);
        assert_eq!((counts[0], counts[BINS / 2], counts[BINS - 1]), (1, 1, 2));
    }
}
