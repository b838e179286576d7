//! `map_reduce`: a reduction of a map's result that is never stored.

use super::map::Map;
use super::reduce::Reduce;
use super::support::{no_gradients, result_gradient};
use std::any::Any;
use sward_core::program::{Array, BuildError, Builder, GradientCall, Primitive, RunKey, TensorType, ValueId};

/// [`Reduce`] of the only result of a [`Map`], without storing that: the map's operands give the reduction's result. Made by passes.
#[derive(Clone, Debug)]
pub struct MapReduce {
    /// What is reduced; it has one root.
    pub map: Map,
    /// The reduction.
    pub reduce: Reduce,
}

impl Primitive for MapReduce {
    fn name(&self) -> &'static str {
        "map_reduce"
    }

    fn attributes(&self) -> String {
        format!("map=({}), {}", self.map.attributes(), self.reduce.text())
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, String> {
        match self.map.infer(inputs)?.as_slice() {
            [mapped] => Ok(vec![self.reduce.infer_from(mapped)?]),
            results => Err(format!("a map with {} results is reduced", results.len())),
        }
    }

    fn gradient(&self, builder: &mut Builder, call: &GradientCall<'_>) -> Result<Vec<Option<ValueId>>, BuildError> {
        if result_gradient(call).is_none() {
            return Ok(no_gradients(call));
        }
        // The map's result was not stored: it is computed again where the rules read it.
        let mapped = builder.emit(self.map.clone(), call.inputs)?;
        let outer = GradientCall { inputs: &mapped, outputs: call.outputs, gradients: call.gradients, wanted: &[true] };
        let gradient = self.reduce.gradient(builder, &outer)?;
        let inner = GradientCall { inputs: call.inputs, outputs: &mapped, gradients: &gradient, wanted: call.wanted };
        self.map.gradient(builder, &inner)
    }

    fn reference(&self, inputs: &[&Array], key: RunKey) -> Vec<Array> {
        vec![self.reduce.apply(&self.map.apply(inputs, key)[0])]
    }

    fn flops(&self, inputs: &[TensorType], _: &[TensorType]) -> f64 {
        match self.map.infer(inputs) {
            Ok(mapped) => self.map.flops(inputs, &mapped) + mapped[0].elements() as f64,
            Err(_) => 0.0,
        }
    }

    fn is_random(&self) -> bool {
        self.map.draws()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
