//! An NVIDIA GPU through the CUDA driver.

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::path::PathBuf;
use std::sync::Mutex;

use cudarc::driver::{result, sys};

use super::blas::Blas;
use super::device::{Address, Description, Device, DeviceError, Function, Graph, Launch, Mark, PreparedProduct, Product};
use super::libraries::Library;
use super::{cache, nvrtc};

/// The oldest architecture that the kernels are written for: bf16 tensor cores and asynchronous copies.
const OLDEST: (u32, u32) = (8, 0);

/// The oldest CUDA version that a driver must know: its calls for graphs and for kernels of NVRTC 12.
const OLDEST_DRIVER: (i32, i32) = (12, 0);

fn call(call: &'static str) -> impl Fn(result::DriverError) -> DeviceError {
    move |error| DeviceError::Call { call, reason: error.to_string() }
}

/// The devices that the driver shows.
///
/// # Errors
/// When there is no driver, or it shows none.
pub fn devices() -> Result<Vec<Description>, DeviceError> {
    Library::Driver.demand()?;
    result::init().map_err(|error| DeviceError::Unusable(format!("the CUDA driver does not start: {error}")))?;
    let count = result::device::get_count().map_err(call("cuDeviceGetCount"))?;
    (0..count).map(|ordinal| describe(result::device::get(ordinal).map_err(call("cuDeviceGet"))?)).collect()
}

/// The newest CUDA version that the driver knows, for example (12, 8).
///
/// # Errors
/// When there is no driver.
pub fn driver_version() -> Result<(i32, i32), DeviceError> {
    Library::Driver.demand()?;
    let mut version = 0;
    // SAFETY: the library is there, and the number is ours.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result().map_err(call("cuDriverGetVersion"))?;
    Ok((version / 1000, version % 1000 / 10))
}

fn describe(device: sys::CUdevice) -> Result<Description, DeviceError> {
    use sys::CUdevice_attribute as Attribute;
    // SAFETY: the device was returned by the driver.
    let attribute = |attribute: Attribute| unsafe { result::device::get_attribute(device, attribute) };
    let attribute = |which: Attribute| attribute(which).map(|value| value as u32).map_err(call("cuDeviceGetAttribute"));
    Ok(Description {
        name: result::device::get_name(device).map_err(call("cuDeviceGetName"))?,
        capability: (
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ),
        multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        // SAFETY: as above.
        memory: unsafe { result::device::total_mem(device) }.map_err(call("cuDeviceTotalMem"))?,
        shared_memory: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)? as usize,
    })
}

/// What the device holds for its users, by number.
#[derive(Default)]
struct Held {
    /// Kernels and the dynamic shared memory that each was allowed.
    functions: Vec<(sys::CUfunction, u32)>,
    compiled: HashMap<String, usize>,
    graphs: Vec<Option<sys::CUgraphExec>>,
    events: Vec<sys::CUevent>,
    free_events: Vec<usize>,
}

/// Milliseconds between two events, by the call that every driver has: cudarc's names are those of CUDA 13, and drivers before CUDA 12.8 lack
/// its successor.
///
/// # Safety
/// Both events were recorded.
unsafe fn elapsed(first: sys::CUevent, second: sys::CUevent) -> Result<f32, result::DriverError> {
    type Elapsed = unsafe extern "C" fn(*mut f32, sys::CUevent, sys::CUevent) -> sys::CUresult;
    let mut milliseconds = 0.0;
    // SAFETY: the name has had this type since CUDA 2; the events are the caller's promise.
    unsafe {
        match sys::culib().get::<Elapsed>(b"cuEventElapsedTime\0") {
            Ok(elapsed) => elapsed(&mut milliseconds, first, second).result()?,
            Err(_) => return result::event::elapsed(first, second),
        }
    }
    Ok(milliseconds)
}

/// Whether a driver loads what NVRTC makes; both by their CUDA version.
fn check_versions(driver: (i32, i32), nvrtc: (i32, i32)) -> Result<(), DeviceError> {
    let unusable = |reason: String| Err(DeviceError::Unusable(reason));
    if driver < OLDEST_DRIVER {
        let ((major, minor), (oldest, _)) = (driver, OLDEST_DRIVER);
        return unusable(format!(
            "the CUDA driver is too old: it knows CUDA {major}.{minor}, and the engine needs one for CUDA {oldest} or newer"
        ));
    }
    if nvrtc.0 > driver.0 {
        let ((major, minor), (known, known_minor)) = (nvrtc, driver);
        return unusable(format!(
            "the CUDA driver is too old: it knows CUDA {known}.{known_minor}, and NVRTC is of CUDA {major}.{minor}; \
             a newer driver loads its kernels, or NVRTC of CUDA {known} makes older ones"
        ));
    }
    Ok(())
}

