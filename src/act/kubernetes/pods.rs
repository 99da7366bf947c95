//! `kubernetes.delete_pod`, and what it shares with draining.

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
use super::api::name;
use crate::model::action::Kubernetes;
use crate::model::action::kubernetes::DeletePod;
use crate::model::action::kubernetes::Pod;
use crate::model::run::Outcome;

/// Names of pods shown in one message.
const SHOWN: usize = 5;

/// Finds the pods, and refuses more of them than `most`, and those that nothing would make anew.
pub(super) async fn prepare(api: &Api<'_>, delete: &DeletePod) -> Result<Ready, Outcome> {
    let most =
        delete.most.read().map_err(|error| super::super::failed(format!("most: {error}")))?;
    let namespace = name("namespace", &delete.namespace)?;
    let all = format!("/api/v1/namespaces/{namespace}/pods");
    let found: Vec<Object> = match (&delete.pod, &delete.selector) {
        (Some(pod), None) => vec![api.get(&format!("{all}/{}", name("pod", pod)?)).await?],
        (None, Some(selector)) => chosen(api, &all, selector).await?,
        _ => return Err(super::super::failed("expected either `pod` or `selector`")),
    };
    let live: Vec<&Object> =
        found.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).collect();
    let what = delete.selector.as_ref().map_or_else(String::new, |it| format!(" with {it}"));
    if live.is_empty() {
        return Err(super::super::failed(format!(
            "there is no pod{what} in {namespace} that is not ending already"
        )));
    }
    if live.len() > most as usize {
        return Err(super::super::failed(format!(
            "{} pods{what} in {namespace}, and `most` is {most}: none was deleted",
            live.len()
        )));
    }
    let alone: Vec<&str> =
        live.iter().filter(|pod| controller(pod).is_none()).map(|pod| meta(pod, "name")).collect();
    if !alone.is_empty() {
        return Err(super::super::failed(format!(
            "nothing would make these pods anew: {}; none was deleted",
            several(&alone)
        )));
    }
    let pods = live.into_iter().map(identity).collect();
    Ok((Kubernetes::DeletePod(DeletePod { pods: Some(pods), ..delete.clone() }), None))
}

/// Deletes each of them if it is still that one.
pub(super) async fn perform(api: &Api<'_>, delete: &DeletePod) -> Result<Outcome, Outcome> {
    let Some(pods) = &delete.pods else { return Err(super::unprepared("kubernetes.delete_pod")) };
    let (mut deleted, mut gone) = (Vec::new(), Vec::new());
    for pod in pods {
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": { "uid": pod.uid },
        });
        match api.write(&path(pod)?, Write::Delete(&options)).await {
            Ok(_) => deleted.push(pod.name.as_str()),
            // 409: the name is another pod's by now
            Err(Refusal::Missing(_) | Refusal::Conflict(_)) => gone.push(pod.name.as_str()),
            Err(refusal) => return Err(after(refusal.into(), &deleted)),
        }
    }
    let mut parts = Vec::new();
    if !deleted.is_empty() {
        parts.push(format!("deleted {}", several(&deleted)));
    }
    if !gone.is_empty() {
        parts.push(format!("{} already gone", several(&gone)));
    }
    Ok(Outcome::Done {
        summary: format!(
            "{} in {} of cluster `{}`",
            parts.join("; "),
            delete.namespace,
            delete.cluster
        ),
        output: json!({ "deleted": deleted, "gone": gone }),
    })
}

/// Pods that a selector chooses. An empty one would choose all.
pub(super) async fn chosen(
    api: &Api<'_>,
    all: &str,
    selector: &str,
) -> Result<Vec<Object>, Outcome> {
    if selector.trim().is_empty() {
        return Err(super::super::failed("the selector is empty, which would mean every pod"));
    }
    let list = api.list(all, vec![("labelSelector", selector.trim().to_owned())]).await?;
    Ok(items(&list).cloned().collect())
}

/// What tells a pod from any other of its name.
pub(super) fn identity(pod: &Value) -> Pod {
    Pod {
        namespace: meta(pod, "namespace").to_owned(),
        name: meta(pod, "name").to_owned(),
        uid: meta(pod, "uid").to_owned(),
    }
}

/// The path of a pod.
pub(super) fn path(pod: &Pod) -> Result<String, Outcome> {
    Ok(format!(
        "/api/v1/namespaces/{}/pods/{}",
        name("namespace", &pod.namespace)?,
        name("pod", &pod.name)?
    ))
}

/// Some names, and how many more there are.
pub(super) fn several(names: &[&str]) -> String {
    let shown: Vec<&str> = names.iter().take(SHOWN).copied().collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The outcome of a step that did a part of its work before.
fn after(outcome: Outcome, deleted: &[&str]) -> Outcome {
    if deleted.is_empty() {
        return outcome;
    }
    let add = |reason: String| format!("{reason}; deleted before: {}", several(deleted));
    match outcome {
        Outcome::Failed { reason, retryable } => Outcome::Failed { reason: add(reason), retryable },
        Outcome::Denied { credentials, reason } => {
            Outcome::Denied { credentials, reason: add(reason) }
        }
        Outcome::Unknown { reason } => Outcome::Unknown { reason: add(reason) },
        done @ Outcome::Done { .. } => done,
    }
}
