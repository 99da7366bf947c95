//! The hosts of the network: real sshds on a loopback address for each of them. A session runs what it is told, with stand-ins
//! for the commands of the runbook in front of the real ones; a stand-in asks [`Fleet`] what it does.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tempfile::TempDir;
use tokio::io::AsyncBufReadExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::io::BufReader;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::OLD;
use super::fleet;
use super::fleet::Fleet;
use crate::support::process;
use crate::support::process::Process;

/// The commands and scripts that are stood in for.
const COMMANDS: [&str; 6] = ["systemctl", "journalctl", "curl", "coinjectured", "git", "sudo"];
const SCRIPTS: [&str; 13] = [
    "set_codec_mode.sh",
    "set_pin_quorum.sh",
    "emergency_halt.sh",
    "halt_rollout.sh",
    "build_and_install.sh",
    "forensics.sh",
    "recover_missing_cids.sh",
    "audit_cids.sh",
    "parity_diff_analysis.sh",
    "list_v4_nodes.sh",
    "verify_version.sh",
    "health_check.sh",
    "daily_health_check.sh",
];

/// Addresses that one sshd can listen on (`MAX_LISTEN_SOCKS` of OpenSSH).
const LISTENS: usize = 16;

/// The servers; all end with it.
#[derive(Debug)]
pub(super) struct Hosts {
    folder: TempDir,
    port: u16,
    user: String,
    metrics: u16,
    _sshd: Vec<Process>,
    _serving: JoinSet<()>,
}

/// Every host.
pub(super) fn names() -> Vec<String> {
    let mut all = vec!["control".to_owned()];
    all.extend(fleet::nodes());
    all.push("staging".to_owned());
    all.extend((1..=3).map(|it| format!("staging-{it}")));
    all
}

/// Its address on loopback.
pub(super) fn address(host: &str) -> String {
    let number = names().iter().position(|it| it == host).unwrap();
    format!("127.0.0.{}", number + 11)
}

impl Hosts {
    pub(super) async fn start(fleet: &Arc<Fleet>) -> Self {
        let folder = TempDir::new().unwrap();
        let mut serving = JoinSet::new();
        let asked = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let commands = asked.local_addr().unwrap().port();
        let shared = Arc::clone(fleet);
        serving.spawn(async move {
            let mut answers = JoinSet::new();
            loop {
                let (stream, _) = asked.accept().await.unwrap();
                answers.spawn(answer(Arc::clone(&shared), stream));
            }
        });
        let metrics = serve_metrics(fleet, &mut serving).await;
        install(folder.path(), commands);
        let port = process::port();
        let mut sshd = Vec::new();
        for (number, hosts) in names().chunks(LISTENS).enumerate() {
            let mut process = launch(folder.path(), number, hosts, port);
            let first = address(&hosts[0]);
            process.ready(async || greets(&first, port).await).await;
            sshd.push(process);
        }
        let user = process::run("id", &["-un"]).trim().to_owned();
        Self { folder, port, user, metrics, _sshd: sshd, _serving: serving }
    }

    pub(super) fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    /// Where sshd listens on each of the addresses.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Who quell is there.
    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// `HOST:PORT` of the metrics of a node.
    pub(super) fn metrics_of(&self, node: &str) -> String {
        format!("{}:{}", address(node), self.metrics)
    }
}

/// One line comes in, `HOST COMMAND`; its exit code goes back in a line, and what it prints.
async fn answer(fleet: Arc<Fleet>, stream: TcpStream) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    // a session that was cut off asks nothing
    if stream.read_line(&mut line).await.is_err() {
        return;
    }
    let (host, command) = line.trim_end().split_once(' ').unwrap_or_default();
    let (code, output) = fleet.run(host, command);
    drop(stream.write_all(format!("{code}\n{output}").as_bytes()).await);
}

/// Each node has a page of its own, on one port.
async fn serve_metrics(fleet: &Arc<Fleet>, serving: &mut JoinSet<()>) -> u16 {
    let mut port = 0;
    for node in fleet::nodes() {
        let listener = TcpListener::bind((address(&node), port)).await.unwrap();
        port = listener.local_addr().unwrap().port();
        let fleet = Arc::clone(fleet);
        let page = move || {
            let page = fleet.page(&node);
            async move { page.ok_or(StatusCode::SERVICE_UNAVAILABLE) }
        };
        let router = Router::new().route("/metrics", get(page));
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
    }
    port
}

