//! From the kernels that plans ask for to functions on a device: what is known already is not compiled again, the rest in parts, side by side.

use std::collections::BTreeMap;
use std::sync::Mutex;

use rustc_hash::FxHashMap;

use super::device::{Device, DeviceError, Function};
use super::source::{Family, Kernel, assemble};

/// Kernels of one text; more of them compile longer than a second text beside it.
const MOST_KERNELS: usize = 24;

/// The functions of these kernels by name.
///
/// # Errors
/// When the compiler is missing, or a kernel does not compile: a bug of the engine.
pub(super) fn compile(device: &dyn Device, kernels: &[Kernel]) -> Result<FxHashMap<String, Function>, DeviceError> {
    let mut functions = FxHashMap::default();
    let mut missing: BTreeMap<Family, BTreeMap<&str, &Kernel>> = BTreeMap::new();
    for kernel in kernels {
        match device.known(&kernel.name) {
            Some(function) => {
                functions.insert(kernel.name.clone(), function);
            }
            None => {
                missing.entry(kernel.family).or_default().insert(&kernel.name, kernel);
            }
        }
    }
    let parts: Vec<(Family, Vec<&Kernel>)> = missing
        .into_iter()
        .flat_map(|(family, kernels)| {
            let kernels: Vec<&Kernel> = kernels.into_values().collect();
            kernels.chunks(MOST_KERNELS).map(|part| (family, part.to_vec())).collect::<Vec<_>>()
        })
        .collect();
    let results = Mutex::new(Vec::new());
    let next = Mutex::new(parts.iter());
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(parts.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let part = next.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
                    let Some((family, kernels)) = part else { return };
                    let names: Vec<&str> = kernels.iter().map(|kernel| kernel.name.as_str()).collect();
                    let compiled = device.compile(&assemble(*family, kernels), &names);
                    let named = compiled.map(|found| names.into_iter().map(str::to_string).zip(found).collect::<Vec<_>>());
                    results.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(named);
                }
            });
        }
    });
    for result in results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        functions.extend(result?);
    }
    Ok(functions)
}
