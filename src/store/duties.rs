//! What is done regularly, by whichever replica comes first: a row each, with the time when it is due.

use std::time::Duration;

use crate::model::time::after;
use crate::store::Result;
use crate::store::Store;
use crate::store::micros;

/// A duty that this process does now; `attempt` fences what it writes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duty {
    name: &'static str,
    attempt: i64,
}

impl Store {
    /// Makes a duty due now, for the first time or again.
    pub async fn duty_is_due(&self, name: &str) -> Result<()> {
        sqlx::query(
            "INSERT INTO duties (name, due_at, attempt) VALUES ($1, $2, 0)
             ON CONFLICT (name) DO UPDATE SET due_at = excluded.due_at WHERE duties.due_at > excluded.due_at",
        )
        .bind(name)
        .bind(micros(self.now()))
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// Claims a duty that is due, for `lease`. One that is due later than in `longest` is due now: the clock was set back.
    pub async fn claim_duty(
        &self,
        name: &'static str,
        lease: Duration,
        longest: Duration,
    ) -> Result<Option<Duty>> {
        let now = self.now();
        let until = micros(after(now, lease));
        let late = micros(after(now, longest.max(lease)));
        let row = sqlx::query_scalar(
            "UPDATE duties SET attempt = attempt + 1, due_at = $1
             WHERE name = $2 AND (due_at <= $3 OR due_at > $4) RETURNING attempt",
        )
        .bind(until)
        .bind(name)
        .bind(micros(now))
        .bind(late)
        .fetch_optional(&self.writer)
        .await?;
        Ok(row.map(|attempt| Duty { name, attempt }))
    }

    /// It is done, and due again after that time. Without effect when another replica has claimed it since.
    pub async fn duty_done(&self, duty: Duty, again: Duration) -> Result<()> {
        sqlx::query("UPDATE duties SET due_at = $1 WHERE name = $2 AND attempt = $3")
            .bind(micros(after(self.now(), again)))
            .bind(duty.name)
            .bind(duty.attempt)
            .execute(&self.writer)
            .await?;
        Ok(())
    }
}
