//! `S03xx`: types, shapes and dimensions.

codes! {}
