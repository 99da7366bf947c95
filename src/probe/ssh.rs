//! The probe `ssh`: exit 0 is healthy, 1 is unhealthy, anything else unknown.

use std::time::Duration;

use super::command;
use crate::exec::ssh;
use crate::exec::ssh::Came;
use crate::model::action::Ssh;
use crate::model::config::Targets;
use crate::model::run::Observation;

/// Runs it once.
pub(super) async fn observe(ssh: &Ssh, targets: &Targets, timeout: Duration) -> Observation {
    let Some(host) = targets.ssh.get(&ssh.server) else {
        return super::unknown(format!("no server `{}` in targets.ssh", ssh.server));
    };
    let host = ssh::Host {
        host: &host.host,
        port: host.port,
        user: host.user.as_deref(),
        identity_file: host.identity_file.as_deref(),
        known_hosts: host.known_hosts.as_deref(),
    };
    let most = command::MAX_OUTPUT_BYTES;
    match ssh::run(host, &ssh.argv, ssh.directory.as_deref(), timeout, most).await {
        Ok(Came::Ended(ended)) => command::judge(&ended),
        Ok(Came::Denied(reason)) => super::denied(reason),
        Err(reason) | Ok(Came::NotBegun { reason, .. } | Came::Unknown(reason)) => {
            super::unknown(reason)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::exec::ssh::testing::Sshd;
    use crate::model::config::SshHost;
    use crate::model::run::Health;

    #[tokio::test]
    async fn exit_0_is_healthy_1_is_not_and_anything_else_is_unknown() {
        let sshd = Sshd::start().await;
        let host = |key: &str| SshHost {
            host: "127.0.0.1".into(),
            port: Some(sshd.port),
            user: Some(sshd.user.clone()),
            identity_file: Some(sshd.path(key)),
            known_hosts: Some(sshd.path("known")),
        };
        let hosts = [("web-1", host("key")), ("web-2", host("stranger"))];
        let ssh = BTreeMap::from(hosts.map(|(name, it)| (name.to_owned(), it)));
        let targets = Targets { ssh, ..Targets::default() };
        for (server, script, directory, health, denied) in [
            ("web-1", "echo 3 workers", None, Health::Healthy, false),
            ("web-1", "exit 1", None, Health::Unhealthy, false),
            ("web-1", "exit 2", None, Health::Unknown, false),
            // no answer of the process: it was not there
            ("web-1", "exit 1", Some("/no/such"), Health::Unknown, false),
            ("web-2", "true", None, Health::Unknown, true),
            ("web-3", "true", None, Health::Unknown, false),
        ] {
            let argv = ["sh", "-c", script].map(str::to_owned).into();
            let directory = directory.map(str::to_owned);
            let probe = Ssh { server: server.into(), argv, directory };
            let seen = observe(&probe, &targets, Duration::from_secs(10)).await;
            assert_eq!((seen.health, seen.denied), (health, denied), "{server}: {}", seen.measured);
        }
    }
}
