//! `kubernetes.*` against an API server on the wire: what is done, and what is known when the wire breaks.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use quell::act;
use quell::act::Prepared;
use quell::model::action::Action;
use quell::model::config::Cluster;
use quell::model::config::Targets;
use quell::model::labels::Labels;
use quell::model::run::Intent;
use quell::model::run::Observation;
use quell::model::run::Outcome;
use quell::probe;
use quell::probe::Sources;
use serde_json::Value;
use serde_json::json;

use crate::support::apiserver::ApiServer;
use crate::support::apiserver::TOKEN;

mod evidence;
mod nodes;
mod real;
mod rollback;
mod wire;
mod workloads;

/// A cluster `prod` with a Deployment `api` of three pods in `shop`.
struct Rig {
    cluster: ApiServer,
    targets: Targets,
}

impl Rig {
    async fn start() -> Self {
        let cluster = ApiServer::start().await;
        cluster.deployment("shop", "api", 3, "api:1");
        let targets =
            Self::targets_of(Cluster::Kubeconfig { file: cluster.kubeconfig(), context: None });
        Self { cluster, targets }
    }

    fn targets_of(cluster: Cluster) -> Targets {
        Targets { kubernetes: BTreeMap::from([("prod".into(), cluster)]), ..Targets::default() }
    }

    /// What an action becomes before it is done.
    async fn prepare(&self, action: &Value) -> Result<Prepared, Outcome> {
        prepare(action, &self.targets).await
    }

    async fn prepared(&self, action: &Value) -> Prepared {
        self.prepare(action).await.unwrap_or_else(|outcome| panic!("{outcome:?}"))
    }

    /// Why it is not prepared, and whether trying again may help.
    async fn unprepared(&self, action: &Value) -> (String, bool) {
        match self.prepare(action).await {
            Err(Outcome::Failed { reason, retryable }) => (reason, retryable),
            other => panic!("{other:?}"),
        }
    }

    /// Does what was prepared, by the key `r-1/1`.
    async fn perform(&self, action: &Action) -> Outcome {
        self.perform_within(action, Duration::from_secs(10)).await
    }

    async fn perform_within(&self, action: &Action, timeout: Duration) -> Outcome {
        let intent = Intent { action: Some(action.clone()), timeout, ..intent() };
        checked(act::perform(&intent, 1, &self.targets, &BTreeMap::new()).await)
    }

    /// Prepares and does it, well; gives back the summary and the output.
    async fn done(&self, action: &Value) -> (String, Value) {
        done(self.perform(&self.prepared(action).await.action).await)
    }

    /// What the server would say.
    async fn dry_run(&self, action: &Value) -> Outcome {
        let action = serde_json::from_value(action.clone()).unwrap();
        let intent = Intent { action: Some(action), timeout: Duration::from_secs(10), ..intent() };
        let outcome = act::dry_run(&intent, &self.targets, Timestamp::UNIX_EPOCH).await;
        checked(outcome.unwrap())
    }

    async fn ready(&self, workload: &Value) -> Observation {
        let probe = json!({ "kubernetes.ready": { "cluster": "prod", "namespace": "shop", "workload": workload } });
        let probe = serde_json::from_value(probe).unwrap();
        let sources = Sources {
            prometheus: None,
            alertmanager: None,
            targets: &self.targets,
            max_age: Duration::from_mins(1),
        };
        probe::observe(&probe, &Labels::default(), &sources, Timestamp::UNIX_EPOCH).await
    }

    fn api(&self) -> Value {
        self.cluster.get("deployments", "shop", "api")
    }

    fn pod_names(&self) -> Vec<String> {
        self.cluster.pods("shop").into_iter().map(|(name, _)| name).collect()
    }
}

/// What an action becomes at some time of 2026-01-05.
async fn prepare(action: &Value, targets: &Targets) -> Result<Prepared, Outcome> {
    let action = serde_json::from_value(action.clone());
    let action: Action = action.unwrap_or_else(|error| panic!("{error}"));
    let now = "2026-01-05T10:00:00.7Z".parse().unwrap();
    let intent = Intent { action: Some(action), ..intent() };
    let prepared = act::prepare(&intent, Duration::from_secs(10), targets, now).await;
    prepared.map_err(checked)
}

fn intent() -> Intent {
    serde_json::from_value(
        json!({ "action": null, "timeout": { "secs": 1, "nanos": 0 }, "key": "r-1/1" }),
    )
    .unwrap()
}

/// An action on the Deployment `api` of `shop`.
fn on_api(kind: &str, more: &Value) -> Value {
    let mut body = json!({ "cluster": "prod", "namespace": "shop", "workload": { "kind": "deployment", "name": "api" } });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    json!({ kind: body })
}

/// No outcome says anything secret.
fn checked(outcome: Outcome) -> Outcome {
    assert!(!format!("{outcome:?}").contains(TOKEN), "{outcome:?}");
    outcome
}

fn done(outcome: Outcome) -> (String, Value) {
    let Outcome::Done { summary, output } = outcome else { panic!("{outcome:?}") };
    (summary, output)
}

/// Why it failed, and whether trying again may help.
fn failed(outcome: Outcome) -> (String, bool) {
    let Outcome::Failed { reason, retryable } = outcome else { panic!("{outcome:?}") };
    (reason, retryable)
}
