//! The entropy-coded data of a baseline JPEG: bits, Huffman tables and blocks of coefficients.

use super::JpegFault;

/// Natural order (row by row) of the coefficients in zigzag order.
pub(super) const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28, 35, 42,
    49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Bits that the fast tables look at.
const LOOK: u32 = 10;

/// A Huffman table, with short codes looked up at once.
#[derive(Clone)]
pub(super) struct Huffman {
    /// For each prefix: code length in the upper byte, symbol in the lower; 0 where the code is longer.
    short: Box<[u16; 1 << LOOK]>,
    /// For each prefix that holds a whole AC coefficient: value << 8 | run << 4 | bits; 0 where it does not.
    coefficient: Box<[i16; 1 << LOOK]>,
    /// For each length, the first code above all codes of that length, left-aligned in 16 bits.
    above: [u32; 17],
    /// For each length, the index of its first symbol less its first code.
    offset: [i32; 17],
    symbols: Vec<u8>,
}

impl Huffman {
    /// A table from the counts of codes of each length, 1 to 16, and the symbols in order.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Result<Huffman, JpegFault> {
        let mut table = Huffman {
            short: Box::new([0; 1 << LOOK]),
            coefficient: Box::new([0; 1 << LOOK]),
            above: [0; 17],
            offset: [0; 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut index) = (0u32, 0usize);
        for (length, &count) in (1u32..).zip(counts) {
            table.offset[length as usize] = index as i32 - code as i32;
            for _ in 0..count {
                let symbol = *symbols.get(index).ok_or(JpegFault("a Huffman table lacks symbols"))?;
                if length <= LOOK {
                    let first = (code << (LOOK - length)) as usize;
                    let entries = table.short.get_mut(first..first + (1 << (LOOK - length)));
                    entries
                        .ok_or(JpegFault("a Huffman table has too many codes"))?
                        .fill((length as u16) << 8 | u16::from(symbol));
                }
                code += 1;
                index += 1;
            }
            if code > 1 << length {
                return Err(JpegFault("a Huffman table has too many codes"));
            }
            table.above[length as usize] = code << (16 - length);
            code <<= 1;
        }
        for prefix in 0..1u32 << LOOK {
            let entry = table.short[prefix as usize];
            let (length, run, size) = (u32::from(entry >> 8), i32::from(entry >> 4 & 15), u32::from(entry & 15));
            if entry != 0 && size > 0 && length + size <= LOOK {
                let bits = prefix >> (LOOK - length - size) & ((1 << size) - 1);
                let value = extend(bits, size);
                if (-128..128).contains(&value) {
                    table.coefficient[prefix as usize] = (value << 8 | run << 4 | (length + size) as i32) as i16;
                }
            }
        }
        Ok(table)
    }
}

/// The signed value of magnitude bits.
#[inline(always)]
fn extend(bits: u32, size: u32) -> i32 {
    let value = bits as i32;
    if value < 1 << (size - 1) { value - (1 << size) + 1 } else { value }
}

/// Bits of a scan, without stuffed zeros. Past a marker or the end there are zeros, counted as padding.
pub(super) struct Bits<'bytes> {
    bytes: &'bytes [u8],
    place: usize,
    /// The next bits, leftmost first.
    buffer: u64,
    /// How many of them are valid.
    count: u32,
    /// How many of the valid ones, at their end, are padding.
    padding: u32,
}

