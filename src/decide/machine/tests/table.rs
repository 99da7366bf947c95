//! Each phase accepts exactly these events and moves to exactly these phases; every other event is illegal.

use super::*;

/// Two actions that can be undone.
fn two() -> Plan {
    plan(vec![action("a"), action("b")])
}

fn check(phase: &str, run: &Run, legal: &[(&str, &str)]) {
    assert_eq!(show(&run.state.phase), phase);
    let mut found = Vec::new();
    for (name, event) in every_event() {
        let entry = run.entry(event.clone());
        match apply(&run.plan, run.state.clone(), &entry) {
            Ok(after) => {
                assert_eq!(after.seq, run.state.seq + 1, "{phase}, {name}");
                assert_eq!(after.last_at, run.now, "{phase}, {name}");
                found.push((name, show(&after.phase)));
            }
            Err(illegal) => {
                assert_eq!(illegal.phase, run.state.phase, "{phase}, {name}");
                assert_eq!(illegal.event, event, "{phase}, {name}");
            }
        }
    }
    let found: Vec<_> = found.iter().map(|(name, to)| (*name, to.as_str())).collect();
    assert_eq!(found, legal, "from {phase}");
}

/// What a person, a resolution or a guard may do between steps, before anything was done.
const FREE_STOPS: [(&str, &str); 6] = [
    ("stopped: resolved", "superseded"),
    ("stopped: already healthy", "superseded"),
    ("stopped: refused", "superseded"),
    ("stopped: cancelled", "cancelled"),
    ("stopped: changed", "superseded"),
    ("stopped: taken over", "superseded"),
];

/// And after something was done.
const STOPS_AFTER_ACTING: [(&str, &str); 6] = [
    ("stopped: resolved", "to verify"),
    ("stopped: already healthy", "cancelled"),
    ("stopped: refused", "cancelled"),
    ("stopped: cancelled", "cancelled"),
    ("stopped: changed", "cancelled"),
    ("stopped: taken over", "cancelled"),
];

fn with(
    mut legal: Vec<(&'static str, &'static str)>,
    stops: [(&'static str, &'static str); 6],
) -> Vec<(&'static str, &'static str)> {
    legal.extend(stops);
    legal
}

#[test]
fn a_run_begins_with_its_plan_and_its_mode_says_what_follows() {
    check("empty", &Run::unplanned(two()), &[("planned", "ready 0 try 1")]);
    let approve = in_mode(Mode::Approve, two());
    check("empty", &Run::unplanned(approve), &[("planned", "awaiting approval")]);
    check("empty", &Run::unplanned(in_mode(Mode::Observe, two())), &[("planned", "observing")]);
    check("empty", &Run::unplanned(plan(Vec::new())), &[("planned", "to verify")]);
    check("empty", &Run::unplanned(unverified(plan(Vec::new()))), &[("planned", "fixed")]);
}

#[test]
fn mode_observe_only_says_that_it_would_have_run() {
    let run = Run::planned(in_mode(Mode::Observe, two()));
    let legal = [("dry run 0", "observing"), ("observed", "observed")];
    check("observing", &run, &legal);
    run.clone().then(Event::Observed).ends(RunState::Observed, "mode observe: it would have run");
    let run = run.then(dry_run(0, done()));
    check("observing", &run, &[("observed", "observed")]);
    run.clone()
        .then(Event::Observed)
        .ends(RunState::Observed, "mode observe: it would have run; dry runs were accepted");
    run.then(dry_run(1, failed())).then(Event::Observed).ends(
        RunState::Observed,
        "mode observe: it would have run, and the dry run of step 2 (b) failed: exit 1",
    );
}

