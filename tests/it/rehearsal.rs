//! The rehearsal against the real engine: the same alerts and words, on the same virtual times, must come to the same
//! decisions, journals and notices. The engine runs whole, on SQLite and with real processes; only its clock is moved by
//! hand.

use quell::model::window::Effect;

mod both;
mod log;
mod real;

use both::Say;
use both::agree;

const START: &str = "2026-01-05T10:00:00Z";

/// FOLDER is where the files lie that say what a probe sees and how a step exits.
const FILES: &str = r#"
rules:
  - name: edge
    match: [alertname="Errors", service=~"edge.*"]
    target: service/{{ labels.service }}
    response: [{ playbook: call }]
  - name: pair
    match: [alertname="Errors", service="pair"]
    target: service/pair
    response: [{ playbook: restart, with: { unit: pair }, mode: approve, approvals: 2 }]
    verify:
      command: { shell: "echo >> FOLDER/looks; exit $(cat FOLDER/probe)" }
      within: 35s
      hold: 15s
  - name: guarded
    match: [alertname="Errors", service="guarded"]
    target: service/guarded
    response: [{ playbook: drain, with: { unit: guarded } }]
    verify:
      command: { shell: "echo >> FOLDER/looks; exit $(cat FOLDER/probe)" }
      within: 35s
      hold: 15s
      unharmed: [{ name: latency, scrape: { url: "PAGE/latency", select: latency }, worse: value > before * 1.2 }]
  - name: twins
    match: [alertname="Errors", service=~"twin-.*"]
    target: service/twins
    response: [{ playbook: restart, with: { unit: twins } }]
    verify:
      command: { shell: "echo >> FOLDER/looks; exit $(cat FOLDER/probe)" }
      within: 35s
      hold: 15s
    limits: { settle: 30s, cooldown: 10m }
    page: { unless_fixed_within: 4m }
  - name: api
    match: [alertname="Errors", service!=""]
    target: service/{{ labels.service }}
    response:
      - { playbook: drain, with: { unit: "{{ labels.service }}" } }
      - { playbook: restart, with: { unit: "{{ labels.service }}" }, mode: approve }
    verify:
      command: { shell: "echo >> FOLDER/looks; exit $(cat FOLDER/probe)" }
      within: 35s
      hold: 15s
    limits: { settle: 30s, cooldown: 10m }
    page: { unless_fixed_within: 4m }
schedules:
  - name: nightly
    cron: "30 12 * * *"
    playbook: drain
    with: { unit: nightly }
    labels: { severity: critical }
"#;

const PLAYBOOKS: &str = r#"
playbook: drain
parameters: { unit: { type: string, required: true } }
steps:
  - name: take out
    command: { shell: "exit $(cat FOLDER/step)" }
    undo: { command: { argv: ["true", "{{ unit }}"] } }
  - name: settle
    wait: 1m
on_resolve:
  - name: put in
    command: { shell: "exit $(cat FOLDER/step)" }
---
playbook: call
steps:
  - name: call
    http: { method: POST, url: "PEOPLEdeny" }
---
playbook: restart
parameters: { unit: { type: string, required: true } }
steps:
  - name: restart
    if: unit != "none"
    command: { shell: "exit $(cat FOLDER/step)" }
    on_unknown: ask
"#;

const SETTINGS: &str = "
listen: 127.0.0.1:0
storage: sqlite:FOLDER/quell.db
pause_file: FOLDER/quell.pause
mode: auto
channels:
  chat: { webhook: { url: PEOPLE } }
  pager: { webhook: { url: PEOPLE, pages: true } }
severities: { critical: { notify: [chat, pager], ack_within: 20m, escalate_to: [chat] } }
windows: [{ name: freeze, from: 2026-01-05T11:00:00Z, until: 2026-01-05T11:10:00Z, effect: refuse }]
unmatched: [chat]
";

#[tokio::test]
async fn a_remedy_that_helps() {
    let script = [
        (7, Say::Fire("api")),
        (110, Say::Sees(0)),
        (300, Say::Resolve("api")),
        (400, Say::Fire("api")),
    ];
    agree(&script, 410).await;
}

#[tokio::test]
async fn remedies_that_do_not_help() {
    let script = [(7, Say::Fire("api")), (500, Say::Approve)];
    agree(&script, 900).await;
}

