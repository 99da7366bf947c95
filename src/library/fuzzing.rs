//! Opens the reading of files to `fuzz/`; compiled for it alone.

use std::path::Path;

use super::Loaded;
use super::diagnostic::Sink;
use super::files::Reader;
use super::finish;

/// Reads files from memory, by name and text. What they name on the disk is not looked at.
pub fn read(files: &[(&str, &str)], env: &dyn Fn(&str) -> Option<String>) -> Loaded {
    let sink = Sink::default();
    let mut reader = Reader::new(&sink, env);
    for (name, text) in files {
        reader.from_memory(Path::new(name), text);
    }
    finish(reader, false)
}
