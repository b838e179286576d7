//! What all figures share: the palette, the frame with its axes, and how numbers are written.

use std::fmt::Display;
use std::ops::Range;

use maud::{Markup, PreEscaped};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::ReportError;

/// Text and strong lines.
pub(super) const INK: RGBColor = RGBColor(0x1F, 0x26, 0x22);
/// Axes and labels.
pub(super) const MUTED: RGBColor = RGBColor(0x5D, 0x68, 0x61);
/// The lines of the grid.
pub(super) const GRID: RGBColor = RGBColor(0xDF, 0xE4, 0xDF);
/// The colours of series in order; the style sheet has a dark partner for each.
pub(super) const SERIES: [RGBColor; 6] = [
    RGBColor(0x2F, 0x7D, 0x32),
    RGBColor(0xC2, 0x5E, 0x0A),
    RGBColor(0x2B, 0x6C, 0xB0),
    RGBColor(0x7B, 0x4F, 0xA3),
    RGBColor(0xB3, 0x26, 0x1E),
    RGBColor(0x00, 0x7A, 0x74),
];

/// The size of a figure in its own pixels. The page stretches it to its column, so labels stay readable at any width.
pub(super) const SIZE: (u32, u32) = (420, 290);

/// The height of letters in a figure, in the plotting library's measure.
pub(super) const LETTERS: f64 = 16.0;

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Turns any complaint of the plotting library into an error.
pub(super) fn drawing(error: impl Display) -> ReportError {
    ReportError::Drawing(error.to_string())
}

/// Draws an SVG element that grows with its column and says to screen readers what it shows.
pub(super) fn figure(
    description: &str,
    (width, height): (u32, u32),
    draw: impl FnOnce(&Area) -> Result<(), ReportError>,
) -> Result<Markup, ReportError> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
        draw(&area)?;
        area.present().map_err(drawing)?;
    }
    let start = text.find("<svg").ok_or_else(|| drawing("the library gave no SVG"))?;
    let body = text[start..].find('>').map(|end| start + end + 1).ok_or_else(|| drawing("the SVG has no body"))?;
    let label = maud::html! { (description) }.into_string();
    let head = format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\">");
    Ok(PreEscaped(head + &text[body..]))
}

/// A font of the page, in the colour of labels.
pub(super) fn label_font(color: RGBColor) -> TextStyle<'static> {
    ("sans-serif", LETTERS).into_font().color(&color)
}

/// The axes of a figure.
pub(super) struct Axes<'t> {
    pub horizontal: Range<f64>,
    pub vertical: Range<f64>,
    pub horizontal_title: &'t str,
    pub vertical_title: &'t str,
    /// The vertical axis holds logarithms to base 10.
    pub vertical_logarithm: bool,
}

pub(super) type Chart<'a, 'b> =
    ChartContext<'a, SVGBackend<'b>, Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>>;

impl Axes<'_> {
    /// Draws grid, axes and labels.
    pub fn draw<'a, 'b>(&self, area: &Area<'b>) -> Result<Chart<'a, 'b>, ReportError>
    where
        'b: 'a,
    {
        let mut chart = ChartBuilder::on(area)
            .margin_top(8)
            .margin_right(14)
            .x_label_area_size(44)
            .y_label_area_size(62)
            .build_cartesian_2d(self.horizontal.clone(), self.vertical.clone())
            .map_err(drawing)?;
        let exponent = self.vertical_logarithm;
        chart
            .configure_mesh()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(MUTED)
            .label_style(label_font(MUTED))
            .axis_desc_style(label_font(MUTED))
            .x_desc(self.horizontal_title)
            .y_desc(self.vertical_title)
            .x_labels(6)
            .y_labels(6)
            .x_label_formatter(&|value| number(*value))
            .y_label_formatter(&|value| if exponent { power_of_ten(*value) } else { number(*value) })
            .draw()
            .map_err(drawing)?;
        Ok(chart)
    }
}

/// The label of a logarithmic axis at an exponent: powers of ten only, the lines between have none.
fn power_of_ten(exponent: f64) -> String {
    let whole = exponent.round();
    if (exponent - whole).abs() < 1e-6 { number(libm::pow(10.0, whole)) } else { String::new() }
}

/// A number for a label or a table: four digits that count, and powers of ten where it is very large or very small.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    let size = value.abs();
    if size < 1e-12 {
        return "0".into();
    }
    if !(1e-3..1e6).contains(&size) {
        let text = format!("{value:.2e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        return minus(&format!("{}e{exponent}", trim_zeros(mantissa)));
    }
    let decimals = (3 - size.log10().floor() as i32).clamp(0, 6) as usize;
    minus(trim_zeros(&format!("{value:.decimals$}")))
}

fn trim_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// The minus sign that is as wide as a plus.
fn minus(text: &str) -> String {
    text.replacen('-', "−", usize::from(text.starts_with('-')))
}

/// The smallest range that holds all finite values, with a margin on both sides; never empty.
pub(super) fn padded(values: impl IntoIterator<Item = f64>, margin: f64) -> Range<f64> {
    let finite = values.into_iter().filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        return 0.0..1.0;
    }
    let width = high - low;
    if width <= 1e-9 * low.abs().max(high.abs()).max(1e-9) {
        let half = low.abs().max(1.0) * 0.5;
        return low - half..high + half;
    }
    low - margin * width..high + margin * width
}

/// At most `limit` items, evenly spread: a figure of a million points helps nobody.
pub(super) fn thinned<T: Copy>(items: &[T], limit: usize) -> Vec<T> {
    if items.len() <= limit {
        return items.to_vec();
    }
    (0..limit).map(|at| items[at * items.len() / limit]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_not_wrong() {
        let texts: Vec<String> =
            [0.0, 1.0, -0.25, 0.123_456, 1234.5, 99_999.0, 2.5e6, -1.234e-5, 1e-3, f64::NAN].map(number).into();
        assert_eq!(texts, ["0", "1", "−0.25", "0.1235", "1234", "99999", "2.5e6", "−1.23e-5", "0.001", "–"]);
    }

    #[test]
    fn a_range_is_never_empty() {
        assert_eq!(padded([f64::NAN], 0.1), 0.0..1.0);
        assert_eq!(padded([3.0, 3.0], 0.1), 1.5..4.5);
        assert_eq!(padded([0.0, 10.0, f64::INFINITY], 0.1), -1.0..11.0);
    }

    #[test]
    fn thinning_keeps_the_first_and_spreads_the_rest() {
        let items: Vec<usize> = (0..1000).collect();
        assert_eq!(thinned(&items, 4), [0, 250, 500, 750]);
        assert_eq!(thinned(&items[..3], 4), [0, 1, 2]);
    }
}
