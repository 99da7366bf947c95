//! mARB 2.0 on its host: an API, Celery and nginx as units of a service manager, a real Redis with Celery's queue, a real
//! `PostgreSQL`, its code as a real git repository with a version that was good, and the commands of the runbook. Its metrics are
//! those of `node_exporter`, `blackbox_exporter` and `redis_exporter`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use redis::AsyncCommands as _;
use sqlx::Connection as _;
use sqlx::PgConnection;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::rigs::site::Plan;
use crate::rigs::stand;
use crate::rigs::stand::Effects;
use crate::rigs::units::Units;
use crate::support::http::Served;
use crate::support::postgres;
use crate::support::process;
use crate::support::redis::Redis;

/// Unit of the API.
pub(crate) const API: &str = "marb2.0.service";
/// Unit of the worker.
pub(crate) const CELERY: &str = "marb2.0-celery.service";
const NGINX: &str = "nginx.service";
const UNITS: [&str; 3] = [API, CELERY, NGINX];

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The API's process ends, and its unit is failed.
    Crashed,
    /// The API's process runs and answers nobody, until it is started anew.
    Hung,
    /// The worker takes no tasks, until it is started anew.
    Standing,
    /// Four workers of the API need nearly all memory; two do not.
    Hungry,
    /// The version that is checked out answers 503, however often it is started.
    Broken,
}

/// The host.
#[derive(Debug)]
pub(crate) struct Marb {
    served: Served,
    host: Arc<Host>,
    units: Arc<Units>,
    database: String,
    _working: JoinSet<()>,
}

#[derive(Debug)]
struct Host {
    effects: Effects,
    folder: TempDir,
    redis: Redis,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "faults, in any combination")]
struct Inner {
    /// How many workers the API was last started with.
    workers: u32,
    hung: bool,
    standing: bool,
    hungry: bool,
    broken: bool,
}

/// What its handlers look at.
#[derive(Clone)]
struct Seen {
    host: Arc<Host>,
    units: Arc<Units>,
}

impl Marb {
    /// Healthy; a version that was never verified runs on top of `last-good`. `migrated`: with a migration between the two.
    pub(crate) async fn start(migrated: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let effects = Effects::new();
        install(folder.path(), &effects, migrated);
        let inner =
            Inner { workers: 4, hung: false, standing: false, hungry: false, broken: false };
        let redis = Redis::start().await;
        let host = Arc::new(Host { effects, folder, redis, inner: Mutex::new(inner) });
        let asked = Arc::clone(&host);
        let becomes = Box::new(move |member: &str, unit: &str| asked.becomes(member, unit));
        let units = Arc::new(Units::start(&UNITS, becomes).await);
        let database = postgres::database().await;
        let mut connection = PgConnection::connect(&database).await.unwrap();
        sqlx::query("CREATE TABLE claims (id bigint PRIMARY KEY)")
            .execute(&mut connection)
            .await
            .unwrap();
        sqlx::query("INSERT INTO claims SELECT generate_series(1, 100)")
            .execute(&mut connection)
            .await
            .unwrap();
        let seen = Seen { host: Arc::clone(&host), units: Arc::clone(&units) };
        let mut working = JoinSet::new();
        working.spawn(work(seen.clone()));
        let router = Router::new()
            .route("/api/v1/health", get(health))
            .route("/api/v1/claims", get(async || StatusCode::UNAUTHORIZED))
            .route("/docs", get(async || StatusCode::OK))
            .route("/metrics", get(metrics))
            .with_state(seen);
        let served = Served::start(router).await;
        Self { served, host, units, database, _working: working }
    }

    /// The runbook's site with this host in it.
    pub(crate) fn plan(&self) -> Plan {
        let path =
            format!("{}:{}", self.host.path("bin").display(), std::env::var("PATH").unwrap());
        Plan::of("marb")
            .replacing("/opt/marb2.0", self.host.path("home").to_str().unwrap())
            .replacing("127.0.0.1:8000", &self.served.address())
            .replacing("api.yourdomain.com:443", &self.served.address())
            .replacing("bus: system", &format!("bus: {}", self.units.address()))
            .env("QUELL_MARB_DATABASE_URL", &self.database)
            .env("QUELL_MARB_REDIS_URL", self.host.redis.url())
            .env("PATH", &path)
            .scraping("marb-node", self.served.address())
            .scraping("marb-health", self.served.address())
    }

    /// Makes it ill.
    pub(crate) fn fault(&self, fault: Fault) {
        let mut inner = self.host.inner.lock().unwrap();
        match fault {
            Fault::Crashed => self.units.set(API, "failed"),
            Fault::Hung => inner.hung = true,
            Fault::Standing => inner.standing = true,
            Fault::Hungry => inner.hungry = true,
            Fault::Broken => inner.broken = true,
        }
    }

    /// So many tasks more wait in Celery's queue.
    pub(crate) async fn enqueue(&self, tasks: usize) {
        let mut redis = self.host.redis.connect().await;
        for _ in 0..tasks {
            let _: i64 = redis.rpush("celery", "{}").await.unwrap();
        }
    }

    /// How many tasks wait.
    pub(crate) async fn queued(&self) -> u64 {
        queued(&self.host).await
    }

    /// What was asked of its units, and the commands of the application that were run, in order.
    pub(crate) fn effects(&self) -> &Effects {
        &self.host.effects
    }

    /// The version that is checked out: `v2.0.0` or `v2.1.0`.
    pub(crate) fn version(&self) -> String {
        self.host.version()
    }

