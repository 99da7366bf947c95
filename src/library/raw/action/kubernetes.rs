//! `kubernetes.*`, as they are written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::library::field::Entries;
use crate::library::field::Field;
use crate::library::raw::Opt;
use crate::library::raw::SignedText;
use crate::library::raw::SpanText;
use crate::library::raw::TemplateText;
use crate::library::raw::ValueText;
use crate::library::raw::WholeText;
use crate::library::schema::shape::exactly_one;

const SCALABLE: &[&str] = &["deployment", "statefulset"];
const WORKLOADS: &[&str] = &["deployment", "statefulset", "daemonset"];

/// Sets how many replicas a workload has: `replicas`, or `by`, which is made absolute before it is done.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`kubernetes.scale`")]
#[schemars(extend("allOf" = [exactly_one(SCALABLE), exactly_one(&["replicas", "by"])]))]
pub(crate) struct RawScale {
    /// Name of a cluster under `targets.kubernetes` in quell.yml.
    #[schemars(extend("examples" = ["prod"]))]
    pub(crate) cluster: Field<TemplateText>,
    /// Namespace of the workload.
    #[schemars(extend("examples" = ["shop"]))]
    pub(crate) namespace: Field<TemplateText>,
    /// The Deployment.
    #[schemars(extend("examples" = ["{{ deployment }}"]))]
    pub(crate) deployment: Opt<TemplateText>,
    /// The `StatefulSet`.
    pub(crate) statefulset: Opt<TemplateText>,
    /// So many.
    #[schemars(extend("examples" = [5]))]
    pub(crate) replicas: Opt<WholeText>,
    /// So many more or fewer than there are.
    #[schemars(extend("examples" = [2, -1]))]
    pub(crate) by: Opt<SignedText>,
    /// Never fewer. With `by`, 1 when silent.
    #[schemars(extend("examples" = [1]))]
    pub(crate) min: Opt<WholeText>,
    /// Never more.
    #[schemars(extend("examples" = [10]))]
    pub(crate) max: Opt<WholeText>,
}

/// Replaces the pods of a workload one after another, as `kubectl rollout restart` does.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`kubernetes.restart`")]
#[schemars(extend("allOf" = [exactly_one(WORKLOADS)]))]
pub(crate) struct RawRestart {
    /// Name of a cluster under `targets.kubernetes` in quell.yml.
    #[schemars(extend("examples" = ["prod"]))]
    pub(crate) cluster: Field<TemplateText>,
    /// Namespace of the workload.
    #[schemars(extend("examples" = ["shop"]))]
    pub(crate) namespace: Field<TemplateText>,
    /// The Deployment.
    #[schemars(extend("examples" = ["{{ deployment }}"]))]
    pub(crate) deployment: Opt<TemplateText>,
    /// The `StatefulSet`.
    pub(crate) statefulset: Opt<TemplateText>,
    /// The `DaemonSet`.
    pub(crate) daemonset: Opt<TemplateText>,
}

/// Returns a Deployment to an earlier revision, which is chosen and written down before it is done.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`kubernetes.rollback`")]
pub(crate) struct RawRollback {
    /// Name of a cluster under `targets.kubernetes` in quell.yml.
    #[schemars(extend("examples" = ["prod"]))]
    pub(crate) cluster: Field<TemplateText>,
    /// Namespace of the Deployment.
    #[schemars(extend("examples" = ["shop"]))]
    pub(crate) namespace: Field<TemplateText>,
    /// The Deployment.
    #[schemars(extend("examples" = ["{{ deployment }}"]))]
    pub(crate) deployment: Field<TemplateText>,
    /// The revision to return to. The one before when silent.
    #[schemars(extend("examples" = [41]))]
    pub(crate) revision: Opt<WholeText>,
}

/// Sets environment variables of a container, which replaces the pods.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`kubernetes.set_env`")]
#[schemars(extend("allOf" = [exactly_one(WORKLOADS)]))]
pub(crate) struct RawSetEnv {
    /// Name of a cluster under `targets.kubernetes` in quell.yml.
    #[schemars(extend("examples" = ["prod"]))]
    pub(crate) cluster: Field<TemplateText>,
    /// Namespace of the workload.
    #[schemars(extend("examples" = ["shop"]))]
    pub(crate) namespace: Field<TemplateText>,
    /// The Deployment.
    #[schemars(extend("examples" = ["{{ deployment }}"]))]
    pub(crate) deployment: Opt<TemplateText>,
    /// The `StatefulSet`.
    pub(crate) statefulset: Opt<TemplateText>,
    /// The `DaemonSet`.
    pub(crate) daemonset: Opt<TemplateText>,
    /// The container. The only one when silent.
    #[schemars(extend("examples" = ["api"]))]
    pub(crate) container: Opt<TemplateText>,
    /// Values by name; nothing after the colon, or `null`, removes a variable.
    #[schemars(extend("examples" = [{"MAINTENANCE": "true"}]))]
    pub(crate) env: Field<Entries<ValueText>>,
}

