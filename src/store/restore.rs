//! Restores a backup into a database: whole or not at all, on either engine.
//!
//! A backup is older than what happened. So nothing that was at work when it was made goes on: runs end as ones that nobody
//! knows the outcome of, notices that waited are not sent again, slots that passed are left out, break-glass is over, everything
//! is paused until a person resumes, and no id is given twice.

use std::io::BufRead;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::Digest as _;
use sha2::Sha256;
use sqlx::AssertSqlSafe;
use sqlx::Row as _;
use sqlx::migrate::Migrator;

use crate::clock::Clock;
use crate::decide::machine;
use crate::decide::machine::State;
use crate::decide::stepping;
use crate::error::Error;
use crate::model::incident::Incident;
use crate::model::incident::Owed;
use crate::model::incident::RunId;
use crate::model::run::Entry;
use crate::model::run::Event;
use crate::model::run::Plan;
use crate::store::NEVER;
use crate::store::Result;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::Transaction;
use crate::store::backup;
use crate::store::backup::End;
use crate::store::backup::FORMAT;
use crate::store::backup::Header;
use crate::store::backup::Held;
use crate::store::backup::Table;
use crate::store::instant;
use crate::store::json;
use crate::store::micros;
use crate::store::migrator;
use crate::store::outbox::owe;
use crate::store::plain;
use crate::store::runs::chained;
use crate::store::runs::hex;
use crate::store::runs::write_event;

/// Ids go on this far beyond those of the backup: what was made after it keeps its own in logs, messages and targets.
const BEYOND: i64 = 100_000;

/// What would be lost if it were replaced. Other tables have rows from the start, or as soon as a server has begun.
const OF_WORTH: [&str; 11] = [
    "changes",
    "decisions",
    "denied",
    "episodes",
    "glass",
    "incidents",
    "outbox",
    "runs",
    "trust",
    "used_links",
    "windows",
];

/// Why a file cannot be restored. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It could not be read.
    #[error("{0}")]
    Read(#[from] std::io::Error),
    /// It is no backup, or not all of one.
    #[error("line {line}: {what}")]
    Damaged {
        /// From 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// Another version of quell made it.
    #[error("{0}")]
    Newer(String),
}

/// What was restored, and what was made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// What the file held.
    pub held: Held,
    /// Runs that were at work when it was made.
    pub runs: Vec<RunId>,
    /// Notices that had not been sent.
    pub notices: u64,
    /// Ids go on this far beyond those of the backup.
    pub ids_skipped: i64,
}

/// Says what is owed for a run that was at work.
pub type Owes<'a> = &'a (dyn Fn(&Incident, RunId, &Plan, &State) -> Vec<Owed> + Sync);

/// The lines of a backup, with the digest of those that were read.
struct Lines<R> {
    from: R,
    digest: Sha256,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    fn new(from: R) -> Self {
        Self { from, digest: Sha256::new(), number: 0 }
    }

