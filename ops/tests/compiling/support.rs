//! Lowering of module texts, arguments for programs and comparison of results.

use std::collections::BTreeMap;
use sward_core::check::{Overrides, Session};
use sward_core::diagnostic::render;
use sward_core::dim::Sizes;
use sward_core::lower::{LowerOptions, lower};
use sward_core::program::{Array, Builder, DType, Program, Role, RunKey, interpret};
use sward_core::roots::{MemoryFolder, Roots};
use sward_ops::primitives::AddAlgebra;
use sward_ops::primitives::problems::{Draw, Extent};

pub type Arguments = BTreeMap<String, Array>;
pub type Results = (BTreeMap<String, Array>, BTreeMap<String, Array>);

pub const KEY: RunKey = RunKey { seed: 7, step: 3 };

/// Lowers a module text that may use the library.
pub fn lowered(text: &str, sizes: &[(&str, i64)], training: bool) -> Builder {
    let mut roots = Roots::new();
    let root = roots.add_root("", MemoryFolder::new().with("module.ron", text));
    roots.set_library(sward_graphs::files().into_iter().collect::<MemoryFolder>());
    let mut session = Session::new(sward_ops::catalogue(), roots);
    let checked = session
        .open_in(root, "module.ron")
        .and_then(|(id, file)| session.check_file(id, &file, &Overrides::default()))
        .unwrap_or_else(|| panic!("{}", render::text(&session.sources, &session.diagnostics, false)));
    let sizes: Sizes = sizes.iter().copied().collect();
    let options = LowerOptions { training, ..LowerOptions::default() };
    lower(&checked, &sizes, &options, &AddAlgebra).unwrap_or_else(|error| panic!("{error}"))
}

/// Random arguments: positive state (variances), numbers around 0 elsewhere.
pub fn arguments(program: &Program, seed: u64) -> Arguments {
    let mut draw = Draw::new(seed, DType::F32, Extent::Small);
    let mut arguments = Arguments::new();
    for argument in &program.arguments {
        let tensor_type = program.type_of(argument.value);
        let data = (0..tensor_type.elements())
            .map(|_| match (tensor_type.dtype, argument.role) {
                (DType::Bool, _) => f64::from(u8::from(draw.flag())),
                (DType::I64, _) => draw.below(3) as f64,
                (_, Role::State) => draw.uniform(0.5, 1.5),
                _ => draw.uniform(-1.0, 1.0),
            })
            .collect();
        arguments.insert(argument.name.clone(), Array::new(tensor_type.dtype, &tensor_type.shape, data));
    }
    arguments
}

pub fn run(program: &Program, arguments: &Arguments) -> Results {
    interpret(program, arguments, KEY).unwrap_or_else(|error| panic!("{error}"))
}

/// Asserts equal outputs and updates within a share of the largest number.
pub fn assert_same(what: &str, wanted: &Results, found: &Results, tolerance: f64) {
    for (kind, wanted, found) in [("output", &wanted.0, &found.0), ("update", &wanted.1, &found.1)] {
        assert_eq!(wanted.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "{what}: {kind}s");
        for (name, wanted) in wanted {
            let found = &found[name];
            assert_eq!(wanted.tensor_type(), found.tensor_type(), "{what}: {kind} {name}");
            let largest = wanted.data.iter().filter(|value| value.is_finite()).fold(1.0f64, |most, value| most.max(value.abs()));
            for (position, (wanted, found)) in wanted.data.iter().zip(&found.data).enumerate() {
                let is_same =
                    wanted == found || wanted.is_nan() && found.is_nan() || (wanted - found).abs() <= tolerance * largest;
                assert!(is_same, "{what}: {kind} {name}[{position}] is {found}, wanted {wanted}");
            }
        }
    }
}

/// How many instructions of that name a program has.
pub fn count(program: &Program, name: &str) -> usize {
    program.instructions.iter().filter(|instruction| instruction.op.name() == name).count()
}
