//! Scalar expressions as text.

use std::fmt;

use super::{ScalarGraph, ScalarId, ScalarNode, ScalarOp};

/// Longest text of one expression: shared parts are written out, which may explode.
const LONGEST_TEXT: usize = 1 << 16;

/// Shows an expression in the language of `Formula`, its inputs as `$0`, `$1`; see [`ScalarGraph::display`].
#[derive(Clone, Copy, Debug)]
pub struct DisplayScalar<'a> {
    graph: &'a ScalarGraph,
    root: ScalarId,
    names: &'a [String],
}

impl ScalarGraph {
    /// The expression as text, inputs as `$0`, `$1`. A text of more than 64 KiB ends in an ellipsis.
    pub fn display(&self, root: ScalarId) -> DisplayScalar<'_> {
        self.display_with(root, &[])
    }

    /// The expression as text with names for its inputs, which `Formula` reads back.
    ///
    /// ```
    /// use sward_core::scalar::{ScalarGraph, ScalarKind};
    /// let mut graph = ScalarGraph::new();
    /// let (x, y) = (graph.input(0, ScalarKind::Number), graph.input(1, ScalarKind::Number));
    /// let sum = graph.add(x, y);
    /// let product = graph.multiply(sum, y);
    /// let names = ["mean".to_owned(), "shift".to_owned()];
    /// assert_eq!(graph.display_with(product, &names).to_string(), "(mean + shift) * shift");
    /// ```
    pub fn display_with<'a>(&'a self, root: ScalarId, names: &'a [String]) -> DisplayScalar<'a> {
        DisplayScalar { graph: self, root, names }
    }
}

/// A piece of text yet to be written.
enum Piece {
    Text(&'static str),
    /// An expression, in parentheses unless it binds at least this tightly.
    Expression(ScalarId, u8),
}

const LOOSEST: u8 = 0;
const TIGHTEST: u8 = 9;

/// The sign of an operation that is written between its operands, and how tightly it binds, as in `Formula`.
fn infix(op: ScalarOp) -> Option<(&'static str, u8)> {
    Some(match op {
        ScalarOp::Or => (" or ", 1),
        ScalarOp::And => (" and ", 2),
        ScalarOp::Equal => (" == ", 4),
        ScalarOp::NotEqual => (" != ", 4),
        ScalarOp::Less => (" < ", 4),
        ScalarOp::LessEqual => (" <= ", 4),
        ScalarOp::Add => (" + ", 5),
        ScalarOp::Subtract => (" - ", 5),
        ScalarOp::Multiply => (" * ", 6),
        ScalarOp::Divide => (" / ", 6),
        _ => return None,
    })
}

fn precedence(node: &ScalarNode) -> u8 {
    match node {
        ScalarNode::Number(value) if value.is_sign_negative() => 7,
        ScalarNode::Apply { op: ScalarOp::Not, .. } => 3,
        ScalarNode::Apply { op: ScalarOp::Negate, .. } => 7,
        ScalarNode::Apply { op, .. } => infix(*op).map_or(TIGHTEST, |(_, binding)| binding),
        _ => TIGHTEST,
    }
}

impl fmt::Display for DisplayScalar<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        let mut stack = vec![Piece::Expression(self.root, LOOSEST)];
        while let Some(piece) = stack.pop() {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Expression(id, least) if precedence(self.graph.node(id)) < least => {
                    stack.extend([Piece::Text(")"), Piece::Expression(id, LOOSEST), Piece::Text("(")]);
                }
                Piece::Expression(id, _) => self.expand(id, &mut text, &mut stack),
            }
            if text.len() > LONGEST_TEXT {
                return write!(formatter, "{text}…");
            }
        }
        formatter.write_str(&text)
    }
}

impl DisplayScalar<'_> {
    fn expand(&self, id: ScalarId, text: &mut String, stack: &mut Vec<Piece>) {
        match *self.graph.node(id) {
            ScalarNode::Input { index, .. } => match self.names.get(index as usize) {
                Some(name) => text.push_str(name),
                None => *text += &format!("${index}"),
            },
            ScalarNode::Number(value) => *text += &format!("{value:?}"),
            ScalarNode::Bool(value) => *text += &value.to_string(),
            ScalarNode::Random { stream } => *text += &format!("random({stream})"),
            ScalarNode::Apply { op: ScalarOp::Negate, operands: [a, ..] } => {
                stack.extend([Piece::Expression(a, 7), Piece::Text("-")]);
            }
            ScalarNode::Apply { op: ScalarOp::Not, operands: [a, ..] } => {
                stack.extend([Piece::Expression(a, 3), Piece::Text("not ")]);
            }
            ScalarNode::Apply { op, operands: [a, b, c] } => match infix(op) {
                Some((sign, binding)) => {
                    let left = if binding == 4 { binding + 1 } else { binding };
                    stack.extend([Piece::Expression(b, binding + 1), Piece::Text(sign), Piece::Expression(a, left)]);
                }
                None => {
                    stack.push(Piece::Text(")"));
                    for (position, operand) in [a, b, c][..op.arity()].iter().enumerate().rev() {
                        stack.push(Piece::Expression(*operand, LOOSEST));
                        stack.push(Piece::Text(if position == 0 { "(" } else { ", " }));
                    }
                    stack.push(Piece::Text(op.name()));
                }
            },
        }
    }
}
