//! The schemas accept what the loader takes and refuse what it refuses, as far as the shape of a file goes.
//!
//! [`agree`] also runs on every file of every other test of this folder.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;
use serde_json::json;

use super::env;
use crate::library::Loaded;
use crate::library::Tested;
use crate::library::check_paths;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Sink;
use crate::library::files;
use crate::library::load;
use crate::library::load_tests;
use crate::library::schema;
use crate::library::schema::Kind;
use crate::library::yaml;
use crate::library::yaml::Node;

/// What is wrong with the shape of a file; anything else takes the meaning of its values to see.
const SHAPES: [&str; 6] = [
    codes::UNKNOWN_KEY,
    codes::NOT_YET,
    codes::MISSING_KEY,
    codes::WRONG_TYPE,
    codes::UNKNOWN_WORD,
    codes::SHAPE,
];

struct Judge {
    schemas: boon::Schemas,
    of: Vec<(Kind, boon::SchemaIndex)>,
}

static JUDGE: LazyLock<Judge> = LazyLock::new(|| {
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    let compile = |kind: Kind| {
        compiler.add_resource(kind.as_str(), schema::schema(kind)).expect("a new name");
        let index = compiler.compile(kind.as_str(), &mut schemas);
        (kind, index.unwrap_or_else(|error| panic!("{}: {error:#}", kind.as_str())))
    };
    let of = Kind::ALL.map(compile).to_vec();
    Judge { schemas, of }
});

/// Why a document does not fit its schema.
fn refusal(kind: Kind, document: &Value) -> Option<String> {
    let (_, index) = JUDGE.of.iter().find(|(it, _)| *it == kind).expect("a schema");
    JUDGE.schemas.validate(document, *index).err().map(|error| format!("{error:#}"))
}

/// A document as an editor reads it.
fn json(node: &Node) -> Value {
    match &node.value {
        yaml::Value::Null => Value::Null,
        yaml::Value::Bool(it) => (*it).into(),
        yaml::Value::Int(it) => (*it).into(),
        yaml::Value::Float(it) => (*it).into(),
        yaml::Value::Text => node.text.clone().into(),
        yaml::Value::List(items) => items.iter().map(|item| json(item)).collect(),
        yaml::Value::Map(entries) => {
            entries.iter().map(|(key, value)| (key.text.clone(), json(value))).collect()
        }
    }
}

/// The documents of a file and what they are; none when it is not YAML.
fn documents(path: &Path) -> Vec<(Kind, Value)> {
    let Ok(text) = fs::read_to_string(path) else { return Vec::new() };
    let sink = Sink::default();
    let nodes = yaml::parse(&text, At { file: "", text: &text, sink: &sink });
    if !sink.take().is_empty() {
        return Vec::new();
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let known = match name.as_ref() {
        "quell.yml" => Some(Kind::Config),
        name if name.ends_with(".test.yml") => Some(Kind::Test),
        _ => None,
    };
    let documents = nodes.iter().flatten().filter_map(|node| {
        let kind = known.or_else(|| files::kind(node));
        Some((kind?, json(node)))
    });
    documents.collect()
}

/// A key with nothing after its colon is no key: the loader takes an empty mapping or list for it.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            let entries = entries.iter().filter(|(_, value)| !value.is_null());
            entries.map(|(key, value)| (key.clone(), without_nulls(value))).collect()
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

/// Panics when schema and loader see a file differently.
fn compare(loaded: &Loaded, path: &Path) {
    let documents = documents(path);
    if documents.is_empty() || documents.len() > 1 && documents[0].0 != Kind::Playbook {
        return;
    }
    let name = path.display().to_string();
    let of_file = || loaded.diagnostics.iter().filter(|it| it.file == name);
    // what goes together in an event is said in other words there
    let lax = |code: &str| documents[0].0 == Kind::Test && code == codes::SHAPE;
    let shape = of_file().find(|it| SHAPES.contains(&it.code) && !lax(it.code));
    let refusals = || documents.iter().find_map(|(kind, document)| refusal(*kind, document));
    if let Some(shape) = shape {
        assert!(refusals().is_some(), "the schema accepts {name}, the loader does not: {shape:?}");
    } else if of_file().all(|it| it.severity != crate::library::Severity::Error) {
        for (kind, document) in &documents {
            let refused = refusal(*kind, &without_nulls(document));
            assert_eq!(refused, None, "the loader accepts {name}, the schema does not");
        }
    }
}

/// Compares schema and loader on the files of a folder.
pub(super) fn agree(loaded: &Loaded, folder: &Path) {
    let is_test = |path: &PathBuf| path.to_string_lossy().ends_with(".test.yml");
    for path in files_in(folder).into_iter().filter(|path| !is_test(path)) {
        compare(loaded, &path);
    }
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(files_in(&path));
        } else if path.extension().is_some_and(|it| it == "yml") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files with every key.
fn everything() -> Vec<PathBuf> {
    files_in(&root().join("src/library/tests/everything"))
}

#[test]
fn every_shipped_file_fits_its_schema() {
    let mut seen = BTreeSet::new();
    let mut files = everything();
    files.push(root().join("quell.example.yml"));
    for folder in ["rules", "playbooks", "src/cli/init", "tests/it/journeys/playbooks"] {
        files.extend(files_in(&root().join(folder)));
    }
    for path in files {
        for (kind, document) in documents(&path) {
            assert_eq!(refusal(kind, &document), None, "{}", path.display());
            seen.insert(kind.as_str());
        }
    }
    assert_eq!(seen.len(), Kind::ALL.len(), "{seen:?}");
}

#[test]
fn the_schemas_of_the_repository_are_those_of_this_version() {
    for kind in Kind::ALL {
        let path = root().join("schemas").join(kind.file_name());
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == schema::text(kind),
            "{} is not up to date: cargo run -- schema --out schemas",
            path.display()
        );
    }
}

