//! What people hear, and what they say: pages, windows, changes, promotions.

use super::*;

#[test]
fn what_is_nobodys_and_what_is_for_people() {
    for (events, expect) in [
        (
            "- { alert: { alertname: Other } }",
            "- { rule: none, nothing: true, incidents: 1, notifications: [{ channel: chat }] }",
        ),
        (
            "- { alert: { alertname: Odd, size: big } }",
            "- { rule: look, reason: is unknown, nothing: true }",
        ),
        (
            "- { alert: { alertname: Disk, host: a } }",
            "- { rule: people, reason: no remedy, nothing: true }",
        ),
        (
            "- { alert: { alertname: Disk, host: a, severity: critical }, truncated: 0 }",
            "- { at: 15m, escalated: false, notifications: [{ channel: pager, text: nobody }] }",
        ),
        ("- { alert: { alertname: Disk } }", "- { escalated: true, reason: labels.host }"),
        (
            "- { alert: { alertname: Errors, service: a }, truncated: 2 }",
            "- { at: 1m, verdict: refuse, guard: evidence, reason: 2 alerts }",
        ),
        ("- { probe: { check: front, is: healthy } }", "- { at: 5m, incidents: 0 }"),
        (
            "- { probe: { check: front, is: unhealthy } }",
            "- { at: 1m30s, incidents: 0 }\n- { at: 2m, rule: api, incidents: 1, verdict: hold }\n- { at: 2m30s, steps: [\"http POST http://lb/out/front\"] }",
        ),
        (
            "- { probe: { check: front, is: unknown } }",
            "- { at: 2m, rule: none, alert: { alertname: QuellCheckUnknown }, nothing: true }",
        ),
    ] {
        holds(events, expect);
    }
}

#[test]
fn a_page_is_held_while_a_remedy_is_tried_and_sent_when_it_does_not_help() {
    const SLOW: &str = "- { at: 0s, alert: { alertname: Slow, service: api, severity: major } }";
    for (events, expect) in [
        // the channel hears at once, nobody is paged
        (
            "",
            "- { at: 1m, notifications: [{ channel: chat, kind: opened }, { channel: pager, count: 0 }] }",
        ),
        // verified fixed in time: never
        (
            "- { at: 2m, probe: { rule: held, is: healthy } }\n- { at: 5m, resolve: { service: api } }",
            "- { run: fixed, incident: resolved, notifications: [{ channel: pager, count: 0 }] }",
        ),
        // the time is over
        (
            "",
            "- { at: 3m59s, notifications: [{ channel: pager, count: 0 }] }\n\
             - { at: 4m, notifications: [{ channel: pager, kind: needs_you, text: not fixed within 4m, count: 1 }] }",
        ),
        // nothing is tried
        (
            "- { pause: all }",
            "- { at: 0s, notifications: [{ channel: pager, text: quell does not act, count: 1 }] }",
        ),
        // the last remedy has failed
        (
            "- { step: { step: take out, is: refused, reason: 403 } }",
            "- { at: 1s, escalated: true, notifications: [{ channel: pager, text: the page was held, count: 1 }] }",
        ),
        // it went away by itself while a remedy was tried
        (
            "- { at: 30s, cancel: {} }\n- { at: 31s, resolve: { service: api } }",
            "- { at: 2m, incident: resolved, notifications: [{ channel: pager, kind: needs_you, count: 1 }] }",
        ),
    ] {
        holds(&format!("{SLOW}\n{events}"), expect);
    }
}

#[test]
fn a_louder_alert_that_joins_an_incident_is_told_to_who_hears_it() {
    holds(
        "- { at: 0s, alert: { alertname: Disk, host: a, disk: sda, severity: major } }\n\
         - { at: 1m, alert: { alertname: Disk, host: a, disk: sdb, severity: critical } }\n\
         - { at: 2m, alert: { alertname: Disk, host: a, disk: sdc, severity: critical } }",
        "- { at: 59s, notifications: [{ channel: chat, kind: opened, text: major, count: 1 }] }\n\
         - { at: 3m, notifications: [{ channel: chat, kind: opened, text: 'severity=\"critical\"', count: 1 }] }\n\
         - { at: 15m, notifications: [{ channel: pager, text: nobody has acknowledged, count: 0 }] }\n\
         - { at: 17m, notifications: [{ channel: pager, text: nobody has acknowledged it within 16m, count: 1 }] }",
    );
}

