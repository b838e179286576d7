//! The kernels' texts: CUDA C++ files by family, and the instances of their templates that a plan asks for.

use sward_core::program::DType;

/// A file of kernels with what it builds on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Family {
    /// Generated elementwise kernels.
    Map,
    /// Generated reductions.
    Reduce,
    /// Copies with strides, padding, transposes.
    Movement,
    /// Softmax and layer norm: work on rows.
    Rows,
    /// Matrix products and convolutions as such.
    Product,
    /// Convolutions by Hopper's warpgroup products.
    ProductWarpgroups,
    /// Depthwise convolutions.
    Depthwise,
    /// Attention in f32 arithmetic.
    Attention,
    /// Attention on tensor cores, and of few queries.
    AttentionCores,
    /// Attention by Hopper's warpgroup products.
    AttentionWarpgroups,
    /// Pooling and resizing.
    Images,
    /// Picking, sorting, scanning.
    Indexing,
    /// The optimizer's step, norms, the search for values that are not finite.
    Training,
}

impl Family {
    /// All families.
    pub const ALL: [Family; 13] = [
        Family::Map,
        Family::Reduce,
        Family::Movement,
        Family::Rows,
        Family::Product,
        Family::ProductWarpgroups,
        Family::Depthwise,
        Family::Attention,
        Family::AttentionCores,
        Family::AttentionWarpgroups,
        Family::Images,
        Family::Indexing,
        Family::Training,
    ];

    /// Whether it is compiled for sm_90a alone.
    #[cfg(test)]
    pub fn is_by_warpgroups(self) -> bool {
        matches!(self, Family::ProductWarpgroups | Family::AttentionWarpgroups)
    }

    /// The texts, in order.
    fn texts(self) -> &'static [&'static str] {
        const COMMON: &str = include_str!("kernels/common.cuh");
        const SCALAR: &str = include_str!("kernels/scalar.cuh");
        const CORES: &str = include_str!("kernels/cores.cuh");
        const WARPGROUPS: &str = include_str!("kernels/warpgroups.cuh");
        const OPERANDS: &str = include_str!("kernels/operands.cuh");
        const PRODUCT: &str = include_str!("kernels/product.cu");
        const SHAPE: &str = include_str!("kernels/attention_shape.cuh");
        match self {
            Family::Map => &[COMMON, SCALAR],
            Family::Reduce => &[COMMON, SCALAR, include_str!("kernels/reduce.cuh")],
            Family::Movement => &[COMMON, include_str!("kernels/movement.cu")],
            Family::Rows => &[COMMON, include_str!("kernels/rows.cu"), include_str!("kernels/norms.cu")],
            Family::Product => &[COMMON, CORES, OPERANDS, PRODUCT],
            Family::ProductWarpgroups => {
                &[COMMON, CORES, WARPGROUPS, OPERANDS, PRODUCT, include_str!("kernels/product_warpgroups.cu")]
            }
            Family::Depthwise => &[COMMON, include_str!("kernels/depthwise.cu"), include_str!("kernels/depthwise_strips.cu")],
            Family::Attention => &[COMMON, SHAPE, include_str!("kernels/attention.cu")],
            Family::AttentionCores => &[
                COMMON,
                CORES,
                SHAPE,
                include_str!("kernels/attention_softmax.cuh"),
                include_str!("kernels/attention_cores.cu"),
                include_str!("kernels/attention_few.cu"),
            ],
            Family::AttentionWarpgroups => &[
                COMMON,
                CORES,
                SHAPE,
                include_str!("kernels/attention_softmax.cuh"),
                WARPGROUPS,
                include_str!("kernels/attention_warpgroups.cu"),
            ],
            Family::Images => &[COMMON, include_str!("kernels/images.cu")],
            Family::Indexing => &[COMMON, include_str!("kernels/indexing.cu")],
            Family::Training => &[COMMON, include_str!("kernels/training.cu")],
        }
    }
}

/// How a kernel is launched, as far as its registers depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Threads of a block.
    pub threads: u32,
    /// Blocks that a multiprocessor shall hold at once; the compiler chooses where it is not said.
    pub blocks: Option<u32>,
}

impl std::fmt::Display for Bounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.threads)?;
        self.blocks.map_or(Ok(()), |blocks| write!(f, ", {blocks}"))
    }
}

/// One kernel: a `__global__` function with a name of its own.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Kernel {
    /// The file that it builds on.
    pub family: Family,
    /// The template or generator that it comes from.
    pub function: String,
    /// The function's name, which says what it computes: equal names are equal kernels.
    pub name: String,
    /// The function's text.
    pub code: String,
}

impl Kernel {
    /// An instance of a template of a family: a kernel whose parameters have these types and are handed on in their order.
    pub fn instance(family: Family, function: &str, template: &[String], parameters: &[&str], threads: u32) -> Kernel {
        Kernel::bounded_instance(family, function, template, parameters, Bounds { threads, blocks: None })
    }

    /// The same with a bound on the registers of a thread: so many that so many blocks fit a multiprocessor.
    pub fn bounded_instance(family: Family, function: &str, template: &[String], parameters: &[&str], bounds: Bounds) -> Kernel {
        let suffix: String = template.iter().flat_map(|argument| ["_".to_string(), argument.replace('-', "m")]).collect();
        let name = format!("{function}{suffix}");
        let declared: Vec<String> = parameters.iter().enumerate().map(|(index, kind)| format!("{kind} a{index}")).collect();
        let handed: Vec<String> = (0..parameters.len()).map(|index| format!("a{index}")).collect();
        let arguments = if template.is_empty() { String::new() } else { format!("<{}>", template.join(", ")) };
        let code = format!(
            "extern \"C\" __global__ void __launch_bounds__({bounds}) {name}({}) {{\n    sward_{function}{arguments}({});\n}}\nSWARD_ENTRY({name})\n",
            declared.join(", "),
            handed.join(", ")
        );
        Kernel { family, function: function.to_string(), name, code }
    }

    /// A generated kernel: `NAME` in the text becomes its prefix and the text's hash.
    pub fn generated(family: Family, prefix: &str, text: &str) -> Kernel {
        let name = format!("{prefix}_{}", &blake3::hash(text.as_bytes()).to_hex()[..16]);
        Kernel { family, function: prefix.to_string(), code: text.replace("NAME", &name), name }
    }
}

/// The whole text for some kernels of one family.
pub fn assemble(family: Family, kernels: &[&Kernel]) -> String {
    let mut text = family.texts().concat();
    for kernel in kernels {
        text += &kernel.code;
    }
    text
}

/// The C++ type of a dtype's elements.
pub fn c_type(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "float",
        DType::BF16 => "bf16",
        DType::I64 => "i64",
        DType::Bool => "u8",
    }
}

/// An unsigned type of a dtype's size, for kernels that only move elements.
pub fn c_bits(dtype: DType) -> &'static str {
    match dtype.bytes() {
        1 => "u8",
        2 => "u16",
        4 => "u32",
        _ => "u64",
    }
}
