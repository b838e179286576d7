//! Random programs over tokens, of which few are read.

use sward_core::program::{BuildError, Builder, DType, Role, TensorType, ValueId};
use sward_ops::primitives::problems::{Draw, Extent};
use sward_ops::primitives::{Attention, AttentionMask, EmitExt, LayerNorm, MatMul};

/// A random chain of what works token by token, of which a few tokens are read in the end: `[2, 6, 8]`, perhaps as `[12, 8]` or by heads on the way.
pub fn program(seed: u64) -> Builder {
    let mut draw = Draw::new(seed, DType::F32, Extent::Small);
    let mut builder = Builder::new();
    let input = |builder: &mut Builder, name: &str, shape: &[usize]| builder.argument(name, Role::Input, TensorType::f32(shape));
    let [tokens, positions, row] = [("tokens", &[2, 6, 8][..]), ("positions", &[1, 6, 8]), ("row", &[8])]
        .map(|(name, shape)| input(&mut builder, name, shape));
    let [weight, qkv, bias] = [("weight", &[8, 8][..]), ("qkv", &[24, 8]), ("bias", &[1, 24])]
        .map(|(name, shape)| builder.argument(name, Role::Parameter { trained: true }, TensorType::f32(shape)));
    let mut x = tokens;
    for _ in 0..draw.between(1, 7) {
        x = step(&mut builder, &mut draw, x, [tokens, positions, row, weight, qkv, bias]).expect("sizes that fit");
    }
    let length = draw.between(1, 3);
    let start = draw.below(6 - length + 1);
    let read = builder.slice(x, 1, start, length, 1).expect("an axis of six");
    builder.output("y", read);
    if draw.below(4) == 0 {
        builder.output("whole", x);
    }
    builder
}

fn step(
    builder: &mut Builder,
    draw: &mut Draw,
    x: ValueId,
    [tokens, positions, row, weight, qkv, bias]: [ValueId; 6],
) -> Result<ValueId, BuildError> {
    let flat = |builder: &mut Builder, x: ValueId| builder.reshape(x, &[12, 8]);
    match draw.below(10) {
        0 => builder.add(x, tokens),
        1 => builder.mul(x, positions),
        2 => builder.add(x, row),
        3 => {
            let norm = LayerNorm { epsilon: 1e-3, centered: true, weight: true, bias: false };
            let x = flat(builder, x)?;
            let x = builder.emit(norm, &[x, row])?[0];
            builder.reshape(x, &[2, 6, 8])
        }
        4 => builder.softmax(x),
        5 => {
            let x = flat(builder, x)?;
            let x = builder.matmul_transposed(x, false, weight, true)?;
            builder.reshape(x, &[2, 6, 8])
        }
        6 => {
            let heads = builder.reshape(x, &[2, 6, 2, 4])?;
            let attention = Attention { scale: 0.5, causal: draw.flag(), mask: AttentionMask::None };
            let out = builder.emit(attention, &[heads, heads, heads])?[0];
            builder.reshape(out, &[2, 6, 8])
        }
        7 | 8 => {
            // In either dtype, with a bias of f32: what stands for a value has its dtype.
            let dtype = draw.choose(&[DType::F32, DType::BF16]);
            let rows = flat(builder, x)?;
            let (rows, qkv) = (builder.cast(rows, dtype)?, builder.cast(qkv, dtype)?);
            let product = MatMul { transpose_a: false, transpose_b: true, dtype, epilogue: None };
            let mut all = builder.emit_one(product, &[rows, qkv])?;
            if draw.flag() {
                all = builder.map_as(dtype, &[all, bias], |graph, operands| graph.add(operands[0], operands[1]))?;
            }
            let all = builder.reshape(all, &[2, 6, 24])?;
            let mut parts = Vec::new();
            for start in [0, 8, 16] {
                let part = builder.slice(all, 2, start, 8, 1)?;
                parts.push(builder.reshape(part, &[2, 6, 2, 4])?);
            }
            let out = builder.emit(Attention { scale: 0.5, causal: false, mask: AttentionMask::None }, &parts)?[0];
            let out = builder.reshape(out, &[2, 6, 8])?;
            builder.add(x, out)
        }
        _ => {
            let [left, right] = [0, 4].map(|start| builder.slice(x, 2, start, 4, 1));
            let (left, right) = (left?, right?);
            builder.concat(&[right, left], 2)
        }
    }
}
