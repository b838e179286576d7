//! From a formula's steps to instructions on blocks: well-known functions become one instruction each, a product joins the sum that alone reads it,
//! and registers are dealt out anew.

use std::sync::OnceLock;

use sward_core::scalar::{LinearProgram, ScalarFunction, ScalarGraph, ScalarId, ScalarKind, ScalarOp, StepOp};

/// What an instruction computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Code {
    Apply(ScalarOp),
    /// `a * b + c` in one rounding.
    MultiplyAdd,
    /// The Gaussian error linear unit.
    Gelu,
    /// Its derivative.
    GeluSlope,
    Random(u32),
}

impl Code {
    fn arity(self) -> usize {
        match self {
            Code::Apply(op) => op.arity(),
            Code::MultiplyAdd => 3,
            Code::Gelu | Code::GeluSlope => 1,
            Code::Random(_) => 0,
        }
    }
}

impl Code {
    /// Whether the code takes so few operations that a block waits for memory and not for its numbers.
    fn is_light(self) -> bool {
        match self {
            Code::MultiplyAdd => true,
            Code::Gelu | Code::GeluSlope | Code::Random(_) => false,
            Code::Apply(op) => !matches!(
                op,
                ScalarOp::Power
                    | ScalarOp::Exp
                    | ScalarOp::Ln
                    | ScalarOp::Log1p
                    | ScalarOp::Expm1
                    | ScalarOp::Sigmoid
                    | ScalarOp::Tanh
                    | ScalarOp::Softplus
                    | ScalarOp::Erf
                    | ScalarOp::Lgamma
                    | ScalarOp::Digamma
                    | ScalarOp::Trigamma
                    | ScalarOp::Sin
                    | ScalarOp::Cos
            ),
        }
    }
}

/// Where an instruction reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Place {
    Register(u16),
    Input(u16),
    Constant(u16),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Instruction {
    pub code: Code,
    /// As many as the code reads; the others repeat the first.
    pub operands: [Place; 3],
    pub to: u16,
}

/// Instructions in order.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub instructions: Vec<Instruction>,
    pub constants: Vec<f32>,
    pub registers: usize,
    pub roots: Vec<Place>,
    /// For each root, the instruction that may write it straight to memory.
    pub straight: Vec<Option<usize>>,
}

/// A value of the program, by its position; operands come before what reads them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    Input(u16),
    Number(f32),
    Apply(Code, [usize; 3]),
}

impl Value {
    fn operands(&self) -> &[usize] {
        match self {
            Value::Apply(code, operands) => &operands[..code.arity()],
            _ => &[],
        }
    }
}

/// Compiles a program.
pub(super) fn compile(program: &LinearProgram) -> Compiled {
    let (mut values, roots) = values_of(program);
    for index in (0..values.len()).rev() {
        for idiom in idioms() {
            if let Some(operand) = idiom.operand(&values, index) {
                values[index] = Value::Apply(idiom.code, [operand; 3]);
            }
        }
    }
    join_products(&mut values, &roots);
    emit(&values, &roots)
}

/// The program with a value for each writing of a register.
fn values_of(program: &LinearProgram) -> (Vec<Value>, Vec<usize>) {
    let mut value_in = vec![0; program.registers.len()];
    let mut values = Vec::with_capacity(program.steps.len());
    for (index, step) in program.steps.iter().enumerate() {
        values.push(match step.op {
            StepOp::Input(input) => Value::Input(input as u16),
            StepOp::Number(value) => Value::Number(value as f32),
            StepOp::Bool(value) => Value::Number(f32::from(u8::from(value))),
            StepOp::Random(stream) => Value::Apply(Code::Random(stream), [0; 3]),
            StepOp::Apply(op) => {
                let mut operands = [value_in[usize::from(step.operands[0])]; 3];
                for (operand, register) in operands.iter_mut().zip(step.operands).take(op.arity()) {
                    *operand = value_in[usize::from(register)];
                }
                Value::Apply(Code::Apply(op), operands)
            }
        });
        value_in[usize::from(step.destination)] = index;
    }
    let roots = program.outputs.iter().map(|register| value_in[usize::from(*register)]).collect();
    (values, roots)
}

/// A function of one number that has an instruction of its own.
struct Idiom {
    values: Vec<Value>,
    root: usize,
    code: Code,
}

