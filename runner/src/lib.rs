//! Sward.
