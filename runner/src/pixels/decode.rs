//! Reading a photograph: strictly, with bounds checked on the header before any pixel is allocated.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use serde::{Deserialize, Serialize};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::error::{PixelError, Result};
use super::flip;
use super::jpeg;
use super::picture::Picture;

/// The colours that a decoded picture has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Colours {
    /// Red, green, blue; grey files are repeated, transparency is dropped (Pillow's `convert("RGB")`).
    #[default]
    Rgb,
    /// One channel, with Pillow's weights (`convert("L")`).
    Grey,
}

impl Colours {
    /// How many channels a picture of these colours has.
    pub fn channels(self) -> usize {
        match self {
            Colours::Rgb => 3,
            Colours::Grey => 1,
        }
    }
}

/// How a file is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecodeOptions {
    /// Colours of the result.
    pub colours: Colours,
    /// Decode a JPEG at half, a quarter or an eighth of its size where both sides keep at least this many pixels.
    ///
    /// Each pixel is then the mean of a square of pixels. With twice the size that a resize makes, the resized picture differs little
    /// (a level or so) from that of the whole decode, in a fraction of the time. `None` decodes every file whole.
    pub at_least: Option<usize>,
    /// Turn the picture as its EXIF orientation says (Pillow's `ImageOps.exif_transpose`).
    pub upright: bool,
    /// Accept a file whose extension names another format than its content has.
    pub any_extension: bool,
    /// The most pixels that are decoded; Pillow's hard limit by default.
    pub max_pixels: u64,
    /// The most bytes that are read.
    pub max_bytes: u64,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        DecodeOptions {
            colours: Colours::Rgb,
            at_least: None,
            upright: true,
            any_extension: false,
            max_pixels: 178_956_970,
            max_bytes: 1 << 30,
        }
    }
}

/// The size that a file's header states, before EXIF orientation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The format's name.
    pub format: &'static str,
    /// Rows of the stored picture.
    pub height: usize,
    /// Columns of the stored picture.
    pub width: usize,
    /// EXIF orientation, 1 to 8; 1 where the file states none.
    pub orientation: u8,
}

impl Header {
    /// Height and width once the picture stands upright.
    pub fn upright_size(&self) -> (usize, usize) {
        if self.orientation >= 5 { (self.width, self.height) } else { (self.height, self.width) }
    }
}

/// Reads and decodes a file.
pub fn decode(path: &Path, options: &DecodeOptions) -> Result<Picture> {
    decode_bytes(&read_file(path, options.max_bytes)?, path, options)
}

/// Reads only a file's header: its format, size and orientation, with all checks that need no pixel.
pub fn read_header(path: &Path, options: &DecodeOptions) -> Result<Header> {
    let bytes = read_file(path, options.max_bytes)?;
    Opened::open(&bytes, path, options).map(|file| file.header())
}

/// Reads a regular file of at most `max_bytes`; a pipe or device is refused before it is opened.
pub fn read_file(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    let unreadable = |source| PixelError::Read { path: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(PixelError::NotAFile { path: path.to_owned() });
    }
    let file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let mut bytes = Vec::with_capacity(size.min(max_bytes) as usize);
    // A file may grow while it is read; the bound holds all the same.
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > max_bytes {
        return Err(PixelError::FileTooLarge { path: path.to_owned(), bytes: size, limit: max_bytes });
    }
    Ok(bytes)
}

/// Decodes a file's content; `path` is named in errors and its extension is compared with the content.
pub fn decode_bytes(bytes: &[u8], path: &Path, options: &DecodeOptions) -> Result<Picture> {
    let file = Opened::open(bytes, path, options)?;
    let orientation = file.orientation;
    let picture = in_colours(file.pixels(bytes, options)?, options.colours);
    Ok(if options.upright { flip::orient(picture, orientation) } else { picture })
}

/// Gives a decoded picture the channels that were asked for.
fn in_colours(picture: Picture, colours: Colours) -> Picture {
    match (colours, picture.channels()) {
        (Colours::Rgb, 1) => picture.to_rgb(),
        (Colours::Grey, 3) => picture.to_grey(),
        _ => picture,
    }
}

