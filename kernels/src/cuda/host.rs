//! The kernels on the processor: the same CUDA C++ compiled by the system's C++ compiler after `host_shim.h`, for tests of indexing, arithmetic
//! and the whole plan on machines without a GPU. It is slow, and says nothing about what a real device does with memory order.

use std::collections::HashMap;
use std::ffi::c_void;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use half::bf16;

use super::cache;
use super::device::{
    Activation, Address, BlasMatrix, BlasType, Description, Device, DeviceError, Function, Graph, Launch, Mark, PreparedProduct,
    Product,
};

const SHIM: &str = include_str!("host_shim.h");

/// What every compiled kernel is called by: arguments, grid and block, bytes of dynamic shared memory.
type Entry = unsafe extern "C" fn(*mut *mut c_void, *const u32, u32);

/// Something that was launched.
#[derive(Clone, Debug)]
enum Recorded {
    Launch(Function, Launch),
    Product(PreparedProduct),
    Zero(Address, usize),
}

#[derive(Default)]
struct Held {
    entries: Vec<Entry>,
    by_name: HashMap<String, usize>,
    /// Kept loaded: the entries lead into them.
    libraries: Vec<libloading::Library>,
    allocations: HashMap<Address, Vec<[u64; 32]>>,
    staging: HashMap<usize, Vec<u64>>,
    products: Vec<Product>,
    graphs: Vec<Vec<Recorded>>,
    recording: Option<Vec<Recorded>>,
    marks: Vec<Instant>,
    /// Launches until the device is lost; `None`: it never is.
    launches_left: Option<u64>,
}

/// The processor as a device.
pub struct HostDevice {
    description: Description,
    compiler: String,
    folder: PathBuf,
    held: Mutex<Held>,
    /// A text of the kernels, and what the compiler takes it for.
    misread: Option<(&'static str, &'static str)>,
}

impl std::fmt::Debug for HostDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostDevice").field("compiler", &self.compiler).finish_non_exhaustive()
    }
}

/// One at a time: shared memory and thread positions are static.
static TURN: Mutex<()> = Mutex::new(());

impl HostDevice {
    /// A device whose blocks have so much shared memory; compiled kernels are kept in `folder`.
    ///
    /// # Errors
    /// When there is no C++ compiler (`CXX`, else `c++`).
    pub fn new(folder: PathBuf, shared_memory: usize) -> Result<HostDevice, DeviceError> {
        let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_string());
        let version = Command::new(&compiler).arg("--version").output();
        if !version.is_ok_and(|output| output.status.success()) {
            return Err(DeviceError::Missing { library: "a C++ compiler", searched: vec![compiler] });
        }
        let description =
            Description { name: "host shim".to_string(), capability: (9, 0), multiprocessors: 1, memory: 1 << 34, shared_memory };
        Ok(HostDevice { description, compiler, folder, held: Mutex::default(), misread: None })
    }

    /// The same with a compiler that takes one text for another: what a bug of a compiler comes to.
    pub fn misreading(self, text: &'static str, as_text: &'static str) -> HostDevice {
        HostDevice { misread: Some((text, as_text)), ..self }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compiles a source to a library, or finds it compiled.
    fn library(&self, source: &str) -> Result<PathBuf, DeviceError> {
        let failed = |error: std::io::Error| DeviceError::Call { call: "the C++ compiler", reason: error.to_string() };
        let key = cache::key(&[SHIM, source, &self.compiler]);
        let path = self.folder.join(format!("{key}.so"));
        if path.exists() {
            return Ok(path);
        }
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        // Names of this compilation's own: another thread or process may compile the same text.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let own = format!("{key}.{}.{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let text = self.folder.join(format!("{own}.cpp"));
        std::fs::write(&text, format!("{SHIM}{source}")).map_err(failed)?;
        let temporary = self.folder.join(format!("{own}.so"));
        let output = Command::new(&self.compiler)
            .args(["-std=c++17", "-O1", "-fno-strict-aliasing", "-ffp-contract=off", "-w", "-shared", "-fPIC", "-o"])
            .args([&temporary, &text])
            .output()
            .map_err(failed)?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr).lines().take(30).collect::<Vec<_>>().join("\n");
            return Err(DeviceError::Compile(format!("{}: {words}", text.display())));
        }
        std::fs::rename(&temporary, &path).map_err(failed)?;
        std::fs::remove_file(&text).map_err(failed)?;
        Ok(path)
    }

    /// What a real device refuses while it records: the recording would be lost.
    fn demand_no_recording(&self, call: &'static str) -> Result<(), DeviceError> {
        match self.held().recording {
            Some(_) => Err(DeviceError::Call { call, reason: "this cannot be asked for while a graph is recorded".to_string() }),
            None => Ok(()),
        }
    }

    /// Counts what is launched; from the launch on that [`HostDevice::lose_after`] named, the device is lost.
    fn demand_device(&self, call: &'static str, is_launch: bool) -> Result<(), DeviceError> {
        let mut held = self.held();
        let Some(left) = &mut held.launches_left else { return Ok(()) };
        if *left == 0 {
            return Err(DeviceError::Call { call, reason: "the device is lost".to_string() });
        }
        *left -= u64::from(is_launch);
        Ok(())
    }

    /// Loses the device after so many launches from now on: every later call fails, as a driver's does.
    pub fn lose_after(&self, launches: u64) {
        self.held().launches_left = Some(launches);
    }

    /// Keeps what is asked for where a graph is being recorded.
    fn recorded(&self, what: impl FnOnce() -> Recorded) -> bool {
        match &mut self.held().recording {
            Some(recording) => {
                recording.push(what());
                true
            }
            None => false,
        }
    }
}

