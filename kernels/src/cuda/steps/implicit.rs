//! Convolutions and their gradients as implicit products: matrices whose rows are read from the image where it lies (`product.cu`, and by Hopper's
//! warpgroup products `product_warpgroups.cu`).

use sward_core::program::DType;

use super::convolution::{Sizes, WANTED_BLOCKS, pointers, types};
use super::movement::StridedCopy;
use super::product::Way;
use super::rows::sum_rows;
use super::{Binder, Operand};
use crate::cuda::device::Arguments;
use crate::cuda::source::Kernel;

/// Copies between rows of the last axis and rows that are filled up to another length: all of the shorter ones' elements.
fn copy_rows(from: &Operand, to: &Operand, binder: &mut Binder<'_>) -> Result<(), String> {
    let last = |operand: &Operand| *operand.shape().last().expect("an operand of four axes");
    let (source, target) = (last(from), last(to));
    let sizes = vec![from.elements() / source.max(1), source.min(target)];
    let (from_strides, to_strides) = (vec![source as i64, 1], vec![target as i64, 1]);
    let copy =
        StridedCopy { dtype: from.dtype(), sizes, from: from_strides, to: to_strides, source: from.address, target: to.address };
    copy.launch(binder)
}

/// An operand in workspace with so many channels, the further ones 0.
fn filled(operand: &Operand, channels: usize, binder: &mut Binder<'_>) -> Result<Operand, String> {
    let mut tensor_type = operand.tensor_type.clone();
    *tensor_type.shape.last_mut().expect("an operand of four axes") = channels;
    let address = binder.workspace(tensor_type.bytes());
    binder.zero(address, tensor_type.bytes());
    let target = Operand { address, tensor_type };
    copy_rows(operand, &target, binder)?;
    Ok(target)
}

/// An implicit product whose result has so many rows and columns in each of `batch` matrices.
fn launch(
    function: &str,
    way: Way,
    sizes: &Sizes,
    operands: [&Operand; 2],
    out: &Operand,
    [rows, columns, batch]: [usize; 3],
    binder: &mut Binder<'_>,
) -> Result<(), String> {
    let template: Vec<String> = std::iter::once(way.name().to_string()).chain(types([operands[0], operands[1], out])).collect();
    let [first, second, result] = pointers(operands, out);
    let parameters = [&*first, &*second, &*result, "ConvolutionShape"];
    let function = if way.is_warpgroups() { format!("{function}_warpgroups") } else { function.to_string() };
    let kernel = Kernel::bounded_instance(way.family(), &function, &template, &parameters, way.bounds());
    let arguments =
        Arguments::new().address(operands[0].address).address(operands[1].address).address(out.address).ints(&sizes.words());
    binder.label(way.label());
    binder.launch(kernel, way.grid(rows, columns, batch)?, [256, 1, 1], way.shared(), arguments);
    Ok(())
}

/// `out = x * weight`, without an epilogue.
///
/// # Errors
/// Where a grid is too large for the device.
pub(super) fn forward(sizes: &Sizes, [x, weight]: [&Operand; 2], out: &Operand, binder: &mut Binder<'_>) -> Result<(), String> {
    if let (Some(wide), DType::BF16, DType::BF16) = (sizes.filled(), x.dtype(), weight.dtype()) {
        let [x, weight] = [filled(x, wide.image[3], binder)?, filled(weight, wide.image[3], binder)?];
        return forward(&wide, [&x, &weight], out, binder);
    }
    let (depth, shape) = (sizes.taps() * sizes.each().0, [sizes.pixels().1, sizes.each().1, sizes.geometry.groups]);
    let way = Way::of(x.dtype(), weight.dtype(), sizes.is_wide().0, depth.is_multiple_of(8));
    let way = if sizes.is_wide().1 { way.of_convolution(shape, depth, binder.limits) } else { way };
    launch("convolution", way, sizes, [x, weight], out, shape, binder)
}

/// A weight [group, result, tap, channel] as [group, channel, tap, result], as the gradient in the image sums over results.
fn turned(sizes: &Sizes, weight: &Operand, binder: &mut Binder<'_>) -> Result<Operand, String> {
    let turned = Operand { address: binder.workspace(weight.bytes()), tensor_type: weight.tensor_type.clone() };
    let (groups, taps, (each, results)) = (sizes.geometry.groups, sizes.taps(), sizes.each());
    let signed = |strides: [usize; 4]| strides.map(|stride| stride as i64).to_vec();
    let copy = StridedCopy {
        dtype: weight.dtype(),
        sizes: vec![groups, results, taps, each],
        from: signed([results * taps * each, taps * each, each, 1]),
        to: signed([each * taps * results, 1, results, taps * results]),
        source: weight.address,
        target: turned.address,
    };
    copy.launch(binder)?;
    Ok(turned)
}

