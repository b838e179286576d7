//! The CPU engine.
//!
//! [`features`] finds the machine's instructions, [`simd`] gives sixteen f32 lanes on each of them, [`kernels`] holds the loops (one family
//! a file, over slices with explicit shapes and strides, knowing nothing of programs).
//!
//! Every kernel gives the same bits for any number of threads: work is cut into parts by the problem's shape alone, and every sum has one
//! fixed order.

pub mod amx;
pub mod features;
pub mod kernels;
pub mod simd;
pub mod threads;
