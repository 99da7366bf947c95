//! What holds for any sequence of alerts.

use super::*;

/// Something random that happens.
#[derive(Debug, Clone)]
enum Chance {
    Fire(u8),
    Resolve(u8),
    Sees(Health),
    Comes(u8),
    Approve,
    Cancel,
    Answer(bool),
    Restart,
    Pause(bool),
}

fn chance() -> impl Strategy<Value = (u64, Chance)> {
    let what = prop_oneof![
        4 => (0..3_u8).prop_map(Chance::Fire),
        3 => (0..3_u8).prop_map(Chance::Resolve),
        2 => prop_oneof![Just(Health::Healthy), Just(Health::Unhealthy), Just(Health::Unknown)]
            .prop_map(Chance::Sees),
        2 => (0..4_u8).prop_map(Chance::Comes),
        2 => Just(Chance::Approve),
        1 => Just(Chance::Cancel),
        1 => any::<bool>().prop_map(Chance::Answer),
        1 => Just(Chance::Restart),
        1 => any::<bool>().prop_map(Chance::Pause),
    ];
    (0..300_u64, what)
}

fn outcome(number: u8) -> crate::model::run::Outcome {
    use crate::model::run::Outcome;
    let reason = "chance".to_owned();
    match number {
        0 => Outcome::Failed { reason, retryable: true },
        1 => Outcome::Failed { reason, retryable: false },
        2 => Outcome::Unknown { reason },
        _ => script::Tried::default().outcome,
    }
}

/// Plays chances; returns all that happened.
fn play(library: &Library, chances: &[(u64, Chance)], memory: Memory) -> Vec<Happening> {
    let start: Timestamp = "2026-01-05T10:00:00Z".parse().unwrap();
    let mut world = World::with(library, &library.config, memory, start);
    let mut at = start;
    let labels = |number: u8| -> Labels {
        [("alertname", "Errors"), ("service", ["a", "b", "a"][usize::from(number)])]
            .into_iter()
            .chain((number == 2).then_some(("pod", "2")))
            .collect()
    };
    let about = people::About::default();
    for (seconds, chance) in chances {
        at = crate::model::time::after(at, Duration::from_secs(*seconds));
        world.come_to(at);
        match chance {
            Chance::Fire(number) => {
                world.alert(at, &firing(labels(*number), at), "chance", 0);
            }
            Chance::Resolve(number) => {
                let alert = Alert {
                    status: AlertStatus::Resolved,
                    ends_at: Some(at),
                    ..firing(labels(*number), start)
                };
                world.alert(at, &alert, "chance", 0);
            }
            Chance::Sees(health) => {
                let seen =
                    Observation { health: *health, measured: "chance".into(), denied: false };
                world.script(at, |script| script.probe(Seen::Rule("api"), seen));
            }
            Chance::Comes(number) => {
                let which =
                    script::Which { playbook: None, step: None, nth: None, undo: *number == 3 };
                let takes = Duration::from_secs(u64::from(*number) * 20);
                let tried = script::Tried { outcome: outcome(*number), takes, found: Map::new() };
                world.script(at, |script| script.step(which, tried));
            }
            // nobody may be waiting for it
            Chance::Approve => drop(world.say("dana", &about, people::Word::Approve)),
            Chance::Cancel => drop(world.say("dana", &about, people::Word::Cancel)),
            Chance::Answer(yes) => drop(world.say("dana", &about, people::Word::Answer(*yes))),
            Chance::Restart => world.restart(),
            Chance::Pause(true) => world.pause("all", "dana", ""),
            Chance::Pause(false) => drop(world.resume("all")),
        }
    }
    // everything that fires ends, nothing is paused, and what waits for a person is stopped
    drop(world.resume("all"));
    for number in 0..3 {
        let ends_at = Some(at);
        let over =
            Alert { status: AlertStatus::Resolved, ends_at, ..firing(labels(number), start) };
        world.alert(at, &over, "chance", 0);
    }
    world.run_until(crate::model::time::after(at, Duration::from_hours(6)));
    world.happenings().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_ends_with_one_run_a_target_at_a_time_and_nothing_done_on_the_unknown(
        chances in prop::collection::vec(chance(), 1..25)
    ) {
        let loaded = LIBRARY.with(Arc::clone);
        let happened = play(&loaded, &chances, Memory::Whole);
        let mut states: BTreeMap<RunId, (String, State, Arc<Plan>)> = BTreeMap::new();
        for happening in &happened {
            match &happening.what {
                What::Run { run, plan, event } => {
                    let entry_of = |state: &State| Entry { seq: state.seq + 1, at: happening.at, event: (**event).clone() };
                    let state = match states.remove(run) {
                        Some((_, state, _)) => state,
                        None => State::empty(plan),
                    };
                    let entry = entry_of(&state);
                    let state = crate::decide::machine::apply(plan, state, &entry)
                        .map_err(|illegal| TestCaseError::fail(illegal.to_string()))?;
                    states.insert(*run, (plan.target.clone(), state, Arc::clone(plan)));
                    let busy: Vec<&String> = states.values().filter(|(_, state, _)| !state.summary().is_final()).map(|(target, ..)| target).collect();
                    let targets: BTreeSet<&String> = busy.iter().copied().collect();
                    prop_assert_eq!(busy.len(), targets.len(), "two runs on a target");
                }
                What::Decided { decision, .. } => {
                    let evidence = decision.rulings.iter().find(|it| it.guard == "evidence");
                    let unknown = evidence.is_some_and(|it| it.measured == "unknown");
                    prop_assert!(!(unknown && decision.verdict.caution() < 2), "acted on unknown");
                }
                _ => {}
            }
        }
        for (target, state, plan) in states.values() {
            let waits = matches!(state.summary(), crate::model::run::RunState::InDoubt);
            prop_assert!(state.summary().is_final() || waits, "{target} {} {:?}", plan.playbook.name, state.phase);
        }
    }

    #[test]
    fn a_streaming_world_plans_the_same_runs(chances in prop::collection::vec(chance(), 1..30)) {
        let foreseeable = |chances: &[(u64, Chance)]| -> Vec<(u64, Chance)> {
            let keeps = |it: &&(u64, Chance)| matches!(it.1, Chance::Fire(_) | Chance::Resolve(_));
            chances.iter().filter(keeps).cloned().collect()
        };
        let chances = foreseeable(&chances);
        let loaded = LIBRARY.with(Arc::clone);
        let planned = |memory| -> Vec<(Timestamp, String, u32)> {
            let happened = play(&loaded, &chances, memory);
            happened.iter().filter_map(|it| match &it.what {
                What::Run { plan, event, .. } if matches!(**event, Event::Planned { .. }) =>
                    Some((it.at, plan.target.clone(), plan.remedy)),
                _ => None,
            }).collect()
        };
        prop_assert_eq!(planned(Memory::Whole), planned(Memory::Stream));
    }
}

thread_local! {
    static LIBRARY: Arc<Library> = {
        let loaded = loaded("tests: [{ name: t, expect: [{ runs: 0 }] }]");
        let shown = loaded.render(false);
        Arc::new(loaded.library.unwrap_or_else(|| panic!("{shown}")))
    };
}
