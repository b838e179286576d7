//! One bar per group of rows, the worst on top.

use maud::{Markup, html};
use plotters::prelude::*;

use super::super::plot::{GRID, INK, MUTED, SERIES, SIZE, drawing, figure, label_font, number};
use super::super::{GroupValues, ReportError};

/// More groups than these are left to the predictions file.
const SHOWN: usize = 30;
const ROW: i32 = 42;

pub(in super::super) fn groups(values: &GroupValues) -> Result<Markup, ReportError> {
    if let Some((name, _, value)) = values.groups.iter().find(|group| !group.2.is_finite()) {
        let reason = format!("the value of group {name} is {value}");
        return Err(ReportError::Data { figure: values.measure.clone(), reason });
    }
    let mut sorted: Vec<_> = values.groups.iter().collect();
    sorted.sort_by(|a, b| b.2.total_cmp(&a.2).then_with(|| a.0.cmp(&b.0)));
    let shown = &sorted[..sorted.len().min(SHOWN)];
    let lowest = shown.iter().fold(0.0f64, |lowest, group| lowest.min(group.2));
    let highest = shown.iter().fold(0.0f64, |highest, group| highest.max(group.2));
    let span = if highest > lowest { highest - lowest } else { 1.0 };
    let width = SIZE.0 as i32;
    // Room on the right for the number.
    let place = |value: f64| 4 + ((value - lowest) / span * f64::from(width - 80)) as i32;
    let height = (ROW * shown.len() as i32 + 4).max(ROW);
    let svg = figure(&format!("{} by group", values.measure), (SIZE.0, height as u32), |area| {
        for (at, (name, rows, value)) in shown.iter().enumerate() {
            let top = ROW * at as i32;
            let label = format!("{name} ({rows} {})", if *rows == 1 { "row" } else { "rows" });
            area.draw(&Text::new(shorten(&label, 52), (4, top + 4), label_font(INK))).map_err(drawing)?;
            let track = [(4, top + 22), (width - 76, top + 36)];
            area.draw(&Rectangle::new(track, GRID.filled())).map_err(drawing)?;
            let (from, to) = (place(0.0f64.min(*value)), place(0.0f64.max(*value)));
            area.draw(&Rectangle::new([(from, top + 22), (to.max(from + 1), top + 36)], SERIES[0].filled())).map_err(drawing)?;
            area.draw(&Text::new(number(*value), (width - 70, top + 22), label_font(MUTED))).map_err(drawing)?;
        }
        Ok(())
    })?;
    Ok(html! {
        figure.wide {
            figcaption {
                strong { (values.measure) } " by group, largest first"
                @if sorted.len() > shown.len() { ": " (shown.len()) " of " (sorted.len()) " groups" }
            }
            @if shown.is_empty() { p.note { "No group has an observed label." } } @else { (svg) }
        }
    })
}

/// The beginning of a text that is too long for its place.
pub(super) fn shorten(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    let beginning: String = text.chars().take(letters - 1).collect();
    format!("{}…", beginning.trim_end_matches([' ', '.', ',']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_ends_in_one_ellipsis() {
        assert_eq!(shorten("pooling/mean.ron", 16), "pooling/mean.ron");
        assert_eq!(shorten("pooling/mean.ron", 14), "pooling/mean…");
        assert_eq!(shorten("übergröße", 5), "über…");
    }
}