/// One GPU with one stream.
pub struct Driver {
    description: Description,
    context: sys::CUcontext,
    stream: sys::CUstream,
    architecture: String,
    compiler: String,
    cache: Option<PathBuf>,
    blas: Blas,
    held: Mutex<Held>,
}

// SAFETY: the driver's handles may be used from any thread; our own tables are behind a lock.
unsafe impl Send for Driver {}
// SAFETY: as above.
unsafe impl Sync for Driver {}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("description", &self.description).finish_non_exhaustive()
    }
}

impl Driver {
    /// Opens the first device.
    ///
    /// # Errors
    /// When a library is missing, or there is no device that is new enough.
    pub fn open() -> Result<Driver, DeviceError> {
        for library in Library::ALL {
            library.demand()?;
        }
        let descriptions = devices()?;
        let Some(description) = descriptions.into_iter().next() else {
            return Err(DeviceError::Unusable("the CUDA driver shows no device".to_string()));
        };
        if description.capability < OLDEST {
            let (major, minor) = OLDEST;
            let oldest = format!("{description}: the kernels need compute capability {major}.{minor} or newer");
            return Err(DeviceError::Unusable(oldest));
        }
        let (major, minor) = nvrtc::version()?;
        check_versions(driver_version()?, (major, minor))?;
        // What is compiled for sm_90a runs on devices of that architecture alone, and may use all of it.
        let suffix = if description.capability == (9, 0) { "a" } else { "" };
        let architecture = format!("sm_{}{}{suffix}", description.capability.0, description.capability.1);
        let own = (10 * description.capability.0 + description.capability.1) as i32;
        let compiled = nvrtc::architectures()?;
        if !compiled.contains(&own) {
            let newest = compiled.iter().max().copied().unwrap_or_default();
            let reason = format!(
                "{description}: NVRTC {major}.{minor} compiles up to sm_{newest} and not for {architecture}; a newer one does"
            );
            return Err(DeviceError::Unusable(reason));
        }
        let device = result::device::get(0).map_err(call("cuDeviceGet"))?;
        // SAFETY: the device is the driver's own. The context stays until the process ends: what was loaded into it does, too.
        let context = unsafe { result::primary_ctx::retain(device) }.map_err(call("cuDevicePrimaryCtxRetain"))?;
        // SAFETY: the context was just made.
        unsafe { result::ctx::set_current(context) }.map_err(call("cuCtxSetCurrent"))?;
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking).map_err(call("cuStreamCreate"))?;
        Ok(Driver {
            blas: Blas::new(stream)?,
            architecture,
            compiler: format!("nvrtc {major}.{minor}"),
            cache: cache::folder(),
            description,
            context,
            stream,
            held: Mutex::new(Held::default()),
        })
    }

    /// Makes the context this thread's own, as every driver call needs.
    fn enter(&self) -> Result<(), DeviceError> {
        // SAFETY: the context lives as long as this value.
        unsafe { result::ctx::set_current(self.context) }.map_err(call("cuCtxSetCurrent"))
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        // A panic while the lock was held leaves tables that are still whole: every change is one push or one store.
        self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn machine_code(&self, source: &str) -> Result<Vec<u8>, DeviceError> {
        let key = cache::key(&[source, &self.architecture, &self.compiler]);
        if let Some(code) = cache::read(self.cache.as_ref(), &key) {
            return Ok(code);
        }
        let code = nvrtc::compile(source, &self.architecture)?;
        cache::write(self.cache.as_ref(), &key, &code);
        Ok(code)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A device that is lost cannot be tidied; there is nobody to tell.
        let _ = self.enter();
        let held = std::mem::take(&mut *self.held());
        // SAFETY: everything here was made by this value and nobody uses it any more.
        unsafe {
            for graph in held.graphs.into_iter().flatten() {
                let _ = result::graph::exec_destroy(graph);
            }
            for event in held.events {
                let _ = result::event::destroy(event);
            }
            let _ = result::stream::destroy(self.stream);
        }
    }
}

impl Device for Driver {
    fn description(&self) -> &Description {
        &self.description
    }

    fn free_memory(&self) -> Result<usize, DeviceError> {
        self.enter()?;
        result::mem_get_info().map(|(free, _)| free).map_err(call("cuMemGetInfo"))
    }

