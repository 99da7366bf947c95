//! Alerts that quell raises of itself. They go the way of every alert, to the rule that takes them or to `unmatched:`,
//! and never trigger a remedy. Without either, those who are told of their severity are told of them.

pub mod audit;
pub mod surroundings;

use jiff::Timestamp;

use crate::model::alert::Alert;
use crate::model::alert::AlertStatus;
use crate::model::labels::Labels;
use crate::model::playbook::Mode;
use crate::model::trust::Trust;

/// Source of the alerts about files that could not be loaded. Alertmanager knows nothing of it.
pub const SOURCE: &str = "quell:reload";

/// Source of the alerts about what quell needs to do its work: credentials, channels, its heartbeat, remedies that never last.
pub const WATCH: &str = "quell:watch";

/// Begins the source of every alert of quell's own.
pub const PREFIX: &str = "quell:";

/// Name of the alert that says that the files on disk have errors, so that an older set is in force.
pub const RELOAD_FAILED: &str = "QuellReloadFailed";
/// Name of the alert that says that a credential was refused.
pub const CREDENTIAL_DENIED: &str = "QuellCredentialDenied";
/// Name of the alert that says that a channel reaches nobody.
pub const CHANNEL_FAILING: &str = "QuellChannelFailing";
/// Name of the alert that says that the heartbeat is not taken.
pub const HEARTBEAT_FAILING: &str = "QuellHeartbeatFailing";
/// Name of the alert that says that the same thing is fixed again and again.
pub const CHRONIC: &str = "QuellChronic";

/// The names of all alerts about quell itself.
pub const NAMES: [&str; 6] =
    [RELOAD_FAILED, CREDENTIAL_DENIED, CHANNEL_FAILING, HEARTBEAT_FAILING, CHRONIC, RULE_DEMOTED];

/// The label that names the channel of [`CHANNEL_FAILING`].
pub const CHANNEL: &str = "channel";

/// Source of the alerts about rules that are trusted less.
pub const TRUST: &str = "quell:trust";

/// Name of the alert that says that a rule did not help too often, so that it may do less.
pub const RULE_DEMOTED: &str = "QuellRuleDemoted";

/// Characters of a digest that tell sets apart.
const SHORT: usize = 12;

/// Whether alerts of this source are quell's own.
pub fn is_own(source: &str) -> bool {
    source.starts_with(PREFIX)
}

/// Whether this is the name of an alert about quell itself, which says nothing of any target's health.
pub fn is_name(alertname: &str) -> bool {
    [&NAMES[..], &surroundings::NAMES, &audit::NAMES].iter().any(|it| it.contains(&alertname))
}

/// The channel that an alert says reaches nobody: it is not told of that.
pub fn failing_channel(labels: &Labels) -> Option<&str> {
    (labels.get("alertname") == CHANNEL_FAILING).then(|| labels.get(CHANNEL))
}

fn labels(name: &str, severity: &str, more: &[(&str, &str)]) -> Labels {
    let first = [("alertname", name), ("severity", severity)];
    first.into_iter().chain(more.iter().copied()).collect()
}

fn firing(labels: Labels, summary: &str, description: &str, since: Timestamp) -> Alert {
    Alert {
        status: AlertStatus::Firing,
        labels,
        annotations: [("summary", summary), ("description", description)].into_iter().collect(),
        starts_at: Some(since),
        ends_at: None,
        generator_url: String::new(),
    }
}

/// Labels of the alert: one a set of files, so that each set that cannot be loaded is told once.
pub fn reload_failed_labels(digest: &str) -> Labels {
    let digest: String = digest.chars().take(SHORT).collect();
    labels(RELOAD_FAILED, "warning", &[("digest", &digest)])
}

/// The files with this digest could not be loaded; `first` is the first of their errors.
pub fn reload_failed(digest: &str, first: &str, errors: usize, now: Timestamp) -> Alert {
    let s = if errors == 1 { "" } else { "s" };
    let summary = format!("the files on disk have {errors} error{s}, first {first}");
    let description = "the rules, playbooks and settings that were running stay in force; `quell check` shows \
                       every error, and a reload that succeeds ends this";
    firing(reload_failed_labels(digest), &summary, description, now)
}

/// A credential was refused at `since`, by a run of `playbook`.
pub fn credential_denied(
    credential: &str,
    reason: &str,
    run: &str,
    playbook: &str,
    since: Timestamp,
) -> Alert {
    let summary = format!("credential {credential} was refused: {reason}");
    let description = format!(
        "seen by {run} of {playbook}; every playbook that uses this credential waits, and nothing is said of the target's \
         health. Give quell.yml a credential that works and reload, or say that it works again: \
         `quell credential clear {credential}`"
    );
    let labels = labels(CREDENTIAL_DENIED, "critical", &[("credential", credential)]);
    firing(labels, &summary, &description, since)
}

/// A channel has reached nobody since then.
pub fn channel_failing(channel: &str, reason: &str, since: Timestamp) -> Alert {
    let summary = format!("channel {channel} reaches nobody: {reason}");
    let description = "what it could not deliver goes to its fallback; `quell notifications` lists what reached nobody, and the \
                       next delivery that succeeds ends this";
    let labels = labels(CHANNEL_FAILING, "critical", &[(CHANNEL, channel)]);
    firing(labels, &summary, description, since)
}

/// The heartbeat was not taken so many times in a row, the last time for this reason.
pub fn heartbeat_failing(place: &str, reason: &str, times: u32, since: Timestamp) -> Alert {
    let summary = format!("the heartbeat to {place} failed {times} times in a row: {reason}");
    let description = "whoever listens there will say that quell is dead, though it is not; `heartbeat` of quell.yml says \
                       where it goes";
    firing(labels(HEARTBEAT_FAILING, "warning", &[]), &summary, description, since)
}

/// A rule fixed a target too often.
pub fn chronic(rule: &str, target: &str, summary: &str, since: Timestamp) -> Alert {
    let description = "fixing it again and again hides what is wrong: find the cause. A ticket, not a page; it ends by itself \
                       when the target needs less fixing";
    let labels = labels(CHRONIC, "warning", &[("rule", rule), ("target", target)]);
    firing(labels, summary, description, since)
}

/// A rule may do less than its files say; one alert a rung, so that each is told.
pub fn rule_demoted(trust: &Trust) -> Alert {
    let Trust { rule, mode, why, at, .. } = trust;
    let summary = format!("rule {rule} may only {} now: {why}", verb(*mode));
    let description = format!(
        "quell rules shows the evidence; quell promote {rule} --reason … trusts it again, which only a person does"
    );
    let labels = labels(RULE_DEMOTED, "warning", &[("rule", rule), ("mode", mode.as_str())]);
    firing(labels, &summary, &description, *at)
}

fn verb(mode: Mode) -> &'static str {
    match mode {
        Mode::Observe => "observe",
        Mode::Approve => "act after a person's approval",
        Mode::Auto => "act",
    }
}

/// What the alert with these labels was about is mended: it is over.
pub fn mended(labels: Labels, annotations: Labels, now: Timestamp) -> Alert {
    Alert {
        status: AlertStatus::Resolved,
        labels,
        annotations,
        starts_at: None,
        ends_at: Some(now),
        generator_url: String::new(),
    }
}
