//! The pasture template: every combination of its parts proves, and parts that do not go together are refused. Nothing is trained.

use sward::experiment::{check, library_session};
use sward::init::Template;
use sward_core::check::Overrides;
use sward_core::diagnostic::render;
use sward_core::roots::MemoryFolder;

const FUSIONS: [&str; 5] =
    ["fusion/film.ron", "fusion/concat.ron", "fusion/cross_attention.ron", "fusion/gated.ron", "fusions/none.ron"];
const POOLINGS: [&str; 4] =
    ["pooling/gated_attention_mil.ron", "pooling/attention_mil.ron", "pooling/cross_attention.ron", "pooling/mean.ron"];
const ENCODERS: [&str; 3] = ["encoders/small.ron", "encoders/convnext.ron", "encoders/vit.ron"];
const PLANES: [&str; 2] = ["planes/colour.ron", "planes/greenness.ron"];
const CONTEXTS: [&str; 2] = ["contexts/statistics.ron", "contexts/global_view.ron"];
const PHOTOS: [&str; 3] = ["photos/four_tiles.ron", "photos/five_crops.ron", "photos/plain_tiles.ron"];
/// Heads that give a mean for each part, and the losses that compare means with labels.
const HEADS: [&str; 2] = ["outputs/tweedie.ron", "outputs/total_and_ratio.ron"];
const LOSSES: [&str; 5] =
    ["likelihoods/tweedie.ron", "likelihoods/zero_filled.ron", "losses/mse.ron", "losses/huber.ron", "losses/log_cosh.ron"];
/// The one head whose loss is its own.
const ZERO_INFLATED: (&str, &str) = ("outputs/zero_inflated_gamma.ron", "likelihoods/zero_inflated_gamma.ron");

/// The files of a new project and the library, read into memory once.
struct Project {
    files: MemoryFolder,
}

impl Project {
    fn new() -> Project {
        let mut files = MemoryFolder::new();
        for file in Template::Pasture.files() {
            if let Ok(text) = String::from_utf8(file.bytes) {
                files.insert(file.path, text.into_bytes());
            }
        }
        Project { files }
    }

    /// What `sward check FILE --swap ... --set ...` finds; empty where all is well.
    fn check(&self, file: &str, swaps: &[(&str, &str)], sets: &[(&str, &str)]) -> String {
        let mut session = library_session();
        let root = session.roots_mut().add_root("", self.files.clone());
        let joined = |pairs: &[(&str, &str)]| pairs.iter().map(|(path, value)| format!("{path}={value}")).collect::<Vec<_>>();
        let overrides: Option<Overrides> = session.overrides(&joined(sets), &joined(swaps), &[]);
        if let (Some(overrides), Some((id, opened))) = (overrides, session.open_in(root, file)) {
            check(&mut session, id, &opened, &overrides);
        }
        render::text(&session.sources, &session.diagnostics, false)
    }
}

#[test]
fn the_experiments_beside_the_template_prove() {
    let project = Project::new();
    for file in ["experiment.ron", "zero_inflated.ron", "dinov3.ron", "views.ron"] {
        let found = project.check(file, &[], &[]);
        assert!(found.is_empty(), "{file}:\n{found}");
    }
    // Without the graph's part of the mixing, targets alone would be mixed.
    let found = project.check("experiment.ron", &[], &[("train.mix", "Manifold(alpha: 0.4)")]);
    assert!(found.contains("S0810") && found.contains("mix:partner"), "{found}");
}

#[test]
fn every_combination_of_fusion_pooling_head_loss_and_encoder_proves() {
    let project = Project::new();
    let with_means = HEADS.iter().flat_map(|head| LOSSES.iter().map(move |loss| (*head, *loss)));
    let ends: Vec<(&str, &str)> = with_means.chain([ZERO_INFLATED]).collect();
    let mut count = 0;
    for encoder in ENCODERS {
        for fusion in FUSIONS {
            for pooling in POOLINGS {
                for &(head, loss) in &ends {
                    // A context that is trained and that nobody reads is refused.
                    let context = if fusion == "fusions/none.ron" { CONTEXTS[0] } else { CONTEXTS[count / 2 % CONTEXTS.len()] };
                    // What stands before the encoder is alike for all that comes after it: each is met by many combinations.
                    let swaps = [
                        ("model.encoder", encoder),
                        ("model.fusion", fusion),
                        ("model.pool", pooling),
                        ("model.head", head),
                        ("losses.biomass", loss),
                        ("model.planes", PLANES[count % PLANES.len()]),
                        ("model.context", context),
                    ];
                    let sets = [("data.fields.photo.graph", PHOTOS[count % PHOTOS.len()])];
                    let found = project.check("experiment.ron", &swaps, &sets);
                    assert!(found.is_empty(), "{swaps:?} {sets:?}:\n{found}");
                    count += 1;
                }
            }
        }
    }
    assert_eq!(count, 3 * 5 * 4 * 11);
}

