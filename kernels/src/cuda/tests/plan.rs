//! What a plan promises, on the host shim.

use std::sync::{Arc, Mutex};

use sward_core::program::{Builder, DType, Origin, Role, RunKey, TensorType};
use sward_core::scalar::{ScalarGraph, ScalarKind};
use sward_ops::primitives as op;

use super::host;
use crate::cpu::tests::{single, tensor};
use crate::cuda::device::{Arguments, Device, DeviceError, Launch};
use crate::cuda::host::HostDevice;
use crate::cuda::source::{Family, Kernel, assemble};
use crate::cuda::{CudaEngine, libraries::Library};
use crate::engine::{Engine, PrepareError, RunError};
use crate::tensor::{Data, Tensor};

fn matrix() -> TensorType {
    TensorType::f32(&[3, 5])
}

fn product() -> op::MatMul {
    op::MatMul { transpose_a: false, transpose_b: true, dtype: DType::F32, epilogue: None }
}

#[test]
fn a_plan_refuses_what_does_not_fit() {
    let Some(engine) = host() else { return };
    let program = single(product(), &[matrix(), matrix()]);
    let mut plan = engine.prepare(&program).unwrap();
    assert_eq!(plan.run(RunKey::default()).unwrap_err(), RunError::Missing { name: "0".into() });
    assert!(matches!(plan.set("2", &tensor(&matrix(), 1)), Err(RunError::Unknown { .. })));
    let wrong = plan.set("0", &tensor(&TensorType::f32(&[5, 3]), 1)).unwrap_err();
    assert_eq!(wrong.to_string(), "`0` is f32[3,5], f32[5,3] was given");
    assert!(matches!(plan.output("loss"), Err(RunError::Unknown { kind: "output", .. })));
    let refused = engine.with_memory_limit(100).prepare(&program).err().expect("too large");
    assert!(matches!(refused, PrepareError::Memory { available: 100, .. }), "{refused}");
}

#[test]
fn a_primitive_without_a_kernel_is_refused_with_its_place() {
    let Some(engine) = host() else { return };
    let mut builder = Builder::new();
    let q = builder.argument("q", Role::Input, TensorType::f32(&[1, 4, 1, 2000]));
    builder.set_origin(Origin { path: "block.attn".into(), place: Some("model.ron:7:9".into()) });
    let attention = op::Attention { scale: 1.0, causal: false, mask: op::AttentionMask::None };
    let results = builder.emit(attention, &[q, q, q]).unwrap();
    builder.output("out", results[0]);
    let error = engine.prepare(&builder.finish()).err().expect("heads too wide").to_string();
    assert!(error.starts_with("node `block.attn` (model.ron:7:9): the cuda engine does not run attention<"), "{error}");
    assert!(error.ends_with("heads of width 2000 and 2000 do not fit shared memory of 232448 bytes"), "{error}");
}

#[test]
fn a_trap_names_the_first_node_that_is_not_finite() {
    let Some(engine) = host() else { return };
    let mut builder = Builder::new();
    let a = builder.argument("a", Role::Input, matrix());
    builder.set_origin(Origin { path: "head.linear".into(), place: Some("model.ron:3:5".into()) });
    let product = builder.emit_one(product(), &[a, a]).unwrap();
    builder.output("product", product);
    let mut plan = engine.prepare(&builder.finish()).unwrap();
    let mut x = vec![1.0; 15];
    x[7] = f32::INFINITY;
    plan.set("a", &Tensor::f32(&[3, 5], x)).unwrap();
    assert!(plan.run(RunKey::default()).is_ok());
    plan.trap_nonfinite(true);
    let error = plan.run(RunKey::default()).unwrap_err();
    assert_eq!(error.to_string(), "node `head.linear` (model.ron:3:5): matmul gives inf at element 1");
}

/// A table of rows that are picked by number; the table grows by what was picked first.
fn picking() -> sward_core::program::Program {
    let mut builder = Builder::new();
    let table = builder.argument("table", Role::Parameter { trained: true }, matrix());
    let indices = builder.argument("indices", Role::Input, TensorType::new(DType::I64, &[3]));
    builder.set_origin(Origin { path: "embedding".into(), place: None });
    let picked = builder.emit_one(op::Take { axis: 0 }, &[table, indices]).unwrap();
    let mut graph = ScalarGraph::new();
    let (x, y) = (graph.input(0, ScalarKind::Number), graph.input(1, ScalarKind::Number));
    let sum = graph.add(x, y);
    let next = builder.emit_one(op::Map::new(graph, sum, DType::F32), &[table, picked]).unwrap();
    builder.output("picked", picked);
    builder.update(table, next);
    builder.finish()
}

