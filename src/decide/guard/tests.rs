//! What the guards' tests share, and what holds for all of them.

mod tighter;

use super::*;
use crate::model::decision::Circumstances;
use crate::model::decision::Counted;
use crate::model::decision::Glass;
use crate::model::decision::PastRun;
use crate::model::decision::Population;
use crate::model::decision::Proof;
use crate::model::decision::ProofOf;
use crate::model::decision::Runs;
use crate::model::decision::Standing;
use crate::model::decision::Version;
use crate::model::run::Health;
use crate::model::run::Observation;
use crate::model::run::RunState;
use crate::model::time::before;

pub(crate) fn now() -> Timestamp {
    "2026-01-05T10:00:00Z".parse().unwrap()
}

#[test]
fn only_what_nothing_but_runs_at_work_hold_ends_with_a_run() {
    let ruling = |guard: &str, verdict| Ruling { verdict, ..proceed(guard, "") };
    let soon = || Verdict::Hold { until: after(now(), AGAIN_AFTER) };
    let later = || Verdict::Hold { until: after(now(), AGAIN_AFTER * 2) };
    let fine = || ruling("cooldown", Verdict::Proceed);
    for (rulings, expected) in [
        (vec![], false),
        (vec![fine()], false),
        (vec![fine(), ruling("at once", soon()), ruling("target free", soon())], true),
        (vec![ruling("redundancy group", soon()), ruling("mode", Verdict::Ask)], true),
        (vec![ruling("rate of the playbook", later())], false),
        (vec![ruling("at once", soon()), ruling("evidence", soon())], false),
        (vec![ruling("at once", soon()), ruling("silence", Verdict::Refuse)], false),
    ] {
        assert_eq!(ends_with_a_run(&rulings, now()), expected, "{rulings:?}");
    }
}

pub(crate) fn subject() -> Subject {
    let global = crate::model::config::Limits::default();
    Subject {
        rule: "api-error-rate".into(),
        playbook: "restart".into(),
        target: "deployment/api".into(),
        alertname: "HighErrorRate".into(),
        incident: IncidentId(1),
        remedy: 1,
        since: before(now(), Duration::from_mins(2)),
        modes: vec![("mode (quell.yml:4)".into(), Mode::Auto)],
        limits: Limits {
            settle: None,
            cooldown: global.cooldown,
            rule_rate: None,
            playbook_rate: None,
            playbook_concurrent: None,
            global_rate: global.rate,
            concurrent: global.concurrent,
            max_age: global.max_age,
            service_rate: global.service_rate,
            ineffective: global.ineffective,
            failures: global.failures,
            max_unhealthy: global.max_unhealthy,
            blast: None,
            min_available: None,
            storm: global.storm,
            quiet: global.quiet,
            max_skew: global.max_skew,
            max_drop: global.max_drop,
        },
        service: String::new(),
        group: String::new(),
        acts_on: Vec::new(),
        dependency: None,
        credentials: Vec::new(),
        rollback: None,
    }
}

/// Facts that differ from the plain ones in what holds around the case.
pub(crate) fn around(around: Circumstances) -> Facts {
    Facts { around, ..facts() }
}

/// A group with so many members, of which so many are not well.
pub(crate) fn group(total: u64, unhealthy: u64) -> Population {
    Population {
        total: Counted::Known(total),
        unhealthy: Counted::Known(unhealthy),
        was: None,
        trip: None,
    }
}

/// Dana broke the glass.
pub(crate) fn glass() -> Glass {
    let until = after(now(), Duration::from_mins(30));
    Glass { by: "dana".into(), reason: "the site is down".into(), until }
}

/// What a playbook wants to be shown, and what was seen.
pub(crate) fn proof(of: ProofOf, name: &str, health: Health) -> Proof {
    Proof {
        of,
        name: name.into(),
        seen: Observation { health, measured: "0.8".into(), denied: false },
    }
}

pub(crate) fn facts() -> Facts {
    Facts {
        version: Version::default(),
        pauses: Vec::new(),
        firing: true,
        firing_for: Duration::from_mins(2),
        evidence_age: Duration::from_secs(5),
        truncated: 0,
        standing: Standing::Active,
        ahead: Duration::ZERO,
        windows: Vec::new(),
        around: Circumstances::default(),
        population: None,
        proofs: Vec::new(),
        precheck: Some(Observation {
            health: Health::Unhealthy,
            measured: "0.37".into(),
            denied: false,
        }),
        runs: Runs::default(),
    }
}

/// A run of the subject that ended this many seconds ago, for another incident.
pub(crate) fn run(seconds_ago: u64) -> PastRun {
    let at = before(now(), Duration::from_secs(seconds_ago));
    PastRun {
        rule: "api-error-rate".into(),
        playbook: "restart".into(),
        target: "deployment/api".into(),
        incident: IncidentId(99),
        remedy: 1,
        state: RunState::Fixed,
        inconclusive: false,
        service: String::new(),
        group: String::new(),
        left_version: String::new(),
        started_at: at,
        ended_at: Some(at),
    }
}

#[test]
fn with_nothing_against_it_every_guard_proceeds() {
    let rulings = judge(&subject(), &facts(), now());
    assert_eq!(conclude(&rulings).0, Verdict::Proceed, "{rulings:#?}");
}

#[test]
fn the_most_cautious_verdict_wins_and_the_longest_hold_counts() {
    let at = |seconds| after(now(), Duration::from_secs(seconds));
    let rulings = |verdicts: &[Verdict]| -> Vec<Ruling> {
        verdicts.iter().map(|it| Ruling { verdict: it.clone(), ..proceed("g", "") }).collect()
    };
    let hold = |seconds| Verdict::Hold { until: at(seconds) };
    for (given, expected) in [
        (vec![Verdict::Proceed, Verdict::Ask], Verdict::Ask),
        (vec![hold(9), Verdict::Ask, hold(5)], hold(9)),
        (vec![hold(9), Verdict::Refuse, Verdict::Proceed], Verdict::Refuse),
    ] {
        assert_eq!(conclude(&rulings(&given)).0, expected);
    }
}

mod more_guards_never_permit_more {
    use proptest::prelude::*;

    use super::*;

    fn any_verdict() -> impl Strategy<Value = Verdict> {
        prop_oneof![
            Just(Verdict::Proceed),
            Just(Verdict::Ask),
            (0_u64..99).prop_map(|s| Verdict::Hold { until: after(now(), Duration::from_secs(s)) }),
            Just(Verdict::Refuse),
        ]
    }

    proptest! {
        #[test]
        fn whatever_they_say(verdicts in prop::collection::vec(any_verdict(), 0..8), more in any_verdict()) {
            let ruling = |it: &Verdict| Ruling { verdict: it.clone(), ..proceed("g", "") };
            let few: Vec<Ruling> = verdicts.iter().map(ruling).collect();
            let mut many = few.clone();
            many.push(ruling(&more));
            prop_assert!(conclude(&many).0.caution() >= conclude(&few).0.caution());
        }
    }
}

#[test]
fn every_guard_has_the_name_that_people_know_it_by() {
    let rulings = judge(&subject(), &facts(), now());
    let names: Vec<&str> = rulings.iter().map(|ruling| ruling.guard.as_str()).collect();
    assert_eq!(names, NAMES);
}
