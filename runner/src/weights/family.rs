//! Which backbone of the library a file is of, when it is not of the graph at hand.

use super::load::wanted;
use super::plan::{Candidates, LoadPlan};
use crate::experiment::library_session;
use sward_core::check::Overrides;
use sward_core::dim::Sizes;

/// A library backbone that a file fits better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// The graph file, by its path in the library.
    pub graph: String,
    /// The mapping.
    pub mapping: String,
    /// How many of its parameters the file fills.
    pub loaded: usize,
    /// How many it has.
    pub parameters: usize,
}

/// The folder of the library that holds backbones.
const FOLDER: &str = "backbones/";

/// The library backbone that the file fits best, if it fits at least nine tenths of its parameters and more than the plan at hand fits.
pub(super) fn nearest_family(candidates: &Candidates<'_>, plan: &LoadPlan, parameters: usize) -> Option<Family> {
    let own = plan.loads.len() as f64 / parameters.max(1) as f64;
    let mut session = library_session();
    let root = session.roots().library()?;
    let mut sizes = Sizes::new();
    sizes.insert("channels", 3);
    let mut best: Option<(f64, usize, Family)> = None;
    for (path, _) in sward_graphs::files() {
        if !path.starts_with(FOLDER) {
            continue;
        }
        let Some((file, graph_file)) = session.open_in(root, &path) else { continue };
        let Some(checked) = session.check_file(file, &graph_file, &Overrides::default()) else { continue };
        let Ok(wanted) = wanted(&checked, &sizes, "") else { continue };
        let Some(found) = candidates.best(&wanted, &[]) else { continue };
        let share = found.loads.len() as f64 / wanted.len() as f64;
        // Of two that fit equally well, the one that leaves less of the file over is meant, then the thin file over a family.
        let wrong = found.left_over.len() + found.missing.len() + found.wrong_shape.len();
        let is_better = match &best {
            None => true,
            Some((most, least_wrong, _)) => share > *most || (share == *most && wrong < *least_wrong),
        };
        if is_better && share >= 0.9 && share > own {
            let family = Family { graph: path, mapping: found.mapping, loaded: found.loads.len(), parameters: wanted.len() };
            best = Some((share, wrong, family));
        }
    }
    best.map(|(_, _, family)| family)
}
