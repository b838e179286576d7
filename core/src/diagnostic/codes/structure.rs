//! `S02xx`: references and structure.

codes! {}
