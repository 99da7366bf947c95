//! `for_each`: one item after another, in waves; each with its own tries, doubts and undo.

use super::*;

const XYZ: [&str; 3] = ["x", "y", "z"];

/// About to begin the first of three items, in waves of one and all, half a minute apart.
fn three(step: Step) -> Run {
    let waves = [Share::Count(1), Share::Percent(100)];
    Run::planned(plan(vec![for_each(step, &waves, seconds(30)), action("b")])).then(listed(0, &XYZ))
}

#[test]
fn the_list_is_written_before_the_first_item_and_never_again() {
    let run = Run::planned(plan(vec![for_each(action("a"), &[], Duration::ZERO)]));
    assert_eq!(run.effect(), Effect::Begin { spot: of_step(0), attempt: 1 });
    assert_eq!(run.state.summary(), RunState::Planned);
    run.refuses(&begun(of_step(0), 1));
    run.refuses(&begun(item(0, 0), 1));
    run.refuses(&listed(0, &[]));
    run.refuses(&listed(1, &XYZ));
    let run = run.then(listed(0, &XYZ));
    assert_eq!(run.state.summary(), RunState::Planned, "nothing was begun");
    run.refuses(&listed(0, &["other"]));
    let run = run.item(item(0, 0), done());
    run.refuses(&listed(0, &["other"]));
    run.begin_item(item(0, 1), 1);
}

#[test]
fn a_step_without_items_lists_none() {
    Run::planned(plan(vec![action("a")])).refuses(&listed(0, &XYZ));
    Run::planned(plan(vec![action("a")])).refuses(&begun(item(0, 0), 1));
}

#[test]
fn a_list_that_cannot_be_used_fails_the_step_and_nothing_is_begun() {
    let run = Run::planned(plan(vec![for_each(action("a"), &[], Duration::ZERO)]));
    let run = run.then(over(of_step(0), failed()));
    assert!(!run.state.acted);
    run.ends(RunState::Failed, "step 1 (a) failed: exit 1");
}

#[test]
fn waves_wait_between_them_and_not_after_the_last() {
    let run = three(action("a")).item(item(0, 0), done());
    assert_eq!(run.effect(), Effect::Sleep { until: at(30) });
    let run = run.at(30).item(item(0, 1), done());
    // inside a wave nothing waits
    let run = run.item(item(0, 2), done());
    assert_eq!(run.effect(), Effect::Begin { spot: of_step(1), attempt: 1 });
    let Record::Done { summary, output } = &run.state.steps[0] else { panic!() };
    assert_eq!(summary, "3 of 3 items done");
    let nothing = Value::Null;
    assert_eq!(
        *output,
        serde_json::json!({ "items": XYZ, "outputs": [nothing, nothing, nothing], "done": 3, "failed": 0 })
    );
}

#[test]
fn between_waves_anything_but_healthy_ends_the_step() {
    let waves = [Share::Count(2), Share::Percent(100)];
    for on_failure in [OnFailure::Abort, OnFailure::Continue] {
        let step = Step { on_failure, ..guarded(for_each(action("a"), &waves, seconds(30))) };
        let run = Run::planned(plan(vec![step])).then(listed(0, &XYZ));
        let run = run.item(item(0, 0), done()).item(item(0, 1), done());
        assert_eq!(run.effect(), Effect::Sleep { until: at(30) });
        run.refuses(&begun(item(0, 2), 1));
        let run = run.at(30);
        assert_eq!(run.effect(), Effect::Look { step: 0, item: 2 });
        let healthy = run.clone().then(looked(0, 2, done()));
        assert_eq!(healthy.effect(), Effect::Begin { spot: item(0, 2), attempt: 1 });
        for (outcome, why) in [(failed_for_now(), "exit 75"), (unknown(), "timed out")] {
            let run = run.clone().then(looked(0, 2, outcome));
            let run = run.undo_item(item(0, 1), done()).undo_item(item(0, 0), done());
            run.ends(RunState::Failed, &format!("step 1 (a) stopped after 2 of 3 items: {why}"));
            assert_eq!(run.state.lists[&0].records[2], Record::Pending);
        }
    }
}

#[test]
fn an_item_that_fails_stops_the_step_and_the_others_are_undone() {
    let run = three(action("a")).item(item(0, 0), done()).at(30);
    let run = run.item(item(0, 1), done()).item(item(0, 2), failed());
    let run = run.undo_item(item(0, 1), done());
    let run = run.undo_item(item(0, 0), done());
    run.ends(RunState::Failed, "step 1 (a), item 3 of 3 (z) failed: exit 1");
    assert_eq!(run.state.steps[0], Record::Failed { reason: "item 3 of 3 (z): exit 1".into() });
    assert_eq!(run.state.lists[&0].records[0], Record::Undone);
}

