//! What each lint says and, as much, where it is silent: `code line:column` of everything found.

use super::folder;
use crate::library::Outside;
use crate::library::check as checked;
use crate::library::check_paths_against;

/// What is found in these files, in order, without the notes.
pub(super) fn found(files: &[(&str, &str)]) -> String {
    let folder = folder(files);
    let named =
        |name: &str| files.iter().any(|(it, _)| *it == name).then(|| folder.path().join(name));
    let prometheus = files.iter().filter(|(name, _)| name.starts_with("prometheus"));
    let outside = Outside {
        prometheus_rules: prometheus.map(|(name, _)| folder.path().join(name)).collect(),
        alertmanager: named("alertmanager.yml"),
        quell_url: None,
    };
    let loaded = if let Some(config) = named("quell.yml") {
        checked(Some(&config), &outside, &super::env)
    } else {
        let own = files.iter().filter(|(name, _)| name.contains('/'));
        let paths: Vec<_> = own.map(|(name, _)| folder.path().join(name)).collect();
        check_paths_against(&paths, &outside, &super::env)
    };
    let shown = loaded.diagnostics.iter().filter(|it| !it.code.is_empty()).map(|it| {
        let (line, column) = it.span.map_or((0, 0), |span| (span.line, span.column));
        format!("{} {line}:{column}", it.code)
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// Fails with all cases that differ.
#[derive(Default)]
pub(super) struct Cases(Vec<String>);

impl Cases {
    pub(super) fn case(&mut self, name: &str, found: &str, expected: &str) {
        if found != expected {
            self.0.push(format!("{name}\n  expected {expected:?}\n  found    {found:?}"));
        }
    }
}

impl Drop for Cases {
    fn drop(&mut self) {
        assert!(self.0.is_empty() || std::thread::panicking(), "\n{}", self.0.join("\n"));
    }
}

fn check(cases: &[(&str, &str)], whole: impl Fn(&str) -> String) {
    let mut all = Cases::default();
    for (input, expected) in cases {
        all.case(input, &found(&[("rules/a.yml", &whole(input))]), expected);
    }
}

#[test]
fn what_may_be_missing_is_told_where_it_is_read() {
    check(
        &[
            ("    target: x/{{ labels.service }}\n", "Q0321 4:18"),
            ("    target: x/{{ labels.alertname }}\n", ""),
            ("    target: x/{{ labels.team }}\n", ""),
            ("    target: x/{{ labels.env }}\n", ""),
            ("    target: x/{{ labels.zone }}\n", "Q0321 4:18"),
            ("    target: x/{{ labels.tier }}\n", "Q0321 4:18"),
            ("    target: x/{{ labels.service | default('none') }}\n", ""),
            ("    target: x/{{ labels.service if labels.service is defined else 'none' }}\n", ""),
            ("    target: x/{{ annotations.summary }}\n", "Q0321 4:18"),
            ("    target: x/{{ labels.service }}/{{ labels.service }}\n", "Q0321 4:18"),
            ("    target: x/{{ labels.service }}/{{ labels.host }}\n", "Q0321 4:18, Q0321 4:39"),
            ("    when: has(labels.service)\n    target: x/{{ labels.service }}\n", ""),
            ("    when: labels.service == 'x'\n    target: x/{{ labels.service }}\n", "Q0321 4:18"),
            ("    when: labels.team == 'x'\n    target: x\n", ""),
            ("    when: has(labels.service) && labels.service == 'x'\n    target: x\n", ""),
            ("    when: has(annotations.a)\n    target: x/{{ annotations.a }}\n", ""),
            (
                "    target: x\n    verify: { tcp: { address: '{{ labels.host }}:80' } }\n",
                "Q0321 5:35",
            ),
            (
                "    target: x\n    verify:\n      promql: >-\n        sum(up{a=\"b\"})\n        / sum(up{host=\"{{ labels.host }}\"})\n      healthy: value > 0.5\n",
                "Q0321 8:27",
            ),
        ],
        |lines| {
            format!(
                "rules:\n  - name: api\n    match: [alertname=~\"A.*\", 'team=\"x\"', 'env=~\".+\"', 'zone=~\"a|\"', 'tier!=\"1\"']\n{lines}"
            )
        },
    );
}

#[test]
fn queries_are_read() {
    let cases: &[(&str, &str, &str)] = &[
        ("up", "value > 0.0", ""),
        ("sum(rate(x_total[1m]))", "value < 0.05", ""),
        ("sum(rate(x_total[1m])", "value < 0.05", "Q0150 6:19"),
        ("sum(x))", "value < 0.05", "Q0150 6:22"),
        ("'x{job=api}'", "value < 0.05", "Q0150 6:23"),
        ("up = 1", "value < 0.05", "Q0150 6:19"),
        ("rate(x)", "value < 0.05", "Q0150 6:16"),
        ("'x{service=\"{{ labels.alertname }}\"}'", "value < 0.05", ""),
        ("rate(x[{{ labels.alertname }}])", "value < 0.05", ""),
        ("'{{ labels.alertname }}_total'", "value < 0.05", ""),
        ("x > bool {{ labels.alertname }}", "value < 0.05", ""),
        ("'{{ labels.alertname }} {{ labels.alertname }}'", "value < 0.05", "Q0322 6:16"),
        ("'{% if true %}up{% endif %}'", "value < 0.05", ""),
        ("frobnicate(x)", "value < 0.05", "Q0322 6:16"),
        ("vector(1)", "value < 0.05", "Q0323 6:16"),
        ("1", "value < 0.05", "Q0323 6:16"),
        ("x[5m]", "value < 0.05", "Q0323 6:16"),
        ("x > 5", "value < 9.0", "Q0324 6:18"),
        ("x > bool 5", "value < 0.5", ""),
        ("'count(up == 0)'", "value < 1.0", "Q0324 6:26"),
        ("count(up == 0) or vector(0)", "value < 1.0", ""),
        ("absent(up)", "value < 1.0", "Q0324 6:16"),
        ("up", "'true'", "Q0323 7:18"),
        ("up", "1 < 2", "Q0323 7:17"),
        ("up", "has(labels.job)", ""),
        ("up", "value == value", ""),
        ("rate(x[10m])", "value < 1.0", "Q0333 6:16"),
        ("rate(x[5m])", "value < 1.0", ""),
        ("rate(x[10m])", "value < 1.0\n       within: 10m", ""),
        ("rate(x[10m])", "value < 1.0\n       within: 9m", "Q0333 8:16"),
    ];
    let mut all = Cases::default();
    for (query, healthy, expected) in cases {
        let text = format!(
            "rules:\n  - name: api\n    match: [alertname=\"X\"]\n    target: x\n    verify:\n       promql: {query}\n       healthy: {healthy}\n"
        );
        let found = found(&[("rules/a.yml", &text)]);
        all.case(&format!("{query} | {healthy}"), &found, expected);
    }
}

#[test]
fn checks_are_looked_at_like_rules() {
    check(
        &[
            ("    cron: '* * * * *'\n    probe: { tcp: { address: 'a:1' } }\n", ""),
            (
                "    cron: '* * * * *'\n    probe: { promql: 'x > 5', healthy: 'value < 9.0' }\n",
                "Q0324 4:25",
            ),
            (
                "    cron: '0 3 * * *'\n    consecutive: 2\n    probe: { tcp: { address: 'a:1' } }\n",
                "",
            ),
            (
                "    cron: '0 3 * * *'\n    consecutive: 3\n    probe: { tcp: { address: 'a:1' } }\n",
                "Q0330 4:18",
            ),
            ("    cron: '0 0 30 2 *'\n    probe: { tcp: { address: 'a:1' } }\n", "Q0118 3:11"),
            ("    cron: '0 0 29 2 *'\n    probe: { tcp: { address: 'a:1' } }\n", ""),
        ],
        |lines| format!("checks:\n  - name: c\n{lines}"),
    );
}

#[test]
fn rules_that_never_match_are_told() {
    let mut all = Cases::default();
    for (first, second, expected) in [
        (r#"[severity="critical"]"#, r#"[alertname="A", severity="critical"]"#, "Q0311 5:11"),
        (r#"[alertname=~"Api.*"]"#, r#"[alertname="ApiDown", severity="critical"]"#, "Q0311 5:11"),
        (r#"[alertname=~"A|B", team!=""]"#, r#"[alertname="A", team="x"]"#, "Q0311 5:11"),
        (r#"[alertname=~"A|B", team!=""]"#, r#"[alertname="A"]"#, ""),
        (r#"[alertname=~"A|B"]"#, r#"[alertname=~"A|C"]"#, ""),
        (r#"[alertname="A"]"#, r#"[alertname=~"A"]"#, "Q0311 5:11"),
        ("[]", r#"[alertname="A"]"#, "Q0311 5:11"),
        ("[alertname=\"A\"]\n    continue: true", r#"[alertname="A"]"#, ""),
        ("[alertname=\"A\"]\n    when: has(labels.a)", r#"[alertname="A"]"#, ""),
        (
            r#"[alertname="A", env="x"]"#,
            "[alertname=\"A\", env!=\"\"]\n    when: labels.env == \"x\"",
            "Q0311 5:11",
        ),
        (
            r#"[alertname="B"]"#,
            "[alertname=\"A\", env!=\"x\", env!=\"\"]\n    when: labels.env == \"x\"",
            "Q0320 7:18",
        ),
        (r#"[alertname="B"]"#, "[alertname=\"A\"]\n    when: 1 < 2", "Q0323 7:11"),
    ] {
        let text = format!(
            "rules:\n  - name: a\n    match: {first}\n    target: t\n  - name: b\n    match: {second}\n    target: t\n"
        );
        let extra = text.lines().position(|it| it == "  - name: b").map_or(0, |it| it - 4);
        let shift = |found: String| found.replace(&format!(" {}:", 5 + extra), " 5:");
        all.case(&format!("{first} {second}"), &shift(found(&[("rules/a.yml", &text)])), expected);
    }
}

#[test]
fn a_misspelt_key_is_not_missing_too() {
    let mut all = Cases::default();
    for (text, expected) in [
        ("rules: [{ name: a, match: [], traget: t }]", "Q0104 1:31"),
        (
            "rules:\n- { name: a, match: [a=b] }\n- { name: b, match: [a=c], traget: t }",
            "Q0106 2:11, Q0104 3:28",
        ),
        (
            "rules:\n- { traget: t, name: a, match: [a=b] }\n- { name: b, match: [a=c] }",
            "Q0104 2:5, Q0106 3:11",
        ),
        ("rules: [{ name: a, match: [], frobnicate: t }]", "Q0106 1:17, Q0104 1:31"),
    ] {
        all.case(text, &found(&[("rules/a.yml", text)]), expected);
    }
}

#[test]
fn cron_expressions_say_which_field_is_wrong() {
    check(
        &[
            ("'61 2 * * *'", "Q0118 3:12"),
            ("'0 24 * * *'", "Q0118 3:14"),
            ("'0  2 32 * *'", "Q0118 3:17"),
            ("'0 2 * 13 *'", "Q0118 3:18"),
            ("'0 2 * * 8'", "Q0118 3:20"),
            ("'0 2 * * MOM'", "Q0118 3:20"),
            ("'0 60 2 * * *'", "Q0118 3:14"),
            ("'61 24 * * *'", "Q0118 3:11"),
            ("'0 2 * *'", "Q0118 3:11"),
            ("'0 2 31 2,4,6,9,11 *'", "Q0118 3:11"),
            ("'0 2 L 2 *'", ""),
            ("'0 2 29 2 *'", ""),
        ],
        |cron| {
            format!(
                "checks:\n  - name: c\n    cron: {cron}\n    probe: {{ tcp: {{ address: 'a:1' }} }}\n"
            )
        },
    );
}

#[test]
fn schedules_are_looked_at_like_rules() {
    let files = |lines: &str, playbook: &str, config: &str| {
        let rules =
            format!("schedules:\n  - name: s\n    cron: '0 2 * * *'\n    playbook: p\n{lines}");
        found(&[("quell.yml", config), ("rules/a.yml", &rules), ("playbooks/p.yml", playbook)])
    };
    let reads = PLAYBOOK.replace("[x,", "['{{ labels.host }}',");
    let quiet = "mode: auto\n";
    let mut all = Cases::default();
    for (lines, playbook, config, expected) in [
        ("    with: { a: b }\n", PLAYBOOK, quiet, ""),
        ("    with: { a: '{{ labels.schedule }}' }\n", PLAYBOOK, quiet, ""),
        ("    with: { a: '{{ labels.db }}' }\n    labels: { db: occ }\n", PLAYBOOK, quiet, ""),
        ("    with: { a: '{{ labels.db }}' }\n", PLAYBOOK, quiet, "Q0115 5:20"),
        ("    with: { a: '{{ labels.db | default(\"occ\") }}' }\n", PLAYBOOK, quiet, ""),
        ("    with: { a: '{{ annotations.db }}' }\n", PLAYBOOK, quiet, "Q0115 5:20"),
        ("    with: { a: 'X{{ labels.slot }}' }\n", PLAYBOOK, quiet, "Q0125 5:16"),
        ("    with: { a: b }\n", reads.as_str(), quiet, "Q0321 4:15"),
        ("    with: { a: b }\n    labels: { host: h }\n", reads.as_str(), quiet, ""),
        (
            "    with: { a: b }\n    verify: { promql: up, healthy: value > 0.0 }\n",
            PLAYBOOK,
            quiet,
            "Q0331 6:13",
        ),
        (
            "    with: { a: b }\n    verify: { promql: 'rate(x[10m])', healthy: value > 0.0, within: 2m }\n",
            PLAYBOOK,
            "prometheus: { url: 'http://p:9090' }\n",
            "Q0333 6:69",
        ),
        (
            "    with: { a: b }\n    labels: { severity: loud }\n",
            PLAYBOOK,
            "severities: { critical: {} }\n",
            "Q0328 6:25",
        ),
        ("    with: { a: b }\n    labels: { severity: loud }\n", PLAYBOOK, quiet, ""),
    ] {
        all.case(&format!("{lines}{config}"), &files(lines, playbook, config), expected);
    }
}

#[test]
fn a_window_that_never_matches_is_told() {
    let mut all = Cases::default();
    for (matchers, expected) in [
        ("[env=\"prod\", team=\"a\"]", ""),
        ("[env=\"prod\", env=\"test\"]", "Q0320 1:103"),
        ("['env!~\".*\"']", "Q0320 1:91"),
    ] {
        let config = format!(
            "windows: [{{ name: w, cron: '0 2 * * *', for: 1h, effect: refuse, reason: release, match: {matchers} }}]\n"
        );
        all.case(matchers, &found(&[("quell.yml", &config)]), expected);
    }
}

const PLAYBOOK: &str = "playbook: p\nparameters: { a: { type: string, required: true, pattern: '[a-z]+' } }\nsteps: [{ name: s, command: { argv: [x, '{{ a }}'] } }]\n";

/// A rule with a remedy of [`PLAYBOOK`], and lines of its own.
fn acts(name: &str, lines: &str) -> String {
    format!(
        "  - name: {name}\n    match: [alertname=\"{name}\"]\n    target: t\n    verify: {{ tcp: {{ address: 'a:1' }} }}\n    response: [{{ playbook: p, with: {{ a: b }} }}]\n{lines}"
    )
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn what_spans_files() {
    let rules = |text: &str| format!("rules:\n{text}");
    let config = "mode: auto\n";
    let severities = "mode: auto\nchannels: { s: { slack: { webhook_url: \"${env:HOOK}\" } } }\nseverities: { critical: {} }\n"
        .replace("channels: { s: { slack: { webhook_url: \"${env:HOOK}\" } } }\n", "");
    let two = |one: &str, other: &str| rules(&(acts("a", one) + &acts("b", other)));
    let mut all = Cases::default();
    for (name, files, expected) in [
        ("used", vec![("rules/a.yml", rules(&acts("a", ""))), ("playbooks/p.yml", PLAYBOOK.into())], ""),
        (
            "unused",
            vec![
                ("rules/a.yml", rules(&acts("a", ""))),
                ("playbooks/p.yml", PLAYBOOK.into()),
                ("playbooks/q.yml", PLAYBOOK.replace("playbook: p", "playbook: q")),
            ],
            "Q0325 1:11",
        ),
        ("no rules, so nothing is unused", vec![("playbooks/p.yml", PLAYBOOK.into())], ""),
        (
            "unused parameter",
            vec![("playbooks/p.yml", PLAYBOOK.replace("'{{ a }}'", "y"))],
            "Q0326 2:15",
        ),
        (
            "a parameter that only the proof of a rollback names",
            vec![(
                "playbooks/p.yml",
                PLAYBOOK.replace("'{{ a }}'", "y")
                    + "rollback: { to: '{{ a }}', from: x, was_healthy: { tcp: { address: 'x:1' } }, in_registry: { tcp: { address: 'x:1' } } }\n",
            )],
            "",
        ),
        (
            "grouped apart",
            vec![
                ("rules/a.yml", two("    group_by: [x]\n", "    group_by: [y]\n")),
                ("playbooks/p.yml", PLAYBOOK.into()),
            ],
            "Q0327 13:15",
        ),
        (
            "grouped alike, in another order",
            vec![
                ("rules/a.yml", two("    group_by: [x, y]\n", "    group_by: [y, x]\n")),
                ("playbooks/p.yml", PLAYBOOK.into()),
            ],
            "",
        ),
        (
            "one groups, the other does not",
            vec![
                ("rules/a.yml", two("    group_by: [x]\n", "")),
                ("playbooks/p.yml", PLAYBOOK.into()),
            ],
            "",
        ),
        (
            "a playbook that reads a label",
            vec![
                ("rules/a.yml", rules(&acts("a", ""))),
                ("playbooks/p.yml", PLAYBOOK.replace("[x,", "['{{ labels.host }}',")),
            ],
            "Q0321 6:28",
        ),
        (
            "a playbook whose condition reads a label",
            vec![
                ("rules/a.yml", rules(&acts("a", ""))),
                ("playbooks/p.yml", PLAYBOOK.replace("name: s,", "name: s, if: labels.env == 'x',")),
            ],
            "Q0321 6:28",
        ),
        (
            "a template that no value can save",
            vec![
                ("rules/a.yml", rules(&acts("a", "")).replace("a: b", "a: '{{ labels.alertname }}.x'")),
                ("playbooks/p.yml", PLAYBOOK.into()),
            ],
            "Q0125 6:42",
        ),
        (
            "limits of a playbook",
            vec![
                ("quell.yml", "limits: { rate: 10 per 1h, concurrent: 2 }\n".into()),
                ("playbooks/p.yml", PLAYBOOK.replace("steps", "limits: { rate: 20 per 1h, concurrent: 3 }\nsteps")),
            ],
            "Q0312 3:17, Q0312 3:40",
        ),
        (
            "nobody to ask",
            vec![
                ("quell.yml", config.into()),
                (
                    "rules/a.yml",
                    rules(&acts("a", "")).replace("{ tcp: { address: 'a:1' } }", "{ promql: up, healthy: value > 0.0 }"),
                ),
                ("playbooks/p.yml", PLAYBOOK.into()),
            ],
            "Q0331 5:13",
        ),
        (
            "nobody to ask whether the alert is gone",
            vec![
                ("quell.yml", config.into()),
                ("rules/a.yml", rules(&acts("a", "")).replace("    verify: { tcp: { address: 'a:1' } }\n", "")),
                ("playbooks/p.yml", PLAYBOOK.into()),
            ],
            "Q0331 2:11",
        ),
        (
            "somebody to ask",
            vec![
                ("quell.yml", "alertmanager: { url: 'http://a:9093' }\n".into()),
                ("rules/a.yml", rules(&acts("a", "")).replace("    verify: { tcp: { address: 'a:1' } }\n", "")),
                ("playbooks/p.yml", PLAYBOOK.into()),
            ],
            "",
        ),
        (
            "an unknown severity",
            vec![
                ("quell.yml", severities.clone()),
                (
                    "rules/a.yml",
                    rules(&acts("a", "")).replace("alertname=\"a\"", "alertname=\"a\", severity=~\"critical|high\""),
                ),
                ("playbooks/p.yml", PLAYBOOK.into()),
            ],
            "Q0328 3:28",
        ),
        (
            "a check that no rule hears",
            vec![(
                "rules/a.yml",
                "checks: [{ name: c, cron: '* * * * *', probe: { tcp: { address: 'a:1' } } }]\nrules: [{ name: r, match: [alertname=\"d\"], target: t }]\n".into(),
            )],
            "Q0332 1:18",
        ),
        (
            "a check that a rule hears",
            vec![(
                "rules/a.yml",
                "checks: [{ name: c, cron: '* * * * *', probe: { tcp: { address: 'a:1' } } }]\nrules: [{ name: r, match: [alertname=\"c\"], target: t }]\n".into(),
            )],
            "",
        ),
    ] {
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        all.case(name, &found(&files), expected);
    }
}
