//! The action `docker.restart`.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::model::action::DockerRestart;
use crate::model::action::TargetKind;
use crate::model::config::Targets;
use crate::model::run::Outcome;
use crate::model::time::show_duration;
use crate::net::docker;
use crate::net::docker::Container;
use crate::net::docker::Failure;

/// Where the engine listens when quell.yml does not say.
const SOCKET: &str = "/var/run/docker.sock";
/// Longest time for what is asked before and after.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// Restarts the container that has the name now, and looks at it afterwards.
pub(super) async fn perform(
    restart: &DockerRestart,
    timeout: Duration,
    targets: &Targets,
) -> Outcome {
    let name = &restart.container;
    let ends_at = Instant::now() + timeout;
    let asked = match Asked::new(restart, timeout, targets) {
        Ok(asked) => asked,
        Err(reason) => return super::failed(reason),
    };
    let before = match asked.look(timeout).await {
        Ok(container) => container,
        Err(failure) => return explain(name, failure),
    };
    // by its identifier: another container that takes the name meanwhile is left alone
    let restarting = docker::restart(asked.socket, &before.id, asked.grace);
    let Ok(came) = tokio::time::timeout_at(ends_at, restarting).await else {
        return super::unknown(format!(
            "{name}: no answer within {}; the engine may go on with the restart",
            show_duration(timeout)
        ));
    };
    let after = asked.look(ANSWERS_WITHIN).await.ok().filter(|it| it.id == before.id);
    match came {
        Ok(()) => judge(name, &before, after.as_ref()),
        // it may have come as far as the stop
        Err(Failure::Refused(status, reason)) => super::failed_for_now(match &after {
            Some(after) => format!("{name}: {reason}: now {}", words(after)),
            None => format!("{name}: {reason} ({status})"),
        }),
        Err(failure) => explain(name, failure),
    }
}

/// What is asked of which engine.
struct Asked<'a> {
    socket: &'a Path,
    container: &'a str,
    grace: Option<Duration>,
}

impl<'a> Asked<'a> {
    fn new(
        restart: &'a DockerRestart,
        timeout: Duration,
        targets: &'a Targets,
    ) -> Result<Self, String> {
        let DockerRestart { server, container, grace } = restart;
        docker::check_name(container)?;
        let socket = match targets.docker.get(server) {
            Some(socket) => socket.as_path(),
            None if TargetKind::Docker.local() == Some(server.as_str()) => Path::new(SOCKET),
            None => {
                let names = targets.names(TargetKind::Docker);
                return Err(super::no_target("docker", server, &names));
            }
        };
        let grace = match grace {
            Some(grace) => Some(grace.read().map_err(|error| format!("`grace`: {error}"))?),
            None => None,
        };
        if let Some(grace) = grace.filter(|grace| *grace >= timeout) {
            return Err(format!(
                "a grace of {} is not shorter than the timeout of the step, {}: raise `timeout`",
                show_duration(grace),
                show_duration(timeout)
            ));
        }
        Ok(Self { socket, container, grace })
    }

    async fn look(&self, within: Duration) -> Result<Container, Failure> {
        let within = within.min(ANSWERS_WITHIN);
        let looking = docker::inspect(self.socket, self.container);
        let seen = tokio::time::timeout(within, looking).await;
        let seen = seen.unwrap_or_else(|_| {
            Err(Failure::Unreachable(format!("no answer within {}", show_duration(within))))
        });
        // a question that got lost changed nothing
        seen.map_err(|failure| match failure {
            Failure::Lost(reason) => Failure::Unreachable(reason),
            other => other,
        })
    }
}

fn explain(name: &str, failure: Failure) -> Outcome {
    match failure {
        Failure::Unreachable(reason) => super::failed_for_now(format!("{name}: {reason}")),
        Failure::Denied(reason) => super::denied(format!("{name}: {reason}")),
        Failure::Missing(reason) | Failure::Refused(_, reason) => {
            super::failed(format!("{name}: {reason}"))
        }
        Failure::Lost(reason) => super::unknown(format!(
            "{name}: {reason}; nobody knows whether the engine restarted it"
        )),
    }
}

/// What the container does after the engine said that it restarted it.
fn judge(name: &str, before: &Container, after: Option<&Container>) -> Outcome {
    let Some(after) = after else {
        return Outcome::Done {
            summary: format!("{name} restarted; what it does now could not be asked"),
            output: json!({ "id": before.id }),
        };
    };
    let state = &after.state;
    if !state.running || state.status == "restarting" {
        return super::failed_for_now(format!(
            "{name}: restarted, but it does not run: {}",
            words(after)
        ));
    }
    Outcome::Done {
        summary: format!("{name} restarted: now {}", words(after)),
        output: json!({
            "id": after.id, "status": state.status, "started_at": state.started_at,
            "health": state.health.as_ref().map(|it| &it.status),
        }),
    }
}

/// `running, health starting`, `exited with 3`.
fn words(container: &Container) -> String {
    let state = &container.state;
    let health =
        state.health.as_ref().map(|it| format!(", health {}", it.status)).unwrap_or_default();
    if state.running {
        format!("{}{health}", state.status)
    } else {
        format!("{} with exit code {}", state.status, state.exit_code)
    }
}

#[cfg(test)]
mod tests;
