//! `quell.yml`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::DurationText;
use super::InstantText;
use super::List;
use super::MatcherText;
use super::Opt;
use super::PercentText;
use super::RateText;
use super::ScheduleText;
use super::SecretText;
use super::SizeText;
use super::TemplateText;
use crate::library::field::Entries;
use crate::library::field::Field;
use crate::library::schema::shape::one_set_of;
use crate::model::playbook::Mode;

mod channel;
mod target;

pub(crate) use channel::RawChannel;
pub(crate) use channel::RawEmail;
pub(crate) use channel::RawPagerDuty;
pub(crate) use channel::RawSlack;
pub(crate) use target::RawCluster;
pub(crate) use target::RawSshHost;
pub(crate) use target::RawTargets;

/// Settings of the server. Every key may be left out. Credentials are written as `${env:NAME}` or `${file:/path}`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "quell.yml")]
pub(crate) struct RawConfig {
    /// Address and port that quell listens on. Other hosts can reach `0.0.0.0:9797`.
    #[schemars(extend("default" = "127.0.0.1:9797"))]
    pub(crate) listen: Opt<String>,
    /// How people reach this server: the base of the links in messages. The address of `listen` when silent.
    #[schemars(extend("examples" = ["http://quell.example.com:9797"]))]
    pub(crate) external_url: Opt<SecretText>,
    /// Where everything is kept: `sqlite:FILE`, a relative one beside quell.yml, or `postgres://…`.
    #[schemars(extend("default" = "sqlite:quell.db", "examples" = ["postgres://quell:${env:QUELL_DB_PASSWORD}@db.example.com/quell"]))]
    pub(crate) storage: Opt<SecretText>,
    /// The most that any rule may do.
    #[schemars(extend("default" = "observe"))]
    pub(crate) mode: Opt<Mode>,
    /// Files and folders of rules, relative to this file. The folder `rules` when silent.
    #[schemars(extend("examples" = [["rules/"]]))]
    pub(crate) rules: Opt<List<String>>,
    /// Files and folders of playbooks, relative to this file. The folder `playbooks` when silent.
    #[schemars(extend("examples" = [["playbooks/"]]))]
    pub(crate) playbooks: Opt<List<String>>,
    /// Look this often, from 100ms to 1h, whether the files changed, and load them then; only when asked when silent.
    #[schemars(extend("examples" = ["10s"]))]
    pub(crate) watch: Opt<DurationText>,
    /// Where PromQL of verifications and probes is asked.
    #[schemars(extend("examples" = [{"url": "http://localhost:9090"}]))]
    pub(crate) prometheus: Opt<RawEndpoint>,
    /// Where silences are read, and the alerts that were missed while quell was down.
    #[schemars(extend("examples" = [{"url": "http://localhost:9093"}]))]
    pub(crate) alertmanager: Opt<RawAlertmanager>,
    /// Who may post alerts, and how much. Only this host may when silent.
    pub(crate) ingest: Opt<RawIngest>,
    /// Places that actions may go, by name. Their credentials live here and nowhere else.
    pub(crate) targets: Opt<RawTargets>,
    /// People who approve, answer and acknowledge.
    pub(crate) operators: Opt<List<RawOperator>>,
    /// Ways to tell people, by a name that `severities` and `unmatched` use.
    pub(crate) channels: Opt<Entries<RawChannel>>,
    /// Tells another service that quell lives; that one calls people when it stops.
    #[schemars(extend("examples" = [{"url": "${env:QUELL_HEARTBEAT_URL}", "every": "1m"}]))]
    pub(crate) heartbeat: Opt<RawHeartbeat>,
    /// By value of the label `severity`: who is told, and how soon somebody must answer.
    pub(crate) severities: Opt<Entries<RawSeverity>>,
    /// Channels told of alerts that no rule matches. Nobody when silent.
    #[schemars(extend("default" = []))]
    pub(crate) unmatched: Opt<List<String>>,
    /// Spans of time in which quell acts less: maintenance, freezes, hours in which it may act.
    #[schemars(extend("examples" = [[{"name": "sunday-maintenance", "cron": "0 2 * * SUN", "for": "2h", "effect": "observe"}]]))]
    pub(crate) windows: Opt<List<RawWindow>>,
    /// Targets that quell itself needs, as patterns (`*` stays within a part): automation only proposes there (G14).
    #[schemars(extend("examples" = [["kubernetes/prod/deployment/quell*", "postgres/quell"]]))]
    pub(crate) dependencies: Opt<List<String>>,
    /// The alert that always fires: while it does not arrive, monitoring is blind, and nothing begins (G3).
    #[schemars(extend("examples" = [{"match": ["alertname=\"Watchdog\""], "within": "10m"}]))]
    pub(crate) watchdog: Opt<RawWatchdog>,
    /// Ceilings over all rules. A rule may tighten them, never loosen them.
    pub(crate) limits: Opt<RawLimits>,
    /// How long incidents, episodes, runs, decisions and notices are kept after they ended, at least 1d; longer where a limit
    /// looks back further.
    #[schemars(extend("default" = "90d", "examples" = ["1y"]))]
    pub(crate) retention: Opt<DurationText>,
    /// A folder: what is no longer kept is added to a file of JSON lines there, one a day, before it goes. A relative one is
    /// beside quell.yml. It is gone when silent.
    #[schemars(extend("examples" = ["/var/lib/quell/archive"]))]
    pub(crate) archive: Opt<String>,
    /// While this file exists, nothing acts. A relative one is beside quell.yml.
    #[schemars(extend("default" = "quell.pause"))]
    pub(crate) pause_file: Opt<String>,
    /// Credentials that playbooks use, by name: a rule gives the name to a parameter with `secret: true`.
    #[schemars(extend("examples" = [{"deploy-token": "${env:QUELL_DEPLOY_TOKEN}"}]))]
    pub(crate) secrets: Opt<Entries<SecretText>>,
    /// Signs the links in messages, at least 16 bytes. A key beside the SQLite database when silent; replicas on one
    /// PostgreSQL need the same.
    #[schemars(extend("examples" = ["${file:/etc/quell/link.key}"]))]
    pub(crate) link_key: Opt<SecretText>,
    /// How what is recorded is signed, and where that is kept, so that nobody can change it unseen.
    #[schemars(extend("examples" = [{"signing_key": "${file:/etc/quell/audit.key}", "anchor": "/var/lib/quell/anchor"}]))]
    pub(crate) audit: Opt<RawAudit>,
}

