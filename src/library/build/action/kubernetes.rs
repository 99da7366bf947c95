//! `kubernetes.*`.

use super::places;
use super::required;
use super::server;
use crate::library::build::text;
use crate::library::build::text::Names;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Span;
use crate::library::field::Field;
use crate::library::raw::Opt;
use crate::library::raw::TemplateText;
use crate::library::raw::ValueText;
use crate::library::raw::action::kubernetes::RawCordon;
use crate::library::raw::action::kubernetes::RawDeletePod;
use crate::library::raw::action::kubernetes::RawDescribe;
use crate::library::raw::action::kubernetes::RawDrain;
use crate::library::raw::action::kubernetes::RawEvents;
use crate::library::raw::action::kubernetes::RawLogs;
use crate::library::raw::action::kubernetes::RawReady;
use crate::library::raw::action::kubernetes::RawRestart;
use crate::library::raw::action::kubernetes::RawRollback;
use crate::library::raw::action::kubernetes::RawScale;
use crate::library::raw::action::kubernetes::RawSetEnv;
use crate::model::action::TargetKind;
use crate::model::action::Whole;
use crate::model::action::kubernetes::About;
use crate::model::action::kubernetes::Cordon;
use crate::model::action::kubernetes::DeletePod;
use crate::model::action::kubernetes::Describe;
use crate::model::action::kubernetes::Drain;
use crate::model::action::kubernetes::Events;
use crate::model::action::kubernetes::Kubernetes;
use crate::model::action::kubernetes::Logs;
use crate::model::action::kubernetes::Ready;
use crate::model::action::kubernetes::Restart;
use crate::model::action::kubernetes::Rollback;
use crate::model::action::kubernetes::Scale;
use crate::model::action::kubernetes::SetEnv;
use crate::model::action::kubernetes::Workload;
use crate::model::action::kubernetes::WorkloadKind;

/// Lines of a log, when a playbook does not say.
const LINES: u32 = 100;

/// Where an action is written, and what its texts may name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Here<'a> {
    pub(crate) at: At<'a>,
    /// Of the whole action.
    pub(crate) span: Span,
    /// Its key, in backticks.
    pub(crate) whose: &'a str,
    pub(crate) names: Names<'a>,
}

impl Here<'_> {
    fn cluster(self, cluster: Field<TemplateText>) -> String {
        let cluster = cluster.need(self.at, self.span, self.whose, "cluster");
        cluster
            .map(|it| server(self.at, it, TargetKind::Kubernetes, self.names))
            .unwrap_or_default()
    }

    fn text(self, key: &str, field: Field<TemplateText>) -> String {
        required(self, key, field)
    }

    fn perhaps(self, field: Opt<TemplateText>) -> Option<String> {
        field.and_then(Field::found).map(|it| text::template(self.at, it, self.names))
    }

    /// The one of several keys that is written; reports none and many.
    fn one<T>(self, keys: Vec<(&str, Opt<TemplateText>, T)>) -> Option<(T, String)> {
        let all: Vec<&str> = keys.iter().map(|(key, ..)| *key).collect();
        let written: Vec<_> =
            keys.into_iter().filter_map(|(key, it, made)| Some((key, it?, made))).collect();
        if written.len() != 1 && !(written.is_empty() && self.at.is_wrong(self.span)) {
            let names: Vec<&str> = written.iter().map(|(key, ..)| *key).collect();
            let message = if names.is_empty() {
                format!("{} without what it is about", self.whose)
            } else {
                format!("{} do not go together", places(&names))
            };
            let label = format!("expected exactly one of {}", all.join(", "));
            self.at.report(self.span, Diagnostic::error(codes::SHAPE, message).label(label));
        }
        let (key, field, made) = written.into_iter().next()?;
        let found = field.found()?;
        if found.value.0.trim().is_empty() {
            let message = format!("expected a name under `{key}`, got nothing");
            self.at.report(found.span, Diagnostic::error(codes::VALUE, message));
        }
        Some((made, text::template(self.at, found, self.names)))
    }

    fn workload(self, keys: [(WorkloadKind, Opt<TemplateText>); 3]) -> Workload {
        let keys = keys.into_iter().map(|(kind, it)| (kind.as_str(), it, kind)).collect();
        self.one(keys).map_or_else(
            || Workload { kind: WorkloadKind::Deployment, name: String::new() },
            |(kind, name)| Workload { kind, name },
        )
    }
}

