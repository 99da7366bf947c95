//! `quell completions`: what a shell needs to complete quell's commands and options.

use clap::Args;
use clap::Command;
use clap::ValueEnum;
use clap_complete::Shell;

use crate::cli::help;
use crate::cli::output;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The shell.
    shell: Name,
}

/// The shells that people on call have; `clap_complete` knows others that nobody tests.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Name {
    Bash,
    Zsh,
    Fish,
}

pub(super) fn run(options: &Options) {
    let shell = match options.shell {
        Name::Bash => Shell::Bash,
        Name::Zsh => Shell::Zsh,
        Name::Fish => Shell::Fish,
    };
    // clap_complete offers hidden commands too: what quell runs itself is nothing to type
    let all = help::command();
    let visible = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let mut command = Command::new("quell").args(all.get_arguments().cloned()).subcommands(visible);
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "quell", &mut script);
    output::line(String::from_utf8_lossy(&script).trim_end());
}
