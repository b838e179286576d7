//! Which rows train and which validate: folds, hold-outs, and the checks that keep them apart.
//!
//! Without shuffling, folds equal those of scikit-learn's splitters. With a seed, they are a pure function of the seed and
//! the rows' order. Row numbers count from 0.

use indexmap::IndexMap;

use crate::random::{Lane, Stream, purpose};

/// One division of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// The rows to train on, ascending.
    pub train: Vec<usize>,
    /// The rows to validate on, ascending.
    pub validation: Vec<usize>,
}

/// Why rows cannot be divided as asked, or should not be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// Fewer than two folds.
    #[error("k is {k}: at least 2 folds are needed")]
    TooFewFolds {
        /// The number asked for.
        k: usize,
    },
    /// More folds than rows, groups or members of a class.
    #[error("k is {k}, but there are only {found} {what}")]
    TooManyFolds {
        /// The number asked for.
        k: usize,
        /// What runs out, in plural.
        what: String,
        /// How many there are.
        found: usize,
    },
    /// A share that leaves nothing on one side.
    #[error("a hold-out of {fraction} of {rows} {what} leaves {side} empty")]
    EmptySide {
        /// The share asked for, as text.
        fraction: String,
        /// How many rows or groups there are.
        rows: usize,
        /// `rows` or `groups`.
        what: &'static str,
        /// `the training side` or `the validation side`.
        side: &'static str,
    },
    /// A row without a value in a grouping, class or fold column.
    #[error("row {row} has no {column}: a missing {column} may hide a leak, fill it or drop the row")]
    MissingValue {
        /// The row.
        row: usize,
        /// The column's name.
        column: String,
    },
    /// Columns of different length.
    #[error("{what} has {found} values for {rows} rows")]
    Length {
        /// What the list is.
        what: String,
        /// Its length.
        found: usize,
        /// The number of rows.
        rows: usize,
    },
    /// A group with rows on both sides of one split.
    #[error("fold {fold}: group {group} is in training (row {train_row}) and in validation (row {validation_row})")]
    Leak {
        /// The fold.
        fold: usize,
        /// The group's values.
        group: String,
        /// One of its rows in training.
        train_row: usize,
        /// One of its rows in validation.
        validation_row: usize,
    },
    /// A row on both sides, or twice on one.
    #[error("fold {fold}: row {row} is used twice")]
    RowTwice {
        /// The fold.
        fold: usize,
        /// The row.
        row: usize,
    },
    /// A fold whose validation or training rows lack a target entirely.
    #[error("fold {fold}: no {side} row has an observed value of target `{target}`")]
    FoldWithoutTarget {
        /// The fold.
        fold: usize,
        /// `training` or `validation`.
        side: &'static str,
        /// The target's name.
        target: String,
    },
    /// A group number that [`Groups`] does not hold, or another caller's mistake.
    #[error("{0}")]
    Setting(String),
}

/// Rows grouped by the values of one or several columns; two rows are of one group where all columns agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    of_row: Vec<usize>,
    names: Vec<Vec<String>>,
}

impl Groups {
    /// Groups rows by columns of text, as read from the table. `columns` are pairs of name and values.
    ///
    /// # Errors
    /// A missing value, because a row of unknown group may leak, or columns of different length.
    pub fn new(columns: &[(&str, &[Option<String>])]) -> Result<Self, SplitError> {
        let Some(rows) = columns.first().map(|(_, values)| values.len()) else {
            return Err(SplitError::Setting("groups need at least one column".into()));
        };
        if let Some((name, values)) = columns.iter().find(|(_, values)| values.len() != rows) {
            return Err(SplitError::Length { what: format!("column {name}"), found: values.len(), rows });
        }
        let mut numbers: IndexMap<Vec<String>, usize> = IndexMap::new();
        let mut of_row = Vec::with_capacity(rows);
        for row in 0..rows {
            let value = |(name, values): &(&str, &[Option<String>])| {
                values[row].clone().ok_or_else(|| SplitError::MissingValue { row, column: (*name).into() })
            };
            let key = columns.iter().map(value).collect::<Result<Vec<_>, _>>()?;
            let next = numbers.len();
            of_row.push(*numbers.entry(key).or_insert(next));
        }
        Ok(Self { of_row, names: numbers.into_keys().collect() })
    }

