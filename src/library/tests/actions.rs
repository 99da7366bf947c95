//! Actions against clusters, databases, hosts, alerts and people, and what observes these.

use super::steps::playbook;
use super::*;
use crate::model::action::Action;
use crate::model::action::Kubernetes;
use crate::model::action::Postgres;
use crate::model::playbook::OnUnknown;
use crate::model::playbook::Step;
use crate::model::playbook::Undo;
use crate::model::playbook::What;
use crate::model::probe::Probe;

const TARGETS: &str = "\
targets:
  kubernetes: { prod: { kubeconfig: kubeconfig, context: prod }, inside: { in_cluster: true } }
  postgres: { main: { url: 'postgres://quell@db/shop' } }
  redis: { cache: { url: 'redis://cache' } }
  ssh: { web-1: { host: web-1 } }
channels: { chat: { slack: { webhook_url: 'https://hooks.example.com/x' } } }
alertmanager: { url: http://localhost:9093 }
";

/// The words are in what is said of a playbook with this step.
fn says(step: &str, words: &str) {
    let text = playbook(&format!("\n  - {{ name: a, {step} }}\n"));
    let said = check_config(&[("quell.yml", TARGETS), ("playbooks/a.yml", &text)]);
    assert!(said.contains(words), "`{words}` is not said of {step}:\n{said}");
}

/// The step as it is read, without a word.
fn read(step: &str) -> Step {
    let text = format!("playbook: fix\nsteps:\n  - {{ name: a, {step} }}\n");
    let library = library(&[("quell.yml", TARGETS), ("playbooks/a.yml", &text)]);
    library.playbooks["fix"].steps[0].clone()
}

fn action(step: &str) -> Action {
    let What::Action(action) = read(step).what else { panic!("{step}") };
    action
}

#[test]
fn what_does_not_go_together_is_said_by_its_keys() {
    let scale = "kubernetes.scale: { cluster: prod, namespace: shop, ";
    for (step, words) in [
        (format!("{scale}deployment: a }}"), "`kubernetes.scale` without `replicas` or `by`"),
        (
            format!("{scale}deployment: a, replicas: 1, by: 1 }}"),
            "`replicas` and `by` do not go together",
        ),
        (format!("{scale}replicas: 1 }}"), "`kubernetes.scale` without what it is about"),
        (
            format!("{scale}deployment: a, statefulset: b, replicas: 1 }}"),
            "`deployment` and `statefulset` do not go together",
        ),
        (format!("{scale}deployment: a, replicas: many }}"), "expected a whole number from 0 to"),
        (format!("{scale}deployment: a, replicas: -1 }}"), "expected a whole number from 0 to"),
        (format!("{scale}deployment: a, by: 0 }}"), "expected a whole number such as 2 or -1"),
        (format!("{scale}deployment: a, by: 1, min: 5, max: 4 }}"), "nothing is within both"),
        (format!("{scale}deployment: '', replicas: 1 }}"), "expected a name under `deployment`"),
        (
            "kubernetes.drain: { cluster: prod, node: n, empty_dir: keep }".into(),
            "error[Q0108]",
        ),
        (
            "kubernetes.delete_pod: { cluster: prod, namespace: shop }".into(),
            "`kubernetes.delete_pod` without what it is about",
        ),
        (
            "kubernetes.delete_pod: { cluster: prod, namespace: shop, pod: a, most: 0 }".into(),
            "expected a number above zero, got 0",
        ),
        (
            "kubernetes.events: { cluster: prod, pod: a }".into(),
            "`kubernetes.events` needs `namespace`",
        ),
        (
            "kubernetes.logs: { cluster: prod, namespace: shop, pod: a, since: soon }".into(),
            "`soon` is not a duration",
        ),
        (
            "kubernetes.set_env: { cluster: prod, namespace: shop, deployment: a, env: {} }".into(),
            "expected variables, got none",
        ),
        (
            "kubernetes.set_env: { cluster: prod, namespace: shop, deployment: a, env: { 'A=B': c } }"
                .into(),
            "`A=B` cannot be the name of an environment variable",
        ),
        (
            "postgres.execute: { server: main, sql: \"drop table {{ labels.table }}\" }".into(),
            "error[Q0138]: a template inside SQL",
        ),
        ("postgres.execute: { server: main, sql: ' ' }".into(), "expected a statement"),
        (
            "postgres.execute: { server: main, sql: vacuum, transaction: false, once: true }".into(),
            "`once` does not go together with `transaction: false`",
        ),
        ("postgres.kill_idle: { server: main }".into(), "`postgres.kill_idle` needs `idle_for`"),
        ("ssh: { server: web-1, argv: [] }".into(), "expected a program, got an empty list"),
        (
            "redis.config_set: { server: cache, setting: requirepass, value: x }".into(),
            "`requirepass` holds a credential",
        ),
        (
            "alertmanager.silence: { match: ['a=~\"(\"'], for: 1h, comment: c }".into(),
            "error[Q0114]",
        ),
        (
            "alertmanager.silence: { match: [], for: 1h, comment: c }".into(),
            "it would silence everything",
        ),
        (
            "alertmanager.silence: { match: ['a=b'], for: 2d, comment: c }".into(),
            "a silence lasts between 1s and 24h",
        ),
    ] {
        says(&step, words);
    }
}

#[test]
fn servers_and_channels_are_those_of_quell_yml() {
    for (step, words) in [
        (
            "kubernetes.restart: { cluster: prd, namespace: shop, deployment: a }",
            "unknown kubernetes server `prd`",
        ),
        ("kubernetes.cordon: { cluster: prd, node: a }", "did you mean `prod`?"),
        ("postgres.activity: { server: mian }", "unknown postgres server `mian`"),
        ("ssh: { server: web-2, argv: [a] }", "unknown ssh server `web-2`"),
        ("systemd.restart: { server: web, unit: a }", "`targets.systemd` of quell.yml has: local"),
        ("docker.restart: { server: web, container: a }", "unknown docker server `web`"),
        ("notify: { channels: [chta], summary: s }", "unknown channel `chta`"),
        ("probe: { redis: { server: cahce } }", "unknown redis server `cahce`"),
        (
            "probe: { kubernetes.ready: { cluster: dev, namespace: shop, deployment: a } }",
            "unknown kubernetes server `dev`",
        ),
        (
            "command: { argv: [a] }, undo: { postgres.terminate: { server: mian, backend: a } }",
            "unknown postgres server `mian`",
        ),
    ] {
        says(step, words);
    }
    let rule = rule("    verify: { postgres: { server: mian, sql: select 1 } }\n");
    let said = check_config(&[("quell.yml", TARGETS), ("rules/a.yml", &rule)]);
    assert!(said.contains("unknown postgres server `mian`"), "{said}");
}

#[test]
fn probes_only_read() {
    for (probe, words) in [
        (
            "redis: { server: cache, command: [FLUSHALL] }",
            "`FLUSHALL` is not a command that a probe",
        ),
        ("redis: { server: cache, command: [\"{{ labels.x }}\"] }", "not a command that a probe"),
        ("redis: { server: cache, command: [] }", "expected a command, got an empty list"),
        (
            "redis: { server: cache, field: used_memory }",
            "`field` goes together with the command INFO",
        ),
        ("redis: { server: cache, command: [info] }, healthy: value > 1.0", "`field` says which"),
        ("postgres: { server: main, sql: 'select {{ labels.x }}' }", "error[Q0138]"),
        ("tls: { address: shop }", "expected host:port"),
        ("tls: { address: 'shop:443' }, healthy: labels.a == 'b'", "error[Q0116]"),
        ("systemd.active: { unit: a }, healthy: value > 1.0", "`healthy` does not go together"),
    ] {
        says(&format!("probe: {{ {probe} }}"), words);
    }
}

#[test]
fn what_is_silent_has_the_value_that_is_documented() {
    let Action::Kubernetes(Kubernetes::Scale(scale)) = action(
        "kubernetes.scale: { cluster: prod, namespace: shop, deployment: a, by: +2, max: 9 }",
    ) else {
        panic!()
    };
    assert_eq!((scale.by, scale.max.unwrap().read()), (Some(2), Ok(9)));
    for by in ["\"+2\"", "2", "'2'"] {
        let step =
            format!("kubernetes.scale: {{ cluster: prod, namespace: s, deployment: a, by: {by} }}");
        let Action::Kubernetes(Kubernetes::Scale(scale)) = action(&step) else { panic!() };
        assert_eq!(scale.by, Some(2), "{by}");
    }
    let Action::Kubernetes(Kubernetes::SetEnv(set)) = action(
        "kubernetes.set_env: { cluster: prod, namespace: s, deployment: a, env: { A: 1.10, B: null, C: '' } }",
    ) else {
        panic!()
    };
    let values: Vec<Option<&str>> = set.env.values().map(Option::as_deref).collect();
    assert_eq!(values, [Some("1.10"), None, Some("")]);
    let Action::Postgres(Postgres::KillIdle(idle)) =
        action("postgres.kill_idle: { server: main, idle_for: 5m }")
    else {
        panic!()
    };
    assert_eq!(idle.most.read(), Ok(10));
    let Action::Systemd(unit) = action("systemd.stop: { unit: a }") else { panic!() };
    assert_eq!(unit.unit().server, "local");
    let What::Probe { probe: Probe::Tls(tls), .. } =
        read("probe: { tls: { address: 'a:443' } }").what
    else {
        panic!()
    };
    assert_eq!(tls.healthy, "value > 14.0");
    let What::Probe { probe: Probe::Redis(redis), .. } =
        read("probe: { redis: { server: cache, command: [llen, jobs] } }").what
    else {
        panic!()
    };
    assert_eq!(redis.command, ["LLEN", "jobs"]);
}

#[test]
fn what_may_be_done_again_is_and_a_person_is_asked_about_the_rest() {
    for (step, expected) in [
        (
            "kubernetes.scale: { cluster: prod, namespace: s, deployment: a, by: 1 }",
            OnUnknown::Retry,
        ),
        ("kubernetes.logs: { cluster: prod, namespace: s, pod: a }", OnUnknown::Retry),
        ("postgres.terminate: { server: main, backend: a }", OnUnknown::Retry),
        ("postgres.execute: { server: main, sql: select 1 }", OnUnknown::Ask),
        ("postgres.execute: { server: main, sql: select 1, once: true }", OnUnknown::Retry),
        ("ssh: { server: web-1, argv: [a] }", OnUnknown::Ask),
        ("notify: { channels: [chat], summary: s }", OnUnknown::Retry),
    ] {
        assert_eq!(read(step).on_unknown, expected, "{step}");
    }
}

#[test]
fn undo_previous_is_for_what_knows_its_reverse() {
    let step = "kubernetes.cordon: { cluster: inside, node: a }, undo: previous";
    assert_eq!(read(step).undo, Some(Undo::Previous));
    for (step, words) in [
        (
            "kubernetes.restart: { cluster: prod, namespace: s, deployment: a }",
            "`kubernetes.restart` does not know its own reverse",
        ),
        ("postgres.activity: { server: main }", "`postgres.activity` only reads"),
        ("ssh: { server: web-1, argv: [a] }", "`ssh` does not know its own reverse"),
        ("probe: { redis: { server: cache } }", "a `probe` has nothing to undo"),
    ] {
        says(&format!("{step}, undo: previous"), words);
    }
}

#[test]
fn a_step_comes_back_from_a_journal_as_it_was() {
    let steps = include_str!("everything/playbooks/playbook.yml");
    let config = include_str!("everything/quell.yml");
    let rules = include_str!("everything/rules/rules.yml");
    let library = library(&[
        ("quell.yml", config),
        ("playbooks/playbook.yml", steps),
        ("rules/rules.yml", rules),
    ]);
    let playbook = &*library.playbooks["everything"];
    let written = serde_json::to_string(playbook).unwrap();
    let back: crate::model::playbook::Playbook = serde_json::from_str(&written).unwrap();
    assert_eq!(back, *playbook);
    let mut kinds: Vec<&str> = playbook
        .steps
        .iter()
        .filter_map(|step| match &step.what {
            What::Action(action) => Some(action.kind()),
            _ => None,
        })
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), crate::library::raw::playbook::STEP_KINDS.len() - 3, "{kinds:?}");
}

