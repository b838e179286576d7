//! Elaborating an op: its fields, what arrives, its rule for types, its parameters.

use super::checked::{Node, NodeKind, Source};
use super::elaborate::{Elaborator, number_tensor};
use super::instance::{Feed, Instance, Outcome, Tensor, join};
use super::rules::{Answer, Arrived, AtPort};
use super::values;
use crate::diagnostic::{Diagnostic, codes};
use crate::dim::Dim;
use crate::expr::{self, Constant, Scope};
use crate::language::{FieldForm, OpBody, SourceExpression};
use crate::op::{
    Accepts, Call, FieldKind, FieldValue, Fields, FormulaName, FormulaText, Input, Outputs, Port, PortKind, output_names,
};
use crate::program::DType;
use crate::source::Span;
use smallvec::SmallVec;
use std::sync::Arc;

/// A reference as it was written, and its place.
type Named = (Arc<str>, Span);

impl Elaborator<'_, '_> {
    /// Elaborates one op. `trained` says whether its parameters are trained, in place of the op and the instance.
    pub(super) fn plain_op(
        &mut self,
        instance: &mut Instance<'_>,
        body: &OpBody,
        name: &str,
        weights: &str,
        feed: Feed,
        trained: Option<bool>,
    ) -> Outcome {
        let schema = body.op.schema();
        let path = join(&instance.path, name);
        let mut obligations = Vec::new();
        let Some(mut fields) = self.fields(instance, body, &path, &mut obligations) else {
            return Outcome::broken();
        };
        let has_main = matches!(schema.outputs, Outputs::OnRequest(_));
        let unknown = |fields: &Fields| Outcome {
            outputs: output_names(schema, fields).iter().map(|name| (Arc::from(name.as_str()), None)).collect(),
            has_main,
            broken: false,
        };
        let Some(arrived) = self.op_inputs(instance, body, name, feed, &mut fields) else {
            return unknown(&fields);
        };
        // What the fields demand holds for the op's own rule too: `shape: ["height / 16"]` speaks of heights that 16 divides.
        self.oblige(obligations);
        let Some(answer) = self.answer(instance, body, &fields, &arrived) else {
            return unknown(&fields);
        };
        let owner = body.shares.as_ref().or(body.weights.as_ref()).map_or(weights, |stated| stated.value.as_str());
        let mut declared = SmallVec::new();
        for spec in &answer.parameters {
            let key = spec.name;
            let full = parameter_name(&instance.weights, owner, key);
            let trained = trained.unwrap_or(instance.trained && body.trained);
            let is_shared = instance.shared || body.shares.is_some();
            let Some(index) = self.parameter(instance, full, spec.clone(), trained, is_shared, &path, body.span) else {
                return unknown(&fields);
            };
            declared.push((key, index));
        }
        let node = Node {
            path,
            kind: NodeKind::Op { op: body.op, fields, flops: answer.flops.clone(), gradients: answer.gradients.clone() },
            inputs: arrived.iter().map(|port| port.iter().map(|(_, tensor)| tensor.source).collect()).collect(),
            outputs: answer.outputs.clone(),
            parameters: declared,
            span: body.span,
            placed_at: instance.placed_at,
        };
        let Some(index) = self.add_node(instance, node) else {
            return Outcome::broken();
        };
        let outputs = answer.names.iter().zip(&answer.outputs).enumerate().map(|(output, (name, tensor_type))| {
            let source = Source::Node { node: index, output: output as u16 };
            (name.clone(), Some(Tensor { source, tensor_type: tensor_type.clone(), span: body.span }))
        });
        Outcome { outputs: outputs.collect(), has_main, broken: false }
    }

