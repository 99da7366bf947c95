//! Parameters of a playbook: templates rendered, types and bounds checked.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::decide::render;
use crate::model::playbook::Parameter;
use crate::model::playbook::ParameterKind;
use crate::model::playbook::Playbook;
use crate::model::re2;
use crate::model::time::parse_duration;
use crate::model::time::show_duration;

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
            // what a secret is called stands in the rule: no alert may choose one
            Some(Value::String(text)) if parameter.secret && is_template(text) => {
                Err(format!("parameter `{name}` is a secret: its name holds no template"))
            }
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
    check_value(parameter, value).map_err(|reason| format!("parameter `{name}`: {reason}"))
}

/// The same, whatever the value is for: the error begins with the value.
pub fn check_value(parameter: &Parameter, value: &Value) -> Result<Value, String> {
    typed(parameter, value)
        .and_then(|typed| within(parameter, typed))
        .map_err(|reason| format!("{} {reason}", shown(value)))
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

/// What a value of this type is, for people.
pub fn kind(kind: &ParameterKind) -> &'static str {
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
    let bound = |bound: f64| match (&parameter.kind, Duration::try_from_secs_f64(bound)) {
        (ParameterKind::Duration, Ok(duration)) => show_duration(duration),
        _ => bound.to_string(),
    };
    if let Some(measure) = measure {
        if let Some(min) = parameter.min.filter(|min| measure < *min) {
            return Err(format!("is below the minimum of {}", bound(min)));
        }
        if let Some(max) = parameter.max.filter(|max| measure > *max) {
            return Err(format!("is above the maximum of {}", bound(max)));
        }
    }
    Ok(value)
}

