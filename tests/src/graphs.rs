//! Small placements of the library's blocks, compiled to training steps, for engines to run.

use sward::compile::{CompileOptions, training};
use sward::experiment::library_session;
use sward_core::check::{Checked, Overrides};
use sward_core::diagnostic::render;
use sward_core::dim::Sizes;
use sward_core::program::{DType, Program};
use sward_core::roots::MemoryFolder;

/// A graph with its name and sizes.
pub struct Placement {
    /// What it is called in tables.
    pub name: &'static str,
    /// The graph file's text.
    pub text: String,
    /// Sizes of its dimensions.
    pub sizes: Vec<(&'static str, i64)>,
}

fn placed(name: &'static str, module: &str, inputs: &str, wired: &str, params: &str, sizes: &[(&'static str, i64)]) -> Placement {
    let text = format!(
        r#"Module(inputs: {{ {inputs} }}, nodes: {{ "placed": Use(module: "{module}", inputs: {{ {wired} }}, params: {{ {params} }}) }}, outputs: {{ "y": "placed" }})"#
    );
    Placement { name, text, sizes: sizes.to_vec() }
}

/// Blocks of every kind: convolutions dense and depthwise, attention, gates, batch norm, drop path.
pub fn blocks() -> Vec<Placement> {
    let map = r#""x": F32(["b", 16, "h", "w"])"#;
    let tokens = r#""x": F32(["b", "t", 32])"#;
    let small_map = [("b", 2), ("h", 6), ("w", 8)];
    let few_tokens = [("b", 2), ("t", 17)];
    vec![
        placed("blocks/convnext.ron", "blocks/convnext.ron", map, r#""features": "x""#, r#""drop_path": 0.3"#, &small_map),
        placed("blocks/convnext_v2.ron", "blocks/convnext_v2.ron", map, r#""features": "x""#, "", &small_map),
        placed(
            "blocks/bottleneck.ron",
            "blocks/bottleneck.ron",
            map,
            r#""features": "x""#,
            r#""planes": 8, "stride": 2, "project": true"#,
            &small_map,
        ),
        placed(
            "blocks/squeeze_excite.ron",
            "blocks/squeeze_excite.ron",
            map,
            r#""features": "x""#,
            r#""squeezed": 4"#,
            &small_map,
        ),
        placed(
            "blocks/vit.ron",
            "blocks/vit.ron",
            tokens,
            r#""tokens": "x""#,
            r#""heads": 2, "hidden": 64, "layer_scale": 0.5"#,
            &few_tokens,
        ),
        placed("blocks/swiglu.ron", "blocks/swiglu.ron", tokens, r#""tokens": "x""#, r#""hidden": 48"#, &few_tokens),
        placed(
            "fusion/film.ron",
            "fusion/film.ron",
            r#""x": F32(["b", 6, "h", "w"]), "c": F32(["b", 5])"#,
            r#""features": "x", "context": "c""#,
            r#""hidden": 7"#,
            &small_map,
        ),
        // Both outputs: the values by the fused attention, the weights beside it.
        Placement {
            name: "pooling/cross_attention.ron",
            text: r#"Module(
                inputs: { "x": F32(["b", "t", 32]) },
                nodes: { "pool": Use(module: "pooling/cross_attention.ron", from: "x", params: { "heads": 2, "head_width": 32 }) },
                outputs: { "y": "pool:pooled", "weights": "pool:weights" },
            )"#
            .to_string(),
            sizes: few_tokens.to_vec(),
        },
    ]
}

/// Checks a graph file's text, which may use the library.
///
/// # Panics
/// When it has errors: these are texts of tests.
pub fn checked(text: &str) -> Checked {
    let mut session = library_session();
    let root = session.roots_mut().add_root("", MemoryFolder::new().with("module.ron", text));
    session
        .open_in(root, "module.ron")
        .and_then(|(id, file)| session.check_file(id, &file, &Overrides::default()))
        .unwrap_or_else(|| panic!("{}", render::text(&session.sources, &session.diagnostics, false)))
}

/// The training step of a placement: forward, mean of squares, backward, AdamW.
///
/// # Panics
/// When it does not compile.
pub fn training_step(placement: &Placement, dtype: DType) -> (Checked, Program) {
    let checked = checked(&placement.text);
    let sizes: Sizes = placement.sizes.iter().copied().collect();
    let options = CompileOptions { dtype, ..CompileOptions::default() };
    let program = training(&checked, &sizes, &options).unwrap_or_else(|error| panic!("{}: {error}", placement.name));
    (checked, program)
}
