//! Tensors of one axis, and the few dfdx operations that everything else is made of.
//!
//! dfdx knows the rank of a tensor when it compiles, programs when they run. So every value is a tensor of one axis here, its sizes stand in the program, and
//! what a size means (an axis moved, repeated or cut) is a `gather` of positions. dfdx differentiates that as it does everything else.

use std::sync::atomic::{AtomicU64, Ordering};

use dfdx::prelude::*;

/// A dfdx tensor of one axis. The reference of programs is f64, and so is this.
pub(super) type Flat<T = NoneTape> = Tensor<(usize,), f64, Cpu, T>;

/// Numbers values: dfdx hides its own numbers, and its binary operations refuse a tensor together with itself.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A value of a program.
#[derive(Clone, Debug)]
pub(super) struct Value {
    tensor: Flat,
    number: u64,
}

impl Value {
    fn new(tensor: Flat) -> Value {
        Value { tensor, number: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        self.tensor.shape().0
    }

    /// The elements.
    pub(super) fn numbers(&self) -> Vec<f64> {
        // dfdx walks at least one element of any tensor.
        if self.len() == 0 { Vec::new() } else { self.tensor.as_vec() }
    }

    /// dfdx's tensor.
    pub(super) fn tensor(&self) -> &Flat {
        &self.tensor
    }
}

/// Runs dfdx's operations and keeps their tape: an [`OwnedTape`] where gradients are wanted, else a [`NoneTape`].
pub(super) struct Recorder<T> {
    device: Cpu,
    tape: T,
}

impl<T: Tape<f64, Cpu>> Recorder<T> {
    /// An empty tape.
    pub(super) fn new() -> Recorder<T> {
        Recorder { device: Cpu::default(), tape: T::default() }
    }

    /// A value that depends on nothing.
    pub(super) fn constant(&self, numbers: Vec<f64>) -> Value {
        let count = numbers.len();
        Value::new(self.device.tensor_from_vec(numbers, (count,)))
    }

    /// The same number `count` times.
    pub(super) fn fill(&self, count: usize, number: f64) -> Value {
        self.constant(vec![number; count])
    }

    /// What has no derivative: numbers computed element by element outside of dfdx.
    pub(super) fn apart(&self, operands: &[&Value], element: impl Fn(&[f64]) -> f64) -> Value {
        let columns: Vec<Vec<f64>> = operands.iter().map(|operand| operand.numbers()).collect();
        let count = columns.first().map_or(0, Vec::len);
        self.constant((0..count).map(|row| element(&columns.iter().map(|column| column[row]).collect::<Vec<f64>>())).collect())
    }

    /// An operation on one tensor. Nothing is recorded of tensors without elements.
    pub(super) fn unary(&mut self, x: &Value, operation: impl FnOnce(Flat<T>) -> Flat<T>) -> Value {
        if x.len() == 0 {
            return self.constant(Vec::new());
        }
        let (result, tape) = operation(x.tensor.clone().put_tape(std::mem::take(&mut self.tape))).split_tape();
        self.tape = tape;
        Value::new(result)
    }

    /// An operation on two tensors.
    pub(super) fn binary(&mut self, a: &Value, b: &Value, operation: impl FnOnce(Flat<T>, Flat) -> Flat<T>) -> Value {
        // One number for both would be one gradient for both: dfdx wants two.
        let b = if a.number == b.number { self.unary(b, |b| b * 1.0) } else { b.clone() };
        let (result, tape) = operation(a.tensor.clone().put_tape(std::mem::take(&mut self.tape)), b.tensor).split_tape();
        self.tape = tape;
        Value::new(result)
    }

    /// `a + b`, element by element.
    pub(super) fn add(&mut self, a: &Value, b: &Value) -> Value {
        if a.len() == 0 { a.clone() } else { self.binary(a, b, |a, b| a + b) }
    }

    /// `a - b`, element by element.
    pub(super) fn subtract(&mut self, a: &Value, b: &Value) -> Value {
        if a.len() == 0 { a.clone() } else { self.binary(a, b, |a, b| a - b) }
    }

    /// `a * b`, element by element.
    pub(super) fn multiply(&mut self, a: &Value, b: &Value) -> Value {
        if a.len() == 0 { a.clone() } else { self.binary(a, b, |a, b| a * b) }
    }

    /// `a / b`, element by element.
    pub(super) fn divide(&mut self, a: &Value, b: &Value) -> Value {
        if a.len() == 0 { a.clone() } else { self.binary(a, b, |a, b| a / b) }
    }

    /// `x * number`.
    pub(super) fn scale(&mut self, x: &Value, number: f64) -> Value {
        self.unary(x, |x| x * number)
    }

