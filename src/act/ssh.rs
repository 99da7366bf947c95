//! The action `ssh`: a process on another host.

use std::time::Duration;

use super::command;
use super::sealed::Mask;
use crate::exec::ssh;
use crate::exec::ssh::Came;
use crate::model::action::Ssh;
use crate::model::action::TargetKind;
use crate::model::config::Targets;
use crate::model::run::Outcome;

/// Runs it: exit 0 is done, another is failed and may be tried again. What began and whose end nobody saw is unknown.
pub(super) async fn perform(
    ssh: &Ssh,
    timeout: Duration,
    targets: &Targets,
    mask: &Mask,
) -> Outcome {
    let Some(host) = targets.ssh.get(&ssh.server) else {
        let names = targets.names(TargetKind::Ssh);
        return super::failed(super::no_target("ssh", &ssh.server, &names));
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
        Err(reason) | Ok(Came::NotBegun { reason, retryable: false }) => super::failed(reason),
        Ok(Came::NotBegun { reason, retryable: true }) => super::failed_for_now(reason),
        Ok(Came::Denied(reason)) => super::denied(reason),
        Ok(Came::Unknown(reason)) => super::unknown(reason),
        Ok(Came::Ended(ended)) => command::exited(ended, timeout, mask),
    }
}

#[cfg(test)]
mod tests;
