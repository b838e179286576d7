//! From text to tree.

use std::ops::Range;

use super::ast::{NEGATION, NOT, POWER};
use super::token::{Token, tokenize};
use super::{BinaryOp, Expr, ExprError, ExprKind, UnaryOp};

/// Deepest tree: bounds the recursion of everything that walks an expression.
const MAXIMUM_DEPTH: usize = 200;

/// Reads an expression.
///
/// # Errors
/// Names what is not understood and its place; never panics, whatever the text.
///
/// ```
/// use sward_core::expr::parse;
/// assert_eq!(parse("a+b * -c ** 2")?.to_string(), "a + b * -c ** 2");
/// let error = parse("4 * (width + 1").unwrap_err();
/// assert_eq!(error.to_string(), "the parenthesis opened here is not closed");
/// assert_eq!(error.range, 4..5);
/// # Ok::<(), sward_core::expr::ExprError>(())
/// ```
pub fn parse(text: &str) -> Result<Expr, ExprError> {
    let tokens = tokenize(text)?;
    let mut parser = Parser { tokens, position: 0, end: text.trim_end().len(), level: 0 };
    if parser.tokens.is_empty() {
        return Err(ExprError::syntax(0..text.len(), "the expression is empty"));
    }
    let tree = parser.expression(0)?;
    match parser.tokens.get(parser.position) {
        None => Ok(tree.expr),
        Some((token, range)) => {
            let message = match token {
                Token::Sign(")" | "]") => format!("{} closes nothing", token.describe()),
                _ => format!("an operator is missing before {}", token.describe()),
            };
            Err(ExprError::syntax(range.clone(), message))
        }
    }
}

/// A tree with its depth.
struct Tree {
    expr: Expr,
    depth: usize,
}

