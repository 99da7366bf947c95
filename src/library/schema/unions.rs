//! Enums, in the form that editors show best: a list of words with what each means, or a mapping with one of several keys.

use schemars::Schema;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::shape::exactly_one;

/// Turns alternatives that are words, or mappings with one key, into one schema of each sort.
pub(crate) fn simplify(schema: &mut Schema) {
    let Some(variants) = schema.get("oneOf").and_then(Value::as_array) else { return };
    let (mut words, mut meanings) = (Vec::new(), Vec::new());
    let mut keys = Map::new();
    for variant in variants {
        if let Some(word) = variant.get("const") {
            words.push(word.clone());
            meanings.push(variant.get("description").cloned().unwrap_or_else(|| "".into()));
        } else if let Some((key, property)) = only_key(variant) {
            keys.insert(key, property);
        } else {
            return;
        }
    }
    let has_words = !words.is_empty();
    let words = json!({ "type": "string", "enum": words, "markdownEnumDescriptions": meanings });
    let names: Vec<&str> = keys.keys().map(String::as_str).collect();
    let one = exactly_one(&names);
    let mapping = |keys: Map<String, Value>| json!({ "type": "object", "properties": keys, "additionalProperties": false, "allOf": [one] });
    let simple = match (has_words, keys.is_empty()) {
        (_, true) => words,
        (false, false) => mapping(keys),
        (true, false) => {
            json!({ "type": ["object", "string"], "oneOf": [words, mapping(keys)] })
        }
    };
    schema.remove("oneOf");
    schema.ensure_object().extend(simple.as_object().cloned().unwrap_or_default());
}

/// The key of a mapping that has one, with what the variant says of it.
fn only_key(variant: &Value) -> Option<(String, Value)> {
    let properties = variant.get("properties")?.as_object()?;
    let (key, property) = properties.iter().next().filter(|_| properties.len() == 1)?;
    let mut property = property.clone();
    if let (Some(property), Some(text)) = (property.as_object_mut(), variant.get("description")) {
        property.insert("description".into(), text.clone());
    }
    Some((key.clone(), property))
}
