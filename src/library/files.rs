//! Finding and reading files, and telling what each is.

mod ahead;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::rc::Rc;

use sha2::Digest;
use sha2::Sha256;

use super::Library;
use super::build;
use super::build::config::Paths;
use super::build::secret;
use super::build::secret::Secrets;
use super::codes;
use super::decode;
use super::diagnostic::At;
use super::diagnostic::Counts;
use super::diagnostic::Diagnostic;
use super::diagnostic::Sink;
use super::diagnostic::Sources;
use super::diagnostic::Span;
use super::field::Field;
use super::link::Gathered;
use super::lint;
use super::raw::config::RawConfig;
use super::raw::playbook::RawPlaybook;
use super::raw::rule::RawRuleFile;
use super::raw::test::RawTestFile;
use super::scenario::Scenario;
use super::schema::Kind;
use super::suggest::did_you_mean;
use super::yaml;
use super::yaml::Node;
use super::yaml::Value;
use crate::model::config::Config;

/// Folders inside folders.
const MAX_DEPTH: usize = 16;

/// Everything read so far.
pub(crate) struct Reader<'a> {
    pub(crate) sink: &'a Sink,
    pub(crate) env: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) sources: Sources,
    pub(crate) counts: Counts,
    pub(crate) gathered: Gathered,
    pub(crate) config: Option<Config>,
    /// Digest of each file by its name.
    pub(crate) digests: BTreeMap<String, Vec<u8>>,
    /// Files and folders that were asked for, in the order in which they were.
    pub(crate) roots: Vec<PathBuf>,
    /// Files whose masked places must not be shown.
    pub(crate) secretive: BTreeSet<String>,
    /// Files of tests that were come across, and are read when the rules are.
    pub(crate) tests: Vec<PathBuf>,
    /// What `${…}` stands for is made up, and no credential is read.
    pub(crate) pretends: bool,
    seen: BTreeSet<PathBuf>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(sink: &'a Sink, env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            sink,
            env,
            sources: Sources::default(),
            counts: Counts::default(),
            gathered: Gathered::default(),
            config: None,
            digests: BTreeMap::new(),
            roots: Vec::new(),
            secretive: BTreeSet::new(),
            tests: Vec::new(),
            pretends: false,
            seen: BTreeSet::new(),
        }
    }

    /// Reads a quell.yml and all files that it leads to.
    pub(crate) fn config_file(&mut self, path: &Path) {
        self.roots.push(path.to_owned());
        if let Some((name, text)) = self.text(path, None) {
            self.config_text(path, &name, &text);
        }
    }

    /// Reads the files in the folders `rules` and `playbooks` of a folder, as far as they exist, and not those in folders below: they
    /// may be for other sites, whose settings name their servers.
    pub(crate) fn default_folders(&mut self, folder: &Path) {
        for name in ["rules", "playbooks"] {
            let path = folder.join(name);
            if path.is_dir() {
                self.files_of(&path, |file| file.parent() == Some(&*path), None);
            } else {
                self.roots.push(path);
            }
        }
    }

    /// Reads a file, or all files of a folder; each tells by its content what it is.
    pub(crate) fn path(&mut self, path: &Path, named_at: Option<(&str, Span)>) -> usize {
        self.files_of(path, |_| true, named_at)
    }

    fn files_of(
        &mut self,
        path: &Path,
        wanted: impl Fn(&Path) -> bool,
        named_at: Option<(&str, Span)>,
    ) -> usize {
        self.roots.push(path.to_owned());
        let mut files = every(path, &mut |path, error| {
            self.unreadable(path, &secret::reason(error), None);
        });
        files.retain(|file| wanted(file));
        let (tests, files): (Vec<_>, Vec<_>) = files.into_iter().partition(|it| is_test(it));
        let count = tests.len() + files.len();
        self.tests.extend(tests);
        self.all(&files, named_at);
        count
    }

    /// Notes the tests of a folder, or one file of them, and nothing else; says how many files there are.
    pub(crate) fn tests_in(&mut self, path: &Path) -> usize {
        let mut files = every(path, &mut |path, error| {
            self.unreadable(path, &secret::reason(error), None);
        });
        if path.is_dir() {
            files.retain(|it| is_test(it));
        }
        let count = files.len();
        for file in files {
            if !self.tests.contains(&file) {
                self.tests.push(file);
            }
        }
        count
    }

    /// Reads the tests that were come across, by a library that holds.
    pub(crate) fn scenarios(&mut self, library: &Library) -> Vec<Scenario> {
        let mut scenarios = Vec::new();
        for path in std::mem::take(&mut self.tests) {
            let Some((name, text)) = self.text(&path, None) else { continue };
            let at = At { file: &name, text: &text, sink: self.sink };
            let Some(documents) = yaml::parse(&text, at) else { continue };
            let documents = filled(&documents);
            let [node] = documents.as_slice() else {
                not_one(at, &documents);
                continue;
            };
            let raw = decode::decode::<RawTestFile>(node, at).found();
            scenarios
                .extend(raw.map(|raw| build::test::tests(at, raw, library)).unwrap_or_default());
        }
        scenarios
    }

    fn unreadable(&self, path: &Path, reason: &str, named_at: Option<(&str, Span)>) {
        let message = format!("cannot read {}: {reason}", path.display());
        let found = Diagnostic::error(codes::UNREADABLE, message);
        let (file, span) = named_at.unwrap_or_default();
        At { file, text: "", sink: self.sink }.report(span, found);
    }

    /// The name and the text of a file that was not read before.
    pub(crate) fn text(
        &mut self,
        path: &Path,
        named_at: Option<(&str, Span)>,
    ) -> Option<(String, String)> {
        let name = path.display().to_string();
        let size = match std::fs::metadata(path) {
            Ok(metadata) => metadata.len(),
            Err(error) => {
                self.unreadable(path, &secret::reason(&error), named_at);
                return None;
            }
        };
        let canonical = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if !self.seen.insert(canonical) {
            return None;
        }
        self.counts.files += 1;
        let at = At { file: &name, text: "", sink: self.sink };
        if size > yaml::MAX_BYTES {
            let message = format!("{name} is larger than {} MiB", yaml::MAX_BYTES >> 20);
            at.whole(Diagnostic::error(codes::TOO_LARGE, message));
            return None;
        }
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.unreadable(path, &secret::reason(&error), named_at);
                return None;
            }
        };
        self.digests.insert(name.clone(), Sha256::digest(&bytes).to_vec());
        match String::from_utf8(bytes) {
            Ok(text) => {
                self.sources.add(&name, &text);
                Some((name, text))
            }
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let before = error.as_bytes().get(..valid).unwrap_or_default();
                let line = before.split(|byte| *byte == b'\n').count();
                let message = format!("{name} is not UTF-8: byte {} on line {line}", valid + 1);
                at.whole(Diagnostic::error(codes::NOT_UTF8, message));
                None
            }
        }
    }

    fn config_text(&mut self, path: &Path, name: &str, text: &str) {
        self.secretive.insert(name.to_owned());
        let at = At { file: name, text, sink: self.sink };
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        let Some(documents) = yaml::parse(text, at) else {
            secret::mask_lines(at);
            return;
        };
        let documents = filled(&documents);
        let [node] = documents.as_slice() else { return not_one(at, &documents) };
        secret::mask(at, node);
        let Some(raw) = decode::decode::<RawConfig>(node, at).found() else { return };
        let secrets = Secrets::new(at, self.env, folder, self.pretends);
        let (mut config, paths) = build::config::config(&secrets, raw, folder);
        secrets.refuse_elsewhere(node);
        lint::windows(at, node, &config.windows);
        lint::audit(at, node, &config);
        // Before the others are read: there is one set of settings.
        self.config = Some(config.clone());
        self.listed(name, folder, paths, &mut config);
        self.config = Some(config);
    }

    /// Reads what `rules:` and `playbooks:` list, or the folders of these names beside quell.yml.
    fn listed(&mut self, name: &str, folder: &Path, paths: Paths, config: &mut Config) {
        if cfg!(fuzzing) {
            return; // a fuzzer would soon list the whole disk
        }
        let mut read = |paths: Option<Vec<(PathBuf, Span)>>, default: &str| {
            let Some(paths) = paths else {
                let path = folder.join(default);
                if !path.is_dir() {
                    // it may come
                    self.roots.push(path);
                    return Vec::new();
                }
                self.path(&path, None);
                return vec![path];
            };
            for (path, span) in &paths {
                if self.path(path, Some((name, *span))) == 0 {
                    let message = format!("{} holds no .yml file", path.display());
                    let found = Diagnostic::warning(codes::NOTHING_READ, message);
                    At { file: name, text: "", sink: self.sink }.report(*span, found);
                }
            }
            paths.into_iter().map(|(path, _)| path).collect()
        };
        config.playbooks = read(paths.playbooks, "playbooks");
        config.rules = read(paths.rules, "rules");
    }

    /// Reads a file that is not on the disk.
    #[cfg(fuzzing)]
    pub(crate) fn from_memory(&mut self, path: &Path, text: &str) {
        let name = path.display().to_string();
        self.counts.files += 1;
        self.sources.add(&name, text);
        self.any_text(path, &name, text);
    }

    fn any_text(&mut self, path: &Path, name: &str, text: &str) {
        if path.file_name().is_some_and(|name| name == "quell.yml") && self.config.is_none() {
            return self.config_text(path, name, text);
        }
        let at = At { file: name, text, sink: self.sink };
        let Some(documents) = yaml::parse(text, at) else { return };
        let documents = filled(&documents);
        let Some(first) = documents.first() else { return not_one(at, &documents) };
        match kind(first) {
            Some(Kind::Playbook) => {
                for node in documents {
                    self.playbook(at, node);
                }
            }
            Some(Kind::Rules) => match documents.as_slice() {
                [node] => self.rules(at, node),
                _ => not_one(at, &documents),
            },
            Some(Kind::Config) if self.config.is_none() => self.config_text(path, name, text),
            Some(Kind::Config) => {
                let message = format!("{name} has settings, and there is one file of settings");
                at.whole(Diagnostic::error(codes::EMPTY, message).note(EXPECTED));
            }
            Some(Kind::Test) | None => unknown(at, first),
        }
    }

    fn playbook(&mut self, at: At<'_>, node: &Node) {
        self.counts.playbooks += 1;
        let raw = decode::decode::<RawPlaybook>(node, at).found();
        let Some(built) = raw.and_then(|raw| build::playbook::playbook(at, raw)) else { return };
        self.gathered.playbook_facts.push(lint::playbook(at, node, &built));
        self.gathered.playbooks.push(built);
    }

    fn rules(&mut self, at: At<'_>, node: &Node) {
        let Some(raw) = decode::decode::<RawRuleFile>(node, at).found() else { return };
        let rules = raw.value.rules.and_then(Field::found).map(|it| it.value).unwrap_or_default();
        self.counts.rules += rules.len();
        for rule in rules.into_iter().filter_map(Field::found) {
            self.gathered.rules.extend(build::rule::rule(at, rule));
        }
        let checks = raw.value.checks.and_then(Field::found).map(|it| it.value).unwrap_or_default();
        self.counts.checks += checks.len();
        for check in checks.into_iter().filter_map(Field::found) {
            self.gathered.checks.extend(build::rule::check(at, check));
        }
        let schedules = raw.value.schedules.and_then(Field::found).map(|it| it.value);
        let schedules = schedules.unwrap_or_default();
        self.counts.schedules += schedules.len();
        for schedule in schedules.into_iter().filter_map(Field::found) {
            self.gathered.schedules.extend(build::schedule::schedule(at, schedule));
        }
        let gathered = &mut self.gathered;
        let rules = gathered.rules.get(gathered.facts.len()..).unwrap_or_default();
        let facts = lint::rules(at, node, rules);
        gathered.facts.extend(facts);
        let checks = gathered.checks.get(gathered.check_facts.len()..).unwrap_or_default();
        let facts = lint::checks(at, node, checks);
        gathered.check_facts.extend(facts);
        let from = gathered.schedule_facts.len();
        let schedules = gathered.schedules.get(from..).unwrap_or_default();
        let facts = lint::schedules(at, node, schedules);
        gathered.schedule_facts.extend(facts);
    }
}

