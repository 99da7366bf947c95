//! The HTTP edge: takes alerts, shows what is stored, and takes the words of people.
//!
//! It never acts: it writes to the store and wakes the engine. Who may do what is decided in `auth`, every
//! refusal is a problem, and every reply carries the id of its request.

mod act;
mod auth;
mod body;
mod changes;
mod credentials;
mod edge;
mod errors;
mod explain;
mod glass;
mod health;
mod links;
mod problem;
mod promote;
mod read;
mod views;
mod webhook;
mod windows;

#[cfg(test)]
mod testing;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::routing::delete;
use axum::routing::get;
use axum::routing::post;
use futures_util::future::BoxFuture;

use crate::clock::Clock;
use crate::library::Library;
use crate::model::explain::Explanation;
use crate::model::explain::Question;
use crate::store::Result;
use crate::store::Store;
use crate::store::alerts::Intake;
use crate::telemetry::Metrics;
use crate::wake::Wake;

/// Explains an alert by what is known now. It asks outside, which only the engine does: `app` passes this in.
pub type Explain = Arc<dyn Fn(Question) -> BoxFuture<'static, Result<Explanation>> + Send + Sync>;

/// What the handlers share. Cheap to clone.
#[derive(Clone)]
pub struct State {
    /// The database.
    pub store: Store,
    /// Rules, playbooks and settings that are in force.
    pub library: Arc<ArcSwap<Library>>,
    /// Takes alerts; answers after they are on disk.
    pub intake: Intake,
    /// Wakes the engine, drains, reloads.
    pub wake: Arc<Wake>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Signs links: a credential.
    pub link_key: Arc<[u8]>,
    /// Time.
    pub clock: Clock,
    /// Explains alerts.
    pub explain: Explain,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("store", &self.store).finish_non_exhaustive()
    }
}

/// All paths. Serve it with `into_make_service_with_connect_info::<SocketAddr>()`: without the peer's address
/// nobody counts as local.
pub fn router(state: State) -> Router {
    let routes = Router::new()
        .route("/api/v1/webhook/alertmanager", post(webhook::receive))
        .route("/api/v1/incidents", get(read::incidents))
        .route("/api/v1/incidents/{id}", get(read::incident))
        .route("/api/v1/incidents/{id}/ack", post(act::acknowledge))
        .route("/api/v1/incidents/{id}/take", post(act::take))
        .route("/api/v1/incidents/{id}/give-back", post(act::give_back))
        .route("/api/v1/break-glass", get(glass::list).post(glass::smash))
        .route("/api/v1/break-glass/{id}/revoke", post(glass::revoke))
        .route("/api/v1/episodes", get(read::episodes))
        .route("/api/v1/runs", get(read::runs))
        .route("/api/v1/runs/{id}", get(read::run))
        .route("/api/v1/runs/{id}/approve", post(act::approve))
        .route("/api/v1/runs/{id}/reject", post(act::reject))
        .route("/api/v1/runs/{id}/cancel", post(act::cancel))
        .route("/api/v1/runs/{id}/answer", post(act::answer))
        .route("/api/v1/decisions", get(read::decisions))
        .route("/api/v1/explain", post(explain::alert))
        .route("/api/v1/explain/{id}", get(explain::stored))
        .route("/api/v1/rules", get(read::rules))
        .route("/api/v1/rules/{name}/promote", post(promote::promote))
        .route("/api/v1/playbooks", get(read::playbooks))
        .route("/api/v1/checks", get(read::checks))
        .route("/api/v1/schedules", get(read::schedules))
        .route("/api/v1/notifications", get(read::notifications))
        .route("/api/v1/audit", get(read::audit))
        .route("/api/v1/pause", get(read::pauses).post(act::pause))
        .route("/api/v1/resume", post(act::resume))
        .route("/api/v1/credentials", get(credentials::list))
        .route("/api/v1/credentials/clear", post(credentials::clear))
        .route("/api/v1/changes", get(changes::list).post(changes::tell))
        .route("/api/v1/windows", get(windows::list).post(windows::add))
        .route("/api/v1/windows/{name}", delete(windows::end))
        .route("/act/{token}", get(links::show).post(links::act))
        .route("/errors/{code}", get(errors::page))
        .route("/health", get(health::health))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/version", get(health::version))
        .route("/admin/drain", post(health::drain))
        .route("/-/reload", post(health::reload))
        .with_state(state);
    edge::around(routes)
}
