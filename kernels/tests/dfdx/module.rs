//! A graph as a dfdx module: its gradients, its place between dfdx's layers, its parameters and state.

use dfdx::losses::mse_loss;
use dfdx::optim::{Adam, AdamConfig, Sgd, SgdConfig};
use dfdx::prelude::*;
use std::sync::Arc;
use sward_core::check::{Checked, Overrides, Session};
use sward_core::diagnostic::render;
use sward_core::dim::Sizes;
use sward_core::lower::{LowerOptions, lower};
use sward_core::program::{DType, Role};
use sward_core::roots::{MemoryFolder, Roots};
use sward_kernels::cpu::CpuEngine;
use sward_kernels::dfdx::{GraphModule, GraphModuleError};
use sward_kernels::{Engine, Tensor as Dense};
use sward_ops::primitives::AddAlgebra;
use sward_ops::primitives::problems::{Draw, Extent};

fn checked(text: &str) -> Arc<Checked> {
    let mut roots = Roots::new();
    let root = roots.add_root("", MemoryFolder::new().with("module.ron", text));
    let mut session = Session::new(sward_ops::catalogue(), roots);
    let checked = session
        .open_in(root, "module.ron")
        .and_then(|(id, file)| session.check_file(id, &file, &Overrides::default()))
        .unwrap_or_else(|| panic!("{}", render::text(&session.sources, &session.diagnostics, false)));
    Arc::new(checked)
}

/// Seeded values for all parameters, and zeros and ones for state.
fn values(graph: &Checked, sizes: &Sizes) -> Vec<(String, Dense)> {
    let program = lower(graph, sizes, &LowerOptions::default(), &AddAlgebra).expect("lowers").finish();
    let mut draw = Draw::new(3, DType::F32, Extent::Small);
    (program.arguments.iter())
        .filter(|own| own.role != Role::Input)
        .map(|own| {
            let shape = &program.type_of(own.value).shape;
            let value = match own.role {
                Role::Parameter { .. } => Dense::from_array(&draw.floats_of(DType::F32, shape, -0.5, 0.5)),
                _ if own.name.ends_with("running_var") => Dense::f32(shape, vec![1.0; shape.iter().product()]),
                _ => Dense::zeros(program.type_of(own.value)),
            };
            (own.name.clone(), value)
        })
        .collect()
}

fn engine() -> Arc<dyn Engine> {
    Arc::new(CpuEngine::new(1).expect("threads"))
}

fn module<O: Shape>(text: &str, sizes: &[(&str, i64)], output: &str) -> Result<GraphModule<O>, GraphModuleError> {
    let graph = checked(text);
    let sizes: Sizes = sizes.iter().copied().collect();
    let start = values(&graph, &sizes);
    GraphModule::new(graph, engine(), &sizes, output, start)
}

const MLP: &str = r#"Module(
    inputs: { "x": F32(["batch", "width"]) },
    nodes: { "y": Chain(from: "x", layers: { "fc1": Linear(units: 6), "act": Tanh, "fc2": Linear(units: 3) }) },
    outputs: { "y": "y" },
)"#;

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut draw = Draw::new(seed, DType::F32, Extent::Small);
    (0..count).map(|_| draw.uniform(-1.0, 1.0) as f32).collect()
}