/// The file, or the files of the folder, in the order in which they are read for serving: without tests.
pub(crate) fn listed(path: &Path) -> Vec<PathBuf> {
    let mut files = every(path, &mut |_, _| {});
    files.retain(|it| !is_test(it));
    files
}

/// The same with tests. `trouble` is told of folders that cannot be read.
fn every(path: &Path, trouble: &mut dyn FnMut(&Path, &io::Error)) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let mut files = Vec::new();
    folder(path, 0, &mut files, trouble);
    files.sort();
    // the settings first: they say which of the other files belong to them
    files.sort_by_key(|it| it.file_name().is_none_or(|name| name != "quell.yml"));
    files
}

fn folder(
    path: &Path,
    depth: usize,
    files: &mut Vec<PathBuf>,
    trouble: &mut dyn FnMut(&Path, &io::Error),
) {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return trouble(path, &error),
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        // Editors and Kubernetes keep their own things in names that begin with a dot.
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            if depth < MAX_DEPTH {
                folder(&path, depth + 1, files, trouble);
            }
        } else if is_read(&name) || is_test(&path) {
            files.push(path);
        }
    }
}

/// Tests of rules are read by `quell test`, examples by people.
fn is_read(name: &str) -> bool {
    let stem = name.strip_suffix(".yml").or_else(|| name.strip_suffix(".yaml"));
    stem.is_some_and(|stem| ![".test", ".example"].iter().any(|end| stem.ends_with(end)))
}

