//! `check` and `explain-error` as people, scripts and workflows meet them.

use super::files::RULES;
use super::files::prepared;

const MISSPELT: (&str, &str) = ("mode: approve", "mode: aprove");

const ALERTS: &str = "
groups:
  - name: api
    rules:
      - alert: ApiErrors
        expr: sum(rate(errors_total[5m])) > 1
      - alert: HighErrorRate
        expr: sum by (service) (rate(errors_total[5m])) > 1
        labels: { severity: warning }
";

const ROUTES: &str = "
route:
  receiver: quell
  group_interval: 30s
  repeat_interval: 10m
  routes:
    - matchers: [alertname=\"ApiErrors\"]
      receiver: people
receivers:
  - name: quell
    webhook_configs:
      - url: http://127.0.0.1:9797/api/v1/webhook/alertmanager
        send_resolved: false
  - name: people
";

#[tokio::test]
async fn a_good_set() {
    let quell = prepared(RULES);
    for arguments in [&["check"][..], &["check", "--strict"]] {
        let said = quell.cli(arguments).await;
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{}", said.out);
        insta::allow_duplicates! {
            insta::assert_snapshot!(said.out, @"3 files, 3 rules, 1 playbook: no problems");
        }
    }
    let said = quell.cli(&["check", "--json"]).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    insta::assert_snapshot!("good_json", said.out);
    let said = quell.cli(&["check", "--format", "github"]).await;
    insta::assert_snapshot!(said.out, @"3 files, 3 rules, 1 playbook: no problems");
    assert!(!quell.folder().join("quell.db").exists(), "a check made a database");
}

#[tokio::test]
async fn a_bad_set_in_every_format() {
    let bad =
        RULES.replace(MISSPELT.0, MISSPELT.1).replace("with: { unit: api }", "with: { nuit: api }");
    let quell = prepared(&bad);
    let mut text = String::new();
    for format in ["text", "github", "json"] {
        let said = quell.cli(&["check", "--format", format]).await;
        assert_eq!((said.code, said.err.as_str()), (1, ""), "{format}");
        text = format!("{text}$ quell check --format {format}\n{}\n", said.out);
    }
    insta::assert_snapshot!("bad_set", text);
    let said = quell.cli(&["check", "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(json["counts"]["errors"], 3);
}

#[tokio::test]
async fn warnings_fail_only_when_asked() {
    let quell = prepared(&RULES.replace("service!=\"\"]", "team!=\"\"]"));
    let said = quell.cli(&["check"]).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    insta::assert_snapshot!("warnings", said.out);
    let strict = quell.cli(&["check", "--strict"]).await;
    assert_eq!((strict.code, strict.out), (1, said.out));
    // who acknowledges at night is not told of them
    let said = quell.cli(&["explain", "--label", "alertname=X"]).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""));
}

#[tokio::test]
async fn against_prometheus_and_alertmanager() {
    let quell = prepared(RULES);
    quell.write("alerts.yml", ALERTS);
    quell.write("alertmanager.yml", ROUTES);
    let arguments =
        ["check", "--prometheus-rules", "alerts.y*", "--alertmanager", "alertmanager.yml"];
    let said = quell.cli(&arguments).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    insta::assert_snapshot!("outside", said.out);
    let elsewhere = ["--alertmanager", "alertmanager.yml", "--quell-url", "http://q.example.com/x"];
    let said = quell.cli(&[&["check"], &elsewhere[..]].concat()).await;
    assert!(said.out.contains("Q0371"), "{}", said.out);
    let said = quell.cli(&["check", "--prometheus-rules", "none.yml"]).await;
    assert_eq!(said.code, 1);
    assert!(said.out.contains("error[Q0101]: cannot read none.yml"), "{}", said.out);
}

#[tokio::test]
async fn the_page_of_a_code() {
    let quell = prepared(RULES);
    let mut first: Option<String> = None;
    for code in ["Q0104", "q0104", "104"] {
        let said = quell.cli(&["explain-error", code]).await;
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{code}");
        let first = first.get_or_insert(said.out.clone());
        assert_eq!(*first, said.out, "{code}");
    }
    insta::assert_snapshot!("page", first.unwrap());
    let said = quell.cli(&["explain-error", "--list"]).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert!(said.out.starts_with("Q0001  "), "{}", said.out);
    assert!(said.out.contains("\nQ0104  a key that does not exist\n"), "{}", said.out);
    let said = quell.cli(&["explain-error", "Q0194"]).await;
    assert_eq!((said.code, said.out.as_str()), (2, ""));
    insta::assert_snapshot!("no_page", said.err);
    let said = quell.cli(&["explain-error"]).await;
    assert_eq!(said.code, 2);
}