/// A node, which takes no more pods, or takes them again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "a node")]
pub(crate) struct RawCordon {
    /// Name of a cluster under `targets.kubernetes` in quell.yml.
    #[schemars(extend("examples" = ["prod"]))]
    pub(crate) cluster: Field<TemplateText>,
    /// The node.
    #[schemars(extend("examples" = ["{{ labels.node }}"]))]
    pub(crate) node: Field<TemplateText>,
}

/// Evicts the pods of a node, as far as their disruption budgets allow; those of `DaemonSets` stay. It deletes none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`kubernetes.drain`")]
pub(crate) struct RawDrain {
    /// Name of a cluster under `targets.kubernetes` in quell.yml.
    #[schemars(extend("examples" = ["prod"]))]
    pub(crate) cluster: Field<TemplateText>,
    /// The node.
    #[schemars(extend("examples" = ["{{ labels.node }}"]))]
    pub(crate) node: Field<TemplateText>,
    /// Time that each pod has to end. What it says itself when silent.
    #[schemars(extend("examples" = ["30s"]))]
    pub(crate) grace: Opt<SpanText>,
    /// `delete`: pods go whose `emptyDir` is lost with them. When silent, one such pod refuses the step.
    pub(crate) empty_dir: Opt<RawEmptyDir>,
    /// `evict`: pods go that nothing makes anew. When silent, one such pod refuses the step.
    pub(crate) unmanaged: Opt<RawUnmanaged>,
}

/// What becomes of what is in an `emptyDir`.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename = "`empty_dir`", rename_all = "lowercase")]
pub(crate) enum RawEmptyDir {
    /// It is lost.
    Delete,
}

/// What becomes of pods that nothing makes anew.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename = "`unmanaged`", rename_all = "lowercase")]
pub(crate) enum RawUnmanaged {
    /// They go.
    Evict,
}

/// Deletes pods, which their controller makes anew: `pod`, or those of `selector`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`kubernetes.delete_pod`")]
#[schemars(extend("allOf" = [exactly_one(&["pod", "selector"])]))]
pub(crate) struct RawDeletePod {
    /// Name of a cluster under `targets.kubernetes` in quell.yml.
    #[schemars(extend("examples" = ["prod"]))]
    pub(crate) cluster: Field<TemplateText>,
    /// Namespace of the pods.
    #[schemars(extend("examples" = ["shop"]))]
    pub(crate) namespace: Field<TemplateText>,
    /// This one.
    #[schemars(extend("examples" = ["{{ labels.pod }}"]))]
    pub(crate) pod: Opt<TemplateText>,
    /// Those with these labels.
    #[schemars(extend("examples" = ["app={{ labels.app }}"]))]
    pub(crate) selector: Opt<TemplateText>,
    /// More pods than this fail the step, and none is deleted. 1 when silent.
    #[schemars(extend("examples" = [3]))]
    pub(crate) most: Opt<WholeText>,
}

/// Reads what happened to an object.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`kubernetes.events`")]
#[schemars(extend("allOf" = [exactly_one(&["name", "deployment", "statefulset", "daemonset", "pod", "selector", "node"])]))]
#[schemars(extend("dependencies" = { "name": ["namespace"], "deployment": ["namespace"], "statefulset": ["namespace"], "daemonset": ["namespace"], "pod": ["namespace"], "selector": ["namespace"] }))]
pub(crate) struct RawEvents {
    /// Name of a cluster under `targets.kubernetes` in quell.yml.
    #[schemars(extend("examples" = ["prod"]))]
    pub(crate) cluster: Field<TemplateText>,
    /// Namespace of the object; a node has none.
    #[schemars(extend("examples" = ["shop"]))]
    pub(crate) namespace: Opt<TemplateText>,
    /// Every object of this name, of any sort.
    pub(crate) name: Opt<TemplateText>,
    /// The Deployment.
    #[schemars(extend("examples" = ["{{ deployment }}"]))]
    pub(crate) deployment: Opt<TemplateText>,
    /// The `StatefulSet`.
    pub(crate) statefulset: Opt<TemplateText>,
    /// The `DaemonSet`.
    pub(crate) daemonset: Opt<TemplateText>,
    /// The pod.
    #[schemars(extend("examples" = ["{{ labels.pod }}"]))]
    pub(crate) pod: Opt<TemplateText>,
    /// The pods with these labels.
    #[schemars(extend("examples" = ["app={{ labels.app }}"]))]
    pub(crate) selector: Opt<TemplateText>,
    /// The node.
    #[schemars(extend("examples" = ["{{ labels.node }}"]))]
    pub(crate) node: Opt<TemplateText>,
}

