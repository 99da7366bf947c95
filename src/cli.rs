//! The command line. Exit codes: 0 fine, 1 found problems, 2 could not run.

mod audit;
mod backtest;
mod backup;
mod changes;
mod check;
mod completions;
mod credential;
mod demo;
mod explain;
mod explain_error;
mod hands;
mod help;
mod init;
mod list;
mod output;
mod people;
mod rules;
mod schedules;
mod schema;
mod send;
mod serve;
mod server;
mod test;
mod window;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::Subcommand;

use crate::clock::Clock;
use crate::demo::shop;
use crate::error::Error;
use crate::error::Exit;
use crate::error::chain;
use crate::exec;
use crate::library;
use crate::library::Library;
use crate::store::Store;
use crate::store::sqlite_file;

/// Receives Prometheus alerts, decides whether a machine may act, runs the remedy, checks that it helped, tells people.
#[derive(Debug, Parser)]
#[command(name = "quell", version, max_term_width = 100)]
struct Cli {
    /// Settings; without it, quell.yml in the working directory if there is one, else defaults.
    #[arg(
        long,
        short,
        global = true,
        help_heading = help::COMMON,
        env = "QUELL_CONFIG",
        hide_env_values = true,
        value_name = "FILE"
    )]
    config: Option<PathBuf>,
    /// Machine-readable output.
    #[arg(long, global = true, help_heading = help::COMMON)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show quell at work on a small service with a real fault.
    Demo(demo::Options),
    /// Write a commented starter set: settings, rule, playbook, test.
    Init(init::Options),
    /// Receive alerts, act, tell people.
    Serve,
    /// Check settings, rules and playbooks; every error at once.
    Check(check::Options),
    /// Say what an error code means, with an example.
    ExplainError(explain_error::Options),
    /// Run the tests of rules: *.test.yml, on a virtual clock.
    Test(test::Options),
    /// Replay the alerts of the past through rules and guards.
    Backtest(backtest::Options),
    /// Say why quell would, would not or did not act.
    Explain(explain::Options),
    /// Post a test alert to a running quell, and show what it decides.
    Send(send::Options),
    /// List incidents, or show one with all that happened.
    Incidents(list::Incidents),
    /// List runs, or show one with its journal.
    Runs(list::Runs),
    /// List schedules: when each runs next, and what was left out.
    Schedules,
    /// List notifications that reached nobody, or another kind.
    Notifications(list::Notifications),
    /// Acknowledge an incident: "mine".
    Ack(people::Ack),
    /// Take an incident over: quell stops, and keeps away.
    Take(hands::Take),
    /// Give an incident back that was taken over.
    GiveBack(hands::GiveBack),
    /// Approve the plan of a run that waits for it.
    Approve(people::Approve),
    /// Reject the plan of a run that waits for approval.
    Reject(people::Reject),
    /// Stop a run before its next step.
    Cancel(people::Cancel),
    /// Answer the question of a run, or say whether a step happened.
    Answer(people::Answer),
    /// Stop all effects, or those of one rule, playbook or target.
    Pause(people::Pause),
    /// Clear a pause.
    Resume(people::Resume),
    /// List refused credentials, or clear one that works again.
    #[command(subcommand)]
    Credential(credential::Credential),
    /// Add, list or end windows: maintenance, a freeze.
    #[command(subcommand)]
    Window(window::Command),
    /// List rules: what each may do, and what its runs came to.
    Rules(rules::Listing),
    /// Trust a rule again that was demoted because it did not help.
    Promote(rules::Promote),
    /// Tell that somebody changed a target, so that quell keeps off it.
    Changed(changes::Told),
    /// List what people changed.
    Changes(changes::Listing),
    /// Act without approval for a time, and page everybody.
    BreakGlass(hands::BreakGlass),
    /// Write all that is stored into a file, beside a server.
    Backup(backup::Backup),
    /// Fill an empty database from a backup, and pause.
    Restore(backup::Restore),
    /// Check, prove and export what was recorded.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Write JSON Schemas of the files, for editors.
    Schema(schema::Options),
    /// Write completions for bash, zsh or fish.
    Completions(completions::Options),
    #[command(name = "demo-shop", hide = true)]
    DemoShop(shop::Options),
    #[command(name = "demo-restart-shop", hide = true)]
    DemoRestartShop {
        #[arg(long)]
        state: PathBuf,
    },
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    // before anything else: what keeps a command has nothing to do with the command line of people
    if let Some(code) = exec::keeper_main() {
        return code;
    }
    exec::use_keepers();
    let cli = help::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return fail(&Error::new("Q0001", format!("could not start the runtime: {error}")));
        }
    };
    let code = match runtime.block_on(run(cli)) {
        Ok(()) => match output::lost() {
            None => ExitCode::SUCCESS,
            Some(why) => {
                fail(&Error::new("Q0414", format!("could not write all of the output: {why}")))
            }
        },
        Err(error) => fail(&error),
    };
    // a blocked thread, such as a name lookup, must not keep the process
    runtime.shutdown_background();
    code
}

