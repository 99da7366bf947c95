//! Twenty-one outages that automation made worse: for each a rule that would have done the same, and the guard that refuses
//! it. The scenarios are files for `quell test`, in `tests/outages`; `docs/guardrails/outages.md` is their table.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use quell::decide::guard;
use serde_json::Value;

use crate::support::quell::Quell;

/// Folder, what the comment of its rules begins with, and the guards that its tests expect to be in the way.
const OUTAGES: [(&str, &str, &[&str]); 21] = [
    ("01-google-diskerase", "Google Diskerase", &["target"]),
    ("02-facebook-2010", "Facebook, September 2010", &["evidence", "ineffective"]),
    ("03-aws-ebs-2011", "AWS EBS, April 2011", &["storm", "rate of everything"]),
    ("04-azure-leap-day-2012", "Azure, 29 February 2012", &["max unhealthy", "ineffective"]),
    ("05-knight-2012", "Knight Capital, August 2012", &["kill switch", "rollback proof"]),
    ("06-twilio-2013", "Twilio, July 2013", &["target free"]),
    ("07-dropbox-2014", "Dropbox, January 2014", &["target", "evidence"]),
    ("08-reddit-2016", "Reddit, August 2016", &["kill switch", "evidence", "cache"]),
    ("09-cloudflare-leap-second-2017", "Cloudflare, 1 January 2017", &["clock"]),
    ("10-s3-2017", "Amazon S3, February 2017", &["blast"]),
    ("11-github-2018", "GitHub, October 2018", &["evidence", "mode"]),
    ("12-google-june-2019", "Google Cloud, June 2019", &["redundancy group"]),
    ("13-google-dec-2020", "Google, December 2020", &["max unhealthy", "own dependency"]),
    ("14-slack-jan-2021", "Slack, January 2021", &["evidence", "people"]),
    (
        "15-facebook-2021",
        "Facebook, October 2021",
        &["max unhealthy", "min available", "own dependency"],
    ),
    ("16-azure-ad-2021", "Azure AD, March 2021", &["target", "credential"]),
    ("17-slack-feb-2022", "Slack, February 2022", &["cache", "rate of the rule"]),
    ("18-atlassian-2022", "Atlassian, April 2022", &["target", "mode", "own dependency"]),
    ("19-datadog-2023", "Datadog, March 2023", &["redundancy group", "rate of the rule"]),
    (
        "20-google-june-2025",
        "Google Cloud, June 2025",
        &["rate of the playbook", "redundancy group"],
    ),
    ("21-aws-oct-2025", "AWS, October 2025", &["target", "min available", "kill switch"]),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outages")
}

#[tokio::test]
async fn each_outage_is_refused_by_its_guards_and_its_rule_acts_on_an_ordinary_day() {
    let quell = Quell::prepare("", &[]);
    for (name, incident, guards) in OUTAGES {
        let path = folder().join(name);
        let rules = fs::read_to_string(path.join("rules.yml")).unwrap();
        assert!(rules.starts_with(&format!("# {incident}: ")), "{name}: {rules}");
        let tests = fs::read_to_string(path.join("outage.test.yml")).unwrap();
        for guard in guards {
            assert!(guard::NAMES.contains(guard), "{name}: no guard is called {guard}");
            let named = [", ", " }"].map(|end| format!("guard: {guard}{end}"));
            let says = named.iter().any(|it| tests.contains(it.as_str()));
            assert!(says, "{name} says nothing of {guard}");
        }
        let checked = quell.cli_in(&path, &["check"]).await;
        assert_eq!(checked.code, 0, "{name}: {}{}", checked.out, checked.err);
        let said = quell.cli_in(&path, &["test", "--json", "outage.test.yml"]).await;
        let report: Value = serde_json::from_str(&said.out)
            .unwrap_or_else(|e| panic!("{name}: {e}: {}{}", said.out, said.err));
        let ran = report["tests"].as_array().unwrap();
        let failed: Vec<&Value> = ran.iter().filter(|it| it["passed"] != true).collect();
        assert!(failed.is_empty(), "{name}: {failed:#?}");
        // a rule that never acts would be refused by anything
        let timeline = ran.iter().flat_map(|it| it["timeline"].as_array().unwrap());
        let acts = timeline.filter(|it| it["text"].as_str().unwrap().contains(" step 1/"));
        assert!(acts.count() > 0, "{name}: no test shows the rule at work");
    }
}

#[test]
fn the_table_of_the_handbook_names_each() {
    let table = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guardrails/outages.md"),
    )
    .unwrap();
    let mut folders: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort();
    assert_eq!(folders, OUTAGES.map(|(name, ..)| name));
    for (name, _, guards) in OUTAGES {
        let row = table.lines().find(|line| line.contains(&format!("[tests/outages/{name}]")));
        let row = row.unwrap_or_else(|| panic!("{name} is not in the table"));
        for guard in guards {
            assert!(row.contains(&format!("`{guard}`")), "{name}: {guard} is not in: {row}");
        }
    }
}
