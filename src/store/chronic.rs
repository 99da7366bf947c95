//! What was fixed, how long it took, and what was told of that (G18).

use std::time::Duration;

use jiff::Timestamp;

use crate::decide::chronic::Fix;
use crate::model::time::before;
use crate::model::time::since;
use crate::store::Result;
use crate::store::Store;
use crate::store::instant;
use crate::store::instant_or_none;
use crate::store::micros;
use crate::store::plain;
use crate::store::text;

/// Something that was fixed too often, as it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChronicRow {
    /// The rule.
    pub rule: String,
    /// The target.
    pub target: String,
    /// How often, and in what time.
    pub summary: String,
    /// When it was told.
    pub told_at: Timestamp,
    /// When it was over.
    pub over_at: Option<Timestamp>,
}

impl Store {
    /// Runs that were verified to help after `from`.
    pub async fn fixes(&self, from: Timestamp) -> Result<Vec<Fix>> {
        let rows = sqlx::query(
            "SELECT r.rule, r.target, r.ended_at, e.opened_at FROM runs r JOIN episodes e ON e.id = r.episode
             WHERE r.state = 'fixed' AND r.ended_at > $1 AND r.remedy > 0 ORDER BY r.ended_at",
        )
        .bind(micros(from))
        .fetch_all(&self.reader)
        .await?;
        rows.iter()
            .map(|row| {
                let at = instant(row, "ended_at")?;
                Ok(Fix {
                    rule: text(row, "rule")?,
                    target: text(row, "target")?,
                    took: since(at, instant(row, "opened_at")?),
                    at,
                })
            })
            .collect()
    }

    /// Notes that something is chronic, once in `per`: what was told within that time stays as it was told.
    pub async fn note_chronic(
        &self,
        rule: &str,
        target: &str,
        summary: &str,
        per: Duration,
    ) -> Result<()> {
        let now = self.now();
        sqlx::query(
            "INSERT INTO chronic (rule, target, summary, told_at, over_at) VALUES ($1, $2, $3, $4, 0)
             ON CONFLICT (rule, target) DO UPDATE
               SET summary = excluded.summary, told_at = excluded.told_at, over_at = 0
             WHERE chronic.over_at <> 0 AND chronic.told_at <= $5",
        )
        .bind(rule)
        .bind(plain(target))
        .bind(plain(summary))
        .bind(micros(now))
        .bind(micros(before(now, per)))
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// It is no longer chronic.
    pub async fn end_chronic(&self, rule: &str, target: &str) -> Result<()> {
        sqlx::query(
            "UPDATE chronic SET over_at = $1 WHERE rule = $2 AND target = $3 AND over_at = 0",
        )
        .bind(micros(self.now()))
        .bind(rule)
        .bind(target)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// All that was ever told to be chronic.
    pub async fn chronic(&self) -> Result<Vec<ChronicRow>> {
        let rows = sqlx::query("SELECT * FROM chronic ORDER BY rule, target")
            .fetch_all(&self.reader)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(ChronicRow {
                    rule: text(row, "rule")?,
                    target: text(row, "target")?,
                    summary: text(row, "summary")?,
                    told_at: instant(row, "told_at")?,
                    over_at: instant_or_none(row, "over_at")?,
                })
            })
            .collect()
    }

    /// Writes, so that the store is known to take what is written.
    pub async fn beat(&self) -> Result<()> {
        sqlx::query("UPDATE counters SET value = value + 1 WHERE name = 'heartbeat'")
            .execute(&self.writer)
            .await?;
        Ok(())
    }
}
