//! A decoder for the JPEG files that cameras write: baseline, Huffman-coded, 8 bits, grey or YCbCr in one scan.
//!
//! At full size its pixels equal those of libjpeg-turbo's default settings (the `islow` transform, "fancy" upsampling), which is what
//! Pillow shows. At half, quarter or eighth size each pixel is the mean of a square of pixels, taken before the colour conversion and
//! straight from the coefficients: the inverse transform, the upsampling and most of the memory traffic of a photograph are saved.
//! Other kinds of JPEG (progressive, CMYK, other subsampling) are left to `zune-jpeg`.

mod colour;
mod entropy;
mod inverse;

use super::picture::Picture;
use entropy::{Bits, Huffman, ZIGZAG};
use inverse::Reduction;

/// What is wrong with a JPEG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JpegFault(pub(super) &'static str);

const CUT: JpegFault = JpegFault("it ends before its picture");

/// One colour component of the frame.
#[derive(Clone, Copy)]
struct Component {
    id: u8,
    /// Blocks of a unit, across and down.
    across: usize,
    down: usize,
    quantizer: usize,
    dc: usize,
    ac: usize,
}

/// What the headers of a file say, up to its scan.
struct Frame {
    height: usize,
    width: usize,
    components: Vec<Component>,
    quantizers: [Option<[i32; 64]>; 4],
    dc: [Option<Huffman>; 4],
    ac: [Option<Huffman>; 4],
    /// Units between two restart markers; 0 without.
    restart: usize,
    /// Where the scan's data starts.
    scan: usize,
}

/// A cursor over the bytes of a segment.
struct Segment<'bytes>(&'bytes [u8]);

impl<'bytes> Segment<'bytes> {
    fn take(&mut self, count: usize) -> Result<&'bytes [u8], JpegFault> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(JpegFault("a segment is too short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, JpegFault> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn word(&mut self) -> Result<usize, JpegFault> {
        self.take(2).map(|bytes| usize::from(bytes[0]) << 8 | usize::from(bytes[1]))
    }
}

impl Frame {
    /// Reads the headers; `None` for a kind of JPEG that is not decoded here.
    fn read(bytes: &[u8]) -> Result<Option<Frame>, JpegFault> {
        let mut frame = Frame {
            height: 0,
            width: 0,
            components: Vec::new(),
            quantizers: [None; 4],
            dc: [const { None }; 4],
            ac: [const { None }; 4],
            restart: 0,
            scan: 0,
        };
        let (mut place, mut adobe, mut usual) = (2, None, false);
        loop {
            let marker = match bytes.get(place..place + 2) {
                Some([0xFF, 0xFF]) => {
                    place += 1;
                    continue;
                }
                Some(&[0xFF, marker]) => marker,
                Some(_) => return Err(JpegFault("there is data where a marker should be")),
                None => return Err(CUT),
            };
            let length = Segment(bytes.get(place + 2..).ok_or(CUT)?).word()?;
            let content = length.checked_sub(2).and_then(|_| bytes.get(place + 4..place + 2 + length)).ok_or(CUT)?;
            let mut segment = Segment(content);
            place += 2 + length;
            match marker {
                0xC0 | 0xC1 => usual = frame.start(&mut segment)?,
                // Other frames, arithmetic coding, and a height that follows the scan.
                0xC2 | 0xC3 | 0xC5..=0xC7 | 0xC8..=0xCB | 0xCC..=0xCF | 0xDC => return Ok(None),
                0xC4 => frame.huffman_tables(&mut segment)?,
                0xDB => frame.quantization_tables(&mut segment)?,
                0xDD => frame.restart = segment.word()?,
                0xEE if content.starts_with(b"Adobe") => adobe = content.get(11).copied(),
                0xDA => {
                    frame.scan = place;
                    let ours = usual && frame.start_scan(&mut segment)? && frame.is_decoded_here(adobe);
                    return Ok(ours.then_some(frame));
                }
                0xD9 => return Err(CUT),
                _ => {}
            }
        }
    }

    /// Whether colours and sampling are of the usual kinds.
    fn is_decoded_here(&self, adobe: Option<u8>) -> bool {
        match self.components.as_slice() {
            [_] => true,
            [luma, blue, red] => {
                let sampling = matches!((luma.across, luma.down), (1, 1) | (2, 1) | (2, 2));
                let chroma = [blue, red].into_iter().all(|chroma| (chroma.across, chroma.down) == (1, 1));
                // Components without conversion to YCbCr are named R, G and B, or told so by Adobe's marker.
                sampling && chroma && luma.id != b'R' && adobe.is_none_or(|transform| transform == 1)
            }
            _ => false,
        }
    }

