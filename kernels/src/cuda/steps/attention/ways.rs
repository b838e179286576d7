//! Which kernel computes an attention: its template, bounds, splits and shared memory.

use sward_core::program::DType;
use sward_ops::primitives::{self as op, AttentionMask, AttentionSizes};

use super::super::product::MOST_BLOCKS;
use super::super::{Binder, Operand};
use crate::cuda::device::Address;
use crate::cuda::source::{Bounds, Family, Kernel};

/// Blocks that fill a large GPU twice; with fewer, keys are split.
const WANTED_BLOCKS: usize = 528;
/// Blocks of the kernel for few queries: four warps, eight of them on a multiprocessor.
const FEW_BOUNDS: Bounds = Bounds { threads: 128, blocks: Some(8) };
/// As many of them as the 132 multiprocessors of a large GPU hold at once, since they all take as long.
const WANTED_SMALL_BLOCKS: usize = 132 * 8;
/// Queries that are few: each reads keys and values for itself, all but the first from the cache.
const FEW: usize = 4;
/// Keys from which on two warpgroups share the reading of a narrow forward pass.
pub(in crate::cuda) const LONG: usize = 1024;
/// What reports call the kernels by warpgroup products.
pub(in crate::cuda) const BY_WARPGROUPS: &str = "attention by warpgroups";
/// Rows of a warpgroup; so few queries are left to the smaller tiles of the other kernels.
pub(super) const ROWS: usize = 64;

/// One attention: sizes, mask, how it runs.
pub(super) struct Bound<'a> {
    pub op: &'a op::Attention,
    pub sizes: AttentionSizes,
    pub mask: Option<&'a Operand>,
    pub way: Way,
}

/// What computes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// Tensor cores, at widths filled up to these.
    Cores { width: usize, value_width: usize, wide: bool },
    /// Hopper's warpgroup products, at widths as they are.
    Warpgroups { groups: usize, width: usize, value_width: usize },
    /// Few queries, whose keys and values are read once: the forward pass alone.
    Few { width: usize },
    /// f32 arithmetic on tiles of so many queries and keys.
    Plain { tile: usize },
}

/// Bytes of shared memory of the kernels on tensor cores, the largest of the three.
fn cores_shared(width: usize, value_width: usize) -> usize {
    let (wide, value_wide) = (width + 8, value_width + 8);
    let forward = 64 * wide + 2 * 64 * (wide + value_wide);
    let backward = (64 + 2 * 32) * (wide + value_wide) + 256;
    2 * forward.max(backward)
}

/// The same of the kernels by warpgroup products, which align their tiles to 1,024 bytes themselves: each warpgroup's own rows, and stages of the
/// others, in gradients with two floats for each row.
fn warpgroups_shared(groups: usize, own: usize, other: usize, part: Part) -> usize {
    let stages = groups + 2;
    let terms = if part == Part::Forward { 0 } else { 2 * 4 };
    1024 + ROWS * (2 * groups * own + stages * (2 * other + terms))
}

/// Warpgroups of a block: two read the other tokens once for both, one leaves room for further blocks, whose loads and softmax run beside its
/// products.
fn warpgroups_of_a_block(sizes: &AttentionSizes, is_gradient: bool) -> usize {
    let is_narrow = sizes.width == 64 && sizes.value_width == 64;
    match (is_gradient, is_narrow) {
        (false, true) if sizes.keys > LONG => 2,
        (true, false) => 2,
        _ => 1,
    }
}

/// The same of the kernels in f32 arithmetic, by tile.
fn plain_shared(tile: usize, width: usize, value_width: usize) -> usize {
    4 * (3 * tile * (width + 1) + 3 * tile * (value_width + 1) + 2 * tile * (tile + 1))
}

