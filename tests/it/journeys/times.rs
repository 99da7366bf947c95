//! Windows and schedules: what the clock of quell.yml allows, and what it begins.

use serde_json::Value;
use serde_json::json;

use crate::journeys::fixture::SLACK;
use crate::journeys::fixture::STARTED;
use crate::journeys::fixture::Site;
use crate::journeys::fixture::decided;
use crate::journeys::fixture::delivery;
use crate::journeys::fixture::ran;
use crate::journeys::fixture::runs;
use crate::support::shop::Fault;
use crate::support::wait;

/// A window from now on, for this long.
fn window(effect: &str, seconds: i64) -> Value {
    let now = quell::clock::Clock::System.now();
    let until = now + jiff::SignedDuration::from_secs(seconds);
    json!([{ "name": "freeze", "from": now.to_string(), "until": until.to_string(), "effect": effect,
        "match": ["service=\"shop\""], "reason": "release week" }])
}

#[tokio::test]
async fn a_window_refuses_and_afterwards_the_remedy_runs() {
    let mut site = Site::new().await;
    site.config["windows"] = window("refuse", 3);
    site.serve().await;
    site.shop.poison_cache().await;
    site.posts("firing").await;
    let whole = site.until("it is refused", |whole| decided(whole).0 == "hold").await;
    let (_, reason) = decided(&whole);
    assert!(reason.contains("window: refused by window freeze until"), "{reason}");
    assert!(reason.contains("release week"), "{reason}");
    assert_eq!(runs(&whole), ran(&[]));
    let whole =
        site.until("it runs", |whole| runs(whole) == ran(&[("flush-cache", "fixed")])).await;
    let ends = site.config["windows"][0]["until"].as_str().unwrap().parse().unwrap();
    let began: jiff::Timestamp = whole["runs"][0]["started_at"].as_str().unwrap().parse().unwrap();
    assert!(began >= ends, "{began} is before {ends}");
}

#[tokio::test]
async fn a_window_observes_and_afterwards_the_remedy_runs() {
    let mut site = Site::new().await;
    site.config["windows"] = window("observe", 3);
    site.serve().await;
    site.shop.poison_cache().await;
    site.posts("firing").await;
    site.until("it is observed", |whole| runs(whole) == ran(&[("flush-cache", "observed")])).await;
    let both = ran(&[("flush-cache", "observed"), ("flush-cache", "fixed")]);
    site.until("it runs", |whole| runs(whole) == both).await;
}

#[tokio::test]
async fn a_window_is_added_outlives_a_restart_and_when_it_is_ended_what_waited_runs() {
    let mut site = Site::new().await;
    site.serve().await;
    let said = site
        .quell
        .cli(&[
            "window",
            "add",
            "deploy",
            "--for",
            "2h",
            "--effect",
            "refuse",
            "--match",
            "service=\"shop\"",
            "--reason",
            "deploy 41",
            "--by",
            "dana",
        ])
        .await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.starts_with("deploy: refuse until "), "{said:?}");
    site.quell.restart().await;
    site.shop.poison_cache().await;
    site.posts("firing").await;
    let whole = site.until("it is refused", |whole| decided(whole).0 == "hold").await;
    assert!(decided(&whole).1.contains("refused by window deploy until"), "{whole:#}");
    assert!(decided(&whole).1.contains("deploy 41"), "{whole:#}");
    let listed = site.quell.cli(&["window", "list"]).await;
    assert!(
        listed.out.contains("added by dana") && listed.out.contains("now, until"),
        "{listed:?}"
    );
    let url = site.quell.url("");
    let explained = site
        .quell
        .cli(&[
            "explain",
            "--label",
            "alertname=HighErrorRate",
            "--label",
            "service=shop",
            "--server",
            &url,
        ])
        .await;
    assert!(explained.out.contains("deploy (added by dana): refuse until"), "{explained:?}");

    let said = site.quell.cli(&["window", "end", "deploy", "--by", "kim"]).await;
    assert_eq!(said.out, "deploy: ended; what waited is judged again\n", "{said:?}");
    site.until("it runs", |whole| runs(whole) == ran(&[("flush-cache", "fixed")])).await;
    let listed = site.quell.cli(&["window", "list", "--all"]).await;
    assert!(listed.out.contains("ended by kim"), "{listed:?}");
    let again = site.quell.cli(&["window", "end", "deploy"]).await;
    assert_eq!(again.code, 1, "{again:?}");
    assert!(
        again.err.contains("there is no window deploy that was added and is not over"),
        "{again:?}"
    );
}