impl<'bytes> Bits<'bytes> {
    pub(super) fn new(bytes: &'bytes [u8], place: usize) -> Bits<'bytes> {
        Bits { bytes, place, buffer: 0, count: 0, padding: 0 }
    }

    /// Makes at least 32 bits valid.
    #[inline(always)]
    fn refill(&mut self) {
        if self.count >= 32 {
            return;
        }
        if let Some(next) = self.bytes.get(self.place..).and_then(|rest| rest.first_chunk::<8>()) {
            let word = u64::from_be_bytes(*next);
            // A byte of ones has a zero byte in the complement.
            let ones = (!word).wrapping_sub(0x0101_0101_0101_0101) & word & 0x8080_8080_8080_8080;
            if ones == 0 {
                self.buffer |= word >> self.count;
                let taken = (63 - self.count) / 8;
                self.place += taken as usize;
                self.count += taken * 8;
                return;
            }
        }
        self.refill_slowly();
    }

    #[cold]
    fn refill_slowly(&mut self) {
        while self.count <= 56 {
            let byte = match (self.bytes.get(self.place), self.bytes.get(self.place + 1)) {
                (Some(0xFF), Some(0)) => {
                    self.place += 2;
                    0xFF
                }
                (Some(0xFF), _) | (None, _) => {
                    self.padding += 8;
                    0
                }
                (Some(&byte), _) => {
                    self.place += 1;
                    byte
                }
            };
            // The bits of a byte that was taken in part are there already and equal.
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    #[inline(always)]
    fn take(&mut self, count: u32) {
        self.buffer <<= count;
        self.count -= count;
    }

    /// The next symbol; at least 16 bits must be valid.
    #[inline(always)]
    fn symbol(&mut self, table: &Huffman) -> Result<u32, JpegFault> {
        let entry = table.short[(self.buffer >> (64 - LOOK)) as usize];
        if entry != 0 {
            self.take(u32::from(entry >> 8));
            return Ok(u32::from(entry & 0xFF));
        }
        let bits = (self.buffer >> 48) as u32;
        for length in LOOK + 1..=16 {
            if bits < table.above[length as usize] {
                let index = (bits >> (16 - length)) as i32 + table.offset[length as usize];
                self.take(length);
                let symbol = usize::try_from(index).ok().and_then(|index| table.symbols.get(index));
                return symbol.map(|&symbol| u32::from(symbol)).ok_or(JpegFault("a Huffman code is not in its table"));
            }
        }
        Err(JpegFault("a Huffman code is not in its table"))
    }

    /// A signed value of `size` bits, 1 to 16; as many must be valid.
    #[inline(always)]
    fn value(&mut self, size: u32) -> i32 {
        let bits = (self.buffer >> (64 - size)) as u32;
        self.take(size);
        extend(bits, size)
    }

    /// Refuses a scan that ended before its last block.
    #[inline(always)]
    pub(super) fn check(&self) -> Result<(), JpegFault> {
        if self.count < self.padding { Err(JpegFault("the data ends within a picture")) } else { Ok(()) }
    }

    /// Passes the restart marker of the given number, 0 to 7.
    pub(super) fn restart(&mut self, number: u8) -> Result<(), JpegFault> {
        // Whole bytes may be waiting in the buffer only if they were data where the marker should be.
        if self.count - self.padding.min(self.count) >= 8 {
            return Err(JpegFault("there is data where a restart marker should be"));
        }
        if self.bytes.get(self.place..self.place + 2) != Some(&[0xFF, 0xD0 + number]) {
            return Err(JpegFault("a restart marker is missing"));
        }
        *self = Bits::new(self.bytes, self.place + 2);
        Ok(())
    }

    /// Reads one block into `block` (natural order, dequantized), which must be zero. Returns the zigzag index of its last coefficient.
    #[inline(always)]
    pub(super) fn block(
        &mut self,
        dc: &Huffman,
        ac: &Huffman,
        quantizers: &[i32; 64],
        prediction: &mut i32,
        block: &mut [i32; 64],
    ) -> Result<usize, JpegFault> {
        self.refill();
        let size = self.symbol(dc)?;
        if size > 11 {
            return Err(JpegFault("a DC coefficient is out of range"));
        }
        if size > 0 {
            *prediction += self.value(size);
        }
        // A picture that is well formed keeps within 11 bits and a sign; a forged one must not overflow.
        *prediction = (*prediction).clamp(-(1 << 15), 1 << 15);
        block[0] = *prediction * quantizers[0];
        let (mut index, mut last) = (1, 0);
        while index < 64 {
            self.refill();
            let entry = i32::from(ac.coefficient[(self.buffer >> (64 - LOOK)) as usize]);
            let value = if entry != 0 {
                index += (entry >> 4 & 15) as usize;
                self.take((entry & 15) as u32);
                entry >> 8
            } else {
                let symbol = self.symbol(ac)?;
                let (run, size) = ((symbol >> 4) as usize, symbol & 15);
                if size == 0 {
                    if run < 15 {
                        break;
                    }
                    index += 16;
                    continue;
                }
                index += run;
                self.value(size)
            };
            if index > 63 {
                return Err(JpegFault("a block has more than 64 coefficients"));
            }
            block[usize::from(ZIGZAG[index])] = value * quantizers[index];
            last = index;
            index += 1;
        }
        Ok(last)
    }
}
