//! `kubernetes.set_env`.

use std::collections::BTreeMap;

use serde_json::Value;
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
use crate::model::action::kubernetes::SetEnv;
use crate::model::run::Outcome;

/// Values by name; `None` is a variable that is not there.
type Values = BTreeMap<String, Option<String>>;

/// Reads the values before, and which container is meant.
pub(super) async fn prepare(api: &Api<'_>, set: &SetEnv) -> Result<Ready, Outcome> {
    let called = called(&set.workload, &set.namespace, &set.cluster);
    if set.env.is_empty() {
        return Err(super::super::failed("`env` is empty: there is nothing to set"));
    }
    for name in set.env.keys() {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(super::super::failed(format!("{name:?} is no name of a variable")));
        }
    }
    let object = api.get(&workload(&set.namespace, &set.workload)?).await?;
    unpaused(&object, &called)?;
    let container = container(&object, set.container.as_deref(), &called)?;
    let before = values(container, set, &called)?;
    let name = container["name"].as_str().unwrap_or_default().to_owned();
    let ready = SetEnv { container: Some(name), before: Some(before.clone()), ..set.clone() };
    let back = SetEnv { env: before.clone(), before: Some(set.env.clone()), ..ready.clone() };
    let previous = (before != set.env).then_some(Kubernetes::SetEnv(back));
    Ok((Kubernetes::SetEnv(ready), previous))
}

/// Writes the values, unless they are so already.
pub(super) async fn perform(api: &Api<'_>, set: &SetEnv) -> Result<Outcome, Outcome> {
    let (Some(before), Some(name)) = (&set.before, &set.container) else {
        return Err(super::unprepared("kubernetes.set_env"));
    };
    let called = called(&set.workload, &set.namespace, &set.cluster);
    let names: Vec<&str> = set.env.keys().map(String::as_str).collect();
    let names = names.join(", ");
    let done = |word: &str| Outcome::Done {
        summary: format!("{names} of container {name} of {called} {word}"),
        output: json!({ "before": before }),
    };
    let change = |object: &Object| {
        let container = container(object, Some(name), &called)?;
        let now = values(container, set, &called)?;
        if now == set.env {
            return Err(done("already as wanted"));
        }
        if now != *before {
            return Err(super::super::failed(format!(
                "{names} of container {name} of {called}: neither as before nor as wanted; somebody else changed that"
            )));
        }
        unpaused(object, &called)?;
        let env: Vec<Value> = set
            .env
            .iter()
            .map(|(name, value)| match value {
                Some(value) => json!({ "name": name, "value": value }),
                None => json!({ "name": name, "$patch": "delete" }),
            })
            .collect();
        Ok(json!({
            "metadata": at_version(object),
            "spec": { "template": { "spec": { "containers": [{ "name": name, "env": env }] } } },
        }))
    };
    api.change(&workload(&set.namespace, &set.workload)?, change, |body| Write::Strategic(body))
        .await?;
    Ok(done("set"))
}

/// The container of this name, or the only one.
fn container<'o>(
    object: &'o Object,
    name: Option<&str>,
    called: &str,
) -> Result<&'o Value, Outcome> {
    let all =
        object["spec"]["template"]["spec"]["containers"].as_array().map_or(&[][..], Vec::as_slice);
    let found = match (name, all) {
        (Some(name), all) => all.iter().find(|it| it["name"] == name),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    found.ok_or_else(|| {
        let names: Vec<&str> = all.iter().filter_map(|it| it["name"].as_str()).collect();
        let names = names.join(", ");
        super::super::failed(match name {
            Some(name) => format!("{called} has no container `{name}`; it has: {names}"),
            None => format!("{called} has several containers: write `container`, one of {names}"),
        })
    })
}

/// The values of the variables that are to be set.
fn values(container: &Value, set: &SetEnv, called: &str) -> Result<Values, Outcome> {
    let variables = container["env"].as_array().map_or(&[][..], Vec::as_slice);
    set.env
        .keys()
        .map(|name| {
            // of variables of one name, the last holds
            let Some(variable) = variables.iter().rev().find(|it| it["name"] == name.as_str()) else {
                return Ok((name.clone(), None));
            };
            if !variable["valueFrom"].is_null() {
                return Err(super::super::failed(format!(
                    "{name} of {called} comes from elsewhere (`valueFrom`): a text in its place could not be taken back"
                )));
            }
            // an absent value is an empty one
            Ok((name.clone(), Some(variable["value"].as_str().unwrap_or_default().to_owned())))
        })
        .collect()
}
