//! `Reshape`: the same elements under other sizes.

use crate::catalogue::prelude::*;

/// The same elements under other sizes.
pub struct Reshape;

static SCHEMA: Schema = Schema {
    name: "Reshape",
    category: "Shape",
    doc: "The same elements in the same order under other sizes. One size may be -1: it takes what the others leave.",
    ports: &[Port::one("from", Accepts::Any, "`[...]`")],
    fields: &[Field::required("shape", FieldKind::Dims, "the new sizes; their product is the old one")],
    outputs: Outputs::Named(&["y"]),
    parameters: "",
    shape_rule: "[...] -> shape",
    domain_rule: "the input's",
    gradient: "by rule",
    pytorch: "torch.reshape",
    example: r#"Reshape(from: "x", shape: ["batch", "heads", -1, "width"])"#,
};

impl Op for Reshape {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn infer(&self, call: &mut Call<'_>) -> Inferred {
        let x = call.input("from");
        let mut shape: Sizes = call.dims("shape").unwrap_or_default().into();
        let rest = rest_axis(call, &shape)?;
        let total = call.checked(elements(x))?;
        match rest {
            Some(axis) => {
                let others = shape.iter().enumerate().filter(|(own, _)| *own != axis).map(|(_, dim)| dim);
                let others = call.checked(Dim::product(others))?;
                shape[axis] = divide_rest(call, &total, &others, &shape)?;
            }
            None => {
                let product = call.checked(Dim::product(&shape))?;
                same_count(call, &total, &product, &shape)?;
            }
        }
        Ok(smallvec![x.with_shape(shape)])
    }

    fn flops(&self, _: &Call<'_>, _: &[SymbolicType]) -> Result<Dim, DimError> {
        Ok(Dim::ZERO)
    }

    fn lower(&self, call: &LowerCall<'_>, builder: &mut Builder) -> Lowered {
        Ok(smallvec![builder.reshape(call.input("from"), &call.output(0).shape)?])
    }
}

/// The position of -1; complains of a second one, and of sizes below 1.
fn rest_axis(call: &mut Call<'_>, shape: &[Dim]) -> Result<Option<usize>, Refused> {
    let mut rest = None;
    for (axis, dim) in shape.iter().enumerate() {
        match dim.as_constant() {
            Some(-1) if rest.is_some() => {
                call.field_error("shape", codes::RESHAPE_COUNT, "only one size may be -1").help("state all sizes but one");
                return Err(Refused);
            }
            Some(-1) => rest = Some(axis),
            Some(_) => at_least(call, "shape", dim, 1)?,
            None => {}
        }
    }
    Ok(rest)
}

fn divide_rest(call: &mut Call<'_>, total: &Dim, others: &Dim, shape: &[Dim]) -> Result<Dim, Refused> {
    match total.exact_div(others) {
        Ok((quotient, obligation)) => {
            if let Some(obligation) = obligation {
                call.oblige("shape", obligation);
            }
            Ok(quotient)
        }
        Err(DimError::NotDivisible { .. }) => {
            let message = format!(
                "{} has {total} elements, which the sizes {} do not divide: {others} for all but -1",
                display_shape(&call.input("from").shape),
                display_shape(shape)
            );
            complain(call, message);
            Err(Refused)
        }
        Err(error) => call.checked(Err(error)),
    }
}

fn same_count(call: &mut Call<'_>, total: &Dim, product: &Dim, shape: &[Dim]) -> Result<(), Refused> {
    let Some(reason) = difference(call, total, product) else { return Ok(()) };
    let message = format!(
        "{} has {total} elements and {} has {product}{reason}",
        display_shape(&call.input("from").shape),
        display_shape(shape)
    );
    let mend = product.exact_div(total).is_err().then(|| total.exact_div(product).ok()).flatten();
    let complaint = complain(call, message);
    if let Some((missing, None)) = mend {
        complaint.help(format!("a size of {missing} is missing"));
    } else {
        complaint.help("one size may be -1: it takes what the others leave");
    }
    Err(Refused)
}

fn complain<'c>(call: &'c mut Call<'_>, message: String) -> &'c mut Complaint {
    let input = &call.inputs("from")[0];
    let (span, text) = (input.span, described(input));
    call.field_error("shape", codes::RESHAPE_COUNT, message).also(span, text)
}
