//! An export, line by line, and how it is checked without any database.
//!
//! Lines are JSON: first `{"begins":17,"peaks":[…]}`, where the log begins in it; then `{"leaf":17,"record":{…}}` for each
//! record, `{"plan":"r-12","text":{…}}` for the plan of a run whose first entry is the line before, and
//! `{"checkpoint":"…"}` wherever one was signed. The data of a leaf are the bytes between `"record":` and the last brace.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::Digest as _;
use sha2::Sha256;

use super::merkle;
use super::merkle::Hash;
use super::merkle::Range;
use super::note;
use super::note::Checkpoint;
use super::note::PublicKey;

/// The first line.
pub fn begins(range: &Range) -> String {
    let peaks: Vec<String> = range.peaks().iter().map(|hash| merkle::hex(hash)).collect();
    serde_json::json!({ "begins": range.size(), "peaks": peaks }).to_string()
}

/// The line of a leaf.
pub fn leaf(index: u64, data: &str) -> String {
    format!("{{\"leaf\":{index},\"record\":{data}}}")
}

/// The line of a plan, as it is stored.
pub fn plan(run: &str, text: &str) -> String {
    format!("{{\"plan\":\"{run}\",\"text\":{text}}}")
}

/// The line of a checkpoint.
pub fn checkpoint(note: &str) -> String {
    serde_json::json!({ "checkpoint": note }).to_string()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    begins: Option<u64>,
    peaks: Option<Vec<String>>,
    leaf: Option<u64>,
    #[serde(borrow)]
    record: Option<&'a RawValue>,
    plan: Option<String>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    checkpoint: Option<String>,
}

/// What of a record the check looks at.
#[derive(Deserialize)]
struct Record<'a> {
    kind: String,
    id: String,
    at: i64,
    hash: Option<String>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    succession: Option<String>,
}

/// The first entry of a journal.
#[derive(Deserialize)]
struct First {
    planned: Planned,
}

#[derive(Deserialize)]
struct Planned {
    digest: String,
}

/// How much was checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Checked {
    /// Where the export begins.
    pub begins: u64,
    /// Leaves in it.
    pub leaves: u64,
    /// Checkpoints that its leaves come to.
    pub checkpoints: u64,
    /// Leaves up to the largest of them.
    pub signed: u64,
}

/// Checks an export, a line after the other.
#[derive(Debug, Default)]
pub struct Check {
    first: Vec<PublicKey>,
    successions: Vec<(PublicKey, PublicKey)>,
    /// Checkpoints from elsewhere, by size: where from, and the note.
    external: BTreeMap<u64, (String, String)>,
    range: Option<Range>,
    /// The leaf that comes next.
    next: u64,
    /// The first leaf behind the last checkpoint, and its record.
    since: Option<(u64, String)>,
    seen: BTreeSet<String>,
    /// The last entry of each run: its number and hash.
    heads: BTreeMap<String, (i64, String)>,
    /// The digest of the plan that the last run began with.
    planned: Option<(String, String)>,
    /// Whether roots can still be checked.
    whole: bool,
    number: usize,
    checked: Checked,
    problems: Vec<String>,
}

impl Check {
    /// By keys that are trusted, with those that the export shows to come before or behind them, and with checkpoints from
    /// elsewhere: where from, and the note.
    pub fn new(keys: &[PublicKey], external: Vec<(String, String)>) -> Self {
        let mut check = Self { first: keys.to_vec(), whole: true, ..Self::default() };
        for (from, note) in external {
            match Checkpoint::unproved(&note) {
                Some(it) => {
                    check.external.insert(it.size, (from, note));
                }
                None => check.problems.push(format!("{from}: this is no checkpoint")),
            }
        }
        check
    }