/// `kubernetes.scale`
pub(crate) fn scale(here: Here<'_>, raw: RawScale) -> Kubernetes {
    let RawScale { cluster, namespace, deployment, statefulset, replicas, by, min, max } = raw;
    if replicas.is_some() == by.is_some() {
        let message = match replicas {
            Some(_) => "`replicas` and `by` do not go together",
            None => "`kubernetes.scale` without `replicas` or `by`",
        };
        let found = Diagnostic::error(codes::SHAPE, message).label("expected exactly one");
        here.at.report(here.span, found);
    }
    let place = max.as_ref().map(Field::span);
    let scale = Scale {
        cluster: here.cluster(cluster),
        namespace: here.text("namespace", namespace),
        workload: scalable(here, deployment, statefulset),
        replicas: text::whole(here.at, replicas, here.names),
        by: text::signed(here.at, by),
        min: text::whole(here.at, min, here.names),
        max: text::whole(here.at, max, here.names),
        to: None,
        from: None,
    };
    let number = |it: &Option<Whole>| it.as_ref().and_then(|it| it.read().ok());
    if let (Some(place), Some(least), Some(most)) = (place, number(&scale.min), number(&scale.max))
        && least > most
    {
        let message = format!("`min` is {least} and `max` is {most}: nothing is within both");
        here.at.report(place, Diagnostic::error(codes::VALUE, message));
    }
    Kubernetes::Scale(scale)
}

fn scalable(
    here: Here<'_>,
    deployment: Opt<TemplateText>,
    statefulset: Opt<TemplateText>,
) -> Workload {
    let keys = [(WorkloadKind::Deployment, deployment), (WorkloadKind::StatefulSet, statefulset)];
    let keys = keys.into_iter().map(|(kind, it)| (kind.as_str(), it, kind)).collect();
    here.one(keys).map_or_else(
        || Workload { kind: WorkloadKind::Deployment, name: String::new() },
        |(kind, name)| Workload { kind, name },
    )
}

/// `kubernetes.restart`
pub(crate) fn restart(here: Here<'_>, raw: RawRestart) -> Kubernetes {
    let RawRestart { cluster, namespace, deployment, statefulset, daemonset } = raw;
    Kubernetes::Restart(Restart {
        cluster: here.cluster(cluster),
        namespace: here.text("namespace", namespace),
        workload: here.workload(workloads(deployment, statefulset, daemonset)),
        stamp: None,
    })
}

fn workloads(
    deployment: Opt<TemplateText>,
    statefulset: Opt<TemplateText>,
    daemonset: Opt<TemplateText>,
) -> [(WorkloadKind, Opt<TemplateText>); 3] {
    [
        (WorkloadKind::Deployment, deployment),
        (WorkloadKind::StatefulSet, statefulset),
        (WorkloadKind::DaemonSet, daemonset),
    ]
}

/// `kubernetes.rollback`
pub(crate) fn rollback(here: Here<'_>, raw: RawRollback) -> Kubernetes {
    let RawRollback { cluster, namespace, deployment, revision } = raw;
    Kubernetes::Rollback(Rollback {
        cluster: here.cluster(cluster),
        namespace: here.text("namespace", namespace),
        deployment: here.text("deployment", deployment),
        revision: text::whole(here.at, revision, here.names),
        to_revision: None,
        from_revision: None,
        to_template: None,
        from_template: None,
    })
}

/// `kubernetes.set_env`
pub(crate) fn set_env(here: Here<'_>, raw: RawSetEnv) -> Kubernetes {
    let RawSetEnv { cluster, namespace, deployment, statefulset, daemonset, container, env } = raw;
    let at = here.at;
    let written = env.need(at, here.span, here.whose, "env");
    if let Some(empty) = written.as_ref().filter(|it| it.value.0.is_empty()) {
        let message = "expected variables, got none";
        at.report(empty.span, Diagnostic::error(codes::VALUE, message));
    }
    let mut env = std::collections::BTreeMap::new();
    for (key, value) in written.map(|it| it.value.0).unwrap_or_default() {
        let (Some(key), Some(value)) = (key.found(), value.found()) else { continue };
        // what Kubernetes takes: printable, and no equals sign
        if key.value.is_empty() || !key.value.chars().all(|c| c.is_ascii_graphic() && c != '=') {
            let message = format!("`{}` cannot be the name of an environment variable", key.value);
            at.report(key.span, Diagnostic::error(codes::VALUE, message));
        }
        let text = match value.value {
            ValueText::Nothing => None,
            ValueText::Text => {
                let text = value.written.clone();
                Some(text::template(at, value.map(|_| TemplateText(text)), here.names))
            }
        };
        env.insert(key.value, text);
    }
    Kubernetes::SetEnv(SetEnv {
        cluster: here.cluster(cluster),
        namespace: here.text("namespace", namespace),
        workload: here.workload(workloads(deployment, statefulset, daemonset)),
        container: here.perhaps(container),
        env,
        before: None,
    })
}

/// `kubernetes.cordon` and `kubernetes.uncordon`
pub(crate) fn cordon(here: Here<'_>, raw: RawCordon) -> Cordon {
    Cordon { cluster: here.cluster(raw.cluster), node: here.text("node", raw.node), was: None }
}

