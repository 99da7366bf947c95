//! The rows of many alerts at once: which episodes they belong to, and those that they open.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use sqlx::Any;
use sqlx::Executor;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::decide::episode::Change;
use crate::decide::episode::Heard;
use crate::model::alert::Alert;
use crate::model::alert::Delivery;
use crate::model::incident::EpisodeId;
use crate::store::Result;
use crate::store::Store;
use crate::store::Transaction;
use crate::store::flag;
use crate::store::instant;
use crate::store::instant_or_none;
use crate::store::many::Many;
use crate::store::many::filled;
use crate::store::many::list;
use crate::store::many::powers;
use crate::store::micros;
use crate::store::number;
use crate::store::plain;
use crate::store::text;

/// The most fingerprints that are asked for at once. Fewer are filled up to a power of two, so that few statements are prepared.
const ASKED: usize = 256;

/// The most episodes that one statement inserts, a power of two.
const INSERTED: usize = 64;

/// The latest episode of each fingerprint, by powers of two. The last one is found in the index, however many there were before.
static LATEST: LazyLock<Many> = LazyLock::new(|| {
    Many::new(ASKED, |count| {
        let values = list(count, |at| format!("(${at})"));
        format!(
            "SELECT e.id, e.fingerprint, e.is_open, e.starts_at, e.opened_at, e.seen_at, e.ended_at, e.truncated,
               e.annotations
             FROM (VALUES {values}) AS f CROSS JOIN episodes e WHERE e.id =
               (SELECT MAX(l.id) FROM episodes l WHERE l.fingerprint = f.column1)"
        )
    })
});

/// Columns of an episode that are not the same for all that are opened together.
const COLUMNS: usize = 8;

/// Inserts open episodes, by powers of two.
static INSERT: LazyLock<Many> = LazyLock::new(|| {
    let row = |at: usize| {
        // the first parameter is the time
        let first = 2 + (at - 1) * COLUMNS;
        let [id, fingerprint, source, labels, annotations, url, starts, truncated] =
            std::array::from_fn(|column| first + column);
        format!(
            "(${id}, ${fingerprint}, ${source}, ${labels}, ${annotations}, ${url}, 1, ${starts}, $1, $1, 0, 0,
              ${truncated}, $1, 0)"
        )
    };
    Many::new(INSERTED, |count| {
        let rows = list(count, row);
        format!(
            "INSERT INTO episodes (id, fingerprint, source, labels, annotations, generator_url, is_open,
               starts_at, opened_at, seen_at, ended_at, reopened, truncated, due_at, attempt)
             VALUES {rows}"
        )
    })
});

/// The latest episodes by their fingerprints, kept up to what is written meanwhile.
#[derive(Debug, Default)]
pub(super) struct Latest(HashMap<String, Heard>);

impl Latest {
    /// As they are on disk, or as a transaction sees them.
    pub(super) async fn read(
        store: &Store,
        mut tx: Option<&mut Transaction>,
        fingerprints: BTreeSet<&str>,
    ) -> Result<Self> {
        let mut latest = HashMap::with_capacity(fingerprints.len());
        let fingerprints: Vec<&str> = fingerprints.into_iter().collect();
        for chunk in fingerprints.chunks(ASKED) {
            let found = match &mut tx {
                Some(tx) => read(&mut ***tx, chunk).await?,
                None => read(&store.reader, chunk).await?,
            };
            latest.extend(found);
        }
        Ok(Self(latest))
    }

    pub(super) fn get(&self, fingerprint: &str) -> Option<&Heard> {
        self.0.get(fingerprint)
    }

