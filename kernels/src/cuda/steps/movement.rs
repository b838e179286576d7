//! Primitives that move elements: copies with strides, transposes, padding; constants and counting.

use half::bf16;
use sward_core::program::{DType, Primitive};
use sward_ops::primitives::{self as op, PadMode};

use super::loops::{broadcast_strides, dense_strides};
use super::map::index_type;
use super::{Binder, Operand};
use crate::cuda::device::{Address, Arguments};
use crate::cuda::source::{Family, Kernel, c_bits};

/// The most axes that a copy has after neighbours are joined.
const MOST_AXES: usize = 8;

/// A copy between two tensors: sizes with the strides of both, in elements; strides may be negative.
pub(super) struct StridedCopy {
    pub dtype: DType,
    pub sizes: Vec<usize>,
    pub from: Vec<i64>,
    pub to: Vec<i64>,
    pub source: Address,
    pub target: Address,
}

/// Words of a struct of `long long [8]` arrays.
fn eight(values: &[i64], rest: i64) -> Vec<i64> {
    let mut words = values.to_vec();
    words.resize(MOST_AXES, rest);
    words
}

impl StridedCopy {
    /// Joins axes that both sides walk as one, and drops those of size 1.
    fn joined(mut self) -> StridedCopy {
        let (mut sizes, mut from, mut to): (Vec<usize>, Vec<i64>, Vec<i64>) = Default::default();
        for axis in (0..self.sizes.len()).filter(|axis| self.sizes[*axis] != 1) {
            let size = self.sizes[axis] as i64;
            let joins = from.last() == Some(&(self.from[axis] * size)) && to.last() == Some(&(self.to[axis] * size));
            if joins {
                *sizes.last_mut().expect("there is one") *= self.sizes[axis];
                *from.last_mut().expect("there is one") = self.from[axis];
                *to.last_mut().expect("there is one") = self.to[axis];
            } else {
                sizes.push(self.sizes[axis]);
                from.push(self.from[axis]);
                to.push(self.to[axis]);
            }
        }
        if sizes.is_empty() {
            (sizes, from, to) = (vec![1], vec![1], vec![1]);
        }
        (self.sizes, self.from, self.to) = (sizes, from, to);
        self
    }

    /// The largest element that sizes, strides and addresses allow, in bytes.
    fn wide_bytes(&self) -> usize {
        let mut bytes = self.dtype.bytes();
        let last = self.sizes.len() - 1;
        if self.from[last] != 1 || self.to[last] != 1 {
            return bytes;
        }
        while bytes < 16 {
            let factor = (2 * bytes / self.dtype.bytes()) as i64;
            let divides = |stride: &i64| stride % factor == 0;
            let fits = self.sizes[last] as i64 % factor == 0
                && self.from[..last].iter().all(divides)
                && self.to[..last].iter().all(divides)
                && self.source.is_multiple_of(2 * bytes as u64)
                && self.target.is_multiple_of(2 * bytes as u64);
            if !fits {
                break;
            }
            bytes *= 2;
        }
        bytes
    }

    /// Launches it.
    ///
    /// # Errors
    /// Where too many axes are left after neighbours are joined.
    pub(super) fn launch(self, binder: &mut Binder<'_>) -> Result<(), String> {
        if self.sizes.contains(&0) {
            return Ok(());
        }
        let mut copy = self.joined();
        if copy.sizes.len() > MOST_AXES {
            return Err(format!("a movement along {} axes", copy.sizes.len()));
        }
        if copy.transpose(binder) {
            return Ok(());
        }
        let bytes = copy.wide_bytes();
        let factor = bytes / copy.dtype.bytes();
        let last = copy.sizes.len() - 1;
        copy.sizes[last] /= factor;
        for strides in [&mut copy.from, &mut copy.to] {
            strides[..last].iter_mut().for_each(|stride| *stride /= factor as i64);
        }
        let element = match bytes {
            1 => "u8",
            2 => "u16",
            4 => "u32",
            8 => "u64",
            _ => "Pack<u64, 2>",
        };
        let elements: usize = copy.sizes.iter().product();
        let sizes: Vec<i64> = copy.sizes.iter().map(|size| *size as i64).collect();
        let words = [eight(&sizes, 1), eight(&copy.from, 0), eight(&copy.to, 0)].concat();
        let kernel = copy_kernel(element, copy.sizes.len());
        let arguments = Arguments::new().address(copy.source).address(copy.target).longs(&words).long(elements);
        binder.launch_each(kernel, elements, arguments);
        Ok(())
    }

