//! Steps: tries and delays, outcomes that nobody knows, skipping, going on after a failure.

use super::*;

fn retrying(times: u32, backoff: u64, step: Step) -> Step {
    Step { retry: Retry { times, backoff: seconds(backoff) }, ..step }
}

fn on_unknown(on_unknown: OnUnknown, step: Step) -> Step {
    Step { on_unknown, ..step }
}

#[test]
fn a_step_is_tried_again_after_a_growing_delay_and_then_fails() {
    let mut run = Run::planned(plan(vec![retrying(2, 10, action("a"))]));
    for (attempt, now, delay_ms) in [(1, 0, 5_000), (2, 100, 10_000)] {
        run = run.at(now).begin(0, attempt).then(ended(0, failed_for_now()));
        let until = after(at(now), Duration::from_millis(delay_ms));
        assert_eq!(run.effect(), Effect::Sleep { until });
        assert_eq!(
            next(&run.plan, &run.state, until),
            Effect::Begin { spot: of_step(0), attempt: attempt + 1 }
        );
    }
    run.at(200)
        .begin(0, 3)
        .then(ended(0, failed_for_now()))
        .ends(RunState::Failed, "step 1 (a) failed: exit 75");
}

#[test]
fn what_will_never_work_is_not_tried_again() {
    let run = Run::planned(plan(vec![retrying(5, 10, action("a"))])).step(0, failed());
    run.ends(RunState::Failed, "step 1 (a) failed: exit 1");
}

/// Given a step with tries left, when its credential is refused, then it is not tried again, also where an outcome that is unknown
/// would be.
#[test]
fn g19_a_refused_credential_is_not_tried_again() {
    for step in [retrying(5, 10, action("a")), on_unknown(OnUnknown::Retry, action("a"))] {
        let run = Run::planned(plan(vec![step])).step(0, denied());
        run.ends(RunState::Failed, "step 1 (a) failed: answered 401");
    }
    let run = Run::planned(plan(vec![action("a"), action("b")])).step(0, done()).step(1, denied());
    assert_eq!(run.effect(), Effect::Undo { spot: of_step(0) });
    run.undo(0, denied()).ends(
        RunState::Stuck,
        "step 2 (b) failed: answered 401; undoing step 1 failed: answered 401",
    );
}

#[test]
fn a_try_that_works_ends_the_step() {
    let run = Run::planned(plan(vec![retrying(1, 10, action("a"))]));
    let run = run.step(0, failed_for_now()).at(60).begin(0, 2).then(ended(0, done()));
    assert_eq!(show(&run.state.phase), "to verify");
    assert!(matches!(run.state.steps[0], Record::Done { .. }));
}

#[test]
fn delays_double_up_to_a_bound_and_jitter_spreads_their_upper_half() {
    for (first, attempt, jitter, expected_ms) in [
        (10, 1, 0, 5_000),
        (10, 1, 500, 7_500),
        (10, 1, 999, 9_995),
        (10, 1, u16::MAX, 9_995),
        (10, 2, 0, 10_000),
        (10, 3, 500, 30_000),
        (10, 6, 0, 150_000),
        (10, u32::MAX, 999, 299_850),
        (u64::MAX, u32::MAX, 0, 150_000),
        (0, 4, 999, 0),
        (10, 0, 0, 5_000),
    ] {
        let found = backoff(seconds(first), attempt, jitter);
        assert_eq!(found, Duration::from_millis(expected_ms), "{first} {attempt} {jitter}");
    }
}

#[test]
fn on_unknown_retry_repeats_a_bounded_number_of_times() {
    let mut run =
        Run::planned(plan(vec![on_unknown(OnUnknown::Retry, retrying(1, 0, action("a")))]));
    for attempt in 1..=4 {
        run = run.begin(0, attempt).then(ended(0, unknown()));
        assert_eq!(run.effect(), Effect::Begin { spot: of_step(0), attempt: attempt + 1 });
    }
    let run = run.begin(0, 5).then(ended(0, unknown()));
    run.ends(RunState::Failed, "step 1 (a) failed: timed out, 5 times in a row");
}

#[test]
fn crashes_while_an_action_is_repeated_are_bounded_as_well() {
    let mut run = Run::planned(plan(vec![on_unknown(OnUnknown::Retry, action("a"))]));
    for attempt in 1..=4 {
        run = run.begin(0, attempt).crash();
    }
    let reason = "step 1 (a) failed: quell stopped while the step was in flight; its command was killed, 4 times in a row";
    run.ends(RunState::Failed, reason);
}

#[test]
fn a_bound_of_tries_without_end_does_not_overflow() {
    let step = on_unknown(OnUnknown::Retry, retrying(u32::MAX, 0, action("a")));
    let run = Run::planned(plan(vec![step])).step(0, unknown());
    assert_eq!(run.effect(), Effect::Begin { spot: of_step(0), attempt: 2 });
}

#[test]
fn on_unknown_probe_takes_a_healthy_answer_for_done() {
    let steps = vec![on_unknown(OnUnknown::Probe, action("a")), action("b")];
    for run in [
        Run::planned(plan(steps.clone())).step(0, unknown()),
        Run::planned(plan(steps)).begin(0, 1).crash(),
    ] {
        assert_eq!(run.effect(), Effect::ReadBack);
        assert_eq!(run.state.summary(), RunState::Running);
        let run = run.then(read_back(Health::Healthy));
        assert_eq!(
            run.state.steps[0],
            Record::Done { summary: "read back: looks healthy".into(), output: Value::Null }
        );
        assert_eq!(run.effect(), Effect::Begin { spot: of_step(1), attempt: 1 });
    }
}

