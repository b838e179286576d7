//! Files that a verb writes: never in the place of one that it reads, nor two in one place; and what it means that one cannot be written.

use super::Exit;
use crate::experiment::Joined;
use crate::experiment::data::Column;
use crate::feed::Loaded;
use crate::rundir::{Checkpoint, RunDirectory, checkpoint_path};
use crate::train::{FILES, OpenedRun, RunSettings, files};
use crate::weights::{WeightError, WeightFault, WeightSet};
use std::path::{Path, PathBuf};
use sward_core::check::Session;
use sward_core::source::Sources;

/// A file to write, and how the command line calls it.
pub type Output<'a> = (&'static str, &'a Path);

/// Sees to it that nothing is written in the place of what is read, and no two outputs in the same place. Paths are compared without
/// symbolic links. `inputs` are looked at only where an output exists already.
///
/// # Errors
/// A sentence that names both.
pub fn require_apart(outputs: &[Output<'_>], inputs: impl IntoIterator<Item = PathBuf>) -> Result<(), String> {
    let places: Vec<(Output<'_>, PathBuf)> = outputs.iter().map(|output| (*output, place(output.1))).collect();
    for (index, ((option, path), own)) in places.iter().enumerate() {
        if let Some(((other, _), _)) = places[..index].iter().find(|(_, place)| place == own) {
            return Err(format!("{other} and {option} name the same file, {}", path.display()));
        }
    }
    let existing: Vec<&(Output<'_>, PathBuf)> = places.iter().filter(|(_, place)| place.exists()).collect();
    if existing.is_empty() {
        return Ok(());
    }
    for input in inputs {
        let Ok(read) = input.canonicalize() else { continue };
        if let Some(((option, path), _)) = existing.iter().find(|(_, place)| *place == read) {
            let path = path.display();
            return Err(format!("{option} {path} would replace a file that belongs to what is read here; name another file"));
        }
    }
    Ok(())
}

/// As [`require_apart`]; what is wrong is printed.
///
/// # Errors
/// The exit code.
pub fn refuse_same(outputs: &[Output<'_>], inputs: impl IntoIterator<Item = PathBuf>) -> Result<(), Exit> {
    require_apart(outputs, inputs).map_err(|message| {
        eprintln!("error: {message}");
        Exit::Usage
    })
}

/// Where a path leads, also that of a file that does not exist yet.
fn place(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside = || Some(folder.canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(beside).unwrap_or_else(|| path.to_owned())
}

/// The files on the disk that graphs and experiments were read from. Those of the library, and texts of the command line, have no place.
pub fn sources_on_disk(sources: &Sources) -> Vec<PathBuf> {
    sources.iter().map(|(_, source)| PathBuf::from(source.path())).collect()
}

/// A checkpoint's files: itself, and the shards that it lists where it is an index.
pub fn weight_files(path: &Path) -> impl Iterator<Item = PathBuf> {
    let own = path.to_owned();
    let shards = std::iter::once_with(move || WeightSet::open(&own)).flatten();
    let shards = shards.flat_map(|set| set.files().iter().map(|file| file.path().to_owned()).collect::<Vec<_>>());
    std::iter::once(path.to_owned()).chain(shards)
}

/// The tables of an experiment whose data lie in `folder`.
pub fn tables(joined: &Joined, folder: &Path) -> Vec<PathBuf> {
    let spec = &joined.data.spec;
    let all = std::iter::once(&spec.table).chain(&spec.test);
    all.flat_map(|csv| csv.value.paths()).map(|path| folder.join(path)).collect()
}

/// The photographs that a table names, in `folder`.
pub fn photographs<'a>(joined: &'a Joined, loaded: &'a Loaded, folder: &'a Path) -> impl Iterator<Item = PathBuf> + 'a {
    joined.data.columns.iter().flat_map(move |(name, (column, _))| {
        let (Column::Image { folder: own, .. }, Ok(cells)) = (column, loaded.table.column(name)) else { return Vec::new() };
        let folder = folder.join(own);
        (0..cells.rows()).filter_map(|row| cells.text(row).map(|cell| folder.join(cell))).collect()
    })
}

/// What a run was made of, and what opens it again: the files of its directory, and those that its experiment was read from, in their
/// own place.
pub fn files_of_run(session: &Session<'_>, joined: &Joined, settings: &RunSettings, run: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        [RunDirectory::DESCRIPTION, "settings.json", "fitted.json"].iter().map(|name| run.join(name)).collect();
    all.extend([Checkpoint::Best, Checkpoint::Last].map(|which| checkpoint_path(run, which)));
    // A run keeps its files under the folders that they had within their root, and the folder of its data file by its whole path.
    let depth = session.roots().origin(joined.data.file).map_or(0, |(_, folder)| Path::new(folder).components().count());
    let root = settings.data.ancestors().nth(depth);
    for (path, _) in files(session) {
        all.push(run.join(FILES).join(&path));
        all.extend(root.map(|root| root.join(&path)));
    }
    all.extend(tables(joined, &settings.data));
    all
}

/// What a report is drawn from: all files of a directory of results but pages, and what its first run was made of.
pub fn files_of_results(directory: &Path) -> Vec<PathBuf> {
    let (mut all, mut folders, mut run) = (Vec::new(), vec![directory.to_owned()], None);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_none_or(|ending| ending != "html") {
                all.push(path);
            }
        }
        if run.is_none() && folder.join(RunDirectory::DESCRIPTION).is_file() {
            run = OpenedRun::open(&folder).ok();
        }
    }
    if let Some(run) = run {
        all.extend(files_of_run(&run.session, &run.joined, &run.settings, &run.path));
    }
    all
}

/// The exit code of a file of weights that cannot be written; `otherwise` where that is not for lack of a place.
pub fn exit_of_weights(error: &WeightError, otherwise: Exit) -> Exit {
    match &*error.fault {
        WeightFault::Storage(error) => Exit::of_write(&error.source),
        _ => otherwise,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_file_is_found_under_other_names_and_before_it_exists() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a.csv"), "a").unwrap();
        std::fs::write(path("b.csv"), "b").unwrap();
        std::fs::create_dir(path("sub")).unwrap();
        std::os::unix::fs::symlink(path("a.csv"), path("link.csv")).unwrap();
        let refused = |output: &str, input: &str| require_apart(&[("-o", &path(output))], [path(input)]).is_err();
        assert!(refused("a.csv", "a.csv") && refused("sub/../a.csv", "a.csv") && refused("a.csv", "link.csv"));
        assert!(!refused("b.csv", "a.csv") && !refused("c.csv", "a.csv") && !refused("c.csv", "nowhere.csv"));
        let twice = |one: &str, two: &str| require_apart(&[("-o", &path(one)), ("--spread", &path(two))], []).is_err();
        assert!(twice("c.csv", "c.csv") && twice("c.csv", "sub/../c.csv") && !twice("c.csv", "d.csv"));
    }
}
