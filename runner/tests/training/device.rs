//! A device that is lost while a run goes on.

use super::project::{Project, assert_same, stderr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use sward::cli::experiment::{ExperimentOptions, open_experiment};
use sward::exit::Exit;
use sward::interrupt::Interrupt;
use sward::progress::Verbosity;
use sward::rundir::Disk;
use sward::train::{TrainError, TrainRequest, settings, train};
use sward_core::program::{Program, RunKey};
use sward_kernels::cpu::CpuEngine;
use sward_kernels::{Engine, InstructionTime, Memory, Plan, PrepareError, RunError, Tensor};

/// The CPU engine, which is lost after so many runs of all its plans together, and has memory for so many plans.
struct Losing {
    inner: CpuEngine,
    left: Arc<AtomicU64>,
    plans: AtomicU64,
}

struct LosingPlan {
    inner: Box<dyn Plan>,
    left: Arc<AtomicU64>,
}

impl LosingPlan {
    fn is_there(&self) -> Result<(), RunError> {
        match self.left.load(Ordering::SeqCst) {
            0 => Err(RunError::Device("cuLaunchKernel: the device is lost".to_owned())),
            _ => Ok(()),
        }
    }
}

impl Engine for Losing {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn identity(&self) -> String {
        self.inner.identity()
    }

    fn prepare(&self, program: &Program) -> Result<Box<dyn Plan>, PrepareError> {
        if self.plans.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err() {
            return Err(PrepareError::Memory { needed: 2 << 20, available: 1 << 20 });
        }
        Ok(Box::new(LosingPlan { inner: self.inner.prepare(program)?, left: Arc::clone(&self.left) }))
    }
}

impl Plan for LosingPlan {
    fn program(&self) -> &Program {
        self.inner.program()
    }

    fn set(&mut self, name: &str, tensor: &Tensor) -> Result<(), RunError> {
        self.is_there()?;
        self.inner.set(name, tensor)
    }

    fn get(&self, name: &str) -> Result<Tensor, RunError> {
        self.is_there()?;
        self.inner.get(name)
    }

    fn run(&mut self, key: RunKey) -> Result<(), RunError> {
        self.start(key)?;
        self.wait()
    }

    fn start(&mut self, key: RunKey) -> Result<(), RunError> {
        self.is_there()?;
        self.inner.run(key)?;
        self.left.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }

    /// As on a real device, the loss shows when the run is waited for.
    fn wait(&mut self) -> Result<(), RunError> {
        self.is_there()
    }

    fn output(&self, name: &str) -> Result<Tensor, RunError> {
        self.is_there()?;
        self.inner.output(name)
    }

    fn memory(&self) -> Memory {
        self.inner.memory()
    }

    fn trap_nonfinite(&mut self, on: bool) {
        self.inner.trap_nonfinite(on);
    }

    fn set_profiling(&mut self, on: bool) {
        self.inner.set_profiling(on);
    }

    fn profile(&self) -> Vec<InstructionTime> {
        self.inner.profile()
    }
}

/// Trains on a device that is lost after so many runs and holds so many plans; gives the error and the folder of runs.
fn fails(project: &Project, runs: u64, plans: u64) -> (TrainError, PathBuf) {
    let file = project.path().join("experiment.ron");
    let opened = open_experiment(file.to_str().unwrap(), &ExperimentOptions::default()).unwrap_or_else(|_| panic!("it proves"));
    let inner = CpuEngine::new(1).unwrap();
    let engine = Losing { inner, left: Arc::new(AtomicU64::new(runs)), plans: AtomicU64::new(plans) };
    let root = project.path().join(format!("fails_{runs}_{plans}"));
    let request = TrainRequest {
        session: &opened.session,
        joined: &opened.joined,
        settings: settings(&opened.session, &opened.joined, &opened.overrides, 0).unwrap(),
        engine: &engine,
        threads: 1,
        root: root.clone(),
        directory: None,
        resume: None,
        storage: Arc::new(Disk),
        pretrained: Vec::new(),
        verbosity: Verbosity { quiet: true, ..Verbosity::default() },
        interrupt: Interrupt::never(),
        cache_bytes: 0,
        features: None,
        profile: false,
    };
    (train(&request).err().expect("the device is lost, or too small"), root)
}

#[test]
fn a_lost_device_ends_the_run_with_a_fault_and_the_last_checkpoint_goes_on_to_the_same_bits() {
    let project = Project::new();
    let whole = project.train("whole", &["--threads", "1"]);
    // In the first epoch, in its validation, and in the midst of a later one.
    for runs in [3, 6, 11] {
        let (error, root) = fails(&project, runs, 10);
        let run = project.run(root.to_str().unwrap());
        assert_eq!(error.to_string(), "cuLaunchKernel: the device is lost");
        assert_eq!(error.exit(), Exit::Fault);
        assert!(std::fs::read_to_string(run.join("run.json")).unwrap().contains("\"failed\""));
        let output = project.sward(&["train", "--resume", run.to_str().unwrap(), "--quiet", "--threads", "1"]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_same(&run, &whole);
    }
}

#[test]
fn memory_that_holds_a_step_and_no_validation_beside_it_is_refused_before_a_run_begins() {
    let project = Project::new();
    let (error, root) = fails(&project, 100, 1);
    assert!(error.to_string().starts_with("the plan needs 2 MiB of memory and 1 MiB are free"), "{error}");
    assert_eq!(error.exit(), Exit::Fault);
    assert!(!root.exists(), "a run was begun");
}
