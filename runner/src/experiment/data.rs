//! A `Data` file as it is written: the table, what its columns mean, and the fields that are made of them.

use indexmap::IndexMap;
use serde::Deserialize;
use sward_core::source::Spanned;
use sward_core::syntax::decode::Raw;

use crate::table::{MissingRule, Pivot, Tolerance};

/// A `Data` file. `docs/experiments.md` explains every field.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename = "Data", deny_unknown_fields)]
pub struct Data {
    /// What it is.
    #[serde(default)]
    pub doc: Option<String>,
    /// The rows to train and validate on.
    pub table: Spanned<Csv>,
    /// The rows to predict where nothing else is named.
    #[serde(default)]
    pub test: Option<Spanned<Csv>>,
    /// What the columns are; each is a [`Column`].
    pub columns: IndexMap<Spanned<String>, Raw>,
    /// Sums between columns.
    #[serde(default)]
    pub identities: Vec<Spanned<String>>,
    /// How far the two sides of an identity may differ.
    #[serde(default = "usual_tolerance")]
    pub tolerance: Tolerance,
    /// The tensors made of the columns; each is a [`FieldSpec`].
    pub fields: IndexMap<Spanned<String>, Raw>,
}

fn usual_tolerance() -> Tolerance {
    Tolerance { absolute: 0.01, relative: 0.001 }
}

/// A CSV file and how it becomes one row per sample.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename = "Csv", deny_unknown_fields)]
pub struct Csv {
    /// Relative to the data file's folder.
    pub path: Spanned<String>,
    /// What stands between two cells; one byte.
    #[serde(default = "comma")]
    pub delimiter: char,
    /// Turns a long table wide.
    #[serde(default)]
    pub pivot: Option<Pivot>,
    /// Keeps one row per text of this column.
    #[serde(default)]
    pub distinct: Option<Spanned<String>>,
    /// Files whose columns are added.
    #[serde(default)]
    pub join: Vec<Join>,
}

impl Csv {
    /// The paths of this file and of all that are joined to it.
    pub fn paths(&self) -> Vec<&str> {
        let joined = self.join.iter().flat_map(|join| join.table.value.paths());
        std::iter::once(self.path.value.as_str()).chain(joined).collect()
    }
}

fn comma() -> char {
    ','
}

/// Another file's columns for the rows whose key it has.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename = "Join", deny_unknown_fields)]
pub struct Join {
    /// The other file.
    pub table: Box<Spanned<Csv>>,
    /// The key in this table.
    pub key: Spanned<String>,
    /// The key in the other, where it has another name.
    #[serde(default)]
    pub other_key: Option<Spanned<String>>,
}

/// Who may read a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Role {
    /// Models; it is there at prediction time.
    #[default]
    Feature,
    /// Losses and metrics.
    Target,
    /// Losses; it is not there at prediction time.
    TrainOnly,
    /// Folds.
    Group,
}

/// What the cells of a column are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Column {
    /// Paths of photographs.
    Image {
        /// Who may read it.
        #[serde(default)]
        role: Role,
        /// A folder below the data file's.
        #[serde(default)]
        folder: String,
        /// What happens at a file that cannot be read.
        #[serde(default)]
        broken: Broken,
    },
    /// Numbers.
    Number {
        /// Who may read it.
        #[serde(default)]
        role: Role,
        /// The unit, for people.
        #[serde(default)]
        unit: String,
        /// Which numbers there may be.
        #[serde(default)]
        domain: DomainName,
        /// Which cells are missing.
        #[serde(default)]
        missing: Missing,
    },
    /// Texts of a few.
    Category {
        /// Who may read it.
        #[serde(default)]
        role: Role,
        /// The vocabulary; what the training rows hold where none is given.
        #[serde(default)]
        values: Vec<String>,
        /// Which cells are missing.
        #[serde(default = "missing_allowed")]
        missing: Missing,
    },
    /// Dates.
    Date {
        /// Who may read it.
        #[serde(default)]
        role: Role,
        /// Directives of strftime, tried in order.
        #[serde(default)]
        formats: Vec<String>,
        /// Which cells are missing.
        #[serde(default)]
        missing: Missing,
    },
    /// Free text.
    Text {
        /// Who may read it.
        #[serde(default)]
        role: Role,
    },
    /// The row's name.
    Id {
        /// Who may read it.
        #[serde(default)]
        role: Role,
    },
}

