//! `S04xx`: domains and gradients.

codes! {}
