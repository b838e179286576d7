//! What an op's rule for types sees of its node.

use super::view::list;
use super::{FieldValue, FieldView, Fields, Initializer, ParameterKind, ParameterSpec, PortKind, Schema, SymbolicType};
use crate::diagnostic::Code;
use crate::diagnostic::codes;
use crate::dim::{Dim, DimError, Obligation, Verdict, compare};
use crate::program::DType;
use crate::source::Span;
use smallvec::SmallVec;
use std::any::Any;
use std::cell::{Cell, OnceCell};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

/// The rule has complained and gives no types.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused;

/// A tensor that arrives at a port.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its type.
    pub tensor_type: SymbolicType,
    /// The reference's place in the node.
    pub span: Span,
    /// Where the tensor was made: the producing node's place, for a second label.
    pub producer: Option<Span>,
    /// The reference as written, for messages.
    pub name: Arc<str>,
}

/// One finding of a rule, turned into a diagnostic by the checker.
#[derive(Clone, Debug)]
pub struct Complaint {
    /// The code.
    pub code: Code,
    /// The sentence.
    pub message: String,
    /// The text at the place.
    pub label: String,
    /// The place: a field's or port's, or the node's.
    pub span: Span,
    /// More places with their texts.
    pub labels: Vec<(Span, String)>,
    /// The mend, where one is known.
    pub help: Vec<String>,
}

impl Complaint {
    /// Adds the text at the main place.
    pub fn label(&mut self, text: impl Into<String>) -> &mut Complaint {
        self.label = text.into();
        self
    }

    /// Adds another place.
    pub fn also(&mut self, span: Span, text: impl Into<String>) -> &mut Complaint {
        self.labels.push((span, text.into()));
        self
    }

    /// Adds a mend.
    pub fn help(&mut self, text: impl Into<String>) -> &mut Complaint {
        self.help.push(text.into());
        self
    }
}

/// A node, as its op's rules see it: its fields (those of [`FieldView`], and here those that are symbolic), and the types that arrive.
#[derive(Debug)]
pub struct Call<'a> {
    view: FieldView<'a>,
    node: Span,
    inputs: &'a [SmallVec<[Input; 1]>],
    known: &'a [Obligation],
    /// Whether the obligations that are known had a part in what the rule says.
    asked_known: Cell<bool>,
    parameters: Vec<ParameterSpec>,
    obligations: Vec<(Obligation, Span)>,
    complaints: Vec<Complaint>,
    /// What the op's rules share.
    shared: OnceCell<Rc<dyn Any>>,
}

impl<'a> Deref for Call<'a> {
    type Target = FieldView<'a>;

    fn deref(&self) -> &FieldView<'a> {
        &self.view
    }
}

