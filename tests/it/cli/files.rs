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
    let at = ["--at", "2026-01-05T10:00:00Z"];
    let said = quell.cli(&[&["explain", "body.json"][..], &at].concat()).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    insta::assert_snapshot!("explain_body", said.out);
    let labels = ["-l", "alertname=HighErrorRate", "-l", "severity=high", "--label", "service=api"];
    let said = quell.cli(&[&["explain", "--all"][..], &at, &labels].concat()).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    insta::assert_snapshot!("explain_labels", said.out);
    let said = quell.cli(&[&["explain", "--json"][..], &at, &labels].concat()).await;
    insta::assert_json_snapshot!("explain_json", said.json());
    assert!(!quell.folder().join("quell.db").exists(), "an explanation made a database");
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
        &["explain", "-l", "a=b", "--at", "soon"],
        &["explain", "-l", "a=b", "--since", "5"],
        &["explain", "-l", "a=b", "--server", "http://127.0.0.1:1"],
        &["explain", "i-1"],
    ] {
        let said = quell.cli(arguments).await;
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{arguments:?}");
        write!(text, "$ quell {}\n{}", arguments.join(" "), said.err).unwrap();
    }
    insta::assert_snapshot!("explain_nothing", text);
}
