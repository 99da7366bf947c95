//! What every action is asked, in one place each: where it goes, which texts it has, whether these can be read.

use super::Action;
use super::Sealed;
use super::TargetKind;
use super::host::DockerRestart;
use super::host::Ssh;
use super::host::Unit;
use super::kubernetes::Cordon;
use super::kubernetes::DeletePod;
use super::kubernetes::Describe;
use super::kubernetes::Drain;
use super::kubernetes::Events;
use super::kubernetes::Kubernetes;
use super::kubernetes::Logs;
use super::kubernetes::Restart;
use super::kubernetes::Rollback;
use super::kubernetes::Scale;
use super::kubernetes::SetEnv;
use super::postgres::Activity;
use super::postgres::Blockers;
use super::postgres::Execute;
use super::postgres::KillIdle;
use super::postgres::Postgres;
use super::postgres::Terminate;
use super::redis::RedisConfigSet;
use super::redis::RedisDelete;
use super::redis::RedisFlush;
use super::tell::Notify;
use super::tell::Silence;
use super::tell::Unsilence;
use super::text::Span;
use super::text::Template;
use super::text::Whole;

impl Action {
    /// The entry of `targets:` that it goes to, if it goes to one.
    pub fn uses(&self) -> Option<(TargetKind, &Template)> {
        Some(match self {
            Self::Http(it) => (TargetKind::Http, it.server.as_ref()?),
            Self::RedisFlush(it) => (TargetKind::Redis, &it.server),
            Self::RedisDelete(it) => (TargetKind::Redis, &it.server),
            Self::RedisConfigSet(it) => (TargetKind::Redis, &it.server),
            Self::DockerRestart(it) => (TargetKind::Docker, &it.server),
            Self::Ssh(it) => (TargetKind::Ssh, &it.server),
            Self::Kubernetes(it) => (TargetKind::Kubernetes, it.cluster()),
            Self::Postgres(it) => (TargetKind::Postgres, it.server()),
            Self::Systemd(it) => (TargetKind::Systemd, &it.unit().server),
            Self::Command(_) | Self::Silence(_) | Self::Unsilence(_) | Self::Notify(_) => {
                return None;
            }
        })
    }

    /// The texts in it that hold secrets, of an action that may have some.
    pub fn sealed(&self) -> Option<&Sealed> {
        match self {
            Self::Command(it) => Some(&it.sealed),
            Self::Http(it) => Some(&it.sealed),
            _ => None,
        }
    }

    /// Its templates that become plain text, whatever stands in them. Not those of `command` and `http`, which may be escaped or
    /// hold secrets.
    pub fn texts_mut(&mut self) -> Vec<&mut Template> {
        match self {
            Self::Command(_) | Self::Http(_) => Vec::new(),
            Self::RedisFlush(RedisFlush { server, database: _, slices: _ }) => vec![server],
            Self::RedisDelete(RedisDelete { server, database: _, keys, pattern, slices: _ }) => {
                std::iter::once(server).chain(keys).chain(pattern).collect()
            }
            Self::RedisConfigSet(RedisConfigSet { server, setting, value, before: _ }) => {
                vec![server, setting, value]
            }
            Self::DockerRestart(DockerRestart { server, container, grace }) => {
                [server, container].into_iter().chain(grace.as_mut().map(span)).collect()
            }
            Self::Ssh(Ssh { server, argv, directory }) => {
                std::iter::once(server).chain(argv).chain(directory).collect()
            }
            Self::Silence(Silence { matchers, lasts, comment, ends_at: _ }) => {
                matchers.iter_mut().chain([span(lasts), comment]).collect()
            }
            Self::Unsilence(Unsilence { id, made_by: _ }) => vec![id],
            Self::Notify(Notify { channels, summary, text }) => {
                channels.iter_mut().chain([summary]).chain(text).collect()
            }
            Self::Kubernetes(it) => of_kubernetes(it),
            Self::Postgres(it) => of_postgres(it),
            Self::Systemd(it) => {
                let Unit { server, unit } = it.unit_mut();
                vec![server, unit]
            }
        }
    }

