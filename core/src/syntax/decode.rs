//! From a tree of values to typed data: a serde deserializer whose errors have places.
//!
//! What a `Data`, `Transform`, `Experiment` or `Ablation` holds is plain data, so its types derive `Deserialize`. [`decode`] reads one from a
//! tree; every error becomes a [`Diagnostic`] at the value that is at fault. A type that must remember where it was written is
//! [`Spanned`]; one that keeps a part of the tree as it stands, to be read by somebody else, holds a [`Raw`].
//!
//! Numbers and switches may be written as expressions in quotes where a [`Scope`] is given: `"size / 2"`.

use super::{Call, Field, Kind, Value};
use crate::diagnostic::{Diagnostic, codes};
use crate::expr::{self, Constant, Interpolated, Scope};
use crate::language::{expression_error, unknown_field};
use crate::source::{FileId, Span, Spanned};
use crate::suggest::nearest;
use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use std::cell::RefCell;
use std::fmt;

/// Reads typed data from a tree. In texts, `scope` fills `{name}` and gives expressions their names.
///
/// # Errors
/// The first thing that does not fit, at its place.
pub fn decode<'v, T: Deserialize<'v>>(value: &'v Value, scope: &dyn Scope) -> Result<T, Box<Diagnostic>> {
    T::deserialize(Decoder { value, scope }).map_err(|error| Box::new(error.diagnostic(value)))
}

/// No names.
pub struct NoNames;

impl Scope for NoNames {
    fn lookup(&self, _: &str) -> Option<Constant> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A part of a tree as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Raw(pub Value);

const SPANNED: &str = "$sward::Spanned";
const RAW: &str = "$sward::Raw";

thread_local! {
    /// A value on its way through serde's data model, which has no word for it.
    static IN_TRANSIT: RefCell<Option<Value>> = const { RefCell::new(None) };
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        struct RawVisitor;
        impl<'de> Visitor<'de> for RawVisitor {
            type Value = Raw;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a part of a graph file")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Raw, E> {
                let value = IN_TRANSIT.with(|place| place.borrow_mut().take());
                value.map(Raw).ok_or_else(|| E::custom("only a graph file can hold this"))
            }
        }
        deserializer.deserialize_unit_struct(RAW, RawVisitor)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Spanned<T>, D::Error> {
        struct SpannedVisitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for SpannedVisitor<T> {
            type Value = Spanned<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a value with its place")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Spanned<T>, A::Error> {
                let mut number = || parts.next_element::<u32>()?.ok_or_else(|| de::Error::custom("a place has three numbers"));
                let (file, start, end) = (number()?, number()?, number()?);
                let value = parts.next_element()?.ok_or_else(|| de::Error::custom("a value follows its place"))?;
                Ok(Spanned::new(value, Span { file: FileId::from_index(file), start, end }))
            }
        }
        deserializer.deserialize_tuple_struct(SPANNED, 4, SpannedVisitor(std::marker::PhantomData))
    }
}

/// What serde says, and where once that is known.
#[derive(Debug)]
struct DecodeError {
    fault: Fault,
    span: Option<Span>,
}

#[derive(Debug)]
enum Fault {
    Form(String),
    /// `owner` is what has no such field, once that is known.
    Unknown {
        owner: String,
        field: String,
        known: Vec<&'static str>,
    },
    UnknownChoice {
        name: String,
        known: Vec<&'static str>,
    },
    Missing(&'static str),
    Told(Box<Diagnostic>),
}

impl DecodeError {
    fn at(mut self, span: Span) -> DecodeError {
        self.span.get_or_insert(span);
        self
    }

    /// Serde knows an unknown field before it says of what.
    fn of(mut self, name: &str) -> DecodeError {
        if let Fault::Unknown { owner, .. } = &mut self.fault {
            name.clone_into(owner);
        }
        self
    }

    fn told(diagnostic: Diagnostic) -> DecodeError {
        DecodeError { span: diagnostic.span(), fault: Fault::Told(Box::new(diagnostic)) }
    }

