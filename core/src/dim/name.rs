//! Interned names of sizes.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{LazyLock, RwLock};

use rustc_hash::FxHashSet;

/// The name of a size, such as `batch` or `height`.
///
/// Names are interned: a copy is one pointer and equality is one comparison. The order is that of the texts, so it does
/// not depend on which name was seen first.
///
/// ```
/// use sward_core::dim::Name;
/// assert_eq!(Name::new("batch"), Name::new("batch"));
/// assert!(Name::new("batch") < Name::new("height"));
/// ```
#[derive(Clone, Copy)]
pub struct Name(&'static str);

static NAMES: LazyLock<RwLock<FxHashSet<&'static str>>> = LazyLock::new(|| RwLock::new(FxHashSet::default()));

impl Name {
    /// Interns a text.
    pub fn new(text: &str) -> Name {
        let poisoned = "no thread panics while it holds the table of names";
        if let Some(found) = NAMES.read().expect(poisoned).get(text) {
            return Name(found);
        }
        let mut names = NAMES.write().expect(poisoned);
        if let Some(found) = names.get(text) {
            return Name(found);
        }
        let leaked: &'static str = Box::leak(text.into());
        names.insert(leaked);
        Name(leaked)
    }

    /// The text of the name.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // By text, so that hashes repeat from run to run and agree with `str`.
        self.0.hash(state);
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> Ordering {
        if self == other { Ordering::Equal } else { self.0.cmp(other.0) }
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        self.0
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Name {
        Name::new(text)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}
