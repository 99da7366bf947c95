//! What `kubernetes.*` does and observes. Fields that say *prepared* are absent in a playbook, and absolute in an intent.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use super::text::Span;
use super::text::Template;
use super::text::Whole;

/// An action against a cluster of `targets.kubernetes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kubernetes {
    /// Sets how many replicas a workload has.
    #[serde(rename = "kubernetes.scale")]
    Scale(Scale),
    /// Replaces the pods of a workload, as `kubectl rollout restart` does.
    #[serde(rename = "kubernetes.restart")]
    Restart(Restart),
    /// Returns a Deployment to an earlier revision.
    #[serde(rename = "kubernetes.rollback")]
    Rollback(Rollback),
    /// Sets environment variables of a container.
    #[serde(rename = "kubernetes.set_env")]
    SetEnv(SetEnv),
    /// Takes no more pods on a node.
    #[serde(rename = "kubernetes.cordon")]
    Cordon(Cordon),
    /// Takes pods on a node again.
    #[serde(rename = "kubernetes.uncordon")]
    Uncordon(Cordon),
    /// Evicts the pods of a node.
    #[serde(rename = "kubernetes.drain")]
    Drain(Drain),
    /// Deletes pods, which their controller makes anew.
    #[serde(rename = "kubernetes.delete_pod")]
    DeletePod(DeletePod),
    /// Reads what happened to an object.
    #[serde(rename = "kubernetes.events")]
    Events(Events),
    /// Reads the ends of logs.
    #[serde(rename = "kubernetes.logs")]
    Logs(Logs),
    /// Reads an object and its state.
    #[serde(rename = "kubernetes.describe")]
    Describe(Describe),
}

/// What runs pods, of one namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Which sort.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: Template,
}

/// The sorts of workloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkloadKind {
    /// A Deployment.
    Deployment,
    /// A `StatefulSet`.
    StatefulSet,
    /// A `DaemonSet`.
    DaemonSet,
}

impl WorkloadKind {
    /// The key people write, which is also the word in a target: `deployment`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
        }
    }
}

/// `deployment/api`
impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.name)
    }
}

/// `kubernetes.scale`: `replicas`, or `by` within `min` and `max`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    /// Name of an entry of `targets.kubernetes`.
    pub cluster: Template,
    /// Namespace of the workload.
    pub namespace: Template,
    /// A Deployment or a `StatefulSet`.
    pub workload: Workload,
    /// So many. Either this or `by`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Whole>,
    /// So many more, or fewer, than there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<i32>,
    /// Never fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Whole>,
    /// Never more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Whole>,
    /// Prepared: how many there will be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u32>,
    /// Prepared: how many there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u32>,
}

/// `kubernetes.restart`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// Name of an entry of `targets.kubernetes`.
    pub cluster: Template,
    /// Namespace of the workload.
    pub namespace: Template,
    /// Whose pods.
    pub workload: Workload,
    /// Prepared: the time that is written into the pods' template, RFC 3339 in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<String>,
}

/// `kubernetes.rollback`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// Name of an entry of `targets.kubernetes`.
    pub cluster: Template,
    /// Namespace of the Deployment.
    pub namespace: Template,
    /// The Deployment.
    pub deployment: Template,
    /// The revision to return to; `None` is the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Whole>,
    /// Prepared: the revision that will be returned to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_revision: Option<u64>,
    /// Prepared: the revision that is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_revision: Option<u64>,
    /// Prepared: the hash of the pods' template of the one that will be returned to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_template: Option<String>,
    /// Prepared: the hash of the pods' template of the one that is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_template: Option<String>,
}

/// `kubernetes.set_env`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetEnv {
    /// Name of an entry of `targets.kubernetes`.
    pub cluster: Template,
    /// Namespace of the workload.
    pub namespace: Template,
    /// Whose containers.
    pub workload: Workload,
    /// Which container; `None` where there is one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Template>,
    /// Values by name; `None` removes the variable.
    pub env: BTreeMap<String, Option<Template>>,
    /// Prepared: the values that they had; `None` where a variable was not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<BTreeMap<String, Option<String>>>,
}

/// `kubernetes.cordon` and `kubernetes.uncordon`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cordon {
    /// Name of an entry of `targets.kubernetes`.
    pub cluster: Template,
    /// The node.
    pub node: Template,
    /// Prepared: whether it was cordoned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<bool>,
}

