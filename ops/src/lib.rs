//! The catalogue (the primitives that programs consist of, and the ops that graph files are written in), the passes, and training programs.
//!
//! A graph text becomes an optimized program, and a program with its gradients:
//!
//! ```
//! use sward_core::{check::{Overrides, Session}, dim::Sizes, lower::{LowerOptions, lower}, roots::{MemoryFolder, Roots}};
//! use sward_ops::passes::{PassOptions, optimize};
//! use sward_ops::primitives::AddAlgebra;
//! use sward_ops::training::{GradientOptions, Loss, gradient_program};
//!
//! let text = r#"Module(
//!     inputs: { "x": F32(["batch", 3]) },
//!     nodes: { "y": Chain(from: "x", layers: [Linear(units: 2), Relu]), "loss": Mean(from: "y") },
//!     outputs: { "loss": "loss" },
//! )"#;
//! let mut roots = Roots::new();
//! let root = roots.add_root("", MemoryFolder::new().with("model.ron", text));
//! let mut session = Session::new(sward_ops::catalogue(), roots);
//! let (id, file) = session.open_in(root, "model.ron").expect("the file is read");
//! let checked = session.check_file(id, &file, &Overrides::default()).expect("it is well-formed for all sizes");
//!
//! let sizes: Sizes = [("batch", 4)].into_iter().collect();
//! let lowered = || lower(&checked, &sizes, &LowerOptions::default(), &AddAlgebra);
//! let forward = optimize(lowered()?.finish(), &PassOptions::default())?;
//! assert_eq!(forward.output("loss").map(|loss| forward.type_of(loss.value).to_string()).as_deref(), Some("f32[]"));
//!
//! let wanted = GradientOptions { loss: Loss::Output("loss".into()), parameters: true, inputs: false };
//! let both = gradient_program(lowered()?, &wanted)?;
//! assert!(both.output("grad.y.0.weight").is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod catalogue;
pub mod frozen;
pub mod passes;
pub mod primitives;
pub mod training;

pub use catalogue::catalogue;