    fn diagnostic(self, root: &Value) -> Diagnostic {
        let span = self.span.unwrap_or(root.span);
        match self.fault {
            Fault::Form(message) => Diagnostic::new(codes::FIELD_FORM, message, span),
            Fault::Unknown { owner, field, known } => unknown_field(&owner, &field, span, &known),
            Fault::UnknownChoice { name, known } => {
                let diagnostic = Diagnostic::new(codes::FIELD_FORM, format!("`{name}` is not known here"), span);
                match nearest(&name, known.iter().copied()) {
                    Some(near) => diagnostic.suggest(Some(near)),
                    None => diagnostic.help(format!("known are {}", known.join(", "))),
                }
            }
            Fault::Missing(field) => Diagnostic::new(codes::MISSING_FIELD, format!("the field `{field}` is missing"), span)
                .text(format!("`{field}` is missing")),
            Fault::Told(diagnostic) => *diagnostic,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            Fault::Form(message) => formatter.write_str(message),
            Fault::Unknown { field, .. } => write!(formatter, "there is no field `{field}`"),
            Fault::UnknownChoice { name, .. } => write!(formatter, "`{name}` is not known here"),
            Fault::Missing(field) => write!(formatter, "the field `{field}` is missing"),
            Fault::Told(diagnostic) => formatter.write_str(&diagnostic.message),
        }
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        DecodeError { fault: Fault::Form(message.to_string()), span: None }
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format!("{expected} is expected, not {}", plain(found)))
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format!("{expected} is expected, not {}", plain(found)))
    }

    fn unknown_variant(name: &str, known: &'static [&'static str]) -> Self {
        DecodeError { fault: Fault::UnknownChoice { name: name.to_owned(), known: known.to_vec() }, span: None }
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        DecodeError { fault: Fault::Unknown { owner: String::new(), field: field.to_owned(), known: known.to_vec() }, span: None }
    }

    fn missing_field(field: &'static str) -> Self {
        DecodeError { fault: Fault::Missing(field), span: None }
    }
}

/// What was found, in the words of the language.
fn plain(found: de::Unexpected<'_>) -> String {
    match found {
        de::Unexpected::Signed(number) => format!("the integer `{number}`"),
        de::Unexpected::Unsigned(number) => format!("the integer `{number}`"),
        de::Unexpected::Float(number) => format!("the number `{number:?}`"),
        de::Unexpected::Str(text) => format!("the text {text:?}"),
        de::Unexpected::Bool(flag) => format!("`{flag}`"),
        de::Unexpected::Map => "a map".to_owned(),
        de::Unexpected::Seq => "a list".to_owned(),
        other => other.to_string(),
    }
}

type Result2<T> = Result<T, DecodeError>;

#[derive(Clone, Copy)]
struct Decoder<'v, 's> {
    value: &'v Value,
    scope: &'s dyn Scope,
}

impl<'v, 's> Decoder<'v, 's> {
    fn of(self, value: &'v Value) -> Decoder<'v, 's> {
        Decoder { value, ..self }
    }

    fn wrong(self, expected: &str) -> DecodeError {
        de::Error::custom(format!("{expected} is expected, not {}", self.value.describe()))
    }

    /// The number or switch that a text in quotes stands for.
    fn expression(self, text: &str) -> Result2<Constant> {
        let told = |error: &expr::ExprError| DecodeError::told(expression_error(error, text, self.value.span));
        let expression = expr::parse(text).map_err(|error| told(&error))?;
        expr::evaluate(&expression, self.scope).map(|evaluated| evaluated.value).map_err(|error| told(&error))
    }

    fn whole(self) -> Result2<i64> {
        match &self.value.kind {
            Kind::Integer(number) => Ok(*number),
            Kind::Text(text) => self.expression(text)?.as_int().ok_or_else(|| self.wrong("a whole number")),
            _ => Err(self.wrong("a whole number")),
        }
    }

    fn number(self) -> Result2<f64> {
        match &self.value.kind {
            Kind::Integer(number) => Ok(*number as f64),
            Kind::Float(number) => Ok(*number),
            Kind::Text(text) => self.expression(text)?.as_float().ok_or_else(|| self.wrong("a number")),
            _ => Err(self.wrong("a number")),
        }
    }