#[test]
fn published_backbones_fit_at_their_own_size() {
    let project = Project::new();
    let size = [("data.fields.photo.params.size", "112")];
    for backbone in
        ["backbones/convnext_tiny.ron", "backbones/vit_small_patch14_dinov2.ron", "backbones/vit_tiny_patch16_224.ron"]
    {
        let found = project.check("experiment.ron", &[("model.encoder", backbone)], &size);
        assert!(found.is_empty(), "{backbone}:\n{found}");
    }
    // Positions of patches of 14 pixels do not tile 64.
    let found = project.check("experiment.ron", &[("model.encoder", "backbones/vit_small_patch14_dinov2.ron")], &[]);
    assert!(found.contains("14"), "{found}");
}

/// The words of a command line; single quotes hold one together.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for letter in line.chars() {
        match letter {
            '\'' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            _ => words.last_mut().expect("it begins with one").push(letter),
        }
    }
    words
}

#[test]
fn every_option_of_the_readme_proves() {
    let project = Project::new();
    let readme = include_str!("../../examples/pasture/README.md");
    let mut count = 0;
    for options in readme.split('`').filter(|code| code.starts_with("--set ") || code.starts_with("--swap ")) {
        let words = words(options);
        let of = |flag: &str| -> Vec<(&str, &str)> {
            let pairs = words.chunks(2).filter(|pair| pair[0] == flag);
            pairs.map(|pair| pair[1].split_once('=').expect("path=value")).collect()
        };
        let found = project.check("experiment.ron", &of("--swap"), &of("--set"));
        assert!(found.is_empty(), "{options}:\n{found}");
        count += 1;
    }
    assert!(count >= 20, "{count} options");
}

#[test]
fn files_of_the_template_prove_as_they_stand() {
    let project = Project::new();
    for file in ["experiment.ron", "zero_inflated.ron", "ablation.ron", "grid.ron", "masking.ron"] {
        let found = project.check(file, &[], &[]);
        assert!(found.is_empty(), "{file}:\n{found}");
    }
    let swaps = [("model.fusion", "fusion/concat.ron"), ("model.encoder", "encoders/vit.ron")];
    let found = project.check("zero_inflated.ron", &swaps, &[]);
    assert!(found.is_empty(), "{found}");
}

#[test]
fn parts_that_do_not_go_together_are_refused_with_the_reason() {
    let project = Project::new();
    let cases: [(&[(&str, &str)], &str); 5] = [
        (&[("model.fusion", "fusions/none.ron"), ("model.context", CONTEXTS[1])], "no output depends on the trained parameter"),
        (&[("model.head", ZERO_INFLATED.0)], "must be Positive"),
        (&[("losses.biomass", ZERO_INFLATED.1)], "axis 1 of the input `prediction`"),
        (&[("model.fuson", "fusion/concat.ron")], "model.fusion"),
        (&[("model.pool", "pooling/max.ron")], "weights"),
    ];
    for (swaps, reason) in cases {
        let found = project.check("experiment.ron", swaps, &[]);
        assert!(found.contains(reason), "{swaps:?}:\n{found}");
    }
}

#[test]
fn a_prediction_that_depends_on_the_survey_is_refused() {
    let mut project = Project::new();
    let mut changed = MemoryFolder::new();
    for file in Template::Pasture.files() {
        let Ok(text) = String::from_utf8(file.bytes) else { continue };
        // The context of a photograph, as if the survey had measured it at test time, too.
        let text = match &*file.path {
            "experiment.ron" => {
                text.replace("inputs: { \"image\": \"photo\" }", "inputs: { \"image\": \"photo\", \"table\": \"measured\" }")
            }
            "data.ron" => text.replace(
                "\"state\": Labels",
                "\"measured\": Numbers([\"Pre_GSHH_NDVI\", \"Height_Ave_cm\"], scale: ZScore),\n        \"state\": Labels",
            ),
            "model.ron" => text
                .replace("\"width_in\"]) },\n    nodes", "\"width_in\"]), \"table\": F32([\"batch\", \"fields\"]) },\n    nodes")
                .replace("Use(module: \"contexts/statistics.ron\", from: \"image\")", "Identity(from: \"table\")"),
            _ => text,
        };
        changed.insert(file.path, text.into_bytes());
    }
    project.files = changed;
    let found = project.check("experiment.ron", &[], &[]);
    assert!(found.contains("Pre_GSHH_NDVI") && found.contains("error"), "{found}");
}
