//! The functions of constant expressions.

use std::ops::Range;

use super::evaluate::{Evaluator, exact, finite};
use super::{BinaryOp, Constant, Expr, ExprError, ExprErrorKind};
use crate::dim::{Dim, DimError};

/// The functions that [`super::evaluate`] knows, with what they take and do.
pub const FUNCTIONS: [(&str, &str); 15] = [
    ("min", "min(a, b, ...) or min(list): the smallest"),
    ("max", "max(a, b, ...) or max(list): the largest"),
    ("ceil_div", "ceil_div(a, b): the quotient of whole numbers, rounded up"),
    ("where", "where(condition, a, b): a if the condition holds, else b; the other one is not computed"),
    ("sum", "sum(list): the sum, 0 for an empty list"),
    ("len", "len(list): the number of elements"),
    ("take", "take(list, count): the first elements of a list"),
    ("range", "range(count): the whole numbers from 0 up to count - 1"),
    ("abs", "abs(a): the absolute value"),
    ("floor", "floor(a): rounded down to a whole number"),
    ("round", "round(a): the nearest whole number, halves to even"),
    ("float", "float(a): a whole number as a float, so that `/` gives a fraction"),
    ("sqrt", "sqrt(a): the square root, a float"),
    ("exp", "exp(a): the exponential, a float"),
    ("ln", "ln(a): the natural logarithm, a float"),
];

/// The longest list that `range` makes: as many as a `Repeat` has iterations.
const MAX_RANGE: i64 = 10_000;

pub(super) fn call(
    evaluator: &mut Evaluator<'_>,
    function: &str,
    function_range: &Range<usize>,
    arguments: &[Expr],
    range: &Range<usize>,
) -> Result<Constant, ExprError> {
    let Some((_, usage)) = FUNCTIONS.iter().find(|(name, _)| *name == function) else {
        let known = FUNCTIONS.iter().map(|(name, _)| (*name).to_owned()).collect();
        let kind = ExprErrorKind::UnknownFunction { name: function.to_owned(), known };
        return Err(ExprError::new(kind, function_range.clone(), format!("there is no function `{function}`")));
    };
    let expected = match function {
        "min" | "max" => 1..=usize::MAX,
        "ceil_div" | "take" => 2..=2,
        "where" => 3..=3,
        _ => 1..=1,
    };
    if !expected.contains(&arguments.len()) {
        let count = arguments.len();
        let message = format!("`{function}` does not take {count} arguments; {usage}");
        return Err(ExprError::type_error(range.clone(), message));
    }
    if function == "where" {
        let chosen = if evaluator.truth(&arguments[0])? { &arguments[1] } else { &arguments[2] };
        return evaluator.value(chosen);
    }
    let mut values = Vec::with_capacity(arguments.len());
    for argument in arguments {
        values.push(evaluator.value(argument)?);
    }
    let wrong = |position: usize| {
        let value = &values[position];
        let message = format!("`{function}` does not take {} ({value}); {usage}", value.kind());
        ExprError::type_error(arguments[position].range.clone(), message)
    };
    let list = || values[0].as_list().ok_or_else(|| wrong(0));
    let number = || values[0].as_float().ok_or_else(|| wrong(0));
    match function {
        "min" | "max" => {
            let items = match values.as_slice() {
                [Constant::List(items)] if items.is_empty() => {
                    return Err(ExprError::type_error(range.clone(), format!("`{function}` of an empty list")));
                }
                [Constant::List(items)] => items.clone(),
                several => several.to_vec(),
            };
            extremum(function, &items, range)
        }
        "ceil_div" => match (&values[0], &values[1]) {
            (Constant::Int(dividend), Constant::Int(divisor)) => exact(dividend.ceil_div(divisor), range),
            (Constant::Int(_), _) => Err(wrong(1)),
            _ => Err(wrong(0)),
        },
        "sum" => {
            let items = list()?.to_vec();
            items.into_iter().try_fold(Constant::from(0), |total, item| evaluator.binary(BinaryOp::Add, total, item, range))
        }
        "len" => match i64::try_from(list()?.len()) {
            Ok(length) => Ok(Constant::from(length)),
            Err(_) => Err(ExprError::arithmetic(range.clone(), DimError::Overflow)),
        },
        "take" => {
            let items = list()?;
            let count = values[1].as_int().ok_or_else(|| wrong(1))?;
            match usize::try_from(count).ok().and_then(|count| items.get(..count)) {
                Some(first) => Ok(Constant::List(first.to_vec())),
                None => {
                    let message = format!("the first {count} elements of a list that has {} elements", items.len());
                    Err(ExprError::new(ExprErrorKind::Index, arguments[1].range.clone(), message))
                }
            }
        }
        "range" => match values[0].as_int() {
            Some(count @ 0..=MAX_RANGE) => Ok(Constant::List((0..count).map(Constant::from).collect())),
            Some(count) => {
                let message = format!("`range` counts from 0 to {MAX_RANGE}, and not to {count}");
                Err(ExprError::new(ExprErrorKind::Index, arguments[0].range.clone(), message))
            }
            None => Err(wrong(0)),
        },
        "abs" => match &values[0] {
            Constant::Int(dim) => exact(absolute(dim), range),
            _ => finite(number()?.abs(), range),
        },
        "floor" => to_whole(&values[0], number(), f64::floor, range),
        "round" => to_whole(&values[0], number(), f64::round_ties_even, range),
        "float" => finite(number()?, range),
        "sqrt" => finite(number()?.sqrt(), range),
        "exp" => finite(number()?.exp(), range),
        _ => finite(number()?.ln(), range),
    }
}

fn absolute(dim: &Dim) -> Result<Dim, DimError> {
    dim.maximum(&(Dim::ZERO - dim)?)
}

fn to_whole(
    value: &Constant,
    number: Result<f64, ExprError>,
    rounding: fn(f64) -> f64,
    range: &Range<usize>,
) -> Result<Constant, ExprError> {
    if let Constant::Int(_) = value {
        return Ok(value.clone());
    }
    let rounded = rounding(number?);
    // 2^63 is exact as a float, and the first whole number that does not fit.
    if rounded.abs() >= 9_223_372_036_854_775_808.0 {
        return Err(ExprError::arithmetic(range.clone(), DimError::Overflow));
    }
    Ok(Constant::from(rounded as i64))
}

fn extremum(function: &str, items: &[Constant], range: &Range<usize>) -> Result<Constant, ExprError> {
    let whole: Option<Vec<&Dim>> = items.iter().map(Constant::as_dim).collect();
    if let Some(dims) = whole {
        let mut best = dims[0].clone();
        for dim in &dims[1..] {
            let joined = if function == "min" { best.minimum(dim) } else { best.maximum(dim) };
            best = joined.map_err(|error| ExprError::arithmetic(range.clone(), error))?;
        }
        return Ok(Constant::Int(best));
    }
    let mut best: Option<f64> = None;
    for item in items {
        let Some(value) = item.as_float() else {
            let message = format!("`{function}` takes numbers that are known, not {} ({item})", item.kind());
            return Err(ExprError::type_error(range.clone(), message));
        };
        best = Some(best.map_or(value, |best| if function == "min" { best.min(value) } else { best.max(value) }));
    }
    finite(best.unwrap_or(f64::NAN), range)
}
