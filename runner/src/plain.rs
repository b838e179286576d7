//! Tables and small curves of plain text, for terminals.

/// Columns padded to their widest cell: the first to the left, the others to the right.
pub fn aligned(head: &[String], lines: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.chain(head.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for line in std::iter::once(head).chain(lines.iter().map(Vec::as_slice)) {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                let padding = " ".repeat(width - cell.chars().count());
                if column == 0 { format!("{cell}{padding}") } else { format!("{padding}{cell}") }
            })
            .collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// A number of things: `1 seed`, `2 seeds`.
pub fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A curve in one line of `width` characters at most: each stands for the mean of as many values; a gap where none is finite.
pub fn sparkline(values: &[f64], width: usize) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let count = values.len().min(width.max(1));
    let means: Vec<Option<f64>> = (0..count)
        .map(|at| {
            let own = &values[at * values.len() / count..(at + 1) * values.len() / count];
            let finite: Vec<f64> = own.iter().copied().filter(|value| value.is_finite()).collect();
            (!finite.is_empty()).then(|| finite.iter().sum::<f64>() / finite.len() as f64)
        })
        .collect();
    let (low, high) =
        means.iter().flatten().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
    let level = |value: f64| match high > low {
        true => LEVELS[(((value - low) / (high - low) * 7.0).round() as usize).min(7)],
        false => LEVELS[3],
    };
    means.into_iter().map(|mean| mean.map_or(' ', level)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let texts = |own: &[&str]| own.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let text = aligned(&texts(&["fold", "r2"]), &[texts(&["0", "0.25"]), texts(&["größer", "-"])]);
        assert_eq!(text, "fold      r2\n0       0.25\ngrößer     -\n");
    }

    #[test]
    fn a_sparkline_rises_with_its_values_and_breaks_where_there_are_none() {
        assert_eq!(sparkline(&[0.0, 1.0, f64::NAN, 7.0], 10), "▁▂ █");
        assert_eq!(sparkline(&[2.0, 2.0], 10), "▄▄");
        assert_eq!(sparkline(&[0.0, 2.0, 6.0, 8.0], 2), "▁█");
        assert_eq!(sparkline(&[], 5), "");
    }
}