/// How the audit is signed, and where its checkpoints go.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`audit`")]
pub(crate) struct RawAudit {
    /// Signs checkpoints: what `quell audit key new` writes. A key beside the SQLite database when silent; on PostgreSQL
    /// nothing is signed without one, and replicas need the same.
    #[schemars(extend("examples" = ["${file:/etc/quell/audit.key}"]))]
    pub(crate) signing_key: Opt<SecretText>,
    /// Name of the log in its checkpoints; that of the key when silent.
    #[schemars(extend("examples" = ["quell.example.com/eu"]))]
    pub(crate) origin: Opt<String>,
    /// Where checkpoints are written, outside the database: a folder, an `http://` or `https://` URL that takes a PUT of each
    /// below it, or `stdout`. Nowhere when silent.
    #[schemars(extend("examples" = ["/var/lib/quell/anchor", "https://objects.example.com/quell-anchor", "stdout"]))]
    pub(crate) anchor: Opt<SecretText>,
    /// Time between two that are written there, 1s to 1h, at least.
    #[schemars(extend("default" = "1m"))]
    pub(crate) anchor_every: Opt<DurationText>,
}

/// An HTTP server, and the headers that each request to it carries.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "a server")]
pub(crate) struct RawEndpoint {
    /// Base URL, with its scheme.
    #[schemars(extend("examples" = ["http://localhost:9090"]))]
    pub(crate) url: Field<SecretText>,
    /// Headers of each request, such as a credential or a tenant.
    #[schemars(extend("examples" = [{"X-Scope-OrgID": "eu"}, {"Authorization": "Bearer ${env:TOKEN}"}]))]
    pub(crate) headers: Opt<Entries<SecretText>>,
}

