//! What must not get worse: nothing begins without a baseline, worse is undone at once, unknown is never called fixed.

use super::exhaustion::TICK;
use super::exhaustion::check_plan;
use super::*;

/// Two actions that can be undone, and latency must not get worse.
fn guarded_two() -> Plan {
    unharmed(plan(vec![action("a"), action("b")]))
}

fn verifying() -> Run {
    let run = Run::planned(guarded_two()).then(baseline());
    run.step(0, done()).step(1, done()).then(Event::VerifyStarted)
}

/// One round of the worker: compares, and if the run goes on, observes. Says what was written.
fn watch(run: Run, now: i64, harm: Health, health: Health) -> (Run, Vec<&'static str>) {
    let mut run = run.at(now);
    let mut written = Vec::new();
    assert_eq!(run.effect(), Effect::Verify, "{:?}", run.state.phase);
    if let Some(event) = comparison_event(&run.state, seen(harm)) {
        run = run.then(event);
        written.push("compared");
    }
    if let Some(event) = verification_event(&run.plan, &run.state, seen(health), run.now) {
        run = run.then(event);
        written.push("verified");
    }
    (run, written)
}

use Health::Healthy;
use Health::Unhealthy;
use Health::Unknown;

#[test]
fn g16_nothing_begins_before_the_baseline_is_taken() {
    let run = Run::planned(guarded_two());
    assert_eq!(run.effect(), Effect::Measure);
    for event in [started(0, 1), skipped(0), ended(0, failed()), Event::VerifyStarted] {
        run.refuses(&event);
    }
    // a baseline of something else is none
    run.refuses(&Event::Baseline { taken: Vec::new() });
    run.refuses(&Event::Baseline {
        taken: vec![Taken { name: "latency".into(), samples: vec![] }],
    });
    let run = run.then(baseline());
    assert_eq!(run.effect(), Effect::Begin { spot: of_step(0), attempt: 1 });
    run.refuses(&baseline());
}

#[test]
fn g16_a_run_without_a_baseline_can_be_stopped_and_has_done_nothing() {
    let run = Run::planned(guarded_two()).then(stopped(refused()));
    run.ends(RunState::Superseded, "silence: silenced by bob");
}

#[test]
fn g16_what_gets_worse_is_undone_in_reverse_at_once() {
    let (run, _) = watch(verifying(), 0, Healthy, Healthy);
    let (run, written) = watch(run, 5, Unhealthy, Healthy);
    assert_eq!(written, ["compared"]);
    let run = run.undo(1, done()).undo(0, done());
    run.ends(RunState::Failed, "it did harm: looks unhealthy");
    assert!(!run.state.inconclusive);
}

#[test]
fn g16_harm_counts_before_a_verification_that_would_be_over_at_the_same_instant() {
    let (run, _) = watch(verifying(), 0, Healthy, Healthy);
    let (run, _) = watch(run, 30, Unhealthy, Healthy);
    assert_eq!(show(&run.state.phase), "undoing [1, 0]");
}

#[test]
fn g16_an_undo_that_fails_stops_and_needs_people() {
    let (run, _) = watch(verifying(), 0, Unhealthy, Unhealthy);
    let run = run.undo(1, failed());
    let reason = "it did harm: looks unhealthy; undoing step 2 failed: exit 1";
    run.ends(RunState::Stuck, reason);
}

#[test]
fn g16_fixed_when_it_holds_and_nothing_got_worse() {
    let (run, written) = watch(verifying(), 0, Healthy, Healthy);
    assert_eq!(written, ["compared", "verified"]);
    let (run, written) = watch(run, 29, Healthy, Healthy);
    assert_eq!(written, Vec::<&str>::new(), "repeats that change nothing");
    let (run, _) = watch(run, 30, Healthy, Healthy);
    run.ends(RunState::Fixed, "looks healthy");
}

