//! The command line as people and scripts meet it: what it prints, and how it ends.

mod backtest;
mod demo;
mod files;
mod lists;
mod output;

use std::fmt::Write as _;

use crate::support::quell::Quell;

/// No subcommand is shown without its help, and no help changes unseen.
#[tokio::test]
async fn help_of_every_command() {
    let quell = Quell::prepare("", &[]);
    let top = quell.cli(&["--help"]).await;
    assert_eq!((top.code, top.err.as_str()), (0, ""));
    let mut text = format!("$ quell --help\n{}", top.out);
    let commands = top.out.lines().skip_while(|line| *line != "Commands:").skip(1);
    for line in commands.take_while(|line| !line.is_empty()) {
        // a description that is continued is indented further
        let Some(name) = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) else {
            continue;
        };
        let name = name.split_whitespace().next().unwrap();
        if name == "help" {
            continue;
        }
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
    insta::assert_snapshot!(said.err, @"
    error: unrecognized subcommand 'incidetns'

      tip: a similar subcommand exists: 'incidents'

    Usage: quell [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
}
