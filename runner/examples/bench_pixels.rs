//! Measures decode, resize and augmentation of one photograph on one core; `bench_pixels.py` beside it measures Pillow and torchvision.
//!
//! ```text
//! cargo run --release --example bench_pixels -- photo.jpg
//! ```

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use sward::pixels::{
    ColorJitter, DecodeOptions, DrawKey, HorizontalFlip, Interpolation, Normalize, Pipeline, RandomResizedCrop, View, Views,
    decode_bytes, resize,
};

/// The least of several times, in milliseconds.
fn milliseconds(mut work: impl FnMut(u32)) -> f64 {
    let mut least = f64::INFINITY;
    for run in 0..15 {
        let start = Instant::now();
        work(run);
        least = least.min(start.elapsed().as_secs_f64() * 1e3);
    }
    least
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: bench_pixels PHOTO.jpg")?;
    let (path, bytes) = (Path::new(&path), std::fs::read(&path)?);
    let whole = DecodeOptions::default();
    // A crop of a quarter of the area still has twice the pixels that a side of 224 needs.
    let reduced = DecodeOptions { at_least: Some(2 * 2 * 224), ..whole };
    let picture = decode_bytes(&bytes, path, &whole)?;
    println!("{picture:?}, {} bytes", bytes.len());
    println!("decode whole       {:7.1} ms", milliseconds(|_| drop(black_box(decode_bytes(&bytes, path, &whole)))));
    println!("decode reduced     {:7.1} ms", milliseconds(|_| drop(black_box(decode_bytes(&bytes, path, &reduced)))));
    for (name, size, filter) in [
        ("bilinear 224", 224, Interpolation::Bilinear),
        ("bicubic 224", 224, Interpolation::Bicubic),
        ("lanczos 768", 768, Interpolation::Lanczos3),
    ] {
        let time = milliseconds(|_| drop(black_box(resize(&picture, (size, size), filter))));
        println!("resize {name:12}{time:7.1} ms");
    }
    let crop = RandomResizedCrop { scale: (0.25, 1.0), ..RandomResizedCrop::new(224, 224) };
    let jitter = ColorJitter { brightness: 0.2, contrast: 0.2, saturation: 0.2, hue: 0.05 };
    let pipeline = Pipeline { steps: vec![crop.into(), HorizontalFlip { p: 0.5 }.into(), jitter.into()] };
    let normalize = Normalize::imagenet();
    for (name, options) in [("whole", &whole), ("reduced", &reduced)] {
        let time = milliseconds(|sample| {
            let key = DrawKey { seed: 42, epoch: 0, sample, node: 0 };
            let planes = decode_bytes(&bytes, path, options)
                .and_then(|picture| pipeline.apply(picture, key))
                .and_then(|picture| normalize.apply(&picture));
            drop(black_box(planes));
        });
        println!("decode {name:8}+ augment {time:7.1} ms");
    }
    let views = Views {
        views: vec![View::Global, View::Grid { rows: 3, columns: 3, overlap: 0.2 }, View::Sides],
        height: 224,
        width: 224,
        interpolation: Interpolation::Bilinear,
    };
    // A tile of the grid spans 1 / 2.6 of a side.
    let tiles = DecodeOptions { at_least: Some(224 * 26 / 5), ..whole };
    for (name, options) in [("whole", &whole), ("reduced", &tiles)] {
        let time = milliseconds(|_| {
            let planes = decode_bytes(&bytes, path, options).and_then(|picture| {
                views.apply(&picture)?.iter().map(|view| normalize.apply(view)).collect::<Result<Vec<_>, _>>()
            });
            drop(black_box(planes));
        });
        println!("decode {name:8}+ {} views {time:7.1} ms", views.count());
    }
    Ok(())
}
