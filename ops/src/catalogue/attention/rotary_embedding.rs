//! `RotaryEmbedding`: positions as rotations of queries and keys.

use crate::catalogue::prelude::*;
use crate::primitives;
use std::f64::consts::PI;

/// Positions as rotations of queries and keys.
pub struct RotaryEmbedding;

static SCHEMA: Schema = Schema {
    name: "RotaryEmbedding",
    category: "Attention",
    doc: "Rotates pairs of features by angles that grow with the token's position, so that products of queries and keys depend on distances (Su et al., 2021). Without `grid` the tokens are a sequence; with it they are an image's patches row by row after `prefix` tokens that stay as they are, and the first half of the angles is by row, the second by column. Angle j of n is the position times temperature ** (-j / n). `positions: Centered` places the centres of the patches between -1 and 1 and multiplies by 2 pi (DINOv3).",
    ports: &[Port::one("from", Accepts::Float, "`[..., tokens, width]`, queries or keys")],
    fields: &[
        Field::new("grid", FieldKind::Pair, Default::Absent, "rows and columns of patches; a sequence where it is left out"),
        Field::new("prefix", FieldKind::Dim, Default::Int(0), "leading tokens that are not rotated (class and register tokens)"),
        Field::new("temperature", FieldKind::Float, Default::Float(10000.0), "base of the angles' periods; 100 for DINOv3"),
        Field::new(
            "layout",
            FieldKind::Choice(&["Interleaved", "Half"]),
            Default::Choice("Interleaved"),
            "pairs are features 2j and 2j + 1, or j and j + width / 2",
        ),
        Field::new(
            "positions",
            FieldKind::Choice(&["Index", "Centered"]),
            Default::Choice("Index"),
            "what positions are counted in",
        ),
        Field::new("offset", FieldKind::Float, Default::Float(0.0), "added to every position"),
        Field::new(
            "reference",
            FieldKind::Pair,
            Default::Absent,
            "the grid that positions are scaled to (EVA's pre-training grid)",
        ),
    ],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[..., tokens, width] -> [..., tokens, width]; width % 2 == 0, with `grid` width % 4 == 0 and tokens == prefix + rows * columns",
    domain_rule: "Finite where the input is",
    gradient: "by rule",
    pytorch: "timm.layers.apply_rot_embed_cat with RotaryEmbeddingCat(in_pixels=False) or RotaryEmbeddingDinoV3",
    example: r#"RotaryEmbedding(from: "q", grid: ["rows", "columns"], prefix: 5, temperature: 100.0, layout: Half, positions: Centered)"#,
};

impl Op for RotaryEmbedding {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        expect_rank_from(call, "from", 2, "[..., tokens, width]")?;
        float_within(call, "temperature", |value| value > 0.0 && value.is_finite(), "above 0")?;
        let prefix = call.dim("prefix");
        at_least(call, "prefix", &prefix, 0)?;
        let x = call.input("from");
        let width = x.shape[x.rank() - 1].clone();
        let parts = if call.dims("grid").is_some() { 4 } else { 2 };
        if let Err(error) = divides(call, &width, parts) {
            let message = format!("the width {width} is not divisible by {parts}: {error}");
            call.port_error("from", 0, codes::NOT_DIVISIBLE, message);
            return Err(Refused);
        }
        tokens_fill_grid(call, &prefix)?;
        if call.dims("reference").is_some() && call.dims("grid").is_none() {
            call.field_error(
                "reference",
                codes::SETTINGS_CONFLICT,
                "`reference` scales the positions of a `grid`, and there is none",
            );
            return Err(Refused);
        }
        Ok(smallvec![SymbolicType::new(DType::F32, x.shape.clone()).with_domain(finite_if(&[x]))])
    }

    fn flops(&self, _: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        per_element(&outputs[0], 3)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let x = call.input("from");
        let shape = builder.shape(x).to_vec();
        let rank = shape.len();
        let (tokens, width) = (shape[rank - 2], shape[rank - 1]);
        let half = call.choice("layout") == "Half";
        let angles = angles(call, tokens, width);
        let (mut cosines, mut sines) = (Vec::with_capacity(tokens * width), Vec::with_capacity(tokens * width));
        for feature in (0..tokens).flat_map(|token| (0..width).map(move |feature| (token, feature))) {
            let (token, feature) = feature;
            let (pair, second) =
                if half { (feature % (width / 2), feature >= width / 2) } else { (feature / 2, feature % 2 == 1) };
            let angle = angles[token * (width / 2) + pair];
            cosines.push(angle.cos());
            // The first of a pair is turned towards minus the second.
            sines.push(if second { angle.sin() } else { -angle.sin() });
        }
        let table = |builder: &mut Builder, data| {
            let table = builder.emit_one(primitives::Constant::new(DType::F32, &[tokens, width], data), &[])?;
            builder.align(table, rank)
        };
        let cosines = table(builder, cosines)?;
        let sines = table(builder, sines)?;
        let partner = if half { swap_halves(builder, x)? } else { swap_neighbours(builder, x)? };
        let operands = [("x", x), ("cosine", cosines), ("partner", partner), ("sine", sines)];
        Ok(smallvec![emit(builder, "x * cosine + partner * sine", &operands, &[])?])
    }
}

