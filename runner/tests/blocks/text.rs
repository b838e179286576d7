//! Texts as ids and masks, against the tokenizers package.

use std::path::{Path, PathBuf};

use sward::text::{TextEncoder, TextError};

use crate::fixture::load;

fn folder() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/text")).into()
}

#[test]
fn texts_become_the_ids_and_masks_of_the_tokenizers_package() {
    let expected = load("text/expected.json");
    let texts: Vec<&str> = expected["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let numbers = |key: &str| -> Vec<i64> {
        expected[key]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|row| row.as_array().unwrap().iter().map(|id| id.as_i64().unwrap()))
            .collect()
    };
    let encoder = TextEncoder::open(&folder().join("tokenizer.json"), 8).unwrap();
    assert_eq!(encoder.vocabulary(), 17);
    let found = encoder.encode(&texts).unwrap();
    assert_eq!((found.texts, found.length), (texts.len(), 8));
    assert_eq!(found.ids, numbers("ids"));
    assert_eq!(found.mask.iter().map(|&here| i64::from(here)).collect::<Vec<_>>(), numbers("mask"));
    assert_eq!(found.truncated, 2);
    // Rows do not depend on what stands beside them.
    assert_eq!(encoder.encode(&texts[1..2]).unwrap().ids, found.ids[8..16]);
}

#[test]
fn files_that_are_no_tokenizers_and_lengths_without_room_are_refused() {
    let error = TextEncoder::open(&folder().join("expected.json"), 8).unwrap_err().to_string();
    assert!(error.contains("is no tokenizer.json"), "{error}");
    assert!(matches!(TextEncoder::open(&folder(), 8), Err(TextError::Tokenizer { .. })));
    assert!(matches!(TextEncoder::open(&folder().join("nothing.json"), 8), Err(TextError::Io { .. })));
    let error = TextEncoder::open(&folder().join("tokenizer.json"), 2).unwrap_err().to_string();
    assert!(error.contains("a length of 2 has no room for a text: the tokenizer adds 2 special tokens"), "{error}");
}
