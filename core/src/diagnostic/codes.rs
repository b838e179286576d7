//! The registry of diagnostic codes: one entry a code, with the text of its page in `docs/errors.md`.
//!
//! Codes are grouped by the stage that finds the fault, one file a stage:
//!
//! | range | stage | file |
//! |---|---|---|
//! | `S00xx` | reading files | `reading.rs` |
//! | `S01xx` | resolving modules, parameters, overrides | `resolving.rs` |
//! | `S02xx` | references and structure | `structure.rs` |
//! | `S03xx` | types, shapes and dimensions | `shapes.rs` |
//! | `S04xx` | domains and gradients | `gradients.rs` |
//! | `S05xx` | contracts and interfaces | `contracts.rs` |
//! | `S06xx` | warnings | `warnings.rs` |
//! | `S07xx` | data | `data.rs` |
//! | `S08xx` | experiments | `experiment.rs` |
//! | `S09xx` | engines and running | `running.rs` |
//!
//! To add a code, add an entry to the `codes!` list of its file, in ascending order, then write the page anew with
//! `SWARD_BLESS=1 cargo test -p sward-core errors_page`. A code keeps its meaning for ever: retired numbers are not used again.
//!
//! Examples are RON text. One that needs several files separates them by lines `// file: fusion/film.ron`; text before the first
//! such line is the file `main.ron`, which is the one that is checked.

use std::fmt;

/// Declares the codes of one stage: a constant for each, and the table of their entries.
macro_rules! codes {
    (@untested) => { None };
    (@untested $reason:literal) => { Some($reason) };
    ($($number:literal $name:ident $title:literal {
        $explanation:literal
        wrong: $wrong:literal
        right: $right:literal
        $(untested: $untested:literal)?
    })*) => {
        $(
            #[doc = $title]
            pub const $name: $crate::diagnostic::Code = $crate::diagnostic::Code::new($number);
        )*
        /// The entries of this stage, in ascending order of their codes.
        pub(super) const ENTRIES: &[$crate::diagnostic::codes::Entry] = &[$(
            $crate::diagnostic::codes::Entry {
                code: $name,
                title: $title,
                explanation: $explanation,
                wrong: $wrong,
                right: $right,
                untested: codes!(@untested $($untested)?),
            },
        )*];
    };
}

mod contracts;
mod data;
mod experiment;
mod gradients;
mod reading;
mod resolving;
mod running;
mod shapes;
mod structure;
mod warnings;

// A stage whose list is still empty gives nothing to pass on.
#[allow(unused_imports)]
pub use {
    contracts::*, data::*, experiment::*, gradients::*, reading::*, resolving::*, running::*, shapes::*, structure::*,
    warnings::*,
};

/// The name of one kind of fault: `S` and four digits, stable for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(u16);

impl Code {
    /// The code with this number. Only the registry's lists make codes.
    pub(crate) const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The number without the letter.
    pub fn number(self) -> u16 {
        self.0
    }

    /// The registry's entry.
    ///
    /// # Panics
    ///
    /// Never for a code that the registry declares, and there are no others.
    pub fn entry(self) -> &'static Entry {
        all_codes().find(|entry| entry.code == self).expect("every code is declared in the registry")
    }

    /// The code that is written so (`S0015`), if the registry has it.
    pub fn parse(text: &str) -> Option<Self> {
        all_codes().map(|entry| entry.code).find(|code| code.to_string() == text)
    }

    /// Whether the code stands for a warning (`S06xx`) rather than an error.
    pub fn is_warning(self) -> bool {
        (600..700).contains(&self.0)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "S{:04}", self.0)
    }
}

/// What the registry knows of a code.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The code.
    pub code: Code,
    /// A short title, in lower case.
    pub title: &'static str,
    /// One paragraph: what the fault is, and why it is one.
    pub explanation: &'static str,
    /// Text that has the fault, and no other.
    pub wrong: &'static str,
    /// The same text, mended.
    pub right: &'static str,
    /// Why the examples cannot be tested by checking them as they stand (they need a special file, a device ...).
    pub untested: Option<&'static str>,
}

