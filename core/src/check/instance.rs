//! One placed module while it is elaborated: its names, what arrives, what its nodes gave.

use super::checked::Source;
use super::values::Names;
use crate::language::{Body, FieldExpression, FieldForm, Module, Reference, SourceExpression};
use crate::op::SymbolicType;
use crate::source::{FileId, Span};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::sync::Arc;

/// A tensor whose type is known. `None` in its place stands for one that a reported error left unknown.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Where it comes from.
    pub source: Source,
    /// Its type.
    pub tensor_type: SymbolicType,
    /// The node that made it, for labels.
    pub span: Span,
}

/// What a node gave.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Outputs by name; the tensor is `None` where an error left it unknown.
    pub outputs: Vec<(Arc<str>, Option<Tensor>)>,
    /// Whether the node's name alone means the first of several outputs.
    pub has_main: bool,
    /// Whether not even the outputs' names are known.
    pub broken: bool,
}

impl Outcome {
    /// The outcome of a node that an error was reported for.
    pub fn broken() -> Outcome {
        Outcome { broken: true, ..Outcome::default() }
    }

    /// The outcome of a node with one output.
    pub fn one(name: &str, tensor: Option<Tensor>) -> Outcome {
        Outcome::of(vec![(Arc::from(name), tensor)])
    }

    /// The outcome of a node with these outputs.
    pub fn of(outputs: Vec<(Arc<str>, Option<Tensor>)>) -> Outcome {
        Outcome { outputs, ..Outcome::default() }
    }

    /// The output that the node's name alone means: its only one, or the main one. `None` where that is not settled.
    pub fn alone(&self) -> Option<&Option<Tensor>> {
        match self.outputs.as_slice() {
            [(_, tensor)] => Some(tensor),
            [(_, tensor), ..] if self.has_main => Some(tensor),
            _ => None,
        }
    }
}

/// What feeds the first input of a step, or the inputs of a later iteration.
#[derive(Clone, Debug)]
pub enum Feed {
    /// Nothing: the body names its inputs.
    None,
    /// The step before.
    First(Option<Tensor>),
    /// The iteration before, by its outputs' names.
    Iteration(Outcome),
}

/// One placed module.
#[derive(Debug)]
pub struct Instance<'m> {
    /// The module.
    pub module: &'m Module,
    /// The path of the node that places it; empty for the root.
    pub path: Arc<str>,
    /// The path that its parameters' names start with.
    pub weights: Arc<str>,
    /// Names of its expressions.
    pub names: Names,
    /// For params of the kind `File`, the file that the path was written in: it is relative to that one's folder.
    pub written_in: FxHashMap<Arc<str>, FileId>,
    /// Its inputs.
    pub inputs: FxHashMap<Arc<str>, Option<Tensor>>,
    /// What nodes, steps and iterations gave, by name within the module.
    pub results: FxHashMap<Arc<str>, Outcome>,
    /// Whether its parameters may be taken from another place that has them too.
    pub shared: bool,
    /// Whether its parameters are trained.
    pub trained: bool,
    /// The outermost `Use` that led here.
    pub placed_at: Option<Span>,
}

impl Instance<'_> {
    /// The file in which the path of a `File` param was written, where the text hands such a param on: `{block}`, or its bare name.
    pub fn file_of(&self, text: &str) -> Option<FileId> {
        let name = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).map_or(text, str::trim);
        self.written_in.get(name).copied()
    }
}

/// A path below another.
pub fn join(path: &str, name: &str) -> Arc<str> {
    match (path.is_empty(), name.is_empty()) {
        (true, _) => Arc::from(name),
        (_, true) => Arc::from(path),
        _ => Arc::from([path, ".", name].concat()),
    }
}

/// Calls `visit` for every reference in a body: templates unfilled, both branches of an `If`, names of formulas as written.
pub fn for_each_reference<'b>(body: &'b Body, visit: &mut dyn FnMut(ReferenceText<'b>)) {
    let source = |source: &'b SourceExpression, visit: &mut dyn FnMut(ReferenceText<'b>)| {
        if let SourceExpression::Reference(reference) = source {
            visit(ReferenceText::Written(reference));
        }
    };
    match body {
        Body::Op(op) => {
            for port in op.ports.iter().flatten() {
                port.sources.iter().for_each(|expression| source(expression, visit));
            }
            for (field, expression) in op.op.schema().fields.iter().zip(&op.fields) {
                if field.kind == crate::op::FieldKind::Formula
                    && let Some(FieldExpression { form: FieldForm::Text { expression: Some(expression), .. }, .. }) = expression
                {
                    expression.for_each_name(&mut |name, _| visit(ReferenceText::Formula(name)));
                }
            }
        }
        Body::Use(placed) => {
            placed.from.iter().for_each(|expression| source(expression, visit));
            placed.inputs.iter().for_each(|(_, expression)| source(expression, visit));
        }
        Body::Repeat(repeat) => for_each_reference(&repeat.of, visit),
        Body::Chain(chain) => {
            chain.from.iter().for_each(|expression| source(expression, visit));
            chain.steps.iter().for_each(|(_, step)| for_each_reference(step, visit));
        }
        Body::If(branches) => {
            for_each_reference(&branches.then, visit);
            for_each_reference(&branches.otherwise, visit);
        }
        Body::As(stated) => visit(ReferenceText::Written(&stated.source)),
        Body::Broken { references, .. } => references.iter().for_each(|reference| visit(ReferenceText::Written(reference))),
    }
}

/// A reference as it stands in a body.
#[derive(Clone, Copy, Debug)]
pub enum ReferenceText<'b> {
    /// In an input field.
    Written(&'b Reference),
    /// A name in a formula: a node, an input or a param.
    Formula(&'b str),
}

impl<'b> ReferenceText<'b> {
    /// The text without its port, up to the first `{`.
    pub fn node_prefix(self) -> (&'b str, bool) {
        let (text, is_template) = match self {
            ReferenceText::Written(reference) => (&*reference.text, reference.is_template),
            ReferenceText::Formula(name) => (name, false),
        };
        let text = match text.find('{') {
            Some(open) if is_template => &text[..open],
            _ => text,
        };
        (text.split_once(':').map_or(text, |(node, _)| node), is_template)
    }
}

impl Module {
    /// The nodes that a reference may mean: the node of that name, the one of whose name it is a part below, and for a template all
    /// whose names go on from its prefix.
    pub(super) fn candidates(&self, reference: ReferenceText<'_>) -> SmallVec<[usize; 4]> {
        let (prefix, is_template) = reference.node_prefix();
        let mut found = SmallVec::new();
        let mut rest = prefix.trim_end_matches('.');
        loop {
            if let Some(index) = self.node_index.get(rest) {
                found.push(*index);
                break;
            }
            match rest.rfind('.') {
                Some(dot) => rest = &rest[..dot],
                None => break,
            }
        }
        if is_template {
            for (index, node) in self.nodes.iter().enumerate() {
                if node.name.value.starts_with(prefix) && !found.contains(&index) {
                    found.push(index);
                }
            }
        }
        found
    }
}
