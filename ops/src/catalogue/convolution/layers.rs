//! What the convolution layers share: parameters, cost, lowering.

use crate::catalogue::prelude::*;
use crate::primitives::ConvolutionGeometry;

/// Declares `weight` and `bias` of a convolution; returns the result's channels.
pub(super) fn parameters(call: &mut Call<'_>, in_channels: &Dim, kernel: &[Dim]) -> Result<Dim, Refused> {
    let channels = size_field(call, "channels")?;
    let (input_share, _) = group_shares(call, in_channels, &channels)?;
    let shape: Vec<Dim> = [channels.clone(), input_share].into_iter().chain(kernel.iter().cloned()).collect();
    declare(call, &shape, &channels);
    Ok(channels)
}

/// The same for a transposed convolution, whose `weight` starts with the input's channels.
pub(super) fn transposed_parameters(call: &mut Call<'_>, in_channels: &Dim, kernel: &[Dim]) -> Result<Dim, Refused> {
    let channels = size_field(call, "channels")?;
    let (_, output_share) = group_shares(call, in_channels, &channels)?;
    let shape: Vec<Dim> = [in_channels.clone(), output_share].into_iter().chain(kernel.iter().cloned()).collect();
    declare(call, &shape, &channels);
    Ok(channels)
}

fn declare(call: &mut Call<'_>, weight: &[Dim], channels: &Dim) {
    let weight_init = call.initial("weight_init", Initializer::FanIn);
    call.parameter("weight", weight, weight_init);
    if call.flag("bias") {
        let bias_init = call.initial("bias_init", Initializer::FanInOfWeight);
        call.parameter("bias", std::slice::from_ref(channels), bias_init);
    }
}

/// The channels of input and result that belong to one group.
fn group_shares(call: &mut Call<'_>, in_channels: &Dim, channels: &Dim) -> Result<(Dim, Dim), Refused> {
    let groups = size_field(call, "groups")?;
    let mut share = |whole: &Dim, whose: &str| match whole.exact_div(&groups) {
        Err(DimError::NotDivisible { .. }) => {
            let message = format!("{groups} groups do not divide the {whole} channels of the {whose}");
            call.field_error("groups", codes::NOT_DIVISIBLE, message)
                .help("`groups` must divide the channels of the input and of the result");
            Err(Refused)
        }
        Ok((share, obligation)) => {
            if let Some(obligation) = obligation {
                call.oblige("groups", obligation);
            }
            Ok(share)
        }
        Err(error) => call.checked(Err(error)),
    };
    Ok((share(in_channels, "input")?, share(channels, "result")?))
}

/// Two operations for each weight of a filter and each element of the result, and one for the bias.
pub(super) fn flops(call: &Call<'_>, output: &SymbolicType, kernel: &[Dim]) -> Result<Dim, DimError> {
    let (per_group, _) = call.input("from").shape[1].exact_div(&call.dim("groups"))?;
    let filter = Dim::product(kernel.iter().chain([&per_group]))?;
    let products = ((elements(output)? * filter)? * 2)?;
    if call.flag("bias") { products + elements(output)? } else { Ok(products) }
}

/// The padding of height and width, with `Same` worked out.
pub(super) fn lowered_padding(
    call: &LowerCall<'_>,
    kernel: [usize; 2],
    dilation: [usize; 2],
) -> ((usize, usize), (usize, usize)) {
    match call.ints("padding") {
        Some(sides) => ((sides[0] as usize, sides[1] as usize), (sides[2] as usize, sides[3] as usize)),
        None => (same_padding(kernel[0], dilation[0]), same_padding(kernel[1], dilation[1])),
    }
}

/// A convolution of `[n, h, w, c]` with a weight `[o, kh, kw, c / groups]`, and the bias.
pub(super) fn convolve(
    builder: &mut Builder,
    x: ValueId,
    weight: ValueId,
    bias: Option<ValueId>,
    geometry: ConvolutionGeometry,
) -> Result<ValueId, BuildError> {
    let y = builder.convolution(x, weight, geometry)?;
    match bias {
        Some(bias) => add_along(builder, y, bias, 3),
        None => Ok(y),
    }
}
