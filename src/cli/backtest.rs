//! `quell backtest`: replays the alerts of the past through rules and guards on virtual time. Nothing acts.

mod show;
mod source;

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use self::source::Source;
use crate::cli::Place;
use crate::cli::output;
use crate::clock::Clock;
use crate::error::Error;
use crate::history::Chunk;
use crate::history::Transition;
use crate::library;
use crate::library::Library;
use crate::library::Tested;
use crate::model::config::Config;
use crate::model::playbook::Mode;
use crate::model::rule::Set;
use crate::model::time::after;
use crate::model::time::before;
use crate::model::time::parse_duration;
use crate::rehearse::backtest;
use crate::rehearse::backtest::Backtest;
use crate::rehearse::backtest::Report;

/// What is still due after the last transition may happen within this time.
const TAIL: Duration = Duration::from_hours(24);
/// Chunks that may wait for a set of rules that is slower than the reading.
const WAITING: usize = 4;

/// Reads the past from Prometheus, from a running quell, from recorded webhook bodies, or, when none is named, from the
/// database of quell.yml.
#[derive(Debug, Args)]
#[command(
    after_long_help = "A file holds one webhook body, or one a line; a line may be {\"at\": TIME, \"body\": {…}}.

Prometheus keeps neither annotations nor external labels with ALERTS (add those with --label), and knows nothing
of what Alertmanager groups, delays, silences and inhibits.

What a remedy would have changed is not known: a verification sees what really happened, steps succeed, and
nobody approves or acknowledges."
)]
pub(super) struct Options {
    /// Recorded webhook bodies.
    files: Vec<PathBuf>,
    /// A Prometheus that has the ALERTS; headers are those of `prometheus:` in quell.yml.
    #[arg(long, value_name = "URL", conflicts_with_all = ["files", "server"])]
    prometheus: Option<String>,
    /// A running quell that has the episodes.
    #[arg(long, value_name = "URL", conflicts_with = "files")]
    server: Option<String>,
    /// An operator's token for --server.
    #[arg(long, env = "QUELL_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// How far back.
    #[arg(long, default_value = "30d", value_parser = parse_duration)]
    since: Duration,
    /// To this time; now when silent.
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Join firings with a gap up to this long, as Alertmanager's `group_interval` hides them. Of Prometheus only.
    #[arg(long, value_parser = parse_duration)]
    gap: Option<Duration>,
    /// A label that each alert of Prometheus gets besides, such as an external label; repeat it for each.
    #[arg(long = "label", short, value_name = "NAME=VALUE", value_parser = super::explain::pair)]
    labels: Vec<(String, String)>,
    /// As if quell.yml said this mode.
    #[arg(long, value_parser = mode)]
    mode: Option<Mode>,
    /// Say what the rules of this folder (or with this quell.yml) would have done differently.
    #[arg(long, value_name = "DIR")]
    compare: Option<PathBuf>,
    /// Show counts a day, too.
    #[arg(long)]
    days: bool,
    /// Show all differences, reasons and unmatched alerts, not only the first.
    #[arg(long)]
    all: bool,
}

fn mode(text: &str) -> Result<Mode, String> {
    [Mode::Observe, Mode::Approve, Mode::Auto]
        .into_iter()
        .find(|mode| mode.as_str() == text)
        .ok_or_else(|| "expected observe, approve or auto".into())
}

pub(super) async fn run(at: &Place, options: &Options) -> Result<(), Error> {
    let library = at.library()?;
    let other = options.compare.as_deref().map(|it| other_library(it, &library)).transpose()?;
    let until = options.until.unwrap_or_else(|| Clock::System.now());
    let since = before(until, options.since);
    let mut source = source::open(at, options, &library, since, until).await?;
    let config = with_mode(&library.config, options.mode);
    let mut sets = vec![(&library, &config)];
    let other = other.map(|(other, own)| {
        let config = with_mode(if own { &other.config } else { &library.config }, options.mode);
        (other, config)
    });
    if let Some((other, config)) = &other {
        sets.push((other, config));
    }
    // the sets compute, each on a thread of its own, while this one reads
    let reports = tokio::task::block_in_place(|| replay(&mut source, &sets))?;
    let mut reports = reports.into_iter();
    let Some(report) = reports.next() else { return Ok(()) };
    let comparison = reports.next().map(|after| (backtest::compare(&report, &after), after));
    if at.json {
        let comparison = comparison.as_ref();
        output::json(&serde_json::json!({
            "source": source.describe(),
            "mode": config.mode.value,
            "report": report,
            "compared": comparison.map(|it| &it.1),
            "comparison": comparison.map(|it| &it.0),
        }));
        return Ok(());
    }
    show::report(&report, &source.describe(), &config, options);
    if let (Some((comparison, _)), Some(other)) = (comparison, &options.compare) {
        show::comparison(&comparison, &other.display().to_string(), options.all);
    }
    Ok(())
}

