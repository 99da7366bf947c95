//! Credentials that were refused (G19). One stays so until a person clears it, or until it is another; who cleared it is kept.

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::model::incident::RunId;
use crate::store::Result;
use crate::store::Store;
use crate::store::Transaction;
use crate::store::instant;
use crate::store::instant_or_none;
use crate::store::micros;
use crate::store::plain;
use crate::store::text;

/// What a run leaves when a credential is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its name: `targets.http.shop`.
    pub credential: String,
    /// Why, for people.
    pub reason: String,
    /// What tells that it was changed; empty when nothing can.
    pub mark: String,
}

/// A credential that was refused, and whether it still counts as that.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Denial {
    /// Its name: `targets.http.shop`. Its value is nowhere.
    pub credential: String,
    /// When.
    pub at: Timestamp,
    /// Why, for people.
    pub reason: String,
    /// The run that saw it.
    pub run: RunId,
    /// Its playbook.
    pub playbook: String,
    /// What tells that it was changed; empty when nothing can.
    #[serde(skip)]
    pub mark: String,
    /// When it was cleared; `None` while it counts.
    pub cleared_at: Option<Timestamp>,
    /// Who cleared it.
    pub cleared_by: String,
}

/// Writes down that credentials were refused; the first refusal counts until it is cleared.
pub(super) async fn deny(
    tx: &mut Transaction,
    run: RunId,
    playbook: &str,
    refusals: &[Refusal],
    at: Timestamp,
) -> Result<()> {
    for refusal in refusals {
        sqlx::query(
            "INSERT INTO denied (credential, at, reason, run, playbook, mark, cleared_at, cleared_by)
             VALUES ($1, $2, $3, $4, $5, $6, 0, '') ON CONFLICT (credential) DO UPDATE
               SET at = excluded.at, reason = excluded.reason, run = excluded.run,
                   playbook = excluded.playbook, mark = excluded.mark, cleared_at = 0, cleared_by = ''
             WHERE denied.cleared_at <> 0",
        )
        .bind(refusal.credential.as_str())
        .bind(micros(at))
        .bind(plain(&refusal.reason))
        .bind(run.0)
        .bind(playbook)
        .bind(refusal.mark.as_str())
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

impl Store {
    /// Every credential that was ever refused, by name: those that count, and those that were cleared.
    pub async fn denials(&self) -> Result<Vec<Denial>> {
        let rows =
            sqlx::query("SELECT * FROM denied ORDER BY credential").fetch_all(&self.reader).await?;
        rows.iter().map(denial).collect()
    }

    /// The credentials that count as refused, by name.
    pub async fn denied(&self) -> Result<Vec<Denial>> {
        let rows = sqlx::query("SELECT * FROM denied WHERE cleared_at = 0 ORDER BY credential")
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(denial).collect()
    }

    /// A credential works again, says `by`; says whether it counted as refused.
    pub async fn clear_denial(&self, credential: &str, by: &str) -> Result<bool> {
        let done = sqlx::query(
            "UPDATE denied SET cleared_at = $1, cleared_by = $2
             WHERE credential = $3 AND cleared_at = 0",
        )
        .bind(micros(self.now()))
        .bind(by)
        .bind(credential)
        .execute(&self.writer)
        .await?;
        Ok(done.rows_affected() > 0)
    }
}

fn denial(row: &AnyRow) -> Result<Denial> {
    Ok(Denial {
        credential: text(row, "credential")?,
        at: instant(row, "at")?,
        reason: text(row, "reason")?,
        run: RunId(row.try_get("run")?),
        playbook: text(row, "playbook")?,
        mark: text(row, "mark")?,
        cleared_at: instant_or_none(row, "cleared_at")?,
        cleared_by: text(row, "cleared_by")?,
    })
}
