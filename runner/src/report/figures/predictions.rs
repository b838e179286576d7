//! Predicted against true, with the identity line, and residuals.

use maud::{Markup, html};
use plotters::prelude::*;

use super::super::plot::{Area, Axes, MUTED, SERIES, SIZE, drawing, figure, number, padded, thinned};
use super::super::{Predictions, ReportError};

/// More points than these hide each other.
const POINTS: usize = 2000;

pub(in super::super) fn predictions(targets: &[Predictions]) -> Result<Markup, ReportError> {
    let drawn = targets.iter().map(target).collect::<Result<Vec<_>, _>>()?;
    Ok(html! { div.targets { @for target in drawn { div { (target) } } } })
}

fn target(target: &Predictions) -> Result<Markup, ReportError> {
    if let Some((truth, predicted)) = target.pairs.iter().find(|pair| !pair.0.is_finite() || !pair.1.is_finite()) {
        let reason = format!("true {truth}, predicted {predicted}: only observed, finite pairs can be shown");
        return Err(ReportError::Data { figure: target.target.clone(), reason });
    }
    let points = thinned(&target.pairs, POINTS);
    let with_unit = |name: &str| if target.unit.is_empty() { name.to_owned() } else { format!("{name} ({})", target.unit) };
    let (truth, predicted, residual) = (with_unit("true"), with_unit("predicted"), with_unit("residual"));

    // One range for both axes, so that the identity line is the diagonal.
    let both = padded(points.iter().flat_map(|pair| [pair.0, pair.1]), 0.04);
    let scatter = figure(&format!("{}: predicted against true", target.target), SIZE, |area| {
        let axes = Axes {
            horizontal: both.clone(),
            vertical: both.clone(),
            horizontal_title: &truth,
            vertical_title: &predicted,
            vertical_logarithm: false,
        };
        draw(area, &axes, [(both.start, both.start), (both.end, both.end)], &points)
    })?;
    let residuals: Vec<(f64, f64)> = points.iter().map(|pair| (pair.1, pair.1 - pair.0)).collect();
    let largest = residuals.iter().fold(0.0f64, |largest, point| largest.max(point.1.abs()));
    let residual_plot = figure(&format!("{}: residuals against predicted", target.target), SIZE, |area| {
        let horizontal = padded(residuals.iter().map(|point| point.0), 0.04);
        let line = [(horizontal.start, 0.0), (horizontal.end, 0.0)];
        let axes = Axes {
            horizontal,
            vertical: padded([-largest, largest], 0.06),
            horizontal_title: &predicted,
            vertical_title: &residual,
            vertical_logarithm: false,
        };
        draw(area, &axes, line, &residuals)
    })?;
    let count = target.pairs.len();
    let mean = target.pairs.iter().map(|pair| pair.1 - pair.0).sum::<f64>() / count.max(1) as f64;
    Ok(html! {
        h3 { (target.target) }
        p.note {
            @if !target.score.is_empty() { (target.score) ", " }
            (count) " observed labels"
            @if count > 0 { ", mean residual " (number(mean)) @if !target.unit.is_empty() { " " (target.unit) } }
            @if points.len() < count { ", of which " (points.len()) " are drawn" }
        }
        div.figures {
            figure { figcaption { strong { "Predicted against true" } } (scatter) }
            figure { figcaption { strong { "Residual (predicted − true)" } } (residual_plot) }
        }
    })
}

fn draw(area: &Area, axes: &Axes, line: [(f64, f64); 2], points: &[(f64, f64)]) -> Result<(), ReportError> {
    let mut chart = axes.draw(area)?;
    chart.draw_series(LineSeries::new(line, MUTED.stroke_width(1))).map_err(drawing)?;
    let opacity = if points.len() > 500 { 0.35 } else { 0.6 };
    let style = SERIES[0].mix(opacity).filled();
    chart.draw_series(points.iter().map(|&point| Circle::new(point, 3, style))).map_err(drawing)?;
    Ok(())
}
