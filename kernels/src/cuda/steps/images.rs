//! Pooling and resizing.

use sward_core::program::Primitive;
use sward_ops::primitives::{self as op, ResizeTaps};

use super::{Binder, Operand};
use crate::cuda::device::Arguments;
use crate::cuda::source::{Family, Kernel};

/// The words of a `PoolShape`.
struct Pool {
    image: (usize, usize),
    channels: usize,
    out: (usize, usize),
    kernel: (usize, usize),
    stride: (usize, usize),
    padding: (usize, usize),
    dilation: (usize, usize),
    include_padding: bool,
}

impl Pool {
    /// A grid of windows that depends on the sizes alone.
    fn adaptive(image: &Operand, out: &Operand) -> Pool {
        let ([_, height, width, channels], [_, out_height, out_width, _]) = (image.four(), out.four());
        let one = (1, 1);
        Pool {
            image: (height, width),
            channels,
            out: (out_height, out_width),
            kernel: one,
            stride: one,
            padding: (0, 0),
            dilation: one,
            include_padding: false,
        }
    }

    fn max(op: &op::MaxPool, image: &Operand, out: &Operand) -> Pool {
        let op::MaxPool { kernel, stride, padding, dilation, .. } = *op;
        Pool { kernel, stride, padding, dilation, ..Pool::adaptive(image, out) }
    }

    fn average(op: &op::AveragePool, image: &Operand, out: &Operand) -> Pool {
        let op::AveragePool { kernel, stride, padding, count_include_pad, .. } = *op;
        Pool { kernel, stride, padding, include_padding: count_include_pad, ..Pool::adaptive(image, out) }
    }

    fn words(&self) -> Vec<i32> {
        let pairs = [self.kernel, self.stride, self.padding, self.dilation];
        let mut words = vec![self.image.0, self.image.1, self.channels, self.out.0, self.out.1];
        words.extend(pairs.iter().flat_map(|pair| [pair.0, pair.1]));
        words.push(usize::from(self.include_padding));
        words.into_iter().map(|word| word as i32).collect()
    }

    /// One thread for each element of the result; `function` takes the operands, the result, the shape and the count.
    fn launch(&self, function: &str, inputs: &[Operand], out: &Operand, binder: &mut Binder<'_>) {
        self.launch_packs(function, None, inputs, out, binder);
    }

    /// The same with one thread for as many channels as 16 bytes of the widest operand hold.
    fn launch_wide(&self, function: &str, inputs: &[Operand], out: &Operand, binder: &mut Binder<'_>) {
        let widest = inputs.iter().chain([out]).map(|operand| operand.dtype().bytes()).max().unwrap_or(4);
        let pack = if self.channels.is_multiple_of(16 / widest) { 16 / widest } else { 1 };
        self.launch_packs(function, Some(pack), inputs, out, binder);
    }

    fn launch_packs(&self, function: &str, pack: Option<usize>, inputs: &[Operand], out: &Operand, binder: &mut Binder<'_>) {
        let types = inputs.iter().map(|operand| operand.c_type().to_string());
        let template: Vec<String> = pack.map(|pack| pack.to_string()).into_iter().chain(types).collect();
        let mut parameters: Vec<String> = inputs.iter().map(|operand| format!("const {}*", operand.c_type())).collect();
        parameters.extend([format!("{}*", out.c_type()), "PoolShape".to_string(), "i64".to_string()]);
        let parameters: Vec<&str> = parameters.iter().map(String::as_str).collect();
        let kernel = Kernel::instance(Family::Images, function, &template, &parameters, 256);
        let mut arguments = Arguments::new();
        for operand in inputs {
            arguments = arguments.address(operand.address);
        }
        let arguments = arguments.address(out.address).ints(&self.words()).long(out.elements());
        binder.launch_each(kernel, out.elements() / pack.unwrap_or(1), arguments);
    }
}

