//! A graph file between dfdx's layers, trained by dfdx's optimizer with dfdx's loss.

use dfdx::losses::mse_loss;
use dfdx::optim::{Adam, AdamConfig};
use dfdx::prelude::*;
use std::error::Error;
use std::sync::Arc;
use sward::Graph;
use sward_core::dim::Sizes;
use sward_core::lower::{LowerOptions, lower};
use sward_kernels::cpu::CpuEngine;
use sward_kernels::dfdx::{GraphLayer, GraphModule};
use sward_ops::primitives::AddAlgebra;

/// The graph file.
const GATED_LAYER: &str = include_str!("../graphs/gated_layer.ron");

const BATCH: usize = 64;
const WIDTH: usize = 8;
const UNITS: usize = 16;

type Stem = (Linear<2, WIDTH>, ReLU);
type Head = Linear<UNITS, 1>;
/// What the graph gives: a batch of rows with as many numbers as its `units`.
type Gated = GraphModule<(usize, Const<UNITS>)>;

/// The graph as a dfdx module, its parameters drawn from a seed.
///
/// # Errors
/// Where the file does not check or compile.
pub fn gated_layer(seed: u64) -> Result<Gated, Box<dyn Error>> {
    let graph = Graph::from_text("gated_layer.ron", GATED_LAYER)?;
    let checked = graph.checked();
    // The sizes of parameters come from here; the batch follows the inputs later.
    let sizes: Sizes = [("batch", BATCH as i64), ("width", WIDTH as i64)].into_iter().collect();
    let program = lower(checked, &sizes, &LowerOptions::default(), &AddAlgebra)?.finish();
    let values = sward::initialize::initial_values(checked, &program, seed);
    Ok(GraphModule::new(Arc::clone(checked), Arc::new(CpuEngine::new(1)?), &sizes, "y", values)?)
}

/// Learns `sin(3 a) * b` from points of a square; gives the loss of every step.
///
/// # Errors
/// As [`gated_layer`], and where a run fails.
pub fn train(steps: usize) -> Result<Vec<f32>, Box<dyn Error>> {
    let device = Cpu::seed_from_u64(1);
    let mut model = (device.build_module::<Stem, f32>(), GraphLayer(gated_layer(7)?), device.build_module::<Head, f32>());
    let mut optimizer = Adam::new(&model, AdamConfig { lr: 1e-2, ..AdamConfig::default() });
    let mut gradients = model.alloc_grads();
    let mut losses = Vec::with_capacity(steps);
    for _ in 0..steps {
        let points: Tensor<(usize, Const<2>), f32, Cpu> = device.sample_uniform_like(&(BATCH, Const));
        let wanted: Vec<f32> = points.as_vec().chunks_exact(2).map(|point| (3.0 * point[0]).sin() * point[1]).collect();
        let wanted: Tensor<(usize, Const<1>), f32, Cpu> = device.tensor_from_vec(wanted, (BATCH, Const));
        let loss = mse_loss(model.forward(points.traced(gradients)), wanted);
        losses.push(loss.as_vec()[0]);
        gradients = loss.backward();
        optimizer.update(&mut model, &gradients)?;
        model.zero_grads(&mut gradients);
    }
    Ok(losses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_falls_below_a_tenth_of_its_start() {
        let losses = train(250).expect("it trains");
        let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
        let (first, last) = (mean(&losses[..10]), mean(&losses[losses.len() - 10..]));
        assert!(last < 0.1 * first, "from {first} to {last}");
    }
}
