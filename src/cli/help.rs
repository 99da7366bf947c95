//! The help of the command line: commands by purpose, and examples of each.

use std::fmt::Write as _;

use clap::Command;
use clap::CommandFactory as _;
use clap::FromArgMatches as _;

use crate::cli::Cli;

/// A command line, and what it is for.
type Example = (&'static str, &'static str);

/// A command, and examples of it.
type Shown = (&'static str, &'static [Example]);

/// Heading of the options that every command has.
pub(super) const COMMON: &str = "Common options";

/// Commands by purpose, in the order in which people need them, each with examples.
const GROUPS: &[(&str, &[Shown])] = &[
    (
        "Begin",
        &[
            (
                "demo",
                &[
                    ("quell demo", "15 seconds; no configuration, no network"),
                    ("quell demo --keep", "stay up afterwards, to look around"),
                    ("quell demo --fault leaked-pool", "another fault"),
                    ("quell demo --with-prometheus", "the real Prometheus and Alertmanager"),
                ],
            ),
            (
                "init",
                &[
                    ("quell init quell", "a folder with quell.yml, rules/, playbooks/, schemas/"),
                    ("quell init .", "the same here; nothing is overwritten"),
                ],
            ),
        ],
    ),
    (
        "Write rules",
        &[
            (
                "check",
                &[
                    ("quell check", "quell.yml here, and the files that it lists"),
                    ("quell check rules playbooks/restart.yml", "these folders and files"),
                    (
                        "quell check --strict --format github",
                        "in CI: warnings fail, and annotate the change",
                    ),
                    (
                        "quell check --alertmanager alertmanager.yml",
                        "and which alerts never reach quell",
                    ),
                ],
            ),
            ("explain-error", &[("quell explain-error Q0321", "what it means, and what to write")]),
            (
                "test",
                &[
                    ("quell test", "the tests beside the rules of quell.yml"),
                    ("quell test rules/api.test.yml --verbose", "one file; what happened, too"),
                    ("quell test --coverage", "and which rules and guards no test reached"),
                ],
            ),
            (
                "backtest",
                &[
                    (
                        "quell backtest --prometheus http://localhost:9090 --since 30d",
                        "what these rules would have done with the last 30 days",
                    ),
                    (
                        "quell backtest --since 7d --compare ../new-rules",
                        "and what others would have",
                    ),
                    ("quell backtest bodies.jsonl --mode auto", "recorded webhook bodies"),
                ],
            ),
            (
                "explain",
                &[
                    (
                        "quell explain --label alertname=InstanceDown --label job=shop",
                        "an alert by its labels",
                    ),
                    ("quell explain body.json", "the alerts of a webhook body"),
                    ("quell explain body.json --at 02:30", "at another time, with its windows"),
                    ("quell explain --schedule nightly-backup", "the next slot of a schedule"),
                    (
                        "quell explain body.json --server http://localhost:9797",
                        "with what the server knows",
                    ),
                    ("quell explain i-12", "what was decided of an incident"),
                ],
            ),
            (
                "schema",
                &[
                    ("quell schema --out schemas", "all kinds, as files beside your rules"),
                    ("quell schema rules", "one kind, to standard output"),
                ],
            ),
        ],
    ),
    (
        "Serve",
        &[
            (
                "serve",
                &[
                    ("quell serve", "quell.yml here, or defaults without one"),
                    ("quell serve --config /etc/quell/quell.yml", "other settings"),
                ],
            ),
            (
                "send",
                &[
                    ("quell send --label alertname=InstanceDown --label job=shop", "a test alert"),
                    (
                        "quell send --label alertname=InstanceDown --label job=shop --resolved",
                        "its end",
                    ),
                ],
            ),
        ],
    ),
    (
        "On call",
        &[
            (
                "incidents",
                &[
                    ("quell incidents", "those that are open"),
                    ("quell incidents i-12", "one, with all that happened"),
                    ("quell incidents --all --json", "all, for scripts"),
                ],
            ),
            ("ack", &[("quell ack i-12", "told to all channels; nobody else is called")]),
            (
                "take",
                &[(
                    "quell take i-12 --by dana",
                    "its runs stop before their next step, and none begins",
                )],
            ),
            ("give-back", &[("quell give-back i-12 --by dana", "quell judges it again")]),
            (
                "runs",
                &[
                    ("quell runs", "the latest"),
                    ("quell runs r-7", "one, with its plan and its journal"),
                ],
            ),
            ("schedules", &[("quell schedules", "when each runs next, and what was left out")]),
            (
                "approve",
                &[(
                    "quell approve r-7 --by dana --digest 3f9a1c07",
                    "the plan that `quell runs r-7` shows",
                )],
            ),
            ("reject", &[("quell reject r-7 maintenance --by dana", "people take over")]),
            (
                "cancel",
                &[("quell cancel r-7", "it ends before its next step, and what was done stands")],
            ),
            (
                "answer",
                &[
                    ("quell answer r-7 happened", "go on after the step"),
                    ("quell answer r-7 did-not-happen", "do it again"),
                    ("quell answer r-7 yes --by dana", "to a question that takes yes or no"),
                    ("quell answer r-7 replicas=3 --by dana", "to one that asks for more"),
                ],
            ),
            (
                "pause",
                &[
                    ("quell pause", "everything; needs neither server nor network"),
                    ("quell pause target:systemd/shop", "one target"),
                    ("quell pause rule:service-error-rate", "one rule"),
                ],
            ),
            (
                "resume",
                &[
                    ("quell resume", "everything"),
                    ("quell resume target:systemd/shop", "one target"),
                ],
            ),
            (
                "rules",
                &[
                    ("quell rules", "mode, runs, success, and when people disagreed"),
                    ("quell rules api-error-rate --json", "one, for scripts"),
                ],
            ),
            (
                "promote",
                &[
                    (
                        "quell promote api-error-rate --by dana --reason fixed-the-probe",
                        "one rung: observe, approve, auto",
                    ),
                    (
                        "quell promote api-error-rate --to auto --by dana --reason tested",
                        "at once, if the files allow it",
                    ),
                ],
            ),
            (
                "changed",
                &[
                    (
                        "quell changed kubernetes/prod/deployment/api --reason deploy-41",
                        "quell keeps off it for a while",
                    ),
                    ("quell changed kubernetes/prod --by dana", "and off all below it"),
                ],
            ),
            ("changes", &[("quell changes", "who changed what, and when")]),
            (
                "window",
                &[
                    (
                        "quell window add deploy --for 2h --effect observe --reason deploy-41",
                        "plan and tell, but do nothing, for two hours",
                    ),
                    (
                        "quell window add freeze --for 1d --effect refuse --match service=shop --reason sale",
                        "nothing begins for alerts of the shop",
                    ),
                    ("quell window list", "those of quell.yml and added ones, with the next span"),
                    ("quell window end deploy", "now; what waited is judged again"),
                ],
            ),
            (
                "break-glass",
                &[
                    (
                        "quell break-glass --rule api-rollback --for 30m --by dana --reason outage",
                        "nobody has to approve what this rule does",
                    ),
                    ("quell break-glass", "those there were"),
                    ("quell break-glass --revoke 3 --by dana", "end one now"),
                ],
            ),
            ("notifications", &[("quell notifications", "those that reached nobody")]),
            (
                "credential",
                &[
                    ("quell credential list", "those that were refused"),
                    ("quell credential clear targets.http.shop --by dana", "it works again: go on"),
                ],
            ),
        ],
    ),
    (
        "Look after it",
        &[
            (
                "audit",
                &[
                    ("quell audit verify", "nothing that was recorded was changed since"),
                    (
                        "quell audit verify --anchor /var/lib/quell/anchor",
                        "nor was its end cut off",
                    ),
                    ("quell audit prove r-12/3 > proof.json", "one record is in the signed log"),
                ],
            ),
            ("backup", &[("quell backup night.backup", "beside the server; SQLite or PostgreSQL")]),
            (
                "restore",
                &[("quell restore night.backup", "into an empty database of either engine")],
            ),
            (
                "completions",
                &[
                    (
                        "quell completions bash > ~/.local/share/bash-completion/completions/quell",
                        "",
                    ),
                    ("quell completions zsh > ~/.zfunc/_quell", ""),
                    ("quell completions fish > ~/.config/fish/completions/quell.fish", ""),
                ],
            ),
        ],
    ),
];