#[test]
fn shipped_files_name_their_schema() {
    let mut files = vec![root().join("quell.example.yml")];
    for folder in ["rules", "playbooks", "src/library/tests/everything"] {
        files.extend(files_in(&root().join(folder)));
    }
    for path in files {
        let text = fs::read_to_string(&path).expect("a file");
        let line = text.lines().next().unwrap_or_default();
        let named = line.strip_prefix("# yaml-language-server: $schema=");
        let named = named.unwrap_or_else(|| panic!("{}: {line}", path.display()));
        let there = path.parent().expect("a folder").join(named).canonicalize();
        let (kind, _) = documents(&path)[0];
        let expected = root().join("schemas").join(kind.file_name());
        assert_eq!(there.ok(), expected.canonicalize().ok(), "{}", path.display());
    }
}

/// A place in a document, and the schema of the mapping there.
type Place = (String, Value);

/// The mappings of a document for which the schema has keys.
fn mappings(root: &Value, schema: &Value, value: &Value, pointer: &str, out: &mut Vec<Place>) {
    let schema = follow(root, schema);
    for variant in schema["oneOf"].as_array().into_iter().flatten() {
        let keys = variant["properties"].as_object().into_iter().flatten();
        if keys.map(|(key, _)| key).any(|key| value.get(key).is_some()) {
            mappings(root, variant, value, pointer, out);
        }
    }
    if let (Some(properties), Some(entries)) = (schema["properties"].as_object(), value.as_object())
    {
        out.push((pointer.to_owned(), schema.clone()));
        for (key, value) in entries {
            mappings(root, &properties[key], value, &format!("{pointer}/{}", escaped(key)), out);
        }
    } else if let Some(entries) = value.as_object() {
        for (key, value) in entries {
            let pointer = format!("{pointer}/{}", escaped(key));
            mappings(root, &schema["additionalProperties"], value, &pointer, out);
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        mappings(root, &schema["items"], item, &format!("{pointer}/{index}"), out);
    }
}

fn follow<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => {
            let found = root.pointer(reference.trim_start_matches('#'));
            follow(root, found.unwrap_or_else(|| panic!("{reference} leads nowhere")))
        }
        None => schema,
    }
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn pointers(value: &Value, pointer: &str, out: &mut Vec<String>) {
    out.push(pointer.to_owned());
    for (key, value) in value.as_object().into_iter().flatten() {
        pointers(value, &format!("{pointer}/{}", escaped(key)), out);
    }
    for (index, value) in value.as_array().into_iter().flatten().enumerate() {
        pointers(value, &format!("{pointer}/{index}"), out);
    }
}

