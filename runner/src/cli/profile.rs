//! Where the time of a plan goes, as a table.

use sward_kernels::InstructionTime;

/// The profile as a table: by kernel, then the slowest nodes.
pub fn profile(times: &[InstructionTime]) -> String {
    let total: f64 = times.iter().map(|time| time.seconds).sum();
    let mut groups: Vec<(String, f64, f64, f64, usize)> = Vec::new();
    for time in times {
        let key = format!("{} ({})", time.name, time.kernel);
        let runs = time.runs.max(1) as f64;
        let entry = match groups.iter_mut().find(|group| group.0 == key) {
            Some(entry) => entry,
            None => {
                groups.push((key, 0.0, 0.0, 0.0, 0));
                groups.last_mut().expect("just pushed")
            }
        };
        entry.1 += time.seconds;
        entry.2 += time.flops * runs;
        entry.3 += time.bytes * runs;
        entry.4 += 1;
    }
    groups.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut text = format!("{:<44} {:>6} {:>7} {:>10} {:>8}\n", "primitive (kernel)", "count", "share", "GFLOP/s", "GB/s");
    for (name, seconds, flops, bytes, count) in &groups {
        let rate = |amount: f64| if *seconds > 0.0 { amount / seconds * 1e-9 } else { 0.0 };
        text +=
            &format!("{name:<44} {count:>6} {:>6.1}% {:>10.0} {:>8.1}\n", 100.0 * seconds / total, rate(*flops), rate(*bytes));
    }
    let mut slowest: Vec<&InstructionTime> = times.iter().collect();
    slowest.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    text += "slowest nodes\n";
    for time in slowest.iter().take(12) {
        text += &format!("  {:>5.1}%  {} {}\n", 100.0 * time.seconds / total, time.name, time.path);
    }
    text
}
