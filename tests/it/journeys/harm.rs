//! What a remedy may not make worse: a baseline before it, compensation when something worsens, a cache that goes slice by
//! slice, and no way back to a version that was left.

use serde_json::Value;
use serde_json::json;

use crate::journeys::fixture::Site;
use crate::journeys::fixture::decided;
use crate::journeys::fixture::ran;
use crate::journeys::fixture::runs;
use crate::support::recorder::Answer;
use crate::support::shop::Fault;
use crate::support::wait;

/// A page of metrics that says this of one of them.
fn page(site: &Site, metric: &str, value: f64) {
    let body = format!("# TYPE {metric} gauge\n{metric} {value}\n");
    site.people.always(&format!("/{metric}"), Answer::status(200).body(body));
}

fn scrape(site: &Site, metric: &str) -> Value {
    json!({ "url": site.people.url(&format!("/{metric}")), "select": metric })
}

/// The kinds of the entries of a journal.
fn kinds(run: &Value) -> Vec<String> {
    let journal = run["journal"].as_array().unwrap();
    let kind = |it: &Value| match &it["event"] {
        Value::String(word) => word.clone(),
        event => event.as_object().unwrap().keys().next().unwrap().clone(),
    };
    journal.iter().map(kind).collect()
}

/// Its only remedy restarts, can be undone, and must not make latency worse.
async fn guarded() -> Site {
    let mut site = Site::new().await;
    site.quell.write(
        "playbooks/guarded.yml",
        "playbook: guarded\nsteps:\n  - name: restart\n    command: { argv: [/bin/sh, note.sh, restart] }\n    undo: { command: { argv: [/bin/sh, note.sh, undo] } }\n",
    );
    site.respond_with(&["guarded"]);
    let metric = json!({
        "name": "latency", "scrape": scrape(&site, "latency"), "worse": "value > before * 1.2" });
    site.rule()["verify"]["unharmed"] = json!([metric]);
    site.rule()["verify"]["within"] = json!("1m");
    page(&site, "latency", 0.2);
    site
}

#[tokio::test]
async fn g16_what_gets_worse_while_a_run_verifies_is_undone_at_once() {
    let mut site = guarded().await;
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.posts("firing").await;
    let run = site.until_run(1, "verifying").await;
    assert_eq!(kinds(&run)[..3], ["planned", "baseline", "step_started"]);
    page(&site, "latency", 0.9);
    // long before the minute that the verification has
    let run = site.until_run(1, "failed").await;
    let outcome = run["run"]["outcome"].as_str().unwrap();
    let words = "it did harm: latency: 0.9, 0.2 before (worse: value > before * 1.2)";
    assert!(outcome.contains(words), "{outcome}");
    assert_eq!(site.notes(), ["restart", "undo"]);
    let taken = &run["journal"][1]["event"]["baseline"]["taken"][0];
    assert_eq!(taken["samples"][0]["value"], 0.2);
}

#[tokio::test]
async fn g16_without_a_baseline_nothing_begins() {
    let mut site = guarded().await;
    site.people.always("/latency", Answer::status(503));
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.posts("firing").await;
    let held = "evidence: latency cannot be measured before acting";
    let whole = site.until("it is held", |it| decided(it).1.starts_with(held)).await;
    assert_eq!((decided(&whole).0, runs(&whole)), ("hold", vec![]));
    assert_eq!(site.notes(), Vec::<String>::new());
}

#[tokio::test]
async fn g16_a_remedy_that_helps_and_does_no_harm_is_fixed() {
    let mut site = guarded().await;
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.posts("firing").await;
    site.until_run(1, "verifying").await;
    page(&site, "latency", 0.23);
    site.shop.inject(Fault::None);
    let run = site.until_run(1, "fixed").await;
    assert!(kinds(&run).contains(&"compared".to_owned()), "{run:#}");
    assert_eq!(site.notes(), ["restart"]);
}

