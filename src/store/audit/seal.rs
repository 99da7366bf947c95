//! The log: records become its leaves in batches, off the way of whoever writes them. Any replica may seal: the log's row is
//! locked by the first statement, and what one has sealed the next finds sealed.
//!
//! Pruning: `pruned` leaves of the beginning are gone, and `pruned_peaks` stands for them. A record goes only when its leaf is
//! pruned (a run, when the leaf of its last entry is).

use std::sync::LazyLock;

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::records::Record;
use super::records::SOURCES;
use crate::decide::audit::merkle;
use crate::decide::audit::merkle::Hash;
use crate::decide::audit::merkle::Range;
use crate::decide::audit::note::PublicKey;
use crate::decide::audit::record::Id;
use crate::decide::audit::record::Kind;
use crate::decide::audit::record::Writer;
use crate::store::Result;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::Transaction;
use crate::store::commit;
use crate::store::many::Many;
use crate::store::many::list;
use crate::store::many::places;
use crate::store::many::powers;
use crate::store::micros;
use crate::store::next_ids;
use crate::store::text;

/// Of the checkpoints that were signed within as much time, in microseconds, the last is kept.
const THINNED: i64 = 60_000_000;

/// The most leaves of one statement, a power of two.
const TOGETHER: usize = 32;

/// Inserts leaves, by powers of two.
static INSERT: LazyLock<Many> = LazyLock::new(|| {
    Many::new(TOGETHER, |count| {
        let rows = list(count, |row| places(row, 7, 0));
        format!(
            "INSERT INTO log_leaves (leaf, kind, id, seq, at, hash, record) VALUES {rows} ON CONFLICT DO NOTHING"
        )
    })
});

/// Signs the checkpoint of a log as large as this; `None` when nothing signs.
pub type Sign<'a> = &'a (dyn Fn(&Range) -> Option<String> + Send + Sync);

/// The log as its row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// All leaves.
    pub range: Range,
    /// Those of the beginning that were pruned.
    pub pruned: Range,
}

/// How the audit stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Leaves of the log.
    pub size: u64,
    /// Records that are no leaf yet.
    pub waiting: u64,
    /// Leaves that the newest checkpoint covers, and when it was signed, in microseconds since 1970; 0 without one.
    pub signed: u64,
    /// When it was signed.
    pub signed_at: i64,
}

impl Store {
    /// Makes leaves of up to `limit` records, and a checkpoint when there is a new leaf. Returns how many it made.
    pub async fn seal(&self, limit: u32, sign: Sign<'_>) -> Result<u64> {
        let mut tx = self.begin().await?;
        let Log { mut range, .. } = lock(&mut tx).await?;
        let before = range.size();
        for source in &SOURCES {
            let left = u64::from(limit).saturating_sub(range.size() - before);
            if left == 0 {
                break;
            }
            let rows = sqlx::query(source.unlogged)
                .bind(i64::try_from(left).unwrap_or(i64::MAX))
                .fetch_all(&mut *tx)
                .await?;
            if rows.is_empty() {
                continue;
            }
            let records =
                rows.iter().map(|row| source.record(row)).collect::<Result<Vec<Record>>>()?;
            let first = number(range.size());
            append(&mut tx, &mut range, &records).await?;
            let marked = sqlx::query(source.mark)
                .bind(first)
                .bind(source.kind.as_str())
                .execute(&mut *tx)
                .await?;
            if marked.rows_affected() != records.len() as u64 {
                return Err(StoreError::Changed);
            }
        }
        self.close_log(tx, &range, sign).await?;
        Ok(range.size() - before)
    }

    /// Writes down that a key signs from now on, unless it is known; `succession` is the note by which the key before it
    /// names it, empty when there is none. Says whether it is new.
    pub async fn add_key(&self, key: &PublicKey, succession: &str, sign: Sign<'_>) -> Result<bool> {
        let now = micros(self.now());
        let mut tx = self.begin().await?;
        let Log { mut range, .. } = lock(&mut tx).await?;
        let key = key.to_string();
        let records: Vec<String> = key_records(&mut tx).await?;
        if records.iter().any(|record| key_of(record).is_some_and(|(known, _)| known == key)) {
            tx.leave().await?;
            return Ok(false);
        }
        let id = Id { kind: Kind::Key, id: next_ids(&mut tx, "key", 1).await?, seq: 0 };
        let data = Writer::new(id, now).text("key", &key).text("succession", succession).end();
        append(&mut tx, &mut range, &[Record { id, at: now, data }]).await?;
        self.close_log(tx, &range, sign).await?;
        Ok(true)
    }

