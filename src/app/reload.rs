//! Loads the files again: when asked, and when they changed, if quell.yml says `watch:`. All or nothing. A set with
//! errors is said in the log, in `/metrics`, on `/health/ready`, to whoever asked, and to people, once a set.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::decide::own;
use crate::engine::Engine;
use crate::library;
use crate::library::Library;
use crate::library::Loaded;
use crate::library::Severity;
use crate::library::watch;
use crate::library::watch::Watch;
use crate::model::alert::Alert;
use crate::model::alert::Delivery;
use crate::model::labels::Labels;
use crate::store::StoreError;
use crate::wake::FailedReload;
use crate::wake::Refused;
use crate::wake::Reloaded;

/// Loads for as long as the server runs.
pub(super) fn start(engine: &Engine, requests: mpsc::Receiver<oneshot::Sender<Reloaded>>) {
    let engine = engine.clone();
    engine.tasks.clone().spawn(async move {
        let raised = BTreeMap::new();
        let roots = engine.library.load().roots.clone();
        let mut reloader = Reloader { engine, raised, roots, watch: Watch::default() };
        reloader.mend_what_is_left().await;
        reloader.run(requests).await;
    });
}

struct Reloader {
    engine: Engine,
    /// Alerts about sets that could not be loaded, raised by this process: labels and annotations by digest.
    raised: BTreeMap<String, (Labels, Labels)>,
    /// What the last set that was tried is made of.
    roots: Vec<PathBuf>,
    watch: Watch,
}

