//! A graph file as it was written: the typed form of a `Module` or an `Interface`, before any param has a value.

use crate::domain::Domain;
use crate::expr::{self, Expr};
use crate::op::Op;
use crate::program::DType;
use crate::source::{FileId, Span, Spanned};
use crate::syntax::{Kind, Value};
use std::sync::Arc;

/// What a graph file holds.
#[derive(Debug)]
pub enum GraphFile {
    /// A `Module`.
    Module(Module),
    /// An `Interface`.
    Interface(Interface),
    /// A `Data`, `Experiment` or `Ablation`: read by the runner.
    Other {
        /// The kind, as written.
        kind: Spanned<String>,
        /// The file's value.
        tree: Value,
    },
}

/// A module as it was written.
#[derive(Debug)]
pub struct Module {
    /// The file.
    pub file: FileId,
    /// The place of the word `Module`.
    pub span: Span,
    /// What it is.
    pub doc: Option<Spanned<String>>,
    /// Paths of interface files.
    pub implements: Vec<Spanned<String>>,
    /// Declared params.
    pub params: Vec<ParamDeclaration>,
    /// Whether an error was reported while the file was read.
    pub is_broken: bool,
    /// Whether a param's declaration could not be read: its error is reported, and the module is not elaborated.
    pub has_broken_params: bool,
    /// Declared inputs.
    pub inputs: Vec<PortDeclaration>,
    /// Inputs whose types could not be read: their errors are reported, and what reads them is passed over.
    pub broken_inputs: Vec<Arc<str>>,
    /// Nodes, in the file's order.
    pub nodes: Vec<NodeDeclaration>,
    /// Outputs.
    pub outputs: Vec<OutputDeclaration>,
    /// What its sizes and params must satisfy.
    pub requires: Vec<Condition>,
    /// Contract cases.
    pub contract: Vec<ContractCase>,
    /// The position of a node by its name.
    pub node_index: rustc_hash::FxHashMap<Arc<str>, usize>,
    /// The order in which the nodes are elaborated, once it is known.
    pub(crate) order: std::sync::OnceLock<Arc<[usize]>>,
}

impl Module {
    /// The first sentence of its doc.
    pub fn summary(&self) -> Option<&str> {
        let doc = self.doc.as_ref()?.value.as_str();
        Some(doc.split_once(". ").map_or(doc, |(first, _)| first).trim_end_matches('.'))
    }
}

/// An interface as it was written.
#[derive(Debug)]
pub struct Interface {
    /// The place of the word `Interface`.
    pub span: Span,
    /// What it is.
    pub doc: Option<Spanned<String>>,
    /// Inputs that a module is given.
    pub inputs: Vec<PortDeclaration>,
    /// Outputs that it must give.
    pub outputs: Vec<PortDeclaration>,
    /// Outputs that it may give.
    pub optional: Vec<PortDeclaration>,
}

/// A tensor with a name and a type.
#[derive(Debug)]
pub struct PortDeclaration {
    /// The name.
    pub name: Spanned<Arc<str>>,
    /// The type.
    pub tensor_type: TypeExpression,
}

/// A tensor type as it was written.
#[derive(Clone, Debug)]
pub struct TypeExpression {
    /// The element type.
    pub dtype: DType,
    /// The sizes.
    pub shape: Vec<SizeExpression>,
    /// The domain, `Any` where not stated.
    pub domain: Domain,
    /// The whole type's place.
    pub span: Span,
}

/// A size as it was written.
#[derive(Clone, Debug)]
pub struct SizeExpression {
    /// A whole number or an expression.
    pub expression: Expr,
    /// Its place.
    pub span: Span,
}

/// A condition as it was written.
#[derive(Clone, Debug)]
pub struct Condition {
    /// The expression.
    pub expression: Expr,
    /// The text that it was parsed from.
    pub text: Arc<str>,
    /// Its place.
    pub span: Span,
}

/// A param's declaration.
#[derive(Debug)]
pub struct ParamDeclaration {
    /// The name.
    pub name: Spanned<Arc<str>>,
    /// What values it takes.
    pub kind: ParamKind,
    /// The value that holds where none is given, as written.
    pub default: Option<FieldExpression>,
    /// The declaration's place.
    pub span: Span,
}

