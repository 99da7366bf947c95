//! Checks the log against the records, and against signed checkpoints: those of the database, and those that were written
//! outside it. In pieces, so that a server can do it beside its work.
//!
//! Between two checkpoints the leaves as stored either come to the signed root or not. If they do, a record that does not fit
//! its leaf was changed. If they come to it with the leaves of the records instead, it was the leaf. If neither does, something
//! between the two checkpoints was rewritten together with its leaf.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use sqlx::Row as _;

use super::findings::Finding;
use super::records::SOURCES;
use super::seal::number;
use super::seal::size;
use crate::decide::audit::merkle;
use crate::decide::audit::merkle::Hash;
use crate::decide::audit::merkle::Range;
use crate::decide::audit::note;
use crate::decide::audit::note::Checkpoint;
use crate::decide::audit::note::PublicKey;
use crate::decide::audit::record::Id;
use crate::decide::audit::record::Kind;
use crate::model::incident::RunId;
use crate::store::Result;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::text;

/// Records outside the log that are named at most.
const STRAYS: i64 = 100;
/// Leaves without a checkpoint that are held in memory at most.
const UNSIGNED: usize = 10_000;

/// A checkpoint from outside the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct External {
    /// Where it came from, for people.
    pub from: String,
    /// The signed note.
    pub note: String,
}

/// How much was checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Checked {
    /// The leaf at which the log begins: those before were pruned.
    pub begins: u64,
    /// Leaves that were looked at.
    pub leaves: u64,
    /// Signed checkpoints that the log came to.
    pub checkpoints: u64,
    /// Of those, how many came from outside the database.
    pub external: u64,
    /// Leaves up to the largest of these checkpoints.
    pub signed: u64,
    /// Records that are no leaf yet.
    pub waiting: u64,
}

/// A leaf between two checkpoints.
struct Leaf {
    index: u64,
    id: Id,
    stored: Hash,
    /// The leaf of the record that is there; `None` when there is none.
    own: Option<Hash>,
}

/// A signed root that the log must come to.
struct Due {
    root: Hash,
    /// Where it stands: `None` is the database.
    from: Option<String>,
}

/// One way through the log.
pub struct Verifier {
    /// Checkpoints that are yet to come, by size.
    due: BTreeMap<u64, Vec<Due>>,
    /// The leaves that are settled.
    good: Range,
    /// The log as its row said, as far as this goes.
    row: Range,
    /// Those behind it.
    segment: Vec<Leaf>,
    /// How large the log was when the checkpoints were read, and whether any key is trusted.
    sealed: u64,
    signs: bool,
    runs: BTreeSet<RunId>,
    next: u64,
    /// Whether roots can still be checked: not behind a leaf that is missing or wrong.
    whole: bool,
    checked: Checked,
    findings: Vec<Finding>,
    /// What was found on this way, so that it is said once.
    said: BTreeSet<Finding>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("next", &self.next).finish_non_exhaustive()
    }
}

impl Verifier {
    /// Begins at the first leaf that is there. `keys` are trusted, with those that they name as before or behind them.
    pub async fn begin(store: &Store, keys: &[PublicKey], external: &[External]) -> Result<Self> {
        let log = store.log().await?;
        let mut verifier = Self {
            due: BTreeMap::new(),
            next: log.pruned.size(),
            checked: Checked { begins: log.pruned.size(), ..Checked::default() },
            good: log.pruned,
            row: log.range,
            segment: Vec::new(),
            sealed: 0,
            signs: false,
            runs: BTreeSet::new(),
            whole: true,
            findings: Vec::new(),
            said: BTreeSet::new(),
        };
        let trusted = store.trusted_keys(keys).await?;
        for External { from, note } in external {
            match Checkpoint::open(note, &trusted) {
                Ok((it, _)) if it.size < verifier.next => {}
                Ok((it, _)) => verifier.due(it.size, it.root, Some(from.clone())),
                Err(error) => verifier.find(from.clone(), error.to_string()),
            }
        }
        verifier.refresh(store, keys).await?;
        Ok(verifier)
    }

