//! `kubernetes.events`, `kubernetes.logs` and `kubernetes.describe`: reads, whose output people and later steps see.

use serde_json::Value;
use serde_json::json;

use super::api::Api;
use super::api::Object;
use super::api::Refusal;
use super::api::controller;
use super::api::items;
use super::api::meta;
use super::api::name;
use super::api::workload;
use super::node;
use super::pods;
use super::rollback::selector;
use crate::model::action::kubernetes::About;
use crate::model::action::kubernetes::Describe;
use crate::model::action::kubernetes::Events;
use crate::model::action::kubernetes::Logs;
use crate::model::run::Outcome;

/// Largest text of one read, in bytes.
const MAX_TEXT_BYTES: usize = 16 << 10;
/// Most events shown, the newest.
const MAX_EVENTS: usize = 40;
/// Most pods looked at.
const MAX_PODS: usize = 10;
/// Most of one log that is read, in bytes.
const MAX_LOG_BYTES: usize = 4 << 20;
/// Lines of a log that are searched for a text.
const SEARCHED_LINES: u32 = 5_000;

/// What happened to an object, and to what it makes.
pub(super) async fn events(api: &Api<'_>, read: &Events) -> Result<Outcome, Outcome> {
    let path = match &read.namespace {
        Some(namespace) => format!("/api/v1/namespaces/{}/events", name("namespace", namespace)?),
        None => "/api/v1/events".to_owned(),
    };
    let wanted = match &read.about {
        About::Selector(selector) => {
            let Some(namespace) = &read.namespace else { return Err(no_namespace()) };
            let all = format!("/api/v1/namespaces/{namespace}/pods");
            let pods = pods::chosen(api, &all, selector).await?;
            Wanted::Names(pods.iter().map(|pod| meta(pod, "name").to_owned()).collect())
        }
        About::Workload(workload) => Wanted::Made(workload.name.clone()),
        About::Name(name) => Wanted::Names(vec![name.clone()]),
        About::Pod(name) => Wanted::One("Pod", name.clone()),
        About::Node(name) => Wanted::One("Node", name.clone()),
    };
    let query = match &wanted {
        Wanted::One(kind, name) => vec![(
            "fieldSelector",
            format!("involvedObject.kind={kind},involvedObject.name={name}"),
        )],
        Wanted::Names(_) | Wanted::Made(_) => Vec::new(),
    };
    let list = api.list(&path, query).await?;
    let mut found: Vec<&Object> =
        items(&list).filter(|event| wanted.has(&event["involvedObject"])).collect();
    found.sort_by(|one, other| at(one).cmp(at(other)));
    let older = found.len().saturating_sub(MAX_EVENTS);
    let lines: Vec<String> = found.iter().skip(older).map(|event| line(event)).collect();
    Ok(done(
        format!("{} events about {} {}", found.len(), read.about.key(), read.about.text()),
        &lines,
        found.len(),
    ))
}

