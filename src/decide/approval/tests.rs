//! G11, the pure part.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::decide::machine;
use crate::decide::machine::Phase;
use crate::decide::matching::Index;
use crate::model::action::Action;
use crate::model::action::Command;
use crate::model::config::Config;
use crate::model::incident::IncidentId;
use crate::model::labels::Labels;
use crate::model::playbook::Each;
use crate::model::playbook::Items;
use crate::model::playbook::OnFailure;
use crate::model::playbook::OnUnknown;
use crate::model::playbook::Retry;
use crate::model::playbook::Verification;
use crate::model::playbook::What;
use crate::model::probe::Probe;
use crate::model::rule::Place;
use crate::model::rule::Remedy;
use crate::model::rule::Rule;
use crate::model::rule::RuleLimits;
use crate::model::rule::Set;
use crate::model::trust::Trusts;

/// Files with one rule and one playbook, which tests change.
struct World {
    config: Config,
    rules: Vec<Rule>,
    playbooks: BTreeMap<String, Arc<Playbook>>,
    episode: Episode,
}

fn now() -> Timestamp {
    Timestamp::from_second(1_767_607_200).unwrap()
}

fn step(items: Option<Items>) -> Step {
    let each = items.map(|items| Each {
        items,
        waves: Vec::new(),
        bake: std::time::Duration::ZERO,
        between: None,
        among: None,
        domain: None,
        max_targets: None,
    });
    Step {
        name: "restart".into(),
        what: What::Action(Action::Command(Command {
            argv: vec!["systemctl".into(), "restart".into(), "{{ unit }}".into()],
            ..Command::default()
        })),
        condition: None,
        each,
        hold: None,
        timeout: std::time::Duration::from_mins(1),
        retry: Retry::default(),
        on_failure: OnFailure::Abort,
        on_unknown: OnUnknown::Ask,
        undo: None,
        line: 9,
    }
}

fn playbook(steps: Vec<Step>) -> Playbook {
    let unit = crate::model::playbook::Parameter {
        kind: crate::model::playbook::ParameterKind::String,
        required: true,
        default: None,
        pattern: Some("[a-z-]+".into()),
        min: None,
        max: None,
        secret: false,
        description: String::new(),
    };
    Playbook {
        name: "restart".into(),
        description: "Restart it.".into(),
        parameters: [("unit".to_owned(), unit)].into(),
        tier: 2,
        approvals: 2,
        approve_within: std::time::Duration::from_mins(20),
        file: "playbooks/restart.yml".into(),
        ..machine::tests::playbook(steps)
    }
}

impl World {
    fn new() -> Self {
        let remedy = Remedy {
            playbook: "restart".into(),
            with: [("unit".to_owned(), json!("{{ annotations.unit }}"))].into(),
            mode: None,
            tier: Some(3),
            approvals: None,
            place: Place::default(),
        };
        let verify = Verification {
            probe: Probe::Tcp { address: "{{ labels.service }}:80".into() },
            within: std::time::Duration::from_mins(5),
            hold: std::time::Duration::ZERO,
            unharmed: Vec::new(),
        };
        let rule = Rule {
            name: "shop".into(),
            description: String::new(),
            matchers: Vec::new(),
            when: None,
            group_by: Vec::new(),
            target: "service/{{ labels.service }}".into(),
            response: vec![remedy],
            verify: Some(verify),
            limits: RuleLimits::default(),
            population: None,
            redundancy_group: None,
            page: None,
            updates: None,
            mode: Set::default_of(Mode::Approve),
            go_on: false,
            place: Place::default(),
        };
        let labels: Labels = [("alertname", "Down"), ("service", "shop")].into_iter().collect();
        let annotations = [("unit", "shop-web")].into_iter().collect();
        let config = Config { mode: Set::default_of(Mode::Auto), ..Config::default() };
        Self {
            config,
            rules: vec![rule],
            playbooks: [("restart".to_owned(), Arc::new(playbook(vec![step(None)])))].into(),
            episode: Episode::unstored("am", labels, annotations, now()),
        }
    }

    fn subject(&self) -> Subject {
        let (rule, playbook) = (&self.rules[0], &self.playbooks["restart"]);
        let numbered = (1, &rule.response[0]);
        let (config, episode) = (&self.config, &self.episode);
        let (incident, target) = (IncidentId(1), "service/shop");
        plan::subject(config, rule, numbered, playbook, episode, incident, target).unwrap()
    }

