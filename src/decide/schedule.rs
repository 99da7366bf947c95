//! Schedules: when the next slot begins, what becomes of a slot that is late or comes too early, and what its runs mean.

use std::time::Duration;

use jiff::Timestamp;

use crate::decide::slots;
use crate::decide::slots::Slots;
use crate::model::alert::Alert;
use crate::model::alert::AlertStatus;
use crate::model::incident::Episode;
use crate::model::incident::Incident;
use crate::model::labels::Labels;
use crate::model::rule::Missed;
use crate::model::rule::Overlap;
use crate::model::rule::SCHEDULE;
use crate::model::rule::Schedule;
use crate::model::run::RunState;
use crate::model::time::after;

/// Name of the alert that stands for a slot. Only the schedule takes it, never a rule.
pub const ALERT: &str = "QuellSchedule";

/// A slot that is later than this was missed: quell was down. A restart takes less.
pub const LATE: Duration = Duration::from_mins(1);

/// Slots that are counted as left out at once, at most.
const COUNTED: u64 = 1_000;

/// The name of the schedule behind a source or a rule, if it is one.
pub fn name_of(source: &str) -> Option<&str> {
    source.strip_prefix(SCHEDULE)
}

/// The first slot after `after`; `None` when the schedule never comes.
pub fn next_slot(schedule: &Schedule, after: Timestamp) -> Option<Timestamp> {
    slots::next(&schedule.cron, &schedule.timezone, after)
}

/// When a slot begins: up to `jitter` later, by a random number of thousandths (G9).
pub fn due(schedule: &Schedule, slot: Timestamp, thousandths: u16) -> Timestamp {
    after(slot, schedule.jitter.saturating_mul(thousandths.into()) / 1000)
}

/// Labels of the episode of a slot: each slot has a fingerprint of its own, so that one slot is one episode however often
/// it is said.
pub fn labels(schedule: &Schedule, slot: Timestamp) -> Labels {
    let mut labels = schedule.labels.clone();
    labels.set("alertname", ALERT);
    labels.set("schedule", schedule.name.as_str());
    labels.set("slot", slot.to_string());
    labels
}

/// What stands for the begin or the end of a slot in intake.
pub fn alert(status: AlertStatus, labels: Labels, starts_at: Timestamp, now: Timestamp) -> Alert {
    Alert {
        status,
        labels,
        annotations: Labels::default(),
        starts_at: Some(starts_at),
        ends_at: (status == AlertStatus::Resolved).then(|| now.max(starts_at)),
        generator_url: String::new(),
    }
}

/// The incident that all slots of a schedule share, as it is opened by one of them; its id is the store's to give.
pub fn incident(schedule: &Schedule, episode: &Episode, now: Timestamp) -> Incident {
    Incident {
        rule: schedule.rule.name.clone(),
        group_key: schedule.name.clone(),
        title: title(schedule),
        severity: schedule.labels.get("severity").to_owned(),
        labels: episode.labels.clone(),
        // nobody is told that it runs; what needs a person ends this
        held_until: Some(now),
        ..Incident::unstored(now)
    }
}

/// Why a slot is over whose schedule has gone.
pub fn gone(name: &str) -> String {
    format!("there is no schedule {name} any more")
}

/// Why the incident of a schedule is given to people.
pub fn failed(name: &str) -> String {
    format!("the run of schedule {name} did not succeed")
}

/// `schedule nightly-backup, critical`: what people see first.
pub fn title(schedule: &Schedule) -> String {
    let name = format!("schedule {}", schedule.name);
    match schedule.labels.get("severity") {
        "" => name,
        severity => format!("{name}, {severity}"),
    }
}

/// What becomes of a slot that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// It begins.
    Begin,
    /// It waits for the one before.
    Wait,
    /// It is left out, for this reason.
    Skip(&'static str),
}

/// Says what becomes of a slot that is due at `now`, while the slot before is at work (`busy`); `waits` when it has been
/// waiting for that.
pub fn take(schedule: &Schedule, slot: Timestamp, waits: bool, busy: bool, now: Timestamp) -> Slot {
    let latest = after(after(slot, schedule.jitter), LATE);
    if now > latest && !waits && schedule.missed == Missed::Skip {
        return Slot::Skip("quell was not running when it came");
    }
    match (busy, schedule.overlap) {
        (false, _) => Slot::Begin,
        (true, Overlap::Skip) => Slot::Skip("the slot before was still at work"),
        (true, Overlap::Queue) => Slot::Wait,
    }
}

/// How many slots there are after `slot` and not after `now`: those that are left out when `slot` is dealt with only now.
pub fn between(schedule: &Schedule, slot: Timestamp, now: Timestamp) -> u64 {
    let Some(slots) = Slots::new(&schedule.cron, &schedule.timezone) else { return 0 };
    let mut count = 0;
    let mut at = slot;
    while let Some(next) = slots.next(at).filter(|next| *next <= now && count < COUNTED) {
        (count, at) = (count + 1, next);
    }
    count
}

/// What the runs of a slot come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is to run, as the n-th try that begins.
    Begin {
        /// How often a run was given up before it did anything.
        round: u32,
    },
    /// A run is at work.
    Busy,
    /// It ran, or was only to be observed.
    Done,
    /// A person must look.
    Failed,
}

