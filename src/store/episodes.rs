//! Episodes: reading, and the claim by which intake judges each when it is due.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::decide::spread;
use crate::model::incident::Episode;
use crate::model::incident::EpisodeId;
use crate::model::incident::IncidentId;
use crate::model::time::after;
use crate::store::NEVER;
use crate::store::Result;
use crate::store::Store;
use crate::store::Transaction;
use crate::store::commit;
use crate::store::flag;
use crate::store::instant;
use crate::store::instant_or_none;
use crate::store::json;
use crate::store::micros;
use crate::store::number;
use crate::store::text;

/// An episode to judge; `attempt` fences what is written back.
#[derive(Debug, Clone)]
pub struct DueEpisode {
    /// The episode.
    pub episode: Episode,
    /// Changes when anybody touches it: a claim, or an alert.
    pub attempt: i64,
}

impl Store {
    /// Claims the episode that has been due longest, for `lease`.
    pub async fn claim_episode(&self, lease: Duration) -> Result<Option<DueEpisode>> {
        Ok(self.claim_episodes(lease, 1).await?.pop())
    }

    /// Claims those that have been due longest, up to so many.
    pub async fn claim_episodes(&self, lease: Duration, most: usize) -> Result<Vec<DueEpisode>> {
        let (now, era) = self.now_and_era();
        // when nothing is due, nothing is written
        let due = sqlx::query("SELECT 1 FROM episodes WHERE due_at <= $1 LIMIT 1");
        if due.bind(micros(now)).fetch_optional(&self.reader).await?.is_none() {
            return Ok(Vec::new());
        }
        let mut tx = self.begin().await?;
        lock_episodes(&mut tx).await?;
        let rows = sqlx::query(
            "UPDATE episodes SET attempt = attempt + 1, leased = 1, due_at = $1
             WHERE id IN (SELECT id FROM episodes WHERE due_at <= $2 ORDER BY due_at, id LIMIT $3)
               AND due_at <= $4
               AND (SELECT value FROM counters WHERE name = 'era') = $5
             RETURNING *",
        )
        .bind(micros(after(now, lease)))
        .bind(micros(now))
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .bind(micros(now))
        .bind(era)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        let due = |row| -> Result<DueEpisode> {
            Ok(DueEpisode { episode: episode(row)?, attempt: row.try_get("attempt")? })
        };
        rows.iter().map(due).collect()
    }

