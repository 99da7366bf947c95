//! The Operator Control Center: its metrics and endpoints, its code as a real git repository with two releases, and the commands
//! of its host that the runbook uses, which come before the real ones in quell's `PATH`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::routing::post;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::rigs::site::Plan;
use crate::rigs::stand;
use crate::rigs::stand::Effects;
use crate::support::http::Served;
use crate::support::process;

/// What is checked out and runs at the beginning; before it ran the release whose branch ends in `-previous`.
pub(crate) const CURRENT: &str = "release/v1.2.0";
/// Where the runbook has OCC, its backups and its scripts, and where the rig has them.
const PLACES: [(&str, &str); 3] =
    [("/opt/occ", "home"), ("/backups/occ", "backups"), ("/usr/local/lib/occ", "lib")];
const ADDRESS: &str = "http://occ.example.com:8000";
const REQUESTS_PER_SECOND: f64 = 100.0;

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It answers nobody, until it is started anew.
    Hung,
    /// 12 % of requests fail while the current release runs; a restart does not help.
    BadRelease,
    /// 5000 PDOs wait until there is one worker more.
    LongQueue,
    /// Somebody activated the kill switch, and then it hung.
    KilledAndHung,
}

/// The service and its host.
#[derive(Debug)]
pub(crate) struct Occ {
    served: Served,
    host: Arc<Host>,
}

#[derive(Debug)]
struct Host {
    effects: Effects,
    folder: TempDir,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    fault: Fault,
    /// The start, as the file `running` has it, that the fault came upon.
    since: String,
    /// Whether its metrics have shown the kill switch.
    seen: bool,
    succeeded: f64,
    failed: f64,
    counted_until: Instant,
}

impl Occ {
    /// Healthy; the current release runs.
    pub(crate) async fn start() -> Self {
        let this = Self::before_the_update().await;
        this.update();
        this
    }

    /// Healthy; the release before the current one runs.
    pub(crate) async fn before_the_update() -> Self {
        let folder = TempDir::new().unwrap();
        let effects = Effects::new();
        install(folder.path(), &effects);
        let inner = Inner {
            fault: Fault::None,
            since: String::new(),
            seen: false,
            succeeded: 360_000.0,
            failed: 0.0,
            counted_until: Instant::now(),
        };
        let host = Arc::new(Host { effects, folder, inner: Mutex::new(inner) });
        let router = Router::new()
            .route("/health", get(health))
            .route("/health/ready", get(health))
            .route("/health/live", get(health))
            .route("/metrics", get(metrics))
            .route("/version", get(version))
            .route("/api/v1/occ/status", get(status))
            .route("/admin/drain", post(drain))
            .with_state(Arc::clone(&host));
        Self { served: Served::start(router).await, host }
    }

    /// The runbook's site with this OCC in it.
    pub(crate) fn plan(&self) -> Plan {
        let bin = self.host.path("bin");
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let plan = PLACES.iter().fold(Plan::of("occ"), |plan, (there, here)| {
            plan.replacing(there, self.host.path(here).to_str().unwrap())
        });
        plan.replacing(ADDRESS, &self.served.url(""))
            .env("OCC_URL", &self.served.url(""))
            .env("PATH", &path)
            .scraping("occ", self.served.address())
    }

    /// A person makes the current release run.
    pub(crate) fn update(&self) {
        self.host.git(&["checkout", "--quiet", CURRENT]);
        fs::write(self.host.path("state/running"), format!("{CURRENT} 0\n")).unwrap();
    }

    /// The current release changed the schema of the database.
    pub(crate) fn changed_the_schema(&self) {
        self.host.git(&["checkout", "--quiet", CURRENT]);
        fs::write(self.host.path("home/alembic/versions/0002.py"), "# the second\n").unwrap();
        self.host.git(&["add", "."]);
        self.host.git(&["commit", "--quiet", "--message", "a column more"]);
    }

    /// A release that may be asked for, with a branch of its own.
    pub(crate) fn releases(&self, version: &str) {
        self.host.git(&["branch", &format!("release/{version}")]);
    }

    /// Makes it ill, or well.
    pub(crate) fn fault(&self, fault: Fault) {
        let started = self.host.running().unwrap_or_default();
        let mut inner = self.host.inner.lock().unwrap();
        inner.fault = fault;
        inner.since = started;
    }

    /// What was done to it: commands of its host, and requests that change something.
    pub(crate) fn effects(&self) -> &Effects {
        &self.host.effects
    }
}