#[test]
fn gradients_in_input_and_parameters_are_what_differences_give() {
    let device = Cpu::default();
    let mut graph = module::<(usize, Const<3>)>(MLP, &[("batch", 4), ("width", 5)], "y").expect("a module");
    let x: Tensor<(usize, Const<5>), f32, Cpu> = device.tensor_from_vec(numbers(20, 1), (4, Const));
    let weights: Tensor<(usize, Const<3>), f32, Cpu> = device.tensor_from_vec(numbers(12, 2), (4, Const));
    let loss = |graph: &GraphModule<(usize, Const<3>)>, x: &Tensor<(usize, Const<5>), f32, Cpu>| {
        let y = graph.forward(x.clone());
        (y * weights.clone()).as_vec().into_iter().map(f64::from).sum::<f64>()
    };
    let traced = graph.forward(x.leaky_trace());
    let gradients = (traced * weights.clone()).sum::<Rank0, _>().backward();
    let own = gradients.get(&x).as_vec();
    let step = 1e-2f32;
    for element in [0, 7, 19] {
        let shifted = |by: f32| {
            let mut numbers = x.as_vec();
            numbers[element] += by;
            loss(&graph, &device.tensor_from_vec(numbers, (4, Const)))
        };
        let difference = (shifted(step) - shifted(-step)) / f64::from(2.0 * step);
        assert!((difference - f64::from(own[element])).abs() < 2e-3, "x[{element}]: {} and {difference}", own[element]);
    }
    // The parameters' gradient reaches dfdx's optimizers: one step of size 1 moves each parameter by its gradient.
    let before = graph.parameters();
    let config = SgdConfig { lr: 1.0, momentum: None, weight_decay: None };
    Sgd::new(&graph, config).update(&mut graph, &gradients).expect("all parameters are used");
    let after = graph.parameters();
    let names: Vec<String> = graph.parameter_names().map(str::to_string).collect();
    assert_eq!(names, ["y.fc1.weight", "y.fc1.bias", "y.fc2.weight", "y.fc2.bias"]);
    for name in &names {
        let (old, new) = (before[name].as_f32().expect("f32"), after[name].as_f32().expect("f32"));
        let element = old.len() / 2;
        let slope = f64::from(old[element] - new[element]);
        let mut shifted = |by: f32| {
            let mut changed = old.to_vec();
            changed[element] += by;
            for (name, value) in &before {
                graph.set_parameter(name, value).expect("a parameter");
            }
            graph.set_parameter(name, &Dense::f32(before[name].shape(), changed)).expect("a parameter");
            loss(&graph, &x)
        };
        let difference = (shifted(step) - shifted(-step)) / f64::from(2.0 * step);
        assert!((difference - slope).abs() < 2e-3, "{name}[{element}]: {slope} and {difference}");
    }
}

#[test]
fn a_graph_between_dfdx_layers_learns_with_a_dfdx_optimizer_and_a_dfdx_loss() {
    let device = Cpu::seed_from_u64(5);
    let graph = module::<(usize, Const<3>)>(MLP, &[("batch", 8), ("width", 5)], "y").expect("a module");
    type Stem = Linear<2, 5>;
    type Head = Linear<3, 1>;
    let mut model = (device.build_module::<Stem, f32>(), graph, device.build_module::<Head, f32>());
    assert_eq!(model.num_trainable_params(), 15 + (5 * 6 + 6 + 6 * 3 + 3) + 4);
    let mut optimizer = Adam::new(&model, AdamConfig { lr: 1e-2, ..AdamConfig::default() });
    let mut gradients = model.alloc_grads();
    let mut losses = Vec::new();
    for step in 0..150 {
        // Two sizes of batches: the graph is compiled once for each.
        let batch = if step % 2 == 0 { 8 } else { 5 };
        let points = numbers(2 * batch, step % 4);
        let wanted: Vec<f32> = points.chunks_exact(2).map(|point| point[0] * point[1]).collect();
        let x: Tensor<(usize, Const<2>), f32, Cpu> = device.tensor_from_vec(points, (batch, Const));
        let wanted: Tensor<(usize, Const<1>), f32, Cpu> = device.tensor_from_vec(wanted, (batch, Const));
        let hidden = model.1.forward(model.0.forward(x.traced(gradients)));
        let loss = mse_loss(model.2.forward(hidden), wanted);
        losses.push(loss.as_vec()[0]);
        gradients = loss.backward();
        optimizer.update(&mut model, &gradients).expect("all parameters are used");
        model.zero_grads(&mut gradients);
    }
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    let (first, last) = (mean(&losses[..8]), mean(&losses[losses.len() - 8..]));
    assert!(last < 0.2 * first, "from {first} to {last}");
}