/// The command line of this process; without an end when it asks for help or is wrong.
pub(super) fn parse() -> Cli {
    let matches = command().get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command()).exit())
}

/// The command line as it is shown: grouped, with examples.
pub(super) fn command() -> Command {
    let command = Cli::command();
    let list = list(&command);
    let command = command.mut_subcommands(|command| match examples(command.get_name()) {
        Some(examples) => {
            let more = command.get_after_help().map(|it| format!("\n\n{it}"));
            command.after_help(format!("{}{}", shown(examples), more.unwrap_or_default()))
        }
        None => command,
    });
    command
        .help_template(format!(
            "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{list}Options:\n{{options}}{{after-help}}"
        ))
        .after_help(
            "quell COMMAND --help shows the options of a command, and examples.\n\
             Exit codes: 0 fine, 1 found problems, 2 could not run.",
        )
}

/// Commands by purpose, each with its first line.
fn list(command: &Command) -> String {
    let mut text = String::new();
    for (purpose, commands) in GROUPS {
        let _infallible = writeln!(text, "{purpose}:");
        for (name, _) in *commands {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let _infallible = writeln!(text, "  {name:13}  {about}");
        }
        text.push('\n');
    }
    text
}

fn examples(name: &str) -> Option<&'static [Example]> {
    let mut commands = GROUPS.iter().flat_map(|(_, commands)| *commands);
    commands.find(|(it, _)| *it == name).map(|(_, examples)| *examples)
}

fn shown(examples: &[Example]) -> String {
    let width = examples.iter().map(|(line, _)| line.len()).max().unwrap_or_default();
    let lines = examples.iter().map(|(line, what)| format!("  {line:width$}   {what}"));
    let lines: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
    format!("Examples:\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_purpose_and_examples_that_parse() {
        let all = Cli::command();
        let listed: Vec<&str> =
            GROUPS.iter().flat_map(|(_, it)| *it).map(|(name, _)| *name).collect();
        for command in all.get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = command.get_name();
            let times = listed.iter().filter(|it| **it == name).count();
            assert_eq!(times, 1, "`quell {name}` belongs into one group of help.rs");
        }
        for (name, examples) in GROUPS.iter().flat_map(|(_, it)| *it) {
            assert!(!examples.is_empty(), "{name} has no example");
            for (line, _) in *examples {
                let line = line.split(" > ").next().unwrap();
                let words: Vec<&str> = line.split_whitespace().collect();
                assert_eq!(words[..2], ["quell", *name], "{line}");
                if let Err(error) = command().try_get_matches_from(words) {
                    panic!("{line}: {error}");
                }
            }
        }
    }

    #[test]
    fn the_list_of_commands_fits_a_terminal() {
        for line in list(&Cli::command()).lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
