//! The registered ops, by name.

use super::{Op, Schema};
use std::collections::BTreeMap;

/// Why an op could not be registered.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Two ops have one name.
    #[error("the op `{0}` is registered twice")]
    Duplicate(&'static str),
}

/// The ops that graph files may use.
#[derive(Default)]
pub struct Catalogue {
    ops: BTreeMap<&'static str, &'static dyn Op>,
}

impl Catalogue {
    /// Registers ops.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn new(ops: &[&'static dyn Op]) -> Result<Catalogue, CatalogueError> {
        let mut catalogue = Catalogue::default();
        for op in ops {
            let name = op.schema().name;
            if catalogue.ops.insert(name, *op).is_some() {
                return Err(CatalogueError::Duplicate(name));
            }
        }
        Ok(catalogue)
    }

    /// The op with that name.
    pub fn get(&self, name: &str) -> Option<&'static dyn Op> {
        self.ops.get(name).copied()
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.ops.keys().copied()
    }

    /// All schemas, in the order of their names.
    pub fn schemas(&self) -> impl Iterator<Item = &'static Schema> + '_ {
        self.ops.values().map(|op| op.schema())
    }
}
