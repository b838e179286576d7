//! The short way from a graph file to tensors: read, compile, run, train, save.
//!
//! What stands behind it is in [`sward_core`] (reading, checking, lowering), [`sward_ops`] (passes, training programs) and [`sward_kernels`] (engines); `docs/rust.md` shows
//! the same steps there.

use crate::compile::{CompileError, CompileOptions, inference, training_step};
use crate::experiment::library_session;
use crate::initialize::initial_values;
use crate::parameters::{ParametersError, is_the_graphs, read_parameters, write_tensors};
use crate::weights::{WeightError, WeightSet};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use sward_core::check::{Checked, Overrides, Session};
use sward_core::diagnostic::render;
use sward_core::dim::Sizes;
use sward_core::program::{Program, RunKey};
use sward_core::roots::MemoryFolder;
use sward_kernels::cpu::CpuEngine;
use sward_kernels::{Engine, Plan, PrepareError, RunError, Tensor};
use sward_ops::primitives::OptimizerRule;
use sward_ops::training::TrainOptions;

/// Why a graph is not read, compiled or run.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// The file is not there or does not check: the diagnostics as text, with places.
    #[error("{0}")]
    Check(String),
    /// It has no program at these sizes.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The engine refuses the program.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// A tensor does not fit, or the run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Parameters were not read.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// A file of weights was not read or written.
    #[error(transparent)]
    Weights(#[from] WeightError),
}

/// A graph file that is proved well-formed for all sizes.
///
/// ```
/// use sward::{Graph, Tensor};
/// let film = Graph::read_library("fusion/film.ron")?;
/// let mut model = film.compile(&[("batch", 1), ("channels", 2), ("height", 3), ("width", 3), ("fields", 4)])?;
/// let (features, context) = (Tensor::f32(&[1, 2, 3, 3], vec![1.0; 18]), Tensor::f32(&[1, 4], vec![0.5; 4]));
/// let outputs = model.run(&[("features", &features), ("context", &context)])?;
/// assert_eq!(outputs["features"].shape(), [1, 2, 3, 3]);
/// # Ok::<(), sward::GraphError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Graph {
    checked: Arc<Checked>,
}

impl Graph {
    /// Reads and checks a graph file of the disk. What it places is found beside it and in the built-in library.
    ///
    /// # Errors
    /// What is wrong with it, as text with places.
    pub fn read(path: impl AsRef<Path>) -> Result<Graph, GraphError> {
        let mut session = library_session();
        let checked = session.check(&path.as_ref().to_string_lossy(), &Overrides::default());
        Graph::of(&session, checked)
    }

    /// Reads and checks a file of the built-in library: `fusion/film.ron`.
    ///
    /// # Errors
    /// As [`Graph::read`].
    pub fn read_library(path: &str) -> Result<Graph, GraphError> {
        let text = sward_graphs::files().into_iter().find(|(own, _)| own == path).map(|(_, text)| text);
        let text = text.ok_or_else(|| GraphError::Check(format!("the library has no file {path}")))?;
        Graph::from_text(path, &String::from_utf8_lossy(text))
    }

    /// Checks the text of a graph file; `name` stands for its path in messages.
    ///
    /// # Errors
    /// As [`Graph::read`].
    ///
    /// ```
    /// let wrong = r#"Module(inputs: { "x": F32(["batch", 3]) }, nodes: { "y": Reshape(from: "x", shape: ["batch", 2]) }, outputs: { "y": "y" })"#;
    /// let error = sward::Graph::from_text("wrong.ron", wrong).expect_err("six numbers are not four");
    /// assert!(error.to_string().contains("wrong.ron:1:"), "{error}");
    /// ```
    pub fn from_text(name: &str, text: &str) -> Result<Graph, GraphError> {
        let mut session = library_session();
        let root = session.roots_mut().add_root("", MemoryFolder::new().with(name, text));
        let checked = session.open_in(root, name).and_then(|(id, file)| session.check_file(id, &file, &Overrides::default()));
        Graph::of(&session, checked)
    }

    fn of(session: &Session<'_>, checked: Option<Checked>) -> Result<Graph, GraphError> {
        let text = || render::text(&session.sources, &session.diagnostics, false);
        let no_module = || "the file holds no Module".to_string();
        let checked =
            checked.ok_or_else(|| GraphError::Check(if session.diagnostics.has_errors() { text() } else { no_module() }))?;
        Ok(Graph { checked: Arc::new(checked) })
    }