/// Says where a slot stands, by the states of its runs in order.
pub fn standing(runs: &[RunState]) -> Standing {
    match runs.last() {
        None => Standing::Begin { round: 0 },
        Some(RunState::Superseded) => {
            Standing::Begin { round: u32::try_from(runs.len()).unwrap_or(u32::MAX) }
        }
        Some(RunState::Fixed | RunState::Observed) => Standing::Done,
        Some(
            RunState::Planned
            | RunState::AwaitingApproval
            | RunState::AwaitingAnswer
            | RunState::Running
            | RunState::InDoubt
            | RunState::Verifying
            | RunState::Undoing,
        ) => Standing::Busy,
        Some(
            RunState::Failed
            | RunState::Stuck
            | RunState::Cancelled
            | RunState::Expired
            | RunState::Rejected,
        ) => Standing::Failed,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::playbook::Mode;
    use crate::model::rule::Place;
    use crate::model::rule::Rule;
    use crate::model::rule::RuleLimits;
    use crate::model::rule::Set;

    pub(crate) fn schedule(overlap: Overlap, missed: Missed) -> Schedule {
        let rule = Rule {
            name: "schedule:backup".into(),
            description: String::new(),
            matchers: Vec::new(),
            when: None,
            group_by: Vec::new(),
            target: "schedule/backup".into(),
            response: Vec::new(),
            verify: None,
            limits: RuleLimits::default(),
            population: None,
            redundancy_group: None,
            page: None,
            updates: None,
            mode: Set::default_of(Mode::Auto),
            go_on: false,
            place: Place::default(),
        };
        Schedule {
            name: "backup".into(),
            cron: "0 * * * *".into(),
            timezone: "UTC".into(),
            overlap,
            missed,
            jitter: Duration::from_mins(5),
            labels: [("severity", "warning")].into_iter().collect(),
            rule: Arc::new(rule),
            place: Place::default(),
        }
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_slot_that_is_due_begins_waits_or_is_left_out() {
        let begins = "2026-01-05T10:00:30Z";
        let late = "2026-01-05T10:06:01Z";
        let skip = |why| Slot::Skip(why);
        let busy = "the slot before was still at work";
        let down = "quell was not running when it came";
        for (overlap, missed, waits, is_busy, now, expected) in [
            (Overlap::Skip, Missed::Skip, false, false, begins, Slot::Begin),
            (Overlap::Skip, Missed::Skip, false, true, begins, skip(busy)),
            (Overlap::Queue, Missed::Skip, false, true, begins, Slot::Wait),
            (Overlap::Queue, Missed::Skip, true, true, late, Slot::Wait),
            (Overlap::Queue, Missed::Skip, true, false, late, Slot::Begin),
            (Overlap::Skip, Missed::Skip, false, false, "2026-01-05T10:06:00Z", Slot::Begin),
            (Overlap::Skip, Missed::Skip, false, false, late, skip(down)),
            (Overlap::Skip, Missed::RunOnce, false, false, late, Slot::Begin),
            (Overlap::Skip, Missed::RunOnce, false, true, late, skip(busy)),
        ] {
            let slot = time("2026-01-05T10:00:00Z");
            let found = take(&schedule(overlap, missed), slot, waits, is_busy, time(now));
            assert_eq!(found, expected, "{overlap:?} {missed:?} {waits} {is_busy} {now}");
        }
    }

    #[test]
    fn jitter_is_up_to_the_whole_of_it_and_slots_have_fingerprints_of_their_own() {
        let schedule = schedule(Overlap::Skip, Missed::Skip);
        let slot = next_slot(&schedule, time("2026-01-05T10:00:00Z")).unwrap();
        assert_eq!(slot, time("2026-01-05T11:00:00Z"));
        assert_eq!(due(&schedule, slot, 0), slot);
        assert_eq!(due(&schedule, slot, 999), time("2026-01-05T11:04:59.7Z"));
        let labels = |at: &str| labels(&schedule, time(at));
        assert_eq!(
            labels("2026-01-05T11:00:00Z").to_string(),
            r#"QuellSchedule{schedule="backup", severity="warning", slot="2026-01-05T11:00:00Z"}"#
        );
        let prints =
            ["2026-01-05T11:00:00Z", "2026-01-05T12:00:00Z"].map(|at| labels(at).fingerprint());
        assert_ne!(prints[0], prints[1]);
    }

    #[test]
    fn slots_that_passed_meanwhile_are_counted_and_the_count_ends() {
        let hourly = schedule(Overlap::Skip, Missed::Skip);
        let slot = time("2026-01-05T10:00:00Z");
        assert_eq!(between(&hourly, slot, time("2026-01-05T10:59:59Z")), 0);
        assert_eq!(between(&hourly, slot, time("2026-01-05T13:00:00Z")), 3);
        let every_second = Schedule { cron: "* * * * * *".into(), ..hourly };
        assert_eq!(between(&every_second, slot, time("2026-02-05T13:00:00Z")), 1000);
    }

    #[test]
    fn the_last_run_says_where_a_slot_stands() {
        use RunState::*;
        for (runs, expected) in [
            (&[][..], Standing::Begin { round: 0 }),
            (&[Superseded, Superseded], Standing::Begin { round: 2 }),
            (&[Superseded, Running], Standing::Busy),
            (&[InDoubt], Standing::Busy),
            (&[Fixed], Standing::Done),
            (&[Observed], Standing::Done),
            (&[Failed], Standing::Failed),
            (&[Expired], Standing::Failed),
            (&[Cancelled], Standing::Failed),
        ] {
            assert_eq!(standing(runs), expected, "{runs:?}");
        }
    }
}
