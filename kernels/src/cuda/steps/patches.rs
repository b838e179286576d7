//! Convolutions whose positions share no element of the image (1 x 1, or a kernel as large as its stride): products of the library.
//!
//! Rows `[images * result height * result width, kernel height * kernel width * channels]` times the weight, which lies as it is needed. The rows
//! of a 1 x 1 kernel are the image; others are copied from or to a workspace of the image's size.

use sward_ops::primitives::ConvolutionGeometry;

use super::convolution::{Sizes, factor};
use super::epilogue::Epilogue;
use super::matmul::{Factor, library_product};
use super::movement::StridedCopy;
use super::{Binder, Operand};
use crate::cuda::device::Address;

/// A convolution that is a product.
pub(super) struct Patches<'a> {
    sizes: &'a Sizes,
    /// Whether the image is its rows.
    is_image: bool,
    rows: usize,
    depth: usize,
    results: usize,
}

impl<'a> Patches<'a> {
    /// `None` where positions overlap, leave something out, or see zeros around the image.
    pub(super) fn of(sizes: &'a Sizes) -> Option<Patches<'a>> {
        let ConvolutionGeometry { stride, padding, dilation, groups } = sizes.geometry;
        let [_, height, width, channels] = sizes.image;
        let is_dense = dilation == (1, 1) || sizes.kernel == (1, 1);
        let divides = height.is_multiple_of(sizes.kernel.0) && width.is_multiple_of(sizes.kernel.1);
        (stride == sizes.kernel && padding == ((0, 0), (0, 0)) && is_dense && groups == 1 && divides).then(|| Patches {
            sizes,
            is_image: sizes.kernel == (1, 1),
            rows: sizes.pixels().1,
            depth: sizes.taps() * channels,
            results: sizes.result[3],
        })
    }

    /// Room for the rows of an image.
    fn room(&self, image: &Operand, binder: &mut Binder<'_>) -> Address {
        if self.is_image { image.address } else { binder.workspace(image.bytes()) }
    }

    /// Copies between the image and its rows.
    fn copy(&self, image: &Operand, rows: Address, to_rows: bool, binder: &mut Binder<'_>) -> Result<(), String> {
        if self.is_image {
            return Ok(());
        }
        let ([images, _, width, channels], [_, out_height, out_width, _]) = (self.sizes.image, self.sizes.result);
        let (height, run) = (self.sizes.kernel.0, self.sizes.kernel.1 * channels);
        let signed = |strides: [usize; 4]| strides.map(|stride| stride as i64).to_vec();
        let in_image = signed([height * width * channels, run, width * channels, 1]);
        let in_rows = signed([out_width * height * run, height * run, run, 1]);
        let (from, to, source, target) = match to_rows {
            true => (in_image, in_rows, image.address, rows),
            false => (in_rows, in_image, rows, image.address),
        };
        let sizes = vec![images * out_height, out_width, height, run];
        StridedCopy { dtype: image.dtype(), sizes, from, to, source, target }.launch(binder)
    }

    /// The rows as a factor; at address 0 to ask whether the library takes them.
    fn factor(image: &Operand, address: Address) -> Factor {
        Factor { address, ..factor(image, false) }
    }

    /// `out = rows weightᵀ` and the epilogue: whether there was one. `None` where the library does not take it.
    ///
    /// # Errors
    /// None: a copy along four axes is always possible.
    pub(super) fn forward(
        &self,
        [x, weight]: [&Operand; 2],
        epilogue: Option<Epilogue<'_>>,
        out: &Operand,
        binder: &mut Binder<'_>,
    ) -> Result<Option<bool>, String> {
        let shape = [self.rows, self.depth, self.results];
        let product = |rows| library_product(Self::factor(x, rows), factor(weight, true), (out.address, out.dtype()), shape, 1);
        if product(0).is_none() {
            return Ok(None);
        }
        let rows = self.room(x, binder);
        self.copy(x, rows, true, binder)?;
        binder.label("cublasLt");
        let product = product(rows).map(|product| match epilogue {
            Some(epilogue) => epilogue.join(product, out.dtype(), binder),
            None => product,
        });
        product.into_iter().for_each(|product| binder.product(product));
        Ok(Some(epilogue.is_some()))
    }

    /// `rows of dx = dy weight`; whether the library takes it.
    ///
    /// # Errors
    /// None: a copy along four axes is always possible.
    pub(super) fn input_gradient(
        &self,
        [dy, weight]: [&Operand; 2],
        dx: &Operand,
        binder: &mut Binder<'_>,
    ) -> Result<bool, String> {
        let shape = [self.rows, self.results, self.depth];
        let product = |rows| library_product(factor(dy, false), factor(weight, false), (rows, dx.dtype()), shape, 1);
        if product(0).is_none() {
            return Ok(false);
        }
        let rows = self.room(dx, binder);
        product(rows).into_iter().for_each(|product| binder.product(product));
        self.copy(dx, rows, false, binder)?;
        binder.label("cublasLt");
        Ok(true)
    }

    /// `dweight = dyᵀ rows`; whether the library takes it.
    ///
    /// # Errors
    /// None: a copy along four axes is always possible.
    pub(super) fn weight_gradient(
        &self,
        [x, dy]: [&Operand; 2],
        dweight: &Operand,
        binder: &mut Binder<'_>,
    ) -> Result<bool, String> {
        let shape = [self.results, self.rows, self.depth];
        let product =
            |rows| library_product(factor(dy, true), Self::factor(x, rows), (dweight.address, dweight.dtype()), shape, 1);
        if product(0).is_none() {
            return Ok(false);
        }
        let rows = self.room(x, binder);
        self.copy(x, rows, true, binder)?;
        binder.label("cublasLt");
        product(rows).into_iter().for_each(|product| binder.product(product));
        Ok(true)
    }
}