    /// The proof that it is well-formed, and what the compiler takes.
    pub fn checked(&self) -> &Arc<Checked> {
        &self.checked
    }

    /// Compiles it for inference at these sizes and gives its parameters seeded values.
    ///
    /// # Errors
    /// Where a size is missing or breaks an obligation, or the plan does not fit into memory.
    pub fn compile(&self, sizes: &[(&str, i64)]) -> Result<Model, GraphError> {
        self.compile_on(&CpuEngine::new(0)?, sizes)
    }

    /// As [`Graph::compile`], on another engine.
    ///
    /// # Errors
    /// As [`Graph::compile`], and where the engine lacks something.
    pub fn compile_on(&self, engine: &dyn Engine, sizes: &[(&str, i64)]) -> Result<Model, GraphError> {
        let program = inference(&self.checked, &table(sizes), &CompileOptions::default())?;
        self.model(engine, &program, None)
    }

    /// Compiles a training step at these sizes.
    ///
    /// # Errors
    /// As [`Graph::compile`], and where the loss is no scalar output or nothing is trained.
    ///
    /// ```
    /// use sward::{Graph, Tensor};
    /// use sward_ops::{primitives::OptimizerRule, training::{Loss, TrainOptions}};
    /// let graph = Graph::from_text("line.ron", r#"Module(
    ///     inputs: { "x": F32(["batch", 1]), "wanted": F32(["batch", 1]) },
    ///     nodes: {
    ///         "line": Linear(from: "x", units: 1),
    ///         "squares": Formula("(line - wanted) ** 2"),
    ///         "loss": Mean(from: "squares"),
    ///     },
    ///     outputs: { "loss": "loss" },
    /// )"#)?;
    /// let sgd = OptimizerRule::Sgd { momentum: 0.9, nesterov: false, dampening: 0.0 };
    /// let mut model = graph.compile_training(&[("batch", 4)], &TrainOptions::new(Loss::Output("loss".into()), sgd))?;
    /// let x = Tensor::f32(&[4, 1], vec![-1.0, 0.0, 1.0, 2.0]);
    /// let wanted = Tensor::f32(&[4, 1], vec![-1.0, 1.0, 3.0, 5.0]);
    /// for _ in 0..200 {
    ///     model.step(&[("x", &x), ("wanted", &wanted)], 0.05)?;
    /// }
    /// let slope = model.parameter("line.weight")?;
    /// assert!((slope.as_f32().unwrap()[0] - 2.0).abs() < 1e-3);
    /// # Ok::<(), sward::GraphError>(())
    /// ```
    pub fn compile_training(&self, sizes: &[(&str, i64)], options: &TrainOptions) -> Result<Model, GraphError> {
        let program = training_step(&self.checked, &table(sizes), &CompileOptions::default(), options)?;
        self.model(&CpuEngine::new(0)?, &program, Some(options.optimizer))
    }

    fn model(&self, engine: &dyn Engine, program: &Program, rule: Option<OptimizerRule>) -> Result<Model, GraphError> {
        let mut model = Model { checked: Arc::clone(&self.checked), plan: engine.prepare(program)?, rule, steps: 0, seed: 0 };
        model.initialize(42)?;
        Ok(model)
    }
}

fn table(sizes: &[(&str, i64)]) -> Sizes {
    sizes.iter().copied().collect()
}

/// A compiled graph with its parameters.
pub struct Model {
    checked: Arc<Checked>,
    plan: Box<dyn Plan>,
    rule: Option<OptimizerRule>,
    steps: u64,
    seed: u64,
}

impl Model {
    /// Gives parameters the values that their ops start from, a function of the seed and each parameter's path. Steps count from the start again.
    ///
    /// # Errors
    /// A fault of the engine.
    pub fn initialize(&mut self, seed: u64) -> Result<(), GraphError> {
        let program = self.plan.program();
        let values = initial_values(&self.checked, program, seed);
        // Averages start from the parameters themselves, moments from zero.
        let averaged: Vec<(String, Tensor)> = (values.iter())
            .map(|(name, value)| (format!("ema.{name}"), value.clone()))
            .filter(|(name, _)| program.argument(name).is_some())
            .collect();
        for (name, value) in values.iter().chain(&averaged) {
            self.plan.set(name, value)?;
        }
        (self.seed, self.steps) = (seed, 0);
        Ok(())
    }

