//! Signals to a process of our own.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sward::exit::Exit;
use sward::interrupt::Interrupt;

const CHILD: &str = "SWARD_TEST_INTERRUPT";

/// Not a test of its own: the process that gets signals. It answers the first, and ends in order only if told so.
#[test]
fn child_that_waits_for_signals() {
    let Ok(patience) = std::env::var(CHILD) else { return };
    let interrupt = Interrupt::install().unwrap();
    println!("ready");
    while !interrupt.requested() {
        std::thread::sleep(Duration::from_millis(1));
    }
    println!("requested");
    if patience == "orderly" {
        std::process::exit(77);
    }
    std::thread::sleep(Duration::from_secs(60));
}

fn child(patience: &str) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "interrupt::child_that_waits_for_signals", "--nocapture"])
        .env(CHILD, patience)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    wait_for(&mut output, "ready");
    (child, output)
}

fn wait_for(output: &mut BufReader<ChildStdout>, word: &str) {
    let mut line = String::new();
    while !line.contains(word) {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "the child ended before it said `{word}`");
    }
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn the_first_signal_asks_for_an_orderly_end() {
    for signal in [Signal::INT, Signal::TERM] {
        let (mut child, mut output) = child("orderly");
        send(&child, signal);
        wait_for(&mut output, "requested");
        assert_eq!(child.wait().unwrap().code(), Some(77));
    }
}

#[test]
fn the_second_signal_ends_at_once_with_code_130() {
    for (first, second) in [(Signal::INT, Signal::INT), (Signal::INT, Signal::TERM), (Signal::TERM, Signal::INT)] {
        let (mut child, mut output) = child("stubborn");
        send(&child, first);
        wait_for(&mut output, "requested");
        send(&child, second);
        assert_eq!(child.wait().unwrap().code(), Some(i32::from(Exit::Interrupted.code())));
    }
}
