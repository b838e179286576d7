//! The effects of an ablation's arms: intervals around differences, and what each arm costs.

use maud::{Markup, html};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::super::plot::{GRID, INK, MUTED, SERIES, SIZE, drawing, figure, label_font, number, padded};
use super::super::{Ablation, Arm, ReportError};
use super::groups::shorten;

const ROW: i32 = 46;
/// Another line of an arm's name.
const LINE: i32 = 19;
/// Letters of a line.
const LETTERS_A_LINE: usize = 50;
/// The row of numbers below the arms.
const SCALE: i32 = 26;

pub(in super::super) fn ablation(ablation: &Ablation) -> Result<Markup, ReportError> {
    let svg = intervals(ablation)?;
    let direction = if ablation.larger_is_better { "right" } else { "left" };
    let unfinished = ablation.arms.iter().filter(|arm| arm.effect.is_none()).count();
    Ok(html! {
        figure.wide {
            figcaption {
                strong { "Difference in " (ablation.metric) } " against the base (" (number(ablation.base)) "); better is to the " (direction)
                @if unfinished > 0 { ". " (unfinished) " of " (ablation.arms.len()) " arms have not finished" }
            }
            (svg)
            ul.legend {
                li { span.swatch.s0 {} "better" } li { span.swatch.s1 {} "worse" }
                li { span.swatch.gap {} "the interval holds zero" } li { "small circles: one seed each" }
            }
        }
        (table(ablation))
    })
}

fn intervals(ablation: &Ablation) -> Result<Markup, ReportError> {
    let of_arm = |arm: &Arm| {
        let ends = arm.effect.map(|effect| [effect.low, effect.high]).into_iter().flatten();
        ends.chain(arm.seeds.iter().copied()).collect::<Vec<_>>()
    };
    let range = padded(ablation.arms.iter().flat_map(of_arm).chain([0.0]), 0.06);
    let width = SIZE.0 as i32;
    let place = |value: f64| 8 + ((value - range.start) / (range.end - range.start) * f64::from(width - 16)) as i32;
    let names: Vec<Vec<String>> = ablation.arms.iter().map(|arm| wrapped(&arm.name, LETTERS_A_LINE)).collect();
    // The top of each arm's interval, below its name.
    let mut tops = Vec::with_capacity(names.len());
    let mut bottom = 0;
    for lines in &names {
        bottom += LINE * (lines.len() as i32 - 1);
        tops.push(bottom);
        bottom += ROW;
    }
    figure(&format!("Effects on {}", ablation.metric), (SIZE.0, (bottom + SCALE) as u32), |area| {
        for value in ticks(range.start, range.end) {
            let color = if value == 0.0 { MUTED } else { GRID };
            // Beside the intervals only: a line through an arm's name would make it hard to read.
            for top in &tops {
                area.draw(&PathElement::new([(place(value), top + 23), (place(value), top + 41)], color)).map_err(drawing)?;
            }
            let centred = label_font(MUTED).pos(Pos::new(HPos::Center, VPos::Top));
            area.draw(&Text::new(number(value), (place(value), bottom + 6), centred)).map_err(drawing)?;
        }
        for ((arm, &top), lines) in ablation.arms.iter().zip(&tops).zip(&names) {
            for (line, back) in lines.iter().zip((0..lines.len() as i32).rev()) {
                area.draw(&Text::new(line.clone(), (8, top + 4 - LINE * back), label_font(INK))).map_err(drawing)?;
            }
            let middle = top + 32;
            let Some(effect) = arm.effect else {
                area.draw(&Text::new("not finished", (8, top + 24), label_font(MUTED))).map_err(drawing)?;
                continue;
            };
            let color = match (effect.excludes_zero(), (effect.estimate > 0.0) == ablation.larger_is_better) {
                (false, _) => MUTED,
                (true, true) => SERIES[0],
                (true, false) => SERIES[1],
            };
            let ends = [(place(effect.low), middle), (place(effect.high), middle)];
            area.draw(&PathElement::new(ends, color.stroke_width(3))).map_err(drawing)?;
            for (x, y) in ends {
                area.draw(&PathElement::new([(x, y - 5), (x, y + 5)], color.stroke_width(2))).map_err(drawing)?;
            }
            for seed in arm.seeds.iter().filter(|seed| seed.is_finite()) {
                area.draw(&Circle::new((place(*seed), middle), 3, color.stroke_width(1))).map_err(drawing)?;
            }
            area.draw(&Circle::new((place(effect.estimate), middle), 5, color.filled())).map_err(drawing)?;
        }
        Ok(())
    })
}