    /// Reads all parameters and buffers from a safetensors file: none may be missing, none left over.
    ///
    /// # Errors
    /// Where the file cannot be read or holds other tensors.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<(), GraphError> {
        for (name, value) in read_parameters(self.plan.program(), &WeightSet::open(path.as_ref())?)? {
            self.plan.set(&name, &value)?;
        }
        Ok(())
    }

    /// Writes all parameters and buffers into a safetensors file, by their paths.
    ///
    /// # Errors
    /// Where it cannot be written.
    ///
    /// ```
    /// # let folder = std::env::temp_dir().join(format!("sward-doc-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder).unwrap();
    /// # let path = folder.join("mlp.safetensors");
    /// let text = r#"Module(inputs: { "x": F32(["batch", 3]) }, nodes: { "y": Linear(from: "x", units: 2) }, outputs: { "y": "y" })"#;
    /// let graph = sward::Graph::from_text("mlp.ron", text)?;
    /// let mut one = graph.compile(&[("batch", 1)])?;
    /// one.save(&path)?;
    /// let mut other = graph.compile(&[("batch", 8)])?;
    /// other.initialize(7)?;
    /// assert_ne!(other.parameter("y.weight")?, one.parameter("y.weight")?);
    /// other.load(&path)?;
    /// assert_eq!(other.parameter("y.weight")?, one.parameter("y.weight")?);
    /// # std::fs::remove_dir_all(&folder).unwrap();
    /// # Ok::<(), sward::GraphError>(())
    /// ```
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), GraphError> {
        let own = self.plan.program().arguments.iter().filter(|argument| is_the_graphs(argument));
        let read = |name: &str| Ok((name.to_string(), self.plan.get(name)?));
        let tensors = own.map(|argument| read(&argument.name)).collect::<Result<Vec<_>, RunError>>()?;
        Ok(write_tensors(path.as_ref(), &tensors)?)
    }

    /// The parameters' and buffers' paths.
    pub fn parameter_names(&self) -> Vec<String> {
        let own = self.plan.program().arguments.iter().filter(|argument| is_the_graphs(argument));
        own.map(|argument| argument.name.clone()).collect()
    }

    /// A parameter or buffer as it is now.
    ///
    /// # Errors
    /// Where there is none of that path.
    pub fn parameter(&self, name: &str) -> Result<Tensor, GraphError> {
        Ok(self.plan.get(name)?)
    }

    /// Sets a parameter or buffer.
    ///
    /// # Errors
    /// Where there is none of that path, or of another type.
    pub fn set_parameter(&mut self, name: &str, value: &Tensor) -> Result<(), GraphError> {
        Ok(self.plan.set(name, value)?)
    }

    /// Runs it on these inputs; gives its outputs by name. Inputs stay set for later calls.
    ///
    /// # Errors
    /// A missing or wrong input, or a fault of the run.
    pub fn run(&mut self, inputs: &[(&str, &Tensor)]) -> Result<BTreeMap<String, Tensor>, GraphError> {
        for (name, tensor) in inputs {
            self.plan.set(name, tensor)?;
        }
        self.plan.run(RunKey { seed: self.seed, step: self.steps })?;
        let names: Vec<String> = self.plan.program().outputs.iter().map(|output| output.name.clone()).collect();
        Ok(names.into_iter().map(|name| self.plan.output(&name).map(|tensor| (name, tensor))).collect::<Result<_, RunError>>()?)
    }

    /// Takes one training step with a learning rate; gives the outputs, the loss among them. Without a training program it is a run.
    ///
    /// # Errors
    /// As [`Model::run`].
    pub fn step(&mut self, inputs: &[(&str, &Tensor)], learning_rate: f64) -> Result<BTreeMap<String, Tensor>, GraphError> {
        if let Some(rule) = self.rule {
            let numbers = rule.settings_at(self.steps + 1, learning_rate, 1.0);
            let numbers: Vec<f32> = numbers.into_iter().map(|number| number as f32).collect();
            self.plan.set("optimizer.settings", &Tensor::f32(&[numbers.len()], numbers))?;
        }
        let outputs = self.run(inputs)?;
        self.steps += 1;
        Ok(outputs)
    }

    /// The plan behind it: profiles, memory, other arguments.
    pub fn plan(&mut self) -> &mut dyn Plan {
        self.plan.as_mut()
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Model({}, {} steps)", self.checked.name(), self.steps)
    }
}
