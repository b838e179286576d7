//! What holds for every transform: shapes as declared, numbers by key alone, and the laws of flips and tiles.

use proptest::prelude::*;

use super::*;

/// One of each transform, with parameters that change something.
fn every_step(side: usize) -> Vec<Step> {
    let noise = GaussianNoise { mean: 0.0, sigma: (0.05, 0.1) };
    vec![
        Resize { height: 9, width: 13, interpolation: Interpolation::Bicubic }.into(),
        ResizeShorter { size: 11, interpolation: Interpolation::Lanczos3 }.into(),
        Crop { top: 1, left: 2, height: side / 2, width: side / 3 }.into(),
        CenterCrop { height: side / 2, width: side - 1 }.into(),
        RandomCrop { height: side / 2, width: side / 2 }.into(),
        RandomResizedCrop::new(10, 12).into(),
        HorizontalFlip { p: 0.5 }.into(),
        VerticalFlip { p: 0.5 }.into(),
        Transpose { p: 0.5 }.into(),
        Rotate90 { turns: 3 }.into(),
        RandomRotate90 { p: 0.8 }.into(),
        RandomAffine {
            degrees: (-30.0, 30.0),
            translate: (0.1, 0.2),
            scale: (0.8, 1.2),
            shear_x: (-5.0, 5.0),
            ..RandomAffine::default()
        }
        .into(),
        Brightness { factor: (0.7, 1.3) }.into(),
        Contrast { factor: (0.7, 1.3) }.into(),
        Saturation { factor: (0.7, 1.3) }.into(),
        ColorJitter { brightness: 0.3, contrast: 0.3, saturation: 0.3, hue: 0.1 }.into(),
        HueSaturationValue::default().into(),
        GaussianBlur { kernel_size: 5, sigma: (0.5, 2.0) }.into(),
        noise.into(),
        GridDistortion::default().into(),
        ElasticTransform { sigma: 2.0, ..ElasticTransform::default() }.into(),
        CoarseDropout::default().into(),
        RandomErasing { p: 0.9, ..RandomErasing::default() }.into(),
        Timestamp::default().into(),
        LightSpot::default().into(),
        Maybe { p: 0.5, steps: vec![noise.into(), VerticalFlip { p: 0.5 }.into()] }.into(),
        OneOf { steps: vec![noise.into(), LightSpot::default().into()], weights: vec![1.0, 2.0] }.into(),
        Clean { p: 0.3, steps: vec![noise.into()] }.into(),
    ]
}

fn any_picture() -> impl Strategy<Value = Picture> {
    (1usize..40, 1usize..40, prop_oneof![Just(1usize), Just(3usize)]).prop_flat_map(|(height, width, channels)| {
        proptest::collection::vec(any::<u8>(), height * width * channels)
            .prop_map(move |data| Picture::new(height, width, channels, data).unwrap())
    })
}

fn square(side: usize, channels: usize, seed: u32) -> Picture {
    let mut draws = draws(seed);
    let data = (0..side * side * channels).map(|_| draws.word() as u8).collect();
    Picture::new(side, side, channels, data).unwrap()
}

#[test]
fn the_list_of_steps_is_whole() {
    let names: Vec<&str> = every_step(20).iter().map(Step::name).collect();
    assert_eq!(names, Step::NAMES);
}

#[test]
fn every_step_gives_the_shape_that_it_declares() {
    for side in [12, 17, 40] {
        for channels in [1, 3] {
            for step in every_step(side) {
                for seed in 0..20 {
                    let picture = square(side, channels, seed);
                    let declared = step.shape(picture.shape()).unwrap();
                    let result = step.apply(picture, &mut draws(seed)).unwrap();
                    assert_eq!(result.shape(), declared, "{} of {side} with {channels} channels", step.name());
                }
            }
        }
    }
}

#[test]
fn every_random_step_varies_with_the_sample_and_repeats_with_the_key() {
    let picture = square(24, 3, 1);
    let fixed = ["Resize", "ResizeShorter", "Crop", "CenterCrop", "Rotate90"];
    for step in every_step(24) {
        let results: Vec<Picture> = (0..40).map(|sample| step.apply(picture.clone(), &mut draws(sample)).unwrap()).collect();
        let varies = results.iter().any(|result| *result != results[0]);
        assert_eq!(varies, !fixed.contains(&step.name()), "{}", step.name());
        // Any order, and another thread, give the same.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for sample in (0..40).rev() {
                    let again = step.apply(picture.clone(), &mut draws(sample)).unwrap();
                    assert_eq!(again, results[sample as usize], "{} of sample {sample}", step.name());
                }
            });
        });
    }
}