    fn text(self) -> Result2<String> {
        let Kind::Text(text) = &self.value.kind else { return Err(self.wrong("a text in quotes")) };
        if !expr::has_interpolation(text) {
            return Ok(text.clone());
        }
        match expr::interpolate(text, self.scope) {
            Ok(Interpolated::One(text)) => Ok(text),
            Ok(Interpolated::Many(_)) => Err(de::Error::custom("the expression gives a list where one text is expected")),
            Err(error) => Err(DecodeError::told(expression_error(&error, text, self.value.span))),
        }
    }
}

macro_rules! whole {
    ($($method:ident $visit:ident $type:ty),*) => {
        $(
            fn $method<V: Visitor<'v>>(self, visitor: V) -> Result2<V::Value> {
                let span = self.value.span;
                let number = self.whole().map_err(|error| error.at(span))?;
                let number = <$type>::try_from(number).map_err(|_| {
                    let error: DecodeError = de::Error::custom(format!("{number} is out of range: from {} to {}", <$type>::MIN, <$type>::MAX));
                    error.at(span)
                })?;
                visitor.$visit(number).map_err(|error: DecodeError| error.at(span))
            }
        )*
    };
}

impl<'v> Deserializer<'v> for Decoder<'v, '_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'v>>(self, visitor: V) -> Result2<V::Value> {
        let span = self.value.span;
        let result = match &self.value.kind {
            Kind::Unit => visitor.visit_unit(),
            Kind::Bool(flag) => visitor.visit_bool(*flag),
            Kind::Integer(number) => visitor.visit_i64(*number),
            Kind::Float(number) => visitor.visit_f64(*number),
            Kind::Text(_) => self.text().and_then(|text| visitor.visit_string(text)),
            Kind::Name(_) => self.deserialize_enum("", &[], visitor),
            Kind::Call(call) if call.name.is_some() => self.deserialize_enum("", &[], visitor),
            Kind::Call(call) => visit_call(self, call, visitor),
            Kind::List(items) => visitor.visit_seq(Items { decoder: self, items: items.iter() }),
            Kind::Map(entries) => visitor.visit_map(Entries { decoder: self, entries: entries.iter(), value: None }),
        };
        result.map_err(|error| error.at(span))
    }

    fn deserialize_bool<V: Visitor<'v>>(self, visitor: V) -> Result2<V::Value> {
        let flag = match &self.value.kind {
            Kind::Bool(flag) => Ok(*flag),
            Kind::Text(text) => {
                self.expression(text).and_then(|value| value.as_bool().ok_or_else(|| self.wrong("true or false")))
            }
            _ => Err(self.wrong("true or false")),
        };
        flag.and_then(|flag| visitor.visit_bool(flag)).map_err(|error| error.at(self.value.span))
    }

    whole!(
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64
    );

    fn deserialize_f32<V: Visitor<'v>>(self, visitor: V) -> Result2<V::Value> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'v>>(self, visitor: V) -> Result2<V::Value> {
        self.number().and_then(|number| visitor.visit_f64(number)).map_err(|error| error.at(self.value.span))
    }

    fn deserialize_str<V: Visitor<'v>>(self, visitor: V) -> Result2<V::Value> {
        self.deserialize_string(visitor)
    }

    fn deserialize_string<V: Visitor<'v>>(self, visitor: V) -> Result2<V::Value> {
        self.text().and_then(|text| visitor.visit_string(text)).map_err(|error| error.at(self.value.span))
    }

    fn deserialize_option<V: Visitor<'v>>(self, visitor: V) -> Result2<V::Value> {
        // `Some(x)` and `None` are RON's own words for what stands here plainly.
        match &self.value.kind {
            Kind::Name(name) if name == "None" => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'v>>(self, name: &'static str, visitor: V) -> Result2<V::Value> {
        if name == RAW {
            IN_TRANSIT.with(|place| *place.borrow_mut() = Some(self.value.clone()));
            return visitor.visit_unit();
        }
        match &self.value.kind {
            Kind::Name(own) if own == name => visitor.visit_unit(),
            _ => Err(self.wrong(&format!("`{name}`")).at(self.value.span)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'v>>(self, _: &'static str, visitor: V) -> Result2<V::Value> {
        visitor.visit_newtype_struct(self).map_err(|error| error.at(self.value.span))
    }

    fn deserialize_seq<V: Visitor<'v>>(self, visitor: V) -> Result2<V::Value> {
        let items = match &self.value.kind {
            Kind::List(items) => items,
            Kind::Call(Call { name: None, items, fields }) if fields.is_empty() => items,
            _ => return Err(self.wrong("a list").at(self.value.span)),
        };
        visitor.visit_seq(Items { decoder: self, items: items.iter() }).map_err(|error| error.at(self.value.span))
    }

    fn deserialize_tuple<V: Visitor<'v>>(self, length: usize, visitor: V) -> Result2<V::Value> {
        if let Kind::List(items) | Kind::Call(Call { items, .. }) = &self.value.kind
            && items.len() != length
        {
            let error: DecodeError = de::Error::custom(format!("{length} values are expected, not {}", items.len()));
            return Err(error.at(self.value.span));
        }
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'v>>(self, name: &'static str, length: usize, visitor: V) -> Result2<V::Value> {
        if name == SPANNED {
            let Span { file, start, end } = self.value.span;
            return visitor.visit_seq(Place { decoder: self, numbers: [file.index() as u32, start, end], next: 0 });
        }
        match &self.value.kind {
            Kind::Call(call) if call.name.is_none() || call.name() == name => {
                visitor.visit_seq(Items { decoder: self, items: call.items.iter() }).map_err(|error| error.at(self.value.span))
            }
            _ => self.deserialize_tuple(length, visitor),
        }
    }

    fn deserialize_map<V: Visitor<'v>>(self, visitor: V) -> Result2<V::Value> {
        let Kind::Map(entries) = &self.value.kind else {
            return Err(self.wrong("a map { \"name\": ... }").at(self.value.span));
        };
        visitor
            .visit_map(Entries { decoder: self, entries: entries.iter(), value: None })
            .map_err(|error| error.at(self.value.span))
    }

    fn deserialize_struct<V: Visitor<'v>>(
        self,
        name: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result2<V::Value> {
        match &self.value.kind {
            Kind::Call(call) if call.name.is_none() || call.name() == name => {
                visit_fields(self, name, call, known, visitor).map_err(|error| error.at(self.value.span))
            }
            // A struct without any field that must be written may be a bare name, or `Name()`.
            Kind::Name(own) if own == name => {
                visit_fields(self, name, &NO_FIELDS, known, visitor).map_err(|error| error.at(self.value.span))
            }
            Kind::Unit => visit_fields(self, name, &NO_FIELDS, known, visitor).map_err(|error| error.at(self.value.span)),
            _ => Err(self.wrong(&format!("`{name}(...)`")).at(self.value.span)),
        }
    }

    fn deserialize_enum<V: Visitor<'v>>(self, _: &'static str, known: &'static [&'static str], visitor: V) -> Result2<V::Value> {
        let (name, span) = match &self.value.kind {
            Kind::Name(name) => (name.as_str(), self.value.span),
            Kind::Call(Call { name: Some(name), .. }) => (name.value.as_str(), name.span),
            _ if known.is_empty() => return Err(self.wrong("a name").at(self.value.span)),
            _ => return Err(self.wrong(&format!("one of {}", known.join(", "))).at(self.value.span)),
        };
        visitor.visit_enum(Choice { decoder: self, name, span }).map_err(|error| error.at(self.value.span))
    }

    fn deserialize_identifier<V: Visitor<'v>>(self, visitor: V) -> Result2<V::Value> {
        match &self.value.kind {
            Kind::Text(text) | Kind::Name(text) => visitor.visit_str(text),
            _ => Err(self.wrong("a name")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'v>>(self, visitor: V) -> Result2<V::Value> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { <V: Visitor<'v>> i128 u128 char bytes byte_buf unit }
}

