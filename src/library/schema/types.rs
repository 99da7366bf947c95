//! Schemas of what raw types are made of: they are those of the values alone, without the places.

use std::borrow::Cow;

use schemars::JsonSchema;
use schemars::Schema;
use schemars::SchemaGenerator;
use schemars::json_schema;
use serde_json::json;

use crate::library::field::Entries;
use crate::library::field::Field;
use crate::library::raw::ConditionText;
use crate::library::raw::DurationText;
use crate::library::raw::InstantText;
use crate::library::raw::ListText;
use crate::library::raw::MatcherText;
use crate::library::raw::PercentText;
use crate::library::raw::RateText;
use crate::library::raw::ScheduleText;
use crate::library::raw::SecretText;
use crate::library::raw::ShareText;
use crate::library::raw::SignedText;
use crate::library::raw::SizeText;
use crate::library::raw::SpanText;
use crate::library::raw::TemplateText;
use crate::library::raw::ValueText;
use crate::library::raw::WholeText;
use crate::library::raw::playbook::RawItems;
use crate::library::raw::probe::RawAlert;
use crate::library::raw::test::RawNothing;

impl<T: JsonSchema> JsonSchema for Field<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: JsonSchema> JsonSchema for Entries<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("entries of {}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut values = generator.subschema_for::<T>();
        // A value of a name that people choose may look like anything: `DEBUG: true`.
        if is_text(&values) {
            values.insert("type".into(), json!(["string", "number", "boolean"]));
        }
        json_schema!({ "type": "object", "additionalProperties": values })
    }
}

/// Whether any text will do.
pub(crate) fn is_text(schema: &Schema) -> bool {
    let text = schema.get("type").is_some_and(|it| *it == "string");
    text && !["pattern", "enum", "const"].iter().any(|key| schema.get(*key).is_some())
}

/// A key that stands for itself: `alert: {}`.
macro_rules! nothings {
    ($($name:ident)*) => {$(
        impl JsonSchema for $name {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        stringify!($name).into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "maxProperties": 0 })
    }
}
    )*};
}

nothings! { RawAlert RawNothing }

/// A whole number and its unit, from large to small (`model::time`).
const DURATION: &str = "([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?";

macro_rules! texts {
    ($($name:ident $schema:block)*) => {$(
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    )*};
}

/// Text of one form. The message is what editors show: a regular expression says little to people.
fn form(pattern: &str, message: &str) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "pattern": pattern,
        "patternErrorMessage": message,
        "errorMessage": message,
    })
}

texts! {
    DurationText {
        let message = "expected a duration such as 90s, 5m or 1h30m";
        // 0 needs no unit
        json_schema!({
            "type": ["string", "integer"],
            "anyOf": [
                form(&format!("^(0|{DURATION})$"), message),
                { "const": 0, "errorMessage": message },
            ],
        })
    }
    RateText {
        let pattern = "^\\s*[0-9]+\\s* per \\s*([0-9]+(y|w|d|h|m|s|ms))+\\s*$";
        form(pattern, "expected a rate such as 3 per 1h")
    }
    MatcherText {
        form("=|!~", "expected a matcher such as severity=\"critical\"")
    }
    ScheduleText {
        let message = "expected five fields such as 0 2 * * *, or six with seconds first";
        form("^\\s*(@\\S+|\\S+(\\s+\\S+){4,5})\\s*$", message)
    }
    InstantText {
        let message = "expected an instant such as 2026-01-05T10:00:00Z";
        form("^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}.*$", message)
    }
    SizeText {
        let form = form("^[0-9]+ *(B|KiB|MiB|GiB)?$", "expected a size such as 32MiB, or bytes");
        let mut schema = json_schema!({ "minimum": 1 << 10, "maximum": 1 << 30 });
        schema.ensure_object().extend(form.as_object().cloned().unwrap_or_default());
        schema.insert("type".into(), json!(["string", "integer"]));
        schema
    }
    ConditionText {
        json_schema!({ "type": ["string", "boolean"] })
    }
    ListText {
        json_schema!({ "type": "string" })
    }
    ShareText {
        let message = "expected a count, or a part such as 25%";
        json_schema!({
            "type": ["string", "integer"],
            "anyOf": [
                form("^([1-9][0-9]*|([1-9][0-9]?|100)%)$", message),
                { "minimum": 1, "errorMessage": message },
            ],
        })
    }
    PercentText {
        form("^([1-9]?[0-9]|100)%$", "expected a part such as 40%")
    }
    RawItems {
        json_schema!({
            "type": ["string", "array"],
            "minItems": 1,
            "items": { "type": ["string", "number", "boolean"] },
        })
    }
    TemplateText {
        json_schema!({ "type": "string" })
    }
    WholeText {
        let message = "expected a whole number, or a template that gives one";
        json_schema!({
            "type": ["string", "integer"],
            "anyOf": [
                form("^\\s*[0-9]+\\s*$|\\{[{%]", message),
                { "minimum": 0, "type": "integer", "errorMessage": message },
            ],
        })
    }
    SignedText {
        let message = "expected a whole number such as 2 or -1";
        json_schema!({
            "type": ["string", "integer"],
            "anyOf": [form("^\\s*[+-]?[0-9]+\\s*$", message), { "type": "integer" }],
        })
    }
    SpanText {
        let message = "expected a duration such as 90s, 5m or 1h30m, or a template that gives one";
        json_schema!({
            "type": ["string", "integer"],
            "anyOf": [
                form(&format!("^\\s*(0|{DURATION})\\s*$|\\{{[{{%]"), message),
                { "const": 0, "errorMessage": message },
            ],
        })
    }
    ValueText {
        // nothing is a value here
        json_schema!({ "not": { "type": ["object", "array"] } })
    }
    SecretText {
        json_schema!({ "type": "string" })
    }
}
