//! A tighter limit, a lower mode, another pause, window or missing piece of evidence never permits more.
#![expect(clippy::wildcard_enum_match_arm, reason = "one function for each half of the kinds")]

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::decide::respond;
use crate::model::decision::Denied;
use crate::model::decision::Hand;
use crate::model::decision::HandKind;
use crate::model::decision::InWindow;
use crate::model::decision::Jump;
use crate::model::decision::Pause;
use crate::model::decision::Storm;
use crate::model::decision::Trip;
use crate::model::decision::Watchdog;
use crate::model::playbook::Share;
use crate::model::rule::Blast;
use crate::model::rule::Place;
use crate::model::rule::Set;
use crate::model::window::Effect;

/// How much may be done: nothing, be planned and told, be done after a person's yes, be done.
fn permitted(subject: &Subject, facts: &Facts) -> u8 {
    let verdict = conclude(&judge(subject, facts, now())).0;
    match (&verdict, respond::mode(subject, &verdict)) {
        (Verdict::Hold { .. } | Verdict::Refuse, _) => 0,
        (_, Mode::Observe) => 1,
        (_, Mode::Approve) => 2,
        (_, Mode::Auto) => 3,
    }
}

fn any_mode() -> impl Strategy<Value = Mode> {
    select(vec![Mode::Observe, Mode::Approve, Mode::Auto])
}

/// Small numbers and times on a coarse grid, so that limits are often met exactly.
fn time() -> impl Strategy<Value = Duration> {
    (0_u64..6).prop_map(|minutes| Duration::from_mins(minutes * 5))
}

fn any_rate() -> impl Strategy<Value = Rate> {
    (0_u32..4, time()).prop_map(|(count, per)| Rate { count, per })
}

prop_compose! {
    fn any_subject()(
        modes in vec(any_mode(), 1..4),
        settle in option::of(time()),
        cooldown in time(),
        rule_rate in option::of(any_rate()),
        playbook_rate in option::of(any_rate()),
        playbook_concurrent in option::of(1_u32..4),
        global_rate in any_rate(),
        concurrent in 1_u32..4,
        max_age in time(),
        remedy in 1_u32..3,
        more in any_more(),
        service in select(vec!["", "shop"]),
        group in select(vec!["", "shard"]),
        credentials in select(vec![vec![], vec!["targets.http.shop".to_owned()]]),
    ) -> Subject {
        Subject {
            remedy,
            service: service.into(),
            group: group.into(),
            credentials,
            modes: modes.into_iter().map(|mode| ("k".into(), mode)).collect(),
            limits: Limits {
                settle: settle.map(Set::default_of),
                cooldown: Set::default_of(cooldown),
                rule_rate: rule_rate.map(Set::default_of),
                playbook_rate,
                playbook_concurrent,
                global_rate: Set::default_of(global_rate),
                concurrent: Set::default_of(concurrent),
                max_age: Set::default_of(max_age),
                ..more
            },
            ..subject()
        }
    }
}

prop_compose! {
    /// The limits that need more than runs and times, and those over everything.
    fn any_more()(
        service_rate in any_rate(),
        ineffective in any_rate(),
        failures in any_rate(),
        max_unhealthy in 0_u8..101,
        blast in option::of(any_blast()),
        min_available in option::of(1_u32..5),
        storm in 1_u32..4,
        quiet in time(),
        max_skew in time(),
        max_drop in 0_u8..101,
    ) -> Limits {
        let mut limits = subject().limits;
        limits.service_rate = Set::default_of(service_rate);
        limits.ineffective = Set::default_of(ineffective);
        limits.failures = Set::default_of(failures);
        limits.max_unhealthy = Set::default_of(max_unhealthy);
        limits.blast = blast.map(Set::default_of);
        limits.min_available = min_available.map(Set::default_of);
        limits.storm.value.targets = storm;
        limits.quiet = Set::default_of(quiet);
        limits.max_skew = Set::default_of(max_skew);
        limits.max_drop = Set::default_of(max_drop);
        limits
    }
}

fn any_blast() -> impl Strategy<Value = Blast> {
    let max = prop_oneof![(1_u32..4).prop_map(Share::Count), (1_u8..101).prop_map(Share::Percent)];
    (max, time()).prop_map(|(max, within)| Blast { max, within })
}

fn any_group() -> impl Strategy<Value = Population> {
    (1_u64..12, 0_u64..4, option::of(1_u64..12)).prop_map(|(total, unhealthy, was)| Population {
        was,
        ..group(total, unhealthy.min(total))
    })
}

fn any_trip() -> impl Strategy<Value = Trip> {
    option::of(time()).prop_map(|calm| Trip {
        since: before(now(), Duration::from_hours(1)),
        calm_since: calm.map(|time| before(now(), time)),
    })
}

