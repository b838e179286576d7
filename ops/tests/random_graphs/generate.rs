//! Random graphs that are right by construction: every op of the catalogue has a recipe that finds inputs for it among what is there.

use super::check;
use super::text::{NodeText, Part, Text};
use sward_core::check::NodeKind;
use sward_core::dim::Dim;
use sward_core::op::{Default, FieldKind, output_names};
use sward_core::program::DType;
use sward_ops::catalogue::catalogue;

/// The language's own constructs, which are drawn like ops.
pub const CONSTRUCTS: [&str; 5] = ["Chain", "Use", "Repeat", "If", "As"];

/// A file that `Use` and `Repeat` place: it keeps the shape of `x`.
pub const BLOCK: &str = r#"Module(
    params: { "hidden": Int(6, min: 1) },
    inputs: { "x": F32(["batch", "tokens", "width"]) },
    nodes: {
        "norm": LayerNorm(from: "x"),
        "mlp": Chain(from: "norm", layers: [Linear(units: "hidden"), Silu, Linear(units: "width")]),
        "y": Formula("x + mlp"),
    },
    outputs: { "y": As("y", F32(["batch", "tokens", "width"])) },
)"#;

/// Random numbers from a seed.
pub struct Draw(pub u64);

impl Draw {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    pub fn flag(&mut self) -> bool {
        self.below(2) == 0
    }

    pub fn pick<'t, T>(&mut self, items: &'t [T]) -> &'t T {
        &items[self.below(items.len())]
    }
}

/// A tensor that nodes may read.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    pub(super) reference: String,
    pub(super) dtype: DType,
    pub(super) shape: Vec<Dim>,
}

impl Tensor {
    pub(super) fn rank(&self) -> usize {
        self.shape.len()
    }

    pub(super) fn name(&self) -> &str {
        self.reference.split(':').next().unwrap_or(&self.reference)
    }
}

/// A graph that grows node by node.
pub struct Generator {
    pub(super) draw: Draw,
    inputs: Vec<(String, String, Vec<String>)>,
    nodes: Vec<NodeText>,
    scope: Vec<Tensor>,
}

pub(super) fn size(dim: &Dim) -> String {
    match dim.as_constant() {
        Some(size) => size.to_string(),
        None => format!("\"{dim}\""),
    }
}

pub(super) fn port(name: &str, tensor: &Tensor) -> Part {
    Part::Port { name: name.to_string(), references: vec![tensor.reference.clone()], is_list: false }
}

pub(super) fn number(name: &str, number: f64) -> Part {
    Part::Port { name: name.to_string(), references: vec![format!("{number:?}")], is_list: false }
}

pub(super) fn list(name: &str, tensors: &[&Tensor]) -> Part {
    let references = tensors.iter().map(|tensor| tensor.reference.clone()).collect();
    Part::Port { name: name.to_string(), references, is_list: true }
}

pub(super) fn field(name: &str, value: impl ToString) -> Part {
    Part::Field { name: name.to_string(), value: value.to_string() }
}

pub(super) fn is_image(tensor: &Tensor) -> bool {
    tensor.dtype == DType::F32 && tensor.rank() == 4
}

pub(super) fn is_float(tensor: &Tensor) -> bool {
    tensor.dtype == DType::F32
}

pub(super) fn is_number(tensor: &Tensor) -> bool {
    tensor.dtype != DType::Bool
}

pub(super) fn any(_: &Tensor) -> bool {
    true
}

pub(super) fn has_axes(tensor: &Tensor) -> bool {
    tensor.rank() >= 1
}

impl Generator {
    /// A graph with its inputs alone.
    pub fn new(seed: u64) -> Generator {
        let mut draw = Draw(seed);
        let mut inputs = Vec::new();
        let mut scope = Vec::new();
        let channels = *draw.pick(&[4i64, 6, 8]);
        let tokens = if draw.flag() { Dim::name("tokens") } else { Dim::constant(12) };
        let batch = || Dim::name("batch");
        let declared: [(&str, DType, Vec<Dim>); 6] = [
            ("image", DType::F32, vec![batch(), Dim::constant(channels), Dim::name("height"), Dim::name("columns")]),
            ("sequence", DType::F32, vec![batch(), tokens, Dim::constant(*draw.pick(&[8i64, 12]))]),
            ("series", DType::F32, vec![batch(), Dim::constant(6), Dim::name("steps")]),
            ("row", DType::F32, vec![batch(), Dim::name("cells")]),
            ("label", DType::I64, vec![batch(), Dim::constant(3)]),
            ("observed", DType::Bool, vec![batch(), Dim::name("cells")]),
        ];
        for (name, dtype, shape) in declared {
            let sizes: Vec<String> = shape.iter().map(size).collect();
            let word = format!("{dtype:?}");
            let dims = shape.iter().flat_map(|dim| dim.names().into_iter().map(|name| name.to_string())).collect();
            inputs.push((name.to_string(), format!("{word}([{}])", sizes.join(", ")), dims));
            scope.push(Tensor { reference: name.to_string(), dtype, shape });
        }
        Generator { draw, inputs, nodes: Vec::new(), scope }
    }

