//! `S01xx`: resolving modules, parameters and overrides.

codes! {}
