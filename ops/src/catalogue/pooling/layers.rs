//! What the pools share: fields, shapes, cost.

use crate::catalogue::prelude::*;

/// The window's size.
pub(super) const KERNEL: Field = Field::required("kernel", FieldKind::Pair, "size of a window");
/// How far the window moves.
pub(super) const STRIDE: Field =
    Field::new("stride", FieldKind::Pair, Default::Absent, "how far the window moves; its own size where it is left out");
/// Padding at both sides.
pub(super) const PADDING: Field =
    Field::new("padding", FieldKind::Pair, Default::Ints(&[0, 0]), "rows and columns around the image; at most half the kernel");
/// Whether the last window may reach over the edge.
pub(super) const CEIL_MODE: Field = Field::new(
    "ceil_mode",
    FieldKind::Flag,
    Default::Flag(false),
    "whether the result's size is rounded up: a last window reaches over the edge",
);

/// The window's size along a sequence.
pub(super) const LENGTH: Field = Field::required("kernel", FieldKind::Dim, "size of a window");
/// How far a window moves along a sequence.
pub(super) const STEP: Field =
    Field::new("stride", FieldKind::Dim, Default::Absent, "how far the window moves; its own size where it is left out");
/// Padding at both ends of a sequence.
pub(super) const ENDS: Field =
    Field::new("padding", FieldKind::Dim, Default::Int(0), "elements at both ends; at most half the kernel");

/// Complains of a padding that is negative, or more than half of the window.
fn check_padding(call: &mut Call<'_>, kernel: &Dim, padding: &Dim) -> Result<(), Refused> {
    at_least(call, "padding", padding, 0)?;
    if let (Some(kernel), Some(padding)) = (kernel.as_constant(), padding.as_constant())
        && padding.saturating_mul(2) > kernel
    {
        let message = format!("a padding of {padding} is more than half of the window's {kernel}");
        call.field_error("padding", codes::SETTING_OUT_OF_RANGE, message);
        return Err(Refused);
    }
    Ok(())
}

/// The type of a pooled sequence.
pub(super) fn pooled_sequence(call: &mut Call<'_>) -> Inferred {
    expect_rank(call, "from", 3, "[batch, channels, length]")?;
    let x = call.input("from");
    let (kernel, padding) = (size_field(call, "kernel")?, call.dim("padding"));
    check_padding(call, &kernel, &padding)?;
    let stride = call.optional_dim("stride").unwrap_or_else(|| kernel.clone());
    at_least(call, "stride", &stride, 1)?;
    let dilates = call.schema().field_index("dilation").is_some();
    let dilation = if dilates { size_field(call, "dilation")? } else { Dim::ONE };
    let window = Window { kernel, stride, dilation, padding: Some((padding.clone(), padding)) };
    let ceil = call.flag("ceil_mode");
    let length = window_output(call, &window, &x.shape[2], "length", ceil)?;
    Ok(smallvec![x.with_shape([x.shape[0].clone(), x.shape[1].clone(), length])])
}

/// The type of a pooled image.
pub(super) fn pooled(call: &mut Call<'_>) -> Inferred {
    expect_rank(call, "from", 4, "[batch, channels, height, width]")?;
    let x = call.input("from");
    let kernel = call.pair("kernel");
    let padding = call.pair("padding");
    for (kernel, padding) in kernel.iter().zip(&padding) {
        check_padding(call, kernel, padding)?;
    }
    let [vertical, horizontal] = padding;
    let sides = [(vertical.clone(), vertical), (horizontal.clone(), horizontal)];
    let windows = windows_with(call, kernel, sides.map(Some))?;
    let ceil = call.flag("ceil_mode");
    let height = window_output(call, &windows[0], &x.shape[2], "height", ceil)?;
    let width = window_output(call, &windows[1], &x.shape[3], "width", ceil)?;
    Ok(smallvec![x.with_shape([x.shape[0].clone(), x.shape[1].clone(), height, width])])
}

/// One operation for each pixel of each window.
pub(super) fn flops(call: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
    elements(&outputs[0])? * Dim::product(&call.pair("kernel"))?
}

/// The stride of height and width.
pub(super) fn lowered_stride(call: &LowerCall<'_>) -> (usize, usize) {
    match call.ints("stride") {
        Some(stride) => (stride[0] as usize, stride[1] as usize),
        None => call.pair("kernel").into(),
    }
}

/// Kernel, stride and padding of a sequence's pool, as those of an image of height 1.
pub(super) fn lowered_sequence(call: &LowerCall<'_>) -> [(usize, usize); 3] {
    let stride = call.optional_int("stride").map_or_else(|| call.size("kernel"), |stride| stride as usize);
    [(1, call.size("kernel")), (1, stride), (0, call.size("padding"))]
}
