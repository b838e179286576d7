//! Patterns of parameter paths.

/// Whether a path fits a pattern in which `*` stands for any characters, dots included, and `?` for one.
///
/// ```
/// use sward_core::glob::matches;
/// assert!(matches("backbone.*.bias", "backbone.stages.0.bias"));
/// assert!(!matches("backbone.*.bias", "head.bias"));
/// ```
pub fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<char>, Vec<char>) = (pattern.chars().collect(), path.chars().collect());
    let (mut at, mut read) = (0, 0);
    // Where the last star stands, and how much of the path it has taken.
    let mut star: Option<(usize, usize)> = None;
    while read < path.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(expected) if *expected == '?' || *expected == path[read] => {
                at += 1;
                read += 1;
            }
            _ => match star {
                Some((position, taken)) => {
                    star = Some((position, taken + 1));
                    at = position + 1;
                    read = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}
