//! `attention` and its gradient: `ways.rs` chooses the kernel, this file hands it its operands.

mod ways;

use sward_core::program::Primitive;
use sward_ops::primitives::{self as op, AttentionSizes};

use super::{Binder, Operand, blocks};
use crate::cuda::device::{Address, Arguments};
use crate::cuda::source::{Family, Kernel};
pub(in crate::cuda) use ways::{BY_WARPGROUPS, LONG};
use ways::{Bound, Part, ROWS, Way};

/// Binds an attention or its gradient.
pub(super) fn bind(
    primitive: &dyn Primitive,
    inputs: &[Operand],
    outputs: &[Operand],
    binder: &mut Binder<'_>,
) -> Result<bool, String> {
    if let Some(op) = primitive.downcast::<op::Attention>() {
        forward(op, inputs, outputs, binder)?;
    } else if let Some(op) = primitive.downcast::<op::AttentionGradient>() {
        backward(op, inputs, outputs, binder)?;
    } else {
        return Ok(false);
    }
    Ok(true)
}

fn forward(op: &op::Attention, inputs: &[Operand], outputs: &[Operand], binder: &mut Binder<'_>) -> Result<(), String> {
    let [q, k, v] = [&inputs[0], &inputs[1], &inputs[2]];
    let bound = Bound::new(op, [q, k, v], inputs.get(3), None, false, binder)?;
    binder.label(bound.label());
    let AttentionSizes { batch, queries, heads, value_width, .. } = bound.sizes;
    let lines = batch * heads * queries;
    let (splits, split_keys) = bound.splits();
    let words = bound.words(splits, split_keys);
    let parts = if splits > 1 {
        [splits * lines * value_width, splits * lines, splits * lines].map(|count| binder.workspace(count * 4))
    } else {
        [0; 3]
    };
    let element = q.c_type();
    let (from, to, mask) = (format!("const {element}*"), format!("{element}*"), format!("const {}*", bound.mask_type()));
    let mut parameters = vec![&*from, &from, &from, &mask, &to, "float*", "float*", "float*", "float*"];
    let is_few = matches!(bound.way, Way::Few { .. });
    if is_few {
        parameters.push("u32*");
    }
    parameters.push("AttentionShape");
    let kernel = bound.kernel(Part::Forward, &[element], &parameters);
    let mut arguments = Arguments::new()
        .address(q.address)
        .address(k.address)
        .address(v.address)
        .address(bound.mask_address())
        .address(outputs[0].address)
        .address(outputs[1].address);
    for part in parts {
        arguments = arguments.address(part);
    }
    if is_few {
        // They begin at 0 once, and are there again after every run.
        arguments = arguments.address(if splits > 1 { binder.table(&vec![0u32; lines]) } else { 0 });
    }
    let (bounds, tile, shared) = bound.block(Part::Forward);
    let grid = [blocks(queries, tile), (batch * heads) as u32, splits as u32];
    binder.launch(kernel, grid, [bounds.threads, 1, 1], shared, arguments.ints(&words));
    if splits > 1 && !is_few {
        let template = [element.to_string()];
        let parameters = ["const float*", "const float*", "const float*", &*to, "float*", "AttentionShape", "i64"];
        let kernel = Kernel::instance(Family::Attention, "attention_combine", &template, &parameters, 256);
        let mut arguments = Arguments::new();
        for part in parts {
            arguments = arguments.address(part);
        }
        let arguments = arguments.address(outputs[0].address).address(outputs[1].address).ints(&words).long(lines * value_width);
        binder.launch_each(kernel, lines * value_width, arguments);
    }
    Ok(())
}

/// What the gradient takes off each row, by addresses: logsumexp (by warpgroups: as a normalizer) and the sum of dout * out.
struct RowTerms {
    normalizers: Address,
    deltas: Address,
    /// Rows of a head, by warpgroups alone.
    padded: Option<usize>,
}

