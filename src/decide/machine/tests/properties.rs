//! Any split of a journal folds to the same state, also through the database's text; no journal makes it panic.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "each match is about a few kinds and leaves the rest alone"
)]

use proptest::prelude::*;

use super::*;

fn any_plan() -> impl Strategy<Value = Plan> {
    let step = (0..3_usize, 0..3_usize, any::<bool>(), any::<bool>(), 0..3_u32).prop_map(
        |(kind, doubt, goes_on, can_undo, times)| {
            let step = match kind {
                0 => action("a"),
                1 => probe("p"),
                _ => wait("w", seconds(5)),
            };
            let undo = step.undo.clone().filter(|_| can_undo);
            let on_unknown = [OnUnknown::Retry, OnUnknown::Probe, OnUnknown::Ask][doubt];
            let on_failure = if goes_on { OnFailure::Continue } else { OnFailure::Abort };
            Step {
                undo,
                on_unknown,
                on_failure,
                retry: Retry { times, backoff: seconds(3) },
                ..step
            }
        },
    );
    (prop::collection::vec(step, 0..4), 0..3_usize, any::<bool>()).prop_map(
        |(steps, mode, verify)| {
            let plan = in_mode([Mode::Observe, Mode::Approve, Mode::Auto][mode], plan(steps));
            if verify { plan } else { unverified(plan) }
        },
    )
}

fn any_event() -> impl Strategy<Value = Event> {
    let step = || 0..5_usize;
    let outcome = prop::sample::select(vec![done(), failed(), failed_for_now(), unknown()]);
    let health = || prop::sample::select(vec![Health::Healthy, Health::Unhealthy, Health::Unknown]);
    let named: Vec<Event> = every_event().into_iter().map(|(_, event)| event).collect();
    prop_oneof![
        prop::sample::select(named),
        (step(), 1..6_u32).prop_map(|(step, attempt)| started(step, attempt)),
        (step(), outcome.clone(), any::<u16>())
            .prop_map(|(step, outcome, jitter)| Event::StepEnded { step, outcome, jitter }),
        (step(), outcome).prop_map(|(step, outcome)| undo_ended(step, outcome)),
        step().prop_map(undo_started),
        step().prop_map(skipped),
        health().prop_map(verified),
        health().prop_map(read_back),
    ]
}

/// A journal of legal entries: of each batch of events, the first that the state allows.
fn journal(plan: &Plan, choices: &[(u16, Vec<Event>)]) -> Vec<Entry> {
    let mut run = Run::unplanned(plan.clone()).then(planned());
    let mut entries = vec![Entry { seq: 1, at: at(0), event: planned() }];
    for (millis, events) in choices {
        run.now = after(run.now, Duration::from_millis(u64::from(*millis)));
        // what the machine asks for comes first, so that journals get far
        let own = match run.effect() {
            Effect::Write(event) => Some(event),
            Effect::Begin { step, attempt } => Some(started(step, attempt)),
            Effect::Undo { step } => Some(undo_started(step)),
            _ => None,
        };
        let own = own.filter(|event| *event != Event::Interrupted);
        let legal = own.iter().chain(events).find_map(|event| {
            let entry = run.entry(event.clone());
            Some((apply(plan, run.state.clone(), &entry).ok()?, entry))
        });
        if let Some((state, entry)) = legal {
            run.state = state;
            entries.push(entry);
        }
    }
    entries
}

fn choices() -> impl Strategy<Value = Vec<(u16, Vec<Event>)>> {
    prop::collection::vec((any::<u16>(), prop::collection::vec(any_event(), 8)), 0..40)
}

proptest! {
    #[test]
    fn any_split_of_a_journal_folds_to_the_same_state(
        plan in any_plan(), choices in choices(), split in any::<prop::sample::Index>(),
    ) {
        let entries = journal(&plan, &choices);
        let whole = fold(&plan, &entries).unwrap();
        prop_assert_eq!(whole.seq, i64::try_from(entries.len()).unwrap());
        let (before, rest) = entries.split_at(split.index(entries.len() + 1));
        // the rest is read back from text, as by the worker that takes the run over
        let rest: Vec<Entry> = serde_json::from_str(&serde_json::to_string(rest).unwrap()).unwrap();
        let mut state = fold(&plan, before).unwrap();
        for entry in &rest {
            let (then, effect) = step(&plan, state, entry, entry.at).unwrap();
            prop_assert_eq!(&effect, &next(&plan, &then, entry.at));
            state = then;
        }
        prop_assert_eq!(state, whole);
    }

    #[test]
    fn undos_are_the_reverse_of_what_succeeded(plan in any_plan(), choices in choices()) {
        let entries = journal(&plan, &choices);
        let begun: Vec<usize> = entries.iter().filter_map(|entry| match entry.event {
            Event::UndoStarted { step, .. } => Some(step),
            _ => None,
        }).collect();
        // the same step again only after a crash
        prop_assert!(begun.is_sorted_by(|a, b| a >= b), "{:?}", begun);
        let state = fold(&plan, &entries).unwrap();
        if state.phase == Phase::Final(RunState::Failed) && !state.inconclusive {
            for (record, step) in state.steps.iter().zip(&plan.playbook.steps) {
                let left = step.undo.is_some() && matches!(record, Record::Done { .. });
                prop_assert!(!left, "{:?}", state.steps);
            }
        }
    }

    #[test]
    fn no_journal_makes_it_panic(
        plan in any_plan(),
        events in prop::collection::vec((any::<i64>(), any_event()), 0..20),
    ) {
        let entries: Vec<Entry> = (1..).zip(events).map(|(seq, (time, event))| {
            let at = Timestamp::from_microsecond(time).unwrap_or(Timestamp::MAX);
            Entry { seq, at, event }
        }).collect();
        let mut state = State::empty(&plan);
        for entry in &entries {
            if let Ok((then, effect)) = step(&plan, state.clone(), entry, entry.at) {
                prop_assert_eq!(effect == Effect::Over, matches!(then.phase, Phase::Final(_)));
                state = then;
            }
        }
        // a journal with a hole, or of another plan, is refused or folded, and nothing else
        drop(fold(&plan, &entries));
    }
}
