//! Intake of alerts: one writer commits all waiting deliveries together, and only then answers each.
//!
//! A delivery that changes nothing is recognised by reading, and writes nothing. What waits is bounded; beyond
//! the bound the sender is told to come back, and nothing of its delivery is kept.

mod repeats;
mod rows;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::decide::episode::Change;
use crate::decide::episode::Heard;
use crate::decide::episode::change;
use crate::decide::reconcile::is_by_hand;
use crate::model::alert::Alert;
use crate::model::alert::AlertStatus;
use crate::model::alert::Delivery;
use crate::model::incident::EpisodeId;
use crate::model::listed::Evidence;
use crate::store::Result;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::Transaction;
use crate::store::micros;
use crate::store::next_ids;
use crate::store::reconcile;
use crate::store::reconcile::Noted;

use rows::Latest;
use rows::Opening;
use rows::starts;

/// Deliveries committed together, at most.
const BATCH: usize = 256;

/// What a committed delivery did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Episodes opened.
    pub opened: usize,
    /// Episodes that fired again with the same start.
    pub reopened: usize,
    /// Open episodes with news.
    pub updated: usize,
    /// Episodes closed.
    pub closed: usize,
    /// Alerts that said nothing new.
    pub unchanged: usize,
}

impl Accepted {
    fn count(&mut self, change: Change) {
        let slot = match change {
            Change::Open => &mut self.opened,
            Change::Reopen => &mut self.reopened,
            Change::Update => &mut self.updated,
            Change::Close => &mut self.closed,
            Change::Nothing => &mut self.unchanged,
        };
        *slot += 1;
    }

    /// Whether anything was written.
    pub fn changed(&self) -> bool {
        self.opened + self.reopened + self.updated + self.closed > 0
    }
}

/// Why a delivery was not taken; nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum NotAccepted {
    /// Too much waits already.
    #[error("{waiting} alerts wait to be stored, of at most {limit}")]
    Overloaded {
        /// Alerts that wait.
        waiting: usize,
        /// The bound.
        limit: usize,
    },
    /// The writer has stopped: the server is going down.
    #[error("quell is stopping")]
    Stopping,
    /// It could not be written.
    #[error("{0}")]
    Storage(String),
}

struct Waiting {
    delivery: Delivery,
    /// One for each alert.
    fingerprints: Vec<String>,
    /// One for each alert, or none: how it was found that they fire, or ended.
    evidence: Vec<Evidence>,
    since: Instant,
    answer: oneshot::Sender<std::result::Result<Accepted, NotAccepted>>,
}

/// Hands deliveries to the writer.
#[derive(Debug, Clone)]
pub struct Intake {
    queue: mpsc::UnboundedSender<Waiting>,
    waiting: Arc<AtomicUsize>,
    behind: Arc<Behind>,
    limit: usize,
}

/// Since when the first of those that are being stored has waited.
#[derive(Debug)]
struct Behind {
    began: Instant,
    /// Microseconds after `began`; [`Behind::NOBODY`] while nothing is stored.
    since: AtomicU64,
}

impl Behind {
    const NOBODY: u64 = u64::MAX;

    fn new() -> Self {
        Self { began: Instant::now(), since: AtomicU64::new(Self::NOBODY) }
    }

    fn micros(&self, at: Instant) -> u64 {
        let micros = at.saturating_duration_since(self.began).as_micros();
        u64::try_from(micros).unwrap_or(Self::NOBODY)
    }

    fn set(&self, first: Option<Instant>) {
        let since = first.map_or(Self::NOBODY, |at| self.micros(at));
        self.since.store(since, Ordering::Release);
    }

    fn by(&self) -> Duration {
        let since = self.since.load(Ordering::Acquire);
        Duration::from_micros(self.micros(Instant::now()).saturating_sub(since))
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} alerts of {}", self.delivery.alerts.len(), self.delivery.source)
    }
}

impl Intake {
    /// An intake and the writer behind it. The writer ends when every `Intake` is dropped, after it has
    /// committed what was accepted; `committed` is called after each commit that changed something.
    pub fn new(
        store: Store,
        limit: usize,
        committed: impl Fn() + Send + 'static,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, mut waiting_deliveries) = mpsc::unbounded_channel::<Waiting>();
        let waiting = Arc::new(AtomicUsize::new(0));
        let behind = Arc::new(Behind::new());
        let intake =
            Self { queue, waiting: Arc::clone(&waiting), behind: Arc::clone(&behind), limit };
        let writer = async move {
            let mut batch = Vec::with_capacity(BATCH);
            let mut noted = Noted::default();
            let mut changes = false;
            while waiting_deliveries.recv_many(&mut batch, BATCH).await > 0 {
                let alerts: usize = batch.iter().map(|it| it.delivery.alerts.len().max(1)).sum();
                behind.set(batch.first().map(|it| it.since));
                changes = write(&store, &mut noted, changes, std::mem::take(&mut batch)).await;
                if changes {
                    committed();
                }
                behind.set(None);
                waiting.fetch_sub(alerts, Ordering::AcqRel);
            }
        };
        (intake, writer)
    }