    /// Reads the frame header; false for samples of more than 8 bits and for a height that follows the scan.
    fn start(&mut self, segment: &mut Segment<'_>) -> Result<bool, JpegFault> {
        let precision = segment.byte()?;
        (self.height, self.width) = (segment.word()?, segment.word()?);
        let count = usize::from(segment.byte()?);
        self.components.clear();
        for _ in 0..count {
            let (id, sampling, quantizer) = (segment.byte()?, segment.byte()?, usize::from(segment.byte()?));
            let (across, down) = (usize::from(sampling >> 4), usize::from(sampling & 15));
            if !(1..=4).contains(&across) || !(1..=4).contains(&down) || quantizer > 3 {
                return Err(JpegFault("the frame header is out of range"));
            }
            self.components.push(Component { id, across, down, quantizer, dc: 0, ac: 0 });
        }
        // A component alone is stored block by block, whatever its sampling says.
        if let [component] = self.components.as_mut_slice() {
            (component.across, component.down) = (1, 1);
        }
        Ok(precision == 8 && self.height > 0 && self.width > 0)
    }

    fn huffman_tables(&mut self, segment: &mut Segment<'_>) -> Result<(), JpegFault> {
        while !segment.0.is_empty() {
            let class = segment.byte()?;
            let counts: &[u8; 16] = segment.take(16)?.first_chunk().ok_or(CUT)?;
            let total = counts.iter().map(|&count| usize::from(count)).sum();
            let table = Huffman::new(counts, segment.take(total)?)?;
            let tables = if class >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            let slot = tables.get_mut(usize::from(class & 15)).ok_or(JpegFault("a Huffman table's number is above 3"))?;
            *slot = Some(table);
        }
        Ok(())
    }

    fn quantization_tables(&mut self, segment: &mut Segment<'_>) -> Result<(), JpegFault> {
        while !segment.0.is_empty() {
            let head = segment.byte()?;
            let mut table = [0; 64];
            for value in &mut table {
                *value = if head >> 4 == 0 { i32::from(segment.byte()?) } else { segment.word()? as i32 };
            }
            let slot = self.quantizers.get_mut(usize::from(head & 15));
            *slot.ok_or(JpegFault("a quantization table's number is above 3"))? = Some(table);
        }
        Ok(())
    }

    /// Reads the scan header; false where the scan does not hold the whole picture.
    fn start_scan(&mut self, segment: &mut Segment<'_>) -> Result<bool, JpegFault> {
        let count = usize::from(segment.byte()?);
        if count != self.components.len() || count == 0 {
            return Ok(false);
        }
        for component in &mut self.components {
            let (id, tables) = (segment.byte()?, segment.byte()?);
            if id != component.id {
                return Ok(false);
            }
            (component.dc, component.ac) = (usize::from(tables >> 4), usize::from(tables & 15));
        }
        Ok(segment.take(3)? == [0, 63, 0])
    }
}

/// The pixels of one component, in rows of whole blocks.
struct Plane {
    stride: usize,
    data: Vec<u8>,
}

/// Decodes to 1/`reduction` of the size, rounded up; `reduction` is 1, 2, 4 or 8. `None` for a kind of JPEG that is not decoded here.
pub(super) fn decode(bytes: &[u8], reduction: usize) -> Result<Option<Picture>, JpegFault> {
    let Some(frame) = Frame::read(bytes)? else { return Ok(None) };
    let planes = read_planes(&frame, bytes, reduction)?;
    let (height, width) = (frame.height.div_ceil(reduction), frame.width.div_ceil(reduction));
    let [luma, chroma @ ..] = planes.as_slice() else { return Ok(None) };
    if chroma.is_empty() {
        let data = luma.data.chunks_exact(luma.stride).take(height).flat_map(|row| &row[..width]).copied().collect();
        return Ok(Some(Picture::from_parts(height, width, 1, data)));
    }
    // A reduced picture has its chroma at the same size already.
    let (across, down) = if reduction == 1 { (frame.components[0].across, frame.components[0].down) } else { (1, 1) };
    Ok(Some(colour::convert(&planes, (height, width), (across, down))))
}

/// How a component's blocks become pixels: values a block, down and across.
fn block_sizes(frame: &Frame, component: &Component, reduction: usize) -> (usize, usize) {
    if reduction == 1 {
        return (8, 8);
    }
    // Subsampled chroma is reduced less, to the size that luma has.
    let size = |most: usize, own: usize| (8 / reduction * (most / own)).min(8);
    (size(frame.components[0].down, component.down), size(frame.components[0].across, component.across))
}

