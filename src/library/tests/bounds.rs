//! Bounds of lists, slices of caches, and metrics that must not get worse.

use super::steps::playbook;
use super::*;
use crate::model::playbook::What;

/// Each of these texts is in what is said of the file.
fn says(name: &str, text: &str, words: &[&str]) {
    let said = check(&[(name, text)]);
    for words in words {
        assert!(said.contains(words), "`{words}` is not in\n{said}");
    }
}

#[test]
fn g04_bounds_of_a_list_belong_to_a_for_each() {
    let step =
        |keys: &str| playbook(&format!("\n  - {{ name: a, {keys}, command: {{ argv: [a] }} }}\n"));
    for (keys, words) in [
        ("max_targets: 3", "error[Q0129]: `max_targets` without `for_each`"),
        ("domain: x", "error[Q0129]: `domain` without `for_each`"),
        ("among: { promql: up, label: l }", "error[Q0129]: `among` without `for_each`"),
        ("for_each: [x], max_targets: 0", "expected a number above zero, got 0"),
        ("for_each: [x], among: { promql: up }", "`among` needs `label`"),
        ("for_each: [x], among: { promql: \"{{ item }}\", label: l }", "unknown variable `item`"),
        ("for_each: [x], domain: \"{{ nothing }}\"", "unknown variable `nothing`"),
    ] {
        says("playbooks/a.yml", &step(keys), &[words]);
    }
}

#[test]
fn g10_slices_go_with_what_is_found_and_not_with_an_undo() {
    for (step, words) in [
        (
            "redis.delete: { server: c, keys: [k], slices: { keys: 1 } }",
            "error[Q0129]: `slices` does not go together with `keys`",
        ),
        ("redis.flush: { server: c, slices: { keys: 0 } }", "expected a number above zero, got 0"),
        (
            "command: { argv: [a] }, undo: { redis.flush: { server: c, slices: { keys: 5 } } }",
            "error[Q0134]: `slices` does not go together with `undo`",
        ),
    ] {
        let text = playbook(&format!("\n  - {{ name: a, {step} }}\n"));
        says("playbooks/a.yml", &text, &[words]);
    }
}

#[test]
fn g10_a_playbook_that_guards_its_cache_empties_it_in_slices() {
    let of = |cache: &str, slices: &str| {
        let text = format!(
            "playbook: fix\n{cache}steps:\n  - {{ name: a, redis.flush: {{ server: cache{slices} }} }}\n  - {{ name: b, redis.delete: {{ server: cache, keys: [k] }} }}\n"
        );
        let config = "targets: { redis: { cache: { url: 'redis://cache:6379' } } }\n";
        let library = library(&[("quell.yml", config), ("playbooks/a.yml", &text)]);
        let steps = library.playbooks["fix"].steps.iter();
        let actions = steps.filter_map(|step| match &step.what {
            What::Action(action) => Some(action.slices().map(|it| it.keys)),
            _ => None,
        });
        actions.collect::<Vec<_>>()
    };
    let cache = "cache: { load: { tcp: { address: 'db:5432' } } }\n";
    assert_eq!(of("", ""), [None, None]);
    assert_eq!(of(cache, ""), [Some(1000), None], "named keys go at once");
    assert_eq!(of(cache, ", slices: { keys: 5 }"), [Some(5), None]);
    assert_eq!(of("", ", slices: {}"), [Some(1000), None]);
}

#[test]
fn g16_what_must_not_get_worse_is_measured_and_named_once() {
    let rule = |metrics: &str| {
        format!(
            "rules:\n  - name: r\n    match: [alertname=\"A\"]\n    target: t\n    verify:\n      promql: up\n      healthy: value > 0\n      unharmed: {metrics}\n"
        )
    };
    for (metrics, words) in [
        ("[{ name: a, worse: value > 1 }]", "error[Q0129]: a metric that measures nothing"),
        (
            "[{ name: a, promql: x, scrape: { url: 'http://h/', select: x }, worse: value > 1 }]",
            "error[Q0129]: a metric that measures two things",
        ),
        ("[{ name: a, promql: x }]", "a metric needs `worse`"),
        ("[{ promql: x, worse: value > 1 }]", "a metric needs `name`"),
        (
            "[{ name: a, promql: x, worse: value > 1 }, { name: a, promql: y, worse: value > 1 }]",
            "error[Q0121]: metric `a` is here twice",
        ),
        ("[{ name: a, promql: x, worse: value > after }]", "unknown variable `after`"),
        ("[{ name: a, promql: x, worse: value > before + 'x' }]", "error[Q0116]"),
        ("[{ name: a, promql: 'sum(', worse: value > before }]", "error[Q0150]"),
        ("[{ name: a, promql: x, worse: before > 1 }]", "warning[Q0323]: this looks at no sample"),
    ] {
        says("rules/a.yml", &rule(metrics), &[words]);
    }
}

#[test]
fn what_must_hold_is_a_probe_that_is_looked_at_at_sensible_times() {
    for (step, words) in [
        ("wait: 1h, hold: 1h", "`hold` does not go together with `wait`"),
        (
            "for_each: [x], probe: { alert: {} }, hold: 1h",
            "`hold` does not go together with `for_each`",
        ),
        (
            "probe: { alert: {} }, every: 1m",
            "`every` does not go together with a step without `hold`",
        ),
        ("probe: { alert: {} }, hold: 1h, every: 0s", "expected at least 1s, got 0s"),
    ] {
        let text = playbook(&format!("\n  - {{ name: a, {step} }}\n"));
        says("playbooks/a.yml", &text, &[words]);
    }
    let text = "playbook: fix\nsteps:\n  - { name: a, probe: { alert: {} }, hold: 2h }\n";
    let library = library(&[("quell.yml", "mode: observe\n"), ("playbooks/a.yml", text)]);
    let hold = library.playbooks["fix"].steps[0].hold.as_ref().unwrap();
    assert_eq!((hold.lasts.as_secs(), hold.every.as_secs()), (7200, 60));
}