/// # Safety
/// The element lies in allocated memory.
unsafe fn read(matrix: &BlasMatrix, batch: usize, row: usize, column: usize) -> f32 {
    let at = batch * matrix.stride + column * matrix.leading + row;
    // SAFETY: the caller's promise.
    unsafe {
        match matrix.dtype {
            BlasType::F32 => *(matrix.address as *const f32).add(at),
            BlasType::Bf16 => (*(matrix.address as *const bf16).add(at)).to_f32(),
        }
    }
}

/// # Safety
/// The product's matrices lie in allocated memory.
unsafe fn multiply(product: &Product) {
    let Product { a, b, d, transpose_a, transpose_b, batch, bias, addend, activation } = product;
    let depth = if *transpose_a { a.rows } else { a.columns };
    for matrix in 0..*batch {
        for column in 0..d.columns {
            for row in 0..d.rows {
                // SAFETY: the caller's promise.
                unsafe {
                    let mut sum = 0.0;
                    for k in 0..depth {
                        let left = if *transpose_a { read(a, matrix, k, row) } else { read(a, matrix, row, k) };
                        let right = if *transpose_b { read(b, matrix, column, k) } else { read(b, matrix, k, column) };
                        sum += left * right;
                    }
                    if let Some(addend) = addend {
                        sum += read(&BlasMatrix { address: *addend, ..*d }, matrix, row, column);
                    }
                    if let Some(bias) = bias {
                        let vector = BlasMatrix { address: *bias, ..*d };
                        sum += read(&vector, 0, row, 0);
                    }
                    let sum = match activation {
                        Some(Activation::Relu) => sum.max(0.0),
                        Some(Activation::GeluTanh) => 0.5 * sum * (1.0 + (0.797_884_6 * (sum + 0.044_715 * sum.powi(3))).tanh()),
                        None => sum,
                    };
                    let at = matrix * d.stride + column * d.leading + row;
                    match d.dtype {
                        BlasType::F32 => *(d.address as *mut f32).add(at) = sum,
                        BlasType::Bf16 => *(d.address as *mut bf16).add(at) = bf16::from_f32(sum),
                    }
                }
            }
        }
    }
}

