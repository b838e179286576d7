//! Lists of names and shapes, as `tests/fixtures/backbones/keys.py` writes them.

use std::collections::BTreeMap;

/// Reads a list: shapes by names.
pub fn read(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let (pattern, shape) = (words.next().expect("a pattern"), words.next().expect("a shape"));
        let places: Vec<&str> = words.collect();
        if places.is_empty() {
            found.insert(pattern.to_string(), shape.to_string());
        }
        for place in places {
            let (head, ranges) = place.rsplit_once('.').map_or(("", place), |(head, last)| (head, last));
            for range in ranges.split(',') {
                let (low, high) = range.split_once('-').unwrap_or((range, range));
                let number = |text: &str| text.parse::<usize>().expect("a number");
                for last in number(low)..=number(high) {
                    let last = last.to_string();
                    let mut numbers = head.split('.').filter(|part| !part.is_empty()).chain([last.as_str()]);
                    let name =
                        pattern.split('.').map(|part| if part == "*" { numbers.next().expect("a number a star") } else { part });
                    found.insert(name.collect::<Vec<_>>().join("."), shape.to_string());
                }
            }
        }
    }
    found
}
