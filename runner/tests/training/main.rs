//! Training as a whole: what a run promises, what survives, and whether its numbers are right.

mod device;
mod faults;
mod features;
mod kills;
mod maps;
mod numbers;
mod outputs;
mod project;
mod runs;
mod splits;
mod streams;