fn any_hand() -> impl Strategy<Value = Hand> {
    let kinds = vec![HandKind::Acknowledged, HandKind::TakenOver, HandKind::Changed];
    (select(kinds), time()).prop_map(|(kind, ago)| Hand {
        kind,
        by: "dana".into(),
        at: before(now(), ago),
        what: String::new(),
    })
}

fn any_jump() -> impl Strategy<Value = Jump> {
    (time(), select(vec![-3_600_000, 60_000]))
        .prop_map(|(ago, by_ms)| Jump { at: before(now(), ago), by_ms })
}

fn denied() -> Denied {
    let credential = "targets.http.shop".into();
    Denied { credential, at: now(), reason: "HTTP 401".into() }
}

prop_compose! {
    fn any_around()(
        targets in 0_u32..4,
        trip in option::weighted(0.2, any_trip()),
        watchdog in select(vec![Watchdog::NotWatched, Watchdog::NotWatched, Watchdog::Missing(Duration::ZERO)]),
        jumps in vec(any_jump(), 0..2),
        is_denied in prop::bool::weighted(0.1),
        hands in vec(any_hand(), 0..2),
        glass in prop::bool::weighted(0.1),
    ) -> Circumstances {
        Circumstances {
            storm: Storm { targets, trip },
            watchdog,
            jumps,
            denied: is_denied.then(denied).into_iter().collect(),
            hands,
            glass: glass.then(super::glass),
        }
    }
}

fn any_proof() -> impl Strategy<Value = Proof> {
    select(vec![Health::Healthy, Health::Healthy, Health::Unknown])
        .prop_map(|health| proof(ProofOf::Cache, "load", health))
}

fn any_run() -> impl Strategy<Value = PastRun> {
    let states = vec![RunState::Running, RunState::Fixed, RunState::Failed, RunState::Superseded];
    let (rules, targets) = (vec!["api-error-rate", "other"], vec!["deployment/api", "other"]);
    (0_u64..40, select(states), select(rules), select(targets), select(vec!["restart", "other"]))
        .prop_map(|(minutes, state, rule, target, playbook)| PastRun {
            rule: rule.into(),
            target: target.into(),
            playbook: playbook.into(),
            state,
            ended_at: state.is_final().then(|| before(now(), Duration::from_mins(minutes))),
            ..run(minutes * 60)
        })
}

fn window(effect: Effect, inside: bool) -> InWindow {
    let soon = after(now(), Duration::from_mins(10));
    InWindow {
        name: "w".into(),
        effect,
        reason: String::new(),
        place: Place::default(),
        ends: inside.then_some(soon),
        begins: (!inside).then_some(soon),
    }
}

fn any_window() -> impl Strategy<Value = InWindow> {
    (select(vec![Effect::Refuse, Effect::AllowOnly]), any::<bool>())
        .prop_map(|(effect, inside)| window(effect, inside))
}

prop_compose! {
    fn any_facts()(
        firing in prop::bool::weighted(0.9),
        firing_for in time(),
        evidence_age in time(),
        windows in vec(any_window(), 0..2),
        runs in vec(any_run(), 0..4),
        health in select(vec![Health::Unhealthy, Health::Unhealthy, Health::Healthy, Health::Unknown]),
        standing in select(vec![Standing::Active, Standing::NotAsked, Standing::Gone]),
        around in any_around(),
        population in option::of(any_group()),
        proofs in vec(any_proof(), 0..2),
        ahead in time(),
    ) -> Facts {
        let precheck = Some(Observation { health, measured: "m".into(), denied: false });
        Facts {
            firing, firing_for, evidence_age, standing, ahead, windows, around, population, proofs, precheck,
            runs: runs.into(),
            ..facts()
        }
    }
}