fn read_planes(frame: &Frame, bytes: &[u8], reduction: usize) -> Result<Vec<Plane>, JpegFault> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2") && is_x86_feature_detected!("lzcnt") {
        // SAFETY: the processor has all features that the function demands.
        return unsafe { read_planes_avx2(frame, bytes, reduction) };
    }
    read_planes_portably(frame, bytes, reduction)
}

/// The same loops compiled for 256-bit vectors; whole numbers give the same pixels.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi2,lzcnt")]
fn read_planes_avx2(frame: &Frame, bytes: &[u8], reduction: usize) -> Result<Vec<Plane>, JpegFault> {
    read_planes_portably(frame, bytes, reduction)
}

/// A component with all that its blocks need.
struct Reader<'frame> {
    component: Component,
    dc: &'frame Huffman,
    ac: &'frame Huffman,
    /// In zigzag order, as coefficients come.
    quantizers: &'frame [i32; 64],
    down: Reduction,
    across: Reduction,
    plane: Plane,
    prediction: i32,
}

#[inline(always)]
fn read_planes_portably(frame: &Frame, bytes: &[u8], reduction: usize) -> Result<Vec<Plane>, JpegFault> {
    let (units_across, units_down) =
        (frame.width.div_ceil(8 * frame.components[0].across), frame.height.div_ceil(8 * frame.components[0].down));
    let mut readers = Vec::with_capacity(frame.components.len());
    for &component in &frame.components {
        let (down, across) = block_sizes(frame, &component, reduction);
        let stride = units_across * component.across * across;
        let rows = units_down * component.down * down;
        readers.push(Reader {
            component,
            dc: frame.dc.get(component.dc).and_then(Option::as_ref).ok_or(JpegFault("a DC table is missing"))?,
            ac: frame.ac.get(component.ac).and_then(Option::as_ref).ok_or(JpegFault("an AC table is missing"))?,
            quantizers: frame.quantizers[component.quantizer].as_ref().ok_or(JpegFault("a quantization table is missing"))?,
            down: Reduction::new(down),
            across: Reduction::new(across),
            plane: Plane { stride, data: vec![0; stride * rows] },
            prediction: 0,
        });
    }
    let mut bits = Bits::new(bytes, frame.scan);
    let mut block = [0; 64];
    for unit in 0..units_across * units_down {
        if frame.restart > 0 && unit > 0 && unit % frame.restart == 0 {
            bits.restart(((unit / frame.restart - 1) % 8) as u8)?;
            for reader in &mut readers {
                reader.prediction = 0;
            }
        }
        let (unit_row, unit_column) = (unit / units_across, unit % units_across);
        for reader in &mut readers {
            let Component { across, down, .. } = reader.component;
            for part in 0..across * down {
                let (row, column) = (unit_row * down + part / across, unit_column * across + part % across);
                let last = bits.block(reader.dc, reader.ac, reader.quantizers, &mut reader.prediction, &mut block)?;
                let stride = reader.plane.stride;
                let start = row * reader.down.count * stride + column * reader.across.count;
                let target = &mut reader.plane.data[start..];
                // The mean of a whole block is its first coefficient alone.
                if last == 0 || (reader.down.count, reader.across.count) == (1, 1) {
                    fill(block[0], (reader.down.count, reader.across.count), target, stride);
                    block.fill(0);
                    continue;
                }
                if reader.down.count == 8 && reader.across.count == 8 {
                    inverse::full(&block, target, stride);
                } else {
                    inverse::reduced(&block, ROWS[last], &reader.down, &reader.across, target, stride);
                }
                block.fill(0);
            }
        }
        bits.check()?;
    }
    Ok(readers.into_iter().map(|reader| reader.plane).collect())
}

/// How many rows of coefficients hold all up to a zigzag index.
const ROWS: [usize; 64] = {
    let mut rows = [1; 64];
    let mut index = 1;
    while index < 64 {
        let row = ZIGZAG[index] as usize / 8 + 1;
        rows[index] = if row > rows[index - 1] { row } else { rows[index - 1] };
        index += 1;
    }
    rows
};

/// Writes a block of one level, rounded as the transform rounds it.
#[inline(always)]
fn fill(dc: i32, (rows, columns): (usize, usize), target: &mut [u8], stride: usize) {
    let value = ((dc.wrapping_mul(4).wrapping_add(16) >> 5) + 128).clamp(0, 255) as u8;
    for row in 0..rows {
        target[row * stride..row * stride + columns].fill(value);
    }
}
