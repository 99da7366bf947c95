//! Wires the parts, starts them, and stops them in order.
//!
//! Stopping: no new alerts (503), answers for those accepted, no new steps; what is in flight ends, or is found by
//! the next start. Then the journal is closed.

pub(crate) mod alone;
mod reload;

use std::fs;
use std::io::ErrorKind;
use std::io::Write as _;
use std::net::SocketAddr;
use std::num::NonZero;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::runtime::Handle;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api;
use crate::app::alone::Alone;
use crate::clock::Clock;
use crate::clock::random_key;
use crate::engine::Engine;
use crate::engine::audit;
use crate::engine::explain;
use crate::engine::outside::Outside;
use crate::engine::surroundings;
use crate::error::Error;
use crate::library::Library;
use crate::store::Store;
use crate::store::alerts::Intake;
use crate::store::sqlite_file;
use crate::telemetry::Metrics;
use crate::wake::Reloaded;
use crate::wake::Wake;

/// A client that does not finish its headers in this time is cut off.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// Requests under way may take this long to end when the server stops.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// Steps under way may take this long to end when the server stops; then they are killed, and found in flight.
const STEPS_WITHIN: Duration = Duration::from_mins(1);
/// Alerts explained at once.
const EXPLAINED_AT_ONCE: usize = 4;

/// A quell that runs.
#[derive(Debug)]
pub struct App {
    /// What the loops share.
    pub engine: Engine,
    /// Where it listens.
    pub address: SocketAddr,
    http: axum_server::Handle<SocketAddr>,
    server: JoinHandle<std::io::Result<()>>,
    edge: Edge,
    writer: JoinHandle<()>,
    alone: Option<Alone>,
}

impl App {
    /// Starts everything; returns when it listens.
    pub async fn start(library: Library, clock: Clock) -> Result<Self, Error> {
        let config = &library.config;
        // before the first look at the database: nobody else may be changing it
        let alone = sqlite_file(config.storage.reveal()).map(Alone::with).transpose()?;
        let store = Store::open(config.storage.reveal(), clock).await?;
        let clock = store.clock().clone();
        let link_key = link_key(&library)?;
        let audit_key = audit::ready_key(&library.config).map_err(|why| {
            Error::new("Q0419", format!("the key of the audit cannot be used: {why}"))
                .hint("put back the file, or name a key under `audit.signing_key`; `quell audit key new FILE` makes one")
        })?;
        if audit_key.is_none() {
            tracing::warn!("nothing signs the audit: quell.yml has no `audit.signing_key`");
        }
        let listener = TcpListener::bind(config.listen).await.map_err(|error| {
            let words = match error.kind() {
                ErrorKind::AddrInUse => "another process listens there".to_owned(),
                ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
                _ => error.to_string(),
            };
            Error::new("Q0406", format!("could not listen on {}: {words}", config.listen))
                .hint("choose another address under `listen:`, or stop what uses it")
        })?;
        let address = listener
            .local_addr()
            .map_err(|error| Error::new("Q0406", format!("could not listen: {error}")))?;
        let (wake, reloads) = Wake::new();
        let wake = Arc::new(wake);
        let committed = Arc::clone(&wake);
        let limit = config.ingest.max_waiting_alerts;
        let (intake, writer) =
            Intake::new(store.clone(), limit, move || committed.intake.notify_one());
        let tasks = TaskTracker::new();
        // the writer outlives the tasks that feed it, so the tracker does not hold it
        let writer = TaskTracker::new().spawn(writer);
        let metrics = Arc::new(Metrics::default());
        #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 rules")]
        metrics.rules.set(library.rules.rules().len() as f64);
        metrics.loaded(clock.now());
        let engine = Engine {
            store: store.clone(),
            library: Arc::new(ArcSwap::from_pointee(library)),
            wake: Arc::clone(&wake),
            clock: clock.clone(),
            outside: Outside::World,
            metrics: Arc::clone(&metrics),
            owner: owner(),
            link_key: link_key.clone(),
            intake: intake.clone(),
            turns: Arc::default(),
            judging: Arc::default(),
            queue: Arc::default(),
            troubles: Arc::default(),
            audit: Arc::default(),
            stop: CancellationToken::new(),
            tasks,
        };
        // before anything is claimed: the clock may have been set while quell was down
        surroundings::keep_time(&store, &metrics).await.map_err(|error| unusable(&error))?;
        // rules may have changed while quell was down, and holds may have ended
        store.wake_all_episodes().await.map_err(|error| unusable(&error))?;
        if alone.is_some() {
            let held = store.release_abandoned().await.map_err(|error| unusable(&error))?;
            if held > 0 {
                tracing::warn!(held, "the process before died at work; going on where it was");
            }
        }
        engine.start();
        reload::start(&engine, reloads);
        let explain = explains(&engine);
        let state = api::State {
            store,
            library: Arc::clone(&engine.library),
            intake,
            wake,
            metrics,
            link_key,
            clock,
            explain,
        };
        let http = axum_server::Handle::new();
        let edge = Edge::new()?;
        let server = serve(&edge, listener, api::router(state), http.clone())?;
        Ok(Self { engine, address, http, server, edge, writer, alone })
    }

