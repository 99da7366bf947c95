//! Runs the command line, prints the error chain, chooses the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    quell::cli::main()
}
