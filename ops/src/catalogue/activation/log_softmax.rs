//! `LogSoftmax`: the logarithm of Softmax.

use super::softmax::{ALONG_AN_AXIS, Softmax};
use crate::catalogue::prelude::*;

/// The logarithm of Softmax.
pub static LOG_SOFTMAX: Softmax = Softmax {
    schema: &Schema {
        name: "LogSoftmax",
        doc: "The logarithm of Softmax, safe for large differences.",
        domain_rule: "at most 0",
        pytorch: "torch.log_softmax",
        example: r#"LogSoftmax(from: "logits")"#,
        ..ALONG_AN_AXIS
    },
    is_log: true,
};
