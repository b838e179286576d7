//! Text as a model reads it: ids and mask of a fixed length, by the tokenizer of a model's `tokenizer.json`.

use std::path::{Path, PathBuf};
use tokenizers::{PaddingDirection, PaddingParams, PaddingStrategy, PostProcessor as _, Tokenizer, TruncationParams};

/// The largest tokenizer file that is read.
const FILE_LIMIT: u64 = 256 << 20;

/// Why a text cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// A file that cannot be read.
    #[error("`{}`: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// A file that is no tokenizer.
    #[error("`{}`: {reason}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A length in which not even the special tokens have room.
    #[error("a length of {length} has no room for a text: the tokenizer adds {special} special tokens")]
    Length {
        /// The length.
        length: usize,
        /// What the tokenizer adds.
        special: usize,
    },
    /// A text that the tokenizer refuses.
    #[error("the text cannot be encoded: {0}")]
    Encode(String),
}

/// Texts as rows of ids: `ids` and `mask` of the shape `[texts, length]`, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Ids of tokens; the padding token where the text has ended.
    pub ids: Vec<i64>,
    /// 1 where there is a token, 0 where the row is only filled up.
    pub mask: Vec<u8>,
    /// How many texts there are.
    pub texts: usize,
    /// Tokens a row.
    pub length: usize,
    /// How many texts were cut to the length.
    pub truncated: usize,
}

/// A tokenizer with a fixed length of rows.
#[derive(Debug)]
pub struct TextEncoder {
    tokenizer: Tokenizer,
    length: usize,
}

impl TextEncoder {
    /// Reads a `tokenizer.json`. Longer texts are cut after `length` tokens, special tokens included; shorter ones are filled up at
    /// the end.
    ///
    /// # Errors
    /// A file that cannot be read or is no tokenizer, or a length without room for a text.
    pub fn open(path: &Path, length: usize) -> Result<TextEncoder, TextError> {
        let io = |error| TextError::Io { path: path.to_owned(), error };
        let description = std::fs::metadata(path).map_err(io)?;
        let refuse = |reason: String| TextError::Tokenizer { path: path.to_owned(), reason };
        if !description.is_file() {
            return Err(refuse("is not a regular file".into()));
        }
        if description.len() > FILE_LIMIT {
            return Err(refuse(format!("has {} bytes; the limit is {FILE_LIMIT}", description.len())));
        }
        let bytes = std::fs::read(path).map_err(io)?;
        let mut tokenizer = Tokenizer::from_bytes(&bytes).map_err(|error| refuse(format!("is no tokenizer.json: {error}")))?;
        let special = tokenizer.get_post_processor().map_or(0, |own| own.added_tokens(false));
        if length <= special {
            return Err(TextError::Length { length, special });
        }
        let (pad_id, pad_token) = padding(&tokenizer);
        tokenizer
            .with_truncation(Some(TruncationParams { max_length: length, ..TruncationParams::default() }))
            .map_err(|error| refuse(error.to_string()))?;
        tokenizer.with_padding(Some(PaddingParams {
            strategy: PaddingStrategy::Fixed(length),
            direction: PaddingDirection::Right,
            pad_to_multiple_of: None,
            pad_id,
            pad_type_id: 0,
            pad_token,
        }));
        Ok(TextEncoder { tokenizer, length })
    }

    /// Tokens a row.
    pub fn length(&self) -> usize {
        self.length
    }

    /// How many ids there are; a model's table of embeddings has at least as many rows.
    pub fn vocabulary(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// Encodes texts, with the special tokens that the model expects.
    ///
    /// # Errors
    /// A text that the tokenizer refuses.
    pub fn encode<T: AsRef<str>>(&self, texts: &[T]) -> Result<Tokens, TextError> {
        let (mut ids, mut mask) = (Vec::with_capacity(texts.len() * self.length), Vec::new());
        let mut truncated = 0;
        for text in texts {
            let encoding = self.tokenizer.encode(text.as_ref(), true).map_err(|error| TextError::Encode(error.to_string()))?;
            truncated += usize::from(!encoding.get_overflowing().is_empty());
            ids.extend(encoding.get_ids().iter().map(|id| i64::from(*id)));
            mask.extend(encoding.get_attention_mask().iter().map(|&here| here as u8));
        }
        Ok(Tokens { ids, mask, texts: texts.len(), length: self.length, truncated })
    }
}

/// The id and text of the token that fills rows up: the file's own, or the usual names of one.
fn padding(tokenizer: &Tokenizer) -> (u32, String) {
    if let Some(own) = tokenizer.get_padding() {
        return (own.pad_id, own.pad_token.clone());
    }
    let usual = ["[PAD]", "<pad>", "<|endoftext|>"];
    let found = usual.iter().find_map(|token| Some((tokenizer.token_to_id(token)?, (*token).to_owned())));
    found.unwrap_or((0, "[PAD]".to_owned()))
}
