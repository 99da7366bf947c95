//! `quell explain` says what the engine decides, and the same afterwards.

use serde_json::Value;
use serde_json::json;

use crate::journeys::fixture::Site;
use crate::journeys::fixture::decided;
use crate::journeys::fixture::delivery;
use crate::journeys::fixture::ran;
use crate::journeys::fixture::runs;

const LABELS: [&str; 6] =
    ["-l", "alertname=HighErrorRate", "-l", "service=shop", "-l", "severity=critical"];

/// What the running server says of the shop's alert now.
async fn asked(site: &Site) -> Value {
    let url = site.quell.url("");
    let arguments = [&["explain", "--server", &url, "--json"][..], &LABELS].concat();
    let json = site.quell.cli(&arguments).await.json();
    assert_eq!(json[0]["facts"], "live", "{json:#}");
    json[0].clone()
}

/// Verdict, reason, and the verdict of every guard.
fn verdicts(of: &Value) -> (Value, Value, Vec<(Value, Value)>) {
    let rulings = of["rulings"].as_array().into_iter().flatten();
    let rulings = rulings.map(|it| (it["guard"].clone(), it["verdict"]["is"].clone())).collect();
    (of["verdict"]["is"].clone(), of["reason"].clone(), rulings)
}

fn agrees(explained: &Value, whole: &Value) {
    let (explained, decision) = (&explained["judgements"][0], &whole["decisions"][0]);
    assert!(!decision["rulings"].as_array().unwrap().is_empty(), "{whole:#}");
    assert_eq!(verdicts(explained), verdicts(decision));
}

#[tokio::test]
async fn of_an_alert_that_proceeds_before_while_and_after_it_is_remedied() {
    let mut site = Site::new().await;
    site.serve().await;
    site.shop.poison_cache().await;
    let before = asked(&site).await;
    assert_eq!(before["assumed"], json!(["it fires, for 5m"]), "{before:#}");
    let remedy = &before["judgements"][0]["remedies"][0];
    assert_eq!(remedy["steps"][0]["call"]["arguments"]["server"], "cache", "{before:#}");
    assert_eq!(site.redis.executed("FLUSHDB").await, 0, "explaining does nothing");
    assert_eq!(site.incident(1).await, Value::Null, "explaining writes nothing");

    site.posts("firing").await;
    let whole = site.until("mended", |it| runs(it) == ran(&[("flush-cache", "fixed")])).await;
    agrees(&before, &whole);
    let after = asked(&site).await;
    let judgement = &after["judgements"][0];
    assert_eq!((&after["episode"], &judgement["verdict"]), (&json!("e-1"), &Value::Null));
    let reason = judgement["reason"].as_str().unwrap();
    assert!(reason.starts_with("flush-cache is verified; the alert has until"), "{reason}");

    // the same words of what was decided, from the server and without one
    let url = site.quell.url("");
    for id in ["i-1", "e-1", "r-1"] {
        let served = site.quell.cli(&["explain", id, "--server", &url]).await;
        assert_eq!(served.code, 0, "{served:?}");
        for text in
            ["proceed: 30 of 30 guards proceed", "run r-1", "planned: remedy 1 of 1, flush-cache"]
        {
            assert!(served.out.contains(text), "{id}: {text}\n{}", served.out);
        }
        let read = site.quell.cli(&["explain", id]).await;
        assert_eq!(read.out, served.out);
    }
    assert!(site.quell.stop().await.success());
    let read = site.quell.cli(&["explain", "r-1"]).await;
    assert!(read.out.contains("proceed: 30 of 30 guards proceed"), "{read:?}");
    let missing = site.quell.cli(&["explain", "r-9"]).await;
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(missing.err.contains("there is no run r-9"), "{missing:?}");
}

#[tokio::test]
async fn of_an_alert_that_is_held() {
    let mut site = Site::new().await;
    site.rule()["limits"] = json!({ "settle": "1h" });
    site.serve().await;
    site.shop.poison_cache().await;
    let said = site.quell.cli(&[&["send"][..], &LABELS].concat()).await;
    assert!(
        said.out.contains("hold until ") && said.out.contains("settle: firing for"),
        "{said:?}"
    );
    let whole = site.until("it settles", |it| decided(it).0 == "hold").await;
    let explained = asked(&site).await;
    let (verdict, _, guards) = verdicts(&explained["judgements"][0]);
    let (stored, _, stored_guards) = verdicts(&whole["decisions"][0]);
    assert_eq!((verdict, guards), (stored, stored_guards));
    let until = |of: &Value| of["verdict"]["until"].clone();
    assert_eq!(until(&explained["judgements"][0]), until(&whole["decisions"][0]));

    // once the hour has passed, nothing is against it
    let url = site.quell.url("");
    let later = [&["explain", "--server", &url, "--json", "--at", "+2h"][..], &LABELS].concat();
    let later = site.quell.cli(&later).await.json();
    assert_eq!(later[0]["judgements"][0]["verdict"]["is"], "proceed", "{later:#}");
    assert_eq!(later[0]["assumed"], json!(["nothing happens between now and then"]));
}