    /// Returns after the commit that holds the delivery.
    pub async fn accept(&self, delivery: Delivery) -> std::result::Result<Accepted, NotAccepted> {
        self.accept_found(delivery, Vec::new()).await
    }

    /// The same for alerts that nobody sent, each with how it was found, which is kept with what it opens or closes. An alert
    /// whose episode has changed since it was found does nothing.
    pub async fn accept_found(
        &self,
        delivery: Delivery,
        evidence: Vec<Evidence>,
    ) -> std::result::Result<Accepted, NotAccepted> {
        let alerts = delivery.alerts.len().max(1);
        let waiting = self.waiting.fetch_add(alerts, Ordering::AcqRel);
        // one delivery is always taken by an idle intake, however large: its sender cannot split it
        if waiting > 0 && waiting + alerts > self.limit {
            self.waiting.fetch_sub(alerts, Ordering::AcqRel);
            return Err(NotAccepted::Overloaded { waiting, limit: self.limit });
        }
        let (answer, answered) = oneshot::channel();
        // here, not in the writer, for whom all wait
        let fingerprints = delivery.alerts.iter().map(|it| it.labels.fingerprint()).collect();
        let since = Instant::now();
        if self.queue.send(Waiting { delivery, fingerprints, evidence, since, answer }).is_err() {
            self.waiting.fetch_sub(alerts, Ordering::AcqRel);
            return Err(NotAccepted::Stopping);
        }
        answered.await.unwrap_or(Err(NotAccepted::Stopping))
    }

    /// Alerts that wait to be stored.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// How long the first of what is stored now has waited. Who comes while this is long would wait longer: more comes than
    /// can be stored, or the database stands still. A burst is not this: all of it came at once.
    pub fn behind(&self) -> Duration {
        self.behind.by()
    }
}

/// Commits a batch and answers it; says whether anything changed. After a batch that `changes` something it is not looked first
/// whether this one does: then it would be looked twice.
async fn write(store: &Store, noted: &mut Noted, changes: bool, batch: Vec<Waiting>) -> bool {
    let unchanged = if changes { Ok(None) } else { nothing_new(store, &batch).await };
    let result = match unchanged {
        Ok(Some(unchanged)) => Ok(unchanged),
        Ok(None) => commit(store, noted, &batch).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(accepted) => {
            let changed = accepted.iter().any(Accepted::changed);
            for (waiting, accepted) in batch.into_iter().zip(accepted) {
                // a sender that hung up needs no answer; its delivery is stored all the same
                drop(waiting.answer.send(Ok(accepted)));
            }
            changed
        }
        Err(error) => {
            let words = error.to_string();
            for waiting in batch {
                drop(waiting.answer.send(Err(NotAccepted::Storage(words.clone()))));
            }
            false
        }
    }
}

fn fingerprints(batch: &[Waiting]) -> BTreeSet<&str> {
    batch.iter().flat_map(|it| &it.fingerprints).map(String::as_str).collect()
}

/// The answers when no alert of the batch says anything new, found without a write.
async fn nothing_new(store: &Store, batch: &[Waiting]) -> Result<Option<Vec<Accepted>>> {
    let now = store.now();
    if batch.iter().flat_map(|it| &it.delivery.alerts).all(|it| it.status == AlertStatus::Firing) {
        let unchanged =
            |it: &Waiting| Accepted { unchanged: it.fingerprints.len(), ..Accepted::default() };
        let only = repeats::are_all(store, batch, now).await?;
        return Ok(only.then(|| batch.iter().map(unchanged).collect()));
    }
    let latest = Latest::read(store, None, fingerprints(batch)).await?;
    let mut answers = Vec::with_capacity(batch.len());
    for Waiting { delivery, fingerprints, .. } in batch {
        let mut accepted = Accepted::default();
        for (alert, fingerprint) in delivery.alerts.iter().zip(fingerprints) {
            match change(latest.get(fingerprint), alert, delivery.truncated, now) {
                Change::Nothing => accepted.count(Change::Nothing),
                _ => return Ok(None),
            }
        }
        answers.push(accepted);
    }
    Ok(Some(answers))
}