/// One thing that makes it tighter.
#[derive(Debug, Clone)]
enum Tighter {
    Mode(Mode),
    Settle(Duration),
    Cooldown(Duration),
    RuleRate(Rate),
    PlaybookRate(Rate),
    PlaybookConcurrent(u32),
    GlobalRate(Rate),
    Concurrent(u32),
    MaxAge(Duration),
    Pause(&'static str),
    Refuses(bool),
    Silenced,
    Blind,
    Truncated,
    Run(PastRun),
    ServiceRate(Rate),
    Ineffective(Rate),
    Failures(Rate),
    MaxUnhealthy(u8),
    Blast(Blast),
    MinAvailable(u32),
    StormTargets(u32),
    Quiet(Duration),
    MaxSkew(Duration),
    MaxDrop(u8),
    Group,
    Dependency,
    ActsOnNothingElse,
    MoreUnhealthy,
    Uncounted,
    Tripped(Trip),
    StormTripped(Trip),
    MoreTargets,
    NoWatchdog,
    Jumped(Jump),
    Denied,
    Hand(Hand),
    NotShown,
    Ahead(Duration),
}

fn any_tighter() -> impl Strategy<Value = Tighter> {
    prop_oneof![
        any_mode().prop_map(Tighter::Mode),
        time().prop_map(Tighter::Settle),
        time().prop_map(Tighter::Cooldown),
        any_rate().prop_map(Tighter::RuleRate),
        any_rate().prop_map(Tighter::PlaybookRate),
        (0_u32..3).prop_map(Tighter::PlaybookConcurrent),
        any_rate().prop_map(Tighter::GlobalRate),
        (0_u32..3).prop_map(Tighter::Concurrent),
        time().prop_map(Tighter::MaxAge),
        select(vec!["all", "rule:api-error-rate", "target:other"]).prop_map(Tighter::Pause),
        any::<bool>().prop_map(Tighter::Refuses),
        Just(Tighter::Silenced),
        Just(Tighter::Blind),
        Just(Tighter::Truncated),
        any_run().prop_map(Tighter::Run),
        any_new_limit(),
        any_new_fact(),
    ]
}

fn any_new_limit() -> impl Strategy<Value = Tighter> {
    prop_oneof![
        any_rate().prop_map(Tighter::ServiceRate),
        any_rate().prop_map(Tighter::Ineffective),
        any_rate().prop_map(Tighter::Failures),
        (0_u8..101).prop_map(Tighter::MaxUnhealthy),
        any_blast().prop_map(Tighter::Blast),
        (1_u32..5).prop_map(Tighter::MinAvailable),
        (1_u32..4).prop_map(Tighter::StormTargets),
        time().prop_map(Tighter::Quiet),
        time().prop_map(Tighter::MaxSkew),
        (0_u8..101).prop_map(Tighter::MaxDrop),
        Just(Tighter::Group),
        Just(Tighter::Dependency),
        Just(Tighter::ActsOnNothingElse),
    ]
}

fn any_new_fact() -> impl Strategy<Value = Tighter> {
    prop_oneof![
        Just(Tighter::MoreUnhealthy),
        Just(Tighter::Uncounted),
        any_trip().prop_map(Tighter::Tripped),
        any_trip().prop_map(Tighter::StormTripped),
        Just(Tighter::MoreTargets),
        Just(Tighter::NoWatchdog),
        any_jump().prop_map(Tighter::Jumped),
        Just(Tighter::Denied),
        any_hand().prop_map(Tighter::Hand),
        Just(Tighter::NotShown),
        time().prop_map(Tighter::Ahead),
    ]
}

/// Fewer in a longer time.
fn lower(old: Option<Rate>, new: Rate) -> Rate {
    old.map_or(new, |old| Rate { count: old.count.min(new.count), per: old.per.max(new.per) })
}

fn tighten(subject: &mut Subject, facts: &mut Facts, tighter: Tighter) {
    let limits = &mut subject.limits;
    match tighter {
        Tighter::Mode(mode) => subject.modes.push(("more".into(), mode)),
        Tighter::Settle(time) => {
            let old = limits.settle.as_ref().map_or(Duration::ZERO, |it| it.value);
            limits.settle = Some(Set::default_of(old.max(time)));
        }
        Tighter::Cooldown(time) => limits.cooldown.value = limits.cooldown.value.max(time),
        Tighter::RuleRate(rate) => {
            let old = limits.rule_rate.as_ref().map(|it| it.value);
            limits.rule_rate = Some(Set::default_of(lower(old, rate)));
        }
        Tighter::PlaybookRate(rate) => {
            limits.playbook_rate = Some(lower(limits.playbook_rate, rate));
        }
        Tighter::PlaybookConcurrent(count) => {
            let old = limits.playbook_concurrent.unwrap_or(count);
            limits.playbook_concurrent = Some(old.min(count));
        }
        Tighter::GlobalRate(rate) => {
            limits.global_rate.value = lower(Some(limits.global_rate.value), rate);
        }
        Tighter::Concurrent(count) => limits.concurrent.value = limits.concurrent.value.min(count),
        Tighter::MaxAge(time) => limits.max_age.value = limits.max_age.value.min(time),
        Tighter::Pause(scope) => facts.pauses.push(Pause {
            scope: scope.into(),
            by: "dana".into(),
            reason: String::new(),
            at: now(),
        }),
        Tighter::Refuses(inside) => facts.windows.push(window(Effect::Refuse, inside)),
        Tighter::Silenced => facts.standing = Standing::Silenced { by: vec!["s".into()] },
        Tighter::Blind => {
            let unknown =
                Observation { health: Health::Unknown, measured: "m".into(), denied: false };
            facts.precheck = Some(unknown);
        }
        Tighter::Truncated => facts.truncated += 1,
        Tighter::Run(run) => facts.runs.push(run),
        other => tighten_more(subject, facts, other),
    }
}

/// As much of either share, whatever the population.
fn lower_blast(old: Option<Blast>, new: Blast) -> Blast {
    let Some(old) = old else { return new };
    let max = match (old.max, new.max) {
        (Share::Count(old), Share::Count(new)) => Share::Count(old.min(new)),
        (Share::Percent(old), Share::Percent(new)) => Share::Percent(old.min(new)),
        (old, _) => old,
    };
    Blast { max, within: old.within.max(new.within) }
}

fn tighten_more(subject: &mut Subject, facts: &mut Facts, tighter: Tighter) {
    let limits = &mut subject.limits;
    let lower_rate = |limit: &mut Set<Rate>, rate| limit.value = lower(Some(limit.value), rate);
    match tighter {
        Tighter::ServiceRate(rate) => lower_rate(&mut limits.service_rate, rate),
        Tighter::Ineffective(rate) => lower_rate(&mut limits.ineffective, rate),
        Tighter::Failures(rate) => lower_rate(&mut limits.failures, rate),
        Tighter::MaxUnhealthy(part) => {
            limits.max_unhealthy.value = limits.max_unhealthy.value.min(part);
        }
        Tighter::Blast(blast) => {
            let old = limits.blast.as_ref().map(|it| it.value);
            limits.blast = Some(Set::default_of(lower_blast(old, blast)));
        }
        Tighter::MinAvailable(count) => {
            let old = limits.min_available.as_ref().map_or(0, |it| it.value);
            limits.min_available = Some(Set::default_of(old.max(count)));
        }
        Tighter::StormTargets(count) => {
            limits.storm.value.targets = limits.storm.value.targets.min(count);
        }
        Tighter::Quiet(time) => limits.quiet.value = limits.quiet.value.max(time),
        // after a jump it holds longer; what is ahead is believed less
        Tighter::MaxSkew(time) if facts.ahead.is_zero() => {
            limits.max_skew.value = limits.max_skew.value.max(time);
        }
        Tighter::MaxSkew(time) if facts.around.jumps.is_empty() => {
            limits.max_skew.value = limits.max_skew.value.min(time);
        }
        Tighter::MaxDrop(part) => limits.max_drop.value = limits.max_drop.value.min(part),
        Tighter::Group => subject.group = "shard".into(),
        Tighter::Dependency => subject.dependency = Some(("it".into(), "k".into())),
        Tighter::ActsOnNothingElse => subject.acts_on = vec!["a/*".into()],
        Tighter::Uncounted => {
            let unknown = Counted::Unknown("no sample".into());
            facts.population = Some(Population { total: unknown, ..group(1, 0) });
        }
        Tighter::MoreUnhealthy => {
            if let Some(Population { unhealthy: Counted::Known(count), .. }) = &mut facts.population
            {
                *count += 1;
            }
        }
        Tighter::Tripped(trip) => {
            if let Some(population) = &mut facts.population {
                population.trip.get_or_insert(trip);
            }
        }
        Tighter::StormTripped(trip) => drop(facts.around.storm.trip.get_or_insert(trip)),
        Tighter::MoreTargets => facts.around.storm.targets += 1,
        Tighter::NoWatchdog => facts.around.watchdog = Watchdog::Missing(Duration::ZERO),
        Tighter::Jumped(jump) => facts.around.jumps.push(jump),
        Tighter::Denied => facts.around.denied.push(denied()),
        Tighter::Hand(hand) => facts.around.hands.push(hand),
        Tighter::NotShown => facts.proofs.push(proof(ProofOf::Cache, "load", Health::Unknown)),
        Tighter::Ahead(time) => facts.ahead = facts.ahead.max(time),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn never_permits_more(
        subject in any_subject(),
        facts in any_facts(),
        more in vec(any_tighter(), 1..4),
    ) {
        let (mut tight, mut known) = (subject.clone(), facts.clone());
        for tighter in more {
            tighten(&mut tight, &mut known, tighter);
        }
        prop_assert!(permitted(&tight, &known) <= permitted(&subject, &facts));
    }

    #[test]
    fn unknown_never_becomes_proceed(
        subject in any_subject(),
        facts in any_facts(),
        blind in select(vec![Tighter::Blind, Tighter::Uncounted, Tighter::NoWatchdog, Tighter::NotShown, Tighter::Truncated]),
    ) {
        let (mut subject, mut facts) = (subject, facts);
        // break-glass lifts the ceiling, knowingly; it lifts nothing else that is unknown
        if matches!(blind, Tighter::Uncounted) {
            facts.around.glass = None;
        }
        tighten(&mut subject, &mut facts, blind);
        prop_assert_eq!(permitted(&subject, &facts), 0);
    }
}
