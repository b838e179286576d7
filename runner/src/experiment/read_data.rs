//! From a `Data` file to fields whose types are known.

use indexmap::IndexMap;
use sward_core::check::SetOverride;
use sward_core::diagnostic::{Diagnostic, codes};
use sward_core::language::GraphFile;
use sward_core::program::DType;
use sward_core::source::{FileId, Span, Spanned};
use sward_core::suggest::nearest;
use sward_core::syntax::Value;
use sward_core::syntax::decode::{NoNames, decode};

use super::data::{Column, Data, FieldSpec};
use super::read_field::read_field;
use super::transform::TransformGraph;
use super::tree::edit;
use crate::table::Identity;

/// A session of the checker.
pub type Session<'c> = sward_core::check::Session<'c>;

/// A `Data` file whose columns and fields go together.
#[derive(Clone, Debug)]
pub struct DataFile {
    /// The file; paths in it are relative to it.
    pub file: FileId,
    /// As it is written.
    pub spec: Data,
    /// Every declared column, ranges expanded, with the place of its name.
    pub columns: IndexMap<String, (Column, Span)>,
    /// The fields in the file's order.
    pub fields: IndexMap<String, Field>,
    /// The identities.
    pub identities: Vec<Identity>,
}

/// Who may read a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldRole {
    /// Everybody; it is there at prediction time.
    Feature,
    /// Losses.
    TrainOnly,
    /// Losses and metrics.
    Target,
}

/// A field and the types of its tensors.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// As it is written.
    pub spec: FieldSpec,
    /// The place of what is written.
    pub span: Span,
    /// The columns that it is made of, ranges expanded.
    pub columns: Vec<String>,
    /// Who may read it.
    pub role: FieldRole,
    /// The element type.
    pub dtype: DType,
    /// The shape of one sample.
    pub shape: Vec<usize>,
    /// The domain, by its word in the language.
    pub domain: &'static str,
    /// The shape of one sample's mask, where there is one.
    pub observed: Option<Vec<usize>>,
    /// A size that belongs to it: its name, and its value where the file states the vocabulary.
    pub size: Option<(String, Option<usize>)>,
    /// What is done with photographs.
    pub transform: Option<TransformGraph>,
}

impl Field {
    /// The name of the graph's input for its mask.
    pub fn observed_input(&self) -> String {
        format!("{}.observed", self.name)
    }
}

/// Reads and checks a `Data` file that `from` names. `None` where an error was reported.
pub fn read_data(session: &mut Session<'_>, from: FileId, path: &Spanned<String>, sets: &[SetOverride]) -> Option<DataFile> {
    let (file, tree) = load_kind(session, from, path, "Data")?;
    read_data_tree(session, file, tree, sets)
}

/// As [`read_data`], for a tree that was read.
pub fn read_data_tree(session: &mut Session<'_>, file: FileId, mut tree: Value, sets: &[SetOverride]) -> Option<DataFile> {
    let errors_before = session.diagnostics.errors();
    apply(session, &mut tree, sets)?;
    let spec: Data = told(session, decode(&tree, &NoNames))?;
    let columns = read_columns(session, &spec);
    let mut fields = IndexMap::new();
    for (name, raw) in &spec.fields {
        if let Some(field) = read_field(session, file, name, raw, &columns) {
            fields.insert(name.value.clone(), field);
        }
    }
    let identities = read_identities(session, &spec, &columns);
    check_tables(session, &spec);
    (session.diagnostics.errors() == errors_before).then_some(DataFile { file, spec, columns, fields, identities })
}

/// Loads a file of one kind.
pub fn load_kind(session: &mut Session<'_>, from: FileId, path: &Spanned<String>, wanted: &str) -> Option<(FileId, Value)> {
    let (file, graph_file) = session.load(from, &path.value, path.span)?;
    match &*graph_file {
        GraphFile::Other { kind, tree } if kind.value == wanted => Some((file, tree.clone())),
        other => {
            let found = match other {
                GraphFile::Module(_) => "a Module",
                GraphFile::Interface(_) => "an Interface",
                GraphFile::Other { kind, .. } if kind.value == "Ablation" || kind.value == "Experiment" => {
                    "an experiment or ablation"
                }
                GraphFile::Other { kind, .. } if kind.value == "Data" => "a Data file",
                GraphFile::Other { .. } => "a Transform",
            };
            let message = format!("`{}` holds {found}; {wanted} is expected here", path.value);
            session.diagnostics.push(Diagnostic::new(codes::OTHER_KIND, message, path.span));
            None
        }
    }
}

/// Applies overrides to a tree.
pub fn apply(session: &mut Session<'_>, tree: &mut Value, sets: &[SetOverride]) -> Option<()> {
    let mut sound = true;
    for set in sets {
        if let Err(diagnostic) = edit(tree, set) {
            session.diagnostics.push(diagnostic);
            sound = false;
        }
    }
    sound.then_some(())
}