/// The document in a file of its own, alone.
fn checked(folder: &Path, kind: Kind, document: &Value) -> (Loaded, PathBuf) {
    let name = match kind {
        Kind::Config => "quell.yml",
        Kind::Test => "a.test.yml",
        Kind::Rules | Kind::Playbook => "a.yml",
    };
    let path = folder.join(name);
    // JSON is YAML, all on one line
    fs::write(&path, document.to_string()).expect("a file");
    if kind == Kind::Test {
        let rules = folder.join("rules.yml");
        fs::write(&rules, super::rule("")).expect("a file");
        let (config, tests) = (None, vec![path.clone()]);
        return (load_tests(&Tested { config, rules: vec![rules], tests }), path);
    }
    let loaded = check_paths(std::slice::from_ref(&path), &env);
    (loaded, path)
}

/// Breaks every value of the document with every key, in every way: schema and loader see it alike.
fn break_everything(of: Kind) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut count = 0;
    let documents = everything().into_iter().flat_map(|path| documents(&path));
    for (kind, document) in documents.filter(|(kind, _)| *kind == of) {
        let mut all = Vec::new();
        pointers(&document, "", &mut all);
        for pointer in &all {
            let (document, pointer) = alone(&document, pointer);
            for broken in broken(&document, &pointer) {
                let (loaded, path) = checked(folder.path(), kind, &broken);
                compare(&loaded, &path);
                count += 1;
            }
        }
    }
    assert!(count > 300, "{count}");
}

#[test]
fn schema_and_loader_refuse_the_same_shapes_of_rules() {
    break_everything(Kind::Rules);
}

#[test]
fn schema_and_loader_refuse_the_same_shapes_of_playbooks() {
    break_everything(Kind::Playbook);
}

#[test]
fn schema_and_loader_refuse_the_same_shapes_of_settings() {
    break_everything(Kind::Config);
}

#[test]
fn schema_and_loader_refuse_the_same_shapes_of_tests() {
    break_everything(Kind::Test);
}

/// The document without the items of its lists that are beside the place.
fn alone(document: &Value, pointer: &str) -> (Value, String) {
    let mut document = document.clone();
    let mut parts = pointer.splitn(4, '/').skip(1);
    let (Some(list), Some(Ok(index))) = (parts.next(), parts.next().map(str::parse::<usize>))
    else {
        return (document, pointer.to_owned());
    };
    let rest = parts.next().map(|rest| format!("/{rest}")).unwrap_or_default();
    let kept = document[list][index].take();
    document[list] = json!([kept]);
    if ["rules", "checks", "schedules"].contains(&list) {
        document = json!({ list: document[list] });
    }
    (document, format!("/{list}/0{rest}"))
}

/// The document with other values in one place, or without it.
fn broken(document: &Value, pointer: &str) -> Vec<Value> {
    let others = [json!("x"), json!(7), json!(["x"]), json!({ "x": 1 })];
    let mut all: Vec<Value> = Vec::new();
    for other in others {
        let mut copy = document.clone();
        *copy.pointer_mut(pointer).expect("a place") = other;
        all.push(copy);
    }
    if let Some((owner, key)) = pointer.rsplit_once('/') {
        let mut copy = document.clone();
        match copy.pointer_mut(owner).expect("a place") {
            Value::Object(entries) => drop(entries.remove(&key.replace("~1", "/"))),
            Value::Array(items) => drop(items.remove(key.parse().expect("an index"))),
            _ => unreachable!("a scalar has no parts"),
        }
        all.push(copy);
    }
    all
}