/// An Alertmanager, and how alerts are found that its webhook did not tell.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`alertmanager`")]
pub(crate) struct RawAlertmanager {
    /// Base URL, with its scheme.
    #[schemars(extend("examples" = ["http://localhost:9093"]))]
    pub(crate) url: Field<SecretText>,
    /// Headers of each request, such as a credential or a tenant.
    #[schemars(extend("examples" = [{"X-Scope-OrgID": "eu"}, {"Authorization": "Bearer ${env:TOKEN}"}]))]
    pub(crate) headers: Opt<Entries<SecretText>>,
    /// Its receiver that posts to quell. Those that its webhooks name when silent.
    #[schemars(extend("examples" = ["quell"]))]
    pub(crate) receiver: Opt<String>,
    /// The ingest tokens that it posts with; `local` is this host without a token. The only one there is when silent.
    #[schemars(extend("examples" = [["alertmanager-eu"]]))]
    pub(crate) sources: Opt<List<String>>,
    /// When alerts are looked for that no webhook told.
    pub(crate) reconcile: Opt<RawReconcile>,
}

/// When alerts are looked for that no webhook told, and what is believed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`reconcile`")]
pub(crate) struct RawReconcile {
    /// Time between two looks, 1s to 1h; the first is at the start.
    #[schemars(extend("default" = "5m"))]
    pub(crate) every: Opt<DurationText>,
    /// An alert that has been active for this long without a webhook is opened; longer than `group_wait` and `group_interval`
    /// of its route.
    #[schemars(extend("default" = "6m"))]
    pub(crate) missed_after: Opt<DurationText>,
    /// An Alertmanager that has been up for less opens and closes nothing: it forgets its alerts when it stops.
    #[schemars(extend("default" = "5m"))]
    pub(crate) settled_after: Opt<DurationText>,
}

/// Who may post alerts, and how much of them quell takes at once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`ingest`")]
pub(crate) struct RawIngest {
    /// Who may post. Without any, only this host may.
    pub(crate) tokens: Opt<List<RawToken>>,
    /// Largest webhook body, 1KiB to 1GiB.
    #[schemars(extend("default" = "32MiB"))]
    pub(crate) max_body: Opt<SizeText>,
    /// Alerts taken and not yet on disk. Beyond it the answer is 503, and Alertmanager tries again.
    #[schemars(range(min = 1), extend("default" = 100_000))]
    pub(crate) max_waiting_alerts: Opt<u32>,
    /// How long what is being stored may have waited. While it has waited longer, more comes than can be stored: the answer
    /// is 503 at once.
    #[schemars(extend("default" = "250ms"))]
    pub(crate) max_wait: Opt<DurationText>,
}

/// One sender of alerts: a bearer token, or with `user` the password of basic auth.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "a token")]
pub(crate) struct RawToken {
    /// Name of the sender, shown as the source of its alerts.
    #[schemars(extend("examples" = ["alertmanager-eu"]))]
    pub(crate) name: Field<String>,
    /// The token, or the password when there is a `user`.
    #[schemars(extend("examples" = ["${env:QUELL_INGEST_TOKEN}"]))]
    pub(crate) token: Field<SecretText>,
    /// User name of basic auth. Without it, the token is a bearer token.
    pub(crate) user: Opt<String>,
}

/// A person who may act on quell.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "an operator")]
pub(crate) struct RawOperator {
    /// Unique name, as the audit trail shows it.
    #[schemars(extend("examples" = ["dana"]))]
    pub(crate) name: Field<String>,
    /// Mail address.
    #[schemars(extend("examples" = ["dana@example.com"]))]
    pub(crate) email: Opt<String>,
    /// Member id in Slack.
    #[schemars(extend("examples" = ["U024BE7LH"]))]
    pub(crate) slack_id: Opt<String>,
    /// What they may approve: 1 the least, 4 the most.
    #[schemars(range(min = 1, max = 4), extend("default" = 1))]
    pub(crate) tier: Opt<u8>,
    /// Token for the API. Without it, this person cannot act over HTTP.
    #[schemars(extend("examples" = ["${env:QUELL_DANA_TOKEN}"]))]
    pub(crate) token: Opt<SecretText>,
}

