//! CEL conditions: `when`, `if`, `healthy`. An error is never true.
//!
//! CEL as in Kubernetes, and stricter where a machine acts on the answer:
//!
//! - a comparison of text with a number is an error for `==`, `!=` and `in` too, where CEL says "not equal";
//! - no NaN and no infinity: neither given, nor written, nor computed (`!(0.0 / 0.0 > 0.05)` is unknown);
//! - numbers from JSON are doubles, since JSON does not tell `5` from `5.0`, and arithmetic of a double with
//!   an integer is arithmetic of doubles, so that `value * 100 > 5` works;
//! - `matches` reads regexes as matchers do (`model::re2`), and looks anywhere in the text.
//!
//! A source is bounded before the parser sees it: the parser recurses, and the language has no cost limit.

mod bounds;
mod functions;
mod harden;
mod list;
mod names;
mod reads;
mod scope;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use cel::ExecutionError;
use cel::IdedExpr;
use cel::Value;
use regex::Regex;

pub use list::check_list;
pub use list::list;
pub use names::names;
pub use reads::Member;
pub use reads::Reads;
pub use scope::Scope;

/// A condition that was checked: parsed once, evaluated often; cheap to clone.
#[derive(Clone)]
pub struct Condition {
    source: Arc<str>,
    expression: Arc<IdedExpr>,
    /// Kept compiled for as long as the condition is.
    _regexes: Arc<[Arc<Regex>]>,
}

impl Condition {
    /// Parses a condition within its bounds that names only `variables`.
    /// The error says what is wrong and where (byte offset), for people.
    pub fn new(source: &str, variables: &[&str]) -> Result<Self, (String, Option<usize>)> {
        let condition = Self::parse(source, variables)?;
        match condition.trial(variables) {
            Some(reason) => Err((reason, None)),
            None => Ok(condition),
        }
    }

    /// The same, of whatever type.
    fn parse(source: &str, variables: &[&str]) -> Result<Self, (String, Option<usize>)> {
        let tokens = bounds::tokens(source)?;
        let mut expression = functions::environment()
            .parser()
            .parse(source)
            .map_err(|errors| parse_error(source, &errors))?;
        let regexes = harden::harden(&mut expression, variables).map_err(|wrong| {
            let at = wrong.word.and_then(|word| tokens.iter().find(|it| it.text == word));
            (wrong.message, at.map(|it| it.at))
        })?;
        let expression = Arc::new(expression);
        Ok(Self { source: source.into(), expression, _regexes: regexes.into() })
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it holds. `Err` is the reason why that is unknown.
    pub fn evaluate(&self, scope: &Scope) -> Result<bool, String> {
        if let Some(reason) = scope.unfit() {
            return Err(reason.to_owned());
        }
        match Value::resolve(&self.expression, scope.context()) {
            Ok(Value::Bool(value)) => Ok(value),
            Ok(other) => Err(format!("`{}` is {}, not true or false", self.source, kind(&other))),
            Err(error) => Err(format!("{} in `{}`", describe(&error), self.source)),
        }
    }

    /// Evaluates over a plain number, to find at load what could never be true or false: the types of all
    /// other variables are only known when they come.
    fn trial(&self, variables: &[&str]) -> Option<String> {
        let mut scope = Scope::new();
        for name in ["value", "before"].into_iter().filter(|name| variables.contains(name)) {
            scope = scope.number(name, 1.0);
        }
        match Value::resolve(&self.expression, scope.context()) {
            Ok(Value::Bool(_)) => None,
            Ok(other) => Some(format!("this is {}, not true or false", kind(&other))),
            Err(
                error @ (ExecutionError::NoSuchOverload(_)
                | ExecutionError::UnsupportedBinaryOperator(..)),
            ) => Some(describe(&error)),
            Err(_) => None,
        }
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.source).finish()
    }
}

/// Checks that a condition parses within its bounds and names only `variables`.
/// The error says what is wrong and where (byte offset), for people.
pub fn check(source: &str, variables: &[&str]) -> Result<(), (String, Option<usize>)> {
    Condition::new(source, variables).map(|_| ())
}

/// Evaluates a condition over JSON variables. `Err` is the reason why its value is unknown.
/// A number that may not be finite, such as a sample, goes through [`Scope::number`] instead.
pub fn evaluate(
    source: &str,
    variables: &BTreeMap<&str, serde_json::Value>,
) -> Result<bool, String> {
    let names: Vec<&str> = variables.keys().copied().collect();
    let condition = Condition::new(source, &names).map_err(|(message, _)| message)?;
    let scope = variables.iter().fold(Scope::new(), |scope, (name, value)| scope.json(name, value));
    condition.evaluate(&scope)
}

/// As [`evaluate`], over the members of a JSON object.
pub fn evaluate_json(source: &str, context: &serde_json::Value) -> Result<bool, String> {
    let members = context.as_object().into_iter().flatten();
    evaluate(source, &members.map(|(name, value)| (name.as_str(), value.clone())).collect())
}

/// The first complaint of the parser, and its byte offset.
fn parse_error(source: &str, errors: &cel::ParseErrors) -> (String, Option<usize>) {
    let Some(error) = errors.errors.first() else {
        return ("this is no condition".into(), None);
    };
    let message = error.msg.trim_start_matches("Syntax error: ");
    // the parser lists every token of the language here
    let message = message.split(" expecting {").next().unwrap_or(message);
    let message = match message {
        _ if message.contains("token recognition error at: '=") => {
            "write `==` to compare".to_owned()
        }
        _ if message.contains("'<EOF>'") => "the condition ends too early".to_owned(),
        _ => format!("this does not parse: {message}"),
    };
    (message, offset(source, error.pos))
}

/// The byte offset of a line and a column, both counted from 1 and the latter in characters.
fn offset(source: &str, (line, column): (isize, isize)) -> Option<usize> {
    let line = usize::try_from(line.checked_sub(1)?).ok()?;
    let column = usize::try_from(column.checked_sub(1)?).ok()?;
    let start: usize = source.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = source.get(start..)?;
    Some(start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => "a number",
        Value::String(_) => "text",
        Value::Bool(_) => "true or false",
        Value::Null => "null",
        Value::Function(..) | Value::Bytes(_) | Value::Opaque(_) | Value::Struct(_) => {
            "something else"
        }
    }
}

/// CEL's name of a type, for people.
fn type_named(name: &str) -> &str {
    match name {
        "double" | "int" | "uint" => "a number",
        "string" => "text",
        "bool" => "true or false",
        "list" => "a list",
        "map" => "a map",
        "null_type" | "null" => "null",
        other => other,
    }
}

/// Why an evaluation failed, for people.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the crate may add errors, and each prints itself"
)]
fn describe(error: &ExecutionError) -> String {
    let text = match error {
        ExecutionError::NoSuchKey(key) => {
            return format!(
                "there is no `{key}`: test for it first, as in `has(labels.{key}) && …`"
            );
        }
        ExecutionError::UndeclaredReference(name) => return format!("`{name}` has no value here"),
        ExecutionError::NoSuchOverload(error) => {
            let name = error.function().trim_matches('_').trim_start_matches('@');
            let types: Vec<&str> = error.argument_types().iter().map(|it| type_named(it)).collect();
            return format!("`{name}` does not take {}", types.join(" and "));
        }
        ExecutionError::UnsupportedBinaryOperator(name, left, right) => {
            return format!("`{name}` does not take {} and {}", kind(left), kind(right));
        }
        ExecutionError::FunctionError { message, .. } => message.clone(),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "division by zero".into()
        }
        other => other.to_string(),
    };
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
