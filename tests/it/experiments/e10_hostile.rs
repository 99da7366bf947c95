//! Hostile inputs and hands: refused, or stopped within a second; what was edited is found (G4, G6, G11, G20).

use std::fs;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use serde_json::json;
use sqlx::Connection as _;
use sqlx::SqliteConnection;

use crate::experiments::rig;
use crate::experiments::rig::Rig;
use crate::support::quell::Quell;
use crate::support::wait;

/// Forty units in waves of 1, 21 and all.
const ROLL: &str = r#"
playbook: restart
parameters: { unit: { type: string, required: true } }
steps:
  - name: roll
    for_each: ITEMS
    waves: [1, 21, 100%]
    http: { server: plant, method: POST, url: "/restart/{{ item }}" }
    on_unknown: retry
"#;

/// After the kill switch nothing begins.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Posts one alert with these labels; gives the status.
async fn post(quell: &Quell, labels: Value) -> u16 {
    let mut alert = rig::alert("firing", "a", rig::STARTED);
    alert["labels"] = labels;
    let request = quell.request(Method::POST, "/api/v1/webhook/alertmanager");
    let reply = request.json(&rig::body("firing", &[alert])).send().await.unwrap();
    reply.status().as_u16()
}

fn labels(unit: &str) -> Value {
    json!({ "alertname": "UnitIll", "severity": "critical", "unit": unit })
}

#[tokio::test]
async fn e10_labels_that_mean_everything() {
    let mut rig = Rig::new().await;
    // a rule as careless as can be
    rig.rule()["match"] = json!(["alertname=\"UnitIll\""]);
    rig.rule().as_object_mut().unwrap().remove("verify");
    let quell = rig.serve().await;
    let hostile =
        ["", ".*", "*", "a/../../b", "a; rm -rf /", "{{ labels }}", "${env:HOME}", "a\nb", "ａ"];
    for unit in hostile {
        assert_eq!(post(&quell, labels(unit)).await, 200, "{unit:?}");
    }
    assert_eq!(post(&quell, json!({ "alertname": "UnitIll", "severity": "critical" })).await, 200);
    // an empty label is the same as none: one incident for the two
    rig.paged(hostile.len()).await;
    rig.told("does not match the pattern").await;
    rig.told("is not on this alert").await;
    // what is named well is served all the same
    assert_eq!(post(&quell, labels("b")).await, 200);
    rig.plant.affected(1).await;
    rig::until_runs(&quell, &["r-1 restart verifying"]).await;
    let effects = rig.plant.effects();
    assert_eq!((effects.len(), effects[0].unit.as_str()), (1, "b"), "{effects:?}");
    rig.report(10, "labels that mean everything", None);
}

#[tokio::test]
async fn e10_a_list_that_is_empty() {
    let mut rig = Rig::new().await;
    let find =
        "  - name: find\n    command: { argv: [\"true\"] }\n    on_unknown: retry\n  - name: roll";
    let roll = ROLL.replace("ITEMS", "steps.find.output.lines").replace("  - name: roll", find);
    rig.playbooks = vec![("restart.yml", roll)];
    let quell = rig.serve().await;
    rig.plant.sicken("a");
    assert_eq!(post(&quell, labels("a")).await, 200);
    rig::until_runs(&quell, &["r-1 restart failed"]).await;
    rig.told("the list is empty").await;
    assert_eq!(rig.plant.effects(), []);
    rig.report(10, "a list that is empty", None);
}

#[tokio::test]
async fn e10_a_body_of_ten_megabytes() {
    let rig = Rig::new().await;
    let quell = rig.serve().await;
    rig.plant.sicken("a");
    let began = std::time::Instant::now();
    let status = post(&quell, labels(&"a".repeat(10 << 20))).await;
    assert!(status == 200 || status == 413 || status == 422, "{status}");
    assert_eq!(post(&quell, labels("a")).await, 200);
    rig.plant.affected(1).await;
    let served = began.elapsed();
    rig::until_runs(&quell, &["r-1 restart fixed"]).await;
    assert_eq!(rig.plant.effects().len(), 1);
    let longest = rig.messages().iter().map(String::len).max().unwrap_or_default();
    assert!(longest < 100_000, "a message of {longest} bytes");
    let name = format!("ten megabytes, the next alert served after {:.1} s", served.as_secs_f64());
    rig.report(10, &name, None);
}