#[test]
fn a_proposal_is_approved_rejected_expired_or_stopped() {
    let run = Run::planned(in_mode(Mode::Approve, two()));
    let legal = vec![
        ("approved", "ready 0 try 1"),
        ("lifted", "ready 0 try 1"),
        ("rejected", "rejected"),
        ("expired", "expired"),
    ];
    check("awaiting approval", &run, &with(legal, FREE_STOPS));
    let run = Run::planned(Plan { approvals: 2, ..in_mode(Mode::Approve, two()) });
    let legal = vec![
        ("approved", "awaiting approval"),
        ("lifted", "ready 0 try 1"),
        ("rejected", "rejected"),
        ("expired", "expired"),
    ];
    check("awaiting approval", &run, &with(legal.clone(), FREE_STOPS));
    let legal = vec![("approved", "ready 0 try 1"), legal[1], legal[2], legal[3]];
    check("awaiting approval", &run.then(approved_by("bob")), &with(legal, FREE_STOPS));
}

#[test]
fn a_step_that_is_about_to_begin_begins_is_skipped_fails_or_is_stopped() {
    let legal = vec![
        ("started 0 try 1", "in flight 0 try 1"),
        ("failed 0", "failed"),
        ("failed 0 for now", "failed"),
        ("skipped 0", "ready 1 try 1"),
    ];
    check("ready 0 try 1", &Run::planned(two()), &with(legal, FREE_STOPS));
    let legal = vec![
        ("started 1 try 1", "in flight 1 try 1"),
        ("failed 1", "undoing [0]"),
        ("skipped 1", "to verify"),
    ];
    check("ready 1 try 1", &Run::planned(two()).step(0, done()), &with(legal, STOPS_AFTER_ACTING));
}

#[test]
fn a_step_in_flight_ends_or_is_interrupted_and_nothing_else() {
    let legal = |unknown: &'static str| {
        [
            ("done 0", "ready 1 try 1"),
            ("failed 0", "failed"),
            ("failed 0 for now", "failed"),
            ("unknown 0", unknown),
            ("interrupted", unknown),
        ]
    };
    for (on_unknown, then) in [
        (OnUnknown::Ask, "in doubt 0 try 1"),
        (OnUnknown::Probe, "reading back 0 try 1"),
        (OnUnknown::Retry, "ready 0 try 2"),
    ] {
        let steps = vec![Step { on_unknown, ..action("a") }, action("b")];
        check("in flight 0 try 1", &Run::planned(plan(steps)).begin(0, 1), &legal(then));
    }
}

#[test]
fn a_probe_changes_nothing_so_a_crash_repeats_it() {
    let run = Run::planned(plan(vec![probe("a"), action("b")])).begin(0, 1);
    let legal = [
        ("done 0", "ready 1 try 1"),
        ("failed 0", "failed"),
        ("failed 0 for now", "failed"),
        ("unknown 0", "in doubt 0 try 1"),
        ("interrupted", "ready 0 try 2"),
    ];
    check("in flight 0 try 1", &run, &legal);
}

#[test]
fn a_wait_ends_only_when_its_time_is_over() {
    let run = Run::planned(plan(vec![wait("a", seconds(90)), action("b")])).begin(0, 1);
    check("waiting 0", &run, &with(Vec::new(), FREE_STOPS));
    check("waiting 0", &run.clone().at(89), &with(Vec::new(), FREE_STOPS));
    let legal = vec![
        ("done 0", "ready 1 try 1"),
        ("failed 0", "failed"),
        ("failed 0 for now", "failed"),
        ("unknown 0", "in doubt 0 try 1"),
    ];
    check("waiting 0", &run.at(90), &with(legal, FREE_STOPS));
}

#[test]
fn reading_back_only_takes_what_was_read() {
    let steps = vec![Step { on_unknown: OnUnknown::Probe, ..action("a") }, action("b")];
    let run = Run::planned(plan(steps)).step(0, unknown());
    let legal = [
        ("read back healthy", "ready 1 try 1"),
        ("read back unhealthy", "in doubt 0 try 1"),
        ("read back unknown", "in doubt 0 try 1"),
    ];
    check("reading back 0 try 1", &run, &legal);
}