static NO_FIELDS: Call = Call { name: None, items: Vec::new(), fields: Vec::new() };

fn visit_call<'v, V: Visitor<'v>>(decoder: Decoder<'v, '_>, call: &'v Call, visitor: V) -> Result2<V::Value> {
    if call.fields.is_empty() {
        return visitor.visit_seq(Items { decoder, items: call.items.iter() });
    }
    visit_fields(decoder, call.name(), call, &[], visitor)
}

/// A call's fields as the struct or variant `name`. One value without a name belongs to the first field.
fn visit_fields<'v, V: Visitor<'v>>(
    decoder: Decoder<'v, '_>,
    name: &str,
    call: &'v Call,
    known: &'static [&'static str],
    visitor: V,
) -> Result2<V::Value> {
    let mut first = None;
    for (position, item) in call.items.iter().enumerate() {
        let taken = known.first().is_none_or(|name| call.field(name).is_some());
        if position > 0 || taken {
            let diagnostic = Diagnostic::new(codes::UNNAMED_VALUE, "the values here have names", item.span);
            return Err(DecodeError::told(diagnostic.help(format!("the fields are {}", known.join(", ")))));
        }
        first = known.first().map(|name| (*name, item));
    }
    visitor.visit_map(Fields { decoder, name, first, fields: call.fields.iter(), value: None })
}