    /// What a change makes of the latest episode of an alert, for the next alert of the same fingerprint.
    pub(super) fn follow(
        &mut self,
        change: Change,
        of: (&str, EpisodeId),
        delivery: &Delivery,
        alert: &Alert,
        now: Timestamp,
    ) {
        let (fingerprint, id) = of;
        if change == Change::Open {
            let opened = opened(id, delivery, alert, now);
            self.0.insert(fingerprint.to_owned(), opened);
            return;
        }
        let Some(episode) = self.0.get_mut(fingerprint) else { return };
        match change {
            Change::Reopen | Change::Update => {
                episode.starts_at = starts(episode, alert);
                episode.open = true;
                episode.annotations = alert.annotations.to_json();
                episode.seen_at = stored(now);
                episode.ended_at = None;
                episode.truncated = delivery.truncated;
            }
            Change::Close => {
                episode.open = false;
                episode.ended_at = Some(stored(alert.ends_at.unwrap_or(now)));
            }
            Change::Open | Change::Nothing => {}
        }
    }
}

/// When an open episode began, now that this alert says so too: a start only moves earlier.
pub(super) fn starts(episode: &Heard, alert: &Alert) -> Timestamp {
    alert.starts_at.map_or(episode.starts_at, |at| stored(at).min(episode.starts_at))
}

/// An instant as it is read back: the database counts microseconds.
fn stored(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(micros(at)).unwrap_or(at)
}

fn opened(id: EpisodeId, delivery: &Delivery, alert: &Alert, now: Timestamp) -> Heard {
    Heard {
        id,
        open: true,
        starts_at: stored(alert.starts_at.unwrap_or(now)),
        opened_at: stored(now),
        seen_at: stored(now),
        ended_at: None,
        truncated: delivery.truncated,
        annotations: alert.annotations.to_json(),
    }
}

fn heard(row: &AnyRow) -> Result<(String, Heard)> {
    let heard = Heard {
        id: EpisodeId(row.try_get("id")?),
        open: flag(row, "is_open")?,
        starts_at: instant(row, "starts_at")?,
        opened_at: instant(row, "opened_at")?,
        seen_at: instant(row, "seen_at")?,
        ended_at: instant_or_none(row, "ended_at")?,
        truncated: number(row, "truncated")?,
        annotations: text(row, "annotations")?,
    };
    Ok((text(row, "fingerprint")?, heard))
}

async fn read(
    on: impl Executor<'_, Database = Any>,
    fingerprints: &[&str],
) -> Result<Vec<(String, Heard)>> {
    let asked = filled(fingerprints);
    let mut query = sqlx::query(LATEST.of(asked.len())?);
    for fingerprint in asked {
        query = query.bind(fingerprint);
    }
    query.fetch_all(on).await?.iter().map(heard).collect()
}

/// Episodes that are opened by the next statement that inserts.
#[derive(Debug, Default)]
pub(super) struct Opening<'a>(Vec<(i64, &'a str, &'a Delivery, &'a Alert)>);

impl<'a> Opening<'a> {
    pub(super) fn add(
        &mut self,
        id: i64,
        fingerprint: &'a str,
        delivery: &'a Delivery,
        alert: &'a Alert,
    ) {
        self.0.push((id, fingerprint, delivery, alert));
    }

    /// Whether this episode is not in its table yet.
    pub(super) fn holds(&self, id: EpisodeId) -> bool {
        self.0.iter().any(|(held, ..)| *held == id.0)
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= INSERTED
    }

    /// Inserts all, in as few statements as their number has binary digits.
    pub(super) async fn insert(&mut self, tx: &mut Transaction, now: Timestamp) -> Result<()> {
        for rows in powers(&self.0, INSERTED) {
            let mut query = sqlx::query(INSERT.of(rows.len())?).bind(micros(now));
            for (id, fingerprint, delivery, alert) in rows {
                query = query
                    .bind(*id)
                    .bind(*fingerprint)
                    .bind(delivery.source.as_str())
                    .bind(alert.labels.to_json())
                    .bind(alert.annotations.to_json())
                    .bind(plain(&alert.generator_url))
                    .bind(micros(alert.starts_at.unwrap_or(now)))
                    .bind(i64::try_from(delivery.truncated).unwrap_or(i64::MAX));
            }
            query.execute(&mut **tx).await?;
        }
        self.0.clear();
        Ok(())
    }
}
