//! Waits until a process that was started answers.

use std::path::Path;
use std::time::Duration;

use crate::error::Error;
use crate::exec::Running;
use crate::net;
use crate::net::Call;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Longest time for one answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// How much of a log is shown when its process fails.
const LAST_LINES: usize = 5;

/// A process that is starting.
#[derive(Debug)]
pub(super) struct Starting<'a> {
    /// What it is, for people.
    pub(super) name: &'a str,
    /// The process.
    pub(super) running: &'a mut Running,
    /// Where its output goes.
    pub(super) log: &'a Path,
    /// Longest time it may take.
    pub(super) within: Duration,
}

/// Waits until `url` answers 2xx.
pub(super) async fn until_answers(url: &str, starting: &mut Starting<'_>) -> Result<(), Error> {
    let answering = async {
        while !net::send(Call::get(url, PATIENCE)).await.is_ok_and(|it| it.is_success()) {
            tokio::time::sleep(PAUSE).await;
        }
    };
    until(starting, &format!("answer at {url}"), answering).await
}

/// Waits until a process has written its port into a file.
pub(super) async fn until_port(file: &Path, starting: &mut Starting<'_>) -> Result<u16, Error> {
    let reading = async {
        loop {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            if let Ok(port) = text.trim().parse() {
                return port;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    until(starting, "say where it listens", reading).await
}

/// Waits for `found`; ends early when the process does.
async fn until<T>(
    starting: &mut Starting<'_>,
    what: &str,
    found: impl Future<Output = T>,
) -> Result<T, Error> {
    let failure = tokio::select! {
        found = tokio::time::timeout(starting.within, found) => match found {
            Ok(found) => return Ok(found),
            Err(_) => format!("did not {what} within {} s", starting.within.as_secs()),
        },
        end = starting.running.wait() => match end {
            Ok(end) => format!("ended while it started: {end}"),
            Err(error) => error,
        },
    };
    let said = last_lines(starting.log);
    Err(Error::new("Q0905", format!("{} {failure}{said}", starting.name)))
}

/// The end of a log, as a tail of a message; empty when there is none.
fn last_lines(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.iter().skip(lines.len().saturating_sub(LAST_LINES));
    let shown: String = last.flat_map(|line| ["\n  ", line]).collect();
    if shown.is_empty() { shown } else { format!("; it said:{shown}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec;
    use crate::exec::Output;
    use crate::exec::Spawn;

    #[tokio::test]
    async fn a_process_that_ends_is_not_waited_for_and_its_last_words_are_shown() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let script = "for i in 1 2 3 4 5 6; do echo line $i; done; exit 3";
        let spawn = Spawn { argv: exec::shell(script), ..Spawn::default() };
        let output = Output::File(std::fs::File::create(&log).unwrap());
        let mut running = exec::start_to(&spawn, output).unwrap();
        let within = Duration::from_mins(1);
        let mut starting =
            Starting { name: "the script", running: &mut running, log: &log, within };
        let never = std::future::pending::<()>();
        let error = until(&mut starting, "answer", never).await.unwrap_err();
        assert_eq!(
            error.message,
            "the script ended while it started: exit 3; it said:\n  line 2\n  line 3\n  line 4\n  line 5\n  line 6"
        );
    }

    #[tokio::test]
    async fn a_process_that_never_answers_is_given_up() {
        let spawn = Spawn { argv: exec::shell("sleep 60"), ..Spawn::default() };
        let mut running = exec::start_to(&spawn, Output::Drop).unwrap();
        let mut starting = Starting {
            name: "the script",
            running: &mut running,
            log: Path::new("nowhere"),
            within: Duration::ZERO,
        };
        let error = until(&mut starting, "answer", std::future::pending::<()>()).await.unwrap_err();
        assert_eq!(error.message, "the script did not answer within 0 s");
    }
}
