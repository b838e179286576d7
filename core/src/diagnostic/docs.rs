//! The page `docs/errors.md`, written from the registry.

use super::codes::STAGES;
use std::fmt::Write;

const HEADER: &str = "\
# Errors and warnings

Every finding of `sward` has a code that keeps its meaning for ever. This page is written from the registry in
`core/src/diagnostic/codes`: change the text there, then run `SWARD_BLESS=1 cargo test -p sward-core errors_page`.

An example that needs several files shows each below a line `// file: NAME`.
";

/// The text of `docs/errors.md`: for each code its title, what it means, a wrong and a right example.
pub fn errors_page() -> String {
    let mut page = HEADER.to_owned();
    for (title, entries) in STAGES.iter().filter(|(_, entries)| !entries.is_empty()) {
        // Writing to a string cannot fail.
        let _ = write!(page, "\n## {title}\n");
        for entry in *entries {
            let (wrong, right) = (fenced(entry.wrong), fenced(entry.right));
            let _ = write!(
                page,
                "\n### {}: {}\n\n{}\n\nWrong:\n\n{wrong}\n\nRight:\n\n{right}\n",
                entry.code, entry.title, entry.explanation
            );
        }
    }
    page
}

fn fenced(example: &str) -> String {
    format!("```ron\n{}\n```", example.trim_end())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_errors_page_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
        let wanted = super::errors_page();
        if std::env::var_os("SWARD_BLESS").is_some_and(|value| value == "1") {
            std::fs::write(&path, wanted).expect("docs/errors.md can be written");
            return;
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == wanted, "docs/errors.md is stale: run SWARD_BLESS=1 cargo test -p sward-core errors_page");
    }
}
