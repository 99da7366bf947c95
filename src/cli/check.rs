//! `quell check`: all that is wrong with the files, for people and for machines.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use clap::ValueEnum;

use crate::cli::Place;
use crate::cli::environment;
use crate::cli::output;
use crate::error::Error;
use crate::library;
use crate::library::Loaded;
use crate::library::Outside;
use crate::library::Severity;
use crate::library::report;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// quell.yml, folders, or single files; the configured set when silent.
    paths: Vec<PathBuf>,
    /// Warnings fail too: exit code 1.
    #[arg(long)]
    strict: bool,
    /// Text for people, one JSON document, or annotations of a GitHub workflow.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Prometheus's alerting rules: say which alerts no rule matches, and which rules match no alert. Files, folders and
    /// patterns; with prometheus.yml its external labels count too, and the rules that it lists.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    prometheus_rules: Vec<PathBuf>,
    /// alertmanager.yml: say which routes and alerts never reach quell, and what its receiver would lose.
    #[arg(long, value_name = "FILE")]
    alertmanager: Option<PathBuf>,
    /// The URL that Alertmanager posts to, when it does not end in quell's own path.
    #[arg(long, value_name = "URL", requires = "alertmanager")]
    quell_url: Option<String>,
}

/// How what was found is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Github,
}

pub(super) fn run(at: &Place, options: &Options) -> Result<(), Error> {
    let outside = Outside {
        prometheus_rules: options.prometheus_rules.clone(),
        alertmanager: options.alertmanager.clone(),
        quell_url: options.quell_url.clone(),
    };
    let loaded = if options.paths.is_empty() {
        library::check(at.file().as_deref(), &outside, &environment)
    } else {
        library::check_paths_against(&options.paths, &outside, &environment)
    };
    match options.format {
        _ if at.json => output::json(&report::document(&loaded)),
        Format::Json => output::json(&report::document(&loaded)),
        Format::Text => {
            output::line(loaded.render(output::colour()).trim_end());
            if let Some(words) = where_more_is(&loaded) {
                output::line(&words);
            }
        }
        Format::Github => {
            let text = report::github(&loaded);
            if !text.is_empty() {
                output::line(text.trim_end());
            }
            // a workflow shows annotations elsewhere, and its log is read too
            output::line(&library::summary(loaded.counts, &loaded.diagnostics));
        }
    }
    let warnings = options.strict && loaded.of(Severity::Warning) > 0;
    if loaded.library.is_some() && !warnings { Ok(()) } else { Err(Error::problems("Q0100", "")) }
}

/// Said once, not below each of forty errors.
fn where_more_is(loaded: &Loaded) -> Option<String> {
    let codes: BTreeSet<&str> =
        loaded.diagnostics.iter().map(|it| it.code).filter(|it| !it.is_empty()).collect();
    let first = codes.first()?;
    Some(match codes.len() {
        1 => format!("more about it: quell explain-error {first}"),
        count => format!("more about each of {count} codes: quell explain-error {first}, …"),
    })
}
