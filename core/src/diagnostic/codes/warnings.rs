//! `S06xx`: warnings.

codes! {}
