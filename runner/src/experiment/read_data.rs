//! From a `Data` file to fields whose types are known.

use indexmap::IndexMap;
use sward_core::check::{Names, SetOverride, param_value};
use sward_core::diagnostic::{Diagnostic, codes};
use sward_core::expr::Constant;
use sward_core::language::{FieldExpression, GraphFile, ParamDeclaration, read_graph_file};
use sward_core::op::Catalogue;
use sward_core::program::DType;
use sward_core::source::{FileId, Span, Spanned};
use sward_core::suggest::nearest;
use sward_core::syntax::decode::{NoNames, Raw, decode};
use sward_core::syntax::{Kind, Value};

use super::data::{Column, Data, DomainName, FieldSpec, MissingFeature, Role, Scale};
use super::transform::{ITEMS, Item, TransformFile, TransformGraph};
use super::tree::{call, edit, map};
use crate::pixels::{DecodeOptions, Normalize, Step};
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

fn read_field(
    session: &mut Session<'_>,
    file: FileId,
    name: &Spanned<String>,
    raw: &Raw,
    columns: &IndexMap<String, (Column, Span)>,
) -> Option<Field> {
    let spec: FieldSpec = told(session, decode(&raw.0, &NoNames))?;
    let is_name = |text: &str| {
        text.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
            && text.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    if !is_name(&name.value) || matches!(name.value.as_str(), "model" | "loss" | "losses" | "batch") {
        let message = format!("`{}` cannot name a field", name.value);
        let help = "a field's name is a word of letters, digits and `_`, other than model, loss, losses and batch";
        session.diagnostics.push(Diagnostic::new(codes::BAD_NAME, message, name.span).help(help));
        return None;
    }
    let mut resolved = Vec::new();
    let mut sound = true;
    for source in spec.sources() {
        let names = match expand_range(&source.value) {
            Ok(names) => names.unwrap_or_else(|| vec![source.value.clone()]),
            Err(cause) => {
                session.diagnostics.push(Diagnostic::new(codes::UNKNOWN_COLUMN, cause, source.span));
                sound = false;
                continue;
            }
        };
        for own in names {
            match column_of(session, columns, &own, source.span) {
                Some(column) => {
                    sound &= fits(session, &spec, column, &own, source.span);
                    resolved.push((own, column.clone()));
                }
                None => sound = false,
            }
        }
    }
    if !sound || resolved.is_empty() {
        return None;
    }
    let role = role_of(session, &spec, &resolved, raw.0.span)?;
    let transform = match &spec {
        FieldSpec::Transform { graph, params, .. } => Some(read_transform(session, file, graph, params)?),
        _ => None,
    };
    let (dtype, shape, domain) = types(session, &spec, &resolved, transform.as_ref(), raw.0.span)?;
    let observed = mask(&spec, &resolved);
    let vocabulary = |column: &Column| match column {
        Column::Category { values, .. } if !values.is_empty() => Some(values.len()),
        _ => None,
    };
    let size = match &spec {
        FieldSpec::Categories { .. } => Some((format!("{}_categories", name.value), vocabulary(&resolved[0].1).map(|n| n + 1))),
        FieldSpec::Labels { .. } => Some((format!("{}_classes", name.value), vocabulary(&resolved[0].1))),
        _ => None,
    };
    Some(Field {
        name: name.value.clone(),
        spec,
        span: raw.0.span,
        columns: resolved.into_iter().map(|(name, _)| name).collect(),
        role,
        dtype,
        shape,
        domain,
        observed,
        size,
        transform,
    })
}

/// Whether a column is of the kind that a field is made of.
fn fits(session: &mut Session<'_>, spec: &FieldSpec, column: &Column, name: &str, span: Span) -> bool {
    let (wanted, is_right) = match spec {
        FieldSpec::Transform { .. } => ("Image", matches!(column, Column::Image { .. })),
        FieldSpec::Numbers { .. }
        | FieldSpec::Vector { .. }
        | FieldSpec::Targets { .. }
        | FieldSpec::Present { .. }
        | FieldSpec::Coordinates { .. } => ("Number", matches!(column, Column::Number { .. })),
        FieldSpec::Categories { .. } | FieldSpec::Labels { .. } => ("Category", matches!(column, Column::Category { .. })),
        FieldSpec::DayOfYear { .. } => ("Date", matches!(column, Column::Date { .. })),
        FieldSpec::Tokens { .. } => ("Text or Category", matches!(column, Column::Text { .. } | Column::Category { .. })),
        FieldSpec::Tensors { .. } => {
            ("Image, Id, Text or Category", !matches!(column, Column::Number { .. } | Column::Date { .. }))
        }
    };
    if !is_right {
        let message = format!("`{}` is made of {wanted} columns, and `{name}` is a {} column", spec.kind(), column.kind());
        session.diagnostics.push(Diagnostic::new(codes::COLUMN_KIND, message, span));
    }
    is_right
}

fn role_of(session: &mut Session<'_>, spec: &FieldSpec, columns: &[(String, Column)], span: Span) -> Option<FieldRole> {
    let mut role = if spec.is_target() { FieldRole::Target } else { FieldRole::Feature };
    for (name, column) in columns {
        match column.role() {
            Role::Group => {
                let message = format!("the column `{name}` has the role Group: folds read it, no field does");
                let help = "give it the role Feature or TrainOnly; folds may group by any column";
                session.diagnostics.push(Diagnostic::new(codes::COLUMN_ROLE, message, span).help(help));
                return None;
            }
            Role::Target if !spec.is_target() => {
                let message = format!("the column `{name}` has the role Target, and `{}` makes features", spec.kind());
                let help =
                    "targets are read by Targets, Present and Labels; a column known in training alone has the role TrainOnly";
                session.diagnostics.push(Diagnostic::new(codes::COLUMN_ROLE, message, span).help(help));
                return None;
            }
            Role::TrainOnly if !spec.is_target() => role = FieldRole::TrainOnly,
            Role::Feature if spec.is_target() => {
                let message =
                    format!("the column `{name}` has the role Feature, and `{}` makes something to predict", spec.kind());
                session.diagnostics.push(
                    Diagnostic::new(codes::COLUMN_ROLE, message, span)
                        .help("give it the role Target, or TrainOnly for auxiliary losses"),
                );
                return None;
            }
            _ => {}
        }
    }
    Some(role)
}

/// Whether the field has a mask, and of which shape.
fn mask(spec: &FieldSpec, columns: &[(String, Column)]) -> Option<Vec<usize>> {
    let any_missing = columns.iter().any(|(_, column)| column.may_be_missing());
    match spec {
        FieldSpec::Targets { .. } | FieldSpec::Present { .. } => Some(vec![columns.len()]),
        FieldSpec::Labels { .. } => Some(Vec::new()),
        FieldSpec::Tokens { length, .. } => Some(vec![*length]),
        FieldSpec::Numbers { missing: Some(MissingFeature::Masked), .. } => Some(vec![columns.len()]),
        FieldSpec::DayOfYear { .. } | FieldSpec::Coordinates { .. } | FieldSpec::Categories { .. } if any_missing => {
            Some(Vec::new())
        }
        _ => None,
    }
}

fn types(
    session: &mut Session<'_>,
    spec: &FieldSpec,
    columns: &[(String, Column)],
    transform: Option<&TransformGraph>,
    span: Span,
) -> Option<(DType, Vec<usize>, &'static str)> {
    let mut fault = |message: String, help: &str| {
        session.diagnostics.push(Diagnostic::new(codes::FIELD_SETTING, message, span).help(help.to_owned()));
        None
    };
    let may_be_missing = columns.iter().find(|(_, column)| column.may_be_missing()).map(|(name, _)| name);
    let positive = |number: f64| number.is_finite() && number > 0.0;
    match spec {
        FieldSpec::Transform { .. } => {
            let transform = transform?;
            let domain = if transform.normalize == Normalize::unit() { "Unit" } else { "Finite" };
            Some((DType::F32, transform.sample_shape(), domain))
        }
        FieldSpec::Numbers { missing, .. } => match (may_be_missing, missing) {
            (Some(name), None) => fault(
                format!("the column `{name}` may be missing, and `Numbers` does not say how a model sees that"),
                "write missing: Indicator (one more feature) or missing: Masked (a mask, `field:observed`)",
            ),
            (_, Some(MissingFeature::Indicator)) => Some((DType::F32, vec![2 * columns.len()], "Finite")),
            _ => Some((DType::F32, vec![columns.len()], "Finite")),
        },
        FieldSpec::Vector { divide, .. } => match may_be_missing {
            Some(name) => fault(
                format!("the column `{name}` may be missing, and a vector has no gaps"),
                "use Numbers, which has a rule for missing cells",
            ),
            None if !positive(*divide) => {
                fault(format!("`divide` is {divide}; it is above zero"), "leave it out to keep the numbers")
            }
            None => Some((DType::F32, vec![columns.len()], "Finite")),
        },
        FieldSpec::Categories { .. } | FieldSpec::Labels { .. } => Some((DType::I64, Vec::new(), "Any")),
        FieldSpec::DayOfYear { .. } => Some((DType::F32, vec![2], "Finite")),
        FieldSpec::Coordinates { levels, .. } => match levels {
            1..=16 => Some((DType::F32, vec![4 * *levels as usize], "Finite")),
            _ => fault(format!("`levels` is {levels}; it is from 1 to 16"), "4 levels tell regions apart, 8 farms"),
        },
        FieldSpec::Tokens { length, .. } => match length {
            1..=65_536 => Some((DType::I64, vec![*length], "Any")),
            _ => fault(format!("`length` is {length}; it is from 1 to 65536"), "sentences take about 64 tokens"),
        },
        FieldSpec::Tensors { shape, .. } => {
            let elements = shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
            match elements {
                Some(1..=0x1000_0000) => Some((DType::F32, shape.clone(), "Finite")),
                _ => fault(
                    format!("a tensor of the shape {shape:?} has no elements or too many"),
                    "give the shape of one row's tensor",
                ),
            }
        }
        FieldSpec::Targets { divide, scale, .. } => {
            if !positive(*divide) {
                return fault(format!("`divide` is {divide}; it is above zero"), "leave it out to keep the unit");
            }
            Some((DType::F32, vec![columns.len()], if *scale == Scale::ZScore { "Finite" } else { common_domain(columns) }))
        }
        FieldSpec::Present { above, .. } => {
            if !above.is_finite() {
                return fault(format!("`above` is {above}"), "it is a number");
            }
            Some((DType::F32, vec![columns.len()], "Probability"))
        }
    }
}

/// The narrowest domain that holds all columns; a missing cell is 0 behind its mask.
fn common_domain(columns: &[(String, Column)]) -> &'static str {
    let domains: Vec<DomainName> = columns
        .iter()
        .map(|(_, column)| match column {
            Column::Number { domain: DomainName::Positive, .. } if column.may_be_missing() => DomainName::NonNegative,
            Column::Number { domain, .. } => *domain,
            _ => DomainName::Any,
        })
        .collect();
    let all = |is: &dyn Fn(DomainName) -> bool| domains.iter().all(|domain| is(*domain));
    if all(&|domain| matches!(domain, DomainName::Probability | DomainName::Unit)) {
        "Probability"
    } else if all(&|domain| domain == DomainName::Positive) {
        "Positive"
    } else if all(&|domain| domain != DomainName::Any) {
        "NonNegative"
    } else {
        "Finite"
    }
}

