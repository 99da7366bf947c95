//! Verification: `within` to begin to hold, `hold` to go on; what was not watched does not count.

use super::*;

/// Since when the run is verified, in seconds after it was planned.
fn verifying() -> Run {
    Run::planned(plan(vec![action("a")])).step(0, done()).then(Event::VerifyStarted)
}

/// Observes as the worker does: writes only what is worth an entry. Says whether it was.
fn observe(run: Run, now: i64, health: Health) -> (Run, bool) {
    let run = run.at(now);
    assert_eq!(run.effect(), Effect::Verify, "{:?}", run.state.phase);
    match verification_event(&run.plan, &run.state, seen(health), run.now) {
        Some(event) => (run.then(event), true),
        None => (run, false),
    }
}

fn check(observations: &[(i64, Health, bool)], ends: &str) -> Run {
    let mut run = verifying();
    for (now, health, written) in observations {
        let (then, wrote) = observe(run, *now, *health);
        assert_eq!(wrote, *written, "{now} {health:?}");
        run = then;
    }
    assert_eq!(show(&run.state.phase), ends, "{observations:?}");
    run
}

use Health::Healthy;
use Health::Unhealthy;
use Health::Unknown;

#[test]
fn healthy_for_as_long_as_it_must_hold_is_fixed() {
    let run = check(
        &[(0, Healthy, true), (15, Healthy, false), (29, Healthy, false), (30, Healthy, true)],
        "fixed",
    );
    run.ends(RunState::Fixed, "looks healthy");
}

#[test]
fn it_may_begin_to_hold_until_the_last_moment() {
    let late = [
        (0, Unhealthy, true),
        (30, Unhealthy, false),
        (59, Healthy, true),
        (80, Healthy, false),
        (89, Healthy, true),
    ];
    check(&late, "fixed");
}

#[test]
fn a_broken_streak_begins_anew() {
    check(
        &[
            (0, Healthy, true),
            (29, Unhealthy, true),
            (31, Healthy, true),
            (60, Healthy, false),
            (61, Healthy, true),
        ],
        "fixed",
    );
    check(
        &[
            (0, Healthy, true),
            (10, Unknown, true),
            (12, Healthy, true),
            (41, Healthy, false),
            (42, Healthy, true),
        ],
        "fixed",
    );
}

#[test]
fn a_streak_that_breaks_after_the_time_is_over_did_not_help() {
    let run = check(&[(50, Healthy, true), (70, Unhealthy, true)], "undoing [0]");
    assert_eq!(run.state.reason, "did not help: looks unhealthy");
}

#[test]
fn unhealthy_until_the_deadline_did_not_help() {
    let run = check(
        &[(0, Unhealthy, true), (59, Unhealthy, false), (60, Unhealthy, true)],
        "undoing [0]",
    );
    assert!(!run.state.inconclusive);
}

#[test]
fn unknown_at_the_deadline_is_inconclusive_and_undoes_nothing() {
    for before in [Unhealthy, Unknown, Healthy] {
        let run = check(&[(40, before, true), (60, Unknown, true)], "failed");
        assert!(run.state.inconclusive);
        run.ends(RunState::Failed, "nobody knows whether it helped: looks unknown");
        assert!(matches!(run.state.steps[0], Record::Done { .. }));
    }
}

#[test]
fn unknown_before_the_deadline_waits() {
    check(&[(0, Unknown, true), (59, Unknown, false)], "verifying, saw unknown");
}

#[test]
fn a_crash_restarts_the_window_since_nobody_watched() {
    let run = check(&[(0, Healthy, true), (20, Healthy, false)], "verifying, saw healthy, holds");
    let run = run.at(3_600).then(Event::Interrupted);
    let (run, _) = observe(run, 3_600, Unhealthy);
    assert_eq!(show(&run.state.phase), "verifying, saw unhealthy", "the deadline moved as well");
    let (run, _) = observe(run, 3_610, Healthy);
    let (run, wrote) = observe(run, 3_639, Healthy);
    assert!(!wrote);
    let (run, _) = observe(run, 3_640, Healthy);
    run.ends(RunState::Fixed, "looks healthy");
}

#[test]
fn with_nothing_to_hold_one_healthy_look_is_enough() {
    let mut run = verifying();
    run.plan.verify.as_mut().unwrap().hold = Duration::ZERO;
    let (run, wrote) = observe(run, 1, Healthy);
    assert!(wrote);
    run.ends(RunState::Fixed, "looks healthy");
}

#[test]
fn with_no_time_to_begin_one_unhealthy_look_is_enough() {
    let mut run = verifying();
    run.plan.verify.as_mut().unwrap().within = Duration::ZERO;
    let (run, _) = observe(run, 0, Unhealthy);
    assert_eq!(show(&run.state.phase), "undoing [0]");
}

#[test]
fn a_clock_that_goes_back_shortens_nothing() {
    let run = verifying().at(20).then(verified(Healthy));
    let (run, wrote) = observe(run, 5, Healthy);
    assert!(!wrote);
    let (_, wrote) = observe(run, 49, Healthy);
    assert!(!wrote, "held for 29 seconds");
}

#[test]
fn outside_of_verification_an_observation_is_worth_nothing() {
    for run in [Run::planned(plan(vec![action("a")])), verifying().then(stopped(cancelled()))] {
        assert_eq!(verification_event(&run.plan, &run.state, seen(Healthy), run.now), None);
    }
}

#[test]
fn without_a_verification_the_last_step_ends_the_run() {
    let run = Run::planned(unverified(plan(vec![action("a")]))).step(0, done());
    run.ends(RunState::Fixed, "");
}
