//! Matching declared types with those that arrive: the dimensions of a placed module, and types that a file states.

use super::elaborate::Elaborator;
use super::instance::{Instance, Tensor};
use super::values;
use crate::diagnostic::{Diagnostic, codes};
use crate::dim::{Bindings, Dim, Unification, unify};
use crate::expr::{Constant, Scope};
use crate::language::{Module, PortDeclaration, TypeExpression};
use crate::op::{SymbolicType, display_shape};
use crate::program::DType;
use crate::source::Span;
use smallvec::SmallVec;

impl Elaborator<'_, '_> {
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
        // Which names are params is settled before dimensions are bound.
        let mut patterns: Vec<SmallVec<[Option<Dim>; 4]>> = Vec::with_capacity(module.inputs.len());
        for (declared, (tensor, _)) in module.inputs.iter().zip(&arrived) {
            let sizes = declared.tensor_type.shape.iter().filter(|_| tensor.is_some());
            patterns.push(sizes.map(|size| self.pattern(caller, placed, size, &bindings)).collect());
        }
        // Bare names first: compound sizes of any input may then use them.
        for bare in [true, false] {
            for ((declared, (tensor, span)), patterns) in module.inputs.iter().zip(&arrived).zip(&patterns) {
                let Some(tensor) = tensor else { continue };
                if bare && !self.dtype_and_rank_fit(caller, declared, tensor, *span) {
                    sound = false;
                    continue;
                }
                if declared.tensor_type.shape.len() != tensor.tensor_type.shape.len() {
                    continue;
                }
                for (axis, pattern) in patterns.iter().enumerate() {
                    match pattern {
                        Some(pattern) if pattern.as_name().is_some() == bare => {
                            sound &= self.unify_axis(caller, declared, tensor, *span, axis, pattern, &mut bindings);
                        }
                        Some(_) => {}
                        None => sound = false,
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
        let known = std::mem::take(&mut self.known);
        let name = &declared.name.value;
        let place = declared.tensor_type.shape[axis].span;
        let mismatch = |expected: &Dim, more: String| {
            let text = format!("axis {axis} of the input `{name}` is {expected}, what arrives has {actual}: {more}");
            Diagnostic::new(codes::SHAPE, text, span)
                .label(place, format!("declared as {pattern}"))
                .label(tensor.span, format!("{} is made here", display_shape(&tensor.tensor_type.shape)))
        };
        let unified = unify(pattern, actual, bindings, &known);
        self.known = known;
        let diagnostic = match unified {
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
        let made = || format!("made here: {found}");
        if stated.dtype != found.dtype {
            let text = format!("stated as {}, but it is {}", word(stated.dtype), word(found.dtype));
            self.push_in(instance, Diagnostic::new(codes::DTYPE, text, stated.span).label(tensor.span, made()));
            return;
        }
        if stated.shape.len() != found.shape.len() {
            let text = format!(
                "stated with {} axes, but it has {}: {}",
                stated.shape.len(),
                found.shape.len(),
                display_shape(&found.shape)
            );
            self.push_in(instance, Diagnostic::new(codes::RANK, text, stated.span).label(tensor.span, made()));
            return;
        }
        let mut obligations = Vec::new();
        for (axis, size) in stated.shape.iter().enumerate() {
            let value = match values::evaluate(&size.expression, None, size.span, &instance.names, &mut obligations) {
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
            .label(tensor.span, made());
            self.push_in(instance, diagnostic);
        }
        if !stated.domain.contains(&found.domain) {
            let diagnostic = domain_error("output", &stated.domain, found, span).label(tensor.span, "made here");
            self.push_in(instance, diagnostic);
        }
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
