//! Epilogues that the library computes with its products: `activation(product + bias + tensor)`.

use std::sync::LazyLock;

use sward_core::program::{DType, TensorType};
use sward_core::scalar::{ScalarFunction, ScalarGraph, ScalarId, ScalarKind, ScalarNode, ScalarOp};
use sward_ops::primitives::{epilogue_map, gelu_tanh};

use super::{Binder, Operand, map};
use crate::cuda::device::{Activation, Address, Product};

/// What the library does to a product itself.
#[derive(Clone, Copy, Default)]
pub(super) struct Epilogue<'a> {
    /// Added first: the same for every row, of any float dtype.
    pub bias: Option<&'a Operand>,
    /// Added first: of the result's sizes and dtype.
    pub whole: Option<&'a Operand>,
    /// Then.
    pub activation: Option<Activation>,
}

/// The library's activations as functions of one number.
static ACTIVATIONS: LazyLock<[(Activation, ScalarFunction); 2]> = LazyLock::new(|| {
    let of = |function: fn(&mut ScalarGraph, ScalarId) -> ScalarId| {
        ScalarFunction::build(&[ScalarKind::Number], |graph, inputs| function(graph, inputs[0]))
    };
    [(Activation::Relu, of(|graph, x| graph.relu(x))), (Activation::GeluTanh, of(gelu_tanh))]
});

/// Whether an expression is the sum of all of a function's inputs, each once.
fn is_sum_of_all(function: &ScalarFunction, root: ScalarId) -> bool {
    let graph = function.graph();
    let mut open = vec![root];
    let mut seen = vec![false; function.inputs().len()];
    while let Some(id) = open.pop() {
        match graph.node(id) {
            ScalarNode::Apply { op: ScalarOp::Add, .. } => open.extend(graph.node(id).operands()),
            ScalarNode::Input { index, .. } if !std::mem::replace(&mut seen[*index as usize], true) => {}
            _ => return false,
        }
    }
    seen.iter().all(|is_seen| *is_seen)
}

/// The activation of a sum of all inputs, or `None` of the sum alone; `None` of another function.
fn activation_of_sum(function: &ScalarFunction) -> Option<Option<Activation>> {
    if is_sum_of_all(function, function.root()) {
        return Some(None);
    }
    let inner = function.graph().reachable(&[function.root()]);
    let sums = inner.into_iter().filter(|id| is_sum_of_all(function, *id));
    sums.flat_map(|sum| ACTIVATIONS.iter().map(move |(activation, known)| (sum, *activation, known))).find_map(
        |(sum, activation, known)| {
            // Equal expressions are one node: the activation of this sum is the root, or it is another function.
            let mut graph = function.graph().clone();
            (graph.import(known.graph(), known.root(), &[sum], 0) == function.root()).then_some(Some(activation))
        },
    )
}

impl<'a> Epilogue<'a> {
    /// The library's form of an epilogue: at most one bias and one whole tensor. `None` where the library has none.
    pub(super) fn of(function: &ScalarFunction, out: &Operand, extras: &'a [Operand]) -> Option<Epilogue<'a>> {
        let mut epilogue = Epilogue::default();
        for extra in extras {
            let is_row = extra.shape().last() == out.shape().last() && extra.elements() == *out.shape().last()?;
            if is_row && epilogue.bias.is_none() && extra.dtype().is_float() {
                epilogue.bias = Some(extra);
            } else if extra.tensor_type == out.tensor_type && epilogue.whole.is_none() {
                epilogue.whole = Some(extra);
            } else {
                return None;
            }
        }
        let activation = activation_of_sum(function)?;
        // How exactly the library computes it is not written anywhere: only where the result is rounded to bf16.
        let is_coarse = activation == Some(Activation::GeluTanh) && out.dtype() != DType::BF16;
        (!is_coarse).then_some(Epilogue { activation, ..epilogue })
    }

    /// Has the library compute it with a product of this dtype.
    pub(super) fn join(self, product: Product, dtype: DType, binder: &mut Binder<'_>) -> Product {
        let bias = self.bias.map(|bias| bias_as(bias, dtype, binder));
        Product { bias, addend: self.whole.map(|whole| whole.address), activation: self.activation, ..product }
    }
}

/// A bias in the result's dtype, as the library wants it: rounded where that is bf16, as PyTorch's autocast does.
fn bias_as(bias: &Operand, dtype: DType, binder: &mut Binder<'_>) -> Address {
    if bias.dtype() == dtype {
        return bias.address;
    }
    let tensor_type = TensorType { dtype, ..bias.tensor_type.clone() };
    let rounded = Operand { address: binder.workspace(tensor_type.bytes()), tensor_type };
    let same = ScalarFunction::build(&[ScalarKind::Number], |_, inputs| inputs[0]);
    map::map(&epilogue_map(&same, dtype), std::slice::from_ref(bias), std::slice::from_ref(&rounded), binder);
    rounded.address
}

#[cfg(test)]
mod tests {
    use sward_core::expr::parse;
    use sward_core::scalar::{FormulaScope, Operand as Variable, from_expr};

    use super::*;

    fn found(build: impl Fn(&mut ScalarGraph, ScalarId, ScalarId, ScalarId) -> ScalarId) -> Option<Option<Activation>> {
        let kinds = [ScalarKind::Number; 3];
        activation_of_sum(&ScalarFunction::build(&kinds, |graph, inputs| build(graph, inputs[0], inputs[1], inputs[2])))
    }

    #[test]
    fn activations_of_sums_are_found_in_any_order_and_others_are_not() {
        let sum = |graph: &mut ScalarGraph, x, bias, whole| {
            let both = graph.add(bias, whole);
            graph.add(both, x)
        };
        assert_eq!(found(sum), Some(None));
        assert_eq!(
            found(|graph, x, bias, whole| {
                let biased = graph.add(x, bias);
                let sum = graph.add(whole, biased);
                graph.relu(sum)
            }),
            Some(Some(Activation::Relu))
        );
        assert_eq!(
            found(|graph, x, bias, whole| {
                let sum = sum(graph, x, bias, whole);
                gelu_tanh(graph, sum)
            }),
            Some(Some(Activation::GeluTanh))
        );
        // Not of all inputs, of one twice, another function.
        assert_eq!(found(|graph, x, bias, _| graph.add(x, bias)), None);
        assert_eq!(
            found(|graph, x, bias, whole| {
                let sum = sum(graph, x, bias, whole);
                graph.add(sum, bias)
            }),
            None
        );
        assert_eq!(
            found(|graph, x, bias, whole| {
                let sum = sum(graph, x, bias, whole);
                graph.tanh(sum)
            }),
            None
        );
    }

    #[test]
    fn the_catalogues_gelu_is_the_librarys() {
        // As the formula of the op is written.
        let written = "0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x ** 3)))";
        let expr = parse(written).expect("a formula");
        struct X;
        impl FormulaScope for X {
            fn lookup(&self, name: &str) -> Option<Variable> {
                (name == "x").then_some(Variable::Input { index: 0, kind: ScalarKind::Number })
            }
            fn names(&self) -> Vec<String> {
                vec!["x".to_string()]
            }
        }
        let mut graph = ScalarGraph::new();
        let root = from_expr(&expr, &mut graph, &X).expect("a function of x");
        let function = ScalarFunction::new(&graph, root, &[ScalarKind::Number]);
        assert_eq!(activation_of_sum(&function), Some(Some(Activation::GeluTanh)));
    }
}
