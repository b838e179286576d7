//! A recipe for every op of the catalogue and every construct of the language: which tensors it takes of those that are there.

use super::generate::{Generator, Tensor, any, field, has_axes, is_float, is_image, is_number, list, number, port, size};
use super::text::Part;
use sward_core::dim::Dim;
use sward_core::program::DType;

impl Generator {
    /// The brackets of a node of that op.
    ///
    /// Panics for an op that has no recipe: whoever adds an op adds one here.
    pub(super) fn recipe(&mut self, op: &str) -> Vec<Part> {
        match op {
            "Elu" | "Gelu" | "Hardsigmoid" | "Hardswish" | "Hardtanh" | "LeakyRelu" | "LogSigmoid" | "Mish" | "QuickGelu"
            | "Relu" | "Relu6" | "Selu" | "Sigmoid" | "Silu" | "Softplus" | "Softsign" | "Tanh" | "Cos" | "Digamma" | "Erf"
            | "Exp" | "Expm1" | "Lgamma" | "Log" | "Log1p" | "Rsqrt" | "Sin" | "Sqrt" => {
                let from = self.tensor(is_float);
                self.with_settings(vec![port("from", &from)], op, &["low"])
            }
            "Abs" | "Floor" | "Negate" | "Round" | "Sign" | "Square" => vec![port("from", &self.tensor(is_number))],
            "Identity" | "Detach" => vec![port("from", &self.tensor(any))],
            "Cast" => vec![port("from", &self.tensor(any)), field("to", self.draw.pick(&["F32", "I64", "Bool"]))],
            "Clamp" => vec![port("from", &self.tensor(is_number)), field("low", "-1"), field("high", "2")],
            "Prelu" => {
                let from = self.tensor(|own| is_float(own) && own.rank() >= 2);
                self.with_settings(vec![port("from", &from)], op, &[])
            }
            "Dropout" | "DropPath" => {
                let from = self.tensor(|own| is_float(own) && own.rank() >= 1);
                self.with_settings(vec![port("from", &from)], op, &[])
            }
            "LogicalNot" => vec![port("from", &self.tensor(|own| own.dtype == DType::Bool))],
            "LogicalAnd" | "LogicalOr" => {
                let left = self.tensor(|own| own.dtype == DType::Bool);
                let right = self.push("LogicalNot", vec![port("from", &left)]);
                vec![port("left", &left), port("right", &right)]
            }
            "Add" | "Subtract" | "Multiply" | "Divide" | "Power" | "Maximum" | "Minimum" | "Equal" | "NotEqual" | "Less"
            | "LessEqual" | "Greater" | "GreaterEqual" => self.binary(),
            "Where" => {
                let then = self.tensor(is_number);
                let condition = self.push("GreaterEqual", vec![port("left", &then), port("right", &then)]);
                let otherwise = if then.dtype == DType::F32 && self.draw.flag() {
                    number("otherwise", 0.5)
                } else {
                    port("otherwise", &then)
                };
                vec![port("condition", &condition), port("then", &then), otherwise]
            }
            "Formula" => self.formula(),
            "Softmax" | "LogSoftmax" => {
                let from = self.tensor(|own| is_float(own) && has_axes(own));
                let axis = self.axis(&from);
                vec![port("from", &from), field("axis", self.written_axis(&from, axis))]
            }
            "LayerNorm" | "RmsNorm" => {
                let from = self.tensor(|own| is_float(own) && has_axes(own));
                let axis = self.axis(&from);
                let parts = vec![port("from", &from), field("axes", format!("[{axis}]"))];
                self.with_settings(parts, op, &["axes"])
            }
            "GroupNorm" => {
                let from = self.tensor(|own| is_float(own) && own.rank() >= 2);
                let groups = self.groups(&from.shape[1]);
                self.with_settings(vec![port("from", &from), field("groups", groups)], op, &[])
            }
            "BatchNorm1d" => {
                let from = self.tensor(|own| is_float(own) && [2, 3].contains(&own.rank()));
                self.with_settings(vec![port("from", &from)], op, &[])
            }
            "BatchNorm2d" => {
                let from = self.tensor(is_image);
                self.with_settings(vec![port("from", &from)], op, &[])
            }
            "RotaryEmbedding" => {
                let even = |own: &Tensor| {
                    let last = own.shape.last().and_then(Dim::as_constant);
                    is_float(own) && own.rank() >= 2 && last.is_some_and(|size| size % 4 == 0)
                };
                let from = self.tensor(even);
                let mut parts = vec![port("from", &from), field("temperature", "100.0")];
                if from.shape[from.rank() - 2].as_constant() == Some(12) && self.draw.flag() {
                    parts.extend([field("grid", "[2, 5]"), field("prefix", "2")]);
                }
                self.with_settings(parts, op, &["temperature", "prefix"])
            }
            "ScaledDotProductAttention" => {
                let own = self.tensor(|own| is_float(own) && own.rank() >= 2);
                let mut parts = vec![port("query", &own), port("key", &own), port("value", &own)];
                if self.draw.flag() {
                    let scores = vec![port("left", &own), port("right", &own), field("transpose_right", "true")];
                    parts.push(port("mask", &self.push("MatMul", scores)));
                }
                self.with_settings(parts, op, &[])
            }
            "Embedding" => {
                let from = self.tensor(|own| own.dtype == DType::I64);
                let parts = vec![port("from", &from), field("count", "9"), field("width", self.units())];
                self.with_settings(parts, op, &[])
            }
            "Linear" => {
                let from = self.tensor(|own| is_float(own) && has_axes(own));
                let units = self.units();
                self.with_settings(vec![port("from", &from), field("units", units)], op, &[])
            }
            "MatMul" => {
                let own = self.tensor(|own| is_float(own) && own.rank() >= 2);
                let turned = if self.draw.flag() { "transpose_left" } else { "transpose_right" };
                vec![port("left", &own), port("right", &own), field(turned, "true")]
            }
            "Conv1d" | "Conv2d" => {
                let rank = if op == "Conv1d" { 3 } else { 4 };
                let from = self.tensor(|own| is_float(own) && own.rank() == rank);
                let kernel = *self.draw.pick(&[1usize, 3, 5]);
                let dilation = *self.draw.pick(&[1usize, 2]);
                let mut parts = vec![port("from", &from), field("kernel", kernel), field("padding", dilation * (kernel / 2))];
                parts.extend([field("dilation", dilation), field("stride", self.draw.pick(&[1, 2, 3]))]);
                let groups = self.groups(&from.shape[1]);
                parts.extend([field("channels", format!("\"2 * {}\"", groups.trim_matches('"'))), field("groups", groups)]);
                self.with_settings(parts, op, &[])
            }
            "ConvTranspose2d" => {
                let from = self.tensor(is_image);
                let (kernel, stride) = *self.draw.pick(&[(2, 2), (3, 2), (3, 1), (4, 3)]);
                let mut parts =
                    vec![port("from", &from), field("channels", "6"), field("kernel", kernel), field("stride", stride)];
                if stride > 1 && self.draw.flag() {
                    parts.push(field("output_padding", "1"));
                }
                self.with_settings(parts, op, &[])
            }
            "MaxPool1d" | "AvgPool1d" => {
                let from = self.tensor(|own| is_float(own) && own.rank() == 3);
                let kernel = self.draw.pick(&["2", "3"]);
                let parts = vec![port("from", &from), field("kernel", kernel), field("padding", "1"), field("stride", "2")];
                self.with_settings(parts, op, &[])
            }
            "MaxPool2d" | "AvgPool2d" => {
                let from = self.tensor(is_image);
                let kernel = self.draw.pick(&["2", "3", "[2, 3]"]);
                let parts = vec![port("from", &from), field("kernel", kernel), field("padding", "1"), field("stride", "2")];
                self.with_settings(parts, op, &[])
            }
            "AdaptiveAvgPool2d" => vec![port("from", &self.tensor(is_image)), field("size", self.draw.pick(&["1", "[2, 3]"]))],
            "Resize" => {
                let from = self.tensor(is_image);
                let sizes = ["[5, 7]", "8", "[\"2 * height\", \"columns + 1\"]"];
                let mut parts = vec![port("from", &from), field("size", self.draw.pick(&sizes))];
                let mode = *self.draw.pick(&["Nearest", "Bilinear", "Bicubic"]);
                parts.push(field("mode", mode));
                match (mode, self.draw.below(3)) {
                    ("Bilinear" | "Bicubic", 0) => parts.push(field("antialias", "true")),
                    ("Bilinear" | "Bicubic", 1) => parts.push(field("align_corners", "true")),
                    _ => {}
                }
                parts
            }
            "Sum" | "Mean" | "Max" | "Min" | "Var" | "Std" | "LogSumExp" => {
                let from = match op {
                    "Sum" | "Mean" => self.tensor(any),
                    "Max" | "Min" => self.tensor(is_number),
                    _ => self.tensor(is_float),
                };
                let mut parts = vec![port("from", &from)];
                if matches!(op, "Var" | "Std") {
                    // A sample's correction of 1 asks for two elements and more.
                    parts.push(field("correction", self.draw.pick(&["0", "0.5"])));
                }
                if from.rank() > 0 && self.draw.below(4) > 0 {
                    let axis = self.axis(&from);
                    parts.push(field("axes", format!("[{}]", self.written_axis(&from, axis))));
                }
                self.with_settings(parts, op, &["correction"])
            }
            "ArgMax" | "ArgMin" => {
                let from = self.tensor(|own| is_number(own) && has_axes(own));
                let axis = self.axis(&from);
                let parts = vec![port("from", &from), field("axis", self.written_axis(&from, axis))];
                self.with_settings(parts, op, &[])
            }
            "Chain" | "Use" | "Repeat" | "If" | "As" => self.construct(op),
            _ => self.movement(op),
        }
    }