/// `kubernetes.drain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// Name of an entry of `targets.kubernetes`.
    pub cluster: Template,
    /// The node.
    pub node: Template,
    /// Time that each pod has to end; `None` is what it says itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<Span>,
    /// `empty_dir: delete`: pods go whose data in `emptyDir` is lost. Else they refuse the step.
    #[serde(default)]
    pub empty_dir: bool,
    /// `unmanaged: evict`: pods go that nothing makes anew. Else they refuse the step.
    #[serde(default)]
    pub unmanaged: bool,
    /// Prepared: the pods that will go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<Vec<Pod>>,
}

/// One pod, and no other of its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What the API calls it.
    pub uid: String,
}

/// `kubernetes.delete_pod`: `pod`, or those of `selector`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletePod {
    /// Name of an entry of `targets.kubernetes`.
    pub cluster: Template,
    /// Namespace of the pods.
    pub namespace: Template,
    /// This one. Either this or `selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Template>,
    /// Those with these labels, as Kubernetes writes a selector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Template>,
    /// More pods than this refuse the step.
    pub most: Whole,
    /// Prepared: the pods that will be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<Vec<Pod>>,
}

/// What a read is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum About {
    /// Every object of this name, of any sort.
    Name(Template),
    /// A workload.
    Workload(Workload),
    /// A pod.
    Pod(Template),
    /// The pods with these labels.
    Selector(Template),
    /// A node.
    Node(Template),
}

/// `kubernetes.events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// Name of an entry of `targets.kubernetes`.
    pub cluster: Template,
    /// Namespace; `None` for a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Template>,
    /// Of what.
    pub about: About,
}

/// `kubernetes.logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logs {
    /// Name of an entry of `targets.kubernetes`.
    pub cluster: Template,
    /// Namespace of the pods.
    pub namespace: Template,
    /// A pod, a selector or a workload.
    pub about: About,
    /// Which container; `None` where there is one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Template>,
    /// What was written within this time only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Span>,
    /// The last lines of each pod.
    pub lines: Whole,
    /// Lines with this text only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containing: Option<Template>,
}

/// `kubernetes.describe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Describe {
    /// Name of an entry of `targets.kubernetes`.
    pub cluster: Template,
    /// Namespace; `None` for a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Template>,
    /// A workload, a pod, a selector or a node.
    pub about: About,
}

/// The probe `kubernetes.ready`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Name of an entry of `targets.kubernetes`.
    pub cluster: Template,
    /// Namespace of the workload.
    pub namespace: Template,
    /// What must be rolled out and available.
    pub workload: Workload,
}

impl Kubernetes {
    /// The word people write.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Scale(_) => "kubernetes.scale",
            Self::Restart(_) => "kubernetes.restart",
            Self::Rollback(_) => "kubernetes.rollback",
            Self::SetEnv(_) => "kubernetes.set_env",
            Self::Cordon(_) => "kubernetes.cordon",
            Self::Uncordon(_) => "kubernetes.uncordon",
            Self::Drain(_) => "kubernetes.drain",
            Self::DeletePod(_) => "kubernetes.delete_pod",
            Self::Events(_) => "kubernetes.events",
            Self::Logs(_) => "kubernetes.logs",
            Self::Describe(_) => "kubernetes.describe",
        }
    }

    /// Name of the entry of `targets.kubernetes`.
    pub fn cluster(&self) -> &Template {
        match self {
            Self::Scale(it) => &it.cluster,
            Self::Restart(it) => &it.cluster,
            Self::Rollback(it) => &it.cluster,
            Self::SetEnv(it) => &it.cluster,
            Self::Cordon(it) | Self::Uncordon(it) => &it.cluster,
            Self::Drain(it) => &it.cluster,
            Self::DeletePod(it) => &it.cluster,
            Self::Events(it) => &it.cluster,
            Self::Logs(it) => &it.cluster,
            Self::Describe(it) => &it.cluster,
        }
    }
}

impl About {
    /// Its text.
    pub fn text(&self) -> &Template {
        match self {
            Self::Name(text) | Self::Pod(text) | Self::Selector(text) | Self::Node(text) => text,
            Self::Workload(workload) => &workload.name,
        }
    }

    /// Its text, to render it.
    pub fn text_mut(&mut self) -> &mut Template {
        match self {
            Self::Name(text) | Self::Pod(text) | Self::Selector(text) | Self::Node(text) => text,
            Self::Workload(workload) => &mut workload.name,
        }
    }

    /// The key people write: `pod`.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Name(_) => "name",
            Self::Workload(workload) => workload.kind.as_str(),
            Self::Pod(_) => "pod",
            Self::Selector(_) => "selector",
            Self::Node(_) => "node",
        }
    }
}
