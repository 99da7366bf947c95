//! `kubernetes.cordon` and `kubernetes.uncordon`.

use serde_json::json;

use super::Ready;
use super::api::Api;
use super::api::Object;
use super::api::Write;
use super::api::at_version;
use super::api::name;
use crate::model::action::Kubernetes;
use crate::model::action::kubernetes::Cordon;
use crate::model::run::Outcome;

/// Reads whether the node takes pods.
pub(super) async fn prepare(api: &Api<'_>, cordon: &Cordon, on: bool) -> Result<Ready, Outcome> {
    let was = is_cordoned(&api.get(&path(&cordon.node)?).await?);
    let ready = Cordon { was: Some(was), ..cordon.clone() };
    let back = Cordon { was: Some(on), ..cordon.clone() };
    let previous = (was != on).then(|| kind(back, !on));
    Ok((kind(ready, on), previous))
}

/// Writes it, unless it is so already.
pub(super) async fn perform(api: &Api<'_>, cordon: &Cordon, on: bool) -> Result<Outcome, Outcome> {
    let word = if on { "takes no more pods" } else { "takes pods" };
    let done = |already: &str| Outcome::Done {
        summary: format!("node {} of cluster `{}` {word}{already}", cordon.node, cordon.cluster),
        output: json!({ "was": cordon.was, "cordoned": on }),
    };
    let change = |node: &Object| {
        if is_cordoned(node) == on {
            return Err(done(", as before"));
        }
        // an absent field is `false`
        let unschedulable = if on { json!(true) } else { json!(null) };
        Ok(json!({ "metadata": at_version(node), "spec": { "unschedulable": unschedulable } }))
    };
    api.change(&path(&cordon.node)?, change, |body| Write::Strategic(body)).await?;
    Ok(done(""))
}

/// The path of a node.
pub(super) fn path(node: &str) -> Result<String, Outcome> {
    Ok(format!("/api/v1/nodes/{}", name("node", node)?))
}

/// Whether a node takes no more pods.
pub(super) fn is_cordoned(node: &Object) -> bool {
    node["spec"]["unschedulable"] == true
}

fn kind(cordon: Cordon, on: bool) -> Kubernetes {
    if on { Kubernetes::Cordon(cordon) } else { Kubernetes::Uncordon(cordon) }
}
