//! `Resize`: an image at another resolution.

use crate::catalogue::prelude::*;
use crate::primitives;

/// An image at another resolution.
pub struct Resize;

static SCHEMA: Schema = Schema {
    name: "Resize",
    category: "Pooling and resizing",
    doc: "Interpolates height and width to another size: `size: [\"2 * height\", \"2 * width\"]` doubles them.",
    ports: &[Port::one("from", Accepts::Float, "`[batch, channels, height, width]`")],
    fields: &[
        Field::required("size", FieldKind::Pair, "height and width of the result"),
        Field::new(
            "mode",
            FieldKind::Choice(&["Nearest", "Bilinear", "Bicubic"]),
            Default::Choice("Nearest"),
            "how pixels are interpolated",
        ),
        Field::new(
            "align_corners",
            FieldKind::Flag,
            Default::Flag(false),
            "whether the centres of the corner pixels meet, rather than their outer edges; not with `Nearest`",
        ),
        Field::new(
            "antialias",
            FieldKind::Flag,
            Default::Flag(false),
            "whether downsampling averages over all pixels it covers; not with `Nearest`",
        ),
    ],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[batch, channels, height, width] -> [batch, channels, size, size]",
    domain_rule: "the input's; with `Bicubic`, which overshoots, only whether it is Finite",
    gradient: "by rule",
    pytorch: "torch.nn.functional.interpolate(size=...)",
    example: r#"Resize(from: "coarse", size: ["2 * height", "2 * width"], mode: Bilinear)"#,
};

impl Op for Resize {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        expect_rank(call, "from", 4, "[batch, channels, height, width]")?;
        let x = call.input("from");
        let [height, width] = call.pair("size");
        for dim in [&height, &width] {
            at_least(call, "size", dim, 1)?;
        }
        let mode = call.choice("mode");
        for field in ["align_corners", "antialias"] {
            if mode == "Nearest" && call.flag(field) {
                call.field_error(field, codes::SETTINGS_CONFLICT, format!("`{field}: true` has no meaning with `mode: Nearest`"))
                    .help("choose `mode: Bilinear` or `mode: Bicubic`");
                return Err(Refused);
            }
        }
        let resized = x.with_shape([x.shape[0].clone(), x.shape[1].clone(), height, width]);
        Ok(smallvec![if mode == "Bicubic" { resized.with_domain(finite_if(&[x])) } else { resized }])
    }

    fn flops(&self, call: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        let taps = match call.choice("mode") {
            "Bilinear" => 4,
            "Bicubic" => 16,
            _ => 0,
        };
        per_element(&outputs[0], 2 * taps)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let resize = primitives::Resize {
            mode: match call.choice("mode") {
                "Bilinear" => primitives::ResizeMode::Bilinear,
                "Bicubic" => primitives::ResizeMode::Bicubic,
                _ => primitives::ResizeMode::Nearest,
            },
            output: call.pair("size").into(),
            align_corners: call.flag("align_corners"),
            antialias: call.flag("antialias"),
        };
        Ok(smallvec![channels_last(builder, call.input("from"), |builder, x| builder.emit_one(resize, &[x]))?])
    }
}
