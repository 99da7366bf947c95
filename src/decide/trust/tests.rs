use super::evidence::Judged;
use super::evidence::evidence;
use super::*;
use crate::decide::guard::tests::now;
use crate::decide::guard::tests::run as past;
use crate::model::rule::Place;
use crate::model::run::RunState;
use crate::model::time::since;

const HOUR: u64 = 3600;

/// Ended so many seconds ago.
fn run(state: RunState, ended: u64) -> PastRun {
    PastRun { rule: "api".into(), state, ..past(ended) }
}

fn policy(ceiling: Mode) -> Policy {
    let three = Rate { count: 3, per: Duration::from_hours(24) };
    Policy { rule: "api".into(), limits: vec![Set::default_of(three)], ceiling }
}

fn trust(mode: Mode, seconds_ago: u64) -> Trust {
    let at = before(now(), Duration::from_secs(seconds_ago));
    Trust { rule: "api".into(), mode, why: "w".into(), at, by: "dana".into() }
}

fn demoted(runs: &[PastRun], last: Option<&Trust>, ceiling: Mode) -> Option<Mode> {
    demotion(&policy(ceiling), last, &runs.to_vec().into(), None, now()).map(|it| it.mode)
}

#[test]
fn after_as_many_runs_in_vain_as_the_limit_a_rule_goes_down_one_rung_and_not_after_one_less() {
    let failed = |count| vec![run(RunState::Failed, HOUR); count];
    assert_eq!(demoted(&failed(2), None, Mode::Auto), None);
    assert_eq!(demoted(&failed(3), None, Mode::Auto), Some(Mode::Approve));
    assert_eq!(demoted(&failed(3), None, Mode::Approve), Some(Mode::Observe));
    assert_eq!(demoted(&failed(3), None, Mode::Observe), None, "nothing is below it");
    let found = demotion(&policy(Mode::Auto), None, &failed(3).into(), None, now()).unwrap();
    let why = "3 of 3 runs in the last 1d did not help (demote_after 3 per 1d, default)";
    assert_eq!((found.why.as_str(), found.by.as_str(), found.at), (why, BY, now()));
}

#[test]
fn what_ran_before_the_last_word_or_before_the_span_counts_no_more() {
    let failed = vec![run(RunState::Failed, HOUR); 3];
    assert_eq!(demoted(&failed, Some(&trust(Mode::Approve, 60)), Mode::Auto), None);
    let long_ago = trust(Mode::Approve, 2 * HOUR);
    assert_eq!(demoted(&failed, Some(&long_ago), Mode::Auto), Some(Mode::Observe));
    let promoted = trust(Mode::Auto, 2 * HOUR);
    assert_eq!(demoted(&failed, Some(&promoted), Mode::Auto), Some(Mode::Approve));
    let old = vec![run(RunState::Failed, 24 * HOUR); 3];
    assert_eq!(demoted(&old, None, Mode::Auto), None);
}

#[test]
fn a_verified_fix_counts_when_its_target_is_in_trouble_again_within_the_span() {
    let fixed = |ended| run(RunState::Fixed, ended);
    let flapping = [fixed(4 * HOUR), fixed(3 * HOUR), fixed(2 * HOUR), fixed(HOUR)];
    assert_eq!(demoted(&flapping, None, Mode::Auto), Some(Mode::Approve));
    assert_eq!(demoted(&flapping[1..], None, Mode::Auto), None, "the last one may have helped");
    // until the target is in trouble again
    let again = |seconds, target: &str| {
        let since = before(now(), Duration::from_secs(seconds));
        let trouble = Some(Trouble { target, since });
        demotion(&policy(Mode::Auto), None, &flapping[1..].to_vec().into(), trouble, now())
            .map(|it| it.mode)
    };
    assert_eq!(again(60, "deployment/api"), Some(Mode::Approve));
    assert_eq!(again(60, "deployment/web"), None);
    assert_eq!(again(2 * HOUR, "deployment/api"), None, "the same trouble");
    let elsewhere: Vec<PastRun> = (1..5)
        .map(|it| PastRun { target: format!("deployment/{it}"), ..fixed(it * HOUR) })
        .collect();
    assert_eq!(demoted(&elsewhere, None, Mode::Auto), None);
}

