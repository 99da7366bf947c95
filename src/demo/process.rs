//! Owns the shop's process, and restarts it on its port when asked.
//!
//! ```text
//! quell demo ── Supervisor ──owns──▶ quell demo-shop ──lifeline──┐
//!                    │ listens on                                ▼
//!                    └────────────▶ supervisor.sock ◀──restart── quell demo-restart-shop (a step of a playbook)
//! ```
//!
//! The command asks and waits; only the supervisor starts and ends processes, so that none is left behind:
//! dropping it kills the shop, and when the demo is killed itself, the lifeline closes and the shop ends.

use std::fmt;
use std::fs::OpenOptions;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::AsyncBufReadExt;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::BufReader;
use tokio::net::UnixListener;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::demo::ready;
use crate::demo::ready::Starting;
use crate::demo::shop;
use crate::error::Error;
use crate::error::chain;
use crate::exec;
use crate::exec::Output;
use crate::exec::Running;
use crate::exec::Spawn;

/// What a connection says to have the shop restarted.
const RESTART: &str = "restart";

/// Longest request or answer on the socket, in bytes.
const MAX_MESSAGE: u64 = 16 << 10;

/// Longest time the shop may take to end and to start.
const GRACE: Duration = Duration::from_secs(2);
const STARTS_WITHIN: Duration = Duration::from_secs(10);

/// How long the command waits for the supervisor: longer than a restart may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(15);

/// How to run the shop.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The program that serves the shop, before the shop's own arguments: `quell demo-shop`.
    pub program: Vec<String>,
    /// A folder for the socket, the port file and the log; only its owner may enter it.
    pub folder: PathBuf,
    /// Requests per second that the shop sends itself.
    pub rate: u32,
}

/// A shop that was restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restarted {
    /// Where it listens, as before.
    pub address: SocketAddr,
    /// Process id before.
    pub before: u32,
    /// Process id now.
    pub now: u32,
    /// How long nobody answered, at most.
    pub took: Duration,
}

impl fmt::Display for Restarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, before, now, took } = self;
        let ms = took.as_millis();
        write!(f, "shop restarted on {address} in {ms} ms: process {before} ended, {now} answers")
    }
}

/// The running shop. Dropping it kills the shop.
#[derive(Debug)]
pub struct Supervisor {
    address: SocketAddr,
    socket: PathBuf,
    orders: mpsc::Sender<Order>,
    tasks: JoinSet<()>,
}

/// Someone who wants a restart, and waits for how it went.
type Order = oneshot::Sender<Result<Restarted, Error>>;

/// This program, to be run again: its path, and the words after it.
pub fn ourselves(arguments: &[&str]) -> Result<Vec<String>, Error> {
    let path = std::env::current_exe()
        .map_err(|error| Error::new("Q0906", "cannot find quell's own program").because(error))?;
    let path = path.into_os_string().into_string().map_err(|path| {
        let path = path.display();
        Error::new("Q0906", format!("{path}: the path of quell is not UTF-8; move it elsewhere"))
    })?;
    Ok(std::iter::once(path).chain(arguments.iter().map(|&it| it.to_owned())).collect())
}

impl Supervisor {
    /// Starts the shop on a free port and waits until it answers.
    pub async fn start(setup: Setup) -> Result<Self, Error> {
        let socket = setup.folder.join("supervisor.sock");
        let listener = UnixListener::bind(&socket).map_err(|error| {
            Error::new("Q0907", format!("{}: cannot listen", socket.display())).because(error)
        })?;
        let mut ward = Ward::new(setup, socket.clone());
        ward.start().await?;

        let (orders, queue) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        let address = ward.address();
        tasks.spawn(supervise(ward, listener, orders.clone(), queue));
        Ok(Self { address, socket, orders, tasks })
    }

    /// Where the shop listens; the same after a restart.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where [`restart_shop`] asks.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Kills the shop's process, starts a new one on the same port, and waits until it answers.
    pub async fn restart(&self) -> Result<Restarted, Error> {
        order(&self.orders).await
    }

