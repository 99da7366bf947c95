//! Tree to raw types: a `serde::Deserializer` that reports what is wrong and goes on.
//!
//! A value that does not fit is recorded with its place, its [`Field`] is empty, and reading goes on with the next one.

use std::fmt;
use std::rc::Rc;

use serde::Deserialize;
use serde::Deserializer;
use serde::de;
use serde::de::IntoDeserializer;
use serde::de::Visitor;

use super::build::secret::is_word;
use super::codes;
use super::diagnostic::At;
use super::diagnostic::Diagnostic;
use super::diagnostic::Span;
use super::field::FIELD;
use super::field::Field;
use super::later;
use super::suggest::did_you_mean;
use super::suggest::short;
use super::suggest::words;
use super::yaml::Node;
use super::yaml::Value;

/// Reads a whole document; everything wrong goes to `at`.
pub(crate) fn decode<'de, T: Deserialize<'de>>(node: &'de Node, at: At<'de>) -> Field<T> {
    Field::deserialize(Decoder { node, at, wants: None }).unwrap_or_else(|fault| {
        fault.report(at, node.span);
        Field::empty()
    })
}

/// Why a value does not fit, before its place is known.
#[derive(Debug)]
pub(crate) struct Fault(Box<(Option<Span>, Diagnostic)>);

impl Fault {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new((None, Diagnostic::error(code, message))))
    }

    fn expected(wants: &str, got: &Node) -> Self {
        let mut fault =
            Self::new(codes::WRONG_TYPE, format!("expected {wants}, got {}", got.kind()));
        if got.value == Value::Null {
            fault = fault.label("nothing is written here");
        }
        fault.at(got.span)
    }

    fn label(mut self, label: impl Into<String>) -> Self {
        self.0.1.label = label.into();
        self
    }

    fn at(mut self, span: Span) -> Self {
        self.0.0.get_or_insert(span);
        self
    }

    fn report(self, at: At<'_>, span: Span) {
        let (place, diagnostic) = *self.0;
        at.report(place.unwrap_or(span), diagnostic);
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.1.message)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(codes::WRONG_TYPE, message.to_string())
    }

    fn invalid_value(got: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let expected = expected.to_string();
        let expected = match expected.as_str() {
            "u8" => "a whole number from 0 to 255",
            "u16" => "a whole number from 0 to 65535",
            "u32" => "a whole number from 0 to 4294967295",
            "u64" | "usize" => "a whole number that is not negative",
            "i64" => "a whole number",
            other => other,
        };
        Self::new(codes::VALUE, format!("expected {expected}, got {got}"))
    }

    fn invalid_type(got: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let got = match got {
            de::Unexpected::Unit => "nothing".to_owned(),
            de::Unexpected::Map => "a mapping".to_owned(),
            de::Unexpected::Unsigned(_) | de::Unexpected::Signed(_) => "a whole number".to_owned(),
            de::Unexpected::Float(_) => "a number".to_owned(),
            de::Unexpected::Bool(_) => "true or false".to_owned(),
            other => other.to_string(),
        };
        Self::new(codes::WRONG_TYPE, format!("expected {expected}, got {got}"))
    }

    fn missing_field(key: &'static str) -> Self {
        Self::new(codes::MISSING_KEY, format!("missing key `{key}`"))
    }
}

/// Reads one node.
#[derive(Clone, Copy)]
struct Decoder<'de> {
    node: &'de Node,
    at: At<'de>,
    /// What is expected, for people, when the type knows it better than its shape.
    wants: Option<&'static str>,
}

impl<'de> Decoder<'de> {
    fn of(self, node: &'de Node) -> Self {
        Self { node, wants: None, ..self }
    }

    fn expected<T>(self, shape: &str) -> Result<T, Fault> {
        Err(Fault::expected(self.wants.unwrap_or(shape), self.node))
    }

