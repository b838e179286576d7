//! Sizes that must be equal.

use crate::catalogue::prelude::*;
use sward_core::dim::Verdict;

/// One tensor of a call: its port and its position there.
pub(crate) type Place<'p> = (&'p str, usize);

/// `` `x` is f32[batch, width] ``.
pub(crate) fn described(input: &Input) -> String {
    format!("`{}` is {}", input.name, input.tensor_type)
}

/// Why two sizes are not the same, as the end of a sentence: a counterexample, or that none was found.
pub(crate) fn difference(call: &Call<'_>, left: &Dim, right: &Dim) -> Option<String> {
    match call.compare(left, right) {
        Verdict::Equal => None,
        Verdict::Different(example) if example.sizes.is_empty() => Some(String::new()),
        Verdict::Different(example) => Some(format!(" ({example})")),
        Verdict::Undecided => Some(" (neither proved equal nor told apart)".to_string()),
    }
}

/// Complains about two tensors: at the second's reference, with the first's place as another label.
pub(crate) fn pair_error<'c>(
    call: &'c mut Call<'_>,
    first: Place<'_>,
    second: Place<'_>,
    code: sward_core::diagnostic::Code,
    message: impl Into<String>,
) -> &'c mut Complaint {
    let other = &call.inputs(first.0)[first.1];
    let (span, text) = (other.span, described(other));
    let complaint = call.port_error(second.0, second.1, code, message);
    complaint.also(span, text)
}

/// Complains unless two tensors agree in one size each.
pub(crate) fn expect_same(
    call: &mut Call<'_>,
    (first, first_axis): (Place<'_>, usize),
    (second, second_axis): (Place<'_>, usize),
    what: &str,
) -> Result<(), Refused> {
    let left = &call.inputs(first.0)[first.1].tensor_type.shape[first_axis];
    let right = &call.inputs(second.0)[second.1].tensor_type.shape[second_axis];
    let Some(reason) = difference(call, left, right) else { return Ok(()) };
    let message = format!("{what}: {left} and {right}{reason}");
    pair_error(call, first, second, codes::SIZES_DIFFER, message);
    Err(Refused)
}

/// Complains unless all tensors of a port have the first's dtype.
pub(crate) fn expect_one_dtype(call: &mut Call<'_>, port: &str) -> Result<DType, Refused> {
    let inputs = call.inputs(port);
    let dtype = inputs[0].tensor_type.dtype;
    let Some(other) = inputs.iter().position(|input| input.tensor_type.dtype != dtype) else { return Ok(dtype) };
    let message = format!("{dtype} and {} do not go together", inputs[other].tensor_type.dtype);
    pair_error(call, (port, 0), (port, other), codes::DTYPES_DIFFER, message)
        .help(format!("add Cast(to: {}) before one of them", language_dtype(dtype)));
    Err(Refused)
}

/// A dtype as graph files write it.
pub(crate) fn language_dtype(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "F32",
        DType::BF16 => "BF16",
        DType::I64 => "I64",
        DType::Bool => "Bool",
    }
}
