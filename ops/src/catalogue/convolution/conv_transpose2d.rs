//! `ConvTranspose2d`: the transpose of a convolution, for upsampling.

use super::layers;
use crate::catalogue::prelude::*;
use crate::primitives::{ConvolutionGeometry, ConvolutionInputGradient};

/// The transpose of a convolution.
pub struct ConvTranspose2d;

static SCHEMA: Schema = Schema {
    name: "ConvTranspose2d",
    category: "Convolution",
    doc: "The transpose of a convolution: every pixel paints a patch of the result. `kernel: 2, stride: 2` doubles height and width.",
    ports: &[Port::one("from", Accepts::Float, "`[batch, in, height, width]`")],
    fields: &[
        Field::required("channels", FieldKind::Dim, "channels of the result"),
        Field::required("kernel", FieldKind::Pair, "size of a patch"),
        Field::new("stride", FieldKind::Pair, Default::Ints(&[1, 1]), "distance of the patches"),
        Field::new("padding", FieldKind::Pair, Default::Ints(&[0, 0]), "rows and columns taken off at each side"),
        Field::new(
            "output_padding",
            FieldKind::Pair,
            Default::Ints(&[0, 0]),
            "rows and columns added at the bottom and the right",
        ),
        Field::new("dilation", FieldKind::Pair, Default::Ints(&[1, 1]), "distance of the pixels of a patch"),
        Field::new("groups", FieldKind::Dim, Default::Int(1), "divides the channels of the input and of the result"),
        Field::new("bias", FieldKind::Flag, Default::Flag(true), "whether a bias is added"),
        Field::new("weight_init", FieldKind::Initial, Default::Initial(Initializer::FanIn), "how `weight` starts"),
        Field::new("bias_init", FieldKind::Initial, Default::Initial(Initializer::FanInOfWeight), "how `bias` starts"),
    ],
    outputs: Outputs::Named(&["y"]),
    parameters: "weight [in, channels / groups, kernel, kernel], bias [channels]",
    shape_rule: "[batch, in, height, width] -> [batch, channels, (height - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1, the same of width]",
    domain_rule: "Finite where the input is",
    gradient: "by rule",
    pytorch: "torch.nn.ConvTranspose2d",
    example: r#"ConvTranspose2d(from: "coarse", channels: 16, kernel: 2, stride: 2)"#,
};

/// One axis: kernel, stride, padding, output padding, dilation.
struct Axis<'d> {
    kernel: &'d Dim,
    stride: &'d Dim,
    padding: &'d Dim,
    output_padding: &'d Dim,
    dilation: &'d Dim,
}

impl Axis<'_> {
    fn output(&self, size: &Dim) -> Result<Dim, DimError> {
        let painted = ((size - 1)? * self.stride)?;
        let patch = (((self.kernel - 1)? * self.dilation)? + 1)?;
        let grown = Dim::sum([&painted, &patch, self.output_padding])?;
        grown - (self.padding * 2)?
    }
}

impl Op for ConvTranspose2d {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        expect_rank(call, "from", 4, "[batch, channels, height, width]")?;
        let x = call.input("from");
        let [kernel, stride, padding, extra, dilation] =
            ["kernel", "stride", "padding", "output_padding", "dilation"].map(|field| call.pair(field));
        for (field, dims, minimum) in [
            ("kernel", &kernel, 1),
            ("stride", &stride, 1),
            ("dilation", &dilation, 1),
            ("padding", &padding, 0),
            ("output_padding", &extra, 0),
        ] {
            for dim in dims {
                at_least(call, field, dim, minimum)?;
            }
        }
        for axis in 0..2 {
            output_padding_fits(call, &extra[axis], &stride[axis], &dilation[axis])?;
        }
        let channels = layers::transposed_parameters(call, &x.shape[1], &kernel)?;
        let mut shape: Sizes = smallvec![x.shape[0].clone(), channels];
        for (axis, name) in ["height", "width"].into_iter().enumerate() {
            let rule = Axis {
                kernel: &kernel[axis],
                stride: &stride[axis],
                padding: &padding[axis],
                output_padding: &extra[axis],
                dilation: &dilation[axis],
            };
            let size = call.checked(rule.output(&x.shape[2 + axis]))?;
            if size.as_constant().is_some_and(|size| size < 1) {
                call.field_error("padding", codes::WINDOW_TOO_LARGE, format!("the padding takes off the whole {name}"));
                return Err(Refused);
            }
            shape.push(size);
        }
        Ok(smallvec![SymbolicType::new(DType::F32, shape).with_domain(finite_if(&[x]))])
    }

    fn flops(&self, call: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        let [height, width] = call.pair("kernel");
        let (per_group, _) = outputs[0].shape[1].exact_div(&call.dim("groups"))?;
        let patch = Dim::product([&per_group, &height, &width])?;
        let products = ((elements(call.input("from"))? * patch)? * 2)?;
        if call.flag("bias") { products + elements(&outputs[0])? } else { Ok(products) }
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let x = builder.permute(call.input("from"), &[0, 2, 3, 1])?;
        let weight = builder.permute(call.parameter("weight"), &[0, 2, 3, 1])?;
        let [vertical, horizontal] = call.pair("padding");
        let geometry = ConvolutionGeometry {
            stride: call.pair("stride").into(),
            padding: ((vertical, vertical), (horizontal, horizontal)),
            dilation: call.pair("dilation").into(),
            groups: call.size("groups"),
        };
        let shape = &call.output(0).shape;
        let transposed = ConvolutionInputGradient { geometry, input: (shape[2], shape[3]), dtype: DType::F32 };
        let mut y = builder.emit_one(transposed, &[x, weight])?;
        if let Some(bias) = call.optional_parameter("bias") {
            y = add_along(builder, y, bias, 3)?;
        }
        Ok(smallvec![builder.permute(y, &[0, 3, 1, 2])?])
    }
}

/// PyTorch's condition, without which the result's size would not be one that the convolution maps back.
fn output_padding_fits(call: &mut Call<'_>, extra: &Dim, stride: &Dim, dilation: &Dim) -> Result<(), Refused> {
    let (Some(extra), Some(stride), Some(dilation)) = (extra.as_constant(), stride.as_constant(), dilation.as_constant()) else {
        return Ok(());
    };
    if extra == 0 || extra < stride.max(dilation) {
        return Ok(());
    }
    let message =
        format!("`output_padding` is {extra}, and must be smaller than the stride ({stride}) or the dilation ({dilation})");
    call.field_error("output_padding", codes::SETTING_OUT_OF_RANGE, message);
    Err(Refused)
}
