//! Logs and metrics: their names, and where they go.

use std::io::IsTerminal as _;
use std::sync::atomic::AtomicU64;

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;

/// Logs to standard error: for people on a terminal, JSON lines otherwise. `RUST_LOG` filters.
pub fn log(default_filter: &str) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default_filter));
    // a log that cannot be written, such as on a full disk, must not stop what is logged: complaints about it would
    // go to standard error as well, and panic there
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    // a second call, in tests, keeps the first subscriber
    let set = if std::io::stderr().is_terminal() {
        builder.with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    if let Err(error) = set {
        tracing::debug!(%error, "logging was set up before");
    }
}

/// One label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct By {
    /// What distinguishes the series; the metric's help says what it is.
    pub kind: String,
}

/// The label of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByStatus {
    status: String,
}

/// The label of a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByState {
    state: String,
}

/// The label of a reload or a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    result: String,
}

/// The label of a channel, or of a notification that reached nobody.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByChannel {
    channel: String,
}

/// Two labels of a notification.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Notified {
    channel: String,
    result: String,
}

/// The label of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BySchedule {
    schedule: String,
}

/// Two labels of a check.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Checked {
    check: String,
    health: String,
}

/// Two labels of a build.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: String,
}

/// Everything that `/metrics` shows.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Webhook requests by result: accepted, unchanged, or the HTTP status that refused them.
    pub webhooks: Family<By, Counter>,
    /// Alerts by what they did: opened, reopened, updated, closed, unchanged.
    pub alerts: Family<By, Counter>,
    decisions: Family<By, Counter>,
    runs: Family<ByState, Counter>,
    effects: Family<By, Counter>,
    notifications: Family<Notified, Counter>,
    checks: Family<Checked, Counter>,
    slots_skipped: Family<BySchedule, Counter>,
    events: Counter,
    /// Failures of the store, each tried again.
    pub store_errors: Counter,
    /// Loops that died and were started again.
    pub loop_restarts: Counter,
    notifications_dead: Family<ByChannel, Counter>,
    incidents_open: Family<ByStatus, Gauge>,
    /// Notifications by state; set when scraped.
    pub outbox: Family<By, Gauge>,
    /// Whether anything is paused; set when scraped.
    pub paused: Gauge,
    channels_failing: Family<ByChannel, Gauge>,
    silent: Gauge,
    heartbeats: Family<ByResult, Counter>,
    reconciliations: Family<ByResult, Counter>,
    /// Incidents that ended longer ago than `retention` and were let go.
    pub pruned: Counter,
    /// Alerts that Prometheus fires and Alertmanager does not know, as they were last looked at.
    pub alerts_unlisted: Gauge,
    /// Credentials that were refused and not cleared.
    pub credentials_denied: Gauge,
    reload_successful: Gauge,
    reload_success_at: Gauge<f64, AtomicU64>,
    reloads: Family<ByResult, Counter>,
    /// Alerts accepted and not yet on disk; set when scraped.
    pub waiting_alerts: Gauge<i64, std::sync::atomic::AtomicI64>,
    /// Rules in force.
    pub rules: Gauge<f64, AtomicU64>,
    /// Bytes that are free on the disk under the database.
    pub disk_free: Gauge,
    /// Things that are wrong with the audit, and were not accepted.
    pub audit_findings: Gauge,
    audit_leaves: Gauge,
    audit_waiting: Gauge,
    audit_signed_at: Gauge<f64, AtomicU64>,
    audit_signed_age: Gauge<f64, AtomicU64>,
    audit_anchored: Family<ByResult, Counter>,
    /// Seconds by which the wall clock of this host is ahead of quell's clock.
    pub clock_offset: Gauge<f64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("quell"),
            webhooks: Family::default(),
            alerts: Family::default(),
            decisions: Family::default(),
            runs: Family::default(),
            effects: Family::default(),
            notifications: Family::default(),
            checks: Family::default(),
            slots_skipped: Family::default(),
            events: Counter::default(),
            store_errors: Counter::default(),
            loop_restarts: Counter::default(),
            notifications_dead: Family::default(),
            incidents_open: Family::default(),
            outbox: Family::default(),
            paused: Gauge::default(),
            channels_failing: Family::default(),
            silent: Gauge::default(),
            heartbeats: Family::default(),
            reconciliations: Family::default(),
            pruned: Counter::default(),
            alerts_unlisted: Gauge::default(),
            credentials_denied: Gauge::default(),
            reload_successful: Gauge::default(),
            reload_success_at: Gauge::default(),
            reloads: Family::default(),
            waiting_alerts: Gauge::default(),
            rules: Gauge::default(),
            disk_free: Gauge::default(),
            audit_findings: Gauge::default(),
            audit_leaves: Gauge::default(),
            audit_waiting: Gauge::default(),
            audit_signed_at: Gauge::default(),
            audit_signed_age: Gauge::default(),
            audit_anchored: Family::default(),
            clock_offset: Gauge::default(),
        };
        metrics.register();
        metrics.reload_successful.set(1);
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("webhooks", "Webhook requests by result (kind)", self.webhooks.clone());
        r.register("alerts", "Alerts received by what they did (kind)", self.alerts.clone());
        r.register("decisions", "Judgements by verdict (kind)", self.decisions.clone());
        r.register("runs", "Runs that ended, by state", self.runs.clone());
        r.register("effects", "Actions begun, by action (kind)", self.effects.clone());
        r.register("notifications", "Deliveries by channel and result", self.notifications.clone());
        r.register(
            "notifications_dead",
            "Notifications that reached nobody, by channel",
            self.notifications_dead.clone(),
        );
        r.register("checks", "Observations of checks by health", self.checks.clone());
        r.register(
            "schedule_slots_skipped",
            "Slots of schedules that were left out",
            self.slots_skipped.clone(),
        );
        r.register("journal_events", "Entries written to journals", self.events.clone());
        r.register("store_errors", "Failures of the store", self.store_errors.clone());
        r.register(
            "loop_restarts",
            "Loops that died and were started again",
            self.loop_restarts.clone(),
        );
        r.register(
            "incidents_open",
            "Incidents that are not resolved, by status",
            self.incidents_open.clone(),
        );
        r.register(
            "outbox",
            "Notifications by state (kind); dead ones reached nobody",
            self.outbox.clone(),
        );
        self.register_own();
        self.register_audit();
        let r = &mut self.registry;
        r.register("paused", "1 while anything is paused", self.paused.clone());
        r.register(
            "config_last_reload_successful",
            "1 when the last reload of the files succeeded",
            self.reload_successful.clone(),
        );
        r.register(
            "config_last_reload_success_timestamp_seconds",
            "When the files in force were loaded",
            self.reload_success_at.clone(),
        );
        r.register("config_reloads", "Reloads of the files, by result", self.reloads.clone());
        r.register(
            "waiting_alerts",
            "Alerts accepted and not yet on disk",
            self.waiting_alerts.clone(),
        );
        r.register("rules", "Rules in force", self.rules.clone());
        r.register(
            "disk_free_bytes",
            "Bytes that are free on the disk under the database; 0 while it is not known",
            self.disk_free.clone(),
        );
        r.register(
            "clock_offset_seconds",
            "How far the wall clock of this host is ahead of quell's clock",
            self.clock_offset.clone(),
        );
        let build = Family::<Build, Gauge>::default();
        build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION").into() }).set(1);
        r.register("build_info", "Version of quell", build);
    }

    /// What quell says of itself.
    fn register_own(&mut self) {
        let r = &mut self.registry;
        r.register(
            "channel_failing",
            "1 while a channel reaches nobody",
            self.channels_failing.clone(),
        );
        r.register(
            "silent",
            "1 while every channel fails: nobody can be told of anything",
            self.silent.clone(),
        );
        r.register("heartbeats", "Heartbeats by result", self.heartbeats.clone());
        r.register(
            "incidents_pruned",
            "Incidents let go because they ended longer ago than retention",
            self.pruned.clone(),
        );
        r.register(
            "reconciliations",
            "Looks at what Alertmanager lists, by result: looked, unknown",
            self.reconciliations.clone(),
        );
        r.register(
            "alerts_unlisted",
            "Alerts that Prometheus fires and Alertmanager does not list",
            self.alerts_unlisted.clone(),
        );
        r.register(
            "credentials_denied",
            "Credentials that were refused and not cleared",
            self.credentials_denied.clone(),
        );
    }

    fn register_audit(&mut self) {
        let r = &mut self.registry;
        r.register("audit_leaves", "Records in the audit's log", self.audit_leaves.clone());
        r.register(
            "audit_unsealed",
            "Records that are not in the audit's log yet",
            self.audit_waiting.clone(),
        );
        r.register(
            "audit_checkpoint_timestamp_seconds",
            "When the newest checkpoint of the audit was signed; 0 without one",
            self.audit_signed_at.clone(),
        );
        r.register(
            "audit_checkpoint_age_seconds",
            "Age of the newest checkpoint of the audit; 0 without one",
            self.audit_signed_age.clone(),
        );
        r.register(
            "audit_anchored",
            "Checkpoints written outside the database, by result",
            self.audit_anchored.clone(),
        );
        r.register(
            "audit_findings",
            "Things that are not as they were written, and were not accepted",
            self.audit_findings.clone(),
        );
    }

    /// How the audit stands: leaves, records that wait, and when the newest checkpoint was signed, in microseconds; 0 is never.
    pub fn audit(&self, leaves: u64, waiting: u64, signed_at: i64, now: Timestamp) {
        let count = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
        self.audit_leaves.set(count(leaves));
        self.audit_waiting.set(count(waiting));
        let at = Timestamp::from_microsecond(signed_at).ok().filter(|_| signed_at != 0);
        self.audit_signed_at.set(at.map_or(0.0, |at| at.as_duration().as_secs_f64()));
        self.audit_signed_age.set(at.map_or(0.0, |at| now.duration_since(at).as_secs_f64()));
    }

    /// A checkpoint that was written outside the database, or not: sent or failed.
    pub fn anchored(&self, result: &str) {
        self.audit_anchored.get_or_create(&ByResult { result: result.to_owned() }).inc();
    }

    /// Which channels there are and whether each fails, and whether all do.
    pub fn set_channels<'a>(&self, channels: impl Iterator<Item = (&'a str, bool)>, silent: bool) {
        for (channel, fails) in channels {
            let label = ByChannel { channel: channel.to_owned() };
            self.channels_failing.get_or_create(&label).set(i64::from(fails));
        }
        self.silent.set(i64::from(silent));
    }

    /// A heartbeat: sent, failed or withheld.
    pub fn heartbeat(&self, result: &str) {
        self.heartbeats.get_or_create(&ByResult { result: result.to_owned() }).inc();
    }

    /// What Alertmanager lists was looked at, or could not be.
    pub fn reconciled(&self, result: &str) {
        self.reconciliations.get_or_create(&ByResult { result: result.to_owned() }).inc();
    }

    /// Counts in a family of one label.
    pub fn count(family: &Family<By, Counter>, kind: &str, by: u64) {
        family.get_or_create(&By { kind: kind.to_owned() }).inc_by(by);
    }

    /// Files loaded at the start, which is no reload.
    pub fn loaded(&self, at: Timestamp) {
        self.reload_successful.set(1);
        self.reload_success_at.set(at.as_duration().as_secs_f64());
    }

    /// A reload, and when it succeeded.
    pub fn reloaded(&self, succeeded: Option<Timestamp>) {
        let result = if succeeded.is_some() { "success" } else { "failure" };
        self.reloads.get_or_create(&ByResult { result: result.to_owned() }).inc();
        match succeeded {
            Some(at) => self.loaded(at),
            None => {
                self.reload_successful.set(0);
            }
        }
    }

    /// Sets a gauge in a family of one label.
    pub fn set(family: &Family<By, Gauge>, kind: &str, value: i64) {
        family.get_or_create(&By { kind: kind.to_owned() }).set(value);
    }

    /// A judgement, by the word of its verdict.
    pub fn decided(&self, verdict: &str) {
        Self::count(&self.decisions, verdict, 1);
    }

    /// A run that ended, by the word of its state.
    pub fn run_ended(&self, state: &str) {
        self.runs.get_or_create(&ByState { state: state.to_owned() }).inc();
    }

    /// Open incidents of a status.
    pub fn set_incidents_open(&self, status: &str, count: i64) {
        self.incidents_open.get_or_create(&ByStatus { status: status.to_owned() }).set(count);
    }

    /// An action that begins.
    pub fn effect(&self, action: &str) {
        Self::count(&self.effects, action, 1);
    }

    /// An entry written to a journal.
    pub fn event(&self) {
        self.events.inc();
    }

    /// A delivery: sent, retry, late or dead.
    pub fn notified(&self, channel: &str, result: &str) {
        let labels = Notified { channel: channel.to_owned(), result: result.to_owned() };
        self.notifications.get_or_create(&labels).inc();
        if result == "dead" {
            let channel = ByChannel { channel: channel.to_owned() };
            self.notifications_dead.get_or_create(&channel).inc();
        }
    }

    /// An observation of a check.
    pub fn checked(&self, check: &str, health: &str) {
        let labels = Checked { check: check.to_owned(), health: health.to_owned() };
        self.checks.get_or_create(&labels).inc();
    }

    /// A slot of a schedule that is left out.
    pub fn slot_skipped(&self, schedule: &str) {
        let labels = BySchedule { schedule: schedule.to_owned() };
        self.slots_skipped.get_or_create(&labels).inc();
    }

    /// The page that Prometheus scrapes, in `OpenMetrics` text.
    pub fn page(&self) -> String {
        let mut page = String::new();
        match encode(&mut page, &self.registry) {
            Ok(()) => page,
            Err(error) => format!("# {error}\n# EOF\n"),
        }
    }
}