/// A dead man's switch: another service that notices when quell no longer calls it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`heartbeat`")]
pub(crate) struct RawHeartbeat {
    /// Where each heartbeat goes; often itself a credential.
    #[schemars(extend("examples" = ["${env:QUELL_HEARTBEAT_URL}"]))]
    pub(crate) url: Field<SecretText>,
    /// POST or GET.
    #[schemars(extend("default" = "POST"))]
    pub(crate) method: Opt<RawMethod>,
    /// Time between two, 1s to 1h.
    #[schemars(extend("default" = "1m"))]
    pub(crate) every: Opt<DurationText>,
    /// Headers of each, such as a credential.
    #[schemars(extend("examples" = [{"authorization": "Bearer ${env:SWITCH_TOKEN}"}]))]
    pub(crate) headers: Opt<Entries<SecretText>>,
}

/// How a heartbeat is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum RawMethod {
    /// With an empty body.
    Post,
    /// For services that only take this.
    Get,
}

/// Who is told of alerts of one severity, and how soon somebody must answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "a severity")]
pub(crate) struct RawSeverity {
    /// Channels told at once, in this order.
    #[schemars(extend("examples" = [["slack", "pager"]]))]
    pub(crate) notify: Opt<List<String>>,
    /// Time for an acknowledgement; after it `escalate_to` is told. No limit when silent.
    #[schemars(extend("examples" = ["15m"]))]
    pub(crate) ack_within: Opt<DurationText>,
    /// Channels told when nobody acknowledged in time.
    #[schemars(extend("examples" = [["mail"]]))]
    pub(crate) escalate_to: Opt<List<String>>,
    /// Who is told every so often where an incident stands, until it is over. Nobody when silent.
    pub(crate) updates: Opt<RawUpdates>,
}

/// Who is told every so often where an incident stands, until it is over.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`updates`")]
pub(crate) struct RawUpdates {
    /// Time between two, from 1m to 1d.
    #[schemars(extend("examples" = ["15m"]))]
    pub(crate) every: Field<DurationText>,
    /// Channels that are told.
    #[schemars(extend("examples" = [["status"]]))]
    pub(crate) channels: Field<List<String>>,
    /// What they are told below the status, a template over labels, annotations, status, time, impact, services, `next_update` and actions.
    /// When silent: time, impact, affected services, current status, next update and actions taken.
    pub(crate) text: Opt<TemplateText>,
}

/// A span of time, recurring (`cron` and `for`) or once (`from` and `until`), and what it does to remedies.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "a window")]
#[schemars(extend("allOf" = [one_set_of([(&["cron", "for"], &["timezone"]), (&["from", "until"], &[])])]))]
pub(crate) struct RawWindow {
    /// Unique over all windows; refusals name it.
    #[schemars(extend("examples" = ["sunday-maintenance"]))]
    pub(crate) name: Field<String>,
    /// When it begins, again and again: five fields, or six with seconds first.
    #[schemars(extend("examples" = ["0 2 * * SUN"]))]
    pub(crate) cron: Opt<ScheduleText>,
    /// How long each lasts, such as 2h; elapsed time, also over a change of summer time.
    #[schemars(extend("examples" = ["2h"]))]
    #[serde(rename = "for")]
    pub(crate) lasts: Opt<DurationText>,
    /// The IANA time zone that `cron` is read in, such as America/Toronto. UTC when silent.
    #[schemars(extend("default" = "UTC", "examples" = ["America/Toronto"]))]
    pub(crate) timezone: Opt<String>,
    /// The first instant of a window that is once, such as 2026-01-05T10:00:00Z.
    #[schemars(extend("examples" = ["2026-01-05T10:00:00Z"]))]
    pub(crate) from: Opt<InstantText>,
    /// The first instant after it.
    #[schemars(extend("examples" = ["2026-01-05T12:00:00Z"]))]
    pub(crate) until: Opt<InstantText>,
    /// Inside, `observe` plans and never acts, `refuse` lets nothing begin until the end; `allow_only` lets nothing begin
    /// outside.
    pub(crate) effect: Field<RawEffect>,
    /// Matchers of the alerts that it is about; every alert and schedule when silent.
    #[schemars(extend("examples" = [["service=\"shop\""]]))]
    #[serde(rename = "match")]
    pub(crate) matchers: Opt<List<MatcherText>>,
    /// Why, for people.
    pub(crate) reason: Opt<String>,
}

/// What a window does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawEffect {
    /// Plans, and never acts.
    Observe,
    /// Nothing begins until the end.
    Refuse,
    /// Nothing begins outside.
    AllowOnly,
}