struct Parser {
    tokens: Vec<(Token, Range<usize>)>,
    position: usize,
    /// Where the text ends, the place of errors about something missing.
    end: usize,
    /// How deep the recursion of the parser is.
    level: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.position).map(|(token, _)| token)
    }

    fn take_sign(&mut self, sign: &str) -> Option<Range<usize>> {
        match self.tokens.get(self.position) {
            Some((Token::Sign(own), range)) if *own == sign => {
                self.position += 1;
                Some(range.clone())
            }
            _ => None,
        }
    }

    fn tree(&self, kind: ExprKind, range: Range<usize>, depth: usize) -> Result<Tree, ExprError> {
        if depth > MAXIMUM_DEPTH {
            return Err(too_deep(range));
        }
        Ok(Tree { expr: Expr { kind, range }, depth })
    }

    /// Reads operators that bind at least as tightly as `least` (Pratt's method).
    fn expression(&mut self, least: u8) -> Result<Tree, ExprError> {
        self.level += 1;
        if self.level > MAXIMUM_DEPTH {
            let start = self.tokens.get(self.position).map_or(self.end, |(_, range)| range.start);
            return Err(too_deep(start..self.end.max(start)));
        }
        let mut left = self.prefix()?;
        let mut compared = false;
        while let Some(op) = self.peek().and_then(binary_op) {
            let own = op.precedence();
            if own < least {
                break;
            }
            let operator_range = self.tokens[self.position].1.clone();
            if op.is_comparison() && compared {
                let message = "comparisons do not chain; write `a < b and b < c`";
                return Err(ExprError::syntax(operator_range, message));
            }
            compared |= op.is_comparison();
            self.position += 1;
            // A power groups to the right, and its exponent may have a sign.
            let right = self.expression(if op == BinaryOp::Power { NEGATION } else { own + 1 })?;
            let range = left.expr.range.start..right.expr.range.end;
            let depth = left.depth.max(right.depth) + 1;
            let kind = ExprKind::Binary { op, left: Box::new(left.expr), right: Box::new(right.expr) };
            left = self.tree(kind, range, depth)?;
        }
        self.level -= 1;
        Ok(left)
    }

    fn prefix(&mut self) -> Result<Tree, ExprError> {
        let (op, least) = match self.peek() {
            Some(Token::Sign("-")) => (UnaryOp::Negate, NEGATION),
            Some(Token::Name(name)) if name == "not" => (UnaryOp::Not, NOT),
            _ => return self.postfix(),
        };
        let start = self.tokens[self.position].1.start;
        self.position += 1;
        let operand = self.expression(least)?;
        let range = start..operand.expr.range.end;
        self.tree(ExprKind::Unary { op, operand: Box::new(operand.expr) }, range, operand.depth + 1)
    }

    fn postfix(&mut self) -> Result<Tree, ExprError> {
        let mut tree = self.primary()?;
        while let Some(open) = self.take_sign("[") {
            let index = self.expression(0)?;
            let close = self.close("]", "bracket", &open)?;
            let range = tree.expr.range.start..close.end;
            let depth = tree.depth.max(index.depth) + 1;
            let kind = ExprKind::Index { list: Box::new(tree.expr), index: Box::new(index.expr) };
            tree = self.tree(kind, range, depth)?;
        }
        Ok(tree)
    }

    fn primary(&mut self) -> Result<Tree, ExprError> {
        let Some((token, range)) = self.tokens.get(self.position).cloned() else {
            return Err(ExprError::syntax(self.end..self.end, "the expression ends where a value should stand"));
        };
        self.position += 1;
        let kind = match token {
            Token::Int(value) => ExprKind::Int(value),
            Token::Float(value) => ExprKind::Float(value),
            Token::Text(text) => ExprKind::Text(text),
            Token::Name(name) => match name.as_str() {
                "true" => ExprKind::Bool(true),
                "false" => ExprKind::Bool(false),
                "and" | "or" => {
                    return Err(ExprError::syntax(range, format!("a value is missing before `{name}`")));
                }
                _ => match self.take_sign("(") {
                    Some(open) => return self.call(name, range, open),
                    None => ExprKind::Name(name),
                },
            },
            Token::Sign("(") => {
                let inner = self.expression(0)?;
                let close = self.close(")", "parenthesis", &range)?;
                let depth = inner.depth;
                return self.tree(inner.expr.kind, range.start..close.end, depth);
            }
            Token::Sign("[") => {
                let (items, depth, close) = self.items("]", "bracket", &range)?;
                return self.tree(ExprKind::List(items), range.start..close.end, depth + 1);
            }
            Token::Sign("+") => {
                return Err(ExprError::syntax(range, "`+` stands between two values"));
            }
            Token::Sign(_) => {
                let message = format!("a value should stand before {}", token.describe());
                return Err(ExprError::syntax(range, message));
            }
        };
        self.tree(kind, range, 1)
    }

    fn call(&mut self, function: String, name: Range<usize>, open: Range<usize>) -> Result<Tree, ExprError> {
        if function.contains(['.', ':']) {
            return Err(ExprError::syntax(name, format!("`{function}` is not the name of a function")));
        }
        let (arguments, depth, close) = self.items(")", "parenthesis", &open)?;
        let range = name.start..close.end;
        self.tree(ExprKind::Call { function, function_range: name, arguments }, range, depth + 1)
    }

    /// Reads values up to the closing sign; a comma may stand after the last.
    fn items(&mut self, sign: &str, word: &str, open: &Range<usize>) -> Result<(Vec<Expr>, usize, Range<usize>), ExprError> {
        let (mut items, mut depth) = (Vec::new(), 0);
        loop {
            if let Some(close) = self.take_sign(sign) {
                return Ok((items, depth, close));
            }
            if self.peek().is_none() {
                return Err(not_closed(word, open));
            }
            let item = self.expression(0)?;
            depth = depth.max(item.depth);
            items.push(item.expr);
            if self.take_sign(",").is_none() {
                let close = self.close(sign, word, open)?;
                return Ok((items, depth, close));
            }
        }
    }

    fn close(&mut self, sign: &str, word: &str, open: &Range<usize>) -> Result<Range<usize>, ExprError> {
        if let Some(range) = self.take_sign(sign) {
            return Ok(range);
        }
        match self.tokens.get(self.position) {
            None => Err(not_closed(word, open)),
            Some((token, range)) => {
                let message = format!("`{sign}` or an operator should stand before {}", token.describe());
                Err(ExprError::syntax(range.clone(), message))
            }
        }
    }
}

fn not_closed(word: &str, open: &Range<usize>) -> ExprError {
    ExprError::syntax(open.clone(), format!("the {word} opened here is not closed"))
}

fn too_deep(range: Range<usize>) -> ExprError {
    let message = format!("the expression nests more than {MAXIMUM_DEPTH} operations");
    ExprError::syntax(range, message)
}

fn binary_op(token: &Token) -> Option<BinaryOp> {
    match token {
        Token::Sign(sign) => BinaryOp::ALL.into_iter().find(|op| op.sign() == *sign),
        Token::Name(name) if name == "and" => Some(BinaryOp::And),
        Token::Name(name) if name == "or" => Some(BinaryOp::Or),
        _ => None,
    }
}

const _: () = assert!(POWER > NEGATION, "a power binds tighter than the sign before it");
