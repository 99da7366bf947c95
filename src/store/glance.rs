//! Tables that guards judge by and that hold nothing most of the time: one statement says which of them hold anything, and only
//! those are read.

use jiff::Timestamp;
use sqlx::Row as _;

use crate::model::change::Changed;
use crate::model::decision::Jump;
use crate::model::decision::Pause;
use crate::model::decision::Runs;
use crate::model::decision::Trip;
use crate::model::decision::Version;
use crate::model::glass::Broken;
use crate::model::incident::IncidentId;
use crate::model::window::OneOff;
use crate::store::Result;
use crate::store::Store;
use crate::store::audit::findings::Open;
use crate::store::credentials::Denial;
use crate::store::flag;

/// Whether each of these holds anything, and what version the facts have.
const GLANCE: &str = "SELECT (SELECT version FROM scopes WHERE name = 'runs') AS runs,
  (SELECT version FROM scopes WHERE name = 'facts') AS others,
  (SELECT value FROM counters WHERE name = 'era') AS era,
  (SELECT COUNT(*) FROM (SELECT 1 FROM pauses LIMIT 1) t) AS pauses,
  (SELECT COUNT(*) FROM (SELECT 1 FROM windows LIMIT 1) t) AS windows,
  (SELECT COUNT(*) FROM (SELECT 1 FROM changes LIMIT 1) t) AS changes,
  (SELECT COUNT(*) FROM (SELECT 1 FROM jumps LIMIT 1) t) AS jumps,
  (SELECT COUNT(*) FROM (SELECT 1 FROM trips LIMIT 1) t) AS trips,
  (SELECT COUNT(*) FROM (SELECT 1 FROM denied WHERE cleared_at = 0 LIMIT 1) t) AS denied,
  (SELECT COUNT(*) FROM (SELECT 1 FROM glass WHERE over = 0 AND ended_at = 0 LIMIT 1) t) AS glass,
  (SELECT COUNT(*) FROM (SELECT 1 FROM audit_findings WHERE accepted_at = 0 LIMIT 1) t) AS findings";

/// As the statement names what it looks at.
const TABLES: [&str; 8] =
    ["pauses", "windows", "changes", "jumps", "trips", "denied", "glass", "findings"];

/// What a look at those tables found, to be asked for what is in them. What comes later it does not see.
#[derive(Debug)]
pub struct Glance<'a> {
    store: &'a Store,
    /// Of the facts, when it was looked.
    pub version: Version,
    pub(super) era: i64,
    /// The names of those that hold anything.
    filled: Vec<&'static str>,
}

impl Store {
    /// Looks which of the tables hold anything.
    pub async fn glance(&self) -> Result<Glance<'_>> {
        let row = sqlx::query(GLANCE).fetch_one(&self.reader).await?;
        let version = Version { runs: row.try_get("runs")?, others: row.try_get("others")? };
        let mut filled = Vec::new();
        for table in TABLES {
            if flag(&row, table)? {
                filled.push(table);
            }
        }
        Ok(Glance { store: self, version, era: row.try_get("era")?, filled })
    }
}

impl Glance<'_> {
    fn is_filled(&self, table: &str) -> bool {
        self.filled.contains(&table)
    }

    /// As [`Store::past`].
    pub async fn past(&self, from: Timestamp, incident: IncidentId) -> Result<(Version, Runs)> {
        self.store.past_at((self.version, self.era), from, incident).await
    }

    /// As [`Store::pauses`].
    pub async fn pauses(&self) -> Result<Vec<Pause>> {
        if self.is_filled("pauses") { self.store.pauses().await } else { Ok(Vec::new()) }
    }

    /// As [`Store::windows`].
    pub async fn windows(&self) -> Result<Vec<OneOff>> {
        if self.is_filled("windows") { self.store.windows().await } else { Ok(Vec::new()) }
    }

    /// As [`Store::changes_since`].
    pub async fn changes_since(&self, from: Timestamp) -> Result<Vec<Changed>> {
        if self.is_filled("changes") {
            self.store.changes_since(from).await
        } else {
            Ok(Vec::new())
        }
    }

    /// As [`Store::jumps`].
    pub async fn jumps(&self, since: Timestamp) -> Result<Vec<Jump>> {
        if self.is_filled("jumps") { self.store.jumps(since).await } else { Ok(Vec::new()) }
    }

    /// As [`Store::trip`].
    pub async fn trip(&self, scope: &str) -> Result<Option<Trip>> {
        if self.is_filled("trips") { self.store.trip(scope).await } else { Ok(None) }
    }

    /// As [`Store::denied`].
    pub async fn denied(&self) -> Result<Vec<Denial>> {
        if self.is_filled("denied") { self.store.denied().await } else { Ok(Vec::new()) }
    }

    /// As [`Store::glass_in_force`].
    pub async fn glass_in_force(&self) -> Result<Vec<Broken>> {
        if self.is_filled("glass") { self.store.glass_in_force().await } else { Ok(Vec::new()) }
    }

    /// As [`Store::open_findings`].
    pub async fn open_findings(&self) -> Result<Vec<Open>> {
        if self.is_filled("findings") { self.store.open_findings().await } else { Ok(Vec::new()) }
    }
}
