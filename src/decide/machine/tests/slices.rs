//! Steps that are done a slice at a time: each slice is begun anew, from where the last one ended.

use super::*;
use crate::decide::stepping;
use crate::decide::stepping::Held;
use crate::decide::stepping::Hold;
use crate::decide::stepping::held;
use crate::model::action::RedisFlush;
use crate::model::action::Slices;

fn flush() -> Step {
    let slices = Slices { keys: 500, pause: seconds(5), cursor: 0 };
    let flush = RedisFlush { server: "cache".into(), database: None, slices: Some(slices) };
    Step { what: What::Action(Action::RedisFlush(flush)), ..action("flush") }
}

fn sliced(step: usize, cursor: u64, gone: u64) -> Event {
    Event::Sliced { step, item: None, cursor, gone }
}

#[test]
fn g10_a_slice_is_followed_by_a_pause_and_the_next_slice() {
    let run = Run::planned(plan(vec![flush(), action("b")])).begin(0, 1).then(sliced(0, 17, 500));
    assert_eq!(run.state.summary(), RunState::Running);
    assert_eq!(run.effect(), Effect::Sleep { until: at(5) });
    let run = run.at(5).begin(0, 1).at(6).then(sliced(0, 9, 510)).at(11);
    let progress = run.state.slices[&of_step(0)];
    assert_eq!((progress.cursor, progress.slices, progress.gone), (9, 2, 1010));
    let run = run.begin(0, 1).then(ended(0, done())).step(1, done());
    assert_eq!(show(&run.state.phase), "to verify");
}

#[test]
fn g10_a_crash_goes_on_from_the_last_slice_that_is_known() {
    let flush = Step { on_unknown: OnUnknown::Retry, ..flush() };
    let run = Run::planned(plan(vec![flush])).begin(0, 1).then(sliced(0, 17, 500));
    let run = run.at(5).begin(0, 1).crash().begin(0, 2);
    assert_eq!(run.state.slices[&of_step(0)].cursor, 17);
}

#[test]
fn g10_a_run_may_be_stopped_between_two_slices_and_not_within_one() {
    let run = Run::planned(plan(vec![flush()])).begin(0, 1);
    run.refuses(&stopped(cancelled()));
    let run = run.then(sliced(0, 17, 500)).then(stopped(cancelled()));
    run.ends(RunState::Cancelled, "cancelled by ada");
}

#[test]
fn g10_only_what_is_in_flight_and_done_in_slices_has_slices() {
    let run = Run::planned(plan(vec![flush(), action("b")]));
    run.refuses(&sliced(0, 17, 500));
    let run = run.begin(0, 1);
    run.refuses(&sliced(0, 0, 500));
    run.refuses(&sliced(1, 17, 500));
    let run = run.then(ended(0, done())).begin(1, 1);
    run.refuses(&sliced(1, 17, 500));
}

/// Held by the cache guard while the store is loaded, for at most the step's timeout of one minute after the last slice.
#[test]
fn g10_a_slice_waits_for_recovery_no_longer_than_the_step_may_take() {
    let run = Run::planned(plan(vec![flush()])).begin(0, 1).then(sliced(0, 17, 500));
    let held = |now: i64, guard: &str| {
        let until = at(now + 15);
        let hold = Hold { until, guard, reason: "load does not allow it: 0.8" };
        held(&run.plan, &run.state, hold, at(now))
    };
    assert_eq!(held(10, "cache"), Held::Until(at(25)));
    assert_eq!(held(50, "cache"), Held::Until(at(60)), "not beyond its end");
    let Held::Over(event) = held(60, "cache") else { panic!("it waits on") };
    let run_over = run.clone().at(60).then(*event);
    let reason = "step 1 (flush) failed: no slice for 1m after 500 keys went in 1: cache: load does not allow it: 0.8";
    assert_eq!(run_over.state.reason, reason);
    assert_eq!(held(60, crate::decide::guard::KILL_SWITCH), Held::Until(at(75)));
}

/// What an adapter says of a slice becomes an entry; the last one counts all that went.
#[test]
fn g10_the_outcome_of_the_last_slice_counts_all_of_them() {
    let done = |output: Value| Outcome::Done { summary: "deleted 30 keys".into(), output };
    let run = Run::planned(plan(vec![flush()])).begin(0, 1);
    let event = |state: &State, outcome| stepping::ended(&run.plan, state, of_step(0), outcome, 0);
    let more = done(serde_json::json!({ "deleted": 500, "cursor": 17 }));
    assert_eq!(event(&run.state, more), sliced(0, 17, 500));
    let later = run.clone().then(sliced(0, 17, 500)).at(5).begin(0, 1);
    let last = event(&later.state, done(serde_json::json!({ "deleted": 30 })));
    let Event::StepEnded { outcome: Outcome::Done { summary, output }, .. } = last else {
        panic!("{last:?}")
    };
    assert_eq!(summary, "deleted 30 keys; 530 keys in 2 slices");
    assert_eq!(output["deleted"], 530);
    let Event::StepEnded { outcome: Outcome::Failed { reason, .. }, .. } =
        event(&later.state, failed())
    else {
        panic!("no failure")
    };
    assert_eq!(reason, "exit 1; 500 keys went in 1 slices before");
}
