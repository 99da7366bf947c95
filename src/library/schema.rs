//! JSON Schemas of the files people write, for editors: out of the same types that the loader reads them with.
//!
//! Draft 7, which is what yaml-language-server and the editors built on it know best. Everything that a schema accepts has the
//! shape that the loader wants, and all files without errors are accepted, with one exception: a mapping or list with
//! nothing written after its key, which the loader takes as empty.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::transform_subschemas;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use self::types::is_text;
use super::raw::config::RawConfig;
use super::raw::playbook::RawPlaybook;
use super::raw::rule::RawRuleFile;
use super::raw::test::RawTestFile;

pub(crate) mod shape;
mod types;
mod unions;

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Rules, checks and schedules.
    Rules,
    /// A playbook.
    Playbook,
    /// quell.yml.
    Config,
    /// Tests of rules, `*.test.yml`.
    Test,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Rules, Self::Playbook, Self::Config, Self::Test];

    /// The word for it: `rules`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Playbook => "playbook",
            Self::Config => "config",
            Self::Test => "test",
        }
    }

    /// The file that its schema is kept in: `rules.schema.json`.
    pub fn file_name(self) -> String {
        format!("{}.schema.json", self.as_str())
    }
}

/// The schema of a kind of file.
pub fn schema(kind: Kind) -> Value {
    let (title, mut schema) = match kind {
        Kind::Rules => ("Rules of quell", of::<RawRuleFile>()),
        Kind::Playbook => ("A playbook of quell", of::<RawPlaybook>()),
        Kind::Config => ("quell.yml", of::<RawConfig>()),
        Kind::Test => ("Tests of rules of quell", of::<RawTestFile>()),
    };
    schema.insert("title".into(), title.into());
    let mut value = schema.to_value();
    rename_definitions(&mut value);
    value
}

/// The same as text, indented, with a line break at its end.
pub fn text(kind: Kind) -> String {
    format!("{:#}\n", schema(kind))
}

fn of<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft07().with(|settings| settings.transforms.clear());
    settings.with_transform(finish).into_generator().into_root_schema_for::<T>()
}

/// What is true of every schema of these files, and would otherwise stand at each type.
fn finish(schema: &mut Schema) {
    transform_subschemas(&mut finish, schema);
    without_null(schema);
    unions::simplify(schema);
    // A number where text is wanted is text as it was written: a port, a version such as 1.10.
    if is_text(schema) {
        schema.insert("type".into(), json!(["string", "number"]));
    }
    if schema.get("properties").is_some() {
        schema.insert("additionalProperties".into(), false.into());
    }
    // `uint32` and the like say nothing to a validator
    schema.remove("format");
    let default = schema.get("default").map(|it| it.as_str().map_or(it.to_string(), str::to_owned));
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = paragraphs(description);
        // editors show the description and not the default
        if let Some(default) = default {
            *description = format!("{description} Default: `{default}`.");
        }
    }
}

/// A key that may be left out is left out: nothing after its colon is not a value.
fn without_null(schema: &mut Schema) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|it| it != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            schema.insert("type".into(), one);
        }
    }
    if let Some(Value::Array(options)) = schema.get_mut("anyOf") {
        options.retain(|it| it.get("type").is_none_or(|it| it != "null"));
        if let [one] = options.as_mut_slice() {
            let one = one.take();
            schema.remove("anyOf");
            for (key, value) in one.as_object().cloned().unwrap_or_default() {
                schema.ensure_object().entry(key).or_insert(value);
            }
        }
    }
}

/// The line breaks of a comment in source text are not those of its text.
fn paragraphs(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// Types are named for messages (`` `limits` of a rule ``); references name them in a URL.
fn rename_definitions(root: &mut Value) {
    let Some(Value::Object(definitions)) = root.get_mut("definitions").map(Value::take) else {
        return;
    };
    let mut names = BTreeMap::new();
    let mut renamed = Map::new();
    for (name, definition) in definitions {
        let short = slug(&name);
        names.insert(name, short.clone());
        renamed.insert(short, definition);
    }
    if let Some(root) = root.as_object_mut() {
        root.insert("definitions".into(), renamed.into());
    }
    refer(root, &names);
}

fn slug(name: &str) -> String {
    let name = name.trim_start_matches("a ").trim_start_matches("an ").trim_start_matches("Raw");
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

/// Renames what references name.
fn refer(value: &mut Value, names: &BTreeMap<String, String>) {
    match value {
        Value::Object(entries) => {
            if let Some(Value::String(reference)) = entries.get_mut("$ref") {
                let name = decoded(reference.strip_prefix(DEFINITIONS).unwrap_or_default());
                let short = names.get(&name);
                if let Some(short) = short {
                    *reference = format!("{DEFINITIONS}{short}");
                }
            }
            entries.values_mut().for_each(|value| refer(value, names));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| refer(item, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `a%20rule` → `a rule`
fn decoded(name: &str) -> String {
    let mut parts = name.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        text.extend(u8::from_str_radix(code, 16).map(char::from));
        text.push_str(rest);
    }
    text
}

const DEFINITIONS: &str = "#/definitions/";
