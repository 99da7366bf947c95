//! `backtest`: the past through rules and guards, from each of its sources. Nothing acts, and nothing is stored.

use std::fmt::Write as _;

use serde_json::Value;
use serde_json::json;

use crate::support::prometheus::Prometheus;
use crate::support::prometheus::Watch;
use crate::support::quell::Quell;
use crate::support::quell::webhook;
use crate::support::wait;

const RULES: &str = r#"
rules:
  - name: errors
    match: [alertname="Errors", service!=""]
    target: service/{{ labels.service }}
    response: [{ playbook: restart, with: { unit: "{{ labels.service }}" } }]
    limits: { settle: 1m, cooldown: 30m, rate: 2 per 6h }
  - name: disk
    match: [alertname="Disk"]
    mode: approve
    target: host/{{ labels.host }}
    response: [{ playbook: restart, with: { unit: disk } }]
  - name: summary
    match: [alertname="Odd"]
    target: odd/{{ annotations.summary }}
    response: [{ playbook: restart, with: { unit: odd } }]
"#;

const PLAYBOOK: &str = "
playbook: restart
parameters:
  unit: { type: string, pattern: '[a-z0-9-]+', required: true }
steps:
  - name: restart
    command: { argv: [touch, \"acted-{{ unit }}\"] }
";

fn prepared() -> Quell {
    let config = "storage: sqlite:quell.db\nmode: auto\n";
    Quell::prepare(config, &[("rules/r.yml", RULES), ("playbooks/p.yml", PLAYBOOK)])
}

/// A body that arrives `minute` minutes after ten.
fn body(minute: u32, status: &str, labels: &Value) -> String {
    let at = format!("2026-01-05T{:02}:{:02}:00Z", 10 + minute / 60, minute % 60);
    let alert = json!({
        "status": status, "labels": labels, "annotations": {}, "startsAt": at,
        "endsAt": if status == "resolved" { &at } else { "0001-01-01T00:00:00Z" },
    });
    json!({ "at": at, "body": { "version": "4", "alerts": [alert] } }).to_string()
}

/// Three episodes of one service within half an hour, one that ends before it has settled, a disk, something odd, noise.
fn past() -> String {
    let service = |name: &str| json!({ "alertname": "Errors", "service": name });
    let (disk, odd) =
        (json!({ "alertname": "Disk", "host": "db-1" }), json!({ "alertname": "Odd" }));
    let mut text = String::new();
    for (minute, status, labels) in [
        (0, "firing", service("api")),
        (1, "firing", json!({ "alertname": "Noise" })),
        (2, "firing", disk.clone()),
        (3, "firing", odd),
        (10, "resolved", service("api")),
        (20, "firing", service("api")),
        (25, "resolved", service("api")),
        (90, "firing", service("web")),
        (91, "resolved", service("web")),
        (100, "resolved", disk),
        (120, "firing", service("api")),
        (130, "resolved", service("api")),
    ] {
        writeln!(text, "{}", body(minute, status, &labels)).unwrap();
    }
    text
}

#[tokio::test]
async fn recorded_bodies_come_to_what_would_have_run_and_what_not() {
    let quell = prepared();
    quell.write("past.jsonl", &past());
    let said = quell.cli(&["backtest", "past.jsonl", "--days", "--all"]).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{}", said.out);
    insta::assert_snapshot!("bodies", said.out);
    let files: Vec<_> =
        std::fs::read_dir(quell.folder()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(
        files.iter().all(|it| !it.to_string_lossy().starts_with("acted") && it != "quell.db"),
        "a backtest did something: {files:?}"
    );
}

#[tokio::test]
async fn changed_rules_are_compared_episode_by_episode() {
    let quell = prepared();
    quell.write("past.jsonl", &past());
    let changed =
        RULES.replace("cooldown: 30m", "cooldown: 5m").replace("mode: approve", "mode: observe");
    quell.write("other/r.yml", &changed);
    let said = quell.cli(&["backtest", "past.jsonl", "--compare", "other"]).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{}", said.out);
    insta::assert_snapshot!("compared", said.out);
    let same = quell.cli(&["backtest", "past.jsonl", "--compare", "rules"]).await;
    assert!(same.out.contains("with rules: no difference in 6 episodes"), "{}", same.out);
    let json = quell.cli(&["backtest", "past.jsonl", "--compare", "other", "--json"]).await.json();
    assert_eq!(json["report"]["rules"]["errors"]["ran"]["restart"], 2, "{json:#}");
    assert_eq!(json["comparison"]["episodes"].as_array().unwrap().len(), 4, "{json:#}");
}

#[tokio::test]
async fn what_cannot_be_read_is_said_and_ends_with_2() {
    let quell = prepared();
    quell.write(
        "bad.jsonl",
        &format!("{}\n{{\"text\":\"x\"}}\n", body(0, "firing", &json!({ "alertname": "A" }))),
    );
    quell.write("broken/r.yml", "rules: [{ name: x }]");
    for (arguments, expected) in [
        (&["backtest", "bad.jsonl"][..], "error[Q0622]: bad.jsonl:2: expected version"),
        (&["backtest", "missing.jsonl"], "error[Q0622]: missing.jsonl cannot be read"),
        (
            &["backtest", "--prometheus", "http://127.0.0.1:9"],
            "error[Q0621]: no answer from Prometheus",
        ),
        (&["backtest", "--server", "http://127.0.0.1:9"], "error[Q0702]: could not reach"),
        (&["backtest"], "error[Q0407]: there is no database"),
        (&["backtest", "bad.jsonl", "--compare", "broken"], "the files of broken have errors"),
        (&["backtest", "bad.jsonl", "--mode", "full"], "expected observe, approve or auto"),
    ] {
        let said = quell.cli(arguments).await;
        assert_eq!(said.code, 2, "{said:#?}");
        assert!(said.err.contains(expected), "{arguments:?}: {}", said.err);
    }
}

#[tokio::test]
async fn what_quell_has_seen_is_replayed_from_its_database_and_from_the_running_server() {
    let mut quell = Quell::start(
        "storage: sqlite:quell.db\nmode: observe\n",
        &[("rules/r.yml", RULES), ("playbooks/p.yml", PLAYBOOK)],
    )
    .await;
    let labels = json!({ "alertname": "Errors", "service": "api" });
    // lately: what is years old lies before the span that is asked for
    let now = quell::clock::Clock::System.now().to_string();
    let mut body = webhook("firing", &labels);
    body["alerts"][0]["startsAt"] = Value::String(now);
    quell.post("/api/v1/webhook/alertmanager", &body).await;
    let url = quell.url("");
    let running = quell.cli(&["backtest", "--server", &url, "--json"]).await.json();
    assert_eq!(running["report"]["episodes"], 1, "{running:#}");
    quell.stop().await;
    let stored = quell.cli(&["backtest", "--json"]).await.json();
    assert_eq!(stored["report"]["rules"], running["report"]["rules"]);
    assert_eq!(stored["report"]["rules"]["errors"]["episodes"], 1, "{stored:#}");
    let earlier = quell.cli(&["backtest", "--until", "2020-01-01T00:00:00Z"]).await;
    assert!(earlier.out.starts_with("no alert fired or resolved in that time"), "{}", earlier.out);
}

#[tokio::test]
async fn a_real_prometheus_tells_what_fired_and_when_it_ended() {
    let rule = |name: &str| {
        format!(
            "groups: [{{ name: g, rules: [{{ alert: {name}, expr: vector(1), labels: {{ service: api }} }}] }}]"
        )
    };
    let watch = |name: &str| Watch { rules: rule(name), ..Watch::default() };
    let prometheus = Prometheus::start(&watch("Errors")).await;
    let fires = async |name: &str, wanted: bool| {
        let alerts = format!("ALERTS{{alertname=\"{name}\",alertstate=\"firing\"}}");
        // two samples tell how often it is evaluated, and so when one is missing
        let twice = format!("count_over_time({alerts}[1m]) >= 2 and {alerts}");
        let query = if wanted { twice } else { alerts };
        wait::until("the alert fires, or not", wait::PATIENCE, async || {
            let found = prometheus.query(&query).await;
            if found.is_empty() == wanted { Err(format!("{found:?}")) } else { Ok(()) }
        })
        .await;
    };
    fires("Errors", true).await;
    prometheus.reload(&watch("Other")).await;
    fires("Errors", false).await;
    fires("Other", true).await;

    let quell = prepared();
    let rules =
        RULES.replace("service!=\"\"", "cluster=\"eu\"").replace("settle: 1m", "settle: 0s");
    quell.write("rules/r.yml", &rules);
    let url = prometheus.url("");
    let arguments =
        ["backtest", "--prometheus", &url, "--since", "1h", "--label", "cluster=eu", "--json"];
    // Prometheus shows an alert's end only when a sample is missing for longer than one evaluation
    let report = wait::until("the end is in the past", wait::PATIENCE, async || {
        let report = quell.cli(&arguments).await.json();
        if report["report"]["transitions"] == 3 { Ok(report) } else { Err(report.to_string()) }
    })
    .await;
    assert_eq!(report["report"]["rules"]["errors"]["ran"]["restart"], 1, "{report:#}");
    assert_eq!(report["report"]["unmatched"]["Other"], 1, "{report:#}");
}