#[tokio::test]
async fn a_schedule_meets_a_window_that_was_added() {
    let mut site = with_schedule(&json!({ "overlap": "skip" })).await;
    site.serve().await;
    notes(&site, 1).await;
    let add = ["window", "add", "freeze", "--for", "1h", "--effect", "refuse", "--reason", "sale"];
    let said = site.quell.cli(&add).await;
    assert_eq!(said.code, 0, "{said:?}");
    let left_out =
        async || site.quell.get("/api/v1/schedules").await["items"][0]["state"]["skipped"].as_i64();
    // the slot that meets it waits, and the slots after that one are left out
    wait::until("slots are left out", wait::PATIENCE, async || {
        let skipped = left_out().await;
        if skipped > Some(1) { Ok(()) } else { Err(skipped) }
    })
    .await;
    let before = site.notes().len();
    assert_eq!(site.quell.cli(&["window", "end", "freeze"]).await.code, 0);
    notes(&site, before + 2).await;
}

#[tokio::test]
async fn outside_of_what_a_window_allows_nothing_begins_and_other_alerts_are_not_its_business() {
    let mut site = Site::new().await;
    let from = quell::clock::Clock::System.now() + jiff::SignedDuration::from_hours(1);
    let until = from + jiff::SignedDuration::from_hours(1);
    site.config["windows"] = json!([{ "name": "office-hours", "effect": "allow_only",
        "from": from.to_string(), "until": until.to_string(), "match": ["service=\"shop\""] }]);
    site.serve().await;
    site.shop.poison_cache().await;
    site.posts("firing").await;
    let whole = site.until("it waits", |whole| decided(whole).0 == "hold").await;
    assert!(decided(&whole).1.contains("allowed only inside window office-hours"), "{whole:#}");
    let other = delivery("firing", "stock", STARTED);
    site.quell.post("/api/v1/webhook/alertmanager", &other).await;
    site.until_run(1, "fixed").await;
    assert_eq!(runs(&site.incident(1).await), ran(&[]));
}

/// A site with one schedule that notes the slot, every second.
async fn with_schedule(extra: &Value) -> Site {
    let mut site = Site::new().await;
    let note = "playbook: note\nparameters:\n  slot: { type: string, required: true }\nsteps:\n  \
                - { name: note, command: { argv: [/bin/sh, note.sh, '{{ slot }}'] } }\n";
    site.quell.write("playbooks/note.yml", note);
    let mut schedule = json!({ "name": "tick", "cron": "* * * * * *", "playbook": "note",
        "with": { "slot": "{{ labels.slot }}" }, "labels": { "severity": "critical" } });
    for (key, value) in extra.as_object().unwrap() {
        schedule[key] = value.clone();
    }
    site.rules["schedules"] = json!([schedule]);
    site
}

async fn notes(site: &Site, at_least: usize) -> Vec<String> {
    wait::until(&format!("{at_least} notes"), wait::PATIENCE, async || {
        let notes = site.notes();
        if notes.len() >= at_least { Ok(notes) } else { Err((notes, site.quell.log())) }
    })
    .await
}

#[tokio::test]
async fn a_schedule_runs_its_playbook_once_a_slot_and_tells_nobody() {
    let mut site = with_schedule(&json!({})).await;
    // neither the global rate nor the cooldown is for what the clock begins
    site.config["limits"] = json!({ "cooldown": "1h", "rate": "1 per 1h" });
    site.serve().await;
    notes(&site, 3).await;
    // one that dies in the middle of a step asks a person
    site.until_run(3, "fixed").await;
    // once per slot also over a death
    site.quell.kill9();
    site.quell.serve().await;
    let before = site.notes().len();
    let notes = notes(&site, before + 2).await;
    let mut unique = notes.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique, notes, "a slot ran twice, or out of order");
    let listed = site.quell.get("/api/v1/schedules").await;
    let shown = &listed["items"][0];
    assert_eq!((&shown["name"], &shown["target"]), (&json!("tick"), &json!("schedule/tick")));
    assert!(
        shown["state"]["last_slot"].is_string() && shown["state"]["slot"].is_string(),
        "{shown:#}"
    );
    let said = site.quell.cli(&["schedules"]).await;
    assert!(said.code == 0 && said.out.contains("* * * * * * UTC"), "{said:?}");
    let run = site.until_run(1, "fixed").await;
    assert_eq!(run["run"]["rule"], "schedule:tick");
    assert_eq!(run["run"]["outcome"], "note on schedule/tick: done");
    let told = site.quell.cli(&["notifications", "--state", "sent", "--json"]).await.json();
    assert_eq!(told, json!([]));
    assert_eq!((site.messages(SLACK).len(), site.pages().len()), (0, 0));
}

