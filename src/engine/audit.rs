//! Seals what was recorded, off the way of whoever records it: leaves of the log, a signed checkpoint, and that in a place
//! outside the database. Any replica does; what one has done the others find done.

pub mod check;

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::decide::audit::merkle::Range;
use crate::decide::audit::note::Checkpoint;
use crate::decide::audit::note::PrivateKey;
use crate::decide::own::audit as own;
use crate::engine::Engine;
use crate::model::alert::Alert;
use crate::model::config::Config;
use crate::model::decision::Pause;
use crate::notify;
use crate::notify::Anchored;
use crate::store::Result;
use crate::store::StoreError;
use crate::store::audit::findings::ANCHOR;
use crate::store::audit::findings::Finding;
use crate::store::audit::key;
use crate::store::glance::Glance;
use crate::store::sqlite_file;

/// How often it is looked whether something was recorded.
const SEAL_EVERY: Duration = Duration::from_secs(1);
/// Records that become leaves in one transaction.
const BATCH: u32 = 200;
/// Batches of one turn: what a database of an older quell holds is sealed over many.
const BATCHES: u32 = 20;
/// So many failures in a row are told.
const IN_A_ROW: u32 = 3;
/// When quell stops, what is left may take this long to be sealed and anchored.
const LAST_WITHIN: Duration = Duration::from_secs(5);
/// Findings that an alert names.
const NAMED: usize = 3;

/// What does not work, since when and why: for the alerts about it.
#[derive(Debug, Default)]
pub struct Troubles(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    stuck: Option<Trouble>,
    anchor: Option<Trouble>,
}

#[derive(Debug)]
struct Trouble {
    since: Timestamp,
    why: String,
    times: u32,
}

impl Troubles {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Alerts about what did not work several times in a row.
    fn alerts(&self) -> Vec<Alert> {
        let held = self.lock();
        let lasts = |it: &&Trouble| it.times >= IN_A_ROW;
        let stuck = held.stuck.as_ref().filter(lasts).map(|it| own::stuck(&it.why, it.since));
        let anchor =
            held.anchor.as_ref().filter(lasts).map(|it| own::anchor_failing(&it.why, it.since));
        stuck.into_iter().chain(anchor).collect()
    }
}

impl Held {
    fn failed(at: &mut Option<Trouble>, why: String, now: Timestamp) {
        let trouble = at.get_or_insert(Trouble { since: now, why: String::new(), times: 0 });
        trouble.times = trouble.times.saturating_add(1);
        trouble.why = why;
    }
}

/// The loop.
pub async fn run(engine: Engine) {
    let mut sealer = Sealer::default();
    while !engine.stop.is_cancelled() {
        let now = engine.clock.now();
        match sealer.turn(&engine).await {
            Ok(()) => engine.audit.lock().stuck = None,
            Err(error) => {
                // a database that takes nothing at all says nothing of the log
                if engine.store.beat().await.is_ok() {
                    Held::failed(&mut engine.audit.lock().stuck, error.to_string(), now);
                }
                engine.trouble("audit", &error).await;
            }
        }
        engine.turned("audit");
        engine.pause(SEAL_EVERY).await;
    }
}

/// Seals and anchors what is left, before quell stops.
pub async fn finish(engine: &Engine) {
    let mut sealer = Sealer::default();
    let last = tokio::time::timeout(LAST_WITHIN, sealer.turn(engine)).await;
    match last {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, "the last records were not sealed; the next start does it");
        }
        Err(_) => {
            tracing::warn!("the last records were not sealed in time; the next start does it");
        }
    }
}

