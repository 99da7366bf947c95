//! The demo's own folder: quell.yml, rules, playbooks, and the files of Prometheus and Alertmanager.
//!
//! They are ordinary files, there to be read and copied: `quell demo --keep` leaves them in place.

use std::fs::DirBuilder;
use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use crate::clock::random_key;
use crate::error::Error;
use crate::library::schema;
use crate::library::schema::Kind;

/// Restarts the shop; the playbook runs it.
const SCRIPT: &str = "restart-shop";

/// A folder of the demo's own that only its owner may enter; removed when dropped, unless kept.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    kept: bool,
}

/// What the files speak of.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Where quell listens.
    pub quell: SocketAddr,
    /// Where the shop listens.
    pub shop: SocketAddr,
    /// The command that restarts the shop: program and arguments.
    pub restart: Vec<String>,
    /// Who watches the shop.
    pub watched_by: Watcher,
}

/// Who notices that the shop is ill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watcher {
    /// A check of quell, every two seconds.
    Check,
    /// Prometheus with Alertmanager, which are listening here.
    Prometheus {
        /// Prometheus.
        prometheus: SocketAddr,
        /// Alertmanager.
        alertmanager: SocketAddr,
    },
}

/// Where the files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// quell.yml.
    pub config: PathBuf,
    /// prometheus.yml and alertmanager.yml, when they watch.
    pub watcher: Option<(PathBuf, PathBuf)>,
}

impl Folder {
    /// Makes a new folder in the system's folder for temporary files.
    pub fn create() -> Result<Self, Error> {
        let [a, b, c, d, ..] = random_key();
        let name = format!("quell-demo-{:08x}", u32::from_be_bytes([a, b, c, d]));
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path).map_err(|error| {
            Error::new("Q0902", format!("{}: cannot make a folder", path.display())).because(error)
        })?;
        Ok(Self { path, kept: false })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it in place, and says where it is.
    pub fn keep(mut self) -> PathBuf {
        self.kept = true;
        self.path.clone()
    }

    /// Writes all files.
    pub fn write(&self, facts: &Facts) -> Result<Written, Error> {
        let config = self.put("quell.yml", include_str!("files/quell.yml"), facts)?;
        for kind in Kind::ALL {
            self.put(&format!("schemas/{}", kind.file_name()), &schema::text(kind), facts)?;
        }
        // the playbooks are those that quell ships
        let flush = include_str!("../../playbooks/flush-http-cache.yml");
        self.put("playbooks/flush-http-cache.yml", flush, facts)?;
        let restart = include_str!("../../playbooks/restart-by-script.yml");
        self.put("playbooks/restart-by-script.yml", restart, facts)?;
        let script = self.put(SCRIPT, "#!/bin/sh\nexec @restart@\n", facts)?;
        std::fs::set_permissions(&script, Permissions::from_mode(0o700)).map_err(|error| {
            Error::new("Q0902", format!("{}: cannot make it executable", script.display()))
                .because(error)
        })?;
        let watcher = match facts.watched_by {
            Watcher::Check => {
                self.put("rules/shop.yml", include_str!("files/rules-check.yml"), facts)?;
                None
            }
            Watcher::Prometheus { .. } => {
                self.put("rules/shop.yml", include_str!("files/rules-prometheus.yml"), facts)?;
                self.put(
                    "prometheus-rules.yml",
                    include_str!("files/prometheus-rules.yml"),
                    facts,
                )?;
                Some((
                    self.put("prometheus.yml", include_str!("files/prometheus.yml"), facts)?,
                    self.put("alertmanager.yml", include_str!("files/alertmanager.yml"), facts)?,
                ))
            }
        };
        Ok(Written { config, watcher })
    }

    fn put(&self, name: &str, template: &str, facts: &Facts) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        let folder = path.parent().unwrap_or(&self.path);
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&path, fill(template, &self.path, facts)))
            .map_err(|error| {
                Error::new("Q0902", format!("{}: cannot write", path.display())).because(error)
            })?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.kept {
            // nothing depends on it, and there is nobody to tell
            let _left = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Fills in what stands between `@`. Texts that may hold anything become JSON, which is YAML too.
fn fill(template: &str, folder: &Path, facts: &Facts) -> String {
    let quoted = |text: String| serde_json::Value::from(text).to_string();
    let inside = |name: &str| folder.join(name).display().to_string();
    let restart: Vec<_> = facts.restart.iter().map(|word| shell_word(word)).collect();
    let filled = template
        .replace("@quell@", &facts.quell.to_string())
        .replace("@shop@", &facts.shop.to_string())
        .replace("@restart@", &restart.join(" "))
        .replace("@script@", &quoted(literal(&inside(SCRIPT))))
        .replace("@storage@", &quoted(format!("sqlite:{}", inside("quell.db"))))
        .replace("@pause_file@", &quoted(inside("quell.pause")));
    match facts.watched_by {
        Watcher::Check => filled
            .lines()
            .filter(|line| !line.contains("@prometheus@") && !line.contains("@alertmanager@"))
            .flat_map(|line| [line, "\n"])
            .collect(),
        Watcher::Prometheus { prometheus, alertmanager } => filled
            .replace("@prometheus@", &prometheus.to_string())
            .replace("@alertmanager@", &alertmanager.to_string()),
    }
}

/// A word that a shell reads as it is.
fn shell_word(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// A text that reads as itself where templates are read.
fn literal(text: &str) -> String {
    if ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)) {
        format!("{{{{ {} }}}}", serde_json::Value::from(text))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests;
