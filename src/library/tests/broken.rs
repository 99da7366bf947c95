//! Over sixty broken files, and what quell says about each: one snapshot, to be read as a whole.

use std::fmt::Write as _;

use super::folder;
use crate::library::check_paths;

const RULE: &str =
    "rules:\n  - name: api\n    match: [alertname=\"ApiDown\"]\n    target: service/api\n";
const SCHEDULE: &str = "schedules:\n  - name: nightly\n    cron: \"0 2 * * *\"\n    playbook: restart\n    with: { unit: occ }\n";
const PLAYBOOK: &str = "playbook: restart\nparameters:\n  unit: { type: string, required: true, pattern: '[a-z-]+' }\nsteps:\n  - name: restart\n    command: { argv: [systemctl, restart, \"{{ unit }}\"] }\n";

fn rule(lines: &str) -> String {
    format!("{RULE}{lines}")
}

fn verify(lines: &str) -> String {
    format!("{RULE}    verify:\n{lines}")
}

#[test]
fn broken_files_and_what_quell_says() {
    let remedy =
        |with: &str| rule(&format!("    response: [{{ playbook: restart, with: {with} }}]\n"));
    let cases: Vec<(&str, Vec<(&str, String)>)> = vec![
        ("a tab in the indentation", vec![("rules/a.yml", "rules:\n\t- name: api\n".into())]),
        ("a quote that is never closed", vec![("rules/a.yml", rule("    description: \"Restart it\n"))]),
        ("a template without quotes", vec![("rules/a.yml", RULE.replace("service/api", "{{ labels.alertname }}"))]),
        ("a text with a colon", vec![("rules/a.yml", rule("    description: note: restart it\n"))]),
        ("an empty file", vec![("rules/a.yml", "# nothing yet\n".into())]),
        ("rules without their list", vec![("rules/a.yml", "- name: api\n  match: []\n".into())]),
        ("a misspelt key", vec![("rules/a.yml", RULE.replace("target", "traget"))]),
        ("a key of another place", vec![("rules/a.yml", rule("    cooldown: 15m\n"))]),
        ("a key written twice", vec![("rules/a.yml", rule("    target: service/web\n"))]),
        ("a rule without a name", vec![("rules/a.yml", RULE.replace("name: api\n    ", ""))]),
        ("matchers that are no list", vec![("rules/a.yml", RULE.replace("[alertname=\"ApiDown\"]", "alertname=\"ApiDown\""))]),
        ("a comma inside double quotes", vec![("rules/a.yml", RULE.replace("alertname=\"ApiDown\"", "alertname=\"Api, down\""))]),
        ("a matcher without a sign", vec![("rules/a.yml", RULE.replace("alertname=\"ApiDown\"", "alertname"))]),
        ("a regex that Go refuses", vec![("rules/a.yml", RULE.replace("[alertname=\"ApiDown\"]", "['alertname=~\"Api(?=Down)\"']"))]),
        ("matchers that exclude one another", vec![("rules/a.yml", RULE.replace("\"ApiDown\"", "\"ApiDown\", env=\"prod\", env!~\"prod|test\""))]),
        ("a rule behind a wider one", vec![("rules/a.yml", format!("rules:\n  - name: all\n    match: ['alertname=~\"Api.*\"']\n    target: service/api\n{}", RULE.trim_start_matches("rules:\n")))]),
        ("a condition that the matchers refuse", vec![("rules/a.yml", RULE.replace("\"ApiDown\"", "\"ApiDown\", env!=\"\", env!=\"prod\"") + "    when: labels.env == \"prod\"\n")]),
        ("a condition that looks at no alert", vec![("rules/a.yml", rule("    when: \"true\"\n"))]),
        ("a condition with one equals sign", vec![("rules/a.yml", rule("    when: labels.alertname = \"x\"\n"))]),
        ("a condition that compares text with a number", vec![("rules/a.yml", verify("      promql: up\n      healthy: value == \"1\"\n"))]),
        ("an unknown variable in a template", vec![("rules/a.yml", RULE.replace("service/api", "service/{{ label.service }}"))]),
        ("a filter that does not exist", vec![("rules/a.yml", RULE.replace("service/api", "\"service/{{ labels.alertname | lowercase }}\""))]),
        ("a label that an alert may lack", vec![("rules/a.yml", RULE.replace("service/api", "service/{{ labels.service }}"))]),
        ("a duration in words", vec![("rules/a.yml", rule("    limits: { cooldown: 15 minutes }\n"))]),
        ("a rate with a slash", vec![("rules/a.yml", rule("    limits: { rate: 3/1h }\n"))]),
        ("a mode that does not exist", vec![("rules/a.yml", rule("    mode: automatic\n"))]),
        ("a verification that observes two things", vec![("rules/a.yml", verify("      promql: up\n      tcp: { address: \"a:1\" }\n      healthy: value > 0.0\n"))]),
        ("a query without a condition", vec![("rules/a.yml", verify("      promql: up\n"))]),
        ("a query with an open bracket", vec![("rules/a.yml", verify("      promql: sum(rate(errors_total[5m])\n      healthy: value < 0.05\n"))]),
        ("a query with a value without quotes", vec![("rules/a.yml", verify("      promql: up{job=api} \n      healthy: value > 0.0\n"))]),
        ("a rate of no range", vec![("rules/a.yml", verify("      promql: rate(errors_total)\n      healthy: value < 0.05\n"))]),
        ("a query that filters what is healthy", vec![("rules/a.yml", verify("      promql: errors_ratio > 0.05\n      healthy: value < 0.05\n"))]),
        ("a query that forgets later than it must hold", vec![("rules/a.yml", verify("      promql: rate(errors_total[10m])\n      healthy: value < 0.05\n      within: 3m\n"))]),
        ("a condition that looks at nothing", vec![("rules/a.yml", verify("      promql: up\n      healthy: 1.0 > 0.0\n"))]),
        ("a playbook that does not exist", vec![("rules/a.yml", remedy("{ unit: api }").replace("restart", "restrat")), ("playbooks/restart.yml", PLAYBOOK.into())]),
        ("a parameter that does not exist", vec![("rules/a.yml", remedy("{ unit: api, forced: true }")), ("playbooks/restart.yml", PLAYBOOK.into())]),
        ("a parameter that is missing", vec![("rules/a.yml", remedy("{}")), ("playbooks/restart.yml", PLAYBOOK.into())]),
        ("a value that the pattern refuses", vec![("rules/a.yml", remedy("{ unit: \"api; rm -rf /\" }")), ("playbooks/restart.yml", PLAYBOOK.into())]),
        ("a template around which nothing fits", vec![("rules/a.yml", remedy("{ unit: \"{{ labels.alertname }}.service\" }")), ("playbooks/restart.yml", PLAYBOOK.into())]),
        ("a step that is two things", vec![("playbooks/restart.yml", format!("{PLAYBOOK}    wait: 5s\n"))]),
        ("a step that is nothing", vec![("playbooks/restart.yml", format!("{PLAYBOOK}  - name: settle\n"))]),
        ("a template inside shell text", vec![("playbooks/restart.yml", PLAYBOOK.replace("{ argv: [systemctl, restart, \"{{ unit }}\"] }", "{ shell: \"systemctl restart {{ unit }}\" }"))]),
        ("an undo that does not exist", vec![("playbooks/restart.yml", format!("{PLAYBOOK}    undo: previous\n"))]),
        ("an undo of a pause", vec![("playbooks/restart.yml", format!("{PLAYBOOK}  - name: settle\n    wait: 5s\n    undo: previous\n"))]),
        ("a step that reads a later one", vec![("playbooks/restart.yml", PLAYBOOK.replace("{{ unit }}", "{{ steps.later.output }}"))]),
        ("a parameter without a value", vec![("playbooks/restart.yml", PLAYBOOK.replace("required: true, ", ""))]),
        ("a parameter that no step uses", vec![("playbooks/restart.yml", PLAYBOOK.replace("parameters:\n", "parameters:\n  grace: { type: duration, default: 30s }\n"))]),
        ("a default beyond its bounds", vec![("playbooks/restart.yml", PLAYBOOK.replace("parameters:\n", "parameters:\n  count: { type: integer, default: 9, max: 3 }\n"))]),
        ("a value of the wrong type", vec![("rules/a.yml", remedy("{ unit: api, force: \"yes\", count: five }")), ("playbooks/restart.yml", PLAYBOOK.replace("steps:", "  force: { type: boolean, default: false }\n  count: { type: integer, default: 1 }\nsteps:").replace("\"{{ unit }}\"", "\"{{ unit }}\", \"{{ force }}\", \"{{ count }}\""))]),
        ("a playbook that nothing uses", vec![("rules/a.yml", RULE.into()), ("playbooks/restart.yml", PLAYBOOK.into())]),
        ("two rules that group one target differently", vec![("rules/a.yml", {
            let one = remedy("{ unit: api }") + "    group_by: [service]\n    verify: { tcp: { address: \"localhost:80\" } }\n";
            let two = one.trim_start_matches("rules:\n").replace("api\n    match", "slow\n    match").replace("ApiDown", "ApiSlow").replace("[service]", "[cluster]");
            one + &two
        }), ("playbooks/restart.yml", PLAYBOOK.into())]),
        ("limits looser than the global ones", vec![("quell.yml", "limits: { cooldown: 10m, rate: 5 per 1h }\n".into()), ("rules/a.yml", rule("    limits: { cooldown: 1m, rate: 50 per 1h }\n"))]),
        ("a severity that is not configured", vec![("quell.yml", "severities: { critical: {}, warning: {} }\n".into()), ("rules/a.yml", RULE.replace("\"ApiDown\"", "\"ApiDown\", severity=\"critcal\""))]),
        ("a page that is held for nothing", vec![("quell.yml", "mode: auto\n".into()), ("rules/a.yml", rule("    page: { unless_fixed_within: 10m }\n"))]),
        ("a schedule that reads a label it does not give", vec![("rules/a.yml", SCHEDULE.replace("occ", "\"{{ labels.database }}\"")), ("playbooks/restart.yml", PLAYBOOK.into())]),
        ("a schedule in an hour that there is not", vec![("rules/a.yml", SCHEDULE.replace("0 2 * * *", "0 24 * * *")), ("playbooks/restart.yml", PLAYBOOK.into())]),
        ("a window without its length", vec![("quell.yml", "windows:\n  - { name: freeze, cron: \"0 0 24 12 *\", effect: refuse }\n".into())]),
        ("a day that never comes", vec![("rules/a.yml", "checks:\n  - name: c\n    cron: \"0 0 31 4 *\"\n    probe: { tcp: { address: \"a:1\" } }\n".into())]),
        ("a time zone without its city", vec![("rules/a.yml", "checks:\n  - name: c\n    cron: \"0 0 1 4 *\"\n    timezone: CET+1\n    probe: { tcp: { address: \"a:1\" } }\n".into())]),
        ("settings with a misspelt key and a secret", vec![("quell.yml", "lisen: 127.0.0.1:9797\nlink_key: \"${env:UNSET}\"\n".into())]),
        ("a channel that does not exist", vec![("quell.yml", "severities: { critical: { notify: [pager] } }\n".into())]),
    ];
    let mut text = String::new();
    for (count, (name, files)) in cases.iter().enumerate() {
        let named: Vec<(&str, &str)> =
            files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let folder = folder(&named);
        let loaded = check_paths(&[folder.path().to_owned()], &super::env);
        assert!(!loaded.diagnostics.is_empty(), "{name}: nothing is said");
        assert!(
            loaded.diagnostics.iter().all(|it| it.code.is_empty()
                || it.span.is_some()
                || it.message.contains("rules/a.yml")),
            "{name}: no place"
        );
        let shown = super::shown(&loaded, folder.path());
        let shown = shown.trim_end().rsplit_once('\n').map_or("", |(most, _)| most.trim_end());
        writeln!(text, "{}. {name}\n\n{shown}\n", count + 1).expect("text");
    }
    assert!(cases.len() >= 40);
    insta::assert_snapshot!("broken", text);
}
