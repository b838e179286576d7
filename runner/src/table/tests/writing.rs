//! Writing CSV: what is written reads back, formulas are escaped, and files are replaced as a whole.

use std::fs;

use proptest::prelude::*;

use super::*;

#[test]
fn formulas_are_escaped_and_numbers_are_not() {
    let cells = ["=cmd|' /C calc'!A0", "+x", "-y", "@z", "\tt", "-5.5", "+3", "plain", "a=b"];
    let bytes = to_csv("t.csv", &["=name"], cells.map(|cell| [Cell::Text(cell)])).unwrap();
    let table = parse(&bytes, "t.csv", &ReadOptions::default()).unwrap();
    assert_eq!(texts(&table, "'=name"), ["'=cmd|' /C calc'!A0", "'+x", "'-y", "'@z", "'\tt", "-5.5", "+3", "plain", "a=b"]);
}

#[test]
fn long_and_wide_files_hold_the_same_values() {
    let folder = tempfile::tempdir().unwrap();
    let values = [1.0, 2.5, 3.0, 1e-7];
    let long = folder.path().join("long.csv");
    let rows = [("b__x", 1, 0), ("a__y", 0, 1), ("b__y", 1, 1)];
    write_long(&long, ["sample_id", "target"], &rows, &values, 2).unwrap();
    assert_eq!(fs::read_to_string(&long).unwrap(), "sample_id,target\nb__x,3\na__y,2.5\nb__y,0.0000001\n");
    let wide = folder.path().join("wide.csv");
    write_wide(&wide, "image", &["a", "b"], &["x", "y"], &values).unwrap();
    assert_eq!(fs::read_to_string(&wide).unwrap(), "image,x,y\na,1,2.5\nb,3,0.0000001\n");
    assert!(write_long(&long, ["id", "v"], &[("c", 2, 0)], &values, 2).is_err());
    assert!(write_long(&long, ["id", "v"], &[("c", 0, 2)], &values, 2).is_err());
    assert!(write_wide(&wide, "k", &["a"], &["x", "y"], &values).is_err());
    // Nothing but the two files is left behind, and a failed write has left the old file.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    assert!(fs::read_to_string(&long).unwrap().starts_with("sample_id"));
}

#[test]
fn a_number_that_is_not_finite_is_refused() {
    let message = to_csv("t.csv", &["a", "b"], [[Cell::Missing, Cell::Number(f64::NAN)]]).unwrap_err().to_string();
    assert_eq!(message, "t.csv: row 1, column \"b\": NaN is not finite");
}

#[test]
fn a_write_that_fails_leaves_the_old_file_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    // The target is a folder with content, which no file can replace.
    let target = folder.path().join("out.csv");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("kept"), "x").unwrap();
    let error = write(&target, &["a"], [[Cell::Number(1.0)]]).unwrap_err();
    assert!(matches!(error, TableError::Write { .. }), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(write(&folder.path().join("missing/out.csv"), &["a"], [[Cell::Number(1.0)]]).is_err());
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        rows in proptest::collection::vec(("[ -~\nµ]{0,12}", any::<f64>()), 1..10),
    ) {
        let rows: Vec<(String, f64)> = rows.into_iter().filter(|(_, number)| number.is_finite()).collect();
        prop_assume!(!rows.is_empty());
        let cells = rows.iter().map(|(text, number)| [Cell::Text(text), Cell::Number(*number)]);
        let bytes = to_csv("t.csv", &["text", "number"], cells).unwrap();
        let table = parse(&bytes, "t.csv", &ReadOptions::default()).unwrap();
        let read = numbers(table.column("number").unwrap(), &MissingRule::refuse()).unwrap();
        for (row, (text, number)) in rows.iter().enumerate() {
            let expected = escape_formula(text).into_owned();
            prop_assert_eq!(table.column("text").unwrap().text(row), Some(expected.as_str()));
            prop_assert_eq!(read.values[row], *number);
        }
    }
}
