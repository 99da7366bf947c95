//! Checks: when each is due, and its streak. One cron slot is claimed once, over all replicas.

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::model::run::Health;
use crate::store::Result;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::flag;
use crate::store::instant;
use crate::store::micros;
use crate::store::number;
use crate::store::plain;
use crate::store::text;

/// A check as stored.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CheckState {
    /// Its name.
    pub name: String,
    /// Its next slot.
    pub due_at: Timestamp,
    /// What it saw last; unknown before the first time.
    pub health: Health,
    /// How often in a row.
    pub streak: u32,
    /// Whether its alert fires.
    pub firing: bool,
    /// Whether its own "cannot see" alert fires.
    pub blind: bool,
    /// What was measured last.
    pub measured: String,
    /// When it was seen.
    pub at: Timestamp,
    /// Fences what is written back.
    #[serde(skip)]
    pub attempt: i64,
}

impl Store {
    /// Makes sure that a check is known, with its first slot.
    pub async fn know_check(&self, name: &str, first: Timestamp) -> Result<()> {
        sqlx::query(
            "INSERT INTO checks (name, due_at, attempt, health, streak, is_firing, is_blind, measured, at)
             VALUES ($1, $2, 0, 'unknown', 0, 0, 0, '', $3) ON CONFLICT (name) DO NOTHING",
        )
        .bind(name)
        .bind(micros(first))
        .bind(micros(self.now()))
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// Claims the slot of a check that is due; the next slot is `next`. `None` when another replica has it.
    pub async fn claim_check(&self, name: &str, next: Timestamp) -> Result<Option<CheckState>> {
        let (now, era) = self.now_and_era();
        let row = sqlx::query(
            "UPDATE checks SET due_at = $1, attempt = attempt + 1 WHERE name = $2 AND due_at <= $3
               AND (SELECT value FROM counters WHERE name = 'era') = $4 RETURNING *",
        )
        .bind(micros(next))
        .bind(name)
        .bind(micros(now))
        .bind(era)
        .fetch_optional(&self.writer)
        .await?;
        row.as_ref().map(check).transpose()
    }

    /// Moves a check's next slot: its schedule was changed.
    pub async fn reschedule_check(&self, name: &str, next: Timestamp) -> Result<()> {
        sqlx::query("UPDATE checks SET due_at = $1 WHERE name = $2 AND due_at > $3")
            .bind(micros(next))
            .bind(name)
            .bind(micros(next))
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// Writes what a claimed check saw.
    pub async fn check_seen(&self, state: &CheckState) -> Result<()> {
        sqlx::query(
            "UPDATE checks SET health = $1, streak = $2, is_firing = $3, is_blind = $4, measured = $5, at = $6
             WHERE name = $7 AND attempt = $8",
        )
        .bind(state.health.as_str())
        .bind(i64::from(state.streak))
        .bind(i64::from(state.firing))
        .bind(i64::from(state.blind))
        .bind(plain(&state.measured))
        .bind(micros(state.at))
        .bind(state.name.as_str())
        .bind(state.attempt)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// All checks that were ever known, by name.
    pub async fn checks(&self) -> Result<Vec<CheckState>> {
        let rows =
            sqlx::query("SELECT * FROM checks ORDER BY name").fetch_all(&self.reader).await?;
        rows.iter().map(check).collect()
    }
}

fn check(row: &AnyRow) -> Result<CheckState> {
    let health = match text(row, "health")?.as_str() {
        "healthy" => Health::Healthy,
        "unhealthy" => Health::Unhealthy,
        "unknown" => Health::Unknown,
        other => return Err(StoreError::Corrupt(format!("check health `{other}`"))),
    };
    Ok(CheckState {
        name: text(row, "name")?,
        due_at: instant(row, "due_at")?,
        health,
        streak: number(row, "streak")?,
        firing: flag(row, "is_firing")?,
        blind: flag(row, "is_blind")?,
        measured: text(row, "measured")?,
        at: instant(row, "at")?,
        attempt: row.try_get("attempt")?,
    })
}
