//! Whether alerts that fire only say again what is stored: counted by the database, because most of what Alertmanager sends is
//! that, and rows that are not read cost nothing. [`change`] says the same of each, and what is not a repeat here is asked of it.
//!
//! [`change`]: crate::decide::episode::change

use std::sync::LazyLock;

use jiff::Timestamp;
use sqlx::Row as _;

use super::Waiting;
use crate::decide::episode::SEEN_EVERY;
use crate::model::alert::Alert;
use crate::model::time::before;
use crate::store::Result;
use crate::store::Store;
use crate::store::many::Many;
use crate::store::many::filled;
use crate::store::many::list;
use crate::store::many::places;
use crate::store::micros;

/// The most alerts of one statement. Fewer are filled up to a power of two, so that few statements are prepared.
const ASKED: usize = 256;

/// How many of these alerts fire already, with nothing new, by powers of two. The first parameter is since when that was
/// heard; then of each alert: its fingerprint, its annotations, its start, and how many were cut off beside it.
static REPEATED: LazyLock<Many> = LazyLock::new(|| {
    Many::new(ASKED, |count| {
        let values = list(count, |row| places(row, 4, 1));
        format!(
            "SELECT COUNT(*) FROM (VALUES {values}) AS f CROSS JOIN episodes e WHERE e.id =
               (SELECT MAX(l.id) FROM episodes l WHERE l.fingerprint = f.column1)
               AND e.is_open = 1 AND e.seen_at > $1 AND e.annotations = f.column2 AND e.starts_at <= f.column3
               AND e.truncated = f.column4"
        )
    })
});

/// Whether all alerts of these deliveries, which fire, do so already, and with nothing new.
pub(super) async fn are_all(store: &Store, batch: &[Waiting], now: Timestamp) -> Result<bool> {
    let alerts: Vec<(&Alert, &str, u64)> = batch
        .iter()
        .flat_map(|Waiting { delivery, fingerprints, .. }| {
            let pairs = delivery.alerts.iter().zip(fingerprints);
            pairs.map(|(alert, fingerprint)| (alert, fingerprint.as_str(), delivery.truncated))
        })
        .collect();
    let heard_since = micros(before(now, SEEN_EVERY));
    for some in alerts.chunks(2 * ASKED) {
        // two connections, two cores
        let (some, others) = some.split_at(some.len().min(ASKED));
        let (all, others) =
            tokio::try_join!(are(store, some, heard_since), are(store, others, heard_since))?;
        if !all || !others {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The same of as many as one statement takes.
async fn are(store: &Store, alerts: &[(&Alert, &str, u64)], heard_since: i64) -> Result<bool> {
    if alerts.is_empty() {
        return Ok(true);
    }
    let all = filled(alerts);
    let mut query = sqlx::query(REPEATED.of(all.len())?).bind(heard_since);
    for (alert, fingerprint, truncated) in &all {
        query = query
            .bind(*fingerprint)
            .bind(alert.annotations.to_json())
            .bind(alert.starts_at.map_or(i64::MAX, micros))
            .bind(i64::try_from(*truncated).unwrap_or(i64::MAX));
    }
    let row = query.fetch_one(&store.reader).await?;
    Ok(usize::try_from(row.try_get::<i64, _>(0)?).is_ok_and(|count| count == all.len()))
}
