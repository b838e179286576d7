//! The verb `init`, as a process: its exit codes, and what is left when it is stopped.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

fn sward(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sward"));
    command.current_dir(folder).arg("init").args(arguments);
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    sward(folder, arguments).output().unwrap()
}

fn visible(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.starts_with('.')).collect()
}

fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.strip_prefix(folder).unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap());
            }
        }
    }
    files
}

#[test]
fn it_names_the_next_command_on_stdout() {
    let above = tempfile::tempdir().unwrap();
    let output = run(above.path(), &["first", "--template", "digits"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, "made first; next:\n  sward train first/experiment.ron\n");
    assert!(above.path().join("first/data/digits.csv").is_file());
}

#[test]
fn wrong_use_exits_with_2_and_says_why() {
    let above = tempfile::tempdir().unwrap();
    std::fs::create_dir(above.path().join("full")).unwrap();
    std::fs::write(above.path().join("full/notes.txt"), "kept").unwrap();
    let cases: [(&[&str], &str); 6] = [
        (&["full"], "`full` exists and is not empty"),
        (&["none/such"], "there is no folder `none`"),
        (&[".."], "does not name a new folder"),
        (&["new", "--seed", "1"], "--seed does not apply"),
        (&["new", "--template", "pasture", "--samples", "3"], "--samples is 3: pasture takes 20 to 100000"),
        (&["new", "--template", "meadow"], "invalid value 'meadow'"),
    ];
    for (arguments, part) in cases {
        let output = run(above.path(), arguments);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(message.contains(part), "{arguments:?}: {message}");
    }
    assert_eq!(visible(above.path()), ["full"]);
}

#[test]
fn killed_at_any_moment_it_leaves_no_project_and_the_next_one_is_whole() {
    let above = tempfile::tempdir().unwrap();
    let arguments = |name| [name, "--template", "textures", "--samples", "200", "--quiet"];
    assert!(run(above.path(), &arguments("whole")).status.success());
    let whole = tree(&above.path().join("whole"));
    let mut unfinished = 0;
    for milliseconds in [1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 70, 90] {
        let mut child = sward(above.path(), &arguments("new")).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        // It may have finished by now.
        let _ = child.kill();
        child.wait().unwrap();
        let folder = above.path().join("new");
        if folder.exists() {
            assert_eq!(tree(&folder), whole);
            std::fs::remove_dir_all(&folder).unwrap();
        } else {
            unfinished += 1;
        }
    }
    assert!(unfinished > 0, "nothing was killed in time");
    assert!(run(above.path(), &arguments("new")).status.success());
    assert_eq!(tree(&above.path().join("new")), whole);
    let left = std::fs::read_dir(above.path()).unwrap().count();
    assert_eq!(left, 2, "what the killed processes left is gone");
}

#[test]
fn an_interrupt_exits_with_130_and_leaves_nothing() {
    let above = tempfile::tempdir().unwrap();
    let mut child = sward(above.path(), &["new", "--template", "pasture", "--samples", "2000"]).spawn().unwrap();
    let hidden = above.path().join(".new.sward-init.unfinished");
    while !hidden.join("data/train").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was interrupted");
        std::thread::sleep(Duration::from_millis(5));
    }
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(std::fs::read_dir(above.path()).unwrap().count(), 0);
}

#[test]
fn every_new_project_proves_well_formed_as_it_stands() {
    let above = tempfile::tempdir().unwrap();
    for (template, samples) in [("digits", None), ("textures", Some("8")), ("pasture", Some("20"))] {
        let mut arguments = vec![template, "--template", template, "--quiet"];
        arguments.extend(samples.into_iter().flat_map(|samples| ["--samples", samples]));
        assert!(run(above.path(), &arguments).status.success());
        let check = Command::new(env!("CARGO_BIN_EXE_sward"))
            .current_dir(above.path())
            .args(["check", "--deny", "warnings", &format!("{template}/experiment.ron"), template])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&check.stdout).into_owned() + &String::from_utf8_lossy(&check.stderr);
        assert!(check.status.success(), "{template}: {told}");
    }
}