    /// Whether a transpose along `side` may go by pairs of elements of 2 bytes, and has enough of them.
    fn is_paired(&self, side: usize) -> bool {
        let last = self.sizes.len() - 1;
        self.dtype.bytes() == 2
            && [side, last].iter().all(|axis| self.sizes[*axis] >= 32 && self.sizes[*axis].is_multiple_of(2))
            && (0..=last).all(|axis| axis == side || self.from[axis] % 2 == 0)
            && self.to[..last].iter().all(|stride| stride % 2 == 0)
            && self.source.is_multiple_of(4)
            && self.target.is_multiple_of(4)
    }

    /// Runs as a transpose by tiles where the innermost axes of the two sides differ.
    fn transpose(&self, binder: &mut Binder<'_>) -> bool {
        let last = self.sizes.len() - 1;
        let Some(side) = (0..last).find(|axis| self.from[*axis] == 1) else {
            return false;
        };
        if self.to[last] != 1 || self.sizes[side] < 8 || self.sizes[last] < 8 || last > 4 {
            return false;
        }
        let outer: Vec<usize> = (0..last).filter(|axis| *axis != side).collect();
        let mut words = vec![self.sizes[side] as i64, self.sizes[last] as i64, self.from[last], self.to[side]];
        let column = |value: &dyn Fn(usize) -> i64, rest: i64| {
            let mut values: Vec<i64> = outer.iter().map(|axis| value(*axis)).collect();
            values.resize(3, rest);
            values
        };
        words.extend(column(&|axis| self.sizes[axis] as i64, 1));
        words.extend(column(&|axis| self.from[axis], 0));
        words.extend(column(&|axis| self.to[axis], 0));
        let is_paired = self.is_paired(side);
        let tile = if is_paired { 64 } else { 32 };
        let tiles = [self.sizes[side].div_ceil(tile), self.sizes[last].div_ceil(tile)];
        words.extend(tiles.map(|count| count as i64));
        let blocks = outer.iter().map(|axis| self.sizes[*axis]).product::<usize>() * tiles[0] * tiles[1];
        let element = c_bits(self.dtype);
        let parameters = [&*format!("const {element}*"), &*format!("{element}*"), "TransposeShape"];
        let kernel = if is_paired {
            Kernel::instance(Family::Movement, "transpose_pairs", &[], &parameters, 256)
        } else {
            Kernel::instance(Family::Movement, "transpose", &[element.to_string()], &parameters, 256)
        };
        let arguments = Arguments::new().address(self.source).address(self.target).longs(&words);
        binder.label("transpose");
        binder.launch(kernel, [blocks as u32, 1, 1], [32, 8, 1], 0, arguments);
        true
    }
}

fn copy_kernel(element: &str, rank: usize) -> Kernel {
    let name = if element.starts_with("Pack") { "u128" } else { element };
    let code = format!(
        "extern \"C\" __global__ void __launch_bounds__(256) copy_strided_{name}_{rank}(const {element}* from, {element}* to, CopyShape shape, \
         i64 elements) {{\n    sward_copy_strided<{element}, {rank}>(from, to, shape, elements);\n}}\nSWARD_ENTRY(copy_strided_{name}_{rank})\n"
    );
    Kernel { family: Family::Movement, function: "copy_strided".to_string(), name: format!("copy_strided_{name}_{rank}"), code }
}

fn signed(strides: Vec<usize>) -> Vec<i64> {
    strides.into_iter().map(|stride| stride as i64).collect()
}

/// The bits of a number stored as a dtype.
fn bits(value: f64, dtype: DType) -> i64 {
    match dtype {
        DType::F32 => i64::from((value as f32).to_bits()),
        DType::BF16 => i64::from(bf16::from_f32(value as f32).to_bits()),
        DType::I64 => value as i64,
        DType::Bool => i64::from(value != 0.0),
    }
}

