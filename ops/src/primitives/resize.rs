//! `resize` and its gradient: images to another size.

use super::support::{add_at, build, expect_operands, expect_type, image_shape, no_gradients, pair, result_gradient, zeros};
use smallvec::SmallVec;
use std::any::Any;
use sward_core::program::{Array, BuildError, Builder, GradientCall, Primitive, RunKey, TensorType, ValueId};

/// How a resized image is read between pixels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResizeMode {
    /// The pixel below, `floor(index * size / output)`.
    Nearest,
    /// Between two pixels along each axis.
    Bilinear,
    /// Between four pixels along each axis.
    Bicubic,
}

/// Images to another size: x `[n,h,w,c]` gives `[n,oh,ow,c]`. PyTorch: `torch.nn.functional.interpolate(size=...)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resize {
    /// How pixels are read.
    pub mode: ResizeMode,
    /// Height and width of the result.
    pub output: (usize, usize),
    /// Whether the corner pixels' centres are kept in place (not for `Nearest`).
    pub align_corners: bool,
    /// Whether the filter widens where the image shrinks (not for `Nearest`).
    pub antialias: bool,
}

/// The gradient of [`Resize`]: dy `[n,oh,ow,c]` gives dx `[n,h,w,c]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResizeGradient {
    /// The resizing.
    pub resize: Resize,
    /// Height and width of the resizing's operand.
    pub input: (usize, usize),
}

/// What one result position reads along one axis: weights of `start`, `start + 1`, ...
#[derive(Clone, PartialEq, Debug)]
pub struct ResizeTaps {
    /// The first position read.
    pub start: usize,
    /// The weights, at least one.
    pub weights: SmallVec<[f64; 4]>,
}

/// The triangle of bilinear, or the cubic convolution of bicubic reading (PyTorch's coefficient: -0.75, and -0.5 with antialias).
fn filter(mode: ResizeMode, antialias: bool, distance: f64) -> f64 {
    let distance = distance.abs();
    if mode == ResizeMode::Bilinear {
        return (1.0 - distance).max(0.0);
    }
    let a = if antialias { -0.5 } else { -0.75 };
    if distance < 1.0 {
        ((a + 2.0) * distance - (a + 3.0)) * distance * distance + 1.0
    } else if distance < 2.0 {
        ((a * distance - 5.0 * a) * distance + 8.0 * a) * distance - 4.0 * a
    } else {
        0.0
    }
}

impl Resize {
    /// What every position of the result reads along an axis of `size` elements resized to `output`: the one definition for all engines.
    pub fn taps(&self, size: usize, output: usize) -> Vec<ResizeTaps> {
        (0..output).map(|index| self.taps_at(index, size, output)).collect()
    }

    fn taps_at(&self, index: usize, size: usize, output: usize) -> ResizeTaps {
        if self.mode == ResizeMode::Nearest {
            // PyTorch multiplies in f32; so do we, to choose the same pixel.
            let scale = size as f32 / output as f32;
            let start = ((index as f32 * scale).floor() as usize).min(size - 1);
            return ResizeTaps { start, weights: SmallVec::from_slice(&[1.0]) };
        }
        let scale = match (self.align_corners, output) {
            (true, 0 | 1) => 0.0,
            (true, _) => (size as f64 - 1.0) / (output as f64 - 1.0),
            (false, _) => size as f64 / output as f64,
        };
        if self.antialias {
            return self.antialiased(index, size, scale);
        }
        let centre = if self.align_corners { scale * index as f64 } else { scale * (index as f64 + 0.5) - 0.5 };
        let centre = if self.mode == ResizeMode::Bilinear { centre.max(0.0) } else { centre };
        let below = centre.floor() as isize;
        let reach = if self.mode == ResizeMode::Bilinear { 0..=1 } else { -1..=2 };
        let last = size as isize - 1;
        let start = (below + reach.start()).clamp(0, last) as usize;
        let end = (below + reach.end()).clamp(0, last) as usize;
        // What lies outside reads the border pixel.
        let mut weights: SmallVec<[f64; 4]> = SmallVec::from_elem(0.0, end - start + 1);
        for offset in reach {
            let position = (below + offset).clamp(0, last) as usize;
            weights[position - start] += filter(self.mode, false, centre - (below + offset) as f64);
        }
        ResizeTaps { start, weights }
    }

    fn antialiased(&self, index: usize, size: usize, scale: f64) -> ResizeTaps {
        let radius = if self.mode == ResizeMode::Bilinear { 1.0 } else { 2.0 };
        let widening = scale.max(1.0);
        let support = radius * widening;
        let centre = scale * (index as f64 + 0.5);
        let start = ((centre - support + 0.5) as isize).max(0) as usize;
        let end = ((centre + support + 0.5) as usize).min(size);
        let mut weights: SmallVec<[f64; 4]> =
            (start..end).map(|position| filter(self.mode, true, (position as f64 - centre + 0.5) / widening)).collect();
        let total: f64 = weights.iter().sum();
        if total != 0.0 {
            weights.iter_mut().for_each(|weight| *weight /= total);
        }
        ResizeTaps { start, weights }
    }

