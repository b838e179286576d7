mod meaning;
mod reading;
mod shaping;
mod writing;

use super::*;

/// A table from text, named `t.csv`.
fn table(text: &str) -> Table {
    parse(text.as_bytes(), "t.csv", &ReadOptions::default()).unwrap()
}

/// The message of reading a table that is wrong.
#[track_caller]
fn fault(bytes: &[u8]) -> String {
    parse(bytes, "t.csv", &ReadOptions::default()).unwrap_err().to_string()
}

/// The texts of a column; `-` where there is none.
fn texts(table: &Table, name: &str) -> Vec<String> {
    table.column(name).unwrap().texts().map(|text| text.unwrap_or("-").to_owned()).collect()
}
