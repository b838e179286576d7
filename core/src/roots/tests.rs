use super::*;
use crate::diagnostic::{Diagnostics, render};
use crate::source::Span;
use insta::assert_snapshot;

/// A root at the top with `files`, a library, and the id of `main.ron` within the root.
fn project(files: &[(&str, &str)]) -> (Sources, Roots, FileId) {
    let mut sources = Sources::new();
    let mut roots = Roots::new();
    roots.set_library(
        MemoryFolder::new().with("fusion/film.ron", "library").with("fusion/gated.ron", "gated").with("a/b/c.ron", "c"),
    );
    let root = roots.add_root("", files.iter().copied().collect::<MemoryFolder>());
    let main = roots.open_in(&mut sources, root, files[0].0).unwrap();
    (sources, roots, main)
}

#[test]
fn places_are_tried_in_their_order() {
    let files = [("models/main.ron", ""), ("models/x.ron", "near"), ("x.ron", "far"), ("fusion/film.ron", "own")];
    let (mut sources, mut roots, main) = project(&files);
    roots.add_search_root("more", MemoryFolder::new().with("x.ron", "more").with("y.ron", "y").with("fusion/gated.ron", "more"));
    let mut find = |path: &str| {
        let file = roots.resolve(&mut sources, main, path).unwrap();
        sources.path(file).to_owned()
    };
    assert_eq!(find("x.ron"), "models/x.ron");
    assert_eq!(find("fusion/film.ron"), "fusion/film.ron");
    assert_eq!(find("y.ron"), "more/y.ron");
    assert_eq!(find("fusion/gated.ron"), "more/fusion/gated.ron");
    assert_eq!(find("a/b/c.ron"), "<built-in>/a/b/c.ron");
}

#[test]
fn the_library_sees_itself_alone() {
    let (mut sources, mut roots, main) = project(&[("main.ron", ""), ("fusion/film.ron", "own"), ("mine.ron", "")]);
    let library = roots.resolve(&mut sources, main, "a/b/c.ron").unwrap();
    assert!(roots.is_built_in(library) && !roots.is_built_in(main));
    let film = roots.resolve(&mut sources, library, "fusion/film.ron").unwrap();
    assert_eq!(sources.text(film), "library");
    let sibling = roots.resolve(&mut sources, film, "gated.ron").unwrap();
    assert_eq!(sources.path(sibling), "<built-in>/fusion/gated.ron");
    assert!(matches!(roots.resolve(&mut sources, library, "mine.ron"), Err(PathError::NotFound { .. })));
}

#[test]
fn a_file_is_read_once_by_all_of_its_names() {
    let (mut sources, mut roots, main) = project(&[("models/main.ron", ""), ("models/x.ron", "")]);
    let first = roots.resolve(&mut sources, main, "x.ron").unwrap();
    let again = roots.resolve(&mut sources, main, "models/x.ron").unwrap();
    assert_eq!((first, sources.iter().len()), (again, 2));
}

