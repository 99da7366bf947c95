//! Expressions that give a list: `for_each`.

use cel::ExecutionError;
use cel::Value;

use super::Condition;
use super::Scope;
use super::describe;
use super::kind;

/// Greatest whole number up to which a double holds every whole number.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Checks that an expression parses within its bounds, names only `variables`, and may give a list.
/// The error says what is wrong and where (byte offset), for people.
pub fn check_list(source: &str, variables: &[&str]) -> Result<(), (String, Option<usize>)> {
    let expression = Condition::parse(source, variables)?;
    match Value::resolve(&expression.expression, Scope::new().context()) {
        Ok(Value::List(_)) => Ok(()),
        Ok(other) => Err((format!("this is {}, not a list", kind(&other)), None)),
        Err(
            error @ (ExecutionError::NoSuchOverload(_)
            | ExecutionError::UnsupportedBinaryOperator(..)),
        ) => Err((describe(&error), None)),
        // the values are only known when they come
        Err(_) => Ok(()),
    }
}

/// The list that an expression gives over the members of a JSON object: texts and numbers, whole ones written whole.
/// The error says what it gives instead.
pub fn list(source: &str, context: &serde_json::Value) -> Result<Vec<serde_json::Value>, String> {
    let members: Vec<(&String, &serde_json::Value)> =
        context.as_object().into_iter().flatten().collect();
    let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    let expression = Condition::parse(source, &names).map_err(|(message, _)| message)?;
    let scope = members.iter().fold(Scope::new(), |scope, (name, value)| scope.json(name, value));
    match Value::resolve(&expression.expression, scope.context()) {
        Ok(Value::List(values)) => {
            values.iter().enumerate().map(|(at, value)| item(at, value)).collect()
        }
        Ok(other) => Err(format!("`{source}` is {}, not a list", kind(&other))),
        Err(error) => Err(format!("{} in `{source}`", describe(&error))),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it is whole, and no larger than 2^53")]
fn item(at: usize, value: &Value) -> Result<serde_json::Value, String> {
    match value {
        Value::String(text) => Ok(text.as_str().into()),
        Value::Int(number) => Ok((*number).into()),
        Value::UInt(number) => Ok((*number).into()),
        // the numbers of JSON are doubles here, and 5.0 was most likely a 5
        Value::Float(number) if number.fract() == 0.0 && number.abs() <= EXACT => {
            Ok((*number as i64).into())
        }
        Value::Float(number) if number.is_finite() => Ok((*number).into()),
        other @ (Value::Float(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::Bool(_)
        | Value::Null
        | Value::Function(..)
        | Value::Bytes(_)
        | Value::Opaque(_)
        | Value::Struct(_)) => {
            Err(format!("item {} is {}, not text or a number", at + 1, kind(other)))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_expression_gives_a_list_of_texts_and_numbers() {
        let context = json!({
            "steps": { "my-step": { "output": { "json": { "hosts": ["a", "b"], "ports": [1, 2.5] } } } },
            "primary": "db-1",
        });
        for (source, expected) in [
            ("steps[\"my-step\"].output.json.hosts", Ok(json!(["a", "b"]))),
            ("steps[\"my-step\"].output.json.ports", Ok(json!([1, 2.5]))),
            ("[primary, \"db-2\"]", Ok(json!(["db-1", "db-2"]))),
            ("steps[\"my-step\"].output.json.hosts.filter(it, it != \"a\")", Ok(json!(["b"]))),
            ("[9007199254740993]", Ok(json!([9_007_199_254_740_993_u64]))),
            ("[]", Ok(json!([]))),
            ("primary", Err("`primary` is text, not a list")),
            ("[[primary]]", Err("item 1 is a list, not text or a number")),
            ("[\"a\", true]", Err("item 2 is true or false, not text or a number")),
            ("steps", Err("`steps` is a map, not a list")),
            (
                "steps.other.output",
                Err(
                    "there is no `other`: test for it first, as in `has(labels.other) && …` in `steps.other.output`",
                ),
            ),
        ] {
            let expected = expected.map(|it| it.as_array().cloned().unwrap());
            assert_eq!(list(source, &context), expected.map_err(str::to_owned), "{source}");
        }
    }

    #[test]
    fn what_can_never_be_a_list_is_found_when_it_is_read() {
        for (source, expected) in [
            ("steps.a.output", Ok(())),
            ("[1, 2]", Ok(())),
            ("1 + 1", Err("this is a number, not a list")),
            ("\"a b\"", Err("this is text, not a list")),
            ("labels.a ==", Err("the condition ends too early")),
            ("hosts", Err("unknown variable `hosts`; there are: steps, labels")),
        ] {
            let found = check_list(source, &["steps", "labels"]).map_err(|(message, _)| message);
            assert_eq!(found, expected.map_err(str::to_owned), "{source}");
        }
    }
}