#[tokio::test]
async fn a_slot_that_comes_while_the_last_run_is_at_work_is_left_out_or_waits() {
    for (overlap, expected) in [("skip", 1), ("queue", 2)] {
        let mut site =
            with_schedule(&json!({ "overlap": overlap, "playbook": "restart", "with": {} })).await;
        site.serve().await;
        site.shop.gate().shut();
        site.shop.affected(1).await;
        let state = |whole: &Value| whole["items"][0]["state"].clone();
        let whole = wait::until("a slot came meanwhile", wait::PATIENCE, async || {
            let state = state(&site.quell.get("/api/v1/schedules").await);
            let came = state["skipped"].as_u64().unwrap() > 0 || state["waits"] == true;
            if came { Ok(state) } else { Err(state) }
        })
        .await;
        assert_eq!(site.shop.effects().len(), 1, "one run at a time");
        if overlap == "skip" {
            assert_eq!(whole["note"], "the slot before was still at work");
        } else {
            assert_eq!(whole["waits"], true);
        }
        site.shop.gate().open();
        site.shop.affected(expected).await;
        if overlap == "queue" {
            let second = site.until_run(2, "fixed").await;
            assert_eq!(second["plan"]["labels"]["slot"], whole["slot"], "the one that waited");
        }
    }
}

#[tokio::test]
async fn a_schedule_that_fails_is_given_to_people_until_it_succeeds() {
    let mut site = with_schedule(&json!({})).await;
    site.quell.write("note.sh", "exit 3\n");
    site.serve().await;
    let page = site.paged("trigger").await;
    assert_eq!(page["payload"]["severity"], "critical");
    let summary = page["payload"]["summary"].as_str().unwrap();
    assert!(summary.contains("schedule tick"), "{page:#}");
    site.until_run(3, "failed").await;
    let open = site.quell.cli(&["incidents", "--json"]).await.json();
    assert_eq!(
        open.as_array().unwrap().len(),
        1,
        "one incident, however many slots fail: {open:#}"
    );
    assert_eq!(site.pages().len(), 1);
    site.quell.write("note.sh", "echo \"$*\" >> notes\n");
    notes(&site, 1).await;
    let resolved = site.paged("resolve").await;
    assert_eq!(resolved["dedup_key"], page["dedup_key"]);
    site.told(SLACK, "note ran again").await;
}

#[tokio::test]
async fn windows_modes_and_pauses_hold_for_schedules_too() {
    let mut site = with_schedule(&json!({})).await;
    site.quell.write("quell.pause", "");
    site.serve().await;
    let whole = site.until("it waits", |whole| decided(whole).0 == "hold").await;
    assert!(decided(&whole).1.contains("paused by"), "{whole:#}");
    assert_eq!(site.notes(), Vec::<String>::new());
    assert_eq!(site.pages().len(), 0, "a schedule that waits wakes nobody");
    std::fs::remove_file(site.quell.folder().join("quell.pause")).unwrap();
    notes(&site, 1).await;

    site.config["windows"] = window("refuse", 3600);
    site.config["windows"][0]["match"] = json!(["schedule=\"tick\""]);
    site.write();
    site.quell.hang_up();
    wait::until("it is refused", wait::PATIENCE, async || {
        let said = site.quell.get("/api/v1/decisions?limit=1").await;
        let reason = said["items"][0]["reason"].as_str().unwrap().to_owned();
        if reason.contains("refused by window freeze") { Ok(()) } else { Err(reason) }
    })
    .await;
}

#[tokio::test]
async fn a_schedule_that_is_gone_leaves_no_incident_behind() {
    let mut site = with_schedule(&json!({})).await;
    site.quell.write("note.sh", "exit 3\n");
    site.serve().await;
    site.paged("trigger").await;
    site.rules.as_object_mut().unwrap().remove("schedules");
    site.write();
    site.quell.hang_up();
    site.paged("resolve").await;
    let open = site.quell.cli(&["incidents", "--json"]).await.json();
    assert_eq!(open, json!([]));
    // an alert that only calls itself a slot is an alert like any other
    site.shop.inject(Fault::Unfixable);
    let mut forged = delivery("firing", "shop", STARTED);
    forged["alerts"][0]["labels"] =
        json!({ "alertname": "QuellSchedule", "schedule": "tick", "slot": STARTED });
    site.quell.post("/api/v1/webhook/alertmanager", &forged).await;
    wait::until("it is judged", wait::PATIENCE, async || {
        let said = site.quell.get("/api/v1/decisions?limit=1").await;
        let reason = said["items"][0]["reason"].as_str().unwrap().to_owned();
        if reason == "no rule matches this alert" { Ok(()) } else { Err(reason) }
    })
    .await;
}
