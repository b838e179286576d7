//! Ctrl-C and SIGTERM: the first asks for an orderly end, the second ends at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::exit::Exit;

/// Whether the user asked the process to end.
///
/// A training loop asks [`Interrupt::requested`] after each step, saves, and ends with [`Exit::Interrupted`].
#[derive(Debug, Clone)]
pub struct Interrupt {
    requested: Arc<AtomicBool>,
}

impl Interrupt {
    /// Takes over both signals. The second signal of either kind ends the process without unwinding; every file is then as a
    /// power failure would leave it, which the run directory bears.
    ///
    /// # Errors
    /// What the system says.
    pub fn install() -> io::Result<Self> {
        let requested = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // Actions run in the order of registration: the first signal finds the flag down and raises it, the second
            // finds it up.
            flag::register_conditional_shutdown(signal, i32::from(Exit::Interrupted.code()), requested.clone())?;
            flag::register(signal, requested.clone())?;
        }
        Ok(Self { requested })
    }

    /// One that no signal raises, for tests and for use as a library.
    pub fn never() -> Self {
        Self { requested: Arc::new(AtomicBool::new(false)) }
    }

    /// Whether a signal came, or [`Interrupt::request`] was called.
    pub fn requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    /// Asks for an orderly end from inside the program.
    pub fn request(&self) {
        self.requested.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reaches_every_clone() {
        let interrupt = Interrupt::never();
        let other = interrupt.clone();
        assert!(!other.requested());
        interrupt.request();
        assert!(other.requested());
    }
}