fn missing_allowed() -> Missing {
    Missing::Allowed
}

impl Column {
    /// Who may read it.
    pub fn role(&self) -> Role {
        match self {
            Column::Image { role, .. }
            | Column::Number { role, .. }
            | Column::Category { role, .. }
            | Column::Date { role, .. }
            | Column::Text { role }
            | Column::Id { role } => *role,
        }
    }

    /// The kind, as it is written.
    pub fn kind(&self) -> &'static str {
        match self {
            Column::Image { .. } => "Image",
            Column::Number { .. } => "Number",
            Column::Category { .. } => "Category",
            Column::Date { .. } => "Date",
            Column::Text { .. } => "Text",
            Column::Id { .. } => "Id",
        }
    }

    /// Which cells count as missing.
    pub fn missing_rule(&self) -> MissingRule {
        match self {
            Column::Number { missing, .. } | Column::Category { missing, .. } | Column::Date { missing, .. } => missing.rule(),
            Column::Image { .. } | Column::Text { .. } | Column::Id { .. } => MissingRule::refuse(),
        }
    }

    /// Whether a cell may be missing.
    pub fn may_be_missing(&self) -> bool {
        self.missing_rule().allowed
    }
}

/// Which cells are missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Missing {
    /// None may be.
    #[default]
    Refused,
    /// Empty cells and the usual words.
    Allowed,
    /// Empty cells and these words.
    Words(Vec<String>),
}

impl Missing {
    fn rule(&self) -> MissingRule {
        match self {
            Missing::Refused => MissingRule::refuse(),
            Missing::Allowed => MissingRule::usual(),
            Missing::Words(words) => MissingRule { allowed: true, words: words.clone() },
        }
    }
}

/// What happens at a photograph that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Broken {
    /// The run ends.
    #[default]
    Fail,
    /// The row is left out, for at most so many rows.
    Skip(usize),
}

/// A domain by its name in the language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum DomainName {
    /// Every number.
    #[default]
    Any,
    /// Zero or more.
    NonNegative,
    /// Above zero.
    Positive,
    /// 0 to 1.
    Probability,
    /// 0 to 1.
    Unit,
}

impl DomainName {
    /// Whether a number lies in it, and what a message says it should be.
    pub fn admits(self, value: f64) -> bool {
        match self {
            DomainName::Any => true,
            DomainName::NonNegative => value >= 0.0,
            DomainName::Positive => value > 0.0,
            DomainName::Probability | DomainName::Unit => (0.0..=1.0).contains(&value),
        }
    }

    /// What a number should be.
    pub fn expected(self) -> &'static str {
        match self {
            DomainName::Any => "a number",
            DomainName::NonNegative => "a number of zero or more",
            DomainName::Positive => "a number above zero",
            DomainName::Probability | DomainName::Unit => "a number from 0 to 1",
        }
    }

    /// The word in the language.
    pub fn word(self) -> &'static str {
        match self {
            DomainName::Any => "Finite",
            DomainName::NonNegative => "NonNegative",
            DomainName::Positive => "Positive",
            DomainName::Probability => "Probability",
            DomainName::Unit => "Unit",
        }
    }
}

/// How numbers are scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Scale {
    /// Not at all.
    #[default]
    Plain,
    /// To mean 0 and deviation 1 on the training rows.
    ZScore,
}

/// How a model sees that a feature is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum MissingFeature {
    /// One more column a number, 1 where it is missing.
    Indicator,
    /// Zeros beside a mask.
    Masked,
}

