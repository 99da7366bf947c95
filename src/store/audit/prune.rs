//! The beginning of the log goes when it is old: a few leaves at a time, with the peaks that stand for them.
//!
//! Leaves go by age alone, so that one incident that stays open for a year does not keep the whole log. Records go later, when
//! they are over; what stays without its leaf (an old entry of a run that is at work, the last word on a rule) is no longer
//! proven by the log, a run's journal still by its own chain.

use sqlx::Row as _;

use super::seal::lock;
use super::seal::number;
use super::seal::peaks;
use crate::decide::audit::merkle;
use crate::store::Result;
use crate::store::StoreError;
use crate::store::Transaction;
use crate::store::text;

/// Leaves that go in one transaction.
const AT_ONCE: i64 = 2000;

/// Lets leaves of before `old` (microseconds since 1970) go, in the transaction whose first statement it makes; returns how many
/// of the beginning are gone now, and how many of them by this.
pub(in crate::store) async fn prune_log(tx: &mut Transaction, old: i64) -> Result<(i64, u64)> {
    let mut range = lock(tx).await?.pruned;
    let begin = number(range.size());
    let row = sqlx::query("SELECT MIN(leaf) AS leaf FROM log_leaves WHERE at >= $1 AND leaf >= $2")
        .bind(old)
        .bind(begin)
        .fetch_one(&mut **tx)
        .await?;
    let young: Option<i64> = row.try_get("leaf")?;
    let rows = sqlx::query(
        "SELECT leaf, hash FROM log_leaves WHERE leaf >= $1 AND leaf < $2 ORDER BY leaf LIMIT $3",
    )
    .bind(begin)
    .bind(young.unwrap_or(i64::MAX))
    .bind(AT_ONCE)
    .fetch_all(&mut **tx)
    .await?;
    for row in &rows {
        let leaf: i64 = row.try_get("leaf")?;
        // a gap is for people to look at, and not to be tidied away
        if leaf != number(range.size()) {
            break;
        }
        let hash = merkle::from_hex(&text(row, "hash")?).ok_or_else(|| {
            StoreError::Corrupt(format!("leaf {leaf} of the audit log has no hash"))
        })?;
        range.push(hash);
    }
    let end = number(range.size());
    if end == begin {
        return Ok((end, 0));
    }
    sqlx::query("UPDATE log SET pruned = $1, pruned_peaks = $2 WHERE name = 'log'")
        .bind(end)
        .bind(peaks(&range))
        .execute(&mut **tx)
        .await?;
    // keys sign what comes later, too
    sqlx::query("DELETE FROM log_leaves WHERE leaf < $1 AND kind <> 'key'")
        .bind(end)
        .execute(&mut **tx)
        .await?;
    sqlx::query("DELETE FROM checkpoints WHERE size <= $1").bind(end).execute(&mut **tx).await?;
    Ok((end, u64::try_from(end - begin).unwrap_or_default()))
}