/// Reads the ends of logs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`kubernetes.logs`")]
#[schemars(extend("allOf" = [exactly_one(&["deployment", "statefulset", "daemonset", "pod", "selector"])]))]
pub(crate) struct RawLogs {
    /// Name of a cluster under `targets.kubernetes` in quell.yml.
    #[schemars(extend("examples" = ["prod"]))]
    pub(crate) cluster: Field<TemplateText>,
    /// Namespace of the pods.
    #[schemars(extend("examples" = ["shop"]))]
    pub(crate) namespace: Field<TemplateText>,
    /// The pods of this Deployment.
    #[schemars(extend("examples" = ["{{ deployment }}"]))]
    pub(crate) deployment: Opt<TemplateText>,
    /// Those of this `StatefulSet`.
    pub(crate) statefulset: Opt<TemplateText>,
    /// Those of this `DaemonSet`.
    pub(crate) daemonset: Opt<TemplateText>,
    /// This pod.
    #[schemars(extend("examples" = ["{{ labels.pod }}"]))]
    pub(crate) pod: Opt<TemplateText>,
    /// The pods with these labels.
    #[schemars(extend("examples" = ["app={{ labels.app }}"]))]
    pub(crate) selector: Opt<TemplateText>,
    /// The container. The only one when silent.
    #[schemars(extend("examples" = ["api"]))]
    pub(crate) container: Opt<TemplateText>,
    /// Only what was written within this time.
    #[schemars(extend("examples" = ["10m"]))]
    pub(crate) since: Opt<SpanText>,
    /// The last lines of each pod. 100 when silent.
    #[schemars(extend("examples" = [50]))]
    pub(crate) lines: Opt<WholeText>,
    /// Only lines with this text.
    #[schemars(extend("examples" = ["ERROR"]))]
    pub(crate) containing: Opt<TemplateText>,
}

/// Reads an object and its state.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`kubernetes.describe`")]
#[schemars(extend("allOf" = [exactly_one(&["deployment", "statefulset", "daemonset", "pod", "selector", "node"])]))]
#[schemars(extend("dependencies" = { "deployment": ["namespace"], "statefulset": ["namespace"], "daemonset": ["namespace"], "pod": ["namespace"], "selector": ["namespace"] }))]
pub(crate) struct RawDescribe {
    /// Name of a cluster under `targets.kubernetes` in quell.yml.
    #[schemars(extend("examples" = ["prod"]))]
    pub(crate) cluster: Field<TemplateText>,
    /// Namespace of the object; a node has none.
    #[schemars(extend("examples" = ["shop"]))]
    pub(crate) namespace: Opt<TemplateText>,
    /// The Deployment.
    #[schemars(extend("examples" = ["{{ deployment }}"]))]
    pub(crate) deployment: Opt<TemplateText>,
    /// The `StatefulSet`.
    pub(crate) statefulset: Opt<TemplateText>,
    /// The `DaemonSet`.
    pub(crate) daemonset: Opt<TemplateText>,
    /// The pod.
    #[schemars(extend("examples" = ["{{ labels.pod }}"]))]
    pub(crate) pod: Opt<TemplateText>,
    /// The pods with these labels.
    #[schemars(extend("examples" = ["app={{ labels.app }}"]))]
    pub(crate) selector: Opt<TemplateText>,
    /// The node.
    #[schemars(extend("examples" = ["{{ labels.node }}"]))]
    pub(crate) node: Opt<TemplateText>,
}

/// Whether a workload is rolled out and available.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`kubernetes.ready`")]
#[schemars(extend("allOf" = [exactly_one(WORKLOADS)]))]
pub(crate) struct RawReady {
    /// Name of a cluster under `targets.kubernetes` in quell.yml.
    #[schemars(extend("examples" = ["prod"]))]
    pub(crate) cluster: Field<TemplateText>,
    /// Namespace of the workload.
    #[schemars(extend("examples" = ["shop"]))]
    pub(crate) namespace: Field<TemplateText>,
    /// The Deployment.
    #[schemars(extend("examples" = ["{{ deployment }}"]))]
    pub(crate) deployment: Opt<TemplateText>,
    /// The `StatefulSet`.
    pub(crate) statefulset: Opt<TemplateText>,
    /// The `DaemonSet`.
    pub(crate) daemonset: Opt<TemplateText>,
}
