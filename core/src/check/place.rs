//! Elaborating `Use`: another module, with what arrives at its inputs.

use super::elaborate::{Elaborator, MAX_USE_DEPTH};
use super::instance::{Feed, Instance, Outcome, Tensor, join};
use super::values;
use crate::diagnostic::{Diagnostic, codes};
use crate::language::{GraphFile, Module, SourceExpression, UseBody};
use crate::source::Span;
use crate::suggest::nearest;
use rustc_hash::FxHashMap;

impl Elaborator<'_, '_> {
    pub(super) fn place(
        &mut self,
        instance: &mut Instance<'_>,
        body: &UseBody,
        name: &str,
        weights: &str,
        feed: Feed,
    ) -> Outcome {
        let path = join(&instance.path, name);
        if !self.overrides.swaps.is_empty() {
            self.swappable.push(path.to_string());
        }
        let swap = if self.overrides.swaps.is_empty() { None } else { self.overrides.swap_at(&path) };
        let (file_path, span, from_root) = match swap {
            Some(swap) => (swap.file.clone(), swap.span, true),
            None => match values::text(&body.module.value, body.module.span, &instance.names) {
                Ok(text) => (text, body.module.span, false),
                Err(diagnostic) => {
                    self.push_in(instance, diagnostic);
                    return Outcome::broken();
                }
            },
        };
        let referring = match self.stack.first() {
            Some((root, _)) if from_root => *root,
            // A param's path is relative to the file that it was written in, not to the one that uses it.
            _ => instance.file_of(&body.module.value).unwrap_or(instance.module.file),
        };
        let Some((file, graph_file)) = self.session.load(referring, &file_path, span) else {
            return Outcome::broken();
        };
        let module = match &*graph_file {
            GraphFile::Module(module) => module,
            other => {
                let kind = match other {
                    GraphFile::Interface(_) => "an Interface",
                    _ => "no Module",
                };
                let diagnostic = Diagnostic::new(
                    codes::NOT_A_MODULE,
                    format!("`{file_path}` holds {kind}; only a Module can be placed"),
                    span,
                );
                self.push_in(instance, diagnostic);
                return Outcome::broken();
            }
        };
        if let Some(position) = self.stack.iter().position(|(own, _)| *own == file) {
            let names: Vec<String> =
                self.stack[position..].iter().map(|(file, _)| self.session.sources.path(*file).to_string()).collect();
            let mut diagnostic = Diagnostic::new(
                codes::USE_CYCLE,
                format!("modules place each other in a cycle: {} -> {}", names.join(" -> "), self.session.sources.path(file)),
                span,
            )
            .text("this closes the cycle");
            for (_, place) in self.stack[position + 1..].iter().take(6) {
                diagnostic = diagnostic.label(*place, "by way of this one");
            }
            self.push(diagnostic.help("Repeat places a module several times in a row"));
            return Outcome::broken();
        }
        if self.stack.len() >= MAX_USE_DEPTH {
            self.push(Diagnostic::new(codes::EXPANSION, format!("modules are nested deeper than {MAX_USE_DEPTH}"), span));
            return Outcome::broken();
        }
        let shared_weights = body.shares.as_ref().map(|shares| shares.value.as_str());
        let own_weights = match (shared_weights, body.bare) {
            (Some(other), _) => join(&instance.weights, other),
            (None, true) => {
                // The name is left out: what stands before it in the path stays.
                let parent = weights.rfind('.').map_or("", |dot| &weights[..dot]);
                join(&instance.weights, parent)
            }
            (None, false) => join(&instance.weights, weights),
        };
        let mut placed = Instance {
            module,
            path: path.clone(),
            weights: own_weights,
            names: values::Names::default(),
            written_in: FxHashMap::default(),
            inputs: FxHashMap::default(),
            results: FxHashMap::with_capacity_and_hasher(module.nodes.len(), Default::default()),
            shared: instance.shared || body.shares.is_some(),
            trained: instance.trained && body.trained,
            placed_at: instance.placed_at.or(Some(body.span)),
        };
        let Some(bindings) = self.use_params(instance, body, module, &path, swap.is_some(), &mut placed) else {
            return Outcome::broken();
        };
        let arrived = self.use_inputs(instance, body, module, feed);
        let Some(arrived) = arrived else { return Outcome::broken() };
        if arrived.iter().any(|(tensor, _)| tensor.is_none()) {
            // An error was reported for what arrives; without its shape the module's dimensions would be unbound. The faults of the
            // module's own file are found when that file is checked.
            let outputs = module.outputs.iter().map(|output| (output.name.value.clone(), None)).collect();
            return Outcome::of(outputs);
        }
        if !self.bind_inputs(instance, module, arrived, bindings, &mut placed) {
            return Outcome::broken();
        }
        if let Some(outcome) = self.replay(file, &placed) {
            return outcome;
        }
        let start = self.mark();
        self.stack.push((file, body.span));
        let outcome = self.run(&mut placed);
        self.stack.pop();
        self.keep_expansion(file, placed, start, &outcome);
        outcome
    }

