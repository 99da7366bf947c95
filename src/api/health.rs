//! Operation: health, metrics, version, drain, reload.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json;
use axum::extract::State as With;
use axum::http::header;
use axum::response::IntoResponse as _;
use axum::response::Response;
use serde_json::Value;
use serde_json::json;
use tokio::sync::oneshot;

use crate::api::State;
use crate::api::auth::Operating;
use crate::api::problem;
use crate::api::problem::Problem;
use crate::decide::channels;
use crate::store::Result;
use crate::telemetry::Metrics;

/// Longest time the store may take to answer a question about health.
const STORE_ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// Longest time a reload may take.
const RELOAD_WITHIN: Duration = Duration::from_secs(30);
/// What Prometheus is told that `/metrics` is.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /health`: always 200, for people; `/health/ready` is for load balancers.
pub(super) async fn health(With(api): With<State>) -> Json<Value> {
    let trouble = store_trouble(&api).await;
    let draining = api.wake.draining.load(Ordering::Acquire);
    let status = match (&trouble, draining) {
        (Some(_), _) => "store does not answer",
        (None, true) => "draining",
        (None, false) => "ok",
    };
    let mut body = json!({
        "status": status,
        "version": env!("CARGO_PKG_VERSION"),
        "store": trouble.is_none(),
        "draining": draining,
        "waiting_alerts": api.intake.waiting(),
        "rules": api.library.load().rules.rules().len(),
        "reload_failed": failed_reload(&api),
    });
    if let (None, Some(body), Ok(Ok(counts))) = (
        trouble,
        body.as_object_mut(),
        tokio::time::timeout(STORE_ANSWERS_WITHIN, counts(&api)).await,
    ) {
        body.insert("open_incidents".into(), counts.open_incidents().into());
        body.insert("dead_notifications".into(), counts.notifications("dead").into());
        body.insert("paused".into(), counts.paused.into());
    }
    Json(body)
}

/// `GET /health/live`: the process answers.
pub(super) async fn live() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// `GET /health/ready`: it can take alerts, or says why not; and by which set of files it works.
pub(super) async fn ready(With(api): With<State>) -> std::result::Result<Json<Value>, Problem> {
    if api.wake.draining.load(Ordering::Acquire) {
        let detail = "quell is draining: it takes no alerts, and finishes what it has begun";
        return Err(Problem::new(problem::STOPPING, detail).retry_after(5));
    }
    match store_trouble(&api).await {
        None => {
            let (failing, silent) = channels(&api).await;
            Ok(Json(json!({
                // alerts are taken all the same: refusing them would reach nobody either
                "status": if silent { "nobody can be told: every channel fails" } else { "ok" },
                "rules": api.library.load().digest,
                "reload_failed": failed_reload(&api),
                "channels_failing": failing,
            })))
        }
        Some(cause) => {
            let detail = format!("the store does not answer: {cause}");
            Err(Problem::new(problem::STORAGE, detail).retry_after(5))
        }
    }
}

/// Errors of the files on disk, while an older set is in force: alerts are taken all the same.
fn failed_reload(api: &State) -> Value {
    match &*api.wake.failed_reload.load() {
        None => Value::Null,
        Some(failed) => json!({
            "since": failed.since, "digest": failed.digest, "errors": failed.errors, "first": failed.first,
        }),
    }
}

/// The channels that reach nobody, each with since when and why; and whether all do.
async fn channels(api: &State) -> (Value, bool) {
    let library = api.library.load_full();
    let asked = tokio::time::timeout(STORE_ANSWERS_WITHIN, api.store.channel_troubles());
    // the store answered a moment ago; whoever asks next is told
    let Ok(Ok(troubles)) = asked.await else { return (Value::Null, false) };
    let failing = channels::failing(&library.config, &troubles, api.clock.now());
    let silent = channels::is_silent(&library.config, &failing);
    let one = |(name, trouble): (&&str, &&channels::Trouble)| json!({ "channel": name, "since": trouble.since, "reason": trouble.reason });
    (failing.iter().map(one).collect(), silent)
}

/// Why the store does not answer.
async fn store_trouble(api: &State) -> Option<String> {
    match tokio::time::timeout(STORE_ANSWERS_WITHIN, api.store.ping()).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("no answer within {}s", STORE_ANSWERS_WITHIN.as_secs())),
    }
}

