//! The pages are executable: what a page calls wrong gives its code and the text it shows, what it calls right gives
//! nothing. `QUELL_BLESS=1` writes the text anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use super::*;
use crate::library::Loaded;
use crate::library::Outside;
use crate::library::check as checked;
use crate::library::check_paths_against;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A file of an example.
#[derive(Debug)]
struct File {
    name: String,
    bytes: Vec<u8>,
}

/// The part of a page under a heading.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("\n## {heading}\n")).unwrap_or_default();
    rest.split("\n## ").next().unwrap_or_default()
}

/// Fenced blocks whose first line names a file: `yaml rules/api.yml`.
fn files(section: &str) -> Vec<File> {
    let mut files = Vec::new();
    for block in section.split("\n```").skip(1).step_by(2) {
        let (info, text) = block.split_once('\n').expect("a block");
        let mut words = info.split_whitespace().skip(1);
        let Some(name) = words.next() else { continue };
        let text = format!("{text}\n");
        let bytes = match words.next() {
            Some("latin1") => {
                text.chars().map(|c| u8::try_from(u32::from(c)).expect("Latin-1")).collect()
            }
            _ => text.into_bytes(),
        };
        files.push(File { name: name.to_owned(), bytes });
    }
    files
}

fn load(files: &[File]) -> (Loaded, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut paths, mut outside) = (Vec::new(), Outside::default());
    for file in files {
        let path = folder.path().join(&file.name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(&path, &file.bytes).expect("a file");
        match file.name.as_str() {
            "alertmanager.yml" => outside.alertmanager = Some(path),
            name if name.starts_with("prometheus") => outside.prometheus_rules.push(path),
            _ => paths.push(path),
        }
    }
    let config: Option<PathBuf> =
        paths.iter().find(|it| it.file_name().is_some_and(|name| name == "quell.yml")).cloned();
    let env = |_: &str| None;
    let loaded = match config {
        Some(config) => checked(Some(&config), &outside, &env),
        None => check_paths_against(&paths, &outside, &env),
    };
    (loaded, folder)
}

/// What quell says, as the page shows it.
fn said(loaded: &Loaded, folder: &Path) -> String {
    let text = loaded.render(false).replace(&format!("{}/", folder.display()), "");
    text.trim_end().to_owned()
}

#[test]
fn the_pages_examples_give_what_they_say() {
    let bless = std::env::var_os("QUELL_BLESS").is_some();
    let mut wrong = Vec::new();
    for row in CODES.iter().filter(|row| OF_FILES.contains(&row.code)) {
        let bad = files(section(row.page, "Wrong"));
        let good = files(section(row.page, "Right"));
        assert!(!bad.is_empty() && !good.is_empty(), "{}: no examples", row.code);

        let (loaded, folder) = load(&bad);
        let text = said(&loaded, folder.path());
        if !loaded.diagnostics.iter().any(|it| it.code == row.code) {
            wrong.push(format!("{}: the wrong example does not give it:\n{text}", row.code));
        }
        let shown = row.page.split_once("\nquell says:\n\n```text\n");
        let shown = shown.and_then(|(_, rest)| rest.split_once("\n```")).map(|(text, _)| text);
        if shown != Some(text.as_str()) {
            if bless {
                let page = row.page.replace(shown.unwrap_or_default(), &text);
                let path = format!("{ROOT}/docs/errors/{}.md", row.code);
                fs::write(path, page).expect("the page");
            } else {
                wrong.push(format!("{}: the page shows another text; now:\n{text}", row.code));
            }
        }

        let (loaded, folder) = load(&good);
        if loaded.diagnostics.iter().any(|it| !it.code.is_empty()) {
            let text = said(&loaded, folder.path());
            wrong.push(format!("{}: the right example is not right:\n{text}", row.code));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
}

#[test]
fn every_page_is_titled_and_says_something() {
    for row in CODES {
        let line = row.page.lines().next().unwrap_or_default();
        assert!(line.starts_with(&format!("# {}: ", row.code)), "{}: {line}", row.code);
        let title = row.title();
        assert!(!title.is_empty() && !title.ends_with('.'), "{}: {title}", row.code);
        assert!(row.page.trim_end().lines().count() > 2, "{}", row.code);
        let longest = row.page.lines().map(|it| it.chars().count()).max();
        assert!(longest <= Some(150), "{}: a line of {longest:?} characters", row.code);
    }
    let distinct: BTreeSet<&str> = CODES.iter().map(|row| row.code).collect();
    assert_eq!(distinct.len(), CODES.len());
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let pages: BTreeSet<String> = fs::read_dir(format!("{ROOT}/docs/errors"))
        .expect("docs/errors")
        .map(|it| it.expect("an entry").file_name().to_string_lossy().replace(".md", ""))
        .collect();
    let table: BTreeSet<String> = CODES.iter().map(|row| row.code.to_owned()).collect();
    assert_eq!(pages, table);
    let mut unknown = BTreeSet::new();
    visit(&Path::new(ROOT).join("src"), &mut |path| {
        let text = fs::read_to_string(path).expect("a file");
        let production = text.split("#[cfg(test)]").next().unwrap_or_default();
        for literal in production.split('"') {
            let digits = literal.strip_prefix('Q').unwrap_or_default();
            let is_code = digits.len() == 4 && digits.bytes().all(|it| it.is_ascii_digit());
            if is_code && !table.contains(literal) {
                unknown.insert(literal.to_owned());
            }
        }
    });
    assert!(unknown.is_empty(), "codes without a page in docs/errors: {unknown:?}");
}

fn visit(folder: &Path, found: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            visit(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs")
            && path.file_name().is_some_and(|it| it != "tests.rs")
        {
            found(&path);
        }
    }
}

#[test]
fn codes_are_found_however_they_are_written() {
    for (written, expected) in [
        ("Q0104", Some("Q0104")),
        ("q0104", Some("Q0104")),
        ("104", Some("Q0104")),
        (" Q104 ", Some("Q0104")),
        ("Q9999", None),
        ("cooldown", None),
        ("", None),
        ("99999", None),
    ] {
        assert_eq!(explain(written).map(|it| it.code), expected, "{written}");
    }
    assert!(near("Q0194").contains(&"Q0104"), "{:?}", near("Q0194"));
}
