//! A process on another host, by the system's OpenSSH.
//!
//! ssh says why it failed in a file of its own, so that nothing the process at the other end prints is taken for it. The file
//! also says how far ssh came: before a session there is no process, and nothing was done.

use std::fs;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::End;
use super::Ended;
use super::Spawn;

/// Longest time for a connection, the key exchange included, in seconds.
const CONNECT_TIMEOUT: u64 = 10;
/// A host that says nothing for three times as long is gone, in seconds.
const ALIVE_EVERY: u64 = 5;
/// What ssh exits with when it failed itself.
const FAILED: i32 = 255;
/// Largest part of what ssh says that is read, in bytes.
const MOST_SAID: usize = 64 << 10;

/// A host, and who we are there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Host<'a> {
    /// Its name or address.
    pub host: &'a str,
    /// `None`, here and below, is what OpenSSH is configured for.
    pub port: Option<u16>,
    /// Who we are there.
    pub user: Option<&'a str>,
    /// The private key.
    pub identity_file: Option<&'a Path>,
    /// Keys of hosts that are trusted.
    pub known_hosts: Option<&'a Path>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came {
    /// The process ended, and this is how.
    Ended(Ended),
    /// There was no process: no connection, or an unknown host.
    NotBegun {
        /// Why.
        reason: String,
        /// Whether trying again may help.
        retryable: bool,
    },
    /// There was no process: the host does not accept who we are.
    Denied(String),
    /// There may have been a process, and nobody knows what became of it.
    Unknown(String),
}

/// Runs `argv` there, each element one argument whatever it holds, in `directory` if given. `Err` means that ssh never started.
pub async fn run(
    host: Host<'_>,
    argv: &[String],
    directory: Option<&str>,
    timeout: Duration,
    max_output_bytes: usize,
) -> Result<Came, String> {
    let words = remote(argv, directory)?;
    let log = Log::new()?;
    let spawn = Spawn {
        argv: local(host, words, &log.file()),
        // the agent that holds our keys, if there is one
        env: std::env::var("SSH_AUTH_SOCK")
            .map(|socket| ("SSH_AUTH_SOCK".to_owned(), socket))
            .into_iter()
            .collect(),
        directory: None,
        timeout,
        max_output_bytes,
    };
    let ended = super::run(&spawn).await?;
    Ok(came(ended, log.read().as_deref(), timeout))
}

/// The command line for the shell at the other end.
fn remote(argv: &[String], directory: Option<&str>) -> Result<String, String> {
    if argv.first().is_none_or(String::is_empty) {
        return Err("there is no program to run: its command line is empty".into());
    }
    if argv.iter().map(String::as_str).chain(directory).any(|text| text.contains('\0')) {
        return Err("an argument holds a NUL byte, which no command line can".into());
    }
    let words: Vec<String> = argv.iter().map(|word| quoted(word)).collect();
    let words = words.join(" ");
    Ok(match directory {
        // 126: not the exit code by which a process says something
        Some(directory) => format!("cd -- {} || exit 126; {words}", quoted(directory)),
        None => words,
    })
}

/// One word for a POSIX shell, whatever it holds.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The command line for ssh itself.
fn local(host: Host<'_>, words: String, log: &str) -> Vec<String> {
    let mut argv = vec!["ssh".to_owned(), "-T".to_owned(), "-E".to_owned(), log.to_owned()];
    let mut option = |text: String| argv.extend(["-o".to_owned(), text]);
    for fixed in [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "UpdateHostKeys=no",
        "ConnectionAttempts=1",
        "ServerAliveCountMax=3",
        "ClearAllForwardings=yes",
        "ForwardAgent=no",
        "ForwardX11=no",
        "PermitLocalCommand=no",
        // a connection of its own, that ends with it
        "ControlMaster=no",
        "ControlPath=none",
        // how far it came
        "LogLevel=DEBUG1",
    ] {
        option(fixed.to_owned());
    }
    option(format!("ConnectTimeout={CONNECT_TIMEOUT}"));
    option(format!("ServerAliveInterval={ALIVE_EVERY}"));
    if let Some(file) = host.known_hosts {
        option(format!("UserKnownHostsFile={}", escaped(file)));
        option("GlobalKnownHostsFile=/dev/null".to_owned());
    }
    if let Some(file) = host.identity_file {
        option(format!("IdentityFile={}", escaped(file)));
        option("IdentitiesOnly=yes".to_owned());
    }
    if let Some(port) = host.port {
        argv.extend(["-p".to_owned(), port.to_string()]);
    }
    if let Some(user) = host.user {
        argv.extend(["-l".to_owned(), user.to_owned()]);
    }
    argv.extend(["--".to_owned(), host.host.to_owned(), words]);
    argv
}