/// Everything that `pause` stops is over within a second; `resume` finishes it.
async fn kill_switch(name: &str, pause: impl AsyncFn(&Quell), resume: impl AsyncFn(&Quell)) {
    let mut rig = Rig::new().await;
    let units: Vec<String> = (0..40).map(|it| format!("u{it}")).collect();
    rig.playbooks = vec![("restart.yml", ROLL.replace("ITEMS", &json!(units).to_string()))];
    rig.plant.sicken("a");
    rig.plant.is_slow(Duration::from_millis(50));
    let mut quell = rig.quell().with_env("RUST_LOG", "info,quell=debug");
    quell.serve().await;
    assert_eq!(post(&quell, labels("a")).await, 200);
    // in the second wave
    rig.plant.affected(5).await;
    pause(&quell).await;
    let paused = rig::now();
    let held = |quell: &Quell| quell.log().matches("held before a step").count();
    wait::until("it is held", wait::PATIENCE, async || {
        let held = held(&quell);
        if held >= 3 { Ok(()) } else { Err(held) }
    })
    .await;
    let effects = rig.plant.effects();
    assert!(effects.len() < 21, "the second wave was over: {}", effects.len());
    let last = effects.last().unwrap().at;
    let stopped = Duration::try_from(last.duration_since(paused)).unwrap_or_default();
    assert!(stopped <= AT_ONCE, "{stopped:?}");
    rig.report(10, name, Some(stopped));
    // also after a restart
    quell.restart().await;
    let before = held(&quell);
    wait::until("it is held still", wait::PATIENCE, async || {
        let now = held(&quell);
        if now > before { Ok(()) } else { Err(now) }
    })
    .await;
    assert_eq!(rig.plant.effects().len(), effects.len());
    resume(&quell).await;
    rig.plant.affected(40).await;
    assert!(rig.plant.keys().values().all(|count| *count == 1), "{:?}", rig.plant.keys());
}

#[tokio::test]
async fn e10_kill_switch_in_the_second_wave() {
    kill_switch(
        "kill switch in the second wave, by command",
        async |quell| assert_eq!(quell.cli(&["pause", "--by", "dana"]).await.code, 0),
        async |quell| assert_eq!(quell.cli(&["resume"]).await.code, 0),
    )
    .await;
}

#[tokio::test]
async fn e10_kill_switch_by_a_file() {
    kill_switch(
        "kill switch in the second wave, by a file",
        async |quell| quell.write("quell.pause", ""),
        async |quell| fs::remove_file(quell.folder().join("quell.pause")).unwrap(),
    )
    .await;
}

/// quell in mode approve with a run that waits; its digest.
async fn asking(rig: &mut Rig) -> (Quell, String) {
    rig.config["mode"] = json!("approve");
    rig.plant.sicken("a");
    let quell = rig.serve().await;
    assert_eq!(post(&quell, labels("a")).await, 200);
    // who sent the alert does not approve
    let quell = quell.with_token("hush-dana-0123456789");
    rig::until_runs(&quell, &["r-1 restart awaiting approval"]).await;
    let run = quell.get("/api/v1/runs/r-1").await;
    (quell, run["run"]["digest"].as_str().unwrap().to_owned())
}

/// Says yes to the first run; gives the status.
async fn approve(quell: &Quell, digest: &str) -> u16 {
    let request = quell.request(Method::POST, "/api/v1/runs/r-1/approve");
    request.json(&json!({ "digest": digest })).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn e10_an_approval_that_is_replayed() {
    let mut rig = Rig::new().await;
    let (quell, digest) = asking(&mut rig).await;
    assert_eq!(approve(&quell, &digest).await, 200);
    for _ in 0..5 {
        assert_eq!(approve(&quell, &digest).await, 409);
    }
    rig::until_runs(&quell, &["r-1 restart fixed"]).await;
    // the same trouble later: the old yes is no yes to it
    rig::post(&quell, "resolved", "a").await;
    assert_eq!(approve(&quell, &digest).await, 409);
    assert_eq!(rig.plant.effects().len(), 1);
    rig::audit_holds(&quell).await;
    rig.report(10, "an approval that is replayed", None);
}

#[tokio::test]
async fn e10_a_plan_that_a_reload_changes() {
    let mut rig = Rig::new().await;
    let (quell, digest) = asking(&mut rig).await;
    rig.playbooks[0].1 = rig.playbooks[0].1.replace("/restart/", "/destroy/");
    rig.write(&quell);
    quell.hang_up();
    wait::until("the files are in force", wait::PATIENCE, async || {
        let log = quell.log();
        if log.contains("are in force") { Ok(()) } else { Err(log) }
    })
    .await;
    // the yes may still be heard: then it is void before anything is done
    approve(&quell, &digest).await;
    wait::until("it is proposed anew", wait::PATIENCE, async || {
        let page = quell.get("/api/v1/runs").await;
        let states: Vec<&str> = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|it| it["state"].as_str())
            .collect();
        if states == ["awaiting approval", "superseded"] { Ok(()) } else { Err(page) }
    })
    .await;
    assert_eq!(rig.plant.effects(), [], "nobody approved what the files say now");
    rig.report(10, "a plan that a reload changes before it is approved", None);
}

