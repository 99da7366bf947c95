//! `explain`: files in, words out, nothing else touched.

use std::fmt::Write as _;
use std::fs;

use crate::support::quell::Quell;

pub(super) const RULES: &str = r#"
rules:
  - name: api-errors
    match: [alertname="ApiErrors"]
    target: service/api
    response: [{ playbook: restart, with: { unit: api } }]
  - name: errors
    match: [alertname="HighErrorRate", severity=~"critical|high", service!=""]
    target: service/{{ labels.service }}
    response:
      - { playbook: restart, with: { unit: "{{ labels.service }}" } }
      - { playbook: restart, with: { unit: "{{ labels.service }}" }, mode: approve }
    verify: { promql: up, healthy: value == 1.0 }
  - name: everything
    match: [alertname=~".+"]
    target: alert/{{ labels.alertname }}
"#;

const PLAYBOOK: &str = "
playbook: restart
parameters:
  unit: { type: string, pattern: '[a-z0-9-]+', required: true }
steps:
  - name: restart
    command: { argv: [systemctl, restart, \"{{ unit }}\"] }
    undo: { command: { argv: [systemctl, stop, \"{{ unit }}\"] } }
  - name: settle
    wait: 10s
";

pub(super) fn prepared(rules: &str) -> Quell {
    let config = "storage: sqlite:quell.db\nmode: auto\nprometheus: { url: http://127.0.0.1:9 }\n\
                  alertmanager: { url: http://127.0.0.1:9 }\n";
    Quell::prepare(config, &[("rules/r.yml", rules), ("playbooks/p.yml", PLAYBOOK)])
}

#[tokio::test]
async fn explain_of_a_captured_webhook() {
    let quell = prepared(RULES);
    let capture =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures/am0.33.1-from-real-prometheus-0.json");
    fs::copy(capture, quell.folder().join("body.json")).unwrap();
    let said = quell.cli(&["explain", "body.json"]).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    insta::assert_snapshot!(said.out, @r#"
    SvcDownNow{cluster="dev", instance="127.0.0.1:29500", job="t", severity="warning", svc="a", v="0"}     1 of 3 rules selected

      api-errors  rules/r.yml:3   no: alertname="ApiErrors", the alert has "SvcDownNow"
      errors      rules/r.yml:7   no: alertname="HighErrorRate", the alert has "SvcDownNow"
      everything  rules/r.yml:14  selected

    rule everything has no remedy: people only
    "#);
    let said = quell
        .cli(&[
            "explain",
            "--label",
            "alertname=HighErrorRate",
            "-l",
            "severity=high",
            "-l",
            "service=api",
        ])
        .await;
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    insta::assert_snapshot!(said.out, @r#"
    HighErrorRate{service="api", severity="high"}     1 of 3 rules selected

      api-errors  rules/r.yml:3   no: alertname="ApiErrors", the alert has "HighErrorRate"
      errors      rules/r.yml:7   selected
      everything  rules/r.yml:14  no: rule errors takes it before

    plan when it may run: remedy 1 of 2, restart (mode auto) on service/api
      1  restart: command systemctl restart api    undo: command systemctl stop api
      2  settle: wait 10s
      verify: promql within 5m, held 1m
      then, if it does not help: restart
    "#);
}

#[tokio::test]
async fn explain_of_what_holds_no_alert() {
    let quell = prepared(RULES);
    quell.write("number.json", "7");
    quell.write("broken.json", "{\n  \"labels\": {");
    let mut text = String::new();
    for arguments in [
        &["explain"][..],
        &["explain", "none.json"],
        &["explain", "number.json"],
        &["explain", "broken.json"],
        &["explain", "--label", "service"],
    ] {
        let said = quell.cli(arguments).await;
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{arguments:?}");
        write!(text, "$ quell {}\n{}", arguments.join(" "), said.err).unwrap();
    }
    insta::assert_snapshot!(text, @"
    $ quell explain
    error[Q0601]: there is no alert to explain
      = name a file, or labels: quell explain --label alertname=HighErrorRate
    $ quell explain none.json
    error[Q0602]: could not read none.json: No such file or directory (os error 2)
    $ quell explain number.json
    error[Q0603]: number.json holds no alert
      = expected a webhook body with `alerts`, an alert with `labels`, or a map of labels
    $ quell explain broken.json
    error[Q0603]: broken.json is not JSON: EOF while parsing an object at line 2 column 13
    $ quell explain --label service
    error: invalid value 'service' for '--label <NAME=VALUE>': write NAME=VALUE

    For more information, try '--help'.
    ");
}