    /// The keys that sign or signed, in the order in which they were written down: each with its succession.
    pub async fn log_keys(&self) -> Result<Vec<(String, String)>> {
        let rows = sqlx::query("SELECT record FROM log_leaves WHERE kind = 'key' ORDER BY leaf")
            .fetch_all(&self.reader)
            .await?;
        rows.iter()
            .map(|row| {
                let record = text(row, "record")?;
                key_of(&record).ok_or_else(|| {
                    StoreError::Corrupt("a key of the log cannot be read".to_owned())
                })
            })
            .collect()
    }

    /// Whether a record waits to be sealed, or a checkpoint to be signed.
    pub async fn standing(&self) -> Result<Standing> {
        let mut standing = Standing::default();
        for source in &SOURCES {
            let waiting: i64 =
                sqlx::query(source.waiting).fetch_one(&self.reader).await?.try_get(0)?;
            standing.waiting += u64::try_from(waiting).unwrap_or_default();
        }
        let log = self.log().await?;
        standing.size = log.range.size();
        let newest = sqlx::query("SELECT size, at FROM checkpoints ORDER BY size DESC LIMIT 1")
            .fetch_optional(&self.reader)
            .await?;
        if let Some(row) = newest {
            standing.signed = size(&row, "size")?;
            standing.signed_at = row.try_get("at")?;
        }
        Ok(standing)
    }

    /// The log as its row says.
    pub async fn log(&self) -> Result<Log> {
        let row = sqlx::query("SELECT * FROM log WHERE name = 'log'")
            .fetch_optional(&self.reader)
            .await?;
        read_log(row.as_ref())
    }