#[test]
fn on_unknown_probe_asks_a_person_when_the_answer_is_not_healthy() {
    for health in [Health::Unhealthy, Health::Unknown] {
        let steps = vec![on_unknown(OnUnknown::Probe, action("a"))];
        let run = Run::planned(plan(steps)).step(0, unknown()).then(read_back(health));
        assert_eq!(run.effect(), Effect::AskPerson);
        assert_eq!(run.state.summary(), RunState::InDoubt);
        let words =
            format!("nobody knows whether the step happened; read back: looks {}", health.as_str());
        assert_eq!(run.state.reason, words);
    }
}

#[test]
fn on_unknown_probe_without_a_verification_asks_a_person() {
    let steps = vec![on_unknown(OnUnknown::Probe, action("a"))];
    let run = Run::planned(unverified(plan(steps))).step(0, unknown());
    assert_eq!(run.effect(), Effect::AskPerson);
    assert_eq!(run.state.reason, "timed out");
}

#[test]
fn on_unknown_ask_waits_for_a_person_who_says_that_it_happened() {
    let steps = vec![action("a"), action("b")];
    let run = Run::planned(plan(steps)).begin(0, 1).crash();
    assert_eq!(run.effect(), Effect::AskPerson);
    assert_eq!(
        run.state.reason,
        "quell stopped while the step was in flight; its command was killed"
    );
    let run = run.then(settled(true));
    assert_eq!(run.effect(), Effect::Begin { spot: of_step(1), attempt: 1 });
    assert!(
        matches!(&run.state.steps[0], Record::Done { summary, .. } if summary == "ada says that it happened")
    );
}

#[test]
fn on_unknown_ask_begins_again_when_a_person_says_that_it_did_not_happen() {
    let run = Run::planned(plan(vec![action("a")])).step(0, unknown()).then(settled(false));
    assert_eq!(run.state.steps[0], Record::Pending);
    run.begin(0, 2)
        .then(ended(0, failed_for_now()))
        .ends(RunState::Failed, "step 1 (a) failed: exit 75");
}

#[test]
fn a_failure_that_may_be_is_noted_and_the_run_goes_on() {
    let steps = vec![Step { on_failure: OnFailure::Continue, ..action("a") }, action("b")];
    let run = Run::planned(plan(steps)).step(0, failed());
    assert_eq!(run.state.steps[0], Record::Failed { reason: "exit 1".into() });
    assert_eq!(run.effect(), Effect::Begin { spot: of_step(1), attempt: 1 });
}

#[test]
fn a_step_that_cannot_be_rendered_fails_without_having_begun() {
    let run = Run::planned(plan(vec![retrying(3, 10, action("a"))])).then(ended(0, failed()));
    assert!(!run.state.acted);
    run.ends(RunState::Failed, "step 1 (a) failed: exit 1");
    let run = Run::planned(plan(vec![action("a")]));
    for outcome in [done(), unknown()] {
        run.refuses(&ended(0, outcome));
    }
}

#[test]
fn a_step_that_could_not_be_prepared_for_now_is_tried_again() {
    let run =
        Run::planned(plan(vec![retrying(1, 10, action("a"))])).then(ended(0, failed_for_now()));
    assert_eq!(run.effect(), Effect::Sleep { until: at(5) });
    let run = run.at(5).then(ended(0, failed_for_now()));
    run.ends(RunState::Failed, "step 1 (a) failed: exit 75");
    assert!(!run.state.acted);
}

#[test]
fn a_skipped_step_is_neither_done_nor_acted() {
    let run = Run::planned(plan(vec![action("a"), action("b")])).then(skipped(0));
    assert_eq!(run.state.steps[0], Record::Skipped { reason: "if: false".into() });
    assert!(!run.state.acted);
    assert_eq!(run.effect(), Effect::Begin { spot: of_step(1), attempt: 1 });
}

#[test]
fn a_wait_survives_a_restart_and_ends_by_itself() {
    let run = Run::planned(plan(vec![wait("a", seconds(90))])).at(10).begin(0, 1);
    assert_eq!(run.effect(), Effect::Sleep { until: at(100) });
    let run = run.at(100);
    let Effect::Write(over) = run.effect() else { panic!("{:?}", run.effect()) };
    let run = run.then(over);
    assert!(!run.state.acted);
    assert!(matches!(&run.state.steps[0], Record::Done { summary, .. } if summary == "waited"));
    assert_eq!(show(&run.state.phase), "to verify");
}

#[test]
fn only_actions_count_as_acting() {
    let steps = vec![probe("a"), wait("b", seconds(1)), action("c")];
    let run = Run::planned(plan(steps)).step(0, done()).begin(1, 1).at(1).then(ended(1, done()));
    assert!(!run.state.acted);
    let run = run.begin(2, 1);
    assert!(run.state.acted);
}

#[test]
fn outputs_are_kept_for_later_steps() {
    let output = serde_json::json!({ "replicas": 5 });
    let outcome = Outcome::Done { summary: "scaled".into(), output: output.clone() };
    let run = Run::planned(plan(vec![action("a")])).step(0, outcome);
    assert_eq!(run.state.steps[0], Record::Done { summary: "scaled".into(), output });
}
