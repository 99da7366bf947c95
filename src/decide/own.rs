//! Alerts that quell raises of itself. They go the way of every alert, to the rule that takes them or to `unmatched:`,
//! and never trigger a remedy.

use jiff::Timestamp;

use crate::model::alert::Alert;
use crate::model::alert::AlertStatus;
use crate::model::labels::Labels;
use crate::model::playbook::Mode;
use crate::model::trust::Trust;

/// Source of the alerts about files that could not be loaded. Alertmanager knows nothing of it.
pub const SOURCE: &str = "quell:reload";

/// Name of the alert that says that the files on disk have errors, so that an older set is in force.
pub const RELOAD_FAILED: &str = "QuellReloadFailed";

/// Whether a source is quell itself.
pub fn is_own(source: &str) -> bool {
    source.starts_with("quell:")
}

/// Whether this is the name of an alert about quell itself, which says nothing of any target's health.
pub fn is_name(alertname: &str) -> bool {
    [RELOAD_FAILED, RULE_DEMOTED].contains(&alertname)
}

/// Source of the alerts about rules that are trusted less.
pub const TRUST: &str = "quell:trust";

/// Name of the alert that says that a rule did not help too often, so that it may do less.
pub const RULE_DEMOTED: &str = "QuellRuleDemoted";

/// Characters of a digest that tell sets apart.
const SHORT: usize = 12;

/// Labels of the alert: one a set of files, so that each set that cannot be loaded is told once.
pub fn reload_failed_labels(digest: &str) -> Labels {
    let digest: String = digest.chars().take(SHORT).collect();
    [("alertname", RELOAD_FAILED), ("severity", "warning"), ("digest", digest.as_str())]
        .into_iter()
        .collect()
}

/// The files with this digest could not be loaded; `first` is the first of their errors.
pub fn reload_failed(digest: &str, first: &str, errors: usize, now: Timestamp) -> Alert {
    let s = if errors == 1 { "" } else { "s" };
    let summary = format!("the files on disk have {errors} error{s}, first {first}");
    let description = "the rules, playbooks and settings that were running stay in force; `quell check` shows \
                       every error, and a reload that succeeds ends this";
    Alert {
        status: AlertStatus::Firing,
        labels: reload_failed_labels(digest),
        annotations: [("summary", summary.as_str()), ("description", description)]
            .into_iter()
            .collect(),
        starts_at: Some(now),
        ends_at: None,
        generator_url: String::new(),
    }
}

/// Labels of the alert about a rule that may do less than its files say; one a rung, so that each is told.
pub fn rule_demoted_labels(trust: &Trust) -> Labels {
    [
        ("alertname", RULE_DEMOTED),
        ("severity", "warning"),
        ("rule", trust.rule.as_str()),
        ("mode", trust.mode.as_str()),
    ]
    .into_iter()
    .collect()
}

/// A rule may do less than its files say.
pub fn rule_demoted(trust: &Trust) -> Alert {
    let Trust { rule, mode, why, at, .. } = trust;
    let summary = format!("rule {rule} may only {} now: {why}", verb(*mode));
    let description = format!(
        "quell rules shows the evidence; quell promote {rule} --reason … trusts it again, which only a person does"
    );
    Alert {
        status: AlertStatus::Firing,
        labels: rule_demoted_labels(trust),
        annotations: [("summary", summary), ("description", description)].into_iter().collect(),
        starts_at: Some(*at),
        ends_at: None,
        generator_url: String::new(),
    }
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