#[test]
fn what_touched_nothing_other_rules_and_measures_taken_back_do_not_count() {
    for state in [
        RunState::Observed,
        RunState::Superseded,
        RunState::Rejected,
        RunState::Expired,
        RunState::Cancelled,
        RunState::Running,
    ] {
        assert_eq!(demoted(&vec![run(state, HOUR); 9], None, Mode::Auto), None, "{state:?}");
    }
    let failed = || run(RunState::Failed, HOUR);
    let other = vec![PastRun { rule: "web".into(), ..failed() }; 9];
    assert_eq!(demoted(&other, None, Mode::Auto), None);
    let back = vec![PastRun { remedy: 0, ..failed() }; 9];
    assert_eq!(demoted(&back, None, Mode::Auto), None);
    let stuck = vec![run(RunState::Stuck, HOUR); 3];
    assert_eq!(demoted(&stuck, None, Mode::Auto), Some(Mode::Approve));
    let unseen = vec![PastRun { inconclusive: true, ..failed() }; 3];
    assert_eq!(demoted(&unseen, None, Mode::Auto), Some(Mode::Approve), "inconclusive counts");
}

#[test]
fn the_tighter_of_two_limits_binds_and_is_named() {
    let place = Place { file: "rules/api.yml".into(), line: 27 };
    let own = Set { value: Rate { count: 1, per: Duration::from_hours(2) }, place };
    let mut both = policy(Mode::Auto);
    both.limits.push(own);
    assert_eq!(both.look_back(), Duration::from_hours(24));
    let found =
        demotion(&both, None, &vec![run(RunState::Failed, HOUR)].into(), None, now()).unwrap();
    let why = "1 of 1 runs in the last 2h did not help (demote_after 1 per 2h, rules/api.yml:27)";
    assert_eq!(found.why, why);
    assert_eq!(
        demotion(&both, None, &vec![run(RunState::Failed, 3 * HOUR)].into(), None, now()),
        None
    );
    let mut zero = policy(Mode::Auto);
    zero.limits[0].value.count = 0;
    assert_eq!(demotion(&zero, None, &Runs::default(), None, now()), None, "no run is no reason");
}

fn rule(mode: Mode) -> Rule {
    let text =
        "rules: [{ name: api, match: [a=b], target: t, limits: { demote_after: 2 per 1h } }]";
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("rules.yml");
    std::fs::write(&file, text).unwrap();
    let library = crate::library::check_paths(&[file], &|_| None).library.unwrap();
    let mut rule = Rule::clone(&library.rules.rules()[0]);
    rule.mode = Set { value: mode, place: Place { file: "rules/api.yml".into(), line: 9 } };
    rule
}

fn config(mode: Mode) -> Config {
    let place = Place { file: "quell.yml".into(), line: 4 };
    Config { mode: Set { value: mode, place }, ..Config::default() }
}

#[test]
fn only_what_was_demoted_is_promoted_one_rung_or_as_far_as_the_files_allow() {
    let (observe, approve) = (trust(Mode::Observe, 60), trust(Mode::Approve, 60));
    let promoted = |of: &Mode, rule_mode, last: Option<&Trust>, to| {
        promotion(&config(*of), &rule(rule_mode), last, to, "dana", "fixed the probe", now())
            .map(|it| it.mode)
    };
    let auto = Mode::Auto;
    assert_eq!(promoted(&auto, auto, Some(&observe), None), Ok(Mode::Approve));
    assert_eq!(promoted(&auto, auto, Some(&observe), Some(auto)), Ok(auto));
    assert_eq!(promoted(&auto, auto, Some(&approve), None), Ok(auto));
    let words = |it: Result<Mode, String>| it.unwrap_err();
    assert_eq!(
        words(promoted(&auto, auto, None, None)),
        "api is not demoted: it may do auto at most, set by mode (quell.yml:4)"
    );
    assert_eq!(
        words(promoted(&auto, Mode::Approve, Some(&observe), Some(auto))),
        "api may not do auto: mode (rules/api.yml:9) allows approve at most"
    );
    assert_eq!(
        words(promoted(&Mode::Observe, auto, Some(&observe), None)),
        "api may not do approve: mode (quell.yml:4) allows observe at most"
    );
    assert_eq!(
        words(promoted(&auto, auto, Some(&approve), Some(Mode::Approve))),
        "api may do approve already"
    );
    let (files, rule) = (config(auto), rule(auto));
    let silent = promotion(&files, &rule, Some(&approve), None, "dana", " ", now());
    assert_eq!(silent.unwrap_err(), "a promotion needs a reason: what is different now");
}

