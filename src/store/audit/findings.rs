//! What is wrong with the audit, kept until it verifies again or a person accepts it.

use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::store::Result;
use crate::store::Store;
use crate::store::audit::Broken;
use crate::store::commit;
use crate::store::instant;
use crate::store::micros;
use crate::store::plain;
use crate::store::text;

/// The place of what the anchor says against the log, which no way through the log sees.
pub const ANCHOR: &str = "the anchor";

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Finding {
    /// The record, leaf or checkpoint.
    pub place: String,
    /// What is wrong with it.
    pub what: String,
}

impl Finding {
    pub(super) fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into() }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

impl From<&Broken> for Finding {
    fn from(broken: &Broken) -> Self {
        Self::new(format!("{} entry {}", broken.run, broken.seq), broken.what.clone())
    }
}

/// A finding that nobody has accepted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Open {
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
    /// When first.
    pub since: Timestamp,
}

impl Store {
    /// Keeps findings; those that are known, or were accepted, stay as they are.
    pub async fn note_findings(&self, findings: &[Finding]) -> Result<()> {
        if findings.is_empty() {
            return Ok(());
        }
        let now = micros(self.now());
        let mut tx = self.begin().await?;
        for Finding { place, what } in findings {
            sqlx::query(
                "INSERT INTO audit_findings (place, what, since, seen_at) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (place, what) DO UPDATE SET seen_at = excluded.seen_at",
            )
            .bind(plain(place))
            .bind(plain(what))
            .bind(now)
            .bind(now)
            .execute(&mut *tx)
            .await?;
        }
        commit(tx).await
    }

    /// Everything in the database was checked since then: what was not seen again is mended, accepted or not.
    pub async fn mend_findings(&self, since: Timestamp) -> Result<()> {
        sqlx::query("DELETE FROM audit_findings WHERE seen_at < $1 AND place <> $2")
            .bind(micros(since))
            .bind(ANCHOR)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// What was wrong in this place is mended.
    pub async fn mend_finding(&self, place: &str) -> Result<()> {
        sqlx::query("DELETE FROM audit_findings WHERE place = $1")
            .bind(place)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// What is wrong and was not accepted, in the order in which it was found.
    pub async fn open_findings(&self) -> Result<Vec<Open>> {
        let rows = sqlx::query(
            "SELECT place, what, since FROM audit_findings WHERE accepted_at = 0 ORDER BY since, place, what",
        )
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(open).collect()
    }

    /// A person has seen what is wrong now, and answers for going on; returns how many findings that were.
    pub async fn accept_findings(&self, by: &str) -> Result<u64> {
        let done = sqlx::query(
            "UPDATE audit_findings SET accepted_by = $1, accepted_at = $2 WHERE accepted_at = 0",
        )
        .bind(plain(by))
        .bind(micros(self.now()))
        .execute(&self.writer)
        .await?;
        Ok(done.rows_affected())
    }
}

fn open(row: &AnyRow) -> Result<Open> {
    Ok(Open {
        finding: Finding::new(text(row, "place")?, text(row, "what")?),
        since: instant(row, "since")?,
    })
}
