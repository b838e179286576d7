//! Elaborating the three kinds of bodies that do something: ops, `Use` and `Repeat`.

use super::checked::{Node, NodeKind, ResolvedParam, Source};
use super::elaborate::{Elaborator, MAX_USE_DEPTH, number_tensor};
use super::instance::{Feed, Instance, Outcome, Tensor, join};
use super::values;
use crate::diagnostic::{Diagnostic, codes};
use crate::dim::{Bindings, Dim, Unification, unify};
use crate::expr::{Constant, Scope};
use crate::language::{
    FieldExpression, FieldForm, GraphFile, Module, OpBody, ParamDeclaration, PortDeclaration, RepeatBody, RepeatCount,
    SourceExpression, TypeExpression, UseBody,
};
use crate::op::{
    Accepts, Call, FieldKind, FieldValue, Fields, FormulaName, FormulaText, Input, Port, PortKind, SymbolicType, display_shape,
    output_names,
};
use crate::program::DType;
use crate::source::Span;
use crate::suggest::nearest;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::sync::Arc;

/// The most iterations of one `Repeat`.
const MAX_ITERATIONS: i64 = 10_000;

impl Elaborator<'_, '_> {
    pub(super) fn op(&mut self, instance: &mut Instance<'_>, body: &OpBody, name: &str, weights: &str, feed: Feed) -> Outcome {
        let schema = body.op.schema();
        let path = join(&instance.path, name);
        let mut obligations = Vec::new();
        let Some(mut fields) = self.fields(instance, body, &path, &mut obligations) else {
            return Outcome::broken();
        };
        let names = output_names(schema, &fields);
        let unknown = || Outcome { outputs: names.iter().map(|name| (Arc::from(name.as_str()), None)).collect(), broken: false };
        let Some(inputs) = self.op_inputs(instance, body, name, feed, &mut fields) else {
            return unknown();
        };
        let sources: SmallVec<[SmallVec<[Source; 1]>; 2]> =
            inputs.iter().map(|port| port.iter().map(|(_, tensor)| tensor.source).collect()).collect();
        let inputs: SmallVec<[SmallVec<[Input; 1]>; 4]> = inputs
            .into_iter()
            .map(|port| {
                port.into_iter()
                    .map(|((name, span), tensor)| Input {
                        tensor_type: tensor.tensor_type,
                        span,
                        producer: Some(tensor.span),
                        name,
                    })
                    .collect()
            })
            .collect();
        if !self.dtypes_hold(instance, schema.ports, &inputs, schema.name) {
            return unknown();
        }
        // What the fields demand holds for the op's own rule too: `shape: ["height / 16"]` speaks of heights that 16 divides.
        self.oblige(obligations);
        let known = std::mem::take(&mut self.known);
        let mut call = Call::new(schema, body.span, &fields, &inputs, &known);
        let inferred = body.op.infer(&mut call);
        let flops = match &inferred {
            Ok(outputs) => body.op.flops(&call, outputs),
            Err(_) => Ok(Dim::ZERO),
        };
        let gradients = schema.ports.iter().map(|port| body.op.differentiable(&call, port.name)).collect();
        let (parameters, op_obligations, complaints) = call.finish();
        self.known = known;
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
        self.oblige(op_obligations);
        let (Ok(outputs), true) = (inferred, sound) else {
            return unknown();
        };
        debug_assert_eq!(outputs.len(), names.len(), "{} names its outputs", schema.name);
        let owner = body.shares.as_ref().or(body.weights.as_ref()).map_or(weights, |stated| stated.value.as_str());
        let mut declared = SmallVec::new();
        for spec in parameters {
            let key = spec.name;
            let full = join(&join(&instance.weights, owner), key);
            let trained = instance.trained && body.trained;
            let is_shared = instance.shared || body.shares.is_some();
            let Some(index) = self.parameter(instance, full.to_string(), spec, trained, is_shared, &path, body.span) else {
                return unknown();
            };
            declared.push((key, index));
        }
        let node = Node {
            path: path.clone(),
            kind: NodeKind::Op { op: body.op, fields, flops, gradients },
            inputs: sources,
            outputs: outputs.iter().cloned().collect(),
            parameters: declared,
            span: body.span,
            placed_at: instance.placed_at,
        };
        let Some(index) = self.add_node(instance, node) else {
            return Outcome::broken();
        };
        let outputs = names.into_iter().zip(outputs).enumerate().map(|(output, (name, tensor_type))| {
            let source = Source::Node { node: index, output: output as u16 };
            (Arc::from(name), Some(Tensor { source, tensor_type, span: body.span }))
        });
        Outcome { outputs: outputs.collect(), broken: false }
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
        let mut fields = Fields::defaults(schema);
        let mut sound = true;
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
    #[allow(clippy::type_complexity)]
    fn op_inputs(
        &mut self,
        instance: &Instance<'_>,
        body: &OpBody,
        name: &str,
        feed: Feed,
        fields: &mut Fields,
    ) -> Option<Vec<SmallVec<[((String, Span), Tensor); 1]>>> {
        let schema = body.op.schema();
        let mut fed = match feed {
            Feed::None => None,
            Feed::First(tensor) => Some(tensor?),
            Feed::Iteration(outcome) => Some(self.only(instance, &outcome, body.span, name)?),
        };
        let is_iteration_over = body.ports.first().is_some_and(Option::is_some);
        let mut sound = true;
        let mut inputs = Vec::with_capacity(schema.ports.len());
        for (index, port) in schema.ports.iter().enumerate() {
            let mut arrived: SmallVec<[((String, Span), Tensor); 1]> = SmallVec::new();
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
                arrived.push((("the step before".to_string(), body.span), tensor));
            } else if let Some(expression) = &body.ports[index] {
                for source in &expression.sources {
                    match source {
                        SourceExpression::Number(number, span) => {
                            arrived.push(((number.to_string(), *span), number_tensor(*number, *span)));
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
                                arrived.extend(
                                    tensors.into_iter().map(|tensor| ((reference.text.to_string(), reference.span), tensor)),
                                );
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
        arrived: &mut SmallVec<[((String, Span), Tensor); 1]>,
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
            if let Err(error) = crate::expr::parse(text) {
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
            if !is_tensor && let Some(value) = instance.names.lookup(&name) {
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
                    arrived.push(((name, span), tensor));
                }
                None => sound = false,
            }
        }
        fields.values[index] =
            FieldValue::Formula(Arc::new(FormulaText { expression: expression.clone(), text: text.clone(), names }));
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

    pub(super) fn repeat(
        &mut self,
        instance: &mut Instance<'_>,
        body: &RepeatBody,
        name: &str,
        weights: &str,
        feed: Feed,
    ) -> Outcome {
        let mut obligations = Vec::new();
        let frames: Vec<Vec<(Arc<str>, Constant)>> = match &body.count {
            RepeatCount::Times(times) => {
                let path = join(&instance.path, name);
                let times = self.overrides.set_at(&path, "times").map(|set| &set.value).unwrap_or(times);
                let count = match values::constant(times, &instance.names, &mut obligations) {
                    Ok(value) => value,
                    Err(diagnostic) => {
                        self.push_in(instance, diagnostic);
                        return Outcome::broken();
                    }
                };
                let Some(count) = count.as_int().filter(|count| *count >= 1) else {
                    let text = format!(
                        "`Repeat.times` is a whole number of at least 1 that is known when the graph is read; here it is {count}"
                    );
                    self.push_in(instance, Diagnostic::new(codes::FIELD_VALUE, text, times.span));
                    return Outcome::broken();
                };
                if count > MAX_ITERATIONS {
                    let text = format!("`Repeat.times` is {count}; at most {MAX_ITERATIONS} are allowed");
                    self.push_in(instance, Diagnostic::new(codes::EXPANSION, text, times.span));
                    return Outcome::broken();
                }
                vec![Vec::new(); count as usize]
            }
            RepeatCount::Over(sets) => {
                let mut frames = Vec::with_capacity(sets.len());
                for set in sets {
                    let mut frame = Vec::with_capacity(set.len());
                    for (name, value) in set {
                        match values::constant(value, &instance.names, &mut obligations) {
                            Ok(value) => frame.push((name.value.clone(), value)),
                            Err(diagnostic) => {
                                self.push_in(instance, diagnostic);
                                return Outcome::broken();
                            }
                        }
                    }
                    frames.push(frame);
                }
                frames
            }
        };
        if frames.is_empty() {
            self.push_in(instance, Diagnostic::new(codes::FIELD_VALUE, "`Repeat.over` needs at least one set", body.span));
            return Outcome::broken();
        }
        self.oblige(obligations);
        let mut feed = feed;
        let mut last = Outcome::broken();
        for (index, mut frame) in frames.into_iter().enumerate() {
            frame.push((Arc::from("index"), Constant::Int(Dim::constant(index as i64))));
            instance.names.push(frame);
            let step = join(name, &index.to_string());
            last = self.body(instance, &body.of, &step, &join(weights, &index.to_string()), feed);
            instance.names.pop();
            instance.results.insert(step, last.clone());
            if last.broken || self.stopped {
                return Outcome::broken();
            }
            feed = Feed::Iteration(last.clone());
        }
        last
    }

    pub(super) fn place(
        &mut self,
        instance: &mut Instance<'_>,
        body: &UseBody,
        name: &str,
        weights: &str,
        feed: Feed,
    ) -> Outcome {
        let path = join(&instance.path, name);
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
            _ => instance.module.file,
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
            inputs: FxHashMap::default(),
            results: FxHashMap::default(),
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
            return Outcome { outputs, broken: false };
        }
        if !self.bind_inputs(instance, module, arrived, bindings, &mut placed) {
            return Outcome::broken();
        }
        self.stack.push((file, body.span));
        let outcome = self.run(&mut placed);
        self.stack.pop();
        outcome
    }

    /// Gives the params of a placed module their values: set from outside, by the `Use`, or by default.
    fn use_params(
        &mut self,
        instance: &Instance<'_>,
        body: &UseBody,
        module: &Module,
        path: &str,
        swapped: bool,
        placed: &mut Instance<'_>,
    ) -> Option<Bindings> {
        let mut sound = true;
        for (name, _) in &body.params {
            if !module.params.iter().any(|param| param.name.value == name.value) {
                let known: Vec<&str> = module.params.iter().map(|param| &*param.name.value).collect();
                let file = self.session.sources.path(module.file).to_string();
                let mut diagnostic =
                    Diagnostic::new(codes::UNKNOWN_PARAM, format!("`{file}` has no param `{}`", name.value), name.span);
                diagnostic = match nearest(&name.value, known.iter().copied()) {
                    Some(near) => diagnostic.suggest(Some(near)),
                    None if known.is_empty() => diagnostic.help("it has no params"),
                    None => diagnostic.help(format!("its params are {}", known.join(", "))),
                };
                if swapped {
                    // A swapped-in module need not have the params of the one that it replaces.
                    diagnostic =
                        diagnostic.severity(crate::diagnostic::Severity::Note).text("not handed to the module swapped in");
                } else {
                    sound = false;
                }
                self.push_in(instance, diagnostic);
            }
        }
        let mut bindings = Bindings::new();
        for declaration in &module.params {
            let overridden =
                if self.overrides.sets.is_empty() { None } else { self.overrides.set_at(path, &declaration.name.value) };
            let given = body.params.iter().find(|(name, _)| name.value == declaration.name.value).map(|(_, value)| value);
            let expression = overridden.map(|set| &set.value).or(given);
            let value = match expression {
                Some(expression) => self.param_value(instance, declaration, expression, &instance.names.clone()),
                None => self.default_param(instance, declaration, body.span, placed),
            };
            match value {
                Some(value) => {
                    self.params.push(ResolvedParam::new(&placed.path, declaration, expression, value.clone()));
                    define(&mut placed.names, &mut bindings, &declaration.name.value, value);
                }
                None => sound = false,
            }
        }
        sound.then_some(bindings)
    }

    /// The value of a param, evaluated in the names of who sets it.
    pub(super) fn param_value(
        &mut self,
        instance: &Instance<'_>,
        declaration: &ParamDeclaration,
        expression: &FieldExpression,
        names: &values::Names,
    ) -> Option<Constant> {
        let mut obligations = Vec::new();
        match values::param(&declaration.name.value, &declaration.kind, expression, names, &mut obligations) {
            Ok(value) => {
                self.oblige(obligations);
                Some(value)
            }
            Err(diagnostic) => {
                let diagnostic = diagnostic.label(declaration.span, "declared here");
                self.push_in(instance, diagnostic);
                None
            }
        }
    }

    fn default_param(
        &mut self,
        instance: &Instance<'_>,
        declaration: &ParamDeclaration,
        at: Span,
        placed: &Instance<'_>,
    ) -> Option<Constant> {
        match &declaration.default {
            Some(default) => self.param_value(instance, declaration, default, &placed.names),
            None => {
                let name = &declaration.name.value;
                let diagnostic =
                    Diagnostic::new(codes::MISSING_PARAM, format!("the param `{name}` has no default and must be set"), at)
                        .label(declaration.span, "declared here")
                        .help(format!("write params: {{ \"{name}\": ... }}"));
                self.push_in(instance, diagnostic);
                None
            }
        }
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
                    match outcome.outputs.as_slice() {
                        [(_, tensor)] if !module.inputs.is_empty() => given[0] = Some((tensor.clone(), body.span)),
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

    /// Matches the declared types of a placed module with what arrives, and binds its dimensions.
    pub(super) fn bind_inputs(
        &mut self,
        caller: &Instance<'_>,
        module: &Module,
        arrived: Vec<(Option<Tensor>, Span)>,
        mut bindings: Bindings,
        placed: &mut Instance<'_>,
    ) -> bool {
        let mut sound = true;
        // Bare names first: compound sizes of any input may then use them.
        for bare in [true, false] {
            for (declared, (tensor, span)) in module.inputs.iter().zip(&arrived) {
                let Some(tensor) = tensor else { continue };
                if bare && !self.dtype_and_rank_fit(caller, declared, tensor, *span) {
                    sound = false;
                    continue;
                }
                if declared.tensor_type.shape.len() != tensor.tensor_type.shape.len() {
                    continue;
                }
                for (axis, size) in declared.tensor_type.shape.iter().enumerate() {
                    let Some(pattern) = self.pattern(caller, placed, size, &bindings) else {
                        sound = false;
                        continue;
                    };
                    if pattern.as_name().is_some() == bare {
                        sound &= self.unify_axis(caller, declared, tensor, *span, axis, &pattern, &mut bindings);
                    }
                }
            }
        }
        if !sound {
            return false;
        }
        for (name, dim) in bindings.iter() {
            if placed.names.lookup(name.as_str()).is_none() {
                placed.names.define(name.as_str(), Constant::Int(dim.clone()));
            }
        }
        for (declared, (tensor, _)) in module.inputs.iter().zip(arrived) {
            placed.inputs.insert(declared.name.value.clone(), tensor);
        }
        true
    }

    fn dtype_and_rank_fit(&mut self, caller: &Instance<'_>, declared: &PortDeclaration, tensor: &Tensor, span: Span) -> bool {
        let (expected, found) = (&declared.tensor_type, &tensor.tensor_type);
        let name = &declared.name.value;
        if expected.dtype != found.dtype {
            let text = format!("the input `{name}` is {}, what arrives is {}", word(expected.dtype), word(found.dtype));
            let diagnostic = Diagnostic::new(codes::DTYPE, text, span)
                .label(expected.span, "declared here")
                .label(tensor.span, format!("made here: {found}"));
            self.push_in(caller, diagnostic);
            return false;
        }
        if expected.shape.len() != found.shape.len() {
            let text = format!(
                "the input `{name}` has {} axes, what arrives has {}: {}",
                expected.shape.len(),
                found.shape.len(),
                display_shape(&found.shape)
            );
            let diagnostic =
                Diagnostic::new(codes::RANK, text, span).label(expected.span, "declared here").label(tensor.span, "made here");
            self.push_in(caller, diagnostic.help("Reshape, Mean or Permute change the number or order of axes"));
            return false;
        }
        if !expected.domain.contains(&found.domain) {
            let diagnostic = domain_error(name, &expected.domain, found, span)
                .label(expected.span, "declared here")
                .label(tensor.span, "made here");
            self.push_in(caller, diagnostic);
            return false;
        }
        true
    }

    /// A declared size with its own names left open.
    fn pattern(
        &mut self,
        caller: &Instance<'_>,
        placed: &Instance<'_>,
        size: &crate::language::SizeExpression,
        bindings: &Bindings,
    ) -> Option<Dim> {
        let names = PatternNames { names: &placed.names, bindings };
        match crate::expr::evaluate(&size.expression, &names) {
            Ok(evaluated) => match evaluated.value {
                Constant::Int(dim) => Some(dim),
                other => {
                    let diagnostic =
                        Diagnostic::new(codes::EXPRESSION, format!("a size is a whole number, not {other}"), size.span);
                    self.push_in(caller, diagnostic);
                    None
                }
            },
            Err(error) => {
                let text = size.expression.to_string();
                self.push_in(caller, values::expression_error(&error, &text, size.span));
                None
            }
        }
    }

    fn unify_axis(
        &mut self,
        caller: &Instance<'_>,
        declared: &PortDeclaration,
        tensor: &Tensor,
        span: Span,
        axis: usize,
        pattern: &Dim,
        bindings: &mut Bindings,
    ) -> bool {
        let actual = &tensor.tensor_type.shape[axis];
        let known = self.known.clone();
        let name = &declared.name.value;
        let place = declared.tensor_type.shape[axis].span;
        let mismatch = |expected: &Dim, more: String| {
            let text = format!("axis {axis} of the input `{name}` is {expected}, what arrives has {actual}: {more}");
            Diagnostic::new(codes::SHAPE, text, span)
                .label(place, format!("declared as {pattern}"))
                .label(tensor.span, format!("{} is made here", display_shape(&tensor.tensor_type.shape)))
        };
        let diagnostic = match unify(pattern, actual, bindings, &known) {
            Ok(Unification::Matches(obligation)) => {
                self.oblige(obligation.map(|obligation| (obligation, span)));
                return true;
            }
            Ok(Unification::Differs { expected, counterexample }) => mismatch(&expected, counterexample.to_string()),
            Ok(Unification::Undecided { expected }) => mismatch(&expected, "it cannot be shown that they are equal".to_string()),
            Ok(Unification::Unsolvable { name }) => mismatch(pattern, format!("no `{name}` makes them equal")),
            Ok(Unification::Unbound(names)) => {
                let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
                Diagnostic::new(codes::UNBOUND, format!("nothing says how large `{}` is", names.join("`, `")), place)
                    .help("a name is bound where it stands alone in the shape of an input, or is a param")
            }
            Err(error) => Diagnostic::new(codes::SIZE_ARITHMETIC, error.to_string(), span),
        };
        self.push_in(caller, diagnostic);
        false
    }

    /// Compares an inferred type with a stated one.
    pub(super) fn compare_stated(&mut self, instance: &Instance<'_>, stated: &TypeExpression, tensor: &Tensor, span: Span) {
        let found = &tensor.tensor_type;
        let made = format!("made here: {found}");
        if stated.dtype != found.dtype {
            let text = format!("stated as {}, but it is {}", word(stated.dtype), word(found.dtype));
            self.push_in(instance, Diagnostic::new(codes::DTYPE, text, stated.span).label(tensor.span, made));
            return;
        }
        if stated.shape.len() != found.shape.len() {
            let text = format!(
                "stated with {} axes, but it has {}: {}",
                stated.shape.len(),
                found.shape.len(),
                display_shape(&found.shape)
            );
            self.push_in(instance, Diagnostic::new(codes::RANK, text, stated.span).label(tensor.span, made));
            return;
        }
        let mut obligations = Vec::new();
        for (axis, size) in stated.shape.iter().enumerate() {
            let text = size.expression.to_string();
            let value = match values::evaluate(&size.expression, &text, size.span, &instance.names, &mut obligations) {
                Ok(Constant::Int(dim)) => dim,
                Ok(other) => {
                    let diagnostic =
                        Diagnostic::new(codes::EXPRESSION, format!("a size is a whole number, not {other}"), size.span);
                    self.push_in(instance, diagnostic);
                    continue;
                }
                Err(diagnostic) => {
                    self.push_in(instance, diagnostic);
                    continue;
                }
            };
            self.oblige(std::mem::take(&mut obligations));
            let actual = &found.shape[axis];
            let reason = match crate::dim::compare(&value, actual, &self.known) {
                crate::dim::Verdict::Equal => continue,
                crate::dim::Verdict::Different(example) => example.to_string(),
                crate::dim::Verdict::Undecided => "it cannot be shown that they are equal".to_string(),
            };
            let diagnostic = Diagnostic::new(
                codes::SHAPE,
                format!("axis {axis} is stated as {value}, but it is {actual}: {reason}"),
                size.span,
            )
            .label(tensor.span, made.clone());
            self.push_in(instance, diagnostic);
        }
        if !stated.domain.contains(&found.domain) {
            let diagnostic = domain_error("output", &stated.domain, found, span).label(tensor.span, "made here");
            self.push_in(instance, diagnostic);
        }
    }

    /// Gives the root's params their values; an `Int` without default stands for every whole number.
    pub(super) fn root_params(&mut self, root: &mut Instance<'_>) -> bool {
        let mut sound = true;
        for declaration in &root.module.params {
            let overridden = self.overrides.set_at("", &declaration.name.value);
            let names = root.names.clone();
            let expression = overridden.map(|set| &set.value);
            let value = match (expression.or(declaration.default.as_ref()), &declaration.kind) {
                (Some(expression), _) => self.param_value(root, declaration, expression, &names),
                (None, crate::language::ParamKind::Int { .. }) => Some(Constant::Int(Dim::name(&declaration.name.value))),
                (None, _) => {
                    let name = &declaration.name.value;
                    let text = format!("the param `{name}` has no default, so the file cannot be checked by itself");
                    let diagnostic = Diagnostic::new(codes::MISSING_PARAM, text, declaration.span);
                    self.push_in(root, diagnostic.help(format!("give it a default, or --set {name}=...")));
                    None
                }
            };
            match value {
                Some(value) => {
                    self.params.push(ResolvedParam::new(&root.path, declaration, expression, value.clone()));
                    root.names.define(&declaration.name.value, value);
                }
                None => sound = false,
            }
        }
        sound
    }
}

struct PatternNames<'a> {
    names: &'a values::Names,
    bindings: &'a Bindings,
}

impl Scope for PatternNames<'_> {
    fn lookup(&self, name: &str) -> Option<Constant> {
        match self.names.lookup(name) {
            // A param that is a size takes part as a name that is bound already: its value is in the caller's terms.
            Some(Constant::Int(dim)) if dim.as_constant().is_none() && self.bindings.get(name).is_some() => {
                Some(Constant::Int(Dim::name(name)))
            }
            Some(value) => Some(value),
            None => Some(Constant::Int(Dim::name(name))),
        }
    }

    fn names(&self) -> Vec<String> {
        self.names.names()
    }
}

fn define(names: &mut values::Names, bindings: &mut Bindings, name: &str, value: Constant) {
    if let Constant::Int(dim) = &value {
        bindings.insert(name, dim.clone());
    }
    names.define(name, value);
}

fn source_span(source: &SourceExpression) -> Span {
    match source {
        SourceExpression::Reference(reference) => reference.span,
        SourceExpression::Number(_, span) => *span,
    }
}

/// A dtype as graph files write it.
pub(super) fn word(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "F32",
        DType::BF16 => "BF16",
        DType::I64 => "I64",
        DType::Bool => "Bool",
    }
}

/// The error for values that may lie outside a domain.
pub(super) fn domain_error(name: &str, expected: &crate::domain::Domain, found: &SymbolicType, span: Span) -> Diagnostic {
    let diagnostic =
        Diagnostic::new(codes::DOMAIN, format!("`{name}` must be {expected}, what arrives is {}", found.domain), span);
    if expected.low >= 0.0 && found.domain.low < 0.0 {
        return diagnostic.help("Softplus or Exp make values positive, Sigmoid puts them between 0 and 1");
    }
    diagnostic
}
