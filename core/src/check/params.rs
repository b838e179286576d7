//! The values of params: of the root file and of every module that is placed.

use super::checked::ResolvedParam;
use super::elaborate::Elaborator;
use super::instance::Instance;
use super::values;
use crate::diagnostic::{Diagnostic, codes};
use crate::dim::{Bindings, Dim};
use crate::expr::Constant;
use crate::language::{FieldExpression, FieldForm, Module, ParamDeclaration, ParamKind, UseBody};
use crate::source::{FileId, Span};
use crate::suggest::nearest;

impl Elaborator<'_, '_> {
    /// Gives the params of a placed module their values: set from outside, by the `Use`, or by default.
    pub(super) fn use_params(
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
        if !self.overrides.sets.is_empty() {
            self.settable.extend(module.params.iter().map(|param| format!("{path}.{}", param.name.value)));
        }
        let mut bindings = Bindings::new();
        for declaration in &module.params {
            let overridden =
                if self.overrides.sets.is_empty() { None } else { self.overrides.set_at(path, &declaration.name.value) };
            let given = body.params.iter().find(|(name, _)| name.value == declaration.name.value).map(|(_, value)| value);
            let expression = overridden.map(|set| &set.value).or(given);
            let value = match expression {
                Some(expression) => self.param_value(instance, declaration, expression, &instance.names),
                None => self.default_param(instance, declaration, body.span, placed),
            };
            match value {
                Some(value) => {
                    self.params.push(ResolvedParam::new(&placed.path, declaration, expression, value.clone()));
                    if matches!(declaration.kind, ParamKind::File) {
                        let file = match expression {
                            Some(expression) => Some(self.written_in(expression, instance)),
                            None => declaration.default.as_ref().map(|default| self.written_in(default, placed)),
                        };
                        placed.written_in.extend(file.map(|file| (declaration.name.value.clone(), file)));
                    }
                    define(&mut placed.names, &mut bindings, &declaration.name.value, value);
                }
                None => sound = false,
            }
        }
        sound.then_some(bindings)
    }

    /// The file that a param's path is relative to: the one it was written in, as far back as params hand it on. What the command line
    /// sets is written as if the root file named it.
    fn written_in(&self, expression: &FieldExpression, scope: &Instance<'_>) -> FileId {
        if let FieldForm::Text { text, .. } = &expression.form
            && let Some(file) = scope.file_of(text)
        {
            return file;
        }
        let is_override = self.overrides.sets.iter().any(|set| set.span.file == expression.span.file);
        match self.stack.first() {
            Some((root, _)) if is_override => *root,
            None if is_override => scope.module.file,
            _ => expression.span.file,
        }
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

    /// Gives the root's params their values; an `Int` without default stands for every whole number.
    pub(super) fn root_params(&mut self, root: &mut Instance<'_>) -> bool {
        let mut sound = true;
        if !self.overrides.sets.is_empty() {
            self.settable.extend(root.module.params.iter().map(|param| param.name.value.to_string()));
        }
        for declaration in &root.module.params {
            let overridden = self.overrides.set_at("", &declaration.name.value);
            let names = root.names.clone();
            let expression = overridden.map(|set| &set.value);
            let value = match (expression.or(declaration.default.as_ref()), &declaration.kind) {
                (Some(expression), _) => self.param_value(root, declaration, expression, &names),
                (None, ParamKind::Int { .. }) => Some(Constant::Int(Dim::name(&declaration.name.value))),
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
                    if let (ParamKind::File, Some(written)) = (&declaration.kind, expression.or(declaration.default.as_ref())) {
                        let file = self.written_in(written, root);
                        root.written_in.insert(declaration.name.value.clone(), file);
                    }
                    root.names.define(&declaration.name.value, value);
                }
                None => sound = false,
            }
        }
        sound
    }
}

fn define(names: &mut values::Names, bindings: &mut Bindings, name: &str, value: Constant) {
    if let Constant::Int(dim) = &value {
        bindings.insert(name, dim.clone());
    }
    names.define(name, value);
}