    /// Stops in order; returns when everything is on disk.
    pub async fn stop(self) {
        self.engine.wake.draining.store(true, Ordering::Release);
        self.http.graceful_shutdown(Some(ANSWERS_WITHIN));
        if let Ok(Err(error)) = self.server.await {
            tracing::error!(%error, "the HTTP server ended badly");
        }
        drop(self.edge);
        self.engine.stop.cancel();
        self.engine.tasks.close();
        if tokio::time::timeout(STEPS_WITHIN, self.engine.tasks.wait()).await.is_err() {
            tracing::warn!("steps were still under way; the next start finds them in flight");
        }
        audit::finish(&self.engine).await;
        let store = self.engine.store.clone();
        // the writer ends when the last of those who feed it is gone
        drop(self.engine);
        if tokio::time::timeout(ANSWERS_WITHIN, self.writer).await.is_err() {
            tracing::warn!(
                "alerts were still waiting to be stored; their senders were not told 200"
            );
        }
        store.close().await;
        drop(self.alone);
    }

    /// Loads the files again, as SIGHUP does.
    pub async fn reload(&self) -> Reloaded {
        let (answer, answered) = oneshot::channel();
        if self.engine.wake.reload.send(answer).await.is_err() {
            return Err("quell is stopping".into());
        }
        answered.await.unwrap_or_else(|_| Err("quell is stopping".into()))
    }
}

/// Explains alerts for whoever may read, a few at a time: each asks Alertmanager and Prometheus.
fn explains(engine: &Engine) -> api::Explain {
    let engine = engine.clone();
    let slots = Arc::new(Semaphore::new(EXPLAINED_AT_ONCE));
    Arc::new(move |question| {
        let (engine, slots) = (engine.clone(), Arc::clone(&slots));
        Box::pin(async move {
            let _slot = slots.acquire().await;
            explain::explain(&engine, &question).await
        })
    })
}

fn unusable(error: &crate::store::StoreError) -> Error {
    Error::new("Q0404", format!("the database cannot be used: {error}"))
}

/// The threads of the HTTP server, which are its own: of thousands of connections with something to say, none stands in line
/// before what stores and acts.
#[derive(Debug)]
struct Edge {
    handle: Handle,
    threads: Option<Runtime>,
}

impl Edge {
    fn new() -> Result<Self, Error> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads = Builder::new_multi_thread()
            .thread_name("edge")
            .worker_threads(cores)
            .enable_all()
            .build();
        let failed = |error| Error::new("Q0406", format!("could not start threads: {error}"));
        let threads = threads.map_err(failed)?;
        Ok(Self { handle: threads.handle().clone(), threads: Some(threads) })
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            // who drops it may be a task, which must not wait
            threads.shutdown_background();
        }
    }
}

/// The HTTP server, with a deadline for headers, which `axum::serve` does not have.
fn serve(
    edge: &Edge,
    listener: TcpListener,
    router: axum::Router,
    handle: axum_server::Handle<SocketAddr>,
) -> Result<JoinHandle<std::io::Result<()>>, Error> {
    let failed = |error| Error::new("Q0406", format!("could not listen: {error}"));
    let listener = listener.into_std().map_err(failed)?;
    let mut server = axum_server::from_tcp(listener).map_err(failed)?.handle(handle);
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
    server.http_builder().http2().timer(TokioTimer::new());
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    Ok(edge.handle.spawn(server.serve(service)))
}

/// The key that signs links: configured, or a file beside the `SQLite` database, made when missing.
fn link_key(library: &Library) -> Result<Arc<[u8]>, Error> {
    if let Some(key) = &library.config.link_key {
        return Ok(key.reveal().as_bytes().into());
    }
    let storage = library.config.storage.reveal();
    let file = match sqlite_file(storage) {
        Some(file) => PathBuf::from(format!("{}.link-key", file.display())),
        None => {
            return Err(Error::new("Q0405", "`link_key` is missing: replicas must sign links alike")
                .hint("add `link_key: \"${file:/etc/quell/link-key}\"` to quell.yml, with at least 32 random characters"));
        }
    };
    read_or_make_key(&file).map_err(|error| {
        Error::new(
            "Q0405",
            format!("could not read or make the link key {}: {error}", file.display()),
        )
        .hint("the folder of the database must be writable")
    })
}

fn read_or_make_key(file: &Path) -> std::io::Result<Arc<[u8]>> {
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(mut new) => {
            let key = random_key();
            new.write_all(&key)?;
            new.sync_all()?;
            Ok(key.to_vec().into())
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let key = fs::read(file)?;
            if key.len() < 32 {
                return Err(std::io::Error::other(
                    "it is shorter than 32 bytes; delete it to make a new one",
                ));
            }
            Ok(key.into())
        }
        Err(error) => Err(error),
    }
}

/// Names this process in claims: unique over restarts.
fn owner() -> String {
    let random: String =
        random_key().iter().take(4).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    format!("{}-{random}", std::process::id())
}
