//! A tighter limit, a lower mode, another pause, window or missing piece of evidence never permits more.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::model::decision::InWindow;
use crate::model::decision::Pause;
use crate::model::rule::Place;
use crate::model::rule::Set;
use crate::model::window::Effect;

/// How much may be done: nothing, be planned and told, be done after a person's yes, be done.
fn permitted(subject: &Subject, facts: &Facts) -> u8 {
    match (conclude(&judge(subject, facts, now())).0, lowest_mode(subject).0) {
        (Verdict::Hold { .. } | Verdict::Refuse, _) => 0,
        (Verdict::Proceed, Mode::Observe) => 1,
        (Verdict::Ask, Mode::Approve) => 2,
        (Verdict::Proceed, Mode::Auto) => 3,
        odd => panic!("{odd:?}"),
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
    ) -> Subject {
        Subject {
            remedy,
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
            },
            ..subject()
        }
    }
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
    ) -> Facts {
        let precheck = Some(Observation { health, measured: "m".into(), denied: false });
        Facts { firing, firing_for, evidence_age, standing, windows, precheck, runs, ..facts() }
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
}
