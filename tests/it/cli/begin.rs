//! `init`, `schema` and `completions`: what a newcomer and an editor need.

use std::fs;

use serde_json::json;

use crate::support::process;
use crate::support::quell::Printed;
use crate::support::quell::Quell;
use crate::support::quell::webhook;
use crate::support::wait;

/// A folder without a quell.yml.
fn empty() -> Quell {
    let quell = Quell::prepare("", &[]);
    fs::remove_file(quell.folder().join("quell.yml")).unwrap();
    quell
}

fn fine(said: &Printed) -> &str {
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:#?}");
    &said.out
}

#[tokio::test]
async fn init_writes_a_set_that_passes_the_check_and_is_explained() {
    let quell = empty();
    let said = quell.cli(&["init", "my-rules"]).await;
    insta::assert_snapshot!(fine(&said), @r"
    wrote my-rules/README.md
    wrote my-rules/quell.yml
    wrote my-rules/rules/example.yml
    wrote my-rules/rules/example.test.yml
    wrote my-rules/playbooks/restart.yml
    wrote my-rules/alertmanager.example.yml
    wrote my-rules/schemas/rules.schema.json
    wrote my-rules/schemas/playbook.schema.json
    wrote my-rules/schemas/config.schema.json
    wrote my-rules/schemas/test.schema.json

    Next:  cd my-rules && quell check --strict
           quell test
           quell explain --label alertname=InstanceDown --label job=shop
    ");
    let folder = quell.folder().join("my-rules");
    let said = quell.cli_in(&folder, &["check"]).await;
    insta::assert_snapshot!(fine(&said), @"4 files, 1 rule, 1 playbook, 3 tests: no problems");
    let said = quell
        .cli_in(
            &folder,
            &[
                "explain",
                "--label",
                "alertname=InstanceDown",
                "--label",
                "job=shop",
                "--at",
                "2026-01-05T10:00:00Z",
            ],
        )
        .await;
    insta::assert_snapshot!(fine(&said), @r#"
    InstanceDown{job="shop"}     1 of 1 rule names this alert; 1 is selected

      restart-when-down  rules/example.yml:6  selected

      assumed      2026-01-05 10:00:00 UTC: fires for 5m and was heard of just now; no run before it;
                   nothing paused; not silenced; the precheck is unhealthy

      rule         restart-when-down (rules/example.yml:6) on systemd/shop
      verdict      proceed, but only to be planned and told: mode observe by mode (quell.yml:12); 30 of
                   30 guards proceed

      guard                 verdict  measured                   limit     set in
      stale                 proceed  assumed: 0s old            15m       max_age (quell.yml:38)
      settle                proceed  assumed: firing for 5m     2m        settle (rules/example.yml:20)
      cooldown              proceed  assumed: no run yet        15m       cooldown (quell.yml:37)
      rate of the rule      proceed  assumed: 0 in the last 1h  3 per 1h  rate (rules/example.yml:21)
      rate of the playbook  proceed  assumed: 0 in the last 1h  2 per 1h  limits of playbook restart
      25 more proceed: --all

      plan: remedy 1 of 1, restart (playbooks/restart.yml:4), mode observe by mode (quell.yml:12)
        1  restart: command systemctl restart shop
           timeout 2m; outcome unknown: the verification is asked
           undo: none
        2  runs: probe command shell: systemctl is-active --quiet "$UNIT" || exit 1, env:
             {"UNIT":"shop"}, within: 1m
        verify: promql min(up{job="shop"}), healthy: value == 1.0; within 3m, held 1m
        if it does not help: people take over, and nobody is told: no channel for alerts without a
          severity in quell.yml
    "#);
    let said = quell.cli_in(&folder, &["test"]).await;
    assert!(fine(&said).contains("3 tests run: 3 passed, 0 failed"), "{said:#?}");
    // a whole folder is checked as well: what is not quell's has a name that says so
    fine(&quell.cli(&["check", "my-rules"]).await);
    // each file names its schema, which is there
    for file in
        ["quell.yml", "rules/example.yml", "rules/example.test.yml", "playbooks/restart.yml"]
    {
        let path = folder.join(file);
        let text = fs::read_to_string(&path).unwrap();
        let schema = text.strip_prefix("# yaml-language-server: $schema=").unwrap();
        let schema = path.parent().unwrap().join(schema.lines().next().unwrap());
        assert!(schema.is_file(), "{file}: {}", schema.display());
    }
}

#[tokio::test]
async fn init_serves_and_takes_alerts_and_only_observes() {
    let mut quell = empty();
    fine(&quell.cli(&["init", "."]).await);
    let config = fs::read_to_string(quell.folder().join("quell.yml")).unwrap();
    quell.write("quell.yml", &config.replace("127.0.0.1:9797", &quell.address()));
    quell.serve().await;
    let labels = json!({ "alertname": "InstanceDown", "job": "shop", "severity": "critical" });
    quell.post("/api/v1/webhook/alertmanager", &webhook("firing", &labels)).await;
    let decision = wait::until("a decision", wait::PATIENCE, async || {
        let decisions = quell.get("/api/v1/decisions").await;
        decisions.pointer("/items/0").cloned().ok_or(decisions)
    });
    let decision = decision.await;
    assert_eq!(decision["rule"], "restart-when-down", "{decision:#}");
    assert_eq!(quell.get("/api/v1/runs").await["items"], json!([]));
    assert!(quell.stop().await.success(), "{}", quell.log());
}

#[tokio::test]
async fn init_overwrites_nothing() {
    let quell = empty();
    quell.write("rules/example.yml", "mine");
    quell.write("README.md", "mine too");
    std::os::unix::fs::symlink("nowhere", quell.folder().join("schemas")).unwrap();
    let said = quell.cli(&["init", "."]).await;
    assert_eq!(said.code, 1, "{said:#?}");
    insta::assert_snapshot!(format!("{}{}", said.out, said.err), @r"
    ./README.md
    ./rules/example.yml
    ./schemas
    error[Q0802]: what it would write exists already, so nothing was written
      = name a new folder, or move these files out of the way
    ");
    assert_eq!(fs::read_to_string(quell.folder().join("README.md")).unwrap(), "mine too");
    assert!(!quell.folder().join("quell.yml").exists());

    let said = quell.cli(&["init", "README.md"]).await;
    assert_eq!(said.code, 2, "{said:#?}");
    insta::assert_snapshot!(said.err, @r"
    error[Q0801]: README.md is a file, and a folder is needed
      = name a folder: quell init my-rules
    ");
    let said = quell.cli(&["init", "README.md/rules"]).await;
    assert_eq!(said.code, 2, "{said:#?}");
    insta::assert_snapshot!(said.err, @"error[Q0803]: could not write README.md/rules/README.md: Not a directory (os error 20)");
}

#[tokio::test]
async fn schemas_are_printed_and_written() {
    let quell = empty();
    let printed = quell.cli(&["schema", "rules"]).await.json();
    assert_eq!(printed["$schema"], "http://json-schema.org/draft-07/schema#");
    assert_eq!(printed["properties"]["rules"]["type"], "array");
    let said = quell.cli(&["schema", "--out", "a/schemas"]).await;
    insta::assert_snapshot!(fine(&said), @r"
    wrote a/schemas/rules.schema.json
    wrote a/schemas/playbook.schema.json
    wrote a/schemas/config.schema.json
    wrote a/schemas/test.schema.json
    ");
    let written = fs::read_to_string(quell.folder().join("a/schemas/rules.schema.json")).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap(), printed);
    // older ones are replaced
    quell.write("a/schemas/rules.schema.json", "{}");
    let said = quell.cli(&["schema", "rules", "--out", "a/schemas"]).await;
    assert_eq!(fine(&said), "wrote a/schemas/rules.schema.json\n");
    let again = fs::read_to_string(quell.folder().join("a/schemas/rules.schema.json")).unwrap();
    assert_eq!(again, written);

    let said = quell.cli(&["schema"]).await;
    assert_eq!((said.code, said.out.as_str()), (2, ""), "{said:#?}");
    quell.write("file", "");
    let said = quell.cli(&["schema", "--out", "file"]).await;
    assert_eq!(said.code, 2, "{said:#?}");
    insta::assert_snapshot!(said.err, @"error[Q0803]: could not write file: File exists (os error 17)");
}

#[tokio::test]
async fn completions_complete() {
    let quell = empty();
    let said = quell.cli(&["completions", "bash"]).await;
    quell.write("quell.bash", fine(&said));
    let complete = |words: &str| {
        let script = format!(
            "source ./quell.bash; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _quell quell \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; echo \"${{COMPREPLY[*]}}\""
        );
        let mut bash = process::command("bash");
        let output = bash.args(["-c", &script]).current_dir(quell.folder()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(complete("quell backt"), "backtest\n");
    assert_eq!(complete("quell completions f"), "fish\n");
    assert_eq!(complete("quell runs --inc"), "--incident\n");
    assert!(!complete("quell ''").contains("demo-shop"), "hidden commands are offered");

    let said = quell.cli(&["completions", "zsh"]).await;
    assert!(fine(&said).starts_with("#compdef quell"), "{}", said.out);
    let said = quell.cli(&["completions", "fish"]).await;
    assert!(fine(&said).contains("complete -c quell"), "{}", said.out);
}