/// Launches the kernel that makes them, in workspace.
fn row_terms(
    bound: &Bound<'_>,
    dout: &Operand,
    out: &Operand,
    logsumexp: &Operand,
    words: &[i32],
    binder: &mut Binder<'_>,
) -> RowTerms {
    let AttentionSizes { batch, queries, heads, value_width, .. } = bound.sizes;
    let (d, t) = (format!("const {}*", dout.c_type()), format!("const {}*", out.c_type()));
    let operands = Arguments::new().address(dout.address).address(out.address);
    if let Way::Warpgroups { .. } = bound.way {
        let padded = queries.next_multiple_of(2 * ROWS);
        let lines = batch * heads * padded;
        let [normalizers, deltas] = [0; 2].map(|_: usize| binder.workspace(lines * 4));
        let parameters = [&*d, &*t, "const float*", "float*", "float*", "AttentionShape", "int"];
        let template = [value_width.to_string()];
        let kernel = Kernel::instance(Family::AttentionWarpgroups, "attention_warpgroups_delta", &template, &parameters, 256);
        let arguments = operands.address(logsumexp.address).address(normalizers).address(deltas).ints(words).int(padded);
        binder.launch(kernel, [blocks(lines, 256 * 8 / value_width), 1, 1], [256, 1, 1], 0, arguments);
        return RowTerms { normalizers, deltas, padded: Some(padded) };
    }
    let lines = batch * heads * queries;
    let deltas = binder.workspace(lines * 4);
    let template = [dout.c_type().to_string(), out.c_type().to_string()];
    let kernel = Kernel::instance(Family::Attention, "attention_delta", &template, &[&*d, &*t, "float*", "AttentionShape"], 128);
    binder.launch(kernel, [blocks(lines, 4), 1, 1], [128, 1, 1], 0, operands.address(deltas).ints(words));
    RowTerms { normalizers: logsumexp.address, deltas, padded: None }
}

fn backward(op: &op::AttentionGradient, inputs: &[Operand], outputs: &[Operand], binder: &mut Binder<'_>) -> Result<(), String> {
    let [dout, q, k, v, out, logsumexp] = [0, 1, 2, 3, 4, 5].map(|position| &inputs[position]);
    let bound = Bound::new(&op.attention, [q, k, v], inputs.get(6), Some([dout, out]), op.mask_gradient, binder)?;
    binder.label(bound.label());
    let AttentionSizes { batch, queries, keys, heads, .. } = bound.sizes;
    let words = bound.words(1, keys.max(1));
    let RowTerms { normalizers, deltas, padded } = row_terms(&bound, dout, out, logsumexp, &words, binder);
    let d = format!("const {}*", dout.c_type());
    let (from, to, mask) =
        (format!("const {}*", q.c_type()), format!("{}*", q.c_type()), format!("const {}*", bound.mask_type()));
    let types = [q.c_type(), dout.c_type()];
    let operands = || {
        Arguments::new()
            .address(dout.address)
            .address(q.address)
            .address(k.address)
            .address(v.address)
            .address(normalizers)
            .address(deltas)
            .address(bound.mask_address())
    };
    let shared_parameters = [&*d, &*from, &*from, &*from, "const float*", "const float*", &*mask];
    let parts = [(Part::KeysGradient, keys, &outputs[1..3]), (Part::QueriesGradient, queries, &outputs[..1])];
    for (part, rows, results) in parts {
        let mut parameters = shared_parameters.to_vec();
        parameters.extend(results.iter().map(|_| &*to));
        parameters.push("AttentionShape");
        let mut arguments = results.iter().fold(operands(), |arguments, result| arguments.address(result.address)).ints(&words);
        if let Some(padded) = padded {
            parameters.push("int");
            arguments = arguments.int(padded);
        }
        let (bounds, tile, shared) = bound.block(part);
        let kernel = bound.kernel(part, &types, &parameters);
        binder.launch(kernel, [blocks(rows, tile), (batch * heads) as u32, 1], [bounds.threads, 1, 1], shared, arguments);
    }

    if let (true, Some(own)) = (op.mask_gradient, bound.mask) {
        let [mask_batches, mask_heads, mask_queries, _] = own.four();
        let template = [q.c_type(), dout.c_type(), own.c_type()].map(str::to_string);
        let parameters = [&shared_parameters[..], &["float*", "AttentionShape", "int", "int", "int", "i64"]].concat();
        let kernel = Kernel::instance(Family::Attention, "attention_mask_gradient", &template, &parameters, 128);
        let arguments = operands()
            .address(outputs[3].address)
            .ints(&words)
            .int(mask_batches)
            .int(mask_heads)
            .int(mask_queries)
            .long(own.elements());
        binder.launch(kernel, [blocks(own.elements(), 4), 1, 1], [128, 1, 1], 0, arguments);
    }
    Ok(())
}
