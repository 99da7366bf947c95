//! The wall clock is set while a run is under way: nothing waits longer or less long for it.

use proptest::prelude::*;

use super::properties::any_plan;
use super::properties::choices;
use super::properties::journal;
use super::*;
use crate::model::time::moved;

const HOUR: i64 = 3_600;

/// The clock is set by so many seconds; from then on the run's times are by the new clock.
fn set(run: Run, by: i64) -> Run {
    let run = Run { now: moved(run.now, by * 1000), ..run };
    run.then(Event::ClockSet { era: 1, by_ms: by * 1000 })
}

fn sleeps(run: &Run, until: i64) {
    assert_eq!(run.effect(), Effect::Sleep { until: at(until) }, "{:?}", run.state.phase);
}

#[test]
fn what_waits_is_moved_with_the_clock() {
    let proposal =
        Plan { approve_until: Some(at(600)), ..in_mode(Mode::Approve, plan(vec![action("a")])) };
    let retries = Retry { times: 1, backoff: seconds(100) };
    let again = plan(vec![Step { retry: retries, ..action("a") }]);
    for by in [HOUR, -HOUR] {
        let waits = Run::planned(plan(vec![wait("w", seconds(90))])).begin(0, 1).at(30);
        sleeps(&set(waits, by), by + 90);
        let approval = Run::planned(proposal.clone()).at(30);
        sleeps(&set(approval, by), by + 600);
        let question = Run::planned(plan(vec![ask("q", seconds(90))])).then(asked(0)).at(30);
        sleeps(&set(question, by), by + 90);
        // half of the time between two tries, without jitter
        let retry = Run::planned(again.clone()).begin(0, 1).then(ended(0, failed_for_now())).at(30);
        sleeps(&set(retry, by), by + 50);
    }
}

#[test]
fn a_verification_is_as_long_as_it_should_be() {
    for by in [HOUR, -HOUR] {
        let watched = Run::planned(plan(vec![action("a")])).step(0, done());
        let watched = watched.then(Event::VerifyStarted).at(10).then(verified(Health::Healthy));
        let watched = set(watched.at(20), by);
        assert_eq!(next_look(&watched.plan, &watched.state, watched.now), Some(at(by + 40)));
        let early = watched.clone().at(by + 39).then(verified(Health::Healthy));
        assert!(matches!(early.state.phase, Phase::Verifying { .. }), "{:?}", early.state.phase);
        watched.at(by + 40).then(verified(Health::Healthy)).ends(RunState::Fixed, "looks healthy");
    }
}

#[test]
fn nothing_but_a_run_that_may_go_on_learns_of_it() {
    let event = Event::ClockSet { era: 1, by_ms: 1000 };
    Run::unplanned(plan(Vec::new())).refuses(&event);
    Run::planned(unverified(plan(Vec::new()))).refuses(&event);
    let in_flight = Run::planned(plan(vec![action("a")])).begin(0, 1);
    let phase = in_flight.state.phase.clone();
    assert_eq!(in_flight.then(event).state.phase, phase);
    let unmeasured = Run::planned(unharmed(plan(vec![action("a")])));
    assert_eq!(set(unmeasured, HOUR).effect(), Effect::Measure);
}

proptest! {
    /// Whatever jumps come between the entries of whatever journal: the run stands where it would if all of it had been
    /// written by the clock that is in force at the end.
    #[test]
    fn a_run_does_not_notice_that_the_clock_was_set(
        plan in any_plan(),
        choices in choices(),
        jumps in prop::collection::vec((any::<prop::sample::Index>(), -90_000_000..90_000_000_i64), 0..4),
    ) {
        let plan = Plan { approve_until: Some(at(60)), ..plan };
        let entries = journal(&plan, &choices);
        let mut by_now = 0;
        let mut set = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            for (_, by_ms) in jumps.iter().filter(|(it, _)| index > 0 && it.index(entries.len()) == index) {
                by_now += by_ms;
                let event = Event::ClockSet { era: 1, by_ms: *by_ms };
                set.push(Entry { seq: 0, at: moved(entry.at, by_now), event });
            }
            set.push(Entry { at: moved(entry.at, by_now), ..entry.clone() });
        }
        let all: Vec<Entry> =
            entries.iter().map(|it| Entry { at: moved(it.at, by_now), ..it.clone() }).collect();
        let moved_plan = Plan { approve_until: Some(moved(at(60), by_now)), ..plan.clone() };
        let as_if = fold(&moved_plan, &all).unwrap();
        let stands = fold(&plan, &set).unwrap();
        prop_assert_eq!(State { seq: as_if.seq, ..stands.clone() }, as_if.clone());
        for later in [0, 3, 3_600] {
            let now = after(stands.last_at, seconds(later));
            prop_assert_eq!(next(&plan, &stands, now), next(&moved_plan, &as_if, now));
        }
    }
}