    fn integer<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node.value {
            Value::Int(int) => match u64::try_from(int) {
                Ok(unsigned) => visitor.visit_u64(unsigned),
                Err(_) => visitor.visit_i64(int),
            },
            _ => self.expected("a whole number"),
        }
        .map_err(|fault: Fault| fault.at(self.node.span))
    }

    fn list<V: Visitor<'de>>(self, items: &'de [Rc<Node>], visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_seq(Items { items: items.iter(), decoder: self })
    }

    fn mapping<V: Visitor<'de>>(
        self,
        entries: &'de [(Rc<Node>, Rc<Node>)],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_map(Pairs {
            entries: entries.iter(),
            value: None,
            decoder: self,
            known: None,
        })
    }
}

macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            self.integer(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Decoder<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(bool) => visitor.visit_bool(*bool),
            Value::Int(_) => return self.integer(visitor),
            Value::Float(float) => visitor.visit_f64(*float),
            Value::Text => visitor.visit_str(&self.node.text),
            Value::List(items) => self.list(items, visitor),
            Value::Map(entries) => self.mapping(entries, visitor),
        }
        .map_err(|fault: Fault| fault.at(self.node.span))
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node.value {
            Value::Bool(bool) => visitor.visit_bool(bool),
            _ => self.expected("true or false"),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node.value {
            Value::Float(float) => visitor.visit_f64(float),
            Value::Int(_) => self.integer(visitor),
            _ => self.expected("a number"),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node.value {
            // A number where text is wanted is text as it was written: a port, a version such as 1.10.
            Value::Text | Value::Int(_) | Value::Float(_) | Value::Bool(_) => {
                visitor.visit_str(&self.node.text).map_err(|fault: Fault| fault.at(self.node.span))
            }
            Value::Null | Value::List(_) | Value::Map(_) => self.expected("text"),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        // A key with nothing after its colon is not the same as no key: its type decides what that means.
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        // `alert: {}` takes nothing.
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Map(entries) if entries.is_empty() => visitor.visit_unit(),
            _ => self.expected("nothing, written {}"),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name == FIELD {
            return visitor.visit_seq(Parts { decoder: self, next: 0 });
        }
        visitor.visit_newtype_struct(Self { wants: Some(name), ..self })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::List(items) => self.list(items, visitor),
            Value::Null => self.list(&[], visitor),
            _ => self.expected("a list"),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Map(entries) => self.mapping(entries, visitor),
            Value::Null => self.mapping(&[], visitor),
            _ => self.expected("a mapping"),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let entries: &[(Rc<Node>, Rc<Node>)] = match &self.node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => return self.expected(&format!("a mapping with the keys of {name}")),
        };
        let known = Some(Known { name, fields });
        visitor.visit_map(Pairs { entries: entries.iter(), value: None, decoder: self, known })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let list = words(variants, "or");
        let (word, value) = match &self.node.value {
            Value::Text | Value::Bool(_) | Value::Int(_) | Value::Float(_) => (self.node, None),
            Value::Map(entries) => {
                let [(key, value)] = entries.as_slice() else {
                    let message =
                        format!("expected exactly one of {list}, got {} keys", entries.len());
                    return Err(Fault::new(codes::SHAPE, message).at(self.node.span));
                };
                (key.as_ref(), Some(value.as_ref()))
            }
            Value::Null | Value::List(_) => return self.expected(&list),
        };
        if let Some(word) = variants.iter().find(|it| **it == word.text) {
            return visitor
                .visit_enum(Variant { word, value, decoder: self })
                .map_err(|fault| fault.at(self.node.span));
        }
        if later::is_planned(name, &word.text) {
            return Err(not_yet(&word.text).at(word.span));
        }
        let message = format!("expected {list}, got `{}`", short(&word.text));
        let near = did_you_mean(&word.text, variants.iter().copied());
        Err(Fault::new(codes::UNKNOWN_WORD, message).label(near).at(word.span))
    }
}

fn not_yet(key: &str) -> Fault {
    Fault::new(codes::NOT_YET, format!("`{key}` is not supported yet"))
        .label("remove it: it would do nothing")
}