fn fill(operand: &Operand, value: f64, binder: &mut Binder<'_>) {
    let bits = bits(value, operand.dtype());
    if bits == 0 {
        return binder.zero(operand.address, operand.bytes());
    }
    let element = c_bits(operand.dtype());
    let kernel = Kernel::instance(Family::Movement, "fill", &[element.to_string()], &[&format!("{element}*"), "i64", "i64"], 256);
    let arguments = Arguments::new().address(operand.address).long(bits as usize).long(operand.elements());
    binder.launch_each(kernel, operand.elements(), arguments);
}

fn at(operand: &Operand, element: usize) -> Address {
    operand.address + (element * operand.dtype().bytes()) as u64
}

/// Copies bytes to where a parameter lies, unless an index was bad.
pub(in crate::cuda) fn copy_whole(control: Address, from: Address, to: Address, bytes: usize) -> (Kernel, u32, Arguments) {
    let parameters = ["const Control*", "const u8*", "u8*", "i64"];
    let kernel = Kernel::instance(Family::Movement, "copy_update", &[], &parameters, 256);
    let arguments = Arguments::new().address(control).address(from).address(to).long(bytes);
    (kernel, bytes.div_ceil(16 * 256) as u32, arguments)
}

/// Binds a primitive that moves elements.
pub(super) fn bind(
    primitive: &dyn Primitive,
    inputs: &[Operand],
    outputs: &[Operand],
    binder: &mut Binder<'_>,
) -> Result<bool, String> {
    let out = &outputs[0];
    if let Some(op) = primitive.downcast::<op::Concat>() {
        concat(op, inputs, out, binder)?;
        return Ok(true);
    }
    if let Some(constant) = primitive.downcast::<op::Constant>() {
        binder.upload(out.address, constant_bytes(constant));
        return Ok(true);
    }
    if primitive.downcast::<op::Iota>().is_some() {
        let kernel = Kernel::instance(Family::Movement, "iota", &[], &["i64*", "i64"], 256);
        binder.launch_each(kernel, out.elements(), Arguments::new().address(out.address).long(out.elements()));
        return Ok(true);
    }
    let Some(x) = inputs.first() else { return Ok(false) };
    let copy = |sizes: &[usize], from: Vec<i64>, to: Vec<i64>, source: usize, target: usize| StridedCopy {
        dtype: x.dtype(),
        sizes: sizes.to_vec(),
        from,
        to,
        source: at(x, source),
        target: at(out, target),
    };
    let dense = |operand: &Operand| signed(dense_strides(operand.shape()));
    let offset =
        |strides: &[i64], low: &[usize]| -> usize { strides.iter().zip(low).map(|(stride, low)| *stride as usize * low).sum() };
    if let Some(permute) = primitive.downcast::<op::Permute>() {
        let own = dense(x);
        let from = permute.axes.iter().map(|axis| own[*axis]).collect();
        copy(out.shape(), from, dense(out), 0, 0).launch(binder)?;
    } else if primitive.downcast::<op::Expand>().is_some() {
        copy(out.shape(), signed(broadcast_strides(x.shape(), out.shape())), dense(out), 0, 0).launch(binder)?;
    } else if let Some(slice) = primitive.downcast::<op::Slice>() {
        let mut from = dense(x);
        let start = slice.start * from[slice.axis] as usize;
        from[slice.axis] *= slice.step as i64;
        copy(out.shape(), from, dense(out), start, 0).launch(binder)?;
    } else if let Some(slice) = primitive.downcast::<op::SliceGradient>() {
        fill(out, 0.0, binder);
        let mut to = dense(out);
        let start = slice.start * to[slice.axis] as usize;
        to[slice.axis] *= slice.step as i64;
        copy(x.shape(), dense(x), to, 0, start).launch(binder)?;
    } else if let Some(pad) = primitive.downcast::<op::Pad>() {
        match pad.mode {
            PadMode::Constant(value) => {
                fill(out, value, binder);
                let to = dense(out);
                let start = offset(&to, &pad.low);
                copy(x.shape(), dense(x), to, 0, start).launch(binder)?;
            }
            mode => borders(mode, &pad.low, x, out, binder)?,
        }
    } else if let Some(gradient) = primitive.downcast::<op::PadGradient>() {
        match gradient.pad.mode {
            PadMode::Constant(_) => {
                let from = dense(x);
                let start = offset(&from, &gradient.pad.low);
                copy(out.shape(), from, dense(out), start, 0).launch(binder)?;
            }
            mode => borders_gradient(mode, &gradient.pad.low, x, out, binder)?,
        }
    } else {
        return Ok(false);
    }
    Ok(true)
}