/// What values a param takes.
#[derive(Clone, Debug)]
pub enum ParamKind {
    /// Whole numbers and sizes.
    Int {
        /// The least value.
        min: Option<i64>,
        /// The greatest value.
        max: Option<i64>,
    },
    /// Numbers.
    Float {
        /// The values, as an interval.
        range: Domain,
    },
    /// `true` or `false`.
    Flag,
    /// One of these texts.
    Choice(Vec<String>),
    /// Any text.
    Text,
    /// Whole numbers.
    Ints,
    /// Numbers.
    Floats,
    /// The path of a module file.
    File,
}

/// A node with its name.
#[derive(Debug)]
pub struct NodeDeclaration {
    /// The name, unique in its file.
    pub name: Spanned<Arc<str>>,
    /// What it is.
    pub body: Body,
}

/// What a node or a step of a chain is.
#[derive(Debug)]
pub enum Body {
    /// An op.
    Op(OpBody),
    /// Another module.
    Use(UseBody),
    /// Copies in a row.
    Repeat(RepeatBody),
    /// Steps in a row.
    Chain(ChainBody),
    /// One of two bodies.
    If(IfBody),
    /// A statement of a type about another node.
    As(AsBody),
    /// A body that could not be read; its error is reported already.
    Broken {
        /// The place.
        span: Span,
        /// The tensors that it names, as far as they are known: one that is not there is a fault of its own.
        references: Vec<Reference>,
    },
}

impl Body {
    /// The body's place.
    pub fn span(&self) -> Span {
        match self {
            Body::Op(body) => body.span,
            Body::Use(body) => body.span,
            Body::Repeat(body) => body.span,
            Body::Chain(body) => body.span,
            Body::If(body) => body.span,
            Body::As(body) => body.span,
            Body::Broken { span, .. } => *span,
        }
    }
}

/// An op as it was written.
pub struct OpBody {
    /// The op.
    pub op: &'static dyn Op,
    /// One entry a port of the op's schema; `None` where it was not written.
    pub ports: Vec<Option<PortExpression>>,
    /// One entry a field of the op's schema; `None` where it was not written.
    pub fields: Vec<Option<FieldExpression>>,
    /// The node whose parameters it takes.
    pub shares: Option<Spanned<String>>,
    /// The path that its parameters' names start with, where that is not the node's name.
    pub weights: Option<Spanned<String>>,
    /// `trained: false`.
    pub trained: bool,
    /// The place of the op's name.
    pub name_span: Span,
    /// The whole op's place.
    pub span: Span,
}

impl std::fmt::Debug for OpBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpBody").field("op", &self.op.schema().name).field("span", &self.span).finish_non_exhaustive()
    }
}

/// What stands in an input field.
#[derive(Debug)]
pub struct PortExpression {
    /// One or several sources.
    pub sources: Vec<SourceExpression>,
    /// Whether they were written as a list.
    pub is_list: bool,
    /// The place.
    pub span: Span,
}

/// One source of an input.
#[derive(Debug)]
pub enum SourceExpression {
    /// A node or input, perhaps with `{}` to fill.
    Reference(Reference),
    /// A number.
    Number(f64, Span),
}

/// The name of a tensor as it was written.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The text, `blocks.{depth - 1}:tokens`.
    pub text: Arc<str>,
    /// Whether it has `{}`.
    pub is_template: bool,
    /// Its place, within the quotes.
    pub span: Span,
}

/// What stands in a field that is not an input.
#[derive(Clone, Debug)]
pub struct FieldExpression {
    /// Its form.
    pub form: FieldForm,
    /// Its place.
    pub span: Span,
}

/// The forms of a field's value. Texts are parsed as expressions once, when the file is read; whether a text is one depends on what the
/// field takes, so a text that is none is no error yet.
#[derive(Clone, Debug)]
pub enum FieldForm {
    /// A text in quotes.
    Text {
        /// The text.
        text: Arc<str>,
        /// The expression it is, if it is one.
        expression: Option<Arc<Expr>>,
    },
    /// A list.
    List(Vec<FieldExpression>),
    /// Anything else.
    Other(Value),
}

impl FieldExpression {
    /// Reads a value's form.
    pub fn of(value: &Value) -> FieldExpression {
        let form = match &value.kind {
            Kind::Text(text) => {
                FieldForm::Text { text: Arc::from(text.as_str()), expression: expr::parse(text).ok().map(Arc::new) }
            }
            Kind::List(items) => FieldForm::List(items.iter().map(FieldExpression::of).collect()),
            _ => FieldForm::Other(value.clone()),
        };
        FieldExpression { form, span: value.span }
    }

