//! The three ways to patch an object that Kubernetes has.

use serde_json::Value;

use super::Refused;

/// Lists that a strategic merge joins by a key of their elements, by the name of their field
/// (`patchMergeKey` in the types of Kubernetes); every other list is replaced.
const MERGE_KEYS: [(&str, &str); 6] = [
    ("containers", "name"),
    ("initContainers", "name"),
    ("env", "name"),
    ("volumes", "name"),
    ("conditions", "type"),
    ("taints", "key"),
];

/// The object after a patch of this content type.
pub(super) fn apply(object: &Value, content_type: &str, patch: &Value) -> Result<Value, Refused> {
    let mut patched = object.clone();
    match content_type {
        "application/merge-patch+json" => merge(&mut patched, patch),
        "application/strategic-merge-patch+json" => strategic(&mut patched, patch),
        "application/json-patch+json" => {
            let operations =
                patch.as_array().ok_or_else(|| Refused::bad("a JSON patch is a list"))?;
            for operation in operations {
                step(&mut patched, operation)?;
            }
        }
        other => {
            let message = format!("the body of the request was in an unknown format: {other}");
            return Err(Refused::new(415, "UnsupportedMediaType", &message));
        }
    }
    Ok(patched)
}

/// RFC 7386.
fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = Value::Object(serde_json::Map::new());
    }
    let fields = object.as_object_mut().unwrap();
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

/// As RFC 7386, but for lists with a merge key.
fn strategic(object: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = Value::Object(serde_json::Map::new());
    }
    let fields = object.as_object_mut().unwrap();
    for (name, change) in changes {
        let key = MERGE_KEYS.iter().find(|(list, _)| list == name).map(|(_, key)| *key);
        match (change, key) {
            (Value::Null, _) => {
                fields.remove(name);
            }
            (Value::Array(changes), Some(key)) => {
                let list = fields.entry(name.clone()).or_insert_with(|| Value::Array(Vec::new()));
                for change in changes {
                    element(list.as_array_mut().unwrap(), key, change);
                }
            }
            _ => strategic(fields.entry(name.clone()).or_insert(Value::Null), change),
        }
    }
}

/// Joins one element of a list with a merge key.
fn element(list: &mut Vec<Value>, key: &str, change: &Value) {
    let found = list.iter().position(|it| it[key] == change[key]);
    if change["$patch"] == "delete" {
        if let Some(found) = found {
            list.remove(found);
        }
        return;
    }
    if let Some(found) = found {
        strategic(&mut list[found], change);
    } else {
        let mut added = Value::Null;
        strategic(&mut added, change);
        list.push(added);
    }
}

/// One operation of RFC 6902: `test`, `add`, `replace` or `remove`.
fn step(object: &mut Value, operation: &Value) -> Result<(), Refused> {
    let path = operation["path"].as_str().unwrap_or_default();
    let invalid = |why: &str| {
        Refused::new(422, "Invalid", &format!("the server rejected our request: {why} at {path}"))
    };
    let (parent, last) = path.rsplit_once('/').ok_or_else(|| invalid("no path"))?;
    let last = last.replace("~1", "/").replace("~0", "~");
    let verb = operation["op"].as_str().unwrap_or_default();
    if verb == "test" {
        let same = object.pointer(path).unwrap_or(&Value::Null) == &operation["value"];
        return if same { Ok(()) } else { Err(invalid("testing value failed")) };
    }
    let parent = object.pointer_mut(parent).ok_or_else(|| invalid("nothing"))?;
    match (verb, parent) {
        ("add", Value::Object(fields)) => {
            fields.insert(last, operation["value"].clone());
        }
        ("replace", Value::Object(fields)) if fields.contains_key(&last) => {
            fields.insert(last, operation["value"].clone());
        }
        ("remove", Value::Object(fields)) if fields.contains_key(&last) => {
            fields.remove(&last);
        }
        _ => return Err(invalid("the operation does not fit")),
    }
    Ok(())
}
