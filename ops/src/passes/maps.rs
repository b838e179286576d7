//! Putting scalar expressions of several maps together.

use crate::primitives::Map;
use crate::primitives::map::emit_roots;
use rustc_hash::FxHashMap;
use sward_core::program::{BuildError, Builder, DType, ValueId};
use sward_core::scalar::{ScalarGraph, ScalarId, ScalarKind, ScalarNode};

/// What an operand of a map becomes in a larger expression.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operand {
    /// It is read from memory.
    Value(ValueId),
    /// It is a number everywhere.
    Number(f64),
    /// It is computed by an expression of the same graph.
    Expression(ScalarId),
}

/// Expressions over elements of values, each value an input once.
#[derive(Default)]
pub(crate) struct Expressions {
    pub(crate) graph: ScalarGraph,
    pub(crate) values: Vec<ValueId>,
    numbers: FxHashMap<ValueId, u32>,
}

impl Expressions {
    pub(crate) fn new() -> Expressions {
        Expressions::default()
    }

    /// The expression that reads a value.
    pub(crate) fn input(&mut self, value: ValueId, kind: ScalarKind) -> ScalarId {
        let values = &mut self.values;
        let number = *self.numbers.entry(value).or_insert_with(|| {
            values.push(value);
            (values.len() - 1) as u32
        });
        self.graph.input(number, kind)
    }

    /// The expressions of all results of a map of these values; `None` for a map that reads an operand both as a number and as a truth value.
    pub(crate) fn add(&mut self, map: &Map, operands: &[ValueId]) -> Option<Vec<ScalarId>> {
        let operands: Vec<Operand> = operands.iter().map(|value| Operand::Value(*value)).collect();
        self.add_with(&map.scalars, &map.roots, &operands)
    }

    /// The same for operands that are not all read from memory.
    pub(crate) fn add_with(&mut self, scalars: &ScalarGraph, roots: &[ScalarId], operands: &[Operand]) -> Option<Vec<ScalarId>> {
        let kinds = input_kinds(scalars, roots, operands.len())?;
        let mut inputs = Vec::with_capacity(operands.len());
        for (operand, kind) in operands.iter().zip(kinds) {
            let wanted = kind.unwrap_or(ScalarKind::Number);
            inputs.push(match operand {
                // An operand that no root reads must not become an input.
                _ if kind.is_none() => self.graph.number(0.0),
                Operand::Value(value) => self.input(*value, wanted),
                Operand::Number(number) if wanted == ScalarKind::Bool => self.graph.bool(*number != 0.0),
                Operand::Number(number) => self.graph.number(*number),
                Operand::Expression(expression) => self.convert(*expression, wanted),
            });
        }
        Some(roots.iter().map(|root| self.graph.import(scalars, *root, &inputs, 0)).collect())
    }

    /// An expression as a number or a truth value.
    fn convert(&mut self, expression: ScalarId, wanted: ScalarKind) -> ScalarId {
        match (self.graph.kind(expression), wanted) {
            (ScalarKind::Bool, ScalarKind::Number) => {
                let (one, zero) = (self.graph.number(1.0), self.graph.number(0.0));
                self.graph.select(expression, one, zero)
            }
            (ScalarKind::Number, ScalarKind::Bool) => {
                let zero = self.graph.number(0.0);
                self.graph.not_equal(expression, zero)
            }
            _ => expression,
        }
    }

    /// Emits one map of expressions; one that only hands on a value is that value.
    pub(crate) fn emit(
        &self,
        builder: &mut Builder,
        roots: &[(ScalarId, DType)],
        shape: &[usize],
    ) -> Result<Vec<ValueId>, BuildError> {
        emit_roots(builder, &self.graph, roots, &self.values, shape)
    }
}

/// As what each input is read, `None` for one that is not read; nothing where one is read as both kinds.
pub(crate) fn input_kinds(scalars: &ScalarGraph, roots: &[ScalarId], count: usize) -> Option<Vec<Option<ScalarKind>>> {
    let mut kinds = vec![None; count];
    for id in scalars.reachable(roots) {
        if let ScalarNode::Input { index, kind } = scalars.node(id) {
            let known = &mut kinds[*index as usize];
            if known.is_some_and(|known| known != *kind) {
                return None;
            }
            *known = Some(*kind);
        }
    }
    Some(kinds)
}

/// The number that a map without operands fills its result with.
pub(crate) fn filled_number(map: &Map) -> Option<f64> {
    match (map.roots.as_slice(), map.scalars.node(*map.roots.first()?)) {
        ([_], ScalarNode::Number(number)) => Some(*number),
        ([_], ScalarNode::Bool(truth)) => Some(f64::from(u8::from(*truth))),
        _ => None,
    }
}
