//! Adds the columns of patches back to where they were read: the second half of a convolution's gradient in its image.

use super::matmul::{DataMut, Patches};
use super::rows::{load, room, save, write};
use crate::cpu::features::Level;
use crate::cpu::simd::{Kernel, LANES, Simd, dispatch};
use crate::cpu::threads::{Scratch, Shared, parallel};

/// `dx[n, y, x, first_channel ..] = sum of the columns that read it`, for `images` images from `first_image` on; `columns` holds one row of
/// kernel row, kernel column, channel for every result pixel. Each pixel adds its taps in one order.
///
/// # Safety
/// `columns` and `dx` have the sizes of the patches' geometry (whose data is not read).
pub unsafe fn fold(level: Level, patches: &Patches, columns: *const f32, first_image: usize, images: usize, dx: DataMut) {
    let columns = Shared::from_pointer(columns.cast_mut());
    parallel(images * patches.size.0, |part| {
        let (image, row) = (part / patches.size.0, part % patches.size.0);
        dispatch(level, Row { patches, columns, image, row, first_image, dx });
    });
}

struct Row<'a> {
    patches: &'a Patches,
    columns: Shared<f32>,
    image: usize,
    row: usize,
    first_image: usize,
    dx: DataMut,
}

impl Kernel for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Row { patches, columns, image, row, first_image, dx } = self;
        let (height, width) = patches.size;
        let (out_height, out_width) = patches.output;
        let channels = patches.channels;
        let patch = patches.kernel.0 * patches.kernel.1 * channels;
        let mut scratch = Scratch::words(channels);
        // SAFETY: positions are checked against the geometry.
        unsafe {
            for x in 0..width {
                let at = (((first_image + image) * height + row) * width + x) * patches.all_channels + patches.first_channel;
                let out = room(dx, at, scratch.pointer());
                for i in (0..channels).step_by(LANES) {
                    save(s, out.add(i), LANES.min(channels - i), s.zero());
                }
                for tap_row in 0..patches.kernel.0 {
                    let Some(y_out) =
                        result_of(row, tap_row, patches.stride.0, patches.padding.0, patches.dilation.0, out_height)
                    else {
                        continue;
                    };
                    for tap in 0..patches.kernel.1 {
                        let Some(x_out) = result_of(x, tap, patches.stride.1, patches.padding.1, patches.dilation.1, out_width)
                        else {
                            continue;
                        };
                        let pixel = (image * out_height + y_out) * out_width + x_out;
                        let from = columns.pointer().add(pixel * patch + (tap_row * patches.kernel.1 + tap) * channels);
                        for i in (0..channels).step_by(LANES) {
                            let lanes = LANES.min(channels - i);
                            save(s, out.add(i), lanes, s.add(load(s, out.add(i), lanes), load(s, from.add(i), lanes)));
                        }
                    }
                }
                write(s, dx, at, channels, out);
            }
        }
    }
}

/// The result that reads `position` through `tap`.
#[inline(always)]
fn result_of(position: usize, tap: usize, stride: usize, padding: isize, dilation: usize, results: usize) -> Option<usize> {
    let at = position as isize + padding - (tap * dilation) as isize;
    (at >= 0 && (at as usize).is_multiple_of(stride) && at as usize / stride < results).then(|| at as usize / stride)
}