#[test]
fn targets_say_what_they_need() {
    for (targets, words) in [
        ("kubernetes: { prod: {} }", "a cluster without `kubeconfig` or `in_cluster`"),
        (
            "kubernetes: { prod: { kubeconfig: a, in_cluster: true } }",
            "`kubeconfig` and `in_cluster` do not go together",
        ),
        ("kubernetes: { prod: { in_cluster: false } }", "expected `in_cluster: true`"),
        ("postgres: { main: { url: 'mysql://nobody@db' } }", "begins with postgres://"),
        ("postgres: { main: {} }", "a PostgreSQL server needs `url`"),
        ("ssh: { web: { host: '-oProxyCommand=x' } }", "cannot be a host or a user of SSH"),
        ("ssh: { web: { host: a, user: 'root@b' } }", "cannot be a host or a user of SSH"),
        ("ssh: { web: { host: a, port: 0 } }", "expected a port from 1 to 65535"),
        ("systemd: { web: { bus: 'tcp:host=a' } }", "expected system, user or unix:path="),
        ("docker: { web: { socket: 'tcp://a:2375' } }", "expected the path of a socket"),
        ("redis: { cache: { url: 'http://cache' } }", "begins with redis:// or rediss://"),
    ] {
        let said = check_config(&[("quell.yml", &format!("targets: {{ {targets} }}\n"))]);
        assert!(said.contains(words), "`{words}` is not said of {targets}:\n{said}");
    }
}
