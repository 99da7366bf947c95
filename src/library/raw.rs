//! The files as they are written, before they are validated. The name of each type is what people are told.

use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de;
use serde::de::Visitor;

use super::field::Field;

pub(crate) mod action;
pub(crate) mod config;
pub(crate) mod playbook;
pub(crate) mod probe;
pub(crate) mod rule;
pub(crate) mod test;

/// A key that may be left out.
pub(crate) type Opt<T> = Option<Field<T>>;

/// A list whose items are read one by one: a wrong one does not hide the others.
pub(crate) type List<T> = Vec<Field<T>>;

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident $expected:literal)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Deserialize)]
        #[serde(rename = $expected)]
        pub(crate) struct $name(pub(crate) String);
    )*};
}

texts! {
    /// `5m`
    DurationText "a duration such as 5m"
    /// `3 per 1h`
    RateText "a rate such as 3 per 1h"
    /// `severity="critical"`
    MatcherText "a matcher such as severity=\"critical\""
    /// CEL.
    ConditionText "a condition such as value < 0.05"
    /// Text with `{{ … }}`.
    TemplateText "text"
    /// A whole number, or `{{ … }}`.
    WholeText "a whole number"
    /// `2`, `-1` or `+1`.
    SignedText "a whole number such as 2 or -1"
    /// `5m`, or `{{ … }}`.
    SpanText "a duration such as 5m"
    /// Cron.
    ScheduleText "a schedule such as 0 2 * * *"
    /// An instant such as `2026-01-05T10:00:00Z`.
    InstantText "an instant such as 2026-01-05T10:00:00Z"
    /// Text with `${env:…}` and `${file:…}`.
    SecretText "text"
    /// CEL that gives a list.
    ListText "a list, or an expression such as steps.find.output.lines"
    /// `25%`
    ShareText "a count, or a part such as 25%"
    /// `40%`
    PercentText "a part such as 40%"
    /// `32MiB`
    SizeText "a size such as 32MiB"
}

/// A text with `{{ … }}`, or nothing. What is written is in the [`Field`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueText {
    /// There is a text.
    Text,
    /// `null`
    Nothing,
}

impl<'de> Deserialize<'de> for ValueText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ValueVisitor;
        impl Visitor<'_> for ValueVisitor {
            type Value = ValueText;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, or nothing")
            }
            fn visit_unit<E: de::Error>(self) -> Result<ValueText, E> {
                Ok(ValueText::Nothing)
            }
            fn visit_str<E: de::Error>(self, _: &str) -> Result<ValueText, E> {
                Ok(ValueText::Text)
            }
            fn visit_bool<E: de::Error>(self, _: bool) -> Result<ValueText, E> {
                Ok(ValueText::Text)
            }
            fn visit_i64<E: de::Error>(self, _: i64) -> Result<ValueText, E> {
                Ok(ValueText::Text)
            }
            fn visit_u64<E: de::Error>(self, _: u64) -> Result<ValueText, E> {
                Ok(ValueText::Text)
            }
            fn visit_f64<E: de::Error>(self, _: f64) -> Result<ValueText, E> {
                Ok(ValueText::Text)
            }
        }
        from.deserialize_any(ValueVisitor)
    }
}