    /// The group number of each row, in order of first appearance.
    pub fn of_row(&self) -> &[usize] {
        &self.of_row
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The column values of a group, for people.
    pub fn name(&self, group: usize) -> String {
        match self.names[group].as_slice() {
            [single] => single.clone(),
            several => format!("({})", several.join(", ")),
        }
    }

    fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.len()];
        self.of_row.iter().for_each(|&group| sizes[group] += 1);
        sizes
    }
}

fn stream(seed: u64) -> Stream {
    Stream::new(seed, Lane { purpose: purpose::FOLDS, outer: 0, inner: 0 })
}

fn check_k(k: usize, found: usize, what: &str) -> Result<(), SplitError> {
    match k {
        0 | 1 => Err(SplitError::TooFewFolds { k }),
        _ if k > found => Err(SplitError::TooManyFolds { k, what: what.into(), found }),
        _ => Ok(()),
    }
}

/// Turns the validation fold of each row into splits.
fn splits(fold_of_row: &[usize], k: usize) -> Vec<Split> {
    let rows_where = |keep: &dyn Fn(usize) -> bool| (0..fold_of_row.len()).filter(|&row| keep(fold_of_row[row])).collect();
    (0..k)
        .map(|fold| Split { train: rows_where(&|other| other != fold), validation: rows_where(&|other| other == fold) })
        .collect()
}

/// Folds of neighbouring rows, the first `rows % k` one row larger; rows are shuffled first where a seed is given.
///
/// # Errors
/// Fewer than 2 folds, or more than rows.
pub fn k_fold(rows: usize, k: usize, seed: Option<u64>) -> Result<Vec<Split>, SplitError> {
    check_k(k, rows, "rows")?;
    let mut order: Vec<usize> = (0..rows).collect();
    if let Some(seed) = seed {
        stream(seed).shuffle(&mut order);
    }
    let mut fold_of_row = vec![0; rows];
    let mut start = 0;
    for fold in 0..k {
        let size = rows / k + usize::from(fold < rows % k);
        order[start..start + size].iter().for_each(|&row| fold_of_row[row] = fold);
        start += size;
    }
    Ok(splits(&fold_of_row, k))
}

/// Folds with the share of each class kept, the algorithm of scikit-learn's `StratifiedKFold`.
///
/// # Errors
/// Fewer than 2 folds, or a class with fewer rows than folds: its share cannot be kept.
pub fn stratified_k_fold(classes: &Groups, k: usize, seed: Option<u64>) -> Result<Vec<Split>, SplitError> {
    let sizes = classes.sizes();
    check_k(k, classes.of_row.len(), "rows")?;
    if let Some(rare) = (0..classes.len()).filter(|&class| sizes[class] < k).min_by_key(|&class| sizes[class]) {
        return Err(SplitError::TooManyFolds { k, what: format!("rows of class {}", classes.name(rare)), found: sizes[rare] });
    }
    // Deal the rows, sorted by class, to the folds in turn: this says how many of each class a fold gets.
    let mut sorted = classes.of_row.clone();
    sorted.sort_unstable();
    let mut share = vec![vec![0usize; k]; classes.len()];
    sorted.iter().enumerate().for_each(|(place, &class)| share[class][place % k] += 1);

    let mut stream = seed.map(stream);
    let mut fold_of_row = vec![0; classes.of_row.len()];
    for (class, share) in share.iter().enumerate() {
        let mut folds: Vec<usize> = (0..k).flat_map(|fold| std::iter::repeat_n(fold, share[fold])).collect();
        if let Some(stream) = &mut stream {
            stream.shuffle(&mut folds);
        }
        let rows = (0..classes.of_row.len()).filter(|&row| classes.of_row[row] == class);
        rows.zip(folds).for_each(|(row, fold)| fold_of_row[row] = fold);
    }
    Ok(splits(&fold_of_row, k))
}

