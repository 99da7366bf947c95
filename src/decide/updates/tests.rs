use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::model::config::Channel;
use crate::model::config::Secret;
use crate::model::config::Severity;
use crate::model::incident::EpisodeId;
use crate::model::incident::IncidentId;
use crate::model::incident::RunId;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_607_200 + seconds).unwrap()
}

fn updates(text: Option<&str>) -> Updates {
    let text = text.map(str::to_owned);
    Updates { every: Duration::from_mins(15), channels: vec!["status".into()], text }
}

fn config() -> Config {
    let hook = Channel::Slack { webhook_url: Secret::new("http://127.0.0.1/s") };
    let severity = Severity { updates: Some(updates(None)), ..Severity::default() };
    Config {
        channels: BTreeMap::from([("status".to_owned(), hook)]),
        severities: BTreeMap::from([("critical".to_owned(), severity)]),
        ..Config::default()
    }
}

fn incident() -> Incident {
    Incident {
        id: IncidentId(4),
        rule: "api-errors".into(),
        group_key: "t".into(),
        title: "api: HighErrorRate, critical".into(),
        severity: "critical".into(),
        labels: [("service", "api")].into_iter().collect(),
        ..Incident::unstored(at(0))
    }
}

fn episode(service: &str, summary: &str) -> Episode {
    let labels = [("alertname", "HighErrorRate"), ("service", service)].into_iter().collect();
    let annotations = [("summary", summary)].into_iter().collect();
    Episode { id: EpisodeId(1), ..Episode::unstored("am", labels, annotations, at(0)) }
}

fn run(state: RunState, outcome: &str) -> Try<'_> {
    Try {
        run: RunId(7),
        playbook: "restart",
        target: "deployment/api",
        remedy: 1,
        state,
        outcome,
        started_at: at(60),
    }
}

fn told(incident: &Incident, runs: &[Try<'_>], text: Option<&str>) -> (String, Vec<String>) {
    let episodes = [episode("api", "5% of requests fail"), episode("search", "")];
    let owed = owed(&config(), &updates(text), incident, &episodes, runs, at(750));
    let [it] = owed.as_slice() else { panic!("{owed:?}") };
    assert_eq!((it.channel.as_str(), it.notice.kind), ("status", NoticeKind::Progress));
    (it.notice.headline.clone(), it.notice.details.clone())
}

#[test]
fn the_status_follows_from_the_runs() {
    let of = |runs: &[RunState]| {
        let runs: Vec<Try<'_>> = runs.iter().map(|state| run(*state, "")).collect();
        status(&incident(), runs.into_iter())
    };
    for (runs, expected) in [
        (&[][..], Status::Investigating),
        (&[RunState::Observed], Status::Investigating),
        (&[RunState::AwaitingApproval], Status::Investigating),
        (&[RunState::Running], Status::Identified),
        (&[RunState::Verifying], Status::Identified),
        (&[RunState::Undoing], Status::Identified),
        (&[RunState::Failed], Status::Investigating),
        (&[RunState::Failed, RunState::Running], Status::Identified),
        (&[RunState::Failed, RunState::Fixed], Status::Monitoring),
        (&[RunState::Fixed, RunState::Superseded], Status::Monitoring),
        (&[RunState::InDoubt], Status::Investigating),
    ] {
        assert_eq!(of(runs), expected, "{runs:?}");
    }
    let over = Incident { status: IncidentStatus::Resolved, ..incident() };
    let back = Try { remedy: 0, ..run(RunState::Running, "") };
    assert_eq!(status(&over, [back].into_iter()), Status::Resolved);
    assert_eq!(status(&incident(), [back].into_iter()), Status::Investigating, "it takes back");
}

#[test]
fn an_update_says_what_people_who_watch_ask() {
    let (headline, details) = told(&incident(), &[], None);
    assert_eq!(headline, "Status: Investigating");
    let expected = [
        "Time: 2026-01-05 10:12:30 UTC",
        "Impact: 5% of requests fail",
        "Affected Services: api, search",
        "Current Status:",
        "- HighErrorRate fires for 12m30s",
        "- HighErrorRate fires for 12m30s",
        "Next Update: In 15m, and when it is resolved",
        "Actions Taken:",
        "- none so far",
    ];
    assert_eq!(details, expected);

    let runs = [
        run(RunState::Failed, "restart on deployment/api: did not help"),
        run(RunState::Running, ""),
    ];
    let (headline, details) = told(&incident(), &runs, None);
    assert_eq!(headline, "Status: Identified");
    assert!(
        details.contains(&"- quell works on it: restart on deployment/api: running".to_owned()),
        "{details:?}"
    );
    assert_eq!(details.last().unwrap(), "- restart on deployment/api: running (r-7, 10:01:00 UTC)");
}

#[test]
fn the_last_one_says_that_it_is_over() {
    let over = Incident {
        status: IncidentStatus::Resolved,
        resolved_at: Some(at(700)),
        acked_by: "dana".into(),
        ..incident()
    };
    let runs = [run(RunState::Fixed, "restart on deployment/api: verified")];
    let (headline, details) = told(&over, &runs, None);
    assert_eq!(headline, "Status: Resolved");
    assert!(details.contains(&"- all alerts have ended, after 11m40s".to_owned()), "{details:?}");
    assert!(details.contains(&"Next Update: None: it is over".to_owned()), "{details:?}");
    assert_eq!(next(&updates(None), &over, at(750)), None);
}

#[test]
fn who_took_it_over_says_what_follows() {
    let taken = Incident { taken_by: "dana".into(), ..incident() };
    let (_, details) = told(&taken, &[], None);
    let words = "Next Update: None: dana has taken it over, and tells what follows".to_owned();
    assert!(
        details.contains(&words) && details.contains(&"- dana has it".to_owned()),
        "{details:?}"
    );
    assert_eq!(next(&updates(None), &taken, at(750)), None);
    let acked = Incident { acked_by: "dana".into(), ..incident() };
    assert_eq!(
        next(&updates(None), &acked, at(750)),
        Some(at(1650)),
        "they who watch still want to know"
    );
}

#[test]
fn a_text_of_its_own_stands_instead_and_a_broken_one_tells_all_the_same() {
    let text = "{{ services }}: {{ impact }}\n\nNext: {{ next_update }}";
    let (_, details) = told(&incident(), &[], Some(text));
    assert_eq!(
        details,
        ["api, search: 5% of requests fail", "Next: In 15m, and when it is resolved"]
    );
    let (_, details) = told(&incident(), &[], Some("{{ annotations.nothing }}"));
    assert_eq!(details[0], "Time: 2026-01-05 10:12:30 UTC");
    assert!(
        details.last().unwrap().starts_with("the text of this update does not fit: "),
        "{details:?}"
    );
}

#[test]
fn those_of_the_rule_come_before_those_of_the_severity_and_schedules_have_none() {
    let config = config();
    assert_eq!(wanted(&config, None, &incident()), config.severities["critical"].updates.as_ref());
    for rule in ["", "schedule:nightly"] {
        let incident = Incident { rule: rule.into(), ..incident() };
        assert_eq!(wanted(&config, None, &incident), None, "{rule:?}");
    }
}