/// Which objects events are wanted of.
enum Wanted {
    /// One of a kind.
    One(&'static str, String),
    /// All of these names.
    Names(Vec<String>),
    /// A workload, and what has its name in front.
    Made(String),
}

impl Wanted {
    fn has(&self, object: &Value) -> bool {
        let name = object["name"].as_str().unwrap_or_default();
        match self {
            Self::One(kind, wanted) => object["kind"] == *kind && name == wanted,
            Self::Names(names) => names.iter().any(|it| it == name),
            Self::Made(from) => {
                let rest = name.strip_prefix(from.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            }
        }
    }
}

/// When an event was last seen. Newer writers leave `lastTimestamp` out.
fn at(event: &Object) -> &str {
    let times = [
        &event["series"]["lastObservedTime"],
        &event["lastTimestamp"],
        &event["eventTime"],
        &event["metadata"]["creationTimestamp"],
    ];
    times.into_iter().find_map(Value::as_str).unwrap_or_default()
}

fn line(event: &Object) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let about = &event["involvedObject"];
    let count = event["count"].as_u64().or_else(|| event["series"]["count"].as_u64()).unwrap_or(1);
    let often = if count > 1 { format!(" ({count} times)") } else { String::new() };
    format!(
        "{} {} {} {}/{}: {}{often}",
        at(event),
        text(&event["type"]),
        text(&event["reason"]),
        text(&about["kind"]).to_lowercase(),
        text(&about["name"]),
        text(&event["message"]).trim()
    )
}

/// The ends of the logs of pods.
pub(super) async fn logs(api: &Api<'_>, read: &Logs) -> Result<Outcome, Outcome> {
    let lines =
        read.lines.read().map_err(|error| super::super::failed(format!("lines: {error}")))?;
    let since = match &read.since {
        Some(since) => {
            Some(since.read().map_err(|error| super::super::failed(format!("since: {error}")))?)
        }
        None => None,
    };
    let pods = of(api, &read.namespace, &read.about).await?;
    let mut shown = Vec::new();
    let mut count = 0;
    for pod in pods.iter().take(MAX_PODS) {
        let name = meta(pod, "name");
        let asked = if read.containing.is_some() { SEARCHED_LINES.max(lines) } else { lines };
        let mut query = vec![("tailLines", asked.to_string())];
        query.extend(read.container.iter().map(|it| ("container", it.clone())));
        query.extend(since.map(|it| ("sinceSeconds", it.as_secs().max(1).to_string())));
        let path = format!("{}/log", pods::path(&pods::identity(pod))?);
        match api.text(&path, query, MAX_LOG_BYTES).await {
            Ok(text) => {
                let fits = |line: &&str| {
                    read.containing.as_ref().is_none_or(|it| line.contains(it.as_str()))
                };
                let found: Vec<&str> = text.lines().filter(fits).collect();
                let tail = found.iter().skip(found.len().saturating_sub(lines as usize));
                let tail: Vec<String> = tail.map(|line| format!("{name}: {line}")).collect();
                count += tail.len();
                shown.extend(tail);
            }
            // it ended meanwhile, or its container has not begun: the others may say why
            Err(Refusal::Missing(reason)) => shown.push(format!("{name}: [{reason}]")),
            Err(Refusal::Other(Outcome::Failed { reason, .. })) if pods.len() > 1 => {
                shown.push(format!("{name}: [{reason}]"));
            }
            Err(refusal) => return Err(refusal.into()),
        }
    }
    let left = pods.len().saturating_sub(MAX_PODS);
    let more =
        if left > 0 { format!("; {left} more pods were not looked at") } else { String::new() };
    Ok(done(format!("{count} lines of {} pods{more}", pods.len().min(MAX_PODS)), &shown, count))
}

/// An object, its state, and its pods. Environment and commands are left out: they may hold credentials.
pub(super) async fn describe(api: &Api<'_>, read: &Describe) -> Result<Outcome, Outcome> {
    let mut lines = Vec::new();
    if let About::Node(node) = &read.about {
        let object = api.get(&node::path(node)?).await?;
        lines.push(format!(
            "node {node}: {}",
            if node::is_cordoned(&object) { "takes no more pods" } else { "takes pods" }
        ));
        lines.extend(conditions(&object));
        let taints = object["spec"]["taints"].as_array().into_iter().flatten();
        lines.extend(taints.map(|it| {
            format!("  taint {}={}: {}", text(&it["key"]), text(&it["value"]), text(&it["effect"]))
        }));
        let query = vec![("fieldSelector", format!("spec.nodeName={node}"))];
        let list = api.list("/api/v1/pods", query).await?;
        lines.extend(items(&list).map(pod_line));
        return Ok(done(format!("node {node}"), &lines, items(&list).count()));
    }
    let Some(namespace) = &read.namespace else { return Err(no_namespace()) };
    if let About::Workload(it) = &read.about {
        let object = api.get(&workload(namespace, it)?).await?;
        let status = object["status"].as_object().into_iter().flatten();
        let numbers = status
            .filter(|(_, value)| value.is_number())
            .map(|(name, value)| format!("{name} {value}"));
        let numbers: Vec<String> = numbers.collect();
        let paused = if object["spec"]["paused"] == true { ", paused" } else { "" };
        lines.push(format!(
            "{it}: {} replicas wanted{paused}; {}",
            object["spec"]["replicas"],
            numbers.join(", ")
        ));
        lines.extend(conditions(&object));
        let containers =
            object["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten();
        lines.extend(
            containers
                .map(|it| format!("  container {}: {}", text(&it["name"]), text(&it["image"]))),
        );
    }
    let pods = of(api, namespace, &read.about).await?;
    lines.extend(pods.iter().map(pod_line));
    Ok(done(
        format!("{} {} with {} pods", read.about.key(), read.about.text(), pods.len()),
        &lines,
        pods.len(),
    ))
}

/// The pods that a read is about.
async fn of(api: &Api<'_>, namespace: &str, about: &About) -> Result<Vec<Object>, Outcome> {
    let all = format!("/api/v1/namespaces/{}/pods", name("namespace", namespace)?);
    match about {
        About::Pod(pod) | About::Name(pod) => {
            Ok(vec![api.get(&format!("{all}/{}", name("pod", pod)?)).await?])
        }
        About::Selector(selector) => pods::chosen(api, &all, selector).await,
        About::Workload(it) => {
            let object = api.get(&workload(namespace, it)?).await?;
            pods::chosen(api, &all, &selector(&object["spec"]["selector"])).await
        }
        About::Node(_) => Err(super::super::failed("expected a pod, a selector or a workload")),
    }
}

fn conditions(object: &Object) -> Vec<String> {
    let all = object["status"]["conditions"].as_array().into_iter().flatten();
    all.map(|it| {
        let why = [text(&it["reason"]), text(&it["message"])].join(" ");
        format!("  {}={} {}", text(&it["type"]), text(&it["status"]), why.trim())
    })
    .collect()
}

/// `  pod api-1: Running, ready 1/1, 3 restarts, app: CrashLoopBackOff, on node-1`
fn pod_line(pod: &Object) -> String {
    let states = pod["status"]["containerStatuses"].as_array().map_or(&[][..], Vec::as_slice);
    let ready = states.iter().filter(|it| it["ready"] == true).count();
    let restarts: u64 = states.iter().filter_map(|it| it["restartCount"].as_u64()).sum();
    let mut line = format!(
        "  pod {}: {}, ready {ready}/{}, {restarts} restarts",
        meta(pod, "name"),
        text(&pod["status"]["phase"]),
        states.len()
    );
    for state in states {
        for reason in [
            &state["state"]["waiting"]["reason"],
            &state["state"]["terminated"]["reason"],
            &state["lastState"]["terminated"]["reason"],
        ] {
            if let Some(reason) = reason.as_str() {
                line = format!("{line}, {}: {reason}", text(&state["name"]));
            }
        }
    }
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        line.push_str(", ending");
    }
    if let Some(owner) = controller(pod) {
        line = format!("{line}, of {}", text(&owner["name"]));
    }
    match pod["spec"]["nodeName"].as_str() {
        Some(node) => format!("{line}, on {node}"),
        None => format!("{line}, on no node"),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn no_namespace() -> Outcome {
    super::super::failed("expected a `namespace`: only a node has none")
}

/// The end of the lines, so far as it may be stored.
fn done(summary: String, lines: &[String], count: usize) -> Outcome {
    let mut room = MAX_TEXT_BYTES;
    let mut kept = Vec::new();
    for line in lines.iter().rev() {
        let Some(left) = room.checked_sub(line.len() + 1) else { break };
        room = left;
        kept.push(line.as_str());
    }
    kept.reverse();
    let cut = kept.len() < lines.len();
    Outcome::Done {
        summary,
        output: json!({ "text": kept.join("\n"), "count": count, "cut": cut }),
    }
}