impl<'a> Call<'a> {
    /// A call from its parts. `inputs` has one list for every port of the schema, of the length that the port's kind allows; `known` are
    /// the obligations that the graph is under already.
    pub fn new(
        schema: &'static Schema,
        node: Span,
        fields: &'a Fields,
        inputs: &'a [SmallVec<[Input; 1]>],
        known: &'a [Obligation],
    ) -> Call<'a> {
        let (parameters, obligations, complaints) = (Vec::new(), Vec::new(), Vec::new());
        let (view, asked_known) = (FieldView::symbolic(schema, fields), Cell::new(false));
        let shared = OnceCell::new();
        Call { view, node, inputs, known, asked_known, parameters, obligations, complaints, shared }
    }

    /// What the rule declared: parameters, obligations with their places, complaints.
    pub fn finish(self) -> (Vec<ParameterSpec>, Vec<(Obligation, Span)>, Vec<Complaint>) {
        (self.parameters, self.obligations, self.complaints)
    }

    /// Whether what the rule said so far may depend on the obligations that are known.
    pub fn asked_known(&self) -> bool {
        self.asked_known.get()
    }

    /// What several rules of an op need of this node, made once.
    ///
    /// # Panics
    /// When the rules of one op share things of different types.
    pub fn shared<T: 'static>(&self, make: impl FnOnce() -> T) -> Rc<T> {
        let shared = self.shared.get_or_init(|| Rc::new(make())).clone();
        shared.downcast().unwrap_or_else(|_| panic!("the rules of {} share things of different types", self.schema().name))
    }

    /// The node's place.
    pub fn node(&self) -> Span {
        self.node
    }

    fn port(&self, name: &str) -> &'a [Input] {
        let index = self.schema().ports.iter().position(|port| port.name == name);
        let index = index.unwrap_or_else(|| panic!("{} has no port `{name}`", self.schema().name));
        &self.inputs[index]
    }

    /// The type that arrives at a port of the kind `One`.
    pub fn input(&self, port: &str) -> &'a SymbolicType {
        &self.port(port)[0].tensor_type
    }

    /// The type that arrives at a port of the kind `Optional`, if one does.
    pub fn optional(&self, port: &str) -> Option<&'a SymbolicType> {
        self.port(port).first().map(|input| &input.tensor_type)
    }

    /// All inputs of a port, with places.
    pub fn inputs(&self, port: &str) -> &'a [Input] {
        self.port(port)
    }

    /// Inputs of all ports in the schema's order.
    pub fn all_inputs(&self) -> impl Iterator<Item = &'a Input> + use<'a> {
        self.inputs.iter().flatten()
    }

    /// A field of the kind `Dim` or `Int`.
    pub fn dim(&self, field: &str) -> Dim {
        self.optional_dim(field).unwrap_or_else(|| panic!("{}.{field} is absent", self.schema().name))
    }

    /// A field of the kind `Dim` or `Int` that may be absent.
    pub fn optional_dim(&self, field: &str) -> Option<Dim> {
        match self.value(field) {
            FieldValue::Dim(dim) => Some(dim.clone()),
            _ => None,
        }
    }

    /// A field of the kind `Initial`, or `otherwise` where absent.
    pub fn initial(&self, field: &str, otherwise: Initializer) -> Initializer {
        match self.value(field) {
            FieldValue::Initial(initial) => *initial,
            _ => otherwise,
        }
    }

    /// A field of the kind `Dims`, `Pair`: its sizes; `None` where absent.
    pub fn dims(&self, field: &str) -> Option<Vec<Dim>> {
        list(self.value(field), |item| match item {
            FieldValue::Dim(dim) => Some(dim.clone()),
            _ => None,
        })
    }

    /// A field of the kind `Pair`: sizes for height and width.
    pub fn pair(&self, field: &str) -> [Dim; 2] {
        let dims = self.dims(field).unwrap_or_else(|| panic!("{}.{field} is absent", self.schema().name));
        [dims[0].clone(), dims[1].clone()]
    }

    /// A field of the kind `Padding`: top, bottom, left, right; `None` for `Same`.
    pub fn padding(&self, field: &str) -> Option<[Dim; 4]> {
        let dims = self.dims(field)?;
        Some([dims[0].clone(), dims[1].clone(), dims[2].clone(), dims[3].clone()])
    }

    /// Whether the field was written (rather than a default).
    pub fn is_written(&self, field: &str) -> bool {
        self.fields().span(self.schema(), field).is_some()
    }

    /// The place of a field, or of the node where it was not written.
    pub fn field_span(&self, field: &str) -> Span {
        self.fields().span(self.schema(), field).unwrap_or(self.node)
    }

    /// Declares a parameter.
    pub fn parameter(&mut self, name: &'static str, shape: &[Dim], initial: Initializer) {
        let shape = shape.iter().cloned().collect();
        self.parameters.push(ParameterSpec { name, shape, initial, kind: ParameterKind::Trained, dtype: DType::F32 });
    }

    /// Declares a buffer: saved and loaded, but never given a gradient.
    pub fn buffer(&mut self, name: &'static str, dtype: DType, shape: &[Dim], initial: Initializer) {
        let shape = shape.iter().cloned().collect();
        self.parameters.push(ParameterSpec { name, shape, initial, kind: ParameterKind::Buffer, dtype });
    }

    /// States that this must hold, at the place of a field.
    pub fn oblige(&mut self, field: &str, obligation: Obligation) {
        let span = self.field_span(field);
        self.obligations.push((obligation, span));
    }

    /// Compares two sizes under all obligations that are known so far.
    pub fn compare(&self, left: &Dim, right: &Dim) -> Verdict {
        if left == right {
            return Verdict::Equal;
        }
        if left.as_constant().is_none() || right.as_constant().is_none() {
            self.asked_known.set(true);
        }
        if self.obligations.is_empty() {
            return compare(left, right, self.known);
        }
        let own = self.obligations.iter().map(|(obligation, _)| obligation.clone());
        let all: Vec<Obligation> = self.known.iter().cloned().chain(own).collect();
        compare(left, right, &all)
    }

    /// Whether two sizes are equal wherever the obligations hold.
    pub fn same(&self, left: &Dim, right: &Dim) -> bool {
        self.compare(left, right) == Verdict::Equal
    }

    /// The exact quotient, with its obligation at the place of a field; complains there where it never comes out.
    ///
    /// # Errors
    /// [`Refused`], after the complaint.
    pub fn exact_div(&mut self, field: &str, dividend: &Dim, divisor: &Dim) -> Result<Dim, Refused> {
        match dividend.exact_div(divisor) {
            Ok((quotient, obligation)) => {
                if let Some(obligation) = obligation {
                    self.oblige(field, obligation);
                }
                Ok(quotient)
            }
            Err(error @ DimError::NotDivisible { .. }) => {
                self.field_error(field, codes::NOT_DIVISIBLE, error.to_string());
                Err(Refused)
            }
            Err(error) => self.checked(Err(error)),
        }
    }

    /// The result of arithmetic with sizes; complains at the node where it fails.
    ///
    /// # Errors
    /// [`Refused`], after the complaint.
    pub fn checked<T>(&mut self, result: Result<T, DimError>) -> Result<T, Refused> {
        result.map_err(|error| {
            self.error(codes::SIZE_ARITHMETIC, error.to_string());
            Refused
        })
    }

    /// Complains at the node.
    pub fn error(&mut self, code: Code, message: impl Into<String>) -> &mut Complaint {
        self.complain(self.node, code, message)
    }

    /// Complains at a field.
    pub fn field_error(&mut self, field: &str, code: Code, message: impl Into<String>) -> &mut Complaint {
        self.complain(self.field_span(field), code, message)
    }

    /// Complains at a port's reference, and points at the node that made the tensor.
    pub fn port_error(&mut self, port: &str, index: usize, code: Code, message: impl Into<String>) -> &mut Complaint {
        let Some(input) = self.port(port).get(index) else {
            return self.error(code, message);
        };
        let text = format!("`{}` is {}", input.name, input.tensor_type);
        let complaint = self.complain(input.span, code, message);
        match input.producer {
            Some(producer) => complaint.also(producer, text),
            None => complaint.label(text),
        }
    }

    fn complain(&mut self, span: Span, code: Code, message: impl Into<String>) -> &mut Complaint {
        let message = message.into();
        self.complaints.push(Complaint { code, message, label: String::new(), span, labels: Vec::new(), help: Vec::new() });
        self.complaints.last_mut().expect("just pushed")
    }

    /// Whether a port of the kind `Many` or `Optional` has the inputs its kind allows; the resolver guarantees it.
    pub fn arity_holds(schema: &Schema, inputs: &[SmallVec<[Input; 1]>]) -> bool {
        schema.ports.iter().zip(inputs).all(|(port, inputs)| match port.kind {
            PortKind::One => inputs.len() == 1,
            PortKind::Optional => inputs.len() <= 1,
            PortKind::Many => !inputs.is_empty(),
            PortKind::Named => true,
        })
    }
}