/// The gradient in the image.
///
/// # Errors
/// Where a grid is too large for the device.
pub(super) fn input_gradient(
    sizes: &Sizes,
    dy: &Operand,
    weight: &Operand,
    dx: &Operand,
    binder: &mut Binder<'_>,
) -> Result<(), String> {
    let (wide_channels, wide_results) = sizes.is_wide();
    // Positions of each phase by the strides meet taps of their own, and are products of their own.
    let ([images, height, width, _], (rows, columns)) = (sizes.image, sizes.geometry.stride);
    let pixels = images * height.div_ceil(rows) * width.div_ceil(columns);
    let shape = [pixels, sizes.each().0, sizes.geometry.groups * rows * columns];
    let depth = (sizes.taps() / (rows * columns)).max(1) * sizes.each().1;
    let way = Way::of(dy.dtype(), weight.dtype(), wide_results, wide_channels).of_convolution(shape, depth, binder.limits);
    if !way.is_warpgroups() {
        return launch("convolution_input_gradient", way, sizes, [dy, weight], dx, shape, binder);
    }
    let weight = turned(sizes, weight, binder)?;
    launch("convolution_input_gradient", way, sizes, [dy, &weight], dx, shape, binder)
}

/// The gradient in the weight.
///
/// # Errors
/// Where a grid is too large for the device.
pub(super) fn weight_gradient(
    sizes: &Sizes,
    x: &Operand,
    dy: &Operand,
    dweight: &Operand,
    binder: &mut Binder<'_>,
) -> Result<(), String> {
    let (wide_channels, wide_results) = sizes.is_wide();
    if let (Some(wide), true, DType::BF16, DType::BF16) = (sizes.filled(), wide_results, x.dtype(), dy.dtype()) {
        let x = filled(x, wide.image[3], binder)?;
        let mut tensor_type = dweight.tensor_type.clone();
        tensor_type.shape[3] = wide.image[3];
        let own = Operand { address: binder.workspace(tensor_type.bytes()), tensor_type };
        weight_gradient(&wide, &x, dy, &own, binder)?;
        return copy_rows(&own, dweight, binder);
    }
    let pixels = sizes.pixels().1;
    let way = Way::of(dy.dtype(), x.dtype(), wide_results, wide_channels);
    let (channels, results) = sizes.each();
    let (weights, groups) = (sizes.taps() * channels, sizes.geometry.groups);
    // By warpgroup products rows and columns change places: blocks have few rows and as many columns as there are.
    let exchanged = way.of_split_convolution([weights, results], pixels, binder.limits);
    let (way, [rows, columns], function, wanted) = match exchanged.bounds().blocks {
        Some(blocks) => {
            let wanted = binder.limits.multiprocessors * blocks as usize;
            (exchanged, [weights, results], "convolution_weight_gradient_warpgroups", wanted)
        }
        None => (way, [results, weights], "convolution_weight_gradient", WANTED_BLOCKS),
    };
    let [tile_rows, tile_columns] = way.tile();
    let tiles = rows.div_ceil(tile_rows) * columns.div_ceil(tile_columns) * groups;
    let most = (wanted / tiles).clamp(1, 64);
    let splits = pixels.div_ceil(256).clamp(1, most);
    let chunk = pixels.div_ceil(splits).next_multiple_of(64).max(64);
    let splits = pixels.div_ceil(chunk).max(1);
    let target = if splits > 1 { binder.workspace(splits * dweight.bytes()) } else { dweight.address };
    let template = [way.name().to_string(), dy.c_type().to_string(), x.c_type().to_string()];
    let [first, second, result] = pointers([dy, x], dweight);
    let parameters = [&*first, &*second, &*result, "ConvolutionShape", "i64"];
    let kernel = Kernel::bounded_instance(way.family(), function, &template, &parameters, way.bounds());
    let arguments = Arguments::new().address(dy.address).address(x.address).address(target).ints(&sizes.words()).long(chunk);
    binder.label(way.label());
    binder.launch(kernel, way.grid(rows, columns, groups * splits)?, [256, 1, 1], way.shared(), arguments);
    if splits > 1 {
        let elements = dweight.elements();
        sum_rows(target, dweight.address, splits, elements, elements, binder);
    }
    Ok(())
}
