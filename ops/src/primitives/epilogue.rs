//! What a product computes from each of its results before storing it: a scalar function of the product (input 0) and the extra operands (inputs 1,
//! 2, ...), which are broadcast to the product's sizes.

use super::map::{Map, check_inputs, scalar_text};
use smallvec::smallvec;
use std::sync::Arc;
use sward_core::program::{
    Array, BuildError, Builder, DType, GradientCall, Primitive, RunKey, TensorType, ValueId, broadcast_shapes,
};
use sward_core::scalar::{ScalarFunction, ScalarGraph, ScalarId};

/// An epilogue as a map of the product and the extras.
pub fn epilogue_map(epilogue: &ScalarFunction, dtype: DType) -> Map {
    Map { scalars: Arc::new(epilogue.graph().clone()), roots: smallvec![epilogue.root()], dtypes: smallvec![dtype], shape: None }
}

/// GELU by the hyperbolic tangent (Hendrycks and Gimpel, 2016), as `Gelu(approximate: Tanh)` has it: what libraries of products compute themselves.
pub fn gelu_tanh(graph: &mut ScalarGraph, x: ScalarId) -> ScalarId {
    let [half, one, three, cubic, slope] = [0.5, 1.0, 3.0, 0.044_715, 0.797_884_560_802_865_4].map(|number| graph.number(number));
    let cube = graph.power(x, three);
    let bend = graph.multiply(cubic, cube);
    let bent = graph.add(x, bend);
    let inner = graph.multiply(slope, bent);
    let tanh = graph.tanh(inner);
    let sum = graph.add(one, tanh);
    let scaled = graph.multiply(half, x);
    graph.multiply(scaled, sum)
}

/// Operations of an epilogue on `elements` results.
pub(crate) fn epilogue_flops(epilogue: Option<&ScalarFunction>, elements: usize) -> f64 {
    epilogue.map_or(0.0, |epilogue| elements as f64 * epilogue.cost() as f64)
}

/// `, epilogue=...` or nothing.
pub(crate) fn epilogue_text(epilogue: Option<&ScalarFunction>) -> String {
    epilogue.map_or_else(String::new, |epilogue| format!(", epilogue={}", scalar_text(epilogue.graph(), epilogue.root())))
}

/// Checks the extra operands of a product of these sizes.
pub(crate) fn check_epilogue(epilogue: Option<&ScalarFunction>, product: &[usize], extras: &[TensorType]) -> Result<(), String> {
    let Some(epilogue) = epilogue else {
        return if extras.is_empty() { Ok(()) } else { Err(format!("{} operands without an epilogue", extras.len())) };
    };
    let dtypes: Vec<DType> = std::iter::once(DType::F32).chain(extras.iter().map(|extra| extra.dtype)).collect();
    check_inputs(epilogue.graph(), &[epilogue.root()], &dtypes)?;
    for extra in extras {
        let common = broadcast_shapes([product, &extra.shape])?;
        if common.as_slice() != product {
            return Err(format!("{extra} does not broadcast to the product's sizes"));
        }
    }
    if epilogue_map(epilogue, DType::F32).draws() {
        return Err("an epilogue draws no random numbers".to_string());
    }
    Ok(())
}

/// The results from the products and the extras.
pub(crate) fn apply_epilogue(epilogue: Option<&ScalarFunction>, product: Array, extras: &[&Array], key: RunKey) -> Array {
    let Some(epilogue) = epilogue else {
        return product;
    };
    let mut operands = vec![&product];
    operands.extend_from_slice(extras);
    epilogue_map(epilogue, product.dtype).apply(&operands, key).remove(0)
}

/// The gradient of a product with an epilogue: the product is computed again, then the rules of the epilogue and of the `plain` product follow.
pub(crate) fn epilogue_gradient(
    builder: &mut Builder,
    call: &GradientCall<'_>,
    plain: impl Primitive + Clone,
    epilogue: &ScalarFunction,
    dtype: DType,
) -> Result<Vec<Option<ValueId>>, BuildError> {
    let (factors, extras) = call.inputs.split_at(2);
    let product = builder.emit_one(plain.clone(), factors)?;
    let operands: Vec<ValueId> = std::iter::once(product).chain(extras.iter().copied()).collect();
    let is_product_wanted = call.wanted[0] || call.wanted[1];
    let wanted: Vec<bool> = std::iter::once(is_product_wanted).chain(call.wanted[2..].iter().copied()).collect();
    let outer = GradientCall { inputs: &operands, outputs: call.outputs, gradients: call.gradients, wanted: &wanted };
    let mut outer_gradients = epilogue_map(epilogue, dtype).gradient(builder, &outer)?;
    let extra_gradients = outer_gradients.split_off(1);
    let inner = GradientCall { inputs: factors, outputs: &[product], gradients: &outer_gradients, wanted: &call.wanted[..2] };
    let mut results = plain.gradient(builder, &inner)?;
    results.extend(extra_gradients);
    Ok(results)
}