/// `*.test.yml`: tests of rules.
fn is_test(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    [".test.yml", ".test.yaml"].iter().any(|end| name.ends_with(end)) && !name.starts_with('.')
}

/// Documents that are not empty.
fn filled(documents: &[Rc<Node>]) -> Vec<&Node> {
    let nodes = documents.iter().map(Rc::as_ref);
    nodes.filter(|node| node.value != Value::Null).collect()
}

fn not_one(at: At<'_>, documents: &[&Node]) {
    match documents.get(1) {
        None => at
            .whole(Diagnostic::error(codes::EMPTY, format!("{} is empty", at.file)).note(EXPECTED)),
        Some(second) => {
            let message = "a second document: only playbooks may share a file";
            at.report(second.span, Diagnostic::error(codes::NOT_YAML, message));
        }
    }
}

const EXPECTED: &str = "rules have `rules:`, `checks:` or `schedules:` at the top of their file, a playbook has `playbook:`";

/// Keys that tell what a file is.
const TELLING: [&str; 5] = ["rules", "checks", "schedules", "playbook", "listen"];

fn unknown(at: At<'_>, node: &Node) {
    let message = format!("{} is neither rules nor a playbook", at.file);
    let mut found = Diagnostic::error(codes::EMPTY, message);
    let mut span = node.span;
    if let Value::Map(entries) = &node.value
        && let Some((key, _)) = entries.first()
    {
        span = key.span;
        found = found.label(did_you_mean(&key.text, TELLING));
    }
    at.report(span, found.note(EXPECTED));
}

/// What a document is, by its keys.
pub(crate) fn kind(node: &Node) -> Option<Kind> {
    const SETTINGS: [&str; 20] = [
        "listen",
        "external_url",
        "storage",
        "mode",
        "playbooks",
        "prometheus",
        "alertmanager",
        "ingest",
        "targets",
        "operators",
        "channels",
        "severities",
        "unmatched",
        "windows",
        "limits",
        "pause_file",
        "secrets",
        "link_key",
        "retention",
        "watch",
    ];
    let has = |key: &&str| node.get(key).is_some();
    if ["playbook", "steps"].iter().any(has) {
        return Some(Kind::Playbook);
    }
    if ["checks", "schedules"].iter().any(has) {
        return Some(Kind::Rules);
    }
    let first = node.get("rules").and_then(Node::first);
    if first.is_some_and(|it| matches!(it.value, Value::Map(_))) {
        return Some(Kind::Rules);
    }
    if SETTINGS.iter().any(has) || first.is_some_and(|it| it.value == Value::Text) {
        return Some(Kind::Config);
    }
    node.get("rules").map(|_| Kind::Rules)
}