    /// The next line, which is not in the digest yet.
    fn next(&mut self) -> std::result::Result<String, Unusable> {
        let mut line = String::new();
        self.number += 1;
        match self.from.read_line(&mut line) {
            Ok(0) => Err(self.damaged("the file ends here, and its last line is missing")),
            Ok(_) if !line.ends_with('\n') => Err(self.damaged("the file ends in this line")),
            Ok(_) => Ok(line),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                Err(self.damaged("it is not text"))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn damaged(&self, what: impl Into<String>) -> Unusable {
        Unusable::Damaged { line: self.number, what: what.into() }
    }

    fn header(&mut self) -> std::result::Result<Header, Unusable> {
        let line = self.next()?;
        self.digest.update(line.as_bytes());
        let value: Value =
            serde_json::from_str(&line).map_err(|_| self.damaged("it is no backup of quell"))?;
        match value.get("quell_backup").and_then(Value::as_u64) {
            None => return Err(self.damaged("it is no backup of quell")),
            Some(format) if format > u64::from(FORMAT) => {
                let by = value.get("quell").and_then(Value::as_str).unwrap_or("a newer quell");
                return Err(Unusable::Newer(format!(
                    "the backup has the format {format}, and this quell reads up to {FORMAT}; quell {by} made it"
                )));
            }
            Some(_) => {}
        }
        serde_json::from_value(value).map_err(|error| self.damaged(error.to_string()))
    }
}

fn read<T: DeserializeOwned>(line: &str) -> Option<T> {
    serde_json::from_str(line).ok()
}

/// Reads a whole backup, and returns what it holds if it is undamaged.
pub fn check(from: impl BufRead) -> std::result::Result<(Header, Held), Unusable> {
    let mut lines = Lines::new(from);
    let header = lines.header()?;
    let (mut tables, mut rows, mut width) = (0, 0, None);
    loop {
        let line = lines.next()?;
        if let Some(End { rows: said, sha256 }) = read(&line) {
            if sha256 != hex(&lines.digest.clone().finalize()) || said != rows {
                return Err(lines.damaged(
                    "the checksum does not fit: the file was changed, or not copied whole",
                ));
            }
            let mut more = String::new();
            if lines.from.read_line(&mut more)? > 0 {
                return Err(lines.damaged("there is more after the last line"));
            }
            let made_at = header.made_at;
            let quell = header.quell.clone();
            return Ok((header, Held { made_at, quell, tables, rows, sha256 }));
        }
        if let Some(Table { table, columns }) = read(&line) {
            if !columns.iter().chain([&table]).all(|it| backup::is_name(it)) || columns.is_empty() {
                return Err(lines.damaged("it names no table of quell"));
            }
            (tables, width) = (tables + 1, Some(columns.len()));
        } else {
            let values: Option<Vec<Value>> = read(&line);
            let fits = |it: &Value| it.is_i64() || it.is_string() || it.is_null();
            if !values.is_some_and(|it| Some(it.len()) == width && it.iter().all(fits)) {
                return Err(lines.damaged("it is no row of the table before it"));
            }
            rows += 1;
        }
        lines.digest.update(line.as_bytes());
    }
}

/// Opens the database that a backup is restored into, with the tables that the backup has.
pub async fn open(url: &str, clock: Clock, header: &Header) -> std::result::Result<Store, Error> {
    let all = migrator();
    let known = |version: &i64| all.iter().any(|it| it.version == *version);
    if let Some(unknown) = header.migrations.iter().find(|it| !known(it)) {
        let by = &header.quell;
        let words =
            format!("the backup is of a newer quell ({by}): migration {unknown} is not known here");
        return Err(Error::new("Q0421", words)
            .hint("restore it with the quell that made it; nothing was changed"));
    }
    let theirs: Vec<_> =
        all.iter().filter(|it| header.migrations.contains(&it.version)).cloned().collect();
    let mut migrator = Migrator::with_migrations(theirs);
    migrator.set_ignore_missing(true);
    let store = Store::open_with(url, clock, migrator).await?;
    let there = backup::applied(&store.reader).await.map_err(|error| {
        Error::new("Q0402", format!("could not read which tables the database has: {error}"))
    })?;
    if there != header.migrations {
        let words =
            "the database has tables that the backup does not know: a newer quell made them";
        return Err(Error::new("Q0422", words).hint(
            "restore into a database that does not exist yet; it is brought up to date afterwards",
        ));
    }
    Ok(store)
}

impl Store {
    /// Fills the database with the backup `from`, which was checked, in one transaction. [`StoreError::Conflict`] when there
    /// is something in it, unless that is to be replaced.
    pub async fn restore(
        &self,
        from: impl BufRead,
        held: Held,
        replace: bool,
        owes: Owes<'_>,
    ) -> Result<Restored> {
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE counters SET value = value").execute(&mut *tx).await?;
        let tables = backup::tables(&mut *tx, self.engine).await?;
        for Table { table, .. } in &tables {
            if !replace && OF_WORTH.contains(&table.as_str()) && !is_empty(&mut tx, table).await? {
                let words = format!("the database is not empty: there is something in {table}");
                return Err(StoreError::Conflict(words));
            }
            sqlx::query(AssertSqlSafe(format!("DELETE FROM {table}"))).execute(&mut *tx).await?;
        }
        fill(&mut tx, from, &tables, &held).await?;
        let restored = self.settle(&mut tx, held, &tables, owes).await?;
        super::commit(tx).await?;
        Ok(restored)
    }

    /// Makes of what the backup held what holds now.
    async fn settle(
        &self,
        tx: &mut Transaction,
        held: Held,
        tables: &[Table],
        owes: Owes<'_>,
    ) -> Result<Restored> {
        let now = self.now();
        sqlx::query(
            "UPDATE counters SET value = value + $1 WHERE name IN
               ('episode', 'incident', 'decision', 'run', 'outbox', 'window', 'change', 'trust', 'glass')",
        )
        .bind(BEYOND)
        .execute(&mut **tx)
        .await?;
        let words = format!(
            "not sent: quell was restored from a backup of {}, and it may have been sent since",
            held.made_at.strftime("%Y-%m-%d %H:%M:%S UTC")
        );
        let notices = sqlx::query(
            "UPDATE outbox SET state = 'dead', error = $1, ended_at = $2, due_at = $3, leased = 0
             WHERE state = 'pending'",
        )
        .bind(words.as_str())
        .bind(micros(now))
        .bind(NEVER)
        .execute(&mut **tx)
        .await?
        .rows_affected();
        let runs = end_runs(tx, held.made_at, now, owes).await?;
        let at = micros(now);
        for (table, sql) in [
            ("episodes", "UPDATE episodes SET leased = 0, attempt = attempt + 1, due_at = $1 WHERE is_open = 1 OR leased = 1"),
            // people get the time for an acknowledgement once more
            (
                "incidents",
                "UPDATE incidents SET leased = 0, attempt = attempt + 1,
                   due_at = CASE WHEN due_at < $1 AND held_until = 0 THEN $2 + ack_within ELSE due_at END",
            ),
            // slots that passed since are left out: each may have run
            ("schedules", "UPDATE schedules SET cron = '', waits = 0, leased = 0, due_at = $1"),
            ("checks", "UPDATE checks SET due_at = $1"),
            ("glass", "UPDATE glass SET ended_at = $1, ended_by = 'restore' WHERE ended_at = 0"),
            ("duties", "UPDATE duties SET due_at = $1"),
            ("missing", "DELETE FROM missing WHERE since <= $1"),
        ] {
            if tables.iter().any(|it| it.table == table) {
                let query = sqlx::query(sql).bind(at);
                let query = if sql.contains("$2") { query.bind(at) } else { query };
                query.execute(&mut **tx).await?;
            }
        }
        let why = format!(
            "restored from a backup of {}: look at what happened since, then `quell resume`",
            held.made_at.strftime("%Y-%m-%d %H:%M:%S UTC")
        );
        sqlx::query(
            "INSERT INTO pauses (scope, by_whom, reason, at) VALUES ('all', 'restore', $1, $2)
             ON CONFLICT (scope) DO NOTHING",
        )
        .bind(why)
        .bind(at)
        .execute(&mut **tx)
        .await?;
        Ok(Restored { held, runs, notices, ids_skipped: BEYOND })
    }
}

async fn is_empty(tx: &mut Transaction, table: &str) -> Result<bool> {
    let sql = format!("SELECT 1 FROM {table} LIMIT 1");
    Ok(sqlx::query(AssertSqlSafe(sql)).fetch_optional(&mut **tx).await?.is_none())
}

/// Writes the rows of a backup.
async fn fill(
    tx: &mut Transaction,
    from: impl BufRead,
    tables: &[Table],
    held: &Held,
) -> Result<()> {
    let wrong =
        |error: Unusable| StoreError::Invalid(format!("the backup changed meanwhile: {error}"));
    let mut lines = Lines::new(from);
    lines.header().map_err(wrong)?;
    let mut into: Option<Table> = None;
    loop {
        let line = lines.next().map_err(wrong)?;
        if let Some(End { .. }) = read(&line) {
            return if hex(&lines.digest.finalize()) == held.sha256 {
                Ok(())
            } else {
                Err(StoreError::Invalid("the backup changed meanwhile".into()))
            };
        }
        lines.digest.update(line.as_bytes());
        if let Some(table) = read::<Table>(&line) {
            let known = tables.iter().find(|it| it.table == table.table);
            let known =
                known.is_some_and(|it| table.columns.iter().all(|name| it.columns.contains(name)));
            if !known {
                return Err(StoreError::Invalid(format!(
                    "the backup has a table {} that is not quell's",
                    table.table
                )));
            }
            into = Some(table);
            continue;
        }
        let (Some(table), Some(values)) = (&into, read::<Vec<Value>>(&line)) else {
            return Err(StoreError::Invalid(format!("line {} is no row", lines.number)));
        };
        insert(tx, table, &values).await?;
    }
}

async fn insert(tx: &mut Transaction, table: &Table, values: &[Value]) -> Result<()> {
    let mut bound = 0;
    let places: Vec<String> = values
        .iter()
        .map(|value| {
            if value.is_null() {
                return "NULL".to_owned();
            }
            bound += 1;
            format!("${bound}")
        })
        .collect();
    let Table { table, columns } = table;
    let sql =
        format!("INSERT INTO {table} ({}) VALUES ({})", columns.join(", "), places.join(", "));
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for value in values {
        query = match value {
            Value::Null => query,
            Value::String(text) => query.bind(text.as_str()),
            other => query.bind(other.as_i64().unwrap_or_default()),
        };
    }
    query.execute(&mut **tx).await?;
    Ok(())
}

/// Ends the runs that were at work, in their journals, with the notices that this owes.
async fn end_runs(
    tx: &mut Transaction,
    made_at: Timestamp,
    now: Timestamp,
    owes: Owes<'_>,
) -> Result<Vec<RunId>> {
    let rows =
        sqlx::query("SELECT id, incident, plan, head FROM runs WHERE is_final = 0 ORDER BY id")
            .fetch_all(&mut **tx)
            .await?;
    let mut ended = Vec::with_capacity(rows.len());
    for row in &rows {
        let run = RunId(row.try_get("id")?);
        let plan: Plan = json(row, "plan")?;
        let entries =
            sqlx::query("SELECT seq, at, body FROM run_events WHERE run = $1 ORDER BY seq")
                .bind(run.0)
                .fetch_all(&mut **tx)
                .await?;
        let entries = entries
            .iter()
            .map(|it| {
                Ok(Entry {
                    seq: it.try_get("seq")?,
                    at: instant(it, "at")?,
                    event: json(it, "body")?,
                })
            })
            .collect::<Result<Vec<Entry>>>()?;
        let illegal = |error: Box<machine::IllegalEvent>| StoreError::Corrupt(error.to_string());
        let state = machine::fold(&plan, &entries).map_err(illegal)?;
        let entry = Entry { seq: state.seq + 1, at: now, event: Event::Restored { made_at } };
        let state = machine::apply(&plan, state, &entry).map_err(illegal)?;
        let head: String = row.try_get("head")?;
        let (body, head) = chained(run, &head, &entry)?;
        sqlx::query(
            "UPDATE runs SET seq = seq + 1, head = $1, state = $2, is_final = 1, outcome = $3, inconclusive = 1,
               owner = '', attempt = attempt + 1, due_at = $4, ended_at = $5 WHERE id = $6",
        )
        .bind(head.as_str())
        .bind(state.summary().as_str())
        .bind(plain(&stepping::outcome(&plan, &state)))
        .bind(NEVER)
        .bind(micros(now))
        .bind(run.0)
        .execute(&mut **tx)
        .await?;
        write_event(tx, run, &entry, &body, &head).await?;
        let incident = sqlx::query("SELECT * FROM incidents WHERE id = $1")
            .bind(row.try_get::<i64, _>("incident")?)
            .fetch_optional(&mut **tx)
            .await?;
        if let Some(incident) = incident {
            let incident = super::incidents::incident(&incident)?;
            owe(tx, owes(&incident, run, &plan, &state), now).await?;
        }
        ended.push(run);
    }
    Ok(ended)
}