/// Reads a `Transform` file with values for its params.
pub fn read_transform(
    session: &mut Session<'_>,
    from: FileId,
    path: &Spanned<String>,
    params: &IndexMap<Spanned<String>, Raw>,
) -> Option<TransformGraph> {
    let (file, tree) = load_kind(session, from, path, "Transform")?;
    read_transform_tree(session, file, &tree, params)
}

/// As [`read_transform`], for a tree that was read.
pub fn read_transform_tree(
    session: &mut Session<'_>,
    file: FileId,
    tree: &Value,
    params: &IndexMap<Spanned<String>, Raw>,
) -> Option<TransformGraph> {
    let spec: TransformFile = told(session, decode(tree, &NoNames))?;
    let names = transform_params(session, file, tree.span, &spec, params)?;
    let decode_options = match &spec.decode {
        Some(raw) => {
            let mut value = raw.0.clone();
            if let Kind::Call(call) = &mut value.kind
                && call.name() == "Decode"
            {
                call.name = None;
            }
            told(session, decode::<DecodeOptions>(&value, &names))?
        }
        None => DecodeOptions::default(),
    };
    let mut items = Vec::new();
    let mut sound = true;
    for raw in &spec.steps {
        match read_item(raw, &names) {
            Ok(item) => items.push(item),
            Err(diagnostic) => {
                session.diagnostics.push(*diagnostic);
                sound = false;
            }
        }
    }
    if !sound {
        return None;
    }
    match TransformGraph::new(decode_options, items) {
        Ok(graph) => Some(graph),
        Err((index, cause)) => {
            let span = index.map_or(tree.span, |index| spec.steps[index].0.span);
            session.diagnostics.push(Diagnostic::new(codes::TRANSFORM, cause, span));
            None
        }
    }
}