    fn check(&self, input: (usize, usize)) -> Result<(), String> {
        if self.mode == ResizeMode::Nearest && (self.align_corners || self.antialias) {
            return Err("nearest reading has neither align_corners nor antialias".to_string());
        }
        if input.0 == 0 || input.1 == 0 {
            return Err("resizing an image without pixels".to_string());
        }
        Ok(())
    }

    fn text(&self) -> String {
        let mode = match self.mode {
            ResizeMode::Nearest => "nearest",
            ResizeMode::Bilinear => "bilinear",
            ResizeMode::Bicubic => "bicubic",
        };
        format!("mode={mode}, output={}, align_corners={}, antialias={}", pair(self.output), self.align_corners, self.antialias)
    }

    fn flops_of(&self, resized: &TensorType, input: (usize, usize)) -> f64 {
        let taps = |size: usize, output: usize| {
            let widening = if self.antialias { (size as f64 / output.max(1) as f64).max(1.0) } else { 1.0 };
            match self.mode {
                ResizeMode::Nearest => 0.0,
                ResizeMode::Bilinear => 2.0 * widening,
                ResizeMode::Bicubic => 4.0 * widening,
            }
        };
        2.0 * resized.elements() as f64 * taps(input.0, self.output.0) * taps(input.1, self.output.1)
    }
}

impl Primitive for Resize {
    fn name(&self) -> &'static str {
        "resize"
    }

    fn attributes(&self) -> String {
        self.text()
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 1)?;
        let [batch, height, width, channels] = image_shape(&inputs[0], "image")?;
        self.check((height, width))?;
        Ok(vec![TensorType::new(inputs[0].dtype, &[batch, self.output.0, self.output.1, channels])])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = result_gradient(call) else {
            return Ok(no_gradients(call));
        };
        let shape = builder.shape(call.inputs[0]);
        let rule = ResizeGradient { resize: *self, input: (shape[1], shape[2]) };
        Ok(vec![Some(builder.emit_one(rule, &[gradient])?)])
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let x = inputs[0];
        let (rows, columns) = (self.taps(x.shape[1], self.output.0), self.taps(x.shape[2], self.output.1));
        let shape = [x.shape[0], self.output.0, self.output.1, x.shape[3]];
        vec![build(x.dtype, &shape, |index| {
            let mut sum = 0.0;
            for_each_tap(&rows[index[1]], &columns[index[2]], |row, column, weight| {
                sum += weight * x.at(&[index[0], row, column, index[3]]);
            });
            sum
        })]
    }

    fn flops(&self, inputs: &[TensorType], outputs: &[TensorType]) -> f64 {
        self.flops_of(&outputs[0], (inputs[0].shape[1], inputs[0].shape[2]))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn for_each_tap(rows: &ResizeTaps, columns: &ResizeTaps, mut visit: impl FnMut(usize, usize, f64)) {
    for (row, row_weight) in rows.weights.iter().enumerate() {
        for (column, column_weight) in columns.weights.iter().enumerate() {
            visit(rows.start + row, columns.start + column, row_weight * column_weight);
        }
    }
}

impl Primitive for ResizeGradient {
    fn name(&self) -> &'static str {
        "resize_gradient"
    }

    fn attributes(&self) -> String {
        format!("{}, input={}", self.resize.text(), pair(self.input))
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        expect_operands(inputs, 1)?;
        let [batch, _, _, channels] = image_shape(&inputs[0], "dy")?;
        self.resize.check(self.input)?;
        let expected = [batch, self.resize.output.0, self.resize.output.1, channels];
        expect_type(&inputs[0], inputs[0].dtype, &expected, "dy")?;
        Ok(vec![TensorType::new(inputs[0].dtype, &[batch, self.input.0, self.input.1, channels])])
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        let Some(gradient) = result_gradient(call) else {
            return Ok(no_gradients(call));
        };
        Ok(vec![Some(builder.emit_one(self.resize, &[gradient])?)])
    }

    fn reference(&self, inputs: &[&Array], _: RunKey) -> Vec<Array> {
        let dy = inputs[0];
        let rows = self.resize.taps(self.input.0, self.resize.output.0);
        let columns = self.resize.taps(self.input.1, self.resize.output.1);
        let mut dx = zeros(dy.dtype, &[dy.shape[0], self.input.0, self.input.1, dy.shape[3]]);
        Array::for_each_index(&dy.shape, |index| {
            for_each_tap(&rows[index[1]], &columns[index[2]], |row, column, weight| {
                add_at(&mut dx, &[index[0], row, column, index[3]], weight * dy.at(index));
            });
        });
        vec![dx]
    }

    fn flops(&self, inputs: &[TensorType], _: &[TensorType]) -> f64 {
        self.resize.flops_of(&inputs[0], self.input)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
