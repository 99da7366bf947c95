//! `rules/*.yml`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::ConditionText;
use super::DurationText;
use super::List;
use super::MatcherText;
use super::Opt;
use super::PercentText;
use super::RateText;
use super::ScheduleText;
use super::ShareText;
use super::TemplateText;
use super::config::RawUpdates;
use super::playbook::RawItems;
use super::probe::RawProbe;
use super::probe::RawVerify;
use crate::library::field::Entries;
use crate::library::field::Field;
use crate::model::playbook::Mode;
use crate::model::rule::Missed;
use crate::model::rule::Overlap;

/// Rules and checks.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "a rule file")]
pub(crate) struct RawRuleFile {
    /// Rules, tried in order: the first that matches takes the alert, unless it says `continue: true`.
    pub(crate) rules: Opt<List<RawRule>>,
    /// Probes on a schedule that raise and resolve alerts of their own.
    pub(crate) checks: Opt<List<RawCheck>>,
    /// Playbooks that run on a cron schedule, whether or not anything is wrong.
    pub(crate) schedules: Opt<List<RawSchedule>>,
}

/// Which alerts, and the remedies tried in order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "a rule")]
pub(crate) struct RawRule {
    /// Unique name, by which limits, messages and the audit trail know it.
    #[schemars(extend("examples" = ["api-error-rate"]))]
    pub(crate) name: Field<String>,
    /// What it is for, for people.
    pub(crate) description: Opt<String>,
    /// Matchers, all of which must hold, as in Alertmanager. One with a comma inside `[ ]` needs single quotes.
    #[schemars(extend("examples" = [["alertname=\"HighErrorRate\"", "severity=~\"critical|high\""]]))]
    #[serde(rename = "match")]
    pub(crate) matchers: Field<List<MatcherText>>,
    /// Condition (CEL) over `labels` and `annotations`, beside the matchers. An error is unknown, and unknown never
    /// acts.
    #[schemars(extend("examples" = ["labels.env != \"dev\""]))]
    pub(crate) when: Opt<ConditionText>,
    /// Labels whose values make one incident. The rule and the target when silent.
    #[schemars(extend("examples" = [["service"]]))]
    pub(crate) group_by: Opt<List<String>>,
    /// Name of the thing acted on: locks and limits go by it. A template over `labels` and `annotations`.
    #[schemars(extend("examples" = ["systemd/{{ labels.service }}"]))]
    pub(crate) target: Field<TemplateText>,
    /// Remedies in order: the next is tried when the one before did not help. Without any, people are told and
    /// nothing acts.
    pub(crate) response: Opt<List<RawRemedy>>,
    /// What "it helped" means. Without it, a run counts as fixed when its last step is done.
    pub(crate) verify: Opt<RawVerify>,
    /// The group that its targets belong to, which `max_unhealthy`, `blast` and `min_available` are parts of.
    #[schemars(extend("examples" = [{"of": "count(up{job=\"api\"})", "unhealthy": "count(up{job=\"api\"} == 0) or vector(0)"}]))]
    pub(crate) population: Opt<RawPopulation>,
    /// Name of the redundancy group of the target, a template over `labels` and `annotations`: two members of one are
    /// never acted on at the same time (G9).
    #[schemars(extend("examples" = ["{{ labels.cluster }}"]))]
    pub(crate) redundancy_group: Opt<TemplateText>,
    /// When and how often this rule may act. It may tighten the limits of quell.yml, never loosen them.
    pub(crate) limits: Opt<RawRuleLimits>,
    /// The most that this rule may do; the lowest of quell.yml, rule, remedy and playbook wins.
    #[schemars(extend("default" = "auto"))]
    pub(crate) mode: Opt<Mode>,
    /// Whether later rules may take the same alert too.
    #[schemars(extend("default" = false))]
    #[serde(rename = "continue")]
    pub(crate) go_on: Opt<bool>,
    /// What happens after the last remedy: people are told.
    #[schemars(extend("default" = "escalate"))]
    pub(crate) on_failure: Opt<RawRuleFailure>,
    /// Hold the page while a remedy is tried. When silent, channels that page are told at once.
    pub(crate) page: Opt<RawPage>,
    /// Who is told every so often where an incident of this rule stands, until it is over. Those of the severity when silent.
    pub(crate) updates: Opt<RawUpdates>,
}

/// When channels that page are told of an incident.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`page`")]
pub(crate) struct RawPage {
    /// Nobody is paged if the remedy is verified to have helped within this time. Anything else pages: the time is over, a
    /// run failed for good or needs a person, automation is paused.
    #[schemars(extend("examples" = ["10m"]))]
    pub(crate) unless_fixed_within: Field<DurationText>,
}

