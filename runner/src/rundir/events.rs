//! TensorBoard event files: scalars and images, without the TensorFlow behind them.
//!
//! A file is a sequence of records: length (8 bytes), masked CRC-32C of the length, a serialized `Event` message, masked
//! CRC-32C of the message; all little endian. Of the protocol buffers only the few fields below are needed.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::storage::{Storage, StorageError, StorageFile};

/// The checksum of event files: CRC-32C, rotated and offset, so that a checksum of checksummed data is not trivial.
pub fn masked_crc32c(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// An event file open for appending.
pub struct EventFile {
    file: Box<dyn StorageFile>,
    path: PathBuf,
}

impl EventFile {
    /// Begins an event file in a directory, or continues the one that is there: events after `step`, and a record that a
    /// killed process tore, are cut off, so that curves have no double points.
    ///
    /// # Errors
    /// Storage that fails.
    pub fn open(storage: &Arc<dyn Storage>, directory: &Path, step: u64, seconds: f64) -> Result<Self, StorageError> {
        if let Some(path) = existing(directory)? {
            let bytes = std::fs::read(&path).map_err(StorageError::wrap("read", &path))?;
            let keep = kept_length(&bytes, step);
            if keep > 0 {
                if keep < bytes.len() {
                    storage.truncate(&path, keep as u64).map_err(StorageError::wrap("truncate", &path))?;
                }
                let file = storage.append(&path).map_err(StorageError::wrap("open", &path))?;
                return Ok(Self { file, path });
            }
            storage.remove(&path).map_err(StorageError::wrap("remove", &path))?;
        }
        // The name that TensorBoard looks for; it needs no host and no process number.
        let path = directory.join(format!("events.out.tfevents.{}.sward", seconds as u64));
        let file = storage.append(&path).map_err(StorageError::wrap("create", &path))?;
        let mut events = Self { file, path };
        events.write(&Event { seconds, step: 0, content: Content::Version })?;
        Ok(events)
    }

    /// Appends the values of one step. Values that are not finite are kept: TensorBoard marks them.
    ///
    /// # Errors
    /// Storage that fails.
    pub fn scalars<'v>(
        &mut self,
        step: u64,
        seconds: f64,
        values: impl IntoIterator<Item = (&'v str, f64)>,
    ) -> Result<(), StorageError> {
        let values = values.into_iter().map(|(tag, value)| scalar(tag, value as f32)).collect();
        self.write(&Event { seconds, step, content: Content::Summary(values) })
    }

    /// Appends one image, encoded as PNG or JPEG.
    ///
    /// # Errors
    /// Storage that fails.
    pub fn image(
        &mut self,
        step: u64,
        seconds: f64,
        tag: &str,
        (width, height): (u32, u32),
        encoded: &[u8],
    ) -> Result<(), StorageError> {
        let value = image(tag, width, height, encoded);
        self.write(&Event { seconds, step, content: Content::Summary(vec![value]) })
    }

    /// Makes everything written so far durable.
    ///
    /// # Errors
    /// Storage that fails.
    pub fn sync(&mut self) -> Result<(), StorageError> {
        self.file.sync().map_err(StorageError::wrap("make durable", &self.path))
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write(&mut self, event: &Event) -> Result<(), StorageError> {
        let framed = frame(&event.encode());
        self.file.write_all(&framed).map_err(StorageError::wrap("write", &self.path))
    }
}

/// The first event file of a directory, by name.
fn existing(directory: &Path) -> Result<Option<PathBuf>, StorageError> {
    let list = || -> io::Result<Vec<PathBuf>> { std::fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect() };
    let mut paths = list().map_err(StorageError::wrap("list", directory))?;
    let is_events =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("events.out.tfevents."));
    paths.retain(is_events);
    paths.sort();
    Ok(paths.into_iter().next())
}

struct Event {
    seconds: f64,
    step: u64,
    content: Content,
}

enum Content {
    /// `file_version`, the first record of every file.
    Version,
    /// Encoded `Summary.Value` messages.
    Summary(Vec<Vec<u8>>),
}

// Field numbers of tensorflow/core/util/event.proto and tensorflow/core/framework/summary.proto.
const EVENT_WALL_TIME: u64 = 1;
const EVENT_STEP: u64 = 2;
const EVENT_FILE_VERSION: u64 = 3;
const EVENT_SUMMARY: u64 = 5;
const SUMMARY_VALUE: u64 = 1;
const VALUE_TAG: u64 = 1;
const VALUE_SIMPLE: u64 = 2;
const VALUE_IMAGE: u64 = 4;
const IMAGE_HEIGHT: u64 = 1;
const IMAGE_WIDTH: u64 = 2;
const IMAGE_COLORSPACE: u64 = 3;
const IMAGE_ENCODED: u64 = 4;

impl Event {
    fn encode(&self) -> Vec<u8> {
        let mut message = Vec::new();
        put_key(&mut message, EVENT_WALL_TIME, 1);
        message.extend_from_slice(&self.seconds.to_le_bytes());
        put_varint_field(&mut message, EVENT_STEP, self.step);
        match &self.content {
            Content::Version => put_bytes(&mut message, EVENT_FILE_VERSION, b"brain.Event:2"),
            Content::Summary(values) => {
                let mut summary = Vec::new();
                values.iter().for_each(|value| put_bytes(&mut summary, SUMMARY_VALUE, value));
                put_bytes(&mut message, EVENT_SUMMARY, &summary);
            }
        }
        message
    }
}

fn scalar(tag: &str, value: f32) -> Vec<u8> {
    let mut message = Vec::new();
    put_bytes(&mut message, VALUE_TAG, tag.as_bytes());
    // Written even where it is zero: it is one of several kinds of value, and says which.
    put_key(&mut message, VALUE_SIMPLE, 5);
    message.extend_from_slice(&value.to_le_bytes());
    message
}

fn image(tag: &str, width: u32, height: u32, encoded: &[u8]) -> Vec<u8> {
    const RGB: u64 = 3;
    let mut image = Vec::new();
    put_varint_field(&mut image, IMAGE_HEIGHT, height.into());
    put_varint_field(&mut image, IMAGE_WIDTH, width.into());
    put_varint_field(&mut image, IMAGE_COLORSPACE, RGB);
    put_bytes(&mut image, IMAGE_ENCODED, encoded);
    let mut message = Vec::new();
    put_bytes(&mut message, VALUE_TAG, tag.as_bytes());
    put_bytes(&mut message, VALUE_IMAGE, &image);
    message
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn put_key(bytes: &mut Vec<u8>, field: u64, wire_type: u64) {
    put_varint(bytes, field << 3 | wire_type);
}

/// A number; zero is the default, which the format leaves out.
fn put_varint_field(bytes: &mut Vec<u8>, field: u64, value: u64) {
    if value == 0 {
        return;
    }
    put_key(bytes, field, 0);
    put_varint(bytes, value);
}

fn put_bytes(bytes: &mut Vec<u8>, field: u64, content: &[u8]) {
    put_key(bytes, field, 2);
    put_varint(bytes, content.len() as u64);
    bytes.extend_from_slice(content);
}

fn frame(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend_from_slice(&masked_crc32c(&length).to_le_bytes());
    record.extend_from_slice(message);
    record.extend_from_slice(&masked_crc32c(message).to_le_bytes());
    record
}

/// The message at the start of `bytes` and the length of its record; `None` where the record is torn or damaged.
fn unframe(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (length_crc, rest) = rest.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*length_crc) != masked_crc32c(length) {
        return None;
    }
    let size = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let message = rest.get(..size)?;
    let crc = rest.get(size..size.checked_add(4)?)?;
    (crc == masked_crc32c(message).to_le_bytes()).then_some((message, size + 16))
}

/// How many bytes of a file hold whole events up to and with `step`.
fn kept_length(bytes: &[u8], step: u64) -> usize {
    let mut length = 0;
    while let Some((message, size)) = unframe(&bytes[length..]) {
        if step_of(message).is_none_or(|found| found > step) {
            break;
        }
        length += size;
    }
    length
}

/// The step of an event that this file's writer made: wall time first, then the step.
fn step_of(message: &[u8]) -> Option<u64> {
    let rest = message.strip_prefix(&[(EVENT_WALL_TIME << 3 | 1) as u8])?.get(8..)?;
    let Some(rest) = rest.strip_prefix(&[(EVENT_STEP << 3) as u8]) else {
        return Some(0);
    };
    let mut value = 0u64;
    for (place, &byte) in rest.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(7 * place as u32)?;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::storage::Disk;
    use super::*;

    fn open(directory: &Path, step: u64) -> EventFile {
        let storage: Arc<dyn Storage> = Arc::new(Disk);
        EventFile::open(&storage, directory, step, 1_700_000_000.5).unwrap()
    }

    fn write(events: &mut EventFile, steps: std::ops::Range<u64>) {
        for step in steps {
            events.scalars(step, 1_700_000_001.0, [("train/loss", step as f64), ("lr", 0.5)]).unwrap();
        }
    }

    #[test]
    fn checksums_are_those_of_the_format() {
        // RFC 3720, B.4: 32 bytes of zeros, and the check value of the CRC catalogue.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        // The length of the first record of any TensorBoard file with a 24-byte message.
        assert_eq!(masked_crc32c(&24u64.to_le_bytes()).to_le_bytes(), [0xa3, 0x7f, 0x4b, 0x22]);
    }

    #[test]
    fn every_record_carries_valid_checksums() {
        let directory = tempfile::tempdir().unwrap();
        let mut events = open(directory.path(), 0);
        write(&mut events, 1..300);
        let bytes = std::fs::read(events.path()).unwrap();
        let (mut place, mut steps) = (0, Vec::new());
        while place < bytes.len() {
            let (message, size) = unframe(&bytes[place..]).expect("a whole record");
            steps.push(step_of(message).unwrap());
            place += size;
        }
        assert_eq!(steps, [vec![0], (1..300).collect()].concat());
        assert!(bytes.windows(13).any(|window| window == b"brain.Event:2"));
        for at in 0..60 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(kept_length(&damaged, u64::MAX) < bytes.len(), "byte {at}");
        }
    }

    #[test]
    fn a_resumed_file_equals_an_uninterrupted_one_wherever_it_was_torn() {
        let whole = tempfile::tempdir().unwrap();
        let mut events = open(whole.path(), 0);
        write(&mut events, 1..5);
        let checkpoint_end = std::fs::read(events.path()).unwrap().len();
        write(&mut events, 5..9);
        let expected = std::fs::read(events.path()).unwrap();
        for torn in checkpoint_end..=expected.len() {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join("events.out.tfevents.1700000000.sward"), &expected[..torn]).unwrap();
            let mut resumed = open(directory.path(), 4);
            write(&mut resumed, 5..9);
            assert_eq!(std::fs::read(resumed.path()).unwrap(), expected, "torn at {torn}");
            assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_file_torn_in_its_first_record_is_begun_again() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("events.out.tfevents.1.sward"), b"abc").unwrap();
        let mut events = open(directory.path(), 7);
        write(&mut events, 8..9);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        assert_eq!(kept_length(&std::fs::read(events.path()).unwrap(), 8), std::fs::read(events.path()).unwrap().len());
    }
}