/// The declared params of a `Transform` file, which are declared as those of a module.
pub fn declared_params(
    session: &mut Session<'_>,
    catalogue: &Catalogue,
    file: FileId,
    span: Span,
    spec: &TransformFile,
) -> Vec<ParamDeclaration> {
    let params = map(span, spec.params.iter().map(|(name, raw)| (name.clone(), raw.0.clone())).collect());
    let tree = call(span, "Module", Vec::new(), vec![("params", params), ("outputs", map(span, Vec::new()))]);
    match read_graph_file(file, &tree, catalogue, &mut session.diagnostics) {
        Some(GraphFile::Module(module)) => module.params,
        _ => Vec::new(),
    }
}

fn transform_params(
    session: &mut Session<'_>,
    file: FileId,
    span: Span,
    spec: &TransformFile,
    given: &IndexMap<Spanned<String>, Raw>,
) -> Option<Names> {
    let catalogue = session.catalogue();
    let declared = declared_params(session, catalogue, file, span, spec);
    let mut sound = declared.len() == spec.params.len();
    for name in given.keys() {
        if !declared.iter().any(|param| *param.name.value == *name.value) {
            let message = format!("the transform has no param `{}`", name.value);
            let known = nearest(&name.value, declared.iter().map(|param| &*param.name.value));
            session.diagnostics.push(Diagnostic::new(codes::UNKNOWN_PARAM, message, name.span).suggest(known));
            sound = false;
        }
    }
    let mut names = Names::default();
    for param in &declared {
        let own = given.iter().find(|(name, _)| *name.value == *param.name.value).map(|(_, raw)| FieldExpression::of(&raw.0));
        let Some(expression) = own.as_ref().or(param.default.as_ref()) else {
            let message = format!("the param `{}` needs a value", param.name.value);
            session.diagnostics.push(Diagnostic::new(codes::MISSING_PARAM, message, param.span));
            sound = false;
            continue;
        };
        match param_value(&param.name.value, &param.kind, expression, &names, &mut Vec::new()) {
            Ok(value) => names.define(&param.name.value, value),
            Err(diagnostic) => {
                session.diagnostics.push(diagnostic);
                names.define(&param.name.value, Constant::from(1));
                sound = false;
            }
        }
    }
    sound.then_some(names)
}

