//! Items in waves against a model: which are begun and when, what is looked at between waves, what is undone.

use proptest::prelude::*;

use super::*;

/// What a `for_each` did to the world, and when.
#[derive(Debug, Default, PartialEq, Eq)]
struct World {
    /// Items that were begun, each with the seconds since the first.
    begun: Vec<(usize, i64)>,
    /// Items before which it was looked.
    looked: Vec<usize>,
    /// Items that were taken back.
    undone: Vec<usize>,
}

/// What happens to which item: everything else goes well.
#[derive(Debug, Clone, Default)]
struct Fate {
    fails: Option<usize>,
    skipped: Vec<usize>,
    /// What is seen before this item is not healthy.
    worse: Option<usize>,
}

/// Waves with their bakes, as the journal is written by a worker for which no effect takes any time.
fn drive(waves: &[Share], bake: u64, guards: bool, count: usize, fate: &Fate) -> (State, World) {
    let step = for_each(action("a"), waves, seconds(bake));
    let step = if guards { guarded(step) } else { step };
    let names: Vec<String> = (0..count).map(|item| format!("web-{item}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut run = Run::planned(unverified(plan(vec![step])));
    let mut world = World::default();
    loop {
        let since = run.now.duration_since(at(0)).as_secs();
        run = match run.effect() {
            Effect::Begin { spot: Spot { item: None, .. }, .. } => run.then(listed(0, &names)),
            Effect::Begin { spot, attempt } => {
                let item = spot.item.unwrap();
                if fate.skipped.contains(&item) {
                    run.then(left_out(spot))
                } else {
                    world.begun.push((item, since));
                    let outcome = if fate.fails == Some(item) { failed() } else { done() };
                    run.then(begun(spot, attempt)).then(over(spot, outcome))
                }
            }
            Effect::Look { step, item } => {
                world.looked.push(item);
                let outcome = if fate.worse == Some(item) { unknown() } else { done() };
                run.then(looked(step, item, outcome))
            }
            Effect::Undo { spot } => {
                world.undone.push(spot.item.unwrap());
                run.then(undo_begun(spot)).then(undo_over(spot, done()))
            }
            Effect::Sleep { until } => {
                assert!(until > run.now);
                Run { now: until, ..run }
            }
            Effect::Over => return (run.state, world),
            other @ (Effect::Write(_)
            | Effect::Measure
            | Effect::ReadBack
            | Effect::Verify
            | Effect::AskPerson) => {
                panic!("{other:?} in {:?}", run.state.phase)
            }
        };
    }
}

/// What should come of it, without the machine: `ends` are items done in all at the end of each wave.
fn expected(ends: &[usize], bake: u64, guards: bool, count: usize, fate: &Fate) -> (bool, World) {
    let mut world = World::default();
    let mut now = 0;
    for item in 0..count {
        if item > 0 && ends.contains(&item) {
            now += i64::try_from(bake).unwrap();
            if guards {
                world.looked.push(item);
                if fate.worse == Some(item) {
                    return (false, taken_back(world, None));
                }
            }
        }
        if !fate.skipped.contains(&item) {
            world.begun.push((item, now));
            if fate.fails == Some(item) {
                return (false, taken_back(world, Some(item)));
            }
        }
    }
    (true, world)
}

/// All that was begun but what failed, the last first.
fn taken_back(mut world: World, failed: Option<usize>) -> World {
    let done = world.begun.iter().map(|(item, _)| *item).filter(|item| Some(*item) != failed);
    world.undone = done.rev().collect();
    world
}

#[test]
fn the_first_failure_stops_all_waves_and_takes_back_what_was_done() {
    use Share::Count;
    use Share::Percent;
    let waves = [Count(1), Percent(25), Percent(100)];
    let (state, world) =
        drive(&waves, 300, true, 8, &Fate { fails: Some(4), skipped: vec![2], ..Fate::default() });
    assert_eq!(
        world,
        World {
            begun: vec![(0, 0), (1, 300), (3, 600), (4, 600)],
            looked: vec![1, 2],
            undone: vec![3, 1, 0],
        }
    );
    assert_eq!(state.phase, Phase::Final(RunState::Failed));
    assert_eq!(state.reason, "step 1 (a), item 5 of 8 (web-4) failed: exit 1");
}

fn any_waves() -> impl Strategy<Value = Vec<Share>> {
    let share =
        prop_oneof![(1..20_u32).prop_map(Share::Count), (1..=100_u8).prop_map(Share::Percent)];
    prop::collection::vec(share, 0..5)
}

fn any_fate() -> impl Strategy<Value = Fate> {
    let item = || prop::option::of(0..30_usize);
    (item(), prop::collection::vec(0..30_usize, 0..4), item())
        .prop_map(|(fails, skipped, worse)| Fate { fails, skipped, worse })
}

proptest! {
    #[test]
    fn waves_go_as_far_as_all_is_well(
        waves in any_waves(), bake in 1..600_u64, guards in any::<bool>(), count in 1..30_usize, fate in any_fate(),
    ) {
        let ends = wave_ends(&waves, count);
        let (well, expected) = expected(&ends, bake, guards, count, &fate);
        let (state, world) = drive(&waves, bake, guards, count, &fate);
        prop_assert_eq!(&world, &expected);
        let end = if well { RunState::Fixed } else { RunState::Failed };
        prop_assert_eq!(&state.phase, &Phase::Final(end), "{}", state.reason);
        // the list was written once, and the records say what became of each item
        let records = &state.lists[&0].records;
        prop_assert_eq!(records.len(), count);
        for (item, record) in records.iter().enumerate() {
            let begun = world.begun.iter().any(|(it, _)| *it == item);
            let fits = match record {
                Record::Done { .. } => begun && well,
                Record::Undone => world.undone.contains(&item),
                Record::Failed { .. } => begun && fate.fails == Some(item),
                Record::Skipped { .. } => fate.skipped.contains(&item) && !begun,
                Record::Pending => !begun && !well,
                Record::UndoFailed { .. } => false,
            };
            prop_assert!(fits, "item {}: {:?}", item, record);
        }
    }
}