#[test]
fn what_a_rule_may_do_now_is_the_lowest_and_names_who_says_so() {
    let approve = trust(Mode::Approve, 60);
    let now_may =
        |config_mode, last: Option<&Trust>| present(&config(config_mode), &rule(Mode::Auto), last);
    let set = |mode, knob: &str| (mode, knob.to_owned());
    assert_eq!(now_may(Mode::Auto, None), set(Mode::Auto, "mode (quell.yml:4)"));
    let demoted = set(Mode::Approve, "demoted: quell promote api");
    assert_eq!(now_may(Mode::Auto, Some(&approve)), demoted);
    assert_eq!(now_may(Mode::Observe, Some(&approve)), set(Mode::Observe, "mode (quell.yml:4)"));
    assert!(binds(&config(Mode::Auto), &rule(Mode::Auto), &approve));
    assert!(!binds(&config(Mode::Approve), &rule(Mode::Auto), &approve));
}

#[test]
fn a_remedy_and_its_playbook_bound_the_rung_and_a_schedule_has_none() {
    let (config, rule) = (config(Mode::Auto), rule(Mode::Auto));
    let policy = Policy::of(&config, &rule, 1, Mode::Approve).unwrap();
    assert_eq!((policy.ceiling, policy.limits.len()), (Mode::Approve, 2));
    assert_eq!(Policy::of(&config, &rule, 0, Mode::Auto), None, "takes measures back");
    let schedule = Rule { name: "schedule:backup".into(), ..rule };
    assert_eq!(Policy::of(&config, &schedule, 1, Mode::Auto), None);
}

#[test]
fn evidence_counts_what_helped_what_did_not_and_when_people_disagreed() {
    let judged = |state, ended, target: &str, stopped| Judged {
        run: PastRun { target: target.into(), ..run(state, ended) },
        stopped,
    };
    let mut all = vec![
        judged(RunState::Fixed, 9 * HOUR, "a", false),
        judged(RunState::Fixed, 8 * HOUR, "a", false),
        judged(RunState::Fixed, 7 * HOUR, "b", false),
        judged(RunState::Failed, 6 * HOUR, "b", false),
        judged(RunState::Cancelled, 5 * HOUR, "c", true),
        judged(RunState::Rejected, 4 * HOUR, "c", false),
        judged(RunState::Observed, 3 * HOUR, "d", false),
        judged(RunState::Superseded, 2 * HOUR, "d", false),
    ];
    all.push(Judged {
        run: PastRun { ended_at: None, ..run(RunState::Running, HOUR) },
        stopped: true,
    });
    let found = evidence(&all);
    // the first fix of a, and that of b: the target was in trouble again
    assert_eq!((found.runs, found.helped, found.ineffective, found.failed), (5, 1, 2, 1));
    assert_eq!((found.success, found.disagreed), (Some(25), 2));
    assert_eq!((found.observed, found.at_work), (1, 1));
    let one = &all[0].run;
    assert_eq!(found.median_seconds, Some(since(one.ended_at.unwrap(), one.started_at).as_secs()));
    assert_eq!(evidence(&[]), evidence::Evidence::default());
}