    fn plan(&self) -> Plan {
        let (rule, playbook) = (&self.rules[0], &self.playbooks["restart"]);
        let (subject, episode) = (self.subject(), &self.episode);
        plan::plan(rule, &subject, playbook, episode, Mode::Approve, now()).unwrap()
    }

    fn changed(&self, plan: &Plan) -> Option<String> {
        let rules = Index::new(self.rules.iter().cloned().map(Arc::new).collect());
        let files = Files {
            config: &self.config,
            windows: &self.config.windows,
            trust: &Trusts::new(),
            rules: &rules,
            playbooks: &self.playbooks,
            schedules: &[],
        };
        changed(files, plan, &self.episode, now())
    }

    fn playbook(&mut self, change: impl FnOnce(&mut Playbook)) {
        change(Arc::make_mut(self.playbooks.get_mut("restart").unwrap()));
    }
}

#[test]
fn g11_a_plan_takes_the_higher_tier_and_number_and_the_time_of_its_playbook() {
    let mut world = World::new();
    let plan = world.plan();
    assert_eq!((plan.tier, plan.approvals), (3, 2), "tier of the remedy, number of the playbook");
    assert_eq!(plan.approve_until, Some(after(now(), std::time::Duration::from_mins(20))));
    world.rules[0].response[0].approvals = Some(4);
    assert_eq!(world.plan().approvals, 4, "a remedy raises it");
    world.rules[0].response[0].approvals = Some(1);
    assert_eq!(world.plan().approvals, 2, "and never lowers it");
}

#[test]
fn g11_who_posted_the_alert_asked_for_the_run() {
    let mut world = World::new();
    assert_eq!(world.plan().proposed_by, "");
    "operator:dana".clone_into(&mut world.episode.source);
    assert_eq!(world.plan().proposed_by, "dana");
}

#[test]
fn g11_what_people_hear_when_their_yes_does_not_count() {
    let plan = Plan { proposed_by: "dana".into(), ..World::new().plan() };
    let mut state = State { phase: Phase::AwaitingApproval, ..State::empty(&plan) };
    let say = |state: &State, who: &str, tier| {
        may("r-7", &plan, state, who, tier).map_err(|refused| match refused {
            Refused::Forbidden(words) => format!("forbidden: {words}"),
            Refused::Conflict(words) => format!("conflict: {words}"),
        })
    };
    let no = |words: &str| Err(words.to_owned());
    assert_eq!(say(&state, "erin", 3), Ok(()));
    assert_eq!(
        say(&state, "erin", 2),
        no("forbidden: r-7 needs 2 people of tier 3, and erin has tier 2")
    );
    assert_eq!(
        say(&state, "eve", 0),
        no("forbidden: r-7 needs 2 people of tier 3, and eve is no operator")
    );
    assert_eq!(
        say(&state, "dana", 4),
        no("forbidden: dana asked for r-7, so it needs 2 people of tier 3 who did not")
    );
    state.approved_by.push("erin".into());
    assert_eq!(
        say(&state, "erin", 3),
        no("conflict: erin has approved already; it needs one more person of tier 3")
    );
    assert_eq!(say(&state, "fred", 3), Ok(()), "the n-th");
    assert_eq!(needs(&plan, &state), "one more person of tier 3 (not dana, who asked for it)");
}

