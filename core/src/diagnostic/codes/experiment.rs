//! `S08xx`: experiments.

codes! {}