#[tokio::test]
async fn a_step_that_fails_and_a_person_who_says_no() {
    let script =
        [(3, Say::Exits(1)), (7, Say::Fire("api")), (100, Say::Reject), (200, Say::Resolve("api"))];
    agree(&script, 300).await;
}

#[tokio::test]
async fn an_alert_that_resolves_while_a_person_is_asked() {
    let script = [(3, Say::Exits(1)), (7, Say::Fire("api")), (100, Say::Resolve("api"))];
    agree(&script, 200).await;
}

#[tokio::test]
async fn nobody_approves_and_nobody_acknowledges() {
    let script = [(3, Say::Exits(1)), (7, Say::Fire("api"))];
    agree(&script, 2 * 3600).await;
}

#[tokio::test]
async fn a_person_stops_it_and_takes_it() {
    let script = [(7, Say::Fire("api")), (50, Say::Acknowledge), (61, Say::Cancel)];
    agree(&script, 1800).await;
}

#[tokio::test]
async fn g05_what_flaps_is_one_incident_until_it_is_quiet() {
    let script = [
        (7, Say::Fire("api")),
        (15, Say::Resolve("api")),
        (37, Say::Fire("api")),
        (45, Say::Resolve("api")),
        (67, Say::Fire("api")),
        (75, Say::Resolve("api")),
        (97, Say::Fire("api")),
        (105, Say::Resolve("api")),
    ];
    agree(&script, 600).await;
}

#[tokio::test]
async fn a_pause_holds_and_its_end_lets_go() {
    let script = [(3, Say::Pause), (7, Say::Fire("api")), (150, Say::Resume), (230, Say::Sees(0))];
    agree(&script, 400).await;
}

#[tokio::test]
async fn a_page_is_held_until_its_time_is_over() {
    let script = [(7, Say::Fire("api")), (200, Say::Fire("web")), (320, Say::Sees(0))];
    agree(&script, 500).await;
}

#[tokio::test]
async fn g16_what_gets_worse_is_undone() {
    let script = [(7, Say::Fire("guarded")), (80, Say::Harm(1)), (300, Say::Harm(0))];
    agree(&script, 400).await;
}

#[tokio::test]
async fn g16_what_cannot_be_measured_holds_and_later_counts_as_unknown() {
    let script = [
        (3, Say::Harm(2)),
        (7, Say::Fire("guarded")),
        (60, Say::Harm(0)),
        (100, Say::Harm(2)),
        (140, Say::Sees(0)),
    ];
    agree(&script, 400).await;
}

#[tokio::test]
async fn a_window_refuses_until_its_end() {
    let script = [(3700, Say::Fire("api")), (4150, Say::Fire("api")), (4300, Say::Sees(0))];
    agree(&script, 4500).await;
}

#[tokio::test]
async fn a_window_that_was_added_refuses_until_it_is_ended() {
    let script = [
        (3, Say::Adds(Effect::Refuse)),
        (7, Say::Fire("api")),
        (700, Say::Ends),
        (850, Say::Sees(0)),
    ];
    agree(&script, 1000).await;
}

#[tokio::test]
async fn what_was_observed_in_a_window_that_was_added_is_judged_again_when_it_is_ended() {
    let script = [
        (3, Say::Adds(Effect::Observe)),
        (7, Say::Fire("api")),
        (300, Say::Ends),
        (800, Say::Sees(0)),
    ];
    agree(&script, 1200).await;
}

#[tokio::test]
async fn a_window_that_begins_before_the_first_step_holds_it_until_it_is_ended() {
    let script = [
        (3, Say::Exits(1)),
        (7, Say::Fire("api")),
        (50, Say::Exits(0)),
        (60, Say::Adds(Effect::Refuse)),
        (100, Say::Approve),
        (400, Say::Ends),
        (405, Say::Sees(0)),
    ];
    agree(&script, 700).await;
}

#[tokio::test]
async fn what_a_window_holds_before_a_step_for_too_long_is_given_up() {
    let script = [
        (3, Say::Exits(1)),
        (7, Say::Fire("api")),
        (60, Say::Adds(Effect::Refuse)),
        (100, Say::Approve),
    ];
    agree(&script, 1200).await;
}

