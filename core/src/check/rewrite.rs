//! Declared rewrites of a graph: low-rank adapters at chosen `Linear` nodes (LoRA, Hu et al., 2021).
//!
//! A matching `Linear` `p` is frozen, and `alpha / rank * B(A(dropout(x)))` is added to what it gives. The new nodes stand below its
//! path (`p.lora_dropout`, `p.lora_A`, `p.lora_B`, `p.lora_scaled`, `p.lora`), the new parameters are `p.lora_A.weight [rank, in]` and
//! `p.lora_B.weight [units, rank]`, called and started as in the `peft` package: `A` as PyTorch's Linear starts, `B` at 0, so that the
//! graph computes at first what it computed before. Who reads `p` reads the sum.

use super::checked::{Adapter, Graph, NodeKind, Source};
use super::elaborate::Elaborator;
use super::instance::{Feed, Instance, Outcome, Tensor, join};
use super::overrides::{LoraRewrite, Overrides, Rewrite};
use super::session::Session;
use crate::diagnostic::{Diagnostic, codes};
use crate::language::{FieldExpression, OpBody, PortExpression, Reference, SourceExpression};
use crate::source::{Span, Spanned};
use crate::suggest::nearest;
use crate::syntax::{Kind, Value};
use std::sync::Arc;

/// The op that adapters are for.
const ADAPTED: &str = "Linear";

impl Elaborator<'_, '_> {
    /// Elaborates an op, with what rewrites make of it.
    pub(super) fn op(&mut self, instance: &mut Instance<'_>, body: &OpBody, name: &str, weights: &str, feed: Feed) -> Outcome {
        let overrides = self.overrides;
        if overrides.rewrites.is_empty() {
            return self.plain_op(instance, body, name, weights, feed, None);
        }
        let path = join(&instance.path, name);
        let owner = body.shares.as_ref().or(body.weights.as_ref()).map_or(weights, |stated| stated.value.as_str());
        let parameters = join(&instance.weights, owner);
        let Some(rewrite) = overrides.lora_at(&path, &parameters) else {
            return self.plain_op(instance, body, name, weights, feed, None);
        };
        rewrite.used.set(true);
        let op = body.op.schema().name;
        if op != ADAPTED {
            let text = format!("the adapter `{}` is for `Linear` nodes, and `{path}` is `{op}`", rewrite.pattern);
            let diagnostic = Diagnostic::new(codes::REWRITE_TARGET, text, rewrite.span).label(body.span, "matched here");
            self.push(diagnostic.help("write a pattern that names the Linear nodes alone: a `*` stands for one part of a path"));
            return self.plain_op(instance, body, name, weights, feed, None);
        }
        if !self.rewrite_is_sound(rewrite) {
            return self.plain_op(instance, body, name, weights, feed, None);
        }
        let base = self.plain_op(instance, body, name, weights, feed, Some(false));
        let Some(Some(tensor)) = base.outputs.first().map(|(_, tensor)| tensor.clone()) else { return base };
        match self.adapt(instance, body, name, owner, rewrite, tensor) {
            Some(outcome) => outcome,
            None => Outcome::broken(),
        }
    }

    fn rewrite_is_sound(&mut self, rewrite: &LoraRewrite) -> bool {
        let mut sound = true;
        let mut refuse = |is_wrong: bool, text: String| {
            if is_wrong {
                self.push(Diagnostic::new(codes::REWRITE_TARGET, text, rewrite.span));
                sound = false;
            }
        };
        refuse(rewrite.rank < 1, format!("the rank of an adapter is at least 1, not {}", rewrite.rank));
        refuse(!rewrite.alpha.is_finite(), format!("the alpha of an adapter is a finite number, not {}", rewrite.alpha));
        let is_share = (0.0..1.0).contains(&rewrite.dropout);
        refuse(!is_share, format!("the dropout of an adapter is from 0 to below 1, not {}", rewrite.dropout));
        sound
    }

