//! The loops, one family a file.
