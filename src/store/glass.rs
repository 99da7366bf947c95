//! Break-glass: kept for ever, told when it begins and when it ends (G11).

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::model::glass::Broken;
use crate::model::incident::Incident;
use crate::model::incident::IncidentId;
use crate::model::incident::Owed;
use crate::store::NEVER;
use crate::store::Result;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::commit;
use crate::store::hands::judged_again;
use crate::store::incidents::insert_incident;
use crate::store::instant_or_none;
use crate::store::micros;
use crate::store::moved_instant;
use crate::store::next_ids;
use crate::store::outbox::owe;
use crate::store::plain;
use crate::store::text;

impl Store {
    /// Breaks the glass: `make` gives it an incident, by which people are told, and what is owed at once. What waits for
    /// approval or for a window is due now.
    pub async fn break_glass(
        &self,
        new: &Broken,
        make: impl FnOnce(&Broken) -> (Incident, Vec<Owed>),
    ) -> Result<Broken> {
        let now = self.now();
        let mut tx = self.begin().await?;
        judged_again(&mut tx).await?;
        let id = next_ids(&mut tx, "glass", 1).await?;
        let incident = IncidentId(next_ids(&mut tx, "incident", 1).await?);
        let broken = Broken { id, incident, ..new.clone() };
        let (told, owed) = make(&broken);
        insert_incident(&mut tx, &Incident { id: incident, ..told }, None, NEVER).await?;
        sqlx::query(
            "INSERT INTO glass (id, scope, by_whom, reason, at, until_at, incident)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(id)
        .bind(plain(&broken.scope))
        .bind(plain(&broken.by))
        .bind(plain(&broken.reason))
        .bind(micros(broken.at))
        .bind(micros(broken.until))
        .bind(incident.0)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "UPDATE runs SET due_at = $1, attempt = attempt + 1
             WHERE is_final = 0 AND state = 'awaiting approval'",
        )
        .bind(micros(now))
        .execute(&mut *tx)
        .await?;
        sqlx::query("UPDATE episodes SET due_at = $1, attempt = attempt + 1 WHERE is_open = 1")
            .bind(micros(now))
            .execute(&mut *tx)
            .await?;
        owe(&mut tx, owed, now).await?;
        commit(tx).await?;
        Ok(broken)
    }

    /// The newest first.
    pub async fn glass(&self, limit: u32) -> Result<Vec<Broken>> {
        let rows = sqlx::query("SELECT * FROM glass ORDER BY id DESC LIMIT $1")
            .bind(i64::from(limit))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(broken).collect()
    }

    /// What is in force now.
    pub async fn glass_in_force(&self) -> Result<Vec<Broken>> {
        let rows = sqlx::query(
            "SELECT * FROM glass WHERE over = 0 AND ended_at = 0 AND until_at + moved > $1 ORDER BY id",
        )
        .bind(micros(self.now()))
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(broken).collect()
    }

    /// What has ended and was not told yet.
    pub async fn glass_to_end(&self) -> Result<Vec<Broken>> {
        let rows = sqlx::query(
            "SELECT * FROM glass WHERE over = 0 AND (ended_at <> 0 OR until_at + moved <= $1) ORDER BY id",
        )
        .bind(micros(self.now()))
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(broken).collect()
    }

    /// Ends it before its time. What is judged at this moment is judged again.
    pub async fn revoke_glass(&self, id: i64, by: &str) -> Result<Broken> {
        let now = self.now();
        let mut tx = self.begin().await?;
        judged_again(&mut tx).await?;
        let row = sqlx::query(
            "UPDATE glass SET ended_at = $1, ended_by = $2
             WHERE id = $3 AND ended_at = 0 AND until_at + moved > $4 RETURNING *",
        )
        .bind(micros(now))
        .bind(plain(by))
        .bind(id)
        .bind(micros(now))
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(row) = row {
            commit(tx).await?;
            return broken(&row);
        }
        let row = sqlx::query("SELECT * FROM glass WHERE id = $1")
            .bind(id)
            .fetch_optional(&mut *tx)
            .await?;
        Err(match row.as_ref().map(broken).transpose()? {
            None => StoreError::Missing(format!("there is no break-glass {id}")),
            Some(it) => {
                let ended: Timestamp = it.ended_at.unwrap_or(it.until);
                StoreError::Conflict(format!("break-glass {id} is over since {ended:.0}"))
            }
        })
    }

    /// Tells that it has ended, once over all replicas, and resolves its incident; says whether this call did it.
    pub async fn end_glass(&self, ended: &Broken, owed: Vec<Owed>) -> Result<bool> {
        let now = self.now();
        let mut tx = self.begin().await?;
        let done = sqlx::query("UPDATE glass SET over = 1 WHERE id = $1 AND over = 0")
            .bind(ended.id)
            .execute(&mut *tx)
            .await?;
        let first = done.rows_affected() == 1;
        if first {
            sqlx::query(
                "UPDATE incidents SET status = 'resolved', resolved_at = $1, due_at = $2 WHERE id = $3",
            )
            .bind(micros(now))
            .bind(NEVER)
            .bind(ended.incident.0)
            .execute(&mut *tx)
            .await?;
            owe(&mut tx, owed, now).await?;
        }
        commit(tx).await?;
        Ok(first)
    }
}

fn broken(row: &AnyRow) -> Result<Broken> {
    Ok(Broken {
        id: row.try_get("id")?,
        scope: text(row, "scope")?,
        by: text(row, "by_whom")?,
        reason: text(row, "reason")?,
        at: moved_instant(row, "at")?,
        until: moved_instant(row, "until_at")?,
        incident: IncidentId(row.try_get("incident")?),
        ended_at: instant_or_none(row, "ended_at")?,
        ended_by: text(row, "ended_by")?,
    })
}