#[test]
fn only_a_person_settles_a_doubt_or_stops_the_run() {
    let run = Run::planned(two()).step(0, unknown());
    let legal =
        vec![("settled: it happened", "ready 1 try 1"), ("settled: it did not", "ready 0 try 2")];
    check("in doubt 0 try 1", &run, &with(legal, STOPS_AFTER_ACTING));
}

#[test]
fn verification_begins_watches_and_ends() {
    let run = Run::planned(two()).step(0, done()).step(1, done());
    let legal =
        STOPS_AFTER_ACTING.into_iter().chain([("verify started", "verifying, saw nothing")]);
    check("to verify", &run, &legal.collect::<Vec<_>>());

    let run = run.then(Event::VerifyStarted);
    let legal = |healthy, unhealthy, unknown| {
        [
            ("interrupted", "verifying, saw nothing"),
            ("stopped: resolved", "verifying, saw healthy, holds"),
            ("stopped: already healthy", "cancelled"),
            ("stopped: refused", "cancelled"),
            ("stopped: cancelled", "cancelled"),
            ("stopped: changed", "cancelled"),
            ("stopped: taken over", "cancelled"),
            ("verified healthy", healthy),
            ("verified unhealthy", unhealthy),
            ("verified unknown", unknown),
        ]
    };
    let run = run.then(verified(Health::Healthy));
    let watching =
        ["verifying, saw healthy, holds", "verifying, saw unhealthy", "verifying, saw unknown"];
    let [healthy, unhealthy, unknown] = watching;
    check("verifying, saw healthy, holds", &run, &legal(healthy, unhealthy, unknown));
    check(
        "verifying, saw healthy, holds",
        &run.clone().at(30),
        &legal("fixed", unhealthy, unknown),
    );
    check(
        "verifying, saw healthy, holds",
        &run.at(60),
        &legal("fixed", "undoing [1, 0]", "failed"),
    );
}

#[test]
fn undos_begin_and_end_in_order_and_nothing_stops_them() {
    let run = Run::planned(plan(vec![action("a"), action("b"), action("c")]))
        .step(0, done())
        .step(1, done())
        .step(2, failed());
    let legal = [("undo started 1", "undo of 1 in flight, then [0]"), ("undo failed 1", "stuck")];
    check("undoing [1, 0]", &run, &legal);
    let run = run.then(undo_started(1));
    let legal =
        [("interrupted", "stuck"), ("undo done 1", "undoing [0]"), ("undo failed 1", "stuck")];
    check("undo of 1 in flight, then [0]", &run, &legal);
    let run = run.then(undo_ended(1, done())).then(undo_started(0));
    let legal = [
        ("interrupted", "stuck"),
        ("undo done 0", "failed"),
        ("undo failed 0", "stuck"),
        ("undo unknown 0", "stuck"),
    ];
    check("undo of 0 in flight, then []", &run, &legal);
}

#[test]
fn nothing_follows_a_final_state() {
    let approve = || Run::planned(in_mode(Mode::Approve, two()));
    let acted = || Run::planned(two()).step(0, done());
    let ended = vec![
        ("observed", Run::planned(in_mode(Mode::Observe, two())).then(Event::Observed)),
        ("rejected", approve().then(rejected())),
        ("expired", approve().then(Event::Expired)),
        ("superseded", approve().then(stopped(Stop::Resolved))),
        ("cancelled", acted().then(stopped(cancelled()))),
        ("failed", Run::planned(two()).step(0, failed())),
        ("fixed", Run::planned(unverified(two())).step(0, done()).step(1, done())),
        ("stuck", acted().step(1, failed()).undo(0, failed())),
    ];
    for (name, run) in ended {
        check(name, &run, &[]);
        assert_eq!(run.effect(), Effect::Over, "{name}");
    }
}

#[test]
fn an_illegal_event_names_itself_and_the_phase() {
    let run = Run::planned(two());
    let illegal = apply(&run.plan, run.state.clone(), &run.entry(Event::Expired)).unwrap_err();
    let words = illegal.to_string();
    assert!(words.starts_with("Expired is not allowed in Ready { step: 0"), "{words}");
}
