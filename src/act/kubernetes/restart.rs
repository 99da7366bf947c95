//! `kubernetes.restart`.

use jiff::Timestamp;
use jiff::Unit;
use serde_json::json;

use super::Ready;
use super::api::Api;
use super::api::Object;
use super::api::Write;
use super::api::at_version;
use super::api::called;
use super::api::unpaused;
use super::api::workload;
use crate::model::action::Kubernetes;
use crate::model::action::kubernetes::Restart;
use crate::model::run::Outcome;

/// What `kubectl rollout restart` writes as well.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";
/// The run and step that did it, for people who look.
const RESTARTED_BY: &str = "quell/restarted-by";

/// Fixes the time that will be written.
pub(super) async fn prepare(
    api: &Api<'_>,
    restart: &Restart,
    now: Timestamp,
) -> Result<Ready, Outcome> {
    let called = called(&restart.workload, &restart.namespace, &restart.cluster);
    let object = api.get(&workload(&restart.namespace, &restart.workload)?).await?;
    allowed(&object, &called)?;
    let second = now.round(Unit::Second).unwrap_or(now);
    let stamp = Some(second.to_string());
    Ok((Kubernetes::Restart(Restart { stamp, ..restart.clone() }), None))
}

/// Writes the time into the pods' template, unless it, or a later one, is there.
pub(super) async fn perform(
    api: &Api<'_>,
    restart: &Restart,
    key: &str,
) -> Result<Outcome, Outcome> {
    let Some(stamp) = &restart.stamp else { return Err(super::unprepared("kubernetes.restart")) };
    let called = called(&restart.workload, &restart.namespace, &restart.cluster);
    let change = |object: &Object| {
        let annotations = &object["spec"]["template"]["metadata"]["annotations"];
        let there = annotations[RESTARTED_AT].as_str().unwrap_or_default();
        if there == stamp && annotations[RESTARTED_BY] == key {
            return Err(done(&called, stamp, "restarted"));
        }
        if is_later(there, stamp) {
            // its pods are newer than what was asked for; an older time would replace them once more
            return Err(done(&called, there, "was restarted by somebody else since, "));
        }
        allowed(object, &called)?;
        Ok(json!({
            "metadata": at_version(object),
            "spec": { "template": { "metadata": { "annotations": { RESTARTED_AT: stamp, RESTARTED_BY: key } } } },
        }))
    };
    api.change(&workload(&restart.namespace, &restart.workload)?, change, |body| {
        Write::Strategic(body)
    })
    .await?;
    Ok(done(&called, stamp, "restarted"))
}

fn done(called: &str, stamp: &str, word: &str) -> Outcome {
    Outcome::Done {
        summary: format!("{called} {word} at {stamp}"),
        output: json!({ "stamp": stamp }),
    }
}

fn is_later(there: &str, stamp: &str) -> bool {
    match (there.parse::<Timestamp>(), stamp.parse::<Timestamp>()) {
        (Ok(there), Ok(stamp)) => there > stamp,
        _ => false,
    }
}

/// Refuses what would not restart.
fn allowed(object: &Object, called: &str) -> Result<(), Outcome> {
    unpaused(object, called)?;
    if object["spec"]["updateStrategy"]["type"] == "OnDelete" {
        return Err(super::super::failed(format!(
            "{called} has the update strategy OnDelete: a restart would replace no pod until it is deleted; use kubernetes.delete_pod"
        )));
    }
    Ok(())
}