#[test]
fn an_index_outside_its_axis_is_an_error_that_leaves_parameters_alone() {
    let Some(engine) = host() else { return };
    let mut plan = engine.prepare(&picking()).unwrap();
    let table = tensor(&matrix(), 3);
    plan.set("table", &table).unwrap();
    let indices = |values: [i64; 3]| Tensor::new(&[3], Data::I64(values.to_vec()));
    // Before, while and after the steps are recorded.
    for _ in 0..3 {
        plan.set("indices", &indices([0, 3, -1])).unwrap();
        let error = plan.run(RunKey::default()).unwrap_err();
        assert_eq!(error.to_string(), "node `embedding`: take: the index at element 1 lies outside its axis");
        assert_eq!(plan.get("table").unwrap(), table);
    }
    plan.set("indices", &indices([2, 2, 2])).unwrap();
    plan.run(RunKey::default()).unwrap();
    assert_ne!(plan.get("table").unwrap(), table);
}

#[test]
fn parameters_change_from_run_to_run_as_their_updates_say() {
    let Some(engine) = host() else { return };
    let mut plan = engine.prepare(&picking()).unwrap();
    plan.set("table", &Tensor::f32(&[3, 5], vec![1.0; 15])).unwrap();
    plan.set("indices", &Tensor::new(&[3], Data::I64(vec![0, 1, 2]))).unwrap();
    for run in 1..6 {
        plan.run(RunKey::default()).unwrap();
        assert_eq!(plan.get("table").unwrap().as_f32().unwrap(), vec![2f32.powi(run); 15]);
    }
}

#[test]
fn what_depends_on_parameters_alone_follows_them_when_they_are_set() {
    let Some(engine) = host() else { return };
    let mut builder = Builder::new();
    let weight = builder.argument("weight", Role::Parameter { trained: false }, matrix());
    let x = builder.argument("x", Role::Input, TensorType::f32(&[5, 3]));
    let turned = builder.emit_one(op::Permute { axes: [1, 0].into_iter().collect() }, &[weight]).unwrap();
    let joined = builder.emit_one(op::Concat { axis: 0 }, &[turned, x]).unwrap();
    builder.output("joined", joined);
    let mut plan = engine.prepare(&builder.finish()).unwrap();
    plan.set("x", &tensor(&TensorType::f32(&[5, 3]), 1)).unwrap();
    for run in 0..4 {
        let value = f32::from(u8::try_from(run / 2).unwrap());
        if run % 2 == 0 {
            plan.set("weight", &Tensor::f32(&[3, 5], vec![value; 15])).unwrap();
        }
        plan.run(RunKey::default()).unwrap();
        assert_eq!(plan.output("joined").unwrap().as_f32().unwrap()[..15], vec![value; 15]);
    }
}

#[test]
fn profiles_name_kernels_and_count_runs() {
    let Some(engine) = host() else { return };
    let program = single(product(), &[matrix(), matrix()]);
    let mut plan = engine.prepare(&program).unwrap();
    plan.set("0", &tensor(&matrix(), 1)).unwrap();
    plan.set("1", &tensor(&matrix(), 2)).unwrap();
    plan.set_profiling(true);
    plan.run(RunKey::default()).unwrap();
    plan.run(RunKey::default()).unwrap();
    let times = plan.profile();
    assert_eq!((times[0].name, times[0].kernel, times[0].runs), ("matmul", "cublasLt", 2));
    assert!(times[0].seconds > 0.0 && plan.memory().held > 0);
}

#[test]
fn a_missing_library_is_named_with_what_was_searched() {
    let error = DeviceError::Missing { library: Library::Nvrtc.name(), searched: Library::Nvrtc.searched() };
    let text = error.to_string();
    assert!(text.starts_with("NVRTC is not on this machine (searched for libnvrtc.so"), "{text}");
    assert!(text.contains("libnvrtc.so.12"), "{text}");
}

