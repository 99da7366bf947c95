//! What the stand-ins of all runbooks share: the record of what was done to them, and the page of their metrics.

use std::fmt::Write as _;
use std::fs;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use crate::rigs::site::PATIENCE;
use crate::support::wait;

/// What was done to a rig, in order: short lines such as `POST /admin/drain`. Copies share one record, which is a file, so that
/// a script can add to it (`>>`).
#[derive(Debug, Clone)]
pub(crate) struct Effects {
    file: PathBuf,
    _folder: Arc<TempDir>,
}

impl Effects {
    /// None so far.
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        Self { file: folder.path().join("effects"), _folder: Arc::new(folder) }
    }

    /// Where a script adds a line.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// One more.
    pub(crate) fn note(&self, effect: &str) {
        let mut file = File::options().create(true).append(true).open(&self.file).unwrap();
        // one write, so that two at a time are two lines
        file.write_all(format!("{effect}\n").as_bytes()).unwrap();
    }

    /// All so far.
    pub(crate) fn all(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until `effect` was done, and gives back all so far.
    pub(crate) async fn until(&self, effect: &str) -> Vec<String> {
        wait::until(&format!("the rig sees {effect}"), PATIENCE, async || {
            let all = self.all();
            if all.iter().any(|it| it == effect) { Ok(all) } else { Err(all) }
        })
        .await
    }
}

/// A metrics page of `(series, value)`, in the text format.
pub(crate) fn page(samples: &[(&str, f64)]) -> String {
    let mut text = String::new();
    for (series, value) in samples {
        writeln!(text, "{series} {value}").unwrap();
    }
    text
}
