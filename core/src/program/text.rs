//! The stable text form of a program, for people and for snapshots.

use super::{Program, Role, ValueId};
use std::fmt;

struct Value(ValueId);

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0.0)
    }
}

fn join(values: &[ValueId]) -> String {
    values.iter().map(|value| Value(*value).to_string()).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Program {
    /// One line for every argument, instruction, output and update. A comment names the graph node where it changes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for argument in &self.arguments {
            let role = match argument.role {
                Role::Input => "input",
                Role::Parameter { trained: true } => "parameter",
                Role::Parameter { trained: false } => "frozen",
                Role::State => "state",
                Role::Setting => "setting",
            };
            writeln!(f, "{}: {} = {role} {}", Value(argument.value), self.type_of(argument.value), argument.name)?;
        }
        let mut origin = None;
        for instruction in &self.instructions {
            if origin != Some(instruction.origin) {
                origin = Some(instruction.origin);
                let path = &self.origins[instruction.origin.0 as usize].path;
                writeln!(f, "// {}", if path.is_empty() { "(no node)" } else { path })?;
            }
            let results: Vec<String> =
                instruction.outputs.iter().map(|output| format!("{}: {}", Value(*output), self.type_of(*output))).collect();
            write!(f, "{} = {}", results.join(", "), instruction.op.name())?;
            let attributes = instruction.op.attributes();
            if !attributes.is_empty() {
                write!(f, "<{attributes}>")?;
            }
            writeln!(f, "({})", join(&instruction.inputs))?;
        }
        for output in &self.outputs {
            writeln!(f, "output {} = {}", output.name, Value(output.value))?;
        }
        for update in &self.updates {
            let name =
                self.arguments.iter().find(|argument| argument.value == update.slot).map_or("?", |argument| &argument.name);
            writeln!(f, "update {name} = {}", Value(update.value))?;
        }
        Ok(())
    }
}
