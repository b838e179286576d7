//! Where the operands of a product come from: a strided matrix, or the patches of an image read in place.

use half::bf16;

use crate::cpu::simd::{Element, Kernel, Simd, convert, dispatch};

/// The address of f32 or bf16 elements.
#[derive(Clone, Copy, Debug)]
pub enum Data {
    /// f32 elements.
    F32(*const f32),
    /// bf16 elements.
    Bf16(*const bf16),
}

// SAFETY: only read, by kernels whose callers promise that the memory stays.
unsafe impl Send for Data {}
// SAFETY: as above.
unsafe impl Sync for Data {}

impl Data {
    /// The address `n` elements on.
    ///
    /// # Safety
    /// The address must lie within the same tensor.
    #[inline(always)]
    pub unsafe fn offset(self, n: usize) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                Data::F32(p) => Data::F32(p.add(n)),
                Data::Bf16(p) => Data::Bf16(p.add(n)),
            }
        }
    }

    /// Whether elements are bf16.
    pub fn is_bf16(self) -> bool {
        matches!(self, Data::Bf16(_))
    }
}

/// The geometry of a channels-last image whose patches are rows of a matrix: one row a pixel of the output, columns in the order kernel row,
/// kernel column, channel.
#[derive(Clone, Copy, Debug)]
pub struct Patches {
    /// The image, `[batch, height, width, all_channels]`.
    pub data: Data,
    /// Input sizes.
    pub size: (usize, usize),
    /// Channels of the image.
    pub all_channels: usize,
    /// Channels of a patch, and the first of them.
    pub channels: usize,
    /// The first channel of a patch.
    pub first_channel: usize,
    /// Output sizes.
    pub output: (usize, usize),
    /// Kernel sizes.
    pub kernel: (usize, usize),
    /// Strides.
    pub stride: (usize, usize),
    /// Padding before the first row and column; negative to leave some out.
    pub padding: (isize, isize),
    /// Dilation.
    pub dilation: (usize, usize),
}

/// An operand of a product, seen as elements `(i, k)`, where `i` counts rows of the result for the left operand and columns for the right,
/// and `k` is summed over.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// `(i, k)` lies at `i * i_stride + k * k_stride`.
    Matrix {
        /// The first element.
        data: Data,
        /// Elements from one `i` to the next.
        i_stride: usize,
        /// Elements from one `k` to the next.
        k_stride: usize,
    },
    /// `i` is the pixel, `k` the element of its patch.
    Patches(Patches),
    /// `i` is the element of a patch, `k` the pixel.
    PatchColumns(Patches),
}

/// A block of elements `(i, k)` in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<U> {
    pub data: *const U,
    pub i_stride: usize,
    pub k_stride: usize,
}

impl Source {
    /// Whether all elements are bf16.
    pub fn is_bf16(&self) -> bool {
        match self {
            Source::Matrix { data, .. } => data.is_bf16(),
            Source::Patches(patches) | Source::PatchColumns(patches) => patches.data.is_bf16(),
        }
    }

    /// Elements of scratch that [`Source::block`] may need for a block.
    pub(super) fn scratch(ni: usize, nk: usize) -> usize {
        ni * nk
    }

    /// The block of `ni` by `nk` elements from `(i0, k0)`, in place where it lies in memory as `U`, else copied into `scratch`. Either stride
    /// of the result is 1.
    ///
    /// # Safety
    /// The block lies within the source; `scratch` holds [`Source::scratch`] elements.
    #[inline(always)]
    pub(super) unsafe fn block<S: Simd, U: Element>(
        &self,
        _: S,
        (i0, ni): (usize, usize),
        (k0, nk): (usize, usize),
        scratch: *mut U,
    ) -> Block<U> {
        // SAFETY: offsets stay within the block that the caller promises.
        unsafe {
            match *self {
                Source::Matrix { data, i_stride, k_stride } => {
                    let data = data.offset(i0 * i_stride + k0 * k_stride);
                    let k_first = k_stride == 1 || i_stride != 1;
                    if i_stride == 1 || k_stride == 1 {
                        let in_place = match data {
                            Data::F32(p) if is::<U, f32>() => Some(p.cast::<U>()),
                            Data::Bf16(p) if is::<U, bf16>() => Some(p.cast::<U>()),
                            _ => None,
                        };
                        if let Some(data) = in_place {
                            return Block { data, i_stride, k_stride };
                        }
                    }
                    dispatch(S::LEVEL, Fetch { source: self, i: (i0, ni), k: (k0, nk), to: scratch });
                    if k_first {
                        Block { data: scratch, i_stride: nk, k_stride: 1 }
                    } else {
                        Block { data: scratch, i_stride: 1, k_stride: ni }
                    }
                }
                Source::Patches(_) => {
                    dispatch(S::LEVEL, Fetch { source: self, i: (i0, ni), k: (k0, nk), to: scratch });
                    Block { data: scratch, i_stride: nk, k_stride: 1 }
                }
                Source::PatchColumns(_) => {
                    dispatch(S::LEVEL, Fetch { source: self, i: (i0, ni), k: (k0, nk), to: scratch });
                    Block { data: scratch, i_stride: 1, k_stride: ni }
                }
            }
        }
    }
}