/// Binds a primitive on images.
pub(super) fn bind(
    primitive: &dyn Primitive,
    inputs: &[Operand],
    outputs: &[Operand],
    binder: &mut Binder<'_>,
) -> Result<bool, String> {
    let out = &outputs[0];
    if let Some(op) = primitive.downcast::<op::MaxPool>() {
        Pool::max(op, &inputs[0], out).launch_wide("max_pool", inputs, out, binder);
    } else if let Some(op) = primitive.downcast::<op::MaxPoolGradient>() {
        Pool::max(&op.pool, out, &inputs[0]).launch_wide("max_pool_gradient", inputs, out, binder);
    } else if let Some(op) = primitive.downcast::<op::AveragePool>() {
        Pool::average(op, &inputs[0], out).launch("average_pool", inputs, out, binder);
    } else if let Some(op) = primitive.downcast::<op::AveragePoolGradient>() {
        Pool::average(&op.pool, out, &inputs[0]).launch("average_pool_gradient", inputs, out, binder);
    } else if primitive.downcast::<op::AdaptiveAveragePool>().is_some() {
        Pool::adaptive(&inputs[0], out).launch("adaptive_average_pool", inputs, out, binder);
    } else if primitive.downcast::<op::AdaptiveAveragePoolGradient>().is_some() {
        Pool::adaptive(out, &inputs[0]).launch("adaptive_average_pool_gradient", inputs, out, binder);
    } else if let Some(op) = primitive.downcast::<op::Resize>() {
        let [_, height, width, _] = inputs[0].four();
        let (rows, columns) = (op.taps(height, op.output.0), op.taps(width, op.output.1));
        resample(&Taps::of(&rows), &Taps::of(&columns), &inputs[0], out, binder);
    } else if let Some(op) = primitive.downcast::<op::ResizeGradient>() {
        let (rows, columns) = (op.resize.taps(op.input.0, op.resize.output.0), op.resize.taps(op.input.1, op.resize.output.1));
        let (rows, columns) = (Taps::transposed(&rows, op.input.0), Taps::transposed(&columns, op.input.1));
        resample(&rows, &columns, &inputs[0], out, binder);
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// What each position of a result reads along one axis.
struct Taps {
    start: Vec<i32>,
    first: Vec<i32>,
    weights: Vec<f32>,
}

impl Taps {
    fn of(taps: &[ResizeTaps]) -> Taps {
        let mut result = Taps { start: Vec::new(), first: vec![0], weights: Vec::new() };
        for tap in taps {
            result.start.push(tap.start as i32);
            result.weights.extend(tap.weights.iter().map(|weight| *weight as f32));
            result.first.push(result.weights.len() as i32);
        }
        result
    }

    /// What each of the `size` positions gives, read backwards: the results that read it, from the first to the last of them.
    fn transposed(taps: &[ResizeTaps], size: usize) -> Taps {
        let mut readers: Vec<Vec<(usize, f64)>> = vec![Vec::new(); size];
        for (index, tap) in taps.iter().enumerate() {
            for (offset, weight) in tap.weights.iter().enumerate() {
                readers[tap.start + offset].push((index, *weight));
            }
        }
        let mut result = Taps { start: Vec::new(), first: vec![0], weights: Vec::new() };
        for reader in readers {
            let start = reader.first().map_or(0, |first| first.0);
            let end = reader.last().map_or(0, |last| last.0 + 1);
            let mut weights = vec![0.0f32; end - start];
            for (index, weight) in reader {
                weights[index - start] += weight as f32;
            }
            result.start.push(start as i32);
            result.weights.extend(weights);
            result.first.push(result.weights.len() as i32);
        }
        result
    }

    fn upload(&self, binder: &mut Binder<'_>) -> [u64; 3] {
        [binder.table(&self.start), binder.table(&self.first), binder.table(&self.weights)]
    }
}

fn resample(rows: &Taps, columns: &Taps, x: &Operand, out: &Operand, binder: &mut Binder<'_>) {
    if out.elements() == 0 {
        return;
    }
    let element = x.c_type();
    let parameters = [
        &*format!("const {element}*"),
        &*format!("{element}*"),
        "const int*",
        "const int*",
        "const float*",
        "const int*",
        "const int*",
        "const float*",
        "int",
        "int",
        "int",
        "int",
        "int",
        "i64",
    ];
    let kernel = Kernel::instance(Family::Images, "resample", &[element.to_string()], &parameters, 256);
    let ([_, height, width, channels], [_, out_height, out_width, _]) = (x.four(), out.four());
    let mut arguments = Arguments::new().address(x.address).address(out.address);
    for address in rows.upload(binder).into_iter().chain(columns.upload(binder)) {
        arguments = arguments.address(address);
    }
    for size in [height, width, channels, out_height, out_width] {
        arguments = arguments.int(size);
    }
    binder.launch_each(kernel, out.elements(), arguments.long(out.elements()));
}