/// `kubernetes.drain`
pub(crate) fn drain(here: Here<'_>, raw: RawDrain) -> Kubernetes {
    Kubernetes::Drain(Drain {
        cluster: here.cluster(raw.cluster),
        node: here.text("node", raw.node),
        grace: text::span(here.at, raw.grace, here.names),
        empty_dir: raw.empty_dir.and_then(Field::found).is_some(),
        unmanaged: raw.unmanaged.and_then(Field::found).is_some(),
        pods: None,
    })
}

/// `kubernetes.delete_pod`
pub(crate) fn delete_pod(here: Here<'_>, raw: RawDeletePod) -> Kubernetes {
    let RawDeletePod { cluster, namespace, pod, selector, most } = raw;
    let which = here.one(vec![("pod", pod, true), ("selector", selector, false)]);
    let (pod, selector) = match which {
        Some((true, pod)) => (Some(pod), None),
        Some((false, selector)) => (None, Some(selector)),
        None => (None, None),
    };
    Kubernetes::DeletePod(DeletePod {
        cluster: here.cluster(cluster),
        namespace: here.text("namespace", namespace),
        pod,
        selector,
        most: text::most(here.at, most, here.names, 1),
        pods: None,
    })
}

type Made = fn(String) -> About;

fn of(kind: WorkloadKind, name: String) -> About {
    About::Workload(Workload { kind, name })
}

/// Keys that name what runs pods, and pods themselves.
fn pod_keys(
    [deployment, statefulset, daemonset, pod, selector]: [Opt<TemplateText>; 5],
) -> Vec<(&'static str, Opt<TemplateText>, Made)> {
    vec![
        ("deployment", deployment, |it| of(WorkloadKind::Deployment, it)),
        ("statefulset", statefulset, |it| of(WorkloadKind::StatefulSet, it)),
        ("daemonset", daemonset, |it| of(WorkloadKind::DaemonSet, it)),
        ("pod", pod, About::Pod),
        ("selector", selector, About::Selector),
    ]
}

fn about(here: Here<'_>, keys: Vec<(&str, Opt<TemplateText>, Made)>) -> About {
    here.one(keys).map_or_else(|| About::Name(String::new()), |(made, text)| made(text))
}

/// A namespace, which only a node does not need.
fn namespace(here: Here<'_>, namespace: Opt<TemplateText>, about: &About) -> Option<String> {
    let node = matches!(about, About::Node(_));
    if namespace.is_none() && !node && !about.text().is_empty() {
        let label = format!("{} needs `namespace`", here.whose);
        let found = Diagnostic::error(codes::MISSING_KEY, "missing key `namespace`").label(label);
        here.at.report(here.span, found);
    }
    here.perhaps(namespace)
}

/// `kubernetes.events`
pub(crate) fn events(here: Here<'_>, raw: RawEvents) -> Kubernetes {
    let mut keys =
        pod_keys([raw.deployment, raw.statefulset, raw.daemonset, raw.pod, raw.selector]);
    keys.insert(0, ("name", raw.name, About::Name));
    keys.push(("node", raw.node, About::Node));
    let about = about(here, keys);
    let namespace = namespace(here, raw.namespace, &about);
    Kubernetes::Events(Events { cluster: here.cluster(raw.cluster), namespace, about })
}

/// `kubernetes.logs`
pub(crate) fn logs(here: Here<'_>, raw: RawLogs) -> Kubernetes {
    let keys = pod_keys([raw.deployment, raw.statefulset, raw.daemonset, raw.pod, raw.selector]);
    Kubernetes::Logs(Logs {
        cluster: here.cluster(raw.cluster),
        namespace: here.text("namespace", raw.namespace),
        about: about(here, keys),
        container: here.perhaps(raw.container),
        since: text::span(here.at, raw.since, here.names),
        lines: text::most(here.at, raw.lines, here.names, LINES),
        containing: here.perhaps(raw.containing),
    })
}

/// `kubernetes.describe`
pub(crate) fn describe(here: Here<'_>, raw: RawDescribe) -> Kubernetes {
    let mut keys =
        pod_keys([raw.deployment, raw.statefulset, raw.daemonset, raw.pod, raw.selector]);
    keys.push(("node", raw.node, About::Node));
    let about = about(here, keys);
    let namespace = namespace(here, raw.namespace, &about);
    Kubernetes::Describe(Describe { cluster: here.cluster(raw.cluster), namespace, about })
}

/// The probe `kubernetes.ready`
pub(crate) fn ready(here: Here<'_>, raw: RawReady) -> Ready {
    let RawReady { cluster, namespace, deployment, statefulset, daemonset } = raw;
    Ready {
        cluster: here.cluster(cluster),
        namespace: here.text("namespace", namespace),
        workload: here.workload(workloads(deployment, statefulset, daemonset)),
    }
}
