//! `factor`: a factor that is the same for all elements of a sum is multiplied with the sum.
//!
//! The backward pass of a batch norm sums `dy (x - mean)` twice and `dy` twice, each time with other factors of the channel.

use super::rewrite::{Uses, rewrite};
use crate::primitives::map::emit_roots;
use crate::primitives::{Map, Reduce, ReduceKind};
use smallvec::smallvec;
use sward_core::program::{BuildError, Program, ValueId};
use sward_core::scalar::{ScalarGraph, ScalarId, ScalarKind, ScalarNode, ScalarOp};

pub(super) fn run(program: &mut Program) -> Result<usize, BuildError> {
    let uses = Uses::of(program);
    rewrite(program, |rewrite, instruction| {
        let Some(reduce) = instruction.op.downcast::<Reduce>() else { return Ok(None) };
        if !matches!(reduce.kind, ReduceKind::Sum | ReduceKind::Mean) || !reduce.dtype.is_float() {
            return Ok(None);
        }
        let mapped = instruction.inputs[0];
        let Some(producer) = rewrite.producer(mapped) else { return Ok(None) };
        let Some(map) = producer.op.downcast::<Map>() else { return Ok(None) };
        if map.roots.len() != 1 || !map.dtypes[0].is_float() || map.draws() {
            return Ok(None);
        }
        let whole = rewrite.shape(mapped);
        let repeats = |value: &ValueId| {
            let own = rewrite.builder.shape(*value);
            reduce.axes.iter().all(|axis| own[*axis] == 1) && reduce.axes.iter().any(|axis| whole[*axis] != 1)
        };
        let is_fixed: Vec<bool> = producer.inputs.iter().map(repeats).collect();
        if !is_fixed.contains(&true) || map.scalars.kind(map.roots[0]) != ScalarKind::Number {
            return Ok(None);
        }
        let mut split = Split { graph: ScalarGraph::clone(&map.scalars), is_fixed: &is_fixed, fixed: None, rest: None };
        split.factors(map.roots[0]);
        let Split { mut graph, fixed: Some(fixed), rest: Some(rest), .. } = split else { return Ok(None) };
        let is_read = matches!(graph.node(rest), ScalarNode::Input { .. });
        if graph.as_number(fixed).is_some() || !is_read && uses.count(mapped) != 1 {
            return Ok(None);
        }
        let builder = &mut rewrite.builder;
        let summed = emit_roots(builder, &graph, &[(rest, map.dtypes[0])], &producer.inputs, &whole)?[0];
        let sum = builder.emit_one(reduce.clone(), &[summed])?;
        let mut values = producer.inputs.to_vec();
        let total = graph.input(values.len() as u32, ScalarKind::Number);
        values.push(sum);
        let root = graph.multiply(total, fixed);
        let shape = builder.type_of(sum).shape.clone();
        Ok(Some(smallvec![emit_roots(builder, &graph, &[(root, reduce.dtype)], &values, &shape)?[0]]))
    })
}

/// The factors of an expression: those of small operands, and the others.
struct Split<'a> {
    graph: ScalarGraph,
    is_fixed: &'a [bool],
    fixed: Option<ScalarId>,
    rest: Option<ScalarId>,
}

impl Split<'_> {
    fn factors(&mut self, expression: ScalarId) {
        match *self.graph.node(expression) {
            ScalarNode::Apply { op: ScalarOp::Multiply, operands: [a, b, _] } => {
                self.factors(a);
                self.factors(b);
            }
            ScalarNode::Apply { op: ScalarOp::Negate, operands: [a, ..] } => {
                let minus = self.graph.number(-1.0);
                self.take(minus, true);
                self.factors(a);
            }
            ScalarNode::Apply { op: ScalarOp::Divide, operands: [a, b, _] } if self.is_fixed(b) => {
                let one = self.graph.number(1.0);
                let inverse = self.graph.divide(one, b);
                self.take(inverse, true);
                self.factors(a);
            }
            _ => {
                let is_fixed = self.is_fixed(expression);
                self.take(expression, is_fixed);
            }
        }
    }

    fn take(&mut self, factor: ScalarId, is_fixed: bool) {
        let side = if is_fixed { self.fixed } else { self.rest };
        let product = match side {
            Some(earlier) => self.graph.multiply(earlier, factor),
            None => factor,
        };
        *(if is_fixed { &mut self.fixed } else { &mut self.rest }) = Some(product);
    }

    fn is_fixed(&self, expression: ScalarId) -> bool {
        self.graph.reachable(&[expression]).into_iter().all(|id| match self.graph.node(id) {
            ScalarNode::Input { index, .. } => self.is_fixed[*index as usize],
            ScalarNode::Random { .. } => false,
            _ => true,
        })
    }
}