/// One playbook with its parameters.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "a remedy")]
pub(crate) struct RawRemedy {
    /// Name of the playbook.
    #[schemars(extend("examples" = ["restart"]))]
    pub(crate) playbook: Field<String>,
    /// Values of its parameters; texts are templates over `labels` and `annotations`.
    #[schemars(extend("examples" = [{"unit": "{{ labels.service }}"}]))]
    pub(crate) with: Opt<Entries<serde_json::Value>>,
    /// The most that this remedy may do.
    #[schemars(extend("examples" = ["approve"]))]
    pub(crate) mode: Opt<Mode>,
    /// The tier an operator needs to approve it, above that of the playbook.
    #[schemars(range(min = 1, max = 4), extend("examples" = [3]))]
    pub(crate) tier: Opt<u8>,
    /// How many operators must approve it, above the number of the playbook.
    #[schemars(range(min = 1, max = 5), extend("examples" = [2]))]
    pub(crate) approvals: Opt<u8>,
}

/// When and how often a rule may act.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`limits` of a rule")]
pub(crate) struct RawRuleLimits {
    /// The alert must have been firing this long. No wait when silent.
    #[schemars(extend("examples" = ["1m"]))]
    pub(crate) settle: Opt<DurationText>,
    /// Time between runs on one target. That of quell.yml when silent.
    #[schemars(extend("examples" = ["15m"]))]
    pub(crate) cooldown: Opt<DurationText>,
    /// Runs of this rule in a sliding span of time. No limit of its own when silent.
    #[schemars(extend("examples" = ["3 per 1h"]))]
    pub(crate) rate: Opt<RateText>,
    /// Above this part of the `population` that is not well, nobody of it is acted on (G1). That of quell.yml when silent.
    #[schemars(extend("examples" = ["30%"]))]
    pub(crate) max_unhealthy: Opt<PercentText>,
    /// How much of the `population` this rule may act on in a sliding span of time (G4).
    #[schemars(extend("examples" = [{"max": "25%", "within": "1h"}]))]
    pub(crate) blast: Opt<RawBlast>,
    /// Members of the `population` that must stay well beside the one that is acted on (G4).
    #[schemars(range(min = 1), extend("examples" = [2]))]
    pub(crate) min_available: Opt<u32>,
    /// Runs on one target that did not help, over all playbooks: then it is for people (G5). That of quell.yml when
    /// silent.
    #[schemars(extend("examples" = ["2 per 6h"]))]
    pub(crate) ineffective: Opt<RateText>,
    /// After so many runs in a sliding span of time that did not help, the rule is trusted one rung less: auto, approve,
    /// observe. That of quell.yml holds beside it.
    #[schemars(extend("examples" = ["2 per 6h"]))]
    pub(crate) demote_after: Opt<RateText>,
    /// After a person changed the target, automation only proposes for this long (G15). That of quell.yml when silent.
    #[schemars(extend("examples" = ["1h"]))]
    pub(crate) quiet: Opt<DurationText>,
}

/// How much of a population a rule may act on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`blast`")]
pub(crate) struct RawBlast {
    /// Distinct targets, as a count or a part of the population, rounded down; one is always allowed.
    #[schemars(extend("examples" = ["25%"]))]
    pub(crate) max: Field<ShareText>,
    /// Acted on within this time.
    #[schemars(extend("default" = "1h"))]
    pub(crate) within: Opt<DurationText>,
}

/// The group that the targets of a rule belong to: what parts of it are counted from. Empty, failed, or suddenly much
/// smaller is unknown, and unknown never acts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`population`")]
pub(crate) struct RawPopulation {
    /// A query whose answer is the number of members (a template over `labels` and `annotations`), or a list of their
    /// names.
    #[schemars(extend("examples" = ["count(up{job=\"api\"})", ["web-1", "web-2", "web-3"]]))]
    pub(crate) of: Field<RawItems>,
    /// A query whose answer is the number of those that are not well. When silent, targets of this rule with open alerts
    /// count.
    #[schemars(extend("examples" = ["count(up{job=\"api\"} == 0) or vector(0)"]))]
    pub(crate) unhealthy: Opt<TemplateText>,
}

/// What happens after the last remedy: a person is told, always.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawRuleFailure {
    /// People are told.
    Escalate,
}

