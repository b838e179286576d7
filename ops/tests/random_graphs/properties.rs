//! The properties.

use super::check;
use super::damage::damage;
use super::generate::{CONSTRUCTS, Draw, Generator};
use super::text::Text;
use proptest::prelude::*;
use std::collections::BTreeSet;
use sward_core::check::{Checked, NodeKind};
use sward_core::diagnostic::Diagnostics;
use sward_core::dim::Sizes;
use sward_core::lower::{LowerError, LowerOptions, lower};
use sward_core::source::Sources;
use sward_core::syntax;
use sward_ops::catalogue::catalogue;
use sward_ops::primitives::AddAlgebra;

/// How many ops a graph draws; with what helps them to their inputs it has some more.
const DRAWN: usize = 8;

/// All names that graphs are drawn from: the catalogue's ops and the language's constructs.
fn names() -> Vec<&'static str> {
    catalogue().names().chain(CONSTRUCTS).collect()
}

/// The ops of one graph.
fn draw(seed: u64) -> Vec<&'static str> {
    let all = names();
    let mut draw = Draw(seed ^ 0x5eed);
    (0..DRAWN).map(|_| *draw.pick(&all)).collect()
}

fn graph(seed: u64) -> Text {
    Generator::graph(seed, &draw(seed))
}

/// Everything that makes two graphs the same: nodes with ops, fields, sources and types, parameters, inputs and outputs.
fn meaning(checked: &Checked) -> Vec<String> {
    let mut lines = Vec::new();
    for node in checked.graph().node_weights() {
        let fields = match &node.kind {
            NodeKind::Op { fields, flops, .. } => {
                let values: Vec<String> = fields
                    .values
                    .iter()
                    .map(|value| match value {
                        // The trees of formulas carry places of their text.
                        sward_core::op::FieldValue::Formula(formula) => format!("{} {:?}", formula.expression, formula.names),
                        other => format!("{other:?}"),
                    })
                    .collect();
                format!("{values:?} {flops}")
            }
            NodeKind::Input { index } => index.to_string(),
        };
        lines.push(format!("{} {:?} {fields} {:?} {:?} {:?}", node.path, node.kind, node.inputs, node.outputs, node.parameters));
    }
    lines.extend(checked.parameters().iter().map(|(name, own)| format!("{name} {:?} {}", own.spec, own.trained)));
    lines.extend(checked.outputs().iter().map(|own| format!("{} {:?} {}", own.name, own.source, own.tensor_type)));
    lines.extend(checked.obligations().iter().map(|(obligation, _)| obligation.to_string()));
    lines
}

/// Small sizes for the open dimensions, among them 1 and primes.
fn sizes(checked: &Checked, draw: &mut Draw) -> Vec<(String, i64)> {
    let few = [1i64, 2, 3, 4, 5, 7, 8, 12, 13, 16];
    checked.dimensions().into_iter().map(|name| (name, *draw.pick(&few))).collect()
}

/// Sizes that meet the graph's obligations and leave no tensor empty, if a few tries find some.
fn fitting_sizes(checked: &Checked, draw: &mut Draw) -> Option<Vec<(String, i64)>> {
    (0..200).map(|_| sizes(checked, draw)).find(|drawn| {
        let at: Sizes = drawn.iter().map(|(name, size)| (name.as_str(), *size)).collect();
        let met = checked.obligations().iter().all(|(own, _)| {
            let remainder = own.dividend.evaluate(&at).ok().zip(own.divisor.evaluate(&at).ok());
            remainder.is_some_and(|(dividend, divisor)| divisor != 0 && dividend % divisor == 0)
        });
        let shapes = checked.graph().node_weights().flat_map(|node| &node.outputs).flat_map(|own| &own.shape);
        met && shapes.map(|dim| dim.evaluate(&at)).all(|size| size.is_ok_and(|size| (1..=4096).contains(&size)))
    })
}

