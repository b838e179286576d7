//! The Sward language and the program it compiles to.
//!
//! A [`check::Session`] reads files and checks them with a catalogue of ops (`sward-ops` has one); [`lower::lower`] makes a [`program`] of what was proved. What is wrong
//! is a [`diagnostic`] with places in the files:
//!
//! ```
//! use sward_core::check::{Overrides, Session};
//! use sward_core::diagnostic::render;
//! use sward_core::op::Catalogue;
//! use sward_core::roots::{MemoryFolder, Roots};
//!
//! let text = r#"Module(inputs: { "x": F32(["batch", 3]) }, nodes: {}, outputs: { "y": "z" })"#;
//! let mut roots = Roots::new();
//! let root = roots.add_root("", MemoryFolder::new().with("model.ron", text));
//! let catalogue = Catalogue::default();
//! let mut session = Session::new(&catalogue, roots);
//! let (id, file) = session.open_in(root, "model.ron").expect("the file is read");
//! assert!(session.check_file(id, &file, &Overrides::default()).is_none());
//! let told = render::text(&session.sources, &session.diagnostics, false);
//! assert!(told.contains("model.ron:1:"), "{told}");
//! ```
//!
//! Sizes are symbols until a program is made:
//!
//! ```
//! use sward_core::dim::{Dim, Sizes};
//! let tokens = Dim::product(&[Dim::name("height"), Dim::name("width")])?;
//! let sizes: Sizes = [("height", 7), ("width", 5)].into_iter().collect();
//! assert_eq!(tokens.evaluate(&sizes)?, 35);
//! # Ok::<(), sward_core::dim::DimError>(())
//! ```

pub mod check;
pub mod diagnostic;
pub mod dim;
pub mod domain;
pub mod expr;
pub mod glob;
pub mod language;
pub mod lower;
pub mod op;
pub mod program;
pub mod roots;
pub mod scalar;
pub mod source;
pub mod suggest;
pub mod syntax;
