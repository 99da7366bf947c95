//! Every event, crashes included, from every state that a three-step run can reach, breadth first.
//!
//! Beside the machine walks a [`Ghost`], which knows only what the journal says happened in the world and checks each
//! accepted event against the promises. Time goes in steps of [`TICK`]: enough to be before, at and after every limit.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "each match is about a few kinds and leaves the rest alone"
)]

use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::VecDeque;

use super::*;

mod ghost;

use ghost::Ghost;

/// Waits, delays, `within` and `hold` are one or two of these.
pub(super) const TICK: u64 = 10;
/// Tries beyond this are all alike: no limit of the playbooks below is higher.
const MOST_TRIES: u32 = 7;
/// Most entries that a run without a crash or a person may need before it ends or asks.
const LONGEST: usize = 60;

const HEALTH: [Health; 3] = [Health::Healthy, Health::Unhealthy, Health::Unknown];

/// Of every `for_each`.
const ITEMS: [&str; 2] = ["x", "y"];

/// A state as it looks from its last entry: without texts, times relative and no longer than they matter.
fn canonical(mut state: State) -> State {
    let last = state.last_at;
    let most = if state.baseline.is_some() { 3 } else { 2 };
    let past = |then: Timestamp| before_start(since(last, then).min(seconds(most * TICK)));
    let future = |then: Timestamp| after(at(0), since(then, last));
    state.phase = match state.phase {
        Phase::Ready { step, item, attempt, at } => {
            Phase::Ready { step, item, attempt: attempt.min(MOST_TRIES), at: future(at) }
        }
        Phase::InFlight { step, item, attempt } => {
            Phase::InFlight { step, item, attempt: attempt.min(MOST_TRIES) }
        }
        Phase::InDoubt { step, item, attempt } => {
            Phase::InDoubt { step, item, attempt: attempt.min(MOST_TRIES) }
        }
        Phase::Looking { step, item, at, harm } => {
            Phase::Looking { step, item, at: future(at), harm }
        }
        Phase::Asking { step, question, until } => {
            Phase::Asking { step, question, until: future(until) }
        }
        Phase::Waiting { step, until } => Phase::Waiting { step, until: future(until) },
        Phase::Verifying { started_at, healthy_since, last, harm } => Phase::Verifying {
            started_at: past(started_at),
            healthy_since: healthy_since.map(past),
            last,
            harm,
        },
        phase => phase,
    };
    let items = state.lists.values_mut().flat_map(|list| &mut list.records);
    for record in state.steps.iter_mut().chain(items) {
        match record {
            Record::Done { summary, output } => {
                summary.clear();
                *output = Value::Null;
            }
            Record::Failed { reason }
            | Record::Skipped { reason }
            | Record::UndoFailed { reason } => {
                reason.clear();
            }
            Record::Pending | Record::Undone => {}
        }
    }
    state.reason.clear();
    // who said yes first matters to nothing
    state.approved_by.sort();
    State { seq: 1, last_at: at(0), ..state }
}

fn before_start(age: Duration) -> Timestamp {
    crate::model::time::before(at(0), age)
}

/// Everything that could be written next: each kind, each step, each outcome, right and wrong tries.
fn every_event_of(state: &State, plan: &Plan) -> Vec<Event> {
    let mut events = vec![
        planned(),
        approved(DIGEST),
        approved_by("bob"),
        approved_by("cem"),
        approved("another"),
        lifted(),
        rejected(),
        Event::Expired,
        Event::Observed,
        Event::Interrupted,
        settled(true),
        settled(false),
        answered(true),
        answered(false),
        stopped(Stop::Resolved),
        stopped(already_healthy()),
        stopped(refused()),
        stopped(cancelled()),
        stopped(changed()),
        stopped(taken_over()),
        Event::VerifyStarted,
        baseline(),
    ];
    for health in HEALTH {
        events.extend([verified(health), read_back(health), compared(health)]);
    }
    let attempt = match state.phase {
        Phase::Ready { attempt, .. } => attempt,
        _ => 1,
    };
    for step in 0..=plan.playbook.steps.len() {
        let each = plan.playbook.steps.get(step).is_some_and(|step| step.each.is_some());
        let items = if each { ITEMS.len() + 1 } else { 0 };
        events.extend([listed(step, &ITEMS), listed(step, &[]), asked(step)]);
        let spots = (0..items).map(|at| item(step, at));
        for spot in std::iter::once(of_step(step)).chain(spots) {
            events.extend([
                begun(spot, attempt),
                begun(spot, attempt + 1),
                left_out(spot),
                undo_begun(spot),
            ]);
            for outcome in [done(), failed(), denied(), failed_for_now(), unknown()] {
                events.extend([over(spot, outcome.clone()), undo_over(spot, outcome.clone())]);
                events.extend(spot.item.map(|item| looked(step, item, outcome)));
            }
        }
    }
    events
}

