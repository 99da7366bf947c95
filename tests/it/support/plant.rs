//! A fake target: many units that fall ill, and a record of everything done to them.
//!
//! `POST /VERB/UNIT` (or any other method that changes something) is an effect. `GET /metrics/UNIT` is a page with
//! `unit_healthy` of it, `GET /gauge/NAME` one with a gauge.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::routing::get;
use jiff::Timestamp;
use quell::clock::Clock;

use crate::support::http::Gate;
use crate::support::http::Served;
use crate::support::quell::step_of;
use crate::support::wait;

/// Something that was done to a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Effect {
    /// When it arrived.
    pub(crate) at: Timestamp,
    /// What, such as `restart`.
    pub(crate) verb: String,
    /// To which unit.
    pub(crate) unit: String,
    /// Its idempotency key, `r-1/2`: run and step.
    pub(crate) key: String,
    /// The fencing token of the worker that did it.
    pub(crate) epoch: u64,
}

/// The target.
#[derive(Debug)]
pub(crate) struct Plant {
    served: Served,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    gate: Gate,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    ill: BTreeSet<String>,
    /// Effects heal.
    mends: bool,
    /// How long an answer takes.
    takes: Duration,
    /// What an effect answers instead of 200.
    answers: BTreeMap<String, u16>,
    effects: Vec<Effect>,
    /// Gauges of any kind.
    gauges: BTreeMap<String, f64>,
    /// A gauge that each effect sets to a value.
    cools: Option<(String, f64)>,
}

impl Plant {
    /// Every unit is healthy, and every effect heals.
    pub(crate) async fn start() -> Self {
        let inner = Inner {
            ill: BTreeSet::new(),
            mends: true,
            takes: Duration::ZERO,
            answers: BTreeMap::new(),
            effects: Vec::new(),
            gauges: BTreeMap::new(),
            cools: None,
        };
        let shared = Arc::new(Shared { gate: Gate::new(), inner: Mutex::new(inner) });
        let router = Router::new()
            .route("/metrics/{unit}", get(metrics))
            .route("/gauge/{name}", get(gauge))
            .route("/{verb}/{unit}", axum::routing::any(effect))
            .with_state(Arc::clone(&shared));
        Self { served: Served::start(router).await, shared }
    }

    /// The URL of `path`, which begins with a slash or is empty.
    pub(crate) fn url(&self, path: &str) -> String {
        self.served.url(path)
    }

    /// A unit falls ill.
    pub(crate) fn sicken(&self, unit: &str) {
        self.lock().ill.insert(unit.to_owned());
    }

    /// Whether a unit is healthy.
    pub(crate) fn is_well(&self, unit: &str) -> bool {
        !self.lock().ill.contains(unit)
    }

    /// From now on effects are answered with 200 and help nothing.
    pub(crate) fn is_beyond_help(&self) {
        self.lock().mends = false;
    }

    /// From now on answers take this long.
    pub(crate) fn is_slow(&self, takes: Duration) {
        self.lock().takes = takes;
    }

    /// From now on effects of this verb are recorded, change nothing, and are answered with this status.
    pub(crate) fn answers(&self, verb: &str, status: u16) {
        self.lock().answers.insert(verb.to_owned(), status);
    }

    /// `GET /gauge/NAME` says this from now on.
    pub(crate) fn gauge(&self, name: &str, value: f64) {
        self.lock().gauges.insert(name.to_owned(), value);
    }

    /// From now on each effect sets this gauge to a value.
    pub(crate) fn cools(&self, name: &str, value: f64) {
        self.lock().cools = Some((name.to_owned(), value));
    }

    /// Effects take place at once; their answers wait while the gate is shut.
    pub(crate) fn gate(&self) -> &Gate {
        &self.shared.gate
    }

    /// Everything done so far, in order.
    pub(crate) fn effects(&self) -> Vec<Effect> {
        self.lock().effects.clone()
    }

    /// Waits until `count` things were done, or more.
    pub(crate) async fn affected(&self, count: usize) -> Vec<Effect> {
        wait::until(&format!("{count} effects"), wait::PATIENCE, async || {
            let effects = self.effects();
            if effects.len() >= count { Ok(effects) } else { Err(effects) }
        })
        .await
    }

    /// How often each key was used.
    pub(crate) fn keys(&self) -> BTreeMap<String, usize> {
        let mut keys = BTreeMap::new();
        for effect in self.effects() {
            *keys.entry(effect.key).or_default() += 1;
        }
        keys
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.shared.inner.lock().unwrap()
    }
}

async fn metrics(State(shared): State<Arc<Shared>>, Path(unit): Path<String>) -> String {
    let inner = shared.inner.lock().unwrap();
    let mut text = String::from("# TYPE unit_healthy gauge\n");
    let healthy = u8::from(!inner.ill.contains(&unit));
    writeln!(text, "unit_healthy{{unit=\"{unit}\"}} {healthy}").unwrap();
    text
}

async fn gauge(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> String {
    let value = shared.inner.lock().unwrap().gauges.get(&name).copied().unwrap_or_default();
    format!("# TYPE gauge gauge\ngauge {value}\n")
}

async fn effect(
    State(shared): State<Arc<Shared>>,
    Path((verb, unit)): Path<(String, String)>,
    headers: HeaderMap,
) -> StatusCode {
    let header = |name: &str| headers.get(name).map_or("", |it| it.to_str().unwrap());
    let (status, takes) = {
        let mut inner = shared.inner.lock().unwrap();
        let status = inner.answers.get(&verb).copied();
        if inner.mends && status.is_none() {
            inner.ill.remove(&unit);
        }
        if let Some((name, value)) = inner.cools.clone() {
            inner.gauges.insert(name, value);
        }
        inner.effects.push(Effect {
            at: Clock::System.now(),
            verb,
            unit,
            key: step_of(header("idempotency-key")).to_owned(),
            epoch: header("quell-attempt").parse().unwrap_or_default(),
        });
        (StatusCode::from_u16(status.unwrap_or(200)).unwrap(), inner.takes)
    };
    tokio::time::sleep(takes).await;
    shared.gate.pass().await;
    status
}
