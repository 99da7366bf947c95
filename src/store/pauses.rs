//! The kill switch as stored: what is paused, by whom and why. Only a person clears it.

use crate::model::decision::Pause;
use crate::store::Result;
use crate::store::Store;
use crate::store::instant;
use crate::store::micros;
use crate::store::text;

impl Store {
    /// Pauses a scope; a scope that is paused already stays as it is.
    pub async fn pause(&self, scope: &str, by: &str, reason: &str) -> Result<bool> {
        let done = sqlx::query(
            "INSERT INTO pauses (scope, by_whom, reason, at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (scope) DO NOTHING",
        )
        .bind(scope)
        .bind(by)
        .bind(reason)
        .bind(micros(self.now()))
        .execute(&self.writer)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Clears a pause; says whether there was one.
    pub async fn resume(&self, scope: &str) -> Result<bool> {
        let done = sqlx::query("DELETE FROM pauses WHERE scope = $1")
            .bind(scope)
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Pauses in force.
    pub async fn pauses(&self) -> Result<Vec<Pause>> {
        let rows = sqlx::query("SELECT scope, by_whom, reason, at FROM pauses ORDER BY scope")
            .fetch_all(&self.reader)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Pause {
                    scope: text(row, "scope")?,
                    by: text(row, "by_whom")?,
                    reason: text(row, "reason")?,
                    at: instant(row, "at")?,
                })
            })
            .collect()
    }
}
