//! Who works on a run: claims with leases, and what makes runs due.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::model::incident::EpisodeId;
use crate::model::incident::RunId;
use crate::model::run::RunState;
use crate::model::time::after;
use crate::store::NEVER;
use crate::store::Result;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::json;
use crate::store::micros;
use crate::store::runs::Claim;
use crate::store::text;

impl Store {
    /// Claims the run that has been due longest: a new one, a delayed one, or one whose worker died.
    pub async fn claim_run(&self, owner: &str, lease: Duration) -> Result<Option<Claim>> {
        self.claim_runs(owner, lease, 1).await?.pop().transpose()
    }

    /// Claims those that have been due longest, up to so many. One whose journal cannot be read comes back when its lease ends.
    pub async fn claim_runs(
        &self,
        owner: &str,
        lease: Duration,
        most: usize,
    ) -> Result<Vec<Result<Claim>>> {
        let (now, era) = self.now_and_era();
        // when nothing is due, nothing is written
        let due = sqlx::query("SELECT 1 FROM runs WHERE due_at <= $1 AND is_final = 0 LIMIT 1");
        if due.bind(micros(now)).fetch_optional(&self.reader).await?.is_none() {
            return Ok(Vec::new());
        }
        let mut tx = self.begin().await?;
        // or two replicas might wait for each other in PostgreSQL
        sqlx::query("UPDATE scopes SET version = version WHERE name = 'runs'")
            .execute(&mut *tx)
            .await?;
        let rows = sqlx::query(
            "UPDATE runs SET attempt = attempt + 1, owner = $1, due_at = $2, woken = 0
             WHERE id IN (SELECT id FROM runs WHERE due_at <= $3 AND is_final = 0 ORDER BY due_at, id LIMIT $4)
               AND due_at <= $5 AND is_final = 0
               AND (SELECT value FROM counters WHERE name = 'era') = $6
             RETURNING id, plan, attempt, seq, head, era",
        )
        .bind(owner)
        .bind(micros(after(now, lease)))
        .bind(micros(now))
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .bind(micros(now))
        .bind(era)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        let mut claims = Vec::with_capacity(rows.len());
        for row in &rows {
            claims.extend(self.claimed(row).await.transpose());
        }
        Ok(claims)
    }

    /// A claim with its journal; `None` when a person who was asked took it over in between.
    async fn claimed(&self, row: &AnyRow) -> Result<Option<Claim>> {
        let run = RunId(row.try_get("id")?);
        let entries = self.journal(run).await?;
        let seq: i64 = row.try_get("seq")?;
        let last = entries.last().map_or(0, |entry| entry.seq);
        if last > seq {
            return Ok(None);
        }
        if last < seq {
            return Err(StoreError::Corrupt(format!(
                "the journal of {run} ends before entry {seq}"
            )));
        }
        Ok(Some(Claim {
            run,
            plan: json(row, "plan")?,
            entries,
            attempt: row.try_get("attempt")?,
            era: row.try_get("era")?,
            head: text(row, "head")?,
        }))
    }

    /// Lets go of a claimed run until `due_at`, or until now when somebody asked meanwhile that it stop, or ended what it may
    /// be held for, or the clock was set and its journal does not say so yet. Without effect when another worker holds it.
    pub async fn release_run(&self, claim: &Claim, due_at: Option<Timestamp>) -> Result<()> {
        sqlx::query(
            "UPDATE runs SET owner = '', due_at = CASE WHEN cancelled_by = '' AND woken = 0
               AND era = (SELECT value FROM counters WHERE name = 'era') THEN $1 ELSE $2 END
             WHERE id = $3 AND attempt = $4 AND is_final = 0",
        )
        .bind(due_at.map_or(NEVER, micros))
        .bind(micros(self.now()))
        .bind(claim.run.0)
        .bind(claim.attempt)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// Prolongs a claim; [`StoreError::Fenced`] when another worker holds the run.
    pub async fn renew_run(&self, claim: &Claim, lease: Duration) -> Result<()> {
        let (now, era) = self.now_and_era();
        let held = sqlx::query(
            "UPDATE runs SET due_at = $1 + 1000 * (SELECT CAST(COALESCE(SUM(j.by_ms), 0) AS BIGINT)
               FROM jumps j WHERE j.era > $2)
             WHERE id = $3 AND attempt = $4 AND is_final = 0",
        )
        .bind(micros(after(now, lease)))
        .bind(era)
        .bind(claim.run.0)
        .bind(claim.attempt)
        .execute(&self.writer)
        .await?;
        if held.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Fenced) }
    }

    /// Takes over a run that `waits` for a person's word. Nobody works on it then, so nobody's effect is fenced;
    /// [`StoreError::Conflict`] when it no longer waits.
    pub async fn take_run(&self, run: RunId, waits: RunState, lease: Duration) -> Result<Claim> {
        let row = sqlx::query(
            "UPDATE runs SET attempt = attempt + 1, owner = 'person', due_at = $1
             WHERE id = $2 AND state = $3 RETURNING plan, attempt, head, era",
        )
        .bind(micros(after(self.now(), lease)))
        .bind(run.0)
        .bind(waits.as_str())
        .fetch_optional(&self.writer)
        .await?;
        let Some(row) = row else {
            return Err(match self.run(run).await? {
                None => StoreError::Missing(format!("there is no run {run}")),
                Some(row) => StoreError::Conflict(format!(
                    "{run} is {}, not {}",
                    row.state.as_str(),
                    waits.as_str()
                )),
            });
        };
        Ok(Claim {
            run,
            plan: json(&row, "plan")?,
            entries: self.journal(run).await?,
            attempt: row.try_get("attempt")?,
            era: row.try_get("era")?,
            head: text(&row, "head")?,
        })
    }

    /// Makes the runs of an episode that wait for a person due now: the alert has resolved. A worker that is about
    /// to let go of one does so without effect.
    pub async fn wake_waiting_runs(&self, episode: EpisodeId) -> Result<()> {
        sqlx::query(
            "UPDATE runs SET due_at = $1, attempt = attempt + 1 WHERE is_final = 0 AND episode = $2
               AND state IN ('awaiting approval', 'awaiting answer', 'in doubt')",
        )
        .bind(micros(self.now()))
        .bind(episode.0)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// Makes all runs that wait for approval due now: files were reloaded, so that a plan may no longer be what would be
    /// done. A worker that is about to let go of one does so without effect.
    pub async fn wake_proposals(&self) -> Result<()> {
        sqlx::query(
            "UPDATE runs SET due_at = $1, attempt = attempt + 1
             WHERE is_final = 0 AND state = 'awaiting approval'",
        )
        .bind(micros(self.now()))
        .execute(&self.writer)
        .await?;
        Ok(())
    }
}