/// The functions, as formulas and their derivatives are written after simplification.
fn idioms() -> &'static [Idiom] {
    static IDIOMS: OnceLock<Vec<Idiom>> = OnceLock::new();
    IDIOMS.get_or_init(|| {
        let gelu = ScalarFunction::build(&[ScalarKind::Number], |graph, x| gelu(graph, x[0]));
        let slope = gelu.derivative(0).expect("the error function has a derivative");
        [(Code::Gelu, gelu), (Code::GeluSlope, slope)]
            .into_iter()
            .map(|(code, function)| {
                let (values, roots) = values_of(&function.linearize());
                Idiom { values, root: roots[0], code }
            })
            .collect()
    })
}

/// `0.5 x (1 + erf(x / sqrt(2)))`
fn gelu(graph: &mut ScalarGraph, x: ScalarId) -> ScalarId {
    let [half, one, root] = [0.5, 1.0, std::f64::consts::FRAC_1_SQRT_2].map(|number| graph.number(number));
    let half = graph.multiply(half, x);
    let inner = graph.multiply(x, root);
    let erf = graph.erf(inner);
    let sum = graph.add(one, erf);
    graph.multiply(half, sum)
}

impl Idiom {
    /// The number whose function a value is.
    fn operand(&self, values: &[Value], index: usize) -> Option<usize> {
        self.matches(values, index, self.root, None).flatten()
    }

    /// Whether a value has a part's form, and what the number is then, as far as it is known; `bound` is what it must be.
    fn matches(&self, values: &[Value], index: usize, part: usize, bound: Option<usize>) -> Option<Option<usize>> {
        match (self.values[part], values[index]) {
            (Value::Input(_), _) => bound.is_none_or(|bound| bound == index).then_some(Some(index)),
            (Value::Number(a), Value::Number(b)) => (a.to_bits() == b.to_bits()).then_some(bound),
            (Value::Apply(code, parts), Value::Apply(own, operands)) if code == own => {
                let all = |order: [usize; 3]| {
                    (0..code.arity()).try_fold(bound, |bound, i| self.matches(values, operands[order[i]], parts[i], bound))
                };
                let turns = matches!(code, Code::Apply(op) if op.is_commutative());
                all([0, 1, 2]).or_else(|| turns.then(|| all([1, 0, 2])).flatten())
            }
            _ => None,
        }
    }
}

/// How many values and roots read each value, of those that the roots need.
fn readers(values: &[Value], roots: &[usize]) -> Vec<usize> {
    let mut readers = vec![0; values.len()];
    roots.iter().for_each(|root| readers[*root] += 1);
    for index in (0..values.len()).rev() {
        if readers[index] > 0 {
            values[index].operands().iter().for_each(|operand| readers[*operand] += 1);
        }
    }
    readers
}

/// Joins a product with the one sum that reads it.
fn join_products(values: &mut [Value], roots: &[usize]) {
    let readers = readers(values, roots);
    for index in 0..values.len() {
        let Value::Apply(Code::Apply(ScalarOp::Add), operands) = values[index] else { continue };
        let product = (0..2).find_map(|side| match values[operands[side]] {
            Value::Apply(Code::Apply(ScalarOp::Multiply), [a, b, _]) if readers[operands[side]] == 1 => {
                Some([a, b, operands[1 - side]])
            }
            _ => None,
        });
        if let Some(operands) = product {
            values[index] = Value::Apply(Code::MultiplyAdd, operands);
        }
    }
}

/// Writes the instructions of what the roots need. A register is used again after its last reader.
fn emit(values: &[Value], roots: &[usize]) -> Compiled {
    let mut unread = readers(values, roots);
    let mut compiled =
        Compiled { instructions: Vec::new(), constants: Vec::new(), registers: 0, roots: Vec::new(), straight: Vec::new() };
    let mut places = vec![Place::Register(0); values.len()];
    let mut free: Vec<u16> = Vec::new();
    for (index, value) in values.iter().enumerate() {
        if unread[index] == 0 {
            continue;
        }
        places[index] = match *value {
            Value::Input(input) => Place::Input(input),
            Value::Number(number) => compiled.constant(number),
            Value::Apply(code, operands) => {
                let read = operands.map(|operand| places[operand]);
                for operand in value.operands() {
                    unread[*operand] -= 1;
                    if let (0, Place::Register(register)) = (unread[*operand], places[*operand]) {
                        free.push(register);
                    }
                }
                let to = free.pop().unwrap_or_else(|| {
                    compiled.registers += 1;
                    u16::try_from(compiled.registers - 1).expect("the program needs no more registers than its formula")
                });
                compiled.instructions.push(Instruction { code, operands: read, to });
                Place::Register(to)
            }
        };
    }
    compiled.roots = roots.iter().map(|root| places[*root]).collect();
    compiled.straight = (0..roots.len()).map(|root| compiled.writes_straight(root)).collect();
    compiled
}

