//! Questions to an API server and changes of its objects, as outcomes.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use tokio::time::Instant;

use super::Effect;
use crate::model::action::kubernetes::Workload;
use crate::model::action::kubernetes::WorkloadKind;
use crate::model::config::Cluster;
use crate::model::config::Targets;
use crate::model::run::Outcome;
use crate::net::Answer;
use crate::net::Failure;
use crate::net::Limit;
use crate::net::kubernetes;
use crate::net::kubernetes::Ask;
use crate::net::kubernetes::Place;

/// Largest answer read, in bytes: a list of some thousand pods.
const MAX_ANSWER_BYTES: usize = 32 << 20;

/// Pause before an object is read again that somebody else wrote at the same moment.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// JSON of an object whose absent parts are `null`.
pub(super) type Object = Value;

/// A cluster, and until when it is asked.
#[derive(Debug)]
pub(super) struct Api<'a> {
    name: &'a str,
    place: Place,
    deadline: Instant,
    effect: Effect,
}

/// How an object is changed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Write<'a> {
    /// The whole object, at its version.
    Put(&'a Value),
    /// A patch that joins lists by the names of their elements.
    Strategic(&'a Value),
    /// A list of operations.
    Json(&'a Value),
    /// A new object below another.
    Post(&'a Value),
    /// Away, with options.
    Delete(&'a Value),
}

impl Write<'_> {
    fn parts(self) -> (&'static str, &'static str, Vec<u8>) {
        let (method, kind, body) = match self {
            Self::Put(body) => ("PUT", "application/json", body),
            Self::Strategic(body) => ("PATCH", "application/strategic-merge-patch+json", body),
            Self::Json(body) => ("PATCH", "application/json-patch+json", body),
            Self::Post(body) => ("POST", "application/json", body),
            Self::Delete(body) => ("DELETE", "application/json", body),
        };
        (method, kind, body.to_string().into_bytes())
    }
}

/// Why a request did not do what it was for.
#[derive(Debug)]
pub(super) enum Refusal {
    /// 404: it is not there.
    Missing(String),
    /// 409: it is not what it was.
    Conflict(String),
    /// 422: the object that would come of it is not valid.
    Invalid(String),
    /// 429, and when to come again.
    Busy(String, Option<Duration>),
    /// 500 with the server's reason; a write was not carried out.
    Internal(String),
    /// Nobody knows whether it was carried out.
    Lost(String),
    /// Anything else, as the outcome of the step.
    Other(Outcome),
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Missing(reason) | Refusal::Invalid(reason) => super::super::failed(reason),
            Refusal::Conflict(reason) | Refusal::Busy(reason, _) | Refusal::Internal(reason) => {
                super::super::failed_for_now(reason)
            }
            Refusal::Lost(reason) => super::super::unknown(reason),
            Refusal::Other(outcome) => outcome,
        }
    }
}

impl<'a> Api<'a> {
    /// The cluster of this name in `targets.kubernetes`.
    pub(super) fn open(
        name: &'a str,
        deadline: Instant,
        targets: &Targets,
    ) -> Result<Self, Outcome> {
        let Some(cluster) = targets.kubernetes.get(name) else {
            let names: Vec<&str> = targets.kubernetes.keys().map(String::as_str).collect();
            return Err(super::super::failed(super::super::no_target("kubernetes", name, &names)));
        };
        let place = match cluster {
            Cluster::Kubeconfig { file, context } => {
                Place::Kubeconfig { file: file.clone(), context: context.clone() }
            }
            Cluster::InCluster => Place::InCluster,
        };
        Ok(Self { name, place, deadline, effect: Effect::Real })
    }

    /// The same, for effects of this sort.
    pub(super) fn with(self, effect: Effect) -> Self {
        Self { effect, ..self }
    }

    /// Whether nothing is stored.
    pub(super) fn is_dry(&self) -> bool {
        self.effect == Effect::Dry
    }

    /// An object.
    pub(super) async fn get(&self, path: &str) -> Result<Object, Refusal> {
        self.list(path, Vec::new()).await
    }

    /// An object, or objects that a query chooses.
    pub(super) async fn list(
        &self,
        path: &str,
        query: Vec<(&str, String)>,
    ) -> Result<Object, Refusal> {
        let answer = self.ask("GET", path, query, None, Limit::Refuse(MAX_ANSWER_BYTES)).await?;
        self.parse("GET", path, &answer)
    }

    /// Text, cut after `limit` bytes.
    pub(super) async fn text(
        &self,
        path: &str,
        query: Vec<(&str, String)>,
        limit: usize,
    ) -> Result<String, Refusal> {
        let answer = self.ask("GET", path, query, None, Limit::Cut(limit)).await?;
        Ok(answer.text().into_owned())
    }

    /// Changes an object. Nothing is stored in a dry run.
    pub(super) async fn write(&self, path: &str, write: Write<'_>) -> Result<Object, Refusal> {
        let (method, kind, body) = write.parts();
        let query = match self.effect {
            Effect::Real => Vec::new(),
            Effect::Dry => vec![("dryRun", "All".to_owned())],
        };
        let limit = Limit::Cut(MAX_ANSWER_BYTES);
        let answer = self.ask(method, path, query, Some((kind, body)), limit).await?;
        // it is done; an answer that cannot be read changes nothing about that
        Ok(serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
    }

    /// Changes what `change` makes of an object, at the version that it was read at, and again when somebody else was quicker. `change`
    /// says `Err` with the outcome when there is nothing to write.
    pub(super) async fn change(
        &self,
        path: &str,
        change: impl Fn(&Object) -> Result<Value, Outcome>,
        write: impl for<'w> Fn(&'w Value) -> Write<'w>,
    ) -> Result<Object, Outcome> {
        loop {
            let object = self.get(path).await?;
            let body = change(&object)?;
            match self.write(path, write(&body)).await {
                Err(Refusal::Conflict(_)) if self.has_time(AGAIN_AFTER) => {
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                written => return Ok(written?),
            }
        }
    }

    /// Whether this much time is left.
    pub(super) fn has_time(&self, pause: Duration) -> bool {
        Instant::now() + pause < self.deadline
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        query: Vec<(&str, String)>,
        body: Option<(&'static str, Vec<u8>)>,
        limit: Limit,
    ) -> Result<Answer, Refusal> {
        let writes = body.is_some();
        let ask = Ask { method, path, query, body, deadline: self.deadline, limit };
        match kubernetes::send(&self.place, ask).await {
            Ok(answer) if answer.is_success() => Ok(answer),
            Ok(answer) => Err(self.refused(method, path, &answer, writes)),
            Err(failure) => Err(self.unanswered(method, path, &failure, writes)),
        }
    }

    fn parse(&self, method: &str, path: &str, answer: &Answer) -> Result<Object, Refusal> {
        let parsed = serde_json::from_slice(&answer.body).ok().filter(Value::is_object);
        parsed.ok_or_else(|| {
            let reason = format!("{method} {path}: cluster `{}` answered no object", self.name);
            Refusal::Other(super::super::failed_for_now(reason))
        })
    }

    /// What a status means, and the server's reason for it.
    fn refused(&self, method: &str, path: &str, answer: &Answer, writes: bool) -> Refusal {
        let status: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let message = status["message"].as_str().map_or_else(|| answer.describe(), short);
        let reason = format!(
            "cluster `{}` answered {} to {method} {path}: {message}",
            self.name, answer.status
        );
        let causes = status["details"]["causes"].as_array().into_iter().flatten();
        let causes: Vec<String> =
            causes.filter_map(|it| it["message"].as_str()).map(short).collect();
        let reason =
            if causes.is_empty() { reason } else { format!("{reason} ({})", causes.join("; ")) };
        match answer.status {
            404 => Refusal::Missing(reason),
            409 => Refusal::Conflict(reason),
            422 => Refusal::Invalid(reason),
            429 => {
                let said = status["details"]["retryAfterSeconds"].as_u64();
                let said = said.or_else(|| answer.header("retry-after").parse().ok());
                Refusal::Busy(reason, said.filter(|seconds| *seconds > 0).map(Duration::from_secs))
            }
            // a quota or a policy says 403 too: that is no fault of the credential
            403 if is_admission(&message) => Refusal::Other(super::super::failed(reason)),
            401 | 403 => self.denied(&reason),
            // the server, or what stands before it, gave up on what may be done still
            502 | 504 if writes => {
                Refusal::Lost(format!("{reason}; nobody knows whether it happened"))
            }
            500 if writes && message.contains("etcdserver") => {
                Refusal::Lost(format!("{reason}; nobody knows whether it happened"))
            }
            500 => Refusal::Internal(reason),
            501.. => Refusal::Other(super::super::failed_for_now(reason)),
            300..=399 => Refusal::Other(super::super::failed(format!(
                "{reason}; redirects are not followed"
            ))),
            _ => Refusal::Other(super::super::failed(reason)),
        }
    }

    fn denied(&self, reason: &str) -> Refusal {
        let see = format!(
            "see targets.kubernetes.{} of quell.yml, and docs/kubernetes.md for the rights it needs",
            self.name
        );
        Refusal::Other(super::super::denied(format!("{reason}; {see}")))
    }

    /// What the lack of an answer means. Reading changes nothing, whatever became of it.
    fn unanswered(&self, method: &str, path: &str, failure: &Failure, writes: bool) -> Refusal {
        let name = self.name;
        match failure {
            Failure::Invalid(reason) => Refusal::Other(super::super::failed(format!(
                "targets.kubernetes.{name} of quell.yml: {reason}"
            ))),
            failure if failure.sent() && writes => Refusal::Lost(format!(
                "no answer from cluster `{name}` to {method} {path}: {failure}; nobody knows whether it happened"
            )),
            failure if failure.sent() => Refusal::Other(super::super::failed_for_now(format!(
                "no answer from cluster `{name}` to {method} {path}: {failure}"
            ))),
            failure => Refusal::Other(super::super::failed_for_now(format!(
                "could not reach cluster `{name}`: {failure}"
            ))),
        }
    }
}

/// Whether a 403 comes from admission: `… is forbidden: exceeded quota: …`, `admission webhook "x" denied the request`. What
/// RBAC refuses names the user: `… is forbidden: User "x" cannot patch resource …`.
fn is_admission(message: &str) -> bool {
    if message.starts_with("admission webhook") || message.contains("ValidatingAdmissionPolicy") {
        return true;
    }
    message.split_once("is forbidden: ").is_some_and(|(_, why)| {
        ["exceeded quota", "violates PodSecurity", "maximum ", "minimum ", "failed quota"]
            .iter()
            .any(|it| why.starts_with(it))
    })
}

/// The beginning of a text of the server, in one line.
fn short(text: &str) -> String {
    const MOST: usize = 400;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// A name from a playbook or an alert, as a part of a path: nothing that could lead elsewhere.
pub(super) fn name<'n>(what: &str, name: &'n str) -> Result<&'n str, Outcome> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if name.len() <= 253
        && name.chars().all(fits)
        && end(name.chars().next())
        && end(name.chars().next_back())
    {
        return Ok(name);
    }
    let shown = short(name);
    Err(super::super::failed(format!(
        "{what} {shown:?} is no name of Kubernetes: expected lowercase letters, digits, `-` and `.`, with a letter or a digit at both ends"
    )))
}

/// The path of a workload.
pub(super) fn workload(namespace: &str, workload: &Workload) -> Result<String, Outcome> {
    let plural = match workload.kind {
        WorkloadKind::Deployment => "deployments",
        WorkloadKind::StatefulSet => "statefulsets",
        WorkloadKind::DaemonSet => "daemonsets",
    };
    let namespace = name("namespace", namespace)?;
    Ok(format!(
        "/apis/apps/v1/namespaces/{namespace}/{plural}/{}",
        name(workload.kind.as_str(), &workload.name)?
    ))
}

/// `deployment/api in shop of prod`, for people.
pub(super) fn called(workload: &Workload, namespace: &str, cluster: &str) -> String {
    format!("{workload} in {namespace} of cluster `{cluster}`")
}

/// Refuses a Deployment whose rollouts are paused: what is written would wait for a person.
pub(super) fn unpaused(object: &Object, called: &str) -> Result<(), Outcome> {
    if object["spec"]["paused"] == true {
        return Err(super::super::failed(format!(
            "{called} is paused: nothing would be rolled out until a person resumes it"
        )));
    }
    Ok(())
}

/// The version of an object that was read, for a patch that holds only at this version.
pub(super) fn at_version(object: &Object) -> Value {
    json!({ "resourceVersion": object["metadata"]["resourceVersion"] })
}

/// A text of an object's metadata; empty when it is not there.
pub(super) fn meta<'o>(object: &'o Object, field: &str) -> &'o str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// The items of a list.
pub(super) fn items(list: &Object) -> impl Iterator<Item = &Object> {
    list["items"].as_array().into_iter().flatten()
}

/// The owner that makes an object anew, of this kind or any.
pub(super) fn controller(object: &Object) -> Option<&Value> {
    let owners = object["metadata"]["ownerReferences"].as_array()?;
    owners.iter().find(|owner| owner["controller"] == true)
}
