//! Actions that this build of quell cannot perform.

use super::failed;
use crate::model::action::Action;
use crate::model::run::Outcome;

/// It was not tried.
pub(super) fn perform(action: &Action) -> Outcome {
    failed(format!("{} is not in this build of quell", action.kind()))
}
