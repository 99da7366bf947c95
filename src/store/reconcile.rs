//! What is kept to find alerts that no webhook told: who delivered by which receiver, what Alertmanager did not list, and how
//! an opening or an end was found.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row as _;

use crate::decide::episode::Change;
use crate::decide::reconcile::Delivered;
use crate::decide::reconcile::Known;
use crate::decide::reconcile::is_by_hand;
use crate::decide::reconcile::is_outside;
use crate::model::alert::Delivery;
use crate::model::incident::EpisodeId;
use crate::model::incident::IncidentId;
use crate::model::time::before;
use crate::model::time::since;
use crate::store::Result;
use crate::store::Store;
use crate::store::Transaction;
use crate::store::commit;
use crate::store::instant;
use crate::store::instant_or_none;
use crate::store::micros;
use crate::store::plain;
use crate::store::text;

/// When a source was seen to use a receiver is written down again only after this time.
const NOTED_EVERY: Duration = Duration::from_hours(1);

/// How it was found that an episode opened or ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Found {
    /// The episode.
    pub episode: EpisodeId,
    /// When.
    pub at: Timestamp,
    /// In words.
    pub words: String,
}

/// The words of an episode that did not come from Alertmanager.
const BY_HAND: &str = "by hand";

/// The most pairs of source and receiver that are remembered.
const REMEMBERED: usize = 1_000;

/// Which sources delivered by which receivers, as far as this process has written it down, and when.
#[derive(Debug, Default)]
pub(super) struct Noted(BTreeMap<(String, String), Timestamp>);

impl Noted {
    /// Notes the receivers of deliveries in the transaction of their alerts, and returns those that were noted, for
    /// [`Noted::keep`] when they are committed.
    pub(super) async fn note(
        &self,
        tx: &mut Transaction,
        deliveries: impl Iterator<Item = &Delivery>,
        now: Timestamp,
    ) -> Result<Vec<(String, String)>> {
        let by: BTreeSet<(&str, &str)> = deliveries
            .filter(|it| is_outside(&it.source) && !is_by_hand(&it.source, &it.receiver))
            .map(|it| (it.source.as_str(), it.receiver.as_str()))
            .collect();
        let mut newly = Vec::new();
        for (source, receiver) in by {
            let pair = (source.to_owned(), receiver.to_owned());
            if self.0.get(&pair).is_some_and(|at| since(now, *at) < NOTED_EVERY) {
                continue;
            }
            sqlx::query(
                "INSERT INTO receivers (source, receiver, at) VALUES ($1, $2, $3)
                 ON CONFLICT (source, receiver) DO UPDATE SET at = excluded.at WHERE receivers.at <= $4",
            )
            .bind(source)
            .bind(plain(receiver))
            .bind(micros(now))
            .bind(micros(before(now, NOTED_EVERY)))
            .execute(&mut **tx)
            .await?;
            newly.push(pair);
        }
        Ok(newly)
    }

    /// Remembers what is on disk.
    pub(super) fn keep(&mut self, newly: Vec<(String, String)>, now: Timestamp) {
        if self.0.len() + newly.len() > REMEMBERED {
            // whoever makes up names cannot fill the memory: they are written again
            self.0.clear();
        }
        self.0.extend(newly.into_iter().map(|pair| (pair, now)));
    }
}

/// Keeps how it was found that an episode opened or ended.
pub(super) async fn keep(
    tx: &mut Transaction,
    episode: i64,
    change: Change,
    words: &str,
    now: Timestamp,
) -> Result<()> {
    let kind = match change {
        Change::Open | Change::Reopen => "opened",
        Change::Close => "closed",
        Change::Update | Change::Nothing => return Ok(()),
    };
    write(tx, episode, kind, words, now).await
}

/// Keeps that an episode was posted by a person or another program, so that Alertmanager need not know it.
pub(super) async fn sent_by_hand(tx: &mut Transaction, episode: i64, now: Timestamp) -> Result<()> {
    write(tx, episode, BY_HAND, "", now).await
}