fn concat(op: &op::Concat, inputs: &[Operand], out: &Operand, binder: &mut Binder<'_>) -> Result<(), String> {
    let to = signed(dense_strides(out.shape()));
    let mut start = 0;
    for x in inputs {
        let copy = StridedCopy {
            dtype: x.dtype(),
            sizes: x.shape().to_vec(),
            from: signed(dense_strides(x.shape())),
            to: to.clone(),
            source: x.address,
            target: at(out, start * to[op.axis] as usize),
        };
        copy.launch(binder)?;
        start += x.shape()[op.axis];
    }
    binder.label("concat");
    Ok(())
}

fn constant_bytes(constant: &op::Constant) -> Vec<u8> {
    let width = constant.dtype.bytes();
    constant.data.iter().flat_map(|value| bits(*value, constant.dtype).to_le_bytes()[..width].to_vec()).collect()
}

fn mode_number(mode: PadMode) -> &'static str {
    if matches!(mode, PadMode::Replicate) { "1" } else { "0" }
}

/// Words of a `PadShape` with axes that are not padded joined where they are neighbours.
fn pad_words(outer: &[usize], inner: &[usize], low: &[usize]) -> Result<(usize, Vec<i64>), String> {
    let is_padded = |axis: usize| outer[axis] != inner[axis];
    let mut axes: Vec<[usize; 3]> = Vec::new();
    for axis in 0..inner.len() {
        match axes.last_mut() {
            Some([last_outer, last_inner, _]) if last_outer == last_inner && !is_padded(axis) => {
                *last_outer *= outer[axis];
                *last_inner *= inner[axis];
            }
            _ => axes.push([outer[axis], inner[axis], low[axis]]),
        }
    }
    if axes.is_empty() {
        axes.push([1, 1, 0]);
    }
    if axes.len() > MOST_AXES {
        return Err(format!("padding of {} axes", axes.len()));
    }
    let column = |index: usize, rest: i64| eight(&axes.iter().map(|axis| axis[index] as i64).collect::<Vec<_>>(), rest);
    Ok((axes.len(), [column(0, 1), column(1, 1), column(2, 0)].concat()))
}

fn borders(mode: PadMode, low: &[usize], x: &Operand, out: &Operand, binder: &mut Binder<'_>) -> Result<(), String> {
    let (rank, words) = pad_words(out.shape(), x.shape(), low)?;
    let element = c_bits(x.dtype());
    let index = index_type(x.elements().max(out.elements())).to_string();
    let template = [element.to_string(), rank.to_string(), mode_number(mode).to_string(), index];
    let parameters = [&*format!("const {element}*"), &*format!("{element}*"), "PadShape", "i64"];
    let kernel = Kernel::instance(Family::Movement, "pad", &template, &parameters, 256);
    let arguments = Arguments::new().address(x.address).address(out.address).longs(&words).long(out.elements());
    binder.launch_each(kernel, out.elements(), arguments);
    Ok(())
}

fn borders_gradient(mode: PadMode, low: &[usize], dy: &Operand, dx: &Operand, binder: &mut Binder<'_>) -> Result<(), String> {
    let (rank, words) = pad_words(dy.shape(), dx.shape(), low)?;
    let sum = match dy.dtype() {
        DType::F32 | DType::BF16 => "float",
        DType::I64 => "i64",
        DType::Bool => return Err("sums of bool".to_string()),
    };
    let index = index_type(dy.elements().max(dx.elements())).to_string();
    let template = [dy.c_type().to_string(), sum.to_string(), rank.to_string(), mode_number(mode).to_string(), index];
    let parameters = [&*format!("const {}*", dy.c_type()), &*format!("{}*", dx.c_type()), "PadShape", "i64"];
    let kernel = Kernel::instance(Family::Movement, "pad_gradient", &template, &parameters, 256);
    let arguments = Arguments::new().address(dy.address).address(dx.address).longs(&words).long(dx.elements());
    binder.launch_each(kernel, dx.elements(), arguments);
    Ok(())
}
