//! `targets:`, the places that actions go.

use std::path::Path;
use std::path::PathBuf;

use super::config::check_url;
use super::config::endpoint;
use super::config::entries;
use super::secret::Secrets;
use crate::library::codes;
use crate::library::diagnostic::Diagnostic;
use crate::library::field::Field;
use crate::library::field::Found;
use crate::library::raw::Opt;
use crate::library::raw::SecretText;
use crate::library::raw::config::RawCluster;
use crate::library::raw::config::RawSshHost;
use crate::library::raw::config::RawTargets;
use crate::library::suggest::short;
use crate::model::config::Bus;
use crate::model::config::Cluster;
use crate::model::config::Secret;
use crate::model::config::Server;
use crate::model::config::SshHost;
use crate::model::config::Targets;

/// Relative files are beside quell.yml, in `folder`.
pub(super) fn targets(secrets: &Secrets<'_>, folder: &Path, raw: RawTargets) -> Targets {
    let mut targets = Targets::default();
    for (key, value) in entries(raw.redis) {
        let Some(it) = value.found() else { continue };
        let whose = ("a Redis server", &["redis", "rediss"][..]);
        let server = server(secrets, folder, it.span, whose, it.value.url, it.value.ca_file);
        targets.redis.insert(key.value, server);
    }
    for (key, value) in entries(raw.http) {
        if let Some(server) = value.found() {
            targets.http.insert(key.value, endpoint(secrets, server));
        }
    }
    for (key, value) in entries(raw.kubernetes) {
        if let Some(found) = value.found().and_then(|it| cluster(secrets, folder, it)) {
            targets.kubernetes.insert(key.value, found);
        }
    }
    for (key, value) in entries(raw.postgres) {
        let Some(it) = value.found() else { continue };
        let whose = ("a PostgreSQL server", &["postgres", "postgresql"][..]);
        let server = server(secrets, folder, it.span, whose, it.value.url, it.value.ca_file);
        targets.postgres.insert(key.value, server);
    }
    for (key, value) in entries(raw.ssh) {
        if let Some(host) = value.found().and_then(|it| ssh(secrets, folder, it)) {
            targets.ssh.insert(key.value, host);
        }
    }
    for (key, value) in entries(raw.systemd) {
        let Some(it) = value.found() else { continue };
        let bus = it.value.bus.need(secrets.at, it.span, "a service manager", "bus");
        if let Some(bus) = bus.and_then(|it| bus_of(secrets, &it)) {
            targets.systemd.insert(key.value, bus);
        }
    }
    for (key, value) in entries(raw.docker) {
        let Some(it) = value.found() else { continue };
        let socket = it.value.socket.need(secrets.at, it.span, "a Docker engine", "socket");
        if let Some(socket) = socket {
            let path = socket.value.strip_prefix("unix://").unwrap_or(&socket.value);
            if !path.starts_with('/') {
                let message = "expected the path of a socket, such as /var/run/docker.sock";
                secrets.at.report(socket.span, Diagnostic::error(codes::VALUE, message));
            }
            targets.docker.insert(key.value, PathBuf::from(path));
        }
    }
    targets
}

fn server(
    secrets: &Secrets<'_>,
    folder: &Path,
    span: crate::library::diagnostic::Span,
    (whose, schemes): (&str, &[&str]),
    url: Field<SecretText>,
    ca_file: Opt<String>,
) -> Server {
    let url = url.need(secrets.at, span, whose, "url");
    let url = url.and_then(|url| secrets.reveal("url", url));
    if let Some(url) = &url {
        check_url(secrets.at, url, schemes);
    }
    Server {
        url: Secret::new(url.map(|url| url.value).unwrap_or_default()),
        ca_file: file(folder, ca_file),
    }
}

fn file(folder: &Path, field: Opt<String>) -> Option<PathBuf> {
    field.and_then(Field::found).map(|it| folder.join(it.value))
}

fn cluster(secrets: &Secrets<'_>, folder: &Path, found: Found<RawCluster>) -> Option<Cluster> {
    let at = secrets.at;
    let RawCluster { kubeconfig, context, in_cluster } = found.value;
    if kubeconfig.is_some() == in_cluster.is_some() {
        let message = match kubeconfig {
            Some(_) => "`kubeconfig` and `in_cluster` do not go together",
            None => "a cluster without `kubeconfig` or `in_cluster`",
        };
        let found_here = Diagnostic::error(codes::SHAPE, message).label("expected exactly one");
        at.report(found.span, found_here);
        return None;
    }
    if let Some(inside) = in_cluster.and_then(Field::found) {
        if !inside.value {
            let message = "expected `in_cluster: true`, or a `kubeconfig`";
            at.report(inside.span, Diagnostic::error(codes::VALUE, message));
        }
        if let Some(context) = context {
            let message = "`context` without `kubeconfig`";
            at.report(context.span(), Diagnostic::error(codes::SHAPE, message));
        }
        return Some(Cluster::InCluster);
    }
    let context = context.and_then(Field::found).map(|it| it.value);
    Some(Cluster::Kubeconfig { file: file(folder, kubeconfig)?, context })
}

fn ssh(secrets: &Secrets<'_>, folder: &Path, found: Found<RawSshHost>) -> Option<SshHost> {
    let at = secrets.at;
    let RawSshHost { host, port, user, identity_file, known_hosts } = found.value;
    let host = host.need(at, found.span, "an SSH host", "host");
    let user = user.and_then(Field::found);
    // either would be an option of ssh, or more than one word of it
    for word in host.iter().chain(&user) {
        let odd = |c: char| c.is_whitespace() || c.is_control() || c == '@';
        if word.value.is_empty() || word.value.starts_with('-') || word.value.contains(odd) {
            let message = format!("`{}` cannot be a host or a user of SSH", short(&word.value));
            at.report(word.span, Diagnostic::error(codes::VALUE, message));
        }
    }
    let port = port.and_then(Field::found);
    if let Some(zero) = port.as_ref().filter(|port| port.value == 0) {
        let message = "expected a port from 1 to 65535, got 0";
        at.report(zero.span, Diagnostic::error(codes::VALUE, message));
    }
    Some(SshHost {
        host: host?.value,
        port: port.map(|it| it.value),
        user: user.map(|it| it.value),
        identity_file: file(folder, identity_file),
        known_hosts: file(folder, known_hosts),
    })
}

fn bus_of(secrets: &Secrets<'_>, found: &Found<String>) -> Option<Bus> {
    Some(match found.value.as_str() {
        "system" => Bus::System,
        "user" => Bus::User,
        address if address.starts_with("unix:path=/") => Bus::Address(address.to_owned()),
        other => {
            let message = format!("expected system, user or unix:path=/…, got `{}`", short(other));
            secrets.at.report(found.span, Diagnostic::error(codes::VALUE, message));
            return None;
        }
    })
}
