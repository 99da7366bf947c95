//! `kubernetes.drain`: by the eviction API, so that budgets hold. Nothing is ever deleted instead.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use super::Ready;
use super::api::Api;
use super::api::Object;
use super::api::Refusal;
use super::api::Write;
use super::api::controller;
use super::api::items;
use super::api::meta;
use super::node;
use super::pods;
use crate::model::action::Kubernetes;
use crate::model::action::kubernetes::Drain;
use crate::model::action::kubernetes::Pod;
use crate::model::run::Outcome;

/// Pause before a budget is asked again, where the server does not say.
const BUDGET_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Pause between two looks at pods that are ending.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What the kubelet writes on pods of files of its node.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Lists the pods that will go, and refuses where something would be lost that nobody said may be.
pub(super) async fn prepare(api: &Api<'_>, drain: &Drain) -> Result<Ready, Outcome> {
    if let Some(grace) = &drain.grace {
        grace.read().map_err(|error| super::super::failed(format!("grace: {error}")))?;
    }
    let node = api.get(&node::path(&drain.node)?).await?;
    if !node::is_cordoned(&node) {
        return Err(super::super::failed(format!(
            "node {} of cluster `{}` still takes pods, so what is evicted could come back to it; put a kubernetes.cordon step before",
            drain.node, drain.cluster
        )));
    }
    let query = vec![("fieldSelector", format!("spec.nodeName={}", drain.node))];
    let list = api.list("/api/v1/pods", query).await?;
    let going: Vec<&Object> = items(&list).filter(|pod| goes(pod)).collect();
    let refuse = |pods: Vec<&&Object>, why: &str| {
        let names: Vec<&str> = pods.into_iter().map(|pod| meta(pod, "name")).collect();
        if names.is_empty() {
            return Ok(());
        }
        Err(super::super::failed(format!(
            "node {}: {why}: {}; nothing was evicted",
            drain.node,
            pods::several(&names)
        )))
    };
    if !drain.unmanaged {
        let alone = going.iter().filter(|pod| controller(pod).is_none()).collect();
        refuse(
            alone,
            "nothing would make these pods anew (`unmanaged: evict` says that they may go)",
        )?;
    }
    if !drain.empty_dir {
        let losing = going.iter().filter(|pod| has_empty_dir(pod)).collect();
        refuse(
            losing,
            "these pods would lose their data in emptyDir (`empty_dir: delete` says that it may go)",
        )?;
    }
    let pods = going.into_iter().map(pods::identity).collect();
    Ok((Kubernetes::Drain(Drain { pods: Some(pods), ..drain.clone() }), None))
}

/// Whether draining takes a pod away: not what its node, or every node, runs by itself, nor what has ended.
fn goes(pod: &Object) -> bool {
    let mirror = !pod["metadata"]["annotations"][MIRROR].is_null();
    let of_every_node = controller(pod).is_some_and(|owner| owner["kind"] == "DaemonSet");
    let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    !mirror && !of_every_node && !ended
}

fn has_empty_dir(pod: &Object) -> bool {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    volumes.into_iter().any(|volume| !volume["emptyDir"].is_null())
}

/// How far one pod is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// Not evicted yet, and why.
    Waiting(String),
    /// It ends.
    Ending,
    /// Gone, or another pod has its name.
    Gone,
}