    /// Shapes, indices and sources.
    fn movement(&mut self, op: &str) -> Vec<Part> {
        match op {
            "Concat" => {
                let own = self.tensor(has_axes);
                let axis = self.axis(&own);
                let several = vec![&own; 2 + self.draw.below(2)];
                vec![list("from", &several), field("axis", self.written_axis(&own, axis))]
            }
            "Stack" => {
                let own = self.tensor(any);
                vec![list("from", &[&own, &own]), field("axis", self.draw.below(own.rank() + 1))]
            }
            "Expand" => {
                let own = self.tensor(|own| is_float(own) && has_axes(own));
                let axis = self.axis(&own);
                let parts = vec![port("from", &own), field("axes", format!("[{axis}]")), field("keep", "true")];
                let reduced = self.push("Mean", parts);
                let sizes: Vec<String> = own.shape.iter().map(size).collect();
                vec![port("from", &reduced), field("shape", format!("[2, {}]", sizes.join(", ")))]
            }
            "Flip" => {
                let own = self.tensor(has_axes);
                vec![port("from", &own), field("axes", format!("[{}]", self.axis(&own)))]
            }
            "Pad" => {
                let own = self.tensor(|own| is_number(own) && has_axes(own));
                let axis = self.axis(&own);
                let mut modes = vec!["Constant", "Replicate"];
                modes.extend(own.shape[axis].as_constant().filter(|size| *size > 3).map(|_| "Reflect"));
                let mode = *self.draw.pick(&modes);
                let parts = [field("axes", format!("[{axis}]")), field("low", "[1]"), field("high", "[2]"), field("mode", mode)];
                std::iter::once(port("from", &own)).chain(parts).collect()
            }
            "Permute" => {
                let own = self.tensor(has_axes);
                let mut axes: Vec<usize> = (0..own.rank()).collect();
                for last in (1..axes.len()).rev() {
                    axes.swap(last, self.draw.below(last + 1));
                }
                vec![port("from", &own), field("axes", format!("{axes:?}"))]
            }
            "Reshape" => {
                let own = self.tensor(|own| own.rank() >= 2);
                let axis = self.draw.below(own.rank() - 1);
                let mut sizes: Vec<String> = own.shape.iter().map(size).collect();
                let both = format!("\"({}) * ({})\"", own.shape[axis], own.shape[axis + 1]);
                sizes.splice(axis..axis + 2, [if self.draw.flag() { both } else { "-1".to_string() }]);
                vec![port("from", &own), field("shape", format!("[{}]", sizes.join(", ")))]
            }
            "Roll" => {
                let own = self.tensor(has_axes);
                let parts = [field("axes", format!("[{}]", self.axis(&own))), field("shifts", self.draw.pick(&["[1]", "[-2]"]))];
                std::iter::once(port("from", &own)).chain(parts).collect()
            }
            "Select" => {
                let own = self.tensor(has_axes);
                let axis = self.axis(&own);
                let last = own.shape[axis].as_constant().unwrap_or(1).max(1) as usize - 1;
                let index = self.draw.below(last + 1);
                vec![port("from", &own), field("axis", self.written_axis(&own, axis)), field("index", index)]
            }
            "Slice" => {
                let own = self.tensor(has_axes);
                let axis = self.axis(&own);
                let mut parts = vec![port("from", &own), field("axis", self.written_axis(&own, axis))];
                match (own.shape[axis].as_constant(), self.draw.below(3)) {
                    (Some(size), 0) if size >= 2 => parts.push(field("start", "1")),
                    (Some(size), 1) if size >= 2 => parts.extend([field("start", "0"), field("end", "-1")]),
                    (_, 2) => parts.push(field("step", "2")),
                    _ => parts.push(field("length", "1")),
                }
                parts
            }
            "Split" => {
                let own = self.tensor(has_axes);
                let axis = self.axis(&own);
                let mut parts = vec![port("from", &own), field("axis", self.written_axis(&own, axis))];
                parts.push(match own.shape[axis].as_constant() {
                    Some(size) if size >= 2 && self.draw.flag() => field("sizes", format!("[1, {}]", size - 1)),
                    Some(size) if size % 2 == 1 => field("parts", "1"),
                    _ => field("parts", "2"),
                });
                parts
            }
            "CumSum" => {
                let own = self.tensor(has_axes);
                let axis = self.axis(&own);
                vec![port("from", &own), field("axis", self.written_axis(&own, axis))]
            }
            "TopK" => {
                let own = self.tensor(|own| is_number(own) && has_axes(own));
                let axis = self.axis(&own);
                let most = own.shape[axis].as_constant().unwrap_or(1).clamp(1, 3) as usize;
                let parts = vec![port("from", &own), field("k", 1 + self.draw.below(most)), field("axis", axis)];
                self.with_settings(parts, op, &["axis"])
            }
            "Gather" => {
                let own = self.tensor(|own| is_number(own) && has_axes(own));
                let axis = self.axis(&own);
                let parts = vec![port("from", &own), field("axis", axis), field("keep", "true")];
                let indices = self.push("ArgMax", parts);
                vec![port("from", &own), port("indices", &indices), field("axis", axis)]
            }
            "IndexSelect" => {
                let own = self.tensor(has_axes);
                // Nothing is known of an input's numbers; a constant may be known to lie outside of the axis.
                let indices = self.tensor(|own| own.reference == "label");
                vec![port("from", &own), port("indices", &indices), field("axis", self.axis(&own))]
            }
            "OneHot" => {
                let own = self.tensor(|own| own.dtype == DType::I64);
                vec![port("from", &own), field("classes", "5"), field("dtype", self.draw.pick(&["F32", "I64"]))]
            }
            "Arange" => vec![field("count", self.units()), field("dtype", self.draw.pick(&["F32", "I64"]))],
            "Constant" => match self.draw.below(3) {
                0 => vec![field("value", "[0.5, 1.5]"), field("shape", "[2, 1, 1]")],
                1 => vec![field("value", "3"), field("shape", "[\"cells\", 2]"), field("dtype", "I64")],
                _ => vec![field("value", "[1, 0, 1]"), field("dtype", "Bool")],
            },
            "Parameter" => {
                let start = *self.draw.pick(&["Zeros", "TruncatedNormal(std: 0.02)", "Uniform(bound: 0.1)"]);
                let shape = format!("[3, {}]", self.units());
                vec![field("shape", shape), field("init", start)]
            }
            other => panic!("no recipe for `{other}`: add one to ops/tests/random_graphs/recipes.rs"),
        }
    }

