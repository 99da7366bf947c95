//! What steps do is what they do in the engine: questions, items, slices, harm, and what is made absolute.

use super::*;

const ROLL_RULES: &str = r#"
rules:
  - name: roll
    match: [alertname="Errors"]
    target: service/{{ labels.service }}
    response: [{ playbook: roll }]
    verify: { promql: errors, healthy: value < 0.05, within: 5m, hold: 1m }
"#;

const ROLL: &str = r#"
playbook: roll
steps:
  - name: hosts
    command: { argv: [hosts] }
  - name: how
    ask: { question: how many at once?, answers: { batch: { type: integer, min: 1 } }, tier: 2, within: 10m }
  - name: restart
    for_each: steps.hosts.output.lines
    waves: [1, 100%]
    bake: 5m
    between: { probe: { tcp: { address: "shop:80" } }, within: 30s }
    command: { argv: [restart, "{{ item }}", "{{ steps.how.output.batch }}"] }
    undo: { command: { argv: [start, "{{ item }}"] } }
"#;

#[test]
fn questions_and_items_go_as_they_do_in_the_engine() {
    let hosts = "- { step: { step: hosts, is: done, output: { lines: [a, b, c] } } }";
    let answer = "- { at: 1m, answer: { by: dana, answers: { batch: 2 } } }";
    for (events, expect) in [
        (
            "",
            "- { at: 9m, run: awaiting answer, notifications: [{ kind: needs_you, text: quell answer r-1 batch=… }] }",
        ),
        ("", "- { at: 11m, run: failed, outcome: nobody answered within 10m }"),
        ("- { at: 2m, resolve: { service: api } }", "- { run: fixed, outcome: verified }"),
        (answer, "- { at: 2m, run: running, steps: [command hosts, command restart a 2] }"),
        (
            answer,
            "- { at: 7m, run: verifying, steps: [command hosts, command restart a 2, command restart b 2, command restart c 2] }",
        ),
        (
            &format!(
                "{answer}\n- {{ at: 2m, step: {{ step: restart, nth: 2, is: refused, reason: stuck }} }}"
            ),
            "- { at: 7m, run: failed, outcome: \"item 3 of 3 (c) failed: stuck\" }",
        ),
        (
            &format!(
                "{answer}\n- {{ at: 2m, probe: {{ playbook: roll, step: restart, is: unhealthy }} }}"
            ),
            "- { at: 7m, run: failed, outcome: stopped after 1 of 3 items }",
        ),
    ] {
        let events = format!("{FIRES}\n{hosts}\n{events}");
        let failed = check_of(ROLL_RULES, ROLL, &events, expect);
        assert!(failed.is_empty(), "\n{failed}");
    }
    for (answer, words) in [
        ("answers: { batch: 0 }", "below the minimum of 1"),
        ("answers: { size: 2 }", "there is no answer `size`"),
        ("answers: { batch: 2 }, step: hosts", "r-1 asks `how` now, not `hosts`"),
    ] {
        let events = format!("{FIRES}\n{hosts}\n- {{ at: 1m, answer: {{ by: dana, {answer} }} }}");
        let failed = check_of(ROLL_RULES, ROLL, &events, "- { run: awaiting answer }");
        assert!(failed.contains(words), "{answer}: {failed}");
    }
}

const HARM_RULES: &str = r#"
rules:
  - name: flush
    match: [alertname="Errors"]
    target: service/{{ labels.service }}
    response: [{ playbook: flush }]
    verify:
      promql: errors
      healthy: value < 0.05
      within: 5m
      hold: 1m
      unharmed: [{ name: latency, promql: latency, worse: value > before * 1.2 }]
"#;

const HARM: &str = r"
playbook: flush
cache:
  load: { promql: queries, healthy: value < 500.0 }
  hit_ratio: { promql: hits, healthy: value > 0.3 }
steps:
  - name: mark
    command: { argv: [mark] }
    undo: { command: { argv: [unmark] } }
  - name: flush
    redis.flush: { server: cache, slices: { keys: 500, pause: 10s } }
    timeout: 1m
";

