//! Sizes as text that reads like what a person would have written, and that the expression parser reads back.

use std::fmt::{self, Write};

use super::divide::{common_denominator, expand};
use super::polynomial::{Atom, Monomial, Polynomial, Term};
use super::rational::Rational;
use super::{Dim, DimError, Form};

impl fmt::Display for Dim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Constant(value) => write!(formatter, "{value}"),
            Form::Name(name) => write!(formatter, "{name}"),
            Form::Polynomial(polynomial) => formatter.write_str(&polynomial_text(polynomial).text),
        }
    }
}

pub(super) fn write_obligation(formatter: &mut fmt::Formatter<'_>, dividend: &Dim, divisor: &Dim) -> fmt::Result {
    let dividend = dim_text(dividend).as_factor(false);
    let divisor = dim_text(divisor).as_factor(true);
    write!(formatter, "{dividend} % {divisor} == 0")
}

/// How tightly the outermost operation of a text binds.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Binding {
    Sum,
    /// `//`, `/` and `%`: kept apart from products, so that nobody has to know their order.
    Division,
    Product,
    Single,
}

struct Text {
    text: String,
    binding: Binding,
}

impl Text {
    fn single(text: String) -> Text {
        Text { text, binding: Binding::Single }
    }

    /// The text as an operand of a division; on the right even a product needs parentheses.
    fn as_factor(&self, on_the_right: bool) -> String {
        let least = if on_the_right { Binding::Single } else { Binding::Product };
        if self.binding < least { format!("({})", self.text) } else { self.text.clone() }
    }
}

fn dim_text(dim: &Dim) -> Text {
    match &dim.0 {
        Form::Constant(value) if *value < 0 => Text { text: value.to_string(), binding: Binding::Sum },
        Form::Constant(value) => Text::single(value.to_string()),
        Form::Name(name) => Text::single(name.to_string()),
        Form::Polynomial(polynomial) => polynomial_text(polynomial),
    }
}

/// One summand: its sign and its text without it.
struct Summand {
    negative: bool,
    text: Text,
}

fn polynomial_text(polynomial: &Polynomial) -> Text {
    let summands = summands(polynomial).unwrap_or_else(|_| plain_summands(&polynomial.terms));
    let mut ordered: Vec<&Summand> = summands.iter().collect();
    // A sum starts with something positive where it can.
    if let Some(first_positive) = ordered.iter().position(|summand| !summand.negative) {
        let first = ordered.remove(first_positive);
        ordered.insert(0, first);
    }
    match ordered.as_slice() {
        [] => Text::single("0".into()),
        [single] if !single.negative => Text { text: single.text.text.clone(), binding: single.text.binding },
        several => {
            let mut text = String::new();
            for (position, summand) in several.iter().enumerate() {
                text.push_str(match (position, summand.negative) {
                    (0, false) => "",
                    (0, true) => "-",
                    (_, false) => " + ",
                    (_, true) => " - ",
                });
                // A minus sign in front binds tighter than the operators of the summand.
                let wrap = summand.text.binding == Binding::Sum
                    || position == 0 && summand.negative && summand.text.binding == Binding::Division;
                if wrap {
                    let _ = write!(text, "({})", summand.text.text);
                } else {
                    text.push_str(&summand.text.text);
                }
            }
            Text { text, binding: Binding::Sum }
        }
    }
}

fn plain_summands(terms: &[Term]) -> Vec<Summand> {
    terms.iter().map(term_summand).collect()
}

fn summands(polynomial: &Polynomial) -> Result<Vec<Summand>, DimError> {
    let mut terms = polynomial.terms.clone();
    let mut summands = take_remainders(&mut terms)?;
    let (whole, broken): (Vec<Term>, Vec<Term>) =
        terms.into_iter().partition(|term| term.monomial.is_whole() && term.coefficient.is_whole());
    let mut whole = whole;
    for group in fraction_groups(broken)? {
        summands.push(fraction_summand(&group)?);
    }
    summands.extend(take_shifted_floor(&mut whole)?);
    summands.extend(plain_summands(&whole));
    Ok(summands)
}

/// Finds `x - d * (x // d)`, which is `x % d`.
fn take_remainders(terms: &mut Vec<Term>) -> Result<Vec<Summand>, DimError> {
    let mut found = Vec::new();
    let mut position = 0;
    while position < terms.len() {
        if let Some((used, summand)) = remainder_at(terms, position)? {
            terms.retain(|term| !used.contains(term));
            found.push(summand);
            position = 0;
        } else {
            position += 1;
        }
    }
    Ok(found)
}

fn remainder_at(terms: &[Term], position: usize) -> Result<Option<(Vec<Term>, Summand)>, DimError> {
    let term = &terms[position];
    for (atom, power) in &term.monomial.0 {
        let Atom::Floor(inner) = atom else { continue };
        if *power != 1 || inner.terms.iter().any(|part| matches!(part.monomial.0.first(), Some((Atom::Sum(_), _)))) {
            continue;
        }
        // The remainder is `factor * (divisor * inner - divisor * floor(inner))`.
        let denominator = common_denominator(inner.terms.iter())?;
        let floor =
            Term { monomial: denominator.monomial.multiply(&Monomial::of(atom.clone()))?, coefficient: denominator.coefficient };
        let factor = term.multiply(&floor.invert()?)?;
        if !factor.monomial.is_constant() || !factor.coefficient.is_whole() {
            continue;
        }
        let factor = factor.coefficient.negate()?;
        let dividend = inner.multiply_term(&denominator)?;
        let scaled = dividend.scale(factor)?;
        if !scaled.terms.iter().all(|part| terms.contains(part)) {
            continue;
        }
        let left = polynomial_text(&dividend).as_factor(false);
        let right = polynomial_text(&expand(&denominator)?).as_factor(true);
        let remainder = Text { text: format!("{left} % {right}"), binding: Binding::Division };
        let mut used = scaled.terms;
        used.push(term.clone());
        return Ok(Some((used, scaled_summand(factor, remainder))));
    }
    Ok(None)
}