    /// The language's own constructs around ops.
    fn construct(&mut self, op: &str) -> Vec<Part> {
        match op {
            "Chain" => {
                let own = self.tensor(|own| is_float(own) && has_axes(own));
                let layers = ["[Relu, Linear(units: 4), Tanh]", "{ \"fc\": Linear(units: 8), \"drop\": Dropout(p: 0.1) }"];
                vec![port("from", &own), field("layers", self.draw.pick(&layers))]
            }
            "Use" => {
                let own = self.tensor(|own| is_float(own) && own.rank() == 3);
                vec![field("module", "\"block.ron\""), port("from", &own), field("params", "{ \"hidden\": 5 }")]
            }
            "Repeat" => {
                let own = self.tensor(|own| is_float(own) && own.rank() == 3);
                let placed = format!("Use(module: \"block.ron\", from: \"{}\")", own.reference);
                vec![field("times", self.draw.pick(&["2", "3"])), field("of", placed)]
            }
            "If" => {
                let own = self.tensor(is_float);
                let (then, otherwise) =
                    (format!("Relu(from: \"{}\")", own.reference), format!("Exp(from: \"{}\")", own.reference));
                let condition = self.draw.pick(&["\"2 > 1\"", "\"2 < 1\""]);
                vec![field("condition", condition), field("then", then), field("otherwise", otherwise)]
            }
            _ => {
                let own = self.tensor(any);
                let sizes: Vec<String> = own.shape.iter().map(size).collect();
                let stated = format!("{:?}([{}])", own.dtype, sizes.join(", "));
                vec![Part::Item { value: own.reference.clone(), reads: vec![own.reference.clone()] }, Part::Raw { value: stated }]
            }
        }
    }