    /// What the op's rules say, from before or anew. `None` where they complain; the complaints are reported.
    fn answer(
        &mut self,
        instance: &Instance<'_>,
        body: &OpBody,
        fields: &Fields,
        arrived: &Arrived<Named>,
    ) -> Option<Arc<Answer>> {
        let schema = body.op.schema();
        let known_id = self.known_id;
        let (hash, found) = self.session.rules.find(schema, known_id, fields, arrived);
        // What an answer demands is noted with its place, so it is found anew where the graph does not demand it yet.
        let is_new = found.is_none();
        if let Some(answer) = found
            && answer.obligations.iter().all(|obligation| self.known.contains(obligation))
        {
            return Some(answer);
        }
        let inputs: SmallVec<[SmallVec<[Input; 1]>; 4]> = arrived
            .iter()
            .map(|port| {
                let input = |((name, span), tensor): &(Named, Tensor)| Input {
                    tensor_type: tensor.tensor_type.clone(),
                    span: *span,
                    producer: Some(tensor.span),
                    name: name.clone(),
                };
                port.iter().map(input).collect()
            })
            .collect();
        if !self.dtypes_hold(instance, schema.ports, &inputs, schema.name) {
            return None;
        }
        let known = std::mem::take(&mut self.known);
        let mut call = Call::new(schema, body.span, fields, &inputs, &known);
        let inferred = body.op.infer(&mut call);
        let flops = match &inferred {
            Ok(outputs) => body.op.flops(&call, outputs),
            Err(_) => Ok(Dim::ZERO),
        };
        let gradients = schema.ports.iter().map(|port| body.op.differentiable(&call, port.name)).collect();
        let asked_known = call.asked_known();
        let (parameters, obligations, complaints) = call.finish();
        self.known = known;
        let counted = flops.is_ok();
        let flops = flops.unwrap_or_else(|error| {
            let text = format!("the floating point operations cannot be counted: {error}");
            self.push_in(instance, Diagnostic::new(codes::SIZE_ARITHMETIC, text, body.span));
            Dim::ZERO
        });
        let sound = complaints.is_empty();
        for complaint in complaints {
            let mut diagnostic = Diagnostic::new(complaint.code, complaint.message, complaint.span).text(complaint.label);
            for (span, text) in complaint.labels {
                diagnostic = diagnostic.label(span, text);
            }
            for help in complaint.help {
                diagnostic = diagnostic.help(help);
            }
            self.push_in(instance, diagnostic);
        }
        let demanded = obligations.iter().map(|(obligation, _)| obligation.clone()).collect();
        self.oblige(obligations);
        let (Ok(outputs), true) = (inferred, sound) else { return None };
        let names: SmallVec<[Arc<str>; 1]> = output_names(schema, fields).iter().map(|name| Arc::from(name.as_str())).collect();
        debug_assert_eq!(outputs.len(), names.len(), "{} names its outputs", schema.name);
        let outputs = outputs.into_iter().collect();
        let answer = Arc::new(Answer { names, outputs, flops, gradients, parameters, obligations: demanded });
        if counted && is_new {
            self.session.rules.keep(hash, schema, asked_known.then_some(known_id), fields, arrived, answer.clone());
        }
        Some(answer)
    }

    /// Evaluates the fields of an op; overrides first. `None` where one is wrong.
    fn fields(
        &mut self,
        instance: &Instance<'_>,
        body: &OpBody,
        path: &str,
        obligations: &mut values::Obligations,
    ) -> Option<Fields> {
        let schema = body.op.schema();
        let mut fields = self.session.rules.defaults(schema);
        let mut sound = true;
        if !self.overrides.sets.is_empty() {
            self.settable.extend(schema.fields.iter().map(|field| format!("{path}.{}", field.name)));
        }
        for (index, field) in schema.fields.iter().enumerate() {
            let overridden = if self.overrides.sets.is_empty() { None } else { self.overrides.set_at(path, field.name) };
            let Some(expression) = overridden.map(|set| &set.value).or(body.fields[index].as_ref()) else {
                continue;
            };
            fields.spans[index] = Some(expression.span);
            if field.kind == FieldKind::Formula {
                continue;
            }
            match values::field(schema.name, field.name, field.kind, expression, &instance.names, obligations) {
                Ok(value) => fields.values[index] = value,
                Err(diagnostic) => {
                    self.push_in(instance, diagnostic);
                    sound = false;
                }
            }
        }
        sound.then_some(fields)
    }

    /// The tensors that arrive at an op, with the text and place of each reference. `None` where one is unknown.
    fn op_inputs(
        &mut self,
        instance: &Instance<'_>,
        body: &OpBody,
        name: &str,
        feed: Feed,
        fields: &mut Fields,
    ) -> Option<Arrived<Named>> {
        let schema = body.op.schema();
        let mut fed = match feed {
            Feed::None => None,
            Feed::First(tensor) => Some(tensor?),
            Feed::Iteration(outcome) => Some(self.only(instance, &outcome, body.span, name)?),
        };
        let is_iteration_over = body.ports.first().is_some_and(Option::is_some);
        let mut sound = true;
        let mut inputs = Arrived::with_capacity(schema.ports.len());
        for (index, port) in schema.ports.iter().enumerate() {
            let mut arrived = AtPort::<Named>::new();
            let fed_here = match &body.ports[index] {
                // Later iterations of a repeat feed the first input, although the first iteration names it.
                Some(_) => index == 0 && is_iteration_over && fed.is_some(),
                None => matches!(port.kind, PortKind::One | PortKind::Many) && fed.is_some(),
            };
            if port.kind == PortKind::Named {
                match self.formula(instance, body, fields, &mut arrived) {
                    Some(()) => {}
                    None => sound = false,
                }
            } else if fed_here {
                let tensor = fed.take().expect("just seen");
                arrived.push(((Arc::from("the step before"), body.span), tensor));
            } else if let Some(expression) = &body.ports[index] {
                for source in &expression.sources {
                    match source {
                        SourceExpression::Number(number, span) => {
                            arrived.push(((Arc::from(number.to_string()), *span), number_tensor(*number, *span)));
                        }
                        SourceExpression::Reference(reference) => match self.reference(instance, reference) {
                            Some(tensors) => {
                                if tensors.len() != 1 && !expression.is_list {
                                    let text = format!(
                                        "`{}` stands for {} tensors where one is expected",
                                        reference.text,
                                        tensors.len()
                                    );
                                    let diagnostic = Diagnostic::new(codes::FIELD_FORM, text, reference.span);
                                    self.push_in(instance, diagnostic.help("write it inside a list: [\"...\"]"));
                                    sound = false;
                                }
                                arrived
                                    .extend(tensors.into_iter().map(|tensor| ((reference.text.clone(), reference.span), tensor)));
                            }
                            None => sound = false,
                        },
                    }
                }
            }
            inputs.push(arrived);
        }
        sound.then_some(inputs)
    }

