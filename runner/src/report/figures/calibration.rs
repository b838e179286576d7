//! Reliability diagrams.

use maud::{Markup, html};
use plotters::prelude::*;

use super::super::plot::{Axes, MUTED, SERIES, SIZE, drawing, figure};
use super::super::{Calibration, ReportError};

pub(in super::super) fn calibration(diagrams: &[Calibration]) -> Result<Markup, ReportError> {
    let drawn = diagrams.iter().map(diagram).collect::<Result<Vec<_>, _>>()?;
    Ok(html! { div.figures { @for diagram in drawn { (diagram) } } })
}

fn diagram(diagram: &Calibration) -> Result<Markup, ReportError> {
    let total = diagram.bins.iter().map(|bin| bin.count).sum::<u64>().max(1) as f64;
    let svg = figure(&format!("{}: reliability", diagram.title), SIZE, |area| {
        let axes = Axes {
            horizontal: 0.0..1.0,
            vertical: 0.0..1.0,
            horizontal_title: "confidence",
            vertical_title: "share that came true",
            vertical_logarithm: false,
        };
        let mut chart = axes.draw(area)?;
        chart.draw_series(LineSeries::new([(0.0, 0.0), (1.0, 1.0)], MUTED.stroke_width(1))).map_err(drawing)?;
        let filled: Vec<_> = diagram.bins.iter().filter(|bin| bin.count > 0).collect();
        let points = filled.iter().map(|bin| (bin.mean_confidence, bin.share_true));
        chart.draw_series(LineSeries::new(points, SERIES[0].stroke_width(2))).map_err(drawing)?;
        let circles = filled.iter().map(|bin| {
            let radius = 3.0 + 9.0 * (bin.count as f64 / total).sqrt();
            Circle::new((bin.mean_confidence, bin.share_true), radius as i32, SERIES[0].mix(0.6).filled())
        });
        chart.draw_series(circles).map_err(drawing)?;
        Ok(())
    })?;
    Ok(html! {
        figure {
            figcaption {
                strong { (diagram.title) } ", expected calibration error " (format!("{:.3}", diagram.error))
            }
            (svg)
            p.note { "A larger circle stands for more predictions. On the line, confidence is what happens." }
        }
    })
}