#[test]
fn a_missing_file_names_the_places_and_the_nearest_path() {
    let (mut sources, mut roots, main) = project(&[("main.ron", "Use(module: \"fusion/flim.ron\")"), ("models/unet.ron", "")]);
    let error = roots.resolve(&mut sources, main, "fusion/flim.ron").unwrap_err();
    let diagnostic = error.diagnostic(Some(Span::new(main, 12..29)));
    assert_snapshot!(render::one(&sources, &diagnostic, false), @r#"
    error[S0030]: there is no file `fusion/flim.ron`
     --> main.ron:1:13
      |
    1 | Use(module: "fusion/flim.ron")
      |             ^^^^^^^^^^^^^^^^^
      |
      = help: did you mean `fusion/film.ron`?
      = help: looked in `./`, `<built-in>`
    "#);
    let nearest = |path: &str| match roots.locate(main, path) {
        Err(PathError::NotFound { nearest, .. }) => nearest,
        other => panic!("{other:?}"),
    };
    assert_eq!(nearest("fusoin/gated.ron").as_deref(), Some("fusion/gated.ron"));
    // The right name in the wrong folder.
    assert_eq!(nearest("unet.ron").as_deref(), Some("models/unet.ron"));
    assert_eq!(nearest("fusion/film.csv"), None);
}

#[test]
fn paths_of_other_shapes_are_refused() {
    use PathError::{Absolute, Bad, Parent};
    for path in ["/etc/passwd", "\\\\host\\share", "C:/data", "c:\\data", "https://example.org/a.ron"] {
        assert!(matches!(check_path(path), Err(Absolute { .. })), "{path}");
    }
    for path in ["..", "../a.ron", "a/../../b.ron", "a/..", "..\\a"] {
        assert!(matches!(check_path(path), Err(Parent { .. })), "{path}");
    }
    for path in ["", ".", "./a.ron", "a//b.ron", "a/", "a\\b", "a\0b", "a\nb", &"a/".repeat(3000)] {
        assert!(matches!(check_path(path), Err(Bad { .. })), "{path:?}");
    }
    for path in ["a.ron", "a/b.ron", "..a/b..", ".hidden", "a b/ü.ron", "2024-05-01 12:30.jpg"] {
        assert_eq!(check_path(path), Ok(()), "{path}");
    }
}

#[test]
fn a_folder_does_not_hide_a_file_of_a_later_place() {
    let (mut sources, mut roots, main) = project(&[("main.ron", ""), ("fusion/film.ron/x", "")]);
    let file = roots.resolve(&mut sources, main, "fusion/film.ron").unwrap();
    assert_eq!(sources.text(file), "library");
    assert_eq!(roots.resolve(&mut sources, main, "fusion"), Err(PathError::NotAFile { path: "fusion".to_owned() }));
}

#[test]
fn what_is_no_text_is_told_with_both_places_and_once() {
    let mut sources = Sources::new();
    let mut roots = Roots::new();
    let mut folder = MemoryFolder::new().with("main.ron", "Use(module: \"x.ron\")");
    folder.insert("x.ron", &b"// caf\xe9\nA"[..]);
    folder.insert("big.ron", vec![b' '; MAX_FILE_BYTES + 1]);
    let root = roots.add_root("", folder);
    let main = roots.open_in(&mut sources, root, "main.ron").unwrap();
    let error = roots.resolve(&mut sources, main, "x.ron").unwrap_err();
    assert_eq!(roots.resolve(&mut sources, main, "x.ron").unwrap_err(), error);
    let diagnostic = error.diagnostic(Some(Span::new(main, 12..19)));
    assert_snapshot!(render::one(&sources, &diagnostic, false), @r#"
    error[S0003]: the file is not UTF-8 text: byte 0xe9 at offset 6
     --> x.ron:1:7
      |
    1 | // caf�
      |       ^ not UTF-8 from here
      |
     ::: main.ron:1:13
      |
    1 | Use(module: "x.ron")
      |             ------- the file is named here
      |
      = help: save the file with the encoding UTF-8
    "#);
    assert!(matches!(roots.resolve(&mut sources, main, "big.ron"), Err(PathError::TooLarge { .. })));
}

#[test]
fn the_wrong_examples_of_paths_have_their_fault() {
    for entry in
        crate::diagnostic::all_codes().filter(|entry| (30..40).contains(&entry.code.number()) && entry.untested.is_none())
    {
        for (files, wanted) in [(entry.wrong_files(), vec![entry.code]), (entry.right_files(), vec![])] {
            let mut folder: MemoryFolder = files.iter().copied().collect();
            folder.insert("fusion/film.ron", &b"Module()"[..]);
            let mut sources = Sources::new();
            let mut roots = Roots::new();
            let root = roots.add_root("", folder);
            let main = roots.open_in(&mut sources, root, "main.ron").unwrap();
            let mut faults = Diagnostics::new();
            let value = syntax::read(&sources, main, &mut faults).unwrap();
            let module = &value.as_call().unwrap().field("module").unwrap().value;
            if let Err(error) = roots.resolve(&mut sources, main, module.as_text().unwrap()) {
                faults.push(error.diagnostic(Some(module.span)));
            }
            assert_eq!(faults.iter().map(|fault| fault.code).collect::<Vec<_>>(), wanted, "an example of {}", entry.code);
        }
    }
}

#[cfg(unix)]
mod disk {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn write(folder: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    fn root_of(path: &Path) -> (String, String) {
        let (mut sources, mut roots) = (Sources::new(), Roots::new());
        let file = roots.open(&mut sources, path).unwrap();
        let (root, folder) = roots.origin(file).unwrap();
        let root = roots.roots[root.0].folder.disk_path("").unwrap();
        (root.file_name().unwrap().to_string_lossy().into_owned(), folder.to_owned())
    }

    #[test]
    fn the_root_of_a_file_is_marked_or_named_or_its_own_folder() {
        let temporary = tempfile::tempdir().unwrap();
        let top = temporary.path();
        write(
            top,
            &[
                ("alone/a/x.ron", ""),
                ("p/graphs/models/x.ron", ""),
                ("q/sward.ron", ""),
                ("q/deep/er/x.ron", ""),
                ("q/graphs/x.ron", ""),
            ],
        );
        assert_eq!(root_of(&top.join("alone/a/x.ron")), ("a".to_owned(), String::new()));
        assert_eq!(root_of(&top.join("p/graphs/models/x.ron")), ("graphs".to_owned(), "models".to_owned()));
        assert_eq!(root_of(&top.join("q/deep/er/x.ron")), ("q".to_owned(), "deep/er".to_owned()));
        assert_eq!(root_of(&top.join("q/graphs/x.ron")), ("graphs".to_owned(), String::new()));
        assert_eq!(root_of(&top.join("q/deep/../deep/er/x.ron")), ("q".to_owned(), "deep/er".to_owned()));
    }

    #[test]
    fn files_are_shown_in_the_manner_of_the_command_line() {
        let temporary = tempfile::tempdir().unwrap();
        write(temporary.path(), &[("graphs/models/x.ron", ""), ("graphs/fusion/film.ron", "")]);
        let (mut sources, mut roots) = (Sources::new(), Roots::new());
        let path = temporary.path().join("graphs/models/x.ron");
        let main = roots.open(&mut sources, &path).unwrap();
        let film = roots.resolve(&mut sources, main, "fusion/film.ron").unwrap();
        assert_eq!(sources.path(main), path.to_string_lossy());
        assert_eq!(sources.path(film), temporary.path().join("graphs/fusion/film.ron").to_string_lossy());
        // The same file by another name.
        assert_eq!(roots.open(&mut sources, &temporary.path().join("graphs/fusion/../fusion/film.ron")), Ok(film));
    }

    #[test]
    fn links_are_followed_within_the_root_and_refused_beyond_it() {
        let temporary = tempfile::tempdir().unwrap();
        let top = temporary.path();
        write(top, &[("graphs/main.ron", ""), ("graphs/inside/x.ron", ""), ("secret/x.ron", "")]);
        symlink(top.join("secret"), top.join("graphs/out")).unwrap();
        symlink(top.join("secret/x.ron"), top.join("graphs/y.ron")).unwrap();
        symlink("inside/x.ron", top.join("graphs/z.ron")).unwrap();
        symlink("loop.ron", top.join("graphs/loop.ron")).unwrap();
        let (mut sources, mut roots) = (Sources::new(), Roots::new());
        let main = roots.open(&mut sources, &top.join("graphs/main.ron")).unwrap();
        for path in ["out/x.ron", "y.ron"] {
            assert!(matches!(roots.resolve(&mut sources, main, path), Err(PathError::LeavesRoot { .. })), "{path}");
            assert!(matches!(roots.locate(main, path), Err(PathError::LeavesRoot { .. })), "{path}");
        }
        let linked = roots.resolve(&mut sources, main, "z.ron").unwrap();
        assert_eq!(roots.resolve(&mut sources, main, "inside/x.ron"), Ok(linked));
        assert!(matches!(roots.resolve(&mut sources, main, "loop.ron"), Err(PathError::Unreadable { .. })));
    }

    #[test]
    fn pipes_devices_and_folders_are_refused_without_waiting() {
        let temporary = tempfile::tempdir().unwrap();
        let top = temporary.path();
        write(top, &[("graphs/main.ron", ""), ("graphs/folder.ron/x", "")]);
        let mode = rustix::fs::Mode::from_raw_mode(0o644);
        rustix::fs::mknodat(rustix::fs::CWD, top.join("graphs/pipe.ron"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        std::os::unix::net::UnixListener::bind(top.join("graphs/socket.ron")).unwrap();
        let (mut sources, mut roots) = (Sources::new(), Roots::new());
        let main = roots.open(&mut sources, &top.join("graphs/main.ron")).unwrap();
        for path in ["pipe.ron", "socket.ron", "folder.ron"] {
            assert!(matches!(roots.resolve(&mut sources, main, path), Err(PathError::NotAFile { .. })), "{path}");
            let named = roots.open(&mut sources, &top.join("graphs").join(path));
            assert!(matches!(named, Err(PathError::NotAFile { .. })), "{path}");
        }
        assert!(matches!(roots.open(&mut sources, Path::new("/dev/zero")), Err(PathError::NotAFile { .. })));
        // A link to a device is a link out of the root.
        symlink("/dev/zero", top.join("graphs/zero.ron")).unwrap();
        assert!(matches!(roots.resolve(&mut sources, main, "zero.ron"), Err(PathError::LeavesRoot { .. })));
    }

    #[test]
    fn a_large_file_is_located_for_data_and_refused_as_a_graph() {
        let temporary = tempfile::tempdir().unwrap();
        let top = temporary.path();
        write(top, &[("main.ron", "")]);
        fs::File::create(top.join("big.ron")).unwrap().set_len(MAX_FILE_BYTES as u64 + 1).unwrap();
        let (mut sources, mut roots) = (Sources::new(), Roots::new());
        let main = roots.open(&mut sources, &top.join("main.ron")).unwrap();
        assert!(matches!(roots.resolve(&mut sources, main, "big.ron"), Err(PathError::TooLarge { .. })));
        let located = roots.locate(main, "big.ron").unwrap();
        assert_eq!(located.bytes, MAX_FILE_BYTES as u64 + 1);
        assert!(located.on_disk.is_some_and(|path| path.is_file()));
    }

    #[test]
    fn a_command_line_name_that_is_not_there_gets_the_nearest_one() {
        let temporary = tempfile::tempdir().unwrap();
        write(temporary.path(), &[("pasture.ron", "")]);
        let wanted = temporary.path().join("psature.ron");
        let error = Roots::new().open(&mut Sources::new(), &wanted).unwrap_err();
        let PathError::NotFound { nearest, .. } = &error else { panic!("{error:?}") };
        assert_eq!(nearest.as_deref(), Some(&*temporary.path().join("pasture.ron").to_string_lossy()));
        assert_eq!(error.diagnostic(None).primary, None);
    }

    #[test]
    fn graph_files_are_listed_in_order_without_hidden_ones_links_and_marks() {
        let temporary = tempfile::tempdir().unwrap();
        let top = temporary.path();
        write(top, &[("b.ron", ""), ("a/c.ron", ""), (".git/x.ron", ""), ("sward.ron", ""), ("notes.txt", "")]);
        symlink(top, top.join("a/again")).unwrap();
        let files: Vec<_> = graph_files(top).iter().map(|path| folder::slashed(path.strip_prefix(top).unwrap())).collect();
        assert_eq!(files, ["a/c.ron", "b.ron"]);
    }
}
