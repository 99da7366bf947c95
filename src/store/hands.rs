//! Incidents that people take over and give back (G15).

use crate::model::incident::Incident;
use crate::model::incident::IncidentId;
use crate::model::incident::Owed;
use crate::store::NEVER;
use crate::store::Result;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::Transaction;
use crate::store::commit;
use crate::store::episodes::lock_episodes;
use crate::store::facts::facts_changed;
use crate::store::incidents::incident;
use crate::store::links::UsedLink;
use crate::store::links::use_up;
use crate::store::micros;

impl Store {
    /// A person takes an incident over, which acknowledges it: its runs stop before their next step, and what is judged
    /// at this moment is judged again. Returns the incident as it is now, and whether this call did it.
    pub async fn take_incident(
        &self,
        id: IncidentId,
        by: &str,
        link: Option<&str>,
        owed: impl FnOnce(&Incident) -> Vec<Owed>,
    ) -> Result<(Incident, bool)> {
        let now = self.now();
        let mut tx = self.begin().await?;
        judged_again(&mut tx).await?;
        let done = sqlx::query(
            "UPDATE incidents SET taken_by = $1, taken_at = $2, given_back_at = 0, due_at = $3,
               acked_by = CASE WHEN status = 'open' THEN $4 ELSE acked_by END,
               acked_at = CASE WHEN status = 'open' THEN $5 ELSE acked_at END, status = 'acknowledged'
             WHERE id = $6 AND taken_by = '' AND status <> 'resolved'",
        )
        .bind(by)
        .bind(micros(now))
        .bind(NEVER)
        .bind(by)
        .bind(micros(now))
        .bind(id.0)
        .execute(&mut *tx)
        .await?;
        let found = read(&mut tx, id).await?;
        if done.rows_affected() != 1 {
            tx.leave().await?;
            return Ok((found, false));
        }
        // whoever works on one stops before the next step; the others are due now
        sqlx::query(
            "UPDATE runs SET cancelled_by = $1, due_at = CASE WHEN owner = '' THEN $2 ELSE due_at END
             WHERE incident = $3 AND is_final = 0 AND cancelled_by = ''",
        )
        .bind(by)
        .bind(micros(now))
        .bind(id.0)
        .execute(&mut *tx)
        .await?;
        if let Some(digest) = link {
            use_up(&mut tx, UsedLink { digest, by }, now).await?;
        }
        self.now_due(&mut tx, id, owed(&found)).await?;
        commit(tx).await?;
        Ok((found, true))
    }

    /// A person gives an incident back: its episodes are judged again, as if nobody had acknowledged it. Returns the
    /// incident as it is now, and whether anybody had it.
    pub async fn give_back_incident(
        &self,
        id: IncidentId,
        owed: impl FnOnce(&Incident) -> Vec<Owed>,
    ) -> Result<(Incident, bool)> {
        let mut tx = self.begin().await?;
        judged_again(&mut tx).await?;
        let done = sqlx::query(
            "UPDATE incidents SET taken_by = '', given_back_at = $1
             WHERE id = $2 AND taken_by <> '' AND status <> 'resolved'",
        )
        .bind(micros(self.now()))
        .bind(id.0)
        .execute(&mut *tx)
        .await?;
        let found = read(&mut tx, id).await?;
        if done.rows_affected() != 1 {
            tx.leave().await?;
            return Ok((found, false));
        }
        self.now_due(&mut tx, id, owed(&found)).await?;
        commit(tx).await?;
        Ok((found, true))
    }

    async fn now_due(&self, tx: &mut Transaction, id: IncidentId, owed: Vec<Owed>) -> Result<()> {
        let now = self.now();
        sqlx::query(
            "UPDATE episodes SET due_at = $1, attempt = attempt + 1 WHERE is_open = 1 AND id IN
               (SELECT episode FROM incident_episodes WHERE incident = $2)",
        )
        .bind(micros(now))
        .bind(id.0)
        .execute(&mut **tx)
        .await?;
        crate::store::outbox::owe(tx, owed, now).await
    }
}

/// Voids what is judged by older facts, and takes locks in the order in which others take them.
pub(super) async fn judged_again(tx: &mut Transaction) -> Result<()> {
    facts_changed(tx).await?;
    lock_episodes(tx).await
}

async fn read(tx: &mut Transaction, id: IncidentId) -> Result<Incident> {
    let row = sqlx::query("SELECT * FROM incidents WHERE id = $1")
        .bind(id.0)
        .fetch_optional(&mut **tx)
        .await?
        .ok_or_else(|| StoreError::Missing(format!("there is no incident {id}")))?;
    incident(&row)
}
