//! Programs of this machine, as children that cannot be left behind.

use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;

use rustix::process::Pid;
use rustix::process::Signal;

use crate::support::wait;

/// Becomes the program, and leaves a guard in its process group that blocks on our end of a pipe: when that
/// closes, because the test ended in whatever way, the guard kills the group.
const GUARDED: &str =
    r#"exec 3<&0; (read -r _ <&3; kill -s KILL -- -$$) & exec "$@" 3<&- </dev/null"#;

/// A command line; the only place of the tests that may start one.
#[expect(clippy::disallowed_methods, reason = "tests start real servers, and only here")]
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}

/// Runs a short program to its end and gives back what it printed; panics when it fails.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = command(program).args(arguments).stdin(Stdio::null()).output();
    let output =
        output.unwrap_or_else(|e| panic!("{program} did not start: {e}; run tests/install.sh"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{said}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Whether a process runs; one that is dead but not reaped does not.
pub(crate) fn is_alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !matches!(stat.rsplit(") ").next(), Some(rest) if rest.starts_with('Z')))
}

/// A loopback port that the system chose and gives to nobody else for the next minute.
///
/// The system hands out no port that has a connection in the state TIME-WAIT, but lets a server that names the port
/// bind it. So: open one, connect to it, close the server's side first.
pub(crate) fn port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).unwrap();
    drop(listener.accept().unwrap());
    drop(client);
    address.port()
}

/// A running server and its process group; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `arguments` (a program and its arguments) in the folder of `log`, to which both outputs are appended.
    pub(crate) fn start<S: AsRef<OsStr>>(
        arguments: impl IntoIterator<Item = S>,
        environment: &[(String, String)],
        log: &Path,
    ) -> Self {
        let mut line = command("/bin/sh");
        line.args(["-c", GUARDED, "sh"]).args(arguments);
        let name = line.get_args().nth(3).unwrap().to_string_lossy().into_owned();
        line.current_dir(log.parent().unwrap())
            .envs(environment.iter().map(|(name, value)| (name, value)));
        let output = File::options().create(true).append(true).open(log).unwrap();
        line.stdin(Stdio::piped()).stdout(output.try_clone().unwrap()).stderr(output);
        let child = line.process_group(0).spawn().unwrap();
        Self { name, child, log: log.to_owned() }
    }

    /// What it printed so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_else(|e| format!("no log: {e}"))
    }

    /// The exit status, once it ended; never blocks.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Asks `ready` until it says so; panics when the process ends first, or never gets ready.
    pub(crate) async fn ready(&mut self, mut ready: impl AsyncFnMut() -> Result<(), String>) {
        let what = format!("{} is ready", self.name);
        wait::until(&what, wait::PATIENCE, async || {
            let ended = self.ended();
            assert!(ended.is_none(), "{what}: but it ended: {ended:?}: {}", self.log());
            ready().await
        })
        .await;
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        if self.ended().is_none() {
            self.ask_to_end();
        }
        self.wait().await
    }

    /// Sends SIGHUP.
    pub(crate) fn hang_up(&self) {
        rustix::process::kill_process(self.pid(), Signal::HUP).unwrap();
    }

    /// Sends SIGTERM and does not wait.
    pub(crate) fn ask_to_end(&self) {
        rustix::process::kill_process(self.pid(), Signal::TERM).unwrap();
    }

    /// Stops it where it is (SIGSTOP), as a hypervisor does that pauses a machine.
    pub(crate) fn freeze(&self) {
        rustix::process::kill_process(self.pid(), Signal::STOP).unwrap();
    }

    /// Lets it go on (SIGCONT).
    pub(crate) fn thaw(&self) {
        rustix::process::kill_process(self.pid(), Signal::CONT).unwrap();
    }

    /// Whether it is stopped, by `freeze` or by itself.
    pub(crate) fn is_frozen(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // `pid (name) state …`, and the name may hold anything
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
    }

    /// Waits for it to end by itself.
    pub(crate) async fn wait(&mut self) -> ExitStatus {
        let what = format!("{} ends", self.name);
        wait::until(&what, wait::PATIENCE, async || self.ended().ok_or("still running")).await
    }

    /// SIGKILL, to it and everything it started in its group.
    pub(crate) fn kill(&mut self) {
        if self.ended().is_none() {
            rustix::process::kill_process_group(self.pid(), Signal::KILL).unwrap();
            self.child.wait().unwrap();
        }
    }

    /// Lets go of it as a test process does that is killed: without a word.
    pub(crate) fn abandon(&mut self) {
        self.child.stdin.take();
    }

    /// Its number, which is also that of its group.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(60)..];
            #[expect(clippy::print_stderr, reason = "the test runner shows it with the failure")]
            {
                eprintln!("--- the last lines of {}\n{}", self.name, last.join("\n"));
            }
        }
    }
}
