//! From a syntax tree to a graph file: which fields there are, which forms they take.
//!
//! Everything that can be judged without values is judged here, once a file: unknown and missing fields, unknown ops, forms, names,
//! the syntax of expressions. A body that is broken becomes [`Body::Broken`], so that the rest of the file is still checked.

use super::fields::FieldReader;
use super::module::{
    Condition, ContractCase, FieldExpression, GraphFile, Interface, Module, NodeDeclaration, OutputDeclaration, ParamDeclaration,
    ParamKind, PortDeclaration, SizeExpression, TypeExpression,
};
use super::nodes::{read_body, read_reference};
use crate::diagnostic::{Diagnostic, Diagnostics, codes};
use crate::domain::Domain;
use crate::expr::{self, Expr};
use crate::op::Catalogue;
use crate::program::DType;
use crate::source::{FileId, Span, Spanned};
use crate::suggest::nearest;
use crate::syntax::{Kind, Value};
use std::sync::Arc;

const KINDS: &[&str] = &["Module", "Interface", "Data", "Transform", "Experiment", "Ablation", "Weights"];

/// Reads one file's tree. `None` where it is no graph file at all; the reason is pushed.
pub fn read_graph_file(file: FileId, tree: &Value, catalogue: &Catalogue, diagnostics: &mut Diagnostics) -> Option<GraphFile> {
    let mut reader = Reader { catalogue, diagnostics };
    let Kind::Call(call) = &tree.kind else {
        let found = tree.describe();
        reader.push(
            Diagnostic::new(
                codes::FILE_KIND,
                format!("a graph file holds a Module(...) or an Interface(...), this one holds {found}"),
                tree.span,
            )
            .help(format!("the kinds of file are {}", KINDS.join(", "))),
        );
        return None;
    };
    let Some(name) = &call.name else {
        reader.push(
            Diagnostic::new(codes::FILE_KIND, "the file's kind is not said", tree.span)
                .help("write Module( ... ) around the fields"),
        );
        return None;
    };
    match name.value.as_str() {
        "Module" => Some(GraphFile::Module(reader.module(file, tree, name.span))),
        "Interface" => Some(GraphFile::Interface(reader.interface(tree, name.span))),
        "Data" | "Transform" | "Experiment" | "Ablation" | "Weights" => {
            Some(GraphFile::Other { kind: name.clone(), tree: tree.clone() })
        }
        other => {
            reader.push(
                Diagnostic::new(codes::FILE_KIND, format!("there is no kind of file called `{other}`"), name.span)
                    .suggest(nearest(other, KINDS.iter().copied())),
            );
            None
        }
    }
}

/// What reading needs at hand.
pub(super) struct Reader<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) diagnostics: &'a mut Diagnostics,
}