    /// Says when to judge it again (`None`: when something happens). Without effect if an alert or another
    /// worker touched it since it was claimed: then it is due already.
    pub async fn episode_due(&self, due: &DueEpisode, at: Option<Timestamp>) -> Result<()> {
        sqlx::query("UPDATE episodes SET due_at = $1, leased = 0 WHERE id = $2 AND attempt = $3")
            .bind(at.map_or(NEVER, micros))
            .bind(due.episode.id.0)
            .bind(due.attempt)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// Makes the open episodes of an incident due now: a run ended, a person spoke.
    pub async fn wake_incident(&self, incident: IncidentId) -> Result<()> {
        let mut tx = self.begin().await?;
        lock_episodes(&mut tx).await?;
        sqlx::query(
            "UPDATE episodes SET due_at = $1, attempt = attempt + 1 WHERE is_open = 1 AND id IN
               (SELECT episode FROM incident_episodes WHERE incident = $2)",
        )
        .bind(micros(self.now()))
        .bind(incident.0)
        .execute(&mut *tx)
        .await?;
        commit(tx).await?;
        Ok(())
    }

    /// Makes these episodes due now, those of them that are open.
    pub async fn wake_episodes(&self, episodes: &[EpisodeId]) -> Result<()> {
        let mut tx = self.begin().await?;
        lock_episodes(&mut tx).await?;
        let now = micros(self.now());
        for episode in episodes {
            sqlx::query(
                "UPDATE episodes SET due_at = $1, attempt = attempt + 1 WHERE id = $2 AND is_open = 1 AND due_at > $1",
            )
            .bind(now)
            .bind(episode.0)
            .execute(&mut *tx)
            .await?;
        }
        commit(tx).await?;
        Ok(())
    }

    /// Makes all open episodes due, because rules were reloaded or a pause ended: a few now, many spread over a time.
    pub async fn wake_all_episodes(&self) -> Result<()> {
        let mut tx = self.begin().await?;
        lock_episodes(&mut tx).await?;
        let row = sqlx::query("SELECT COUNT(*) FROM episodes WHERE is_open = 1")
            .fetch_one(&mut *tx)
            .await?;
        let open: i64 = row.try_get(0)?;
        let over = spread::over(u64::try_from(open).unwrap_or_default());
        // as decide::spread::delay says; ids are small enough for the product
        sqlx::query(
            "UPDATE episodes SET due_at = $1 + (id * 2654435761) % 1000 * $2, attempt = attempt + 1
             WHERE is_open = 1",
        )
        .bind(micros(self.now()))
        .bind(i64::try_from(over.as_micros() / 1000).unwrap_or_default())
        .execute(&mut *tx)
        .await?;
        commit(tx).await?;
        Ok(())
    }

    /// One episode.
    pub async fn episode(&self, id: EpisodeId) -> Result<Option<Episode>> {
        let row = sqlx::query("SELECT * FROM episodes WHERE id = $1")
            .bind(id.0)
            .fetch_optional(&self.reader)
            .await?;
        row.as_ref().map(episode).transpose()
    }

    /// Open episodes that this source sent last.
    pub async fn open_episodes_from(&self, source: &str) -> Result<Vec<Episode>> {
        let rows =
            sqlx::query("SELECT * FROM episodes WHERE is_open = 1 AND source = $1 ORDER BY id")
                .bind(source)
                .fetch_all(&self.reader)
                .await?;
        rows.iter().map(episode).collect()
    }

    /// The latest episode of a fingerprint.
    pub async fn latest_episode(&self, fingerprint: &str) -> Result<Option<Episode>> {
        let row =
            sqlx::query("SELECT * FROM episodes WHERE fingerprint = $1 ORDER BY id DESC LIMIT 1")
                .bind(fingerprint)
                .fetch_optional(&self.reader)
                .await?;
        row.as_ref().map(episode).transpose()
    }

    /// The newest first, those before `cursor` if given; only open ones if asked.
    pub async fn episodes(
        &self,
        only_open: bool,
        cursor: Option<EpisodeId>,
        limit: u32,
    ) -> Result<Vec<Episode>> {
        let rows = sqlx::query(
            "SELECT * FROM episodes WHERE id < $1 AND is_open >= $2 ORDER BY id DESC LIMIT $3",
        )
        .bind(cursor.map_or(i64::MAX, |id| id.0))
        .bind(i64::from(only_open))
        .bind(i64::from(limit))
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(episode).collect()
    }

    /// The episodes of an incident, oldest first.
    pub async fn episodes_of(&self, incident: IncidentId) -> Result<Vec<Episode>> {
        let rows = sqlx::query(
            "SELECT e.* FROM episodes e JOIN incident_episodes i ON i.episode = e.id
             WHERE i.incident = $1 ORDER BY e.id",
        )
        .bind(incident.0)
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(episode).collect()
    }
}

/// Taken by whoever writes several episodes in one transaction, before the first: two of them would otherwise wait for
/// each other in `PostgreSQL`. Intake takes it with the ids of new episodes.
pub(super) async fn lock_episodes(tx: &mut Transaction) -> Result<()> {
    sqlx::query("UPDATE counters SET value = value WHERE name = 'episode'")
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(super) fn episode(row: &AnyRow) -> Result<Episode> {
    Ok(Episode {
        id: EpisodeId(row.try_get("id")?),
        fingerprint: text(row, "fingerprint")?,
        source: text(row, "source")?,
        labels: json(row, "labels")?,
        annotations: json(row, "annotations")?,
        open: flag(row, "is_open")?,
        starts_at: instant(row, "starts_at")?,
        opened_at: instant(row, "opened_at")?,
        seen_at: instant(row, "seen_at")?,
        ended_at: instant_or_none(row, "ended_at")?,
        reopened: number(row, "reopened")?,
        truncated: number(row, "truncated")?,
        generator_url: text(row, "generator_url")?,
    })
}
