//! The files that every seed runs with: one rule for each way in which a step may be in doubt, on units that they share.

use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;

use crate::library;
use crate::library::Library;

/// Runs of everything in [`RATE_PER`] seconds.
pub(crate) const RATE: usize = 12;
pub(crate) const RATE_PER: u64 = 600;

/// Values of the label `alertname`, one a rule; what the rule is called.
pub(crate) const RULES: [&str; 6] =
    ["repeats", "asks", "reads-back", "proposes", "undoes", "items"];
pub(crate) const UNITS: [&str; 3] = ["a", "b", "c"];

const CONFIG: &str = r#"
storage: sqlite:unused.db
external_url: http://quell.example.com
mode: auto
link_key: "0123456789abcdef0123456789abcdef"
targets: { http: { plant: { url: "http://127.0.0.1:9" } } }
operators:
  - { name: dana, tier: 4, token: "dana-0123456789abcdef" }
  - { name: kim, tier: 4, token: "kim-0123456789abcdef" }
channels:
  hook: { webhook: { url: "http://127.0.0.1:9/hook" } }
  mail: { webhook: { url: "http://127.0.0.1:9/mail" } }
severities: { critical: { notify: [hook], ack_within: 5m, escalate_to: [mail] } }
limits: { rate: 12 per 10m, concurrent: CONCURRENT, cooldown: 20s, ineffective: 4 per 1h, quiet: 5s, demote_after: 6 per 1d }
"#;

const VERIFY: &str = r#"{ scrape: { url: "http://127.0.0.1:9/metrics", select: ill }, healthy: value < 1.0, within: 10s, hold: 2s UNHARMED }"#;
const UNHARMED: &str = r#", unharmed: [{ name: errors, scrape: { url: "http://127.0.0.1:9/metrics", select: errors }, worse: value > before + 5.0 }]"#;

fn step(name: &str, more: &str) -> String {
    format!(
        "  - {{ name: {name}, http: {{ server: plant, method: POST, url: /{name} }}, timeout: 20s, {more} }}\n"
    )
}

/// Name and steps of each playbook.
fn playbooks() -> Vec<(&'static str, String)> {
    let undo = "undo: { http: { server: plant, method: DELETE, url: /undo } }";
    let each = "for_each: [x, y, z], waves: [1, 100%], bake: 5s";
    vec![
        ("repeats", step("one", "on_unknown: retry, retry: { times: 1, backoff: 1s }")),
        ("asks", step("one", "on_unknown: ask")),
        ("reads-back", step("one", "on_unknown: probe")),
        ("proposes", step("one", "on_unknown: ask")),
        (
            "undoes",
            format!(
                "{}  - {{ name: rest, wait: 3s }}\n{}on_resolve:\n{}",
                step("one", &format!("on_unknown: retry, {undo}")),
                step("two", &format!("on_unknown: ask, {undo}")),
                step("back", "on_unknown: retry"),
            ),
        ),
        ("items", step("one", &format!("on_unknown: ask, {each}"))),
    ]
}

/// Loads them as quell does, with so many runs at once over all replicas.
pub(crate) fn library(concurrent: i64) -> Library {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("quell.yml", &CONFIG.replace("CONCURRENT", &concurrent.to_string()));
    let mut rules = String::from("rules:\n");
    for (name, steps) in playbooks() {
        write(&format!("playbooks/{name}.yml"), &format!("playbook: {name}\nsteps:\n{steps}"));
        let mode = if name == "proposes" { "approve" } else { "auto" };
        let verify = VERIFY.replace("UNHARMED", if name == "asks" { UNHARMED } else { "" });
        let then = if name == "repeats" { ", { playbook: asks }" } else { "" };
        writeln!(
            rules,
            "  - name: {name}\n    match: ['alertname=\"{name}\"', 'unit!=\"\"']\n    group_by: [unit]\n    \
             target: unit/{{{{ labels.unit }}}}\n    mode: {mode}\n    \
             response: [{{ playbook: {name} }}{then}]\n    verify: {verify}"
        )
        .unwrap();
    }
    write("rules/rules.yml", &rules);
    let loaded = library::load(Some(&folder.path().join("quell.yml")), &|_| None);
    let words = loaded.render(false);
    let mut library = loaded.library.unwrap_or_else(|| panic!("{words}"));
    // a plan names its file and its files: those of a folder that is called otherwise each time
    for (name, playbook) in &mut library.playbooks {
        Arc::make_mut(playbook).file = format!("playbooks/{name}.yml");
    }
    "files".clone_into(&mut library.digest);
    library
}