fn read_item(raw: &Raw, names: &Names) -> Result<Item, Box<Diagnostic>> {
    let word = match &raw.0.kind {
        Kind::Call(call) => call.name(),
        Kind::Name(name) => name.as_str(),
        _ => "",
    };
    match word {
        "Training" => match &raw.0.kind {
            Kind::Call(call) if call.items.len() == 1 && call.fields.is_empty() => {
                Ok(Item::Training(decode(&call.items[0], names)?))
            }
            _ => Err(Box::new(
                Diagnostic::new(codes::FIELD_FORM, "`Training` holds one list of steps", raw.0.span)
                    .help("write Training([HorizontalFlip(p: 0.5)])"),
            )),
        },
        "Tiles" => Ok(Item::Tiles(decode(&raw.0, names)?)),
        "Views" => Ok(Item::Views(decode(&raw.0, names)?)),
        "Normalize" => Ok(Item::Normalize(decode(&raw.0, names)?)),
        other if !other.is_empty() && !Step::NAMES.contains(&other) => {
            let known = Step::NAMES.iter().chain(ITEMS).copied();
            let message = format!("there is no step called `{other}`");
            Err(Box::new(
                Diagnostic::new(codes::UNKNOWN_OP, message, raw.0.span)
                    .suggest(nearest(other, known))
                    .help("docs/transforms.md lists the steps"),
            ))
        }
        _ => Ok(Item::Always(decode::<Step>(&raw.0, names)?)),
    }
}
