//! Lets go of what ended long ago, a few incidents at a time, so that nobody waits for it.
//!
//! An incident goes whole: with its episodes, decisions, runs, journals and notices, and only when all of them ended before.
//! Before it goes it may be archived, in the same transaction: what is gone from the database is in the archive.

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;
use sqlx::AssertSqlSafe;
use sqlx::Column as _;
use sqlx::Row as _;

use crate::store::Result;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::Transaction;
use crate::store::audit::prune::prune_log;
use crate::store::backup;
use crate::store::commit;
use crate::store::episodes::lock_episodes;
use crate::store::facts::facts_changed;
use crate::store::micros;

/// Rows of one small table that go at once.
const ROWS: i64 = 500;

/// Keeps lines elsewhere, on disk when it returns.
pub type Archive<'a> = &'a (dyn Fn(&[u8]) -> std::io::Result<()> + Send + Sync);

/// How much went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Incidents, each with all that belongs to it.
    pub incidents: u64,
    /// Episodes.
    pub episodes: u64,
    /// Runs, each with its journal.
    pub runs: u64,
    /// Everything else, in rows.
    pub rows: u64,
    /// Leaves of the beginning of the audit's log.
    pub leaves: u64,
}

impl Pruned {
    /// Whether anything went: there may be more.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }

    /// Both together.
    pub fn add(&mut self, more: Self) {
        self.incidents += more.incidents;
        self.episodes += more.episodes;
        self.runs += more.runs;
        self.rows += more.rows;
        self.leaves += more.leaves;
    }
}

/// One batch: what it archives before it commits.
struct Batch {
    lines: Vec<u8>,
    archives: bool,
    pruned: Pruned,
}

/// What belongs to an incident besides its episodes: children before what they belong to.
const OF_INCIDENT: [(&str, &str); 6] = [
    ("run_events", "run IN (SELECT id FROM runs WHERE incident = $1)"),
    ("runs", "incident = $1"),
    ("outbox", "incident = $1"),
    ("updates", "incident = $1"),
    ("incident_episodes", "incident = $1"),
    ("incidents", "id = $1"),
];

/// What belongs to an episode.
const OF_EPISODE: [(&str, &str); 5] = [
    ("decisions", "episode = $1"),
    ("evidence", "episode = $1"),
    ("missing", "episode = $1"),
    ("troubles", "episode = $1"),
    ("episodes", "id = $1"),
];

/// Tables of which single rows grow old: which of them, and by which column they are known.
const ALONE: [(&str, &str, &str); 5] = [
    ("used_links", "digest", "at < $1"),
    ("changes", "id", "at < $1"),
    (
        "trust",
        "id",
        "at < $1 AND id NOT IN (SELECT MAX(id) FROM trust GROUP BY rule)
           AND logged BETWEEN 1 AND (SELECT pruned FROM log)",
    ),
    ("chronic", "told_at", "over_at <> 0 AND over_at < $1"),
    ("denied", "at", "cleared_at <> 0 AND cleared_at < $1"),
];

impl Store {
    /// Lets go of up to `most` incidents that ended before then, and of what else is as old. What it returns is on its way out
    /// only once it returns.
    pub async fn prune(
        &self,
        before: Timestamp,
        most: u32,
        archive: Option<Archive<'_>>,
    ) -> Result<Pruned> {
        let old = micros(before);
        let mut tx = self.begin().await?;
        let (gone, leaves) = prune_log(&mut tx, old).await?;
        // in the order of `append` and intake: an episode must not open again while it goes
        facts_changed(&mut tx).await?;
        lock_episodes(&mut tx).await?;
        let mut batch =
            Batch { lines: Vec::new(), archives: archive.is_some(), pruned: Pruned::default() };
        batch.pruned.leaves = leaves;
        for id in ids(&mut tx, ENDED, old, gone, most.into()).await? {
            batch.incident(&mut tx, id).await?;
        }
        let alone = i64::from(most).saturating_mul(4);
        for id in ids(&mut tx, UNTAKEN, old, gone, alone).await? {
            batch.episode(&mut tx, id).await?;
        }
        for (table, key, which) in ALONE {
            let which = format!(
                "{key} IN (SELECT {key} FROM {table} WHERE {which} LIMIT {ROWS}) AND {which}"
            );
            batch.pruned.rows += batch.go(&mut tx, table, &which, old).await?;
        }
        if !batch.pruned.any() {
            // dropped, it is rolled back
            return Ok(batch.pruned);
        }
        if let Some(archive) = archive {
            archive(&batch.lines).map_err(|error| {
                StoreError::Conflict(format!("the archive could not be written: {error}"))
            })?;
        }
        commit(tx).await?;
        Ok(batch.pruned)
    }
}