    /// The newest checkpoint and its size, if it was not written outside the database.
    pub async fn unanchored(&self) -> Result<Option<(u64, String)>> {
        let row =
            sqlx::query("SELECT size, note, anchored FROM checkpoints ORDER BY size DESC LIMIT 1")
                .fetch_optional(&self.reader)
                .await?;
        match row {
            Some(row) if row.try_get::<i64, _>("anchored")? == 0 => {
                Ok(Some((size(&row, "size")?, text(&row, "note")?)))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// A checkpoint of this size was written outside the database: it covers those before it.
    pub async fn anchored(&self, size: u64) -> Result<()> {
        sqlx::query("UPDATE checkpoints SET anchored = 1 WHERE size <= $1 AND anchored = 0")
            .bind(number(size))
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// The checkpoints of at least this size, in order: size and note.
    pub async fn checkpoints(&self, from: u64) -> Result<Vec<(u64, String)>> {
        let rows = sqlx::query("SELECT size, note FROM checkpoints WHERE size >= $1 ORDER BY size")
            .bind(number(from))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(|row| Ok((size(row, "size")?, text(row, "note")?))).collect()
    }

    async fn close_log(&self, mut tx: Transaction, range: &Range, sign: Sign<'_>) -> Result<()> {
        sqlx::query("UPDATE log SET size = $1, peaks = $2 WHERE name = 'log'")
            .bind(number(range.size()))
            .bind(peaks(range))
            .execute(&mut *tx)
            .await?;
        let signed = sqlx::query("SELECT 1 FROM checkpoints WHERE size >= $1 LIMIT 1")
            .bind(number(range.size()))
            .fetch_optional(&mut *tx)
            .await?;
        let note = if signed.is_none() && range.size() > 0 { sign(range) } else { None };
        if let Some(note) = note {
            let now = micros(self.now());
            sqlx::query("DELETE FROM checkpoints WHERE anchored = 0 AND at >= $1 AND size < $2")
                .bind(now - now.rem_euclid(THINNED))
                .bind(number(range.size()))
                .execute(&mut *tx)
                .await?;
            sqlx::query("INSERT INTO checkpoints (size, note, at) VALUES ($1, $2, $3)")
                .bind(number(range.size()))
                .bind(note)
                .bind(now)
                .execute(&mut *tx)
                .await?;
        }
        commit(tx).await
    }
}

/// Takes the log's row for this transaction, by its first statement.
pub(super) async fn lock(tx: &mut Transaction) -> Result<Log> {
    let row = sqlx::query("UPDATE log SET size = size WHERE name = 'log' RETURNING *")
        .fetch_optional(&mut **tx)
        .await?;
    read_log(row.as_ref())
}

fn read_log(row: Option<&AnyRow>) -> Result<Log> {
    let Some(row) = row else {
        return Err(StoreError::Corrupt("the row of the audit log is missing".to_owned()));
    };
    let range = |length: &str, peaks: &str| {
        let hashes = text(row, peaks)?
            .split_whitespace()
            .map(merkle::from_hex)
            .collect::<Option<Vec<Hash>>>()
            .and_then(|hashes| Some(Range::of(size(row, length).ok()?, hashes)))
            .flatten();
        hashes.ok_or_else(|| {
            StoreError::Corrupt(format!("{peaks} of the audit log do not belong to its {length}"))
        })
    };
    Ok(Log { range: range("size", "peaks")?, pruned: range("pruned", "pruned_peaks")? })
}

/// Makes a leaf of each record, in as few statements as their number has binary digits.
async fn append(tx: &mut Transaction, range: &mut Range, records: &[Record]) -> Result<()> {
    for some in powers(records, TOGETHER) {
        let mut query = sqlx::query(INSERT.of(some.len())?);
        let first = number(range.size());
        for Record { id, at, data } in some {
            let hash = merkle::leaf(data.as_bytes());
            query = query
                .bind(number(range.size()))
                .bind(id.kind.as_str())
                .bind(id.id)
                .bind(id.seq)
                .bind(*at)
                .bind(merkle::hex(&hash))
                .bind(if id.kind.is_kept_in_log() { data.as_str() } else { "" });
            range.push(hash);
        }
        let done = query.execute(&mut **tx).await?;
        if done.rows_affected() != some.len() as u64 {
            return Err(in_the_way(tx, first, some).await?);
        }
    }
    Ok(())
}

/// Which of these could not become a leaf, from `first` on.
async fn in_the_way(tx: &mut Transaction, first: i64, records: &[Record]) -> Result<StoreError> {
    let mut refused = records.first().map(|it| (first, it.id));
    for (leaf, Record { id, .. }) in (first..).zip(records) {
        let there = sqlx::query(
            "SELECT 1 FROM log_leaves WHERE leaf = $1 AND kind = $2 AND id = $3 AND seq = $4",
        )
        .bind(leaf)
        .bind(id.kind.as_str())
        .bind(id.id)
        .bind(id.seq)
        .fetch_optional(&mut **tx)
        .await?;
        if there.is_none() {
            refused = Some((leaf, *id));
            break;
        }
    }
    let (leaf, id) = refused.map_or_else(Default::default, |(leaf, id)| (leaf, id.to_string()));
    Ok(StoreError::Corrupt(format!(
        "{id} cannot become leaf {leaf} of the audit log: it is there already, or that leaf is"
    )))
}

async fn key_records(tx: &mut Transaction) -> Result<Vec<String>> {
    let rows = sqlx::query("SELECT record FROM log_leaves WHERE kind = 'key'")
        .fetch_all(&mut **tx)
        .await?;
    rows.iter().map(|row| text(row, "record")).collect()
}

/// Key and succession of a record.
fn key_of(record: &str) -> Option<(String, String)> {
    let record: serde_json::Value = serde_json::from_str(record).ok()?;
    let text = |name| record.get(name)?.as_str().map(str::to_owned);
    Some((text("key")?, text("succession")?))
}

/// Peaks as the log's row has them.
pub(super) fn peaks(range: &Range) -> String {
    range.peaks().iter().map(|hash| merkle::hex(hash)).collect::<Vec<_>>().join(" ")
}

pub(super) fn number(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

pub(super) fn size(row: &AnyRow, column: &str) -> Result<u64> {
    crate::store::number(row, column)
}
