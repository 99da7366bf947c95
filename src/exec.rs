//! The one place that spawns processes.
//!
//! ```text
//! Spawn ──run──▶ Ended      to its end: output captured and capped, killed after its timeout
//!       ──start▶ Running    until it is terminated: output inherited, dropped, in a file or line by line
//! ```
//!
//! What `run` runs has a `keeper`: it is killed in time also while quell itself is stopped, and when quell dies.
//!
//! Every process leads its own process group, and every way out of a call that does not see the process
//! end by itself (timeout, cancelled future, dropped handle) kills that group, so that no grandchild of a
//! remedy outlives it. A process that ends by itself may leave others behind: starting a daemon is a
//! remedy too. Nothing runs between fork and exec.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;

use std::os::unix::process::ExitStatusExt;

use tokio::process::Child;
use tokio::process::ChildStderr;
use tokio::process::ChildStdout;
use tokio::process::Command;
use tokio::time::Instant;

mod capture;
mod group;
mod keeper;
mod kept;
mod running;
pub mod ssh;

use capture::Capture;
use group::Group;
pub use keeper::main as keeper_main;
use kept::Kept;
pub use kept::use_keepers;
pub use running::Output;
pub use running::Running;
pub use running::start;
pub use running::start_to;

/// Between SIGTERM and SIGKILL after a timeout.
const GRACE: Duration = Duration::from_secs(2);

/// How long output is read on after the process has ended, when another one keeps its pipes open.
const DRAIN: Duration = Duration::from_millis(500);

/// What a process inherits; everything else it must be given.
const INHERITED: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];

/// A process to run to its end.
#[derive(Debug, Clone, Default)]
pub struct Spawn {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Added to the clean environment (PATH, HOME, LANG, TZ are inherited).
    pub env: BTreeMap<String, String>,
    /// Working directory.
    pub directory: Option<PathBuf>,
    /// After it, the whole process group is killed.
    pub timeout: Duration,
    /// Largest part of each output kept, in bytes: its first and last half.
    pub max_output_bytes: usize,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With an exit code.
    Exited(i32),
    /// By a signal.
    Signalled(i32),
    /// Killed after its timeout, with its whole process group.
    TimedOut,
}

/// `exit 0`, `signal 9`, `killed`.
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit {code}"),
            Self::Signalled(signal) => write!(f, "signal {signal}"),
            Self::TimedOut => f.write_str("killed"),
        }
    }
}

impl From<ExitStatus> for End {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exited(code),
            (None, signal) => Self::Signalled(signal.unwrap_or_default()),
        }
    }
}

/// A process that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub end: End,
    /// Standard output, capped.
    pub stdout: String,
    /// Standard error, capped.
    pub stderr: String,
    /// Whether a part of the standard output was left out.
    pub cut: bool,
    /// How long it took.
    pub took: Duration,
}

impl Ended {
    /// For people: `exit 0 in 212 ms`, `signal 9 after 1.5 s`, `killed after 30 s`.
    pub fn describe(&self) -> String {
        let took = span(self.took);
        match self.end {
            End::Exited(_) => format!("{} in {took}", self.end),
            End::Signalled(_) | End::TimedOut => format!("{} after {took}", self.end),
        }
    }
}

/// A span of time for people: `212 ms`, `1.5 s`, `12 s`.
fn span(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else if time < Duration::from_secs(10) && time.subsec_millis() >= 100 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} s", time.as_secs())
    }
}

/// The arguments that run `script`, a fixed text, in a shell.
pub fn shell(script: &str) -> Vec<String> {
    vec!["/bin/sh".into(), "-c".into(), script.into()]
}

/// Runs a process in its own process group. `Err` means that it never started.
///
/// Standard input is empty. Takes up to 3 s longer than the timeout: a process may clean up for 2 s before it
/// is killed. Dropping the future kills the process with its group at once.
pub async fn run(spawn: &Spawn) -> Result<Ended, String> {
    let began = Instant::now();
    let mut leader = Leader::launch(spawn).await?;
    let mut stdout = Capture::new(spawn.max_output_bytes);
    let mut stderr = Capture::new(spawn.max_output_bytes);
    let (out, err) = leader.outputs();

    let end = {
        let reading = async { tokio::join!(stdout.fill(out), stderr.fill(err)) };
        let living = leader.live(spawn.timeout);
        tokio::pin!(reading, living);
        tokio::select! {
            end = &mut living => {
                // what is already in the pipes is read; more than that only a process left behind writes
                let _left_behind = tokio::time::timeout(DRAIN, reading).await;
                end
            }
            _ = &mut reading => living.await,
        }
    };
    let end = end.map_err(|error| format!("could not wait for `{}`: {error}", name_of(spawn)))?;
    let cut = stdout.is_cut();
    Ok(Ended { end, cut, stdout: stdout.text(), stderr: stderr.text(), took: began.elapsed() })
}

