//! From instructions to launches: each primitive's operands checked once, addresses and sizes bound, so that a run only launches.

mod attention;
mod convolution;
mod depthwise;
mod epilogue;
mod images;
mod implicit;
mod indexing;
mod loops;
mod map;
mod matmul;
mod movement;
mod patches;
mod product;
mod reduce;
mod rows;
mod scalar;
mod training;

pub(super) use attention::{BY_WARPGROUPS, LONG};
pub(super) use product::WARPGROUP_COLUMNS;
use sward_core::program::{DType, Instruction, Primitive, Program, TensorType};
use sward_ops::primitives as op;

use super::device::{Address, Arguments, Launch, Product};
use super::source::{Kernel, c_type};

/// A value as a step sees it.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    /// The first byte, aligned to 64.
    pub address: Address,
    /// Dtype and sizes.
    pub tensor_type: TensorType,
}

impl Operand {
    pub(super) fn shape(&self) -> &[usize] {
        &self.tensor_type.shape
    }

    pub(super) fn elements(&self) -> usize {
        self.tensor_type.elements()
    }

    pub(super) fn dtype(&self) -> DType {
        self.tensor_type.dtype
    }

    pub(super) fn bytes(&self) -> usize {
        self.tensor_type.bytes()
    }

    /// The C++ type of its elements.
    pub(super) fn c_type(&self) -> &'static str {
        c_type(self.dtype())
    }

    /// The four sizes of an image, or of an operand of an attention.
    ///
    /// # Panics
    /// For another rank: the primitive's rule gives four axes.
    pub(super) fn four(&self) -> [usize; 4] {
        <[usize; 4]>::try_from(self.shape()).expect("the primitive's rule gives four axes")
    }
}

/// One thing that a step does.
#[derive(Clone, Debug)]
pub(super) enum Action {
    /// Runs the kernel of that name.
    Launch { kernel: String, launch: Launch },
    /// Runs a product of the library.
    Product(Product),
    /// Sets bytes to 0.
    Zero { address: Address, bytes: usize },
    /// Fills an address once, when the plan is made.
    Upload { address: Address, bytes: Vec<u8> },
}

/// One instruction, ready to run.
#[derive(Clone, Debug, Default)]
pub(super) struct Step {
    /// What `--profile` calls it.
    pub kernel: &'static str,
    /// What it does, in order.
    pub actions: Vec<Action>,
    /// Bytes of workspace.
    pub workspace: usize,
    /// Bytes of tables that are uploaded once.
    pub tables: usize,
}

/// What a device offers to kernels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The most dynamic shared memory of a block.
    pub shared_memory: usize,
    /// Whether attention and convolutions may use Hopper's warpgroup products.
    pub warpgroups: bool,
    /// Number of multiprocessors.
    pub multiprocessors: usize,
    /// Columns of a convolution's blocks by warpgroup products, where their proof asks for them.
    pub warpgroup_columns: Option<usize>,
}

/// Collects what one instruction does.
pub(super) struct Binder<'a> {
    kernels: &'a mut Vec<Kernel>,
    step: Step,
    /// The plan's control block.
    control: Address,
    workspace: Address,
    tables: Address,
    /// The instruction's position.
    index: usize,
    limits: Limits,
}

const BLOCK: u32 = 256;

/// `n` elements by blocks of so many.
fn blocks(n: usize, of: usize) -> u32 {
    u32::try_from(n.div_ceil(of)).expect("a grid below 2^32 blocks")
}