/// A path as a value of ssh's configuration: one word, in which `%` begins nothing.
fn escaped(path: &Path) -> String {
    let path = path.display().to_string().replace('%', "%%");
    format!("\"{}\"", path.replace('\\', r"\\").replace('"', "\\\""))
}

/// What came of it, by how ssh ended and what it said of itself; `None` when that cannot be read.
fn came(ended: Ended, said: Option<&str>, timeout: Duration) -> Came {
    match ended.end {
        End::Exited(code) if code != FAILED => return Came::Ended(ended),
        End::Exited(_) | End::Signalled(_) | End::TimedOut => {}
    }
    let Some(said) = said else {
        let words = format!("ssh: {}, and what it said cannot be read", ended.describe());
        return Came::Unknown(format!("{words}; nobody knows what became of the process"));
    };
    let began = said.lines().any(|line| {
        line.starts_with("Authenticated to ")
            || line.starts_with("debug1: Authentication succeeded")
    });
    if began {
        // the process itself may end so
        if ended.end == End::Exited(FAILED) && said.lines().any(is_exit_of_process) {
            return Came::Ended(ended);
        }
        let why = match ended.end {
            End::TimedOut => format!("killed after {}", super::span(timeout)),
            _ => reason(said).unwrap_or_else(|| ended.describe()),
        };
        return Came::Unknown(format!(
            "ssh: {why}; the session had begun, so nobody knows how far the process came, or whether it still runs"
        ));
    }
    let why = reason(said).unwrap_or_else(|| ended.describe());
    if ended.end == End::TimedOut {
        let reason = format!("ssh: no session within {}: {why}", super::span(timeout));
        return Came::NotBegun { reason, retryable: true };
    }
    let has = |words: &str| said.lines().any(|line| !is_debug(line) && line.contains(words));
    if has("Host key verification failed") {
        let changed = has("REMOTE HOST IDENTIFICATION HAS CHANGED");
        let advice = if changed {
            "the host shows another key than the one in known_hosts; find out why before you replace it there"
        } else {
            "the host's key is not in known_hosts; a person who knows it adds it"
        };
        return Came::NotBegun { reason: format!("ssh: {why}: {advice}"), retryable: false };
    }
    if has("Permission denied (") || has("Too many authentication failures") {
        return Came::Denied(format!("ssh: {why}"));
    }
    Came::NotBegun { reason: format!("ssh: {why}"), retryable: true }
}

fn is_exit_of_process(line: &str) -> bool {
    line.trim_end() == "debug1: Exit status 255"
}

fn is_debug(line: &str) -> bool {
    line.starts_with("debug1:") || line.starts_with("OpenSSH_")
}

/// The last line in which ssh says something to people.
fn reason(said: &str) -> Option<String> {
    const SHOWN: usize = 200;
    let to_people = |line: &&str| {
        let of_itself = ["Authenticated to ", "Transferred:", "Bytes per second:"];
        !line.is_empty() && !is_debug(line) && !of_itself.iter().any(|it| line.starts_with(it))
    };
    let line = said.lines().map(str::trim).rfind(to_people)?;
    let line = line.strip_prefix("ssh: ").unwrap_or(line);
    Some(line.chars().take(SHOWN).collect())
}

/// A folder that nobody else may look into, with what one ssh says; gone when dropped.
struct Log(PathBuf);

impl Log {
    fn new() -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        const TRIES: u32 = 100;
        let base = std::env::temp_dir();
        let mut wrong = String::new();
        for _ in 0..TRIES {
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = base.join(format!("quell-ssh-{}-{next}", std::process::id()));
            // never one that somebody else made
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) => wrong = format!("could not make {}: {error}", path.display()),
            }
        }
        Err(wrong)
    }

    fn file(&self) -> String {
        self.0.join("log").display().to_string()
    }

    fn read(&self) -> Option<String> {
        let mut bytes = fs::read(self.0.join("log")).ok()?;
        // what is decided by stands at both ends
        if bytes.len() > 2 * MOST_SAID {
            bytes.drain(MOST_SAID..bytes.len() - MOST_SAID);
        }
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
