//! Every order of everything, breadth first.

use std::collections::HashMap;
use std::collections::VecDeque;

use crate::engine::tests::protocol::system::Budget;
use crate::engine::tests::protocol::system::Setting;
use crate::engine::tests::protocol::system::System;
use crate::engine::tests::protocol::system::plans;
use crate::model::playbook::OnUnknown;
use crate::model::run::Plan;
use crate::model::run::RunState;

/// What a walk came to.
#[derive(Debug, Default)]
struct Walked {
    states: usize,
    steps: usize,
    by_gap: bool,
    ends: Vec<RunState>,
}

/// A state that was reached, with how, and what time and the living make of it.
#[derive(Debug, Default)]
struct Reached {
    /// Number of the state before, and what happened then.
    from: Option<(usize, String)>,
    /// States that lead here without a crash, a person or a webhook.
    before: Vec<usize>,
    /// Every run is over, or asks a person.
    rests: bool,
}

fn rests(system: &System) -> bool {
    // until a person ends a pause, everything may wait
    system.is_paused()
        || system.workers.iter().all(Option::is_none)
            && system.store.rows.iter().all(|row| {
                let asks = [RunState::AwaitingApproval, RunState::InDoubt];
                row.is_final()
                    || (asks.contains(&row.state.summary()) && row.due > system.store.now + 9)
            })
}

/// How a state was reached, for people.
fn story(reached: &[Reached], of: usize) -> String {
    let mut lines = Vec::new();
    let mut at = of;
    while let Some((from, words)) = &reached[at].from {
        lines.push(words.as_str());
        at = *from;
    }
    lines.reverse();
    lines.join("\n")
}

fn walk(plans: &[Plan], setting: Setting) -> Walked {
    let mut numbers: HashMap<Vec<i64>, usize> = HashMap::new();
    let mut reached: Vec<Reached> = Vec::new();
    let mut queue = VecDeque::new();
    let mut walked = Walked::default();
    let start = System::new(setting);
    numbers.insert(start.canonical(), 0);
    reached.push(Reached { rests: rests(&start), ..Reached::default() });
    queue.push_back((0, start));
    while let Some((number, system)) = queue.pop_front() {
        walked.by_gap |= system.gap;
        let alone: Vec<_> = {
            let step = || {
                let mut all = vec![system.ticks()];
                for who in 0..setting.workers {
                    all.extend(system.works(plans, setting.fences, who));
                }
                all
            };
            // a promise that is broken says by which way
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(step))
                .unwrap_or_else(|_| panic!("after:\n{}", story(&reached, number)))
        };
        let others = system.happens(plans);
        let counts = alone.len();
        for (at, (words, then)) in alone.into_iter().chain(others).enumerate() {
            walked.steps += 1;
            let key = then.canonical();
            let next = *numbers.entry(key).or_insert_with(|| {
                let next = reached.len();
                reached.push(Reached {
                    from: Some((number, words)),
                    before: Vec::new(),
                    rests: rests(&then),
                });
                for row in then.store.rows.iter().filter(|row| row.is_final()) {
                    let end = row.state.summary();
                    if !walked.ends.contains(&end) {
                        walked.ends.push(end);
                    }
                }
                queue.push_back((next, then));
                next
            });
            if at < counts && next != number {
                reached[next].before.push(number);
            }
        }
    }
    walked.states = reached.len();
    all_come_to_rest(&reached);
    walked
}

/// From every state, time and the living come to one in which nothing is left but what people must say.
fn all_come_to_rest(reached: &[Reached]) {
    let mut fine: Vec<bool> = reached.iter().map(|it| it.rests).collect();
    let mut queue: VecDeque<usize> = (0..reached.len()).filter(|at| fine[*at]).collect();
    while let Some(at) = queue.pop_front() {
        for before in &reached[at].before {
            if !std::mem::replace(&mut fine[*before], true) {
                queue.push_back(*before);
            }
        }
    }
    if let Some(stuck) = fine.iter().position(|fine| !fine) {
        panic!("it never ends after:\n{}", story(reached, stuck));
    }
}

const OF_ALL: [OnUnknown; 3] = [OnUnknown::Retry, OnUnknown::Probe, OnUnknown::Ask];

fn walk_each(of: &[OnUnknown], setting: Setting) {
    for on_unknown in of {
        let plans = plans(*on_unknown, setting.runs);
        let Walked { states, steps, by_gap, mut ends } = walk(&plans, setting);
        ends.sort_by_key(|it| it.as_str());
        println!("{on_unknown:?}: {states} states, {steps} steps, {setting:?}");
        for end in [RunState::Fixed, RunState::Failed, RunState::Stuck] {
            assert!(ends.contains(&end), "{end:?} was never reached: {ends:?}");
        }
        assert!(by_gap || setting.workers == 1, "the gap was not tried");
    }
}

/// The alert fires, and nothing else happens.
const CALM: Budget = Budget { crashes: 0, cancels: 0, pauses: 0, letters: 1 };

/// Two workers at one run, of whom any may be paused anywhere, beside a crash, a person or a webhook.
#[test]
fn promises_hold_in_every_order_of_two_workers_at_one_run() {
    let calm = Setting { workers: 2, runs: 1, budget: CALM, fences: true };
    walk_each(&OF_ALL, calm);
    for budget in [
        Budget { crashes: 1, ..CALM },
        Budget { cancels: 1, ..CALM },
        Budget { pauses: 1, ..CALM },
        Budget { letters: 2, ..CALM },
    ] {
        walk_each(&[OnUnknown::Ask], Setting { budget, fences: false, ..calm });
    }
}

/// Two runs that want the same target, one of which awaits a person's yes.
#[test]
fn promises_hold_in_every_order_of_two_runs_on_one_target() {
    let budget = Budget { letters: 2, ..CALM };
    walk_each(&OF_ALL, Setting { workers: 1, runs: 2, budget, fences: false });
}

#[test]
#[ignore = "minutes: tests/run simulate"]
fn promises_hold_in_every_order_with_more_of_everything() {
    let one = Setting { workers: 2, runs: 1, budget: CALM, fences: false };
    for budget in [
        Budget { crashes: 2, letters: 2, ..CALM },
        Budget { crashes: 1, cancels: 1, ..CALM },
        Budget { crashes: 1, pauses: 2, ..CALM },
    ] {
        walk_each(&OF_ALL, Setting { budget, ..one });
    }
    walk_each(&OF_ALL, Setting { workers: 3, budget: Budget { crashes: 1, ..CALM }, ..one });
    let budget = Budget { letters: 2, ..CALM };
    walk_each(&OF_ALL, Setting { runs: 2, budget, ..one });
}