    /// The value as it was written.
    pub fn to_value(&self) -> Value {
        let kind = match &self.form {
            FieldForm::Text { text, .. } => Kind::Text(text.to_string()),
            FieldForm::List(items) => Kind::List(items.iter().map(FieldExpression::to_value).collect()),
            FieldForm::Other(value) => return value.clone(),
        };
        Value { span: self.span, kind }
    }

    /// What it is, for messages.
    pub fn describe(&self) -> String {
        match &self.form {
            FieldForm::Text { .. } => "a text".to_string(),
            FieldForm::List(_) => "a list".to_string(),
            FieldForm::Other(value) => value.describe(),
        }
    }
}

/// A `Use` as it was written.
#[derive(Debug)]
pub struct UseBody {
    /// The file's path, or `{param}`.
    pub module: Spanned<String>,
    /// Inputs by name.
    pub inputs: Vec<(Spanned<Arc<str>>, SourceExpression)>,
    /// The only input.
    pub from: Option<SourceExpression>,
    /// Params by name.
    pub params: Vec<(Spanned<Arc<str>>, FieldExpression)>,
    /// The node whose parameters it takes.
    pub shares: Option<Spanned<String>>,
    /// Whether the node's name is left out of parameter names.
    pub bare: bool,
    /// `trained: false`.
    pub trained: bool,
    /// The place.
    pub span: Span,
}

/// A `Repeat` as it was written.
#[derive(Debug)]
pub struct RepeatBody {
    /// The number of copies, or the sets of values.
    pub count: RepeatCount,
    /// What is copied.
    pub of: Box<Body>,
    /// The place.
    pub span: Span,
}

/// Values by name, for one iteration.
pub type ValueSet = Vec<(Spanned<Arc<str>>, FieldExpression)>;

/// How many copies.
#[derive(Debug)]
pub enum RepeatCount {
    /// `times`.
    Times(FieldExpression),
    /// `over`: one copy a set.
    Over(Vec<ValueSet>),
}

/// A `Chain` as it was written.
#[derive(Debug)]
pub struct ChainBody {
    /// What the first step reads; `None` inside a chain, a repeat or an `If` that feeds it.
    pub from: Option<SourceExpression>,
    /// Steps with their names.
    pub steps: Vec<(Spanned<Arc<str>>, Body)>,
    /// The place.
    pub span: Span,
}

/// An `If` as it was written.
#[derive(Debug)]
pub struct IfBody {
    /// The condition.
    pub condition: FieldExpression,
    /// The body where it holds.
    pub then: Box<Body>,
    /// The body where it does not.
    pub otherwise: Box<Body>,
    /// The place.
    pub span: Span,
}

/// An `As` as it was written.
#[derive(Debug)]
pub struct AsBody {
    /// The tensor.
    pub source: Reference,
    /// Its type.
    pub tensor_type: TypeExpression,
    /// The place.
    pub span: Span,
}

/// An output with its name.
#[derive(Debug)]
pub struct OutputDeclaration {
    /// The name.
    pub name: Spanned<Arc<str>>,
    /// The tensor.
    pub source: Reference,
    /// The type, where it is stated.
    pub tensor_type: Option<TypeExpression>,
    /// Whether the output is given only under a condition that failed (see `When`).
    pub condition: Option<FieldExpression>,
}

/// A case of a contract as it was written.
#[derive(Debug, Default)]
pub struct ContractCase {
    /// Sizes of dimensions.
    pub at: Vec<(Spanned<Arc<str>>, i64)>,
    /// The exact number of parameters.
    pub parameters: Option<Spanned<i64>>,
    /// The greatest number of parameters.
    pub max_parameters: Option<Spanned<i64>>,
    /// The greatest number of floating point operations of a forward pass.
    pub max_flops: Option<Spanned<f64>>,
    /// The greatest peak of the forward pass's memory, weights not counted.
    pub max_memory_bytes: Option<Spanned<i64>>,
    /// Shapes of outputs.
    pub outputs: Vec<(Spanned<Arc<str>>, Vec<SizeExpression>)>,
    /// The case's place.
    pub span: Option<Span>,
}