/// What the worker may write for the effect that a state asks for, and what it writes at which tick.
fn own_events(plan: &Plan, state: &State) -> Vec<(u64, Event)> {
    let outcomes = || [done(), failed(), denied(), failed_for_now(), unknown()];
    let now = state.last_at;
    let mut events = Vec::new();
    match next(plan, state, now) {
        // how often a process dies is not the machine's to bound
        Effect::Over | Effect::AskPerson | Effect::Write(Event::Interrupted) => {}
        Effect::Write(event) => events.push((0, event)),
        Effect::Measure => events.push((0, baseline())),
        Effect::Begin { spot, attempt } => {
            let definition = &plan.playbook.steps[spot.step];
            let begins = match (&definition.what, &definition.each, spot.item) {
                (What::Ask(_), ..) => asked(spot.step),
                (_, Some(_), None) => listed(spot.step, &ITEMS),
                _ => begun(spot, attempt),
            };
            events.extend([(0, begins), (0, left_out(spot)), (0, over(spot, failed()))]);
        }
        Effect::Look { step, item } => {
            let looks = outcomes().map(|outcome| looked(step, item, outcome));
            events.extend(looks.into_iter().map(|event| (0, event)).filter(|(_, event)| {
                let entry = Entry { seq: 1, at: now, event: event.clone() };
                apply(plan, state.clone(), &entry).is_ok()
            }));
            // how often it comes and goes is bounded by the time there is, not by the machine
            if let Phase::Looking { harm: None, .. } = state.phase
                && is_guarded(plan)
            {
                let events_of = HEALTH.map(|health| comparison_event(state, seen(health)));
                events.extend(events_of.into_iter().flatten().map(|event| (0, event)));
            }
        }
        Effect::ReadBack => {
            for health in [Health::Healthy, Health::Unhealthy, Health::Unknown] {
                events.push((0, read_back(health)));
            }
        }
        Effect::Verify => {
            let most = if is_guarded(plan) { 3 } else { 2 };
            if let Phase::Verifying { started_at, .. } = state.phase
                && is_guarded(plan)
                && since(now, started_at) < seconds(3 * TICK)
            {
                let events_of = HEALTH.map(|health| comparison_event(state, seen(health)));
                events.extend(events_of.into_iter().flatten().map(|event| (1, event)));
            }
            for health in HEALTH {
                for ticks in 1..=most {
                    let later = after(now, seconds(ticks * TICK));
                    let event = verification_event(plan, state, seen(health), later);
                    assert!(
                        event.is_some() || ticks < most,
                        "{health:?} for ever: {:?}",
                        state.phase
                    );
                    events.extend(event.map(|event| (ticks, event)));
                }
            }
        }
        Effect::Undo { spot } => {
            events.extend([(0, undo_begun(spot)), (0, undo_over(spot, failed()))]);
        }
        Effect::Sleep { until } => {
            let ticks = since(until, now).as_secs().div_ceil(TICK);
            assert!(ticks > 0, "asleep until the past");
            // nothing is written while it sleeps, so what it asks for then is asked here
            let awake = State { last_at: after(now, seconds(ticks * TICK)), ..state.clone() };
            assert!(
                !matches!(next(plan, &awake, awake.last_at), Effect::Sleep { .. }),
                "sleeps again"
            );
            events.extend(
                own_events(plan, &awake).into_iter().map(|(more, event)| (ticks + more, event)),
            );
        }
    }
    // a worker that is alive ends what it has in flight
    match state.phase {
        Phase::InFlight { step, item, .. } => {
            events.extend(outcomes().map(|outcome| (0, over(Spot { step, item }, outcome))));
        }
        Phase::UndoInFlight { spot, .. } => {
            events.extend(outcomes().map(|outcome| (0, undo_over(spot, outcome))));
        }
        // a person may answer, and nothing depends on it
        Phase::Asking { .. } => events.extend([true, false].map(|yes| (0, answered(yes)))),
        _ => {}
    }
    events
}

