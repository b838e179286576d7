//! The deserializer of one value.

use super::super::{Call, Kind, Value};
use super::access::{Choice, Entries, Items, NO_FIELDS, Place, visit_call, visit_fields};
use super::error::{DecodeError, Result2};
use super::{IN_TRANSIT, RAW, SPANNED};
use crate::expr::{self, Constant, Interpolated, Scope};
use crate::language::expression_error;
use crate::source::Span;
use serde::de::{self, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

#[derive(Clone, Copy)]
pub(super) struct Decoder<'v, 's> {
    pub(super) value: &'v Value,
    pub(super) scope: &'s dyn Scope,
}

impl<'v, 's> Decoder<'v, 's> {
    pub(super) fn of(self, value: &'v Value) -> Decoder<'v, 's> {
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
