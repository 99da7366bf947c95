//! `for_each`: one item after another, in waves.

use serde_json::Value;

use super::Phase;
use super::Record;
use super::Spot;
use super::State;
use super::harm::is_guarded;
use super::of_step;
use super::ready;
use super::undo::undo_or;
use crate::model::playbook::Share;
use crate::model::run::Outcome;
use crate::model::run::Plan;
use crate::model::run::RunState;
use crate::model::time::after;

/// Most items of one `for_each`.
pub const MOST_ITEMS: usize = 1000;

/// How many of `count` items are done, in all, at the end of each wave. A part is rounded up and at least one, each wave is
/// larger than the one before as long as anything is left, and the last has reached all.
pub fn wave_ends(waves: &[Share], count: usize) -> Vec<usize> {
    let mut ends: Vec<usize> = Vec::new();
    for wave in waves {
        let wanted = match wave {
            Share::Count(wanted) => usize::try_from(*wanted).unwrap_or(usize::MAX),
            Share::Percent(percent) => {
                count.saturating_mul(usize::from(*percent)).div_ceil(100).min(count)
            }
        };
        let before = ends.last().copied().unwrap_or_default();
        if before < count {
            ends.push(wanted.max(before + 1).min(count));
        }
    }
    if ends.last().copied().unwrap_or_default() < count {
        ends.push(count);
    }
    ends
}

/// An item for people and templates: text as it is.
pub fn item_words(item: &Value) -> String {
    item.as_str().map_or_else(|| item.to_string(), str::to_owned)
}

/// `item 3 of 10 (web-3)`.
pub(super) fn item_of(state: &State, spot: Spot) -> Option<String> {
    let items = &state.lists.get(&spot.step)?.items;
    let item = spot.item?;
    let words = item_words(items.get(item)?);
    Some(format!("item {} of {} ({words})", item + 1, items.len()))
}

/// What follows a step or an item that is over.
pub(super) fn following(plan: &Plan, state: &mut State, spot: Spot, at: jiff::Timestamp) -> Phase {
    let step = spot.step;
    let each = plan.playbook.steps.get(step).and_then(|step| step.each.as_ref());
    let (Some(each), Some(item), Some(list)) = (each, spot.item, state.lists.get(&step)) else {
        return ready(plan, step + 1, at);
    };
    let next = item + 1;
    if next >= list.items.len() {
        let record = conclude(list);
        state.record(of_step(step), record);
        return ready(plan, step + 1, at);
    }
    if !wave_ends(&each.waves, list.items.len()).contains(&next) {
        return Phase::Ready { step, item: Some(next), attempt: 1, at };
    }
    let at = after(at, each.bake);
    if each.between.is_some() || is_guarded(plan) {
        Phase::Looking { step, item: next, at, harm: None }
    } else {
        Phase::Ready { step, item: Some(next), attempt: 1, at }
    }
}

/// What is seen between two waves: anything but healthy ends the step, whatever its `on_failure` says, and nothing more is
/// touched.
pub(super) fn looked(
    plan: &Plan,
    state: &mut State,
    step: usize,
    item: usize,
    outcome: &Outcome,
    at: jiff::Timestamp,
) -> Phase {
    match outcome {
        Outcome::Done { .. } => Phase::Ready { step, item: Some(item), attempt: 1, at },
        Outcome::Failed { reason, .. }
        | Outcome::Denied { reason, .. }
        | Outcome::Unknown { reason } => {
            let count = state.lists.get(&step).map_or(0, |list| list.items.len());
            let name = plan.playbook.steps.get(step).map_or("?", |step| step.name.as_str());
            let reason = format!("stopped after {item} of {count} items: {reason}");
            state.reason = format!("step {} ({name}) {reason}", step + 1);
            state.record(of_step(step), Record::Failed { reason });
            undo_or(plan, state, RunState::Failed)
        }
    }
}

/// What became of the step when all items are over: done when one of them is.
fn conclude(list: &super::List) -> Record {
    let (mut done, mut failed) = (0_usize, 0_usize);
    let mut last = String::new();
    let mut outputs = Vec::new();
    for record in &list.records {
        outputs.push(match record {
            Record::Done { output, .. } => {
                done += 1;
                output.clone()
            }
            Record::Failed { reason } => {
                failed += 1;
                last.clone_from(reason);
                Value::Null
            }
            Record::Pending
            | Record::Skipped { .. }
            | Record::Undone
            | Record::UndoFailed { .. } => Value::Null,
        });
    }
    let count = list.items.len();
    match (done, failed) {
        (0, 0) => Record::Skipped { reason: format!("each of {count} items was skipped") },
        (0, _) => Record::Failed { reason: format!("{failed} of {count} items failed: {last}") },
        _ => {
            let mut summary = format!("{done} of {count} items done");
            if failed > 0 {
                summary = format!("{summary}, {failed} failed: {last}");
            }
            let output = serde_json::json!({
                "items": list.items, "outputs": outputs, "done": done, "failed": failed,
            });
            Record::Done { summary, output }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waves_are_cumulative_progress_and_reach_all() {
        use Share::Count;
        use Share::Percent;
        let usual = [Count(1), Percent(25), Percent(100)];
        for (waves, count, expected) in [
            (&usual[..], 10, vec![1, 3, 10]),
            (&usual, 100, vec![1, 25, 100]),
            (&usual, 3, vec![1, 2, 3]),
            (&usual, 2, vec![1, 2]),
            (&usual, 1, vec![1]),
            (&usual, 0, vec![]),
            (&[], 10, vec![10]),
            (&[Percent(1)], 10, vec![1, 10]),
            (&[Count(5), Count(2), Percent(100)], 10, vec![5, 6, 10]),
            (&[Count(u32::MAX), Percent(100)], 3, vec![3]),
            (&[Percent(34), Percent(67), Percent(100)], 3, vec![2, 3]),
        ] {
            assert_eq!(wave_ends(waves, count), expected, "{waves:?} of {count}");
        }
    }

    proptest! {
        #[test]
        fn every_wave_takes_more_and_the_last_takes_all(
            waves in prop::collection::vec(
                prop_oneof![
                    any::<u32>().prop_map(Share::Count),
                    (1..=100_u8).prop_map(Share::Percent),
                ],
                0..6,
            ),
            count in 1..MOST_ITEMS,
        ) {
            let ends = wave_ends(&waves, count);
            prop_assert!(ends.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", ends);
            prop_assert!(ends[0] > 0);
            prop_assert_eq!(ends.last(), Some(&count));
        }
    }
}