#[tokio::test]
async fn what_somebody_changed_is_only_proposed_for_a_while() {
    let script = [
        (3, Say::Changed("service/api")),
        (7, Say::Fire("api")),
        (50, Say::Approve),
        (60, Say::Fire("web")),
        (1900, Say::Resolve("api")),
        (2600, Say::Fire("api")),
    ];
    agree(&script, 2700).await;
}

#[tokio::test]
async fn a_change_while_an_alert_settles_counts_for_all_below_it() {
    let script = [
        (3, Say::Exits(1)),
        (7, Say::Fire("api")),
        (36, Say::Changed("service")),
        (50, Say::Exits(0)),
    ];
    agree(&script, 1200).await;
}

#[tokio::test]
async fn a_rule_that_does_not_help_asks_until_a_person_trusts_it_again() {
    let script = [
        (3, Say::Exits(1)),
        (7, Say::Fire("api")),
        (100, Say::Fire("web")),
        (200, Say::Fire("stock")),
        (300, Say::Fire("mail")),
        (400, Say::Promotes),
        (500, Say::Fire("cart")),
    ];
    agree(&script, 600).await;
}

/// The page of an incident that was fixed in time is held once more for the alert that joins it, also while a cooldown holds
/// its remedy.
#[tokio::test]
async fn an_alert_that_joins_what_was_fixed_in_time_pages_nobody_at_once() {
    let script = [
        (7, Say::Fire("twin-1")),
        (40, Say::Sees(0)),
        (300, Say::Sees(1)),
        (301, Say::Fire("twin-2")),
    ];
    agree(&script, 420).await;
}

#[tokio::test]
async fn a_schedule_runs_at_its_time_and_the_next_slot_ends_what_failed() {
    let slot = 9000;
    let script = [(slot - 60, Say::Exits(1)), (slot + 600, Say::Exits(0))];
    agree(&script, slot + 24 * 3600 + 300).await;
}

#[tokio::test]
async fn what_cannot_be_seen_and_what_no_rule_takes() {
    let script = [(3, Say::Sees(2)), (7, Say::Fire("api")), (9, Say::Fire(""))];
    agree(&script, 60).await;
}

#[tokio::test]
async fn g19_a_refused_credential_holds_what_uses_it_and_is_told() {
    let script = [(7, Say::Fire("edge-a")), (100, Say::Fire("edge-b"))];
    agree(&script, 300).await;
}

#[tokio::test]
async fn g11_two_people_approve_and_the_glass_is_broken() {
    let script = [
        (7, Say::Fire("pair")),
        (60, Say::ApproveAs("dana")),
        (90, Say::ApproveAs("erin")),
        (200, Say::Resolve("pair")),
    ];
    agree(&script, 300).await;
    let script = [
        (7, Say::Fire("pair")),
        (60, Say::ApproveAs("dana")),
        (70, Say::BreakGlass("rule:pair", 600)),
        (90, Say::Sees(0)),
    ];
    agree(&script, 800).await;
}

#[tokio::test]
async fn g11_a_run_planned_behind_broken_glass_needs_nobody() {
    let script = [
        (3, Say::BreakGlass("target:service/pair", 300)),
        (7, Say::Fire("pair")),
        (60, Say::Sees(0)),
    ];
    agree(&script, 400).await;
}

#[tokio::test]
async fn g15_a_person_takes_over_between_two_steps_and_gives_back() {
    let script =
        [(7, Say::Fire("api")), (50, Say::Take), (200, Say::GiveBack), (400, Say::Resolve("api"))];
    agree(&script, 500).await;
}

#[tokio::test]
async fn g15_what_a_person_took_over_is_not_begun_until_it_is_given_back() {
    let script = [
        (7, Say::Fire("pair")),
        (20, Say::Take),
        (100, Say::GiveBack),
        (130, Say::ApproveAs("erin")),
        (140, Say::Reject),
    ];
    agree(&script, 300).await;
}

#[tokio::test]
async fn g15_an_acknowledgement_makes_an_automatic_remedy_a_proposal() {
    let script = [(7, Say::Fire("api")), (20, Say::Acknowledge), (100, Say::Approve)];
    agree(&script, 400).await;
}

#[tokio::test]
async fn g15_an_acknowledgement_while_a_remedy_is_at_work_lets_it_end_and_proposes_the_next() {
    let script = [(7, Say::Fire("api")), (50, Say::Acknowledge), (250, Say::Approve)];
    agree(&script, 500).await;
}
