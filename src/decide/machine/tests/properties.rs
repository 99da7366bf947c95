//! Any split of a journal folds to the same state, also through the database's text; no journal makes it panic.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "each match is about a few kinds and leaves the rest alone"
)]

use proptest::prelude::*;

use super::*;

pub(super) fn any_plan() -> impl Strategy<Value = Plan> {
    let step = (0..6_usize, 0..3_usize, any::<bool>(), any::<bool>(), 0..3_u32).prop_map(
        |(kind, doubt, goes_on, can_undo, times)| {
            let waves = [Share::Count(1), Share::Percent(100)];
            let step = match kind {
                0 => action("a"),
                1 => probe("p"),
                2 => wait("w", seconds(5)),
                3 => ask("q", seconds(5)),
                4 => for_each(action("e"), &waves, seconds(5)),
                _ => guarded(for_each(probe("g"), &waves, seconds(5))),
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
    (prop::collection::vec(step, 0..4), 0..3_usize, 0..3_usize, 1..4_u8).prop_map(
        |(steps, mode, verify, approvals)| {
            let plan = in_mode([Mode::Observe, Mode::Approve, Mode::Auto][mode], plan(steps));
            let plan = Plan { approvals, proposed_by: "eve".into(), ..plan };
            match verify {
                0 => plan,
                1 => unharmed(plan),
                _ => unverified(plan),
            }
        },
    )
}

fn any_event() -> impl Strategy<Value = Event> {
    let step = || 0..5_usize;
    let spot =
        || (0..5_usize, prop::option::of(0..3_usize)).prop_map(|(step, item)| Spot { step, item });
    let outcome =
        prop::sample::select(vec![done(), failed(), denied(), failed_for_now(), unknown()]);
    let health = || prop::sample::select(vec![Health::Healthy, Health::Unhealthy, Health::Unknown]);
    let named: Vec<Event> = every_event().into_iter().map(|(_, event)| event).collect();
    prop_oneof![
        prop::sample::select(named),
        prop::sample::select(vec!["ada", "bob", "cem", "eve"]).prop_map(approved_by),
        (spot(), 1..6_u32).prop_map(|(spot, attempt)| begun(spot, attempt)),
        (spot(), outcome.clone(), any::<u16>()).prop_map(
            |(Spot { step, item }, outcome, jitter)| Event::StepEnded {
                step,
                item,
                outcome,
                jitter
            }
        ),
        (spot(), outcome.clone()).prop_map(|(spot, outcome)| undo_over(spot, outcome)),
        (step(), 0..3_usize, outcome).prop_map(|(step, item, outcome)| looked(step, item, outcome)),
        spot().prop_map(undo_begun),
        spot().prop_map(left_out),
        step().prop_map(asked),
        health().prop_map(verified),
        health().prop_map(compared),
        health().prop_map(read_back),
    ]
}

/// A journal of legal entries: of each batch of events, the first that the state allows.
pub(super) fn journal(plan: &Plan, choices: &[(u16, Vec<Event>)]) -> Vec<Entry> {
    let mut run = Run::unplanned(plan.clone()).then(planned());
    let mut entries = vec![Entry { seq: 1, at: at(0), event: planned() }];
    for (millis, events) in choices {
        run.now = after(run.now, Duration::from_millis(u64::from(*millis)));
        // what the machine asks for comes first, so that journals get far
        let own = match run.effect() {
            Effect::Write(event) => Some(event),
            Effect::Begin { spot, attempt } => {
                let step = &plan.playbook.steps[spot.step];
                Some(match (&step.what, &step.each, spot.item) {
                    (What::Ask(_), ..) => asked(spot.step),
                    (_, Some(_), None) => listed(spot.step, &["x", "y", "z"]),
                    _ => begun(spot, attempt),
                })
            }
            Effect::Measure => Some(baseline()),
            Effect::Look { .. } if is_guarded(plan) && run.state.seq % 2 == 0 => {
                Some(compared(Health::Healthy))
            }
            Effect::Look { step, item } => Some(looked(step, item, done())),
            Effect::Undo { spot } => Some(undo_begun(spot)),
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

pub(super) fn choices() -> impl Strategy<Value = Vec<(u16, Vec<Event>)>> {
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
        let begun: Vec<Spot> = entries.iter().filter_map(|entry| match entry.event {
            Event::UndoStarted { step, item, .. } => Some(Spot { step, item }),
            _ => None,
        }).collect();
        // the same step again only after a crash
        prop_assert!(begun.is_sorted_by(|a, b| a >= b), "{:?}", begun);
        let state = fold(&plan, &entries).unwrap();
        if state.phase == Phase::Final(RunState::Failed) && !state.inconclusive {
            for spot in state.done() {
                let step = &plan.playbook.steps[spot.step];
                prop_assert!(step.undo.is_none(), "{:?} {:?}", state.steps, state.lists);
            }
        }
    }

    #[test]
    fn g16_nothing_is_begun_without_a_baseline_and_nothing_after_harm(
        plan in any_plan(), choices in choices(),
    ) {
        let entries = journal(&plan, &choices);
        let (mut measured, mut harmed) = (!is_guarded(&plan), false);
        for entry in &entries {
            match &entry.event {
                Event::Baseline { .. } => measured = true,
                Event::Compared { seen } => harmed |= seen.health == Health::Unhealthy,
                Event::StepStarted { step, .. } => {
                    prop_assert!(measured && !harmed, "step {} {:?}", step, entries);
                }
                _ => {}
            }
        }
    }

    #[test]
    fn no_item_is_begun_twice_at_one_try_and_none_after_a_stop(
        plan in any_plan(), choices in choices(),
    ) {
        let entries = journal(&plan, &choices);
        let mut begun: Vec<(Spot, u32)> = Vec::new();
        let mut stopped = false;
        for entry in &entries {
            match &entry.event {
                Event::StepStarted { step, item, attempt, .. } => {
                    let this = (Spot { step: *step, item: *item }, *attempt);
                    prop_assert!(!stopped, "{:?} after a stop", this);
                    prop_assert!(!begun.contains(&this), "{:?} twice", this);
                    begun.push(this);
                }
                Event::Stopped { .. } => stopped = true,
                _ => {}
            }
        }
    }

    #[test]
    fn nothing_begins_before_enough_different_people_said_yes(
        plan in any_plan(), choices in choices(),
    ) {
        let mut yeses = std::collections::BTreeSet::new();
        let mut lifted = plan.mode == Mode::Auto;
        for entry in journal(&plan, &choices) {
            match entry.event {
                Event::Approved { by, digest } if digest == DIGEST && by != "eve" => {
                    prop_assert!(yeses.insert(by), "one person twice");
                }
                Event::Approved { by, .. } => prop_assert!(false, "a yes of {}", by),
                Event::Lifted { .. } => lifted = true,
                Event::StepStarted { .. } | Event::Listed { .. } | Event::Asked { .. } => {
                    prop_assert!(lifted || yeses.len() == usize::from(plan.approvals));
                }
                _ => {}
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