    fn allocate(&self, bytes: usize) -> Result<Address, DeviceError> {
        self.enter()?;
        // SAFETY: the memory is filled before anybody reads it.
        unsafe {
            let address = result::malloc_sync(bytes.max(1)).map_err(call("cuMemAlloc"))?;
            result::memset_d8_async(address, 0, bytes, self.stream).map_err(call("cuMemsetD8Async"))?;
            Ok(address)
        }
    }

    fn free(&self, address: Address) {
        // A device that is lost has lost its memory too.
        let _ = self.enter();
        // SAFETY: the address is one that `allocate` gave; freeing waits for what still runs.
        let _ = unsafe { result::free_sync(address) };
    }

    fn allocate_staging(&self, bytes: usize) -> Result<*mut u8, DeviceError> {
        self.enter()?;
        // SAFETY: the flags are none.
        unsafe { result::malloc_host(bytes.max(1), 0) }.map(<*mut c_void>::cast).map_err(call("cuMemHostAlloc"))
    }

    fn free_staging(&self, pointer: *mut u8) {
        let _ = self.enter();
        // SAFETY: the pointer is one that `allocate_staging` gave.
        let _ = unsafe { result::free_host(pointer.cast()) };
    }

    unsafe fn upload(&self, to: Address, from: *const u8, bytes: usize) -> Result<(), DeviceError> {
        self.enter()?;
        // SAFETY: the caller's promise.
        unsafe {
            let from = std::slice::from_raw_parts(from, bytes);
            result::memcpy_htod_async(to, from, self.stream).map_err(call("cuMemcpyHtoDAsync"))
        }
    }

    fn download(&self, from: Address, to: &mut [u8]) -> Result<(), DeviceError> {
        self.enter()?;
        // SAFETY: the buffer is borrowed until the copy is done.
        unsafe { result::memcpy_dtoh_async(to, from, self.stream) }.map_err(call("cuMemcpyDtoHAsync"))?;
        self.synchronize()
    }

    fn zero(&self, address: Address, bytes: usize) -> Result<(), DeviceError> {
        self.enter()?;
        // SAFETY: the address lies in allocated memory, by the planner.
        unsafe { result::memset_d8_async(address, 0, bytes, self.stream) }.map_err(call("cuMemsetD8Async"))
    }

    fn synchronize(&self) -> Result<(), DeviceError> {
        self.enter()?;
        // SAFETY: the stream is ours.
        unsafe { result::stream::synchronize(self.stream) }.map_err(call("cuStreamSynchronize"))
    }

    fn known(&self, name: &str) -> Option<Function> {
        self.held().compiled.get(name).copied().map(Function)
    }

    fn compile(&self, source: &str, names: &[&str]) -> Result<Vec<Function>, DeviceError> {
        self.enter()?;
        let missing: Vec<&str> = {
            let held = self.held();
            names.iter().copied().filter(|name| !held.compiled.contains_key(*name)).collect()
        };
        if !missing.is_empty() {
            let code = self.machine_code(source)?;
            // SAFETY: the code is a whole cubin of this architecture; modules stay loaded as long as the context.
            let module = unsafe { result::module::load_data(code.as_ptr().cast()) }.map_err(call("cuModuleLoadData"))?;
            for name in missing {
                let text = CString::new(name).map_err(|error| DeviceError::Compile(error.to_string()))?;
                // SAFETY: the module is loaded.
                let function = unsafe { result::module::get_function(module, text) }.map_err(call("cuModuleGetFunction"))?;
                let mut held = self.held();
                held.functions.push((function, 48 << 10));
                let index = held.functions.len() - 1;
                held.compiled.insert(name.to_string(), index);
            }
        }
        let held = self.held();
        Ok(names.iter().map(|name| Function(held.compiled[*name])).collect())
    }

    unsafe fn launch(&self, function: Function, launch: &Launch) -> Result<(), DeviceError> {
        self.enter()?;
        let Launch { grid, block, shared, arguments } = launch;
        let handle = {
            let mut held = self.held();
            let (handle, allowed) = &mut held.functions[function.0];
            if *shared > *allowed {
                let attribute = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
                // SAFETY: the function is loaded.
                unsafe { result::function::set_function_attribute(*handle, attribute, *shared as i32) }
                    .map_err(call("cuFuncSetAttribute"))?;
                *allowed = *shared;
            }
            *handle
        };
        let mut pointers = arguments.pointers();
        let ([gx, gy, gz], [bx, by, bz]) = (*grid, *block);
        // SAFETY: the caller's promise; the driver copies the arguments before it returns.
        unsafe { result::launch_kernel(handle, (gx, gy, gz), (bx, by, bz), *shared, self.stream, &mut pointers) }
            .map_err(call("cuLaunchKernel"))
    }