/// The largest reduction, 1, 2, 4 or 8, that leaves both sides at least as long as asked.
fn reduction(height: usize, width: usize, at_least: Option<usize>) -> usize {
    let Some(least) = at_least else { return 1 };
    [8, 4, 2].into_iter().find(|factor| height.min(width) / factor >= least.max(1)).unwrap_or(1)
}

/// A file whose header was read and found acceptable.
struct Opened<'bytes> {
    path: &'bytes Path,
    format: &'static str,
    height: usize,
    width: usize,
    orientation: u8,
    decoder: Decoder<'bytes>,
}

enum Decoder<'bytes> {
    Jpeg(Box<JpegDecoder<ZCursor<&'bytes [u8]>>>),
    Other(Box<dyn ImageDecoder + 'bytes>),
}

impl<'bytes> Opened<'bytes> {
    fn open(bytes: &'bytes [u8], path: &'bytes Path, options: &DecodeOptions) -> Result<Self> {
        let (format, name) = sniff(bytes, path)?;
        if !options.any_extension {
            check_extension(path, format, name)?;
        }
        let corrupt = |cause: String| PixelError::Corrupt { path: path.to_owned(), format: name, cause };
        let (decoder, height, width) = if format == ImageFormat::Jpeg {
            let settings = DecoderOptions::default()
                .set_strict_mode(true)
                .set_max_width(65_535)
                .set_max_height(65_535)
                .jpeg_set_out_colorspace(ColorSpace::RGB);
            let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), settings);
            decoder.decode_headers().map_err(|error| corrupt(error.to_string()))?;
            check_jpeg_ends(bytes).map_err(|cause| corrupt(cause.to_owned()))?;
            let info = decoder.info().ok_or_else(|| corrupt("the frame header is missing".to_owned()))?;
            (Decoder::Jpeg(Box::new(decoder)), usize::from(info.height), usize::from(info.width))
        } else {
            let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
            let mut limits = Limits::no_limits();
            // Sixteen bytes a pixel is the widest sample layout (four channels of 32-bit floats).
            limits.max_alloc = Some(options.max_pixels.saturating_mul(16));
            reader.limits(limits);
            let decoder = reader.into_decoder().map_err(|error| corrupt(error.to_string()))?;
            let (width, height) = decoder.dimensions();
            (Decoder::Other(Box::new(decoder)), height as usize, width as usize)
        };
        let (claimed_height, claimed_width, size) = (height as u64, width as u64, bytes.len() as u64);
        let pixels = claimed_height * claimed_width;
        if pixels == 0 {
            return Err(corrupt(format!("the header claims {width} x {height} pixels")));
        }
        if pixels > options.max_pixels {
            return Err(PixelError::TooLarge {
                path: path.to_owned(),
                width: claimed_width,
                height: claimed_height,
                limit: options.max_pixels,
            });
        }
        if most_pixels_per_byte(format).is_some_and(|most| pixels / most > size) {
            return Err(PixelError::Implausible {
                path: path.to_owned(),
                width: claimed_width,
                height: claimed_height,
                bytes: size,
            });
        }
        Ok(Opened { path, format: name, height, width, orientation: read_orientation(bytes), decoder })
    }

    fn header(&self) -> Header {
        Header { format: self.format, height: self.height, width: self.width, orientation: self.orientation }
    }

    fn pixels(self, bytes: &[u8], options: &DecodeOptions) -> Result<Picture> {
        let Opened { path, format, height, width, decoder, .. } = self;
        let corrupt = |cause: String| PixelError::Corrupt { path: path.to_owned(), format, cause };
        Ok(match decoder {
            Decoder::Jpeg(mut decoder) => {
                let reduction = reduction(height, width, options.at_least);
                let decoded = jpeg::decode(bytes, reduction).map_err(|fault| corrupt(fault.0.to_owned()))?;
                if let Some(picture) = decoded {
                    return Ok(picture);
                }
                let grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
                if grey {
                    decoder.set_options(
                        DecoderOptions::default()
                            .set_strict_mode(true)
                            .set_max_width(65_535)
                            .set_max_height(65_535)
                            .jpeg_set_out_colorspace(ColorSpace::Luma),
                    );
                }
                let data = decoder.decode().map_err(|error| corrupt(error.to_string()))?;
                let channels = if grey { 1 } else { 3 };
                if data.len() != height * width * channels {
                    return Err(corrupt(format!("{} bytes of pixels for {width} x {height}", data.len())));
                }
                Picture::from_parts(height, width, channels, data)
            }
            Decoder::Other(decoder) => {
                let decoded = DynamicImage::from_decoder(decoder).map_err(|error| corrupt(error.to_string()))?;
                if decoded.color().has_color() {
                    Picture::from_parts(height, width, 3, decoded.into_rgb8().into_raw())
                } else {
                    Picture::from_parts(height, width, 1, decoded.into_luma8().into_raw())
                }
            }
        })
    }
}

