//! Actions: what changes the world, and reads that gather evidence.

use serde::Deserialize;
use serde::Serialize;

mod assume;
pub mod call;
pub mod host;
pub mod kubernetes;
mod line;
pub mod postgres;
pub mod redis;
mod reverse;
mod scale;
pub mod tell;
pub mod text;
mod walk;

pub use call::Command;
pub use call::HttpCall;
pub use call::Piece;
pub use call::Sealed;
pub use host::DockerRestart;
pub use host::Ssh;
pub use host::Systemd;
pub use kubernetes::Kubernetes;
pub use postgres::Postgres;
pub use redis::RedisConfigSet;
pub use redis::RedisDelete;
pub use redis::RedisFlush;
pub use redis::Slices;
pub use tell::Notify;
pub use tell::Silence;
pub use tell::Unsilence;
pub use text::Span;
pub use text::Template;
pub use text::Whole;

/// Something that changes the world, or reads evidence. Its texts are templates in a playbook and plain in an intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// A process, without a shell unless it says so.
    #[serde(rename = "command")]
    Command(Command),
    /// One HTTP request.
    #[serde(rename = "http")]
    Http(HttpCall),
    /// Empties one database of a Redis server.
    #[serde(rename = "redis.flush")]
    RedisFlush(RedisFlush),
    /// Deletes keys of a Redis server.
    #[serde(rename = "redis.delete")]
    RedisDelete(RedisDelete),
    /// Changes a setting of a Redis server.
    #[serde(rename = "redis.config_set")]
    RedisConfigSet(RedisConfigSet),
    /// Restarts a container.
    #[serde(rename = "docker.restart")]
    DockerRestart(DockerRestart),
    /// Runs a process on another host.
    #[serde(rename = "ssh")]
    Ssh(Ssh),
    /// Silences alerts for a while.
    #[serde(rename = "alertmanager.silence")]
    Silence(Silence),
    /// Ends a silence.
    #[serde(rename = "alertmanager.unsilence")]
    Unsilence(Unsilence),
    /// Tells people.
    #[serde(rename = "notify")]
    Notify(Notify),
    /// `kubernetes.*`.
    #[serde(untagged)]
    Kubernetes(Kubernetes),
    /// `postgres.*`.
    #[serde(untagged)]
    Postgres(Postgres),
    /// `systemd.*`.
    #[serde(untagged)]
    Systemd(Systemd),
}

/// A sort of places that actions go, a key of `targets:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TargetKind {
    /// Containers of a host.
    Docker,
    /// HTTP servers.
    Http,
    /// Clusters.
    Kubernetes,
    /// PostgreSQL servers.
    Postgres,
    /// Redis servers.
    Redis,
    /// Hosts reached by SSH.
    Ssh,
    /// Service managers.
    Systemd,
}

impl TargetKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Docker,
        Self::Http,
        Self::Kubernetes,
        Self::Postgres,
        Self::Redis,
        Self::Ssh,
        Self::Systemd,
    ];

    /// Its key in `targets:`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Http => "http",
            Self::Kubernetes => "kubernetes",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Ssh => "ssh",
            Self::Systemd => "systemd",
        }
    }

    /// The name that stands for this host without an entry in `targets:`, if there is one.
    pub fn local(self) -> Option<&'static str> {
        match self {
            Self::Docker | Self::Systemd => Some("local"),
            Self::Http | Self::Kubernetes | Self::Postgres | Self::Redis | Self::Ssh => None,
        }
    }
}

impl Action {
    /// The word people write: `redis.flush`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Command(_) => "command",
            Self::Http(_) => "http",
            Self::RedisFlush(_) => "redis.flush",
            Self::RedisDelete(_) => "redis.delete",
            Self::RedisConfigSet(_) => "redis.config_set",
            Self::DockerRestart(_) => "docker.restart",
            Self::Ssh(_) => "ssh",
            Self::Silence(_) => "alertmanager.silence",
            Self::Unsilence(_) => "alertmanager.unsilence",
            Self::Notify(_) => "notify",
            Self::Kubernetes(it) => it.kind(),
            Self::Postgres(it) => it.kind(),
            Self::Systemd(it) => it.kind(),
        }
    }

    /// Whether it only reads: it changes nothing, and there is nothing to take back.
    pub fn reads(&self) -> bool {
        matches!(
            self,
            Self::Kubernetes(Kubernetes::Events(_) | Kubernetes::Logs(_) | Kubernetes::Describe(_))
                | Self::Postgres(Postgres::Blockers(_) | Postgres::Activity(_))
        )
    }

    /// Whether its target can be asked beforehand what it would say.
    pub fn has_dry_run(&self) -> bool {
        matches!(self, Self::Kubernetes(_)) && !self.reads()
    }

    /// Whether it knows its own reverse, so that `undo: previous` means something.
    pub fn is_reversible(&self) -> bool {
        match self {
            Self::RedisConfigSet(_) | Self::Silence(_) => true,
            Self::Systemd(it) => matches!(it, Systemd::Start(_) | Systemd::Stop(_)),
            Self::Kubernetes(it) => matches!(
                it,
                Kubernetes::Scale(_)
                    | Kubernetes::Rollback(_)
                    | Kubernetes::SetEnv(_)
                    | Kubernetes::Cordon(_)
                    | Kubernetes::Uncordon(_)
            ),
            Self::Command(_)
            | Self::Http(_)
            | Self::RedisFlush(_)
            | Self::RedisDelete(_)
            | Self::DockerRestart(_)
            | Self::Ssh(_)
            | Self::Unsilence(_)
            | Self::Notify(_)
            | Self::Postgres(_) => false,
        }
    }

    /// Whether its target is looked at before the intent is written, so that what it does is absolute and its reverse is known.
    pub fn is_prepared(&self) -> bool {
        self.is_reversible()
            || matches!(
                self,
                Self::Kubernetes(
                    Kubernetes::Restart(_) | Kubernetes::Drain(_) | Kubernetes::DeletePod(_)
                ) | Self::Postgres(Postgres::KillIdle(_))
            )
    }

    /// How it is done a slice at a time, if it is.
    pub fn slices(&self) -> Option<&Slices> {
        match self {
            Self::RedisFlush(flush) => flush.slices.as_ref(),
            Self::RedisDelete(delete) => delete.slices.as_ref(),
            _ => None,
        }
    }

    /// The same, to say where the next slice begins.
    pub fn slices_mut(&mut self) -> Option<&mut Slices> {
        match self {
            Self::RedisFlush(flush) => flush.slices.as_mut(),
            Self::RedisDelete(delete) => delete.slices.as_mut(),
            _ => None,
        }
    }
}
