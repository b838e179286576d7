//! Words, numbers and signs of an expression.

use std::ops::Range;

use super::ExprError;

/// Longest text that is read as an expression.
const MAXIMUM_LENGTH: usize = 1 << 16;

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Token {
    Int(i64),
    Float(f64),
    /// A name with dots and port, such as `stages.0.blocks` or `halves:1`.
    Name(String),
    Text(String),
    /// An operator, bracket or comma.
    Sign(&'static str),
}

impl Token {
    pub fn describe(&self) -> String {
        match self {
            Token::Int(value) => format!("`{value}`"),
            Token::Float(value) => format!("`{value:?}`"),
            Token::Name(name) => format!("`{name}`"),
            Token::Text(text) => format!("the text '{text}'"),
            Token::Sign(sign) => format!("`{sign}`"),
        }
    }
}

/// Signs, longer ones before their beginnings.
const SIGNS: [&str; 19] = ["**", "//", "<=", ">=", "==", "!=", "+", "-", "*", "/", "%", "<", ">", "(", ")", "[", "]", ",", "="];

pub(crate) fn tokenize(text: &str) -> Result<Vec<(Token, Range<usize>)>, ExprError> {
    if text.len() > MAXIMUM_LENGTH {
        return Err(ExprError::syntax(0..text.len(), format!("the expression is longer than {MAXIMUM_LENGTH} bytes")));
    }
    let mut tokens = Vec::new();
    let mut position = 0;
    while let Some(first) = text[position..].chars().next() {
        let rest = &text[position..];
        if first.is_whitespace() {
            position += first.len_utf8();
            continue;
        }
        let starts_number = first.is_ascii_digit() || first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit());
        let (token, length) = if starts_number {
            number(rest, position)?
        } else if starts_name(first) {
            name(rest, position)?
        } else if first == '\'' {
            quoted(rest, position)?
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            if *sign == "=" {
                return Err(ExprError::syntax(position..position + 1, "`=` is no operator; equality is `==`"));
            }
            (Token::Sign(sign), sign.len())
        } else {
            let range = position..position + first.len_utf8();
            return Err(ExprError::syntax(range, unexpected_character(first)));
        };
        tokens.push((token, position..position + length));
        position += length;
    }
    Ok(tokens)
}

fn unexpected_character(character: char) -> String {
    match character {
        '^' => "`^` is no operator; a power is `**`".into(),
        '&' => "`&` is no operator; write `and`".into(),
        '|' => "`|` is no operator; write `or`".into(),
        '!' => "`!` is no operator; write `not`".into(),
        '"' => "a text inside an expression stands in single quotes".into(),
        other => format!("the character {other:?} has no meaning in an expression"),
    }
}

fn starts_name(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}

fn continues_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn word_length(text: &str) -> usize {
    text.find(|character: char| !continues_name(character)).unwrap_or(text.len())
}

fn name(rest: &str, position: usize) -> Result<(Token, usize), ExprError> {
    let mut length = word_length(rest);
    let mut has_port = false;
    while let Some(sign) = rest[length..].chars().next().filter(|sign| matches!(sign, '.' | ':')) {
        let word = word_length(&rest[length + 1..]);
        if word == 0 || sign == ':' && has_port {
            let range = position..position + length + 1;
            let what = if sign == '.' { "a part of the name" } else { "the name of a port" };
            return Err(ExprError::syntax(range, format!("{what} is missing after `{}`", &rest[..=length])));
        }
        has_port |= sign == ':';
        length += 1 + word;
    }
    Ok((Token::Name(rest[..length].to_owned()), length))
}

fn number(rest: &str, position: usize) -> Result<(Token, usize), ExprError> {
    let digits = |from: usize| {
        let tail = &rest[from..];
        from + tail.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(tail.len())
    };
    let mut length = digits(0);
    let mut is_float = false;
    if rest[length..].starts_with('.') {
        is_float = true;
        length = digits(length + 1);
    }
    if rest[length..].starts_with(['e', 'E']) {
        let sign = usize::from(rest[length + 1..].starts_with(['+', '-']));
        let end = digits(length + 1 + sign);
        if end > length + 1 + sign {
            is_float = true;
            length = end;
        }
    }
    let tail = word_length(&rest[length..]);
    if tail > 0 {
        let range = position..position + length + tail;
        let written = &rest[..length + tail];
        return Err(ExprError::syntax(range, format!("`{written}` is neither a number nor a name")));
    }
    let range = position..position + length;
    let written = rest[..length].replace('_', "");
    if is_float {
        return match written.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok((Token::Float(value), length)),
            _ => Err(ExprError::syntax(range, format!("the number `{written}` is too large"))),
        };
    }
    match written.parse::<i64>() {
        Ok(value) => Ok((Token::Int(value), length)),
        Err(_) => Err(ExprError::syntax(range, format!("the whole number `{written}` exceeds 64 bits"))),
    }
}

fn quoted(rest: &str, position: usize) -> Result<(Token, usize), ExprError> {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1);
    while let Some((offset, character)) = characters.next() {
        match character {
            '\'' => return Ok((Token::Text(text), offset + 1)),
            '\\' => match characters.next() {
                Some((_, escaped @ ('\'' | '\\'))) => text.push(escaped),
                _ => {
                    let range = position + offset..position + offset + 1;
                    return Err(ExprError::syntax(range, r"`\` stands before `'` or `\` alone"));
                }
            },
            other => text.push(other),
        }
    }
    Err(ExprError::syntax(position..position + rest.len(), "the text in single quotes does not end"))
}
