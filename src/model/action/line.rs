//! An action in one line, for people.

use super::Action;
use super::kubernetes::About;
use super::kubernetes::Cordon;
use super::kubernetes::DeletePod;
use super::kubernetes::Kubernetes;
use super::kubernetes::Scale;
use super::kubernetes::SetEnv;
use super::postgres::KillIdle;
use super::postgres::Postgres;
use super::redis::Slices;

impl Action {
    /// What it does and to what: `http DELETE http://127.0.0.1:8000/cache`. As long as its texts are.
    pub fn line(&self) -> String {
        let what = match self {
            Self::Command(command) => match &command.shell {
                Some(shell) => format!("sh: {shell}"),
                None => command.argv.join(" "),
            },
            Self::Http(call) => {
                let server =
                    call.server.as_ref().map(|name| format!("{name} ")).unwrap_or_default();
                format!("{} {server}{}", call.method, call.url)
            }
            Self::RedisFlush(flush) => {
                let database =
                    flush.database.map(|it| format!(" database {it}")).unwrap_or_default();
                format!("{}{database}{}", flush.server, slices_words(flush.slices.as_ref()))
            }
            Self::RedisDelete(delete) => {
                let which = delete.pattern.clone().unwrap_or_else(|| delete.keys.join(" "));
                format!("{} {which}{}", delete.server, slices_words(delete.slices.as_ref()))
            }
            Self::RedisConfigSet(it) => {
                format!("{} {} {}{}", it.server, it.setting, it.value, was(it.before.as_ref()))
            }
            Self::DockerRestart(it) => format!("{} {}", it.server, it.container),
            Self::Ssh(it) => format!("{} {}", it.server, it.argv.join(" ")),
            Self::Silence(it) => format!("{{{}}} for {}", it.matchers.join(", "), it.lasts.0),
            Self::Unsilence(it) => match &it.made_by {
                Some(key) => format!("the one of {key}"),
                None => it.id.clone(),
            },
            Self::Notify(it) => format!("{}: {}", it.channels.join(", "), it.summary),
            Self::Kubernetes(it) => kubernetes(it),
            Self::Postgres(it) => postgres(it),
            Self::Systemd(it) => format!("{} {}", it.unit().server, it.unit().unit),
        };
        format!("{} {what}", self.kind())
    }
}

fn kubernetes(action: &Kubernetes) -> String {
    match action {
        Kubernetes::Scale(it) => {
            format!("{} {}/{} {}", it.cluster, it.namespace, it.workload, scale(it))
        }
        Kubernetes::Restart(it) => format!("{} {}/{}", it.cluster, it.namespace, it.workload),
        Kubernetes::Rollback(it) => {
            let to = match (it.to_revision, it.from_revision, &it.revision) {
                (Some(to), Some(from), _) => format!("from revision {from} to {to}"),
                (Some(to), None, _) => format!("to revision {to}"),
                (None, _, Some(to)) => format!("to revision {}", to.0),
                (None, _, None) => "to the revision before".to_owned(),
            };
            format!("{} {}/deployment/{} {to}", it.cluster, it.namespace, it.deployment)
        }
        Kubernetes::SetEnv(it) => {
            format!("{} {}/{} {}", it.cluster, it.namespace, it.workload, env(it))
        }
        Kubernetes::Cordon(Cordon { cluster, node, .. })
        | Kubernetes::Uncordon(Cordon { cluster, node, .. }) => format!("{cluster} node/{node}"),
        Kubernetes::Drain(it) => {
            let pods = it.pods.as_ref().map(|pods| format!(", {} pods", pods.len()));
            format!("{} node/{}{}", it.cluster, it.node, pods.unwrap_or_default())
        }
        Kubernetes::DeletePod(it) => format!("{} {}/{}", it.cluster, it.namespace, pods(it)),
        Kubernetes::Events(it) => about(&it.cluster, it.namespace.as_ref(), &it.about),
        Kubernetes::Logs(it) => about(&it.cluster, Some(&it.namespace), &it.about),
        Kubernetes::Describe(it) => about(&it.cluster, it.namespace.as_ref(), &it.about),
    }
}

fn scale(it: &Scale) -> String {
    match (it.to, it.from, &it.replicas, it.by) {
        (Some(to), Some(from), ..) => format!("from {from} to {to}"),
        (Some(to), None, ..) => format!("to {to}"),
        (None, _, Some(replicas), _) => format!("to {}", replicas.0),
        (None, _, None, Some(by)) => format!("by {by:+}"),
        (None, _, None, None) => String::new(),
    }
}

fn env(it: &SetEnv) -> String {
    let one = |(name, value): (&String, &Option<String>)| match value {
        Some(value) => format!("{name}={value}"),
        None => format!("without {name}"),
    };
    it.env.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn pods(it: &DeletePod) -> String {
    match (&it.pods, &it.pod, &it.selector) {
        (Some(pods), ..) => {
            let names: Vec<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
            format!("pod/{}", names.join(", "))
        }
        (None, Some(pod), _) => format!("pod/{pod}"),
        (None, None, Some(selector)) => format!("pods {selector}, at most {}", it.most.0),
        (None, None, None) => String::new(),
    }
}

fn about(cluster: &str, namespace: Option<&String>, about: &About) -> String {
    let namespace = namespace.map(|it| format!("{it}/")).unwrap_or_default();
    format!("{cluster} {namespace}{}/{}", about.key(), about.text())
}

fn postgres(action: &Postgres) -> String {
    match action {
        Postgres::Terminate(it) => format!("{} {}", it.server, it.backend),
        Postgres::KillIdle(it) => format!("{} {}", it.server, idle(it)),
        Postgres::Blockers(it) => format!("{} waiting for {}", it.server, it.waiting_for.0),
        Postgres::Activity(it) => it.server.clone(),
        Postgres::Execute(it) if it.parameters.is_empty() => format!("{} {}", it.server, it.sql),
        Postgres::Execute(it) => {
            format!("{} {} ({})", it.server, it.sql, it.parameters.join(", "))
        }
    }
}

fn idle(it: &KillIdle) -> String {
    if let Some(backends) = &it.backends {
        return backends.join(", ");
    }
    let filters =
        [("user", &it.user), ("database", &it.database), ("application", &it.application)];
    let filters =
        filters.into_iter().filter_map(|(key, it)| Some(format!(", {key} {}", it.as_ref()?)));
    format!("idle for {}, at most {}{}", it.idle_for.0, it.most.0, filters.collect::<String>())
}

/// `, was 100`.
fn was(before: Option<&String>) -> String {
    before.map(|it| format!(", was {it}")).unwrap_or_default()
}

/// ` in slices of 500 keys`.
fn slices_words(slices: Option<&Slices>) -> String {
    slices.map(|it| format!(" in slices of {} keys", it.keys)).unwrap_or_default()
}