#[tokio::test]
async fn of_an_alert_that_is_refused() {
    let mut site = Site::new().await;
    site.serve().await;
    site.shop.poison_cache().await;
    let now = quell::clock::Clock::System.now().to_string();
    let mut body = delivery("firing", "shop", &now);
    body["truncatedAlerts"] = json!(3);
    site.quell.post("/api/v1/webhook/alertmanager", &body).await;
    let whole = site.until("it is refused", |it| decided(it).0 == "refuse").await;
    agrees(&asked(&site).await, &whole);
    let url = site.quell.url("");
    let said = site.quell.cli(&[&["explain", "--server", &url][..], &LABELS].concat()).await;
    assert!(said.out.contains("refuse: evidence: the sender left 3 alerts out"), "{}", said.out);
    assert!(said.out.contains("max_alerts in the Alertmanager"), "{}", said.out);
}

#[tokio::test]
async fn of_an_alert_in_a_window_now_and_when_it_is_over() {
    let mut site = Site::new().await;
    let now = quell::clock::Clock::System.now();
    let until = now + jiff::SignedDuration::from_hours(1);
    site.config["windows"] = json!([{ "name": "freeze", "from": now.to_string(), "until": until.to_string(),
        "effect": "refuse", "match": ["service=\"shop\""], "reason": "release week" }]);
    site.serve().await;
    site.shop.poison_cache().await;
    site.posts("firing").await;
    let whole = site.until("it is refused", |whole| decided(whole).0 == "hold").await;
    let explained = asked(&site).await;
    agrees(&explained, &whole);
    assert_eq!(explained["windows"][0]["ends"], until.to_string(), "{explained:#}");
    let url = site.quell.url("");
    let said = site.quell.cli(&[&["explain", "--server", &url][..], &LABELS].concat()).await;
    let window = "refuse until ";
    assert!(said.out.contains("freeze (") && said.out.contains(window), "{}", said.out);
    assert!(said.out.contains(": release week"), "{}", said.out);
    let later = [&["explain", "--server", &url, "--json", "--at", "+2h"][..], &LABELS].concat();
    let later = site.quell.cli(&later).await.json();
    assert_eq!(later[0]["judgements"][0]["verdict"]["is"], "proceed", "{later:#}");
    let precheck = |of: &Value| {
        let rulings = of["judgements"][0]["rulings"].as_array().unwrap().clone();
        rulings.iter().find(|it| it["guard"] == "evidence").unwrap()["measured"].clone()
    };
    // now nobody needs to look; what is asked about another time is looked at
    assert_eq!(precheck(&explained), "no precheck");
    assert!(precheck(&later[0]).as_str().unwrap().contains("value < "), "{later:#}");
}

#[tokio::test]
async fn of_a_schedule_by_the_files_by_the_server_and_of_a_slot_that_was() {
    let mut site = Site::new().await;
    let note = "playbook: note\nparameters:\n  slot: { type: string, required: true }\nsteps:\n  \
                - { name: note, command: { argv: [/bin/true, '{{ slot }}'] } }\n";
    site.quell.write("playbooks/note.yml", note);
    site.rules["schedules"] = json!([
        { "name": "tick", "cron": "* * * * * *", "playbook": "note", "with": { "slot": "{{ labels.slot }}" } },
        { "name": "yearly", "cron": "0 3 1 7 *", "playbook": "note", "with": { "slot": "{{ labels.slot }}" } },
    ]);
    site.serve().await;
    let url = site.quell.url("");
    let at = ["--at", "2027-06-30T12:00:00Z"];
    let read = site.quell.cli(&[&["explain", "--schedule", "yearly"][..], &at].concat()).await;
    let live = ["explain", "--schedule", "yearly", "--server", &url];
    let live = site.quell.cli(&[&live[..], &at].concat()).await;
    for said in [&read, &live] {
        assert_eq!(said.code, 0, "{said:?}");
        for text in [
            "schedule yearly     slot 2027-07-01 03:00:00 UTC",
            "0 3 1 7 * UTC (",
            "proceed: 30 of 30 guards proceed",
            "note: command /bin/true 2027-07-01T03:00:00Z",
        ] {
            assert!(said.out.contains(text), "`{text}` is not in\n{}", said.out);
        }
    }
    assert!(live.out.contains("facts        of the running server"), "{}", live.out);
    for arguments in [
        &["explain", "--schedule", "yaerly"][..],
        &["explain", "--schedule", "yaerly", "--server", &url],
    ] {
        let said = site.quell.cli(arguments).await;
        assert_eq!(said.code, 1, "{said:?}");
        assert!(
            said.err.contains("there is no schedule yaerly: the files have tick, yearly"),
            "{said:?}"
        );
    }
    site.until_run(1, "fixed").await;
    let said = site.quell.cli(&["explain", "r-1"]).await;
    for text in [
        "schedule tick     slot ",
        "rule         schedule:tick (",
        "run r-1",
        "planned: remedy 1 of 1, note",
    ] {
        assert!(said.out.contains(text), "`{text}` is not in\n{}", said.out);
    }
}