#[test]
fn without_a_driver_the_engine_says_what_is_missing() {
    if Library::Driver.is_present() {
        eprintln!("skipped: there is a CUDA driver");
        return;
    }
    let error = CudaEngine::new().expect_err("no driver").to_string();
    assert!(error.starts_with("the CUDA driver is not on this machine (searched for libcuda.so"), "{error}");
}

#[test]
fn two_plans_on_one_device_do_not_mix() {
    let Some(engine) = host() else { return };
    let results = Mutex::new(Vec::new());
    let engine = Arc::new(engine);
    std::thread::scope(|scope| {
        for salt in 0..2 {
            let (engine, results) = (Arc::clone(&engine), &results);
            scope.spawn(move || {
                let mut plan = engine.prepare(&picking()).unwrap();
                plan.set("table", &Tensor::f32(&[3, 5], vec![salt as f32; 15])).unwrap();
                plan.set("indices", &Tensor::new(&[3], Data::I64(vec![0, 1, 2]))).unwrap();
                for _ in 0..4 {
                    plan.run(RunKey::default()).unwrap();
                }
                results.lock().unwrap().push((salt, plan.get("table").unwrap().as_f32().unwrap()[0]));
            });
        }
    });
    let mut results = results.into_inner().unwrap();
    results.sort_by_key(|(salt, _)| *salt);
    assert_eq!(results, [(0, 0.0), (1, 16.0)]);
}

#[test]
fn a_device_that_is_lost_midway_is_an_error_of_the_run_and_of_every_access_after_it() {
    if host().is_none() {
        return;
    }
    let folder = std::env::temp_dir().join("sward-host-kernels");
    // Within the first run, while the steps are recorded, and within a later run.
    for launches in [1, 3, 6] {
        let device = Arc::new(HostDevice::new(folder.clone(), super::SHARED_MEMORY).expect("there is a compiler"));
        let mut plan = CudaEngine::on(Arc::clone(&device) as Arc<dyn Device>).prepare(&picking()).unwrap();
        plan.set("table", &Tensor::f32(&[3, 5], vec![1.0; 15])).unwrap();
        plan.set("indices", &Tensor::new(&[3], Data::I64(vec![0, 1, 2]))).unwrap();
        device.lose_after(launches);
        let lost = (0..8).find_map(|_| plan.run(RunKey::default()).err()).expect("the device is lost");
        assert!(matches!(&lost, RunError::Device(reason) if reason.ends_with("the device is lost")), "{lost}");
        assert!(
            matches!(plan.get("table"), Err(RunError::Device(_)))
                && matches!(plan.run(RunKey::default()), Err(RunError::Device(_)))
        );
    }
}

#[test]
fn the_host_refuses_what_a_device_refuses_while_it_records() {
    if host().is_none() {
        return;
    }
    let device = HostDevice::new(std::env::temp_dir().join("sward-host-kernels"), super::SHARED_MEMORY).unwrap();
    device.begin_graph().unwrap();
    assert!(device.synchronize().is_err() && device.allocate(8).is_err() && device.download(0, &mut []).is_err());
    device.end_graph().unwrap();
    assert!(device.synchronize().is_ok());
}

#[test]
fn inputs_that_are_set_while_a_run_goes_on_are_those_of_the_next() {
    let Some(engine) = host() else { return };
    let mut builder = Builder::new();
    let x = builder.argument("x", Role::Input, matrix());
    let total = builder.argument("total", Role::State, matrix());
    let mut graph = ScalarGraph::new();
    let (a, b) = (graph.input(0, ScalarKind::Number), graph.input(1, ScalarKind::Number));
    let sum = graph.add(a, b);
    let next = builder.emit_one(op::Map::new(graph, sum, DType::F32), &[total, x]).unwrap();
    builder.update(total, next);
    builder.output("sum", next);
    let mut plan = engine.prepare(&builder.finish()).unwrap();
    let filled = |value: f32| Tensor::f32(&[3, 5], vec![value; 15]);
    plan.set("total", &filled(0.0)).unwrap();
    plan.set("x", &filled(1.0)).unwrap();
    let mut wanted = 0.0;
    for run in 1u8..6 {
        plan.start(RunKey::default()).unwrap();
        wanted += f32::from(run);
        // Twice: the second time takes the place of the first.
        plan.set("x", &filled(-7.0)).unwrap();
        plan.set("x", &filled(f32::from(run + 1))).unwrap();
        plan.wait().unwrap();
        assert_eq!(plan.output("sum").unwrap(), filled(wanted));
    }
    // A start waits for the run before it, and so does what sets a parameter.
    plan.start(RunKey::default()).unwrap();
    plan.start(RunKey::default()).unwrap();
    plan.set("total", &filled(100.0)).unwrap();
    plan.run(RunKey::default()).unwrap();
    assert_eq!(plan.get("total").unwrap(), filled(106.0));
}

