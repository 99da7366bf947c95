//! What holds around all cases: targets in trouble, breakers that have tripped, sizes of populations, the watchdog, and
//! times that the clock was set. It is kept here, never in process memory, so it holds over restarts and replicas.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row as _;

use crate::model::decision::Jump;
use crate::model::decision::Trip;
use crate::model::incident::EpisodeId;
use crate::model::time::after;
use crate::model::time::before;
use crate::store::Result;
use crate::store::Store;
use crate::store::instant;
use crate::store::instant_or_none;
use crate::store::micros;
use crate::store::micros_or_none;
use crate::store::plain;
use crate::store::text;

/// An hour in microseconds: populations are kept by the hour.
const HOUR: i64 = 3_600_000_000;
/// Populations older than this no longer matter.
const POPULATION_KEPT: Duration = Duration::from_hours(24);
/// How old a count of targets in trouble may be for who judges: all who judge at the same time would count the same.
const COUNT_KEPT: Duration = Duration::from_millis(100);

/// The last count of targets in trouble, until this process notes another.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// How often something was noted.
    noted: AtomicU64,
    last: Mutex<Option<(u64, Timestamp, u32)>>,
}

impl Counted {
    fn noted(&self) {
        self.noted.fetch_add(1, Ordering::AcqRel);
    }

    fn keep(&self, noted: u64, since: Timestamp, targets: u32) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((noted, since, targets));
    }

    fn get(&self, since: Timestamp) -> Option<u32> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (noted, at, targets) = last?;
        let same = noted == self.noted.load(Ordering::Acquire);
        (same && at <= since && since <= after(at, COUNT_KEPT)).then_some(targets)
    }

    /// For who makes the tables other than they were.
    #[cfg(test)]
    pub(super) fn clear(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// More targets than this are not told apart: no limit is as high.
pub const MOST_TARGETS: u32 = 100_000;

/// A trip as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTrip {
    /// `storm`, or that of a group.
    pub scope: String,
    /// When, and since when it is calm.
    pub trip: Trip,
    /// How its group is counted, as JSON; empty for the storm.
    pub body: String,
}

