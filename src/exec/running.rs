//! Processes that run until they are told to end.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncBufReadExt;
use tokio::io::BufReader;
use tokio::io::Lines;
use tokio::net::unix::pipe::Receiver;
use tokio::process::Child;

use super::End;
use super::Spawn;
use super::group::Group;
use super::launch;

/// Where the output of a running process goes, both streams alike.
#[derive(Debug)]
pub enum Output {
    /// Nowhere.
    Drop,
    /// To the streams of this process.
    Inherit,
    /// Into a file.
    File(File),
    /// To [`Running::next_line`]; the process waits when nobody reads.
    Lines,
}

/// A process that was started and may still run. Dropping it kills its whole process group at once.
#[derive(Debug)]
pub struct Running {
    // dropped first: the group is killed before its leader is reaped
    group: Group,
    child: Child,
    lines: Option<Lines<BufReader<Receiver>>>,
    pid: u32,
}

/// Starts a process whose output goes to the streams of this one. `timeout` and `max_output_bytes` are not used.
pub fn start(spawn: &Spawn) -> Result<Running, String> {
    start_to(spawn, Output::Inherit)
}

/// Starts a process whose output goes to `output`. Needs a tokio runtime. `Err` means that it never started.
pub fn start_to(spawn: &Spawn, output: Output) -> Result<Running, String> {
    let no_pipe = |error| format!("could not make a pipe: {error}");
    let no_file = |error| format!("could not use the output file twice: {error}");
    let (stdout, stderr, lines) = match output {
        Output::Drop => (Stdio::null(), Stdio::null(), None),
        Output::Inherit => (Stdio::inherit(), Stdio::inherit(), None),
        Output::File(file) => {
            (Stdio::from(file.try_clone().map_err(no_file)?), Stdio::from(file), None)
        }
        Output::Lines => {
            let (reader, writer) = std::io::pipe().map_err(no_pipe)?;
            let reader = Receiver::from_owned_fd(OwnedFd::from(reader)).map_err(no_pipe)?;
            let lines = BufReader::new(reader).lines();
            (Stdio::from(writer.try_clone().map_err(no_pipe)?), Stdio::from(writer), Some(lines))
        }
    };
    let child = launch(spawn, stdout, stderr)?;
    let pid = child.id().unwrap_or_default();
    Ok(Running { group: Group::of(&child), child, lines, pid })
}

impl Running {
    /// Process id, which is also the id of its group.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, if it has.
    pub fn try_wait(&mut self) -> Result<Option<End>, String> {
        let status = self.child.try_wait().map_err(|error| self.lost(&error))?;
        Ok(status.map(|status| self.ended(End::from(status))))
    }

    /// Waits until it ends by itself. May be dropped and called again.
    pub async fn wait(&mut self) -> Result<End, String> {
        let status = self.child.wait().await.map_err(|error| self.lost(&error))?;
        Ok(self.ended(End::from(status)))
    }

    /// The next line of its output, of both streams alike; `None` at their end, or when its output does
    /// not go to [`Output::Lines`]. A line that is not UTF-8 ends the output.
    pub async fn next_line(&mut self) -> Option<String> {
        self.lines.as_mut()?.next_line().await.ok().flatten()
    }

    /// Ends it with its whole group: SIGTERM, and SIGKILL for whatever is left after `grace`.
    pub async fn terminate(mut self, grace: Duration) {
        self.group.end(&mut self.child, grace).await;
    }

    /// It ended by itself, so what it left behind may live on; and its number may be given to another.
    fn ended(&mut self, end: End) -> End {
        self.group.release();
        end
    }

    fn lost(&self, error: &std::io::Error) -> String {
        format!("could not wait for process {}: {error}", self.pid)
    }
}
