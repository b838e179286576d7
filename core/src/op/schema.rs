//! The machine-readable description of an op: what `check` demands, what `sward schema` prints and `docs/ops.md` shows.

use super::Initializer;
use crate::program::DType;

/// The description of an op.
#[derive(Debug)]
pub struct Schema {
    /// The name in graph files, `Conv2d`.
    pub name: &'static str,
    /// The heading it stands under in `docs/ops.md`, `Convolution`.
    pub category: &'static str,
    /// What it does: one or a few sentences, with the source.
    pub doc: &'static str,
    /// Tensors that it reads.
    pub ports: &'static [Port],
    /// Settings.
    pub fields: &'static [Field],
    /// Tensors that it gives.
    pub outputs: Outputs,
    /// The names of the parameters it makes, for the documentation: `weight, bias`.
    pub parameters: &'static str,
    /// The rule for shapes in symbols, `[batch, in, h, w] -> [batch, channels, (h + 2 * padding - ...) // stride + 1, ...]`.
    pub shape_rule: &'static str,
    /// What is known of the result's domain.
    pub domain_rule: &'static str,
    /// The gradient in words.
    pub gradient: &'static str,
    /// The PyTorch equivalent, `torch.nn.Conv2d`.
    pub pytorch: &'static str,
    /// A node as one would write it, `Conv2d(from: "x", channels: 8, kernel: 3, padding: 1)`.
    pub example: &'static str,
}

impl Schema {
    /// The port with that name.
    pub fn port(&self, name: &str) -> Option<&'static Port> {
        self.ports.iter().find(|port| port.name == name)
    }

    /// The position of a field.
    pub fn field_index(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }
}

/// A tensor input of an op.
#[derive(Debug)]
pub struct Port {
    /// Its field's name in a graph file; `from` for the only input of an op.
    pub name: &'static str,
    /// How many tensors.
    pub kind: PortKind,
    /// Which dtypes.
    pub accepts: Accepts,
    /// Whether a number may stand instead of a reference.
    pub literal: bool,
    /// What it is, with its shape in symbols.
    pub doc: &'static str,
}

impl Port {
    const fn new(name: &'static str, kind: PortKind, accepts: Accepts, doc: &'static str) -> Port {
        Port { name, kind, accepts, literal: false, doc }
    }

    /// A port that takes exactly one tensor.
    pub const fn one(name: &'static str, accepts: Accepts, doc: &'static str) -> Port {
        Port::new(name, PortKind::One, accepts, doc)
    }

    /// A port that may be left out.
    pub const fn optional(name: &'static str, accepts: Accepts, doc: &'static str) -> Port {
        Port::new(name, PortKind::Optional, accepts, doc)
    }

    /// A port that takes a list.
    pub const fn many(name: &'static str, accepts: Accepts, doc: &'static str) -> Port {
        Port::new(name, PortKind::Many, accepts, doc)
    }

    /// The port that a field of the kind `Formula` fills.
    pub const fn named(name: &'static str, accepts: Accepts, doc: &'static str) -> Port {
        Port::new(name, PortKind::Named, accepts, doc)
    }

    /// The same port, where a number may stand instead of a reference: it arrives as a tensor of rank 0.
    pub const fn or_number(self) -> Port {
        Port { literal: true, ..self }
    }
}

/// How many tensors a port takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PortKind {
    /// Exactly one.
    One,
    /// None or one.
    Optional,
    /// A list of one or more.
    Many,
    /// Those that a field of the kind `Formula` names, if any; never written by itself.
    Named,
}

/// The dtypes that a port takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Accepts {
    /// `F32`.
    Float,
    /// `I64`.
    Integer,
    /// `Bool`.
    Bool,
    /// `F32` or `I64`.
    Number,
    /// Every dtype.
    Any,
}

/// A setting of an op.
#[derive(Debug)]
pub struct Field {
    /// Its name in a graph file.
    pub name: &'static str,
    /// What may be written.
    pub kind: FieldKind,
    /// What holds when it is not written.
    pub default: Default,
    /// What it does.
    pub doc: &'static str,
}

impl Field {
    /// A field from its parts.
    pub const fn new(name: &'static str, kind: FieldKind, default: Default, doc: &'static str) -> Field {
        Field { name, kind, default, doc }
    }

    /// A field that must be written.
    pub const fn required(name: &'static str, kind: FieldKind, doc: &'static str) -> Field {
        Field::new(name, kind, Default::Required, doc)
    }
}

/// What may be written in a field. Wherever a whole number or a number may stand, an expression in quotes may stand too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldKind {
    /// A size: a whole number, known or symbolic.
    Dim,
    /// A whole number that must be known when the graph is read (an axis, a count of groups); may be negative.
    Int,
    /// A number.
    Float,
    /// `true` or `false`.
    Flag,
    /// One of these bare words.
    Choice(&'static [&'static str]),
    /// A text.
    Text,
    /// A list of sizes: a shape.
    Dims,
    /// A list of known whole numbers, or one of them (axes).
    Ints,
    /// A list of numbers, or one of them.
    Floats,
    /// A size for both spatial axes, or a list of two: height and width.
    Pair,
    /// Padding: one size, a list of two (height, width) or of four (top, bottom, left, right), or `Same`.
    Padding,
    /// How a parameter starts: `Zeros`, `Normal(std: 0.02)` ...
    Initial,
    /// A dtype: `F32`, `I64`, `Bool`.
    DType,
    /// An elementwise expression over nodes, inputs and params, written as the node's unnamed item. The tensors it names arrive at the
    /// op's port of the kind `Named`, in the order of their first mention; see [`super::FormulaText`].
    Formula,
}

/// What holds when a field is not written.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Default {
    /// It must be written.
    Required,
    /// Nothing: the op sees that it is absent (the doc says what then holds).
    Absent,
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A switch.
    Flag(bool),
    /// A word of the choice.
    Choice(&'static str),
    /// A text.
    Text(&'static str),
    /// A list of whole numbers, of a field of the kind `Ints`, `Dims`, `Pair` or `Padding`, in the kind's normal form.
    Ints(&'static [i64]),
    /// A dtype.
    DType(DType),
    /// How a parameter starts.
    Initial(Initializer),
}

/// The outputs of an op.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outputs {
    /// Fixed names; one output is referred to by the node's name alone.
    Named(&'static [&'static str]),
    /// Fixed names. The node's name alone means the first; the others are made where something reads them ([`super::LowerCall::is_read`]).
    OnRequest(&'static [&'static str]),
    /// `0`, `1`, ...: as many as the first of these fields that is present says: an `Int` by its value, a list by its length.
    Counted {
        /// The fields.
        fields: &'static [&'static str],
    },
}
