//! `quell.yml`, validated.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::model::incident::NoticeKind;
use crate::model::matcher::Matcher;
use crate::model::playbook::Mode;
use crate::model::playbook::Rate;
use crate::model::rule::Set;
use crate::model::updates::Updates;
use crate::model::window::Window;

mod targets;

pub use targets::Bus;
pub use targets::Cluster;
pub use targets::Server;
pub use targets::SshHost;
pub use targets::Targets;

/// A credential: never shown, logged or stored.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a credential.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The credential itself; only for the call that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Server settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file they came from; `None` when there is none and defaults hold.
    pub file: Option<String>,
    /// Where the server listens.
    pub listen: SocketAddr,
    /// How people reach it: the base of links, without a slash at its end.
    pub external_url: String,
    /// `sqlite:FILE`, a relative one beside quell.yml, or `postgres://…`.
    pub storage: Secret,
    /// The most any rule may do.
    pub mode: Set<Mode>,
    /// Files and folders of rules.
    pub rules: Vec<PathBuf>,
    /// Files and folders of playbooks.
    pub playbooks: Vec<PathBuf>,
    /// How often the files are looked at for changes; `None` means only when asked.
    pub watch: Option<Duration>,
    /// Where PromQL is asked.
    pub prometheus: Option<Endpoint>,
    /// Where silences and active alerts are read.
    pub alertmanager: Option<Endpoint>,
    /// How alerts are found that no webhook told, when there is an Alertmanager to ask.
    pub reconcile: Reconcile,
    /// Who may post alerts, and how much.
    pub ingest: Ingest,
    /// Places actions may go.
    pub targets: Targets,
    /// People.
    pub operators: Vec<Operator>,
    /// Ways to tell people.
    pub channels: BTreeMap<String, Channel>,
    /// Names of the channels that wake people: a rule's `page` holds these back while a remedy is tried.
    pub paging: BTreeSet<String>,
    /// What stands in for a channel that does not deliver, by its name.
    pub fallbacks: BTreeMap<String, Fallback>,
    /// Tells another service that quell lives.
    pub heartbeat: Option<Heartbeat>,
    /// By value of the label `severity`.
    pub severities: BTreeMap<String, Severity>,
    /// Channels told of alerts that no rule matches.
    pub unmatched: Vec<String>,
    /// Spans of time in which quell acts less.
    pub windows: Vec<Window>,
    /// G14: targets that quell itself needs, as patterns (`kubernetes/prod/deployment/quell*`): it only proposes there.
    pub dependencies: Vec<Set<String>>,
    /// G3: the alert that always fires; while it does not arrive, nothing begins.
    pub watchdog: Option<WatchdogSource>,
    /// Global ceilings.
    pub limits: Limits,
    /// How long what has ended is kept, and what becomes of it then.
    pub retention: Retention,
    /// Present: everything is paused. Needs neither network nor database. A relative one is beside quell.yml.
    pub pause_file: PathBuf,
    /// Credentials that playbooks use, by name: what a parameter with `secret: true` names.
    pub secrets: BTreeMap<String, Secret>,
    /// Signs links; `None` means the key file beside the `SQLite` database.
    pub link_key: Option<Secret>,
    /// How what is recorded is signed, and where that is kept.
    pub audit: Audit,
}

/// `audit:`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Signs checkpoints; `None` means the key file beside the `SQLite` database, and on `PostgreSQL` that nothing is signed.
    pub signing_key: Option<Secret>,
    /// The name of the log in its checkpoints; `None` means that of the key.
    pub origin: Option<String>,
    /// Where checkpoints are written, outside the database.
    pub anchor: Option<Anchor>,
    /// Time between two checkpoints that are written there, at least.
    pub anchor_every: Duration,
}

impl Default for Audit {
    fn default() -> Self {
        Self { signing_key: None, origin: None, anchor: None, anchor_every: Duration::from_mins(1) }
    }
}

/// A place outside the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anchor {
    /// A folder: a file a checkpoint, and `latest`.
    Directory(PathBuf),
    /// An HTTP server: a PUT of each below this URL.
    Http(Secret),
    /// Standard output.
    Stdout,
}

/// An HTTP API of another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Base URL, without a slash at its end.
    pub url: String,
    /// Headers sent with each request, such as `Authorization` or a tenant.
    pub headers: BTreeMap<String, Secret>,
}

impl Endpoint {
    /// What reaches it, its credentials among it, in a fixed order.
    pub fn parts(&self) -> Vec<String> {
        let headers = self.headers.iter();
        let headers = headers.flat_map(|(name, value)| [name.clone(), value.reveal().to_owned()]);
        std::iter::once(self.url.clone()).chain(headers).collect()
    }
}

