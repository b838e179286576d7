//! Answers of ops' rules, kept: a block that stands forty times in a graph, or in forty files, is reasoned about once.
//!
//! What a rule says depends on the op, its fields' values, the types that arrive and, where it had to compare sizes, the obligations
//! that are known; where all of these are the same, so is the answer. Only answers without complaints are kept: a complaint belongs to
//! its place.

use super::instance::Tensor;
use crate::dim::{Dim, Obligation};
use crate::op::{Differentiable, FieldValue, Fields, ParameterSpec, Schema, SymbolicType};
use rustc_hash::{FxHashMap, FxHasher};
use smallvec::SmallVec;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The most answers that are kept: more distinct nodes than any library has, and few enough to hold in memory.
const MAX_ANSWERS: usize = 20_000;

/// The tensors that arrive at one port, each with what it is named by.
pub type AtPort<N> = SmallVec<[(N, Tensor); 1]>;
/// The tensors that arrive at an op, by port.
pub type Arrived<N> = SmallVec<[AtPort<N>; 2]>;

/// What an op's rules say of a node.
#[derive(Debug)]
pub struct Answer {
    /// The outputs' names.
    pub names: SmallVec<[Arc<str>; 1]>,
    /// Their types.
    pub outputs: SmallVec<[SymbolicType; 1]>,
    /// Floating point operations of the forward pass.
    pub flops: Dim,
    /// How gradients pass, for every port.
    pub gradients: SmallVec<[Differentiable; 2]>,
    /// The parameters that the op makes.
    pub parameters: Vec<ParameterSpec>,
    /// What the rule demands of sizes.
    pub obligations: Vec<Obligation>,
}

/// What an answer was given to.
#[derive(Debug)]
struct Question {
    schema: &'static Schema,
    /// The obligations that were known, where the rule asked for them.
    known: Option<KnownId>,
    values: SmallVec<[FieldValue; 4]>,
    is_written: u64,
    types: SmallVec<[SmallVec<[SymbolicType; 1]>; 2]>,
    answer: Arc<Answer>,
}

/// A list of known obligations, by number: equal lists have equal numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct KnownId(u32);

/// The answers so far.
#[derive(Debug, Default)]
pub struct Rules {
    answers: FxHashMap<u64, SmallVec<[Question; 1]>>,
    count: usize,
    known: FxHashMap<(KnownId, Obligation), KnownId>,
    /// The defaults of schemas that were met, by name.
    defaults: FxHashMap<&'static str, Fields>,
}

impl Rules {
    /// The default fields of an op.
    pub fn defaults(&mut self, schema: &'static Schema) -> Fields {
        self.defaults.entry(schema.name).or_insert_with(|| Fields::defaults(schema)).clone()
    }

    /// The list that one more obligation makes of another.
    pub fn extend(&mut self, known: KnownId, obligation: &Obligation) -> KnownId {
        let next = KnownId(self.known.len() as u32 + 1);
        *self.known.entry((known, obligation.clone())).or_insert(next)
    }

    /// The answer that was given to the same question, if it was asked; and the question's hash, to keep an answer under.
    pub fn find<N>(
        &self,
        schema: &'static Schema,
        known: KnownId,
        fields: &Fields,
        arrived: &Arrived<N>,
    ) -> (u64, Option<Arc<Answer>>) {
        let mut hasher = FxHasher::default();
        std::ptr::from_ref(schema).hash(&mut hasher);
        fields.values.iter().for_each(|value| hash_value(value, &mut hasher));
        for (_, tensor) in arrived.iter().flatten() {
            tensor.tensor_type.dtype.hash(&mut hasher);
            tensor.tensor_type.shape.hash(&mut hasher);
        }
        let hash = hasher.finish();
        let is_written = written(fields);
        let same_types = |question: &Question| {
            question.types.len() == arrived.len()
                && question.types.iter().zip(arrived).all(|(types, tensors)| {
                    types.len() == tensors.len() && types.iter().zip(tensors).all(|(own, (_, tensor))| *own == tensor.tensor_type)
                })
        };
        let found = self.answers.get(&hash).and_then(|questions| {
            questions.iter().find(|question| {
                std::ptr::eq(question.schema, schema)
                    && question.known.is_none_or(|own| own == known)
                    && question.is_written == is_written
                    && question.values.iter().zip(&fields.values).all(|(own, other)| same_value(own, other))
                    && same_types(question)
            })
        });
        (hash, found.map(|question| question.answer.clone()))
    }

    /// Keeps an answer.
    pub fn keep<N>(
        &mut self,
        hash: u64,
        schema: &'static Schema,
        known: Option<KnownId>,
        fields: &Fields,
        arrived: &Arrived<N>,
        answer: Arc<Answer>,
    ) {
        if self.count >= MAX_ANSWERS {
            return;
        }
        self.count += 1;
        let types = arrived.iter().map(|port| port.iter().map(|(_, tensor)| tensor.tensor_type.clone()).collect()).collect();
        let is_written = written(fields);
        let question = Question { schema, known, values: fields.values.clone(), is_written, types, answer };
        self.answers.entry(hash).or_default().push(question);
    }
}

/// Which fields were written rather than left at their defaults: rules may ask.
fn written(fields: &Fields) -> u64 {
    fields.spans.iter().enumerate().filter(|(_, span)| span.is_some()).fold(0, |set, (index, _)| set | 1 << (index % 64))
}

/// Whether rules see two values as one: a formula's names are its own affair.
fn same_value(own: &FieldValue, other: &FieldValue) -> bool {
    match (own, other) {
        (FieldValue::Formula(own), FieldValue::Formula(other)) => {
            let ((own, names), (other, other_names)) = (own.function(), other.function());
            own == other && names.eq(other_names)
        }
        _ => own == other,
    }
}

fn hash_value(value: &FieldValue, hasher: &mut FxHasher) {
    std::mem::discriminant(value).hash(hasher);
    match value {
        FieldValue::Dim(dim) => dim.hash(hasher),
        FieldValue::Float(number) => number.to_bits().hash(hasher),
        FieldValue::Flag(flag) => flag.hash(hasher),
        FieldValue::Choice(word) => word.hash(hasher),
        FieldValue::Text(text) => text.hash(hasher),
        FieldValue::List(items) => items.iter().for_each(|item| hash_value(item, hasher)),
        FieldValue::DType(dtype) => dtype.hash(hasher),
        FieldValue::Formula(formula) => formula.function().0.hash(hasher),
        FieldValue::Absent | FieldValue::Same | FieldValue::Initial(_) => {}
    }
}