/// Folds of whole groups, balanced in rows as scikit-learn's `GroupKFold`: the largest group left goes to the smallest fold.
///
/// A seed decides among groups of equal size; without one, the group whose values sort last as text goes first, as in
/// scikit-learn. Either way the folds do not depend on the order of rows.
///
/// # Errors
/// Fewer than 2 folds, or more than groups.
pub fn group_k_fold(groups: &Groups, k: usize, seed: Option<u64>) -> Result<Vec<Split>, SplitError> {
    check_k(k, groups.len(), "groups")?;
    let sizes = groups.sizes();
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.sort_by(|&a, &b| groups.names[b].cmp(&groups.names[a]));
    if let Some(seed) = seed {
        stream(seed).shuffle(&mut order);
    }
    // A stable sort: groups of one size keep the order they have.
    order.sort_by_key(|&group| std::cmp::Reverse(sizes[group]));
    let mut fold_sizes = vec![0usize; k];
    let mut fold_of_group = vec![0; groups.len()];
    for group in order {
        let lightest = (0..k).min_by_key(|&fold| fold_sizes[fold]).unwrap_or(0);
        fold_sizes[lightest] += sizes[group];
        fold_of_group[group] = lightest;
    }
    let fold_of_row: Vec<usize> = groups.of_row.iter().map(|&group| fold_of_group[group]).collect();
    Ok(splits(&fold_of_row, k))
}

/// One split that validates on `fraction` of the rows, rounded up, drawn by the seed.
///
/// With groups, whole groups are drawn until the share is reached, so it may be somewhat larger.
///
/// # Errors
/// A share that leaves one side empty.
pub fn hold_out(rows: usize, fraction: f64, groups: Option<&Groups>, seed: u64) -> Result<Split, SplitError> {
    if let Some(groups) = groups.filter(|groups| groups.of_row.len() != rows) {
        return Err(SplitError::Length { what: "the list of groups".into(), found: groups.of_row.len(), rows });
    }
    let (units, what) = groups.map_or((rows, "rows"), |groups| (groups.len(), "groups"));
    let empty = |side| Err(SplitError::EmptySide { fraction: fraction.to_string(), rows: units, what, side });
    if fraction.is_nan() || fraction <= 0.0 || rows == 0 {
        return empty("the validation side");
    }
    // The product may lie one bit above a whole number (0.1 * 30), which must not round up to one row more.
    let wanted = (fraction * rows as f64 - 1e-9).ceil().max(1.0) as usize;
    let mut order: Vec<usize> = (0..units).collect();
    stream(seed).shuffle(&mut order);
    let sizes = groups.map(Groups::sizes);
    let mut chosen = vec![false; units];
    let mut count = 0;
    for unit in order {
        if count >= wanted {
            break;
        }
        chosen[unit] = true;
        count += sizes.as_ref().map_or(1, |sizes| sizes[unit]);
    }
    if count >= rows {
        return empty("the training side");
    }
    let fold_of_row: Vec<usize> =
        (0..rows).map(|row| usize::from(!chosen[groups.map_or(row, |groups| groups.of_row[row])])).collect();
    Ok(splits(&fold_of_row, 2).swap_remove(0))
}

/// The folds that a column of the table gives: one per distinct value, in order of first appearance.
///
/// # Errors
/// Fewer than two distinct values.
pub fn given_folds(column: &Groups) -> Result<Vec<Split>, SplitError> {
    check_k(column.len(), column.len(), "folds")?;
    Ok(splits(&column.of_row, column.len()))
}

/// Every way in which splits leak: a group on both sides, or a row used twice. Empty where none does.
pub fn leaks(splits: &[Split], groups: Option<&Groups>) -> Vec<SplitError> {
    let mut found = Vec::new();
    for (fold, split) in splits.iter().enumerate() {
        let mut rows = split.train.iter().chain(&split.validation).copied().collect::<Vec<_>>();
        rows.sort_unstable();
        let twice = rows.windows(2).filter(|pair| pair[0] == pair[1]);
        found.extend(twice.map(|pair| SplitError::RowTwice { fold, row: pair[0] }));
        let Some(groups) = groups else { continue };
        let mut train_row = vec![None; groups.len()];
        split.train.iter().for_each(|&row| train_row[groups.of_row[row]] = Some(row));
        let mut reported = vec![false; groups.len()];
        for &validation_row in &split.validation {
            let group = groups.of_row[validation_row];
            if let (Some(train_row), false) = (train_row[group], reported[group]) {
                reported[group] = true;
                found.push(SplitError::Leak { fold, group: groups.name(group), train_row, validation_row });
            }
        }
    }
    found
}