impl Store {
    /// Notes that the target of a rule came into trouble by this episode, once.
    pub async fn note_trouble(&self, episode: EpisodeId, rule: &str, target: &str) -> Result<()> {
        let known = sqlx::query("SELECT 1 FROM troubles WHERE episode = $1 AND rule = $2")
            .bind(episode.0)
            .bind(rule)
            .fetch_optional(&self.reader)
            .await?;
        if known.is_some() {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO troubles (episode, rule, target, at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (episode, rule) DO NOTHING",
        )
        .bind(episode.0)
        .bind(rule)
        .bind(plain(target))
        .bind(micros(self.now()))
        .execute(&self.writer)
        .await?;
        self.counted.noted();
        Ok(())
    }

    /// As [`Store::troubled_targets`]; what other replicas noted just now may be missing. What was noted here is not.
    pub async fn troubled_lately(&self, since: Timestamp) -> Result<u32> {
        if let Some(targets) = self.counted.get(since) {
            return Ok(targets);
        }
        let noted = self.counted.noted.load(Ordering::Acquire);
        let targets = self.troubled_targets(since).await?;
        self.counted.keep(noted, since, targets);
        Ok(targets)
    }

    /// Distinct targets that came into trouble after `since`, up to [`MOST_TARGETS`].
    pub async fn troubled_targets(&self, since: Timestamp) -> Result<u32> {
        let row = sqlx::query(
            "SELECT COUNT(*) FROM (SELECT DISTINCT target FROM troubles WHERE at > $1 LIMIT $2) t",
        )
        .bind(micros(since))
        .bind(i64::from(MOST_TARGETS))
        .fetch_one(&self.reader)
        .await?;
        Ok(u32::try_from(row.try_get::<i64, _>(0)?).unwrap_or(u32::MAX))
    }

    /// Some of the targets that came into trouble after `since`, for people.
    pub async fn some_troubled(&self, since: Timestamp, limit: u32) -> Result<Vec<String>> {
        let rows = sqlx::query(
            "SELECT DISTINCT target FROM troubles WHERE at > $1 ORDER BY target LIMIT $2",
        )
        .bind(micros(since))
        .bind(i64::from(limit))
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(|row| text(row, "target")).collect()
    }

    /// Whether an open episode that is due waits to be taken for the first time.
    pub async fn is_news_waiting(&self) -> Result<bool> {
        let row = sqlx::query(
            "SELECT 1 FROM episodes WHERE due_at <= $1 AND attempt = 0 AND is_open = 1 LIMIT 1",
        )
        .bind(micros(self.now()))
        .fetch_optional(&self.reader)
        .await?;
        Ok(row.is_some())
    }

    /// Breakers that have tripped.
    pub async fn trips(&self) -> Result<Vec<StoredTrip>> {
        let rows =
            sqlx::query("SELECT * FROM trips ORDER BY scope").fetch_all(&self.reader).await?;
        rows.iter()
            .map(|row| {
                Ok(StoredTrip {
                    scope: text(row, "scope")?,
                    trip: Trip {
                        since: instant(row, "since")?,
                        calm_since: instant_or_none(row, "calm_since")?,
                    },
                    body: text(row, "body")?,
                })
            })
            .collect()
    }

    /// One breaker, if it has tripped.
    pub async fn trip(&self, scope: &str) -> Result<Option<Trip>> {
        Ok(self.trips().await?.into_iter().find(|it| it.scope == scope).map(|it| it.trip))
    }

    /// Replaces what a breaker was by what it is, unless another replica has changed it meanwhile. Says whether it did.
    pub async fn change_trip(
        &self,
        scope: &str,
        was: Option<&Trip>,
        is: Option<&Trip>,
        body: &str,
    ) -> Result<bool> {
        let done = match (was, is) {
            (None, None) => return Ok(false),
            (None, Some(trip)) => {
                sqlx::query(
                    "INSERT INTO trips (scope, since, calm_since, body) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (scope) DO NOTHING",
                )
                .bind(scope)
                .bind(micros(trip.since))
                .bind(micros_or_none(trip.calm_since))
                .bind(body)
                .execute(&self.writer)
                .await?
            }
            (Some(was), Some(trip)) => {
                sqlx::query(
                    "UPDATE trips SET calm_since = $1 WHERE scope = $2 AND since = $3 AND calm_since = $4",
                )
                .bind(micros_or_none(trip.calm_since))
                .bind(scope)
                .bind(micros(was.since))
                .bind(micros_or_none(was.calm_since))
                .execute(&self.writer)
                .await?
            }
            (Some(was), None) => {
                sqlx::query("DELETE FROM trips WHERE scope = $1 AND since = $2 AND calm_since = $3")
                    .bind(scope)
                    .bind(micros(was.since))
                    .bind(micros_or_none(was.calm_since))
                    .execute(&self.writer)
                    .await?
            }
        };
        Ok(done.rows_affected() == 1)
    }

    /// Notes how large a population is now, and returns the most that were counted within the last day before that.
    pub async fn count_population(&self, scope: &str, total: u64) -> Result<Option<u64>> {
        let now = self.now();
        let most = self.most_counted(scope).await?;
        let total = i64::try_from(total).unwrap_or(i64::MAX);
        let grew = most.is_none_or(|most| i64::try_from(most).is_ok_and(|most| total > most));
        let hour = micros(now) / HOUR;
        // most judgements find the hour's number as it is: then nothing is written
        if grew || !self.has_population(scope, hour).await? {
            sqlx::query(
                "INSERT INTO populations (scope, hour, total) VALUES ($1, $2, $3)
                 ON CONFLICT (scope, hour) DO UPDATE SET total = excluded.total
                 WHERE excluded.total > populations.total",
            )
            .bind(scope)
            .bind(hour)
            .bind(total)
            .execute(&self.writer)
            .await?;
        }
        Ok(most)
    }

    /// The most members of a population that were counted within the last day.
    pub async fn most_counted(&self, scope: &str) -> Result<Option<u64>> {
        let row = sqlx::query(
            "SELECT MAX(total) AS most FROM populations WHERE scope = $1 AND hour >= $2",
        )
        .bind(scope)
        .bind(micros(before(self.now(), POPULATION_KEPT)) / HOUR)
        .fetch_one(&self.reader)
        .await?;
        let most: Option<i64> = row.try_get("most")?;
        Ok(most.and_then(|it| u64::try_from(it).ok()))
    }

    async fn has_population(&self, scope: &str, hour: i64) -> Result<bool> {
        let row = sqlx::query("SELECT 1 FROM populations WHERE scope = $1 AND hour = $2")
            .bind(scope)
            .bind(hour)
            .fetch_optional(&self.reader)
            .await?;
        Ok(row.is_some())
    }

    /// Distinct targets of a rule with open episodes.
    pub async fn open_targets(&self, rule: &str) -> Result<u64> {
        let row = sqlx::query(
            "SELECT COUNT(DISTINCT t.target) FROM troubles t JOIN episodes e ON e.id = t.episode
             WHERE t.rule = $1 AND e.is_open = 1",
        )
        .bind(rule)
        .fetch_one(&self.reader)
        .await?;
        Ok(u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default())
    }

    /// Notes that something was seen now; an earlier time than the one known changes nothing.
    pub async fn mark(&self, name: &str, at: Timestamp) -> Result<()> {
        sqlx::query(
            "INSERT INTO marks (name, at) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET at = excluded.at WHERE excluded.at > marks.at",
        )
        .bind(name)
        .bind(micros(at))
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// Forgets a mark: nobody waits for it any more.
    pub async fn unmark(&self, name: &str) -> Result<()> {
        sqlx::query("DELETE FROM marks WHERE name = $1").bind(name).execute(&self.writer).await?;
        Ok(())
    }

    /// When something was seen last.
    pub async fn marked(&self, name: &str) -> Result<Option<Timestamp>> {
        let row = sqlx::query("SELECT at FROM marks WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| instant(&row, "at")).transpose()
    }

    /// Times that the wall clock was set, after `since`, and those that it was set to a time which has not come again.
    pub async fn jumps(&self, since: Timestamp) -> Result<Vec<Jump>> {
        let rows = sqlx::query("SELECT at, by_ms FROM jumps WHERE at > $1 ORDER BY at")
            .bind(micros(since))
            .fetch_all(&self.reader)
            .await?;
        rows.iter()
            .map(|row| Ok(Jump { at: instant(row, "at")?, by_ms: row.try_get("by_ms")? }))
            .collect()
    }

    /// Drops what no limit looks at any more: troubles and jumps before `since`, old populations.
    pub async fn forget_surroundings(&self, since: Timestamp) -> Result<()> {
        let since = micros(since);
        let hour = micros(before(self.now(), POPULATION_KEPT)) / HOUR;
        // the targets of open episodes are counted by `open_targets`
        let troubles = "DELETE FROM troubles WHERE at <= $1
             AND NOT EXISTS (SELECT 1 FROM episodes e WHERE e.id = troubles.episode AND e.is_open = 1)";
        for (sql, until) in [
            (troubles, since),
            (
                "DELETE FROM jumps WHERE at <= $1
                   AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.is_final = 0 AND r.era < jumps.era)",
                since,
            ),
            ("DELETE FROM populations WHERE hour < $1", hour),
        ] {
            sqlx::query(sql).bind(until).execute(&self.writer).await?;
        }
        Ok(())
    }
}
