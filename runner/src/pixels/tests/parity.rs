//! Values against Pillow, torchvision, OpenCV and albumentations; `tests/fixtures/pixels/make.py` makes the fixtures.

use super::*;

const FILTERS: [(&str, Interpolation); 4] = [
    ("nearest", Interpolation::Nearest),
    ("bilinear", Interpolation::Bilinear),
    ("bicubic", Interpolation::Bicubic),
    ("lanczos3", Interpolation::Lanczos3),
];

#[test]
fn resizing_equals_pillow_to_the_bit() {
    let (source, wide) = (load("source.png"), load("wide.png"));
    for (name, filter) in FILTERS {
        let check = |actual: Picture, case: &str| {
            let file = format!("resize_{name}_{case}.png");
            let expected = if actual.channels() == 1 { load_grey(&file) } else { load(&file) };
            assert_eq!(difference(&actual, &expected), (0, 0.0), "{file}");
        };
        check(resize(&wide, (23, 31), filter).unwrap(), "down");
        check(resize(&source, (71, 97), filter).unwrap(), "up");
        check(resize(&wide, (101, 40), filter).unwrap(), "mixed");
        let region = Region { top: 7, left: 11, height: 73, width: 109 };
        check(resize_region(&wide, region, (29, 29), filter).unwrap(), "crop");
        check(resize(&wide.to_grey(), (23, 31), filter).unwrap(), "grey");
    }
}

#[test]
fn affine_equals_torchvision_on_pillow_images() {
    let source = load("source.png");
    let map = AffineMap { degrees: 17.0, shift_x: 5.0, shift_y: -3.0, scale: 1.2, shear_x: 8.0, shear_y: -6.0 };
    for (name, filter) in &FILTERS[..3] {
        let actual = map.apply(&source, *filter, Border::Fill(10, 200, 30));
        assert_within_one(&actual, &load(&format!("affine_{name}.png")), name);
    }
}

#[test]
fn colour_equals_torchvision() {
    let source = load("source.png");
    let cases = [
        (adjust_brightness(source.clone(), 1.4), "brightness"),
        (adjust_contrast(source.clone(), 1.7), "contrast"),
        (adjust_contrast(source.clone(), 0.4), "contrast_low"),
        (adjust_saturation(source.clone(), 1.8), "saturation"),
        (adjust_hue(source.clone(), 0.13), "hue"),
        (adjust_hue(source.clone(), -0.4), "hue_back"),
    ];
    for (actual, name) in cases {
        assert_within_one(&actual, &load(&format!("{name}.png")), name);
    }
}

#[test]
fn hue_saturation_value_equals_albumentations() {
    let source = load("source.png");
    assert_within_one(&shift_hsv(source.clone(), 13, 25, -17), &load("hsv.png"), "hsv");
    assert_within_one(&shift_hsv(source, -40, -60, 30), &load("hsv_back.png"), "hsv_back");
}

#[test]
fn blur_equals_torchvision() {
    assert_within_one(&gaussian_blur(load("source.png"), 7, 1.6), &load("blur.png"), "blur");
}

#[test]
fn displacement_equals_torchvision_away_from_the_border() {
    let source = load("source.png");
    let (height, width) = (source.height(), source.width());
    let field = |value: &dyn Fn(f32, f32) -> f32| -> Vec<f32> {
        (0..height * width).map(|index| value((index / width) as f32, (index % width) as f32)).collect()
    };
    let x = field(&|row, _| 3.0 * (row / 7.0).sin());
    let y = field(&|_, column| 2.0 * (column / 9.0).cos());
    let actual = displace(&source, &x, &y, Interpolation::Bilinear, Border::Fill(10, 200, 30));
    // torchvision blends the fill into the outermost half pixel; Pillow's rule, used here, does not.
    let region = Region { top: 4, left: 4, height: height - 8, width: width - 8 };
    let expected = load("elastic.png").region(region).unwrap();
    assert_within_one(&actual.region(region).unwrap(), &expected, "elastic");
}

#[test]
fn normalize_equals_torchvision_to_the_bit() {
    let planes = Normalize::imagenet().apply(&load("source.png")).unwrap();
    let bytes = std::fs::read(fixture("normalize.bin")).unwrap();
    let (expected, _) = bytes.as_chunks::<4>();
    for (index, expected) in expected.iter().enumerate() {
        let (channel, row, column) = (index / 64, index / 8 % 8, index % 8);
        let actual = planes.data[(channel * planes.height + row) * planes.width + column];
        assert_eq!(actual, f32::from_le_bytes(*expected), "channel {channel}, row {row}, column {column}");
    }
}

#[test]
fn grey_equals_pillow() {
    assert_eq!(load("source.png").to_grey(), load_grey("grey.png"));
}

#[test]
fn a_grid_of_even_steps_changes_nothing() {
    let source = load("source.png");
    let (columns, rows) = (grid_axis(source.width(), &[1.0; 5]), grid_axis(source.height(), &[1.0; 3]));
    let same = warp(&source, Interpolation::Bilinear, Border::Reflect, |row, column| (columns[column], rows[row]));
    assert_eq!(same, source);
}

#[test]
fn a_grid_of_uneven_steps_stretches_its_first_cell() {
    // The first half of the result takes three quarters of the source.
    let axis = grid_axis(8, &[3.0, 1.0]);
    assert_eq!(axis, [0.75, 2.25, 3.75, 5.25, 6.25, 6.75, 7.25, 7.75]);
}
