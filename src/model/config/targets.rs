//! `targets:`, the places that actions may go.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Endpoint;
use super::Secret;
use crate::model::action::TargetKind;

/// `targets:`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets {
    /// Redis servers by name.
    pub redis: BTreeMap<String, Server>,
    /// HTTP servers by name.
    pub http: BTreeMap<String, Endpoint>,
    /// Kubernetes clusters by name.
    pub kubernetes: BTreeMap<String, Cluster>,
    /// `PostgreSQL` servers by name.
    pub postgres: BTreeMap<String, Server>,
    /// Hosts that are reached by SSH, by name.
    pub ssh: BTreeMap<String, SshHost>,
    /// Service managers by name; `local`, that of the system, is there without an entry.
    pub systemd: BTreeMap<String, Bus>,
    /// Sockets of Docker by name; `local` is there without an entry.
    pub docker: BTreeMap<String, PathBuf>,
    /// Where silences are made: the `alertmanager` of quell.yml.
    pub alertmanager: Option<Endpoint>,
}

impl Targets {
    /// Names of the servers of one kind, in order, `local` among them where it needs no entry.
    pub fn names(&self, kind: TargetKind) -> Vec<&str> {
        fn keys<T>(map: &BTreeMap<String, T>) -> Vec<&str> {
            map.keys().map(String::as_str).collect()
        }
        let mut names = match kind {
            TargetKind::Docker => keys(&self.docker),
            TargetKind::Http => keys(&self.http),
            TargetKind::Kubernetes => keys(&self.kubernetes),
            TargetKind::Postgres => keys(&self.postgres),
            TargetKind::Redis => keys(&self.redis),
            TargetKind::Ssh => keys(&self.ssh),
            TargetKind::Systemd => keys(&self.systemd),
        };
        if let Some(local) = kind.local().filter(|local| !names.contains(local)) {
            names.push(local);
            names.sort_unstable();
        }
        names
    }

    /// How the service manager of this name is reached.
    pub fn bus(&self, server: &str) -> Option<&Bus> {
        let local = || (TargetKind::Systemd.local() == Some(server)).then_some(&Bus::System);
        self.systemd.get(server).or_else(local)
    }

    /// What reaches a server, its credential among it, in parts of a fixed order: what tells that it was changed. `None` where
    /// there is no such entry.
    pub fn credential(&self, kind: TargetKind, name: &str) -> Option<Vec<String>> {
        let path = |it: &PathBuf| it.display().to_string();
        let perhaps = |it: &Option<PathBuf>| it.as_ref().map(path).unwrap_or_default();
        // one part where it is the URL alone, as it always was
        let server = |it: &Server| {
            let mut parts = vec![it.url.reveal().to_owned()];
            parts.extend(it.ca_file.as_ref().map(path));
            parts
        };
        Some(match kind {
            TargetKind::Docker => vec![path(self.docker.get(name)?)],
            TargetKind::Http => self.http.get(name)?.parts(),
            TargetKind::Kubernetes => match self.kubernetes.get(name)? {
                Cluster::Kubeconfig { file, context } => {
                    vec![path(file), context.clone().unwrap_or_default()]
                }
                Cluster::InCluster => vec!["in_cluster".to_owned()],
            },
            TargetKind::Postgres => server(self.postgres.get(name)?),
            TargetKind::Redis => server(self.redis.get(name)?),
            TargetKind::Ssh => {
                let it = self.ssh.get(name)?;
                vec![
                    it.host.clone(),
                    it.port.map(|port| port.to_string()).unwrap_or_default(),
                    it.user.clone().unwrap_or_default(),
                    perhaps(&it.identity_file),
                    perhaps(&it.known_hosts),
                ]
            }
            TargetKind::Systemd => vec![format!("{:?}", self.systemd.get(name)?)],
        })
    }
}

/// A server with a URL that holds its credential.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Server {
    /// Where it is, and who quell is there.
    pub url: Secret,
    /// The authorities that are trusted, PEM; `None` is those of the system.
    pub ca_file: Option<PathBuf>,
}

/// How a cluster is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cluster {
    /// By a file as `kubectl` reads it.
    Kubeconfig {
        /// The file; a relative one is beside quell.yml.
        file: PathBuf,
        /// Which of its contexts; `None` is the current one.
        context: Option<String>,
    },
    /// By the service account of the pod that quell runs in.
    InCluster,
}

/// A host that is reached by SSH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshHost {
    /// Its name or address.
    pub host: String,
    /// `None` is what OpenSSH is configured for.
    pub port: Option<u16>,
    /// Who quell is there; `None` is what OpenSSH is configured for.
    pub user: Option<String>,
    /// The private key; `None` is what OpenSSH is configured for.
    pub identity_file: Option<PathBuf>,
    /// Keys of hosts that are trusted; `None` is what OpenSSH is configured for.
    pub known_hosts: Option<PathBuf>,
}

/// How a service manager is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bus {
    /// The manager of the system.
    System,
    /// The manager of the user that quell runs as.
    User,
    /// At a D-Bus address such as `unix:path=/run/…`.
    Address(String),
}