    /// Takes up what was sealed and signed since.
    pub async fn refresh(&mut self, store: &Store, keys: &[PublicKey]) -> Result<()> {
        let keys = store.trusted_keys(keys).await?;
        (self.sealed, self.signs) = (store.log().await?.range.size(), !keys.is_empty());
        // without a key, nothing can be said of signatures
        if !keys.is_empty() {
            for (size, note) in store.checkpoints(self.next).await? {
                let place = format!("checkpoint {size}");
                match Checkpoint::open(&note, &keys) {
                    Ok((it, _)) if it.size == size => self.due(size, it.root, None),
                    Ok((it, _)) => self.find(place, format!("its note is that of {}", it.size)),
                    Err(error) => self.find(place, error.to_string()),
                }
            }
        }
        // after the checkpoints, so that it is at least as large as they are
        self.row = store.log().await?.range;
        if self.due.contains_key(&self.next) {
            self.settle();
        }
        Ok(())
    }

    fn due(&mut self, size: u64, root: Hash, from: Option<String>) {
        let dues = self.due.entry(size).or_default();
        if !dues.iter().any(|due| due.from == from) {
            dues.push(Due { root, from });
        }
    }

    fn find(&mut self, place: impl Into<String>, what: impl Into<String>) {
        let finding = Finding::new(place, what);
        if self.said.insert(finding.clone()) {
            self.findings.push(finding);
        }
    }