impl Compiled {
    /// Whether all instructions are light.
    pub(super) fn is_light(&self) -> bool {
        self.instructions.iter().all(|instruction| instruction.code.is_light())
    }

    fn constant(&mut self, value: f32) -> Place {
        let found = self.constants.iter().position(|constant| constant.to_bits() == value.to_bits());
        let index = found.unwrap_or_else(|| {
            self.constants.push(value);
            self.constants.len() - 1
        });
        Place::Constant(index as u16)
    }

    /// The instruction that may write a root to memory at once: nothing afterwards reads its register, or an operand that may lie there.
    fn writes_straight(&self, position: usize) -> Option<usize> {
        let root = self.roots[position];
        let Place::Register(register) = root else { return None };
        let index = self.instructions.iter().rposition(|instruction| instruction.to == register)?;
        let reads_later = self.instructions[index + 1..].iter().any(|later| {
            later.operands[..later.code.arity()].iter().any(|place| matches!(place, Place::Input(_)) || *place == root)
        });
        let is_shared = self
            .roots
            .iter()
            .enumerate()
            .any(|(other, place)| other != position && (*place == root || matches!(place, Place::Input(_))));
        (!reads_later && !is_shared).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(build: impl FnOnce(&mut ScalarGraph, &[ScalarId]) -> ScalarId) -> Vec<Code> {
        let function = ScalarFunction::build(&[ScalarKind::Number; 2], build);
        compile(&function.linearize()).instructions.iter().map(|instruction| instruction.code).collect()
    }

    #[test]
    fn gelu_and_its_derivative_are_single_instructions() {
        assert_eq!(codes(|graph, x| gelu(graph, x[0])), [Code::Gelu]);
        let of_sum = codes(|graph, x| {
            let sum = graph.add(x[0], x[1]);
            gelu(graph, sum)
        });
        assert_eq!(of_sum, [Code::Apply(ScalarOp::Add), Code::Gelu]);
        let gradient = codes(|graph, x| {
            let value = gelu(graph, x[1]);
            let slope = graph.derivative(value, 1).expect("a derivative");
            graph.multiply(x[0], slope)
        });
        assert_eq!(gradient, [Code::GeluSlope, Code::Apply(ScalarOp::Multiply)]);
    }

    #[test]
    fn other_functions_stay_as_they_are() {
        let two_numbers = codes(|graph, x| {
            let [half, one, root] = [0.5, 1.0, std::f64::consts::FRAC_1_SQRT_2].map(|number| graph.number(number));
            let inner = graph.multiply(x[1], root);
            let erf = graph.erf(inner);
            let sum = graph.add(one, erf);
            let half = graph.multiply(half, x[0]);
            graph.multiply(half, sum)
        });
        assert!(two_numbers.contains(&Code::Apply(ScalarOp::Erf)), "{two_numbers:?}");
    }

    #[test]
    fn programs_are_light_without_elementary_functions() {
        let is_light = |build: fn(&mut ScalarGraph, &[ScalarId]) -> ScalarId| {
            compile(&ScalarFunction::build(&[ScalarKind::Number; 2], build).linearize()).is_light()
        };
        assert!(is_light(|_, x| x[0]));
        assert!(is_light(|graph, x| graph.add(x[0], x[1])));
        assert!(!is_light(|graph, x| gelu(graph, x[0])));
        assert!(!is_light(|graph, x| {
            let gate = graph.sigmoid(x[1]);
            graph.multiply(x[0], gate)
        }));
    }

    #[test]
    fn a_product_with_one_reader_joins_its_sum() {
        let joined = codes(|graph, x| {
            let product = graph.multiply(x[0], x[1]);
            graph.add(x[1], product)
        });
        assert_eq!(joined, [Code::MultiplyAdd]);
        let shared = codes(|graph, x| {
            let product = graph.multiply(x[0], x[1]);
            let sum = graph.add(x[1], product);
            graph.multiply(sum, product)
        });
        assert_eq!(shared.len(), 3, "{shared:?}");
    }
}
