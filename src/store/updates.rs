//! Status updates of incidents: each is told once, over replicas and restarts, because its number is written with what it owes.

use jiff::Timestamp;
use sqlx::Row as _;

use crate::model::incident::Incident;
use crate::model::incident::Owed;
use crate::store::NEVER;
use crate::store::Result;
use crate::store::Store;
use crate::store::commit;
use crate::store::incidents::incident;
use crate::store::micros;
use crate::store::outbox::owe;

/// An incident whose update is due.
#[derive(Debug, Clone)]
pub struct DueUpdate {
    /// The incident.
    pub incident: Incident,
    /// How many were told; 0 is none yet.
    pub number: i64,
}

impl Store {
    /// Incidents whose next update is due: those that opened, whose time has come, that were given back, and that resolved.
    pub async fn due_updates(&self) -> Result<Vec<DueUpdate>> {
        let rows = sqlx::query(
            "SELECT i.*, COALESCE(u.number, 0) AS told FROM incidents i LEFT JOIN updates u ON u.incident = i.id
             WHERE i.status <> 'resolved'
               AND (u.incident IS NULL OR u.due_at <= $1 OR u.due_at = $2 AND i.taken_by = '')
             UNION ALL
             SELECT i.*, u.number AS told FROM updates u JOIN incidents i ON i.id = u.incident
             WHERE i.status = 'resolved'",
        )
        .bind(micros(self.now()))
        .bind(NEVER)
        .fetch_all(&self.reader)
        .await?;
        rows.iter()
            .map(|row| Ok(DueUpdate { incident: incident(row)?, number: row.try_get("told")? }))
            .collect()
    }

    /// Tells an update, unless another replica just did; says whether this call did. `next` is when the next one is due.
    pub async fn tell_update(
        &self,
        due: &DueUpdate,
        next: Option<Timestamp>,
        owed: Vec<Owed>,
    ) -> Result<bool> {
        let mut tx = self.begin().await?;
        let next = next.map_or(NEVER, micros);
        let told = if due.number == 0 {
            sqlx::query(
                "INSERT INTO updates (incident, number, due_at) VALUES ($1, 1, $2) ON CONFLICT DO NOTHING",
            )
            .bind(due.incident.id.0)
            .bind(next)
            .execute(&mut *tx)
            .await?
        } else {
            sqlx::query(
                "UPDATE updates SET number = number + 1, due_at = $1 WHERE incident = $2 AND number = $3",
            )
            .bind(next)
            .bind(due.incident.id.0)
            .bind(due.number)
            .execute(&mut *tx)
            .await?
        };
        let told = told.rows_affected() == 1;
        if told {
            owe(&mut tx, owed, self.now()).await?;
        }
        commit(tx).await?;
        Ok(told)
    }

    /// Tells the last one, of an incident that is over; says whether this call did.
    pub async fn end_updates(&self, due: &DueUpdate, owed: Vec<Owed>) -> Result<bool> {
        let mut tx = self.begin().await?;
        let ended = sqlx::query("DELETE FROM updates WHERE incident = $1 AND number = $2")
            .bind(due.incident.id.0)
            .bind(due.number)
            .execute(&mut *tx)
            .await?;
        let ended = ended.rows_affected() == 1;
        if ended {
            owe(&mut tx, owed, self.now()).await?;
        }
        commit(tx).await?;
        Ok(ended)
    }
}