/// How a tensor is made of columns.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum FieldSpec {
    /// A photograph through a transform graph.
    Transform {
        /// The `Transform` file.
        graph: Spanned<String>,
        /// The column of paths.
        from: Spanned<String>,
        /// Values of the file's params.
        #[serde(default)]
        params: IndexMap<Spanned<String>, Raw>,
    },
    /// Numeric features.
    Numbers {
        /// The columns.
        from: OneOrMany,
        /// How they are scaled.
        #[serde(default)]
        scale: Scale,
        /// How a missing one is seen.
        #[serde(default)]
        missing: Option<MissingFeature>,
    },
    /// The index of a category.
    Categories {
        /// The column.
        from: Spanned<String>,
    },
    /// A date as sine and cosine of the day of the year.
    DayOfYear {
        /// The column.
        from: Spanned<String>,
    },
    /// A place on earth as sinusoids.
    Coordinates {
        /// The column of degrees north.
        latitude: Spanned<String>,
        /// The column of degrees east.
        longitude: Spanned<String>,
        /// How many frequencies.
        #[serde(default = "four")]
        levels: u32,
    },
    /// Columns in a row as one vector.
    Vector {
        /// `first..last`, or the columns.
        from: OneOrMany,
        /// What every number is divided by.
        #[serde(default = "one")]
        divide: f64,
    },
    /// Tensors of a file, one a row.
    Tensors {
        /// The safetensors file, relative to the data file's folder.
        file: Spanned<String>,
        /// The column whose texts name the tensors.
        key: Spanned<String>,
        /// The shape of each.
        shape: Vec<usize>,
    },
    /// A text as ids of tokens.
    Tokens {
        /// The column.
        from: Spanned<String>,
        /// The model's `tokenizer.json`, relative to the data file's folder.
        tokenizer: Spanned<String>,
        /// Tokens a row.
        length: usize,
    },
    /// Numbers to predict.
    Targets {
        /// The columns.
        from: OneOrMany,
        /// What changes their unit.
        #[serde(default = "one")]
        divide: f64,
        /// The unit after that, for people.
        #[serde(default)]
        unit: String,
        /// How they are scaled.
        #[serde(default)]
        scale: Scale,
    },
    /// Whether numbers are above a bound.
    Present {
        /// The columns.
        from: OneOrMany,
        /// The bound.
        #[serde(default)]
        above: f64,
    },
    /// The class of a sample.
    Labels {
        /// The column.
        from: Spanned<String>,
    },
}

fn one() -> f64 {
    1.0
}

fn four() -> u32 {
    4
}

impl FieldSpec {
    /// The kind, as it is written.
    pub fn kind(&self) -> &'static str {
        match self {
            FieldSpec::Transform { .. } => "Transform",
            FieldSpec::Numbers { .. } => "Numbers",
            FieldSpec::Categories { .. } => "Categories",
            FieldSpec::DayOfYear { .. } => "DayOfYear",
            FieldSpec::Coordinates { .. } => "Coordinates",
            FieldSpec::Vector { .. } => "Vector",
            FieldSpec::Tensors { .. } => "Tensors",
            FieldSpec::Tokens { .. } => "Tokens",
            FieldSpec::Targets { .. } => "Targets",
            FieldSpec::Present { .. } => "Present",
            FieldSpec::Labels { .. } => "Labels",
        }
    }

    /// The columns that it is made of, ranges not resolved.
    pub fn sources(&self) -> Vec<&Spanned<String>> {
        match self {
            FieldSpec::Transform { from, .. }
            | FieldSpec::Categories { from }
            | FieldSpec::DayOfYear { from }
            | FieldSpec::Labels { from }
            | FieldSpec::Tokens { from, .. }
            | FieldSpec::Tensors { key: from, .. } => vec![from],
            FieldSpec::Coordinates { latitude, longitude, .. } => vec![latitude, longitude],
            FieldSpec::Numbers { from, .. }
            | FieldSpec::Vector { from, .. }
            | FieldSpec::Targets { from, .. }
            | FieldSpec::Present { from, .. } => from.0.iter().collect(),
        }
    }

    /// Whether it is something to predict.
    pub fn is_target(&self) -> bool {
        matches!(self, FieldSpec::Targets { .. } | FieldSpec::Present { .. } | FieldSpec::Labels { .. })
    }
}

/// `"a"` or `["a", "b"]`.
#[derive(Clone, Debug)]
pub struct OneOrMany(pub Vec<Spanned<String>>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<OneOrMany, D::Error> {
        use sward_core::syntax::Kind;
        let Raw(value) = Raw::deserialize(deserializer)?;
        let text = |value: &sward_core::syntax::Value| match &value.kind {
            Kind::Text(text) => Ok(Spanned::new(text.clone(), value.span)),
            _ => Err(serde::de::Error::custom(format!("the name of a column is expected, not {}", value.describe()))),
        };
        match &value.kind {
            Kind::List(items) if items.is_empty() => Err(serde::de::Error::custom("at least one column is expected")),
            Kind::List(items) => Ok(OneOrMany(items.iter().map(text).collect::<Result<_, _>>()?)),
            _ => Ok(OneOrMany(vec![text(&value)?])),
        }
    }
}
