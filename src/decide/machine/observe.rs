//! A run that only shows what it would do.

use std::collections::BTreeMap;

use crate::model::run::Outcome;
use crate::model::run::Plan;

/// What it came to: it would have run, and what targets said to dry runs of its steps.
pub(super) fn came_to(plan: &Plan, dry_runs: &BTreeMap<usize, Outcome>) -> String {
    let refused = dry_runs.iter().find_map(|(step, outcome)| match outcome {
        Outcome::Done { .. } => None,
        Outcome::Failed { reason, .. }
        | Outcome::Denied { reason, .. }
        | Outcome::Unknown { reason } => Some((*step, reason)),
    });
    match refused {
        None if dry_runs.is_empty() => "mode observe: it would have run".to_owned(),
        None => "mode observe: it would have run; dry runs were accepted".to_owned(),
        Some((step, reason)) => {
            let name = plan.playbook.steps.get(step).map_or("?", |it| it.name.as_str());
            format!(
                "mode observe: it would have run, and the dry run of step {} ({name}) failed: {reason}",
                step + 1
            )
        }
    }
}