    /// The next line.
    pub fn line(&mut self, text: &str) {
        self.number += 1;
        let number = self.number;
        let Ok(line) = serde_json::from_str::<Line<'_>>(text) else {
            self.problems.push(format!("line {number}: this is no line of `quell audit export`"));
            self.whole = false;
            return;
        };
        match line {
            Line { begins: Some(size), peaks: Some(peaks), .. } if number == 1 => {
                let peaks: Option<Vec<Hash>> =
                    peaks.iter().map(|it| merkle::from_hex(it)).collect();
                self.range = peaks.and_then(|peaks| Range::of(size, peaks));
                self.checked.begins = size;
                self.next = size;
                if self.range.is_none() {
                    self.problems
                        .push(format!("line {number}: its peaks do not belong to {size} leaves"));
                }
            }
            Line { leaf: Some(leaf), record: Some(record), .. } => self.leaf(leaf, record.get()),
            Line { plan: Some(run), text: Some(plan), .. } => self.plan(&run, plan.get()),
            Line { checkpoint: Some(note), .. } => self.checkpoint("", &note),
            _ => self.problems.push(format!("line {number}: it has not the keys of a line here")),
        }
    }

    fn leaf(&mut self, index: u64, data: &str) {
        let number = self.number;
        let Ok(record) = serde_json::from_str::<Record<'_>>(data) else {
            self.problems.push(format!("line {number}: leaf {index} holds no record"));
            self.whole = false;
            return;
        };
        let Some(range) = &mut self.range else { return };
        if self.next != index {
            let expected = self.next;
            let how = if index > expected { "dropped" } else { "inserted, or out of order" };
            self.problems.push(format!(
                "line {number}: leaf {index} follows where {expected} should: {how}"
            ));
            self.whole = false;
        }
        self.next = index + 1;
        range.push(merkle::leaf(data.as_bytes()));
        let size = range.size();
        self.checked.leaves += 1;
        self.since.get_or_insert_with(|| (index, record.id.clone()));
        if !self.seen.insert(record.id.clone()) {
            self.problems.push(format!("{}: it is there twice", record.id));
        }
        self.successions.extend(record.succession.as_deref().and_then(note::succeeds));
        if record.kind == "event" {
            self.event(&record);
        }
        if let Some((from, note)) = self.external.remove(&size) {
            self.checkpoint(&format!(" of {from}"), &note);
        }
    }

    /// An entry's hash covers the one before it.
    fn event(&mut self, record: &Record<'_>) {
        let Record { id, at, hash, body, .. } = record;
        let (Some((run, seq)), Some(hash), Some(body)) = (id.split_once('/'), hash, body) else {
            self.problems.push(format!("{id}: this is no entry of a journal"));
            return;
        };
        let Ok(seq) = seq.parse::<i64>() else { return };
        let before = self.heads.insert(run.to_owned(), (seq, hash.clone()));
        let head = match before {
            Some((last, head)) if last + 1 == seq => head,
            // entries are exported in the order in which they were sealed, which is theirs
            Some(_) => {
                self.problems.push(format!("{id}: the entry before it is not there"));
                return;
            }
            None if seq == 1 => String::new(),
            // the export begins within the run
            None => return,
        };
        let body = body.get();
        let link = Sha256::digest(format!("{head}\n{run}\n{seq}\n{at}\n{body}\n").as_bytes());
        if merkle::hex(&link) != *hash {
            self.problems.push(format!("{id}: the entry was changed"));
        }
        if let Ok(First { planned: Planned { digest } }) = serde_json::from_str(body)
            && seq == 1
        {
            self.planned = Some((run.to_owned(), digest));
        }
    }

    fn plan(&mut self, run: &str, text: &str) {
        let digest = merkle::hex(&Sha256::digest(text.as_bytes()));
        if self.range.is_some() && self.planned.take() != Some((run.to_owned(), digest)) {
            self.problems.push(format!("{run}: the plan is not the one that was approved"));
        }
    }

    fn checkpoint(&mut self, of: &str, note: &str) {
        let keys = note::trusted(&self.first, &self.successions);
        let size = self.range.as_ref().map_or(0, Range::size);
        let found = match Checkpoint::open(note, &keys) {
            Ok((found, _)) => found,
            Err(error) => {
                self.problems.push(format!("checkpoint {size}{of}: {error}"));
                return;
            }
        };
        let since = self.since.take();
        if !self.whole || found.size != size {
            if self.whole && self.range.is_some() {
                let place = found.size;
                self.problems
                    .push(format!("checkpoint {place}{of}: it stands behind leaf {size} here"));
            }
            return;
        }
        if self.range.as_ref().is_some_and(|range| range.root() == found.root) {
            self.checked.checkpoints += 1;
            self.checked.signed = size;
        } else {
            self.whole = false;
            let from = since.map_or_else(String::new, |(leaf, id)| {
                format!(
                    ": something from leaf {leaf} ({id}) to leaf {} was changed",
                    size.saturating_sub(1)
                )
            });
            self.problems
                .push(format!("checkpoint {size}{of}: the leaves do not come to its root{from}"));
        }
    }

    /// All lines were read.
    pub fn finish(mut self) -> (Checked, Vec<String>) {
        if self.range.is_none() && (self.number == 0 || self.problems.is_empty()) {
            self.problems.push("line 1: an export begins with `begins` and `peaks`".to_owned());
        }
        let size = self.range.as_ref().map_or(0, Range::size);
        let keys = note::trusted(&self.first, &self.successions);
        for (at, (from, note)) in std::mem::take(&mut self.external) {
            if let Err(error) = Checkpoint::open(&note, &keys) {
                self.problems.push(format!("{from}: {error}"));
            } else if at > size && self.whole && self.range.is_some() {
                self.problems.push(format!(
                    "checkpoint {at} of {from}: the export ends before leaf {size}: truncated"
                ));
            } else if at <= self.checked.begins && self.range.is_some() {
                self.problems.push(format!(
                    "checkpoint {at} of {from}: the export begins behind it, at leaf {}",
                    self.checked.begins
                ));
            }
        }
        if self.checked.checkpoints == 0 && self.problems.is_empty() {
            self.problems
                .push("no signed checkpoint covers any of it: nothing is proved".to_owned());
        }
        (self.checked, self.problems)
    }
}

#[cfg(test)]
mod tests;
