//! `sward check` on files that are wrong in ways that nobody means well: an error with a place, soon, and in little memory.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What a hostile file may take.
const TIME: Duration = Duration::from_secs(1);
/// What it may use, in KiB of address space.
const MEMORY_KIB: usize = 256 * 1024;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn write(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, content).expect("a file");
}

/// Runs `sward check` in a folder under the memory limit; asserts that it is quick.
fn check(folder: &Path, arguments: &[&str]) -> Output {
    let start = Instant::now();
    let mut command = Command::new("sh");
    command.current_dir(folder).args(["-c", &format!("ulimit -v {MEMORY_KIB}; exec \"$0\" check \"$@\"")]);
    let output = command.arg(env!("CARGO_BIN_EXE_sward")).args(arguments).output().expect("the binary runs");
    // Tests of other crates run beside this one; the limit is for a machine that does nothing else.
    assert!(start.elapsed() < TIME * 8, "it took {:?}", start.elapsed());
    output
}

/// Asserts that a file is refused with this code, and at a place in it.
fn refused(folder: &TempDir, file: &str, code: &str) -> String {
    let output = check(folder.path(), &[file]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(1 | 2)), "{file}: {:?}\n{told}", output.status);
    assert!(told.contains(&format!("error[{code}]")), "{file}: {code} is not in\n{told}");
    told
}

/// As [`refused`], with the place as `line:column`.
fn refused_at(folder: &TempDir, file: &str, code: &str, place: &str) {
    let told = refused(folder, file, code);
    assert!(told.contains(&format!("{file}:{place}")), "{place} is not in\n{told}");
}

fn module(nodes: &str) -> String {
    format!(
        "Module(\n    inputs: {{ \"x\": F32([\"batch\", 8]) }},\n    nodes: {{ {nodes} }},\n    outputs: {{ \"y\": \"y\" }},\n)"
    )
}

#[test]
fn files_that_are_no_text_are_refused() {
    let own = folder();
    write(&own, "empty.ron", "");
    refused_at(&own, "empty.ron", "S0004", "1:1");
    write(&own, "blank.ron", " \n\t\r\n// nothing\n");
    refused(&own, "blank.ron", "S0004");
    write(&own, "latin1.ron", b"Module(doc: \"gr\xfcn\")");
    refused_at(&own, "latin1.ron", "S0003", "1:16");
    write(&own, "utf16.ron", b"\xff\xfeM\0o\0d\0");
    refused(&own, "utf16.ron", "S0003");
    write(&own, "zero.ron", vec![0u8; 1000]);
    refused_at(&own, "zero.ron", "S0005", "1:1");
}

