//! Links that were used: each works once.

use jiff::Timestamp;

use crate::store::Result;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::Transaction;
use crate::store::instant;
use crate::store::micros;
use crate::store::text;

/// A link, as it is used up.
#[derive(Debug, Clone, Copy)]
pub(super) struct UsedLink<'a> {
    /// Digest of its token, which is a credential.
    pub(super) digest: &'a str,
    /// Who used it.
    pub(super) by: &'a str,
}

/// Uses a link up, in the transaction of what it does; [`StoreError::Conflict`] when it was used before.
pub(super) async fn use_up(tx: &mut Transaction, link: UsedLink<'_>, now: Timestamp) -> Result<()> {
    let done = sqlx::query(
        "INSERT INTO used_links (digest, by_whom, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(link.digest)
    .bind(link.by)
    .bind(micros(now))
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(());
    }
    let row = sqlx::query("SELECT by_whom, at FROM used_links WHERE digest = $1")
        .bind(link.digest)
        .fetch_one(&mut **tx)
        .await?;
    Err(used(&text(&row, "by_whom")?, instant(&row, "at")?))
}

/// Why a link does nothing more.
pub(super) fn used(by: &str, at: Timestamp) -> StoreError {
    StoreError::Conflict(format!("this link was used by {by} at {at:.0}; each works once"))
}

impl Store {
    /// Who used a link, and when.
    pub async fn link_used(&self, digest: &str) -> Result<Option<(String, Timestamp)>> {
        let row = sqlx::query("SELECT by_whom, at FROM used_links WHERE digest = $1")
            .bind(digest)
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| Ok((text(&row, "by_whom")?, instant(&row, "at")?))).transpose()
    }
}