#[test]
fn g16_unknown_is_not_worse_and_is_waited_for_to_the_end_of_the_time_there_is() {
    let (run, _) = watch(verifying(), 0, Unknown, Healthy);
    // it holds, and nobody can say that it did no harm: within 60 s and 30 s more
    let (run, written) = watch(run, 89, Unknown, Healthy);
    assert_eq!(written, Vec::<&str>::new());
    let (seen_again, _) = watch(run.clone(), 89, Healthy, Healthy);
    seen_again.ends(RunState::Fixed, "looks healthy");
    let (run, _) = watch(run, 90, Unknown, Healthy);
    run.ends(RunState::Failed, "nobody knows whether it did harm: looks unknown");
    assert!(run.state.inconclusive, "counts as nobody knows, and nothing is undone on that");
}

#[test]
fn g16_a_crash_forgets_what_was_seen_and_keeps_the_baseline() {
    let (run, _) = watch(verifying(), 0, Healthy, Healthy);
    let run = run.at(29).then(Event::Interrupted);
    assert_eq!(run.effect(), Effect::Verify);
    assert!(run.state.baseline.is_some());
    // nobody has looked since, so holding alone is not enough
    let event = verification_event(&run.plan, &run.state, seen(Healthy), at(29)).unwrap();
    let run = run.then(event).at(59);
    assert_eq!(verification_event(&run.plan, &run.state, seen(Healthy), at(59)), None);
}

/// Three items in three waves without anything else between them.
fn in_waves() -> Run {
    let waves = [Share::Count(1), Share::Count(2), Share::Percent(100)];
    let run = Run::planned(unharmed(plan(vec![for_each(action("a"), &waves, seconds(5))])));
    run.then(baseline()).then(listed(0, &["x", "y", "z"])).item(item(0, 0), done())
}

#[test]
fn g16_between_waves_the_next_one_begins_only_when_nothing_got_worse() {
    let run = in_waves();
    assert_eq!(run.effect(), Effect::Sleep { until: at(5) });
    let run = run.at(5);
    assert_eq!(run.effect(), Effect::Look { step: 0, item: 1 });
    run.refuses(&looked(0, 1, done()));
    let run = run.then(compared(Unknown));
    run.refuses(&looked(0, 1, done()));
    let run = run.then(compared(Healthy)).then(looked(0, 1, done()));
    let run = run.item(item(0, 1), done()).at(10);
    assert_eq!(run.effect(), Effect::Look { step: 0, item: 2 });
    run.refuses(&looked(0, 2, done()));
    let run = run.then(compared(Unhealthy)).undo_item(item(0, 1), done());
    let run = run.undo_item(item(0, 0), done());
    run.ends(RunState::Failed, "it did harm: looks unhealthy");
}

#[test]
fn g16_between_waves_what_nobody_can_say_for_too_long_ends_the_step() {
    let run = in_waves().at(5).then(compared(Unknown)).then(looked(0, 1, failed_for_now()));
    assert_eq!(show(&run.state.phase), "undoing [0.0]");
    assert_eq!(run.state.reason, "step 1 (a) stopped after 1 of 3 items: exit 75");
}

/// Two actions, and one in two waves; latency must not get worse.
fn check_harm(mode: Mode, on_failure: OnFailure) {
    let retry = Retry { times: 0, backoff: Duration::ZERO };
    let waves = [Share::Count(1), Share::Percent(100)];
    let last = for_each(action("b"), &waves, seconds(TICK));
    for steps in [vec![action("a"), action("c")], vec![last]] {
        let all = steps.into_iter().map(|step| {
            let on_unknown = OnUnknown::Retry;
            Step { retry, on_failure, on_unknown, ..step }
        });
        check_plan(unharmed(in_mode(mode, plan(all.collect()))), true, true);
    }
}

#[test]
fn g16_promises_hold_from_every_state_when_something_must_not_get_worse() {
    check_harm(Mode::Auto, OnFailure::Abort);
    check_harm(Mode::Auto, OnFailure::Continue);
}
