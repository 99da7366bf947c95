//! `kubernetes.rollback`.
//!
//! A revision is pinned before anything is written, by its number and by the hash that the Deployment's controller gives its pods' template:
//! numbers move when a template comes back, hashes do not. `kubectl rollout undo` twice toggles between two revisions; here a
//! template that was rolled back from is remembered on the Deployment, and never returned to.

use std::collections::BTreeSet;

use serde_json::Value;
use serde_json::json;

use super::Ready;
use super::api::Api;
use super::api::Object;
use super::api::Refusal;
use super::api::Write;
use super::api::called;
use super::api::controller;
use super::api::items;
use super::api::meta;
use super::api::unpaused;
use super::api::workload;
use crate::model::action::Kubernetes;
use crate::model::action::kubernetes::Rollback;
use crate::model::action::kubernetes::Workload;
use crate::model::action::kubernetes::WorkloadKind;
use crate::model::action::text::Whole;
use crate::model::run::Outcome;

const REVISION: &str = "deployment.kubernetes.io/revision";
const HASH: &str = "pod-template-hash";
/// Hashes of templates that were rolled back from, with commas between them.
const LEFT: &str = "quell/rolled-back-from";
/// Most hashes that are remembered: more revisions than a Deployment keeps by default.
const MOST_LEFT: usize = 20;
/// What a replica set's annotations hold that is not of its revision.
const NOT_OF_A_REVISION: [&str; 7] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
    LEFT,
];
/// Pause before a Deployment is read again that somebody else wrote at the same moment.
const AGAIN_AFTER: std::time::Duration = std::time::Duration::from_millis(100);

/// Chooses the revision, and refuses one that must not come back.
pub(super) async fn prepare(api: &Api<'_>, rollback: &Rollback) -> Result<Ready, Outcome> {
    let seen = look(api, rollback).await?;
    let called = &seen.called;
    unpaused(&seen.deployment, called)?;
    let generation = &seen.deployment["metadata"]["generation"];
    if seen.deployment["status"]["observedGeneration"] != *generation {
        return Err(super::super::failed_for_now(format!(
            "the controller of {called} has not seen its last change yet"
        )));
    }
    let Some(current) = seen.current() else {
        return Err(super::super::failed(format!(
            "{called} has no ReplicaSet of its own template: nobody knows which revision it is"
        )));
    };
    let from = revision(current);
    let wanted = rollback.revision.as_ref().map(Whole::read).transpose();
    let wanted =
        wanted.map_err(|error| super::super::failed(format!("revision: {error}")))?.map(u64::from);
    let numbers: BTreeSet<u64> = seen.sets.iter().map(revision).collect();
    let known: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    let known = known.join(", ");
    let to = match wanted {
        Some(0) => {
            return Err(super::super::failed(
                "revision: expected 1 or more; leave it out for the one before",
            ));
        }
        Some(number) => number,
        None => *numbers.range(..from).next_back().ok_or_else(|| {
            super::super::failed(format!("{called} has no revision before {from}; it has: {known}"))
        })?,
    };
    let target = seen.sets.iter().find(|set| revision(set) == to);
    let target = target.ok_or_else(|| {
        super::super::failed(format!("{called} has no revision {to}; it has: {known}"))
    })?;
    if to == from || template(target) == template(current) {
        return Err(super::super::failed(format!(
            "{called} is at revision {from} already: returning to {to} would change nothing"
        )));
    }
    if seen.left().contains(hash(target)) {
        return Err(super::super::failed(format!(
            "revision {to} of {called} was itself rolled back from, so it is not returned to; name an older `revision` if that is meant"
        )));
    }
    let ready = Rollback {
        to_revision: Some(to),
        from_revision: Some(from),
        to_template: Some(hash(target).to_owned()),
        from_template: Some(hash(current).to_owned()),
        ..rollback.clone()
    };
    let back = Rollback {
        revision: u32::try_from(from).ok().map(Whole::from),
        to_revision: Some(from),
        // the number that the other will have by then is the controller's to choose; its absence says that this takes a rollback back
        from_revision: None,
        to_template: ready.from_template.clone(),
        from_template: ready.to_template.clone(),
        ..rollback.clone()
    };
    Ok((Kubernetes::Rollback(ready), Some(Kubernetes::Rollback(back))))
}

/// Writes the template of the chosen revision, unless the Deployment has it.
pub(super) async fn perform(api: &Api<'_>, rollback: &Rollback) -> Result<Outcome, Outcome> {
    let Rollback {
        to_revision: Some(to),
        to_template: Some(to_hash),
        from_template: Some(from_hash),
        ..
    } = rollback
    else {
        return Err(super::unprepared("kubernetes.rollback"));
    };
    let path = path(rollback)?;
    loop {
        let seen = look(api, rollback).await?;
        let called = &seen.called;
        let target = seen.sets.iter().find(|set| hash(set) == to_hash);
        let target = target.ok_or_else(|| {
            super::super::failed(format!(
                "revision {to} of {called} is gone: its ReplicaSet was deleted"
            ))
        })?;
        let now = &seen.deployment["spec"]["template"];
        let done = |word: &str| Outcome::Done {
            summary: format!("{called} {word} revision {to}"),
            output: json!({ "from": rollback.from_revision, "to": to }),
        };
        if *now == template(target) {
            return Ok(done("is at"));
        }
        let leaving = seen.sets.iter().find(|set| hash(set) == from_hash);
        if leaving.is_none_or(|set| template(set) != *now) {
            return Err(super::super::failed(format!(
                "{called} was changed meanwhile: it has neither the template that was to be left nor that of revision {to}"
            )));
        }
        unpaused(&seen.deployment, called)?;
        let mut left = seen.left();
        if rollback.from_revision.is_some() {
            left.insert(from_hash.clone());
        } else {
            // the rollback is taken back: what it left is what is wanted again
            left.remove(to_hash);
        }
        let patch = json!([
            { "op": "test", "path": "/metadata/resourceVersion", "value": seen.deployment["metadata"]["resourceVersion"] },
            { "op": "replace", "path": "/spec/template", "value": template(target) },
            // `add` replaces what is there
            { "op": "add", "path": "/metadata/annotations", "value": annotations(&seen.deployment, target, &left) },
        ]);
        match api.write(&path, Write::Json(&patch)).await {
            // 422 is also what a `test` that fails is answered with
            Err(Refusal::Conflict(_) | Refusal::Invalid(_))
                if api.has_time(AGAIN_AFTER) && seen.is_old(api, &path).await? =>
            {
                tokio::time::sleep(AGAIN_AFTER).await;
            }
            written => {
                written?;
                return Ok(done("was returned to"));
            }
        }
    }
}