    /// Ends the shop, and returns when its process is gone.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

/// `quell demo-restart-shop`: asks the supervisor at `socket` to restart the shop, waits until it answers, and
/// says so in one line.
pub async fn restart_shop(socket: &Path) -> Result<String, Error> {
    let lost = |error: std::io::Error| {
        Error::new("Q0908", format!("{}: the demo does not answer", socket.display()))
            .because(error)
            .hint("is `quell demo` still running?")
    };
    let asking = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(format!("{RESTART}\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.take(MAX_MESSAGE).read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(ANSWERS_WITHIN, asking)
        .await
        .map_err(|late| lost(late.into()))?
        .map_err(lost)?;
    match answer.trim_end().split_once(' ') {
        Some(("ok", said)) => Ok(said.to_owned()),
        Some(("error", said)) => Err(Error::new("Q0909", said)),
        _ => Err(lost(std::io::ErrorKind::UnexpectedEof.into())),
    }
}

/// Serves orders, and connections that bring some, until it is dropped.
async fn supervise(
    mut ward: Ward,
    listener: UnixListener,
    orders: mpsc::Sender<Order>,
    mut queue: mpsc::Receiver<Order>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(order) = queue.recv() => {
                // whoever asked may have gone; the restart is done all the same
                let _gone = order.send(ward.restart().await);
            }
            Ok((stream, _)) = listener.accept() => {
                connections.spawn(attend(stream, orders.clone()));
            }
            Some(_) = connections.join_next() => {}
            else => return,
        }
    }
}

/// Serves one connection: a restart, or a lifeline that is held until either side ends.
async fn attend(stream: UnixStream, orders: mpsc::Sender<Order>) {
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::new(reading.take(MAX_MESSAGE));
    let mut request = String::new();
    if reading.read_line(&mut request).await.is_err() {
        return;
    }
    let answer = match request.trim_end() {
        shop::LIFELINE => {
            let _ended = reading.read_line(&mut request).await;
            return;
        }
        RESTART => match order(&orders).await {
            Ok(restarted) => format!("ok {restarted}\n"),
            Err(error) => format!("error {}\n", chain(&error)),
        },
        _ => format!("error unknown request; expected {RESTART}\n"),
    };
    // whoever asked may have gone
    let _gone = writing.write_all(answer.as_bytes()).await;
}

async fn order(orders: &mpsc::Sender<Order>) -> Result<Restarted, Error> {
    let ended = || Error::new("Q0909", "the demo is ending");
    let (order, done) = oneshot::channel();
    orders.send(order).await.map_err(|_| ended())?;
    done.await.map_err(|_| ended())?
}

/// The process that is looked after.
#[derive(Debug)]
struct Ward {
    setup: Setup,
    socket: PathBuf,
    /// 0 until the first process has taken a free one.
    port: u16,
    running: Option<Running>,
}

impl Ward {
    fn new(setup: Setup, socket: PathBuf) -> Self {
        Self { setup, socket, port: 0, running: None }
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    async fn restart(&mut self) -> Result<Restarted, Error> {
        let began = Instant::now();
        let before = self.running.as_ref().map(Running::pid).unwrap_or_default();
        if let Some(running) = self.running.take() {
            running.terminate(GRACE).await;
        }
        let now = self.start().await?;
        Ok(Restarted { address: self.address(), before, now, took: began.elapsed() })
    }

    /// Starts a process, waits until it answers, and gives its id.
    async fn start(&mut self) -> Result<u32, Error> {
        let failed = |message| Error::new("Q0905", message);
        let port_file = self.setup.folder.join("shop.port");
        let log = self.setup.folder.join("shop.log");
        let options = shop::Options {
            port_file: port_file.clone(),
            port: self.port,
            rate: self.setup.rate,
            partner_failures: 1,
            lifeline: Some(self.socket.clone()),
        };
        let argv = self.setup.program.iter().cloned().chain(options.arguments()).collect();
        let output = OpenOptions::new().create(true).append(true).open(&log).map_err(|error| {
            Error::new("Q0902", format!("{}: cannot write the log", log.display())).because(error)
        })?;
        if let Err(error) = std::fs::remove_file(&port_file)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            let message = format!("{}: cannot remove the old port", port_file.display());
            return Err(Error::new("Q0902", message).because(error));
        }

        let spawn = Spawn { argv, ..Spawn::default() };
        let mut running = exec::start_to(&spawn, Output::File(output)).map_err(failed)?;
        let pid = running.pid();
        let mut starting =
            Starting { name: "the shop", running: &mut running, log: &log, within: STARTS_WITHIN };
        self.port = ready::until_port(&port_file, &mut starting).await?;
        let url = format!("http://{}/health", self.address());
        ready::until_answers(&url, &mut starting).await?;
        self.running = Some(running);
        Ok(pid)
    }
}

#[cfg(test)]
mod tests;
