//! From lowered graphs to what an engine runs: passes and training programs, judged by the interpreter, by loops in f64 and by finite differences.

mod attention_weights;
mod library;
mod passes;
mod random;
mod support;
mod tokens;
mod training;
