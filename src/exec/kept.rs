//! A command with a keeper: this end of it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Pair;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::Pid;
use tokio::io::AsyncBufReadExt as _;
use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::process::Child;

use super::End;
use super::GRACE;
use super::Spawn;
use super::group;
use super::group::AFTER_KILL;
use super::keeper::KEEP;
use super::name_of;
use super::prepared;
use super::why;

/// How long the keeper may take to start the command, and to say that it has ended.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// This very binary, also when another was installed in its place.
const THIS_BINARY: &str = "/proc/self/exe";

static KEEPS: OnceLock<()> = OnceLock::new();

/// From now on every command has a keeper. Only for the binary whose `main` calls [`super::keeper_main`]; without this, as
/// in tests of the library, a command is killed by this process alone.
pub fn use_keepers() {
    KEEPS.get_or_init(|| ());
}

/// Whether commands have keepers.
pub(super) fn are_used() -> bool {
    KEEPS.get().is_some()
}

/// A command that runs under its keeper; dropping it makes the keeper kill the command with its whole group.
#[derive(Debug)]
pub(super) struct Kept {
    /// Holds the pipes of the command.
    pub(super) keeper: Child,
    lines: BufReader<UnixStream>,
    group: Option<Pid>,
}

impl Kept {
    /// Starts a keeper and its command. `Err` means that the command never started.
    pub(super) async fn launch(spawn: &Spawn) -> Result<Self, String> {
        let program = name_of(spawn).to_owned();
        let failed =
            |error: &io::Error| format!("could not start `{program}`: its keeper: {error}");
        let (ours, theirs) = Pair::pair().map_err(|error| failed(&error))?;
        let millis = spawn.timeout.as_millis().to_string();
        let argv = [THIS_BINARY, KEEP, &millis].into_iter().map(str::to_owned);
        let argv = argv.chain(spawn.argv.iter().cloned()).collect();
        let under = Spawn { argv, ..spawn.clone() };
        if program.is_empty() {
            return Err("there is no program to run: its command line is empty".into());
        }
        let mut command = prepared(&under, Stdio::piped(), Stdio::piped())?;
        // killed, it could no longer kill
        command.arg0("quell").stdin(OwnedFd::from(theirs)).kill_on_drop(false);
        let keeper = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::ArgumentListTooLong | io::ErrorKind::InvalidInput => {
                format!("could not start `{program}`: {}", why(&program, &error))
            }
            _ => failed(&error),
        })?;
        // its end of the socket is in `command` too
        drop(command);
        ours.set_nonblocking(true).map_err(|error| failed(&error))?;
        let ours = UnixStream::from_std(ours).map_err(|error| failed(&error))?;
        let mut this = Self { keeper, lines: BufReader::new(ours), group: None };
        let said = tokio::time::timeout(ANSWERS_WITHIN, this.line()).await;
        let said = said.unwrap_or_default().unwrap_or_default();
        match said.split_once(' ') {
            Some(("started", pid)) => {
                this.group = pid.parse().ok().and_then(Pid::from_raw);
                Ok(this)
            }
            Some(("failed", errno)) => {
                let error = io::Error::from_raw_os_error(errno.parse().unwrap_or_default());
                Err(format!("could not start `{program}`: {}", why(&program, &error)))
            }
            _ => Err(format!("could not start `{program}`: its keeper did not come up")),
        }
    }

    /// Waits for the command; after its timeout the keeper ends its group, and the end is [`End::TimedOut`].
    pub(super) async fn live(&mut self, timeout: Duration) -> End {
        let longest = timeout + GRACE + AFTER_KILL + ANSWERS_WITHIN;
        let said = tokio::time::timeout(longest, self.line()).await;
        let said = said.unwrap_or_default().unwrap_or_default();
        let number = |text: &str| text.parse().unwrap_or_default();
        let end = match said.split_once(' ') {
            Some(("exited", code)) => End::Exited(number(code)),
            Some(("signalled", signal)) => End::Signalled(number(signal)),
            _ => {
                if said != "killed" {
                    tracing::warn!("the keeper of a command died; the command is killed");
                    group::kill(self.group);
                }
                End::TimedOut
            }
        };
        self.group = None;
        end
    }

    /// What the keeper says next; `None` when it is gone.
    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).await.ok()?;
        (read > 0 && line.ends_with('\n')).then(|| line.trim_end().to_owned())
    }
}
