//! Small programs that use Sward as a library. Each has a binary of its name in `src/bin`.

pub mod dfdx_mixed;
