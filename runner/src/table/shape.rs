//! Tables of other shapes: long format turned wide, one row per key, several files joined.

use std::collections::HashMap;

use super::cells::{Column, Table};
use super::error::{Place, Result, TableError, shown};

/// How a long table is turned wide: one row per `key`, one column per text of `name`, filled with the cells of `value`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pivot {
    /// The column that tells the samples apart.
    pub key: String,
    /// The column whose texts become column names.
    pub name: String,
    /// The column whose cells fill the new columns.
    pub value: String,
}

/// A column that a table of one row per key cannot have, because it differs within a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Varying {
    /// The column.
    pub column: String,
    /// A cell of a key.
    pub first: Place,
    /// A cell of the same key with another text.
    pub second: Place,
}

/// A table of one row per key.
#[derive(Clone, Debug)]
pub struct Keyed {
    /// The table, its rows in the order in which the keys appear.
    pub table: Table,
    /// The columns that were left out because they differ within a key.
    pub varying: Vec<Varying>,
    /// The columns that a pivot made, in the order in which the names appear.
    pub made: Vec<String>,
}

impl Table {
    /// One row per key, with every column that is the same in all rows of a key.
    pub fn distinct(&self, key: &str) -> Result<Keyed> {
        let (firsts, of_row) = self.keys(key)?;
        let (columns, varying) = self.constant_columns(&firsts, &of_row, &[]);
        let table = Table::new(self.shared_file(), firsts.len(), columns);
        Ok(Keyed { table, varying, made: Vec::new() })
    }

    /// Turns a long table wide. A combination that no row states stays missing; one that two rows state is an error.
    pub fn pivot(&self, pivot: &Pivot) -> Result<Keyed> {
        let (names, values) = (self.column(&pivot.name)?, self.column(&pivot.value)?);
        let (firsts, of_row) = self.keys(&pivot.key)?;
        let (mut columns, varying) = self.constant_columns(&firsts, &of_row, &[&pivot.name, &pivot.value]);
        let mut made: indexmap::IndexMap<&str, Vec<Option<usize>>> = indexmap::IndexMap::new();
        for (row, &key) in of_row.iter().enumerate() {
            let name = match names.text(row) {
                Some(name) if !name.is_empty() => name,
                _ => return Err(names.fault(row, "the name of a pivoted column is empty")),
            };
            let rows = made.entry(name).or_insert_with(|| vec![None; firsts.len()]);
            if let Some(first) = rows[key].replace(row) {
                let key = self.column(&pivot.key)?.text(row).unwrap_or_default();
                let cause = format!(
                    "{} of {} {} stands twice, in line {} and here; a key and a name may meet only once",
                    shown(name),
                    pivot.key,
                    shown(key),
                    names.place(first).line
                );
                return Err(names.fault(row, cause));
            }
        }
        if columns.len() + made.len() > super::MAX_COLUMNS {
            let cause = format!("{} different names, above the limit of {} columns", made.len(), super::MAX_COLUMNS);
            return Err(names.fault(0, cause));
        }
        for (name, rows) in &made {
            if columns.iter().any(|column| column.name() == *name) || *name == pivot.key {
                let row = rows.iter().flatten().next().copied().unwrap_or(0);
                let cause = format!("the pivot makes a column {} but the table has one already", shown(name));
                return Err(names.fault(row, cause));
            }
            let column = values.picked(rows).renamed(name);
            columns.push(column);
        }
        let made = made.keys().map(|name| (*name).to_owned()).collect();
        let table = Table::new(self.shared_file(), firsts.len(), columns);
        Ok(Keyed { table, varying, made })
    }

    /// The columns that do not differ within a key, reduced to the keys' first rows, and those that do.
    fn constant_columns(&self, firsts: &[usize], of_row: &[usize], without: &[&str]) -> (Vec<Column>, Vec<Varying>) {
        let picked: Vec<Option<usize>> = firsts.iter().copied().map(Some).collect();
        let (mut columns, mut varying) = (Vec::new(), Vec::new());
        for column in self.columns().filter(|column| !without.contains(&column.name())) {
            let other = (0..self.rows()).find(|&row| column.text(row) != column.text(firsts[of_row[row]]));
            match other {
                None => columns.push(column.picked(&picked)),
                Some(row) => varying.push(Varying {
                    column: column.name().to_owned(),
                    first: column.place(firsts[of_row[row]]),
                    second: column.place(row),
                }),
            }
        }
        (columns, varying)
    }

    /// Adds the columns of another table to the rows whose key it has (a left join). Rows without a match keep missing cells.
    ///
    /// A key that stands twice in the other table is an error, and so is a column that both tables have.
    pub fn join(&self, other: &Table, key: &str, other_key: &str) -> Result<Joined> {
        let (firsts, of_row) = other.keys(other_key)?;
        let other_keys = other.column(other_key)?;
        if let Some(row) = (0..other.rows()).find(|&row| firsts[of_row[row]] != row) {
            let first = other_keys.place(firsts[of_row[row]]).line;
            let cause = format!(
                "the key {} stands twice, in line {first} and here; pivot or reduce the file before joining it",
                shown(other_keys.text(row).unwrap_or_default())
            );
            return Err(other_keys.fault(row, cause));
        }
        let index: HashMap<&str, usize> =
            other_keys.texts().enumerate().filter_map(|(row, text)| text.map(|text| (text, row))).collect();
        let keys = self.column(key)?;
        let matches: Vec<Option<usize>> = keys.texts().map(|text| text.and_then(|text| index.get(text).copied())).collect();
        let mut columns: Vec<Column> = self.columns().cloned().collect();
        for column in other.columns().filter(|column| column.name() != other_key) {
            if self.has(column.name()) {
                return Err(TableError::File {
                    file: other.file().to_owned(),
                    cause: format!("its column {:?} is in {}, too; rename one", column.name(), self.file()),
                });
            }
            columns.push(column.picked(&matches));
        }
        let unmatched: Vec<usize> = (0..self.rows()).filter(|&row| matches[row].is_none()).collect();
        let matched: std::collections::HashSet<usize> = matches.into_iter().flatten().collect();
        Ok(Joined {
            table: Table::new(self.shared_file(), self.rows(), columns),
            unmatched: Unmatched::of(keys, &unmatched),
            unused: Unmatched::of(other_keys, &(0..other.rows()).filter(|row| !matched.contains(row)).collect::<Vec<_>>()),
        })
    }
}

/// Keys that found no partner in a join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmatched {
    /// How many rows.
    pub count: usize,
    /// The first few, with their places.
    pub examples: Vec<(String, Place)>,
}

impl Unmatched {
    fn of(keys: &Column, rows: &[usize]) -> Unmatched {
        const FEW: usize = 5;
        let example = |&row: &usize| (keys.text(row).unwrap_or_default().to_owned(), keys.place(row));
        Unmatched { count: rows.len(), examples: rows.iter().take(FEW).map(example).collect() }
    }
}

/// The result of a join.
#[derive(Clone, Debug)]
pub struct Joined {
    /// The left table with the other's columns.
    pub table: Table,
    /// Rows of the left table whose key the other lacks.
    pub unmatched: Unmatched,
    /// Rows of the other table whose key the left table lacks.
    pub unused: Unmatched,
}
