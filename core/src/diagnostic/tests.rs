use super::*;
use crate::source::Sources;

fn two_places() -> (Span, Span) {
    let mut sources = Sources::new();
    let file = sources.add("a.ron", "first second");
    (Span::new(file, 0..5), Span::new(file, 6..12))
}

#[test]
fn the_order_does_not_depend_on_the_order_of_pushing() {
    let (first, second) = two_places();
    let made = [
        Diagnostic::without_place(codes::FILE_NOT_FOUND, "z"),
        Diagnostic::new(codes::DUPLICATE_FIELD, "b", first),
        Diagnostic::new(codes::DUPLICATE_FIELD, "c", first),
        Diagnostic::new(codes::MISSING_COMMA, "a", second),
    ];
    let forward: Diagnostics = made.iter().cloned().collect();
    let backward: Diagnostics = made.iter().rev().cloned().collect();
    let messages = |all: &Diagnostics| all.sorted().iter().map(|d| d.message.clone()).collect::<Vec<_>>();
    assert_eq!(messages(&forward), ["z", "b", "c", "a"]);
    assert_eq!(messages(&forward), messages(&backward));
}

#[test]
fn repeats_are_dropped() {
    let (first, second) = two_places();
    let mut all = Diagnostics::new();
    all.push(Diagnostic::new(codes::MISSING_COMMA, "a", first));
    all.push(Diagnostic::new(codes::MISSING_COMMA, "a", first));
    all.push(Diagnostic::new(codes::MISSING_COMMA, "a", second));
    assert_eq!((all.len(), all.errors()), (2, 2));
}

#[test]
fn past_the_cap_diagnostics_are_only_counted() {
    let (first, _) = two_places();
    let mut all = Diagnostics::new();
    for index in 0..DIAGNOSTICS_KEPT + 5 {
        all.push(Diagnostic::new(codes::MISSING_COMMA, format!("number {index}"), first));
    }
    assert_eq!((all.len(), all.omitted(), all.errors()), (DIAGNOSTICS_KEPT, 5, DIAGNOSTICS_KEPT + 5));
}

#[test]
fn denied_warnings_are_errors() {
    let (first, _) = two_places();
    let mut all = Diagnostics::new();
    all.push(Diagnostic::new(codes::MISSING_COMMA, "a", first).severity(Severity::Warning));
    assert!(!all.has_errors());
    all.deny_warnings();
    assert_eq!((all.errors(), all.warnings()), (1, 0));
    assert_eq!(all.sorted()[0].severity, Severity::Error);
}
