//! What is wrong with an expression, and where.

use std::ops::Range;

use crate::dim::DimError;
use crate::source::char_start;

/// An error in an expression.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct ExprError {
    /// The sentence.
    pub message: String,
    /// The bytes of the expression's text that it is about.
    pub range: Range<usize>,
    /// What kind of error it is, with what a caller needs for a suggestion.
    pub kind: ExprErrorKind,
}

/// The kinds of errors in expressions.
#[derive(Clone, PartialEq, Debug)]
pub enum ExprErrorKind {
    /// The text is not an expression.
    Syntax,
    /// A name that the scope does not know.
    UnknownName {
        /// The name.
        name: String,
        /// All names of the scope.
        known: Vec<String>,
    },
    /// A function that does not exist.
    UnknownFunction {
        /// The name.
        name: String,
        /// All functions.
        known: Vec<String>,
    },
    /// An operand or argument of the wrong type, or the wrong number of them.
    Type,
    /// Arithmetic that fails: overflow, division by zero, an exact division that cannot come out.
    Arithmetic(Option<DimError>),
    /// An index outside its list.
    Index,
    /// A comparison whose outcome depends on sizes that are not known.
    Undecided,
}

impl ExprError {
    /// An error from its parts.
    pub fn new(kind: ExprErrorKind, range: Range<usize>, message: impl Into<String>) -> ExprError {
        ExprError { message: message.into(), range, kind }
    }

    pub(crate) fn syntax(range: Range<usize>, message: impl Into<String>) -> ExprError {
        ExprError::new(ExprErrorKind::Syntax, range, message)
    }

    pub(crate) fn type_error(range: Range<usize>, message: impl Into<String>) -> ExprError {
        ExprError::new(ExprErrorKind::Type, range, message)
    }

    pub(crate) fn arithmetic(range: Range<usize>, error: DimError) -> ExprError {
        ExprError::new(ExprErrorKind::Arithmetic(Some(error.clone())), range, error.to_string())
    }

    /// The same error for an expression that starts later in a longer text.
    pub fn shifted(mut self, offset: usize) -> ExprError {
        self.range = self.range.start + offset..self.range.end + offset;
        self
    }
}

/// How many bytes of an expression are shown whole.
const SHOWN_WHOLE: usize = 160;
/// How many bytes are shown on either side of what is wrong in a longer one.
const SHOWN_AROUND: usize = 40;

/// The part of an expression's text that an error at `range` is about, for messages: the whole text where it is short.
///
/// ```
/// use sward_core::expr::excerpt;
/// assert_eq!(excerpt("4 * * width", &(4..5)), "4 * * width");
/// let long = format!("{}4 * * width", "1 + ".repeat(100));
/// assert!(excerpt(&long, &(404..405)).starts_with("…1 + 1 + "));
/// ```
pub fn excerpt(text: &str, range: &Range<usize>) -> String {
    if text.len() <= SHOWN_WHOLE {
        return text.to_owned();
    }
    let start = char_start(text, range.start.saturating_sub(SHOWN_AROUND));
    let end = char_start(text, (range.start + SHOWN_AROUND).max(range.end.min(range.start + SHOWN_WHOLE)));
    let (before, after) = (if start > 0 { "…" } else { "" }, if end < text.len() { "…" } else { "" });
    format!("{before}{}{after}", &text[start..end])
}