/// Evicts the pods and waits until they are gone.
pub(super) async fn perform(api: &Api<'_>, drain: &Drain) -> Result<Outcome, Outcome> {
    let Some(pods) = &drain.pods else { return Err(super::unprepared("kubernetes.drain")) };
    let grace = match &drain.grace {
        Some(grace) => {
            Some(grace.read().map_err(|error| super::super::failed(format!("grace: {error}")))?)
        }
        None => None,
    };
    let mut stages = vec![Stage::Waiting(String::new()); pods.len()];
    loop {
        let mut pause = LOOK_EVERY;
        // nobody knows of one that was asked for and not answered, until it is asked for again
        let mut lost = false;
        for (pod, stage) in pods.iter().zip(&mut stages) {
            match stage {
                Stage::Gone => {}
                Stage::Ending => *stage = look(api, pod).await?,
                Stage::Waiting(_) => match evict(api, pod, grace).await {
                    Ok(()) => *stage = Stage::Ending,
                    // 409: its name is another pod's by now
                    Err(Refusal::Missing(_) | Refusal::Conflict(_)) => *stage = Stage::Gone,
                    Err(Refusal::Busy(why, after)) => {
                        pause = pause.max(after.unwrap_or(BUDGET_AGAIN_AFTER));
                        *stage = Stage::Waiting(why);
                    }
                    // with a UID, asking once more changes nothing
                    Err(Refusal::Lost(why)) => {
                        lost = true;
                        *stage = Stage::Waiting(why);
                    }
                    Err(Refusal::Internal(why)) => {
                        let hint = "more than one PodDisruptionBudget may be for it, which Kubernetes does not support";
                        return Err(super::super::failed(format!(
                            "{why}; {hint}; {}",
                            progress(&stages)
                        )));
                    }
                    Err(refusal) => return Err(refusal.into()),
                },
            }
        }
        if api.is_dry() || stages.iter().all(|stage| *stage == Stage::Gone) {
            return Ok(done(drain, pods));
        }
        if !api.has_time(pause) {
            return Err(late(drain, pods, &stages, lost));
        }
        tokio::time::sleep(pause).await;
    }
}

fn done(drain: &Drain, pods: &[Pod]) -> Outcome {
    let names: Vec<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
    let what = if names.is_empty() {
        "no pod was there to evict".into()
    } else {
        format!("evicted {}", pods::several(&names))
    };
    Outcome::Done {
        summary: format!("node {} of cluster `{}`: {what}", drain.node, drain.cluster),
        output: json!({ "evicted": names }),
    }
}

/// The time is over: what is left, and why.
fn late(drain: &Drain, pods: &[Pod], stages: &[Stage], lost: bool) -> Outcome {
    let left = pods.iter().zip(stages).filter(|(_, stage)| **stage != Stage::Gone);
    let names: Vec<&str> = left.map(|(pod, _)| pod.name.as_str()).collect();
    let why = stages.iter().find_map(|stage| match stage {
        Stage::Waiting(why) if !why.is_empty() => Some(why.clone()),
        Stage::Waiting(_) | Stage::Ending | Stage::Gone => None,
    });
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    let reason = format!(
        "node {}: still there: {}; {}{why}",
        drain.node,
        pods::several(&names),
        progress(stages)
    );
    if lost { super::super::unknown(reason) } else { super::super::failed_for_now(reason) }
}

fn progress(stages: &[Stage]) -> String {
    let count = |wanted: fn(&Stage) -> bool| stages.iter().filter(|stage| wanted(stage)).count();
    let (gone, ending) = (count(|it| *it == Stage::Gone), count(|it| *it == Stage::Ending));
    format!("of {} pods {gone} are gone and {ending} are ending", stages.len())
}

async fn evict(api: &Api<'_>, pod: &Pod, grace: Option<Duration>) -> Result<(), Refusal> {
    let mut options = json!({ "preconditions": { "uid": pod.uid } });
    if let Some(grace) = grace {
        options["gracePeriodSeconds"] = grace.as_secs().into();
    }
    if api.is_dry() {
        options["dryRun"] = json!(["All"]);
    }
    let eviction: Value = json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": { "namespace": pod.namespace, "name": pod.name }, "deleteOptions": options,
    });
    let path = format!("{}/eviction", pods::path(pod).map_err(Refusal::Other)?);
    api.write(&path, Write::Post(&eviction)).await.map(|_| ())
}

/// Whether a pod that was evicted is gone.
async fn look(api: &Api<'_>, pod: &Pod) -> Result<Stage, Outcome> {
    match api.get(&pods::path(pod)?).await {
        Ok(now) if meta(&now, "uid") == pod.uid => Ok(Stage::Ending),
        Ok(_) | Err(Refusal::Missing(_)) => Ok(Stage::Gone),
        // one look that failed says nothing
        Err(
            Refusal::Other(Outcome::Failed { retryable: true, .. })
            | Refusal::Busy(..)
            | Refusal::Internal(_),
        ) => Ok(Stage::Ending),
        Err(refusal) => Err(refusal.into()),
    }
}
