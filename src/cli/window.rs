//! `quell window`: maintenance and freezes that are added while quell runs, and all windows with their next span.

use std::time::Duration;

use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;
use jiff::Timestamp;

use crate::cli::Place;
use crate::cli::explain::instant;
use crate::cli::output;
use crate::cli::person;
use crate::cli::store_error;
use crate::decide::explain::text::in_words;
use crate::decide::window::list;
use crate::decide::window::list::Listed;
use crate::decide::window::one_off;
use crate::error::Error;
use crate::model::time::parse_duration;
use crate::model::time::show_duration;
use crate::model::time::since;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add a window that is once: it counts at once, and outlives a restart.
    Add(Add),
    /// List windows: those of quell.yml and those that were added.
    List {
        /// Also those that are over.
        #[arg(long)]
        all: bool,
    },
    /// End a window that was added, now; what waited is judged again.
    End {
        /// Its name.
        name: String,
        /// Who; the logged-in user when silent.
        #[arg(long)]
        by: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// Its name; refusals name it.
    name: String,
    /// How long it lasts, such as 2h.
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration, required_unless_present = "until")]
    lasts: Option<Duration>,
    /// When it begins: 2026-01-05T10:15:00Z, 10:15 (today, UTC), or +2h from now; now when silent.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// The first instant after it, instead of --for.
    #[arg(long, value_name = "TIME", conflicts_with = "lasts")]
    until: Option<String>,
    /// Inside, observe plans and never acts, refuse lets nothing begin; allow-only lets nothing begin outside.
    #[arg(long)]
    effect: Effect,
    /// Which alerts and schedules, as in Alertmanager; every one when silent. Repeat it: all must hold.
    #[arg(long = "match", value_name = "MATCHER")]
    matchers: Vec<String>,
    /// Why, for whoever meets it.
    #[arg(long)]
    reason: String,
    /// Who; the logged-in user when silent.
    #[arg(long)]
    by: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Effect {
    Observe,
    Refuse,
    #[value(alias = "allow_only")]
    AllowOnly,
}

impl From<Effect> for crate::model::window::Effect {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::Observe => Self::Observe,
            Effect::Refuse => Self::Refuse,
            Effect::AllowOnly => Self::AllowOnly,
        }
    }
}

pub(super) async fn run(at: &Place, command: Command) -> Result<(), Error> {
    match command {
        Command::Add(options) => add(at, options).await,
        Command::List { all } => list(at, all).await,
        Command::End { name, by } => end(at, &name, by).await,
    }
}

async fn add(at: &Place, options: Add) -> Result<(), Error> {
    let (library, store) = at.store().await?;
    let now = store.clock().now();
    let time = |text: Option<String>, option: &str| {
        let read = text.map(|text| instant(&text, now)).transpose();
        read.map_err(|words| Error::new("Q0604", format!("{option}: {words}")))
    };
    let request = one_off::Request {
        name: options.name,
        lasts: options.lasts,
        from: time(options.from, "--from")?,
        until: time(options.until, "--until")?,
        effect: options.effect.into(),
        matchers: options.matchers,
        reason: options.reason,
        by: options.by.unwrap_or_else(person),
    };
    let window = one_off::one_off(&library.config.windows, request, now)
        .map_err(|words| Error::problems("Q0418", words))?;
    store.add_window(&window).await.map_err(store_error)?;
    if at.json {
        output::json(&window);
        return Ok(());
    }
    let until = in_words(window.until, now);
    let from = if window.from > now {
        format!(" from {}", in_words(window.from, now))
    } else {
        String::new()
    };
    output::line(&format!("{}: {}{from} until {until}", window.name, window.effect.as_str()));
    Ok(())
}

async fn end(at: &Place, name: &str, by: Option<String>) -> Result<(), Error> {
    let (library, store) = at.store().await?;
    if let Some(words) = one_off::not_added(&library.config.windows, name) {
        return Err(Error::problems("Q0418", words));
    }
    store.end_window(name, &by.unwrap_or_else(person)).await.map_err(store_error)?;
    output::line(&format!("{name}: ended; what waited is judged again"));
    Ok(())
}

async fn list(at: &Place, all: bool) -> Result<(), Error> {
    let (library, store) = at.store().await?;
    let now = store.clock().now();
    let added = store.windows().await.map_err(store_error)?;
    let mut windows = list::list(&library.config.windows, &added, now);
    windows.retain(|window| all || !window.is_over());
    if at.json {
        output::json(&windows);
        return Ok(());
    }
    if windows.is_empty() {
        output::line(if all {
            "no windows"
        } else {
            "no windows; --all shows those that are over"
        });
        return Ok(());
    }
    let rows: Vec<Vec<String>> = windows.iter().map(|it| row(it, now)).collect();
    output::table(&["window", "effect", "next", "when", "alerts", "set in", "why"], &rows);
    Ok(())
}

fn row(window: &Listed, now: Timestamp) -> Vec<String> {
    let next = match (window.begins, window.ends) {
        (None, Some(ends)) => format!("now, until {}", in_words(ends, now)),
        (Some(begins), Some(ends)) => {
            format!("{}, for {}", in_words(begins, now), show_duration(since(ends, begins)))
        }
        (_, None) => match &window.ended_by {
            Some(by) => format!("ended by {by}"),
            None => "over".to_owned(),
        },
    };
    let alerts = if window.matchers.is_empty() { "all".into() } else { window.matchers.join(", ") };
    vec![
        window.name.clone(),
        window.effect.as_str().to_owned(),
        next,
        window.when.clone(),
        alerts,
        window.set_in.clone(),
        window.reason.clone(),
    ]
}