#[test]
fn a_pipeline_gives_each_step_numbers_of_its_own() {
    let picture = square(24, 3, 2);
    let key = DrawKey { seed: 1, epoch: 2, sample: 3, node: 10 };
    let flips = |before: Step| Pipeline { steps: vec![before, GaussianNoise::default().into()] };
    let brightness = Brightness { factor: (1.0, 1.0) };
    let one = flips(brightness.into()).apply(picture.clone(), key).unwrap();
    // A first step that draws more leaves the second step's numbers alone.
    let jitter = ColorJitter::default();
    let other = flips(jitter.into()).apply(picture, key).unwrap();
    assert_eq!(one, other);
}

#[test]
fn pictures_of_one_pixel_survive_every_step_that_accepts_them() {
    for step in every_step(24) {
        for channels in [1, 3] {
            let picture = square(1, channels, 0);
            if step.shape(picture.shape()).is_ok() {
                step.apply(picture, &mut draws(5)).unwrap();
            } else {
                assert!(step.apply(picture, &mut draws(5)).is_err(), "{}", step.name());
            }
        }
    }
}

#[test]
fn steps_read_from_ron_and_refuse_unknown_fields() {
    let options = ron::Options::default().with_default_extension(ron::extensions::Extensions::UNWRAP_VARIANT_NEWTYPES);
    let pipeline: Pipeline = options
        .from_str("(steps: [RandomResizedCrop(height: 224, width: 224), Clean(p: 0.1, steps: [HorizontalFlip()])])")
        .unwrap();
    assert_eq!(pipeline.steps[0], RandomResizedCrop::new(224, 224).into());
    let error = options.from_str::<Pipeline>("(steps: [HorizontalFlip(q: 0.5)])").unwrap_err();
    assert!(error.to_string().contains('q'), "{error}");
}

#[test]
fn a_shape_that_depends_on_chance_is_refused() {
    let shape = Shape::known(3, 30, 40);
    let resize = Resize { height: 8, width: 8, interpolation: Interpolation::Bilinear };
    let message = Maybe { p: 0.5, steps: vec![resize.into()] }.shape(shape).unwrap_err().to_string();
    assert_eq!(
        message,
        "Maybe: its steps turn (3, 30, 40) into (3, 8, 8), so the shape would depend on chance; move the resize or crop out"
    );
    assert!(Transpose { p: 0.5 }.shape(shape).is_err());
    assert!(RandomRotate90 { p: 0.5 }.shape(Shape::any_size(3)).is_err());
    assert!(OneOf { steps: vec![resize.into(), HorizontalFlip { p: 0.5 }.into()], weights: vec![] }.shape(shape).is_err());
}

#[test]
fn a_crop_larger_than_the_picture_is_refused() {
    let message = CenterCrop { height: 30, width: 50 }.shape(Shape::known(3, 30, 40)).unwrap_err().to_string();
    assert_eq!(message, "CenterCrop: a crop that reaches row 30 and column 50 does not fit into (3, 30, 40)");
    assert!(CenterCrop { height: 30, width: 50 }.apply(square(20, 3, 0), &mut draws(0)).is_err());
    let message = Crop { top: usize::MAX, left: 0, height: 2, width: 2 }.shape(Shape::known(3, 30, 40)).unwrap_err();
    assert!(message.to_string().contains("does not fit"), "{message}");
}

#[test]
fn random_resized_crops_keep_to_their_area_and_aspect() {
    let crop = RandomResizedCrop { scale: (0.2, 0.5), ..RandomResizedCrop::new(8, 8) };
    let mut draws = draws(0);
    for _ in 0..1000 {
        let region = crop.region(300, 400, &mut draws);
        let area = (region.height * region.width) as f64 / (300.0 * 400.0);
        let aspect = region.width as f64 / region.height as f64;
        assert!((0.195..0.505).contains(&area), "{region:?}");
        assert!((0.74..1.345).contains(&aspect), "{region:?}");
        assert!(region.top + region.height <= 300 && region.left + region.width <= 400);
    }
}

