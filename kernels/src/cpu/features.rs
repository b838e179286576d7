//! Which instructions the machine has, found once at run time.
//!
//! Every kernel is written once, generic over [`Simd`](super::simd::Simd), and compiled for each [`Level`]. A level above what the machine
//! has cannot be had: [`Features::limited_to`] gives the lower of the two, so a test may ask for every level and run what there is.

use std::sync::OnceLock;

/// The vector instructions a kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Plain Rust, whatever the target's baseline is.
    Portable,
    /// AVX2, FMA and F16C (x86-64-v3).
    Avx2,
    /// AVX-512 F, BW, DQ, VL (x86-64-v4).
    Avx512,
}

/// How products of bf16 matrices are computed; all sum in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bf16Products {
    /// Operands are converted to f32 while they are packed.
    Converted,
    /// AVX-512 BF16: sixteen dot products of two pairs in one instruction.
    Dot,
    /// AMX: products of 16 x 16 tiles.
    Tiles,
}

/// The instructions a plan may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Features {
    level: Level,
    bf16_products: Bf16Products,
}

impl Features {
    /// What this machine has. AMX counts only when the kernel grants its tile state to the process.
    pub fn detect() -> Self {
        static FOUND: OnceLock<Features> = OnceLock::new();
        *FOUND.get_or_init(|| {
            let level = detect_level();
            let bf16_products = match level {
                Level::Avx512 if super::amx::request() => Bf16Products::Tiles,
                Level::Avx512 if has_dot() => Bf16Products::Dot,
                _ => Bf16Products::Converted,
            };
            Features { level, bf16_products }
        })
    }

    /// What this machine has, but no more than `level`; products of bf16 count as part of [`Level::Avx512`].
    pub fn limited_to(level: Level) -> Self {
        let found = Self::detect();
        let bf16_products = if level >= Level::Avx512 { found.bf16_products } else { Bf16Products::Converted };
        Features { level: found.level.min(level), bf16_products }
    }

    /// The same with products of bf16 computed by `wanted`, if the machine has it at this level; else as before.
    pub fn with_bf16_products(self, wanted: Bf16Products) -> Self {
        let has = match wanted {
            Bf16Products::Converted => true,
            Bf16Products::Dot => self.level == Level::Avx512 && has_dot(),
            Bf16Products::Tiles => self.bf16_products == Bf16Products::Tiles,
        };
        Features { bf16_products: if has { wanted } else { self.bf16_products }, ..self }
    }

    /// Each distinct set of features the machine can run, lowest first: what a test goes through.
    pub fn available() -> Vec<Self> {
        let mut all = Vec::new();
        for level in [Level::Portable, Level::Avx2, Level::Avx512] {
            for products in [Bf16Products::Converted, Bf16Products::Dot, Bf16Products::Tiles] {
                let features = Self::limited_to(level).with_bf16_products(products);
                if !all.contains(&features) {
                    all.push(features);
                }
            }
        }
        all
    }

    /// The vector level.
    pub fn level(self) -> Level {
        self.level
    }

    /// How products of bf16 are computed.
    pub fn bf16_products(self) -> Bf16Products {
        self.bf16_products
    }
}

#[cfg(target_arch = "x86_64")]
fn detect_level() -> Level {
    let v3 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
    let v4 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    match (v3, v4) {
        (true, true) => Level::Avx512,
        (true, false) => Level::Avx2,
        _ => Level::Portable,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect_level() -> Level {
    Level::Portable
}

#[cfg(target_arch = "x86_64")]
pub(super) fn has_dot() -> bool {
    is_x86_feature_detected!("avx512bf16")
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn has_dot() -> bool {
    false
}