/// The loader lists the keys of a place when one is unknown; the schema has the same.
#[test]
fn every_key_that_the_loader_knows_is_in_the_schema_and_in_the_files_with_every_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in everything() {
        for (kind, document) in documents(&path) {
            let root = schema::schema(kind);
            let mut places = Vec::new();
            mappings(&root, &root, &document, "", &mut places);
            for (pointer, schema) in places {
                let mut copy = document.clone();
                let place =
                    copy.pointer_mut(&pointer).and_then(Value::as_object_mut).expect("a mapping");
                let written: Vec<String> = place.keys().cloned().collect();
                place.insert("nonsense".into(), Value::Null);
                let (loaded, _) = checked(folder.path(), kind, &copy);
                let found = loaded.diagnostics.iter().find(|it| it.message.contains("nonsense"));
                let note =
                    found.and_then(|it| it.notes.iter().find(|note| note.contains(" takes: ")));
                // where a word or a mapping of one key may stand, the loader lists words instead
                let Some((name, keys)) = note.and_then(|note| note.split_once(" takes: ")) else {
                    assert!(found.is_none() || schema["required"].is_array(), "{pointer}");
                    continue;
                };
                let keys: BTreeSet<String> = keys.split(", ").map(str::to_owned).collect();
                let described = schema["properties"].as_object().expect("properties");
                assert_eq!(keys, described.keys().cloned().collect(), "{name} at {pointer}");
                for (key, property) in described {
                    let property_text = follow(&root, property);
                    let description =
                        property.get("description").or(property_text.get("description"));
                    assert!(description.is_some(), "`{key}` of {name} has no doc comment");
                }
                used.entry(name.to_owned()).or_default().extend(written);
                known.insert(name.to_owned(), keys);
            }
        }
    }
    for (name, keys) in &known {
        let missing: Vec<&String> = keys.difference(&used[name]).collect();
        assert!(
            missing.is_empty(),
            "{name}: write {missing:?} into a file of src/library/tests/everything"
        );
    }
    assert!(known.len() > 25, "{:?}", known.keys());
}

/// What the schema calls a default is what the loader takes when the key is not there.
#[test]
fn defaults_are_those_of_the_loader() {
    let places = Regex::new(r"Place \{[^}]*\}").expect("a pattern");
    let mut count = 0;
    let files: Vec<(PathBuf, Kind, Value)> = everything()
        .into_iter()
        .flat_map(|path| {
            documents(&path).into_iter().map(move |(kind, it)| (path.clone(), kind, it))
        })
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let loads = |changed: &Path, changed_to: &Value| {
        let base = root().join("src/library/tests/everything");
        for (path, _, document) in &files {
            let here = folder.path().join(path.strip_prefix(&base).expect("a file of it"));
            fs::create_dir_all(here.parent().expect("a folder")).expect("a folder");
            let document = if path == changed { changed_to } else { document };
            fs::write(here, document.to_string()).expect("a file");
        }
        let loaded = load(Some(&folder.path().join("quell.yml")), &env);
        let shown = loaded.render(false);
        let all = match loaded.library {
            Some(it) => {
                format!("{:?}", (it.config, it.rules.rules(), it.checks, it.playbooks))
            }
            None => shown.lines().filter(|line| line.starts_with("error")).collect(),
        };
        places.replace_all(&all, "").into_owned()
    };
    for (path, kind, document) in &files {
        let root = schema::schema(*kind);
        let mut all = Vec::new();
        mappings(&root, &root, document, "", &mut all);
        for (pointer, schema) in all {
            for (key, property) in schema["properties"].as_object().expect("properties") {
                let written = document.pointer(&pointer).is_some_and(|it| it.get(key).is_some());
                let Some(default) = property.get("default").filter(|_| written) else { continue };
                let change = |value: Option<&Value>| {
                    let mut copy = document.clone();
                    let place = copy.pointer_mut(&pointer).and_then(Value::as_object_mut);
                    let place = place.expect("a mapping");
                    match value {
                        Some(value) => place.insert(key.clone(), value.clone()),
                        None => place.remove(key),
                    };
                    loads(path, &copy)
                };
                assert_eq!(change(None), change(Some(default)), "`{key}` at {pointer}: {default}");
                assert!(!default.is_null());
                count += 1;
            }
        }
    }
    assert!(count > 20, "{count}");
}

#[test]
fn what_comes_later_is_in_no_schema() {
    for kind in Kind::ALL {
        let text = schema::text(kind);
        for key in ["bot_token", "signing_secret"] {
            assert!(!text.contains(key), "{key} in {}", kind.as_str());
        }
    }
}
