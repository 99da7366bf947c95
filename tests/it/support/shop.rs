//! A small service to fall ill: real metrics, real remedies, and a record of everything done to it.
//!
//! Its traffic is arithmetic: counters are brought up to date when somebody looks, so no task has to make requests.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::routing::delete;
use axum::routing::get;
use axum::routing::post;
use bytes::Bytes;
use jiff::Timestamp;
use quell::clock::Clock;
use tokio::time::Instant;

use crate::support::http::Gate;
use crate::support::http::Served;
use crate::support::redis::Redis;
use crate::support::wait;

const REQUESTS_PER_SECOND: f64 = 1000.0;
const POOL_SIZE: u32 = 20;
/// What a poisoned cache holds; flushing the cache's Redis removes it.
const POISON: &str = "product:poisoned";

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: 0.1 % of requests fail.
    None,
    /// 37 % fail, until the cache is flushed; it outlives a restart.
    PoisonedCache,
    /// 25 % fail since all connections are taken, until a restart; a flush does not help.
    LeakedPool,
    /// Half of the requests fail, whatever is done.
    Unfixable,
}

impl Fault {
    fn error_ratio(self) -> f64 {
        match self {
            Self::None => 0.001,
            Self::PoisonedCache => 0.37,
            Self::LeakedPool => 0.25,
            Self::Unfixable => 0.5,
        }
    }
}

/// Something that was done to it.
#[derive(Debug, Clone)]
pub(crate) struct Effect {
    /// `DELETE /cache` or `POST /restart`.
    pub(crate) request: &'static str,
    /// When it began.
    pub(crate) at: Timestamp,
    /// With which headers, such as an idempotency key.
    pub(crate) headers: HeaderMap,
    /// And which body.
    pub(crate) body: Bytes,
}

/// The service.
#[derive(Debug)]
pub(crate) struct Shop {
    served: Served,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    gate: Gate,
    inner: Mutex<Inner>,
    /// Where its cache is; without it the cache is inside the shop.
    cache: Option<redis::aio::MultiplexedConnection>,
}

#[derive(Debug)]
struct Inner {
    fault: Fault,
    up: bool,
    succeeded: f64,
    failed: f64,
    counted_until: Instant,
    effects: Vec<Effect>,
}

impl Inner {
    /// Counts the requests since the last time, at the ratio that held since.
    fn catch_up(&mut self) {
        let now = Instant::now();
        let requests = now.duration_since(self.counted_until).as_secs_f64() * REQUESTS_PER_SECOND;
        self.failed += requests * self.fault.error_ratio();
        self.succeeded += requests * (1.0 - self.fault.error_ratio());
        self.counted_until = now;
    }
}

impl Shop {
    /// Healthy, after an hour of traffic.
    pub(crate) async fn start() -> Self {
        Self::with_cache(None).await
    }

    /// The same, with its cache in this Redis: a flush there mends a poisoned cache.
    pub(crate) async fn caching_in(redis: &Redis) -> Self {
        Self::with_cache(Some(redis.connect().await)).await
    }

    async fn with_cache(cache: Option<redis::aio::MultiplexedConnection>) -> Self {
        let hour = Duration::from_hours(1).as_secs_f64() * REQUESTS_PER_SECOND;
        let inner = Inner {
            fault: Fault::None,
            up: true,
            succeeded: hour * (1.0 - Fault::None.error_ratio()),
            failed: hour * Fault::None.error_ratio(),
            counted_until: Instant::now(),
            effects: Vec::new(),
        };
        let shared = Arc::new(Shared { gate: Gate::new(), inner: Mutex::new(inner), cache });
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/health", get(health))
            .route("/cache", delete(flush_cache))
            .route("/restart", post(restart))
            .with_state(Arc::clone(&shared));
        Self { served: Served::start(router).await, shared }
    }

    /// `127.0.0.1:PORT`, as Prometheus wants a target.
    pub(crate) fn address(&self) -> String {
        self.served.address()
    }

