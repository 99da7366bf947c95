//! `quell completions`: what a shell needs to complete quell's commands and options.

use clap::Args;
use clap::ValueEnum;
use clap_complete::Shell;

use crate::cli::help;
use crate::cli::output;
use crate::error::Error;

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

pub(super) fn run(options: &Options) -> Result<(), Error> {
    let shell = match options.shell {
        Name::Bash => Shell::Bash,
        Name::Zsh => Shell::Zsh,
        Name::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut help::command(), "quell", &mut script);
    output::line(String::from_utf8_lossy(&script).trim_end());
    Ok(())
}