/// A Deployment and its replica sets.
struct Look {
    deployment: Object,
    sets: Vec<Object>,
    called: String,
}

impl Look {
    /// The replica set that has the Deployment's template.
    fn current(&self) -> Option<&Object> {
        let mut sets: Vec<&Object> = self.sets.iter().collect();
        sets.sort_by_key(|set| std::cmp::Reverse(revision(set)));
        sets.into_iter().find(|set| template(set) == self.deployment["spec"]["template"])
    }

    /// Hashes of the templates that were rolled back from.
    fn left(&self) -> BTreeSet<String> {
        let text = self.deployment["metadata"]["annotations"][LEFT].as_str().unwrap_or_default();
        text.split(',').map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned).collect()
    }

    /// Whether the Deployment has another version by now.
    async fn is_old(&self, api: &Api<'_>, path: &str) -> Result<bool, Outcome> {
        let now = api.get(path).await?;
        Ok(meta(&now, "resourceVersion") != meta(&self.deployment, "resourceVersion"))
    }
}

fn path(rollback: &Rollback) -> Result<String, Outcome> {
    workload(
        &rollback.namespace,
        &Workload { kind: WorkloadKind::Deployment, name: rollback.deployment.clone() },
    )
}

async fn look(api: &Api<'_>, rollback: &Rollback) -> Result<Look, Outcome> {
    let deployment = api.get(&path(rollback)?).await?;
    let sets = format!("/apis/apps/v1/namespaces/{}/replicasets", rollback.namespace);
    let selector = selector(&deployment["spec"]["selector"]);
    let list = api.list(&sets, vec![("labelSelector", selector)]).await?;
    let uid = meta(&deployment, "uid");
    let owned = items(&list).filter(|set| controller(set).is_some_and(|owner| owner["uid"] == uid));
    let sets = owned.filter(|set| revision(set) > 0).cloned().collect();
    let name = Workload { kind: WorkloadKind::Deployment, name: rollback.deployment.clone() };
    let called = called(&name, &rollback.namespace, &rollback.cluster);
    Ok(Look { deployment, sets, called })
}

/// A selector of labels as a query writes it.
pub(super) fn selector(selector: &Value) -> String {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let mut terms: Vec<String> = labels
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect();
    for term in selector["matchExpressions"].as_array().into_iter().flatten() {
        let name = term["key"].as_str().unwrap_or_default();
        let values: Vec<&str> =
            term["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let values = values.join(",");
        terms.push(match term["operator"].as_str().unwrap_or_default() {
            "In" => format!("{name} in ({values})"),
            "NotIn" => format!("{name} notin ({values})"),
            "DoesNotExist" => format!("!{name}"),
            _ => name.to_owned(),
        });
    }
    terms.join(",")
}

/// The revision of a replica set; 0 when it has none.
fn revision(set: &Object) -> u64 {
    set["metadata"]["annotations"][REVISION].as_str().and_then(|it| it.parse().ok()).unwrap_or(0)
}

fn hash(set: &Object) -> &str {
    set["metadata"]["labels"][HASH].as_str().unwrap_or_default()
}

/// The pods' template of a replica set as the Deployment wrote it.
fn template(set: &Object) -> Value {
    let mut template = set["spec"]["template"].clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(HASH);
    }
    template
}

/// The Deployment's annotations after the rollback: its own, and those that the revision had, such as the cause of its change.
fn annotations(deployment: &Object, set: &Object, left: &BTreeSet<String>) -> Value {
    let mut all = deployment["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    for (name, value) in set["metadata"]["annotations"].as_object().into_iter().flatten() {
        if !NOT_OF_A_REVISION.contains(&name.as_str()) {
            all.insert(name.clone(), value.clone());
        }
    }
    let kept: Vec<&str> = left.iter().map(String::as_str).take(MOST_LEFT).collect();
    if kept.is_empty() {
        all.remove(LEFT);
    } else {
        all.insert(LEFT.into(), kept.join(",").into());
    }
    Value::Object(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_written_as_a_query_reads_it() {
        let both = json!({
            "matchLabels": { "app": "api", "tier": "web" },
            "matchExpressions": [
                { "key": "track", "operator": "In", "values": ["a", "b"] },
                { "key": "old", "operator": "DoesNotExist" },
                { "key": "zone", "operator": "Exists" },
                { "key": "env", "operator": "NotIn", "values": ["dev"] },
            ],
        });
        assert_eq!(selector(&both), "app=api,tier=web,track in (a,b),!old,zone,env notin (dev)");
    }
}
