//! Reads the journals back and checks each run's hash chain; and the log that all records are leaves of.

pub mod findings;
pub mod key;
pub(in crate::store) mod prune;
pub mod read;
mod records;
pub mod seal;
pub mod verify;

use sqlx::Row as _;

use crate::model::incident::RunId;
use crate::model::run::Event;
use crate::store::Result;
use crate::store::Store;
use crate::store::runs::hex;
use crate::store::runs::link;
use crate::store::text;

use sha2::Digest as _;

/// A run whose journal is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Broken {
    /// The run.
    pub run: RunId,
    /// The first entry that does not fit, from 1; 0 is the plan.
    pub seq: i64,
    /// What does not fit.
    pub what: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { run, seq, what } = self;
        write!(f, "{run} entry {seq}: {what}")
    }
}

/// What an audit found.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Audit {
    /// Runs looked at.
    pub runs: u64,
    /// Events looked at.
    pub events: u64,
    /// Chains that are broken.
    pub broken: Vec<Broken>,
}

impl Store {
    /// Checks every run's chain, or that of one.
    pub async fn audit(&self, only: Option<RunId>) -> Result<Audit> {
        let mut audit = Audit::default();
        let mut after = 0_i64;
        loop {
            let rows = sqlx::query(
                "SELECT id, plan, digest, seq FROM runs
                 WHERE id > $1 AND ($2 = 0 OR id = $3) ORDER BY id LIMIT 200",
            )
            .bind(after)
            .bind(only.map_or(0, |id| id.0))
            .bind(only.map_or(0, |id| id.0))
            .fetch_all(&self.reader)
            .await?;
            for row in &rows {
                after = row.try_get("id")?;
                let run = RunId(after);
                audit.runs += 1;
                let digest = hex(&sha2::Sha256::digest(text(row, "plan")?.as_bytes()));
                if digest != text(row, "digest")? || !self.is_planned(run, &digest).await? {
                    let what = "the plan is not the one that was approved".to_owned();
                    audit.broken.push(Broken { run, seq: 0, what });
                }
                let seq = row.try_get("seq")?;
                if let Some(broken) = self.audit_run(run, seq, &mut audit.events).await? {
                    audit.broken.push(broken);
                }
            }
            if rows.is_empty() {
                return Ok(audit);
            }
        }
    }

    /// Whether the first entry of the journal names the plan of this digest; one that is missing or changed is found elsewhere.
    async fn is_planned(&self, run: RunId, digest: &str) -> Result<bool> {
        let row = sqlx::query("SELECT body FROM run_events WHERE run = $1 AND seq = 1")
            .bind(run.0)
            .fetch_optional(&self.reader)
            .await?;
        let Some(row) = row else { return Ok(true) };
        Ok(match serde_json::from_str(&text(&row, "body")?) {
            Ok(Event::Planned { digest: planned }) => planned == digest,
            Ok(_) | Err(_) => true,
        })
    }

    async fn audit_run(&self, run: RunId, seq: i64, events: &mut u64) -> Result<Option<Broken>> {
        // in one statement, so that the journal and its end are of one moment: the run may be at work
        let rows = sqlx::query(
            "SELECT e.seq AS seq, e.at AS at, e.body AS body, e.hash AS hash, r.seq AS last, r.head AS head
             FROM run_events e JOIN runs r ON r.id = e.run WHERE e.run = $1 ORDER BY e.seq",
        )
        .bind(run.0)
        .fetch_all(&self.reader)
        .await?;
        let (seq, head) = match rows.first() {
            Some(row) => (row.try_get("last")?, text(row, "head")?),
            None => (seq, String::new()),
        };
        let broken = |seq, what: &str| Ok(Some(Broken { run, seq, what: what.to_owned() }));
        let (mut expected, mut so_far) = (1, String::new());
        for row in &rows {
            *events += 1;
            let (found, at): (i64, i64) = (row.try_get("seq")?, row.try_get("at")?);
            if found != expected {
                return broken(expected, "an entry is missing");
            }
            let hash = link(&so_far, run, found, at, &text(row, "body")?);
            if hash != text(row, "hash")? {
                return broken(found, "the entry was changed");
            }
            (expected, so_far) = (found + 1, hash);
        }
        if expected - 1 < seq {
            return broken(expected, "the end of the journal is missing");
        }
        if so_far != head || expected - 1 != seq {
            return broken(seq, "the journal does not end as the run says");
        }
        Ok(None)
    }
}