impl<'a> Bound<'a> {
    pub(super) fn new(
        op: &'a op::Attention,
        [q, k, v]: [&Operand; 3],
        mask: Option<&'a Operand>,
        gradient: Option<[&Operand; 2]>,
        mask_gradient: bool,
        binder: &Binder<'_>,
    ) -> Result<Bound<'a>, String> {
        let sizes = AttentionSizes::of(q.shape(), k.shape(), v.shape())?;
        if sizes.batch * sizes.heads > MOST_BLOCKS {
            return Err(format!("{} heads of all samples; 65,535 at most", sizes.batch * sizes.heads));
        }
        let (width, value_width) = (sizes.width.next_multiple_of(16).max(16), sizes.value_width.next_multiple_of(16).max(16));
        let limit = binder.limits.shared_memory;
        let is_half = q.dtype() == DType::BF16 && gradient.iter().flatten().all(|operand| operand.dtype() == DType::BF16);
        // The largest score is taken for the largest product's.
        let is_rising = op.scale > 0.0;
        let fits_warpgroups = [sizes.width, sizes.value_width].iter().all(|width| [64, 128].contains(width));
        let fits_few = sizes.queries <= FEW && sizes.width == sizes.value_width && [32, 64, 128].contains(&sizes.width);
        let way = if gradient.is_none() && fits_few {
            Way::Few { width }
        } else if binder.limits.warpgroups && is_half && is_rising && fits_warpgroups && sizes.queries > ROWS && !mask_gradient {
            let groups = warpgroups_of_a_block(&sizes, gradient.is_some());
            Way::Warpgroups { groups, width, value_width }
        } else if is_half && is_rising && width <= 128 && value_width <= 128 && cores_shared(width, value_width) <= limit {
            let wide = sizes.width.is_multiple_of(8) && sizes.value_width.is_multiple_of(8);
            Way::Cores { width, value_width, wide }
        } else {
            let fits = |tile: &usize| plain_shared(*tile, sizes.width, sizes.value_width) <= limit;
            let tile = [32, 16].into_iter().find(fits).ok_or_else(|| {
                format!("heads of width {} and {} do not fit shared memory of {limit} bytes", sizes.width, sizes.value_width)
            })?;
            Way::Plain { tile }
        };
        Ok(Bound { op, sizes, mask, way })
    }

    /// Splits of the keys, and the keys of each.
    pub(super) fn splits(&self) -> (usize, usize) {
        let AttentionSizes { batch, heads, queries, keys, .. } = self.sizes;
        let (rows, step, wanted) = match self.way {
            Way::Plain { tile } => (tile, tile, WANTED_BLOCKS),
            Way::Cores { .. } => (64, 64, WANTED_BLOCKS),
            Way::Warpgroups { groups, .. } => (groups * ROWS, ROWS, WANTED_BLOCKS),
            Way::Few { .. } => (1, 64, WANTED_SMALL_BLOCKS),
        };
        let blocks = (batch * heads * queries.div_ceil(rows)).max(1);
        let most = (keys / 64).clamp(1, 64);
        let splits = (wanted / blocks).clamp(1, most);
        let each = keys.div_ceil(splits).next_multiple_of(step).max(step);
        (keys.div_ceil(each).max(1), each)
    }

    /// Words of an `AttentionShape`.
    pub(super) fn words(&self, splits: usize, split_keys: usize) -> Vec<i32> {
        let AttentionSizes { batch, queries, keys, heads, width, value_width } = self.sizes;
        let strides = self.mask.map_or([0; 3], |mask| {
            let own = mask.four();
            [0, 1, 2].map(|axis| if own[axis] == 1 { 0 } else { own[axis + 1..].iter().product::<usize>() })
        });
        let mut words: Vec<i32> = strides.iter().flat_map(|stride| [*stride as u32 as i32, (*stride >> 32) as i32]).collect();
        words.extend([batch, heads, queries, keys, width, value_width, usize::from(self.op.causal)].map(|size| size as i32));
        words.push((self.op.scale as f32).to_bits() as i32);
        words.extend([split_keys as i32, splits as i32]);
        words
    }

    /// What reports call its kernel.
    pub(super) fn label(&self) -> &'static str {
        match self.way {
            Way::Cores { .. } => "attention on tensor cores",
            Way::Warpgroups { .. } => BY_WARPGROUPS,
            Way::Few { .. } => "attention of few queries",
            Way::Plain { .. } => "attention",
        }
    }

    fn mask_name(&self) -> &'static str {
        match self.op.mask {
            AttentionMask::None => "MASK_NONE",
            AttentionMask::Additive => "MASK_ADDITIVE",
            AttentionMask::Boolean => "MASK_BOOLEAN",
        }
    }

    pub(super) fn mask_type(&self) -> &'static str {
        self.mask.map_or("float", Operand::c_type)
    }

    pub(super) fn mask_address(&self) -> Address {
        self.mask.map_or(0, |mask| mask.address)
    }

    /// The template's arguments: how it runs, the mask, and types.
    fn template(&self, types: &[&str]) -> Vec<String> {
        let mut template = match self.way {
            Way::Cores { width, value_width, wide } => vec![width.to_string(), value_width.to_string(), wide.to_string()],
            Way::Warpgroups { groups, width, value_width } => [groups, width, value_width].map(|size| size.to_string()).to_vec(),
            Way::Plain { tile } => vec![tile.to_string()],
            Way::Few { width } => vec![width.to_string()],
        };
        template.push(self.mask_name().to_string());
        if let Way::Plain { .. } | Way::Few { .. } = self.way {
            template.extend(types.iter().map(|name| (*name).to_string()));
        }
        template.push(self.mask_type().to_string());
        template
    }

    /// Bounds, rows of a block's tile, shared memory.
    pub(super) fn block(&self, part: Part) -> (Bounds, usize, usize) {
        let bounds = |threads| Bounds { threads, blocks: None };
        match self.way {
            Way::Cores { width, value_width, .. } => (bounds(128), 64, cores_shared(width, value_width)),
            Way::Warpgroups { groups, width, value_width } => {
                let own = if part == Part::Forward { width } else { width + value_width };
                // The softmax of one warpgroup runs beside the products of others: of as many as registers and shared memory suffice for.
                let is_narrow = part != Part::KeysGradient && width == 64 && value_width == 64;
                let blocks = match (is_narrow, groups) {
                    (true, 1) => 3,
                    (false, 1) => 2,
                    (true, _) if part == Part::Forward => 2,
                    (..) => 1,
                };
                let bounds = Bounds { threads: 128 * groups as u32, blocks: Some(blocks) };
                (bounds, groups * ROWS, warpgroups_shared(groups, own, width + value_width, part))
            }
            Way::Plain { tile } => (bounds(256), tile, plain_shared(tile, self.sizes.width, self.sizes.value_width)),
            Way::Few { .. } => (FEW_BOUNDS, 1, 0),
        }
    }

    /// The kernel of this way.
    pub(super) fn kernel(&self, part: Part, types: &[&str], parameters: &[&str]) -> Kernel {
        let (family, kind) = match self.way {
            Way::Cores { .. } => (Family::AttentionCores, "_cores"),
            Way::Warpgroups { .. } => (Family::AttentionWarpgroups, "_warpgroups"),
            Way::Plain { .. } => (Family::Attention, ""),
            Way::Few { .. } => (Family::AttentionCores, "_few"),
        };
        let function = match part {
            Part::Forward => format!("attention{kind}"),
            Part::KeysGradient => format!("attention{kind}_keys_gradient"),
            Part::QueriesGradient => format!("attention{kind}_queries_gradient"),
        };
        Kernel::bounded_instance(family, &function, &self.template(types), parameters, self.block(part).0)
    }
}

/// What a kernel computes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Forward,
    KeysGradient,
    QueriesGradient,
}
