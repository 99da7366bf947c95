//! `test`: rules and their tests in, a report out, nothing else touched.

use std::fs;

use serde_json::Value;

use crate::support::quell::Quell;

const RULES: &str = r#"
rules:
  - name: errors
    match: [alertname="Errors", service!=""]
    target: service/{{ labels.service }}
    response: [{ playbook: flush, with: { path: "{{ labels.service }}" } }]
"#;

const PLAYBOOK: &str = "
playbook: flush
parameters:
  path: { type: string, required: true }
steps:
  - name: flush
    http: { method: DELETE, url: \"http://cache/{{ path }}\" }
";

const TESTS: &str = "
tests:
  - name: the cache of the service is emptied
    events: [{ alert: { alertname: Errors, service: shop } }]
    expect: [{ at: 0s, rule: errors, verdict: proceed, steps: [http DELETE http://cache/shop] }]
  - name: it is <emptied> \"twice\" & more
    events: [{ alert: { alertname: Errors, service: shop } }]
    expect: [{ at: 1m, runs: 2 }]
";

/// Without a quell.yml: a folder of rules with its playbooks beside it.
fn prepared(tests: &str) -> Quell {
    let files =
        [("rules/r.yml", RULES), ("playbooks/p.yml", PLAYBOOK), ("rules/r.test.yml", tests)];
    let quell = Quell::prepare("", &files);
    fs::remove_file(quell.folder().join("quell.yml")).unwrap();
    quell
}

/// Output without the times that it took.
fn timeless(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let line = match (line.find('['), line.find("s] ")) {
            (Some(from), Some(to)) if from < to => {
                format!("{}[time] {}", &line[..from], &line[to + 3..])
            }
            _ => line.to_owned(),
        };
        let line = line.split(" time=\"").enumerate().fold(String::new(), |text, (index, part)| {
            let rest = part.split_once('"').map_or(part, |(_, rest)| rest);
            if index == 0 { part.to_owned() } else { format!("{text} time=\"\"{rest}") }
        });
        out = format!("{out}{line}\n");
    }
    out
}

#[tokio::test]
async fn a_failing_test_is_shown_with_what_happened() {
    let quell = prepared(TESTS);
    let said = quell.cli(&["test", "rules/", "--coverage", "--junit", "junit.xml"]).await;
    assert_eq!((said.code, said.err.as_str()), (1, ""), "{said:#?}");
    insta::assert_snapshot!("failing", timeless(&said.out));
    let junit = fs::read_to_string(quell.folder().join("junit.xml")).unwrap();
    insta::assert_snapshot!("junit", timeless(&junit));
    assert!(!quell.folder().join("quell.db").exists(), "a test made a database");
}

#[tokio::test]
async fn tests_are_listed_filtered_and_counted() {
    let quell = prepared(TESTS);
    let said = quell.cli(&["test", "--list"]).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:#?}");
    insta::assert_snapshot!(said.out, @r#"
    rules/r.test.yml:3: the cache of the service is emptied
    rules/r.test.yml:6: it is <emptied> "twice" & more
    "#);
    let said = quell.cli(&["test", "rules/r.test.yml", "--filter", "of the service"]).await;
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:#?}");
    assert!(said.out.contains("1 test run: 1 passed, 0 failed"), "{said:#?}");
    let said = quell.cli(&["test", "--filter", "nothing like it"]).await;
    assert_eq!((said.code, said.out.as_str()), (2, ""), "{said:#?}");
    assert!(said.err.starts_with("error[Q0613]: no test has `nothing like it`"), "{said:#?}");
    let said = quell.cli(&["test", "--filter", "of the service", "--coverage-min", "101"]).await;
    assert_eq!(said.code, 1, "{said:#?}");
    assert!(said.err.starts_with("error[Q0612]"), "{said:#?}");
}

#[tokio::test]
async fn scripts_read_json() {
    let quell = prepared(TESTS);
    let said = quell.cli(&["test", "--json", "--coverage", "--filter", "of the service"]).await;
    let json: Value = said.json();
    assert_eq!(json["tests"][0]["passed"], true, "{json:#}");
    assert_eq!(json["coverage"]["percent"], 100, "{json:#}");
    assert!(
        json["tests"][0]["timeline"][0]["text"].as_str().unwrap().contains("fires"),
        "{json:#}"
    );
}

#[tokio::test]
async fn settings_are_read_and_their_credentials_are_not() {
    let settings = "
mode: observe
channels: { chat: { slack: { webhook_url: \"${env:QUELL_NO_SUCH_VARIABLE}\" } } }
targets: { redis: { cache: { url: \"${env:QUELL_NO_SUCH_URL}\" } } }
severities: { critical: { notify: [chat] } }
";
    let tests = "
tests:
  - name: only observed, and told
    events: [{ alert: { alertname: Errors, service: shop, severity: critical } }]
    expect:
      - { run: observed, steps: [], notifications: [{ channel: chat, kind: opened, count: 1 }] }
  - name: as it will be
    mode: auto
    events: [{ alert: { alertname: Errors, service: shop } }]
    expect: [{ at: 0s, run: verifying }]
";
    let files =
        [("rules/r.yml", RULES), ("playbooks/p.yml", PLAYBOOK), ("tests/r.test.yml", tests)];
    let quell = Quell::prepare(settings, &files);
    for arguments in [&["test"][..], &["test", "tests/"], &["test", "--config", "quell.yml"]] {
        let said = quell.cli(arguments).await;
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{arguments:?} {said:#?}");
        assert!(said.out.contains("2 tests run: 2 passed"), "{said:#?}");
    }
}

#[tokio::test]
async fn what_is_wrong_in_the_files_is_said_first() {
    let quell = prepared(&TESTS.replace("rule: errors", "rule: erors"));
    let said = quell.cli(&["test"]).await;
    assert_eq!((said.code, said.out.as_str()), (2, ""), "{said:#?}");
    assert!(said.err.contains("error[Q0141]: unknown rule `erors`"), "{said:#?}");
    assert!(said.err.contains("did you mean `errors`?"), "{said:#?}");
    let said = quell.cli(&["check", "rules", "playbooks"]).await;
    assert!(said.code == 1 && said.out.contains("error[Q0141]"), "{said:#?}");
    let said = quell.cli(&["test", "playbooks/"]).await;
    assert_eq!(said.code, 2, "{said:#?}");
    assert!(said.err.contains("playbooks/ holds no tests"), "{said:#?}");
}
