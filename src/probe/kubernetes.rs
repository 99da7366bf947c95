//! The probe `kubernetes.ready`: whether a workload is rolled out, and all of it available.

#![expect(clippy::indexing_slicing, reason = "an absent part of a JSON value reads as null")]

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::model::action::kubernetes::Ready;
use crate::model::action::kubernetes::WorkloadKind;
use crate::model::config::Cluster;
use crate::model::config::Targets;
use crate::model::run::Observation;
use crate::net::Answer;
use crate::net::Limit;
use crate::net::kubernetes;
use crate::net::kubernetes::Ask;
use crate::net::kubernetes::Place;

/// Largest object read, in bytes.
const MAX_BYTES: usize = 2 << 20;

/// Looks once.
pub(super) async fn observe(ready: &Ready, targets: &Targets) -> Observation {
    match look(ready, targets, super::TIMEOUT).await {
        Ok(object) => judge(&object, ready.workload.kind).describe(&ready.workload.to_string()),
        Err(seen) => seen,
    }
}

async fn look(ready: &Ready, targets: &Targets, timeout: Duration) -> Result<Value, Observation> {
    let cluster = &ready.cluster;
    let place = match targets.kubernetes.get(cluster) {
        Some(Cluster::Kubeconfig { file, context }) => {
            Place::Kubeconfig { file: file.clone(), context: context.clone() }
        }
        Some(Cluster::InCluster) => Place::InCluster,
        None => {
            return Err(super::unknown(format!(
                "no server `{cluster}` in targets.kubernetes of quell.yml"
            )));
        }
    };
    for name in [&ready.namespace, &ready.workload.name] {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        if name.is_empty() || !name.chars().all(fits) || name.starts_with('.') {
            return Err(super::unknown(format!("{name:?} is no name of Kubernetes")));
        }
    }
    let plural = match ready.workload.kind {
        WorkloadKind::Deployment => "deployments",
        WorkloadKind::StatefulSet => "statefulsets",
        WorkloadKind::DaemonSet => "daemonsets",
    };
    let path =
        format!("/apis/apps/v1/namespaces/{}/{plural}/{}", ready.namespace, ready.workload.name);
    let deadline = Instant::now() + timeout;
    let ask = Ask {
        method: "GET",
        path: &path,
        query: Vec::new(),
        body: None,
        deadline,
        limit: Limit::Refuse(MAX_BYTES),
    };
    let answer = match kubernetes::send(&place, ask).await {
        Ok(answer) => answer,
        Err(failure) => return Err(super::unknown(format!("cluster `{cluster}`: {failure}"))),
    };
    match answer.status {
        200 => serde_json::from_slice(&answer.body)
            .map_err(|_| super::unknown(format!("cluster `{cluster}` answered no JSON"))),
        401 | 403 => Err(super::denied(format!("cluster `{cluster}` answered {}", said(&answer)))),
        // what is not there is not ready; that nobody can say is something else
        404 => Err(super::unhealthy(format!("{} is not there: {}", ready.workload, said(&answer)))),
        _ => Err(super::unknown(format!("cluster `{cluster}` answered {}", said(&answer)))),
    }
}

fn said(answer: &Answer) -> String {
    let status: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    match status["message"].as_str() {
        Some(message) => format!("{} {message:?}", answer.status),
        None => answer.describe(),
    }
}

/// How far a rollout is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rollout {
    /// All of it, so many pods.
    Ready(u64),
    /// What is missing.
    Missing(String),
}

impl Rollout {
    fn describe(self, workload: &str) -> Observation {
        match self {
            Self::Ready(1) => super::healthy(format!("{workload}: its pod is available")),
            Self::Ready(count) => {
                super::healthy(format!("{workload}: all {count} pods are available"))
            }
            Self::Missing(what) => super::unhealthy(format!("{workload}: {what}")),
        }
    }
}