impl Host {
    fn git(&self, arguments: &[&str]) {
        git(&self.path("home"), arguments);
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    /// The release that runs and the number of its start; `None` while it is stopped.
    fn running(&self) -> Option<String> {
        fs::read_to_string(self.path("state/running")).ok()
    }

    /// Its release, when it answers.
    fn answers(&self) -> Option<String> {
        let running = self.running()?;
        let inner = self.inner.lock().unwrap();
        let hangs = inner.fault == Fault::Hung
            // a switch that nobody saw before would not be known of
            || inner.fault == Fault::KilledAndHung && inner.seen;
        let hung = hangs && inner.since == running;
        (!hung).then(|| running.split_whitespace().next().unwrap_or_default().to_owned())
    }
}

/// What its proxy says for it while it does not answer.
const AWAY: (StatusCode, String) = (StatusCode::BAD_GATEWAY, String::new());

async fn health(State(host): State<Arc<Host>>) -> (StatusCode, String) {
    match host.answers() {
        Some(_) => (StatusCode::OK, r#"{"status":"healthy"}"#.to_owned()),
        None => AWAY,
    }
}

async fn version(State(host): State<Arc<Host>>) -> (StatusCode, String) {
    match host.answers() {
        Some(release) => (StatusCode::OK, format!(r#"{{"version":"{}"}}"#, number(&release))),
        None => AWAY,
    }
}

async fn status(State(host): State<Arc<Host>>) -> (StatusCode, String) {
    match host.answers() {
        Some(_) => (StatusCode::OK, r#"{"kill_switch_active":false}"#.to_owned()),
        None => AWAY,
    }
}

async fn drain(State(host): State<Arc<Host>>) -> StatusCode {
    host.effects.note("POST /admin/drain");
    StatusCode::OK
}

async fn metrics(State(host): State<Arc<Host>>) -> (StatusCode, String) {
    let Some(release) = host.answers() else { return AWAY };
    let mut inner = host.inner.lock().unwrap();
    let now = Instant::now();
    let requests = now.duration_since(inner.counted_until).as_secs_f64() * REQUESTS_PER_SECOND;
    inner.counted_until = now;
    let bad = inner.fault == Fault::BadRelease && release == CURRENT;
    let share = if bad { 0.12 } else { 0.0 };
    inner.failed += requests * share;
    inner.succeeded += requests * (1.0 - share);
    let killed = inner.fault == Fault::KilledAndHung;
    inner.seen |= killed;
    let long = inner.fault == Fault::LongQueue && !host.path("state/workers").exists();
    let all = (inner.succeeded + inner.failed).floor();
    let text = stand::page(&[
        (r#"occ_request_duration_seconds_count{status="200"}"#, inner.succeeded.floor()),
        (r#"occ_request_duration_seconds_count{status="500"}"#, inner.failed.floor()),
        (r#"occ_request_duration_seconds_bucket{le="1"}"#, all),
        (r#"occ_request_duration_seconds_bucket{le="+Inf"}"#, all),
        (r#"occ_pdo_by_state{state="queued"}"#, if long { 5000.0 } else { 10.0 }),
        ("occ_signing_available", 1.0),
        (&format!(r#"occ_build_info{{version="{}"}}"#, number(&release)), 1.0),
        ("occ_kill_switch_active", f64::from(u8::from(killed))),
        ("occ_audit_chain_valid", 1.0),
    ]);
    (StatusCode::OK, text)
}

/// `v1.2.0` of `release/v1.2.0`; what ran before it says v1.1.0.
fn number(release: &str) -> &str {
    if release.ends_with("-previous") { "v1.1.0" } else { release.trim_start_matches("release/") }
}

fn git(home: &Path, arguments: &[&str]) {
    let home = home.to_str().unwrap();
    let all = ["-C", home, "-c", "user.name=occ", "-c", "user.email=occ@example.com"];
    process::run("git", &[&all, arguments].concat());
}

/// The repository, and the commands.
fn install(folder: &Path, effects: &Effects) {
    for inside in ["home/.venv/bin", "home/alembic/versions", "backups", "lib", "bin", "state"] {
        fs::create_dir_all(folder.join(inside)).unwrap();
    }
    let home = folder.join("home");
    let git = |arguments: &[&str]| git(&home, arguments);
    git(&["init", "--quiet", "--initial-branch", "main"]);
    fs::write(home.join("requirements.txt"), "fastapi==0.115\n").unwrap();
    fs::write(home.join(".gitignore"), ".venv\n.staging\n").unwrap();
    fs::write(home.join("alembic/versions/0001.py"), "# the first\n").unwrap();
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message", "v1.1.0"]);
    git(&["branch", &format!("{CURRENT}-previous")]);
    git(&["checkout", "--quiet", "-b", CURRENT]);
    fs::write(home.join("requirements.txt"), "fastapi==0.116\n").unwrap();
    git(&["commit", "--quiet", "--all", "--message", "v1.2.0"]);
    git(&["remote", "add", "origin", home.to_str().unwrap()]);
    git(&["checkout", "--quiet", &format!("{CURRENT}-previous")]);
    let state = folder.join("state");
    let script = |path: &str, text: &str| {
        let text = text
            .replace("@home@", home.to_str().unwrap())
            .replace("@state@", state.to_str().unwrap());
        let text = text.replace("@effects@", effects.file().to_str().unwrap());
        let path = folder.join(path);
        fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    script(
        "bin/systemctl",
        r#"case $1 in
  is-active) test -e @state@/running || exit 3; exit 0 ;;
  start | restart) echo "$(git -C @home@ symbolic-ref --short HEAD) $(date +%s%N)" >@state@/running ;;
  stop) rm -f @state@/running ;;
  kill) touch @state@/workers ;;
esac
echo "systemctl $*" >>@effects@
"#,
    );
    script("bin/journalctl", "echo 'occ[1]: worker 3 does not answer'\n");
    script("lib/verify-audit-chain", "exit 0\n");
    for program in ["pip", "pytest"] {
        let path = format!("home/.venv/bin/{program}");
        script(
            &path,
            &format!(
                "cd @home@ || exit 2\necho \"{program} $1\" >>@effects@\ncat requirements.txt\n"
            ),
        );
    }
    fs::write(state.join("running"), format!("{CURRENT}-previous 0\n")).unwrap();
}