#[test]
fn what_does_harm_is_undone_and_a_cache_goes_slice_by_slice_as_in_the_engine() {
    let heals = "- { at: 20s, probe: { rule: flush, is: healthy } }";
    let slices = "- { at: 0s, step: { step: flush, nth: 1, is: done, output: { deleted: 500, cursor: 17 } } }";
    for (events, expect) in [
        (heals.to_owned(), "- { at: 3m, run: fixed }"),
        // it would be fixed at 1m20s
        (
            format!(
                "{heals}\n- {{ at: 1m, probe: {{ rule: flush, unharmed: latency, is: unhealthy, measured: \"0.3\" }} }}"
            ),
            "- { at: 1m, run: failed, outcome: \"it did harm: latency: 0.3\", steps: [command mark, redis.flush cache in slices of 500 keys, undo command unmark] }",
        ),
        (
            format!(
                "{heals}\n- {{ at: 1m, probe: {{ rule: flush, unharmed: latency, is: unknown, measured: no sample }} }}"
            ),
            "- { at: 6m, run: failed, outcome: \"nobody knows whether it did harm: latency: no sample\" }",
        ),
        (
            "- { probe: { rule: flush, unharmed: latency, is: unknown, measured: no sample } }"
                .into(),
            "- { at: 1m, verdict: hold, guard: evidence, reason: latency cannot be measured before acting, nothing: true }",
        ),
        (
            "- { probe: { rule: flush, proof: load, is: unhealthy } }".into(),
            "- { at: 1m, verdict: hold, guard: cache, nothing: true }",
        ),
        (
            format!("{slices}\n{heals}"),
            "- { at: 15s, run: verifying, steps: [command mark, redis.flush cache in slices of 500 keys, redis.flush cache in slices of 500 keys] }",
        ),
        // the second slice waits, and begins when the store has recovered
        (
            format!(
                "{slices}\n- {{ at: 5s, probe: {{ rule: flush, proof: hit_ratio, is: unhealthy }} }}\n- {{ at: 30s, probe: {{ rule: flush, proof: hit_ratio, is: healthy }} }}"
            ),
            "- { at: 29s, run: running }\n- { at: 50s, run: verifying }",
        ),
        (
            format!("{slices}\n- {{ at: 5s, probe: {{ rule: flush, proof: load, is: unknown }} }}"),
            "- { at: 59s, run: running }\n- { at: 1m, run: failed, outcome: \"no slice for 1m after 500 keys went in 1: cache: load is unknown\" }",
        ),
    ] {
        // what holds from the beginning is said before the alert
        let (before, after) = if events.starts_with("- { probe") || events.starts_with("- { at: 0s")
        {
            events.split_once('\n').unwrap_or((&events, ""))
        } else {
            ("", events.as_str())
        };
        let events = format!("{before}\n{FIRES}\n{after}");
        let failed = check_of(HARM_RULES, HARM, &events, expect);
        assert!(failed.is_empty(), "\n{failed}");
    }
}

const SCALE: &str = r"
playbook: flush
steps:
  - name: more
    kubernetes.scale: { cluster: prod, namespace: shop, deployment: api, by: 2, max: 6 }
    undo: previous
  - name: mark
    command: { argv: [mark] }
";

#[test]
fn what_a_step_changes_is_made_absolute_before_it_and_taken_back_so() {
    let rules = HARM_RULES.replace("unharmed:", "# unharmed:");
    let fails = "- { step: { step: mark, is: refused, reason: no } }";
    for (events, steps) in [
        (
            fails.to_owned(),
            "kubernetes.scale prod shop/deployment/api from 1 to 3, command mark, undo kubernetes.scale prod shop/deployment/api from 3 to 1",
        ),
        (
            format!("- {{ step: {{ step: more, is: done, found: {{ from: 5 }} }} }}\n{fails}"),
            "kubernetes.scale prod shop/deployment/api from 5 to 6, command mark, undo kubernetes.scale prod shop/deployment/api from 6 to 5",
        ),
        // nothing was changed, so there is nothing to take back
        (
            format!("- {{ step: {{ step: more, is: done, found: {{ from: 6 }} }} }}\n{fails}"),
            "kubernetes.scale prod shop/deployment/api from 6 to 6, command mark",
        ),
        (format!("- {{ step: {{ step: more, is: done, found: {{ form: 6 }} }} }}\n{fails}"), ""),
    ] {
        let events = format!("{events}\n{FIRES}");
        let expect = format!("- {{ at: 2m, run: failed, steps: [{}] }}", quoted(steps));
        let failed = check_of(&rules, SCALE, &events, &expect);
        assert!(failed.is_empty(), "\n{failed}");
    }
}

/// `"a", "b"`
fn quoted(steps: &str) -> String {
    let steps = steps.split(", ").filter(|step| !step.is_empty());
    steps.map(|step| format!("\"{step}\"")).collect::<Vec<_>>().join(", ")
}

const AMONG: &str = r#"
playbook: roll
steps:
  - name: restart
    for_each: [a, b]
    waves: [1, 100%]
    bake: 1m
    among: { promql: up, label: instance }
    command: { argv: [restart, "{{ item }}"] }
"#;

#[test]
fn g04_an_item_that_vanished_is_skipped_and_one_that_nobody_can_look_up_waits() {
    let at_second =
        |is: &str| format!("- {{ at: 30s, probe: {{ playbook: roll, step: restart, is: {is} }} }}");
    for (events, expect) in [
        (
            String::new(),
            "- { at: 2m, run: verifying, steps: [command restart a, command restart b] }",
        ),
        (at_second("unhealthy"), "- { at: 2m, run: verifying, steps: [command restart a] }"),
        (at_second("unknown"), "- { at: 10m, run: running, steps: [command restart a] }"),
        (at_second("unknown"), "- { at: 20m, run: cancelled, outcome: target }"),
    ] {
        let events = format!("{FIRES}\n{events}");
        let failed = check_of(ROLL_RULES, AMONG, &events, expect);
        assert!(failed.is_empty(), "\n{failed}");
    }
}