impl Binder<'_> {
    /// Room beside operands and results, used by this instruction alone.
    fn workspace(&mut self, bytes: usize) -> Address {
        let address = self.workspace + self.step.workspace as u64;
        self.step.workspace += bytes.next_multiple_of(256);
        address
    }

    /// A table that kernels read, uploaded once.
    fn table<T: bytemuck::NoUninit>(&mut self, values: &[T]) -> Address {
        let address = self.tables + self.step.tables as u64;
        let bytes: Vec<u8> = bytemuck::cast_slice(values).to_vec();
        self.step.tables += bytes.len().next_multiple_of(256);
        self.upload(address, bytes);
        address
    }

    /// Names what runs the instruction.
    fn label(&mut self, kernel: &'static str) {
        self.step.kernel = kernel;
    }

    fn launch(&mut self, kernel: Kernel, grid: [u32; 3], block: [u32; 3], shared: usize, arguments: Arguments) {
        if grid.contains(&0) {
            return;
        }
        let name = kernel.name.clone();
        self.kernels.push(kernel);
        let launch = Launch { grid, block, shared: shared as u32, arguments };
        self.step.actions.push(Action::Launch { kernel: name, launch });
    }

    /// One thread for each of `n` elements.
    fn launch_each(&mut self, kernel: Kernel, n: usize, arguments: Arguments) {
        self.launch(kernel, [blocks(n, BLOCK as usize), 1, 1], [BLOCK, 1, 1], 0, arguments);
    }

    fn zero(&mut self, address: Address, bytes: usize) {
        if bytes > 0 {
            self.step.actions.push(Action::Zero { address, bytes });
        }
    }

    fn upload(&mut self, address: Address, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.step.actions.push(Action::Upload { address, bytes });
        }
    }

    fn product(&mut self, product: Product) {
        self.step.actions.push(Action::Product(product));
    }
}

/// Where an instruction's step runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site {
    /// The plan's control block.
    pub control: Address,
    /// The instruction's workspace.
    pub workspace: Address,
    /// Where the instruction's tables lie.
    pub tables: Address,
    /// The instruction's position.
    pub index: usize,
    /// What the device offers.
    pub limits: Limits,
}

/// Binds an instruction; the kernels that it needs join `kernels`.
///
/// # Errors
/// Why there is no kernel for these operands.
pub(super) fn bind(
    primitive: &dyn Primitive,
    inputs: &[Operand],
    outputs: &[Operand],
    site: Site,
    kernels: &mut Vec<Kernel>,
) -> Result<Step, String> {
    let Site { control, workspace, tables, index, limits } = site;
    let step = Step { kernel: primitive.name(), ..Step::default() };
    let mut binder = Binder { kernels, step, control, workspace, tables, index, limits };
    if primitive.is_view() {
        binder.label("view");
        return Ok(binder.step);
    }
    dispatch(primitive, inputs, outputs, &mut binder)?;
    Ok(binder.step)
}

/// Finds the module that binds a primitive.
fn dispatch(primitive: &dyn Primitive, inputs: &[Operand], outputs: &[Operand], binder: &mut Binder<'_>) -> Result<(), String> {
    if let Some(op) = primitive.downcast::<op::Map>() {
        map::map(op, inputs, outputs, binder);
        return Ok(());
    }
    if let Some(op) = primitive.downcast::<op::Reduce>() {
        reduce::reduce(op, inputs, outputs, binder);
        return Ok(());
    }
    if let Some(op) = primitive.downcast::<op::MapReduce>() {
        return reduce::map_reduce(op, inputs, outputs, binder);
    }
    if let Some(op) = primitive.downcast::<op::MatMul>() {
        return matmul::matmul(op, inputs, outputs, binder);
    }
    let families = [movement::bind, rows::bind, images::bind, indexing::bind, training::bind, convolution::bind, attention::bind];
    for bind in families {
        if bind(primitive, inputs, outputs, binder)? {
            return Ok(());
        }
    }
    Err("there is no kernel for it".to_string())
}

/// The results that an instruction's kernel may write over an operand: each element is read before, or by the same thread as, it is written.
pub(super) fn in_place(program: &Program, instruction: &Instruction) -> Vec<(usize, usize)> {
    let matches = |(input, output): &(usize, usize)| {
        let (Some(input), Some(output)) = (instruction.inputs.get(*input), instruction.outputs.get(*output)) else {
            return false;
        };
        let (input, output) = (program.type_of(*input), program.type_of(*output));
        input.shape == output.shape && input.dtype.bytes() == output.dtype.bytes()
    };
    instruction.op.in_place().iter().copied().filter(matches).collect()
}

/// Whether an instruction's kernels leave parameters alone after a bad index, so that its result may be written straight into one.
pub(super) fn writes_slots(instruction: &Instruction) -> bool {
    instruction.op.downcast::<op::Map>().is_some() || instruction.op.downcast::<op::OptimizerUpdate>().is_some()
}

pub(super) use movement::copy_whole;
pub(super) use training::first_not_finite;