#[test]
fn an_item_that_may_fail_is_noted_and_the_next_one_begins() {
    let on_failure = OnFailure::Continue;
    let run = three(Step { on_failure, ..action("a") }).item(item(0, 0), failed()).at(30);
    let run = run.item(item(0, 1), done()).then(left_out(item(0, 2)));
    assert_eq!(run.effect(), Effect::Begin { spot: of_step(1), attempt: 1 });
    let Record::Done { summary, output } = &run.state.steps[0] else { panic!() };
    assert_eq!(summary, "1 of 3 items done, 1 failed: exit 1");
    assert_eq!((&output["done"], &output["failed"]), (&1.into(), &1.into()));
    // what failed and what was skipped is not undone
    let run = run.step(1, failed());
    assert_eq!(show(&run.state.phase), "undoing [0.1]");
}

#[test]
fn a_step_is_done_when_one_of_its_items_is() {
    let on_failure = OnFailure::Continue;
    let all = |event: &dyn Fn(Spot) -> Event| {
        let mut run = three(Step { on_failure, ..action("a") });
        for at in 0..3 {
            run = run.then(event(item(0, at)));
        }
        run.state.steps[0].clone()
    };
    let failed = all(&|spot| over(spot, failed()));
    assert_eq!(failed, Record::Failed { reason: "3 of 3 items failed: exit 1".into() });
    let skipped = all(&left_out);
    assert_eq!(skipped, Record::Skipped { reason: "each of 3 items was skipped".into() });
}

#[test]
fn each_item_has_its_own_tries() {
    let retry = Retry { times: 1, backoff: seconds(10) };
    let run = three(Step { retry, ..action("a") });
    let run = run.item(item(0, 0), failed_for_now());
    assert_eq!(run.effect(), Effect::Sleep { until: at(5) });
    let run = run.at(5).begin_item(item(0, 0), 2).then(over(item(0, 0), done())).at(60);
    let run = run.item(item(0, 1), failed_for_now()).at(100);
    run.begin_item(item(0, 1), 2)
        .then(over(item(0, 1), failed_for_now()))
        .undo_item(item(0, 0), done())
        .ends(RunState::Failed, "step 1 (a), item 2 of 3 (y) failed: exit 75");
}

#[test]
fn a_crash_in_the_middle_repeats_no_item_that_is_over() {
    let run = |on_unknown| {
        let run = three(Step { on_unknown, ..action("a") }).item(item(0, 0), done()).at(30);
        run.begin_item(item(0, 1), 1).crash()
    };
    assert_eq!(run(OnUnknown::Retry).effect(), Effect::Begin { spot: item(0, 1), attempt: 2 });
    let read = run(OnUnknown::Probe);
    assert_eq!(read.effect(), Effect::ReadBack);
    let then = Effect::Begin { spot: item(0, 2), attempt: 1 };
    assert_eq!(read.then(read_back(Health::Healthy)).effect(), then);
    let asks = run(OnUnknown::Ask);
    assert_eq!(asks.effect(), Effect::AskPerson);
    assert_eq!(asks.clone().then(settled(true)).effect(), then);
    let again = Effect::Begin { spot: item(0, 1), attempt: 2 };
    assert_eq!(asks.then(settled(false)).effect(), again);
}

#[test]
fn a_stop_between_two_waves_leaves_the_rest_alone() {
    let run = three(action("a")).item(item(0, 0), done());
    for (why, reason) in
        [(refused(), "silence: silenced by bob"), (cancelled(), "cancelled by ada")]
    {
        run.clone().then(stopped(why)).ends(RunState::Cancelled, reason);
    }
    let run = run.then(stopped(Stop::Resolved)).then(Event::VerifyStarted);
    let run = run.at(60).then(verified(Health::Unhealthy)).undo_item(item(0, 0), done());
    run.ends(RunState::Failed, "did not help: looks unhealthy");
}

#[test]
fn an_undo_of_an_item_that_fails_is_stuck() {
    let run = three(action("a")).item(item(0, 0), done()).at(30).item(item(0, 1), failed());
    run.undo_item(item(0, 0), failed()).ends(
        RunState::Stuck,
        "step 1 (a), item 2 of 3 (y) failed: exit 1; undoing step 1, item 1 of 3 (x), failed: exit 1",
    );
}

#[test]
fn a_step_of_which_nothing_stands_any_more_is_undone() {
    let run = three(action("a")).item(item(0, 0), done()).at(30).item(item(0, 1), done());
    let mut run = run.item(item(0, 2), done()).step(1, failed());
    for at in [2, 1, 0] {
        assert!(matches!(run.state.steps[0], Record::Done { .. }));
        run = run.undo_item(item(0, at), done());
    }
    assert_eq!(run.state.steps[0], Record::Undone);
    run.ends(RunState::Failed, "step 2 (b) failed: exit 1");
}