    /// Adds the adapter's nodes after a frozen Linear that gives `base`.
    fn adapt(
        &mut self,
        instance: &mut Instance<'_>,
        body: &OpBody,
        name: &str,
        owner: &str,
        rewrite: &LoraRewrite,
        base: Tensor,
    ) -> Option<Outcome> {
        let input = self.input_of(&base)?;
        let path = join(&instance.path, name);
        let units = body.op.schema().fields.iter().position(|field| field.name == "units")?;
        // `--set p.units=8` is for the adapter, too.
        let set = self.overrides.set_at(&path, "units").map(|set| set.value.clone());
        let units = set.or_else(|| body.fields[units].clone())?;
        let at = |kind| FieldExpression::of(&Value { span: rewrite.span, kind });
        let word = |word: &str| at(Kind::Name(word.to_owned()));

        let mut feed = Feed::First(Some(input));
        if rewrite.dropout > 0.0 {
            let dropout = self.written("Dropout", &[("p", at(Kind::Float(rewrite.dropout)))], body, None)?;
            feed = self.step(instance, &dropout, name, owner, "lora_dropout", feed)?;
        }
        let fields =
            [("units", at(Kind::Integer(rewrite.rank))), ("bias", at(Kind::Bool(false))), ("weight_init", word("FanIn"))];
        let a = self.written(ADAPTED, &fields, body, Some("lora_A"))?;
        feed = self.step(instance, &a, name, owner, "lora_A", feed)?;
        let fields = [("units", units), ("bias", at(Kind::Bool(false))), ("weight_init", word("Zeros"))];
        let b = self.written(ADAPTED, &fields, body, Some("lora_B"))?;
        feed = self.step(instance, &b, name, owner, "lora_B", feed)?;

        let scale = rewrite.alpha / rewrite.rank as f64;
        let mut scaled = self.written("Multiply", &[], body, None)?;
        scaled.ports[1] = Some(port(SourceExpression::Number(scale, rewrite.span), body.span));
        feed = self.step(instance, &scaled, name, owner, "lora_scaled", feed)?;
        let frozen = join(name, "lora_base");
        instance.results.insert(frozen.clone(), Outcome::one("y", Some(base)));
        let mut sum = self.written("Add", &[], body, None)?;
        let reference = Reference { text: frozen, is_template: false, span: body.span };
        sum.ports[1] = Some(port(SourceExpression::Reference(reference), body.span));
        let outcome = self.plain_op(instance, &sum, &join(name, "lora"), &join(owner, "lora"), feed, Some(true));

        let full = |end: &str| join(&instance.weights, &join(owner, end)).to_string();
        let weight = full("weight");
        if !self.adapters.iter().any(|adapter| adapter.weight == weight) {
            let (a, b) = (full("lora_A.weight"), full("lora_B.weight"));
            self.adapters.push(Adapter { node: path, weight, a, b, rank: rewrite.rank, scale });
        }
        Some(outcome)
    }

    /// One node of an adapter; what it gives feeds the next.
    fn step(
        &mut self,
        instance: &mut Instance<'_>,
        body: &OpBody,
        name: &str,
        owner: &str,
        own: &str,
        feed: Feed,
    ) -> Option<Feed> {
        let outcome = self.plain_op(instance, body, &join(name, own), &join(owner, own), feed, Some(true));
        let tensor = outcome.outputs.first()?.1.clone()?;
        Some(Feed::First(Some(tensor)))
    }

    /// What arrives at the only input of the node that made a tensor.
    fn input_of(&self, tensor: &Tensor) -> Option<Tensor> {
        let Source::Node { node, .. } = tensor.source else { return None };
        let source = *self.graph[node].inputs.first()?.first()?;
        let Source::Node { node, output } = source else { return None };
        let maker = &self.graph[node];
        Some(Tensor { source, tensor_type: maker.outputs[output as usize].clone(), span: maker.span })
    }

    /// A node as if it were written beside the adapted one. With `own`, it shares its parameters where that one does.
    fn written(&self, op: &str, fields: &[(&str, FieldExpression)], beside: &OpBody, own: Option<&str>) -> Option<OpBody> {
        let op = self.session.catalogue().get(op)?;
        let schema = op.schema();
        let value = |name: &str| fields.iter().find(|(own, _)| *own == name).map(|(_, value)| value.clone());
        let below = |stated: &Option<Spanned<String>>| {
            let (stated, own) = (stated.as_ref()?, own?);
            Some(Spanned::new(join(&stated.value, own).to_string(), stated.span))
        };
        Some(OpBody {
            op,
            ports: schema.ports.iter().map(|_| None).collect(),
            fields: schema.fields.iter().map(|field| value(field.name)).collect(),
            shares: below(&beside.shares),
            weights: below(&beside.weights),
            trained: true,
            name_span: beside.name_span,
            span: beside.span,
        })
    }
}

fn port(source: SourceExpression, span: Span) -> PortExpression {
    PortExpression { sources: vec![source], is_list: false, span }
}

/// Rewrites that matched no node.
pub(super) fn report_unused_rewrites(session: &mut Session<'_>, overrides: &Overrides, graph: &Graph) {
    for Rewrite::Lora(rewrite) in overrides.rewrites.iter().filter(|Rewrite::Lora(rewrite)| !rewrite.used.get()) {
        let linear =
            graph.node_weights().filter(|node| matches!(&node.kind, NodeKind::Op { op, .. } if op.schema().name == ADAPTED));
        let paths: Vec<Arc<str>> = linear.map(|node| node.path.clone()).collect();
        let text = format!("the adapter `{}` matches no node", rewrite.pattern);
        let diagnostic = Diagnostic::new(codes::OVERRIDE_UNMATCHED, text, rewrite.span);
        session.diagnostics.push(match (nearest(&rewrite.pattern, paths.iter().map(|path| &**path)), paths.first()) {
            (Some(near), _) => diagnostic.suggest(Some(near)),
            (None, Some(first)) => diagnostic
                .help(format!("it names Linear nodes by their paths, such as `{first}`; `*` stands for one part of a path")),
            (None, None) => diagnostic.help("the graph has no Linear nodes"),
        });
    }
}