impl Reloader {
    async fn run(&mut self, mut requests: mpsc::Receiver<oneshot::Sender<Reloaded>>) {
        loop {
            let every = self.engine.library.load().config.watch;
            let next = async {
                match every {
                    Some(every) => tokio::time::sleep(every).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.engine.stop.cancelled() => return,
                request = requests.recv() => {
                    let Some(answer) = request else { return };
                    self.load(Some(answer)).await;
                }
                () = next => {
                    if self.changed().await {
                        tracing::info!("the files changed");
                        self.load(None).await;
                    }
                }
            }
        }
    }

    /// One look at the files. A file system that does not answer holds up this look and nothing else.
    async fn changed(&mut self) -> bool {
        let tried = match &*self.engine.wake.failed_reload.load() {
            Some(failed) => failed.digest.clone(),
            None => self.engine.library.load().digest.clone(),
        };
        let (roots, mut watch) = (self.roots.clone(), std::mem::take(&mut self.watch));
        let looked = tokio::task::spawn_blocking(move || {
            let load = watch.look(watch::glance(&roots), &tried, || watch::digest(&roots));
            (watch, load)
        });
        match looked.await {
            Ok((watch, load)) => {
                self.watch = watch;
                load
            }
            Err(error) => {
                tracing::error!(%error, "the files could not be looked at");
                false
            }
        }
    }

    /// Loads the files, and tells everybody what came of it.
    async fn load(&mut self, answer: Option<oneshot::Sender<Reloaded>>) {
        let file = self.engine.library.load().config.file.clone().map(PathBuf::from);
        let loaded = tokio::task::spawn_blocking(move || {
            library::load(file.as_deref(), &|name| std::env::var(name).ok())
        });
        let loaded = match loaded.await {
            Ok(loaded) => loaded,
            Err(error) => {
                tracing::error!(%error, "the files could not be loaded");
                return;
            }
        };
        self.roots.clone_from(&loaded.roots);
        let now = self.engine.clock.now();
        let (told, failed) = match refused(&loaded) {
            None => {
                let Some(library) = loaded.library else { return };
                let told = put_in_force(&self.engine, library).await;
                self.engine.metrics.reloaded(Some(now));
                self.engine.wake.failed_reload.store(None);
                (told, None)
            }
            Some((first, errors, refused)) => {
                tracing::error!(
                    diagnostics = refused.words,
                    "the files have errors; the set that was running stays in force"
                );
                self.engine.metrics.reloaded(None);
                let before = self.engine.wake.failed_reload.load_full();
                let since = before.map_or(now, |failed| failed.since);
                let failed = FailedReload { since, digest: loaded.digest, errors, first };
                self.engine.wake.failed_reload.store(Some(Arc::new(failed.clone())));
                (Err(refused), Some(failed))
            }
        };
        // whoever asked may have hung up; the reload counts all the same
        if let Some(answer) = answer {
            drop(answer.send(told));
        }
        match failed {
            Some(failed) => self.tell(&failed, now).await,
            None => self.mend(now).await,
        }
    }

    /// Raises the alert about a set, once.
    async fn tell(&mut self, failed: &FailedReload, now: Timestamp) {
        if self.raised.contains_key(&failed.digest) {
            return;
        }
        let alert = own::reload_failed(&failed.digest, &failed.first, failed.errors, now);
        let known = (alert.labels.clone(), alert.annotations.clone());
        if self.raise(vec![alert]).await {
            self.raised.insert(failed.digest.clone(), known);
        }
    }

    /// Ends the alerts that this process raised.
    async fn mend(&mut self, now: Timestamp) {
        let over = self.raised.values().cloned();
        let over = over.map(|(labels, notes)| own::mended(labels, notes, now)).collect();
        if self.raise(over).await {
            self.raised.clear();
        }
    }

    /// Ends the alerts of a process before this one: with errors in its files, this one would not have started.
    async fn mend_what_is_left(&mut self) {
        match self.engine.store.open_episodes_from(own::SOURCE).await {
            Ok(left) => {
                let known =
                    left.into_iter().map(|it| (it.fingerprint, (it.labels, it.annotations)));
                self.raised.extend(known);
                self.mend(self.engine.clock.now()).await;
            }
            Err(error) => {
                tracing::error!(%error, "alerts of an earlier reload were not looked for");
            }
        }
    }

    /// Hands quell's own alerts to intake, as any source does; says whether they are on disk.
    async fn raise(&self, alerts: Vec<Alert>) -> bool {
        if alerts.is_empty() {
            return true;
        }
        let source = own::SOURCE.to_owned();
        let delivery = Delivery { source, receiver: String::new(), truncated: 0, alerts };
        let accepted = self.engine.intake.accept(delivery).await;
        if let Err(error) = &accepted {
            tracing::error!(%error, "the alert about the reload was not stored");
        }
        accepted.is_ok()
    }
}

/// The first error in one line, how many there are, and all of them; `None` when there is none.
fn refused(loaded: &Loaded) -> Option<(String, usize, Refused)> {
    if loaded.library.is_some() {
        return None;
    }
    let errors = loaded.diagnostics.iter().filter(|it| it.severity == Severity::Error);
    let mut first = String::new();
    let mut count = 0;
    for error in errors {
        if count == 0 {
            let line = error.span.map(|span| format!(":{}:{}", span.line, span.column));
            let place = format!("{}{}", error.file, line.unwrap_or_default());
            let place = if place.is_empty() { String::new() } else { format!("{place}: ") };
            first = format!("{place}{}: {}", error.code, error.message);
        }
        count += 1;
    }
    let words = loaded.render(false);
    // what the loader found cannot fail to be written
    let diagnostics = serde_json::to_value(&loaded.diagnostics).unwrap_or_default();
    Some((first, count, Refused { words, diagnostics }))
}

/// Puts a set in force; what is read only once, at the start, stays.
async fn put_in_force(engine: &Engine, mut library: Library) -> Reloaded {
    let before = engine.library.load_full();
    let (now, then) = (&mut library.config, &before.config);
    let mut fixed = Vec::new();
    if now.listen != then.listen {
        fixed.push("listen");
    }
    if now.storage != then.storage {
        fixed.push("storage");
    }
    now.listen = then.listen;
    now.storage.clone_from(&then.storage);
    let mut words = format!(
        "{} rules, {} playbooks, {} checks, {} schedules are in force",
        library.rules.rules().len(),
        library.playbooks.len(),
        library.checks.len(),
        library.schedules.len()
    );
    if !fixed.is_empty() {
        words = format!("{words}; {} changes only with a restart", fixed.join(" and "));
    }
    #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 rules")]
    engine.metrics.rules.set(library.rules.rules().len() as f64);
    let digest = library.digest.clone();
    engine.library.store(Arc::new(library));
    tracing::info!(digest, "{words}");
    let woken = match engine.store.wake_proposals().await {
        Ok(()) => engine.store.wake_all_episodes().await,
        error => error,
    };
    engine.wake.all();
    woken.map_err(|error: StoreError| {
        tracing::error!(%error, "episodes are judged by the new rules when they are due");
        Refused::from(format!("{words}, but episodes could not be made due: {error}").as_str())
    })?;
    Ok(words)
}
