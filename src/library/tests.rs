//! Whole files in, what people see out.

use std::fs;
use std::path::Path;

use super::Loaded;
use super::check_paths;
use super::load;

mod actions;
mod bounds;
mod broken;
mod config;
mod examples;
mod hostile;
mod lint;
mod names;
mod outside;
mod schema;
mod shape;
mod steps;
mod times;
mod values;

fn env(name: &str) -> Option<String> {
    match name {
        "SET" => Some("a value that nobody may see".into()),
        "TOKEN" => Some("token-that-nobody-may-see".into()),
        "KEY32" => Some("0123456789abcdef0123456789abcdef".into()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

/// Writes files into a folder of their own.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    folder
}

/// What `quell check` shows for these files, with names relative to their folder.
fn check(files: &[(&str, &str)]) -> String {
    let folder = folder(files);
    shown(&check_paths(&[folder.path().to_owned()], &env), folder.path())
}

fn shown(loaded: &Loaded, folder: &Path) -> String {
    schema::agree(loaded, folder);
    let text = loaded.render(false);
    assert!(!text.contains("nobody"), "a secret is shown:\n{text}");
    text.replace(&format!("{}/", folder.display()), "")
}

/// The same through quell.yml.
fn check_config(files: &[(&str, &str)]) -> String {
    let folder = folder(files);
    shown(&load(Some(&folder.path().join("quell.yml")), &env), folder.path())
}

/// A library out of files without errors.
fn library(files: &[(&str, &str)]) -> super::Library {
    let folder = folder(files);
    let loaded = load(Some(&folder.path().join("quell.yml")), &env);
    let shown = shown(&loaded, folder.path());
    loaded.library.unwrap_or_else(|| panic!("{shown}"))
}

/// One rule around some of its lines.
fn rule(lines: &str) -> String {
    format!("rules:\n  - name: api\n    match: [alertname=\"X\"]\n    target: api\n{lines}")
}

/// One playbook around the lines of its step.
fn step(lines: &str) -> String {
    format!(
        "playbook: fix\nparameters:\n  unit: {{ type: string, required: true }}\nsteps:\n  - name: do it\n{lines}"
    )
}