#[test]
fn with_a_tape_the_graph_trains_and_without_one_it_infers() {
    let text = r#"Module(
        inputs: { "x": F32(["batch", 3, 2, 2]) },
        nodes: { "y": Chain(from: "x", layers: { "bn": BatchNorm2d, "drop": Dropout(p: 0.5), "flat": Reshape(shape: ["batch", 12]) }) },
        outputs: { "y": "y" },
    )"#;
    let device = Cpu::default();
    let graph = module::<(usize, usize)>(text, &[("batch", 16)], "y").expect("a module");
    let x: Tensor<(usize, Const<3>, Const<2>, Const<2>), f32, Cpu> =
        device.tensor_from_vec(numbers(16 * 12, 4), (16, Const, Const, Const));
    let first = graph.forward(x.clone()).as_vec();
    assert_eq!(graph.forward(x.clone()).as_vec(), first, "inference draws nothing");
    let state = graph.parameters()["y.bn.running_mean"].clone();
    let dropped = graph.forward(x.leaky_trace()).as_vec();
    let zeros = dropped.iter().filter(|number| **number == 0.0).count();
    assert!((60..130).contains(&zeros), "{zeros} of 192 are dropped");
    assert_ne!(graph.forward(x.leaky_trace()).as_vec(), dropped, "another step draws other numbers");
    assert_ne!(graph.parameters()["y.bn.running_mean"], state, "the batch's statistics are remembered");
    assert_ne!(graph.forward(x).as_vec(), first, "and used without a tape");
}

#[test]
fn a_graph_of_two_inputs_takes_a_pair_and_views_are_read_as_they_look() {
    let text = r#"Module(
        inputs: { "a": F32(["n", 2]), "b": F32(["n", 2]) },
        nodes: { "y": Formula("a * b + a") },
        outputs: { "y": "y" },
    )"#;
    let device = Cpu::default();
    let graph = module::<(usize, usize)>(text, &[("n", 3)], "y").expect("a module");
    let a: Tensor<Rank2<2, 3>, f32, Cpu> = device.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    let b: Tensor<Rank2<3, 2>, f32, Cpu> = device.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]);
    let y = graph.forward((a.leaky_trace().permute::<Rank2<3, 2>, Axes2<1, 0>>(), b.leaky_trace()));
    assert_eq!(y.as_vec(), [2.0, 12.0, 8.0, 25.0, 18.0, 42.0]);
    let gradients = y.sum::<Rank0, _>().backward();
    assert_eq!(gradients.get(&a).array(), [[2.0, 4.0, 6.0], [3.0, 5.0, 7.0]]);
    assert_eq!(gradients.get(&b).array(), [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]);
}

#[test]
fn what_does_not_fit_is_refused_with_names() {
    let sizes = [("batch", 4), ("width", 5)];
    let refused = |result: Result<GraphModule<(usize, Const<2>)>, GraphModuleError>| {
        result.err().map(|error| error.to_string()).expect("refused")
    };
    assert_eq!(
        refused(module(MLP, &sizes, "y")),
        "the output `y` is f32[4,3], which is not of the shape that the module's type says"
    );
    assert_eq!(refused(module(MLP, &sizes, "z")), "the graph has no output `z`; its outputs are y");
    let graph = checked(MLP);
    let table: Sizes = sizes.iter().copied().collect();
    let mut start = values(&graph, &table);
    let removed = start.remove(1).0;
    let missing = GraphModule::<(usize, usize)>::new(Arc::clone(&graph), engine(), &table, "y", start.clone());
    assert_eq!(missing.err().map(|error| error.to_string()).expect("refused"), format!("no value is given for `{removed}`"));
    let graph = module::<(usize, usize)>(MLP, &sizes, "y").expect("a module");
    let wide: Tensor<(usize, usize), f32, Cpu> = Cpu::default().zeros_like(&(4, 6));
    let error = graph.try_forward(wide).expect_err("parameters do not follow the input").to_string();
    assert_eq!(error, "`y.fc1.weight` is f32[6,5], f32[6,6] was given");
}
