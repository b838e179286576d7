//! Standard output and standard error: what happens when nobody reads them, or what was written has no room.
//!
//! The macros here hide those of the standard library in the whole crate, which end the process with a panic where a stream cannot be
//! written: `sward test graphs | head -1` is no fault. A result that is lost for another reason (a full disk) is one: it is remembered,
//! and the process ends with [`Exit::Fault`] where it would have ended with 0.

use crate::exit::Exit;
use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::Mutex;

/// Why standard output could not be written, for the first time.
static LOST: Mutex<Option<String>> = Mutex::new(None);

/// Writes to standard output, and remembers an error.
pub fn out(text: Arguments<'_>) {
    let mut stream = io::stdout().lock();
    note(stream.write_fmt(text).and_then(|()| stream.flush()));
}

/// Writes to standard error. Who cannot be told anything cannot be told that either.
pub fn told(text: Arguments<'_>) {
    let mut stream = io::stderr().lock();
    let _ = stream.write_fmt(text).and_then(|()| stream.flush());
}

/// Takes in how writing to standard output went. A reader that went away has what it wanted.
pub fn note(written: io::Result<()>) {
    let Err(error) = written else { return };
    if error.kind() != ErrorKind::BrokenPipe {
        // A thread that panicked while it held the lock has left a whole value.
        LOST.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert_with(|| error.to_string());
    }
}

/// The exit of a process that is about to end with `exit`: a result that was lost is a fault, and said.
pub fn ended(exit: Exit) -> Exit {
    note(io::stdout().flush());
    let lost = LOST.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
    let Some(error) = lost else { return exit };
    told(format_args!("error: standard output could not be written: {error}\n"));
    if exit == Exit::Fine { Exit::Fault } else { exit }
}

/// As that of the standard library, without its panic.
macro_rules! print {
    ($($text:tt)*) => { $crate::streams::out(format_args!($($text)*)) };
}

/// As that of the standard library, without its panic.
macro_rules! println {
    ($($text:tt)*) => { $crate::streams::out(format_args!("{}\n", format_args!($($text)*))) };
}

/// As that of the standard library, without its panic.
macro_rules! eprint {
    ($($text:tt)*) => { $crate::streams::told(format_args!($($text)*)) };
}

/// As that of the standard library, without its panic.
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::streams::told(format_args!("{}\n", format_args!($($text)*))) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_that_was_lost_is_a_fault_and_a_reader_that_went_away_is_none() {
        note(Err(ErrorKind::BrokenPipe.into()));
        assert_eq!(ended(Exit::Fine), Exit::Fine);
        note(Err(ErrorKind::StorageFull.into()));
        assert_eq!(ended(Exit::Fine), Exit::Fault);
        note(Err(ErrorKind::StorageFull.into()));
        assert_eq!(ended(Exit::Findings), Exit::Findings, "what was found counts more");
        assert_eq!(ended(Exit::Fine), Exit::Fine, "an error counts once");
    }
}
