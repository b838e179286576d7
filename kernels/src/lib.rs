//! Engines that run a Sward program.
//!
//! [`Engine::prepare`] turns a program into a [`Plan`]; a plan is given its arguments by name as [`Tensor`]s and run. [`cpu`] is the engine for
//! the machine's own processor, [`cuda`] for an NVIDIA GPU, [`dfdx`] a second opinion and the way into dfdx programs.
//!
//! ```
//! use sward_core::program::{Builder, Role, RunKey, TensorType};
//! use sward_kernels::{Engine, Tensor, cpu::CpuEngine};
//! use sward_ops::primitives::EmitExt;
//!
//! let mut builder = Builder::new();
//! let x = builder.argument("x", Role::Input, TensorType::f32(&[2, 2]));
//! let weight = builder.argument("weight", Role::Parameter { trained: true }, TensorType::f32(&[2, 1]));
//! let y = builder.matmul(x, weight)?;
//! builder.output("y", y);
//!
//! let mut plan = CpuEngine::new(1)?.prepare(&builder.finish())?;
//! plan.set("weight", &Tensor::f32(&[2, 1], vec![2.0, 3.0]))?;
//! plan.set("x", &Tensor::f32(&[2, 2], vec![1.0, 0.0, 1.0, 1.0]))?;
//! plan.run(RunKey::default())?;
//! assert_eq!(plan.output("y")?.as_f32(), Some(&[2.0, 5.0][..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod cpu;
pub mod cuda;
pub mod dfdx;
mod engine;
mod memory;
mod tensor;

pub use engine::{Engine, InstructionTime, Memory, Plan, PrepareError, RunError};
pub use tensor::{Data, Tensor};
