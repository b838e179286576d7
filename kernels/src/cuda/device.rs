//! What the engine asks of a device: memory, compiled kernels, launches in one order, graphs of them, and matrix products.
//!
//! [`super::driver`] is an NVIDIA GPU through the CUDA driver. `super::host` runs the same kernels on the processor for tests.

use std::fmt;

/// An address in a device's memory.
pub type Address = u64;

/// What went wrong on a device.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DeviceError {
    /// A library is not on this machine.
    #[error("{library} is not on this machine (searched for {} in the system's folders and those of LD_LIBRARY_PATH)", searched.join(", "))]
    Missing {
        /// What the library is.
        library: &'static str,
        /// The file names that were searched for, in the system's folders and those of `LD_LIBRARY_PATH`.
        searched: Vec<String>,
    },
    /// The driver shows no GPU, or one that is too old.
    #[error("{0}")]
    Unusable(String),
    /// A kernel's source did not compile: a bug of the engine.
    #[error("a kernel does not compile: {0}")]
    Compile(String),
    /// A call failed.
    #[error("{call}: {reason}")]
    Call {
        /// What was asked for.
        call: &'static str,
        /// What the driver says.
        reason: String,
    },
}

/// What a device is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Description {
    /// The device's name, for example `NVIDIA H200`.
    pub name: String,
    /// The compute capability, for example (9, 0).
    pub capability: (u32, u32),
    /// Number of multiprocessors.
    pub multiprocessors: u32,
    /// Bytes of memory.
    pub memory: usize,
    /// The most bytes of shared memory that a block may have.
    pub shared_memory: usize,
}

impl Description {
    /// Whether the tests compile the kernels for this architecture.
    pub fn is_tested(&self) -> bool {
        [(8, 0), (9, 0)].contains(&self.capability)
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.capability;
        let Description { name, multiprocessors, memory, .. } = self;
        write!(f, "{name}, sm_{major}{minor}, {multiprocessors} multiprocessors, {} MiB", memory >> 20)
    }
}

/// A compiled kernel on a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Function(pub usize);

/// A recorded series of launches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Graph(pub usize);

/// A moment in the order of launches.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Mark(pub usize);

/// A kernel's arguments, packed as the driver reads them: each at a multiple of 8 bytes.
#[derive(Clone, Default, Debug)]
pub struct Arguments {
    words: Vec<u64>,
    offsets: Vec<usize>,
}

impl Arguments {
    /// No arguments.
    pub fn new() -> Arguments {
        Arguments::default()
    }

    fn push(mut self, bytes: &[u8]) -> Arguments {
        self.offsets.push(self.words.len());
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.words.push(u64::from_ne_bytes(word));
        }
        self
    }

    /// One more: an address.
    pub fn address(self, address: Address) -> Arguments {
        self.push(&address.to_ne_bytes())
    }

    /// One more: a `long long`.
    pub fn long(self, value: usize) -> Arguments {
        self.push(&(value as i64).to_ne_bytes())
    }

    /// One more: an `int`.
    pub fn int(self, value: usize) -> Arguments {
        self.push(&(value as i32).to_ne_bytes())
    }

    /// One more: a `float`.
    pub fn float(self, value: f32) -> Arguments {
        self.push(&value.to_ne_bytes())
    }

    /// One more: a struct of `int`s.
    pub fn ints(self, values: &[i32]) -> Arguments {
        self.push(bytemuck::cast_slice(values))
    }

    /// One more: a struct of `long long`s.
    pub fn longs(self, values: &[i64]) -> Arguments {
        self.push(bytemuck::cast_slice(values))
    }

    /// The addresses of the arguments, as `cuLaunchKernel` takes them; they are valid while `self` is.
    pub fn pointers(&self) -> Vec<*mut std::ffi::c_void> {
        self.offsets.iter().map(|offset| self.words[*offset..].as_ptr().cast_mut().cast()).collect()
    }
}

/// A kernel's launch: how many blocks of how many threads, and with what.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Blocks along x, y and z.
    pub grid: [u32; 3],
    /// Threads of a block along x, y and z.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub shared: u32,
    /// The kernel's arguments.
    pub arguments: Arguments,
}

/// The dtype of a matrix for [`Device::matmul`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlasType {
    /// 32-bit IEEE 754.
    F32,
    /// bfloat16.
    Bf16,
}

/// One operand of a [`Product`]: column-major, as BLAS has it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BlasMatrix {
    /// The first element.
    pub address: Address,
    /// The dtype.
    pub dtype: BlasType,
    /// Rows as stored.
    pub rows: usize,
    /// Columns as stored.
    pub columns: usize,
    /// Elements from one column to the next.
    pub leading: usize,
    /// Elements from one matrix of the batch to the next; 0 repeats it.
    pub stride: usize,
}

/// What a product may end with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activation {
    /// 0 where it is negative.
    Relu,
    /// GELU by the hyperbolic tangent.
    GeluTanh,
}