    /// Resolves the names of a formula: tensors go to the port, numbers and sizes into the field.
    fn formula(
        &mut self,
        instance: &Instance<'_>,
        body: &OpBody,
        fields: &mut Fields,
        arrived: &mut AtPort<Named>,
    ) -> Option<()> {
        let schema = body.op.schema();
        let index = schema.fields.iter().position(|field| field.kind == FieldKind::Formula)?;
        let written = body.fields[index].as_ref()?;
        let FieldForm::Text { text, expression } = &written.form else {
            let diagnostic = Diagnostic::new(
                codes::FIELD_FORM,
                format!("a formula is a text in quotes, not {}", written.describe()),
                written.span,
            );
            self.push_in(instance, diagnostic);
            return None;
        };
        let Some(expression) = expression else {
            if let Err(error) = expr::parse(text) {
                self.push_in(instance, values::expression_error(&error, text, written.span));
            }
            return None;
        };
        let mut mentioned: Vec<(String, std::ops::Range<usize>)> = Vec::new();
        expression.for_each_name(&mut |name, range| {
            if !mentioned.iter().any(|(known, _)| known == name) {
                mentioned.push((name.to_string(), range));
            }
        });
        let mut names = Vec::with_capacity(mentioned.len());
        let mut sound = true;
        for (name, range) in mentioned {
            let node = name.split(':').next().unwrap_or(&name);
            let span = crate::language::within(written.span, text, range);
            let is_tensor = instance.inputs.contains_key(node)
                || instance.results.contains_key(node)
                || instance.module.node_index.contains_key(node);
            if !is_tensor && let Some(value) = instance.names.lookup(&name).or_else(|| expr::named_constant(&name)) {
                let value = match (value.as_float(), value) {
                    (Some(number), _) => FormulaName::Number(number),
                    (None, Constant::Int(dim)) => FormulaName::Size(dim),
                    (None, Constant::Bool(flag)) => FormulaName::Number(f64::from(flag)),
                    (None, other) => {
                        let diagnostic = Diagnostic::new(
                            codes::EXPRESSION,
                            format!("`{name}` is {}, a formula takes tensors and numbers", other.kind()),
                            span,
                        );
                        self.push_in(instance, diagnostic);
                        sound = false;
                        continue;
                    }
                };
                names.push((name, value));
                continue;
            }
            match self.named(instance, &name, span) {
                Some(tensor) => {
                    names.push((name.clone(), FormulaName::Input(arrived.len())));
                    arrived.push(((Arc::from(name), span), tensor));
                }
                None => sound = false,
            }
        }
        fields.values[index] = FieldValue::Formula(Arc::new(FormulaText::new(expression.clone(), text.clone(), names)));
        sound.then_some(())
    }

    fn dtypes_hold(&mut self, instance: &Instance<'_>, ports: &[Port], inputs: &[SmallVec<[Input; 1]>], op: &str) -> bool {
        let mut sound = true;
        for (port, inputs) in ports.iter().zip(inputs) {
            for input in inputs {
                let dtype = input.tensor_type.dtype;
                let (fits, expected) = match port.accepts {
                    Accepts::Float => (dtype == DType::F32, "F32"),
                    Accepts::Integer => (dtype == DType::I64, "I64"),
                    Accepts::Bool => (dtype == DType::Bool, "Bool"),
                    Accepts::Number => (dtype != DType::Bool, "F32 or I64"),
                    Accepts::Any => (true, ""),
                };
                if !fits {
                    let found = dtype.to_string().to_uppercase();
                    let mut diagnostic = Diagnostic::new(
                        codes::DTYPE,
                        format!("`{op}.{}` takes {expected}, `{}` is {found}", port.name, input.name),
                        input.span,
                    )
                    .help("Cast(from: ..., to: F32) changes the dtype");
                    if let Some(producer) = input.producer {
                        diagnostic = diagnostic.label(producer, format!("made here: {}", input.tensor_type));
                    }
                    self.push_in(instance, diagnostic);
                    sound = false;
                }
            }
        }
        sound
    }
}

/// A parameter's full name: what the placing nodes are called, the node, and the parameter; any of them may be empty.
fn parameter_name(weights: &str, owner: &str, key: &str) -> String {
    let mut name = String::with_capacity(weights.len() + owner.len() + key.len() + 2);
    for part in [weights, owner, key].into_iter().filter(|part| !part.is_empty()) {
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(part);
    }
    name
}