/// A name in lines, broken between the changes that it lists: two arms must not look alike.
fn wrapped(name: &str, letters: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in name.split_inclusive(", ") {
        match lines.last_mut() {
            Some(line) if line.chars().count() + part.trim_end().chars().count() <= letters => line.push_str(part),
            _ => lines.push(part.to_owned()),
        }
    }
    lines.iter().map(|line| shorten(line.trim_end(), letters)).collect()
}

/// Round numbers inside a range, zero among them where it is inside.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / 6.0;
    let power = libm::pow(10.0, libm::floor(libm::log10(rough)));
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|&step| step >= rough).unwrap_or(rough);
    let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
    (first..=last).map(|multiple| multiple as f64 * step).collect()
}

/// A count with three digits and a factor of a thousand: `28.6 M`.
fn quantity(count: u64) -> String {
    let factors = [(1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")];
    let count = count as f64;
    match factors.into_iter().find(|(factor, _)| count >= *factor) {
        Some((factor, suffix)) => {
            let scaled = count / factor;
            let decimals = if scaled >= 100.0 {
                0
            } else if scaled >= 10.0 {
                1
            } else {
                2
            };
            format!("{scaled:.decimals$}{suffix}")
        }
        None => number(count),
    }
}

fn table(ablation: &Ablation) -> Markup {
    let optional = |value: Option<String>| value.unwrap_or_else(|| "–".into());
    let spread = |seeds: &[f64]| {
        let mean = seeds.iter().sum::<f64>() / seeds.len() as f64;
        let squares: f64 = seeds.iter().map(|seed| (seed - mean).powi(2)).sum();
        (seeds.len() > 1).then(|| number((squares / (seeds.len() - 1) as f64).sqrt()))
    };
    html! {
        div.scroll { table {
            thead { tr {
                th { "Arm" } th.number { "Effect" } th.number { "Interval" } th.number { "Seed spread" }
                th.number { "Parameters" } th.number { "FLOPs" } th.number { "Seconds" }
            } }
            tbody { @for arm in &ablation.arms { tr {
                td { (arm.name) }
                td.number { (optional(arm.effect.map(|effect| number(effect.estimate)))) }
                td.number { (optional(arm.effect.map(|effect| format!("{} to {}", number(effect.low), number(effect.high))))) }
                td.number { (optional(spread(&arm.seeds))) }
                td.number { (optional(arm.parameters.map(quantity))) }
                td.number { (optional(arm.flops.map(quantity))) }
                td.number { (optional(arm.seconds.map(number))) }
            } } }
        } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_three_digits() {
        let texts = [0, 999, 1_000, 28_589_128, 4_470_000_000, 123_456].map(quantity);
        assert_eq!(texts, ["0", "999", "1.00 k", "28.6 M", "4.47 G", "123 k"]);
    }

    #[test]
    fn long_names_are_broken_between_changes() {
        assert_eq!(wrapped("pooling=mean", 50), ["pooling=mean"]);
        assert_eq!(wrapped("fusion=concat, loss=huber, pooling=mean", 26), ["fusion=concat, loss=huber,", "pooling=mean"]);
        assert_eq!(wrapped("an_endless_name_of_an_axis", 10), ["an_endles…"]);
    }

    #[test]
    fn ticks_are_round_and_hold_zero() {
        let ticks: Vec<String> = ticks(-0.031, 0.052).into_iter().map(number).collect();
        assert_eq!(ticks, ["−0.02", "0", "0.02", "0.04"]);
        assert_eq!(super::ticks(-9.0, 9.0), [-5.0, 0.0, 5.0]);
    }
}
