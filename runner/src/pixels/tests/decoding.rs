//! Reading files: every format, orientation, and the ways in which a file may be wrong.

use std::fs;

use super::*;

fn decode_named(bytes: &[u8], name: &str) -> Result<Picture> {
    decode_bytes(bytes, Path::new(name), &DecodeOptions::default())
}

#[test]
fn lossless_formats_give_the_same_pixels() {
    let source = load("source.png");
    for name in ["format.bmp", "format.tif", "format.webp", "format_alpha.png"] {
        assert_eq!(load(name), source, "{name}");
    }
}

#[test]
fn jpeg_of_the_usual_kind_decodes_equal_to_pillow() {
    for name in ["420", "422", "444", "restart", "optimized", "grey"] {
        let actual = load(&format!("jpeg_{name}.jpg"));
        assert_eq!(difference(&actual, &load(&format!("jpeg_{name}_decoded.png"))), (0, 0.0), "{name}");
    }
}

#[test]
fn other_kinds_of_jpeg_decode_close_to_pillow() {
    for name in ["progressive", "411"] {
        let actual = load(&format!("jpeg_{name}.jpg"));
        let (most, mean) = difference(&actual, &load(&format!("jpeg_{name}_decoded.png")));
        // Decoders may round the inverse transform and the colour conversion differently.
        assert!(most <= 4 && mean < 0.6, "{name}: differs by up to {most} levels, {mean} on average");
    }
}

#[test]
fn a_reduced_jpeg_equals_pillow_draft_within_a_level_of_each_component() {
    for name in ["420", "444", "grey", "even"] {
        let file = format!("jpeg_{name}.jpg");
        let whole = load(&file);
        for side in [2, 4, 8] {
            let options = DecodeOptions { at_least: Some(whole.height() / side), ..DecodeOptions::default() };
            let reduced = decode(&fixture(&file), &options).unwrap();
            let expected = load(&format!("jpeg_{name}_reduced_{side}.png"));
            let (most, mean) = difference(&reduced, &expected);
            // A level of luma and one of chroma, which counts up to 1.8 times, are up to three levels of a colour.
            assert!(most <= 3 && mean < 0.3, "{name} by {side}: up to {most} levels, {mean} on average");
        }
    }
}

#[test]
fn a_jpeg_is_reduced_only_as_far_as_both_sides_stay_long_enough() {
    for (name, at_least, expected) in
        [("even", 41, (80, 96)), ("even", 40, (40, 48)), ("even", 11, (20, 24)), ("even", 1, (10, 12)), ("422", 38, (39, 46))]
    {
        let options = DecodeOptions { at_least: Some(at_least), ..DecodeOptions::default() };
        let picture = decode(&fixture(&format!("jpeg_{name}.jpg")), &options).unwrap();
        assert_eq!((picture.height(), picture.width()), expected, "{name} with {at_least}");
    }
}

#[test]
fn a_resize_after_a_reduced_decode_differs_little() {
    let resized = |at_least| {
        let options = DecodeOptions { at_least, ..DecodeOptions::default() };
        let picture = decode(&fixture("jpeg_even.jpg"), &options).unwrap();
        resize(&picture, (10, 12), Interpolation::Bilinear).unwrap()
    };
    let (most, mean) = difference(&resized(Some(40)), &resized(None));
    assert!(most <= 2 && mean < 0.5, "up to {most} levels, {mean} on average");
}

#[test]
fn every_exif_orientation_stands_upright() {
    let upright = load("orientation_upright.png");
    for orientation in 1..=8 {
        let name = format!("orientation_{orientation}.tif");
        assert_eq!(load(&name), upright, "{name}");
        let header = read_header(&fixture(&name), &DecodeOptions::default()).unwrap();
        assert_eq!(header.orientation, orientation);
        assert_eq!(header.upright_size(), (upright.height(), upright.width()));
    }
    let (most, _) = difference(&load("orientation_6.jpg"), &load("orientation_6_jpeg_upright.png"));
    assert!(most <= 3, "{most}");
    let options = DecodeOptions { upright: false, ..DecodeOptions::default() };
    let stored = decode(&fixture("orientation_6.tif"), &options).unwrap();
    assert_eq!((stored.height(), stored.width()), (upright.width(), upright.height()));
}

#[test]
fn a_jpeg_cut_short_anywhere_is_an_error() {
    for name in ["jpeg_420.jpg", "jpeg_444.jpg", "jpeg_restart.jpg", "jpeg_grey.jpg", "jpeg_progressive.jpg"] {
        let bytes = fs::read(fixture(name)).unwrap();
        // Without the end marker alone (2 bytes) all pixels may still be there.
        for length in (0..bytes.len() - 8).step_by(7) {
            let result = decode_named(&bytes[..length], "photo.jpg");
            assert!(result.is_err(), "{name} cut to {length} of {} bytes decoded", bytes.len());
        }
    }
}

