//! What the emission helpers and the gradient rule of `map` leave out of a program.

use sward_core::program::{Algebra, Builder, DType, Program, Role, TensorType, ValueId, differentiate};
use sward_core::scalar::{ScalarGraph, ScalarOp};
use sward_ops::primitives::{AddAlgebra, EmitExt, Map};

fn argument(builder: &mut Builder, name: &str, dtype: DType, shape: &[usize]) -> ValueId {
    builder.argument(name, Role::Input, TensorType::new(dtype, shape))
}

fn names(program: &Program) -> Vec<&'static str> {
    program.instructions.iter().map(|instruction| instruction.op.name()).collect()
}

#[test]
fn operands_that_are_as_wanted_are_returned() {
    let mut builder = Builder::new();
    let x = argument(&mut builder, "x", DType::F32, &[2, 3]);
    for same in [
        builder.cast(x, DType::F32).unwrap(),
        builder.reshape(x, &[2, 3]).unwrap(),
        builder.permute(x, &[0, 1]).unwrap(),
        builder.expand(x, &[2, 3]).unwrap(),
        builder.align(x, 1).unwrap(),
        builder.slice(x, 1, 0, 3, 1).unwrap(),
        builder.reduce_sum(x, &[]).unwrap(),
        builder.scale(x, 1.0).unwrap(),
        builder.offset(x, 0.0).unwrap(),
        builder.concat(&[x], 0).unwrap(),
        builder.map1(x, |_, x| x).unwrap(),
    ] {
        assert_eq!(same, x);
    }
    assert!(builder.program().instructions.is_empty());
}

#[test]
fn a_permutation_that_moves_axes_of_size_one_alone_is_a_view() {
    let mut builder = Builder::new();
    let x = argument(&mut builder, "x", DType::F32, &[2, 1, 3, 1]);
    let moved = builder.permute(x, &[1, 0, 3, 2]).unwrap();
    assert_eq!(builder.shape(moved), [1, 2, 1, 3]);
    builder.permute(x, &[2, 1, 0, 3]).unwrap();
    assert_eq!(names(builder.program()), ["reshape", "permute"]);
    assert!(builder.permute(x, &[0, 0, 1, 2]).is_err());
}

#[test]
fn elementwise_results_have_the_widest_float_dtype() {
    use DType::{BF16, Bool, F32, I64};
    let mut builder = Builder::new();
    let [single, half, whole, flag] =
        [("s", F32), ("h", BF16), ("w", I64), ("b", Bool)].map(|(name, dtype)| argument(&mut builder, name, dtype, &[3]));
    let mut dtype = |op, operands: &[ValueId]| {
        let value = builder.apply(op, operands).unwrap();
        builder.type_of(value).dtype
    };
    assert_eq!(dtype(ScalarOp::Add, &[single, half]), F32);
    assert_eq!(dtype(ScalarOp::Add, &[whole, half]), BF16);
    assert_eq!(dtype(ScalarOp::Add, &[whole, whole]), I64);
    assert_eq!(dtype(ScalarOp::Divide, &[whole, whole]), F32);
    assert_eq!(dtype(ScalarOp::Less, &[single, half]), Bool);
    assert_eq!(dtype(ScalarOp::Not, &[flag]), Bool);
    assert_eq!(dtype(ScalarOp::Where, &[flag, half, half]), BF16);
    let sum = AddAlgebra.add(&mut builder, half, single).unwrap();
    assert_eq!(builder.type_of(sum).dtype, F32);
}

#[test]
fn operands_of_other_ranks_are_aligned_at_the_last_axis() {
    let mut builder = Builder::new();
    let x = argument(&mut builder, "x", DType::F32, &[2, 5, 3]);
    let bias = argument(&mut builder, "bias", DType::F32, &[3]);
    let sum = builder.add(x, bias).unwrap();
    assert_eq!(builder.shape(sum), [2, 5, 3]);
    let wrong = argument(&mut builder, "wrong", DType::F32, &[2]);
    assert!(builder.add(x, wrong).is_err());
}

/// The instructions of the backward pass of the last instruction's result in the wanted values, and the gradients.
fn backward(builder: &mut Builder, y: ValueId, wanted: &[ValueId]) -> (Vec<&'static str>, Vec<Option<ValueId>>, ValueId) {
    let forward = builder.program().instructions.len();
    let tensor_type = builder.type_of(y).clone();
    let seed = builder.argument("seed", Role::Input, tensor_type);
    let gradients = differentiate(builder, &[(y, seed)], wanted, &AddAlgebra).unwrap();
    let values = wanted.iter().map(|value| gradients.of(*value)).collect();
    (names(builder.program()).split_off(forward), values, seed)
}

#[test]
fn the_gradient_of_a_sum_is_the_gradient_itself() {
    let mut builder = Builder::new();
    let x = argument(&mut builder, "x", DType::F32, &[4, 3]);
    let y = argument(&mut builder, "y", DType::F32, &[4, 3]);
    let sum = builder.add(x, y).unwrap();
    let (emitted, gradients, seed) = backward(&mut builder, sum, &[x, y]);
    assert!(emitted.is_empty());
    assert_eq!(gradients, [Some(seed), Some(seed)]);
}

#[test]
fn whole_operands_share_one_map_and_repeated_ones_are_summed() {
    let mut builder = Builder::new();
    let x = argument(&mut builder, "x", DType::F32, &[4, 3]);
    let y = argument(&mut builder, "y", DType::F32, &[4, 3]);
    let gain = argument(&mut builder, "gain", DType::F32, &[1, 3]);
    let product = builder
        .map(&[x, y, gain], |graph, inputs| {
            let product = graph.multiply(inputs[0], inputs[1]);
            graph.multiply(product, inputs[2])
        })
        .unwrap();
    let (emitted, gradients, _) = backward(&mut builder, product, &[x, y, gain]);
    assert_eq!(emitted, ["map", "map", "reduce"]);
    assert_eq!(builder.shape(gradients[2].unwrap()), [1, 3]);
}

#[test]
fn a_gradient_reads_the_operands_it_needs_and_no_others() {
    let mut builder = Builder::new();
    let x = argument(&mut builder, "x", DType::F32, &[4, 3]);
    let gain = argument(&mut builder, "gain", DType::F32, &[1, 3]);
    let product = builder.mul(x, gain).unwrap();
    let (_, _, seed) = backward(&mut builder, product, &[x]);
    let mut read = builder.program().instructions[1].inputs.to_vec();
    read.sort();
    assert_eq!(read, [gain, seed]);
}

#[test]
fn long_expressions_are_told_apart_by_their_digest() {
    let text = |last: f64| {
        let mut graph = ScalarGraph::new();
        let x = graph.input(0, sward_core::scalar::ScalarKind::Number);
        let mut root = x;
        // Every round names the last value twice: written out, the text has 2^40 parts.
        for _ in 0..40 {
            let sine = graph.sin(root);
            root = graph.multiply(sine, root);
        }
        let last = graph.number(last);
        let root = graph.add(root, last);
        sward_core::program::Primitive::attributes(&Map::new(graph, root, DType::F32))
    };
    assert!(text(1.0).len() < 600);
    assert_eq!(text(1.0), text(1.0));
    assert_ne!(text(1.0), text(2.0));
}
