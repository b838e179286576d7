//! What the poolings share: PyTorch's output sizes and windows along one axis.

/// A pooling along one axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolAxis {
    /// Elements in a window.
    pub kernel: usize,
    /// The distance between two windows.
    pub stride: usize,
    /// Padding on either side; at most half of the window's extent.
    pub padding: usize,
    /// The distance between two elements of a window.
    pub dilation: usize,
    /// Whether a last window that does not fit whole is kept (where it starts inside the input or the low padding).
    pub ceil_mode: bool,
}

impl PoolAxis {
    /// The number of windows over `size` elements.
    ///
    /// # Errors
    /// Where the padding is more than half of the window, or no window fits.
    pub fn output_size(&self, size: usize) -> Result<usize, String> {
        if self.kernel == 0 || self.stride == 0 || self.dilation == 0 {
            return Err("kernel, stride and dilation are at least 1".to_string());
        }
        let extent = self.dilation * (self.kernel - 1) + 1;
        if self.padding > extent / 2 {
            return Err(format!("padding {} is more than half of the window's extent {extent}", self.padding));
        }
        if size == 0 {
            return Err("pooling over an image without pixels".to_string());
        }
        let padded = size + 2 * self.padding;
        // In ceil mode a single window may reach over the far edge even where it does not fit whole.
        let slack = if self.ceil_mode { self.stride - 1 } else { 0 };
        let Some(rest) = (padded + slack).checked_sub(extent) else {
            return Err(format!("a window that covers {extent} does not fit the padded size {padded}"));
        };
        let mut count = rest / self.stride + 1;
        if self.ceil_mode && (count - 1) * self.stride >= size + self.padding {
            count -= 1;
        }
        Ok(count)
    }

    /// The input's positions in window `index`, padding left out, in rising order.
    pub fn window(&self, index: usize, size: usize) -> impl Iterator<Item = usize> + use<> {
        let PoolAxis { kernel, stride, padding, dilation, .. } = *self;
        (0..kernel)
            .filter_map(move |tap| (index * stride + tap * dilation).checked_sub(padding))
            .filter(move |position| *position < size)
    }

    /// How many positions of window `index` lie in the input or its padding (undilated windows; a window that `ceil_mode` keeps may reach
    /// past the padding).
    pub fn padded_length(&self, index: usize, size: usize) -> usize {
        let start = index * self.stride;
        (start + self.kernel).min(size + 2 * self.padding) - start
    }
}
