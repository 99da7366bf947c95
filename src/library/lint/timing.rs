//! Times that defeat each other.

use std::time::Duration;

use jiff::Timestamp;

use super::query::Query;
use crate::decide::check::next_slot;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::yaml::Node;
use crate::model::playbook::Verification;
use crate::model::rule::Check;
use crate::model::time::show_duration;
use crate::model::time::since;

/// A fault that a check reports later than this is reported by people before.
const LATE: Duration = Duration::from_hours(24);

/// Reports a verification that must be healthy before its query can have forgotten what was before.
pub(super) fn verification(at: At<'_>, node: &Node, verify: &Verification, query: Option<&Query>) {
    let Some(range) = query.and_then(|it| it.longest_range) else { return };
    if range <= verify.within {
        return;
    }
    let written = node.get("within").or_else(|| node.get("promql"));
    let span = written.map_or(node.span, |it| it.span);
    let message = format!(
        "the query looks back {}, and must be healthy within {}: what was before the remedy still counts",
        show_duration(range),
        show_duration(verify.within)
    );
    let label = format!("write at least `within: {}`, or look back less", show_duration(range));
    at.report(span, Diagnostic::warning(codes::TOO_SOON, message).label(label));
}

/// Reports a check that takes days to say anything.
pub(super) fn check(at: At<'_>, node: &Node, check: &Check) {
    let Some(written) = node.get("consecutive").filter(|_| check.consecutive > 1) else { return };
    let first = next_slot(check, Timestamp::UNIX_EPOCH);
    let Some((first, second)) = first.and_then(|it| Some((it, next_slot(check, it)?))) else {
        return;
    };
    let every = since(second, first);
    let takes = every.saturating_mul(check.consecutive - 1);
    if takes <= LATE {
        return;
    }
    let message = format!(
        "{} in a row at {} apart take {}",
        check.consecutive,
        show_duration(every),
        show_duration(takes)
    );
    let found = Diagnostic::warning(codes::TOO_LATE, message);
    at.report(written.span, found.label("ask for fewer, or look more often"));
}
