//! What quell says of itself: credentials that are refused, channels that reach nobody, targets that are fixed again and again.
//!
//! What is wrong is in the store, written with what caused it. This loop holds the alerts beside it: whatever is wrong has an
//! open one, whatever is right again has none, also after a crash and over replicas.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::decide::channels;
use crate::decide::chronic;
use crate::decide::own;
use crate::engine::Engine;
use crate::engine::audit;
use crate::engine::credentials;
use crate::engine::fallback;
use crate::engine::surroundings::Surroundings;
use crate::library::Library;
use crate::model::alert::Alert;
use crate::model::alert::AlertStatus;
use crate::model::alert::Delivery;
use crate::model::incident::Episode;
use crate::model::time::after;
use crate::model::time::before;
use crate::store::Result;

/// Chronic targets are looked for when a run ends, and this often: fixes grow old.
const COUNT_EVERY: std::time::Duration = std::time::Duration::from_mins(1);

/// The loop.
pub async fn run(engine: Engine) {
    let mut watch = None;
    while !engine.stop.is_cancelled() {
        let looked = match &mut watch {
            None => Watch::new(&engine).await.map(|new| watch = Some(new)),
            Some(watch) => watch.look(&engine).await,
        };
        if let Err(error) = looked {
            engine.trouble("watch", &error).await;
        }
        engine.turned("watch");
        engine.idle(&engine.wake.watch).await;
    }
}

struct Watch {
    /// What is firing, as far as this process said or found, by fingerprint.
    said: BTreeMap<String, Alert>,
    /// The settings that credentials were compared with.
    library: Option<Arc<Library>>,
    /// Facts by which chronic targets were counted, and when that is done again.
    counted: i64,
    count_at: Timestamp,
    silent: bool,
    around: Surroundings,
    /// Of the instants above.
    era: i64,
}

impl Watch {
    /// Takes over what an earlier process said.
    async fn new(engine: &Engine) -> Result<Self> {
        let left = engine.store.open_episodes_from(own::WATCH).await?;
        let said = left.into_iter().map(|it| (it.fingerprint.clone(), as_said(it))).collect();
        let (count_at, era) = engine.clock.now_and_era();
        Ok(Self {
            said,
            library: None,
            counted: -1,
            count_at,
            silent: false,
            around: Surroundings::default(),
            era,
        })
    }

    async fn look(&mut self, engine: &Engine) -> Result<()> {
        if self.era != engine.clock.era() {
            // what is said began by another clock
            let around = std::mem::take(&mut self.around);
            *self = Self { around, silent: self.silent, ..Self::new(engine).await? };
        }
        let library = engine.library.load_full();
        if self.library.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &library)) {
            credentials::clear_changed(engine).await?;
            self.library = Some(Arc::clone(&library));
        }
        let mut firing = denied(engine).await?;
        firing.extend(self.failing(engine, &library).await?);
        firing.extend(self.chronic(engine, &library).await?);
        firing.extend(self.around.look(engine, &library).await?);
        firing.extend(audit::alerts(engine).await?);
        self.say(engine, firing).await;
        fallback::late(engine, &library).await
    }

    /// Alerts about channels that reach nobody.
    async fn failing(&mut self, engine: &Engine, library: &Library) -> Result<Vec<Alert>> {
        let troubles = engine.store.channel_troubles().await?;
        let failing = channels::failing(&library.config, &troubles, engine.clock.now());
        let silent = channels::is_silent(&library.config, &failing);
        if silent && !self.silent {
            let names: Vec<&str> = failing.keys().copied().collect();
            tracing::error!(
                channels = names.join(", "),
                "every channel fails: nobody can be told of anything"
            );
        }
        self.silent = silent;
        engine.metrics.set_channels(
            library.config.channels.keys().map(|name| (&**name, failing.contains_key(&**name))),
            silent,
        );
        let alert = |(name, trouble): (&&str, &&channels::Trouble)| {
            own::channel_failing(name, &trouble.reason, trouble.since)
        };
        Ok(failing.iter().map(alert).collect())
    }

    /// Alerts about targets that are fixed again and again.
    async fn chronic(&mut self, engine: &Engine, library: &Library) -> Result<Vec<Alert>> {
        let now = engine.clock.now();
        let version = engine.store.facts_version().await?;
        let limit = library.config.limits.chronic.value;
        if version.runs != self.counted || now >= self.count_at {
            let fixes = engine.store.fixes(before(now, limit.per)).await?;
            let found = chronic::chronic(&fixes, limit, now);
            for row in engine.store.chronic().await?.iter().filter(|row| row.over_at.is_none()) {
                if !found.iter().any(|it| it.rule == row.rule && it.target == row.target) {
                    engine.store.end_chronic(&row.rule, &row.target).await?;
                }
            }
            for it in found {
                engine
                    .store
                    .note_chronic(&it.rule, &it.target, &it.words(limit), limit.per)
                    .await?;
            }
            self.counted = version.runs;
            self.count_at = after(now, COUNT_EVERY);
        }
        let rows = engine.store.chronic().await?;
        let open = rows.iter().filter(|row| row.over_at.is_none());
        Ok(open.map(|it| own::chronic(&it.rule, &it.target, &it.summary, it.told_at)).collect())
    }

    /// Raises what is new and ends what is over, through intake, as any source does.
    async fn say(&mut self, engine: &Engine, firing: Vec<Alert>) {
        let firing: BTreeMap<String, Alert> =
            firing.into_iter().map(|alert| (alert.labels.fingerprint(), alert)).collect();
        let is_new = |fingerprint: &String, alert: &Alert| {
            self.said.get(fingerprint).is_none_or(|said| said.starts_at != alert.starts_at)
        };
        let mut alerts: Vec<Alert> = firing
            .iter()
            .filter(|(fingerprint, alert)| is_new(fingerprint, alert))
            .map(|(_, alert)| alert.clone())
            .collect();
        let now = engine.clock.now();
        let over = self.said.iter().filter(|(fingerprint, _)| !firing.contains_key(*fingerprint));
        alerts.extend(
            over.map(|(_, alert)| {
                own::mended(alert.labels.clone(), alert.annotations.clone(), now)
            }),
        );
        if raise(engine, own::WATCH, alerts).await {
            self.said = firing;
        }
    }
}

/// Alerts about credentials that were refused.
async fn denied(engine: &Engine) -> Result<Vec<Alert>> {
    let denied = engine.store.denied().await?;
    engine.metrics.credentials_denied.set(i64::try_from(denied.len()).unwrap_or(i64::MAX));
    Ok(denied
        .iter()
        .map(|it| {
            let run = it.run.to_string();
            own::credential_denied(&it.credential, &it.reason, &run, &it.playbook, it.at)
        })
        .collect())
}

/// Hands alerts of quell's own to intake; says whether they are on disk.
pub(super) async fn raise(engine: &Engine, source: &str, alerts: Vec<Alert>) -> bool {
    if alerts.is_empty() {
        return true;
    }
    let delivery =
        Delivery { source: source.to_owned(), receiver: String::new(), truncated: 0, alerts };
    let accepted = engine.intake.accept(delivery).await;
    if let Err(error) = &accepted {
        tracing::error!(source, %error, "an alert of quell's own was not stored");
    }
    accepted.is_ok()
}

/// The alert that opened an episode.
fn as_said(episode: Episode) -> Alert {
    Alert {
        status: AlertStatus::Firing,
        labels: episode.labels,
        annotations: episode.annotations,
        starts_at: Some(episode.starts_at),
        ends_at: None,
        generator_url: String::new(),
    }
}
