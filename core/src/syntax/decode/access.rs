//! What a value holds: items, entries, fields, and the payload of a variant.

use super::super::{Call, Field, Kind, Value};
use super::decoder::Decoder;
use super::error::{DecodeError, Result2};
use crate::diagnostic::{Diagnostic, codes};
use crate::source::Span;
use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::forward_to_deserialize_any;

pub(super) static NO_FIELDS: Call = Call { name: None, items: Vec::new(), fields: Vec::new() };

pub(super) fn visit_call<'v, V: Visitor<'v>>(decoder: Decoder<'v, '_>, call: &'v Call, visitor: V) -> Result2<V::Value> {
    if call.fields.is_empty() {
        return visitor.visit_seq(Items { decoder, items: call.items.iter() });
    }
    visit_fields(decoder, call.name(), call, &[], visitor)
}

/// A call's fields as the struct or variant `name`. One value without a name belongs to the first field.
pub(super) fn visit_fields<'v, V: Visitor<'v>>(
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

pub(super) struct Items<'v, 's, I> {
    pub(super) decoder: Decoder<'v, 's>,
    pub(super) items: I,
}

impl<'v, I: Iterator<Item = &'v Value>> SeqAccess<'v> for Items<'v, '_, I> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'v>>(&mut self, seed: T) -> Result2<Option<T::Value>> {
        self.items.next().map(|item| seed.deserialize(self.decoder.of(item)).map_err(|error| error.at(item.span))).transpose()
    }
}

/// File, start, end and the value itself.
pub(super) struct Place<'v, 's> {
    pub(super) decoder: Decoder<'v, 's>,
    pub(super) numbers: [u32; 3],
    pub(super) next: usize,
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

pub(super) struct Entries<'v, 's, I> {
    pub(super) decoder: Decoder<'v, 's>,
    pub(super) entries: I,
    pub(super) value: Option<&'v Value>,
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
pub(super) struct Choice<'v, 's> {
    pub(super) decoder: Decoder<'v, 's>,
    pub(super) name: &'v str,
    pub(super) span: Span,
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
