//! What ended longer ago than `retention`, in an engine that runs whole while its clock is moved by hand over months.

use std::fs;
use std::time::Duration;
use std::time::Instant;

use jiff::Timestamp;
use quell::app::App;
use quell::clock::Clock;
use quell::library;
use quell::model::alert::Alert;
use quell::model::alert::AlertStatus;
use quell::model::alert::Delivery;
use quell::model::labels::Labels;
use quell::model::time::after;
use quell::model::time::since;

use crate::support::wait::PATIENCE;
use crate::support::wait::until;

const START: &str = "2026-01-05T10:00:00Z";
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// A loop whose time has come has turned by then.
const LOOKS_WITHIN: Duration = Duration::from_secs(5);

const SETTINGS: &str = "
listen: 127.0.0.1:0
storage: sqlite:FOLDER/quell.db
pause_file: FOLDER/quell.pause
mode: auto
retention: 90d
archive: FOLDER/archive
";

const RULES: &str = r#"
rules:
  - name: errors
    match: [alertname="Errors"]
    target: service/{{ labels.service }}
    response: [{ playbook: restart }]
    verify: { command: { argv: [test, -e, "FOLDER/{{ labels.service }}"] }, within: 1m, hold: 0s }
    limits: { settle: 0s, cooldown: 1s }
"#;

const PLAYBOOK: &str = r#"
playbook: restart
steps: [{ name: restart, command: { argv: [touch, "FOLDER/{{ labels.service }}"] } }]
"#;

fn errors(service: &str, status: AlertStatus, at: Timestamp) -> Alert {
    let labels: Labels = [("alertname", "Errors"), ("service", service)].into_iter().collect();
    let ends_at = (status == AlertStatus::Resolved).then_some(at);
    Alert { status, ends_at, ..quell::rehearse::firing(labels, at) }
}

async fn deliver(app: &App, service: &str, status: AlertStatus) {
    let alerts = vec![errors(service, status, app.engine.clock.now())];
    let delivery =
        Delivery { source: "test".into(), receiver: String::new(), truncated: 0, alerts };
    app.engine.intake.accept(delivery).await.unwrap();
    app.engine.wake.all();
}

/// Targets of the runs that are stored, and how many are at work.
async fn runs(app: &App) -> (Vec<String>, usize) {
    let rows = app.engine.store.runs(None, None, 100).await.unwrap();
    let active = rows.iter().filter(|it| !it.state.is_final()).count();
    (rows.into_iter().map(|it| it.target).collect(), active)
}

/// Fires, is remedied, and resolves.
async fn trouble(app: &App, service: &str) {
    let target = format!("service/{service}");
    deliver(app, service, AlertStatus::Firing).await;
    until("the remedy has run", PATIENCE, async || {
        let (targets, active) = runs(app).await;
        if targets.contains(&target) && active == 0 { Ok(()) } else { Err(targets) }
    })
    .await;
    deliver(app, service, AlertStatus::Resolved).await;
    until("the incident is over", PATIENCE, async || {
        let open = app.engine.store.incidents(None, None, 100).await.unwrap();
        let open: Vec<_> = open.into_iter().filter(|it| it.resolved_at.is_none()).collect();
        if open.is_empty() { Ok(()) } else { Err(open) }
    })
    .await;
    // what is sealed later is as young as that
    until("the log is sealed", PATIENCE, async || {
        let waiting = app.engine.store.standing().await.unwrap().waiting;
        if waiting == 0 { Ok(()) } else { Err(waiting) }
    })
    .await;
}

#[tokio::test]
async fn after_its_time_an_incident_goes_with_all_that_belongs_to_it_and_stays_in_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    for (name, text) in
        [("quell.yml", SETTINGS), ("rules/r.yml", RULES), ("playbooks/p.yml", PLAYBOOK)]
    {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text.replace("FOLDER", &path)).unwrap();
    }
    let loaded = library::load(Some(&folder.path().join("quell.yml")), &|_| None);
    let shown = loaded.render(false);
    let library = loaded.library.unwrap_or_else(|| panic!("{shown}"));
    let start: Timestamp = START.parse().unwrap();
    let clock = Clock::manual(start);
    let app = App::start(library, clock.clone()).await.unwrap();
    let come_to = |day: u32| {
        let at = after(start, DAY * day);
        clock.advance(since(at, clock.now()));
        app.engine.wake.all();
    };

    trouble(&app, "old").await;
    come_to(60);
    trouble(&app, "young").await;
    come_to(91);
    let mut moved = Instant::now();
    until("what is old is gone", PATIENCE, async || {
        // it looks every hour, and one who looked before the clock was moved looks again an hour after that
        if moved.elapsed() > LOOKS_WITHIN {
            moved = Instant::now();
            clock.advance(HOUR);
        }
        let (targets, _) = runs(&app).await;
        if targets == ["service/young"] { Ok(()) } else { Err(targets) }
    })
    .await;

    let archive = fs::read_dir(folder.path().join("archive")).unwrap();
    let lines: String =
        archive.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    assert!(lines.contains("service/old") && lines.contains("touch"), "{lines}");
    assert!(!lines.contains("service/young"), "{lines}");
    let audit = app.engine.store.audit(None).await.unwrap();
    assert!(audit.broken.is_empty(), "{audit:?}");
    until("it is counted", PATIENCE, async || match app.engine.metrics.pruned.get() {
        1 => Ok(()),
        other => Err(other),
    })
    .await;
    app.stop().await;
}