/// `receiver`, `sources` and `reconcile` of `alertmanager:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconcile {
    /// Name of the receiver that posts to quell; `None`: those that its webhooks name.
    pub receiver: Option<String>,
    /// The sources that this Alertmanager posts as, names of ingest tokens; empty: the only one there is.
    pub sources: Vec<String>,
    /// Time between two looks.
    pub every: Duration,
    /// An alert that has been active for this long without a webhook is opened.
    pub missed_after: Duration,
    /// An Alertmanager that has been up for less is not believed: it may not know all alerts yet.
    pub settled_after: Duration,
}

impl Default for Reconcile {
    fn default() -> Self {
        Self {
            receiver: None,
            sources: Vec::new(),
            every: Duration::from_mins(5),
            // group_wait and group_interval of Alertmanager when it is not told otherwise, and some time to post
            missed_after: Duration::from_mins(6),
            // its resolve_timeout when it is not told otherwise; Prometheus sends all alerts again each minute
            settled_after: Duration::from_mins(5),
        }
    }
}

/// `retention` and `archive`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// How long everything is kept that has ended; longer where a limit looks back further.
    pub keep: Duration,
    /// The folder that it goes to then; `None`: it is gone.
    pub archive: Option<PathBuf>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { keep: Duration::from_hours(90 * 24), archive: None }
    }
}

/// `ingest:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingest {
    /// Who may post; empty means loopback only.
    pub tokens: Vec<IngestToken>,
    /// Largest body in bytes.
    pub max_body_bytes: usize,
    /// Alerts accepted but not yet on disk; beyond it, 503.
    pub max_waiting_alerts: usize,
    /// What is being stored may have waited this long; beyond it, 503.
    pub max_wait: Duration,
}

/// A bearer token, or the user and password of basic auth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestToken {
    /// Name of the sender, shown as the source.
    pub name: String,
    /// Bearer token; or the password when `user` is set.
    pub token: Secret,
    /// User name of basic auth.
    pub user: Option<String>,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Unique name.
    pub name: String,
    /// Mail address.
    pub email: Option<String>,
    /// Slack user id.
    pub slack_id: Option<String>,
    /// 1 to 4.
    pub tier: u8,
    /// API token.
    pub token: Option<Secret>,
}

/// A way to tell people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    /// Events API v2.
    PagerDuty {
        /// Integration key, 32 characters.
        routing_key: Secret,
        /// `https://events.pagerduty.com` or a region's.
        url: String,
    },
    /// SMTP submission.
    Email {
        /// `smtps://user:password@host:465` (implicit TLS), `smtp://…:587` (STARTTLS required), or
        /// `smtp+plain://…` for a relay on loopback only.
        smtp: Secret,
        /// Sender.
        from: String,
        /// Recipients; each is tried on its own.
        to: Vec<String>,
        /// PEM file of a private CA.
        ca_file: Option<PathBuf>,
    },
    /// Incoming webhook.
    Slack {
        /// The webhook's URL, itself a credential.
        webhook_url: Secret,
    },
    /// Generic JSON.
    Webhook {
        /// URL.
        url: Secret,
        /// Headers.
        headers: BTreeMap<String, Secret>,
    },
}

impl Channel {
    /// The word people write.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::PagerDuty { .. } => "pagerduty",
            Self::Email { .. } => "email",
            Self::Slack { .. } => "slack",
            Self::Webhook { .. } => "webhook",
        }
    }

    /// Whether it is told of this kind of notice. `PagerDuty`'s Events API has no event for progress
    /// (`protocols.md §3`); every other channel is told everything.
    pub fn wants(&self, kind: NoticeKind) -> bool {
        match self {
            Self::PagerDuty { .. } => kind != NoticeKind::Progress,
            Self::Email { .. } | Self::Slack { .. } | Self::Webhook { .. } => true,
        }
    }

    /// Whether it wakes people when quell.yml does not say so itself.
    pub fn pages_by_default(&self) -> bool {
        matches!(self, Self::PagerDuty { .. })
    }

    /// Who is told: one notification each, so that one refusal does not block the others.
    pub fn recipients(&self) -> Vec<String> {
        match self {
            Self::Email { to, .. } => to.clone(),
            Self::PagerDuty { .. } | Self::Slack { .. } | Self::Webhook { .. } => {
                vec![String::new()]
            }
        }
    }
}

/// `fallback` and `fallback_after` of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    /// The channel that is told instead; silent means `escalate_to` of the severity, or any other.
    pub to: Option<String>,
    /// A page that has not arrived by then is sent there too.
    pub after: Duration,
}

impl Default for Fallback {
    fn default() -> Self {
        Self { to: None, after: Duration::from_mins(5) }
    }
}

/// `heartbeat:`, a dead man's switch: another service says that quell is dead when this stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// Where it goes; such a URL is itself a credential.
    pub url: Secret,
    /// `POST` or `GET`.
    pub method: &'static str,
    /// Time between two.
    pub every: Duration,
    /// Headers of each.
    pub headers: BTreeMap<String, Secret>,
}