/// Whether a size is a multiple of a number, perhaps as an obligation.
fn divides(call: &mut Call<'_>, size: &Dim, by: i64) -> Result<(), DimError> {
    if let (_, Some(obligation)) = size.exact_div(&Dim::constant(by))? {
        call.oblige("from", obligation);
    }
    Ok(())
}

fn tokens_fill_grid(call: &mut Call<'_>, prefix: &Dim) -> Result<(), Refused> {
    let Some(grid) = call.dims("grid") else { return Ok(()) };
    for dim in &grid {
        at_least(call, "grid", dim, 1)?;
    }
    let patches = call.checked(Dim::product(&grid))?;
    let wanted = call.checked(&patches + prefix)?;
    let input = &call.inputs("from")[0];
    let tokens = &input.tensor_type.shape[input.tensor_type.rank() - 2];
    let Some(reason) = difference(call, tokens, &wanted) else { return Ok(()) };
    let (span, text) = (input.span, described(input));
    let message = format!("there are {tokens} tokens, and `grid` and `prefix` make {wanted}{reason}");
    call.field_error("grid", codes::SIZES_DIFFER, message).also(span, text);
    Err(Refused)
}

/// The angle of every token and pair of features, 0 for the prefix.
fn angles(call: &LowerCall<'_>, tokens: usize, width: usize) -> Vec<f64> {
    let prefix = call.size("prefix");
    let pairs = width / 2;
    let temperature = call.float("temperature");
    let frequencies = |count: usize| (0..count).map(move |band| temperature.powf(-(band as f64) / count as f64));
    let mut angles = vec![0.0; prefix * pairs];
    let Some(grid) = call.ints("grid") else {
        for token in 0..tokens - prefix {
            let position = position(call, token, tokens - prefix, None);
            angles.extend(frequencies(pairs).map(|frequency| position * frequency));
        }
        return angles;
    };
    let reference = call.ints("reference");
    let along = |axis: usize, index: usize| {
        let reference = reference.as_ref().map(|sizes| sizes[axis] as usize);
        position(call, index, grid[axis] as usize, reference)
    };
    for token in 0..tokens - prefix {
        let columns = grid[1] as usize;
        for position in [along(0, token / columns), along(1, token % columns)] {
            angles.extend(frequencies(pairs / 2).map(|frequency| position * frequency));
        }
    }
    angles
}

fn position(call: &LowerCall<'_>, index: usize, size: usize, reference: Option<usize>) -> f64 {
    let offset = call.float("offset");
    let scale = reference.map_or(1.0, |reference| reference as f64 / size as f64);
    if call.choice("positions") == "Centered" {
        let share = (index as f64 + 0.5 + offset) / size as f64 * scale;
        2.0 * PI * (2.0 * share - 1.0)
    } else {
        (index as f64 + offset) * scale
    }
}

fn swap_halves(builder: &mut Builder, x: ValueId) -> Result<ValueId, BuildError> {
    let axis = builder.shape(x).len() - 1;
    let half = builder.shape(x)[axis] / 2;
    let first = builder.slice(x, axis, 0, half, 1)?;
    let second = builder.slice(x, axis, half, half, 1)?;
    builder.concat(&[second, first], axis)
}

fn swap_neighbours(builder: &mut Builder, x: ValueId) -> Result<ValueId, BuildError> {
    let shape = builder.shape(x).to_vec();
    let last = shape.len() - 1;
    let pairs: Vec<usize> = shape[..last].iter().copied().chain([shape[last] / 2, 2]).collect();
    let pairs = builder.reshape(x, &pairs)?;
    let swapped = builder.slice(pairs, last + 1, 1, 2, -1)?;
    builder.reshape(swapped, &shape)
}
