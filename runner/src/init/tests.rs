//! What a new project promises, whatever its template.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::textures::{CLASSES, GRID, TILE, Textures};
use super::*;
use crate::progress::Verbosity;
use crate::rundir::{Disk, Fault, Faulty};

fn request(template: Template, samples: Option<usize>, seed: Option<u64>, threads: usize) -> Request {
    Request { template, samples, seed, threads }
}

fn quiet() -> Progress {
    Progress::new(Verbosity { quiet: true, ..Verbosity::default() }, 0, 1, 0)
}

fn make(folder: &Path, request: &Request) -> Result<PathBuf, InitError> {
    create(&Disk, folder, request, &Interrupt::never(), &mut quiet())
}

fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.strip_prefix(folder).unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

#[test]
fn a_project_has_the_same_bytes_twice_and_for_any_number_of_threads() {
    let above = tempfile::tempdir().unwrap();
    for (template, fewest) in [(Template::Textures, Textures::FEWEST), (Template::Pasture, pasture::Pasture::FEWEST)] {
        let draw = |name: &str, seed, threads| {
            let folder = above.path().join(format!("{name}-{}", template.name()));
            tree(&make(&folder, &request(template, Some(fewest), Some(seed), threads)).unwrap())
        };
        let one = draw("one", 7, 1);
        assert_eq!(one, draw("three", 7, 3), "{template:?}");
        let other = draw("other", 8, 2);
        assert!(one.iter().all(|(path, bytes)| !path.ends_with(".csv") || other[path] != *bytes), "{template:?}");
    }
}

#[test]
fn whichever_write_fails_nothing_is_left() {
    let above = tempfile::tempdir().unwrap();
    let folder = above.path().join("new");
    let request = request(Template::Textures, Some(Textures::FEWEST), None, 2);
    let kind = std::io::ErrorKind::StorageFull;
    let mut failed = 0;
    for at in 0.. {
        let storage = Faulty::new(Disk, at, true, if at % 2 == 0 { Fault::Refuse(kind) } else { Fault::Short(kind) });
        let made = create(&storage, &folder, &request, &Interrupt::never(), &mut quiet());
        if !storage.struck() {
            made.unwrap();
            break;
        }
        let error = made.unwrap_err();
        assert!(matches!(error, InitError::Storage(_) | InitError::Folder(FolderError::Storage(_))), "{error}");
        failed += 1;
        if folder.exists() {
            // Only the last step of all, after the folder is in its place, fails with it there, and then it is whole.
            let whole = tree(&folder);
            fs::remove_dir_all(&folder).unwrap();
            assert_eq!(whole, tree(&make(&folder, &request).unwrap()));
            fs::remove_dir_all(&folder).unwrap();
        }
        assert_eq!(fs::read_dir(above.path()).unwrap().count(), 0, "operation {at}");
    }
    assert!(failed > 3 * Textures::FEWEST, "{failed} operations");
    assert_eq!(fs::read_dir(above.path()).unwrap().count(), 1);
}

#[test]
fn an_interrupted_project_leaves_nothing() {
    let above = tempfile::tempdir().unwrap();
    let interrupt = Interrupt::never();
    interrupt.request();
    for template in [Template::Digits, Template::Textures, Template::Pasture] {
        let made = create(&Disk, &above.path().join("new"), &request(template, None, None, 2), &interrupt, &mut quiet());
        assert!(matches!(made, Err(InitError::Interrupted)), "{template:?}");
    }
    assert_eq!(fs::read_dir(above.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let above = tempfile::tempdir().unwrap();
    fs::write(above.path().join("notes.txt"), "kept").unwrap();
    let made = make(above.path(), &request(Template::Digits, None, None, 1));
    assert!(matches!(made, Err(InitError::Folder(FolderError::NotEmpty(_)))));
    assert_eq!(tree(above.path()), BTreeMap::from([("notes.txt".to_owned(), b"kept".to_vec())]));
}

#[test]
fn shares_are_those_of_the_tiles_and_sum_to_one() {
    let textures = Textures::new(64, 3).unwrap();
    let tables = textures.tables().unwrap();
    let rows = |index: usize| -> Vec<Vec<String>> {
        let mut reader = csv::Reader::from_reader(&*tables[index].bytes);
        reader.records().map(|record| record.unwrap().iter().map(Into::into).collect()).collect()
    };
    let (shares, tiles) = (rows(0), rows(1));
    assert_eq!((shares.len(), tiles.len()), (64, 64 * GRID * GRID));
    for row in &shares {
        for (class, name) in CLASSES.iter().enumerate() {
            let count = tiles.iter().filter(|tile| tile[0] == row[0] && tile[3] == *name).count();
            assert_eq!(row[1 + class].parse::<f64>().unwrap(), count as f64 / (GRID * GRID) as f64);
        }
        // Sixteenths are exact in binary.
        assert_eq!(row[1..4].iter().map(|share| share.parse::<f64>().unwrap()).sum::<f64>(), 1.0);
        assert_eq!(row[1] == "0", row[4].is_empty(), "grass_zoom is known where there is grass, and only there");
    }
    for class in 1..4 {
        let values: Vec<f64> = shares.iter().map(|row| row[class].parse().unwrap()).collect();
        let mean = values.iter().sum::<f64>() / 64.0;
        let spread = (values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / 64.0).sqrt();
        assert!((0.2..0.47).contains(&mean) && spread > 0.2, "{mean} {spread}");
    }
    let quadrants: std::collections::BTreeSet<&str> = shares.iter().map(|row| &*row[5]).collect();
    assert_eq!(quadrants.len(), 4);
}

#[test]
fn grey_alone_does_not_tell_brick_from_grass_but_texture_does() {
    let textures = Textures::new(64, 3).unwrap();
    let mut greys = [const { Vec::new() }; 3];
    let mut steps = [const { Vec::new() }; 3];
    for index in 0..24 {
        let plan = textures.plan(index);
        let file = textures.picture(index).unwrap();
        let picture = image::load_from_memory(&file.bytes).unwrap().into_luma8();
        assert_eq!((picture.width(), picture.height()), ((GRID * TILE) as u32, (GRID * TILE) as u32));
        for (place, &class) in plan.tiles.iter().enumerate() {
            let (top, left) = ((place / GRID * TILE) as u32, (place % GRID * TILE) as u32);
            let at = |row: u32, column: u32| f64::from(picture.get_pixel(left + column, top + row).0[0]);
            let inner = (0..47).flat_map(|row| (0..47).map(move |column| (row, column)));
            let (mut grey, mut step) = (0.0, 0.0);
            for (row, column) in inner {
                grey += at(row, column) / 2209.0;
                step += (at(row, column) - at(row, column + 1)).abs() / 2209.0;
            }
            greys[class].push(grey);
            steps[class].push(step);
        }
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    for class in 1..3 {
        assert!((mean(&greys[class]) - mean(&greys[0])).abs() < 12.0, "{:?}", greys.each_ref().map(|values| mean(values)));
    }
    assert!(mean(&steps[2]) < 0.6 * mean(&steps[0]), "{:?}", steps.each_ref().map(|values| mean(values)));
}
