//! `S05xx`: contracts and interfaces.

codes! {}
