//! What the process tells its caller.

use std::process::{ExitCode, Termination};

/// The exit codes of the `sward` command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Everything is fine.
    Fine = 0,
    /// Findings, or a broken contract.
    Findings = 1,
    /// Wrong usage, or a file that cannot be read as what it should be.
    Usage = 2,
    /// A fault while running: a loss that is not finite, a full disk, a lost device.
    Fault = 3,
    /// Interrupted, and saved.
    Interrupted = 130,
}

impl Exit {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// That of a file which the command line names and which cannot be written: a wrong path is wrong usage, anything else (no room, a
    /// broken disk) a fault.
    pub fn of_write(error: &std::io::Error) -> Exit {
        use std::io::ErrorKind as Kind;
        match error.kind() {
            Kind::NotFound
            | Kind::PermissionDenied
            | Kind::AlreadyExists
            | Kind::NotADirectory
            | Kind::IsADirectory
            | Kind::ReadOnlyFilesystem
            | Kind::InvalidFilename
            | Kind::InvalidInput => Exit::Usage,
            _ => Exit::Fault,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        self.into()
    }
}