    fn groups(&mut self, channels: &Dim) -> String {
        match channels.as_constant() {
            Some(size) => {
                let divisors: Vec<i64> = (1..=size).filter(|own| size % own == 0).collect();
                self.draw.pick(&divisors).to_string()
            }
            None if self.draw.flag() => "1".to_string(),
            None => size(channels),
        }
    }

    fn binary(&mut self) -> Vec<Part> {
        let left = self.tensor(is_number);
        let right = match self.draw.below(3) {
            0 if left.dtype == DType::F32 => number("right", 1.5),
            1 if left.rank() > 0 => {
                let axis = self.axis(&left);
                let parts = vec![port("from", &left), field("axes", format!("[{axis}]")), field("keep", "true")];
                port("right", &self.push("Max", parts))
            }
            _ => port("right", &left),
        };
        vec![port("left", &left), right]
    }

    fn formula(&mut self) -> Vec<Part> {
        let own = self.tensor(|own| is_float(own) && has_axes(own));
        let axis = self.axis(&own);
        let parts = vec![port("from", &own), field("axes", format!("[{axis}]")), field("keep", "true")];
        let mean = self.push("Mean", parts);
        let (x, m) = (&own.reference, &mean.reference);
        let value = match self.draw.below(4) {
            0 => format!("{x} - {m} * 2.0"),
            1 => format!("where({x} > {m}, softplus({x}), {m} ** 2)"),
            2 => format!("clamp({x} / max(abs({m}), 1e-3), -1, 1)"),
            _ => format!("{x} > {m} and {x} < 1"),
        };
        vec![Part::Item { value, reads: vec![own.name().to_string(), mean.name().to_string()] }]
    }
}