#[test]
fn every_op_of_the_catalogue_occurs_and_every_graph_checks() {
    let mut met: BTreeSet<String> = BTreeSet::new();
    for seed in 0..150 {
        let ops = draw(seed);
        let text = Generator::graph(seed, &ops);
        let found = check(&text.text, &[]);
        assert!(found.is_ok(), "seed {seed}\n{}\n{}", text.text, found.err().map_or(String::new(), |found| found.text));
        met.extend(ops.iter().map(|op| op.to_string()));
    }
    let missing: Vec<&str> = names().into_iter().filter(|name| !met.contains(*name)).collect();
    assert!(missing.is_empty(), "never drawn: {missing:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn printing_and_reading_back_gives_the_same_graph(seed: u64) {
        let text = graph(seed).text;
        let first = check(&text, &[]).map_err(|found| TestCaseError::fail(found.text))?;
        let mut sources = Sources::new();
        let file = sources.add("main.ron", text.as_str());
        let tree = syntax::read(&sources, file, &mut Diagnostics::new()).expect("the text reads");
        let printed = syntax::print(&tree);
        let second = check(&printed, &[]).map_err(|found| TestCaseError::fail(format!("{printed}\n{}", found.text)))?;
        prop_assert_eq!(meaning(&first), meaning(&second), "{}", printed);
    }

    #[test]
    fn symbolic_shapes_at_sizes_are_the_rules_at_those_sizes_and_the_programs(seed: u64) {
        let text = graph(seed).text;
        let symbolic = check(&text, &[]).map_err(|found| TestCaseError::fail(found.text))?;
        let mut draw = Draw(seed ^ 0xd1ce);
        if let Some(drawn) = fitting_sizes(&symbolic, &mut draw) {
            let at: Sizes = drawn.iter().map(|(name, size)| (name.as_str(), *size)).collect();
            let dims: Vec<String> = drawn.iter().map(|(name, size)| format!("{name}={size}")).collect();
            let concrete = check(&text, &dims).map_err(|found| TestCaseError::fail(format!("{text}\n{dims:?}\n{}", found.text)))?;
            prop_assert!(concrete.dimensions().is_empty(), "{text}\n{dims:?}");
            for (own, fixed) in symbolic.graph().node_weights().zip(concrete.graph().node_weights()) {
                prop_assert_eq!(&own.path, &fixed.path);
                for (own_type, fixed_type) in own.outputs.iter().zip(&fixed.outputs) {
                    let evaluated: Vec<i64> = own_type.shape.iter().map(|dim| dim.evaluate(&at).expect("a size")).collect();
                    let wanted: Vec<i64> = fixed_type.shape.iter().map(|dim| dim.as_constant().expect("a size")).collect();
                    prop_assert_eq!(evaluated, wanted, "{} of {}\n{:?}", &own.path, text, dims);
                }
            }
            match lower(&symbolic, &at, &LowerOptions::default(), &AddAlgebra) {
                Ok(builder) => {
                    let program = builder.finish();
                    for (output, fixed) in program.outputs.iter().zip(concrete.outputs()) {
                        prop_assert_eq!(&output.name, &*fixed.name);
                        let executed: Vec<i64> = program.type_of(output.value).shape.iter().map(|size| *size as i64).collect();
                        let wanted: Vec<i64> = fixed.tensor_type.shape.iter().map(|dim| dim.as_constant().expect("a size")).collect();
                        prop_assert_eq!(executed, wanted, "{} of {}\n{:?}", &fixed.name, text, dims);
                    }
                }
                // A sample's variance needs two of them, mirrored padding a size above its width: known only with the sizes.
                Err(LowerError::Build(error)) => {
                    let told = error.to_string();
                    prop_assert!(["Var", "Std"].iter().any(|op| told.contains(op)), "{told}\n{text}\n{dims:?}");
                }
                Err(error) => prop_assert!(false, "{error}\n{text}\n{dims:?}"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_fault_is_refused_where_it_stands(seed: u64, fault: u64) {
        // Few graphs, damaged in many ways: to make one costs more than to check it.
        let text = graph(seed % 64);
        let damaged = damage(&text, &mut Draw(fault));
        match check(&damaged.text, &[]) {
            Ok(_) => prop_assert!(!damaged.is_wrong, "{} is not noticed\n{}", damaged.what, damaged.text),
            Err(found) => {
                for error in &found.errors {
                    let places = error.primary.iter().chain(&error.labels).map(|label| label.span);
                    // Of a fault inside of the placed file, the place in this one is a label.
                    let own: Vec<_> = places.filter(|span| Some(span.file) == found.main).collect();
                    let first = own.first().map(|span| span.start as usize..(span.end as usize).max(span.start as usize + 1));
                    let is_near = first.as_ref().is_some_and(|span| {
                        damaged.allowed.iter().any(|range| span.start < range.end && range.start < span.end)
                    });
                    prop_assert!(is_near, "{}: {:?} is not on {:?}\n{}\n{}", damaged.what, first, damaged.allowed, damaged.text, found.text);
                }
            }
        }
    }
}