struct Items<'v, 's, I> {
    decoder: Decoder<'v, 's>,
    items: I,
}

impl<'v, I: Iterator<Item = &'v Value>> SeqAccess<'v> for Items<'v, '_, I> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'v>>(&mut self, seed: T) -> Result2<Option<T::Value>> {
        self.items.next().map(|item| seed.deserialize(self.decoder.of(item)).map_err(|error| error.at(item.span))).transpose()
    }
}

/// File, start, end and the value itself.
struct Place<'v, 's> {
    decoder: Decoder<'v, 's>,
    numbers: [u32; 3],
    next: usize,
}

impl<'v> SeqAccess<'v> for Place<'v, '_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'v>>(&mut self, seed: T) -> Result2<Option<T::Value>> {
        let position = self.next;
        self.next += 1;
        match self.numbers.get(position) {
            Some(number) => seed.deserialize(de::value::U32Deserializer::new(*number)).map(Some),
            None if position == self.numbers.len() => seed.deserialize(self.decoder).map(Some),
            None => Ok(None),
        }
    }
}

struct Entries<'v, 's, I> {
    decoder: Decoder<'v, 's>,
    entries: I,
    value: Option<&'v Value>,
}

impl<'v, I: Iterator<Item = &'v (Value, Value)>> MapAccess<'v> for Entries<'v, '_, I> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'v>>(&mut self, seed: K) -> Result2<Option<K::Value>> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(self.decoder.of(key)).map(Some).map_err(|error| error.at(key.span))
    }

    fn next_value_seed<T: DeserializeSeed<'v>>(&mut self, seed: T) -> Result2<T::Value> {
        let value = self.value.take().expect("serde asks for a value after its key");
        seed.deserialize(self.decoder.of(value)).map_err(|error| error.at(value.span))
    }
}

struct Fields<'v, 's, 'n, I> {
    decoder: Decoder<'v, 's>,
    name: &'n str,
    first: Option<(&'static str, &'v Value)>,
    fields: I,
    value: Option<&'v Value>,
}

impl<'v, I: Iterator<Item = &'v Field>> MapAccess<'v> for Fields<'v, '_, '_, I> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'v>>(&mut self, seed: K) -> Result2<Option<K::Value>> {
        if let Some((name, value)) = self.first.take() {
            self.value = Some(value);
            return seed.deserialize(de::value::StrDeserializer::new(name)).map(Some);
        }
        let Some(field) = self.fields.next() else { return Ok(None) };
        self.value = Some(&field.value);
        let key: Result2<K::Value> = seed.deserialize(de::value::StrDeserializer::new(field.key.value.as_str()));
        key.map(Some).map_err(|error| error.of(self.name).at(field.key.span))
    }

    fn next_value_seed<T: DeserializeSeed<'v>>(&mut self, seed: T) -> Result2<T::Value> {
        let value = self.value.take().expect("serde asks for a value after its name");
        seed.deserialize(self.decoder.of(value)).map_err(|error| error.at(value.span))
    }
}

/// A variant's name and what it holds.
struct Choice<'v, 's> {
    decoder: Decoder<'v, 's>,
    name: &'v str,
    span: Span,
}

impl<'v> EnumAccess<'v> for Choice<'v, '_> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'v>>(self, seed: T) -> Result2<(T::Value, Self)> {
        let name: Result2<T::Value> = seed.deserialize(de::value::StrDeserializer::new(self.name));
        Ok((name.map_err(|error| error.at(self.span))?, self))
    }
}

