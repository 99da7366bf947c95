//! The log for whoever checks it elsewhere: proofs of single records, and exports.

use serde_json::value::RawValue;
use sqlx::Row as _;

use super::seal::number;
use super::seal::size;
use crate::decide::audit::export;
use crate::decide::audit::merkle;
use crate::decide::audit::merkle::Hash;
use crate::decide::audit::merkle::Range;
use crate::decide::audit::merkle::Tree;
use crate::decide::audit::proof::Proof;
use crate::decide::audit::record::Id;
use crate::decide::audit::record::Kind;
use crate::model::incident::RunId;
use crate::store::Result;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::text;

/// Leaves that are read at once.
const PIECE: u64 = 500;

/// An export that goes on from leaf to leaf.
#[derive(Debug)]
pub struct Export {
    next: u64,
    until: u64,
    /// Checkpoints that are yet to come, the last first.
    notes: Vec<(u64, String)>,
}

impl Store {
    /// The leaves of these records that were written in [from, to), in microseconds since 1970; both may be open. The end is
    /// that of the next checkpoint, so that all of it can be checked.
    pub async fn export(&self, from: Option<i64>, to: Option<i64>) -> Result<(String, Export)> {
        let log = self.log().await?;
        let begin = match from {
            None => log.pruned.size(),
            Some(at) => {
                let found = self
                    .first_leaf("SELECT MIN(leaf) AS leaf FROM log_leaves WHERE at >= $1", at)
                    .await?;
                found.unwrap_or(log.range.size()).max(log.pruned.size())
            }
        };
        let until = match to {
            None => log.range.size(),
            Some(at) => {
                let last = self
                    .first_leaf("SELECT MAX(leaf) + 1 AS leaf FROM log_leaves WHERE at < $1", at)
                    .await?;
                let last = last.unwrap_or(begin).max(begin);
                let signed = self.checkpoints(last).await?.first().map(|(size, _)| *size);
                signed.unwrap_or(log.range.size())
            }
        };
        let mut range = log.pruned;
        for hash in self.leaf_hashes(range.size(), begin).await? {
            range.push(hash);
        }
        let mut notes = self.checkpoints(begin + 1).await?;
        notes.retain(|(size, _)| *size <= until);
        notes.reverse();
        Ok((export::begins(&range), Export { next: begin, until, notes }))
    }

    async fn first_leaf(&self, sql: &'static str, at: i64) -> Result<Option<u64>> {
        let row = sqlx::query(sql).bind(at).fetch_one(&self.reader).await?;
        let found: Option<i64> = row.try_get("leaf")?;
        Ok(found.and_then(|it| u64::try_from(it).ok()))
    }

    /// The hashes of the leaves [from, to), none of which may be missing.
    async fn leaf_hashes(&self, from: u64, to: u64) -> Result<Vec<Hash>> {
        let mut hashes = Vec::new();
        let mut next = from;
        while next < to {
            let rows = sqlx::query(
                "SELECT leaf, hash FROM log_leaves WHERE leaf >= $1 AND leaf < $2 ORDER BY leaf LIMIT 10000",
            )
            .bind(number(next))
            .bind(number(to))
            .fetch_all(&self.reader)
            .await?;
            if rows.is_empty() {
                return Err(broken(next));
            }
            for row in &rows {
                let hash = merkle::from_hex(&text(row, "hash")?);
                match hash.filter(|_| size(row, "leaf").ok() == Some(next)) {
                    Some(hash) => hashes.push(hash),
                    None => return Err(broken(next)),
                }
                next += 1;
            }
        }
        Ok(hashes)
    }

    /// The next lines of an export; none at its end.
    pub async fn export_on(&self, export: &mut Export) -> Result<Vec<String>> {
        let to = export.until.min(export.next + PIECE);
        let leaves = self.kept(export.next, to).await?;
        let mut data = self.data_behind(export.next, to).await?;
        let mut lines = Vec::new();
        for (index, id, hash, kept) in leaves {
            if index != export.next {
                return Err(broken(export.next));
            }
            let record = if id.kind.is_kept_in_log() { Some(kept) } else { data.remove(&id) };
            let Some(record) =
                record.filter(|it| merkle::hex(&merkle::leaf(it.as_bytes())) == hash)
            else {
                return Err(StoreError::Corrupt(format!(
                    "{id} is not what leaf {index} was made of; `quell audit verify` says more"
                )));
            };
            lines.push(export::leaf(index, &record));
            if id.kind == Kind::Event
                && id.seq == 1
                && let Some(plan) = self.plan_text(id.id).await?
            {
                lines.push(export::plan(&RunId(id.id).to_string(), &plan));
            }
            export.next = index + 1;
            while export.notes.last().is_some_and(|(size, _)| *size <= export.next) {
                lines.extend(export.notes.pop().map(|(_, note)| export::checkpoint(&note)));
            }
        }
        if export.next < to {
            return Err(broken(export.next));
        }
        Ok(lines)
    }

