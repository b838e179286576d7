//! Expressions inside texts: `"blocks.{depth - 1}"`.

use super::evaluate::{MAX_TEXT_BYTES, within_limit};
use super::{Constant, ExprError, Scope, evaluate, parse};

/// A text with its expressions replaced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Interpolated {
    /// One text.
    One(String),
    /// One text for each element of the list that an expression gave.
    Many(Vec<String>),
}

/// Whether a text has expressions or doubled braces in it, so that [`interpolate`] would change it.
pub fn has_interpolation(text: &str) -> bool {
    text.contains(['{', '}'])
}

/// Replaces each `{expression}` by its value; `{{` and `}}` stand for single braces.
///
/// One expression may be a list, which gives one text for each of its elements.
///
/// # Errors
/// Those of the expressions, with places in the whole text; braces that do not match; a value that depends on sizes.
///
/// ```
/// use sward_core::expr::{Constant, Interpolated, Scope, interpolate};
/// struct Depth;
/// impl Scope for Depth {
///     fn lookup(&self, name: &str) -> Option<Constant> {
///         (name == "depth").then(|| Constant::from(12))
///     }
///     fn names(&self) -> Vec<String> {
///         vec!["depth".into()]
///     }
/// }
/// assert_eq!(interpolate("blocks.{depth - 1}", &Depth)?, Interpolated::One("blocks.11".into()));
/// let every_other = interpolate("blocks.{[0, 2]}", &Depth)?;
/// assert_eq!(every_other, Interpolated::Many(vec!["blocks.0".into(), "blocks.2".into()]));
/// # Ok::<(), sward_core::expr::ExprError>(())
/// ```
pub fn interpolate(text: &str, scope: &dyn Scope) -> Result<Interpolated, ExprError> {
    let mut texts = vec![String::new()];
    let mut is_list = false;
    let mut position = 0;
    while let Some(offset) = text[position..].find(['{', '}']) {
        let brace = position + offset;
        append(&mut texts, &text[position..brace]);
        let doubled = text[brace + 1..].starts_with(&text[brace..=brace]);
        if doubled {
            append(&mut texts, &text[brace..=brace]);
            position = brace + 2;
            continue;
        }
        if text[brace..].starts_with('}') {
            let message = "`}` closes nothing; a brace in a text is written twice";
            return Err(ExprError::syntax(brace..brace + 1, message));
        }
        let start = brace + 1;
        let Some(length) = closing_brace(&text[start..]) else {
            return Err(ExprError::syntax(brace..brace + 1, "the brace opened here is not closed"));
        };
        let end = start + length;
        let expr = parse(&text[start..end]).map_err(|error| error.shifted(start))?;
        let value = evaluate(&expr, scope).map_err(|error| error.shifted(start))?.value;
        let written = |value: &Constant| {
            plain(value).ok_or_else(|| {
                let message = format!("a name cannot be made from {} ({value})", value.kind());
                ExprError::type_error(start..end, message)
            })
        };
        match &value {
            Constant::List(_) if is_list => {
                return Err(ExprError::type_error(start..end, "a text has at most one expression that is a list"));
            }
            Constant::List(items) => {
                is_list = true;
                let prefix = std::mem::take(&mut texts[0]);
                within_limit(prefix.len().saturating_mul(items.len()), MAX_TEXT_BYTES, "bytes", &(start..end))?;
                texts = items.iter().map(|item| Ok(prefix.clone() + &written(item)?)).collect::<Result<_, _>>()?;
            }
            single => append(&mut texts, &written(single)?),
        }
        let bytes = texts.iter().map(String::len).sum();
        within_limit(bytes, MAX_TEXT_BYTES, "bytes", &(start..end))?;
        position = end + 1;
    }
    append(&mut texts, &text[position..]);
    if is_list {
        return Ok(Interpolated::Many(texts));
    }
    Ok(Interpolated::One(texts.remove(0)))
}

fn append(texts: &mut [String], piece: &str) {
    for text in texts {
        text.push_str(piece);
    }
}

/// The position of the brace that ends an expression; braces inside quotes do not count.
fn closing_brace(text: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (position, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '\'' => quoted = !quoted,
            '}' if !quoted => return Some(position),
            _ => {}
        }
    }
    None
}

fn plain(value: &Constant) -> Option<String> {
    match value {
        Constant::Int(_) => value.as_int().map(|value| value.to_string()),
        Constant::Float(value) => Some(value.to_string()),
        Constant::Bool(value) => Some(value.to_string()),
        Constant::Text(text) => Some(text.clone()),
        Constant::List(_) => None,
    }
}
