//! `Conv2d`: a convolution over height and width.

use super::layers;
use crate::catalogue::prelude::*;
use crate::primitives::ConvolutionGeometry;

/// A convolution over height and width.
pub struct Conv2d;

static SCHEMA: Schema = Schema {
    name: "Conv2d",
    category: "Convolution",
    doc: "Slides `channels` filters over height and width. With `groups`, each group of input channels is seen by its own share of the filters; `groups` equal to the input's channels is a depthwise convolution.",
    ports: &[Port::one("from", Accepts::Float, "`[batch, in, height, width]`")],
    fields: &[
        Field::required("channels", FieldKind::Dim, "filters: channels of the result"),
        Field::required("kernel", FieldKind::Pair, "size of a filter"),
        Field::new("stride", FieldKind::Pair, Default::Ints(&[1, 1]), "how far a filter moves"),
        Field::new(
            "padding",
            FieldKind::Padding,
            Default::Ints(&[0, 0, 0, 0]),
            "zeros around the image; `Same` keeps its size at stride 1",
        ),
        Field::new("dilation", FieldKind::Pair, Default::Ints(&[1, 1]), "distance of the pixels that a filter reads"),
        Field::new("groups", FieldKind::Dim, Default::Int(1), "divides the channels of the input and of the result"),
        Field::new("bias", FieldKind::Flag, Default::Flag(true), "whether a bias is added"),
        Field::new("weight_init", FieldKind::Initial, Default::Initial(Initializer::FanIn), "how `weight` starts"),
        Field::new("bias_init", FieldKind::Initial, Default::Initial(Initializer::FanInOfWeight), "how `bias` starts"),
    ],
    outputs: Outputs::Named(&["y"]),
    parameters: "weight [channels, in / groups, kernel, kernel], bias [channels]",
    shape_rule: "[batch, in, height, width] -> [batch, channels, (height + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1, the same of width]",
    domain_rule: "Finite where the input is",
    gradient: "by rule",
    pytorch: "torch.nn.Conv2d",
    example: r#"Conv2d(from: "image", channels: 32, kernel: 3, stride: 2, padding: 1)"#,
};

impl Op for Conv2d {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        expect_rank(call, "from", 4, "[batch, channels, height, width]")?;
        let x = call.input("from");
        let kernel = call.pair("kernel");
        let windows = windows(call, kernel.clone())?;
        let channels = layers::parameters(call, &x.shape[1], &kernel)?;
        let height = window_output(call, &windows[0], &x.shape[2], "height", false)?;
        let width = window_output(call, &windows[1], &x.shape[3], "width", false)?;
        let shape = [x.shape[0].clone(), channels, height, width];
        Ok(smallvec![SymbolicType::new(DType::F32, shape).with_domain(finite_if(&[x]))])
    }

    fn flops(&self, call: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        layers::flops(call, &outputs[0], &call.pair("kernel"))
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let dilation = call.pair("dilation");
        let geometry = ConvolutionGeometry {
            stride: call.pair("stride").into(),
            padding: layers::lowered_padding(call, call.pair("kernel"), dilation),
            dilation: dilation.into(),
            groups: call.size("groups"),
        };
        let x = builder.permute(call.input("from"), &[0, 2, 3, 1])?;
        let weight = builder.permute(call.parameter("weight"), &[0, 2, 3, 1])?;
        let y = layers::convolve(builder, x, weight, call.optional_parameter("bias"), geometry)?;
        Ok(smallvec![builder.permute(y, &[0, 3, 1, 2])?])
    }
}