/// Makes the key beside an `SQLite` database when there is none, and says which key signs. Only at the start: a key that is gone
/// later is trouble, not a reason for another.
pub fn ready_key(config: &Config) -> std::result::Result<Option<PrivateKey>, String> {
    if config.audit.signing_key.is_none()
        && let Some(database) = sqlite_file(config.storage.reveal())
    {
        let file = key::key_file(database);
        key::read_or_make_key(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    signing_key(config)
}

/// The key that signs checkpoints, if there is one: of the settings, or the file beside the `SQLite` database.
pub fn signing_key(config: &Config) -> std::result::Result<Option<PrivateKey>, String> {
    if let Some(text) = &config.audit.signing_key {
        let parsed = PrivateKey::parse(text.reveal());
        return parsed.map(Some).map_err(|error| format!("audit.signing_key: {error}"));
    }
    let Some(database) = sqlite_file(config.storage.reveal()) else { return Ok(None) };
    let file = key::key_file(database);
    match key::read_key(&file) {
        Ok(Some(key)) => Ok(Some(key)),
        Ok(None) => Err(format!("{} is gone: put it back", file.display())),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

/// While the audit is not as it was written, what guards judge by is not evidence: everything is paused until it verifies again
/// or a person answers for going on.
pub(super) async fn pause(glance: &Glance<'_>) -> Result<Option<Pause>> {
    let open = glance.open_findings().await?;
    Ok(open.first().map(|first| Pause {
        scope: "all".into(),
        by: own::PAUSED_BY.into(),
        reason: format!("it is not as it was written: {}", first.finding),
        at: first.since,
    }))
}

/// Alerts about the audit.
pub(super) async fn alerts(engine: &Engine) -> Result<Vec<Alert>> {
    let mut alerts = engine.audit.alerts();
    let open = engine.store.open_findings().await?;
    engine.metrics.audit_findings.set(i64::try_from(open.len()).unwrap_or(i64::MAX));
    if let Some(first) = open.first() {
        let some: Vec<String> = open.iter().take(NAMED).map(|it| it.finding.to_string()).collect();
        alerts.push(own::broken(&some, open.len(), first.since));
    }
    Ok(alerts)
}

#[derive(Default)]
struct Sealer {
    /// The public key that is written down.
    known: Option<String>,
    anchored: Option<Instant>,
}

impl Sealer {
    async fn turn(&mut self, engine: &Engine) -> Result<()> {
        let library = engine.library.load_full();
        let config = &library.config;
        let key = signing_key(config).map_err(StoreError::Invalid)?;
        let sign = |range: &Range| {
            let key = key.as_ref()?;
            let origin = config.audit.origin.as_deref().unwrap_or(key.public().name());
            key.sign(&Checkpoint::of(origin, range).text())
        };
        if let Some(key) = &key
            && self.known.as_ref() != Some(&key.public().to_string())
        {
            if engine.store.add_key(key.public(), "", &sign).await? {
                tracing::info!(key = %key.public(), "this key signs the audit from now on");
            }
            self.known = Some(key.public().to_string());
        }
        let mut standing = engine.store.standing().await?;
        if standing.waiting > 0 || key.is_some() && standing.signed < standing.size {
            for _ in 0..BATCHES {
                if engine.store.seal(BATCH, &sign).await? < u64::from(BATCH) {
                    break;
                }
            }
            standing = engine.store.standing().await?;
        }
        engine.metrics.audit(
            standing.size,
            standing.waiting,
            standing.signed_at,
            engine.clock.now(),
        );
        self.anchor(engine, config).await
    }

    /// Writes the newest checkpoint outside the database.
    async fn anchor(&mut self, engine: &Engine, config: &Config) -> Result<()> {
        let Some(to) = &config.audit.anchor else {
            engine.audit.lock().anchor = None;
            return Ok(());
        };
        if self.anchored.is_some_and(|last| last.elapsed() < config.audit.anchor_every) {
            return Ok(());
        }
        let Some((size, note)) = engine.store.unanchored().await? else {
            engine.audit.lock().anchor = None;
            return Ok(());
        };
        self.anchored = Some(Instant::now());
        let now = engine.clock.now();
        match notify::anchor(to, size, &note).await {
            Anchored::Done => {
                engine.store.anchored(size).await?;
                engine.store.mend_finding(ANCHOR).await?;
                engine.audit.lock().anchor = None;
                engine.metrics.anchored("sent");
            }
            Anchored::Failed(why) => {
                engine.metrics.anchored("failed");
                tracing::warn!(why, size, "the checkpoint was not anchored; trying again");
                Held::failed(&mut engine.audit.lock().anchor, why, now);
            }
            Anchored::Contradicted(what) => contradicted(engine, size, what).await?,
            Anchored::Older { there } => {
                // another replica may have anchored a later checkpoint meanwhile
                if engine.store.log().await?.range.size() < there {
                    let what = format!(
                        "it has a checkpoint of {there} leaves, more than the log has: the database is an older copy, or the log was truncated"
                    );
                    contradicted(engine, size, what).await?;
                }
            }
        }
        Ok(())
    }
}

/// The anchor says something against the log.
async fn contradicted(engine: &Engine, size: u64, what: String) -> Result<()> {
    engine.metrics.anchored("failed");
    tracing::error!(what, size, "the anchor contradicts the audit's log");
    engine.store.note_findings(&[Finding { place: ANCHOR.to_owned(), what }]).await
}