fn scaled_summand(factor: Rational, text: Text) -> Summand {
    let negative = factor.numerator < 0;
    let count = factor.numerator.unsigned_abs();
    if count == 1 {
        return Summand { negative, text };
    }
    let factor = if text.binding == Binding::Single { text.text } else { format!("({})", text.text) };
    Summand { negative, text: Text { text: format!("{count} * {factor}"), binding: Binding::Product } }
}

/// Moves a negative constant back into a floor: `(height + 1) // 4 - 1` reads better as `(height - 3) // 4`.
fn take_shifted_floor(whole: &mut Vec<Term>) -> Result<Option<Summand>, DimError> {
    let Some(constant) = whole.iter().position(|term| term.monomial.is_constant()) else {
        return Ok(None);
    };
    let shift = whole[constant].coefficient;
    let mut floors = whole.iter().enumerate().filter_map(|(position, term)| match term.monomial.0.as_slice() {
        [(Atom::Floor(inner), 1)] if term.coefficient == Rational::ONE => Some((position, inner.clone())),
        _ => None,
    });
    let (Some((position, inner)), None) = (floors.next(), floors.next()) else {
        return Ok(None);
    };
    if shift > Rational::ZERO {
        return Ok(None);
    }
    let shifted = inner.add(&Polynomial::constant(shift))?;
    whole.remove(constant.max(position));
    whole.remove(constant.min(position));
    Ok(Some(Summand { negative: false, text: floor_text(&shifted)? }))
}

/// Fractions with one divisor each; a fractional constant joins the first whose divisor is a multiple of its own.
fn fraction_groups(broken: Vec<Term>) -> Result<Vec<Vec<Term>>, DimError> {
    let mut groups: Vec<(Term, Vec<Term>)> = Vec::new();
    for term in broken {
        let denominator = common_denominator(std::iter::once(&term))?;
        let fitting = groups.iter_mut().find(|(own, _)| {
            *own == denominator
                || term.monomial.is_constant()
                    && own.coefficient.numerator % denominator.coefficient.numerator == 0
                    && own.monomial.is_constant()
        });
        match fitting {
            Some((_, group)) => group.push(term),
            None => groups.push((denominator, vec![term])),
        }
    }
    Ok(groups.into_iter().map(|(_, group)| group).collect())
}

fn fraction_summand(group: &[Term]) -> Result<Summand, DimError> {
    let denominator = common_denominator(group.iter())?;
    let mut numerator = Polynomial::zero();
    for term in group {
        numerator = numerator.add(&expand(&term.multiply(&denominator)?)?)?;
    }
    let negative = numerator.terms.iter().all(|term| term.coefficient < Rational::ZERO);
    if negative {
        numerator = numerator.scale(Rational::whole(-1))?;
    }
    let left = polynomial_text(&numerator).as_factor(false);
    let right = polynomial_text(&expand(&denominator)?).as_factor(true);
    Ok(Summand { negative, text: Text { text: format!("{left} / {right}"), binding: Binding::Division } })
}

fn floor_text(inner: &Polynomial) -> Result<Text, DimError> {
    let denominator = common_denominator(inner.terms.iter())?;
    let mut numerator = Polynomial::zero();
    for term in &inner.terms {
        numerator = numerator.add(&expand(&term.multiply(&denominator)?)?)?;
    }
    let left = polynomial_text(&numerator).as_factor(false);
    let right = polynomial_text(&expand(&denominator)?).as_factor(true);
    Ok(Text { text: format!("{left} // {right}"), binding: Binding::Division })
}

fn term_summand(term: &Term) -> Summand {
    let negative = term.coefficient.numerator < 0;
    let mut factors: Vec<Text> = Vec::new();
    if term.coefficient.numerator.unsigned_abs() != 1 || term.monomial.is_constant() {
        factors.push(Text::single(term.coefficient.numerator.unsigned_abs().to_string()));
    }
    for (atom, power) in &term.monomial.0 {
        let text = atom_text(atom);
        if *power == 1 {
            factors.push(text);
        } else {
            let base = text.as_factor(true);
            factors.push(Text { text: format!("{base} ** {power}"), binding: Binding::Product });
        }
    }
    let text = match factors.len() {
        1 => factors.remove(0),
        _ => {
            let texts: Vec<String> = factors.iter().map(|factor| factor.as_factor(false)).collect();
            Text { text: texts.join(" * "), binding: Binding::Product }
        }
    };
    Summand { negative, text }
}

fn atom_text(atom: &Atom) -> Text {
    let call = |function: &str, arguments: &[Dim]| {
        let texts: Vec<String> = arguments.iter().map(Dim::to_string).collect();
        Text::single(format!("{function}({})", texts.join(", ")))
    };
    match atom {
        Atom::Name(name) => Text::single(name.to_string()),
        Atom::Floor(inner) => floor_text(inner).unwrap_or_else(|_| Text::single("overflow".into())),
        Atom::Minimum(arguments) => call("min", arguments),
        Atom::Maximum(arguments) => call("max", arguments),
        Atom::Sum(inner) => polynomial_text(inner),
    }
}
