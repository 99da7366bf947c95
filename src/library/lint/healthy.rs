//! Conditions that say the same whatever is observed.

use super::inside;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::yaml::Node;
use crate::model::probe::Probe;

/// Reports a `worse` that looks at no sample.
pub(super) fn worse(at: At<'_>, node: &Node, worse: &str) {
    let Some(written) = node.get("worse").filter(|_| !worse.contains("value")) else { return };
    let message = "this looks at no sample: it says the same whatever is measured";
    let found = Diagnostic::warning(codes::COMPARES_NOTHING, message);
    at.report(inside(at, written, 0), found.label("compare `value`, as in `value > before * 1.2`"));
}

/// Reports a `healthy` that looks at no sample: one that names neither of its variables.
pub(super) fn probe(at: At<'_>, node: &Node, probe: &Probe) {
    let (Probe::Promql { healthy, .. } | Probe::Scrape { healthy, .. }) = probe else { return };
    let Some(written) = node.get("healthy") else { return };
    if healthy.contains("value") || healthy.contains("labels") {
        return;
    }
    let message = "this looks at no sample: it says the same whatever is observed";
    let found = Diagnostic::warning(codes::COMPARES_NOTHING, message);
    at.report(inside(at, written, 0), found.label("compare `value`, as in `value < 0.05`"));
}
