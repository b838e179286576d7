//! The page around the figures.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::figures::{ablation, calibration, curves, distributions, gallery, groups, predictions};
use super::{Content, Report, ReportError, Section, Table};

const STYLE: &str = include_str!("style.css");

/// Nothing but inline styles and embedded pictures: the page cannot reach a network, whatever a name in it says.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

pub(super) fn page(report: &Report) -> Result<Markup, ReportError> {
    let sections = report.sections.iter().map(content).collect::<Result<Vec<_>, _>>()?;
    Ok(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "sward " (env!("CARGO_PKG_VERSION")) };
                // Without one, browsers ask the server for an icon.
                link rel="icon" href="data:,";
                title { (report.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (report.title) }
                    p { (report.subtitle) }
                }
                @if let Some(warning) = &report.warning { p.warning role="alert" { (warning) } }
                @if !report.summary.is_empty() {
                    dl.summary {
                        @for (name, value) in &report.summary {
                            // A name takes the room of two numbers.
                            div class=[(value.chars().count() > 16).then_some("long")] {
                                dt { @for (at, part) in name.split('_').enumerate() { @if at > 0 { "_" wbr; } (part) } }
                                dd { (value) }
                            }
                        }
                    }
                }
                @if report.sections.len() > 1 {
                    nav aria-label="Sections" {
                        @for (at, section) in report.sections.iter().enumerate() {
                            a href={ "#section-" (at) } { (section.title) }
                        }
                    }
                }
                main {
                    @for (at, (section, content)) in report.sections.iter().zip(sections).enumerate() {
                        section id={ "section-" (at) } {
                            h2 { (section.title) }
                            @if !section.note.is_empty() { p.note { (section.note) } }
                            (content)
                        }
                    }
                }
            }
        }
    })
}

fn content(section: &Section) -> Result<Markup, ReportError> {
    match &section.content {
        Content::Curves(panels) => curves(panels),
        Content::Predictions(targets) => predictions(targets),
        Content::Groups(values) => groups(values),
        Content::Distributions(targets) => distributions(targets),
        Content::Calibration(diagrams) => calibration(diagrams),
        Content::Gallery(samples) => gallery(samples),
        Content::Ablation(arms) => ablation(arms),
        Content::Table(table) => self::table(&section.title, table),
        Content::Text(text) => Ok(html! { pre tabindex="0" { code { (text) } } }),
        // As an image of its own: the styles of the drawing and of the page do not meet.
        Content::Drawing(svg) => Ok(html! {
            figure.drawing {
                img src={ "data:image/svg+xml;base64," (STANDARD.encode(svg)) } alt={ "A drawing: " (section.title) };
            }
        }),
    }
}

fn table(title: &str, table: &Table) -> Result<Markup, ReportError> {
    if let Some(row) = table.rows.iter().find(|row| row.len() != table.head.len()) {
        let reason = format!("a row has {} cells under {} heads", row.len(), table.head.len());
        return Err(ReportError::Data { figure: title.to_owned(), reason });
    }
    let is_number = |cell: &String| cell.replace('−', "-").trim().parse::<f64>().is_ok() || ["", "–"].contains(&cell.as_str());
    let class = |column: usize| {
        let numeric = !table.rows.is_empty() && table.rows.iter().all(|row| is_number(&row[column]));
        numeric.then_some("number")
    };
    Ok(html! {
        div.scroll { table {
            thead { tr { @for (at, head) in table.head.iter().enumerate() { th class=[class(at)] { (head) } } } }
            tbody { @for row in &table.rows { tr {
                @for (at, cell) in row.iter().enumerate() { td class=[class(at)] { (cell) } }
            } } }
        } }
    })
}
