//! Parameters of a playbook.

use crate::decide::parameters;
use crate::decide::plan;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Span;
use crate::library::field::Field;
use crate::library::field::Found;
use crate::library::raw::playbook::RawKind;
use crate::library::raw::playbook::RawParameter;
use crate::model::playbook::Parameter;
use crate::model::playbook::ParameterKind;
use crate::model::re2;
use crate::model::time::parse_duration;

/// Names that templates and conditions have already.
pub(crate) const TAKEN: [&str; 4] = ["labels", "annotations", "steps", "run"];

/// Words that mean something to templates or conditions.
const RESERVED: [&str; 13] =
    ["true", "false", "none", "null", "and", "or", "not", "in", "is", "if", "else", "for", "self"];

/// What a declaration is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Of a playbook: a rule gives its value.
    Parameter,
    /// Of an `ask`: a person gives it, and must, unless there is a default.
    Answer,
}

/// The declaration of one parameter, or of one answer.
pub(crate) fn parameter(
    at: At<'_>,
    key: &Found<String>,
    found: Found<RawParameter>,
    role: Role,
) -> Option<Parameter> {
    let name = key.value.as_str();
    check_name(at, name, key.span, role);
    let RawParameter { kind, required, default, pattern, min, max, values, secret, description } =
        found.value;
    let refuse = |span: Span, message: String| {
        at.report(span, Diagnostic::error(codes::PARAMETER, message));
    };
    let what = if role == Role::Answer { "an answer" } else { "a parameter" };
    let raw_kind = kind.need(at, key.span, what, "type")?.value;
    let values = values.and_then(Field::found);
    let kind = parameter_kind(raw_kind, values.as_ref(), key.span, &refuse);

    let pattern = pattern.and_then(Field::found);
    if let Some(pattern) = &pattern {
        if raw_kind != RawKind::String {
            refuse(pattern.span, "`pattern` bounds text only".to_owned());
        }
        if let Err(reason) = re2::compile_anchored(&pattern.value) {
            let reason = reason.lines().last().unwrap_or_default().trim();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason);
            let message = format!("the pattern does not compile: {reason}");
            at.report(pattern.span, Diagnostic::error(codes::PATTERN, message));
        }
    }
    let min = min.and_then(Field::found).and_then(|it| bound(raw_kind, &it, &refuse));
    let max = max.and_then(Field::found).and_then(|it| bound(raw_kind, &it, &refuse));
    if let (Some(min), Some(max)) = (&min, &max)
        && min.value > max.value
    {
        refuse(max.span, format!("`max` {} is below `min` {}", max.written, min.written));
    }
    let default = default.and_then(Field::found);
    let required = required.and_then(Field::found);
    let wanted =
        required.as_ref().is_some_and(|it| it.value) || role == Role::Answer && default.is_none();
    let secret = secret.and_then(Field::found).filter(|it| it.value);
    if let Some(secret) = &secret {
        if role == Role::Answer {
            refuse(
                secret.span,
                "an answer is kept in the journal, so it cannot be a secret".into(),
            );
        }
        if raw_kind != RawKind::String || pattern.is_some() {
            let message =
                "a secret is `type: string` without a `pattern`: its value is never looked at";
            refuse(secret.span, message.to_owned());
        }
    }
    match &default {
        None if !wanted => {
            let message = format!("parameter `{name}` may have no value");
            let label = "write `required: true` or a `default`";
            at.report(key.span, Diagnostic::error(codes::PARAMETER, message).label(label));
        }
        Some(default) if wanted => {
            refuse(default.span, "a `default` has no use beside `required: true`".to_owned());
        }
        _ => {}
    }
    let mut parameter = Parameter {
        kind,
        required: wanted,
        default: None,
        pattern: pattern.map(|it| it.value),
        min: min.map(|it| it.value),
        max: max.map(|it| it.value),
        secret: secret.is_some(),
        description: description.and_then(Field::found).map(|it| it.value).unwrap_or_default(),
    };
    if let Some(default) = default {
        let written = literal(&parameter, &default);
        match parameters::check_value(&parameter, &written) {
            Ok(value) => parameter.default = Some(value),
            Err(reason) => {
                let whose = if role == Role::Answer { "answer" } else { "parameter" };
                let reason = format!("{whose} `{name}`: {reason}");
                at.report(default.span, Diagnostic::error(codes::PARAMETER_VALUE, reason));
            }
        }
    }
    Some(parameter)
}

/// A value as its author wrote it: `1.10` for text is not the number 1.1.
pub(crate) fn literal(
    parameter: &Parameter,
    found: &Found<serde_json::Value>,
) -> serde_json::Value {
    let textual = matches!(
        parameter.kind,
        ParameterKind::String | ParameterKind::Enum(_) | ParameterKind::Duration
    );
    match &found.value {
        serde_json::Value::Number(_) | serde_json::Value::Bool(_) if textual => {
            serde_json::Value::String(found.written.clone())
        }
        value => value.clone(),
    }
}

fn check_name(at: At<'_>, name: &str, span: Span, role: Role) {
    let what = if role == Role::Answer { "an answer" } else { "a parameter" };
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let message = if !starts || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        format!("the name of {what} has letters, digits and _, and does not begin with a digit")
    } else if [&TAKEN[..], &plan::OF_ITEMS, &RESERVED].concat().contains(&name) {
        format!("{what} cannot be called `{name}`: templates know that word already")
    } else {
        return;
    };
    at.report(span, Diagnostic::error(codes::PARAMETER, message));
}

fn parameter_kind(
    raw: RawKind,
    values: Option<&Found<Vec<Field<String>>>>,
    span: Span,
    refuse: &dyn Fn(Span, String),
) -> ParameterKind {
    if let (Some(values), false) = (values, raw == RawKind::Enum) {
        refuse(values.span, "`values` belongs to `type: enum`".to_owned());
    }
    match raw {
        RawKind::String => ParameterKind::String,
        RawKind::Integer => ParameterKind::Integer,
        RawKind::Number => ParameterKind::Number,
        RawKind::Boolean => ParameterKind::Boolean,
        RawKind::Duration => ParameterKind::Duration,
        RawKind::Enum => {
            let words: Vec<String> = values
                .map(|values| values.value.iter().filter_map(Field::get).cloned().collect())
                .unwrap_or_default();
            if words.is_empty() {
                refuse(
                    values.map_or(span, |it| it.span),
                    "an enum needs `values: [ … ]`".to_owned(),
                );
            }
            ParameterKind::Enum(words)
        }
    }
}

fn bound(
    kind: RawKind,
    found: &Found<String>,
    refuse: &dyn Fn(Span, String),
) -> Option<Found<f64>> {
    let text = found.value.as_str();
    let value = match kind {
        RawKind::Integer | RawKind::Number => text.parse::<f64>().ok().filter(|it| it.is_finite()),
        RawKind::Duration => parse_duration(text).ok().map(|it| it.as_secs_f64()),
        RawKind::String | RawKind::Boolean | RawKind::Enum => {
            refuse(found.span, "`min` and `max` bound numbers and durations only".to_owned());
            return None;
        }
    };
    let Some(value) = value else {
        let wants = if kind == RawKind::Duration { "a duration such as 5m" } else { "a number" };
        refuse(found.span, format!("expected {wants}"));
        return None;
    };
    Some(found.clone().map(|_| value))
}