    /// The leaf at which the next piece begins.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// What was found since this was asked last.
    pub fn take(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    /// Looks at up to `limit` leaves. Says whether there were any. [`StoreError::Changed`]: the beginning was pruned meanwhile,
    /// so begin again.
    pub async fn step(&mut self, store: &Store, limit: u64) -> Result<bool> {
        let rows = sqlx::query(
            "SELECT leaf, kind, id, seq, hash, record FROM log_leaves WHERE leaf >= $1 AND leaf < $2
             ORDER BY leaf LIMIT $3",
        )
        .bind(number(self.next))
        .bind(number(self.row.size()))
        .bind(number(limit))
        .fetch_all(&store.reader)
        .await?;
        let Some(last) = rows.last() else { return Ok(false) };
        let last = size(last, "leaf")?;
        let mut data = store.data_behind(self.next, last + 1).await?;
        if store.log().await?.pruned.size() > self.next {
            return Err(StoreError::Changed);
        }
        for row in &rows {
            let index = size(row, "leaf")?;
            let kind = text(row, "kind")?;
            let stored = merkle::from_hex(&text(row, "hash")?);
            let (Some(kind), Some(stored)) = (Kind::from_word(&kind), stored) else {
                self.find(format!("leaf {index}"), "it cannot be read");
                self.gap();
                self.next = index + 1;
                continue;
            };
            let id = Id { kind, id: row.try_get("id")?, seq: row.try_get("seq")? };
            if index != self.next {
                let (from, to) = (self.next, index - 1);
                let which = if from == to {
                    format!("leaf {from}")
                } else {
                    format!("leaves {from} to {to}")
                };
                self.find(which, "dropped from the log");
                self.gap();
            }
            let mut found = data.remove(&id);
            if kind.is_kept_in_log() {
                let kept = text(row, "record")?;
                if found.is_some_and(|found| found != kept) {
                    self.find(id.to_string(), "changed: the log has it otherwise");
                }
                found = Some(kept);
            }
            let own = found.map(|data| merkle::leaf(data.as_bytes()));
            if kind == Kind::Event {
                self.runs.insert(RunId(id.id));
            }
            self.segment.push(Leaf { index, id, stored, own });
            self.next = index + 1;
            self.checked.leaves += 1;
            if self.due.contains_key(&self.next)
                || self.segment.len() >= UNSIGNED && self.due.is_empty()
            {
                self.settle();
            }
        }
        Ok(true)
    }

    /// Behind a leaf that is missing no root can be known.
    fn gap(&mut self) {
        self.settle();
        self.whole = false;
    }

    /// Settles the leaves up to here, by the checkpoints of this size if there are any.
    fn settle(&mut self) {
        let dues = self.due.remove(&self.next).unwrap_or_default();
        let segment = std::mem::take(&mut self.segment);
        let grown = |leaf: &dyn Fn(&Leaf) -> Hash| {
            let mut range = self.good.clone();
            for it in &segment {
                range.push(leaf(it));
            }
            range
        };
        let as_stored = grown(&|it| it.stored);
        let by_records = grown(&|it| it.own.unwrap_or(it.stored));
        let whole = self.whole && as_stored.size() == self.next;
        let fits =
            |range: &Range| !dues.is_empty() && dues.iter().all(|due| due.root == range.root());
        let (proved, range, leaf_changed) = if whole && fits(&as_stored) {
            (true, as_stored, false)
        } else if whole && fits(&by_records) {
            (true, by_records, true)
        } else {
            (false, as_stored, false)
        };
        let first = segment.first().map(|it| (it.index, it.id));
        let mut dropped: BTreeMap<i64, Vec<(i64, u64)>> = BTreeMap::new();
        for Leaf { index, id, stored, own } in &segment {
            match own {
                Some(own) if own == stored => {}
                Some(_) if leaf_changed => {
                    self.find(
                        format!("leaf {index}"),
                        format!("changed: the signed log has {id} there as it is"),
                    );
                }
                Some(_) if proved => {
                    self.find(
                        id.to_string(),
                        format!("changed: the signed leaf {index} is not made of it"),
                    );
                }
                Some(_) => {
                    self.find(id.to_string(), format!("changed, or its leaf {index} was"));
                }
                None if id.kind == Kind::Event => {
                    dropped.entry(id.id).or_default().push((id.seq, *index));
                }
                None => self.find(id.to_string(), format!("dropped: its leaf {index} is there")),
            }
        }
        for (run, entries) in dropped {
            self.find(RunId(run).to_string(), gone(&entries));
        }
        if proved {
            self.good = range;
            self.checked.signed = self.next;
            for due in &dues {
                self.checked.checkpoints += 1;
                self.checked.external += u64::from(due.from.is_some());
            }
            return;
        }
        if whole && !dues.is_empty() {
            let of_stored = range.root();
            for due in dues.iter().filter(|due| due.root != of_stored) {
                let place = due.place(self.next);
                let first = first.map_or_else(String::new, |(index, id)| {
                    format!(": something from leaf {index} ({id}) to leaf {} was rewritten with its leaf", self.next - 1)
                });
                self.find(place, format!("the log does not come to its root{first}"));
            }
            self.whole = false;
        }
        self.good = range;
    }

    /// All that there is was looked at: what is wrong with the whole is found, too. More may come.
    pub fn finish(&mut self) -> Checked {
        self.settle();
        let (says, has) = (self.row.size(), self.next);
        if says > has {
            self.find("the log", format!("truncated: it says {says} leaves, and has {has}"));
        } else if self.whole && says == has && self.row.root() != self.good.root() {
            self.find("the log", "its row does not have the root of its leaves");
        }
        // those behind a gap are no less, and cannot be checked, which the gap says
        for (size, dues) in std::mem::take(&mut self.due) {
            for due in dues.iter().filter(|_| size > says.max(has)) {
                let how = match due.from {
                    None => "truncated",
                    Some(_) => "truncated, or the database is an older copy",
                };
                self.find(due.place(size), format!("the log has {has} leaves only: {how}"));
            }
        }
        self.checked
    }

    /// Finds records that say they are in the log and are not; looks at all there are.
    pub async fn strays(&mut self, store: &Store) -> Result<()> {
        let pruned = number(store.log().await?.pruned.size());
        for source in &SOURCES {
            let rows = sqlx::query(source.stray)
                .bind(pruned)
                .bind(source.kind.as_str())
                .bind(STRAYS)
                .fetch_all(&store.reader)
                .await?;
            for row in &rows {
                let id = Id { kind: source.kind, id: row.try_get("id")?, seq: row.try_get("seq")? };
                let what = "it says that it is in the log, and has no leaf: it was inserted, or its leaf dropped";
                self.find(id.to_string(), what);
            }
        }
        Ok(())
    }

    /// The runs of which entries were looked at since this was asked last.
    pub fn take_runs(&mut self) -> BTreeSet<RunId> {
        std::mem::take(&mut self.runs)
    }

    /// Finds that checkpoints are missing: each leaf is sealed together with one, where a key signs.
    fn unsigned(&mut self) {
        // a checkpoint of what was pruned went with it
        let signed = self.checked.signed.max(self.checked.begins);
        let should = self.sealed;
        if self.whole && self.signs && signed < should && self.findings.is_empty() {
            let last = should - 1;
            let what = format!(
                "no signed checkpoint covers leaves {signed} to {last}: it was dropped, or no key signed then"
            );
            self.find("the log", what);
        }
    }
}

impl Due {
    fn place(&self, size: u64) -> String {
        match &self.from {
            None => format!("checkpoint {size}"),
            Some(from) => format!("checkpoint {size} of {from}"),
        }
    }
}

/// The entries of a run that are gone, with their leaves.
fn gone(entries: &[(i64, u64)]) -> String {
    let list = |numbers: Vec<String>| match numbers.as_slice() {
        [one] => (String::new(), one.clone()),
        [first, .., last] => ("s".to_owned(), format!("{first} to {last}")),
        [] => (String::new(), String::new()),
    };
    let (s, seqs) = list(entries.iter().map(|(seq, _)| seq.to_string()).collect());
    let (_, leaves) = list(entries.iter().map(|(_, leaf)| leaf.to_string()).collect());
    let leaf = if entries.len() == 1 { "leaf" } else { "leaves" };
    let (entry, is) = if s.is_empty() { ("entry", "is") } else { ("entries", "are") };
    format!("{entry} {seqs} dropped: {leaf} {leaves} {is} there")
}

impl Store {
    /// Checks the whole log, with its journals apart ([`Store::audit`]).
    pub async fn verify_log(
        &self,
        keys: &[PublicKey],
        external: &[External],
    ) -> Result<(Checked, Vec<Finding>)> {
        loop {
            let mut verifier = Verifier::begin(self, keys, external).await?;
            let looked = loop {
                match verifier.step(self, 500).await {
                    Ok(true) => {}
                    Ok(false) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            match looked {
                Ok(()) => {
                    let checked = verifier.finish();
                    verifier.unsigned();
                    verifier.strays(self).await?;
                    let waiting = self.standing().await?.waiting;
                    return Ok((Checked { waiting, ..checked }, verifier.take()));
                }
                Err(StoreError::Changed) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// These keys, and those that the log says come before or behind them.
    pub async fn trusted_keys(&self, first: &[PublicKey]) -> Result<Vec<PublicKey>> {
        let rows = sqlx::query("SELECT record FROM log_leaves WHERE kind = 'key' ORDER BY leaf")
            .fetch_all(&self.reader)
            .await?;
        let mut successions = Vec::new();
        for row in &rows {
            let record: serde_json::Value =
                serde_json::from_str(&text(row, "record")?).unwrap_or_default();
            let note = record.get("succession").and_then(serde_json::Value::as_str);
            successions.extend(note.and_then(note::succeeds));
        }
        Ok(note::trusted(first, &successions))
    }

    /// The data of the records of the leaves [from, to).
    pub(super) async fn data_behind(&self, from: u64, to: u64) -> Result<BTreeMap<Id, String>> {
        let mut data = BTreeMap::new();
        for source in &SOURCES {
            let rows = sqlx::query(source.behind)
                .bind(number(from))
                .bind(number(to))
                .bind(source.kind.as_str())
                .fetch_all(&self.reader)
                .await?;
            for row in &rows {
                let record = source.record(row)?;
                data.insert(record.id, record.data);
            }
        }
        Ok(data)
    }
}