#[test]
fn a_bad_index_is_told_when_the_run_is_waited_for() {
    let Some(engine) = host() else { return };
    let mut plan = engine.prepare(&picking()).unwrap();
    plan.set("table", &tensor(&matrix(), 3)).unwrap();
    plan.set("indices", &Tensor::new(&[3], Data::I64(vec![0, 9, 1]))).unwrap();
    plan.start(RunKey::default()).unwrap();
    assert!(matches!(plan.wait(), Err(RunError::Instruction { .. })));
    assert!(plan.wait().is_ok());
}

/// A kernel of a text's own on the host, launched so often with one block of 64 threads; gives how often the result was as wanted.
fn host_kernel(device: &HostDevice, name: &str, body: &str, launches: usize) -> usize {
    let code = format!("extern \"C\" __global__ void {name}(float* x, float* y) {{\n{body}\n}}\nSWARD_ENTRY({name})\n");
    let kernel = Kernel { family: Family::AttentionCores, function: name.to_string(), name: name.to_string(), code };
    let function = device.compile(&assemble(Family::AttentionCores, &[&kernel]), &[name]).unwrap()[0];
    let (x, y) = (device.allocate(256).unwrap(), device.allocate(256).unwrap());
    let numbers: Vec<u8> = (0..64u8).flat_map(|at| f32::from(at).to_ne_bytes()).collect();
    // SAFETY: both addresses are of 256 bytes, which is what 64 threads read and write.
    unsafe { device.upload(x, numbers.as_ptr(), 256).unwrap() };
    let launch = Launch { grid: [1; 3], block: [64, 1, 1], shared: 1024, arguments: Arguments::new().address(x).address(y) };
    let is_right = |_: &usize| {
        // SAFETY: as above.
        unsafe { device.launch(function, &launch).unwrap() };
        let mut found = [0u8; 256];
        device.download(y, &mut found).unwrap();
        found.as_slice() == numbers
    };
    let right = (0..launches).filter(is_right).count();
    device.free(x);
    device.free(y);
    right
}

#[test]
fn the_host_shows_a_missing_barrier_and_a_copy_that_nobody_waits_for() {
    if host().is_none() {
        return;
    }
    let device = HostDevice::new(std::env::temp_dir().join("sward-host-kernels"), super::SHARED_MEMORY).unwrap();
    let turned = |barrier: &str| {
        format!(
            "DYNAMIC_SHARED(float, tile); int own = threadIdx.x, before = (own + 63) % 64;
            tile[own] = x[own]; {barrier} y[before] = tile[before];"
        )
    };
    assert_eq!(host_kernel(&device, "with_barrier", &turned("__syncthreads();"), 32), 32);
    assert_eq!(host_kernel(&device, "without_barrier", &turned(""), 32), 0);
    // A thread that reads only what threads before it wrote is right whenever those ran first, as they do in one of the two orders.
    let rising = "DYNAMIC_SHARED(float, tile); int own = threadIdx.x; tile[own] = x[own]; y[own] = own == 0 ? x[0] : tile[own - 1] + 1.0f;";
    let right = host_kernel(&device, "rising", rising, 32);
    assert!(right > 0 && right < 32, "{right} of 32 launches");
    let copied = |wait: &str| {
        format!(
            "DYNAMIC_SHARED(float, tile); int own = threadIdx.x;
            if (own < 16) copy_16_async(tile + 4 * own, x + 4 * own, true);
            commit_copies(); {wait} __syncthreads(); y[own] = tile[own];"
        )
    };
    assert_eq!(host_kernel(&device, "with_wait", &copied("wait_copies<0>();"), 4), 4);
    assert_eq!(host_kernel(&device, "without_wait", &copied(""), 4), 0);
    assert_eq!(host_kernel(&device, "with_a_wait_too_short", &copied("wait_copies<1>();"), 4), 0);
}
