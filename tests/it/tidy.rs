//! Keeps the layer diagram of `src/lib.rs` true: one row a module, what it may import.

use std::{collections::BTreeSet, fs, path::Path};

const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("decide", &["model"]),
    ("clock", &[]),
    ("crash", &[]),
    ("error", &[]),
    ("telemetry", &[]),
    ("exec", &["clock"]),
    ("net", &[]),
    ("wake", &[]),
    ("library", &["model", "decide", "error"]),
    ("store", &["model", "decide", "clock", "crash", "error"]),
    ("act", &["model", "exec", "net"]),
    ("probe", &["model", "decide", "exec", "net"]),
    ("notify", &["model", "net"]),
    ("webhook", &["model"]),
    ("history", &["model", "net", "webhook"]),
    (
        "engine",
        &[
            "model",
            "decide",
            "library",
            "store",
            "act",
            "probe",
            "notify",
            "clock",
            "error",
            "telemetry",
            "wake",
        ],
    ),
    ("rehearse", &["model", "decide", "library", "error"]),
    (
        "api",
        &["model", "decide", "library", "store", "clock", "error", "telemetry", "wake", "webhook"],
    ),
    (
        "app",
        &[
            "model",
            "decide",
            "library",
            "store",
            "act",
            "probe",
            "notify",
            "engine",
            "api",
            "clock",
            "error",
            "telemetry",
            "net",
            "wake",
        ],
    ),
    ("demo", &["app", "model", "exec", "net", "clock", "error", "store", "library"]),
    (
        "cli",
        &[
            "app",
            "demo",
            "library",
            "rehearse",
            "decide",
            "model",
            "store",
            "clock",
            "error",
            "exec",
            "net",
            "telemetry",
            "history",
            "webhook",
        ],
    ),
    ("main", &["cli", "error"]),
];

#[test]
fn modules_import_only_lower_layers() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    let mut wrong = Vec::new();
    visit(root, &mut |file| {
        let first = file.strip_prefix(root).unwrap().components().next().unwrap();
        let module = first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
        // tests may use what stands above them, beside the code as in files of their own
        let inside = file.strip_prefix(root).unwrap();
        let is_test = inside
            .components()
            .any(|it| ["tests", "tests.rs", "testing.rs"].iter().any(|of| it.as_os_str() == *of));
        if module == "lib" || is_test {
            return;
        }
        let text = fs::read_to_string(file).unwrap();
        let production = text.split("#[cfg(test)]").next().unwrap_or_default();
        if production.contains("crate::{") {
            wrong.push(format!("{}: write one `use crate::module::…` a line", file.display()));
        }
        let (_, allowed) = MAY_IMPORT.iter().find(|(it, _)| *it == module).expect("add a row");
        let used: BTreeSet<&str> = production
            .split("crate::")
            .skip(1)
            .map(|it| {
                it.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
            })
            .collect();
        for used in used.into_iter().filter(|it| *it != module && !it.is_empty()) {
            if !allowed.contains(&used) {
                wrong.push(format!("{}: {module} may not import {used}", file.display()));
            }
        }
    });
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn visit(dir: &Path, check: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, check);
        } else {
            check(&path);
        }
    }
}