    fn prepare_product(&self, product: &Product) -> Result<PreparedProduct, DeviceError> {
        self.enter()?;
        self.blas.prepare(product)
    }

    unsafe fn run_product(&self, product: PreparedProduct) -> Result<(), DeviceError> {
        self.enter()?;
        // SAFETY: the caller's promise.
        unsafe { self.blas.run(product) }
    }

    fn free_product(&self, product: PreparedProduct) {
        self.blas.free(product);
    }

    fn begin_graph(&self) -> Result<(), DeviceError> {
        self.enter()?;
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is ours.
        unsafe { result::stream::begin_capture(self.stream, mode) }.map_err(call("cuStreamBeginCapture"))
    }

    fn end_graph(&self) -> Result<Graph, DeviceError> {
        self.enter()?;
        // SAFETY: the stream is ours; the graph is destroyed after what runs was made from it.
        unsafe {
            let graph = result::stream::end_capture(self.stream).map_err(call("cuStreamEndCapture"))?;
            let mut executable = std::mem::MaybeUninit::uninit();
            let made = sys::cuGraphInstantiateWithFlags(executable.as_mut_ptr(), graph, 0).result();
            let destroyed = result::graph::destroy(graph);
            made.map_err(call("cuGraphInstantiate"))?;
            destroyed.map_err(call("cuGraphDestroy"))?;
            let mut held = self.held();
            held.graphs.push(Some(executable.assume_init()));
            Ok(Graph(held.graphs.len() - 1))
        }
    }

    fn launch_graph(&self, graph: Graph) -> Result<(), DeviceError> {
        self.enter()?;
        let Some(executable) = self.held().graphs[graph.0] else {
            return Err(DeviceError::Call { call: "cuGraphLaunch", reason: "the graph was forgotten".to_string() });
        };
        // SAFETY: the graph was made by this device and is not destroyed.
        unsafe { result::graph::launch(executable, self.stream) }.map_err(call("cuGraphLaunch"))
    }

    fn free_graph(&self, graph: Graph) {
        let _ = self.enter();
        if let Some(executable) = self.held().graphs[graph.0].take() {
            // SAFETY: taken out of the table, so that nobody uses it again.
            let _ = unsafe { result::graph::exec_destroy(executable) };
        }
    }

    fn mark(&self) -> Result<Mark, DeviceError> {
        self.enter()?;
        let mut held = self.held();
        let index = match held.free_events.pop() {
            Some(index) => index,
            None => {
                let flags = sys::CUevent_flags::CU_EVENT_DEFAULT;
                held.events.push(result::event::create(flags).map_err(call("cuEventCreate"))?);
                held.events.len() - 1
            }
        };
        // SAFETY: event and stream are ours.
        unsafe { result::event::record(held.events[index], self.stream) }.map_err(call("cuEventRecord"))?;
        Ok(Mark(index))
    }

    fn seconds(&self, from: Mark, to: Mark) -> Result<f64, DeviceError> {
        self.enter()?;
        let mut held = self.held();
        held.free_events.extend([from.0, to.0]);
        let (first, second) = (held.events[from.0], held.events[to.0]);
        // SAFETY: both events are ours and were recorded.
        unsafe {
            result::event::synchronize(second).map_err(call("cuEventSynchronize"))?;
            let milliseconds = elapsed(first, second).map_err(call("cuEventElapsedTime"))?;
            Ok(f64::from(milliseconds) * 1e-3)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_that_is_too_old_is_named_with_what_it_knows() {
        assert!(check_versions((12, 0), (12, 9)).is_ok() && check_versions((13, 0), (12, 4)).is_ok());
        let text = |driver, nvrtc| check_versions(driver, nvrtc).expect_err("too old").to_string();
        assert_eq!(
            text((11, 8), (12, 4)),
            "the CUDA driver is too old: it knows CUDA 11.8, and the engine needs one for CUDA 12 or newer"
        );
        assert_eq!(
            text((12, 4), (13, 0)),
            "the CUDA driver is too old: it knows CUDA 12.4, and NVRTC is of CUDA 13.0; \
             a newer driver loads its kernels, or NVRTC of CUDA 12 makes older ones"
        );
    }
}
