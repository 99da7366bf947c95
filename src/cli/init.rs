//! `quell init`: a commented starter set that works as it is.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;

use crate::cli::output;
use crate::error::Error;
use crate::library::schema;
use crate::library::schema::Kind;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The folder; it is made when it is not there. A file of it that exists already is never overwritten.
    dir: PathBuf,
}

/// Ordinary files, checked by the tests like any other. The playbook is one of those that quell ships.
const FILES: [(&str, &str); 6] = [
    ("README.md", include_str!("init/README.md")),
    ("quell.yml", include_str!("init/quell.yml")),
    ("rules/example.yml", include_str!("init/rules.yml")),
    ("rules/example.test.yml", include_str!("init/rules.test.yml")),
    ("playbooks/restart.yml", include_str!("../../playbooks/restart.yml")),
    ("alertmanager.example.yml", include_str!("init/alertmanager.example.yml")),
];

pub(super) fn run(options: &Options) -> Result<(), Error> {
    let dir = options.dir.as_path();
    if dir.exists() && !dir.is_dir() {
        let message = format!("{} is a file, and a folder is needed", dir.display());
        return Err(Error::new("Q0801", message).hint("name a folder: quell init my-rules"));
    }
    let mut files: Vec<(PathBuf, String)> =
        FILES.iter().map(|(name, text)| (dir.join(name), (*text).to_owned())).collect();
    let schemas = dir.join("schemas");
    files.extend(Kind::ALL.map(|kind| (schemas.join(kind.file_name()), schema::text(kind))));

    // also what leads nowhere: to write through a dangling link would make a file somewhere else
    let there = |path: &Path| path.symlink_metadata().is_ok();
    let folders = ["rules", "playbooks", "schemas"].map(|name| dir.join(name));
    let no_folders = folders.iter().filter(|path| there(path) && !path.is_dir());
    let existing: Vec<&PathBuf> =
        files.iter().map(|(path, _)| path).filter(|path| there(path)).chain(no_folders).collect();
    if !existing.is_empty() {
        for path in &existing {
            output::line(&path.display().to_string());
        }
        let message = "what it would write exists already, so nothing was written";
        return Err(Error::problems("Q0802", message)
            .hint("name a new folder, or move these files out of the way"));
    }
    for (path, text) in &files {
        write_new(path, text)?;
        output::line(&format!("wrote {}", path.display()));
    }
    let dir =
        if dir.as_os_str() == "." { String::new() } else { format!("cd {} && ", dir.display()) };
    output::line(&format!(
        "\nNext:  {dir}quell check --strict\n       \
         quell test\n       \
         quell explain --label alertname=InstanceDown --label job=shop"
    ));
    Ok(())
}

/// Writes a file that must not exist: one that appeared meanwhile is somebody's.
fn write_new(path: &Path, text: &str) -> Result<(), Error> {
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| {
        OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
    });
    written.map_err(|error| {
        Error::new("Q0803", format!("could not write {}", path.display())).because(error)
    })
}
