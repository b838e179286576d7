//! `sward show`.

use super::Exit;
use super::graph::{GraphOptions, Opened, fill_channels, grouped, open, write_out};
use crate::compile::{CompileOptions, inference, training};
use clap::Args;
use sward_core::check::{Checked, NodeKind};
use sward_core::dim::{Dim, Sizes};
use sward_core::op::{ParameterKind, display_shape};
use sward_kernels::cpu::CpuEngine;

/// Arguments of `show`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward show graphs/blocks/convnext.ron --dim batch=1 --dim height=56 --dim width=56")]
pub struct Arguments {
    /// The graph file
    file: String,
    /// Print the compiled program instead; every dimension needs a --dim (channels are 3 without one)
    #[arg(long)]
    program: bool,
    /// With --program: of a training step (mean of squares of the outputs, AdamW)
    #[arg(long, requires = "program")]
    train: bool,
    /// With --program: as this pass leaves it; a wrong name lists the passes
    #[arg(long, requires = "program", value_name = "PASS")]
    stop_after: Option<String>,
    /// With --program: what activations are stored in
    #[arg(long, requires = "program", value_enum, default_value = "f32")]
    dtype: crate::experiment::spec::Precision,
    #[command(flatten)]
    options: GraphOptions,
}

/// Runs `show`.
pub fn run(arguments: &Arguments) -> Exit {
    let Opened { checked, mut sizes, .. } = match open(&arguments.file, &arguments.options) {
        Ok(opened) => opened,
        Err(exit) => return exit,
    };
    if arguments.program || !sizes.is_empty() {
        fill_channels(&checked, &mut sizes);
    }
    if arguments.program {
        let options = CompileOptions {
            dtype: arguments.dtype.dtype(),
            stop_after: arguments.stop_after.clone(),
            ..CompileOptions::default()
        };
        let compiled = if arguments.train { training(&checked, &sizes, &options) } else { inference(&checked, &sizes, &options) };
        return match compiled {
            Ok(program) => {
                write_out(&program.to_string());
                Exit::Fine
            }
            Err(error) => {
                eprintln!("error: {error}");
                Exit::Usage
            }
        };
    }
    write_out(&table(&checked, &sizes));
    Exit::Fine
}

/// The table of a graph: a line a node, then totals.
fn table(checked: &Checked, sizes: &Sizes) -> String {
    let has_sizes = !sizes.is_empty();
    let at_sizes = |dim: &Dim| dim.substitute(&|name| sizes.get(name).map(Dim::constant)).unwrap_or_else(|_| dim.clone());
    let shapes = |shapes: &[sward_core::op::SymbolicType], fixed: bool| -> String {
        let texts: Vec<String> = shapes
            .iter()
            .map(|output| {
                let dims: Vec<Dim> = output.shape.iter().map(|dim| if fixed { at_sizes(dim) } else { dim.clone() }).collect();
                format!("{} {}", output.dtype, display_shape(&dims))
            })
            .collect();
        texts.join(", ")
    };
    let mut header = vec!["node".to_string(), "op".to_string(), "output".to_string()];
    if has_sizes {
        header.push("at these sizes".to_string());
    }
    header.extend(["parameters".to_string(), "FLOPs".to_string()]);
    let mut rows = vec![header];
    for node in checked.graph().node_weights() {
        let (op, flops) = match &node.kind {
            NodeKind::Input { .. } => ("input", String::new()),
            NodeKind::Op { op, flops, .. } => {
                let flops = at_sizes(flops);
                (op.schema().name, if flops == Dim::ZERO { String::new() } else { grouped(&flops) })
            }
        };
        let mut parameters = Dim::ZERO;
        for (_, index) in &node.parameters {
            let parameter = &checked.parameters()[*index];
            if parameter.spec.kind == ParameterKind::Trained && parameter.node == node.path {
                parameters = parameter.elements().and_then(|own| &parameters + &own).unwrap_or(parameters);
            }
        }
        let mut row = vec![node.path.to_string(), op.to_string(), shapes(&node.outputs, false)];
        if has_sizes {
            row.push(shapes(&node.outputs, true));
        }
        row.push(if parameters == Dim::ZERO { String::new() } else { grouped(&at_sizes(&parameters)) });
        row.push(flops);
        rows.push(row);
    }
    let mut text = String::new();
    if let Some(doc) = checked.doc() {
        text += &format!("{}: {doc}\n\n", checked.name());
    }
    text += &aligned(&rows);
    text += "\n";
    for output in checked.outputs() {
        text += &format!("output {}: {} {}", output.name, output.tensor_type.dtype, display_shape(&output.tensor_type.shape));
        if output.tensor_type.domain != sward_core::domain::Domain::ANY {
            text += &format!(", {}", output.tensor_type.domain);
        }
        text += "\n";
    }
    for (obligation, _) in checked.obligations() {
        text += &format!("requires {obligation}\n");
    }
    let total = |dim: Result<Dim, sward_core::dim::DimError>| match dim {
        Ok(dim) => grouped(&at_sizes(&dim)),
        Err(error) => error.to_string(),
    };
    text += &format!("parameters: {}\n", total(checked.parameter_count()));
    text += &format!("FLOPs of a forward pass: {}\n", total(checked.flops()));
    if checked.dimensions().iter().all(|name| sizes.get(name).is_some())
        && let Ok(bytes) = checked.forward_memory_bytes(sizes)
    {
        text += &format!("memory of a forward pass, node by node, weights not counted: {:.1} MiB\n", bytes as f64 / 1048576.0);
        text += &planned(checked, sizes).unwrap_or_default();
    }
    text
}

/// What the CPU engine would hold for a forward pass in f32, without taking it. `None` for a graph that has no program at these sizes:
/// the verbs that run it say why.
fn planned(checked: &Checked, sizes: &Sizes) -> Option<String> {
    let program = inference(checked, sizes, &CompileOptions::default()).ok()?;
    let memory = CpuEngine::new(1).ok()?.memory_of(&program).ok()?;
    let mib = |bytes: usize| bytes as f64 / 1048576.0;
    Some(format!(
        "planned on the CPU, f32: {:.1} MiB for values of a run, {:.1} MiB for parameters, inputs and what depends on them alone\n",
        mib(memory.arena),
        mib(memory.held)
    ))
}

/// Columns padded to their widest cell; numbers of the last two columns to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows[0].len();
    let widths: Vec<usize> =
        (0..columns).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row
            .iter()
            .enumerate()
            .map(|(column, cell)| {
                let padding = " ".repeat(widths[column] - cell.chars().count());
                if column + 2 >= columns { format!("{padding}{cell}") } else { format!("{cell}{padding}") }
            })
            .collect();
        text += cells.join("  ").trim_end();
        text += "\n";
        if index == 0 {
            let total: usize = widths.iter().sum::<usize>() + 2 * (columns - 1);
            text += &"-".repeat(total);
            text += "\n";
        }
    }
    text
}