#[test]
fn erasing_planes_zeroes_one_rectangle_in_every_channel() {
    let mut planes = Planes::new(3, 20, 30, vec![1.0; 1800]).unwrap();
    let erasing = RandomErasing { p: 1.0, ..RandomErasing::default() };
    let region = erasing.region(20, 30, &mut draws(4)).unwrap();
    erasing.erase_planes(&mut planes, &mut draws(4));
    let zeros = planes.data.iter().filter(|&&value| value == 0.0).count();
    assert_eq!(zeros, 3 * region.height * region.width);
    assert!(zeros > 0);
}

#[test]
fn a_timestamp_is_legible_and_inside() {
    let mut picture = Picture::filled(9, 14, &[0, 0, 0]).unwrap();
    draw_text(&mut picture, "1:", 1, 1, 1, (255, 140, 0));
    let text: Vec<String> =
        (0..9).map(|row| (0..14).map(|column| if picture.pixel(row, column)[0] == 255 { '#' } else { '.' }).collect()).collect();
    assert_eq!(
        text,
        [
            "..............",
            "...#..........",
            "..##....##....",
            "...#....##....",
            "...#..........",
            "...#....##....",
            "...#....##....",
            "..###.........",
            "..............",
        ]
    );
    let black = Picture::filled(400, 600, &[0, 0, 0]).unwrap();
    let stamped = Timestamp { height: (0.03, 0.03), ..Timestamp::default() }.apply(black, &mut draws(0)).unwrap();
    let lit = stamped.data().chunks_exact(3).filter(|pixel| *pixel == [255, 140, 0]).count();
    assert!((400..4000).contains(&lit), "{lit}");
}

#[test]
fn a_light_spot_is_brightest_at_its_centre() {
    let spot = light_spot(Picture::filled(21, 21, &[100]).unwrap(), (10.5, 10.5), 4.0, 0.5);
    assert_eq!(spot.pixel(10, 10)[0], 178); // 100 + 155 * 0.5, rounded
    assert_eq!(spot.pixel(10, 14)[0], 147); // 100 + 77.5 * exp(-1/2)
    assert!(spot.pixel(0, 0)[0] < 102);
}

#[test]
fn noise_has_the_deviation_that_was_asked() {
    let grey = Picture::filled(100, 100, &[128, 128, 128]).unwrap();
    let noisy = GaussianNoise { mean: 0.02, sigma: (0.05, 0.05) }.apply(grey, &mut draws(3)).unwrap();
    let count = noisy.data().len() as f64;
    let mean = noisy.data().iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    let variance = noisy.data().iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
    assert!((mean - 133.1).abs() < 0.3, "{mean}");
    assert!((variance.sqrt() - 12.75).abs() < 0.25, "{}", variance.sqrt());
}

#[test]
fn clean_skips_all_steps_together() {
    let picture = square(16, 3, 0);
    let steps: Vec<Step> = vec![Brightness { factor: (0.5, 0.5) }.into(), GaussianNoise::default().into()];
    let clean = Clean { p: 0.25, steps };
    let untouched = (0..2000).filter(|&sample| clean.apply(picture.clone(), &mut draws(sample)).unwrap() == picture).count();
    assert!((430..570).contains(&untouched), "{untouched} of 2000");
}

#[test]
fn one_of_follows_its_weights() {
    let picture = Picture::filled(4, 4, &[100]).unwrap();
    let brightness = |factor| Step::from(Brightness { factor: (factor, factor) });
    let choice = OneOf { steps: vec![brightness(0.5), brightness(2.0), brightness(0.0)], weights: vec![1.0, 3.0, 0.0] };
    let doubled = (0..2000)
        .map(|sample| choice.apply(picture.clone(), &mut draws(sample)).unwrap().data()[0])
        .inspect(|level| assert!(matches!(level, 50 | 200), "{level}"))
        .filter(|&level| level == 200)
        .count();
    assert!((1420..1580).contains(&doubled), "{doubled} of 2000");
}

#[test]
fn a_photograph_of_two_to_one_makes_two_squares() {
    let wide = Picture::new(10, 20, 1, (0..200).map(|index| (index % 20) as u8).collect()).unwrap();
    let tiles = Tiles { rows: 1, columns: 2, overlap: 0.0, height: 10, width: 10, interpolation: Interpolation::Nearest };
    let tiles = tiles.apply(&wide).unwrap();
    assert_eq!(tiles[0].row(0), (0..10).collect::<Vec<u8>>());
    assert_eq!(tiles[1].row(9), (10..20).collect::<Vec<u8>>());
    let views = Views { views: vec![View::Sides], height: 10, width: 10, interpolation: Interpolation::Nearest };
    assert_eq!(views.apply(&wide).unwrap(), tiles);
}