async fn write(
    tx: &mut Transaction,
    episode: i64,
    kind: &str,
    words: &str,
    now: Timestamp,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO evidence (episode, at, kind, words) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind(episode)
    .bind(micros(now))
    .bind(kind)
    .bind(plain(words))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

impl Store {
    /// By which receivers each source delivered, the latest first.
    pub async fn receivers(&self) -> Result<Vec<Delivered>> {
        let rows = sqlx::query(
            "SELECT source, receiver FROM receivers ORDER BY at DESC, source, receiver",
        )
        .fetch_all(&self.reader)
        .await?;
        let delivered =
            |row| Ok(Delivered { source: text(row, "source")?, receiver: text(row, "receiver")? });
        rows.iter().map(delivered).collect()
    }

    /// Every open episode, by its fingerprint.
    pub async fn known_open(&self) -> Result<BTreeMap<String, Known>> {
        let rows = sqlx::query(
            "SELECT e.*, COALESCE(m.since, 0) AS missing_since, COALESCE(h.at, 0) AS by_hand_at FROM episodes e
             LEFT JOIN missing m ON m.episode = e.id
             LEFT JOIN evidence h ON h.episode = e.id AND h.kind = 'by hand'
             WHERE e.is_open = 1",
        )
        .fetch_all(&self.reader)
        .await?;
        let known = |row| {
            let episode = super::episodes::episode(row)?;
            let missing_since = instant_or_none(row, "missing_since")?;
            let by_hand = instant_or_none(row, "by_hand_at")?.is_some();
            Ok((episode.fingerprint.clone(), Known { episode, missing_since, by_hand }))
        };
        rows.iter().map(known).collect()
    }

    /// Replaces what is known of the open episodes that Alertmanager did not list when it was last asked.
    pub async fn set_missing(&self, missing: &[(EpisodeId, Timestamp)]) -> Result<()> {
        let mut tx = self.begin().await?;
        sqlx::query("DELETE FROM missing").execute(&mut *tx).await?;
        for (episode, since) in missing {
            sqlx::query(
                "INSERT INTO missing (episode, since) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            )
            .bind(episode.0)
            .bind(micros(*since))
            .execute(&mut *tx)
            .await?;
        }
        commit(tx).await
    }

    /// How it was found that an episode opened or ended, the earliest first.
    pub async fn found(&self, episode: EpisodeId) -> Result<Vec<Found>> {
        let rows = sqlx::query(
            "SELECT episode, at, words FROM evidence WHERE episode = $1 AND kind <> 'by hand' ORDER BY at, kind",
        )
        .bind(episode.0)
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(found).collect()
    }

    /// The same, in words alone.
    pub async fn words_found(&self, episode: EpisodeId) -> Result<Vec<String>> {
        Ok(self.found(episode).await?.into_iter().map(|it| it.words).collect())
    }

    /// How the end of the episode of an incident that ended last was found; `None` when a webhook told of it.
    pub async fn ended_unseen(&self, incident: IncidentId) -> Result<Option<String>> {
        let row = sqlx::query(
            "SELECT v.words AS words FROM episodes e JOIN incident_episodes i ON i.episode = e.id
             LEFT JOIN evidence v ON v.episode = e.id AND v.kind = 'closed' AND v.at >= e.seen_at
             WHERE i.incident = $1 ORDER BY e.ended_at DESC, e.id DESC, v.at DESC LIMIT 1",
        )
        .bind(incident.0)
        .fetch_optional(&self.reader)
        .await?;
        let words: Option<Option<String>> = row.map(|row| row.try_get("words")).transpose()?;
        Ok(words.flatten())
    }

    /// The same for all episodes of an incident.
    pub async fn found_of(&self, incident: IncidentId) -> Result<Vec<Found>> {
        let rows = sqlx::query(
            "SELECT v.episode AS episode, v.at AS at, v.words AS words FROM evidence v
             JOIN incident_episodes i ON i.episode = v.episode
             WHERE i.incident = $1 AND v.kind <> 'by hand' ORDER BY v.at, v.episode, v.kind",
        )
        .bind(incident.0)
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(found).collect()
    }
}

fn found(row: &sqlx::any::AnyRow) -> Result<Found> {
    Ok(Found {
        episode: EpisodeId(row.try_get("episode")?),
        at: instant(row, "at")?,
        words: text(row, "words")?,
    })
}
