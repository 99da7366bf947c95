//! Parameters of a playbook: templates rendered, types and bounds checked.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::decide::render;
use crate::model::playbook::Parameter;
use crate::model::playbook::ParameterKind;
use crate::model::playbook::Playbook;
use crate::model::re2;
use crate::model::time::parse_duration;

/// Characters of a refused value that a message shows.
const SHOWN: usize = 60;

/// Whether a text holds something for the template engine.
pub fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark))
}

/// The parameters of one run: the values of a rule's `with:` rendered over `context` (`labels`, `annotations`), defaults for
/// the rest, each checked against its type and bounds. A value from an alert is untrusted: what its parameter
/// does not allow is refused. The errors are all of them, each naming its parameter.
pub fn resolve(
    playbook: &Playbook,
    with: &BTreeMap<String, Value>,
    context: &Value,
) -> Result<BTreeMap<String, Value>, Vec<String>> {
    let mut resolved = BTreeMap::new();
    let mut wrong = Vec::new();
    for name in with.keys().filter(|name| !playbook.parameters.contains_key(*name)) {
        wrong.push(format!("playbook `{}` has no parameter `{name}`", playbook.name));
    }
    for (name, parameter) in &playbook.parameters {
        let value = match with.get(name) {
            Some(Value::String(text)) if is_template(text) => {
                render::render(text, context, render::Escape::None)
                    .map(Value::String)
                    .map_err(|reason| format!("parameter `{name}`: {reason}"))
            }
            Some(value) => Ok(value.clone()),
            None => match &parameter.default {
                Some(default) => Ok(default.clone()),
                None if parameter.required => Err(format!("parameter `{name}` is missing")),
                None => continue,
            },
        };
        match value.and_then(|value| check(name, parameter, &value)) {
            Ok(value) => drop(resolved.insert(name.clone(), value)),
            Err(reason) => wrong.push(reason),
        }
    }
    if wrong.is_empty() { Ok(resolved) } else { Err(wrong) }
}

/// One value against the type and bounds of its parameter, in the form that steps see: `"5"` is 5 for an integer.
/// The error names the parameter, the value (shortened and escaped) and the bound.
pub fn check(name: &str, parameter: &Parameter, value: &Value) -> Result<Value, String> {
    typed(parameter, value)
        .and_then(|typed| within(parameter, typed))
        .map_err(|reason| format!("parameter `{name}`: {} {reason}", shown(value)))
}

fn typed(parameter: &Parameter, value: &Value) -> Result<Value, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(bool) => bool.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            return Err(format!("is not {}", kind(&parameter.kind)));
        }
    };
    let wrong = || format!("is not {}", kind(&parameter.kind));
    match &parameter.kind {
        ParameterKind::String => Ok(Value::String(text)),
        ParameterKind::Integer => text.parse::<i64>().map(Value::from).map_err(|_| wrong()),
        ParameterKind::Number => text
            .parse::<f64>()
            .ok()
            .and_then(serde_json::Number::from_f64)
            .map(Value::Number)
            .ok_or_else(wrong),
        ParameterKind::Boolean => text.parse::<bool>().map(Value::Bool).map_err(|_| wrong()),
        ParameterKind::Duration => {
            parse_duration(&text).map(|_| Value::String(text)).map_err(|_| wrong())
        }
        ParameterKind::Enum(words) if words.contains(&text) => Ok(Value::String(text)),
        ParameterKind::Enum(words) => Err(format!("is not one of {}", words.join(", "))),
    }
}

fn kind(kind: &ParameterKind) -> &'static str {
    match kind {
        ParameterKind::String => "text",
        ParameterKind::Integer => "a whole number",
        ParameterKind::Number => "a number",
        ParameterKind::Boolean => "true or false",
        ParameterKind::Duration => "a duration such as 5m",
        ParameterKind::Enum(_) => "one of the words possible",
    }
}

fn within(parameter: &Parameter, value: Value) -> Result<Value, String> {
    if let (Some(pattern), Value::String(text)) = (&parameter.pattern, &value) {
        let regex = re2::compile_anchored(pattern).map_err(|reason| {
            format!("cannot be checked: the pattern {pattern} is wrong: {reason}")
        })?;
        if !regex.is_match(text) {
            return Err(format!("does not match the pattern {pattern}"));
        }
    }
    let measure = match (&parameter.kind, &value) {
        (ParameterKind::Integer | ParameterKind::Number, value) => value.as_f64(),
        (ParameterKind::Duration, Value::String(text)) => {
            parse_duration(text).ok().map(|duration| duration.as_secs_f64())
        }
        _ => None,
    };
    let unit = if parameter.kind == ParameterKind::Duration { " s" } else { "" };
    if let Some(measure) = measure {
        if let Some(min) = parameter.min.filter(|min| measure < *min) {
            return Err(format!("is below the minimum of {min}{unit}"));
        }
        if let Some(max) = parameter.max.filter(|max| measure > *max) {
            return Err(format!("is above the maximum of {max}{unit}"));
        }
    }
    Ok(value)
}

/// A value in a message: escaped, so that it stays on its line, and shortened.
fn shown(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let escaped: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    let rest = text.chars().count().saturating_sub(SHOWN);
    if rest > 0 {
        format!("`{escaped}…` ({rest} more characters)")
    } else {
        format!("`{escaped}`")
    }
}