#[test]
fn other_formats_cut_short_are_errors() {
    for name in ["source.png", "format.bmp", "format.tif", "format.webp"] {
        let bytes = fs::read(fixture(name)).unwrap();
        for length in (0..bytes.len() * 9 / 10).step_by(13) {
            assert!(decode_named(&bytes[..length], name).is_err(), "{name} cut to {length} bytes decoded");
        }
    }
}

/// A PNG of 65 bytes whose header claims the given size.
fn png_claiming(width: u32, height: u32) -> Vec<u8> {
    let crc = |bytes: &[u8]| {
        !bytes.iter().fold(u32::MAX, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
        })
    };
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8; 4], data: &[u8]| {
        png.extend((data.len() as u32).to_be_bytes());
        let body = [&kind[..], data].concat();
        png.extend(&body);
        png.extend(crc(&body).to_be_bytes());
    };
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    chunk(b"IHDR", &header);
    chunk(b"IDAT", &[0x78, 0x9c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01]);
    chunk(b"IEND", &[]);
    png
}

#[test]
fn a_forged_header_is_refused_before_allocation() {
    let message = decode_named(&png_claiming(60_000, 60_000), "a.png").unwrap_err().to_string();
    assert_eq!(message, "a.png: the header claims 60000 x 60000 pixels, above the limit of 178956970 pixels");
    let message = decode_named(&png_claiming(12_000, 12_000), "a.png").unwrap_err().to_string();
    assert!(message.contains("more than a file of 65 bytes can hold"), "{message}");
}

#[test]
fn a_forged_jpeg_header_is_refused() {
    let mut bytes = fs::read(fixture("jpeg_444.jpg")).unwrap();
    let frame = bytes.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    bytes[frame + 5..frame + 9].copy_from_slice(&[0xFF, 0xF0, 0xFF, 0xF0]);
    let error = decode_named(&bytes, "a.jpg").unwrap_err();
    assert!(matches!(error, PixelError::TooLarge { width: 65_520, height: 65_520, .. }), "{error}");
    bytes[frame + 5..frame + 9].copy_from_slice(&[0x2F, 0x00, 0x2F, 0x00]);
    assert!(decode_named(&bytes, "a.jpg").is_err());
}

#[test]
fn the_extension_must_not_name_another_format() {
    let bytes = fs::read(fixture("source.png")).unwrap();
    let message = decode_named(&bytes, "field/IMG_1.JPG").unwrap_err().to_string();
    assert_eq!(message, "field/IMG_1.JPG: the name says .JPG but the content is PNG; rename the file");
    let options = DecodeOptions { any_extension: true, ..DecodeOptions::default() };
    assert!(decode_bytes(&bytes, Path::new("IMG_1.JPG"), &options).is_ok());
    assert!(decode_named(&bytes, "IMG_1.jpg_original").is_ok());
    assert!(decode_named(&bytes, "IMG_1").is_ok());
}

#[test]
fn files_that_are_not_images_are_named() {
    let error = decode(Path::new("/nonexistent/photo.jpg"), &DecodeOptions::default()).unwrap_err();
    assert!(matches!(error, PixelError::Read { .. }), "{error}");
    assert!(error.to_string().starts_with("/nonexistent/photo.jpg: cannot read the image: "), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let error = decode(folder.path(), &DecodeOptions::default()).unwrap_err();
    assert!(matches!(error, PixelError::NotAFile { .. }), "{error}");
    let message = decode_named(b"a,b\n1,2\n", "table.png").unwrap_err().to_string();
    assert_eq!(message, "table.png: not a JPEG, PNG, TIFF, WebP or BMP image (its first bytes are 61 2c 62 0a 31 2c 32 0a)");
    let message = decode_named(b"", "empty.png").unwrap_err().to_string();
    assert!(message.ends_with("(its first bytes are none: the file is empty)"), "{message}");
}

#[test]
fn a_pipe_is_refused_without_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe.jpg");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0).unwrap();
    let error = decode(&path, &DecodeOptions::default()).unwrap_err();
    assert!(matches!(error, PixelError::NotAFile { .. }), "{error}");
}

#[test]
fn a_file_above_the_byte_limit_is_refused() {
    let options = DecodeOptions { max_bytes: 100, ..DecodeOptions::default() };
    let error = decode(&fixture("source.png"), &options).unwrap_err();
    assert!(matches!(error, PixelError::FileTooLarge { limit: 100, .. }), "{error}");
}

proptest::proptest! {
    #[test]
    fn damaged_bytes_never_panic(
        file in 0usize..6,
        changes in proptest::collection::vec((0usize..100_000, 0u8..=255), 1..20),
    ) {
        let name = ["jpeg_420.jpg", "jpeg_progressive.jpg", "jpeg_restart.jpg", "source.png", "format.tif", "format.webp"][file];
        let mut bytes = fs::read(fixture(name)).unwrap();
        for (place, value) in changes {
            let place = place % bytes.len();
            bytes[place] = value;
        }
        let options = DecodeOptions { max_pixels: 1_000_000, ..DecodeOptions::default() };
        let _ = decode_bytes(&bytes, Path::new(name), &options);
    }
}