impl<'v> VariantAccess<'v> for Choice<'v, '_> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result2<()> {
        match &self.decoder.value.kind {
            Kind::Call(call) if !(call.items.is_empty() && call.fields.is_empty()) => {
                let error: DecodeError = de::Error::custom(format!("`{}` holds nothing", self.name));
                Err(error.at(self.decoder.value.span))
            }
            _ => Ok(()),
        }
    }

    /// A variant that holds one struct is written with the struct's fields: `Resize(height: 8, width: 8)`. One that holds something else is
    /// written with one value: `Fixed({ ... })`.
    fn newtype_variant_seed<T: DeserializeSeed<'v>>(self, seed: T) -> Result2<T::Value> {
        let span = self.decoder.value.span;
        seed.deserialize(Payload { decoder: self.decoder, name: self.name }).map_err(|error| error.at(span))
    }

    fn tuple_variant<V: Visitor<'v>>(self, length: usize, visitor: V) -> Result2<V::Value> {
        match &self.decoder.value.kind {
            Kind::Call(call) if call.fields.is_empty() && call.items.len() == length => {
                visitor.visit_seq(Items { decoder: self.decoder, items: call.items.iter() })
            }
            _ => Err(de::Error::custom(format!("`{}` holds {length} values", self.name))),
        }
    }

    fn struct_variant<V: Visitor<'v>>(self, known: &'static [&'static str], visitor: V) -> Result2<V::Value> {
        match &self.decoder.value.kind {
            Kind::Call(call) => visit_fields(self.decoder, self.name, call, known, visitor),
            _ => visit_fields(self.decoder, self.name, &NO_FIELDS, known, visitor),
        }
    }
}

/// What a variant that holds one thing holds: the fields of its call for a struct, else its one value.
struct Payload<'v, 's> {
    decoder: Decoder<'v, 's>,
    name: &'v str,
}

impl<'v, 's> Payload<'v, 's> {
    fn only(&self) -> Result2<Decoder<'v, 's>> {
        match &self.decoder.value.kind {
            Kind::Call(Call { items, fields, .. }) if items.len() == 1 && fields.is_empty() => Ok(self.decoder.of(&items[0])),
            _ => Err(de::Error::custom(format!("`{}` holds one value", self.name))),
        }
    }
}

macro_rules! only {
    ($($method:ident),*) => {
        $(
            fn $method<V: Visitor<'v>>(self, visitor: V) -> Result2<V::Value> {
                self.only()?.$method(visitor)
            }
        )*
    };
}

impl<'v> Deserializer<'v> for Payload<'v, '_> {
    type Error = DecodeError;

    only!(
        deserialize_any,
        deserialize_bool,
        deserialize_i8,
        deserialize_i16,
        deserialize_i32,
        deserialize_i64,
        deserialize_u8,
        deserialize_u16,
        deserialize_u32,
        deserialize_u64,
        deserialize_f32,
        deserialize_f64,
        deserialize_str,
        deserialize_string,
        deserialize_seq,
        deserialize_map,
        deserialize_identifier,
        deserialize_option
    );