#[test]
fn a_louder_alert_that_joins_what_was_fixed_in_time_holds_the_page_once_more() {
    let rules = RULES.replace("limits: { cooldown: 10m }", "limits: { cooldown: 1s }");
    let failed = check_of(
        &rules,
        PLAYBOOKS,
        "- { at: 0s, alert: { alertname: Slow, service: api, pod: a, severity: major } }\n\
         - { at: 30s, probe: { rule: held, is: healthy } }\n\
         - { at: 5m, probe: { rule: held, is: unhealthy } }\n\
         - { at: 5m, alert: { alertname: Slow, service: api, pod: b, severity: critical } }",
        "- { at: 4m59s, notifications: [{ channel: pager, count: 0 }] }\n\
         - { at: 8m59s, notifications: [{ channel: chat, kind: needs_you, count: 0 }] }\n\
         - { at: 9m, notifications: [{ channel: chat, kind: needs_you, text: not fixed within 9m, count: 1 }] }",
    );
    assert!(failed.is_empty(), "\n{failed}");
}

#[test]
fn windows_bind_remedies_and_schedules_run_at_their_time() {
    for (events, expect) in [
        (
            "- { at: 3h, alert: { alertname: Slow, service: frozen } }\n- { at: 3h59m, alert: { alertname: Slow, service: frozen } }",
            "- { at: 3h30m, rule: held, verdict: hold, guard: window, nothing: true }\n\
             - { at: 4h1s, rule: held, verdict: proceed, runs: 1 }",
        ),
        (
            "- { at: 1h, alert: { alertname: Disk, host: a } }",
            "- { at: 2h5m, rule: people, nothing: true, runs: 0 }\n\
             - { at: 2h5m, rule: \"schedule:noon\", run: fixed, steps: [\"http POST http://lb/out/noon%20noon\"], incident: resolved, notifications: [{ count: 0, text: noon }] }",
        ),
        (
            "- { step: { step: take out, is: refused, reason: 403 } }\n- { at: 2h, alert: { alertname: Disk, host: a } }",
            "- { at: 2h5m, rule: \"schedule:noon\", run: failed, escalated: true, incident: open, notifications: [{ channel: pager, text: did not succeed }] }",
        ),
        // the next that succeeds ends the incident
        (
            "- { step: { step: take out, nth: 1, is: refused, reason: 403 } }\n- { at: 26h, alert: { alertname: Disk, host: a } }",
            "- { at: 26h5m, rule: \"schedule:noon\", runs: 2, run: fixed, incident: resolved }",
        ),
        // one target, one run: the slot before waits for a person
        (
            "- { step: { step: take out, is: unknown } }\n- { at: 26h, alert: { alertname: Disk, host: a } }",
            "- { at: 26h5m, rule: \"schedule:noon\", runs: 1 }",
        ),
    ] {
        holds(events, expect);
    }
}

#[test]
fn people_add_windows_tell_of_changes_and_promote_what_was_demoted() {
    let slow = |at: &str, service: &str| {
        format!("- {{ at: {at}, alert: {{ alertname: Slow, service: {service} }} }}")
    };
    let (web, sale) = (slow("1m", "web"), "match: ['service=\"web\"'], reason: sale");
    let flaps = "- { at: 2m, resolve: { service: web } }";
    let failing = "- { step: { step: take out, is: refused, reason: 403 } }";
    let thrice = [slow("1m", "a"), slow("2m", "b"), slow("3m", "c"), slow("9m", "d")].join("\n");
    for (events, expect) in [
        (
            format!(
                "- {{ window: {{ name: deploy, for: 2h, effect: refuse, {sale} }} }}\n{web}\n- {{ at: 9m, window_ends: deploy }}"
            ),
            "- { at: 8m, rule: held, verdict: hold, guard: window, nothing: true }\n\
             - { at: 9m, rule: held, verdict: proceed, runs: 1 }",
        ),
        // what is only observed has the same cooldown, or it would be planned and told each time
        (
            format!(
                "- {{ window: {{ name: deploy, for: 2h, effect: observe }} }}\n{web}\n{flaps}\n{}",
                slow("3m", "web")
            ),
            "- { at: 2m, rule: held, run: observed, runs: 1 }\n\
             - { at: 4m, rule: held, verdict: hold, guard: cooldown, runs: 1 }",
        ),
        (
            format!("- {{ changed: service }}\n{web}"),
            "- { at: 2m, rule: held, verdict: ask, guard: people, reason: the test changed the target, run: awaiting approval }",
        ),
        (
            format!("- {{ changed: service/other }}\n{web}"),
            "- { at: 2m, rule: held, verdict: proceed }",
        ),
        (
            format!("{failing}\n{thrice}\n- {{ at: 10m, promote: held }}\n{}", slow("11m", "e")),
            "- { at: 4m, notifications: [{ channel: chat, count: 1, headline: \"rule held is trusted less: mode approve until a person says quell promote held\" }] }\n\
             - { at: 9m, rule: held, target: service/d, verdict: ask, guard: mode, run: awaiting approval }\n\
             - { at: 11m, rule: held, target: service/e, mode: auto, run: failed }",
        ),
    ] {
        holds(&events, expect);
    }
}