/// Given an approved plan, when the files or the alert would make another plan, then it is void, and people hear what differs.
#[test]
fn g11_a_plan_that_would_be_made_otherwise_now_is_void() {
    type Change = fn(&mut World);
    let cases: [(Change, Option<&str>); 14] = [
        (|_| {}, None),
        (|it| it.playbook(|it| it.line = 40), None),
        (|it| it.playbook(|it| it.file = "elsewhere.yml".into()), None),
        (|it| it.playbook(|it| it.steps[0].line = 77), None),
        (|it| it.playbook(|it| "Other words.".clone_into(&mut it.description)), None),
        (
            |it| it.playbook(|it| it.steps[0].timeout = std::time::Duration::from_mins(2)),
            Some("playbook restart was changed"),
        ),
        (|it| it.playbook(|it| it.steps.push(step(None))), Some("playbook restart was changed")),
        (
            |it| it.episode.annotations = [("unit", "shop-db")].into_iter().collect(),
            Some("parameter unit of restart has another value"),
        ),
        (
            |it| "host/{{ labels.service }}".clone_into(&mut it.rules[0].target),
            Some("the target is host/shop now"),
        ),
        (|it| it.rules[0].verify = None, Some("its verification was changed")),
        (|it| it.rules[0].response[0].tier = Some(4), Some("it needs 2 people of tier 4 now")),
        (|it| "other".clone_into(&mut it.rules[0].name), Some("there is no rule shop any more")),
        (|it| it.rules[0].response.clear(), Some("remedy 1 of rule shop is no longer restart")),
        (
            |it| it.config.mode = Set::default_of(Mode::Observe),
            Some("mode (default) is observe now"),
        ),
    ];
    for (number, (change, expected)) in cases.into_iter().enumerate() {
        let mut world = World::new();
        let plan = world.plan();
        change(&mut world);
        assert_eq!(world.changed(&plan).as_deref(), expected, "case {number}");
    }
    let mut world = World::new();
    let plan = world.plan();
    world.playbooks.clear();
    assert_eq!(world.changed(&plan).as_deref(), Some("there is no playbook restart any more"));
}

/// Given a `for_each`, when its items follow from the plan alone, then they are part of it; else they are found later.
#[test]
fn g11_items_that_can_be_known_are_approved_too() {
    let listed = Items::Listed(vec!["{{ unit }}-1".into(), "{{ unit }}-2".into()]);
    let found = Items::Expression("steps.find.output.items".into());
    let by_run = Items::Listed(vec!["{{ run.id }}".into()]);
    let mut world = World::new();
    let steps = vec![step(Some(listed)), step(Some(found)), step(Some(by_run)), step(None)];
    world.playbook(|it| it.steps = steps);
    let plan = world.plan();
    let known = [(0, vec![json!("shop-web-1"), json!("shop-web-2")])];
    assert_eq!(plan.lists, known.into());
    assert_eq!(in_mode(plan, Mode::Auto, now()).lists, BTreeMap::new(), "nobody approves those");
}

#[test]
fn g11_broken_glass_lifts_the_need_of_approval_and_the_plan_says_whose_it_is() {
    let world = World::new();
    let glass = glass();
    let lifts = |mode: Mode, glass| {
        let mut world = World::new();
        world.rules[0].mode = Set::default_of(mode);
        let subject = world.subject();
        let plan = in_mode(world.plan(), Mode::Auto, now());
        lifted(plan, &subject, glass).glass
    };
    assert_eq!(lifts(Mode::Approve, Some(&glass)), Some(glass.clone()));
    assert_eq!(lifts(Mode::Auto, Some(&glass)), None, "there was nothing to lift");
    assert_eq!(lifts(Mode::Approve, None), None);
    let waits = lifted(world.plan(), &world.subject(), Some(&glass));
    assert_eq!(waits.glass, None, "it waits for another reason");
}

fn glass() -> Glass {
    Glass { by: "eve".into(), reason: "outage".into(), until: after(now(), minute()) }
}

/// Given break-glass that let a run begin, when it is over before the run acts, then people must approve after all.
#[test]
fn g11_glass_that_is_over_before_the_first_act_lifted_nothing() {
    let world = World::new();
    let rules = Index::new(world.rules.iter().cloned().map(Arc::new).collect());
    let files = Files {
        config: &world.config,
        windows: &world.config.windows,
        trust: &Trusts::new(),
        rules: &rules,
        playbooks: &world.playbooks,
        schedules: &[],
    };
    let glass = glass();
    let plan = in_mode(world.plan(), Mode::Auto, now());
    let plan = lifted(plan, &world.subject(), Some(&glass));
    let fresh = State::empty(&plan);
    let acted = State { acted: true, ..State::empty(&plan) };
    let void = |state: &State, glass| void(files, &plan, state, &world.episode, glass, now());
    assert_eq!(void(&fresh, Some(&glass)), None);
    let what = "break-glass by eve is over, so people must approve it".to_owned();
    assert_eq!(void(&fresh, None), Some(Stop::Changed { what }));
    assert_eq!(void(&acted, None), None, "half of it would be worse");
}

fn minute() -> std::time::Duration {
    std::time::Duration::from_mins(1)
}
