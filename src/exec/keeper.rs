//! The process between quell and a command: it outlives neither the command nor, by more than a moment, quell.
//!
//! ```text
//! quell ──socket──▶ keeper ──▶ command, in a process group of its own
//! ```
//!
//! Whatever becomes of quell, the keeper kills the command in time: at its timeout also while quell is stopped, at once when
//! the socket ends because quell died (kill -9, out of memory). So no command outlives the lease of its run, and who
//! takes the run over does not act beside it. It is quell's own binary, started as `quell __keep …`.
//!
//! What it says to quell, a line each: `started PID`, or `failed ERRNO`; then `exited CODE`, `signalled NUMBER` or `killed`.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Child;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::WaitId;
use rustix::process::WaitIdOptions;
use rustix::process::kill_process_group;
use rustix::process::test_kill_process_group;
use rustix::process::waitid;

use super::GRACE;
use super::group::AFTER_KILL;
use super::group::LOOK;
use crate::clock::uptime;

/// The first argument of a keeper.
pub(super) const KEEP: &str = "__keep";

/// The clock that counts through stops and suspension is looked at this often: timers do not count through the latter.
const TICK: Duration = Duration::from_secs(1);

/// What a keeper hears of.
enum News {
    /// The command has ended; it is not reaped yet, so its number is still its own.
    Ended,
    /// quell has closed its end, or died.
    Abandoned,
}

/// Keeps a command, when this process was started for that: `quell __keep MILLISECONDS PROGRAM ARGUMENT…`.
pub fn main() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != OsStr::new(KEEP) {
        return None;
    }
    let timeout = arguments.next().and_then(|it| it.to_str()?.parse().ok());
    let (Some(timeout), Some(program)) = (timeout, arguments.next()) else {
        return Some(ExitCode::from(2));
    };
    let kept = keep(Duration::from_millis(timeout), &program, arguments.collect());
    Some(if kept.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

/// Runs the command to its end. An error means that quell cannot be talked to: a person has started this, or it died.
fn keep(timeout: Duration, program: &OsStr, arguments: Vec<OsString>) -> io::Result<()> {
    let mut quell = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // a terminal or a file is nothing to keep a command by
    quell.peer_addr()?;
    let deadline = uptime() + timeout;
    #[expect(clippy::disallowed_methods, reason = "this is a part of the one place for processes")]
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).process_group(0);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return writeln!(quell, "failed {}", error.raw_os_error().unwrap_or(0)),
    };
    let group = Pid::from_child(&child);
    let heard = hear(&quell, group).and_then(|news| {
        writeln!(quell, "started {}", group.as_raw_nonzero())?;
        Ok(news)
    });
    let Ok(news) = heard else {
        // nobody would be there to stop it
        kill(group, Signal::KILL);
        return Ok(());
    };
    let end = match await_end(&news, group, deadline) {
        Some(News::Ended) => {
            let status = child.wait()?;
            match status.code() {
                Some(code) => format!("exited {code}"),
                None => format!("signalled {}", status.signal().unwrap_or_default()),
            }
        }
        Some(News::Abandoned) => {
            kill(group, Signal::KILL);
            return Ok(());
        }
        None => {
            end(&news, &mut child, group)?;
            "killed".to_owned()
        }
    };
    writeln!(quell, "{end}")
}

/// Listens for the end of either side.
fn hear(quell: &UnixStream, command: Pid) -> io::Result<Receiver<News>> {
    let (tell, news) = mpsc::channel();
    let mut quell = quell.try_clone()?;
    let abandoned = tell.clone();
    std::thread::Builder::new().spawn(move || {
        // quell says nothing: whatever ends the reading means that it is gone
        let _end = quell.read(&mut [0]);
        drop(abandoned.send(News::Abandoned));
    })?;
    std::thread::Builder::new().spawn(move || {
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(command), ended), Err(rustix::io::Errno::INTR)) {}
        drop(tell.send(News::Ended));
    })?;
    Ok(news)
}

/// What comes first; `None` is the deadline.
fn await_end(news: &Receiver<News>, group: Pid, deadline: Duration) -> Option<News> {
    loop {
        let left = deadline.saturating_sub(uptime());
        if left.is_zero() {
            // one that ended in time is not late because nobody looked
            return news.try_recv().ok();
        }
        match news.recv_timeout(left.min(TICK)) {
            Ok(it) => return Some(it),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                kill(group, Signal::KILL);
                return Some(News::Ended);
            }
        }
    }
}

/// Ends the group: SIGTERM, and SIGKILL for whatever is left after a while, or at once when quell is gone. Reaps the leader.
fn end(news: &Receiver<News>, child: &mut Child, group: Pid) -> io::Result<()> {
    kill(group, Signal::TERM);
    let deadline = uptime() + GRACE;
    if let Some(News::Ended) = await_end(news, group, deadline) {
        child.wait()?;
        while is_there(group) && uptime() < deadline && news.try_recv().is_err() {
            std::thread::sleep(LOOK);
        }
    }
    kill(group, Signal::KILL);
    let deadline = uptime() + AFTER_KILL;
    while child.try_wait()?.is_none() && uptime() < deadline {
        std::thread::sleep(LOOK);
    }
    while is_there(group) && uptime() < deadline {
        std::thread::sleep(LOOK);
    }
    Ok(())
}

fn kill(group: Pid, signal: Signal) {
    // nobody left to signal is what was wanted
    let _gone = kill_process_group(group, signal);
}

fn is_there(group: Pid) -> bool {
    test_kill_process_group(group).is_ok()
}
