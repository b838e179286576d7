//! Schedules, clipping and moving averages against PyTorch and transformers.

use serde_json::Value;
use sward::schedule::{
    Direction, Plateau, PlateauSettings, Schedule, Shape, Threshold, Warmup, clip_factor, ema_update, global_norm, scale_gradient,
};

use crate::fixture::{close, load, numbers, singles};

const NO_WARMUP: Warmup = Warmup { steps: 0, start_factor: 0.0 };

#[track_caller]
fn compare(name: &str, warmup: Warmup, shape: Shape) {
    let fixture = load("schedule/schedule.json");
    let base = fixture["base"].as_f64().unwrap();
    let schedule = Schedule { warmup, shape };
    schedule.validate().unwrap();
    let expected = numbers(&fixture[name]);
    assert!(expected.len() >= 5);
    for (step, expected) in expected.into_iter().enumerate() {
        let found = schedule.rate(base, step as u64);
        assert!((found - expected).abs() <= 1e-12 * base, "{name}, step {step}: found {found}, expected {expected}");
    }
}

#[test]
fn rates_equal_the_schedulers_of_pytorch_and_transformers() {
    compare("constant", NO_WARMUP, Shape::Constant);
    compare("cosine", NO_WARMUP, Shape::Cosine { steps: 50, minimum: 1e-5 });
    let warmup = |start_factor| Warmup { steps: 7, start_factor };
    compare("cosine_with_warmup", warmup(0.0), Shape::Cosine { steps: 43, minimum: 0.0 });
    compare("warm_then_cosine", warmup(0.1), Shape::Cosine { steps: 43, minimum: 1e-5 });
    compare("warm_restarts", NO_WARMUP, Shape::WarmRestarts { cycles: vec![10, 20, 40], minimum: 1e-5 });
    compare("warm_restarts_even", NO_WARMUP, Shape::WarmRestarts { cycles: vec![15], minimum: 0.0 });
    let one_cycle = |steps, rise, start_divisor, end_divisor| Shape::OneCycle { steps, rise, start_divisor, end_divisor };
    compare("one_cycle", NO_WARMUP, one_cycle(60, 0.3, 25.0, 1e4));
    compare("one_cycle_custom", NO_WARMUP, one_cycle(41, 0.2, 10.0, 100.0));
    compare("step", NO_WARMUP, Shape::Step { every: 7, gamma: 0.3 });
    compare("multi_step", NO_WARMUP, Shape::MultiStep { milestones: vec![30, 5, 11], gamma: 0.2 });
}

#[test]
fn plateaus_lower_the_rate_where_pytorch_does() {
    let fixture = load("schedule/schedule.json");
    let base = fixture["base"].as_f64().unwrap();
    for (mode, direction) in [("min", Direction::Minimize), ("max", Direction::Maximize)] {
        for (kind, threshold_kind) in [("rel", Threshold::Relative), ("abs", Threshold::Absolute)] {
            let case = &fixture["plateau"][format!("{mode}_{kind}")];
            let settings = PlateauSettings {
                factor: 0.3,
                patience: 3,
                threshold: 0.01,
                threshold_kind,
                cooldown: 2,
                minimum: 1e-5,
                ..PlateauSettings::new(direction)
            };
            let mut plateau = Plateau::new(settings);
            let expected = numbers(&case["rates"]);
            assert!(expected.last().unwrap() < &(base / 5.0), "the fixture has reductions");
            for (step, (metric, expected)) in numbers(&case["metrics"]).into_iter().zip(expected).enumerate() {
                plateau.observe(metric);
                let found = plateau.rate(base);
                assert!((found - expected).abs() < 1e-15, "{mode} {kind} {step}: {found} {expected}");
            }
        }
    }
}

#[test]
fn clipping_equals_clip_grad_norm() {
    for case in load("schedule/schedule.json")["clipping"].as_array().unwrap() {
        let mut gradients: Vec<Vec<f32>> = case["gradients"].as_array().unwrap().iter().map(singles).collect();
        let norm = global_norm(gradients.iter().map(Vec::as_slice));
        close(norm, &case["norm"], 1e-6);
        let factor = clip_factor(norm, case["max_norm"].as_f64().unwrap());
        for (gradient, expected) in gradients.iter_mut().zip(case["clipped"].as_array().unwrap()) {
            scale_gradient(gradient, factor);
            for (found, expected) in gradient.iter().zip(expected.as_array().unwrap()) {
                close(f64::from(*found), expected, 1e-6);
            }
        }
    }
}

#[test]
fn moving_averages_equal_pytorch() {
    let case = &load("schedule/schedule.json")["ema"];
    let rows = |value: &Value| value.as_array().unwrap().iter().map(singles).collect::<Vec<_>>();
    let (weights, averages) = (rows(&case["weights"]), rows(&case["averages"]));
    // AveragedModel starts from a copy of the first weights.
    let mut average = weights[0].clone();
    for (step, (weights, expected)) in weights.iter().zip(&averages).enumerate() {
        if step > 0 {
            ema_update(&mut average, weights, case["decay"].as_f64().unwrap());
        }
        for (found, expected) in average.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "step {step}: {found} {expected}");
        }
    }
}
