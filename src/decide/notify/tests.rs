use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::decide::machine;
use crate::decide::page;
use crate::model::config::Channel;
use crate::model::config::Secret;
use crate::model::incident::IncidentId;
use crate::model::playbook::Step;

fn config() -> Config {
    let slack = Channel::Slack { webhook_url: Secret::new("http://127.0.0.1/s") };
    let pager =
        Channel::PagerDuty { routing_key: Secret::new("k"), url: "http://127.0.0.1".into() };
    Config {
        channels: BTreeMap::from([("slack".to_owned(), slack), ("pager".to_owned(), pager)]),
        paging: ["pager".to_owned()].into(),
        ..Config::default()
    }
}

fn notify(channels: &[&str], summary: &str) -> Notify {
    Notify {
        channels: channels.iter().map(ToString::to_string).collect(),
        summary: summary.into(),
        text: Some("pods: api-1\n\n  nodes: n1".into()),
    }
}

fn incident() -> Incident {
    Incident {
        id: IncidentId(1),
        rule: "r".into(),
        group_key: "t".into(),
        title: "t".into(),
        severity: "critical".into(),
        held_until: Some(at()),
        ..Incident::unstored(at())
    }
}

fn at() -> Timestamp {
    Timestamp::from_second(1_767_607_200).unwrap()
}

/// A plan with one step, as it stands in a journal.
fn plan(action: &Action) -> Plan {
    let undo = Some(Undo::Action(Box::new(action.clone())));
    let what = What::Action(action.clone());
    machine::tests::plan(vec![Step { what, undo, ..machine::tests::action("tell people") }])
}

fn ended(outcome: Outcome) -> Event {
    Event::StepEnded { step: 0, item: None, outcome, jitter: 0 }
}

#[test]
fn a_step_tells_each_channel_once_and_who_says_it() {
    let said = notify(&["slack", "pager", " slack "], "maintenance\n begins");
    let plan = plan(&Action::Notify(said.clone()));
    let outcome = outcome(&config(), &said);
    let Outcome::Done { summary, output } = &outcome else { panic!("{outcome:?}") };
    assert_eq!(summary, "told slack, pager");
    let expected = json!({
        "channels": ["slack", "pager"], "summary": "maintenance begins", "text": "pods: api-1\n\n  nodes: n1",
    });
    assert_eq!(output, &expected);
    let all = owed(&config(), &incident(), "r-7", &plan, &ended(outcome.clone()), at());
    let told: Vec<_> = all.iter().map(|it| (it.channel.as_str(), it.notice.kind)).collect();
    assert_eq!(told, [("slack", NoticeKind::Progress), ("pager", NoticeKind::NeedsYou)]);
    assert_eq!(all[0].notice.headline, "maintenance begins");
    let last = format!("said by {} (r-7) on {}", plan.playbook.name, plan.target);
    assert_eq!(all[0].notice.details, ["pods: api-1", "  nodes: n1", &last]);
    // a page that is held does not hold what a playbook says to a pager
    assert_eq!(page::held(&config(), &incident(), all).len(), 2);
    let undone = Event::UndoEnded { step: 0, item: None, outcome };
    assert_eq!(owed(&config(), &incident(), "r-7", &plan, &undone, at()).len(), 2);
}

#[test]
fn a_step_that_would_tell_nobody_fails() {
    for (said, words) in [
        (
            notify(&["slack", "sms"], "x"),
            "there is no channel \"sms\" in quell.yml; there is: pager, slack",
        ),
        (notify(&[], "x"), "there is nobody to tell"),
        (notify(&["slack"], " \n "), "there is nobody to tell, or nothing to say"),
    ] {
        let outcome = outcome(&config(), &said);
        let Outcome::Failed { reason, retryable: false } = &outcome else { panic!("{outcome:?}") };
        assert!(reason.contains(words), "{reason}");
        let plan = plan(&Action::Notify(said));
        assert_eq!(owed(&config(), &incident(), "r-7", &plan, &ended(outcome), at()), []);
    }
}

#[test]
fn what_another_step_puts_out_tells_nobody() {
    let output = json!({ "channels": ["slack"], "summary": "x", "text": "" });
    let done = Outcome::Done { summary: "exit 0".into(), output };
    let command = Action::Command(crate::model::action::Command::default());
    assert_eq!(owed(&config(), &incident(), "r-7", &plan(&command), &ended(done), at()), []);
}