/// The state after an event so many ticks later, if it is legal.
fn write(plan: &Plan, state: &State, ticks: u64, event: Event) -> Option<State> {
    let at = after(state.last_at, seconds(ticks * TICK));
    apply(plan, state.clone(), &Entry { seq: state.seq + 1, at, event }).ok()
}

/// Entries until the run ends or waits for a person, at most; panics where it might go on for ever.
fn longest(plan: &Plan, state: &State, known: &mut HashMap<String, Option<usize>>) -> usize {
    let key = format!("{state:?}");
    match known.get(&key) {
        Some(Some(length)) => return *length,
        Some(None) => panic!("a run may go on for ever: {:?}", state.phase),
        None => {}
    }
    known.insert(key.clone(), None);
    let events = own_events(plan, state);
    let waits = matches!(
        state.phase,
        Phase::Final(_) | Phase::AwaitingApproval | Phase::InDoubt { .. } | Phase::Empty
    );
    assert!(waits || !events.is_empty(), "no way to end: {:?}", state.phase);
    let mut length = 0;
    for (ticks, event) in events {
        let then = canonical(write(plan, state, ticks, event).unwrap());
        length = length.max(1 + longest(plan, &then, known));
    }
    known.insert(key, Some(length));
    length
}

/// Walks all of it. Returns the final states that were reached.
fn explore(plan: &Plan) -> HashSet<&'static str> {
    let start = State { last_at: at(0), ..State::empty(plan) };
    let (mut queue, mut found) = (VecDeque::new(), HashSet::new());
    let (mut ends, mut lengths) = (HashSet::new(), HashMap::new());
    queue.push_back((start, Ghost::default()));
    while let Some((state, ghost)) = queue.pop_front() {
        assert!(longest(plan, &state, &mut lengths) <= LONGEST);
        if let Phase::Final(end) = state.phase {
            ends.insert(end.as_str());
        }
        let restored = write(plan, &state, 0, Event::Restored { made_at: at(0) });
        match (&state.phase, restored.map(|it| it.phase)) {
            (_, Some(Phase::Final(end))) if state.acted => assert_eq!(end, RunState::Stuck),
            (Phase::Empty | Phase::Final(_), None)
            | (_, Some(Phase::Final(RunState::Cancelled | RunState::Stuck))) => {}
            (phase, end) => panic!("{phase:?} goes on after a backup was restored: {end:?}"),
        }
        let waits = matches!(
            state.phase,
            Phase::Waiting { .. } | Phase::Verifying { .. } | Phase::Asking { .. }
        );
        let most = if is_guarded(plan) { 3 } else { 2 };
        let ticks = if waits { 0..=most } else { 0..=0 };
        for event in every_event_of(&state, plan) {
            for ticks in ticks.clone() {
                let Some(then) = write(plan, &state, ticks, event.clone()) else { continue };
                assert!(!matches!(state.phase, Phase::Final(_)), "{event:?} after the end");
                let ghost = ghost.clone().after(plan, &state, &event, &then);
                let then = canonical(then);
                if found.insert(format!("{then:?} {ghost:?}")) {
                    queue.push_back((then, ghost));
                }
            }
        }
    }
    ends
}

/// An action, a step between, an action; in each variant of what a failure, a doubt and the mode mean.
fn check(mode: Mode, between: Step, on_unknown: OnUnknown, on_failure: OnFailure, verify: bool) {
    check_steps(mode, vec![action("a"), between, action("c")], on_unknown, on_failure, verify);
}

fn check_steps(
    mode: Mode,
    steps: Vec<Step>,
    on_unknown: OnUnknown,
    on_failure: OnFailure,
    verify: bool,
) {
    let retry = Retry { times: 1, backoff: seconds(2 * TICK) };
    let step = |step: Step| Step { retry, on_failure, on_unknown, ..step };
    let guarded = steps.iter().any(|it| it.each.as_ref().is_some_and(|it| it.between.is_some()));
    let plan = in_mode(mode, plan(steps.into_iter().map(step).collect()));
    check_plan(plan, guarded, verify);
}

