//! Temporary measures are taken back: each once, the last first, and not before the target is free.

use serde_json::json;

use crate::journeys::fixture::SLACK;
use crate::journeys::fixture::STARTED;
use crate::journeys::fixture::Site;
use crate::journeys::fixture::delivery;
use crate::journeys::fixture::ran;
use crate::journeys::fixture::runs;
use crate::support::shop::Fault;
use crate::support::wait;

async fn noted(site: &Site, expected: &[&str]) {
    wait::until(&format!("notes are {expected:?}"), wait::PATIENCE, async || {
        let notes = site.notes();
        if notes == expected { Ok(()) } else { Err(notes) }
    })
    .await;
}

#[tokio::test]
async fn they_go_when_the_alert_resolves() {
    let mut site = Site::new().await;
    site.respond_with(&["maintenance"]);
    site.serve().await;
    site.shop.inject(Fault::LeakedPool);
    site.posts("firing").await;
    site.until_run(1, "fixed").await;
    assert_eq!(site.notes(), ["waiting page on"]);

    site.posts("resolved").await;
    site.until_run(2, "fixed").await;
    assert_eq!(site.notes(), ["waiting page on", "waiting page off"]);
    let whole = site.until_it_is("resolved").await;
    assert_eq!(runs(&whole), ran(&[("maintenance", "fixed"), ("maintenance", "fixed")]));
    assert_eq!(site.shop.effects().len(), 1);
    site.told(SLACK, "temporary measures taken back").await;
}

#[tokio::test]
async fn those_of_two_remedies_go_one_after_the_other_the_last_first() {
    let mut site = Site::new().await;
    let more = "playbook: more\nsteps:\n  - { name: more, command: { argv: [/bin/sh, note.sh, more machines] } }\n\
                on_resolve:\n  - { name: fewer, command: { argv: [/bin/sh, note.sh, fewer machines] } }\n";
    site.quell.write("playbooks/more.yml", more);
    site.respond_with(&["more", "maintenance"]);
    site.serve().await;
    site.shop.inject(Fault::LeakedPool);
    site.posts("firing").await;
    site.until_run(2, "fixed").await;
    site.posts("resolved").await;
    noted(&site, &["more machines", "waiting page on", "waiting page off", "fewer machines"]).await;
}

#[tokio::test]
async fn they_wait_for_a_run_of_another_incident_on_the_same_target() {
    let mut site = Site::new().await;
    site.rule()["target"] = json!("process/shop");
    site.respond_with(&["maintenance"]);
    let mut other = site.rule().clone();
    other["name"] = json!("stock-errors");
    other["match"] = json!(["service=\"stock\""]);
    other["response"] = json!([{ "playbook": "restart" }]);
    site.rule()["match"] = json!(["service=\"shop\""]);
    site.rules["rules"].as_array_mut().unwrap().push(other);
    site.config["limits"]["cooldown"] = json!("0s");
    site.serve().await;
    site.shop.inject(Fault::LeakedPool);
    site.posts("firing").await;
    site.until_run(1, "fixed").await;
    site.shop.inject(Fault::Unfixable);
    site.shop.gate().shut();
    let stock = delivery("firing", "stock", STARTED);
    site.quell.post("/api/v1/webhook/alertmanager", &stock).await;
    site.shop.affected(2).await;

    site.posts("resolved").await;
    site.until_it_is("resolved").await;
    assert_eq!(site.notes(), ["waiting page on"]);
    site.shop.gate().open();
    noted(&site, &["waiting page on", "waiting page off"]).await;
}

#[tokio::test]
async fn a_person_is_told_when_they_cannot_be_taken_back() {
    let mut site = Site::new().await;
    site.respond_with(&["maintenance"]);
    site.serve().await;
    site.shop.inject(Fault::LeakedPool);
    site.posts("firing").await;
    site.until_run(1, "fixed").await;
    site.quell.write("note.sh", "exit 3\n");
    site.posts("resolved").await;
    site.until_run(2, "failed").await;
    let told = site.told(SLACK, "temporary measures still stand").await;
    assert!(told.contains("needs you"), "{told}");
    let page = site.people.received(crate::journeys::fixture::PAGER, 3).await[2].json();
    assert_eq!(page["event_action"], "trigger", "{page:#}");
}

#[tokio::test]
async fn they_see_what_was_there_before_and_whether_there_is_anything_to_take_back() {
    let mut site = Site::new().await;
    let more = "playbook: more\nsteps:\n  - { name: before, command: { argv: [/bin/echo, '3'] } }\n  \
                - { name: more, command: { argv: [/bin/sh, note.sh, more machines] } }\n  \
                - { name: disks, if: 'false', command: { argv: [/bin/sh, note.sh, more disks] } }\n\
                on_resolve:\n  \
                - { name: fewer, if: steps.more.is == 'done', command: { argv: [/bin/sh, note.sh, 'again {{ steps.before.output.lines[0] }}'] } }\n  \
                - { name: no disks, if: steps.disks.is == 'done', command: { argv: [/bin/sh, note.sh, no disks] } }\n";
    site.quell.write("playbooks/more.yml", more);
    site.respond_with(&["more", "maintenance"]);
    site.serve().await;
    site.shop.inject(Fault::LeakedPool);
    site.posts("firing").await;
    site.until_run(2, "fixed").await;
    site.posts("resolved").await;
    noted(&site, &["more machines", "waiting page on", "waiting page off", "again 3"]).await;
}
