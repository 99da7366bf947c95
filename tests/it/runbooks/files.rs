//! Every file of every runbook, as a person would check it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::process;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// NAME of every file `NAME.END` there.
fn names(folder: &str, end: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let name =
        |entry: fs::DirEntry| Some(entry.file_name().to_str()?.strip_suffix(end)?.to_owned());
    entries.filter_map(|it| name(it.unwrap())).collect()
}

/// The variables of `docs/runbooks/NAME.env`, as a shell would set them for a try.
fn environment(name: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join(format!("docs/runbooks/{name}.env"))).unwrap();
    let set =
        text.lines().filter_map(|line| line.split_once('=')).filter(|it| !it.0.starts_with('#'));
    set.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect()
}

/// How a command ended, from the folder of the repository; what it printed when it found problems.
fn trouble(program: &str, arguments: &[&str], environment: &[(String, String)]) -> Option<String> {
    let mut line = process::command(program);
    line.args(arguments).current_dir(root()).env("NO_COLOR", "1");
    line.envs(environment.iter().map(|(name, value)| (name, value)));
    let output = line.output().unwrap_or_else(|e| panic!("{program}: {e}; run tests/install.sh"));
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (!output.status.success()).then(|| format!("{program} {}:\n{said}", arguments.join(" ")))
}

/// Each runbook is whole: settings, rules and their tests, playbooks, alerts and their tests, and the page that says what
/// became of each line of the document.
#[test]
fn every_runbook_has_all_of_its_files() {
    let runbooks = names("docs/runbooks", ".quell.yml");
    assert!(!runbooks.is_empty());
    for (folder, end) in [
        ("docs/runbooks", ".md"),
        ("docs/runbooks", ".env"),
        ("rules/runbooks", ".test.yml"),
        ("alertmanager/rules", ".yml"),
        ("alertmanager/tests", ".yml"),
    ] {
        let missing: Vec<_> = runbooks.difference(&names(folder, end)).cloned().collect();
        assert!(missing.is_empty(), "no {folder}/NAME{end} for {missing:?}");
    }
}

/// `quell check --strict` is clean, with the alerts that the rules are for, and the tests of the rules pass.
#[test]
fn every_runbook_checks_and_passes_its_tests() {
    let quell = env!("CARGO_BIN_EXE_quell");
    let mut found = Vec::new();
    for name in names("docs/runbooks", ".quell.yml") {
        let settings = format!("docs/runbooks/{name}.quell.yml");
        let alerts = format!("alertmanager/rules/{name}.yml");
        let tests = format!("rules/runbooks/{name}.test.yml");
        let env = environment(&name);
        found.extend(trouble(quell, &["check", "--strict", "--config", &settings], &env));
        let outside = ["check", "--config", &settings, "--prometheus-rules", &alerts];
        found.extend(trouble(quell, &outside, &env));
        found.extend(trouble(quell, &["test", "--config", &settings, &tests], &env));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Alerts fire when the document says so, and not beside it.
#[test]
fn every_alert_of_every_runbook_is_tested_by_promtool() {
    let mut found = Vec::new();
    for name in names("docs/runbooks", ".quell.yml") {
        let rules = format!("alertmanager/rules/{name}.yml");
        let tests = format!("alertmanager/tests/{name}.yml");
        found.extend(trouble("promtool", &["check", "rules", &rules], &[]));
        found.extend(trouble("promtool", &["test", "rules", &tests], &[]));
        let text = fs::read_to_string(root().join(&tests)).unwrap();
        let alerts = fs::read_to_string(root().join(&rules)).unwrap();
        for line in alerts.lines() {
            if let Some(alert) = line.trim_start().strip_prefix("- alert: ")
                && !text.contains(alert)
            {
                found.push(format!("{tests} says nothing of {alert}"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
