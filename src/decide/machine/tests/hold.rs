//! A probe that must stay healthy for a while.

use super::*;
use crate::model::playbook::Hold;

/// Two minutes, looked at every thirty seconds, each time for at most one minute.
fn held() -> Step {
    let hold = Hold { lasts: seconds(120), every: seconds(30) };
    Step { hold: Some(hold), ..probe("stays well") }
}

#[test]
fn a_probe_that_holds_is_looked_at_until_its_time_is_over() {
    let mut run = Run::planned(plan(vec![held(), action("b")]));
    for time in [0, 30, 60, 90] {
        run = run.at(time).step(0, done());
        assert_eq!(run.effect(), Effect::Sleep { until: at(time + 30) }, "{time}");
        assert_eq!(run.state.record_of(of_step(0)), Some(&Record::Pending));
    }
    let run = run.at(120).step(0, done()).begin(1, 1).then(ended(1, done()));
    assert_eq!(show(&run.state.phase), "to verify");
}

#[test]
fn a_look_that_fails_undoes_what_was_done_before() {
    let run = Run::planned(plan(vec![action("a"), held()])).step(0, done()).step(1, done());
    let run = run.at(30).step(1, failed()).undo(0, done());
    run.ends(RunState::Failed, "step 2 (stays well) failed: exit 1");
}

#[test]
fn a_look_that_fails_and_is_tried_again_begins_the_time_again() {
    let retry = Retry { times: 1, backoff: seconds(10) };
    let run = Run::planned(plan(vec![Step { retry, ..held() }])).step(0, done());
    let run = run.at(90).step(0, failed_for_now()).at(100).begin(0, 2);
    let run = run.then(ended(0, done())).at(200).step(0, done());
    assert_eq!(run.effect(), Effect::Sleep { until: at(220) });
    let run = run.at(220).step(0, done());
    assert_eq!(show(&run.state.phase), "to verify");
}

#[test]
fn what_nobody_watched_does_not_count() {
    let run = Run::planned(plan(vec![held()])).step(0, done());
    // 2 x every + within are 120s
    let kept = run.clone().at(120).step(0, done());
    assert_eq!(show(&kept.state.phase), "to verify");
    let begun_again = run.at(121).step(0, done());
    assert_eq!(begun_again.effect(), Effect::Sleep { until: at(151) });
    let run = begun_again.at(241).step(0, done());
    assert_eq!(show(&run.state.phase), "to verify");
}

#[test]
fn between_two_looks_it_may_be_stopped_and_a_crash_within_one_looks_again() {
    let run = Run::planned(plan(vec![action("a"), held()])).step(0, done()).step(1, done());
    run.clone().at(10).then(stopped(cancelled())).ends(RunState::Cancelled, "cancelled by ada");
    let run = run.at(30).begin(1, 1).crash().begin(1, 2).then(ended(1, done()));
    assert_eq!(run.effect(), Effect::Sleep { until: at(60) });
}

#[test]
fn a_clock_that_is_set_moves_the_time() {
    let run = Run::planned(plan(vec![held()])).step(0, done());
    let set = Event::ClockSet { by_ms: 3_600_000, era: 1 };
    let run = run.at(3610).then(set).at(3600 + 120).step(0, done());
    assert_eq!(show(&run.state.phase), "to verify");
}