/// The value of a field, its place, and its text; what is wrong with the value is reported here.
struct Parts<'de> {
    decoder: Decoder<'de>,
    next: u8,
}

impl<'de> de::SeqAccess<'de> for Parts<'de> {
    type Error = Fault;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Decoder { node, at, .. } = self.decoder;
        self.next += 1;
        match self.next {
            1 => {
                Ok(seed.deserialize(self.decoder).map_err(|fault| fault.report(at, node.span)).ok())
            }
            2 => {
                let wide = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
                let span = node.span;
                let parts =
                    [wide(span.start), wide(span.end), span.line.into(), span.column.into()];
                seed.deserialize(de::value::SeqDeserializer::new(parts.into_iter())).map(Some)
            }
            3 => seed.deserialize(node.text.as_str().into_deserializer()).map(Some),
            _ => Ok(None),
        }
    }
}

struct Items<'de> {
    items: std::slice::Iter<'de, Rc<Node>>,
    decoder: Decoder<'de>,
}

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        self.items.next().map(|node| seed.deserialize(self.decoder.of(node))).transpose()
    }
}

/// The keys that a struct takes.
#[derive(Clone, Copy)]
struct Known {
    name: &'static str,
    fields: &'static [&'static str],
}

struct Pairs<'de> {
    entries: std::slice::Iter<'de, (Rc<Node>, Rc<Node>)>,
    value: Option<&'de Node>,
    decoder: Decoder<'de>,
    known: Option<Known>,
}

impl Pairs<'_> {
    /// Reports a key that the struct does not take.
    fn refuse(&self, known: Known, key: &Node, value: &Node) {
        let at = self.decoder.at;
        at.mask(value.span);
        if later::is_planned(known.name, &key.text) {
            return not_yet(&key.text).report(at, key.span);
        }
        // A key with white space in it may be a value whose colon is missing, and that value a credential.
        let message = if is_word(&key.text) {
            format!("unknown key `{}`", short(&key.text))
        } else {
            at.mask(key.span);
            "unknown key: a word was expected, with a colon after it".to_owned()
        };
        let label = did_you_mean(&key.text, known.fields.iter().copied());
        let takes = format!("{} takes: {}", known.name, known.fields.join(", "));
        let mut found = Diagnostic::error(codes::UNKNOWN_KEY, message).label(label).note(takes);
        if key.text == "<<" {
            found = found.note("merge keys are not read: write the keys out");
        }
        at.report(key.span, found);
    }
}

impl<'de> de::MapAccess<'de> for Pairs<'de> {
    type Error = Fault;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        while let Some((key, value)) = self.entries.next() {
            if let Some(known) = self.known
                && !known.fields.contains(&key.text.as_str())
            {
                self.refuse(known, key, value);
                continue;
            }
            self.value = Some(value);
            return seed.deserialize(self.decoder.of(key)).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<T: de::DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        let Some(value) = self.value.take() else {
            return Err(Fault::new(codes::WRONG_TYPE, "a value was asked for before its key"));
        };
        seed.deserialize(self.decoder.of(value))
    }
}

struct Variant<'de> {
    word: &'static str,
    value: Option<&'de Node>,
    decoder: Decoder<'de>,
}

impl<'de> de::EnumAccess<'de> for Variant<'de> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<T: de::DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Fault> {
        let name: de::value::StrDeserializer<'_, Fault> = self.word.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.value {
            None => Ok(()),
            Some(value) => {
                let message = format!("`{}` is a word here, and takes nothing", self.word);
                Err(Fault::new(codes::SHAPE, message).at(value.span))
            }
        }
    }

    fn newtype_variant_seed<T: de::DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        let Some(value) = self.value else {
            let message = format!("`{}` needs its settings: write `{0}: {{ … }}`", self.word);
            return Err(Fault::new(codes::SHAPE, message).at(self.decoder.node.span));
        };
        seed.deserialize(self.decoder.of(value))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _visitor: V) -> Result<V::Value, Fault> {
        self.decoder.expected("a word")
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Fault> {
        self.decoder.expected("a word")
    }
}
