//! Files of rules, read by several threads: there may be a hundred thousand rules.
//!
//! What comes of a file does not depend on the others, so each is read by itself, and what came of them is put
//! together in the order of the files. Anything but rules is left to the thread that asked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

use super::Kind;
use super::Reader;
use super::filled;
use super::kind;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Counts;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Sink;
use crate::library::diagnostic::Span;
use crate::library::link::Gathered;
use crate::library::yaml;

/// Files that are held in memory at a time.
const BATCH: usize = 64;
/// Bytes of a batch from which on threads pay.
const MANY_BYTES: usize = 256 << 10;
/// Threads that read, at most.
const MAX_THREADS: usize = 8;
/// Bytes of stack of each: what the main thread has.
const STACK: usize = 8 << 20;

/// What came of one file of rules.
struct Part {
    gathered: Gathered,
    counts: Counts,
    found: Vec<Diagnostic>,
    masked: BTreeMap<String, Vec<Span>>,
}

impl Reader<'_> {
    /// Reads files, each by what it holds.
    pub(super) fn all(&mut self, files: &[PathBuf], named_at: Option<(&str, Span)>) {
        for batch in files.chunks(BATCH) {
            // Before there are settings, each file may hold them and say which others belong to them.
            if self.config.is_none() {
                for file in batch {
                    if let Some((name, text)) = self.text(file, named_at) {
                        self.any_text(file, &name, &text);
                    }
                }
                continue;
            }
            let texts = batch.iter().filter_map(|file| Some((file, self.text(file, named_at)?)));
            let texts: Vec<_> = texts.collect();
            let parts = parts(&texts.iter().map(|(_, it)| it).collect::<Vec<_>>());
            for ((file, (name, text)), part) in texts.iter().zip(parts) {
                match part.into_inner() {
                    Some(Some(part)) => self.take(part),
                    Some(None) | None => self.any_text(file, name, text),
                }
            }
        }
    }

    fn take(&mut self, part: Part) {
        let Part { gathered, counts, found, masked } = part;
        let Gathered {
            rules,
            checks,
            schedules,
            playbooks,
            facts,
            check_facts,
            schedule_facts,
            playbook_facts,
        } = gathered;
        self.gathered.rules.extend(rules);
        self.gathered.checks.extend(checks);
        self.gathered.schedules.extend(schedules);
        self.gathered.playbooks.extend(playbooks);
        self.gathered.facts.extend(facts);
        self.gathered.check_facts.extend(check_facts);
        self.gathered.schedule_facts.extend(schedule_facts);
        self.gathered.playbook_facts.extend(playbook_facts);
        let Counts { files, rules, checks, schedules, playbooks, tests, alerts } = counts;
        self.counts.files += files;
        self.counts.rules += rules;
        self.counts.checks += checks;
        self.counts.schedules += schedules;
        self.counts.playbooks += playbooks;
        self.counts.tests += tests;
        self.counts.alerts += alerts;
        for diagnostic in found {
            self.sink.push(diagnostic);
        }
        for (file, spans) in masked {
            let at = At { file: &file, text: "", sink: self.sink };
            for span in spans {
                at.mask(span);
            }
        }
    }
}

/// What came of each text, by its name; none where threads do not pay, or where it does not hold rules.
fn parts(texts: &[&(String, String)]) -> Vec<OnceLock<Option<Part>>> {
    let parts: Vec<OnceLock<_>> = texts.iter().map(|_| OnceLock::new()).collect();
    if texts.len() < 2 || texts.iter().map(|(_, text)| text.len()).sum::<usize>() < MANY_BYTES {
        return parts;
    }
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let (Some((name, text)), Some(part)) = (texts.get(at), parts.get(at)) else { break };
            part.get_or_init(|| read(name, text));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).clamp(1, MAX_THREADS);
    thread::scope(|scope| {
        for _ in 1..threads {
            // one that does not start leaves its work to the others, of which this thread is one
            if thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    parts
}

/// Reads one file, if it holds rules.
fn read(name: &str, text: &str) -> Option<Part> {
    let sink = Sink::default();
    let at = At { file: name, text, sink: &sink };
    let documents = yaml::parse(text, at)?;
    let documents = filled(&documents);
    let [node] = documents.as_slice() else { return None };
    if kind(node) != Some(Kind::Rules) {
        return None;
    }
    // rules read no environment variables
    let mut reader = Reader::new(&sink, &|_| None);
    reader.rules(at, node);
    let Reader { gathered, counts, .. } = reader;
    Some(Part { gathered, counts, found: sink.take(), masked: sink.take_masked() })
}
