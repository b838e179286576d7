//! Arithmetic of windows that slide over an axis: convolution and pooling.

use crate::catalogue::prelude::*;

/// A window along one axis.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// How many positions it reads.
    pub kernel: Dim,
    /// How far it moves.
    pub stride: Dim,
    /// The distance of the positions that it reads.
    pub dilation: Dim,
    /// Padding before and after; `None` keeps the size at stride 1.
    pub padding: Option<(Dim, Dim)>,
}

impl Window {
    /// The distance from the first to the last position that is read, plus 1.
    fn extent(&self) -> Result<Dim, DimError> {
        ((&self.kernel - 1)? * &self.dilation)? + 1
    }

    /// The size of the result: `(size + before + after - dilation * (kernel - 1) - 1) // stride + 1`, rounded up in ceil mode.
    pub fn output(&self, size: &Dim, ceil: bool) -> Result<Dim, DimError> {
        let Some((before, after)) = &self.padding else { return Ok(size.clone()) };
        let room = (Dim::sum([size, before, after])? - self.extent()?)?;
        if !ceil {
            return room.floor_div(&self.stride)? + 1;
        }
        // PyTorch's ceil mode drops a last window that would start beyond the input and its leading padding.
        let last = ((Dim::sum([size, before])? - 1)?).floor_div(&self.stride)?;
        room.ceil_div(&self.stride)?.minimum(&last)? + 1
    }
}

/// The windows for height and width given by the fields `stride`, `dilation` and a `padding` of the kind `Padding`.
pub(crate) fn windows(call: &mut Call<'_>, kernel: [Dim; 2]) -> Result<[Window; 2], Refused> {
    let padding = match call.padding("padding") {
        Some([top, bottom, left, right]) => [Some((top, bottom)), Some((left, right))],
        None => [None, None],
    };
    for dim in padding.iter().flatten().flat_map(|(before, after)| [before, after]) {
        at_least(call, "padding", dim, 0)?;
    }
    if padding[0].is_none() && call.pair("stride").iter().any(|dim| !dim.is_one()) {
        call.field_error("padding", codes::SETTINGS_CONFLICT, "`padding: Same` keeps the size, and needs a stride of 1")
            .help("state the padding in numbers: (kernel - 1) / 2 for an odd kernel");
        return Err(Refused);
    }
    windows_with(call, kernel, padding)
}

/// The windows for height and width with this padding; a stride that is left out is the kernel's size.
pub(crate) fn windows_with(
    call: &mut Call<'_>,
    kernel: [Dim; 2],
    padding: [Option<(Dim, Dim)>; 2],
) -> Result<[Window; 2], Refused> {
    let stride = call.dims("stride").unwrap_or_else(|| kernel.to_vec());
    let dilates = call.schema().field_index("dilation").is_some();
    let dilation = if dilates { call.pair("dilation") } else { [Dim::ONE, Dim::ONE] };
    for (field, dims) in [("kernel", &kernel[..]), ("stride", &stride[..]), ("dilation", &dilation[..])] {
        for dim in dims {
            at_least(call, field, dim, 1)?;
        }
    }
    let [kernel_height, kernel_width] = kernel;
    let [dilation_height, dilation_width] = dilation;
    let [vertical, horizontal] = padding;
    Ok([
        Window { kernel: kernel_height, stride: stride[0].clone(), dilation: dilation_height, padding: vertical },
        Window { kernel: kernel_width, stride: stride[1].clone(), dilation: dilation_width, padding: horizontal },
    ])
}

/// The size that a window gives along one axis of the tensor at `from`; complains where it is known to be empty.
pub(crate) fn window_output(call: &mut Call<'_>, window: &Window, size: &Dim, axis: &str, ceil: bool) -> Result<Dim, Refused> {
    let output = call.checked(window.output(size, ceil))?;
    if output.as_constant().is_some_and(|output| output < 1) {
        let kernel = &window.kernel;
        let message = format!("a window of {kernel} does not fit into the {axis} of {size}: the result would be empty");
        call.port_error("from", 0, codes::WINDOW_TOO_LARGE, message)
            .help("add padding, or take a smaller kernel or fewer strided layers before");
        return Err(Refused);
    }
    Ok(output)
}

/// Before and after padding that keeps the size at stride 1, the larger half after, as PyTorch's `padding='same'`.
pub(crate) fn same_padding(kernel: usize, dilation: usize) -> (usize, usize) {
    let total = dilation * (kernel - 1);
    (total / 2, total - total / 2)
}