/// Tells the format from the first bytes.
fn sniff(bytes: &[u8], path: &Path) -> Result<(ImageFormat, &'static str)> {
    let format = image::guess_format(bytes).ok();
    let known = format.and_then(|format| format_name(format).map(|name| (format, name)));
    known.ok_or_else(|| PixelError::UnknownFormat {
        path: path.to_owned(),
        first_bytes: match bytes {
            [] => "none: the file is empty".to_owned(),
            _ => bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "),
        },
    })
}

fn format_name(format: ImageFormat) -> Option<&'static str> {
    Some(match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::WebP => "WebP",
        ImageFormat::Bmp => "BMP",
        _ => return None,
    })
}

/// Refuses an extension that names another image format; an extension that names none is left alone.
fn check_extension(path: &Path, format: ImageFormat, found: &'static str) -> Result<()> {
    let Some(extension) = path.extension().and_then(|extension| extension.to_str()) else {
        return Ok(());
    };
    match ImageFormat::from_extension(extension) {
        Some(named) if named != format => {
            Err(PixelError::WrongExtension { path: path.to_owned(), extension: extension.to_owned(), found })
        }
        _ => Ok(()),
    }
}

/// The most pixels that one byte of a file can stand for, where the format bounds it.
///
/// Deflate reaches 1032 to 1, so a byte of a one-bit PNG holds at most 8 x 1032 pixels. A JPEG spends at least one bit on every 8 x 8 block
/// of its first component, whose samples stand for at most 4 x 4 pixels.
fn most_pixels_per_byte(format: ImageFormat) -> Option<u64> {
    match format {
        ImageFormat::Png => Some(8 * 1032),
        ImageFormat::Jpeg => Some(8 * 64 * 16),
        _ => None,
    }
}

/// Walks the segments and scans of a JPEG to its end marker: a file that was cut short has none.
///
/// The decoder's strict mode notices missing data only from one row of blocks to the next.
fn check_jpeg_ends(bytes: &[u8]) -> Result<(), &'static str> {
    const CUT: &str = "it ends before its end marker";
    let mut place = 2;
    loop {
        while *bytes.get(place).ok_or(CUT)? != 0xFF {
            place += 1;
        }
        let marker = *bytes.get(place + 1).ok_or(CUT)?;
        place += match marker {
            0xD9 => return Ok(()),
            // A fill byte stands before a marker.
            0xFF => 1,
            // A stuffed zero within a scan, a restart, or a marker without content.
            0x00 | 0x01 | 0xD0..=0xD8 => 2,
            _ => {
                let length = bytes.get(place + 2..place + 4).ok_or(CUT)?;
                2 + usize::from(u16::from_be_bytes([length[0], length[1]]))
            }
        };
    }
}

/// The EXIF orientation, 1 to 8. A file without EXIF, or with EXIF that cannot be read, stands upright as stored: 1.
fn read_orientation(bytes: &[u8]) -> u8 {
    let Ok(exif) = exif::Reader::new().read_from_container(&mut Cursor::new(bytes)) else {
        return 1;
    };
    exif.get_field(exif::Tag::Orientation, exif::In::PRIMARY)
        .and_then(|field| field.value.get_uint(0))
        .and_then(|value| u8::try_from(value).ok())
        .filter(|value| (1..=8).contains(value))
        .unwrap_or(1)
}