    fn deserialize_struct<V: Visitor<'v>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result2<V::Value> {
        match &self.decoder.value.kind {
            Kind::Call(call) => visit_fields(self.decoder, self.name, call, known, visitor),
            _ => visit_fields(self.decoder, self.name, &NO_FIELDS, known, visitor),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'v>>(self, name: &'static str, visitor: V) -> Result2<V::Value> {
        self.only()?.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'v>>(self, name: &'static str, visitor: V) -> Result2<V::Value> {
        self.only()?.deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_tuple<V: Visitor<'v>>(self, length: usize, visitor: V) -> Result2<V::Value> {
        self.only()?.deserialize_tuple(length, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'v>>(self, name: &'static str, length: usize, visitor: V) -> Result2<V::Value> {
        self.only()?.deserialize_tuple_struct(name, length, visitor)
    }

    fn deserialize_enum<V: Visitor<'v>>(
        self,
        name: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result2<V::Value> {
        self.only()?.deserialize_enum(name, known, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'v>>(self, visitor: V) -> Result2<V::Value> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { <V: Visitor<'v>> i128 u128 char bytes byte_buf unit }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Diagnostics;
    use crate::dim::Dim;
    use crate::source::Sources;
    use crate::syntax;
    use indexmap::IndexMap;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Resize {
        height: u32,
        #[serde(default)]
        width: Option<u32>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    enum Step {
        Resize(Resize),
        Named {
            path: String,
            #[serde(default)]
            scale: f64,
        },
        Weights(IndexMap<String, f64>),
        Flip,
    }

    struct Size;

    impl Scope for Size {
        fn lookup(&self, name: &str) -> Option<Constant> {
            (name == "size").then(|| Constant::Int(Dim::constant(12)))
        }

        fn names(&self) -> Vec<String> {
            vec!["size".to_owned()]
        }
    }

    fn tree(text: &str) -> (Sources, Value) {
        let mut sources = Sources::new();
        let file = sources.add("a.ron", text);
        let mut diagnostics = Diagnostics::new();
        let value = syntax::read(&sources, file, &mut diagnostics).expect("the text is RON");
        (sources, value)
    }

    fn steps(text: &str) -> Result<Vec<Step>, (String, String)> {
        let (sources, value) = tree(text);
        decode(&value, &Size).map_err(|error| {
            let place = error.span().map(|span| sources.slice(span).to_owned()).unwrap_or_default();
            (error.message, place)
        })
    }

    #[test]
    fn variants_are_written_with_the_fields_of_what_they_hold() {
        let read = steps(
            r#"[Resize(height: "size / 2", width: 3), Named("a/{size}.png"), Named(path: "b", scale: 2), Weights({ "x": 1 }), Flip]"#,
        );
        let named = |path: &str, scale| Step::Named { path: path.to_owned(), scale };
        let weights = Step::Weights([("x".to_owned(), 1.0)].into_iter().collect());
        assert_eq!(
            read,
            Ok(vec![
                Step::Resize(Resize { height: 6, width: Some(3) }),
                named("a/12.png", 0.0),
                named("b", 2.0),
                weights,
                Step::Flip
            ])
        );
    }

    #[test]
    fn every_error_has_the_place_of_what_is_at_fault() {
        let place = |text: &str| steps(text).expect_err(text).1;
        assert_eq!(place("[Resize(heigth: 4)]"), "heigth");
        assert_eq!(place("[Resize(height: -4)]"), "-4");
        assert_eq!(place("[Resize(height: 1.5)]"), "1.5");
        assert_eq!(place("[Resize(height: \"sise\")]"), "sise");
        assert_eq!(place("[Resize(width: 1)]"), "Resize(width: 1)");
        assert_eq!(place("[Rezise(height: 4)]"), "Rezise");
        assert_eq!(place("[Flip(3)]"), "Flip(3)");
        assert_eq!(place("[Weights({ \"x\": Flip })]"), "Flip");
        assert_eq!(place("[Named(\"a\", \"b\")]"), "\"b\"");
        assert_eq!(place("{ \"a\": 1 }"), "{ \"a\": 1 }");
    }

    #[test]
    fn an_unknown_field_is_said_of_what_lacks_it() {
        let message = |text: &str| steps(text).expect_err(text).0;
        assert_eq!(message("[Resize(heigth: 4)]"), "`Resize` has no field `heigth`");
        assert_eq!(message("[Named(path: \"a\", scael: 2)]"), "`Named` has no field `scael`");
        let (_, value) = tree("(heigth: 4)");
        let error = decode::<Resize>(&value, &NoNames).expect_err("no field of this name");
        assert_eq!(error.message, "`Resize` has no field `heigth`");
    }

    #[test]
    fn places_and_raw_parts_are_kept() {
        #[derive(Deserialize)]
        struct Kept {
            name: Spanned<String>,
            body: Raw,
            more: IndexMap<Spanned<String>, Raw>,
        }
        let (sources, value) = tree("(name: \"n\", body: Use(module: \"m.ron\"), more: { \"k\": [1] })");
        let kept: Kept = decode(&value, &NoNames).expect("it fits");
        assert_eq!((kept.name.value.as_str(), sources.slice(kept.name.span)), ("n", "\"n\""));
        assert_eq!(sources.slice(kept.body.0.span), "Use(module: \"m.ron\")");
        let (key, raw) = kept.more.first().expect("one entry");
        assert_eq!((sources.slice(key.span), sources.slice(raw.0.span)), ("\"k\"", "[1]"));
    }
}
