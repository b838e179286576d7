//! `sward plot`: a picture of a graph.

mod cards;
mod layout;

use super::Exit;
use super::graph::{GraphOptions, Opened, grouped, open, write_out};
use super::outputs::{refuse_same, sources_on_disk};
use crate::rundir::{Disk, write_atomically};
use cards::{Card, CardKind, cards};
use clap::{Args, ValueEnum};
use layout::{Drawing, Extent, Point, draw};
use petgraph::graph::DiGraph;
use petgraph::visit::EdgeRef;
use std::fmt::Write;
use std::path::PathBuf;
use sward_core::check::{Checked, NodeKind};

/// Arguments of `plot`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward plot graphs/fusion/film.ron -o film.svg            open it in any browser; it follows light and dark
  sward plot graphs/backbones/resnet18.ron --depth 2 -o resnet18.svg
  sward plot graphs/fusion/film.ron --format dot | dot -Tpdf -o film.pdf")]
pub struct Arguments {
    /// The graph file
    file: String,
    /// Where the picture is written; standard output without it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What is written; without it, what the output file's ending says
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// How many parts of a node's path are shown; what lies deeper is drawn as one box
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    depth: u16,
    #[command(flatten)]
    options: GraphOptions,
}

/// The form of a picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Format {
    /// A self-contained SVG file
    Svg,
    /// Graphviz's language
    Dot,
}

/// Runs `plot`.
pub fn run(arguments: &Arguments) -> Exit {
    let ending =
        arguments.output.as_ref().and_then(|path| path.extension()).map(|ending| ending.to_string_lossy().to_lowercase());
    let format = match (arguments.format, ending.as_deref()) {
        (Some(format), _) => format,
        (None, Some("dot" | "gv")) => Format::Dot,
        (None, None | Some("svg")) => Format::Svg,
        (None, Some(other)) => {
            eprintln!("error: a picture is written as svg or dot, not as {other}; name the file .svg, or say --format");
            return Exit::Usage;
        }
    };
    let Opened { checked, sources, .. } = match open(&arguments.file, &arguments.options) {
        Ok(opened) => opened,
        Err(exit) => return exit,
    };
    let text = match format {
        Format::Svg => svg(&checked, arguments.depth.into()),
        Format::Dot => dot(&checked, arguments.depth.into()),
    };
    let Some(path) = &arguments.output else {
        write_out(&text);
        return Exit::Fine;
    };
    if let Err(exit) = refuse_same(&[("-o", path)], sources_on_disk(&sources)) {
        return exit;
    }
    match write_atomically(&Disk, path, |file| file.write_all(text.as_bytes())) {
        Ok(()) => Exit::Fine,
        Err(error) => {
            eprintln!("error: {error}");
            Exit::of_write(&error.source)
        }
    }
}

/// The font's size; its characters are at most this share of it wide.
const FONT: f64 = 12.0;
const CHARACTER: f64 = 0.61;
const LINE: f64 = 17.0;
const PADDING: f64 = 10.0;
const MARGIN: f64 = 24.0;
/// Longer texts are cut; the whole text is in the card's title.
const LONGEST: usize = 72;

/// The picture of a graph as an SVG file of its own. `depth` is how many parts of a path are shown.
pub fn svg(checked: &Checked, depth: usize) -> String {
    let cards = cards(checked, depth);
    let extents: DiGraph<Extent, ()> = cards.map(|_, card| extent(card), |_, ()| ());
    // The cards form no cycle: groups that would are opened.
    let drawing = draw(&extents).unwrap_or_default();
    let heading = heading(checked);
    let heading_width = heading.iter().map(|line| width_of(line)).fold(0.0, f64::max);
    let top = MARGIN + LINE * heading.len() as f64 + 14.0;
    let width = drawing.width.max(heading_width) + 2.0 * MARGIN;
    let height = top + drawing.height + MARGIN;
    let left = (width - drawing.width) / 2.0;
    let at = |(x, y): Point| (x + left, y + top);

    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">\n<title>{}</title>\n{STYLE}\n<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n",
        escaped(checked.name())
    );
    for (line, heading) in heading.iter().enumerate() {
        let class = if line == 0 { "name" } else { "dim" };
        let y = MARGIN + LINE * (line as f64 + 0.8);
        let _ = writeln!(text, "<text class=\"{class}\" x=\"{MARGIN}\" y=\"{y:.1}\">{}</text>", escaped(heading));
    }
    for (module, (x, y, width, height)) in frames(&cards, &extents, &drawing) {
        let (x, y) = at((x, y));
        let _ = writeln!(
            text,
            "<g class=\"frame\"><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"8\"/><title>{}</title></g>",
            escaped(&module)
        );
    }
    for route in &drawing.routes {
        let points: Vec<Point> = route.iter().map(|point| at(*point)).collect();
        let _ = writeln!(text, "<path class=\"edge\" d=\"{}\" marker-end=\"url(#arrow)\"/>", path(&points));
    }
    for node in cards.node_indices() {
        let centre = at(drawing.centres[node.index()]);
        write_card(&mut text, &cards[node], extents[node], centre);
    }
    text += "</svg>\n";
    text
}