    /// `a` where the condition is not 0, `b` elsewhere. No gradient flows to the condition.
    pub(super) fn choose(&mut self, condition: &Value, a: &Value, b: &Value) -> Value {
        if a.len() == 0 {
            return a.clone();
        }
        let flags: Vec<bool> = condition.numbers().into_iter().map(|number| number != 0.0).collect();
        let flags: Tensor<(usize,), bool, Cpu> = self.device.tensor_from_vec(flags, (a.len(),));
        self.binary(a, b, |a, b| flags.choose(a, b))
    }

    /// The elements at these positions, which lie in the tensor.
    pub(super) fn gather(&mut self, x: &Value, positions: Vec<usize>) -> Value {
        if positions.is_empty() {
            return self.constant(Vec::new());
        }
        if positions.len() == x.len() && positions.iter().enumerate().all(|(index, position)| index == *position) {
            return x.clone();
        }
        let count = positions.len();
        let positions: Tensor<(usize,), usize, Cpu> = self.device.tensor_from_vec(positions, (count,));
        self.unary(x, |x| x.gather(positions))
    }

    /// The elements at these positions, and a number where there is none.
    pub(super) fn gather_or(&mut self, x: &Value, positions: Vec<Option<usize>>, otherwise: f64) -> Value {
        if positions.iter().all(Option::is_some) {
            return self.gather(x, positions.into_iter().flatten().collect());
        }
        let outside = x.len();
        let tail = self.fill(1, otherwise);
        let joined = self.join(&[x, &tail]);
        self.gather(&joined, positions.into_iter().map(|position| position.unwrap_or(outside)).collect())
    }

    /// Tensors one after the other.
    pub(super) fn join(&mut self, parts: &[&Value]) -> Value {
        let mut filled = parts.iter().filter(|part| part.len() > 0);
        let Some(first) = filled.next() else { return self.constant(Vec::new()) };
        let mut joined = (*first).clone();
        for part in filled {
            joined = self.binary(&joined, part, |a, b| (a, b).concat_along(Axis::<0>));
        }
        joined
    }

    /// The sums of rows of `width` elements.
    pub(super) fn row_sums(&mut self, x: &Value, rows: usize, width: usize) -> Value {
        if rows * width == 0 {
            return self.fill(rows, 0.0);
        }
        self.unary(x, |x| x.reshape_like(&(rows, width)).sum::<(usize,), Axis<1>>())
    }

    /// Every row's number repeated `width` times.
    pub(super) fn repeat_rows(&mut self, x: &Value, width: usize) -> Value {
        let rows = x.len();
        self.gather(x, (0..rows * width).map(|position| position / width).collect())
    }

    /// The softmax of every row, or its logarithm.
    pub(super) fn softmax(&mut self, x: &Value, rows: usize, width: usize, log: bool) -> Value {
        self.unary(x, |x| {
            let x = x.reshape_like(&(rows, width));
            let y = if log { x.log_softmax::<Axis<1>>() } else { x.softmax::<Axis<1>>() };
            y.reshape_like(&(rows * width,))
        })
    }

    /// `batch` products of `[m, k]` and `[k, n]`.
    pub(super) fn matmul(&mut self, a: &Value, b: &Value, [batch, m, k, n]: [usize; 4]) -> Value {
        if batch * m * n == 0 || k == 0 {
            return self.fill(batch * m * n, 0.0);
        }
        self.binary(a, b, |a, b| {
            let product = a.reshape_like(&(batch, m, k)).matmul(b.reshape_like(&(batch, k, n)));
            product.reshape_like(&(batch * m * n,))
        })
    }
}

impl Recorder<OwnedTape<f64, Cpu>> {
    /// Runs the tape back from the sum of `result * weights`; gives the gradients in these values, zeros where nothing leads to one.
    pub(super) fn backward(mut self, results: &[(&Value, &Value)], wanted: &[&Value]) -> Vec<Vec<f64>> {
        let mut parts = Vec::new();
        for (result, weights) in results {
            let product = self.multiply(result, weights);
            parts.push(self.row_sums(&product, 1, product.len()));
        }
        let joined = self.join(&parts.iter().collect::<Vec<_>>());
        if joined.len() == 0 {
            return wanted.iter().map(|value| vec![0.0; value.len()]).collect();
        }
        let scalar = joined.tensor.put_tape(self.tape).sum::<Rank0, Axis<0>>();
        let mut gradients = scalar.backward();
        let read = |value: &&Value| {
            // Allocates zeros where the tape never came by.
            let numbers = gradients.get_or_alloc_mut(value.tensor()).unwrap_or_else(|error| panic!("{error}"));
            numbers.to_vec()
        };
        wanted.iter().map(read).collect()
    }
}
