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

/// The instructions a plan may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Features {
    level: Level,
    amx: bool,
}

impl Features {
    /// What this machine has. AMX counts only when the kernel grants its tile state to the process.
    pub fn detect() -> Self {
        static FOUND: OnceLock<Features> = OnceLock::new();
        *FOUND.get_or_init(|| Features { level: detect_level(), amx: super::amx::request() })
    }

    /// What this machine has, but no more than `level`; AMX counts as part of [`Level::Avx512`].
    pub fn limited_to(level: Level) -> Self {
        let found = Self::detect();
        Features { level: found.level.min(level), amx: found.amx && level >= Level::Avx512 }
    }

    /// The same without AMX: bf16 products are then emulated in f32.
    pub fn without_amx(self) -> Self {
        Features { amx: false, ..self }
    }

    /// Each distinct set of features the machine can run, lowest first: what a test goes through.
    pub fn available() -> Vec<Self> {
        let mut all = Vec::new();
        for level in [Level::Portable, Level::Avx2, Level::Avx512] {
            for features in [Self::limited_to(level).without_amx(), Self::limited_to(level)] {
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

    /// Whether bf16 products run on AMX tiles.
    pub fn amx(self) -> bool {
        self.amx
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
