//! The probe `command`: exit 0 is healthy, 1 is unhealthy, anything else unknown.

use std::time::Duration;

use crate::exec;
use crate::exec::End;
use crate::exec::Ended;
use crate::exec::Spawn;
use crate::model::action::Command;
use crate::model::run::Observation;

/// Longest time it may take; then its process group is killed.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Largest part of each output read, in bytes.
pub(super) const MAX_OUTPUT_BYTES: usize = 4 << 10;

/// Longest part of the output shown, in characters.
const SHOWN: usize = 200;

/// Runs it once.
pub(super) async fn observe(command: &Command) -> Observation {
    within(command, TIMEOUT).await
}

async fn within(command: &Command, timeout: Duration) -> Observation {
    let spawn = Spawn {
        argv: command.shell.as_deref().map_or_else(|| command.argv.clone(), exec::shell),
        env: command.env.clone(),
        directory: command.directory.as_ref().map(Into::into),
        timeout,
        max_output_bytes: MAX_OUTPUT_BYTES,
    };
    let ended = match exec::run(&spawn).await {
        Ok(ended) => ended,
        Err(reason) => return super::unknown(reason),
    };
    judge(&ended)
}

/// What the end of a process says.
pub(super) fn judge(ended: &Ended) -> Observation {
    let said = first_line(&ended.stdout).or_else(|| first_line(&ended.stderr));
    let measured = match said {
        Some(said) => format!("{}: {said}", ended.describe()),
        None => ended.describe(),
    };
    match ended.end {
        End::Exited(0) => super::healthy(measured),
        End::Exited(1) => super::unhealthy(measured),
        End::Exited(_) | End::Signalled(_) | End::TimedOut => super::unknown(measured),
    }
}

/// The first line that says something.
fn first_line(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().take(SHOWN).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::run::Health;

    async fn check(script: &str, health: Health, begins: &str, ends: &str) {
        let command = Command { shell: Some(script.into()), ..Command::default() };
        let seen = within(&command, Duration::from_millis(800)).await;
        assert_eq!(seen.health, health, "{script}: {}", seen.measured);
        let measured = seen.measured;
        assert!(measured.starts_with(begins) && measured.ends_with(ends), "{script}: {measured}");
    }

    #[tokio::test]
    async fn the_exit_code_says_it() {
        check("echo '3 workers'; echo more", Health::Healthy, "exit 0 in ", ": 3 workers").await;
        check("exit 0", Health::Healthy, "exit 0 in ", "ms").await;
        check("echo >&2; echo stuck >&2; exit 1", Health::Unhealthy, "exit 1 in ", ": stuck").await;
    }

    #[tokio::test]
    async fn anything_else_is_unknown() {
        check("echo usage; exit 2", Health::Unknown, "exit 2 in ", ": usage").await;
        check("kill -9 $$", Health::Unknown, "signal 9 after ", "ms").await;
        check("sleep 600", Health::Unknown, "killed after ", "s").await;
        let missing = Command { argv: vec!["quell-no-such-program".into()], ..Command::default() };
        let seen = observe(&missing).await;
        assert_eq!(seen.health, Health::Unknown);
        assert!(seen.measured.contains("no such program in PATH"), "{}", seen.measured);
    }
}
