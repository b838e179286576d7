//! What may go wrong with a picture, named so that a message can be acted on.

use std::path::PathBuf;

/// A fault of a picture file or of a picture transform.
#[derive(Debug, thiserror::Error)]
pub enum PixelError {
    /// The file cannot be opened or read.
    #[error("{}: cannot read the image: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The path names a folder, pipe, socket or device.
    #[error("{}: not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The content is none of the formats that are read.
    #[error("{}: not a JPEG, PNG, TIFF, WebP or BMP image (its first bytes are {first_bytes})", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// The first bytes, in hexadecimal.
        first_bytes: String,
    },
    /// The name promises one format and the content is another.
    #[error(
        "{}: the name says .{extension} but the content is {found}; rename the file",
        path.display()
    )]
    WrongExtension {
        /// The file.
        path: PathBuf,
        /// The extension, without its dot.
        extension: String,
        /// The format that the content has.
        found: &'static str,
    },
    /// The header promises more pixels than the limit allows.
    #[error("{}: the header claims {width} x {height} pixels, above the limit of {limit} pixels", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Claimed width in pixels.
        width: u64,
        /// Claimed height in pixels.
        height: u64,
        /// The limit in pixels.
        limit: u64,
    },
    /// The file holds more bytes than the limit allows.
    #[error("{}: {bytes} bytes, above the limit of {limit} bytes", path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The header promises more pixels than so few bytes can hold.
    #[error(
        "{}: the header claims {width} x {height} pixels, more than a file of {bytes} bytes can hold: it is cut short or forged",
        path.display()
    )]
    Implausible {
        /// The file.
        path: PathBuf,
        /// Claimed width in pixels.
        width: u64,
        /// Claimed height in pixels.
        height: u64,
        /// The size of the file in bytes.
        bytes: u64,
    },
    /// The content is damaged or cut short.
    #[error("{}: the {format} data is damaged or cut short: {cause}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The format of the content.
        format: &'static str,
        /// What the decoder said.
        cause: String,
    },
    /// A parameter of a transform is outside its range.
    #[error("{transform}: {parameter} is {value}, but it must be {expected}")]
    Parameter {
        /// The transform.
        transform: &'static str,
        /// The parameter's name.
        parameter: &'static str,
        /// The value given.
        value: String,
        /// The range allowed, in words.
        expected: String,
    },
    /// A picture's size or channel count does not suit a transform.
    #[error("{transform}: {cause}")]
    Shape {
        /// The transform.
        transform: &'static str,
        /// Both sizes and why they do not meet.
        cause: String,
    },
}

/// The result of a picture operation.
pub type Result<T, E = PixelError> = std::result::Result<T, E>;

/// Builds the error of a parameter that is outside its range.
pub(crate) fn parameter(
    transform: &'static str,
    parameter: &'static str,
    value: impl std::fmt::Debug,
    expected: impl Into<String>,
) -> PixelError {
    PixelError::Parameter { transform, parameter, value: format!("{value:?}"), expected: expected.into() }
}

/// Builds the error of a picture whose shape does not suit a transform.
pub(crate) fn shape(transform: &'static str, cause: impl Into<String>) -> PixelError {
    PixelError::Shape { transform, cause: cause.into() }
}