async fn commit(store: &Store, noted: &mut Noted, batch: &[Waiting]) -> Result<Vec<Accepted>> {
    let now = store.now();
    let alerts = batch.iter().map(|it| it.delivery.alerts.len()).sum();
    let mut tx = store.begin().await?;
    // the first statement is a write: it takes SQLite's lock, and PostgreSQL's row lock over replicas
    let mut next_id = next_ids(&mut tx, "episode", alerts).await?;
    let newly = noted.note(&mut tx, batch.iter().map(|it| &it.delivery), now).await?;
    // others may have written since it was read without the lock
    let mut latest = Latest::read(store, Some(&mut tx), fingerprints(batch)).await?;
    let mut opening = Opening::default();
    let mut answers = Vec::with_capacity(batch.len());
    for Waiting { delivery, fingerprints, evidence, .. } in batch {
        let by_hand = is_by_hand(&delivery.source, &delivery.receiver) && evidence.is_empty();
        let mut accepted = Accepted::default();
        for (index, (alert, fingerprint)) in delivery.alerts.iter().zip(fingerprints).enumerate() {
            let known = latest.get(fingerprint);
            let evidence = evidence.get(index);
            let change = match evidence {
                Some(evidence) if !still_holds(evidence, known) => Change::Nothing,
                _ => change(known, alert, delivery.truncated, now),
            };
            accepted.count(change);
            let id = match (change, known) {
                (Change::Open, _) | (_, None) => next_id,
                (_, Some(episode)) => episode.id.0,
            };
            if let Some(evidence) = evidence {
                reconcile::keep(&mut tx, id, change, &evidence.words, now).await?;
            }
            if change == Change::Nothing {
                continue;
            }
            if opening.is_full() || known.is_some_and(|it| opening.holds(it.id)) {
                opening.insert(&mut tx, now).await?;
            }
            match (change, known) {
                (Change::Open, _) => {
                    opening.add(id, fingerprint, delivery, alert);
                    if by_hand {
                        reconcile::sent_by_hand(&mut tx, id, now).await?;
                    }
                    next_id += 1;
                }
                (Change::Reopen | Change::Update, Some(episode)) => {
                    refresh(&mut tx, episode, change, delivery, alert, now).await?;
                }
                (Change::Close, Some(episode)) => close(&mut tx, episode, alert, now).await?,
                (Change::Nothing | Change::Reopen | Change::Update | Change::Close, _) => {}
            }
            latest.follow(change, (fingerprint, EpisodeId(id)), delivery, alert, now);
        }
        answers.push(accepted);
    }
    opening.insert(&mut tx, now).await?;
    if newly.is_empty() && !answers.iter().any(Accepted::changed) {
        tx.leave().await?;
        return Ok(answers);
    }
    super::commit(tx).await?;
    noted.keep(newly, now);
    Ok(answers)
}

/// Whether nothing was heard of the alert since it was judged.
fn still_holds(evidence: &Evidence, latest: Option<&Heard>) -> bool {
    evidence.latest == latest.map(|it| (it.id, it.open))
        && latest.is_none_or(|it| it.seen_at <= evidence.asked_at)
}

impl Store {
    /// Whether another episode of this source is open: one with another fingerprint.
    pub async fn is_open_elsewhere(&self, source: &str, fingerprint: &str) -> Result<bool> {
        let row = sqlx::query(
            "SELECT 1 FROM episodes WHERE is_open = 1 AND source = $1 AND fingerprint <> $2 LIMIT 1",
        )
        .bind(source)
        .bind(fingerprint)
        .fetch_optional(&self.writer)
        .await?;
        Ok(row.is_some())
    }
}

async fn refresh(
    tx: &mut Transaction,
    episode: &Heard,
    change: Change,
    delivery: &Delivery,
    alert: &Alert,
    now: Timestamp,
) -> Result<()> {
    let starts_at = starts(episode, alert);
    let again = change == Change::Reopen;
    // a mere repeat does not make it due: nothing that guards judge by became worse
    let wake = again || episode.truncated != delivery.truncated;
    sqlx::query(
        "UPDATE episodes SET is_open = 1, source = $1, annotations = $2, starts_at = $3, seen_at = $4,
           ended_at = 0, truncated = $5, reopened = reopened + $6,
           attempt = attempt + $7, due_at = CASE WHEN $8 = 1 THEN $9 ELSE due_at END
         WHERE id = $10",
    )
    .bind(delivery.source.as_str())
    .bind(alert.annotations.to_json())
    .bind(micros(starts_at))
    .bind(micros(now))
    .bind(i64::try_from(delivery.truncated).unwrap_or(i64::MAX))
    .bind(i64::from(again))
    .bind(i64::from(wake))
    .bind(i64::from(wake))
    .bind(micros(now))
    .bind(episode.id.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn close(tx: &mut Transaction, episode: &Heard, alert: &Alert, now: Timestamp) -> Result<()> {
    sqlx::query(
        "UPDATE episodes SET is_open = 0, ended_at = $1, due_at = $2, attempt = attempt + 1
         WHERE id = $3",
    )
    .bind(micros(alert.ends_at.unwrap_or(now)))
    .bind(micros(now))
    .bind(episode.id.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

impl From<StoreError> for NotAccepted {
    fn from(error: StoreError) -> Self {
        Self::Storage(error.to_string())
    }
}