/// A real Redis with so many keys is emptied in slices, while the store behind it is loaded after the first one.
#[tokio::test]
async fn g10_a_cache_is_emptied_slice_by_slice_and_waits_for_the_store_between_two() {
    let mut site = Site::new().await;
    let load = json!({ "scrape": scrape(&site, "load"), "healthy": "value < 0.5" });
    let playbook = json!({
        "playbook": "flush-cache",
        "cache": { "load": load },
        "steps": [{
            "name": "flush", "timeout": "1m",
            "redis.flush": { "server": "cache", "slices": { "keys": 500, "pause": "1s" } },
        }],
    });
    site.quell.write("playbooks/flush-cache.yml", &playbook.to_string());
    page(&site, "load", 0.1);
    let mut redis = site.redis.connect().await;
    let mut fill = redis::pipe();
    for key in 0..1800 {
        fill.set(format!("page:{key}"), "x").ignore();
    }
    let () = fill.query_async(&mut redis).await.unwrap();
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.posts("firing").await;
    wait::until("the first slice is gone", wait::PATIENCE, async || {
        let left: u64 =
            redis::cmd("DBSIZE").query_async(&mut site.redis.connect().await).await.unwrap();
        if left < 1800 { Ok(()) } else { Err(left) }
    })
    .await;
    page(&site, "load", 0.8);
    let whole = site.until_run(1, "running").await;
    assert!(kinds(&whole).contains(&"sliced".to_owned()), "{whole:#}");
    let left: u64 = redis::cmd("DBSIZE").query_async(&mut redis).await.unwrap();
    assert!(left > 0, "all of it went while the store was loaded");
    page(&site, "load", 0.1);
    wait::until("all is gone", wait::PATIENCE * 3, async || {
        let left: u64 =
            redis::cmd("DBSIZE").query_async(&mut site.redis.connect().await).await.unwrap();
        if left == 0 { Ok(()) } else { Err(left) }
    })
    .await;
    assert_eq!(site.redis.executed("FLUSHDB").await, 0);
    let slices = |run: &Value| kinds(run).iter().filter(|it| *it == "sliced").count();
    let request = site.quell.get("/api/v1/runs/r-1").await;
    assert!(slices(&request) >= 2, "{request:#}");
}

/// Prometheus knows the shop and nothing else: the other item is left out, immediately before it.
#[tokio::test]
async fn g04_an_item_that_prometheus_no_longer_knows_is_skipped() {
    let mut site = Site::new().await.with_prometheus().await;
    let there = site.shop.address();
    let playbook = json!({
        "playbook": "roll",
        "steps": [{
            "name": "restart",
            "for_each": ["gone:1", there],
            "among": { "promql": "up", "label": "instance" },
            "command": { "argv": ["/bin/sh", "note.sh", "{{ item }}"] },
        }],
    });
    site.quell.write("playbooks/roll.yml", &playbook.to_string());
    site.respond_with(&["roll"]);
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.posts("firing").await;
    let run = site.until_run(1, "verifying").await;
    assert_eq!(site.notes(), [there]);
    let journal = run["journal"].as_array().unwrap();
    let skipped = journal.iter().find_map(|it| it["event"].get("step_skipped")).unwrap();
    assert_eq!(skipped["reason"], "gone:1 is no longer among the instance of up");
}

/// More items than `max_targets` allow: nothing is done to any of them.
#[tokio::test]
async fn g04_a_list_that_is_too_long_is_refused_whole() {
    let mut site = Site::new().await;
    site.quell.write(
        "playbooks/roll.yml",
        "playbook: roll\nsteps:\n  - name: find\n    command: { shell: \"seq 1 3\" }\n  - name: restart\n    for_each: steps.find.output.lines\n    command: { argv: [/bin/sh, note.sh, \"{{ item }}\"] }\n",
    );
    site.respond_with(&["roll"]);
    site.config["limits"]["max_targets"] = json!(2);
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.posts("firing").await;
    let run = site.until_run(1, "failed").await;
    let outcome = run["run"]["outcome"].as_str().unwrap();
    let words = "for_each: the list has 3 items, more than 2: limits.max_targets (quell.yml:1)";
    assert!(outcome.contains(words), "{outcome}");
    assert_eq!(site.notes(), Vec::<String>::new());
}

/// Rolls back from the version that the alert names; what it left is remembered, and not returned to.
#[tokio::test]
async fn g12_a_version_that_was_rolled_back_from_is_not_returned_to() {
    let mut site = Site::new().await;
    let fine = json!({ "command": { "argv": ["true"] } });
    let playbook = json!({
        "playbook": "back",
        "parameters": {
            "to": { "type": "string", "required": true },
            "from": { "type": "string", "required": true },
        },
        "rollback": {
            "to": "{{ to }}", "from": "{{ from }}", "was_healthy": fine, "in_registry": fine,
            "memory": "1d",
        },
        "steps": [{ "name": "back", "command": { "argv": ["/bin/sh", "note.sh", "{{ from }} to {{ to }}"] } }],
    });
    site.quell.write("playbooks/back.yml", &playbook.to_string());
    site.rule()["response"] = json!([
        { "playbook": "back", "with": { "from": "42", "to": "41" } },
        // somebody believes that the one before was fine after all
        { "playbook": "back", "with": { "from": "41", "to": "42" } },
    ]);
    site.serve().await;
    site.shop.inject(Fault::Unfixable);
    site.posts("firing").await;
    site.until_run(1, "failed").await;
    let refused = "rollback proof: version 42 was itself rolled back from at";
    let whole = site.until("it is refused", |it| decided(it).1.starts_with(refused)).await;
    assert_eq!(runs(&whole), ran(&[("back", "failed")]));
    assert_eq!(site.notes(), ["42 to 41"]);
}
