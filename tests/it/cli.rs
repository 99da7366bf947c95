//! The command line as people and scripts meet it: what it prints, and how it ends.

mod backtest;
mod begin;
mod check;
mod demo;
mod files;
mod lists;
mod output;
mod rehearsals;

use std::fmt::Write as _;

use crate::support::quell::Quell;

/// No subcommand is shown without its help, and no help changes unseen.
#[tokio::test]
async fn help_of_every_command() {
    let quell = Quell::prepare("", &[]);
    let top = quell.cli(&["--help"]).await;
    assert_eq!((top.code, top.err.as_str()), (0, ""));
    let mut text = format!("$ quell --help\n{}", top.out);
    // commands by purpose, each on one line
    let commands = top.out.lines().take_while(|line| *line != "Options:");
    let names: Vec<&str> =
        commands.filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next()).collect();
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        let shown = quell.cli(&[name, "--help"]).await;
        assert_eq!((shown.code, shown.err.as_str()), (0, ""), "{name}");
        write!(text, "\n$ quell {name} --help\n{}", shown.out).unwrap();
    }
    insta::assert_snapshot!("help", text);
}

#[tokio::test]
async fn a_command_that_does_not_exist_or_says_too_little() {
    let quell = Quell::prepare("", &[]);
    for arguments in [&["incidetns"][..], &[], &["ack"], &["approve", "r-1"]] {
        let said = quell.cli(arguments).await;
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{arguments:?}: {said:#?}");
    }
    let said = quell.cli(&["incidetns"]).await;
    insta::assert_snapshot!(said.err, @r"
    error: unrecognized subcommand 'incidetns'

      tip: some similar subcommands exist: 'init', 'incidents'

    Usage: quell [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
}
