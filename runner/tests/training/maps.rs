//! Maps of a run: what an attention looked at, from the graph to the report.

use std::path::Path;
use std::process::Command;

fn sward(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sward")).current_dir(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_weights_of_an_attention_are_written_for_every_tile_and_drawn_in_the_report() {
    let above = tempfile::tempdir().unwrap();
    sward(above.path(), &["init", "pasture", "--template", "pasture", "--samples", "20"]);
    let project = above.path().join("pasture");
    let settings =
        ["data.fields.photo.params.size=32", "train.epochs=6", "train.schedule=Cosine()", "train.optimizer.lr=0.02", "folds.k=3"];
    let sets = settings.iter().flat_map(|setting| ["--set", *setting]);
    let arguments: Vec<&str> =
        ["train", "experiment.ron", "--quiet", "--output", "runs", "--swap", "model.pool=pooling/cross_attention.ron"]
            .into_iter()
            .chain(sets)
            .collect();
    sward(&project, &arguments);
    let mut runs = std::fs::read_dir(project.join("runs/experiment")).unwrap().map(|entry| entry.unwrap().path());
    let run = runs.find(|run| run.join("run.json").is_file()).unwrap();
    let text = std::fs::read_to_string(run.join("maps.csv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("row,photo.0,photo.1,photo.2,photo.3"));
    let rows: Vec<Vec<f64>> = lines.map(|line| line.split(',').skip(1).map(|cell| cell.parse().unwrap()).collect()).collect();
    assert!(rows.len() >= 4, "{text}");
    for row in &rows {
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-5 && row.iter().all(|weight| *weight > 0.0), "{row:?}");
    }
    // A query that looked at nothing in particular would take a quarter of every tile, of every photograph.
    assert!(rows.iter().flatten().any(|weight| (weight - 0.25).abs() > 1e-5), "{text}");
    assert!(rows.iter().any(|row| (row[0] - rows[0][0]).abs() > 1e-5), "{text}");
    sward(&project, &["report", run.to_str().unwrap()]);
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    // Each photograph that it shows has the weights of its four tiles over it.
    let shown = page.matches("Tile weights of ").count();
    assert!(shown > 0 && page.matches(" %</text>").count() == 4 * shown, "{shown} of {} bytes", page.len());
}
