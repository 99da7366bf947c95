//! Runs the command line, prints the error chain, chooses the exit code.

fn main() {}
