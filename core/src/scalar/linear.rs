//! Straight register programs, which the engines run.

use std::fmt;

use super::{ScalarGraph, ScalarId, ScalarKind, ScalarNode, ScalarOp};

/// What one step of a [`LinearProgram`] does.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum StepOp {
    /// Reads the element of an input.
    Input(u32),
    /// A number.
    Number(f64),
    /// True or false.
    Bool(bool),
    /// Draws a uniform random number in [0, 1).
    Random(u32),
    /// Computes from registers.
    Apply(ScalarOp),
}

/// One step: reads its operands, then writes its destination.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Step {
    /// What it does.
    pub op: StepOp,
    /// Registers it reads; those beyond the arity repeat the first, and a step without operands has its destination here.
    pub operands: [u16; 3],
    /// The register it writes, which may be one of its operands.
    pub destination: u16,
}

/// Scalar expressions as a list of steps over few registers. Each register holds values of one kind alone.
///
/// ```
/// use sward_core::scalar::{ScalarGraph, ScalarKind};
/// let mut graph = ScalarGraph::new();
/// let x = graph.input(0, ScalarKind::Number);
/// let gate = graph.sigmoid(x);
/// let silu = graph.multiply(x, gate);
/// let program = graph.linearize(&[silu]);
/// assert_eq!(program.to_string(), "r0 = $0\nr1 = sigmoid r0\nr1 = mul r0 r1\nreturn r1\n");
/// assert_eq!(program.run(&[0.0], &|_| 0.0), [0.0]);
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct LinearProgram {
    /// The steps in order.
    pub steps: Vec<Step>,
    /// The kind of each register.
    pub registers: Vec<ScalarKind>,
    /// The registers that hold the results after the last step.
    pub outputs: Vec<u16>,
}

impl ScalarGraph {
    /// The steps that compute several expressions, shared parts once. A register is used again after its last reader.
    ///
    /// # Panics
    /// When the expressions need more than 65,536 registers at once.
    pub fn linearize(&self, roots: &[ScalarId]) -> LinearProgram {
        let order = self.schedule(roots);
        let mut uses = vec![0_usize; self.len()];
        for id in &order {
            self.node(*id).operands().iter().for_each(|operand| uses[operand.index()] += 1);
        }
        // Results are read once more, by the caller.
        roots.iter().for_each(|root| uses[root.index()] += 1);
        let mut allocator = Registers { kinds: Vec::new(), free: Vec::new() };
        let mut place = vec![0_u16; self.len()];
        let mut steps = Vec::with_capacity(order.len());
        for id in order {
            let node = self.node(id);
            for operand in node.operands() {
                uses[operand.index()] -= 1;
                if uses[operand.index()] == 0 {
                    allocator.free.push(place[operand.index()]);
                }
            }
            let read = match node {
                ScalarNode::Apply { operands, .. } => Some(operands.map(|operand| place[operand.index()])),
                _ => None,
            };
            let destination = allocator.take(node.kind());
            place[id.index()] = destination;
            let operands = read.unwrap_or([destination; 3]);
            let op = match *node {
                ScalarNode::Input { index, .. } => StepOp::Input(index),
                ScalarNode::Number(value) => StepOp::Number(value),
                ScalarNode::Bool(value) => StepOp::Bool(value),
                ScalarNode::Random { stream } => StepOp::Random(stream),
                ScalarNode::Apply { op, .. } => StepOp::Apply(op),
            };
            steps.push(Step { op, operands, destination });
        }
        let outputs = roots.iter().map(|root| place[root.index()]).collect();
        LinearProgram { steps, registers: allocator.kinds, outputs }
    }

    /// Operands before what needs them, each as late as a depth-first walk allows, so that few are alive at once.
    pub(super) fn schedule(&self, roots: &[ScalarId]) -> Vec<ScalarId> {
        let mut order = Vec::new();
        let mut done = vec![false; self.len()];
        // A walk with its own stack, as fused expressions may be deep.
        let mut stack: Vec<(ScalarId, bool)> = roots.iter().rev().map(|root| (*root, false)).collect();
        while let Some((id, operands_done)) = stack.pop() {
            if done[id.index()] {
                continue;
            }
            if operands_done {
                done[id.index()] = true;
                order.push(id);
                continue;
            }
            stack.push((id, true));
            stack.extend(self.node(id).operands().iter().rev().map(|operand| (*operand, false)));
        }
        order
    }
}

struct Registers {
    kinds: Vec<ScalarKind>,
    free: Vec<u16>,
}

impl Registers {
    fn take(&mut self, kind: ScalarKind) -> u16 {
        let fitting = self.free.iter().rposition(|register| self.kinds[usize::from(*register)] == kind);
        if let Some(position) = fitting {
            return self.free.remove(position);
        }
        let register = u16::try_from(self.kinds.len()).expect("a scalar expression needs at most 65,536 registers");
        self.kinds.push(kind);
        register
    }
}

impl LinearProgram {
    /// Runs the steps on 64-bit floats, truth values as 0 and 1.
    ///
    /// # Panics
    /// When the program reads an input beyond those given.
    pub fn run(&self, inputs: &[f64], random: &dyn Fn(u32) -> f64) -> Vec<f64> {
        let mut registers = vec![0.0; self.registers.len()];
        for step in &self.steps {
            let [a, b, c] = step.operands.map(|operand| registers[usize::from(operand)]);
            registers[usize::from(step.destination)] = match step.op {
                StepOp::Input(index) => inputs[index as usize],
                StepOp::Number(value) => value,
                StepOp::Bool(value) => f64::from(u8::from(value)),
                StepOp::Random(stream) => random(stream),
                StepOp::Apply(op) => op.apply(a, b, c),
            };
        }
        self.outputs.iter().map(|output| registers[usize::from(*output)]).collect()
    }
}

impl fmt::Display for LinearProgram {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            write!(formatter, "r{} = ", step.destination)?;
            match step.op {
                StepOp::Input(index) => write!(formatter, "${index}")?,
                StepOp::Number(value) => write!(formatter, "{value:?}")?,
                StepOp::Bool(value) => write!(formatter, "{value}")?,
                StepOp::Random(stream) => write!(formatter, "random {stream}")?,
                StepOp::Apply(op) => {
                    formatter.write_str(op.name())?;
                    for operand in &step.operands[..op.arity()] {
                        write!(formatter, " r{operand}")?;
                    }
                }
            }
            formatter.write_str("\n")?;
        }
        formatter.write_str("return")?;
        for output in &self.outputs {
            write!(formatter, " r{output}")?;
        }
        formatter.write_str("\n")
    }
}