#[tokio::test]
async fn e10_a_link_that_is_prefetched() {
    let rig = Rig::new().await;
    let quell = rig.serve().await;
    rig.plant.is_beyond_help();
    rig.plant.sicken("a");
    assert_eq!(post(&quell, labels("a")).await, 200);
    let message = rig.told("/act/").await;
    let links: Vec<String> = message
        .split(['"', '|', '<', '>', ' ', '\\'])
        .filter(|it| it.contains("/act/"))
        .map(|it| it.strip_prefix(&quell.url("")).unwrap().to_owned())
        .collect();
    let agents = ["Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "Mozilla/5.0"];
    for path in &links {
        for agent in agents {
            for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT] {
                let request = quell.request(method, path).header("user-agent", agent);
                request.send().await.unwrap();
            }
        }
    }
    assert!(!links.is_empty());
    let incident = quell.get("/api/v1/incidents/i-1").await;
    assert_eq!(incident["incident"]["status"], "open", "looking at a link acknowledged it");
    rig.report(10, &format!("{} links that are prefetched", links.len()), None);
}

/// What a hand in the database does, and what `audit verify` says of it.
const EDITS: [(&str, &str); 7] = [
    (
        "UPDATE run_events SET body = replace(body, 'restart', 'nothing') WHERE run = 1 AND seq = 2",
        "the entry was changed",
    ),
    ("UPDATE run_events SET at = at - 1 WHERE run = 2 AND seq = 3", "the entry was changed"),
    ("DELETE FROM run_events WHERE run = 1 AND seq = 3", "an entry is missing"),
    (
        "DELETE FROM run_events WHERE run = 2 AND seq = (SELECT MAX(seq) FROM run_events WHERE run = 2)",
        "the end of the journal is missing",
    ),
    (
        "UPDATE run_events SET body = (SELECT body FROM run_events other WHERE run = 2 AND seq = 2)
         WHERE run = 1 AND seq = 2",
        "the entry was changed",
    ),
    (
        "UPDATE run_events SET seq = -2 WHERE run = 2 AND seq = 2;
         UPDATE run_events SET seq = 2 WHERE run = 2 AND seq = 3;
         UPDATE run_events SET seq = 3 WHERE run = 2 AND seq = -2",
        "the entry was changed",
    ),
    (
        "UPDATE runs SET plan = replace(plan, '/restart/', '/destroy/') WHERE id = 1",
        "the plan is not the one",
    ),
];

#[tokio::test]
async fn e10_a_journal_that_is_edited() {
    let rig = Rig::new().await;
    let mut quell = rig.serve().await;
    for unit in ["a", "b"] {
        rig.plant.sicken(unit);
        assert_eq!(post(&quell, labels(unit)).await, 200);
    }
    rig::until_runs(&quell, &["r-1 restart fixed", "r-2 restart fixed"]).await;
    quell.stop().await;
    rig::audit_holds(&quell).await;
    let file = quell.folder().join("quell.db");
    let whole = fs::read(&file).unwrap();
    for (edit, finds) in EDITS {
        fs::write(&file, &whole).unwrap();
        let url = format!("sqlite:{}", file.display());
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        let done = sqlx::query(edit).execute(&mut connection).await.unwrap();
        assert!(done.rows_affected() > 0, "{edit}");
        connection.close().await.unwrap();
        let audit = quell.cli(&["audit", "verify"]).await;
        assert_eq!(audit.code, 1, "{edit}: {audit:#?}");
        assert!(format!("{}{}", audit.out, audit.err).contains(finds), "{edit}: {audit:#?}");
    }
    rig.report(10, &format!("{} ways of editing a journal, each found", EDITS.len()), None);
}