/// The name with totals, and the doc's first sentence.
fn heading(checked: &Checked) -> Vec<String> {
    let nodes = checked.graph().node_weights().filter(|node| matches!(node.kind, NodeKind::Op { .. })).count();
    let parameters = checked.parameter_count().map_or_else(|error| error.to_string(), |count| grouped(&count));
    let mut lines = vec![format!("{}: {nodes} nodes, {parameters} parameters", checked.name())];
    if let Some(doc) = checked.doc() {
        let sentence = doc.split_once(". ").map_or(doc, |(first, _)| first).trim_end_matches('.');
        lines.push(cut(sentence, 100));
    }
    lines
}

fn cut(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_string();
    }
    format!("{}…", text.chars().take(longest - 1).collect::<String>().trim_end())
}

fn width_of(text: &str) -> f64 {
    text.chars().count() as f64 * FONT * CHARACTER
}

/// What stands in a card.
fn texts(card: &Card) -> Vec<String> {
    let name = if card.kind == CardKind::Output { format!("output {}", card.name) } else { card.name.clone() };
    std::iter::once(&name).chain(&card.lines).map(|line| cut(line, LONGEST)).collect()
}

fn extent(card: &Card) -> Extent {
    let texts = texts(card);
    let width = texts.iter().map(|line| width_of(line)).fold(0.0, f64::max) + 2.0 * PADDING;
    Extent { width: width.max(64.0), height: LINE * texts.len() as f64 + 2.0 * PADDING - 4.0 }
}

fn write_card(text: &mut String, card: &Card, extent: Extent, (x, y): Point) {
    let class = match card.kind {
        CardKind::Input => "input",
        CardKind::Node => "node",
        CardKind::Group => "group",
        CardKind::Output => "output",
    };
    let (left, top) = (x - extent.width / 2.0, y - extent.height / 2.0);
    let _ = write!(text, "<g class=\"card {class}\"><title>{}\n{}</title>", escaped(&card.name), escaped(&card.lines.join("\n")));
    let radius = if matches!(card.kind, CardKind::Input | CardKind::Output) { 14.0 } else { 5.0 };
    if card.kind == CardKind::Group {
        // A second sheet behind the first: there is more inside.
        let _ = write!(
            text,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"{radius}\"/>",
            left + 4.0,
            top + 4.0,
            extent.width,
            extent.height
        );
    }
    let _ = write!(
        text,
        "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"{radius}\"/>",
        extent.width, extent.height
    );
    for (line, content) in texts(card).iter().enumerate() {
        let class = if line == 0 { "name" } else { "dim" };
        let baseline = top + PADDING + LINE * (line as f64 + 0.62);
        let _ = write!(
            text,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{baseline:.1}\" text-anchor=\"middle\">{}</text>",
            escaped(content)
        );
    }
    *text += "</g>\n";
}

/// A smooth line: it leaves and enters everything vertically.
fn path(points: &[Point]) -> String {
    let mut text = String::new();
    for (position, (x, y)) in points.iter().enumerate() {
        let is_last = position + 1 == points.len();
        // The arrow's head ends on the card's edge.
        let y = if is_last { y - 1.0 } else { *y };
        if position == 0 {
            let _ = write!(text, "M{x:.1} {y:.1}");
            continue;
        }
        let (before_x, before_y) = points[position - 1];
        if (before_x - x).abs() < 0.5 {
            let _ = write!(text, " L{x:.1} {y:.1}");
        } else {
            let middle = (before_y + y) / 2.0;
            let _ = write!(text, " C{before_x:.1} {middle:.1} {x:.1} {middle:.1} {x:.1} {y:.1}");
        }
    }
    text
}