#[test]
fn large_and_deep_files_are_refused_before_they_cost() {
    let own = folder();
    write(&own, "large.ron", " ".repeat((4 << 20) + 1));
    refused(&own, "large.ron", "S0002");
    let brackets = "[".repeat(2 << 20);
    write(&own, "open.ron", &brackets);
    refused(&own, "open.ron", "S0017");
    let (deep, shut) = ("[".repeat(200_000), "]".repeat(200_000));
    write(&own, "deep.ron", format!("Module(outputs: {deep}{shut})"));
    refused(&own, "deep.ron", "S0017");
    let nested = format!("{}1{}", "(".repeat(20_000), ")".repeat(20_000));
    write(&own, "expression.ron", module(&format!("\"y\": Linear(from: \"x\", units: \"{nested}\")")));
    refused(&own, "expression.ron", "S0108");
    let texts = (0..60_000).map(|index| format!("\"n{index}\": Nothing,\n")).collect::<String>();
    write(&own, "many.ron", module(&texts));
    refused(&own, "many.ron", "S0202");
    // A whole file of four mebibytes that is right but for its size after expansion.
    let wide = (0..40_000).map(|index| format!("\"n{index}\": Relu(from: \"x\"), ")).collect::<String>();
    write(&own, "wide.ron", module(&format!("{wide} \"y\": Relu(from: \"x\")")));
    let unknown = (0..40_000).map(|index| format!("\"n{index}\": Relu(from: \"m{index}\"), ")).collect::<String>();
    write(&own, "unknown.ron", module(&format!("{unknown} \"y\": Relu(from: \"x\")")));
    refused(&own, "unknown.ron", "S0207");
    let output = check(own.path(), &["wide.ron"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn expansion_bombs_are_refused() {
    let own = folder();
    write(&own, "repeat.ron", module("\"y\": Repeat(times: 1000000000, of: Relu(from: \"x\"))"));
    refused_at(&own, "repeat.ron", "S0104", "3:33");
    // Ten files of ten times each other: ten thousand million nodes.
    for level in 0..10 {
        let inner = if level == 9 {
            "Relu(from: \"x\")".to_string()
        } else {
            format!("Use(module: \"bomb{}.ron\", from: \"x\")", level + 1)
        };
        write(&own, &format!("bomb{level}.ron"), module(&format!("\"y\": Repeat(times: 10, of: {inner})")));
    }
    refused(&own, "bomb0.ron", "S0104");
    write(&own, "parts.ron", module("\"y\": Split(from: \"x\", axis: 0, parts: 1000000000000)"));
    refused(&own, "parts.ron", "S0310");
}

#[test]
fn cycles_of_files_are_refused_with_their_path() {
    let own = folder();
    write(&own, "self.ron", module("\"y\": Use(module: \"self.ron\", from: \"x\")"));
    assert!(refused(&own, "self.ron", "S0103").contains("self.ron -> self.ron"));
    write(&own, "a.ron", module("\"y\": Use(module: \"b.ron\", from: \"x\")"));
    write(&own, "b.ron", module("\"y\": Use(module: \"c.ron\", from: \"x\")"));
    write(&own, "c.ron", module("\"y\": Use(module: \"a.ron\", from: \"x\")"));
    assert!(refused(&own, "a.ron", "S0103").contains("a.ron -> b.ron -> c.ron -> a.ron"));
}

#[test]
fn sizes_that_overflow_are_refused() {
    let own = folder();
    let many = "9223372036854775807";
    write(&own, "product.ron", module(&format!("\"y\": Reshape(from: \"x\", shape: [{many}, {many}])")));
    let output = check(own.path(), &["product.ron"]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    write(&own, "units.ron", module(&format!("\"y\": Linear(from: \"x\", units: {many})")));
    let output = check(own.path(), &["units.ron"]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    write(&own, "power.ron", module("\"y\": Linear(from: \"x\", units: \"9 ** 9 ** 9\")"));
    let output = check(own.path(), &["power.ron"]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    write(&own, "infinite.ron", module("\"y\": Dropout(from: \"x\", p: 1e999)"));
    refused(&own, "infinite.ron", "S0014");
    write(&own, "integer.ron", module("\"y\": Linear(from: \"x\", units: 9223372036854775808)"));
    refused(&own, "integer.ron", "S0014");
}

#[test]
fn line_ends_of_other_systems_and_a_byte_order_mark_are_no_faults() {
    let own = folder();
    let good = module("\"y\": Relu(from: \"x\")");
    write(&own, "crlf.ron", good.replace('\n', "\r\n"));
    write(&own, "mark.ron", format!("\u{feff}{good}"));
    for file in ["crlf.ron", "mark.ron"] {
        let output = check(own.path(), &[file]);
        assert_eq!(output.status.code(), Some(0), "{file}: {}", String::from_utf8_lossy(&output.stderr));
    }
    // Places count the lines as editors do.
    write(&own, "wrong.ron", module("\"y\": Rleu(from: \"x\")").replace('\n', "\r\n"));
    refused_at(&own, "wrong.ron", "S0202", "3:19");
}

#[cfg(unix)]
#[test]
fn paths_that_leave_their_root_and_special_files_are_refused() {
    let own = folder();
    write(&own, "secret.ron", module("\"y\": Relu(from: \"x\")"));
    let graphs = own.path().join("graphs");
    fs::create_dir_all(&graphs).expect("a folder");
    std::os::unix::fs::symlink(own.path().join("secret.ron"), graphs.join("link.ron")).expect("a link");
    let made = Command::new("mkfifo").arg(graphs.join("pipe.ron")).status().expect("mkfifo runs");
    assert!(made.success());
    std::os::unix::fs::symlink("/dev/zero", graphs.join("device.ron")).expect("a link");
    for (name, module_path) in [
        ("link", "link.ron"),
        ("pipe", "pipe.ron"),
        ("device", "device.ron"),
        ("absolute", "/etc/passwd"),
        ("parent", "../secret.ron"),
        ("drive", "C:/secret.ron"),
        ("folder", "."),
    ] {
        write(&own, &format!("graphs/use_{name}.ron"), module(&format!("\"y\": Use(module: \"{module_path}\", from: \"x\")")));
        let output = check(own.path(), &[&format!("graphs/use_{name}.ron")]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {told}");
        assert!(told.contains(&format!("graphs/use_{name}.ron:3:")), "{name}: {told}");
    }
    let output = check(own.path(), &["graphs/pipe.ron"]);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn warnings_are_said_by_check_and_not_again_by_verbs_that_go_on() {
    let own = folder();
    write(&own, "unused.ron", module(r#""fc": Relu(from: "x"), "y": Tanh(from: "x")"#));
    let told = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_sward")).current_dir(own.path()).args(arguments).output();
        String::from_utf8(output.expect("the binary runs").stderr).expect("text")
    };
    assert!(told(&["check", "unused.ron"]).contains("warning[S0601]"));
    for verb in
        [&["show", "unused.ron"][..], &["plot", "unused.ron"], &["render", "unused.ron"], &["diff", "unused.ron", "unused.ron"]]
    {
        assert_eq!(told(verb), "", "{verb:?}");
    }
}
