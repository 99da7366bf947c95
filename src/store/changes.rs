//! Changes that people told of. Facts are those of a short while; all are kept for a month.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::model::change::Changed;
use crate::model::time::before;
use crate::store::Result;
use crate::store::Store;
use crate::store::commit;
use crate::store::micros;
use crate::store::moved_instant;
use crate::store::next_ids;
use crate::store::plain;
use crate::store::text;

/// A change is forgotten after this time.
const KEPT: Duration = Duration::from_hours(24 * 30);

impl Store {
    /// Keeps a change.
    pub async fn add_change(&self, change: &Changed) -> Result<()> {
        let mut tx = self.begin().await?;
        let id = next_ids(&mut tx, "change", 1).await?;
        sqlx::query("DELETE FROM changes WHERE at < $1")
            .bind(micros(before(self.now(), KEPT)))
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "INSERT INTO changes (id, target, by_whom, reason, at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(id)
        .bind(plain(&change.target))
        .bind(plain(&change.by))
        .bind(plain(&change.reason))
        .bind(micros(change.at))
        .execute(&mut *tx)
        .await?;
        commit(tx).await
    }

    /// Changes from `from` on, in order.
    pub async fn changes_since(&self, from: Timestamp) -> Result<Vec<Changed>> {
        let rows = sqlx::query("SELECT * FROM changes WHERE at + moved >= $1 ORDER BY id")
            .bind(micros(from))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(changed).collect()
    }

    /// The newest first.
    pub async fn changes(&self, limit: u32) -> Result<Vec<Changed>> {
        let rows = sqlx::query("SELECT * FROM changes ORDER BY id DESC LIMIT $1")
            .bind(i64::from(limit))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(changed).collect()
    }
}

fn changed(row: &AnyRow) -> Result<Changed> {
    Ok(Changed {
        target: text(row, "target")?,
        by: text(row, "by_whom")?,
        reason: text(row, "reason")?,
        at: moved_instant(row, "at")?,
    })
}
