//! What survives when storage fails at any operation, and when the process is killed at any moment.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use sward::rundir::{Disk, EventFile, Fault, Faulty, MetricsLog, Record, Storage, remove_unfinished};
use sward::weights::{Dtype, TensorOut, WeightFile, write};

/// Large enough to be written in several pieces.
const ELEMENTS: usize = 40_000;

fn save(storage: &dyn Storage, path: &Path, value: f32) -> Result<(), sward::weights::WeightError> {
    let values = vec![value; ELEMENTS];
    let shape = [ELEMENTS];
    let tensors = [TensorOut::f32("a", &shape, &values), TensorOut::f32("b", &shape, &values)];
    write(storage, path, &tensors, &IndexMap::new())
}

/// The one value that the whole checkpoint holds.
fn value(path: &Path) -> f32 {
    let file = WeightFile::open(path).expect("the checkpoint is readable");
    let read = |name| file.require(name, Dtype::F32, &[ELEMENTS]).unwrap().to_f32().unwrap();
    let (a, b) = (read("a"), read("b"));
    assert!(a.iter().chain(b.iter()).all(|value| *value == a[0]), "the checkpoint is a mixture of two");
    a[0]
}

#[test]
fn the_previous_checkpoint_survives_a_failure_at_every_operation() {
    let kinds = [ErrorKind::StorageFull, ErrorKind::ReadOnlyFilesystem, ErrorKind::Other];
    for fault in kinds.into_iter().flat_map(|kind| [Fault::Refuse(kind), Fault::Short(kind)]) {
        for lasts in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("last.safetensors");
            save(&Disk, &path, 1.0).unwrap();
            let mut failures = 0;
            for at in 0.. {
                let storage = Faulty::new(Disk, at, lasts, fault);
                match save(&storage, &path, 2.0) {
                    Ok(()) => {
                        assert!(!storage.struck(), "operation {at} failed, and nobody was told");
                        break;
                    }
                    Err(error) => {
                        failures += 1;
                        assert!(error.to_string().contains("last.safetensors") || error.to_string().contains("durable"));
                        let found = value(&path);
                        // Only the directory's sync comes after the rename.
                        let renamed = error.to_string().contains("make durable");
                        assert_eq!(found, if renamed { 2.0 } else { 1.0 }, "{error}");
                        if renamed {
                            save(&Disk, &path, 1.0).unwrap();
                        }
                    }
                }
                remove_unfinished(&Disk, directory.path()).unwrap();
                assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
            }
            assert!(failures >= 6, "only {failures} operations: create, writes, sync, rename and directory sync are more");
            assert_eq!(value(&path), 2.0);
        }
    }
}

#[test]
fn a_passing_failure_leaves_no_temporary_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("last.safetensors");
    for at in 0..4 {
        let storage = Faulty::new(Disk, at, false, Fault::Short(ErrorKind::StorageFull));
        save(&storage, &path, 1.0).unwrap_err();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "operation {at}");
    }
}

/// Enough for two checkpoints.
const STEPS: u64 = 4;

/// Writes the steps after `resumed` into the logs of a run, as a training loop does; gives the last step that was made durable.
fn log_steps(storage: Arc<dyn Storage>, directory: &Path, resumed: u64) -> Result<u64, (u64, String)> {
    const SECONDS: f64 = 1_700_000_000.0;
    let mut durable = resumed;
    let mut run = || -> Result<(), Box<dyn std::error::Error>> {
        let mut log = MetricsLog::open(storage.clone(), directory, resumed)?;
        let mut events = EventFile::open(&storage, directory, resumed, SECONDS)?;
        for step in resumed + 1..=STEPS {
            let loss = 1.0 / step as f64;
            log.append(Record { step, epoch: 0, values: [("train/loss".to_owned(), loss)].into() })?;
            events.scalars(step, SECONDS, [("train/loss", loss)])?;
            if step % 2 == 0 {
                log.append(Record { step, epoch: 0, values: [("val/loss".to_owned(), 2.0 * loss)].into() })?;
                log.sync()?;
                events.sync()?;
                durable = step;
            }
        }
        Ok(())
    };
    match run() {
        Ok(()) => Ok(durable),
        Err(error) => Err((durable, error.to_string())),
    }
}

#[test]
fn logs_resume_as_if_nothing_had_failed_at_any_operation() {
    let names = [MetricsLog::LINES, MetricsLog::TABLE, "events.out.tfevents.1700000000.sward"];
    let read = |directory: &Path| names.map(|name| std::fs::read(directory.join(name)).unwrap());
    let whole = tempfile::tempdir().unwrap();
    assert_eq!(log_steps(Arc::new(Disk), whole.path(), 0), Ok(STEPS));
    for (fault, lasts) in [(Fault::Refuse(ErrorKind::StorageFull), false), (Fault::Short(ErrorKind::StorageFull), true)] {
        let mut failures = 0;
        for at in 0.. {
            let directory = tempfile::tempdir().unwrap();
            let storage = Arc::new(Faulty::new(Disk, at, lasts, fault));
            let durable = match log_steps(storage.clone(), directory.path(), 0) {
                Ok(_) => {
                    assert!(!storage.struck(), "operation {at} failed, and nobody was told");
                    break;
                }
                Err((durable, error)) => {
                    assert!(error.starts_with("cannot "), "{error}");
                    durable
                }
            };
            failures += 1;
            assert_eq!(log_steps(Arc::new(Disk), directory.path(), durable), Ok(STEPS));
            assert_eq!(read(directory.path()), read(whole.path()), "operation {at}");
        }
        assert!(failures > 20, "only {failures} operations");
    }
}

const CHILD: &str = "SWARD_TEST_CHECKPOINT";

/// Not a test of its own: the process that is killed. It saves rising values until it dies.
#[test]
fn child_that_saves_for_ever() {
    let Ok(path) = std::env::var(CHILD) else { return };
    for round in 1..100_000 {
        save(&Disk, Path::new(&path), round as f32).unwrap();
    }
}

#[test]
fn a_killed_process_leaves_a_whole_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("last.safetensors");
    save(&Disk, &path, 0.5).unwrap();
    let mut interrupted = 0;
    for round in 0..40u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "storage::child_that_saves_for_ever", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Spread over starting up, and over many phases of saving.
        std::thread::sleep(Duration::from_micros(2_000 + round * 1_237));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(value(&path) >= 0.5);
        interrupted += remove_unfinished(&Disk, directory.path()).unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
    assert!(value(&path) >= 1.0, "the child never saved, the test shows nothing");
    assert!(interrupted > 0, "no save was interrupted, the test shows nothing");
}
