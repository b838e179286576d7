//! The report: everything in one file, nothing loaded, nothing unescaped, and drawn by a real browser where there is one.

use std::path::{Path, PathBuf};
use std::process::Command;

use sward::metrics::{Interval, reliability};
use sward::random::{Lane, Stream};
use sward::report::{
    Ablation, Arm, Calibration, Content, Curve, CurvePanel, Distribution, GroupValues, Predictions, Report, Sample, Section,
    Table, Thumbnail, Tiles,
};

fn section(title: &str, content: Content) -> Section {
    Section { title: title.into(), note: String::new(), content }
}

fn picture(seed: u64) -> Thumbnail {
    let mut stream = Stream::new(seed, Lane { purpose: 90, outer: 0, inner: 0 });
    let image = image::RgbImage::from_fn(160, 80, |x, y| {
        let blade = ((x * 7 + y * 3 + seed as u32 * 11) % 23) as u8;
        image::Rgb([60 + blade * 3, 110 + blade * 4, 50 + (stream.below(40) as u8)])
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    Thumbnail { media_type: "image/jpeg", bytes: bytes.into_inner(), size: (160, 80) }
}

fn interval(estimate: f64, half: f64) -> Interval {
    let (low, high) = (estimate - half, estimate + half);
    Interval { estimate, low, high, standard_error: half / 2.0, level: 0.95, resamples: 2000 }
}

/// A report with every kind of section, as a run on pasture photographs would fill it.
fn full_report() -> Report {
    let mut stream = Stream::new(1, Lane { purpose: 91, outer: 0, inner: 0 });
    let mut curve = |name: &str, start: f64, end: f64| Curve {
        name: name.into(),
        points: (0..60)
            .map(|at| {
                let fall = (-f64::from(at) / 14.0).exp();
                (f64::from(at), end + (start - end) * fall * (1.0 + 0.08 * stream.normal()))
            })
            .collect(),
    };
    let curves = vec![
        CurvePanel {
            title: "loss".into(),
            horizontal: "epoch".into(),
            curves: vec![curve("train/loss", 40.0, 0.4), curve("val/loss", 42.0, 0.6)],
        },
        CurvePanel {
            title: "score".into(),
            horizontal: "epoch".into(),
            curves: vec![curve("val/score", 0.0, 0.74), curve("fold 2: val/score", -0.2, 0.70)],
        },
        CurvePanel { title: "learning rate".into(), horizontal: "epoch".into(), curves: vec![curve("lr", 3e-4, 1e-6)] },
    ];
    let names = ["Dry_Green_g", "Dry_Dead_g", "Dry_Clover_g"];
    let mut truth = |zeros: f64| -> Vec<f64> {
        (0..357).map(|_| if stream.unit() < zeros { 0.0 } else { (3.0 + 0.8 * stream.normal()).exp() }).collect()
    };
    let labels: Vec<Vec<f64>> = vec![truth(0.05), truth(0.1), truth(0.38)];
    let predictions = names
        .iter()
        .zip(&labels)
        .map(|(name, labels)| Predictions {
            target: (*name).into(),
            unit: "g".into(),
            pairs: labels.iter().map(|&label| (label, (label * 0.85 + 3.0 + 4.0 * stream.normal()).max(0.0))).collect(),
            score: "R2 0.81".into(),
        })
        .collect();
    let distributions = names.iter().zip(&labels).enumerate().map(|(at, (name, labels))| Distribution {
        target: (*name).into(),
        unit: "g".into(),
        values: labels.clone(),
        missing: at * 17,
    });
    let confidence: Vec<f32> = (0..400).map(|_| stream.unit() as f32).collect();
    let came_true: Vec<bool> = confidence.iter().map(|&value| stream.unit() < f64::from(value).powf(1.4)).collect();
    let calibration = Calibration {
        title: "Presence of clover".into(),
        bins: reliability(&confidence, &came_true, None, 10).unwrap(),
        error: 0.071,
    };
    let groups = ["Tas, 2015-09-04", "Vic, 2015-10-01", "NSW, 2015-02-24", "WA, 2015-06-29", "Tas, 2015-11-10"];
    let groups = groups.iter().enumerate().map(|(at, name)| ((*name).to_owned(), 20 + at, 9.0 - 1.7 * at as f64)).collect();
    let gallery = (0..6)
        .map(|at| Sample {
            name: format!("train/ID{:09}.jpg", 101_1485 + at * 977),
            picture: picture(at),
            tiles: (at % 2 == 0).then(|| Tiles {
                rows: 2,
                columns: 4,
                weights: (0..8).map(|w| 1.0 + ((w + at) % 5) as f32).collect(),
            }),
            facts: vec![
                ("Dry_Clover_g".into(), "true 12.1, predicted 9.4".into()),
                ("Dry_Dead_g".into(), "true 0, predicted 1.2".into()),
            ],
        })
        .collect();
    let arm = |name: &str, effect: Option<Interval>, seeds: &[f64]| Arm {
        name: name.into(),
        effect,
        seeds: seeds.into(),
        parameters: Some(28_600_000),
        flops: Some(4_470_000_000),
        seconds: effect.map(|_| 612.0),
    };
    let ablation = Ablation {
        metric: "val/score".into(),
        larger_is_better: true,
        base: 0.742,
        arms: vec![
            arm("fusion = fusion/film.ron", Some(interval(0.021, 0.012)), &[0.018, 0.025, 0.02]),
            arm("fusion = fusion/cross_attention.ron", Some(interval(0.006, 0.015)), &[-0.004, 0.012, 0.01]),
            arm("loss = losses/mse.ron, pooling = pooling/gated_attention.ron", Some(interval(-0.043, 0.02)), &[-0.05, -0.04]),
            arm("pooling = pooling/mean.ron", None, &[]),
        ],
    };
    let table = Table {
        head: ["fold", "rows", "R2", "MAE"].map(Into::into).into(),
        rows: vec![["1", "72", "0.731", "6.12"].map(Into::into).into(), ["2", "71", "−0.012", "9.40"].map(Into::into).into()],
    };
    let config = "Experiment(\n    data: \"data/pasture.ron\",\n    train: Train(epochs: 30, batch: 16, seed: 42),\n)\n";
    Report {
        title: "pasture_tweedie".into(),
        subtitle: "Run 20261121T031500Z-1f2e3d4c, 60 epochs, finished 21 November 2026".into(),
        warning: Some("One of 4 arms has not finished: its row is empty.".into()),
        summary: [("val/score", "0.742"), ("Parameters", "28.6 million"), ("Time", "10 min 12 s"), ("Seed", "42")]
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
        sections: vec![
            section("Learning curves", Content::Curves(curves)),
            section("Predictions", Content::Predictions(predictions)),
            section("Error by group", Content::Groups(GroupValues { measure: "MAE (g)".into(), groups })),
            section("Labels", Content::Distributions(distributions.collect())),
            section("Calibration", Content::Calibration(vec![calibration])),
            section("Samples", Content::Gallery(gallery)),
            section("Ablation", Content::Ablation(ablation)),
            section("Folds", Content::Table(table)),
            section("Configuration", Content::Text(config.into())),
        ],
    }
}

#[test]
fn the_page_needs_nothing_else_and_every_link_has_its_end() {
    let report = full_report();
    let html = report.to_html().unwrap();
    for outside in ["http:", "https:", "<script", "@import", "url(", "//cdn"] {
        assert!(!html.contains(outside), "the page holds `{outside}`");
    }
    assert!(html.contains("default-src 'none'"));
    for at in 0..report.sections.len() {
        assert!(html.contains(&format!("href=\"#section-{at}\"")) && html.contains(&format!("id=\"section-{at}\"")));
    }
    // 3 curves, 3 targets twice, groups, 3 distributions, calibration, 3 overlays and the ablation.
    assert_eq!(html.matches("<svg").count(), 3 + 6 + 1 + 3 + 1 + 3 + 1);
    assert_eq!(html.matches("role=\"img\"").count(), html.matches("<svg").count());
    assert_eq!(html.matches("data:image/jpeg;base64,").count(), 6);
    assert!(html.contains("38") && html.contains("missing 34"), "shares of zero and missing labels are told");
    assert!(!html.contains("NaN") && !html.contains(">inf"));
}

#[test]
fn the_same_data_give_the_same_bytes() {
    assert_eq!(full_report().to_html().unwrap(), full_report().to_html().unwrap());
}

#[test]
fn hostile_names_are_text() {
    let evil = "</title><script>alert('x')</script>\"&";
    let report = Report {
        title: evil.into(),
        sections: vec![
            section(evil, Content::Text(evil.into())),
            section("groups", Content::Groups(GroupValues { measure: evil.into(), groups: vec![(evil.into(), 1, 2.0)] })),
            section(
                "targets",
                Content::Predictions(vec![Predictions {
                    target: evil.into(),
                    unit: evil.into(),
                    pairs: vec![(1.0, 2.0)],
                    score: evil.into(),
                }]),
            ),
        ],
        ..Report::default()
    };
    let html = report.to_html().unwrap();
    assert!(!html.contains("<script") && !html.contains("alert('x')\""), "{html}");
    assert_eq!(html.matches("</title>").count(), 1);
}

#[test]
fn empty_and_broken_data_are_drawn_or_named() {
    let one = |content| Report { sections: vec![section("s", content)], ..Report::default() }.to_html();
    let nothing = Predictions { target: "t".into(), unit: String::new(), pairs: vec![], score: String::new() };
    assert!(one(Content::Predictions(vec![nothing.clone()])).unwrap().contains("0 observed labels"));
    assert!(one(Content::Groups(GroupValues { measure: "MAE".into(), groups: vec![] })).unwrap().contains("No group"));
    let gaps = Curve { name: "loss".into(), points: vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0)] };
    let panel = CurvePanel { title: "loss".into(), horizontal: "step".into(), curves: vec![gaps] };
    assert!(one(Content::Curves(vec![panel])).unwrap().contains("<circle"));
    let flat = Distribution { target: "t".into(), unit: String::new(), values: vec![0.0; 5], missing: 0 };
    assert!(one(Content::Distributions(vec![flat])).unwrap().contains("zero 5 (100.0 %)"));

    let bad = Predictions { pairs: vec![(1.0, f64::INFINITY)], ..nothing };
    let error = one(Content::Predictions(vec![bad])).unwrap_err().to_string();
    assert!(error.contains("`t`") && error.contains("predicted inf"), "{error}");
    let ragged = Table { head: vec!["a".into()], rows: vec![vec![]] };
    assert!(one(Content::Table(ragged)).unwrap_err().to_string().contains("0 cells under 1 heads"));
    let tiles = Some(Tiles { rows: 2, columns: 2, weights: vec![1.0] });
    let sample = Sample { name: "p.jpg".into(), picture: picture(1), tiles, facts: vec![] };
    assert!(one(Content::Gallery(vec![sample])).unwrap_err().to_string().contains("1 weights for 2 × 2 tiles"));
}

/// A browser, where one is installed.
fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name))).find(|path| path.is_file())
}

#[test]
fn a_browser_draws_the_page_without_a_complaint() {
    let page = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report.html");
    std::fs::write(&page, full_report().to_html().unwrap()).unwrap();
    let Some(browser) = browser() else {
        eprintln!("no Chromium is installed: the page lies in {}", page.display());
        return;
    };
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    let complaints: Vec<&str> = complaints.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    let dom = String::from_utf8_lossy(&output.stdout);
    assert_eq!(dom.matches("</svg>").count(), 18, "every figure is an element of the page");
    assert!(dom.contains("id=\"section-8\""), "the page was read to its end");
}
