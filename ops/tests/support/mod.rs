//! One node of a graph without a graph file: what tests of ops build, check, lower and run.

#![allow(dead_code)]

use serde_json::{Map as Object, Value};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;
use sward_core::dim::{Dim, Obligation, Sizes};
use sward_core::domain::Domain;
use sward_core::expr::{self, Constant, Scope};
use sward_core::op::{
    Call, Complaint, FieldKind, FieldValue, Fields, FormulaName, FormulaText, Initializer, Input, LowerCall, Mode, Op,
    ParameterKind, ParameterSpec, PortKind, Schema, SymbolicType,
};
use sward_core::program::{Array, BuildError, Builder, DType, Program, Role, TensorType, ValueId};
use sward_core::source::{Sources, Span};
use sward_ops::catalogue;

/// Any name is a size.
struct AnyName;

impl Scope for AnyName {
    fn lookup(&self, name: &str) -> Option<Constant> {
        Some(Constant::Int(Dim::name(name)))
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A size from a number or an expression.
pub fn dim(value: &Value) -> Dim {
    match value {
        Value::String(text) => {
            let parsed = expr::parse(text).expect("an expression");
            let evaluated = expr::evaluate(&parsed, &AnyName).expect("a size");
            evaluated.value.as_dim().expect("a whole number").clone()
        }
        other => Dim::constant(other.as_i64().expect("a whole number")),
    }
}

pub fn dtype(name: &str) -> DType {
    match name {
        "F32" => DType::F32,
        "I64" => DType::I64,
        "Bool" => DType::Bool,
        other => panic!("no dtype {other}"),
    }
}

/// An input from `["F32", "batch", 3]`.
pub fn tensor_type(value: &Value) -> SymbolicType {
    let items = value.as_array().expect("a list of a dtype and sizes");
    let own = SymbolicType::new(dtype(items[0].as_str().expect("a dtype")), items[1..].iter().map(dim));
    let domain = if own.dtype == DType::Bool { Domain::PROBABILITY } else { own.domain };
    own.with_domain(domain)
}

fn list(items: impl IntoIterator<Item = FieldValue>) -> FieldValue {
    FieldValue::List(items.into_iter().collect())
}

/// A field's value in the normal form of its kind, as the resolver gives it.
fn field_value(kind: FieldKind, value: &Value) -> FieldValue {
    let size = |value: &Value| FieldValue::Dim(dim(value));
    let float = |value: &Value| FieldValue::Float(value.as_f64().expect("a number"));
    let items = |value: &Value| value.as_array().cloned();
    match kind {
        FieldKind::Dim | FieldKind::Int => size(value),
        FieldKind::Float => float(value),
        FieldKind::Flag => FieldValue::Flag(value.as_bool().expect("true or false")),
        FieldKind::Choice(words) => {
            let word = value.as_str().expect("a word");
            FieldValue::Choice(words.iter().find(|own| **own == word).unwrap_or_else(|| panic!("no choice {word}")))
        }
        FieldKind::Text => FieldValue::Text(value.as_str().expect("a text").into()),
        FieldKind::Dims | FieldKind::Ints => list(items(value).unwrap_or_else(|| vec![value.clone()]).iter().map(size)),
        FieldKind::Floats => list(items(value).unwrap_or_else(|| vec![value.clone()]).iter().map(float)),
        FieldKind::Pair => {
            let pair = items(value).unwrap_or_else(|| vec![value.clone(), value.clone()]);
            list(pair.iter().map(size))
        }
        FieldKind::Padding if value == "Same" => FieldValue::Same,
        FieldKind::Padding => {
            let sides = match items(value).as_deref() {
                None => vec![value.clone(); 4],
                Some([height, width]) => vec![height.clone(), height.clone(), width.clone(), width.clone()],
                Some(sides) => sides.to_vec(),
            };
            list(sides.iter().map(size))
        }
        FieldKind::DType => FieldValue::DType(dtype(value.as_str().expect("a dtype"))),
        FieldKind::Initial => FieldValue::Initial(match value.as_str().expect("a distribution") {
            "Zeros" => Initializer::Zeros,
            "Ones" => Initializer::Ones,
            other => panic!("no initializer {other}"),
        }),
        FieldKind::Formula => panic!("formulas are read with their inputs"),
    }
}

/// The names of an expression in the order of their first mention.
fn names(expression: &expr::Expr, found: &mut Vec<String>) {
    use sward_core::expr::ExprKind;
    let mut add = |name: &String| {
        if !found.contains(name) {
            found.push(name.clone());
        }
    };
    match &expression.kind {
        ExprKind::Name(name) => add(name),
        ExprKind::List(items) => items.iter().for_each(|item| names(item, found)),
        ExprKind::Index { list, index } => [list, index].iter().for_each(|part| names(part, found)),
        ExprKind::Call { arguments, .. } => arguments.iter().for_each(|part| names(part, found)),
        ExprKind::Unary { operand, .. } => names(operand, found),
        ExprKind::Binary { left, right, .. } => [left, right].iter().for_each(|part| names(part, found)),
        _ => {}
    }
}

/// One node: an op with fields and inputs.
pub struct Node {
    pub op: &'static dyn Op,
    pub schema: &'static Schema,
    pub fields: Fields,
    pub inputs: Vec<SmallVec<[Input; 1]>>,
    span: Span,
}

/// What checking a node gave.
pub struct Checked {
    pub types: Option<SmallVec<[SymbolicType; 2]>>,
    pub parameters: Vec<ParameterSpec>,
    pub obligations: Vec<Obligation>,
    pub complaints: Vec<Complaint>,
}

impl Node {
    /// A node from JSON: `fields` by name, `inputs` by port, each a type or a list of types (or for a formula: by name).
    pub fn new(op: &str, fields: &Value, inputs: &Value) -> Node {
        let op = catalogue().get(op).unwrap_or_else(|| panic!("no op {op}"));
        let schema = op.schema();
        let mut sources = Sources::new();
        let file = sources.add("test.ron", " ".repeat(400));
        let span = Span::new(file, 0..1);
        let object = |value: &Value| value.as_object().cloned().unwrap_or_default();
        let input = |name: &str, own: &Value| Input { tensor_type: tensor_type(own), span, producer: None, name: name.into() };
        let mut node = Node { op, schema, fields: Fields::defaults(schema), inputs: Vec::new(), span };
        let given: Object<String, Value> = object(inputs);
        let is_formula = schema.ports.iter().any(|port| port.kind == PortKind::Named);
        for port in schema.ports {
            node.inputs.push(match given.get(port.name) {
                None if port.kind == PortKind::Named => given.iter().map(|(name, own)| input(name, own)).collect(),
                None => SmallVec::new(),
                Some(Value::Array(items)) if items.iter().all(Value::is_array) => {
                    items.iter().enumerate().map(|(index, own)| input(&format!("x{index}"), own)).collect()
                }
                Some(own) => SmallVec::from_elem(input(if port.name == "from" { "x" } else { port.name }, own), 1),
            });
        }
        for (name, value) in object(fields) {
            let index = schema.field_index(&name).unwrap_or_else(|| panic!("{} has no field {name}", schema.name));
            node.fields.values[index] = match schema.fields[index].kind {
                FieldKind::Formula => FieldValue::Formula(Arc::new(formula(value.as_str().expect("a formula"), &given))),
                kind => field_value(kind, &value),
            };
            node.fields.spans[index] = Some(Span::new(file, 10..12 + value.to_string().len().saturating_sub(2)));
        }
        assert!(is_formula || Call::arity_holds(schema, &node.inputs), "inputs of {}", schema.name);
        node
    }

    /// Runs the rule for types.
    pub fn check(&self) -> Checked {
        let mut call = Call::new(self.schema, self.span, &self.fields, &self.inputs, &[]);
        let types = self.op.infer(&mut call).ok();
        let (parameters, obligations, complaints) = call.finish();
        let obligations = obligations.into_iter().map(|(obligation, _)| obligation).collect();
        assert_eq!(types.is_none(), !complaints.is_empty(), "{} complains exactly where it refuses", self.schema.name);
        Checked { types, parameters, obligations, complaints }
    }

    /// Operations by the op's own count.
    pub fn flops(&self, types: &[SymbolicType]) -> Dim {
        let call = Call::new(self.schema, self.span, &self.fields, &self.inputs, &[]);
        self.op.flops(&call, types).expect("a count")
    }

    /// The node's program at these sizes; arguments are called by their ports (`from`, `from.1`) and parameters.
    pub fn lower(&self, sizes: &Sizes, training: bool) -> Result<Lowered, BuildError> {
        let checked = self.check();
        let types = checked.types.unwrap_or_else(|| panic!("{}: {:?}", self.schema.name, checked.complaints));
        let outputs: Vec<TensorType> = types.iter().map(|own| concrete(own, sizes)).collect();
        let mut builder = Builder::new();
        let mut inputs = Vec::new();
        for (port, given) in self.schema.ports.iter().zip(&self.inputs) {
            let mut values: SmallVec<[ValueId; 1]> = SmallVec::new();
            for (index, input) in given.iter().enumerate() {
                let name = argument_name(port.name, port.kind, index, &input.name);
                values.push(builder.argument(&name, Role::Input, concrete(&input.tensor_type, sizes)));
            }
            inputs.push(values);
        }
        let parameters: Vec<(&'static str, ValueId)> = checked
            .parameters
            .iter()
            .map(|parameter| {
                let shape = parameter.shape.iter().map(|dim| dim.evaluate(sizes).expect("a size") as usize);
                let own = TensorType { dtype: parameter.dtype, shape: shape.collect() };
                let role = match parameter.kind {
                    ParameterKind::Trained => Role::Parameter { trained: true },
                    ParameterKind::Buffer => Role::State,
                };
                (parameter.name, builder.argument(&format!("parameter.{}", parameter.name), role, own))
            })
            .collect();
        let call =
            LowerCall::new(self.schema, &self.fields, sizes, &inputs, &parameters, &outputs, Mode { training, drops: training });
        let values = self.op.lower(&call, &mut builder)?;
        Ok(Lowered { builder, values, outputs })
    }
}

/// A lowered node: the builder, the values of its outputs and the types that they should have.
pub struct Lowered {
    pub builder: Builder,
    pub values: SmallVec<[ValueId; 2]>,
    pub outputs: Vec<TensorType>,
}

impl Lowered {
    /// The program with the node's outputs `0`, `1`, ...
    pub fn finish(mut self) -> Program {
        for (index, value) in self.values.iter().enumerate() {
            self.builder.output(&index.to_string(), *value);
        }
        self.builder.finish()
    }
}

/// The argument that an input becomes.
pub fn argument_name(port: &str, kind: PortKind, index: usize, name: &str) -> String {
    match kind {
        PortKind::Many => format!("{port}.{index}"),
        PortKind::Named => name.to_string(),
        _ => port.to_string(),
    }
}

pub fn concrete(own: &SymbolicType, sizes: &Sizes) -> TensorType {
    let shape = own.shape.iter().map(|dim| {
        let value = dim.evaluate(sizes).unwrap_or_else(|error| panic!("{dim}: {error}"));
        usize::try_from(value).unwrap_or_else(|_| panic!("{dim} is {value}"))
    });
    TensorType { dtype: own.dtype, shape: shape.collect() }
}

fn formula(text: &str, inputs: &Object<String, Value>) -> FormulaText {
    let expression = expr::parse(text).expect("a formula");
    let mut mentioned = Vec::new();
    names(&expression, &mut mentioned);
    let meaning = |name: String| {
        let input = inputs.keys().position(|own| *own == name);
        let stands_for = input.map_or_else(|| FormulaName::Size(Dim::name(&name)), FormulaName::Input);
        (name, stands_for)
    };
    FormulaText::new(expression.into(), text.into(), mentioned.into_iter().map(meaning).collect())
}

/// An array from `{"dtype": "F32", "shape": [..], "data": [..]}`.
pub fn array(value: &Value) -> Array {
    let shape: Vec<usize> =
        value["shape"].as_array().expect("sizes").iter().map(|own| own.as_u64().expect("a size") as usize).collect();
    let data = value["data"].as_array().expect("numbers").iter().map(number).collect();
    Array::new(dtype(value["dtype"].as_str().expect("a dtype")), &shape, data)
}

fn number(value: &Value) -> f64 {
    match value.as_str() {
        Some("inf") => f64::INFINITY,
        Some("-inf") => f64::NEG_INFINITY,
        Some(_) => f64::NAN,
        None => value.as_f64().expect("a number"),
    }
}

/// Values for names.
pub fn sizes(value: &Value) -> Sizes {
    value.as_object().expect("sizes by name").iter().map(|(name, size)| (name.as_str(), size.as_i64().expect("a size"))).collect()
}

/// Arrays by argument name.
pub type Arguments = BTreeMap<String, Array>;