impl Reader<'_> {
    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    fn module(&mut self, file: FileId, tree: &Value, span: Span) -> Module {
        let errors_before = self.diagnostics.errors();
        let mut fields = FieldReader::new(
            tree,
            "Module",
            &["doc", "implements", "params", "inputs", "requires", "nodes", "outputs", "contract"],
            self.diagnostics,
        );
        let doc = fields.text("doc", self.diagnostics);
        let implements = fields.list("implements", self.diagnostics);
        let params = fields.map("params", self.diagnostics);
        let inputs = fields.map("inputs", self.diagnostics);
        let nodes = fields.map("nodes", self.diagnostics);
        let outputs = fields.required_map("outputs", self.diagnostics);
        let requires = fields.list("requires", self.diagnostics);
        let contract = fields.value("contract");
        let implements = implements.into_iter().filter_map(|value| self.text(value, "the path of an interface file")).collect();
        let declared = params.len();
        let params: Vec<_> = params.into_iter().filter_map(|(name, value)| self.param(name, value)).collect();
        let has_broken_params = params.len() < declared;
        let mut broken_inputs = Vec::new();
        let inputs: Vec<_> = inputs
            .into_iter()
            .filter_map(|(name, value)| {
                let port = self.port(name.clone(), value);
                if port.is_none() {
                    broken_inputs.push(name.value);
                }
                port
            })
            .collect();
        let input_names: rustc_hash::FxHashMap<&str, Span> =
            inputs.iter().map(|input| (&*input.name.value, input.name.span)).collect();
        let mut node_index = rustc_hash::FxHashMap::default();
        let mut declarations = Vec::with_capacity(nodes.len());
        for (name, value) in nodes {
            self.check_name(&name);
            if let Some(input) = input_names.get(&*name.value) {
                self.push(
                    Diagnostic::new(codes::NAME_TAKEN, format!("`{}` names an input and a node", name.value), name.span)
                        .text("the node")
                        .label(*input, "the input")
                        .help("give the node another name"),
                );
            }
            node_index.insert(name.value.clone(), declarations.len());
            let body = read_body(self, value, true);
            declarations.push(NodeDeclaration { name, body });
        }
        let outputs = outputs.into_iter().filter_map(|(name, value)| self.output(name, value)).collect();
        let requires = requires.into_iter().filter_map(|value| self.condition(value)).collect();
        let contract = contract.map(|value| self.contract(value)).unwrap_or_default();
        let is_broken = self.diagnostics.errors() > errors_before;
        Module {
            file,
            span,
            doc,
            implements,
            params,
            is_broken,
            has_broken_params,
            inputs,
            broken_inputs,
            nodes: declarations,
            outputs,
            requires,
            contract,
            node_index,
            order: Default::default(),
        }
    }

    fn interface(&mut self, tree: &Value, span: Span) -> Interface {
        let mut fields = FieldReader::new(tree, "Interface", &["doc", "inputs", "outputs", "optional"], self.diagnostics);
        let doc = fields.text("doc", self.diagnostics);
        let inputs = fields.map("inputs", self.diagnostics);
        let outputs = fields.required_map("outputs", self.diagnostics);
        let optional = fields.map("optional", self.diagnostics);
        let mut ports = |entries: Vec<(Spanned<Arc<str>>, &Value)>| -> Vec<PortDeclaration> {
            entries.into_iter().filter_map(|(name, value)| self.port(name, value)).collect()
        };
        Interface { span, doc, inputs: ports(inputs), outputs: ports(outputs), optional: ports(optional) }
    }

    fn port(&mut self, name: Spanned<Arc<str>>, value: &Value) -> Option<PortDeclaration> {
        self.check_name(&name);
        Some(PortDeclaration { name, tensor_type: self.tensor_type(value)? })
    }

    fn output(&mut self, name: Spanned<Arc<str>>, value: &Value) -> Option<OutputDeclaration> {
        self.check_name(&name);
        let Kind::Call(call) = &value.kind else {
            return Some(OutputDeclaration { name, source: read_reference(self, value)?, tensor_type: None, condition: None });
        };
        match call.name.as_ref().map(|name| name.value.as_str()) {
            Some("As") => {
                let body = super::nodes::read_as(self, value)?;
                Some(OutputDeclaration { name, source: body.source, tensor_type: Some(body.tensor_type), condition: None })
            }
            Some("When") => {
                let mut fields = FieldReader::new(value, "When", &["condition", "from"], self.diagnostics);
                let condition = fields.required("condition", self.diagnostics)?;
                let from = fields.required("from", self.diagnostics)?;
                let condition = FieldExpression::of(condition);
                let inner = self.output(name, from)?;
                Some(OutputDeclaration { condition: Some(condition), ..inner })
            }
            _ => {
                self.push(
                    Diagnostic::new(codes::FORM, "an output is the name of a node", value.span).help(
                        "write \"node\", \"node:port\", As(\"node\", F32([...])) or When(condition: \"...\", from: \"node\")",
                    ),
                );
                None
            }
        }
    }

    /// A type, `F32(["batch", 3], domain: Positive)`.
    pub(super) fn tensor_type(&mut self, value: &Value) -> Option<TypeExpression> {
        const DTYPES: &[&str] = &["F32", "I64", "Bool"];
        let help = "a type is F32([...]), I64([...]) or Bool([...])";
        let Kind::Call(call) = &value.kind else {
            self.push(
                Diagnostic::new(codes::FORM, format!("expected a type, found {}", value.describe()), value.span).help(help),
            );
            return None;
        };
        let Some(name) = &call.name else {
            self.push(Diagnostic::new(codes::FORM, "expected a type", value.span).help(help));
            return None;
        };
        let dtype = match name.value.as_str() {
            "F32" => DType::F32,
            "I64" => DType::I64,
            "Bool" => DType::Bool,
            other => {
                self.push(
                    Diagnostic::new(codes::UNKNOWN_DTYPE, format!("there is no dtype called `{other}`"), name.span)
                        .suggest(nearest(other, DTYPES.iter().copied()))
                        .help(help),
                );
                return None;
            }
        };
        let mut fields = FieldReader::with_item(value, &name.value, "shape", &["shape", "domain"], self.diagnostics);
        let shape = fields.required("shape", self.diagnostics)?;
        let domain = fields.value("domain");
        let Kind::List(sizes) = &shape.kind else {
            self.push(
                Diagnostic::new(codes::FORM, format!("a shape is a list of sizes, not {}", shape.describe()), shape.span)
                    .help("write F32([\"batch\", 3])"),
            );
            return None;
        };
        let sizes = sizes.iter().map(|size| self.size(size)).collect::<Option<Vec<_>>>()?;
        let domain = match domain {
            Some(domain) => self.domain(domain)?,
            None => Domain::ANY,
        };
        Some(TypeExpression { dtype, shape: sizes, domain, span: value.span })
    }

    fn domain(&mut self, value: &Value) -> Option<Domain> {
        const NAMES: &[&str] = &["Any", "Finite", "NonNegative", "Positive", "Probability", "Unit"];
        let Kind::Name(name) = &value.kind else {
            self.push(
                Diagnostic::new(codes::FORM, format!("expected a domain, found {}", value.describe()), value.span)
                    .help(format!("the domains are {}", NAMES.join(", "))),
            );
            return None;
        };
        let domain = Domain::from_name(name);
        if domain.is_none() {
            self.push(
                Diagnostic::new(codes::UNKNOWN_DOMAIN, format!("there is no domain called `{name}`"), value.span)
                    .suggest(nearest(name, NAMES.iter().copied()))
                    .help(format!("the domains are {}", NAMES.join(", "))),
            );
        }
        domain
    }

    /// A size: a whole number or an expression in quotes.
    pub(super) fn size(&mut self, value: &Value) -> Option<SizeExpression> {
        let expression = match &value.kind {
            Kind::Integer(number) => Expr::integer(*number),
            Kind::Text(text) => self.expression(text, value.span)?,
            _ => {
                self.push(Diagnostic::new(
                    codes::FORM,
                    format!("a size is a whole number or an expression in quotes, not {}", value.describe()),
                    value.span,
                ));
                return None;
            }
        };
        Some(SizeExpression { expression, span: value.span })
    }

    /// Parses an expression in quotes.
    pub(super) fn expression(&mut self, text: &str, span: Span) -> Option<Expr> {
        match expr::parse(text) {
            Ok(expression) => Some(expression),
            Err(error) => {
                let place = within(span, text, error.range.clone());
                self.push(Diagnostic::new(
                    codes::EXPRESSION,
                    format!("in the expression \"{}\": {error}", expr::excerpt(text, &error.range)),
                    place,
                ));
                None
            }
        }
    }

    /// A condition on sizes and params, in quotes.
    fn condition(&mut self, value: &Value) -> Option<Condition> {
        let text = self.text(value, "a condition")?;
        let expression = self.expression(&text.value, value.span)?;
        Some(Condition { expression, text: Arc::from(text.value), span: value.span })
    }

    /// A text.
    pub(super) fn text(&mut self, value: &Value, what: &str) -> Option<Spanned<String>> {
        match &value.kind {
            Kind::Text(text) => Some(Spanned::new(text.to_string(), value.span)),
            _ => {
                self.push(Diagnostic::new(
                    codes::FORM,
                    format!("expected {what} in quotes, found {}", value.describe()),
                    value.span,
                ));
                None
            }
        }
    }

    pub(super) fn check_name(&mut self, name: &Spanned<Arc<str>>) {
        let good = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
        if !name.value.split('.').all(good) {
            self.push(
                Diagnostic::new(codes::BAD_NAME, format!("`{}` is not a name", name.value), name.span)
                    .help("names consist of letters, digits, `_` and `-`, in parts that dots join"),
            );
        }
    }

    fn param(&mut self, name: Spanned<Arc<str>>, value: &Value) -> Option<ParamDeclaration> {
        const NAMES: &[&str] = &["Int", "Float", "Flag", "Choice", "Text", "Ints", "Floats", "File"];
        self.check_name(&name);
        let kind_name = match &value.kind {
            Kind::Name(kind) => Spanned::new(kind.to_string(), value.span),
            Kind::Call(call) if call.name.is_some() => call.name.clone()?,
            _ => {
                self.push(
                    Diagnostic::new(
                        codes::FORM,
                        format!("expected a param's declaration, found {}", value.describe()),
                        value.span,
                    )
                    .help("a param is declared with its kind and default: \"hidden\": Int(128)"),
                );
                return None;
            }
        };
        let accepted: &[&str] = match kind_name.value.as_str() {
            "Int" => &["default", "min", "max"],
            "Float" => &["default", "min", "max", "above", "below"],
            "Choice" => &["default", "of"],
            "Flag" | "Text" | "Ints" | "Floats" | "File" => &["default"],
            other => {
                self.push(
                    Diagnostic::new(
                        codes::UNKNOWN_PARAM_KIND,
                        format!("there is no kind of param called `{other}`"),
                        kind_name.span,
                    )
                    .suggest(nearest(other, NAMES.iter().copied()))
                    .help(format!("the kinds are {}", NAMES.join(", "))),
                );
                return None;
            }
        };
        let mut fields = FieldReader::with_item(value, &kind_name.value, "default", accepted, self.diagnostics);
        let default = fields.value("default").map(FieldExpression::of);
        let kind = match kind_name.value.as_str() {
            "Int" => ParamKind::Int { min: fields.whole("min", self.diagnostics), max: fields.whole("max", self.diagnostics) },
            "Float" => ParamKind::Float { range: self.float_range(&mut fields) },
            "Flag" => ParamKind::Flag,
            "Choice" => {
                let of = fields.list("of", self.diagnostics);
                let of: Vec<String> =
                    of.into_iter().filter_map(|value| self.text(value, "a choice")).map(|text| text.value).collect();
                if of.is_empty() {
                    self.push(
                        Diagnostic::new(codes::FORM, "a Choice needs the texts to choose from", value.span)
                            .help("write Choice(\"mean\", of: [\"mean\", \"max\"])"),
                    );
                    return None;
                }
                ParamKind::Choice(of)
            }
            "Text" => ParamKind::Text,
            "Ints" => ParamKind::Ints,
            "Floats" => ParamKind::Floats,
            _ => ParamKind::File,
        };
        Some(ParamDeclaration { name, kind, default, span: value.span })
    }

    fn float_range(&mut self, fields: &mut FieldReader<'_>) -> Domain {
        let min = fields.number("min", self.diagnostics);
        let max = fields.number("max", self.diagnostics);
        let above = fields.number("above", self.diagnostics);
        let below = fields.number("below", self.diagnostics);
        let (low, low_open) = match (min, above) {
            (_, Some(above)) => (above, true),
            (Some(min), None) => (min, false),
            (None, None) => (f64::NEG_INFINITY, true),
        };
        let (high, high_open) = match (max, below) {
            (_, Some(below)) => (below, true),
            (Some(max), None) => (max, false),
            (None, None) => (f64::INFINITY, true),
        };
        Domain { low, high, low_open, high_open }
    }

    fn contract(&mut self, value: &Value) -> Vec<ContractCase> {
        let cases: Vec<&Value> = match &value.kind {
            Kind::List(cases) => cases.iter().collect(),
            _ => vec![value],
        };
        cases.into_iter().map(|case| self.contract_case(case)).collect()
    }

    fn contract_case(&mut self, value: &Value) -> ContractCase {
        let names = ["at", "parameters", "max_parameters", "max_flops", "max_memory_bytes", "outputs"];
        let mut fields = FieldReader::new(value, "Case", &names, self.diagnostics);
        let mut at = Vec::new();
        for (name, size) in fields.map("at", self.diagnostics) {
            match size.kind {
                Kind::Integer(number) if number >= 0 => at.push((name, number)),
                _ => self.push(Diagnostic::new(codes::FORM, "a size in `at` is a whole number", size.span)),
            }
        }
        let mut outputs = Vec::new();
        for (name, shape) in fields.map("outputs", self.diagnostics) {
            let Kind::List(sizes) = &shape.kind else {
                self.push(Diagnostic::new(codes::FORM, "an output's shape is a list of sizes", shape.span));
                continue;
            };
            if let Some(sizes) = sizes.iter().map(|size| self.size(size)).collect() {
                outputs.push((name, sizes));
            }
        }
        ContractCase {
            at,
            parameters: fields.spanned_whole("parameters", self.diagnostics),
            max_parameters: fields.spanned_whole("max_parameters", self.diagnostics),
            max_flops: fields.spanned_number("max_flops", self.diagnostics),
            max_memory_bytes: fields.spanned_whole("max_memory_bytes", self.diagnostics),
            outputs,
            span: Some(value.span),
        }
    }
}

/// The place of `range` of a text's content, for a text that stands in quotes at `span`. Texts with escapes are pointed at whole.
pub(crate) fn within(span: Span, text: &str, range: std::ops::Range<usize>) -> Span {
    let plain = (span.end - span.start) as usize == text.len() + 2;
    if !plain || range.end > text.len() {
        return span;
    }
    let start = span.start as usize + 1;
    Span::new(span.file, start + range.start..(start + range.end.max(range.start + 1)).min(span.end as usize))
}
