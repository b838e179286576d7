//! Builds the report of a run, a set of folds or an ablation: one HTML file that needs nothing else.
//!
//! The caller fills plain data ([`Report`] and its [`Section`]s); [`Report::to_html`] draws figures as inline SVG and joins them to
//! a page that follows the reader's light or dark setting, prints, and is readable on a telephone. There is no script in
//! it, and a content security policy keeps it from loading anything.
//!
//! Colours: figures are drawn in the light palette of [`plot`]; the style sheet maps each of these colours to its dark
//! partner.

mod build;
mod figures;
mod page;
mod plot;

pub use build::build;

use crate::metrics::{Bin, Interval};

/// What goes wrong when a report is built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// A figure's data do not go together.
    #[error("the figure `{figure}` cannot be drawn: {reason}")]
    Data {
        /// The figure's title.
        figure: String,
        /// What is wrong.
        reason: String,
    },
    /// The plotting library refused.
    #[error("a figure cannot be drawn: {0}")]
    Drawing(String),
}

/// A whole report.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The title: the run's or the ablation's name.
    pub title: String,
    /// One line below the title: what it is, when it was made.
    pub subtitle: String,
    /// A warning at the top: the run is half-finished, some folds are missing.
    pub warning: Option<String>,
    /// Key figures: name and value.
    pub summary: Vec<(String, String)>,
    /// The sections in order.
    pub sections: Vec<Section>,
}

/// One section with its heading.
#[derive(Debug, Clone)]
pub struct Section {
    /// The heading.
    pub title: String,
    /// A sentence or two below it; may be empty.
    pub note: String,
    /// What it shows.
    pub content: Content,
}

/// What a section shows.
#[derive(Debug, Clone)]
pub enum Content {
    /// Values over steps or epochs.
    Curves(Vec<CurvePanel>),
    /// Predicted against true, and residuals.
    Predictions(Vec<Predictions>),
    /// One bar per group.
    Groups(GroupValues),
    /// Histograms of labels with the share of zeros and of missing ones.
    Distributions(Vec<Distribution>),
    /// Reliability diagrams.
    Calibration(Vec<Calibration>),
    /// Samples with their photographs.
    Gallery(Vec<Sample>),
    /// Effects of an ablation's arms with intervals.
    Ablation(Ablation),
    /// Any table.
    Table(Table),
    /// Any text, in a fixed-width face: a configuration, a graph.
    Text(String),
    /// A drawing made elsewhere, as an SVG file.
    Drawing(String),
}

/// Curves that share one vertical axis.
#[derive(Debug, Clone)]
pub struct CurvePanel {
    /// The name of what is measured.
    pub title: String,
    /// The name of the horizontal axis.
    pub horizontal: String,
    /// The curves.
    pub curves: Vec<Curve>,
}

/// One curve. Points that are not finite are left out, and the curve is broken there.
#[derive(Debug, Clone)]
pub struct Curve {
    /// Its name.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// What was predicted for one target, observed labels only.
#[derive(Debug, Clone)]
pub struct Predictions {
    /// The target's name.
    pub target: String,
    /// Its unit; may be empty.
    pub unit: String,
    /// Pairs of true and predicted value.
    pub pairs: Vec<(f64, f64)>,
    /// The score as text, such as `R2 0.81`; may be empty.
    pub score: String,
}

/// One value per group of rows.
#[derive(Debug, Clone)]
pub struct GroupValues {
    /// What is measured, with its unit.
    pub measure: String,
    /// Name, number of rows and value of each group.
    pub groups: Vec<(String, usize, f64)>,
}

/// The labels of one target.
#[derive(Debug, Clone)]
pub struct Distribution {
    /// The target's name.
    pub target: String,
    /// Its unit; may be empty.
    pub unit: String,
    /// The observed values.
    pub values: Vec<f64>,
    /// How many labels are missing.
    pub missing: usize,
}

/// How far confidence and truth agree.
#[derive(Debug, Clone)]
pub struct Calibration {
    /// What was predicted.
    pub title: String,
    /// The bins of [`crate::metrics::reliability`].
    pub bins: Vec<Bin>,
    /// The expected calibration error.
    pub error: f64,
}

/// A picture inside the report.
#[derive(Debug, Clone)]
pub struct Thumbnail {
    /// `image/jpeg` or `image/png`.
    pub media_type: &'static str,
    /// The encoded picture.
    pub bytes: Vec<u8>,
    /// Its size in pixels: width and height.
    pub size: (u32, u32),
}

/// One sample of a gallery.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Its name, such as the file's.
    pub name: String,
    /// The photograph.
    pub picture: Thumbnail,
    /// Weights of its tiles, laid over the photograph.
    pub tiles: Option<Tiles>,
    /// Rows below it, such as `("Clover", "true 12.1, predicted 9.4")`.
    pub facts: Vec<(String, String)>,
}

/// The weight of each tile of a regular grid.
#[derive(Debug, Clone)]
pub struct Tiles {
    /// Rows of the grid.
    pub rows: usize,
    /// Columns of the grid.
    pub columns: usize,
    /// The weights, row by row.
    pub weights: Vec<f32>,
}

/// An ablation's arms against its base.
#[derive(Debug, Clone)]
pub struct Ablation {
    /// The metric that effects are differences of.
    pub metric: String,
    /// Whether a larger value is better.
    pub larger_is_better: bool,
    /// The base's value.
    pub base: f64,
    /// The arms.
    pub arms: Vec<Arm>,
}

/// One arm of an ablation.
#[derive(Debug, Clone)]
pub struct Arm {
    /// What it changes.
    pub name: String,
    /// The effect on all samples with its interval; `None` while the arm has not finished.
    pub effect: Option<Interval>,
    /// The effect of each seed.
    pub seeds: Vec<f64>,
    /// Trained and frozen parameters.
    pub parameters: Option<u64>,
    /// Floating-point operations of one forward pass of one sample.
    pub flops: Option<u64>,
    /// Seconds of training.
    pub seconds: Option<f64>,
}

/// A table of texts. Columns whose every cell is a number are aligned on the right.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// The heads.
    pub head: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

impl Report {
    /// Draws the whole page.
    ///
    /// # Errors
    /// A figure whose data do not go together.
    pub fn to_html(&self) -> Result<String, ReportError> {
        Ok(page::page(self)?.into_string())
    }
}
