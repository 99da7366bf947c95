//! The files people write: read strictly, checked whole, held as one immutable set.
//!
//! ```text
//! files      which files, and what each is
//! yaml       text → tree with places
//! decode     tree → raw types, every error recorded; field is what they are made of
//! raw        the files as written
//! build      raw types → model, each value checked
//! link       what spans files
//! lint       what is allowed and most likely not meant
//! outside    Prometheus's and Alertmanager's files, held against the rules
//! watch      whether they changed
//! schema     raw types → JSON Schemas, for editors
//! diagnostic, report, codes, suggest    how errors look
//! ```
//!
//! All errors of all files are found at once; with one error there is no [`Library`].

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use sha2::Digest;
use sha2::Sha256;

use self::diagnostic::Sink;
use self::files::Reader;
use self::scenario::Scenario;
use crate::decide::explain::Files as InForce;
use crate::decide::matching::Index;
use crate::model::config::Config;
use crate::model::playbook::Mode;
use crate::model::playbook::Playbook;
use crate::model::rule::Check;
use crate::model::rule::Rule;
use crate::model::rule::Schedule;
use crate::model::rule::Set;
use crate::model::trust;

mod build;
mod candidates;
pub mod codes;
mod decode;
pub mod diagnostic;
mod field;
mod files;
#[cfg(fuzzing)]
pub mod fuzzing;
mod later;
mod link;
mod lint;
mod outside;
mod promql;
mod raw;
pub mod report;
pub mod scenario;
pub mod schema;
mod suggest;
pub mod watch;
mod yaml;

pub use self::diagnostic::Counts;
pub use self::diagnostic::Diagnostic;
pub use self::diagnostic::Severity;
pub use self::diagnostic::Sources;
pub use self::diagnostic::Span;
pub use self::diagnostic::render_diagnostics;
pub use self::diagnostic::summary;
pub use self::outside::Outside;

/// Settings, rules, checks and playbooks that fit together. Never changed: a reload makes another one.
#[derive(Debug, Default)]
pub struct Library {
    /// quell.yml, or the defaults without one.
    pub config: Config,
    /// Rules in the order of their files and in them.
    pub rules: Arc<Index>,
    /// Checks in the same order.
    pub checks: Vec<Arc<Check>>,
    /// Schedules in the same order.
    pub schedules: Vec<Arc<Schedule>>,
    /// Playbooks by name.
    pub playbooks: BTreeMap<String, Arc<Playbook>>,
    /// SHA-256 over all files read, in hex. Values behind `${env:…}` and `${file:…}` do not count.
    pub digest: String,
    /// All files read, sorted.
    pub files: Vec<String>,
    /// Files and folders they were found in, for [`watch`].
    pub roots: Vec<PathBuf>,
}

impl Library {
    /// What decisions need of it.
    pub fn in_force(&self) -> InForce<'_> {
        InForce {
            config: &self.config,
            windows: &self.config.windows,
            trust: &trust::NONE,
            rules: &self.rules,
            playbooks: &self.playbooks,
            schedules: &self.schedules,
        }
    }

    /// Everything that makes runs: the rules, and the rule that stands behind each schedule.
    pub fn all_rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.rules.rules().iter().chain(self.schedules.iter().map(|it| &it.rule))
    }
}

/// What reading came to.
pub struct Loaded {
    /// The library; `None` when anything is an error.
    pub library: Option<Library>,
    /// The tests of rules among the files, when they were asked for and there is a library.
    pub scenarios: Vec<Scenario>,
    /// Everything found, by file and place.
    pub diagnostics: Vec<Diagnostic>,
    /// What was read.
    pub counts: Counts,
    /// As of the library, also of files with errors.
    pub digest: String,
    /// As of the library, also of files with errors.
    pub roots: Vec<PathBuf>,
    /// The text of the files, for [`render_diagnostics`]; credentials are masked.
    pub sources: Sources,
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("library", &self.library)
            .field("diagnostics", &self.diagnostics)
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

impl Loaded {
    /// How many diagnostics are this bad.
    pub fn of(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|it| it.severity == severity).count()
    }

    /// All diagnostics as people see them, with the line that sums up.
    pub fn render(&self, colour: bool) -> String {
        let mut text = render_diagnostics(&self.diagnostics, &self.sources, colour);
        text.push_str(&summary(self.counts, &self.diagnostics));
        text.push('\n');
        text
    }
}

/// Reads quell.yml and the rules and playbooks that it lists (the folders `rules` and `playbooks` beside it when it
/// lists none). Without a file: the defaults, and those folders of the working directory.
/// `env` reads environment variables.
pub fn load(config_file: Option<&Path>, env: &dyn Fn(&str) -> Option<String>) -> Loaded {
    configured(config_file, &Outside::default(), env, false)
}

/// As [`load`], for `quell check`: the tests of rules in those folders are looked at too, and all is held against files of
/// Prometheus and Alertmanager.
pub fn check(
    config_file: Option<&Path>,
    outside: &Outside,
    env: &dyn Fn(&str) -> Option<String>,
) -> Loaded {
    configured(config_file, outside, env, true)
}

