//! Learning curves.

use maud::{Markup, html};
use plotters::prelude::*;

use super::super::plot::{Axes, SERIES, SIZE, drawing, figure, padded, thinned};
use super::super::{Curve, CurvePanel, ReportError};

/// More points than these are not seen in a figure of this size.
const POINTS: usize = 800;

/// Where the largest value is this many times the smallest, and all are positive, the axis is logarithmic.
const LOGARITHMIC_SPAN: f64 = 50.0;

pub(in super::super) fn curves(panels: &[CurvePanel]) -> Result<Markup, ReportError> {
    let drawn = panels.iter().map(panel).collect::<Result<Vec<_>, _>>()?;
    Ok(html! { div.figures { @for panel in drawn { (panel) } } })
}

fn panel(panel: &CurvePanel) -> Result<Markup, ReportError> {
    let values = || panel.curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.1)).filter(|y| y.is_finite());
    let (low, high) = values().fold((f64::INFINITY, 0.0f64), |(low, high), y| (low.min(y), high.max(y)));
    let logarithmic = low > 0.0 && high / low > LOGARITHMIC_SPAN;
    let map = |y: f64| if logarithmic { libm::log10(y) } else { y };
    let axes = Axes {
        horizontal: padded(panel.curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.0)), 0.0),
        vertical: padded(values().map(map), 0.06),
        horizontal_title: &panel.horizontal,
        vertical_title: "",
        vertical_logarithm: logarithmic,
    };
    let description = format!("{} over {}", panel.title, panel.horizontal);
    let svg = figure(&description, SIZE, |area| {
        let mut chart = axes.draw(area)?;
        for (at, curve) in panel.curves.iter().enumerate() {
            let style = SERIES[at % SERIES.len()].stroke_width(2);
            for run in finite_runs(curve) {
                let points: Vec<(f64, f64)> = thinned(&run, POINTS).into_iter().map(|(x, y)| (x, map(y))).collect();
                if let [single] = points[..] {
                    chart.draw_series([Circle::new(single, 3, style.filled())]).map_err(drawing)?;
                } else {
                    chart.draw_series(LineSeries::new(points, style)).map_err(drawing)?;
                }
            }
        }
        Ok(())
    })?;
    Ok(html! {
        figure {
            figcaption {
                strong { (panel.title) } @if logarithmic { " (logarithmic)" }
            }
            (svg)
            ul.legend {
                @for (at, curve) in panel.curves.iter().enumerate() {
                    li { span class={ "swatch s" (at % SERIES.len()) } {} (curve.name) @if curve.points.is_empty() { " (no values)" } }
                }
            }
        }
    })
}

/// The stretches of a curve between points that are not finite.
fn finite_runs(curve: &Curve) -> Vec<Vec<(f64, f64)>> {
    let is_finite = |point: &(f64, f64)| point.0.is_finite() && point.1.is_finite();
    curve.points.split(|point| !is_finite(point)).filter(|run| !run.is_empty()).map(<[_]>::to_vec).collect()
}
