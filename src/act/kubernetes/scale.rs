//! `kubernetes.scale`.

use serde_json::Value;
use serde_json::json;

use super::Ready;
use super::api::Api;
use super::api::Object;
use super::api::Write;
use super::api::called;
use super::api::workload;
use crate::model::action::Kubernetes;
use crate::model::action::kubernetes::Scale;
use crate::model::action::text::Whole;
use crate::model::run::Outcome;

/// Reads how many replicas there are, and makes of it how many there will be.
pub(super) async fn prepare(api: &Api<'_>, scale: &Scale) -> Result<Ready, Outcome> {
    let path = format!("{}/scale", workload(&scale.namespace, &scale.workload)?);
    let from = replicas(&api.get(&path).await?)?;
    let to = scale.target(from).map_err(super::super::failed)?;
    let ready = Scale { to: Some(to), from: Some(from), ..scale.clone() };
    // it is absolute already, and holds only while nobody else changed the number
    let back = Scale {
        replicas: Some(Whole::from(from)),
        by: None,
        to: Some(from),
        from: Some(to),
        ..scale.clone()
    };
    let previous = (to != from).then_some(Kubernetes::Scale(back));
    Ok((Kubernetes::Scale(ready), previous))
}

/// Writes the number, unless it is so already.
pub(super) async fn perform(api: &Api<'_>, scale: &Scale) -> Result<Outcome, Outcome> {
    let (Some(to), Some(from)) = (scale.to, scale.from) else {
        return Err(super::unprepared("kubernetes.scale"));
    };
    let path = format!("{}/scale", workload(&scale.namespace, &scale.workload)?);
    let called = called(&scale.workload, &scale.namespace, &scale.cluster);
    let change = |object: &Object| {
        let now = replicas(object)?;
        if now == to {
            return Err(done(&called, from, to, " already"));
        }
        if now != from {
            return Err(super::super::failed(format!(
                "{called} has {now} replicas, neither the {from} it had nor the {to} it was to have: somebody else scales it"
            )));
        }
        let mut changed = object.clone();
        let spec = changed.as_object_mut().map(|it| it.entry("spec").or_insert_with(|| json!({})));
        let spec = spec.and_then(Value::as_object_mut);
        let spec = spec.ok_or_else(|| super::super::failed("the scale has no spec"))?;
        spec.insert("replicas".into(), to.into());
        Ok(changed)
    };
    api.change(&path, change, |body| Write::Put(body)).await?;
    Ok(done(&called, from, to, ""))
}

fn done(called: &str, from: u32, to: u32, already: &str) -> Outcome {
    Outcome::Done {
        summary: format!("{called} has {to} replicas{already} (before: {from})"),
        output: json!({ "before": from, "after": to }),
    }
}

/// An absent number is none: a scale that was set to 0 has no `replicas` in it.
fn replicas(scale: &Value) -> Result<u32, Outcome> {
    match &scale["spec"]["replicas"] {
        Value::Null => Ok(0),
        number => number
            .as_u64()
            .and_then(|it| u32::try_from(it).ok())
            .ok_or_else(|| super::super::failed("the scale's number of replicas is none")),
    }
}
