//! `sward check`.

use super::Exit;
use super::graph::{Format, GraphOptions, overrides, print, session, write_out};
use clap::Args;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};
use sward_core::check::Overrides;
use sward_core::diagnostic::render;
use sward_core::language::GraphFile;
use sward_core::roots::graph_files;

/// Arguments of `check`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  sward check graphs                                         all files of a folder
  sward check model.ron --set hidden=64 --swap fusion=fusion/film.ron
  sward check graphs --deny warnings --format github         in CI")]
pub struct Arguments {
    /// Graph files, or folders of them
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// How findings are written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Make warnings errors
    #[arg(long, value_name = "WHAT", value_parser = ["warnings"])]
    deny: Option<String>,
    /// Check again whenever a file changes
    #[arg(long)]
    watch: bool,
    /// Print nothing when all is fine
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    options: GraphOptions,
}

/// Runs `check`.
pub fn run(arguments: &Arguments) -> Exit {
    if !arguments.watch {
        return check_once(arguments);
    }
    let mut seen = None;
    loop {
        let state = state_of(&arguments.paths, &arguments.options.roots.roots);
        if seen.as_ref() != Some(&state) {
            seen = Some(state);
            check_once(arguments);
            eprintln!("watching for changes; Ctrl-C ends");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn check_once(arguments: &Arguments) -> Exit {
    let start = Instant::now();
    let mut session = match session(&arguments.options.roots) {
        Ok(session) => session,
        Err(exit) => return exit,
    };
    let overrides = match overrides(&mut session, &arguments.options, true) {
        Ok(overrides) => overrides,
        Err(exit) => return exit,
    };
    let mut files = Vec::new();
    for path in &arguments.paths {
        if path.is_dir() {
            let found = graph_files(path);
            if found.is_empty() {
                eprintln!("error: there are no graph files (*.ron) below {}", path.display());
                return Exit::Usage;
            }
            files.extend(found);
        } else {
            files.push(path.clone());
        }
    }
    let changes_graphs = !(overrides.sets.is_empty() && overrides.swaps.is_empty() && overrides.dims.is_empty());
    if changes_graphs && files.len() > 1 {
        eprintln!("error: --set, --swap and --dim change one graph; name one file");
        return Exit::Usage;
    }
    if !changes_graphs && let Some(counts) = all_sound(arguments, &files) {
        report_sound(arguments, &counts, 0, start);
        return Exit::Fine;
    }
    let mut unreadable = false;
    let mut counts = Counts::new();
    for file in &files {
        match session.open(&file.to_string_lossy()) {
            Some((id, graph_file)) => {
                *counts.entry(kind(&graph_file)).or_insert(0) += 1;
                crate::experiment::check(&mut session, id, &graph_file, &overrides);
            }
            None => unreadable = true,
        }
    }
    if arguments.deny.is_some() {
        session.diagnostics.deny_warnings();
    }
    print(&session, arguments.format);
    let (errors, warnings) = (session.diagnostics.errors(), session.diagnostics.warnings());
    if errors > 0 {
        if arguments.format == Format::Text && !arguments.quiet {
            eprintln!("{}", render::summary(&session.diagnostics));
        }
        return if unreadable && files.len() == 1 { Exit::Usage } else { Exit::Findings };
    }
    report_sound(arguments, &counts, warnings, start);
    Exit::Fine
}

/// How many files of each kind were read, by the kinds' words.
type Counts = BTreeMap<(u8, &'static str), usize>;

/// What a file holds, in one word, and where that stands in a listing.
fn kind(graph_file: &GraphFile) -> (u8, &'static str) {
    match graph_file {
        GraphFile::Module(_) => (0, "module"),
        GraphFile::Interface(_) => (1, "interface"),
        GraphFile::Other { kind, .. } => match kind.value.as_str() {
            "Data" => (2, "data file"),
            "Transform" => (3, "transform"),
            "Experiment" => (4, "experiment"),
            "Ablation" => (5, "ablation"),
            _ => (6, "mapping"),
        },
    }
}

fn report_sound(arguments: &Arguments, counts: &Counts, warnings: usize, start: Instant) {
    if arguments.format != Format::Text || arguments.quiet {
        return;
    }
    let parts: Vec<String> = counts.iter().map(|((_, kind), number)| count(*number, kind)).collect();
    let mut text = format!("checked {}", parts.join(", "));
    text += &format!(" in {:.0} ms: ", start.elapsed().as_secs_f64() * 1e3);
    text += &if warnings > 0 { count(warnings, "warning") } else { "all well-formed".to_string() };
    write_out(&format!("{text}\n"));
}

/// Files that one thread takes at least: fewer are not worth a thread.
const FILES_A_THREAD: usize = 8;

/// Checks many files on all processors. `None` as soon as there is anything to report, or where there are few files: then one session
/// reads them all, in order.
fn all_sound(arguments: &Arguments, files: &[PathBuf]) -> Option<Counts> {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = processors.min(files.len() / FILES_A_THREAD);
    if threads < 2 {
        return None;
    }
    let (next, is_sound) = (AtomicUsize::new(0), AtomicBool::new(true));
    let work = || {
        let mut counts = Counts::new();
        let Ok(mut session) = session(&arguments.options.roots) else {
            is_sound.store(false, Ordering::Relaxed);
            return counts;
        };
        while is_sound.load(Ordering::Relaxed)
            && let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed))
        {
            if let Some((id, graph_file)) = session.open(&file.to_string_lossy()) {
                *counts.entry(kind(&graph_file)).or_insert(0) += 1;
                crate::experiment::check(&mut session, id, &graph_file, &Overrides::default());
            }
            if !session.diagnostics.is_empty() {
                is_sound.store(false, Ordering::Relaxed);
            }
        }
        counts
    };
    let all: Vec<Counts> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    if !is_sound.into_inner() || all.len() < threads {
        return None;
    }
    let mut sum = Counts::new();
    all.into_iter().flatten().for_each(|(kind, number)| *sum.entry(kind).or_insert(0) += number);
    Some(sum)
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// The times of change of all graph files that the paths and roots hold.
fn state_of(paths: &[PathBuf], roots: &[PathBuf]) -> Vec<(PathBuf, Option<SystemTime>)> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for path in paths.iter().chain(roots) {
        let folder = if path.is_dir() { path.clone() } else { path.parent().map(Path::to_path_buf).unwrap_or_default() };
        folders.push(if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder });
    }
    let mut files: Vec<PathBuf> = folders.iter().flat_map(|folder| graph_files(folder)).collect();
    files.extend(paths.iter().filter(|path| path.is_file()).cloned());
    files.sort();
    files.dedup();
    files
        .into_iter()
        .map(|file| {
            let changed = std::fs::metadata(&file).and_then(|metadata| metadata.modified()).ok();
            (file, changed)
        })
        .collect()
}