fn configured(
    config_file: Option<&Path>,
    outside: &Outside,
    env: &dyn Fn(&str) -> Option<String>,
    tests: bool,
) -> Loaded {
    let sink = Sink::default();
    let mut reader = Reader::new(&sink, env);
    if let Some(path) = config_file {
        reader.config_file(path);
    } else {
        reader.config = Some(Config::default());
        reader.default_folders(Path::new(""));
    }
    reader.outside(outside);
    finish(reader, tests)
}

/// What [`load_tests`] reads.
#[derive(Debug, Clone, Default)]
pub struct Tested {
    /// Settings with the rules and playbooks they list; the mode is theirs.
    pub config: Option<PathBuf>,
    /// Without settings: files and folders of rules and playbooks. The mode is auto.
    pub rules: Vec<PathBuf>,
    /// Only the tests in these files and folders; when empty, those beside the rules and in `tests` beside the settings.
    pub tests: Vec<PathBuf>,
}

/// Reads rules and their tests for `quell test`. No credential is read: what `${…}` stands for is made up.
pub fn load_tests(tested: &Tested) -> Loaded {
    let sink = Sink::default();
    let mut reader = Reader::new(&sink, &|_| None);
    reader.pretends = true;
    let mut beside = PathBuf::new();
    if let Some(path) = &tested.config {
        reader.config_file(path);
        beside = path.parent().map(Path::to_owned).unwrap_or_default();
    } else {
        for path in &tested.rules {
            reader.path(path, None);
        }
    }
    if tested.tests.is_empty() {
        let folder = beside.join("tests");
        if folder.is_dir() {
            reader.tests_in(&folder);
        }
    } else {
        reader.tests.clear();
        for path in &tested.tests {
            if reader.tests_in(path) == 0 {
                let message = format!("{} holds no tests: no file *.test.yml", path.display());
                sink.push(Diagnostic::error(codes::UNREADABLE, message));
            }
        }
    }
    // without settings, servers and global limits are not looked at
    let config = Config { mode: Set::default_of(Mode::Auto), ..Config::default() };
    let mut loaded = finish_with(reader, true, config);
    // what is most likely not meant is for `quell check` to say
    loaded.diagnostics.retain(|it| it.severity == Severity::Error);
    loaded
}

/// Reads files and folders for `quell check`: each file tells by its content whether it is quell.yml, rules or a playbook.
/// Without a quell.yml among them, servers and global limits are not looked at, and the library has default settings:
/// it is for looking at, not for serving.
pub fn check_paths(paths: &[PathBuf], env: &dyn Fn(&str) -> Option<String>) -> Loaded {
    check_paths_against(paths, &Outside::default(), env)
}

/// The same, held against files of Prometheus and Alertmanager.
pub fn check_paths_against(
    paths: &[PathBuf],
    outside: &Outside,
    env: &dyn Fn(&str) -> Option<String>,
) -> Loaded {
    let sink = Sink::default();
    let mut reader = Reader::new(&sink, env);
    for path in paths {
        if reader.path(path, None) == 0 {
            let message = format!("{} holds no .yml file", path.display());
            sink.push(Diagnostic::error(codes::UNREADABLE, message));
        }
    }
    reader.outside(outside);
    finish(reader, true)
}

fn finish(reader: Reader<'_>, tests: bool) -> Loaded {
    finish_with(reader, tests, Config::default())
}

/// Joins what was read; `settings` hold where there is no quell.yml.
fn finish_with(mut reader: Reader<'_>, tests: bool, settings: Config) -> Loaded {
    let sink = reader.sink;
    let config = reader.config.take();
    let linked = link::link(sink, config.as_ref(), std::mem::take(&mut reader.gathered));
    let digests = std::mem::take(&mut reader.digests);
    let digest = digest(&digests);
    let roots = std::mem::take(&mut reader.roots);
    let mut library = (sink.errors() == 0).then(|| Library {
        config: config.unwrap_or(settings),
        rules: Arc::new(Index::new(linked.rules)),
        checks: linked.checks,
        schedules: linked.schedules,
        playbooks: linked.playbooks,
        digest: digest.clone(),
        files: digests.into_keys().collect(),
        roots: roots.clone(),
    });
    let scenarios = match &library {
        Some(library) if tests => reader.scenarios(library),
        Some(_) | None => Vec::new(),
    };
    library = library.filter(|_| sink.errors() == 0);
    let Reader { mut sources, mut counts, secretive, .. } = reader;
    counts.tests = scenarios.len();
    let mut diagnostics = sink.take();
    diagnostics.sort_by(|a, b| (&a.file, a.span).cmp(&(&b.file, b.span)));
    diagnostic::forgive_slips(&mut diagnostics);
    for (file, spans) in sink.take_masked() {
        if secretive.contains(&file) {
            sources.mask(&file, &spans);
        }
    }
    Loaded { library, scenarios, diagnostics, counts, digest, roots, sources }
}

/// One digest over names and contents, in order of name.
fn digest(files: &BTreeMap<String, Vec<u8>>) -> String {
    let mut all = Sha256::new();
    for (name, digest) in files {
        all.update(name.len().to_be_bytes());
        all.update(name.as_bytes());
        all.update(digest);
    }
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
    all.finalize().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

#[cfg(test)]
mod tests;