    async fn plan_text(&self, run: i64) -> Result<Option<String>> {
        let row = sqlx::query("SELECT plan FROM runs WHERE id = $1")
            .bind(run)
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| text(&row, "plan")).transpose()
    }

    /// Index, record, hash and kept data of the leaves [from, to).
    async fn kept(&self, from: u64, to: u64) -> Result<Vec<(u64, Id, String, String)>> {
        let rows = sqlx::query(
            "SELECT leaf, kind, id, seq, hash, record FROM log_leaves WHERE leaf >= $1 AND leaf < $2 ORDER BY leaf",
        )
        .bind(number(from))
        .bind(number(to))
        .fetch_all(&self.reader)
        .await?;
        rows.iter()
            .map(|row| {
                let kind = text(row, "kind")?;
                let kind = Kind::from_word(&kind)
                    .ok_or_else(|| StoreError::Corrupt(format!("a leaf of the kind `{kind}`")))?;
                let id = Id { kind, id: row.try_get("id")?, seq: row.try_get("seq")? };
                Ok((size(row, "leaf")?, id, text(row, "hash")?, text(row, "record")?))
            })
            .collect()
    }

    /// The last entry of a run's journal.
    pub async fn last_entry(&self, run: RunId) -> Result<Option<Id>> {
        let row = sqlx::query("SELECT MAX(seq) AS seq FROM run_events WHERE run = $1")
            .bind(run.0)
            .fetch_one(&self.reader)
            .await?;
        let seq: Option<i64> = row.try_get("seq")?;
        Ok(seq.map(|seq| Id { kind: Kind::Event, id: run.0, seq }))
    }

    /// A proof that a record is in the log, under the newest checkpoint.
    pub async fn prove(&self, id: Id) -> Result<Proof> {
        let found =
            sqlx::query("SELECT leaf FROM log_leaves WHERE kind = $1 AND id = $2 AND seq = $3")
                .bind(id.kind.as_str())
                .bind(id.id)
                .bind(id.seq)
                .fetch_optional(&self.reader)
                .await?;
        let Some(row) = found else {
            return Err(StoreError::Missing(format!(
                "{id} is not in the log: there is no such record, or it was not sealed yet"
            )));
        };
        let index = size(&row, "leaf")?;
        let signed = sqlx::query("SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 1")
            .fetch_optional(&self.reader)
            .await?;
        let Some(signed) = signed else {
            return Err(StoreError::Conflict(
                "no checkpoint was signed: nothing can be proved".to_owned(),
            ));
        };
        let (until, note) = (size(&signed, "size")?, text(&signed, "note")?);
        let log = self.log().await?;
        if index < log.pruned.size() {
            return Err(StoreError::Missing(format!("the leaf of {id} was pruned")));
        }
        if index >= until {
            return Err(StoreError::Conflict(format!(
                "{id} was sealed after the newest checkpoint: ask again in a moment"
            )));
        }
        let begin: Range = log.pruned;
        let leaves = self.leaf_hashes(begin.size(), until).await?;
        let tree = Tree::new(begin, leaves);
        let path = tree.inclusion(index, until).ok_or_else(|| broken(index))?;
        let kept = self.kept(index, index + 1).await?.pop().map(|(_, _, _, kept)| kept);
        let record = match kept.filter(|_| id.kind.is_kept_in_log()) {
            Some(kept) => Some(kept),
            None => self.data_behind(index, index + 1).await?.remove(&id),
        };
        let record = record
            .filter(|it| tree.leaf(index) == Some(merkle::leaf(it.as_bytes())))
            .and_then(|it| RawValue::from_string(it).ok());
        let Some(record) = record else {
            return Err(StoreError::Corrupt(format!(
                "{id} is not what leaf {index} was made of; `quell audit verify` says more"
            )));
        };
        Ok(Proof {
            leaf: index,
            record,
            path: path.iter().map(|hash| merkle::hex(hash)).collect(),
            checkpoint: note,
        })
    }
}

fn broken(leaf: u64) -> StoreError {
    StoreError::Corrupt(format!(
        "leaf {leaf} of the audit log is missing; `quell audit verify` says more"
    ))
}