/// A value in a message: escaped, so that it stays on its line, and shortened.
fn shown(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let escaped: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    let escaped = escaped.replace("\\\"", "\"").replace("\\'", "'");
    let rest = text.chars().count().saturating_sub(SHOWN);
    if rest > 0 {
        format!("`{escaped}…` ({rest} more characters)")
    } else {
        format!("`{escaped}`")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::decide::machine;

    fn of(kind: ParameterKind) -> Parameter {
        Parameter {
            kind,
            required: true,
            default: None,
            pattern: None,
            min: None,
            max: None,
            secret: false,
            description: String::new(),
        }
    }

    #[test]
    fn values_take_the_type_of_their_parameter() {
        let words = || ParameterKind::Enum(vec!["soft".into(), "5".into()]);
        for (kind, value, expected) in [
            (ParameterKind::String, json!("a b"), Some(json!("a b"))),
            (ParameterKind::String, json!(8080), Some(json!("8080"))),
            (ParameterKind::String, json!(null), None),
            (ParameterKind::String, json!(["a"]), None),
            (ParameterKind::Integer, json!("5"), Some(json!(5))),
            (ParameterKind::Integer, json!("-5"), Some(json!(-5))),
            (ParameterKind::Integer, json!(5), Some(json!(5))),
            (ParameterKind::Integer, json!(5.5), None),
            (ParameterKind::Integer, json!("5 "), None),
            (ParameterKind::Integer, json!("9223372036854775808"), None),
            (ParameterKind::Number, json!("0.5"), Some(json!(0.5))),
            (ParameterKind::Number, json!("inf"), None),
            (ParameterKind::Number, json!("NaN"), None),
            (ParameterKind::Boolean, json!("true"), Some(json!(true))),
            (ParameterKind::Boolean, json!("yes"), None),
            (ParameterKind::Duration, json!("1h30m"), Some(json!("1h30m"))),
            (ParameterKind::Duration, json!(0), Some(json!("0"))),
            (ParameterKind::Duration, json!(5), None),
            (words(), json!("soft"), Some(json!("soft"))),
            (words(), json!(5), Some(json!("5"))),
            (words(), json!("SOFT"), None),
        ] {
            let result = check("p", &of(kind.clone()), &value);
            assert_eq!(result.clone().ok(), expected, "{kind:?} {value} {result:?}");
        }
    }

    #[test]
    fn bounds_hold_for_the_whole_value() {
        let pattern = Parameter { pattern: Some("[a-z]+".into()), ..of(ParameterKind::String) };
        let span = Parameter { min: Some(60.0), max: Some(300.0), ..of(ParameterKind::Duration) };
        let count = Parameter { min: Some(1.0), max: Some(3.0), ..of(ParameterKind::Integer) };
        for (parameter, value, expected) in [
            (&pattern, json!("shop"), None),
            (
                &pattern,
                json!("shop; rm -rf /\n"),
                Some("parameter `p`: `shop; rm -rf /\\n` does not match the pattern [a-z]+"),
            ),
            (
                &pattern,
                json!("shop\n"),
                Some("parameter `p`: `shop\\n` does not match the pattern [a-z]+"),
            ),
            (&pattern, json!(""), Some("parameter `p`: `` does not match the pattern [a-z]+")),
            (&span, json!("5m"), None),
            (&span, json!("59s"), Some("parameter `p`: `59s` is below the minimum of 1m")),
            (&span, json!("6m"), Some("parameter `p`: `6m` is above the maximum of 5m")),
            (&count, json!("3"), None),
            (&count, json!(4), Some("parameter `p`: `4` is above the maximum of 3")),
        ] {
            assert_eq!(check("p", parameter, &value).err().as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn a_long_value_is_shortened_in_the_message() {
        let parameter = Parameter { pattern: Some("x".into()), ..of(ParameterKind::String) };
        let message = check("p", &parameter, &json!("é".repeat(100))).expect_err("too long");
        assert!(message.contains("…` (40 more characters)"), "{message}");
    }

    #[test]
    fn a_pattern_that_does_not_compile_lets_nothing_through() {
        let parameter = Parameter { pattern: Some("[".into()), ..of(ParameterKind::String) };
        assert!(check("p", &parameter, &json!("x")).is_err());
    }

    #[test]
    fn resolving_renders_defaults_and_reports_everything() {
        let unit = Parameter { pattern: Some("[a-z]+".into()), ..of(ParameterKind::String) };
        let grace = Parameter {
            default: Some(json!("30s")),
            required: false,
            ..of(ParameterKind::Duration)
        };
        let playbook = Playbook {
            parameters: BTreeMap::from([
                ("unit".into(), unit),
                ("grace".into(), grace),
                ("count".into(), of(ParameterKind::Integer)),
            ]),
            ..machine::tests::playbook(Vec::new())
        };
        let context = |service: &str| json!({ "labels": { "service": service, "n": "2" } });
        let with = BTreeMap::from([
            ("unit".to_owned(), json!("{{ labels.service }}")),
            ("count".to_owned(), json!("{{ labels.n }}")),
        ]);
        let resolved = resolve(&playbook, &with, &context("shop")).expect("resolved");
        let expected = [("count", json!(2)), ("grace", json!("30s")), ("unit", json!("shop"))];
        assert_eq!(resolved, expected.map(|(name, value)| (name.to_owned(), value)).into());

        let refused = resolve(&playbook, &with, &context("a b")).expect_err("refused");
        assert_eq!(refused, ["parameter `unit`: `a b` does not match the pattern [a-z]+"]);

        let wrong = BTreeMap::from([
            ("unit".to_owned(), json!("{{ labels.nothing }}")),
            ("other".to_owned(), json!(1)),
        ]);
        let all = resolve(&playbook, &wrong, &context("shop")).expect_err("refused");
        assert_eq!(all.len(), 3, "{all:?}");
        assert!(all[0].contains("no parameter `other`"), "{all:?}");
        assert!(all[1].contains("`count` is missing"), "{all:?}");
        assert!(all[2].contains("parameter `unit`") && all[2].contains("nothing"), "{all:?}");
    }
}