fn with_mode(config: &Config, mode: Option<Mode>) -> Config {
    let mut config = config.clone();
    if let Some(mode) = mode {
        config.mode = Set { value: mode, place: config.mode.place.clone() };
    }
    config
}

/// The other rules: a settings file, a folder with one, or a folder of rules and playbooks; of a folder of rules alone, the
/// playbooks are those in use. Without settings of its own, those in use hold.
fn other_library(path: &Path, library: &Library) -> Result<(Library, bool), Error> {
    let settings = if path.is_file() { path.to_owned() } else { path.join("quell.yml") };
    let (mut loaded, own) = if settings.is_file() {
        let tested = Tested { config: Some(settings), ..Tested::default() };
        (library::load_tests(&tested), true)
    } else {
        let alone = library::check_paths(&[path.to_owned()], &super::environment);
        let complete = alone.library.as_ref().is_none_or(|it| !it.playbooks.is_empty());
        let in_use: BTreeSet<PathBuf> =
            library.playbooks.values().map(|it| PathBuf::from(&it.file)).collect();
        if complete || in_use.is_empty() {
            (alone, false)
        } else {
            let mut paths = vec![path.to_owned()];
            paths.extend(in_use);
            (library::check_paths(&paths, &super::environment), false)
        }
    };
    let found = loaded.library.take().ok_or_else(|| {
        output::diagnostics(&loaded);
        Error::new("Q0100", format!("the files of {} have errors", path.display()))
            .hint("correct them, then `quell check`")
    })?;
    Ok((found, own))
}

/// Reads to the end, and lets each set of rules take all of it.
fn replay(source: &mut Source, sets: &[(&Library, &Config)]) -> Result<Vec<Report>, Error> {
    let handle = tokio::runtime::Handle::current();
    let (first, last) = source.span();
    let compared = sets.len() > 1;
    thread::scope(|scope| {
        let (senders, threads): (Vec<SyncSender<Arc<Vec<Transition>>>>, Vec<_>) = sets
            .iter()
            .map(|(library, config)| {
                let (send, receive) = mpsc::sync_channel::<Arc<Vec<Transition>>>(WAITING);
                let thread = scope.spawn(move || {
                    let mut begun: Option<Backtest<'_>> = None;
                    for chunk in receive {
                        for it in chunk.iter() {
                            let start = first.unwrap_or(it.at);
                            begun
                                .get_or_insert_with(|| {
                                    Backtest::new(library, config, start, compared)
                                })
                                .take(it.at, &it.alert, it.truncated);
                        }
                    }
                    begun.map_or_else(Report::default, |it| {
                        let end = last.unwrap_or_else(|| after(it.now(), TAIL));
                        it.end(end)
                    })
                });
                (send, thread)
            })
            .unzip();
        let mut progress = Progress::new();
        let read = loop {
            match handle.block_on(source.read()) {
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
                Ok(Some(Chunk { transitions, done, .. })) => {
                    progress.show(done, transitions.len());
                    let chunk = Arc::new(transitions);
                    for sender in &senders {
                        // it ends early only by a panic, which is met below
                        drop(sender.send(Arc::clone(&chunk)));
                    }
                }
            }
        };
        drop(senders);
        let reports: Result<Vec<Report>, Error> = threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .map_err(|_| Error::new("Q0001", "a backtest ended by a defect of quell"))
            })
            .collect();
        progress.clear();
        read.and(reports)
    })
}

/// A bar on a terminal; nothing elsewhere.
struct Progress {
    terminal: bool,
    transitions: usize,
    shown: u64,
}

impl Progress {
    const WIDTH: u64 = 40;

    fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), transitions: 0, shown: u64::MAX }
    }

    fn show(&mut self, done: f64, more: usize) {
        self.transitions += more;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to 1000"
        )]
        let permille = (done.clamp(0.0, 1.0) * 1000.0) as u64;
        if !self.terminal || permille == self.shown {
            return;
        }
        self.shown = permille;
        let filled = usize::try_from(permille * Self::WIDTH / 1000).unwrap_or_default();
        let width = usize::try_from(Self::WIDTH).unwrap_or_default();
        let bar: String = "█".repeat(filled) + &"░".repeat(width.saturating_sub(filled));
        output::progress(&format!(
            "{bar} {:3} %  {} transitions",
            permille / 10,
            show::thousands(self.transitions as u64)
        ));
    }

    fn clear(&self) {
        if self.terminal {
            output::progress("");
        }
    }
}