/// Reports an error and gives what is there.
pub fn told<T>(session: &mut Session<'_>, result: Result<T, Box<Diagnostic>>) -> Option<T> {
    result.map_err(|diagnostic| session.diagnostics.push(*diagnostic)).ok()
}

fn read_columns(session: &mut Session<'_>, spec: &Data) -> IndexMap<String, (Column, Span)> {
    let mut columns = IndexMap::new();
    for (name, raw) in &spec.columns {
        let Some(column) = told(session, decode::<Column>(&raw.0, &NoNames)) else { continue };
        let names = match expand_range(&name.value) {
            Ok(names) => names.unwrap_or_else(|| vec![name.value.clone()]),
            Err(cause) => {
                session.diagnostics.push(Diagnostic::new(codes::UNKNOWN_COLUMN, cause, name.span));
                continue;
            }
        };
        for own in names {
            columns.insert(own, (column.clone(), name.span));
        }
    }
    columns
}

/// The names of a range `p0..p63`; `None` where it is no range.
///
/// # Errors
/// Two ends that do not differ in a number alone.
pub fn expand_range(text: &str) -> Result<Option<Vec<String>>, String> {
    let Some((first, last)) = text.split_once("..") else { return Ok(None) };
    let split = |name: &str| {
        let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
        let (stem, number) = name.split_at(name.len() - digits);
        number.parse::<u32>().ok().map(|value| (stem.to_owned(), value, number.len()))
    };
    match (split(first), split(last)) {
        (Some((stem, low, width)), Some((other, high, _))) if stem == other && low <= high && high - low < 10_000 => {
            // Numbers that are padded in the first name are padded in all.
            let padded = width > 1 && first.as_bytes()[stem.len()] == b'0';
            let name = |number| if padded { format!("{stem}{number:0width$}") } else { format!("{stem}{number}") };
            Ok(Some((low..=high).map(name).collect()))
        }
        _ => Err(format!("`{text}` is no range of columns: both ends are one name with a number behind it, as in p0..p63")),
    }
}

/// A declared column; its absence is reported.
pub fn column_of<'c>(
    session: &mut Session<'_>,
    columns: &'c IndexMap<String, (Column, Span)>,
    name: &str,
    span: Span,
) -> Option<&'c Column> {
    if let Some((column, _)) = columns.get(name) {
        return Some(column);
    }
    let message = format!("the column `{name}` is not declared in `columns`");
    let diagnostic = Diagnostic::new(codes::UNKNOWN_COLUMN, message, span);
    let diagnostic = match nearest(name, columns.keys().map(String::as_str)) {
        Some(near) => diagnostic.suggest(Some(near)),
        None => diagnostic.help("declare it, for example \"name\": Number(role: Feature)"),
    };
    session.diagnostics.push(diagnostic);
    None
}

fn read_identities(session: &mut Session<'_>, spec: &Data, columns: &IndexMap<String, (Column, Span)>) -> Vec<Identity> {
    let mut identities = Vec::new();
    for text in &spec.identities {
        let identity = match Identity::parse(&text.value) {
            Ok(identity) => identity,
            Err(error) => {
                session.diagnostics.push(Diagnostic::new(codes::IDENTITY, error.to_string(), text.span));
                continue;
            }
        };
        let names = std::iter::once(&identity.total).chain(identity.terms.iter().map(|(_, name)| name));
        let mut sound = true;
        for name in names {
            match column_of(session, columns, name, text.span) {
                Some(Column::Number { .. }) => {}
                Some(other) => {
                    let message = format!("`{name}` is a {} column; identities are between numbers", other.kind());
                    session.diagnostics.push(Diagnostic::new(codes::IDENTITY, message, text.span));
                    sound = false;
                }
                None => sound = false,
            }
        }
        if sound {
            identities.push(identity);
        }
    }
    identities
}

/// What is said of the tables: delimiters, and one rule for repeated rows.
fn check_tables(session: &mut Session<'_>, spec: &Data) {
    let mut tables: Vec<&Spanned<super::data::Csv>> = vec![&spec.table];
    tables.extend(&spec.test);
    while let Some(table) = tables.pop() {
        if !table.value.delimiter.is_ascii() {
            let message = format!("the delimiter {:?} is not one byte", table.value.delimiter);
            session.diagnostics.push(Diagnostic::new(codes::FIELD_SETTING, message, table.span));
        }
        if table.value.pivot.is_some() && table.value.distinct.is_some() {
            let message = "a pivot gives one row per key already: leave `distinct` out";
            session.diagnostics.push(Diagnostic::new(codes::FIELD_SETTING, message, table.span));
        }
        tables.extend(table.value.join.iter().map(|join| &*join.table));
    }
}