    /// A graph of one node of each op, and what helps them to their inputs.
    pub fn graph(seed: u64, ops: &[&str]) -> Text {
        let mut generator = Generator::new(seed);
        for op in ops {
            let node = generator.recipe(op);
            generator.push(op, node);
        }
        generator.text()
    }

    /// The file as it is now: every output of every node is an output of the module.
    pub fn text(&self) -> Text {
        let outputs: Vec<(String, String)> = self
            .scope
            .iter()
            .skip(self.inputs.len())
            .map(|tensor| (format!("out_{}", tensor.reference.replace(':', "_")), tensor.reference.clone()))
            .collect();
        Text::module(&self.inputs, &self.nodes, &outputs)
    }

    /// Adds a node and learns the types of its outputs from the checker; returns the first.
    pub(super) fn push(&mut self, op: &str, parts: Vec<Part>) -> Tensor {
        let name = format!("n{}", self.nodes.len());
        self.nodes.push(NodeText { name: name.clone(), op: op.to_string(), parts });
        // What an attention makes on request is there where the probe reads it.
        let on_request = if op == "ScaledDotProductAttention" { ":weights" } else { "" };
        let mut text = self.text();
        if let Some(last) = text.text.rfind("    },\n)") {
            text.text.insert_str(last, &format!("        \"probe\": \"{name}{on_request}\",\n"));
        }
        // Nodes with several outputs cannot be named alone: their ports are found in the graph.
        let several = op == "Split" || op == "TopK" || !on_request.is_empty();
        let text = if several && on_request.is_empty() { self.text() } else { text };
        let checked = check(&text.text, &[]).unwrap_or_else(|found| panic!("{op} is refused:\n{}\n{}", text.text, found.text));
        let start = self.scope.len();
        if several {
            let node = checked.graph().node_weights().find(|node| *node.path == *name).expect("the node is in the graph");
            let NodeKind::Op { op, fields, .. } = &node.kind else { panic!("a node is an op") };
            for (port, own) in output_names(op.schema(), fields).iter().zip(&node.outputs) {
                let reference = format!("{name}:{port}");
                self.scope.push(Tensor { reference, dtype: own.dtype, shape: own.shape.to_vec() });
            }
            if self.scope.len() == start + 1 {
                self.scope[start].reference = name;
            }
        } else {
            let own = &checked.outputs().iter().find(|output| &*output.name == "probe").expect("the probe").tensor_type;
            self.scope.push(Tensor { reference: name, dtype: own.dtype, shape: own.shape.to_vec() });
        }
        self.scope[start].clone()
    }

    /// A tensor for a node to read: mostly one of the newest.
    pub(super) fn tensor(&mut self, fits: impl Fn(&Tensor) -> bool) -> Tensor {
        // Shapes whose sizes have grown long are left alone: they would grow without end.
        let small = |tensor: &Tensor| tensor.shape.iter().all(|dim| dim.to_string().len() < 60) && tensor.rank() <= 5;
        let fitting: Vec<usize> =
            (0..self.scope.len()).filter(|index| fits(&self.scope[*index]) && small(&self.scope[*index])).collect();
        assert!(!fitting.is_empty(), "one of the inputs fits");
        let newest = fitting.len().saturating_sub(3);
        let index =
            if self.draw.flag() { fitting[newest + self.draw.below(fitting.len() - newest)] } else { *self.draw.pick(&fitting) };
        self.scope[index].clone()
    }

    pub(super) fn axis(&mut self, tensor: &Tensor) -> usize {
        self.draw.below(tensor.rank())
    }

    /// An axis as one may write it: from the front or from the end.
    pub(super) fn written_axis(&mut self, tensor: &Tensor, axis: usize) -> String {
        if self.draw.flag() { axis.to_string() } else { format!("{}", axis as i64 - tensor.rank() as i64) }
    }

    pub(super) fn units(&mut self) -> String {
        match self.draw.below(4) {
            0 => "\"2 * cells\"".to_string(),
            1 => "\"batch + 1\"".to_string(),
            _ => self.draw.pick(&["4", "8", "12"]).to_string(),
        }
    }

    /// Some of the op's settings that take any value, drawn at random.
    pub(super) fn settings(&mut self, op: &str, except: &[&str]) -> Vec<Part> {
        let schema = catalogue().get(op).unwrap_or_else(|| panic!("no op {op}")).schema();
        let mut parts = Vec::new();
        for setting in schema.fields {
            let is_free = !matches!(setting.default, Default::Required | Default::Absent);
            if !is_free || except.contains(&setting.name) || self.draw.flag() {
                continue;
            }
            let value = match setting.kind {
                FieldKind::Flag => self.draw.flag().to_string(),
                FieldKind::Choice(words) => self.draw.pick(words).to_string(),
                FieldKind::Float => self.draw.pick(&["0.1", "0.25", "0.5", "0.75"]).to_string(),
                FieldKind::Initial => self.draw.pick(&["Zeros", "Normal(std: 0.02)", "Fill(0.5)"]).to_string(),
                _ => continue,
            };
            parts.push(field(setting.name, value));
        }
        parts
    }

    pub(super) fn with_settings(&mut self, mut parts: Vec<Part>, op: &str, except: &[&str]) -> Vec<Part> {
        parts.extend(self.settings(op, except));
        parts
    }
}
