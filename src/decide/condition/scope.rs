//! The values that a condition is evaluated over.

use std::collections::HashMap;
use std::fmt;

use cel::Context;
use cel::Value;

use super::functions;
use crate::model::labels::Labels;

/// Variables and their values: built once, used for many conditions.
pub struct Scope {
    context: Context<'static, 'static>,
    /// Why nothing can be known over these values.
    unfit: Option<String>,
}

impl Default for Scope {
    fn default() -> Self {
        Self::new()
    }
}

impl Scope {
    /// No variables.
    pub fn new() -> Self {
        Self { context: Context::with_env(functions::environment()), unfit: None }
    }

    /// Adds a number. One that is not finite makes every condition unknown: no comparison with NaN says
    /// that something is healthy.
    #[must_use]
    pub fn number(mut self, name: &str, value: f64) -> Self {
        if !value.is_finite() {
            self.unfit.get_or_insert_with(|| format!("`{name}` is {value}, not a finite number"));
        }
        self.context.add_variable_from_value(name, Value::Float(value));
        self
    }

    /// Adds labels or annotations, as a map. A label that is missing is missing in it: `has(labels.x)`.
    #[must_use]
    pub fn labels(mut self, name: &str, labels: &Labels) -> Self {
        let map: HashMap<String, String> =
            labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        self.context.add_variable_from_value(name, map);
        self
    }

    /// Adds a JSON value. Its numbers become doubles, but for integers that a double cannot hold exactly.
    #[must_use]
    pub fn json(mut self, name: &str, value: &serde_json::Value) -> Self {
        self.context.add_variable_from_value(name, from_json(value));
        self
    }

    pub(super) fn context(&self) -> &Context<'static, 'static> {
        &self.context
    }

    pub(super) fn unfit(&self) -> Option<&str> {
        self.unfit.as_deref()
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("unfit", &self.unfit).finish_non_exhaustive()
    }
}

/// As deep as the JSON is; `serde_json` reads 128 levels.
fn from_json(value: &serde_json::Value) -> Value {
    /// The greatest integer up to which a double holds every integer.
    const EXACT: u64 = 1 << 53;
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::String(text) => text.as_str().into(),
        serde_json::Value::Array(elements) => {
            elements.iter().map(from_json).collect::<Vec<Value>>().into()
        }
        serde_json::Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), from_json(value)))
            .collect::<HashMap<String, Value>>()
            .into(),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) if integer.unsigned_abs() > EXACT => Value::Int(integer),
            (None, Some(integer)) => Value::UInt(integer),
            _ => number.as_f64().map_or(Value::Null, Value::Float),
        },
    }
}