/// Frames around the cards of one module, where they can be drawn around nothing else.
fn frames(cards: &DiGraph<Card, ()>, extents: &DiGraph<Extent, ()>, drawing: &Drawing) -> Vec<(String, (f64, f64, f64, f64))> {
    const AROUND: f64 = 9.0;
    let mut modules: Vec<&str> =
        cards.node_weights().map(|card| card.module.as_str()).filter(|module| !module.is_empty()).collect();
    modules.sort_unstable();
    modules.dedup();
    let rectangle = |node: petgraph::graph::NodeIndex, around: f64| {
        let ((x, y), extent) = (drawing.centres[node.index()], extents[node]);
        let (half_width, half_height) = (extent.width / 2.0 + around, extent.height / 2.0 + around);
        (x - half_width, y - half_height, x + half_width, y + half_height)
    };
    let mut found: Vec<(String, (f64, f64, f64, f64))> = Vec::new();
    for module in modules {
        let members: Vec<_> = cards.node_indices().filter(|node| cards[*node].module == module).collect();
        let bounds = members
            .iter()
            .map(|node| rectangle(*node, AROUND))
            .reduce(|a, b| (a.0.min(b.0), a.1.min(b.1), a.2.max(b.2), a.3.max(b.3)));
        let Some(bounds) = bounds.filter(|_| members.len() > 1) else { continue };
        let meets =
            |other: (f64, f64, f64, f64)| bounds.0 < other.2 && other.0 < bounds.2 && bounds.1 < other.3 && other.1 < bounds.3;
        let is_alone = cards.node_indices().all(|node| members.contains(&node) || !meets(rectangle(node, 4.0)));
        let is_apart = found.iter().all(|(_, (x, y, width, height))| !meets((*x, *y, x + width, y + height)));
        if is_alone && is_apart {
            found.push((module.to_string(), (bounds.0, bounds.1, bounds.2 - bounds.0, bounds.3 - bounds.1)));
        }
    }
    found
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = "<style>
text { font: 12px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #1d2733 }
.name { font-weight: 600 }
.dim { fill: #566474 }
.page { fill: #ffffff }
.card rect { fill: #f4f6f8; stroke: #9aa7b4 }
.input rect, .output rect { fill: #e6f2ea; stroke: #5f9f78 }
.group rect { fill: #e9effa; stroke: #7d97c9 }
.frame rect { fill: #7d97c9; fill-opacity: 0.08; stroke: #7d97c9; stroke-opacity: 0.4; stroke-dasharray: 4 3 }
.edge { fill: none; stroke: #7b8794; stroke-width: 1.3 }
#arrow path { fill: #7b8794 }
@media (prefers-color-scheme: dark) {
  text { fill: #e4e9ee }
  .dim { fill: #a3afbb }
  .page { fill: #14191f }
  .card rect { fill: #222a33; stroke: #566474 }
  .input rect, .output rect { fill: #1c3226; stroke: #4f8a67 }
  .group rect { fill: #1f2c45; stroke: #5f7bb0 }
  .edge { stroke: #8794a1 }
  #arrow path { fill: #8794a1 }
}
</style>
<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0.8 L8 4 L0 7.2 z\"/></marker></defs>";

/// The picture of a graph in Graphviz's language. `depth` is how many parts of a path are shown.
pub fn dot(checked: &Checked, depth: usize) -> String {
    let cards = cards(checked, depth);
    let mut text = format!(
        "digraph {} {{\n  rankdir=TB;\n  node [shape=box, style=rounded, fontname=\"monospace\", fontsize=10];\n",
        quoted(checked.name())
    );
    for node in cards.node_indices() {
        let label = texts(&cards[node]).join("\n");
        let shape = match cards[node].kind {
            CardKind::Input | CardKind::Output => ", style=\"rounded,filled\", fillcolor=\"#e6f2ea\"",
            CardKind::Group => ", style=\"rounded,filled\", fillcolor=\"#e9effa\"",
            CardKind::Node => "",
        };
        let _ = writeln!(text, "  n{} [label={}{shape}];", node.index(), quoted(&label));
    }
    for edge in cards.edge_references() {
        let _ = writeln!(text, "  n{} -> n{};", edge.source().index(), edge.target().index());
    }
    text += "}\n";
    text
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
