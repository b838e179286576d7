//! `Data`, `Transform`, `Experiment` and `Ablation` files: read with places, and proved from column to output before a row is read.
//!
//! ```text
//! file --decode--> Data, ExperimentFile --read_data--> DataFile (fields with types) --join--> Joined (one checked graph)
//! ```
//!
//! `docs/experiments.md` is the definition.

pub mod ablation;
pub mod data;
mod join;
mod read_data;
mod read_field;
mod read_transform;
mod settings;
pub mod spec;
mod transform;
pub mod tree;

use sward_core::check::Overrides;
use sward_core::language::GraphFile;
use sward_core::roots::{MemoryFolder, Roots};
use sward_core::source::FileId;

pub use join::{GraphField, Joined, MIX_PARTNER, MIX_SHARE, PROJECTED, join, map_output, prediction_output, projected_output};
pub use read_data::{DataFile, Field, FieldRole, Session, expand_range, load_kind, read_data, read_data_tree};
pub use read_transform::{read_transform, read_transform_tree};
pub use settings::{best_metric, field_of, predicted_columns, watched_direction};
pub use transform::{Item, Parts, TransformFile, TransformGraph};

/// A session with the catalogue and the built-in library, and no search roots.
pub fn library_session() -> Session<'static> {
    let mut roots = Roots::new();
    roots.set_library(sward_graphs::files().into_iter().collect::<MemoryFolder>());
    Session::new(sward_ops::catalogue::catalogue(), roots)
}

/// Checks a file of any kind, and reports in the session what is wrong.
pub fn check(session: &mut Session<'_>, file: FileId, graph_file: &GraphFile, overrides: &Overrides) {
    match graph_file {
        GraphFile::Module(_) | GraphFile::Interface(_) => {
            session.check_file(file, graph_file, overrides);
        }
        GraphFile::Other { kind, tree } => match kind.value.as_str() {
            "Data" => {
                read_data_tree(session, file, tree.clone(), &overrides.sets);
            }
            "Transform" => {
                read_transform_tree(session, file, tree, &indexmap::IndexMap::new());
            }
            "Experiment" => {
                join(session, file, tree, overrides);
            }
            "Weights" => {
                crate::weights::mapping::read_mapping(&session.sources, file, &mut session.diagnostics);
            }
            // The reader knows no other kind.
            _ => ablation::check(session, file, tree),
        },
    }
}