/// What cuBLASLt would not take: matrices that do not lie as they are described, and bf16 that tensor cores cannot read.
fn refusal(product: &Product) -> Option<String> {
    let Product { a, b, d, transpose_a, transpose_b, batch, bias, addend, activation } = product;
    let turned = |matrix: &BlasMatrix, is_turned: bool| match is_turned {
        true => (matrix.columns, matrix.rows),
        false => (matrix.rows, matrix.columns),
    };
    let ((m, k), (other_k, n)) = (turned(a, *transpose_a), turned(b, *transpose_b));
    if k != other_k || (m, n) != (d.rows, d.columns) {
        return Some(format!("{m} x {k} times {other_k} x {n} is not {} x {}", d.rows, d.columns));
    }
    let bytes = |matrix: &BlasMatrix| if matrix.dtype == BlasType::Bf16 { 2 } else { 4 };
    let is_misplaced = |matrix: &BlasMatrix| {
        let stride = if *batch > 1 { matrix.stride } else { 0 };
        let unit = if matrix.dtype == BlasType::Bf16 { 16 } else { 4 };
        let places = [matrix.address, (matrix.leading * bytes(matrix)) as u64, (stride * bytes(matrix)) as u64];
        matrix.leading < matrix.rows || !places.iter().all(|place| place.is_multiple_of(unit))
    };
    let is_mixed = a.dtype != b.dtype || (a.dtype == BlasType::F32 && d.dtype == BlasType::Bf16);
    let is_overlaid = *batch > 1 && d.stride < d.leading * d.columns;
    let has_bad_addend = [bias, addend].into_iter().flatten().any(|address| !address.is_multiple_of(16));
    let is_coarse = *activation == Some(Activation::GeluTanh) && d.dtype == BlasType::F32;
    (is_mixed || is_overlaid || has_bad_addend || is_coarse || [a, b, d].into_iter().any(is_misplaced))
        .then(|| format!("not supported: {product:?}"))
}

impl Device for HostDevice {
    fn description(&self) -> &Description {
        &self.description
    }

    fn free_memory(&self) -> Result<usize, DeviceError> {
        Ok(self.description.memory)
    }

    fn allocate(&self, bytes: usize) -> Result<Address, DeviceError> {
        self.demand_no_recording("cuMemAlloc")?;
        self.demand_device("cuMemAlloc", false)?;
        // 256 bytes more, to begin at a multiple of them.
        let mut memory = vec![[0u64; 32]; bytes.div_ceil(256) + 1];
        let start = memory.as_mut_ptr() as usize;
        let address = start.next_multiple_of(256) as u64;
        self.held().allocations.insert(address, memory);
        Ok(address)
    }

    fn free(&self, address: Address) {
        self.held().allocations.remove(&address);
    }

    fn allocate_staging(&self, bytes: usize) -> Result<*mut u8, DeviceError> {
        let mut memory = vec![0u64; bytes.div_ceil(8) + 1];
        let pointer: *mut u8 = memory.as_mut_ptr().cast();
        self.held().staging.insert(pointer as usize, memory);
        Ok(pointer)
    }

    fn free_staging(&self, pointer: *mut u8) {
        self.held().staging.remove(&(pointer as usize));
    }

    unsafe fn upload(&self, to: Address, from: *const u8, bytes: usize) -> Result<(), DeviceError> {
        self.demand_no_recording("cuMemcpyHtoDAsync")?;
        self.demand_device("cuMemcpyHtoDAsync", false)?;
        // SAFETY: the caller's promise.
        unsafe { std::ptr::copy_nonoverlapping(from, to as *mut u8, bytes) };
        Ok(())
    }

    fn download(&self, from: Address, to: &mut [u8]) -> Result<(), DeviceError> {
        self.demand_no_recording("cuMemcpyDtoHAsync")?;
        self.demand_device("cuMemcpyDtoHAsync", false)?;
        // SAFETY: plans read their own memory alone.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, to.as_mut_ptr(), to.len()) };
        Ok(())
    }

    fn zero(&self, address: Address, bytes: usize) -> Result<(), DeviceError> {
        if !self.recorded(|| Recorded::Zero(address, bytes)) {
            // SAFETY: plans write their own memory alone.
            unsafe { std::ptr::write_bytes(address as *mut u8, 0, bytes) };
        }
        Ok(())
    }

    fn synchronize(&self) -> Result<(), DeviceError> {
        self.demand_no_recording("cuStreamSynchronize")?;
        self.demand_device("cuStreamSynchronize", false)
    }

    fn known(&self, name: &str) -> Option<Function> {
        self.held().by_name.get(name).copied().map(Function)
    }