/// Every fold with a target that no training row, or no validation row, has. `observed` is row-major, one flag a target.
///
/// # Errors
/// Flags that do not fit the targets.
pub fn folds_without_target(splits: &[Split], targets: &[&str], observed: &[bool]) -> Result<Vec<SplitError>, SplitError> {
    let last_row = splits.iter().flat_map(|split| split.train.iter().chain(&split.validation)).max();
    let rows = last_row.map_or(0, |row| row + 1);
    if observed.len() < rows * targets.len() {
        return Err(SplitError::Length { what: "observed".into(), found: observed.len(), rows: rows * targets.len() });
    }
    let mut found = Vec::new();
    for (fold, split) in splits.iter().enumerate() {
        for (side, rows) in [("training", &split.train), ("validation", &split.validation)] {
            for (column, target) in targets.iter().enumerate() {
                if !rows.iter().any(|row| observed[row * targets.len() + column]) {
                    found.push(SplitError::FoldWithoutTarget { fold, side, target: (*target).into() });
                }
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn groups(values: &[u32]) -> Groups {
        let texts: Vec<Option<String>> = values.iter().map(|value| Some(value.to_string())).collect();
        Groups::new(&[("site", &texts)]).unwrap()
    }

    fn texts(values: &[&str]) -> Vec<Option<String>> {
        values.iter().map(|value| (!value.is_empty()).then(|| (*value).to_owned())).collect()
    }

    #[test]
    fn groups_are_tuples_of_columns() {
        let dates = texts(&["2015-09-04", "2015-09-04", "2015-10-01"]);
        let states = texts(&["Tas", "Vic", "Tas"]);
        let groups = Groups::new(&[("Sampling_Date", &dates), ("State", &states)]).unwrap();
        assert_eq!(groups.of_row(), [0, 1, 2]);
        assert_eq!(groups.name(1), "(2015-09-04, Vic)");
    }

    #[test]
    fn a_missing_group_is_refused_by_row_and_column() {
        let error = Groups::new(&[("State", &texts(&["Tas", ""]))]).unwrap_err();
        assert_eq!(error.to_string(), "row 1 has no State: a missing State may hide a leak, fill it or drop the row");
    }

    #[test]
    fn more_folds_than_there_is_to_fold_is_refused() {
        assert_eq!(k_fold(3, 4, None).unwrap_err().to_string(), "k is 4, but there are only 3 rows");
        assert_eq!(k_fold(3, 1, None).unwrap_err().to_string(), "k is 1: at least 2 folds are needed");
        let few = groups(&[1, 1, 2, 2, 2]);
        assert_eq!(group_k_fold(&few, 3, None).unwrap_err().to_string(), "k is 3, but there are only 2 groups");
        let error = stratified_k_fold(&few, 3, None).unwrap_err();
        assert_eq!(error.to_string(), "k is 3, but there are only 2 rows of class 1");
        assert!(given_folds(&groups(&[1, 1])).is_err());
    }

    #[test]
    fn a_leaking_group_is_found_and_named_once() {
        let split = Split { train: vec![0, 1, 2], validation: vec![3, 4, 5] };
        let found = leaks(&[split], Some(&groups(&[1, 2, 2, 2, 2, 3])));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].to_string(), "fold 0: group 2 is in training (row 2) and in validation (row 3)");
        let twice = Split { train: vec![0, 1], validation: vec![1] };
        assert_eq!(leaks(&[twice], None)[0].to_string(), "fold 0: row 1 is used twice");
    }

    #[test]
    fn a_fold_without_a_target_is_named() {
        let folds = k_fold(4, 2, None).unwrap();
        let observed = [true, false, true, false, true, true, true, true];
        let found = folds_without_target(&folds, &["grass", "clover"], &observed).unwrap();
        let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "fold 0: no validation row has an observed value of target `clover`",
                "fold 1: no training row has an observed value of target `clover`"
            ]
        );
        assert!(folds_without_target(&folds, &["grass", "clover"], &observed[1..]).is_err());
    }

    #[test]
    fn a_hold_out_has_the_share_asked_for_and_never_an_empty_side() {
        assert_eq!(hold_out(30, 0.1, None, 1).unwrap().validation.len(), 3);
        assert_eq!(hold_out(31, 0.1, None, 1).unwrap().validation.len(), 4);
        assert_eq!(hold_out(5, 0.01, None, 1).unwrap().validation.len(), 1);
        assert_eq!(
            hold_out(5, 1.0, None, 1).unwrap_err().to_string(),
            "a hold-out of 1 of 5 rows leaves the training side empty"
        );
        assert!(hold_out(5, f64::NAN, None, 1).is_err());
        assert!(hold_out(3, 0.2, Some(&groups(&[7, 7, 7])), 1).is_err());
    }

    proptest! {
        #[test]
        fn every_row_validates_once_and_no_group_leaks(
            values in proptest::collection::vec(0u32..12, 12..80), k in 2usize..5, seed in any::<Option<u64>>(),
        ) {
            let groups = groups(&values);
            prop_assume!(groups.len() >= k);
            let kinds = [
                (group_k_fold(&groups, k, seed), Some(&groups)),
                (k_fold(values.len(), k, seed), None),
                (stratified_k_fold(&groups, k, seed), None),
                (given_folds(&groups), Some(&groups)),
            ];
            for (folds, groups) in kinds {
                let Ok(folds) = folds else { continue };
                prop_assert_eq!(leaks(&folds, groups), []);
                let mut seen: Vec<usize> = folds.iter().flat_map(|fold| fold.validation.clone()).collect();
                seen.sort_unstable();
                prop_assert_eq!(seen, (0..values.len()).collect::<Vec<_>>());
                for fold in &folds {
                    prop_assert_eq!(fold.train.len() + fold.validation.len(), values.len());
                }
            }
        }

        #[test]
        fn stratified_folds_differ_by_at_most_one_row_a_class(
            values in proptest::collection::vec(0u32..3, 30..80), k in 2usize..5, seed in any::<Option<u64>>(),
        ) {
            let classes = groups(&values);
            if let Ok(folds) = stratified_k_fold(&classes, k, seed) {
                for class in 0..classes.len() {
                    let count = |fold: &Split| fold.validation.iter().filter(|&&row| classes.of_row()[row] == class).count();
                    let counts: Vec<usize> = folds.iter().map(count).collect();
                    prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{:?}", counts);
                }
            }
        }

        #[test]
        fn grouped_folds_do_not_depend_on_the_order_of_rows(
            values in proptest::collection::vec(0u32..9, 9..40), seed in any::<Option<u64>>(), turn in 0usize..40,
        ) {
            let mut turned = values.clone();
            turned.rotate_left(turn % values.len());
            let fold_of = |values: &[u32]| -> Option<std::collections::BTreeMap<u32, usize>> {
                let folds = group_k_fold(&groups(values), 3, seed).ok()?;
                let validated = |(fold, split): (usize, &Split)| {
                    split.validation.iter().map(|&row| (values[row], fold)).collect::<Vec<_>>()
                };
                Some(folds.iter().enumerate().flat_map(validated).collect())
            };
            prop_assert_eq!(fold_of(&values), fold_of(&turned));
        }

        #[test]
        fn a_grouped_hold_out_never_leaks(values in proptest::collection::vec(0u32..9, 9..60), seed: u64) {
            let groups = groups(&values);
            if let Ok(split) = hold_out(values.len(), 0.2, Some(&groups), seed) {
                prop_assert_eq!(leaks(std::slice::from_ref(&split), Some(&groups)), []);
                prop_assert!(split.validation.len() * 5 >= values.len());
                prop_assert_eq!(hold_out(values.len(), 0.2, Some(&groups), seed).unwrap(), split);
            }
        }
    }
}