    /// What arrives at the inputs of a placed module, in the module's order. `None` where an error was reported.
    #[allow(clippy::type_complexity)]
    fn use_inputs(
        &mut self,
        instance: &Instance<'_>,
        body: &UseBody,
        module: &Module,
        feed: Feed,
    ) -> Option<Vec<(Option<Tensor>, Span)>> {
        let mut given: Vec<Option<(Option<Tensor>, Span)>> = vec![None; module.inputs.len()];
        let mut sound = module.broken_inputs.is_empty() && !module.has_broken_params;
        let mut misspelt = false;
        let file = self.session.sources.path(module.file).to_string();
        for (name, source) in &body.inputs {
            let Some(index) = module.inputs.iter().position(|input| input.name.value == name.value) else {
                let known: Vec<&str> = module.inputs.iter().map(|input| &*input.name.value).collect();
                let diagnostic =
                    Diagnostic::new(codes::UNKNOWN_INPUT, format!("`{file}` has no input `{}`", name.value), name.span);
                let diagnostic = match nearest(&name.value, known.iter().copied()) {
                    Some(near) => diagnostic.suggest(Some(near)),
                    None => diagnostic.help(format!("its inputs are {}", known.join(", "))),
                };
                self.push_in(instance, diagnostic);
                (sound, misspelt) = (false, true);
                continue;
            };
            given[index] = Some((self.source(instance, source), source_span(source)));
        }
        let first_open = |given: &[Option<(Option<Tensor>, Span)>]| given.iter().position(Option::is_none);
        if let Some(from) = &body.from {
            let tensor = self.source(instance, from);
            match first_open(&given) {
                Some(index) => given[index] = Some((tensor, source_span(from))),
                None => {
                    let text = format!("`from` has no input left to feed: `{file}` has {}", module.inputs.len());
                    self.push_in(instance, Diagnostic::new(codes::UNKNOWN_INPUT, text, source_span(from)));
                    sound = false;
                }
            }
        }
        match feed {
            Feed::None => {}
            Feed::First(tensor) => match first_open(&given) {
                Some(index) => given[index] = Some((tensor, body.span)),
                None => {
                    let text = "this module is fed by the step before, and all its inputs are named".to_string();
                    self.push_in(instance, Diagnostic::new(codes::FED_TWICE, text, body.span));
                    sound = false;
                }
            },
            Feed::Iteration(outcome) => {
                let mut matched = false;
                for (name, tensor) in &outcome.outputs {
                    if let Some(index) = module.inputs.iter().position(|input| input.name.value == *name) {
                        given[index] = Some((tensor.clone(), body.span));
                        matched = true;
                    }
                }
                if !matched {
                    match outcome.alone() {
                        Some(tensor) if !module.inputs.is_empty() => given[0] = Some((tensor.clone(), body.span)),
                        _ => {
                            let text = format!("no output of `{file}` has the name of one of its inputs: nothing is carried on");
                            let diagnostic = Diagnostic::new(codes::REPEAT_CARRY, text, body.span)
                                .help("give the output that the next iteration reads the name of the input that it goes to");
                            self.push_in(instance, diagnostic);
                            sound = false;
                        }
                    }
                }
            }
        }
        for (index, input) in module.inputs.iter().enumerate() {
            // An input of a name that is not there is probably this one, misspelt.
            if given[index].is_none() && !misspelt {
                let diagnostic = Diagnostic::new(
                    codes::MISSING_INPUT,
                    format!("the input `{}` of `{file}` is not given", input.name.value),
                    body.span,
                )
                .text(format!("`{}` is missing", input.name.value))
                .label(input.name.span, "declared here");
                self.push_in(instance, diagnostic);
                sound = false;
            }
        }
        sound.then(|| given.into_iter().flatten().collect())
    }
}

fn source_span(source: &SourceExpression) -> Span {
    match source {
        SourceExpression::Reference(reference) => reference.span,
        SourceExpression::Number(_, span) => *span,
    }
}