    /// Workers of the API.
    pub(crate) fn workers(&self) -> u32 {
        self.host.inner.lock().unwrap().workers
    }
}

impl Host {
    fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    fn version(&self) -> String {
        fs::read_to_string(self.path("home/version")).unwrap().trim().to_owned()
    }

    /// What the unit is after this was asked of it.
    fn becomes(&self, member: &str, unit: &str) -> &'static str {
        self.effects.note(&format!("{member} {unit}"));
        if member == "StopUnit" {
            return "inactive";
        }
        let mut inner = self.inner.lock().unwrap();
        if unit == API {
            let file = fs::read_to_string(self.path("home/workers.env")).unwrap_or_default();
            let few = file.trim().strip_prefix("MARB_WORKERS=").map(|it| it.parse().unwrap());
            inner.workers = few.unwrap_or(4);
            inner.hung = false;
        } else if unit == CELERY {
            inner.standing = false;
        }
        "active"
    }
}

impl Seen {
    /// What the API answers without nginx; `None`: nothing.
    fn api(&self) -> Option<StatusCode> {
        let version = self.host.version();
        let inner = self.host.inner.lock().unwrap();
        if self.units.all()[API] != "active" || inner.hung {
            return None;
        }
        let broken = inner.broken && version == "v2.1.0";
        Some(if broken { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK })
    }
}

async fn queued(host: &Host) -> u64 {
    host.redis.connect().await.llen("celery").await.unwrap()
}

/// The worker: a task each tenth of a second.
async fn work(seen: Seen) {
    let mut redis = seen.host.redis.connect().await;
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let stands = seen.host.inner.lock().unwrap().standing;
        if !stands && seen.units.all()[CELERY] == "active" {
            let _: Option<String> = redis.lpop("celery", None).await.unwrap();
        }
    }
}

async fn health(State(seen): State<Seen>) -> (StatusCode, &'static str) {
    match seen.api() {
        Some(StatusCode::OK) => (
            StatusCode::OK,
            r#"{"status":"healthy","database":"connected","redis":"connected","version":"2.0.0"}"#,
        ),
        Some(status) => (status, r#"{"status":"unhealthy"}"#),
        None => (StatusCode::BAD_GATEWAY, ""),
    }
}

async fn metrics(State(seen): State<Seen>) -> String {
    let through_nginx = if seen.units.all()[NGINX] == "active" {
        seen.api().unwrap_or(StatusCode::BAD_GATEWAY).as_u16()
    } else {
        0
    };
    let queued = u32::try_from(queued(&seen.host).await).unwrap();
    let available = {
        let inner = seen.host.inner.lock().unwrap();
        if inner.hungry && inner.workers > 2 { 4e8 } else { 4e9 }
    };
    let mut samples = vec![
        ("probe_success".to_owned(), f64::from(u8::from(through_nginx == 200))),
        ("probe_http_status_code".to_owned(), f64::from(through_nginx)),
        ("node_memory_MemAvailable_bytes".to_owned(), available),
        ("node_memory_MemTotal_bytes".to_owned(), 8e9),
        ("node_vmstat_oom_kill".to_owned(), 0.0),
        (r#"redis_key_size{db="db0",key="celery"}"#.to_owned(), f64::from(queued)),
    ];
    for (unit, is) in seen.units.all() {
        for state in ["active", "failed", "inactive"] {
            let series = format!(r#"node_systemd_unit_state{{name="{unit}",state="{state}"}}"#);
            samples.push((series, f64::from(u8::from(state == is))));
        }
    }
    let samples: Vec<(&str, f64)> = samples.iter().map(|(name, it)| (name.as_str(), *it)).collect();
    stand::page(&samples)
}

/// The repository, and the commands.
fn install(folder: &Path, effects: &Effects, migrated: bool) {
    for inside in ["home/venv/bin", "home/scripts", "home/backups", "home/alembic/versions", "bin"]
    {
        fs::create_dir_all(folder.join(inside)).unwrap();
    }
    let home = folder.join("home");
    let git = |arguments: &[&str]| {
        let place = ["-C", home.to_str().unwrap()];
        let who = ["-c", "user.name=marb", "-c", "user.email=marb@example.com"];
        process::run("git", &[&place[..], &who[..], arguments].concat())
    };
    let release = |version: &str| {
        fs::write(home.join("version"), version).unwrap();
        git(&["add", "version", "alembic"]);
        git(&["commit", "--quiet", "--message", version]);
    };
    git(&["init", "--quiet", "--initial-branch", "main"]);
    fs::write(home.join("alembic/versions/0001.py"), "# the first\n").unwrap();
    release("v2.0.0");
    git(&["tag", "--annotate", "--message", "verified by quell", "last-good"]);
    if migrated {
        fs::write(home.join("alembic/versions/0002.py"), "# the second\n").unwrap();
    }
    release("v2.1.0");
    let script = |path: &str, text: &str| {
        let text = text.replace("@effects@", effects.file().to_str().unwrap());
        let path = folder.join(path);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    script("bin/journalctl", "echo 'worker 3 does not answer'");
    script("bin/ss", "echo 'LISTEN 0 2048 127.0.0.1:8000'");
    script(
        "home/venv/bin/alembic",
        "case $1 in current | heads) echo '0002 (head)' ;; *) echo \"alembic $*\" >>@effects@ ;; esac",
    );
    script("home/scripts/backup_db.sh", "echo backup >>@effects@");
    fs::write(home.join("backups/db_backup_20260105_020000.sql.gz"), "not empty").unwrap();
}