/// As `kubectl rollout status` judges, and beyond: nothing may be unavailable.
fn judge(object: &Value, kind: WorkloadKind) -> Rollout {
    let status = &object["status"];
    let number = |name: &str| status[name].as_u64().unwrap_or(0);
    let missing = |what: String| Rollout::Missing(what);
    if number("observedGeneration") < object["metadata"]["generation"].as_u64().unwrap_or(0) {
        return missing("its last change was not seen by its controller yet".into());
    }
    let daemons = kind == WorkloadKind::DaemonSet;
    let wanted = if daemons {
        number("desiredNumberScheduled")
    } else {
        object["spec"]["replicas"].as_u64().unwrap_or(1)
    };
    let updated = number(if daemons { "updatedNumberScheduled" } else { "updatedReplicas" });
    let available = number(if daemons { "numberAvailable" } else { "availableReplicas" });
    let unavailable = number(if daemons { "numberUnavailable" } else { "unavailableReplicas" });
    let total = if daemons { wanted } else { number("replicas") };
    let stuck = status["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|it| it["type"] == "Progressing" && it["reason"] == "ProgressDeadlineExceeded");
    if stuck {
        return missing("its rollout exceeded its deadline".into());
    }
    if updated < wanted {
        return missing(format!("{updated} of {wanted} pods are updated"));
    }
    if total > updated {
        return missing(format!("{} old pods are still there", total - updated));
    }
    if available < wanted || unavailable > 0 {
        return missing(format!("{available} of {wanted} pods are available"));
    }
    if kind == WorkloadKind::StatefulSet && status["currentRevision"] != status["updateRevision"] {
        return missing("its pods are of two revisions".into());
    }
    Rollout::Ready(wanted)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(status: &Value) -> Value {
        json!({ "metadata": { "generation": 4 }, "spec": { "replicas": 3 }, "status": status })
    }

    #[test]
    fn a_deployment_is_ready_when_its_last_change_is_rolled_out_and_nothing_is_unavailable() {
        let fine = json!({ "observedGeneration": 4, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3 });
        assert_eq!(judge(&deployment(&fine), WorkloadKind::Deployment), Rollout::Ready(3));
        for (field, value, words) in [
            ("observedGeneration", json!(3), "not seen"),
            ("updatedReplicas", json!(2), "2 of 3 pods are updated"),
            ("replicas", json!(4), "1 old pods"),
            ("availableReplicas", json!(2), "2 of 3 pods are available"),
            ("unavailableReplicas", json!(1), "available"),
            (
                "conditions",
                json!([{ "type": "Progressing", "reason": "ProgressDeadlineExceeded" }]),
                "deadline",
            ),
        ] {
            let mut status = fine.clone();
            status[field] = value;
            let Rollout::Missing(what) = judge(&deployment(&status), WorkloadKind::Deployment)
            else {
                panic!("{field} does not matter");
            };
            assert!(what.contains(words), "{field}: {what}");
        }
        assert_ne!(judge(&deployment(&json!({})), WorkloadKind::Deployment), Rollout::Ready(3));
    }

    #[test]
    fn a_daemon_set_counts_nodes_and_a_stateful_set_has_one_revision() {
        let daemons = json!({ "metadata": { "generation": 1 }, "spec": {}, "status": {
            "observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2 } });
        assert_eq!(judge(&daemons, WorkloadKind::DaemonSet), Rollout::Ready(2));
        let mut ill = daemons;
        ill["status"]["numberUnavailable"] = 1.into();
        assert_ne!(judge(&ill, WorkloadKind::DaemonSet), Rollout::Ready(2));
        let mut set = deployment(
            &json!({ "observedGeneration": 4, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3,
            "currentRevision": "a", "updateRevision": "a" }),
        );
        assert_eq!(judge(&set, WorkloadKind::StatefulSet), Rollout::Ready(3));
        set["status"]["updateRevision"] = "b".into();
        assert_ne!(judge(&set, WorkloadKind::StatefulSet), Rollout::Ready(3));
    }
}