    fn compile(&self, source: &str, names: &[&str]) -> Result<Vec<Function>, DeviceError> {
        self.demand_no_recording("cuModuleLoadData")?;
        let path = match self.misread {
            Some((text, as_text)) => self.library(&source.replace(text, as_text))?,
            None => self.library(source)?,
        };
        let failed = |error: libloading::Error| DeviceError::Call { call: "dlopen", reason: error.to_string() };
        // SAFETY: the library was compiled from our own source; its initializers are those of the C++ runtime.
        let library = unsafe { libloading::Library::new(&path) }.map_err(failed)?;
        let mut held = self.held();
        let mut functions = Vec::new();
        for name in names {
            // SAFETY: every kernel's text ends with SWARD_ENTRY, which makes this function.
            let entry = unsafe { library.get::<Entry>(format!("{name}_host").as_bytes()) }.map_err(failed)?;
            held.entries.push(*entry);
            let index = held.entries.len() - 1;
            held.by_name.insert((*name).to_string(), index);
            functions.push(Function(index));
        }
        held.libraries.push(library);
        Ok(functions)
    }

    unsafe fn launch(&self, function: Function, launch: &Launch) -> Result<(), DeviceError> {
        self.demand_device("cuLaunchKernel", true)?;
        if launch.shared as usize > self.description.shared_memory {
            let reason = format!("{} bytes of shared memory", launch.shared);
            return Err(DeviceError::Call { call: "cuLaunchKernel", reason });
        }
        if self.recorded(|| Recorded::Launch(function, launch.clone())) {
            return Ok(());
        }
        let entry = self.held().entries[function.0];
        let mut pointers = launch.arguments.pointers();
        let ([gx, gy, gz], [bx, by, bz]) = (launch.grid, launch.block);
        let sizes = [gx, gy, gz, bx, by, bz];
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the caller's promise; the library stays loaded while this value lives.
        unsafe { entry(pointers.as_mut_ptr(), sizes.as_ptr(), launch.shared) };
        Ok(())
    }

    fn prepare_product(&self, product: &Product) -> Result<PreparedProduct, DeviceError> {
        self.demand_no_recording("cublasLtMatmulAlgoGetHeuristic")?;
        if let Some(reason) = refusal(product) {
            return Err(DeviceError::Call { call: "cublasLtMatmulAlgoGetHeuristic", reason });
        }
        let mut held = self.held();
        held.products.push(*product);
        Ok(PreparedProduct(held.products.len() - 1))
    }

    unsafe fn run_product(&self, product: PreparedProduct) -> Result<(), DeviceError> {
        self.demand_device("cublasLtMatmul", true)?;
        if !self.recorded(|| Recorded::Product(product)) {
            let product = self.held().products[product.0];
            // SAFETY: the caller's promise.
            unsafe { multiply(&product) };
        }
        Ok(())
    }

    fn free_product(&self, _: PreparedProduct) {}

    fn begin_graph(&self) -> Result<(), DeviceError> {
        self.demand_device("cuStreamBeginCapture", false)?;
        self.held().recording = Some(Vec::new());
        Ok(())
    }

    fn end_graph(&self) -> Result<Graph, DeviceError> {
        let mut held = self.held();
        let recording = held.recording.take().unwrap_or_default();
        held.graphs.push(recording);
        Ok(Graph(held.graphs.len() - 1))
    }

    fn launch_graph(&self, graph: Graph) -> Result<(), DeviceError> {
        self.demand_no_recording("cuGraphLaunch")?;
        let recorded = self.held().graphs[graph.0].clone();
        for one in recorded {
            // SAFETY: what was recorded was promised then; graphs do not outlive their plan's memory.
            unsafe {
                match one {
                    Recorded::Launch(function, launch) => self.launch(function, &launch)?,
                    Recorded::Product(product) => self.run_product(product)?,
                    Recorded::Zero(address, bytes) => self.zero(address, bytes)?,
                }
            }
        }
        Ok(())
    }

    fn free_graph(&self, graph: Graph) {
        self.held().graphs[graph.0].clear();
    }

    fn mark(&self) -> Result<Mark, DeviceError> {
        self.demand_no_recording("cuEventRecord")?;
        let mut held = self.held();
        held.marks.push(Instant::now());
        Ok(Mark(held.marks.len() - 1))
    }

    fn seconds(&self, from: Mark, to: Mark) -> Result<f64, DeviceError> {
        let held = self.held();
        Ok((held.marks[to.0] - held.marks[from.0]).as_secs_f64())
    }
}
