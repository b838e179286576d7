//! Every file of the library is well-formed for all sizes.

use super::{check, files, library};

#[test]
fn every_file_checks_without_a_warning() {
    let mut failed = Vec::new();
    for path in files(&library(), "ron") {
        match check(&path, &[]) {
            Err(text) => failed.push(format!("{path}\n{text}")),
            Ok((_, warnings)) if !warnings.is_empty() => failed.push(format!("{path}\n{warnings}")),
            Ok(_) => {}
        }
    }
    assert!(failed.is_empty(), "{} files:\n{}", failed.len(), failed.join("\n"));
}
