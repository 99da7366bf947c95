//! Rules held against Prometheus's and Alertmanager's files: `code line:column` of everything found.

use std::fs;

use super::folder;
use super::lint::Cases;
use super::lint::found;
use crate::library::Outside;
use crate::library::check as checked;
use crate::library::check_paths_against;

#[test]
fn alerts_that_people_are_told_of_anyway_are_a_note() {
    let config =
        "channels: { chat: { webhook: { url: 'http://x.example.com/' } } }\nunmatched: [chat]\n";
    let alerts = "groups: [{ name: g, rules: [{ alert: HighLoad, expr: up }, { alert: ApiDwon, expr: up }, { alert: DiskFull, expr: up }] }]\n";
    let rules = "rules: [{ name: r, match: ['alertname=\"ApiDown\"'], target: t }]\n";
    let files = folder(&[("quell.yml", config), ("alerts.yml", alerts), ("rules/a.yml", rules)]);
    let outside = Outside {
        prometheus_rules: vec![files.path().join("alerts.yml")],
        alertmanager: None,
        quell_url: None,
    };
    let loaded = checked(Some(&files.path().join("quell.yml")), &outside, &super::env);
    insta::assert_snapshot!(super::shown(&loaded, files.path()), @r#"
    note: no rule matches these alerts, and `chat` is told: HighLoad, DiskFull

    warning[Q0361]: no rule matches alert `ApiDwon`
      ┌─ alerts.yml:1:69
      │
    1 │ groups: [{ name: g, rules: [{ alert: HighLoad, expr: up }, { alert: ApiDwon, expr: up }, { alert: DiskFull, expr: up }] }]
      │                                                                     ^^^^^^^ rule `r` (rules/a.yml:1) asks for `ApiDown`

    warning[Q0362]: no alert matches rule `r`
      ┌─ rules/a.yml:1:17
      │
    1 │ rules: [{ name: r, match: ['alertname="ApiDown"'], target: t }]
      │                 ^ did you mean `ApiDwon`?

    3 files, 1 rule, 0 playbooks, 3 alerts: 2 warnings
    "#);
}

#[test]
fn alerts_against_rules() {
    let mut all = Cases::default();
    for (alerts, rule, expected) in [
        ("- { alert: A, expr: up == 0 }", r#"alertname="A""#, ""),
        ("- { alert: A, expr: up == 0 }", r#"alertname="B""#, "Q0361 1:38, Q0362 1:17"),
        ("- { record: a, expr: up }\n- { alert: A, expr: up }", r#"alertname="A""#, ""),
        ("- { alert: A, expr: up, labels: { severity: x } }", r#"severity="x""#, ""),
        (
            "- { alert: A, expr: up, labels: { severity: x } }",
            r#"severity="y""#,
            "Q0361 1:38, Q0362 1:17",
        ),
        (
            "- { alert: A, expr: up, labels: { severity: '{{ $labels.s }}' } }",
            r#"severity="y""#,
            "",
        ),
        ("- { alert: A, expr: up }", r#"service="y""#, ""),
        ("- { alert: A, expr: 'up{service=\"x\"}' }", r#"service="y""#, "Q0361 1:38, Q0362 1:17"),
        // `service` may be an external label: nothing says that it comes from series
        ("- { alert: A, expr: sum(up) }", r#"service="y""#, ""),
        (
            "- { alert: A, expr: sum(up) }\n- { alert: B, expr: sum by (service) (up) }",
            r#"service="y""#,
            "Q0361 1:38",
        ),
        ("- { alert: A, expr: 'this is no PromQL (' }", r#"service="y""#, ""),
        ("- { alert: A }", r#"service="y""#, ""),
        ("- { alert: A, expr: up, unknown: key }", r#"alertname=~"A|B""#, ""),
        ("- { alert: A, expr: up }", r#"alertname!="A""#, "Q0361 1:38, Q0362 1:17"),
    ] {
        let alerts = format!("groups: [{{ name: g, rules: [{}] }}]\n", items(alerts));
        let rules = format!("rules: [{{ name: r, match: ['{rule}'], target: t }}]\n");
        let found = found(&[("prometheus.rules.yml", &alerts), ("rules/a.yml", &rules)]);
        all.case(&format!("{alerts} {rule}"), &found, expected);
    }
}

/// `- a\n- b` as `a, b`: everything on one line, so that places are easy to say.
fn items(list: &str) -> String {
    list.split('\n').map(|it| it.trim_start_matches("- ")).collect::<Vec<_>>().join(", ")
}

#[test]
fn external_labels_count_when_prometheus_yml_is_read() {
    let rules =
        |matcher: &str| format!("rules: [{{ name: r, match: ['{matcher}'], target: t }}]\n");
    let alerts = "groups: [{ name: g, rules: [{ alert: A, expr: sum(up) }] }]\n";
    let mut all = Cases::default();
    for (settings, matcher, expected) in [
        ("global: { external_labels: { cluster: eu } }\n", r#"cluster="eu""#, ""),
        (
            "global: { external_labels: { cluster: eu } }\n",
            r#"cluster="us""#,
            "Q0361 1:38, Q0362 1:17",
        ),
        ("global: { external_labels: { cluster: '${CLUSTER}' } }\n", r#"cluster="us""#, ""),
        ("global: {}\n", r#"cluster="us""#, "Q0361 1:38, Q0362 1:17"),
        (
            "alerting: { alert_relabel_configs: [{ action: labeldrop, regex: x }] }\nglobal: {}\n",
            r#"cluster="us""#,
            "",
        ),
        ("rule_files: ['*.none.yml']\n", r#"cluster="us""#, "Q0361 1:38, Q0362 1:17"),
    ] {
        let settings =
            settings.replace("rule_files: ['*.none.yml']", "rule_files: ['prometheus-r*.yml']");
        let files = [
            ("prometheus-rules.yml", alerts),
            ("prometheus.yml", settings.as_str()),
            ("rules/a.yml", &rules(matcher)),
        ];
        all.case(&format!("{settings} {matcher}"), &found(&files), expected);
    }
}

const RECEIVERS: &str = "receivers:\n  - name: quell\n    webhook_configs: [{ url: 'http://q:9797/api/v1/webhook/alertmanager' }]\n  - name: people\n";

#[test]
fn routes_that_never_reach_quell() {
    let quick = "group_interval: 30s, repeat_interval: 10m";
    let mut all = Cases::default();
    for (routes, expected) in [
        ("{ receiver: quell, QUICK }", ""),
        ("{ receiver: people, QUICK }", "Q0372 1:20"),
        (
            "{ receiver: quell, QUICK, routes: [{ matchers: [a=b], receiver: people }] }",
            "Q0372 1:108",
        ),
        (
            "{ receiver: quell, QUICK, routes: [{ matchers: [a=b], receiver: people, continue: true }] }",
            "Q0372 1:108",
        ),
        (
            "{ receiver: quell, QUICK, routes: [{ matchers: [a=b], receiver: people, continue: true }, { receiver: quell }] }",
            "",
        ),
        (
            "{ receiver: quell, QUICK, routes: [{ receiver: quell, continue: true }, { receiver: people }] }",
            "",
        ),
        (
            "{ receiver: people, QUICK, routes: [{ matchers: [a=b], receiver: quell }] }",
            "Q0372 1:20",
        ),
        // an alert may match both
        (
            "{ receiver: quell, QUICK, routes: [{ match: { a: b }, receiver: quell, continue: true }, { match_re: { c: d }, receiver: people }] }",
            "",
        ),
        (
            "{ receiver: quell, QUICK, routes: [{ matchers: [a=b], receiver: people, routes: [{ matchers: [c=d], receiver: quell }] }] }",
            "Q0372 1:108",
        ),
        (
            "{ receiver: quell, QUICK, routes: [{ matchers: [a=b], routes: [{ matchers: [c=d], receiver: people }] }] }",
            "Q0372 1:136",
        ),
        ("{ receiver: nobody, QUICK }", "Q0370 1:20"),
        (
            "{ receiver: quell, QUICK, routes: [{ matchers: ['a b'], receiver: quell }] }",
            "Q0114 1:95",
        ),
        ("{ receiver: quell }", "Q0378 1:8, Q0378 1:8"),
        ("{ receiver: quell, group_interval: 1m, repeat_interval: 15m }", ""),
        ("{ receiver: quell, group_interval: 1m, repeat_interval: 1h }", "Q0378 1:64"),
        ("{ receiver: quell, group_interval: 10m, repeat_interval: 10m }", "Q0378 1:43"),
        ("{ receiver: quell, group_interval: 50s, repeat_interval: 15m }", ""),
        ("{ receiver: quell, group_interval: 11s, repeat_interval: 899s }", "Q0378 1:65"),
    ] {
        let text = format!("route: {}\n{RECEIVERS}", routes.replace("QUICK", quick));
        all.case(routes, &found(&[("alertmanager.yml", &text)]), expected);
    }
}

#[test]
fn alerts_that_never_reach_quell() {
    let rules = "rules: [{ name: r, match: ['alertname=~\"A|B\"'], target: t }]\n";
    let route = |routes: &str| {
        format!(
            "route: {{ receiver: people, group_interval: 30s, repeat_interval: 10m, routes: [{routes}] }}\n{RECEIVERS}"
        )
    };
    for (alert, routes, arrives) in [
        ("labels: { s: x }", "{ matchers: [s=x], receiver: quell }", true),
        ("labels: { s: y }", "{ matchers: [s=x], receiver: quell }", false),
        ("labels: { s: '{{ $value }}' }", "{ matchers: [s=x], receiver: quell }", true),
        ("labels: { s: x }", "{ matchers: [s=x], receiver: people }, { receiver: quell }", false),
        (
            "labels: { s: x }",
            "{ matchers: [s=x], receiver: people, continue: true }, { receiver: quell }",
            true,
        ),
        ("labels: { s: x }", "{ matchers: [t=x], receiver: people }, { receiver: quell }", true),
        (
            "labels: { s: x }",
            "{ matchers: [s=x], routes: [{ matchers: [t=y], receiver: quell }] }",
            true,
        ),
        (
            "labels: { s: x, t: z }",
            "{ matchers: [s=x], routes: [{ matchers: [t=y], receiver: quell }] }",
            false,
        ),
        ("labels: { s: x }", "{ match_re: { s: 'x|y' }, receiver: quell }", true),
        ("labels: { s: z }", "{ match_re: { s: 'x|y' }, receiver: quell }", false),
    ] {
        let alerts =
            format!("groups: [{{ name: g, rules: [{{ alert: A, expr: up, {alert} }}] }}]\n");
        let found = found(&[
            ("prometheus-rules.yml", &alerts),
            ("alertmanager.yml", &route(routes)),
            ("rules/a.yml", rules),
        ]);
        assert_eq!(!found.contains("Q0373"), arrives, "{alert} {routes}: {found}");
    }
}

#[test]
fn what_a_receiver_loses() {
    let mut all = Cases::default();
    for (settings, global, expected) in [
        ("", "", ""),
        (", send_resolved: true, max_alerts: 0, timeout: 0s", "", ""),
        (", send_resolved: false", "", "Q0374 4:90"),
        (", max_alerts: 10", "", "Q0375 4:87"),
        (", payload: { a: b }", "", "Q0377 4:84"),
        (", timeout: 1s", "", "Q0379 4:84"),
        (", timeout: 30s", "", ""),
    ] {
        let url = "http://q:9797/api/v1/webhook/alertmanager";
        let text = format!(
            "route: {{ receiver: quell, group_interval: 30s, repeat_interval: 10m }}\nreceivers:\n  - name: quell\n    webhook_configs: [{{ url: '{url}'{settings} }}]\n{global}"
        );
        all.case(settings, &found(&[("alertmanager.yml", &text)]), expected);
    }
}

#[test]
fn credentials_are_asked_for_when_quell_asks_for_them() {
    let config = "ingest: { tokens: [{ name: am, token: \"${env:TOKEN}\" }] }\n";
    let auth = "authorization: { credentials_file: /t }";
    let mut all = Cases::default();
    for (url, settings, global, expected) in [
        ("http://q/api/v1/webhook/alertmanager", "", "", "Q0376 4:30"),
        ("http://u:p@q/api/v1/webhook/alertmanager", "", "", ""),
        ("http://q/api/v1/webhook/alertmanager", auth, "", ""),
        (
            "http://q/api/v1/webhook/alertmanager",
            "basic_auth: { username: u, password_file: /p }",
            "",
            "",
        ),
        (
            "http://q/api/v1/webhook/alertmanager",
            "http_headers: { Authorization: { files: [/t] } }",
            "",
            "",
        ),
        ("http://q/api/v1/webhook/alertmanager", "", auth, ""),
        ("http://q/api/v1/webhook/alertmanager", "follow_redirects: false", auth, "Q0376 4:30"),
    ] {
        let own = if settings.is_empty() {
            String::new()
        } else {
            format!(", http_config: {{ {settings} }}")
        };
        let global = if global.is_empty() {
            String::new()
        } else {
            format!("global: {{ http_config: {{ {global} }} }}\n")
        };
        let text = format!(
            "route: {{ receiver: quell, group_interval: 30s, repeat_interval: 10m }}\nreceivers:\n  - name: quell\n    webhook_configs: [{{ url: '{url}'{own} }}]\n{global}"
        );
        let found = found(&[("quell.yml", config), ("alertmanager.yml", &text)]);
        all.case(&format!("{url} {settings} {global}"), &found, expected);
    }
}

#[test]
fn credentials_of_alertmanager_and_prometheus_are_never_shown() {
    let folder = folder(&[
        (
            "alertmanager.yml",
            "route: { receiver: quell }\nreceivers: [{ name: quell, webhook_configs: [{ url: 'http://u:nobody-may-see@q/api/v1/webhook/alertmanager', send_resolved: false, payload: { a: nobody-may-see } }], pagerduty_configs: [{ routing_key: nobody-may-see }] }]\n",
        ),
        ("broken.yml", "route:\n  secret: nobody-may-see: x\n   : [\n"),
        (
            "prometheus.yml",
            "global: { scrape_interval: 1s }\nremote_write: [{ basic_auth: { password: nobody-may-see } }]\nrule_files: [none.yml]\n",
        ),
    ]);
    for name in ["alertmanager.yml", "broken.yml"] {
        let outside = Outside {
            prometheus_rules: vec![folder.path().join("prometheus.yml")],
            alertmanager: Some(folder.path().join(name)),
            quell_url: None,
        };
        let loaded = check_paths_against(&[], &outside, &super::env);
        let json = serde_json::to_string(&crate::library::report::document(&loaded)).expect("JSON");
        for text in [loaded.render(false), crate::library::report::github(&loaded), json] {
            assert!(!text.contains("nobody"), "{text}");
            assert!(text.contains("Q0"), "{text}");
        }
    }
}

#[test]
fn the_shipped_files_fit_one_another() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let outside = Outside {
        prometheus_rules: vec![root.join("alertmanager/rules/services.yml")],
        alertmanager: Some(root.join("alertmanager/alertmanager.yml")),
        quell_url: None,
    };
    // those of a runbook go with the settings of a site of its own (tests/it/runbooks/files.rs)
    let files = |folder: &str| {
        let entries = fs::read_dir(root.join(folder)).expect("a folder");
        entries.map(|it| it.expect("a file").path()).filter(|it| it.is_file())
    };
    let paths: Vec<_> = files("rules").chain(files("playbooks")).collect();
    let loaded = check_paths_against(&paths, &outside, &super::env);
    let codes: Vec<&str> = loaded.diagnostics.iter().map(|it| it.code).collect();
    // alerts that are for people only; no rule lacks its alert, and no route leads elsewhere
    assert!(codes.iter().all(|it| *it == "Q0361"), "{}", loaded.render(false));
    assert!(loaded.counts.alerts > 5, "{:?}", loaded.counts);
}
