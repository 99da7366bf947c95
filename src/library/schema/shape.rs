//! Which keys go together, as schemas. `errorMessage` is what editors show instead of their own words.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

/// Exactly one of these keys is there.
pub(crate) fn exactly_one(keys: &[&str]) -> Value {
    let message = format!("expected exactly one of {}", keys.join(", "));
    let one: Vec<Value> =
        keys.iter().map(|key| json!({ "required": [key], "errorMessage": message })).collect();
    let alone: Map<String, Value> = keys
        .iter()
        .map(|key| {
            let others = keys.iter().filter(|other| *other != key);
            ((*key).to_owned(), none_of(others, &message))
        })
        .collect();
    json!({ "anyOf": one, "dependencies": alone })
}

/// Exactly one of two sets of keys is there, all that it needs of it; the second of each pair are those that may join.
pub(crate) fn one_set_of(sets: [(&[&str], &[&str]); 2]) -> Value {
    let [first, second] = sets;
    let message = format!("expected {}, or {}", first.0.join(" and "), second.0.join(" and "));
    let some: Vec<Value> =
        [first.0, second.0].map(|keys| json!({ "required": keys, "errorMessage": message })).into();
    let mut alone = Map::new();
    for (index, (needed, joining)) in sets.iter().enumerate() {
        let (others, more) = if index == 0 { second } else { first };
        for key in needed.iter().chain(*joining) {
            let none: Map<String, Value> =
                others.iter().chain(more).map(|key| ((*key).to_owned(), false.into())).collect();
            let only = json!({ "properties": none, "errorMessage": message, "required": needed });
            alone.insert((*key).to_owned(), only);
        }
    }
    json!({ "anyOf": some, "dependencies": alone })
}

/// In `dependencies`: one of these keys is there too.
pub(crate) fn with_one_of(keys: &[&str]) -> Value {
    let message = format!("goes only with {}", keys.join(" or "));
    let one = keys.iter().map(|key| json!({ "required": [key], "errorMessage": message }));
    json!({ "anyOf": one.collect::<Vec<_>>() })
}

/// In `dependencies`: none of these keys is there.
pub(crate) fn without(keys: &[&str]) -> Value {
    none_of(keys.iter(), "does not go together with another key here")
}

/// For `anyOf`: one of these words; those of several may be written with blanks, dashes or underscores.
pub(crate) fn spelled(words: &[&str]) -> Value {
    let message = format!("expected {}", words.join(", "));
    let pattern = words.join("|").replace(' ', "[ _-]");
    json!([
        { "enum": words, "errorMessage": message },
        { "type": "string", "pattern": format!("^({pattern})$"), "patternErrorMessage": message },
    ])
}

fn none_of<'a>(keys: impl Iterator<Item = &'a &'a str>, message: &str) -> Value {
    let keys: Map<String, Value> = keys.map(|key| ((*key).to_owned(), false.into())).collect();
    json!({ "properties": keys, "errorMessage": message })
}
