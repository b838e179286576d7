//! `S07xx`: data.

codes! {}
