//! From the names that nodes read to tensors.

use super::elaborate::{Elaborator, number_tensor};
use super::instance::{Instance, Outcome, ReferenceText, Tensor};
use super::values;
use crate::diagnostic::{Diagnostic, codes};
use crate::language::{Reference, SourceExpression};
use crate::source::Span;
use crate::suggest::nearest;

impl Elaborator<'_, '_> {
    /// What an input field names: a tensor, or nothing where an error was reported.
    pub(super) fn source(&mut self, instance: &Instance<'_>, source: &SourceExpression) -> Option<Tensor> {
        match source {
            SourceExpression::Number(number, span) => Some(number_tensor(*number, *span)),
            SourceExpression::Reference(reference) => {
                let tensors = self.reference(instance, reference)?;
                self.single(instance, reference, tensors)
            }
        }
    }

    /// The tensors that a reference means: several where its template gives a list. `None` where an error was reported.
    pub(super) fn reference(&mut self, instance: &Instance<'_>, reference: &Reference) -> Option<Vec<Tensor>> {
        if !reference.is_template {
            return Some(vec![self.named(instance, &reference.text, reference.span)?]);
        }
        match crate::expr::interpolate(&reference.text, &instance.names) {
            Ok(crate::expr::Interpolated::One(text)) => Some(vec![self.named(instance, &text, reference.span)?]),
            Ok(crate::expr::Interpolated::Many(texts)) => {
                texts.iter().map(|text| self.named(instance, text, reference.span)).collect()
            }
            Err(error) => {
                let diagnostic = values::expression_error(&error, &reference.text, reference.span);
                self.push_in(instance, diagnostic);
                None
            }
        }
    }

    pub(super) fn single(&mut self, instance: &Instance<'_>, reference: &Reference, mut tensors: Vec<Tensor>) -> Option<Tensor> {
        if tensors.len() != 1 {
            let text = format!("`{}` stands for {} tensors where one is expected", reference.text, tensors.len());
            self.push_in(instance, Diagnostic::new(codes::FIELD_FORM, text, reference.span));
            return None;
        }
        tensors.pop()
    }

    /// The tensor of that name: an input, a node's only or main output, or `node:port`.
    pub(super) fn named(&mut self, instance: &Instance<'_>, text: &str, span: Span) -> Option<Tensor> {
        let (node, port) = match text.split_once(':') {
            Some((node, port)) => (node, Some(port)),
            None => (text, None),
        };
        if let Some(input) = instance.inputs.get(node) {
            if let Some(port) = port {
                let text = format!("`{node}` is an input: it has no port `{port}`");
                self.push_in(instance, Diagnostic::new(codes::UNKNOWN_PORT, text, span).help(format!("write \"{node}\"")));
                return None;
            }
            return input.clone();
        }
        let Some(outcome) = instance.results.get(node) else {
            self.unknown_node(instance, node, span);
            return None;
        };
        if outcome.broken {
            return None;
        }
        match port {
            Some(port) => match outcome.outputs.iter().find(|(own, _)| &**own == port) {
                Some((_, tensor)) => tensor.clone(),
                None => {
                    let known: Vec<&str> = outcome.outputs.iter().map(|(own, _)| &**own).collect();
                    let mut diagnostic = Diagnostic::new(codes::UNKNOWN_PORT, format!("`{node}` has no output `{port}`"), span);
                    diagnostic = match (nearest(port, known.iter().copied()), known.as_slice()) {
                        (_, [_]) => diagnostic.help(format!("it has one output: write \"{node}\"")),
                        (Some(near), _) => diagnostic.suggest(Some(near)),
                        (None, _) => diagnostic.help(format!("its outputs are {}", known.join(", "))),
                    };
                    self.push_in(instance, diagnostic);
                    None
                }
            },
            None => match (outcome.alone(), outcome.outputs.as_slice()) {
                (Some(tensor), _) => tensor.clone(),
                (None, []) => {
                    self.push_in(instance, Diagnostic::new(codes::UNKNOWN_PORT, format!("`{node}` has no outputs"), span));
                    None
                }
                (None, several) => {
                    let names: Vec<String> = several.iter().map(|(own, _)| format!("\"{node}:{own}\"")).collect();
                    let diagnostic = Diagnostic::new(
                        codes::SEVERAL_OUTPUTS,
                        format!("`{node}` has {} outputs: say which", several.len()),
                        span,
                    )
                    .help(format!("write one of {}", names.join(", ")));
                    self.push_in(instance, diagnostic);
                    None
                }
            },
        }
    }

    fn unknown_node(&mut self, instance: &Instance<'_>, node: &str, span: Span) {
        let module = instance.module;
        // A declared node without a result stands on a cycle or reads something unknown: reported there.
        if module.node_index.contains_key(node)
            || module.candidates(ReferenceText::Formula(node)).iter().any(|index| {
                let name = &module.nodes[*index].name.value;
                instance.results.get(name).is_none_or(|outcome| outcome.broken)
            })
        {
            return;
        }
        // To compare with every name of a large file takes time, and a file may have many faults: what is left is for the first ones.
        let names = instance.inputs.len() + instance.results.len();
        if self.session.diagnostics.is_full() || names > self.comparisons_left {
            self.push_in(
                instance,
                Diagnostic::new(codes::UNKNOWN_NODE, format!("there is no node or input called `{node}`"), span),
            );
            return;
        }
        self.comparisons_left -= names;
        let mut known: Vec<&str> = instance.inputs.keys().chain(instance.results.keys()).map(|name| &**name).collect();
        known.sort_unstable();
        let diagnostic = Diagnostic::new(codes::UNKNOWN_NODE, format!("there is no node or input called `{node}`"), span);
        let diagnostic = match nearest(node, known.iter().copied()) {
            Some(near) => diagnostic.suggest(Some(near)),
            None if known.len() <= 12 && !known.is_empty() => diagnostic.help(format!("the names here are {}", known.join(", "))),
            None => diagnostic,
        };
        self.push_in(instance, diagnostic);
    }

    /// The only or main output of a step, which feeds the next one.
    pub(super) fn only(&mut self, instance: &Instance<'_>, outcome: &Outcome, span: Span, name: &str) -> Option<Tensor> {
        if outcome.broken {
            return None;
        }
        if let Some(tensor) = outcome.alone() {
            return tensor.clone();
        }
        let text = format!("the step `{name}` has {} outputs; a chain goes on with exactly one", outcome.outputs.len());
        let diagnostic = Diagnostic::new(codes::SEVERAL_OUTPUTS, text, span);
        self.push_in(instance, diagnostic.help("make it a node of its own and name the output that goes on"));
        None
    }
}