/// Keys, commands, and the files of the control host.
fn install(folder: &Path, commands: u16) {
    for inside in ["bin", "opt/scripts", "opt/rollout", "opt/soak", "log"] {
        fs::create_dir_all(folder.join(inside)).unwrap();
    }
    fs::write(folder.join(format!("opt/soak/{OLD}.md")), "passed\n").unwrap();
    fs::write(folder.join(format!("opt/soak/{}.md", super::NEW)), "passed\n").unwrap();
    fs::write(folder.join("log/daemon.log"), "ERROR StateRootMismatch block=0bad\n").unwrap();
    for key in ["host", "key"] {
        let file = folder.join(key).display().to_string();
        process::run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &file]);
    }
    fs::copy(folder.join("key.pub"), folder.join("authorized")).unwrap();
    let host_key = fs::read_to_string(folder.join("host.pub")).unwrap();
    fs::write(folder.join("known_hosts"), format!("* {host_key}")).unwrap();

    let script = |path: &str, text: &str| {
        fs::write(folder.join(path), text).unwrap();
        fs::set_permissions(folder.join(path), fs::Permissions::from_mode(0o755)).unwrap();
    };
    let stand_in = format!(
        "#!/bin/bash\nname=${{0##*/}}\n[ \"$name\" = sudo ] && exec \"$@\"\n\
         exec 3<>/dev/tcp/127.0.0.1/{commands} || exit 255\n\
         printf '%s %s %s\\n' \"$COIN_HOST\" \"$name\" \"${{*//$'\\n'/ }}\" >&3\n\
         read -r code <&3 || exit 255\n/bin/cat <&3\nexit \"$code\"\n"
    );
    for name in COMMANDS {
        script(&format!("bin/{name}"), &stand_in);
    }
    for name in SCRIPTS {
        script(&format!("opt/scripts/{name}"), &stand_in);
    }
    // whose address was called says which host this is
    let each: Vec<String> =
        names().iter().map(|host| format!("{}) COIN_HOST={host} ;;", address(host))).collect();
    let bin = folder.join("bin").display().to_string();
    let session = format!(
        "#!/bin/bash\nread -r _ _ called _ <<<\"$SSH_CONNECTION\"\ncase $called in\n{}\nesac\n\
         export COIN_HOST PATH={bin}:$PATH\nexec /bin/sh -c \"$SSH_ORIGINAL_COMMAND\"\n",
        each.join("\n")
    );
    script("session", &session);
}

fn launch(folder: &Path, number: usize, hosts: &[String], port: u16) -> Process {
    let path = |name: &str| folder.join(name).display().to_string();
    if process::run("id", &["-u"]).trim() == "0" {
        // where sshd of Debian separates its privileges when it has any
        drop(fs::create_dir("/run/sshd"));
    }
    let listens: Vec<String> =
        hosts.iter().map(|host| format!("ListenAddress {}:{port}", address(host))).collect();
    // a home of its own: what the shell of whoever runs the tests reads at its start may take long, or wait for locks
    let config = format!(
        "{}\nHostKey {}\nAuthorizedKeysFile {}\nForceCommand {}\nSetEnv HOME={}\nPidFile none\nUsePAM no\n\
         StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n\
         MaxStartups 100\n",
        listens.join("\n"),
        path("host"),
        path("authorized"),
        path("session"),
        folder.display(),
    );
    let file = format!("sshd_config.{number}");
    fs::write(folder.join(&file), config).unwrap();
    let sshd = "/usr/sbin/sshd";
    assert!(Path::new(sshd).exists(), "install openssh-server: tests/install.sh does it");
    Process::start([sshd, "-D", "-e", "-f", &path(&file)], &[], &folder.join("sshd.log"))
}

async fn greets(address: &str, port: u16) -> Result<(), String> {
    let mut stream =
        TcpStream::connect((address, port)).await.map_err(|error| error.to_string())?;
    let mut greeting = [0; 4];
    stream.read_exact(&mut greeting).await.map_err(|error| error.to_string())?;
    if &greeting == b"SSH-" { Ok(()) } else { Err(format!("{greeting:?}")) }
}