    /// Reads the numbers and spans of time of an action that was rendered. The error names the first that is none.
    pub fn check(&self) -> Result<(), String> {
        let whole = |key: &str, it: Option<&Whole>| match it.map(Whole::read) {
            Some(Err(reason)) => Err(format!("`{key}` of {}: {reason}", self.kind())),
            _ => Ok(()),
        };
        let span = |key: &str, it: Option<&Span>| match it.map(Span::read) {
            Some(Err(reason)) => Err(format!("`{key}` of {}: {reason}", self.kind())),
            _ => Ok(()),
        };
        match self {
            Self::DockerRestart(it) => span("grace", it.grace.as_ref()),
            Self::Silence(it) => span("for", Some(&it.lasts)),
            Self::Kubernetes(Kubernetes::Scale(it)) => {
                whole("replicas", it.replicas.as_ref())?;
                whole("min", it.min.as_ref())?;
                whole("max", it.max.as_ref())
            }
            Self::Kubernetes(Kubernetes::Rollback(it)) => whole("revision", it.revision.as_ref()),
            Self::Kubernetes(Kubernetes::Drain(it)) => span("grace", it.grace.as_ref()),
            Self::Kubernetes(Kubernetes::DeletePod(it)) => whole("most", Some(&it.most)),
            Self::Kubernetes(Kubernetes::Logs(it)) => {
                span("since", it.since.as_ref())?;
                whole("lines", Some(&it.lines))
            }
            Self::Postgres(Postgres::KillIdle(it)) => {
                span("idle_for", Some(&it.idle_for))?;
                whole("most", Some(&it.most))
            }
            Self::Postgres(Postgres::Blockers(it)) => {
                span("waiting_for", Some(&it.waiting_for))?;
                whole("lines", Some(&it.lines))
            }
            Self::Postgres(Postgres::Activity(it)) => whole("lines", Some(&it.lines)),
            Self::Command(_)
            | Self::Http(_)
            | Self::RedisFlush(_)
            | Self::RedisDelete(_)
            | Self::RedisConfigSet(_)
            | Self::Ssh(_)
            | Self::Unsilence(_)
            | Self::Notify(_)
            | Self::Kubernetes(
                Kubernetes::Restart(_)
                | Kubernetes::SetEnv(_)
                | Kubernetes::Cordon(_)
                | Kubernetes::Uncordon(_)
                | Kubernetes::Events(_)
                | Kubernetes::Describe(_),
            )
            | Self::Postgres(Postgres::Terminate(_) | Postgres::Execute(_))
            | Self::Systemd(_) => Ok(()),
        }
    }
}

fn of_kubernetes(action: &mut Kubernetes) -> Vec<&mut Template> {
    match action {
        Kubernetes::Scale(Scale {
            cluster,
            namespace,
            workload,
            replicas,
            by: _,
            min,
            max,
            to: _,
            from: _,
        }) => {
            let counts = [replicas, min, max].into_iter().flatten().map(whole);
            [cluster, namespace, &mut workload.name].into_iter().chain(counts).collect()
        }
        Kubernetes::Restart(Restart { cluster, namespace, workload, stamp: _ }) => {
            vec![cluster, namespace, &mut workload.name]
        }
        Kubernetes::Rollback(Rollback {
            cluster,
            namespace,
            deployment,
            revision,
            to_revision: _,
            from_revision: _,
            to_template: _,
            from_template: _,
        }) => {
            let revision = revision.as_mut().map(whole);
            [cluster, namespace, deployment].into_iter().chain(revision).collect()
        }
        Kubernetes::SetEnv(SetEnv { cluster, namespace, workload, container, env, before: _ }) => {
            [cluster, namespace, &mut workload.name]
                .into_iter()
                .chain(container)
                .chain(env.values_mut().flatten())
                .collect()
        }
        Kubernetes::Cordon(it) | Kubernetes::Uncordon(it) => {
            let Cordon { cluster, node, was: _ } = it;
            vec![cluster, node]
        }
        Kubernetes::Drain(Drain { cluster, node, grace, empty_dir: _, unmanaged: _, pods: _ }) => {
            [cluster, node].into_iter().chain(grace.as_mut().map(span)).collect()
        }
        Kubernetes::DeletePod(DeletePod { cluster, namespace, pod, selector, most, pods: _ }) => {
            [cluster, namespace, whole(most)].into_iter().chain(pod).chain(selector).collect()
        }
        Kubernetes::Events(Events { cluster, namespace, about })
        | Kubernetes::Describe(Describe { cluster, namespace, about }) => {
            [cluster, about.text_mut()].into_iter().chain(namespace).collect()
        }
        Kubernetes::Logs(Logs {
            cluster,
            namespace,
            about,
            container,
            since,
            lines,
            containing,
        }) => [cluster, namespace, about.text_mut(), whole(lines)]
            .into_iter()
            .chain(container)
            .chain(since.as_mut().map(span))
            .chain(containing)
            .collect(),
    }
}

fn of_postgres(action: &mut Postgres) -> Vec<&mut Template> {
    match action {
        Postgres::Terminate(Terminate { server, backend }) => vec![server, backend],
        Postgres::KillIdle(KillIdle {
            server,
            idle_for,
            most,
            user,
            database,
            application,
            backends: _,
        }) => {
            let filters = [user, database, application].into_iter().flatten();
            [server, span(idle_for), whole(most)].into_iter().chain(filters).collect()
        }
        Postgres::Blockers(Blockers { server, waiting_for, lines }) => {
            vec![server, span(waiting_for), whole(lines)]
        }
        Postgres::Activity(Activity { server, lines }) => vec![server, whole(lines)],
        Postgres::Execute(Execute {
            server,
            sql: _,
            parameters,
            transaction: _,
            once: _,
            statement_timeout: _,
        }) => std::iter::once(server).chain(parameters).collect(),
    }
}

fn span(it: &mut Span) -> &mut Template {
    &mut it.0
}

fn whole(it: &mut Whole) -> &mut Template {
    &mut it.0
}
