//! Alertmanager, which says everything until it is answered, and a person, who says truly whether a step in doubt happened.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::support::http;
use crate::support::plant::Effect;
use crate::support::plant::Plant;
use crate::support::quell::webhook;
use crate::support::wait;

/// What may be repeated, and what may not: names of rules, playbooks and verbs.
pub(super) const RULES: [&str; 2] = ["restart", "charge"];

/// Between two alerts that begin.
const EVERY: Duration = Duration::from_millis(100);
/// Units that are ill at once, at most.
const AT_ONCE: usize = 20;

/// The load, and what it saw.
#[derive(Debug)]
pub(super) struct Load {
    plant: Plant,
    replicas: Vec<String>,
    token: &'static str,
    client: reqwest::Client,
    units: AtomicU64,
    answered: AtomicU64,
    settled: AtomicU64,
    /// Units whose firing was answered and whose end was not yet.
    firing: Mutex<BTreeMap<String, &'static str>>,
    /// Units whose end was answered.
    over: Mutex<BTreeSet<String>>,
}

impl Load {
    pub(super) fn new(plant: Plant, replicas: Vec<String>, token: &'static str) -> Self {
        Self {
            plant,
            replicas,
            token,
            client: http::client(),
            units: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            firing: Mutex::default(),
            over: Mutex::default(),
        }
    }

    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    pub(super) fn settled(&self) -> u64 {
        self.settled.load(Ordering::Relaxed)
    }

    pub(super) fn effects(&self) -> Vec<Effect> {
        self.plant.effects()
    }

    /// Units of which quell answered that it knows, with those that are over.
    pub(super) fn told(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let over = self.over.lock().unwrap().clone();
        let mut all = over.clone();
        all.extend(self.firing.lock().unwrap().keys().cloned());
        (all, over)
    }

    /// Alerts begin and end while it goes on.
    pub(super) async fn runs(&self, goes_on: &AtomicBool) {
        tokio::join!(
            async {
                while goes_on.load(Ordering::Acquire) {
                    self.one_falls_ill().await;
                    tokio::time::sleep(EVERY).await;
                }
            },
            async {
                while goes_on.load(Ordering::Acquire) {
                    self.those_well_are_over().await;
                    self.a_person_answers().await;
                    tokio::time::sleep(EVERY).await;
                }
            },
        );
    }

    /// What is left comes to its end, when nobody is killed any more.
    pub(super) async fn settles_the_rest(&self, within: Duration, active: impl AsyncFn() -> i64) {
        wait::until("everything ends", within, async || {
            self.those_well_are_over().await;
            self.a_person_answers().await;
            let left: Vec<String> = self.firing.lock().unwrap().keys().cloned().collect();
            let active = active().await;
            if left.is_empty() && active == 0 { Ok(()) } else { Err((left, active)) }
        })
        .await;
    }

    async fn one_falls_ill(&self) {
        if self.firing.lock().unwrap().len() >= AT_ONCE {
            return;
        }
        let number = self.units.fetch_add(1, Ordering::Relaxed);
        let unit = format!("u{number}");
        let rule = RULES[usize::try_from(number).unwrap() % RULES.len()];
        self.plant.sicken(&unit);
        self.say("firing", &unit, rule).await;
        self.firing.lock().unwrap().insert(unit, rule);
    }

    async fn those_well_are_over(&self) {
        let firing = self.firing.lock().unwrap().clone();
        for (unit, rule) in firing.into_iter().filter(|(unit, _)| self.plant.is_well(unit)) {
            self.say("resolved", &unit, rule).await;
            self.firing.lock().unwrap().remove(&unit);
            self.over.lock().unwrap().insert(unit);
        }
    }

    /// To any replica, until one says 2xx.
    async fn say(&self, status: &str, unit: &str, rule: &str) {
        let labels = json!({ "alertname": rule, "unit": unit, "severity": "critical" });
        let body = webhook(status, &labels);
        for replica in self.replicas.iter().cycle() {
            let url = format!("{replica}/api/v1/webhook/alertmanager");
            let reply = self.client.post(url).json(&body).send().await;
            if reply.is_ok_and(|it| it.status().is_success()) {
                self.answered.fetch_add(1, Ordering::Relaxed);
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Looks at the unit, and says what it saw. A replica that dies meanwhile is asked again later.
    async fn a_person_answers(&self) {
        let Some(page) = self.ask("/api/v1/runs?limit=100").await else { return };
        let runs = page["items"].as_array().cloned().unwrap_or_default();
        for run in runs.iter().filter(|run| run["state"] == "in doubt") {
            let id = run["id"].as_str().unwrap();
            let key = format!("{id}/1");
            let happened = self.effects().iter().any(|it| it.key == key);
            for replica in &self.replicas {
                let url = format!("{replica}/api/v1/runs/{id}/answer");
                let body = json!({ "happened": happened });
                let request = self.client.post(url).bearer_auth(self.token).json(&body);
                if request.send().await.is_ok_and(|it| it.status().is_success()) {
                    self.settled.fetch_add(1, Ordering::Relaxed);
                    break;
                }
            }
        }
    }

    async fn ask(&self, path: &str) -> Option<Value> {
        for replica in &self.replicas {
            let request = self.client.get(format!("{replica}{path}")).bearer_auth(self.token);
            if let Ok(reply) = request.send().await
                && let Ok(value) = reply.json().await
            {
                return Some(value);
            }
        }
        None
    }
}
