//! Standard output and standard error that cannot be written.

use super::project::{Project, stderr};
use std::fs::OpenOptions;
use std::process::{Output, Stdio};

/// A pipe whose reader has gone away, before anything is written.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// A file that never has room.
fn full() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

fn with(project: &Project, arguments: &[&str], out: Stdio, error: Stdio) -> Output {
    project.command(arguments).stdout(out).stderr(error).spawn().unwrap().wait_with_output().unwrap()
}

/// A module that passes, one that does not check, and tensors to run the first on.
fn project() -> Project {
    let project = Project::new();
    let module = |op: &str| {
        format!(
            "Module(\n    inputs: {{ \"x\": F32([\"batch\", 4]) }},\n    nodes: {{ \"y\": {op} }},\n    outputs: {{ \"y\": \"y\" }},\n)\n"
        )
    };
    std::fs::write(project.path().join("good.ron"), module("Linear(from: \"x\", units: 2)")).unwrap();
    std::fs::write(project.path().join("bad.ron"), module("Linear(from: \"z\", units: 2)")).unwrap();
    let x = sward::Tensor::f32(&[1, 4], vec![1.0; 4]);
    sward::parameters::write_tensors(&project.path().join("x.safetensors"), &[("x".to_owned(), x)]).unwrap();
    project
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let project = project();
    for arguments in [
        &["devices"][..],
        &["devices", "--format", "json"],
        &["test", "good.ron"],
        &["bench", "good.ron", "--dim", "batch=1", "--runs", "1"],
        &["show", "good.ron"],
        &["schema"],
        &["--help"],
        &["check", "good.ron"],
        &["run", "good.ron", "--inputs", "x.safetensors", "--outputs", "y.safetensors"],
    ] {
        let output = with(&project, arguments, closed(), Stdio::piped());
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{arguments:?}");
    }
    for (arguments, code) in [
        (&["check", "bad.ron"][..], 1),
        (&["show", "bad.ron"], 1),
        (&["show", "good.ron", "--dim", "wrong=1"], 2),
        (&["test", "bad.ron"], 1),
        (&["runs", "nowhere"], 2),
        (&["--wrong"], 2),
        (&["bench", "good.ron", "--dim", "batch=1", "--runs", "1", "--profile"], 0),
        (&["train", "experiment.ron", "--epochs", "1"], 0),
    ] {
        let output = with(&project, arguments, closed(), closed());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn a_result_that_has_no_room_is_a_fault() {
    let project = project();
    let run = project.train("runs", &["--epochs", "1"]);
    let run = run.to_str().unwrap();
    for arguments in [
        &["eval", run, "--format", "json"][..],
        &["train", "experiment.ron", "--epochs", "1", "--quiet", "--output", "more"],
        &["devices"],
        &["show", "good.ron"],
        &["bench", "good.ron", "--dim", "batch=1", "--runs", "1"],
        &["--help"],
    ] {
        let output = with(&project, arguments, full(), Stdio::piped());
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {}", stderr(&output));
        let told = stderr(&output);
        assert!(
            told.lines().last().unwrap().starts_with("error: standard output could not be written: "),
            "{arguments:?}: {told}"
        );
    }
    // What was found counts more, and standard error has nobody to tell.
    assert_eq!(with(&project, &["check", "bad.ron", "--format", "json"], full(), Stdio::piped()).status.code(), Some(1));
    assert_eq!(with(&project, &["check", "bad.ron"], Stdio::piped(), full()).status.code(), Some(1));
    assert_eq!(with(&project, &["check", "good.ron"], Stdio::piped(), full()).status.code(), Some(0));
}