    /// The URL of `path`, which begins with a slash.
    pub(crate) fn url(&self, path: &str) -> String {
        self.served.url(path)
    }

    /// Makes it ill, or well.
    pub(crate) fn inject(&self, fault: Fault) {
        let mut inner = self.lock();
        inner.catch_up();
        inner.fault = fault;
    }

    /// Puts something into the Redis of its cache that makes requests fail.
    pub(crate) async fn poison_cache(&self) {
        let mut cache = self.shared.cache.clone().unwrap();
        let set = redis::cmd("SET").arg(POISON).arg("1").query_async::<()>(&mut cache).await;
        set.unwrap();
        self.inject(Fault::PoisonedCache);
    }

    /// What is wrong now.
    pub(crate) fn fault(&self) -> Fault {
        self.lock().fault
    }

    /// While not up, `/health` answers 503; its metrics stay readable.
    pub(crate) fn set_up(&self, up: bool) {
        self.lock().up = up;
    }

    /// Effects take place at once; their answers wait while the gate is shut.
    pub(crate) fn gate(&self) -> &Gate {
        &self.shared.gate
    }

    /// Everything done to it so far, in order.
    pub(crate) fn effects(&self) -> Vec<Effect> {
        self.lock().effects.clone()
    }

    /// Waits until `count` things were done to it, or more.
    pub(crate) async fn affected(&self, count: usize) -> Vec<Effect> {
        wait::until(&format!("{count} effects on the shop"), wait::PATIENCE, async || {
            let effects = self.effects();
            if effects.len() >= count { Ok(effects) } else { Err(effects) }
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.shared.inner.lock().unwrap()
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> String {
    let flushed = match shared.cache.clone() {
        Some(mut cache) => {
            let exists = redis::cmd("EXISTS").arg(POISON).query_async::<bool>(&mut cache).await;
            !exists.unwrap()
        }
        None => false,
    };
    let mut inner = shared.inner.lock().unwrap();
    inner.catch_up();
    if flushed && inner.fault == Fault::PoisonedCache {
        inner.fault = Fault::None;
    }
    let in_use = if inner.fault == Fault::LeakedPool { POOL_SIZE } else { 3 };
    let mut text = String::new();
    for (name, kind, samples) in [
        (
            "shop_requests_total",
            "counter",
            vec![
                (r#"{status="200"}"#, inner.succeeded.floor()),
                (r#"{status="503"}"#, inner.failed.floor()),
            ],
        ),
        ("shop_error_ratio", "gauge", vec![("", inner.fault.error_ratio())]),
        ("shop_pool_connections_in_use", "gauge", vec![("", f64::from(in_use))]),
        ("shop_pool_connections_max", "gauge", vec![("", f64::from(POOL_SIZE))]),
    ] {
        writeln!(text, "# TYPE {name} {kind}").unwrap();
        for (labels, value) in samples {
            writeln!(text, "{name}{labels} {value}").unwrap();
        }
    }
    text
}

async fn health(State(shared): State<Arc<Shared>>) -> (StatusCode, &'static str) {
    if shared.inner.lock().unwrap().up {
        (StatusCode::OK, r#"{"status":"healthy"}"#)
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"starting"}"#)
    }
}

async fn flush_cache(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) {
    effect(&shared, "DELETE /cache", Fault::PoisonedCache, headers, body).await;
}

async fn restart(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) {
    effect(&shared, "POST /restart", Fault::LeakedPool, headers, body).await;
}

async fn effect(
    shared: &Shared,
    request: &'static str,
    mends: Fault,
    headers: HeaderMap,
    body: Bytes,
) {
    {
        let mut inner = shared.inner.lock().unwrap();
        inner.effects.push(Effect { request, at: Clock::System.now(), headers, body });
        inner.catch_up();
        if inner.fault == mends {
            inner.fault = Fault::None;
        }
    }
    shared.gate.pass().await;
}