/// Ceilings over all rules.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`limits` of quell.yml")]
pub(crate) struct RawLimits {
    /// Runs of all rules together in a sliding span of time.
    #[schemars(extend("default" = "30 per 1h"))]
    pub(crate) rate: Opt<RateText>,
    /// Runs at once.
    #[schemars(range(min = 1), extend("default" = 5))]
    pub(crate) concurrent: Opt<u32>,
    /// Evidence older than this is unknown, and unknown never acts.
    #[schemars(extend("default" = "15m"))]
    pub(crate) max_age: Opt<DurationText>,
    /// Time between runs on one target. A rule may only lengthen it.
    #[schemars(extend("default" = "5m"))]
    pub(crate) cooldown: Opt<DurationText>,
    /// Runs for the alerts of one service (label `service`) in a sliding span of time, over all rules.
    #[schemars(extend("default" = "10 per 1h"))]
    pub(crate) service_rate: Opt<RateText>,
    /// Above this part of a rule's `population` that is not well, nobody of it is acted on (G1).
    #[schemars(extend("default" = "40%"))]
    pub(crate) max_unhealthy: Opt<PercentText>,
    /// More distinct targets in trouble than this within a time stop all automation (G1).
    pub(crate) storm: Opt<RawStorm>,
    /// Runs on one target that did not help, over all playbooks: then it is for people (G5).
    #[schemars(extend("default" = "3 per 6h"))]
    pub(crate) ineffective: Opt<RateText>,
    /// After so many runs of one rule in a sliding span of time that did not help, the rule is trusted one rung less:
    /// auto, approve, observe. `quell promote` puts it back.
    #[schemars(extend("default" = "3 per 1d"))]
    pub(crate) demote_after: Opt<RateText>,
    /// Runs of everything that failed: then nothing begins until the first of them is old. The error budget of quell itself.
    #[schemars(extend("default" = "10 per 1h"))]
    pub(crate) failures: Opt<RateText>,
    /// Items of one `for_each` (G4); a longer list fails the step.
    #[schemars(range(min = 1), extend("default" = 50))]
    pub(crate) max_targets: Opt<u32>,
    /// After a person changed a target, automation only proposes there for this long (G15).
    #[schemars(extend("default" = "30m"))]
    pub(crate) quiet: Opt<DurationText>,
    /// An alert that began further in the future is not believed, and after a jump of the clock nothing begins for as
    /// long (G13).
    #[schemars(extend("default" = "5m"))]
    pub(crate) max_skew: Opt<DurationText>,
    /// A population that shrank by more than this part within a day is unknown (G3).
    #[schemars(extend("default" = "30%"))]
    pub(crate) max_drop: Opt<PercentText>,
    /// So many incidents of one rule and group: what fires more often in that time flaps, and is one incident, which stays
    /// open until it has been quiet (G5).
    #[schemars(extend("default" = "2 per 15m"))]
    pub(crate) flapping: Opt<RateText>,
    /// So many fixes of one target by one rule are a habit, and raise a ticket (G18).
    #[schemars(extend("default" = "5 per 1d"))]
    pub(crate) chronic: Opt<RateText>,
}

/// How many distinct targets may be in trouble at once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`storm`")]
pub(crate) struct RawStorm {
    /// More than this stop all automation.
    #[schemars(range(min = 1), extend("default" = 20))]
    pub(crate) targets: Opt<u32>,
    /// Targets whose alerts began within this time count.
    #[schemars(extend("default" = "5m"))]
    pub(crate) within: Opt<DurationText>,
    /// Automation resumes when there have been no more for this long without a break.
    #[schemars(extend("default" = "10m"))]
    pub(crate) cooldown: Opt<DurationText>,
}

/// The alert that always fires, and how often it must arrive.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`watchdog`")]
pub(crate) struct RawWatchdog {
    /// Matchers of the alert.
    #[schemars(extend("examples" = [["alertname=\"Watchdog\""]]))]
    #[serde(rename = "match")]
    pub(crate) matchers: Field<List<MatcherText>>,
    /// It must arrive within this time; longer than the `repeat_interval` of its route.
    #[schemars(extend("default" = "10m"))]
    pub(crate) within: Opt<DurationText>,
}
