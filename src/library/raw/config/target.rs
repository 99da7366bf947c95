//! `targets:` of `quell.yml`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::RawEndpoint;
use crate::library::field::Entries;
use crate::library::field::Field;
use crate::library::raw::Opt;
use crate::library::raw::SecretText;
use crate::library::schema::shape::exactly_one;

/// Places that actions may go, by kind and name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`targets`")]
pub(crate) struct RawTargets {
    /// Redis servers, by the name that actions use.
    pub(crate) redis: Opt<Entries<RawRedis>>,
    /// HTTP servers, by the name that actions use.
    pub(crate) http: Opt<Entries<RawEndpoint>>,
    /// Kubernetes clusters, by the name that actions use.
    pub(crate) kubernetes: Opt<Entries<RawCluster>>,
    /// `PostgreSQL` servers, by the name that actions use.
    pub(crate) postgres: Opt<Entries<RawPostgres>>,
    /// Hosts that are reached by SSH, by the name that actions use.
    pub(crate) ssh: Opt<Entries<RawSshHost>>,
    /// Service managers, by the name that actions use. `local`, that of the system, is there without an entry.
    pub(crate) systemd: Opt<Entries<RawSystemd>>,
    /// Docker engines, by the name that actions use. `local`, that of /var/run/docker.sock, is there without an entry.
    pub(crate) docker: Opt<Entries<RawDocker>>,
}

/// One Kubernetes cluster: `kubeconfig`, or `in_cluster: true`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "a cluster")]
#[schemars(extend("allOf" = [exactly_one(&["kubeconfig", "in_cluster"])]))]
#[schemars(extend("dependencies" = { "context": ["kubeconfig"] }))]
pub(crate) struct RawCluster {
    /// A file as kubectl reads it, relative to this one.
    #[schemars(extend("examples" = ["/etc/quell/kubeconfig"]))]
    pub(crate) kubeconfig: Opt<String>,
    /// Which of its contexts. The current one when silent.
    #[schemars(extend("examples" = ["prod"]))]
    pub(crate) context: Opt<String>,
    /// The cluster that quell runs in, by the service account of its pod.
    #[schemars(extend("examples" = [true]))]
    pub(crate) in_cluster: Opt<bool>,
}

/// One `PostgreSQL` server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "a PostgreSQL server")]
pub(crate) struct RawPostgres {
    /// `postgres://`, with the user, the password and the database.
    #[schemars(extend("examples" = ["postgres://quell:${env:DB_PASSWORD}@db.example.com/shop"]))]
    pub(crate) url: Field<SecretText>,
    /// PEM file of a private certificate authority, relative to this file.
    pub(crate) ca_file: Opt<String>,
}

/// One host that is reached by SSH. What is silent is as OpenSSH is configured.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "an SSH host")]
pub(crate) struct RawSshHost {
    /// Its name or address.
    #[schemars(extend("examples" = ["web-1.example.com"]))]
    pub(crate) host: Field<String>,
    /// Its port.
    #[schemars(range(min = 1), extend("examples" = [22]))]
    pub(crate) port: Opt<u16>,
    /// Who quell is there.
    #[schemars(extend("examples" = ["deploy"]))]
    pub(crate) user: Opt<String>,
    /// The private key, relative to this file.
    #[schemars(extend("examples" = ["/etc/quell/id_ed25519"]))]
    pub(crate) identity_file: Opt<String>,
    /// Keys of hosts that are trusted, relative to this file.
    #[schemars(extend("examples" = ["/etc/quell/known_hosts"]))]
    pub(crate) known_hosts: Opt<String>,
}

/// One service manager.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "a service manager")]
pub(crate) struct RawSystemd {
    /// `system`, `user`, or the address of a bus that begins with `unix:path=`.
    #[schemars(extend("examples" = ["system", "unix:path=/run/web/bus"]))]
    pub(crate) bus: Field<String>,
}

/// One Docker engine.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "a Docker engine")]
pub(crate) struct RawDocker {
    /// Its socket.
    #[schemars(extend("examples" = ["/var/run/docker.sock"]))]
    pub(crate) socket: Field<String>,
}

/// One Redis server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "a Redis server")]
pub(crate) struct RawRedis {
    /// `redis://` or `rediss://` (TLS), with the password and the number of the database.
    #[schemars(extend("examples" = ["redis://:${env:CACHE_PASSWORD}@cache.example.com:6379/0"]))]
    pub(crate) url: Field<SecretText>,
    /// PEM file of a private certificate authority, relative to this file.
    pub(crate) ca_file: Opt<String>,
}
