//! How long a hundred thousand rules take to load, and how much memory they hold.
//!
//! `cargo bench --bench load`, or `cargo bench --bench load -- RULES FILES`. Each round is a process of its own, so
//! that its peak of resident memory is its own.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// One file of rules, of the shapes that people write.
fn rules(from: usize, count: usize) -> String {
    let mut text = String::from("rules:\n");
    for number in from..from + count {
        let matchers = match number % 5 {
            0 => {
                format!("[alertname=\"Alert{number}\", severity=~\"critical|high\", service!=\"\"]")
            }
            1 => format!("[alertname=\"HighErrorRate\", service=\"service-{number}\"]"),
            2 => format!(
                "[alertname=~\"Down{number}|Slow{number}\", namespace=~\"prod-.*\", service!=\"\"]"
            ),
            3 => {
                format!("['instance=~\"host-{number}-.*\"', severity=\"critical\", service!=\"\"]")
            }
            _ => format!(
                "['instance=~\"db-{number}-[a-z]+[0-9]?\"', 'team!~\"no(body|ne)\"', service!=\"\"]"
            ),
        };
        // a String takes whatever is written
        writeln!(
            text,
            r#"  - name: rule-{number}
    description: What to do about number {number}.
    match: {matchers}
    target: systemd/{{{{ labels.service }}}}
    response:
      - playbook: restart
        with: {{ unit: "{{{{ labels.service }}}}" }}
    limits: {{ settle: 2m, cooldown: 30m, rate: 2 per 6h }}
"#
        )
        .unwrap_or_default();
    }
    text
}

const PLAYBOOK: &str = "\
playbook: restart
parameters:
  unit: { type: string, required: true }
steps:
  - name: restart it
    command: { argv: [systemctl, restart, '{{ unit }}'] }
    timeout: 30s
    on_unknown: ask
";

/// Without warnings, which would be measured too.
const SETTINGS: &str = "mode: observe\nalertmanager: { url: http://localhost:9093 }\n";

/// Kilobytes out of `/proc/self/status`.
fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|it| it.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}

/// Seconds that this process has computed: what the wall shows when nothing else runs.
fn computed() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = |at| after_name.split(' ').nth(at).and_then(|it| it.parse::<f64>().ok());
    // hundredths of seconds, in user space and in the kernel
    (ticks(12).unwrap_or_default() + ticks(13).unwrap_or_default()) / 100.0
}

/// Loads once and prints what it took.
fn load(config: &Path) -> ExitCode {
    let before = memory("VmRSS");
    let start = Instant::now();
    let loaded = quell::library::load(Some(config), &|_| None);
    let (took, computed) = (start.elapsed().as_secs_f64(), computed());
    if loaded.library.is_none() || loaded.diagnostics.len() > 10 {
        println!("{}", loaded.render(false));
        return ExitCode::FAILURE;
    }
    let rules = loaded.counts.rules;
    let peak = memory("VmHWM");
    drop(loaded.sources);
    let held = memory("VmRSS").saturating_sub(before);
    println!(
        "{rules} rules: {took:.2} s, of which computing {computed:.2} s; peak {} MB, held {} MB",
        peak / 1000,
        held / 1000
    );
    ExitCode::SUCCESS
}

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    if let [word, config] = arguments.as_slice()
        && word == "once"
    {
        return load(Path::new(config));
    }
    let number =
        |at: usize, default| arguments.get(at).and_then(|it| it.parse().ok()).unwrap_or(default);
    let (count, files) = (number(0, 100_000), number(1, 100));
    let folder = std::env::temp_dir().join(format!("quell-bench-load-{}", std::process::id()));
    let written = write(&folder, count, files).and_then(|()| {
        for _ in 0..5 {
            #[expect(
                clippy::disallowed_methods,
                reason = "a benchmark measures a process of its own"
            )]
            let mut once = std::process::Command::new(std::env::current_exe()?);
            once.arg("once").arg(folder.join("quell.yml")).status()?;
        }
        Ok(())
    });
    if let Err(error) = std::fs::remove_dir_all(&folder).and(written) {
        println!("{}: {error}", folder.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn write(folder: &Path, count: usize, files: usize) -> std::io::Result<()> {
    for name in ["rules", "playbooks"] {
        std::fs::create_dir_all(folder.join(name))?;
    }
    std::fs::write(folder.join("quell.yml"), SETTINGS)?;
    std::fs::write(folder.join("playbooks/restart.yml"), PLAYBOOK)?;
    let each = count.div_ceil(files.max(1));
    for file in 0..files {
        let from = file * each;
        let text = rules(from, each.min(count.saturating_sub(from)));
        std::fs::write(folder.join(format!("rules/{file:04}.yml")), text)?;
    }
    Ok(())
}
