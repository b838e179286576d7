//! Interrupted, killed, and with storage that fails: nothing is lost, and a resumed run has the bits of one that nobody touched.

use super::project::{Project, assert_same, stderr};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use sward::interrupt::Interrupt;
use sward::progress::Verbosity;
use sward::rundir::{Disk, Fault, Faulty, Storage};
use sward::train::{FeatureFolder, Outcome, TrainError, TrainRequest, settings, train};

/// How often processes are killed.
const KILLS: u32 = 200;

#[test]
fn a_run_that_is_killed_again_and_again_ends_with_the_same_bits() {
    let project = Project::new();
    let start = Instant::now();
    let whole = project.train("whole", &[]);
    let length = start.elapsed().as_micros() as u64;
    // Multiples of the golden ratio spread over the length of a run, beginning included.
    let moment = |attempt: u32| Duration::from_micros((u64::from(attempt) * 618_034 % 1_000_000) * length / 1_000_000);
    let (mut kills, mut attempts, mut round) = (0, 0, 0);
    while kills < KILLS && attempts < 10 * KILLS {
        let root = format!("killed{round}");
        round += 1;
        let mut begun = false;
        loop {
            let run = begun.then(|| project.run(&root));
            let mut command = match &run {
                Some(run) => project.command(&["train", "--quiet", "--resume", run.to_str().unwrap()]),
                None => project.command(&["train", "experiment.ron", "--quiet", "--output", &root]),
            };
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            // A run that ends before is not waited for: the first one may have taken long, beside other tests.
            let until = Instant::now() + moment(attempts);
            attempts += 1;
            let ended = loop {
                let ended = child.try_wait().unwrap();
                let left = until.saturating_duration_since(Instant::now());
                if ended.is_some() || left.is_zero() {
                    break ended;
                }
                std::thread::sleep(left.min(Duration::from_millis(2)));
            };
            if ended.is_none() {
                child.kill().unwrap();
                kills += 1;
            }
            let output = child.wait_with_output().unwrap();
            if ended.is_some_and(|status| status.success()) {
                break;
            }
            assert!(ended.is_none(), "a resumed run fails: {}", stderr(&output));
            // Before the first checkpoint there is nothing to go on with: the run begins anew.
            let runs = project.path().join(&root).join("experiment");
            let has_checkpoint = |path: &std::path::Path| path.join("checkpoints/last.safetensors").is_file();
            begun = runs.is_dir() && std::fs::read_dir(&runs).unwrap().any(|entry| has_checkpoint(&entry.unwrap().path()));
            if !begun {
                let _ = std::fs::remove_dir_all(&runs);
            }
        }
        assert_same(&whole, &project.run(&root));
    }
    assert!(kills >= KILLS, "only {kills} of {attempts} processes were killed");
}

#[test]
fn the_first_interrupt_saves_and_ends_with_130() {
    let project = Project::new();
    let whole = project.train("whole", &["--epochs", "400"]);
    let child = project
        .command(&["train", "experiment.ron", "--epochs", "400", "--output", "stopped"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The first checkpoint stands before the first step.
    let runs = project.path().join("stopped/experiment");
    let has_begun = || {
        let mut entries = std::fs::read_dir(&runs).into_iter().flatten().flatten();
        entries.any(|entry| entry.path().join("metrics.jsonl").is_file())
    };
    let start = Instant::now();
    while !has_begun() && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(2));
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("everything is saved") && stderr(&output).contains("--resume"), "{}", stderr(&output));
    let run = project.run("stopped");
    let output = project.sward(&["train", "--quiet", "--resume", run.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_same(&whole, &run);
}

/// Trains in this process.
pub fn train_with(
    project: &Project,
    sets: &[String],
    storage: Arc<dyn Storage>,
    root: &str,
    resume: Option<PathBuf>,
    features: Option<FeatureFolder>,
) -> Result<Outcome, TrainError> {
    let engine = sward_kernels::cpu::CpuEngine::new(1).unwrap();
    let mut session = sward::experiment::library_session();
    let path = project.path().join("experiment.ron");
    let (file, graph_file) = session.open(path.to_str().unwrap()).unwrap();
    let sward_core::language::GraphFile::Other { tree, .. } = &*graph_file else { panic!("an experiment") };
    let overrides = session.overrides(sets, &[], &[]).unwrap();
    let joined = sward::experiment::join(&mut session, file, tree, &overrides).unwrap();
    let settings = settings(&session, &joined, &overrides, 0).unwrap();
    train(&TrainRequest {
        session: &session,
        joined: &joined,
        settings,
        engine: &engine,
        threads: 1,
        root: project.path().join(root),
        directory: None,
        resume,
        storage,
        pretrained: Vec::new(),
        verbosity: Verbosity { quiet: true, ..Verbosity::default() },
        interrupt: Interrupt::never(),
        cache_bytes: 1 << 20,
        features,
        profile: false,
    })
}

#[test]
fn storage_that_fails_at_any_write_leaves_a_run_that_goes_on() {
    let project = Project::new();
    let whole = project.train("whole", &["--epochs", "1"]);
    let attempt = |storage: Arc<dyn Storage>, root: &str, resume: Option<PathBuf>| {
        train_with(&project, &["train.epochs=1".to_owned()], storage, root, resume, None)
    };
    let mut at = 0;
    loop {
        let root = format!("faulty{at}");
        let kind = std::io::ErrorKind::StorageFull;
        let fault = if at % 2 == 0 { Fault::Refuse(kind) } else { Fault::Short(kind) };
        let faulty = Arc::new(Faulty::new(Disk, at, at % 3 != 0, fault));
        let outcome = attempt(faulty.clone(), &root, None);
        if !faulty.struck() {
            assert!(outcome.is_ok() && at > 20, "a run has many writes");
            break;
        }
        if let Err(error) = &outcome {
            assert!(!error.to_string().is_empty());
        }
        let runs = project.path().join(&root).join("experiment");
        let run = std::fs::read_dir(&runs).ok().and_then(|mut entries| entries.next()).map(|entry| entry.unwrap().path());
        // Whatever stands there under a checkpoint's name is whole, and training goes on from it.
        if let Some(run) =
            run.filter(|run| run.join("checkpoints/last.safetensors").is_file() && run.join("fitted.json").is_file())
        {
            attempt(Arc::new(Disk), &root, Some(run.clone())).unwrap_or_else(|error| panic!("write {at}: {error}"));
            assert_same(&whole, &run);
        }
        // Every write at first, then samples.
        at += if at < 40 { 1 } else { 7 };
    }
}

#[test]
fn a_second_process_in_one_run_is_refused_by_name() {
    let project = Project::new();
    let run = project.train("runs", &[]);
    let _lock = sward::rundir::Lock::take(&run).unwrap();
    let output = project.sward(&["train", "--resume", run.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains(&std::process::id().to_string()), "{}", stderr(&output));
}