#[test]
fn views_come_in_their_order_and_number() {
    let views = Views {
        views: vec![View::Global, View::Grid { rows: 2, columns: 3, overlap: 0.25 }, View::Center { share: 0.5 }, View::Sides],
        height: 7,
        width: 5,
        interpolation: Interpolation::Bilinear,
    };
    let picture = square(40, 3, 0);
    let results = views.apply(&picture).unwrap();
    assert_eq!((results.len(), views.count()), (10, 10));
    assert_eq!(results[0], resize(&picture, (7, 5), Interpolation::Bilinear).unwrap());
    let middle = picture.region(Region { top: 10, left: 10, height: 20, width: 20 }).unwrap();
    assert_eq!(results[7], resize(&middle, (7, 5), Interpolation::Bilinear).unwrap());
    assert!(results.iter().all(|result| result.shape() == Shape::known(3, 7, 5)));
}

proptest! {
    #[test]
    fn flipping_or_transposing_twice_changes_nothing(picture in any_picture()) {
        prop_assert_eq!(&flip_horizontal(flip_horizontal(picture.clone())), &picture);
        prop_assert_eq!(&flip_vertical(flip_vertical(picture.clone())), &picture);
        prop_assert_eq!(&transpose(&transpose(&picture)), &picture);
        prop_assert_eq!(&(0..4).fold(picture.clone(), |picture, _| rotate_quarters(picture, 1)), &picture);
        prop_assert_eq!(rotate_quarters(picture.clone(), 2), flip_horizontal(flip_vertical(picture)));
    }

    #[test]
    fn a_quarter_turn_moves_the_last_column_to_the_first_row(picture in any_picture()) {
        let turned = rotate_quarters(picture.clone(), 1);
        for row in 0..picture.height() {
            prop_assert_eq!(turned.pixel(0, row), picture.pixel(row, picture.width() - 1));
        }
    }

    #[test]
    fn an_identity_warp_changes_nothing(picture in any_picture()) {
        let map = AffineMap { degrees: 0.0, shift_x: 0.0, shift_y: 0.0, scale: 1.0, shear_x: 0.0, shear_y: 0.0 };
        for filter in [Interpolation::Nearest, Interpolation::Bilinear, Interpolation::Bicubic] {
            prop_assert_eq!(&map.apply(&picture, filter, Border::default()), &picture);
        }
        prop_assert_eq!(&adjust_brightness(picture.clone(), 1.0), &picture);
        prop_assert_eq!(&adjust_saturation(picture.clone(), 1.0), &picture);
    }

    #[test]
    fn one_colour_stays_one_colour(level in any::<u8>(), filter in 0usize..3) {
        let picture = Picture::filled(13, 11, &[level, 255 - level, 7]).unwrap();
        let filter = [Interpolation::Bilinear, Interpolation::Bicubic, Interpolation::Lanczos3][filter];
        let resized = resize(&picture, (5, 29), filter).unwrap();
        prop_assert_eq!(resized, Picture::filled(5, 29, &[level, 255 - level, 7]).unwrap());
        prop_assert_eq!(gaussian_blur(picture.clone(), 5, 1.0), picture);
    }

    #[test]
    fn a_grid_covers_every_pixel_with_tiles_of_one_size(
        height in 1usize..200,
        width in 1usize..200,
        rows in 1usize..8,
        columns in 1usize..8,
        overlap in 0.0f64..0.9,
    ) {
        prop_assume!(rows <= height && columns <= width);
        let regions = grid_regions(height, width, rows, columns, overlap);
        prop_assert_eq!(regions.len(), rows * columns);
        let mut covered = vec![false; height * width];
        for region in &regions {
            prop_assert_eq!((region.height, region.width), (regions[0].height, regions[0].width));
            prop_assert!(region.top + region.height <= height && region.left + region.width <= width);
            for row in region.top..region.top + region.height {
                covered[row * width + region.left..row * width + region.left + region.width].fill(true);
            }
        }
        prop_assert!(covered.into_iter().all(|pixel| pixel));
    }

    #[test]
    fn normalizing_can_be_undone(picture in any_picture()) {
        let normalize = Normalize { mean: vec![0.45], std: vec![0.22] };
        prop_assert_eq!(normalize.invert(&normalize.apply(&picture).unwrap()).unwrap(), picture);
    }
}