/// Who is told, and how soon somebody must answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Severity {
    /// Channels told at once, in this order.
    pub notify: Vec<String>,
    /// Time for an acknowledgement, from the opening; of a page that was held, from when it was sent.
    pub ack_within: Option<Duration>,
    /// Channels told when nobody did.
    pub escalate_to: Vec<String>,
    /// Who is told every so often until it is over.
    pub updates: Option<Updates>,
}

/// `watchdog: { match, within }`.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchdogSource {
    /// Which alert it is: all must hold.
    pub matchers: Vec<Matcher>,
    /// It must have arrived within this time.
    pub within: Set<Duration>,
}

/// `limits:` of quell.yml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Runs of all rules in a span of time.
    pub rate: Set<Rate>,
    /// Runs at once.
    pub concurrent: Set<u32>,
    /// Evidence older than this is unknown.
    pub max_age: Set<Duration>,
    /// Time between runs on one target, when a rule says nothing; a rule may only lengthen it.
    pub cooldown: Set<Duration>,
    /// Runs for the alerts of one service in a span of time.
    pub service_rate: Set<Rate>,
    /// G1: above this part of a group that is not well, nobody of it is acted on. In percent.
    pub max_unhealthy: Set<u8>,
    /// G1: more distinct targets than this within a time stop all automation.
    pub storm: Set<StormLimits>,
    /// G5: runs on one target that did not help, over all playbooks; then people only.
    pub ineffective: Set<Rate>,
    /// Runs of one rule that did not help, after which it is trusted one rung less.
    pub demote_after: Set<Rate>,
    /// Own error budget: runs of everything that failed; then nothing begins until the first of them is old.
    pub failures: Set<Rate>,
    /// G4: items of one `for_each`.
    pub max_targets: Set<u32>,
    /// G15: after a person changed or acknowledged, automation only proposes for this long.
    pub quiet: Set<Duration>,
    /// G13: an alert that began further in the future is not believed, and after a jump of the clock nothing begins for
    /// as long.
    pub max_skew: Set<Duration>,
    /// G3: a population that shrank by more than this part within a day is unknown. In percent.
    pub max_drop: Set<u8>,
    /// G5: incidents of one rule and group in a span of time; what fires more often flaps, and is one incident.
    pub flapping: Set<Rate>,
    /// G18: fixes of one target by one rule that are no longer a fix but a habit, and raise a ticket.
    pub chronic: Set<Rate>,
}

/// `storm: { targets, within, cooldown }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StormLimits {
    /// More distinct targets than this trip it.
    pub targets: u32,
    /// Opened within this time.
    pub within: Duration,
    /// It ends when there have been no more than `targets` for this long without a break.
    pub cooldown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        Self {
            rate: Set::default_of(Rate { count: 30, per: minutes(60) }),
            concurrent: Set::default_of(5),
            max_age: Set::default_of(minutes(15)),
            cooldown: Set::default_of(minutes(5)),
            service_rate: Set::default_of(Rate { count: 10, per: minutes(60) }),
            max_unhealthy: Set::default_of(40),
            storm: Set::default_of(StormLimits {
                targets: 20,
                within: minutes(5),
                cooldown: minutes(10),
            }),
            ineffective: Set::default_of(Rate { count: 3, per: minutes(360) }),
            failures: Set::default_of(Rate { count: 10, per: minutes(60) }),
            max_targets: Set::default_of(50),
            quiet: Set::default_of(minutes(30)),
            max_skew: Set::default_of(minutes(5)),
            max_drop: Set::default_of(30),
            flapping: Set::default_of(Rate { count: 2, per: minutes(15) }),
            chronic: Set::default_of(Rate { count: 5, per: minutes(24 * 60) }),
            demote_after: Set::default_of(Rate { count: 3, per: minutes(24 * 60) }),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            file: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 9797)),
            external_url: "http://127.0.0.1:9797".into(),
            storage: Secret::new("sqlite:quell.db"),
            mode: Set::default_of(Mode::Observe),
            rules: Vec::new(),
            playbooks: Vec::new(),
            watch: None,
            prometheus: None,
            alertmanager: None,
            reconcile: Reconcile::default(),
            ingest: Ingest {
                tokens: Vec::new(),
                max_body_bytes: 32 << 20,
                max_waiting_alerts: 100_000,
                max_wait: Duration::from_millis(250),
            },
            targets: Targets::default(),
            operators: Vec::new(),
            channels: BTreeMap::new(),
            paging: BTreeSet::new(),
            fallbacks: BTreeMap::new(),
            heartbeat: None,
            severities: BTreeMap::new(),
            unmatched: Vec::new(),
            windows: Vec::new(),
            dependencies: Vec::new(),
            watchdog: None,
            limits: Limits::default(),
            retention: Retention::default(),
            pause_file: PathBuf::from("quell.pause"),
            secrets: BTreeMap::new(),
            link_key: None,
            audit: Audit::default(),
        }
    }
}