impl Entry {
    /// The files of the wrong example: path and text, the one to check first.
    pub fn wrong_files(&self) -> Vec<(&'static str, &'static str)> {
        split_files(self.wrong)
    }

    /// The files of the right example: path and text, the one to check first.
    pub fn right_files(&self) -> Vec<(&'static str, &'static str)> {
        split_files(self.right)
    }
}

fn split_files(example: &'static str) -> Vec<(&'static str, &'static str)> {
    const MARK: &str = "// file: ";
    let mut files = Vec::new();
    let mut name = "main.ron";
    let mut start = 0;
    let mut offset = 0;
    for line in example.split_inclusive('\n') {
        if let Some(path) = line.strip_prefix(MARK) {
            files.push((name, &example[start..offset]));
            name = path.trim();
            start = offset + line.len();
        }
        offset += line.len();
    }
    files.push((name, &example[start..]));
    // An example that opens with a mark has no text of its own before it.
    if files.len() > 1 && files[0].1.trim().is_empty() {
        files.remove(0);
    }
    files
}

/// The stages: their files' entries, with the title of their section in `docs/errors.md`.
// Each file has its own `ENTRIES`: the path says which is meant.
#[allow(unused_qualifications)]
pub(crate) const STAGES: &[(&str, &[Entry])] = &[
    ("Reading files", reading::ENTRIES),
    ("Resolving modules, parameters and overrides", resolving::ENTRIES),
    ("References and structure", structure::ENTRIES),
    ("Types, shapes and dimensions", shapes::ENTRIES),
    ("Domains and gradients", gradients::ENTRIES),
    ("Contracts and interfaces", contracts::ENTRIES),
    ("Warnings", warnings::ENTRIES),
    ("Data", data::ENTRIES),
    ("Experiments", experiment::ENTRIES),
    ("Engines and running", running::ENTRIES),
];

/// Every entry of the registry, in ascending order of the codes.
pub fn all_codes() -> impl Iterator<Item = &'static Entry> {
    STAGES.iter().flat_map(|(_, entries)| entries.iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_without_repeats_and_lie_in_the_range_of_their_stage() {
        let mut previous = None;
        for (stage, (title, entries)) in STAGES.iter().enumerate() {
            for entry in *entries {
                let number = entry.code.number();
                assert_eq!(usize::from(number / 100), stage, "{} does not belong to {title}", entry.code);
                assert!(Some(number) > previous, "{} is not above the code before it", entry.code);
                previous = Some(number);
            }
        }
    }

    #[test]
    fn every_entry_is_written_out() {
        for entry in all_codes() {
            assert!(!entry.title.is_empty() && !entry.title.ends_with('.'), "{}: title", entry.code);
            assert!(entry.title.chars().count() <= 72, "{}: title over 72 characters", entry.code);
            assert!(entry.explanation.trim_end_matches(')').ends_with('.'), "{}: explanation", entry.code);
            assert!(!entry.wrong.trim().is_empty() && !entry.right.trim().is_empty(), "{}: examples", entry.code);
            // A fault of the command line may lie beside a file that is right.
            assert!(entry.wrong != entry.right || entry.untested.is_some(), "{}: examples", entry.code);
        }
    }

    #[test]
    fn a_code_is_found_by_its_text() {
        assert_eq!(Code::parse("S0015"), Some(DUPLICATE_FIELD));
        assert_eq!(Code::parse("S15"), None);
        assert_eq!(Code::parse(""), None);
        assert_eq!(DUPLICATE_FIELD.to_string(), "S0015");
    }

    #[test]
    fn examples_of_several_files_are_split_at_their_marks() {
        assert_eq!(split_files("a\n// file: b/c.ron\nd\n"), [("main.ron", "a\n"), ("b/c.ron", "d\n")]);
        assert_eq!(split_files("// file: b.ron\nd\n"), [("b.ron", "d\n")]);
        assert_eq!(split_files("a"), [("main.ron", "a")]);
    }
}
