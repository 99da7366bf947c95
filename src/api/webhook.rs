//! `POST /api/v1/webhook/alertmanager`: authenticates, caps, parses and hands the delivery to the store's intake.
//!
//! Alertmanager retries 5xx and nothing else, and what it was told with 2xx it never sends again
//! (`protocols.md §1`, Retry): so whatever may pass is 503, and 200 is said only after the commit.

#[cfg(test)]
mod tests;

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json;
use axum::extract::Request;
use axum::extract::State as With;
use axum::response::IntoResponse as _;
use axum::response::Response;
use serde::Serialize;

use crate::api::State;
use crate::api::auth;
use crate::api::body;
use crate::api::problem;
use crate::api::problem::Problem;
use crate::decide::surroundings;
use crate::model::alert::AlertStatus;
use crate::model::alert::Delivery;
use crate::store::alerts::Accepted;
use crate::store::alerts::NotAccepted;
use crate::telemetry::Metrics;
use crate::webhook;
use crate::webhook::Refused;

/// Alertmanager gives up after ten seconds when groups are sent that often, and is told before.
const STORED_WITHIN: Duration = Duration::from_secs(5);

/// What became of a delivery, by alert.
#[derive(Serialize)]
struct Reply {
    accepted: usize,
    opened: usize,
    reopened: usize,
    updated: usize,
    closed: usize,
    unchanged: usize,
}

impl From<Accepted> for Reply {
    fn from(it: Accepted) -> Self {
        Self {
            accepted: it.opened + it.reopened + it.updated + it.closed + it.unchanged,
            opened: it.opened,
            reopened: it.reopened,
            updated: it.updated,
            closed: it.closed,
            unchanged: it.unchanged,
        }
    }
}

/// The handler.
pub(super) async fn receive(With(api): With<State>, request: Request) -> Response {
    let webhooks = &api.metrics.webhooks;
    match take(&api, request).await {
        Ok(accepted) => {
            let kind = if accepted.changed() { "accepted" } else { "unchanged" };
            Metrics::count(webhooks, kind, 1);
            let reply = Reply::from(accepted);
            for (kind, alerts) in [
                ("opened", reply.opened),
                ("reopened", reply.reopened),
                ("updated", reply.updated),
                ("closed", reply.closed),
                ("unchanged", reply.unchanged),
            ] {
                if alerts > 0 {
                    let alerts = u64::try_from(alerts).unwrap_or(u64::MAX);
                    Metrics::count(&api.metrics.alerts, kind, alerts);
                }
            }
            Json(reply).into_response()
        }
        Err(problem) => {
            Metrics::count(webhooks, problem.kind.status.as_str(), 1);
            problem.into_response()
        }
    }
}

async fn take(api: &State, request: Request) -> Result<Accepted, Problem> {
    let (parts, content) = request.into_parts();
    let (source, largest, most, longest) = {
        let config = &api.library.load().config;
        let source = auth::sender(&parts, config)?;
        let ingest = &config.ingest;
        (source, ingest.max_body_bytes, ingest.max_waiting_alerts, ingest.max_wait)
    };
    if api.wake.draining.load(Ordering::Acquire) {
        return Err(stopping("quell is draining"));
    }
    let request = Request::from_parts(parts, content);
    let bytes = body::read(request, largest, "ingest.max_body in quell.yml").await?;
    // said before the work of parsing, so that a flood costs little
    let waiting = api.intake.waiting();
    if waiting >= most && waiting > 0 {
        return Err(overloaded(waiting, most));
    }
    let behind = api.intake.behind();
    if behind > longest {
        return Err(too_far_behind(behind, longest));
    }
    let delivery =
        webhook::delivery(&bytes, source, api.clock.now()).map_err(|refused| match refused {
            Refused::NotJson(words) => body::not_json(webhook::without_mark(&bytes))
                .unwrap_or_else(|| Problem::new(problem::NOT_JSON, words)),
            Refused::NotAWebhook(words) => Problem::new(problem::NOT_A_WEBHOOK, words),
        })?;
    drop(bytes);
    let watched = saw_watchdog(api, &delivery);
    let accepted = tokio::time::timeout(STORED_WITHIN, api.intake.accept(delivery));
    let accepted = accepted.await.map_err(|_| too_slow(api))?.map_err(|refused| match refused {
        NotAccepted::Overloaded { waiting, limit } => overloaded(waiting, limit),
        NotAccepted::Stopping => stopping("quell is stopping"),
        NotAccepted::Storage(words) => {
            api.metrics.store_errors.inc();
            let detail = format!("{words}: nothing of this request was kept, send it again");
            Problem::new(problem::STORAGE, detail).retry_after(5)
        }
    })?;
    if watched {
        // one that is not written down now is missed a minute later at most: the next one comes
        let noted = api.store.mark(surroundings::WATCHDOG, api.clock.now());
        let why = match tokio::time::timeout(STORED_WITHIN, noted).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("the database is too slow".to_owned()),
        };
        if let Some(error) = why {
            api.metrics.store_errors.inc();
            tracing::error!(error, "the watchdog's arrival was not noted");
        }
    }
    Ok(accepted)
}

/// The database has not answered. What waits may be stored all the same, and then the repeat says nothing new.
fn too_slow(api: &State) -> Problem {
    api.metrics.store_errors.inc();
    let detail = format!(
        "the database did not answer within {}s: send it again, to another replica if there is one",
        STORED_WITHIN.as_secs()
    );
    Problem::new(problem::STORAGE, detail).retry_after(5)
}

/// Whether a delivery holds the watchdog of quell.yml, firing.
fn saw_watchdog(api: &State, delivery: &Delivery) -> bool {
    let config = &api.library.load().config;
    config.watchdog.is_some()
        && delivery.alerts.iter().any(|alert| {
            alert.status == AlertStatus::Firing && surroundings::is_watchdog(config, &alert.labels)
        })
}

fn overloaded(waiting: usize, limit: usize) -> Problem {
    let detail = format!(
        "{waiting} alerts wait to be stored, and ingest.max_waiting_alerts in quell.yml is {limit}: send it again"
    );
    Problem::new(problem::OVERLOADED, detail).retry_after(1)
}

fn too_far_behind(by: Duration, longest: Duration) -> Problem {
    let (by, longest) = (by.as_millis(), longest.as_millis());
    let detail = format!(
        "what is being stored has waited {by}ms, and ingest.max_wait in quell.yml is {longest}ms: send it again"
    );
    Problem::new(problem::OVERLOADED, detail).retry_after(1)
}

fn stopping(what: &str) -> Problem {
    let detail = format!("{what}: send it again, to another replica if there is one");
    Problem::new(problem::STOPPING, detail).retry_after(5)
}