async fn run(cli: Cli) -> Result<(), Error> {
    let at = Place { config: cli.config, json: cli.json };
    match cli.command {
        Command::Demo(options) => demo::run(&options).await,
        Command::Init(options) => init::run(&options),
        Command::Serve => serve::run(&at).await,
        Command::Check(options) => check::run(&at, &options),
        Command::ExplainError(options) => explain_error::run(&at, &options),
        Command::Test(options) => test::run(&at, &options),
        Command::Backtest(options) => backtest::run(&at, &options).await,
        Command::Explain(options) => explain::run(&at, &options).await,
        Command::Send(options) => send::run(&at, &options).await,
        Command::Incidents(options) => list::incidents(&at, &options).await,
        Command::Runs(options) => list::runs(&at, &options).await,
        Command::Schedules => schedules::list(&at).await,
        Command::Notifications(options) => list::notifications(&at, &options).await,
        Command::Ack(options) => people::ack(&at, &options).await,
        Command::Take(options) => hands::take(&at, &options).await,
        Command::GiveBack(options) => hands::give_back(&at, &options).await,
        Command::BreakGlass(options) => hands::break_glass(&at, &options).await,
        Command::Approve(options) => people::approve(&at, &options).await,
        Command::Reject(options) => people::reject(&at, &options).await,
        Command::Cancel(options) => people::cancel(&at, &options).await,
        Command::Answer(options) => people::answer(&at, &options).await,
        Command::Pause(options) => people::pause(&at, &options).await,
        Command::Resume(options) => people::resume(&at, &options).await,
        Command::Credential(command) => credential::run(&at, &command).await,
        Command::Rules(options) => rules::list(&at, &options).await,
        Command::Promote(options) => rules::promote(&at, &options).await,
        Command::Changed(options) => changes::tell(&at, &options).await,
        Command::Changes(options) => changes::list(&at, &options).await,
        Command::Window(command) => window::run(&at, command).await,
        Command::Backup(options) => backup::backup(&at, &options).await,
        Command::Restore(options) => backup::restore(&at, &options).await,
        Command::Audit(command) => audit::run(&at, &command).await,
        Command::Schema(options) => schema::run(&options),
        Command::Completions(options) => {
            completions::run(&options);
            Ok(())
        }
        Command::DemoShop(options) => shop::serve(options).await,
        Command::DemoRestartShop { state } => {
            let line = crate::demo::process::restart_shop(&state).await?;
            output::line(&line);
            Ok(())
        }
    }
}

fn fail(error: &Error) -> ExitCode {
    // without a message, what was found is printed already
    if !error.message.is_empty() {
        output::error(error.code, &chain(error), &error.hint);
    }
    match error.exit {
        Exit::Problems => ExitCode::from(1),
        Exit::CouldNotRun => ExitCode::from(2),
    }
}

/// Where a command looks, and how it prints.
#[derive(Debug)]
struct Place {
    config: Option<PathBuf>,
    json: bool,
}

impl Place {
    /// The settings file: given, or quell.yml here, or none.
    fn file(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| {
            let here = PathBuf::from("quell.yml");
            here.is_file().then_some(here)
        })
    }

    /// Loads the configured set; its errors are printed, and its warnings only for who serves it: `quell ack` at night
    /// is no place for them.
    fn library(&self) -> Result<Library, Error> {
        self.loaded(false)
    }

    fn loaded(&self, serves: bool) -> Result<Library, Error> {
        let mut loaded = library::load(self.file().as_deref(), &environment);
        let found = loaded.library.take();
        if found.is_none() || serves && !loaded.diagnostics.is_empty() {
            output::diagnostics(&loaded);
        }
        found.ok_or_else(|| {
            Error::new("Q0100", "the files have errors").hint("correct them, then `quell check`")
        })
    }

    /// Opens the configured database, beside a running server or without one.
    async fn store(&self) -> Result<(Library, Store), Error> {
        let library = self.library()?;
        let storage = library.config.storage.reveal();
        if let Some(file) = sqlite_file(storage)
            && !file.exists()
        {
            return Err(Error::new(
                "Q0407",
                format!("there is no database {} yet", file.display()),
            )
            .hint("name the settings of the server with --config, or start `quell serve`"));
        }
        let store = Store::open(storage, Clock::System).await?;
        Ok((library, store))
    }
}

/// Variables that quell.yml may name.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Who acts on the command line: whoever is logged in.
fn person() -> String {
    ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(|| "the command line".into())
}

/// There is no such incident or run.
fn missing(words: String) -> Error {
    let list = if words.contains("incident") { "incidents --all" } else { "runs" };
    Error::problems("Q0408", words).hint(format!("`quell {list}` lists those there are"))
}

/// A store error on the command line.
fn store_error(error: crate::store::StoreError) -> Error {
    use crate::store::StoreError;
    match error {
        StoreError::Missing(words) if words.contains("window") => {
            Error::problems("Q0408", words).hint("`quell window list` lists those there are")
        }
        StoreError::Missing(words) => missing(words),
        StoreError::Conflict(words) => Error::problems("Q0408", words),
        StoreError::Forbidden(words) => Error::problems("Q0410", words),
        StoreError::Invalid(words) => Error::problems("Q0415", words)
            .hint("nothing was changed: it still waits; `quell runs RUN` shows what it asks"),
        other => Error::new("Q0404", other.to_string())
            .hint("is the database reachable, and the disk not full?"),
    }
}
