//! Alerts that quell raises of itself. They go the way of every alert, to the rule that takes them or to `unmatched:`,
//! and never trigger a remedy.

pub mod surroundings;

pub mod surroundings;

use jiff::Timestamp;

use crate::model::alert::Alert;
use crate::model::alert::AlertStatus;
use crate::model::labels::Labels;

/// Source of the alerts about files that could not be loaded. Alertmanager knows nothing of it.
pub const SOURCE: &str = "quell:reload";

/// Name of the alert that says that the files on disk have errors, so that an older set is in force.
pub const RELOAD_FAILED: &str = "QuellReloadFailed";

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

/// Files were loaded, so the alert with these labels is over.
pub fn reload_mended(labels: Labels, annotations: Labels, now: Timestamp) -> Alert {
    Alert {
        status: AlertStatus::Resolved,
        labels,
        annotations,
        starts_at: None,
        ends_at: Some(now),
        generator_url: String::new(),
    }
}
