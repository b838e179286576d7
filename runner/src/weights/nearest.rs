//! The name most like one that was not found.

/// The candidate most like `name`, if over half of the two names agree.
///
/// Likeness is the share of characters in a common prefix or suffix: cheap enough for thousands of parameters, and apt for
/// paths, which mostly differ in one segment.
pub(super) fn nearest<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> Option<String> {
    let common = |candidate: &str| {
        let limit = name.len().min(candidate.len());
        let prefix = name.bytes().zip(candidate.bytes()).take_while(|(a, b)| a == b).count();
        let suffix = name.bytes().rev().zip(candidate.bytes().rev()).take_while(|(a, b)| a == b).count();
        2 * (prefix + suffix).min(limit)
    };
    let score = |candidate: &str| common(candidate) as f64 / (name.len() + candidate.len()).max(1) as f64;
    let mut best: Option<(f64, &str)> = None;
    for candidate in candidates {
        let score = score(candidate);
        if score > 0.5 && best.is_none_or(|(most, _)| score > most) {
            best = Some((score, candidate));
        }
    }
    best.map(|(_, name)| name.to_owned())
}
