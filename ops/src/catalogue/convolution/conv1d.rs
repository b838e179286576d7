//! `Conv1d`: a convolution over one axis.

use super::layers;
use crate::catalogue::prelude::*;
use crate::primitives::ConvolutionGeometry;

/// A convolution over the last axis.
pub struct Conv1d;

static SCHEMA: Schema = Schema {
    name: "Conv1d",
    category: "Convolution",
    doc: "Slides `channels` filters over the last axis of a sequence.",
    ports: &[Port::one("from", Accepts::Float, "`[batch, in, length]`")],
    fields: &[
        Field::required("channels", FieldKind::Dim, "filters: channels of the result"),
        Field::required("kernel", FieldKind::Dim, "size of a filter"),
        Field::new("stride", FieldKind::Dim, Default::Int(1), "how far a filter moves"),
        Field::new("padding", FieldKind::Dim, Default::Int(0), "zeros at both ends"),
        Field::new("dilation", FieldKind::Dim, Default::Int(1), "distance of the elements that a filter reads"),
        Field::new("groups", FieldKind::Dim, Default::Int(1), "divides the channels of the input and of the result"),
        Field::new("bias", FieldKind::Flag, Default::Flag(true), "whether a bias is added"),
        Field::new("weight_init", FieldKind::Initial, Default::Initial(Initializer::FanIn), "how `weight` starts"),
        Field::new("bias_init", FieldKind::Initial, Default::Initial(Initializer::FanInOfWeight), "how `bias` starts"),
    ],
    outputs: Outputs::Named(&["y"]),
    parameters: "weight [channels, in / groups, kernel], bias [channels]",
    shape_rule: "[batch, in, length] -> [batch, channels, (length + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1]",
    domain_rule: "Finite where the input is",
    gradient: "by rule",
    pytorch: "torch.nn.Conv1d",
    example: r#"Conv1d(from: "series", channels: 16, kernel: 5, padding: 2)"#,
};

impl Op for Conv1d {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        expect_rank(call, "from", 3, "[batch, channels, length]")?;
        let x = call.input("from");
        let padding = call.dim("padding");
        let [kernel, stride, dilation] =
            [size_field(call, "kernel")?, size_field(call, "stride")?, size_field(call, "dilation")?];
        at_least(call, "padding", &padding, 0)?;
        let channels = layers::parameters(call, &x.shape[1], std::slice::from_ref(&kernel))?;
        let window = Window { kernel, stride, dilation, padding: Some((padding.clone(), padding)) };
        let length = window_output(call, &window, &x.shape[2], "length", false)?;
        let shape = [x.shape[0].clone(), channels, length];
        Ok(smallvec![SymbolicType::new(DType::F32, shape).with_domain(finite_if(&[x]))])
    }

    fn flops(&self, call: &Call<'_>, outputs: &[SymbolicType]) -> Result<Dim, DimError> {
        layers::flops(call, &outputs[0], &[call.dim("kernel")])
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        let weight = builder.permute(call.parameter("weight"), &[0, 2, 1])?;
        let weight = builder.unsqueeze(weight, 1)?;
        let padding = call.size("padding");
        let geometry = ConvolutionGeometry {
            stride: (1, call.size("stride")),
            padding: ((0, 0), (padding, padding)),
            dilation: (1, call.size("dilation")),
            groups: call.size("groups"),
        };
        Ok(smallvec![as_image(builder, call.input("from"), |builder, x| {
            layers::convolve(builder, x, weight, call.optional_parameter("bias"), geometry)
        })?])
    }
}