/// Who leads the group of a process that is run to its end.
enum Leader {
    /// The process itself; this process kills it.
    Alone {
        // dropped first: the group is killed while its leader is not reaped, so that its number cannot have been given
        // to another group
        group: Group,
        child: Child,
    },
    /// A keeper is between.
    Kept(Kept),
}

impl Leader {
    async fn launch(spawn: &Spawn) -> Result<Self, String> {
        if kept::are_used() {
            return Ok(Self::Kept(Kept::launch(spawn).await?));
        }
        let child = launch(spawn, Stdio::piped(), Stdio::piped())?;
        Ok(Self::Alone { group: Group::of(&child), child })
    }

    /// The ends of its pipes, once.
    fn outputs(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        let child = match self {
            Self::Alone { child, .. } => child,
            Self::Kept(kept) => &mut kept.keeper,
        };
        (child.stdout.take(), child.stderr.take())
    }

    /// Waits for the process; after `timeout` its group is ended.
    async fn live(&mut self, timeout: Duration) -> io::Result<End> {
        match self {
            Self::Alone { group, child } => {
                let status = live(child, group, timeout).await?;
                group.release();
                Ok(status.map_or(End::TimedOut, End::from))
            }
            Self::Kept(kept) => Ok(kept.live(timeout).await),
        }
    }
}

/// Waits for the process; after `timeout` ends its group and gives `None`.
async fn live(
    child: &mut Child,
    group: &mut Group,
    timeout: Duration,
) -> io::Result<Option<ExitStatus>> {
    if let Ok(status) = tokio::time::timeout(timeout, child.wait()).await {
        return status.map(Some);
    }
    group.end(child, GRACE).await;
    Ok(None)
}

/// Starts a process with a clean environment in its own process group.
fn launch(spawn: &Spawn, stdout: Stdio, stderr: Stdio) -> Result<Child, String> {
    let program = name_of(spawn);
    prepared(spawn, stdout, stderr)?
        .spawn()
        .map_err(|error| format!("could not start `{program}`: {}", why(program, &error)))
}

/// A process to start with a clean environment in its own process group.
fn prepared(spawn: &Spawn, stdout: Stdio, stderr: Stdio) -> Result<Command, String> {
    let Some((program, arguments)) = spawn.argv.split_first().filter(|(it, _)| !it.is_empty())
    else {
        return Err("there is no program to run: its command line is empty".into());
    };
    if let Some(directory) = &spawn.directory {
        usable(directory)?;
    }
    #[expect(clippy::disallowed_methods, reason = "this is the one place for processes")]
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .envs(&spawn.env)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .process_group(0)
        .kill_on_drop(true);
    if let Some(directory) = &spawn.directory {
        command.current_dir(directory);
    }
    Ok(command)
}

/// Checked beforehand, because the system reports a missing directory as if the program were missing.
fn usable(directory: &Path) -> Result<(), String> {
    match std::fs::metadata(directory) {
        Ok(it) if it.is_dir() => Ok(()),
        Ok(_) => Err(format!("working directory `{}` is not a directory", directory.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(format!("working directory `{}` does not exist", directory.display()))
        }
        Err(error) => Err(format!("working directory `{}`: {error}", directory.display())),
    }
}

/// Why a program did not start, and what to do about it.
fn why(program: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound if !program.contains('/') => {
            "no such program in PATH; write its whole path, or add its folder to PATH".into()
        }
        io::ErrorKind::NotFound if Path::new(program).exists() => {
            "the interpreter that its first line names does not exist".into()
        }
        io::ErrorKind::NotFound => "no such file".into(),
        io::ErrorKind::PermissionDenied => {
            "not executable by this user; check its permissions".into()
        }
        io::ErrorKind::ArgumentListTooLong => "its arguments or environment are too long".into(),
        io::ErrorKind::InvalidInput => {
            "an argument or environment value holds a NUL byte, or a name an `=`".into()
        }
        _ => error.to_string(),
    }
}

/// The program's name, for messages.
fn name_of(spawn: &Spawn) -> &str {
    spawn.argv.first().map_or("", String::as_str)
}

#[cfg(test)]
mod tests;
