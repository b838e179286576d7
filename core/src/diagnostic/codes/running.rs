//! `S09xx`: engines and running.

codes! {}