/// `GET /metrics`. A store that does not answer leaves the gauges as they were and shows in `quell_store_errors`:
/// the page that tells of trouble must not fail with it.
pub(super) async fn metrics(With(api): With<State>) -> Response {
    let metrics = &api.metrics;
    match tokio::time::timeout(STORE_ANSWERS_WITHIN, counts(&api)).await {
        Ok(Ok(counts)) => counts.show(metrics),
        Ok(Err(error)) => {
            metrics.store_errors.inc();
            tracing::warn!(%error, "the gauges could not be read");
        }
        Err(_) => {
            metrics.store_errors.inc();
            tracing::warn!("the gauges could not be read in time");
        }
    }
    metrics.waiting_alerts.set(i64::try_from(api.intake.waiting()).unwrap_or(i64::MAX));
    let rules = u32::try_from(api.library.load().rules.rules().len()).unwrap_or(u32::MAX);
    metrics.rules.set(f64::from(rules));
    ([(header::CONTENT_TYPE, OPEN_METRICS)], metrics.page()).into_response()
}

/// What the gauges show.
struct Counts {
    incidents: Vec<(String, i64)>,
    outbox: Vec<(String, i64)>,
    paused: bool,
}

async fn counts(api: &State) -> Result<Counts> {
    let file = api.library.load().config.pause_file.clone();
    let by_file = tokio::fs::try_exists(&file).await.unwrap_or(true);
    Ok(Counts {
        incidents: api.store.open_incident_counts().await?,
        outbox: api.store.notification_counts().await?,
        paused: by_file || !api.store.pauses().await?.is_empty(),
    })
}

impl Counts {
    fn of(counts: &[(String, i64)], word: &str) -> i64 {
        counts.iter().find(|(it, _)| it == word).map_or(0, |(_, count)| *count)
    }

    fn open_incidents(&self) -> i64 {
        self.incidents.iter().map(|(_, count)| count).sum()
    }

    fn notifications(&self, state: &str) -> i64 {
        Self::of(&self.outbox, state)
    }

    /// Sets the gauges; a word that has no row any more goes back to zero.
    fn show(&self, metrics: &Metrics) {
        for status in ["open", "acknowledged"] {
            metrics.set_incidents_open(status, Self::of(&self.incidents, status));
        }
        for state in ["pending", "sent", "dead"] {
            Metrics::set(&metrics.outbox, state, self.notifications(state));
        }
        metrics.paused.set(i64::from(self.paused));
    }
}

/// `GET /version`
pub(super) async fn version(With(api): With<State>) -> Json<Value> {
    let digest = &api.library.load().digest;
    Json(json!({ "version": env!("CARGO_PKG_VERSION"), "rules": digest }))
}

/// `POST /admin/drain`: alerts are refused with 503 from now on, so that senders go to another replica; what is at
/// work goes on. Ends with a restart.
pub(super) async fn drain(_: Operating, With(api): With<State>) -> Json<Value> {
    if !api.wake.draining.swap(true, Ordering::AcqRel) {
        tracing::warn!("draining: alerts are refused with 503 from now on");
    }
    Json(json!({ "draining": true, "waiting_alerts": api.intake.waiting() }))
}

/// `POST /-/reload`: loads the files again, and says what is in force now, or why nothing changed.
pub(super) async fn reload(
    _: Operating,
    With(api): With<State>,
) -> std::result::Result<Json<Value>, Problem> {
    let (answer, answered) = oneshot::channel();
    let asked = async {
        api.wake.reload.send(answer).await.ok()?;
        answered.await.ok()
    };
    match tokio::time::timeout(RELOAD_WITHIN, asked).await {
        Ok(Some(Ok(words))) => Ok(Json(json!({ "reloaded": words }))),
        Ok(Some(Err(refused))) => {
            let diagnostics = refused.diagnostics;
            Err(Problem { diagnostics, ..Problem::new(problem::RELOAD_FAILED, refused.words) })
        }
        Ok(None) => Err(Problem::new(problem::STOPPING, "quell is stopping: nothing was loaded")),
        Err(_) => {
            let detail = format!(
                "the files were not loaded within {}s; the log will say what became of it",
                RELOAD_WITHIN.as_secs()
            );
            Err(Problem::new(problem::STORAGE, detail).retry_after(30))
        }
    }
}

#[cfg(test)]
mod tests;