/// Copies a block densely, in the order it lies in the source.
struct Fetch<'a, U> {
    source: &'a Source,
    i: (usize, usize),
    k: (usize, usize),
    to: *mut U,
}

impl<U: Element> Kernel for Fetch<'_, U> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Fetch { source, i: (i0, ni), k: (k0, nk), to } = self;
        // SAFETY: `Source::block`'s caller promises the block and the scratch.
        unsafe {
            match *source {
                Source::Matrix { data, i_stride, k_stride } => {
                    let data = data.offset(i0 * i_stride + k0 * k_stride);
                    let k_first = k_stride == 1 || i_stride != 1;
                    let (outer, inner) =
                        if k_first { ((ni, i_stride), (nk, k_stride)) } else { ((nk, k_stride), (ni, i_stride)) };
                    match data {
                        Data::F32(p) => copy_matrix(s, p, outer, inner, to),
                        Data::Bf16(p) => copy_matrix(s, p, outer, inner, to),
                    }
                }
                Source::Patches(patches) => match patches.data {
                    Data::F32(p) => patches.copy(s, p, (i0, ni), (k0, nk), to),
                    Data::Bf16(p) => patches.copy(s, p, (i0, ni), (k0, nk), to),
                },
                Source::PatchColumns(patches) => match patches.data {
                    Data::F32(p) => patches.copy(s, p, (k0, nk), (i0, ni), to),
                    Data::Bf16(p) => patches.copy(s, p, (k0, nk), (i0, ni), to),
                },
            }
        }
    }
}

#[inline(always)]
fn is<A: 'static, B: 'static>() -> bool {
    std::any::TypeId::of::<A>() == std::any::TypeId::of::<B>()
}

/// Copies a strided matrix to a dense one.
#[inline(always)]
unsafe fn copy_matrix<S: Simd, T: Element, U: Element>(
    s: S,
    from: *const T,
    (outer, outer_stride): (usize, usize),
    (inner, inner_stride): (usize, usize),
    to: *mut U,
) {
    // SAFETY: the caller promises the elements on both sides.
    unsafe {
        for o in 0..outer {
            let (from, to) = (from.add(o * outer_stride), to.add(o * inner));
            if inner_stride == 1 {
                convert(s, from, to, inner);
            } else {
                for i in 0..inner {
                    *to.add(i) = U::from_f32((*from.add(i * inner_stride)).to_f32());
                }
            }
        }
    }
}

impl Patches {
    /// Copies elements `elements` of the patches of `pixels`, dense, one pixel a row.
    #[inline(always)]
    unsafe fn copy<S: Simd, T: Element, U: Element>(
        &self,
        s: S,
        image: *const T,
        (first_pixel, pixels): (usize, usize),
        (first_element, elements): (usize, usize),
        to: *mut U,
    ) {
        let (height, width) = self.size;
        let (rows, columns) = self.output;
        let run = self.kernel.1 * self.channels;
        // A kernel row that lies within the image is one run of memory.
        let whole_rows = self.channels == self.all_channels && self.dilation.1 == 1;
        for pixel in 0..pixels {
            let p = first_pixel + pixel;
            let (batch, row, column) = (p / (rows * columns), p / columns % rows, p % columns);
            let x0 = (column * self.stride.1) as isize - self.padding.1;
            let inside = whole_rows && x0 >= 0 && x0 as usize + self.kernel.1 <= width;
            let mut element = first_element;
            let end = first_element + elements;
            while element < end {
                let (kernel_row, rest) = (element / run, element % run);
                let (kernel_column, channel) = (rest / self.channels, rest % self.channels);
                let n = if inside { run - rest } else { self.channels - channel }.min(end - element);
                let y = (row * self.stride.0 + kernel_row * self.dilation.0) as isize - self.padding.0;
                let x = x0 + (kernel_column * self.dilation.1) as isize;
                // SAFETY: a tap within the image reads within the image; the copy stays within the row of the scratch.
                unsafe {
                    let to = to.add(pixel * elements + element - first_element);
                    if y >= 0 && (y as usize) < height && x >= 0 && (x as usize) < width {
                        let at = ((batch * height + y as usize) * width + x as usize) * self.all_channels
                            + self.first_channel
                            + channel;
                        convert(s, image.add(at), to, n);
                    } else {
                        for i in 0..n {
                            *to.add(i) = U::default();
                        }
                    }
                }
                element += n;
            }
        }
    }
}
