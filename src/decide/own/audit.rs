//! Alerts about the audit: it is broken, it is not sealed, it is not anchored.

use jiff::Timestamp;

use super::firing;
use super::labels;
use crate::model::alert::Alert;

/// What was recorded is not as it was written.
pub const BROKEN: &str = "QuellAuditBroken";
/// What is recorded is not sealed.
pub const STUCK: &str = "QuellAuditStuck";
/// Checkpoints are not written outside the database.
pub const ANCHOR_FAILING: &str = "QuellAnchorFailing";

/// Who pauses everything while the audit is broken.
pub const PAUSED_BY: &str = "quell, for its audit";

/// The names of these alerts.
pub const NAMES: [&str; 3] = [BROKEN, STUCK, ANCHOR_FAILING];

/// So many things are wrong since then; `some` are the first of them.
pub fn broken(some: &[String], all: usize, since: Timestamp) -> Alert {
    let more = all.saturating_sub(some.len());
    let and = if more == 0 { String::new() } else { format!("; and {more} more") };
    let summary = format!("the audit is not as it was written: {}{and}", some.join("; "));
    let description = "somebody changed the database, or it is damaged or an older copy: what quell judges by cannot be trusted, so \
                       nothing begins. Keep the database as it is, run `quell audit verify` with the anchor, find out who can \
                       write to it. It ends when the audit verifies again, or when a person answers for it: `quell audit accept`";
    firing(labels(BROKEN, "critical", &[]), &summary, description, since)
}

/// Sealing has failed since then.
pub fn stuck(why: &str, since: Timestamp) -> Alert {
    let summary = format!("the audit is not sealed: {why}");
    let description = "what is recorded is in the database, and is no leaf of the log yet: until it is, nobody could show that it was \
                       changed. `quell audit verify` says what is wrong with the log";
    firing(labels(STUCK, "critical", &[]), &summary, description, since)
}

/// Anchoring has failed since then.
pub fn anchor_failing(why: &str, since: Timestamp) -> Alert {
    let summary = format!("checkpoints of the audit are not anchored: {why}");
    let description = "what is sealed is signed in the database only: whoever can write there could cut its end off. `audit.anchor` of \
                       quell.yml says where checkpoints go; the next one that is written covers all before it";
    firing(labels(ANCHOR_FAILING, "warning", &[]), &summary, description, since)
}