/// A batch of column-major products `d = op(a) op(b)`, accumulated in f32, then `+ addend`, `+ bias` by rows, and an activation.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Product {
    /// The left factor.
    pub a: BlasMatrix,
    /// The right factor.
    pub b: BlasMatrix,
    /// The result.
    pub d: BlasMatrix,
    /// Whether the left factor is transposed.
    pub transpose_a: bool,
    /// Whether the right factor is transposed.
    pub transpose_b: bool,
    /// Number of matrices.
    pub batch: usize,
    /// A vector of d's rows and dtype that is added to each column.
    pub bias: Option<Address>,
    /// Matrices that lie as d's do and may be d's own, which are added.
    pub addend: Option<Address>,
    /// What is taken of the sum.
    pub activation: Option<Activation>,
}

/// A prepared product.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PreparedProduct(pub usize);

/// A device. Everything runs in the order in which it is asked for; calls return before the work is done, unless said otherwise.
pub trait Device: Send + Sync + fmt::Debug {
    /// What it is.
    fn description(&self) -> &Description;

    /// Bytes of memory that are free.
    ///
    /// # Errors
    /// When the device is lost.
    fn free_memory(&self) -> Result<usize, DeviceError>;

    /// Memory at a multiple of 256 bytes, filled with zeros.
    ///
    /// # Errors
    /// When there is not so much.
    fn allocate(&self, bytes: usize) -> Result<Address, DeviceError>;

    /// Gives memory back.
    fn free(&self, address: Address);

    /// Memory of this machine that [`Device::upload`] reads without a copy in between.
    ///
    /// # Errors
    /// When there is not so much.
    fn allocate_staging(&self, bytes: usize) -> Result<*mut u8, DeviceError>;

    /// Gives staging memory back.
    fn free_staging(&self, pointer: *mut u8);

    /// Copies staging memory to the device.
    ///
    /// # Errors
    /// When the device is lost.
    ///
    /// # Safety
    /// `from` holds so many bytes and keeps them until the device is [synchronized](Device::synchronize); `to` lies in allocated memory.
    unsafe fn upload(&self, to: Address, from: *const u8, bytes: usize) -> Result<(), DeviceError>;

    /// Copies from the device, after all that was asked for before; returns when it is done.
    ///
    /// # Errors
    /// When the device is lost.
    fn download(&self, from: Address, to: &mut [u8]) -> Result<(), DeviceError>;

    /// Sets bytes to 0.
    ///
    /// # Errors
    /// When the device is lost.
    fn zero(&self, address: Address, bytes: usize) -> Result<(), DeviceError>;

    /// Waits for everything.
    ///
    /// # Errors
    /// When something failed on the device.
    fn synchronize(&self) -> Result<(), DeviceError>;

    /// A kernel that was compiled before.
    fn known(&self, name: &str) -> Option<Function>;

    /// Compiles a source (or finds it compiled) and gives its kernels of these names.
    ///
    /// # Errors
    /// When the compiler is missing or complains.
    fn compile(&self, source: &str, names: &[&str]) -> Result<Vec<Function>, DeviceError>;

    /// Runs a kernel.
    ///
    /// # Errors
    /// When it cannot start.
    ///
    /// # Safety
    /// The arguments are those that the kernel declares, with addresses of memory that is as large as it reads and writes.
    unsafe fn launch(&self, function: Function, launch: &Launch) -> Result<(), DeviceError>;

    /// Chooses how a product is computed.
    ///
    /// # Errors
    /// When the library has no way for it.
    fn prepare_product(&self, product: &Product) -> Result<PreparedProduct, DeviceError>;

    /// Computes a product.
    ///
    /// # Errors
    /// When it cannot start.
    ///
    /// # Safety
    /// The matrices lie in allocated memory.
    unsafe fn run_product(&self, product: PreparedProduct) -> Result<(), DeviceError>;

    /// Forgets a product.
    fn free_product(&self, product: PreparedProduct);

    /// From now on launches are recorded instead of run.
    ///
    /// # Errors
    /// When the device cannot record.
    fn begin_graph(&self) -> Result<(), DeviceError>;

    /// The launches since [`Device::begin_graph`].
    ///
    /// # Errors
    /// When something could not be recorded.
    fn end_graph(&self) -> Result<Graph, DeviceError>;

    /// Runs a recorded graph.
    ///
    /// # Errors
    /// When it cannot start.
    fn launch_graph(&self, graph: Graph) -> Result<(), DeviceError>;

    /// Forgets a graph.
    fn free_graph(&self, graph: Graph);

    /// A moment in the order of launches.
    ///
    /// # Errors
    /// When the device is lost.
    fn mark(&self) -> Result<Mark, DeviceError>;

    /// Seconds between two moments, both of which are forgotten. Waits for the second.
    ///
    /// # Errors
    /// When the device is lost.
    fn seconds(&self, from: Mark, to: Mark) -> Result<f64, DeviceError>;
}
