//! A value out of a file, with its place: what raw types are made of.
//!
//! Raw types stay plain `#[derive(Deserialize)]` structs: [`Field`] asks the decoder for a value together with its
//! place, and holds nothing when the value does not fit.

use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de;
use serde::de::Visitor;

use super::codes;
use super::diagnostic::At;
use super::diagnostic::Diagnostic;
use super::diagnostic::Span;

/// How [`Field`] asks the decoder for a value together with its place.
pub(crate) const FIELD: &str = "$field";

/// A value out of a file, and its place. Empty when it was missing or wrong; what was wrong is reported.
#[derive(Debug, Clone)]
pub(crate) struct Field<T> {
    value: Option<T>,
    missing: bool,
    span: Span,
    written: String,
}

/// A value that is there and has its type.
#[derive(Debug, Clone)]
pub(crate) struct Found<T> {
    pub(crate) value: T,
    /// Where it stands.
    pub(crate) span: Span,
    /// A scalar as it was written, without quotes.
    pub(crate) written: String,
}

impl<T> Found<T> {
    /// The same place with another value.
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Found<U> {
        Found { value: change(self.value), span: self.span, written: self.written }
    }
}

impl<T> Field<T> {
    /// A field that stands for one that was taken out.
    pub(crate) fn empty() -> Self {
        Self { value: None, missing: false, span: Span::default(), written: String::new() }
    }

    /// A part of a value, at the place of the whole.
    pub(crate) fn of(found: Found<T>) -> Self {
        let Found { value, span, written } = found;
        Self { value: Some(value), missing: false, span, written }
    }

    /// The value, unless it was missing or wrong.
    pub(crate) fn get(&self) -> Option<&T> {
        self.value.as_ref()
    }

    /// Where it stands.
    pub(crate) fn span(&self) -> Span {
        self.span
    }

    /// The value with its place, unless it was missing or wrong.
    pub(crate) fn found(self) -> Option<Found<T>> {
        let Self { value, span, written, .. } = self;
        value.map(|value| Found { value, span, written })
    }

    /// The same, and reports the key when it is missing.
    pub(crate) fn need(self, at: At<'_>, owner: Span, whose: &str, key: &str) -> Option<Found<T>> {
        if self.missing {
            let diagnostic = Diagnostic::error(codes::MISSING_KEY, format!("missing key `{key}`"));
            at.report(owner, diagnostic.label(format!("{whose} needs `{key}`")));
        }
        self.found()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // A missing key is deserialized from "none", so a required field learns that it is missing.
        from.deserialize_option(FieldVisitor(std::marker::PhantomData))
    }
}

struct FieldVisitor<T>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for FieldVisitor<T> {
    type Value = Field<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Field { value: None, missing: true, span: Span::default(), written: String::new() })
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_newtype_struct(FIELD, self)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut parts: A) -> Result<Self::Value, A::Error> {
        let value = parts.next_element::<T>()?;
        let (start, end, line, column) = parts.next_element()?.unwrap_or_default();
        let written = parts.next_element()?.unwrap_or_default();
        Ok(Field { value, missing: false, span: Span { start, end, line, column }, written })
    }
}

/// Entries of a mapping with keys that people choose, in their order.
#[derive(Debug, Clone)]
pub(crate) struct Entries<T>(pub(crate) Vec<(Field<String>, Field<T>)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
            type Value = Entries<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        from.deserialize_map(EntriesVisitor(std::marker::PhantomData))
    }
}