pub(super) fn check_plan(mut plan: Plan, guarded: bool, verify: bool) {
    let mode = plan.mode;
    let (on_unknown, on_failure) = {
        let first = &plan.playbook.steps[0];
        (first.on_unknown, first.on_failure)
    };
    plan.verify = plan.verify.filter(|_| verify).map(|verification| Verification {
        within: seconds(2 * TICK),
        hold: seconds(TICK),
        ..verification
    });
    let ends = explore(&plan);
    let expects = |end: &str, expected: bool| {
        assert_eq!(ends.contains(end), expected, "{end}: {mode:?} {on_unknown:?} {on_failure:?}");
    };
    let acts = mode != Mode::Observe;
    expects("fixed", acts);
    expects("cancelled", acts);
    expects("superseded", acts);
    // where failures may be, only a verification, or what is seen between waves, fails a run
    let fails = acts && (verify || guarded || on_failure == OnFailure::Abort);
    expects("failed", fails);
    expects("stuck", fails);
    for end in ["rejected", "expired"] {
        expects(end, mode == Mode::Approve);
    }
    expects("observed", mode == Mode::Observe);
}

fn check_each(on_unknown: OnUnknown) {
    for on_failure in [OnFailure::Abort, OnFailure::Continue] {
        for verify in [true, false] {
            check(Mode::Auto, probe("b"), on_unknown, on_failure, verify);
            check(Mode::Auto, wait("b", seconds(TICK)), on_unknown, on_failure, verify);
        }
    }
}

#[test]
fn promises_hold_from_every_state_when_a_doubt_repeats() {
    check_each(OnUnknown::Retry);
}

#[test]
fn promises_hold_from_every_state_when_a_doubt_reads_back() {
    check_each(OnUnknown::Probe);
}

#[test]
fn promises_hold_from_every_state_when_a_doubt_asks() {
    check_each(OnUnknown::Ask);
}

#[test]
fn promises_hold_from_every_state_when_a_person_is_asked() {
    let between = ask("b", seconds(TICK));
    check(Mode::Auto, between.clone(), OnUnknown::Retry, OnFailure::Abort, false);
    check(Mode::Auto, between, OnUnknown::Retry, OnFailure::Continue, true);
}

/// Two items in two waves with time between them.
fn check_items(on_unknown: OnUnknown) {
    let waves = [Share::Count(1), Share::Percent(100)];
    let items = || for_each(action("a"), &waves, seconds(TICK));
    for on_failure in [OnFailure::Abort, OnFailure::Continue] {
        for (first, verify) in [(items(), true), (guarded(items()), false)] {
            check_steps(Mode::Auto, vec![first], on_unknown, on_failure, verify);
        }
    }
}

#[test]
fn promises_hold_from_every_state_of_items_when_a_doubt_repeats() {
    check_items(OnUnknown::Retry);
}

#[test]
fn promises_hold_from_every_state_of_items_when_a_doubt_reads_back() {
    check_items(OnUnknown::Probe);
}

#[test]
fn promises_hold_from_every_state_of_items_when_a_doubt_asks() {
    check_items(OnUnknown::Ask);
}

#[test]
fn promises_hold_from_every_state_in_the_other_modes() {
    for mode in [Mode::Observe, Mode::Approve] {
        check(mode, probe("b"), OnUnknown::Ask, OnFailure::Abort, true);
    }
}

/// Nothing runs below the number of people, whoever says yes in whatever order, and never by the yes of who asked for it.
#[test]
fn promises_hold_from_every_state_of_several_approvals() {
    for (approvals, proposed_by) in [(2, ""), (2, "bob"), (3, "")] {
        let plan = in_mode(Mode::Approve, plan(vec![action("a")]));
        let ends =
            explore(&Plan { approvals, proposed_by: proposed_by.into(), ..unverified(plan) });
        for end in ["fixed", "rejected", "expired", "superseded", "cancelled"] {
            assert!(ends.contains(end), "{end} of {approvals} approvals");
        }
    }
}
