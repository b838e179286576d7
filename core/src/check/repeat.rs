//! Elaborating `Repeat`: iterations in a row, each with its names.

use super::elaborate::Elaborator;
use super::instance::{Feed, Instance, Outcome, join};
use super::values;
use crate::diagnostic::{Diagnostic, codes};
use crate::dim::Dim;
use crate::expr::Constant;
use crate::language::{RepeatBody, RepeatCount};
use std::sync::Arc;

/// The most iterations of one `Repeat`.
const MAX_ITERATIONS: i64 = 10_000;

impl Elaborator<'_, '_> {
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
                if !self.overrides.sets.is_empty() {
                    self.settable.push(format!("{path}.times"));
                }
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
}