/// Incidents that are over with all that belongs to them, behind the `$2` leaves of the log that are gone.
const ENDED: &str = "SELECT i.id AS id FROM incidents i
     WHERE i.status = 'resolved' AND i.resolved_at > 0 AND i.resolved_at < $1
       AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.incident = i.id AND (r.is_final = 0 OR r.ended_at >= $1))
       AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.incident = i.id AND (o.state = 'pending' OR o.ended_at >= $1))
       AND NOT EXISTS (SELECT 1 FROM incident_episodes x JOIN episodes e ON e.id = x.episode
         WHERE x.incident = i.id AND (e.is_open = 1 OR e.seen_at >= $1 OR e.ended_at >= $1))
       AND NOT EXISTS (SELECT 1 FROM glass g WHERE g.incident = i.id AND g.over = 0)
       AND NOT EXISTS (SELECT 1 FROM runs r JOIN run_events v ON v.run = r.id
         WHERE r.incident = i.id AND (v.logged = 0 OR v.logged > $2))
       AND NOT EXISTS (SELECT 1 FROM incident_episodes x JOIN decisions d ON d.episode = x.episode
         WHERE x.incident = i.id AND (d.logged = 0 OR d.logged > $2))
     ORDER BY i.resolved_at, i.id LIMIT $3";

/// Closed episodes of no incident.
const UNTAKEN: &str = "SELECT e.id AS id FROM episodes e
     WHERE e.is_open = 0 AND e.seen_at < $1 AND e.ended_at < $1
       AND NOT EXISTS (SELECT 1 FROM incident_episodes x WHERE x.episode = e.id)
       AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.episode = e.id)
       AND NOT EXISTS (SELECT 1 FROM decisions d WHERE d.episode = e.id AND (d.logged = 0 OR d.logged > $2))
     ORDER BY e.seen_at, e.id LIMIT $3";

async fn ids(
    tx: &mut Transaction,
    sql: &'static str,
    old: i64,
    gone: i64,
    most: i64,
) -> Result<Vec<i64>> {
    let query = sqlx::query_scalar(sql).bind(old).bind(gone).bind(most);
    Ok(query.fetch_all(&mut **tx).await?)
}

impl Batch {
    async fn incident(&mut self, tx: &mut Transaction, id: i64) -> Result<()> {
        // an episode of several incidents goes with the last of them
        let own = ids_of(
            tx,
            "SELECT x.episode AS id FROM incident_episodes x WHERE x.incident = $1 AND NOT EXISTS
               (SELECT 1 FROM incident_episodes o WHERE o.episode = x.episode AND o.incident <> x.incident)",
            id,
        )
        .await?;
        for (table, which) in OF_INCIDENT {
            let gone = self.go(tx, table, which, id).await?;
            match table {
                "incidents" => self.pruned.incidents += gone,
                "runs" => self.pruned.runs += gone,
                _ => self.pruned.rows += gone,
            }
        }
        for episode in own {
            self.episode(tx, episode).await?;
        }
        Ok(())
    }

    async fn episode(&mut self, tx: &mut Transaction, id: i64) -> Result<()> {
        for (table, which) in OF_EPISODE {
            let gone = self.go(tx, table, which, id).await?;
            if table == "episodes" {
                self.pruned.episodes += gone;
            } else {
                self.pruned.rows += gone;
            }
        }
        Ok(())
    }

    /// Lets rows go, which are archived first.
    async fn go(
        &mut self,
        tx: &mut Transaction,
        table: &str,
        which: &str,
        bound: i64,
    ) -> Result<u64> {
        if self.archives {
            let sql = format!("SELECT * FROM {table} WHERE {which}");
            let rows = sqlx::query(AssertSqlSafe(sql)).bind(bound).fetch_all(&mut **tx).await?;
            for row in &rows {
                let names = row.columns().iter().map(|it| it.name().to_owned());
                let row: serde_json::Map<String, Value> = names.zip(backup::values(row)?).collect();
                let line = super::to_json(&json!({ "table": table, "row": row }))?;
                self.lines.extend_from_slice(line.as_bytes());
                self.lines.push(b'\n');
            }
        }
        let sql = format!("DELETE FROM {table} WHERE {which}");
        let done = sqlx::query(AssertSqlSafe(sql)).bind(bound).execute(&mut **tx).await?;
        Ok(done.rows_affected())
    }
}

async fn ids_of(tx: &mut Transaction, sql: &'static str, id: i64) -> Result<Vec<i64>> {
    Ok(sqlx::query_scalar(sql).bind(id).fetch_all(&mut **tx).await?)
}