/// A probe on a schedule that raises and resolves alerts of its own, which rules match like any other.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "a check")]
pub(crate) struct RawCheck {
    /// Unique name.
    #[schemars(extend("examples" = ["shop-health"]))]
    pub(crate) name: Field<String>,
    /// When: five fields, or six with seconds first.
    #[schemars(extend("examples" = ["*/5 * * * *", "*/30 * * * * *"]))]
    pub(crate) cron: Field<ScheduleText>,
    /// Time zone of the schedule, by its IANA name.
    #[schemars(extend("default" = "UTC", "examples" = ["Europe/Berlin"]))]
    pub(crate) timezone: Opt<String>,
    /// What to observe.
    pub(crate) probe: Field<RawProbe>,
    /// Unhealthy this often in a row fires; healthy this often resolves.
    #[schemars(range(min = 1), extend("default" = 1))]
    pub(crate) consecutive: Opt<u32>,
    /// What a check that cannot see does. It never triggers a remedy.
    #[schemars(extend("default" = "alert"))]
    pub(crate) unknown: Opt<RawUnknown>,
    /// Labels of the alert. `alertname` is the name of the check when silent.
    #[schemars(extend("examples" = [{"alertname": "ShopDown", "severity": "critical", "service": "shop"}]))]
    pub(crate) labels: Opt<Entries<String>>,
    /// Annotations of the alert, for people.
    #[schemars(extend("examples" = [{"summary": "the shop does not answer"}]))]
    pub(crate) annotations: Opt<Entries<String>>,
}

/// What a check that cannot see does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawUnknown {
    /// Raises an alert of its own, `QuellCheckUnknown`.
    Alert,
    /// Does nothing.
    Ignore,
}

/// A playbook on a cron schedule. A run that fails is given to people; one that succeeds is silent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "a schedule")]
pub(crate) struct RawSchedule {
    /// Unique over all schedules. `quell pause rule:schedule:NAME` stops it.
    #[schemars(extend("examples" = ["nightly-backup"]))]
    pub(crate) name: Field<String>,
    /// For people.
    pub(crate) description: Opt<String>,
    /// When: five fields (minute, hour, day of month, month, day of week), or six with seconds first.
    #[schemars(extend("examples" = ["0 2 * * *"]))]
    pub(crate) cron: Field<ScheduleText>,
    /// The IANA time zone that `cron` is read in, such as Europe/Berlin. UTC when silent.
    #[schemars(extend("default" = "UTC", "examples" = ["Europe/Berlin"]))]
    pub(crate) timezone: Opt<String>,
    /// The playbook to run.
    #[schemars(extend("examples" = ["postgres-backup"]))]
    pub(crate) playbook: Field<String>,
    /// Its parameters. Templates may name `labels` (`schedule`, `slot`, and those of `labels:`).
    #[schemars(extend("examples" = [{"database": "occ"}]))]
    pub(crate) with: Opt<Entries<serde_json::Value>>,
    /// What it acts on: one run at a time per target, of whatever rule or schedule. `schedule/NAME` when silent.
    #[schemars(extend("examples" = ["postgres/occ"]))]
    pub(crate) target: Opt<String>,
    /// The most it may do: observe, approve or auto. `auto` when silent.
    #[schemars(extend("default" = "auto"))]
    pub(crate) mode: Opt<Mode>,
    /// The tier that a person needs to approve a run, from 1 to 4.
    #[schemars(range(min = 1, max = 4), extend("examples" = [2]))]
    pub(crate) tier: Opt<u8>,
    /// How many operators must approve it, above the number of the playbook.
    #[schemars(range(min = 1, max = 5), extend("examples" = [2]))]
    pub(crate) approvals: Opt<u8>,
    /// How its success is verified. When silent, it has succeeded when its steps are done.
    pub(crate) verify: Opt<RawVerify>,
    /// A slot that comes while the last run is at work: `skip` leaves it out (when silent), `queue` lets one wait.
    #[schemars(extend("default" = "skip"))]
    pub(crate) overlap: Opt<Overlap>,
    /// Slots that came while quell was down: `skip` leaves them out (when silent), `run_once` runs one for all.
    #[schemars(extend("default" = "skip"))]
    pub(crate) missed: Opt<Missed>,
    /// A slot begins up to this much later, at random, so that not everything begins at once.
    #[schemars(extend("examples" = ["5m"]))]
    pub(crate) jitter: Opt<DurationText>,
    /// Labels for windows, templates and people; `severity` says who is told of a failure.
    #[schemars(extend("examples" = [{"severity": "warning"}]))]
    pub(crate) labels: Opt<Entries<String>>,
}
