//! A real sshd on loopback, for tests; it knows one key.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::exec;
use crate::exec::End;
use crate::exec::Output;
use crate::exec::Running;
use crate::exec::Spawn;

/// The server, with the files of who may come in.
#[derive(Debug)]
pub(crate) struct Sshd {
    _process: Running,
    pub(crate) port: u16,
    pub(crate) user: String,
    directory: TempDir,
}

impl Sshd {
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in ["host", "key", "stranger"] {
            keygen(&path(name)).await;
        }
        std::fs::copy(path("key.pub"), path("authorized")).unwrap();
        let user = said(&["id", "-un"]).await;
        // where sshd of Debian separates its privileges when it has any
        if said(&["id", "-u"]).await == "0" {
            drop(std::fs::create_dir("/run/sshd"));
        }
        loop {
            let port = free_port().await;
            if let Some(process) = launch(directory.path(), port).await {
                let this = Self { _process: process, port, user, directory };
                let trusted = std::fs::read_to_string(this.path("host.pub")).unwrap();
                std::fs::write(this.path("known"), this.line(&trusted, port)).unwrap();
                return this;
            }
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A file that says that this public key is the host's.
    pub(crate) fn knowing(&self, name: &str, public: &str, port: u16) -> PathBuf {
        let key = std::fs::read_to_string(self.path(public)).unwrap();
        std::fs::write(self.path(name), self.line(&key, port)).unwrap();
        self.path(name)
    }

    #[expect(clippy::unused_self, reason = "beside what else the server knows")]
    fn line(&self, key: &str, port: u16) -> String {
        format!("[127.0.0.1]:{port} {key}")
    }
}

async fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    free.local_addr().unwrap().port()
}

/// `None` when another process took the port meanwhile.
async fn launch(directory: &Path, port: u16) -> Option<Running> {
    let path = |name: &str| directory.join(name).display().to_string();
    // a home of its own: what the shell of whoever runs the tests reads at its start may take long, or wait for locks
    let config = format!(
        "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nSetEnv HOME={}\nPidFile none\nUsePAM no\n\
         StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n",
        path("host"),
        path("authorized"),
        directory.display(),
    );
    std::fs::write(path("sshd_config"), config).unwrap();
    let argv = ["/usr/sbin/sshd", "-D", "-e", "-f"].map(str::to_owned);
    let argv = argv.into_iter().chain([path("sshd_config")]).collect();
    let mut process = exec::start_to(&Spawn { argv, ..Spawn::default() }, Output::Drop)
        .unwrap_or_else(|error| panic!("install openssh-server: tests/run does it ({error})"));
    let deadline = Instant::now() + Duration::from_secs(20);
    while !greets(port).await {
        if process.try_wait().unwrap().is_some() {
            return None;
        }
        assert!(Instant::now() < deadline, "sshd does not answer");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Some(process)
}

async fn greets(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else { return false };
    let mut greeting = [0; 4];
    stream.read_exact(&mut greeting).await.is_ok() && &greeting == b"SSH-"
}

async fn keygen(file: &Path) {
    let file = file.display().to_string();
    said(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", &file]).await;
}

async fn said(argv: &[&str]) -> String {
    let spawn = Spawn {
        argv: argv.iter().map(ToString::to_string).collect(),
        timeout: Duration::from_secs(20),
        max_output_bytes: 4 << 10,
        ..Spawn::default()
    };
    let ended = exec::run(&spawn).await.unwrap();
    assert_eq!(ended.end, End::Exited(0), "{argv:?}: {ended:?}");
    ended.stdout.trim().to_owned()
}

/// A place that leads to a server until it is dropped: then every connection is cut.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) port: u16,
    _carried: JoinSet<()>,
}

impl Wire {
    pub(crate) async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut carried = JoinSet::new();
        carried.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                connections.spawn(async move {
                    let mut server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                    drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
                });
            }
        });
        Self { port, _carried: carried }
    }
}
