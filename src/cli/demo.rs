//! `quell demo`: the story of one incident, told while it happens.
//!
//! Nothing is acted: the shop, its fault, the check, the run and the restart are real, and the lines are read from the
//! same database that `quell incidents` and `quell runs` read.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::time::Instant;

use crate::app::App;
use crate::cli::environment;
use crate::cli::output;
use crate::clock::Clock;
use crate::decide::machine;
use crate::decide::tell;
use crate::demo::files::Facts;
use crate::demo::files::Folder;
use crate::demo::files::Watcher;
use crate::demo::files::Written;
use crate::demo::narrate;
use crate::demo::narrate::Line;
use crate::demo::narrate::Tone;
use crate::demo::process::Setup;
use crate::demo::process::Supervisor;
use crate::demo::process::ourselves;
use crate::demo::prometheus::Monitoring;
use crate::demo::prometheus::Programs;
use crate::demo::prometheus::free_address;
use crate::demo::shop::Fault;
use crate::error::Error;
use crate::library;
use crate::model::incident::Incident;
use crate::model::incident::IncidentId;
use crate::model::incident::IncidentStatus;
use crate::model::run::Event;
use crate::model::run::Health;
use crate::model::time::show_duration;
use crate::model::time::since;
use crate::store::Store;
use crate::store::StoreError;

/// The demo gives up after this; the README promises that it ends within a minute.
const ENDS_WITHIN: Duration = Duration::from_secs(55);
/// With Prometheus and Alertmanager there are their own waits.
const ENDS_WITHIN_WITH_PROMETHEUS: Duration = Duration::from_secs(170);
/// Healthy traffic before the fault.
const HEALTHY_FIRST: Duration = Duration::from_secs(3);
/// How often the narrator looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Requests a second that the shop sends itself.
const RATE: u32 = 500;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Stay up afterwards, to look around.
    #[arg(long)]
    keep: bool,
    /// Use the real `prometheus` and `alertmanager` of the PATH instead of a check.
    #[arg(long)]
    with_prometheus: bool,
    /// What breaks.
    #[arg(long, default_value = "poisoned-cache")]
    fault: Fault,
}

pub(super) async fn run(options: &Options) -> Result<(), Error> {
    let failed = |error| Error::new("Q0002", format!("could not listen for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    tokio::select! {
        result = play(options) => result,
        _ = terminate.recv() => Err(interrupted()),
        _ = interrupt.recv() => Err(interrupted()),
    }
}

fn interrupted() -> Error {
    Error::problems("Q0920", "the demo was interrupted; its processes are stopped")
}

async fn play(options: &Options) -> Result<(), Error> {
    crate::telemetry::log("off");
    let programs = if options.with_prometheus { Some(Programs::find()?) } else { None };
    output::line(&format!(
        "quell {} demo: a shop service, {}, and nobody awake\n",
        env!("CARGO_PKG_VERSION"),
        options.fault.as_str().replace('-', " ")
    ));
    let folder = Folder::create()?;
    let setup =
        Setup { program: ourselves(&["demo-shop"])?, folder: folder.path().to_owned(), rate: RATE };
    let shop = Supervisor::start(setup).await?;
    let watched_by = match &programs {
        Some(_) => {
            Watcher::Prometheus { prometheus: free_address()?, alertmanager: free_address()? }
        }
        None => Watcher::Check,
    };
    let socket = shop.socket().display().to_string();
    let facts = Facts {
        quell: free_address()?,
        shop: shop.address(),
        restart: ourselves(&["demo-restart-shop", "--state", &socket])?,
        watched_by,
    };
    let written = folder.write(&facts)?;
    let loaded = library::load(Some(&written.config), &environment);
    let Some(library) = loaded.library else {
        output::diagnostics(&loaded);
        return Err(
            Error::new("Q0921", "the demo's own files have errors").hint("please report this")
        );
    };
    let app = App::start(library, Clock::System).await?;
    say(&Line {
        at: Some(now()),
        actor: "shop",
        text: &format!(
            "listening on {}, {RATE} requests/s of traffic, about 0.1 % errors",
            shop.address()
        ),
        tone: Tone::Plain,
    });
    say(&Line {
        at: Some(now()),
        actor: "quell",
        text: &format!("watching it, on http://{}", app.address),
        tone: Tone::Plain,
    });
    let monitoring = monitor(programs.as_ref(), &folder, &written, watched_by).await?;
    let within = if options.with_prometheus { ENDS_WITHIN_WITH_PROMETHEUS } else { ENDS_WITHIN };
    let told =
        Narrator::new(app.engine.store.clone()).tell(options.fault, shop.address(), within).await;
    let result = match told {
        Ok(incident) => end(&app, &incident).await,
        Err(error) => Err(error),
    };
    if options.keep && result.is_ok() {
        stay(&app, &written, options.fault).await?;
    } else if result.is_ok() {
        next(&app);
    }
    app.stop().await;
    if let Some(monitoring) = monitoring {
        monitoring.stop().await;
    }
    shop.stop().await;
    result
}

async fn monitor(
    programs: Option<&Programs>,
    folder: &Folder,
    written: &Written,
    watched_by: Watcher,
) -> Result<Option<Monitoring>, Error> {
    let (Some(programs), Some((prometheus_yml, alertmanager_yml))) = (programs, &written.watcher)
    else {
        return Ok(None);
    };
    let Watcher::Prometheus { prometheus, alertmanager } = watched_by else { return Ok(None) };
    let monitoring = Monitoring::start(
        programs,
        folder.path(),
        (prometheus_yml, prometheus),
        (alertmanager_yml, alertmanager),
    )
    .await?;
    let text = format!(
        "http://{prometheus} scrapes the shop; http://{alertmanager} sends alerts to quell"
    );
    say(&Line { at: Some(now()), actor: "prometheus", text: &text, tone: Tone::Plain });
    Ok(Some(monitoring))
}

async fn end(app: &App, incident: &Incident) -> Result<(), Error> {
    let store = &app.engine.store;
    let audit = store.audit(None).await.map_err(|error| trouble(&error))?;
    let chain = if audit.broken.is_empty() { "every chain verified" } else { "a chain is BROKEN" };
    say(&Line {
        at: Some(now()),
        actor: "audit",
        text: &format!("{} runs, {} events, {chain}", audit.runs, audit.events),
        tone: if audit.broken.is_empty() { Tone::Good } else { Tone::Bad },
    });
    let fixed = incident.status == IncidentStatus::Resolved && audit.broken.is_empty();
    if fixed { Ok(()) } else { Err(Error::problems("Q0922", "the demo did not end well")) }
}

fn next(app: &App) {
    output::line("");
    output::line(&format!(
        "Next:  quell demo --keep             stay up, look around at http://{}",
        app.address
    ));
    output::line(
        "       quell demo --with-prometheus  the same with the real Prometheus and Alertmanager",
    );
    output::line(
        "       quell check rules playbooks   the rules and playbooks that come with quell",
    );
    output::line("       README.md                     how to connect your own Alertmanager");
}

async fn stay(app: &App, written: &Written, fault: Fault) -> Result<(), Error> {
    let (config, at) = (written.config.display(), app.address);
    output::line("\nStill running, until Ctrl-C. In another terminal:\n");
    output::line(&format!("  quell --config {config} incidents 1"));
    output::line(&format!("  quell --config {config} runs 1"));
    output::line(&format!(
        "  quell --config {config} explain --label alertname=HighErrorRate --label service=shop"
    ));
    output::line(&format!("  quell --config {config} pause"));
    output::line(&format!("  curl http://{at}/metrics"));
    output::line(&format!("  curl http://{at}/api/v1/incidents"));
    output::line(&format!("  (the fault was {})\n", fault.as_str()));
    let mut interrupt = signal(SignalKind::interrupt())
        .map_err(|error| Error::new("Q0002", format!("could not listen for signals: {error}")))?;
    interrupt.recv().await;
    Ok(())
}

fn trouble(error: &StoreError) -> Error {
    Error::new("Q0404", format!("the demo's database: {error}"))
}

fn now() -> jiff::civil::Time {
    local(Clock::System.now())
}

fn local(at: Timestamp) -> jiff::civil::Time {
    at.to_zoned(TimeZone::system()).time()
}

fn say(line: &Line<'_>) {
    output::line(&narrate::show(line, output::colour()));
}

/// Reads the database, and says what is new.
struct Narrator {
    store: Store,
    check: Option<(Health, u32)>,
    firing: Option<bool>,
    opened: bool,
    decisions: i64,
    journal: Vec<(i64, i64)>,
    news: Vec<(Timestamp, String, String, Tone)>,
}

impl Narrator {
    fn new(store: Store) -> Self {
        Self {
            store,
            check: None,
            firing: None,
            opened: false,
            decisions: 0,
            journal: Vec::new(),
            news: Vec::new(),
        }
    }

    /// Breaks the shop after a while of health, and tells until the first incident is resolved; returns it.
    async fn tell(
        mut self,
        fault: Fault,
        shop: SocketAddr,
        within: Duration,
    ) -> Result<Incident, Error> {
        let began = Instant::now();
        let mut broken = false;
        loop {
            if !broken && began.elapsed() >= HEALTHY_FIRST {
                fault.inject(shop).await?;
                broken = true;
                self.note(Clock::System.now(), "fault", fault.story().to_owned(), Tone::Bad);
            }
            let resolved = self.look().await.map_err(|error| trouble(&error))?;
            self.say_news();
            if let Some(incident) = resolved {
                self.resolved(&incident).await.map_err(|error| trouble(&error))?;
                return Ok(incident);
            }
            if began.elapsed() >= within {
                return Err(Error::problems(
                    "Q0923",
                    format!("not over after {}", show_duration(within)),
                )
                .hint("is the machine very busy? try again, or look closer with --keep"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Collects what is new; returns the first incident once it is resolved.
    async fn look(&mut self) -> Result<Option<Incident>, StoreError> {
        let first = self.store.incident(IncidentId(1)).await?;
        self.checks().await?;
        self.alerts(first.as_ref()).await?;
        self.decisions().await?;
        self.runs().await?;
        Ok(first.filter(|incident| incident.status == IncidentStatus::Resolved))
    }

    fn note(&mut self, at: Timestamp, actor: &str, text: String, tone: Tone) {
        self.news.push((at, actor.to_owned(), text, tone));
    }

    /// In the order in which it happened, as far as one look can know.
    fn say_news(&mut self) {
        self.news.sort_by_key(|(at, ..)| *at);
        for (at, actor, text, tone) in self.news.drain(..) {
            say(&Line { at: Some(local(at)), actor: &actor, text: &text, tone });
        }
    }

    /// A healthy check is worth one line, at the beginning and after trouble; an unhealthy one until it fires.
    async fn checks(&mut self) -> Result<(), StoreError> {
        for state in self.store.checks().await? {
            if state.measured.is_empty() || self.check == Some((state.health, state.streak)) {
                continue;
            }
            let first = self.check.is_none();
            self.check = Some((state.health, state.streak));
            let healthy = state.health == Health::Healthy;
            if state.streak > 2 || (healthy && !first && self.firing.is_none()) {
                continue;
            }
            let count =
                if healthy && first { String::new() } else { format!(" {} of 2", state.streak) };
            let text =
                format!("{}  {}{count}: {}", state.name, state.health.as_str(), state.measured);
            self.note(state.at, "check", text, if healthy { Tone::Good } else { Tone::Bad });
        }
        Ok(())
    }

    async fn alerts(&mut self, incident: Option<&Incident>) -> Result<(), StoreError> {
        let Some(episode) = self.store.episodes(false, None, 1).await?.pop() else { return Ok(()) };
        if self.firing != Some(episode.open) {
            self.firing = Some(episode.open);
            let (at, word, tone) = if episode.open {
                (episode.opened_at, "firing", Tone::Bad)
            } else {
                (Clock::System.now(), "resolved", Tone::Good)
            };
            self.note(at, "alert", format!("{} {word}", episode.labels), tone);
        }
        if let Some(incident) = incident.filter(|_| !self.opened) {
            self.opened = true;
            let text = format!("{} matches: incident {} opened", incident.rule, incident.id);
            self.note(incident.opened_at, "rule", text, Tone::Plain);
        }
        Ok(())
    }

    async fn decisions(&mut self) -> Result<(), StoreError> {
        let stored = self.store.decisions(None, None, 20).await?;
        for it in stored.into_iter().rev().filter(|it| it.id > self.decisions).collect::<Vec<_>>() {
            self.decisions = it.id;
            let decision = it.decision;
            let what = match decision.playbook.as_str() {
                "" => decision.reason,
                playbook => {
                    format!("{} {playbook}: {}", decision.verdict.as_str(), decision.reason)
                }
            };
            self.note(decision.at, "guards", what, Tone::Plain);
        }
        Ok(())
    }

    async fn runs(&mut self) -> Result<(), StoreError> {
        for run in self.store.runs(None, None, 20).await?.into_iter().rev() {
            let known =
                self.journal.iter().find(|(id, _)| *id == run.id.0).map_or(0, |(_, seq)| *seq);
            let Some(plan) = self.store.plan(run.id).await? else { continue };
            let entries = self.store.journal(run.id).await?;
            let seq = entries.last().map_or(0, |entry| entry.seq);
            if seq == known {
                continue;
            }
            self.journal.retain(|(id, _)| *id != run.id.0);
            self.journal.push((run.id.0, seq));
            let actor = format!("run {}", run.id);
            let (which, target) =
                (format!("remedy {} of {}", plan.remedy, plan.remedies), &plan.target);
            for entry in entries.iter().filter(|entry| entry.seq > known) {
                let (text, tone) = match &entry.event {
                    Event::Planned { .. } => {
                        (format!("{which}: {} on {target}", plan.playbook.name), Tone::Plain)
                    }
                    event @ (Event::StepStarted { .. } | Event::UndoStarted { .. }) => {
                        (tell::event_line(&plan, event), Tone::Act)
                    }
                    event => (tell::event_line(&plan, event), Tone::Plain),
                };
                self.note(entry.at, &actor, text, tone);
            }
            let state =
                machine::fold(&plan, &entries).ok().filter(|state| state.summary().is_final());
            if let Some(state) = state {
                let good = state.summary() == crate::model::run::RunState::Fixed;
                let text = format!("{}: {}", state.summary().as_str(), state.reason);
                self.note(state.last_at, &actor, text, if good { Tone::Good } else { Tone::Bad });
            }
        }
        Ok(())
    }

    async fn resolved(&self, incident: &Incident) -> Result<(), StoreError> {
        let at = incident.resolved_at.unwrap_or(incident.opened_at);
        let (tried, fixed_by) = self.store.tried(incident.id).await?;
        let notice = tell::resolved(incident, tried, fixed_by.as_deref(), at);
        let mut text = format!(
            "resolved in {}, nobody was paged; mail and Slack would have said:\n\"{}: {}\"",
            show_duration(since(at, incident.opened_at)),
            notice.title,
            notice.headline
        );
        for line in &notice.tried {
            text.push_str("\ntried: ");
            text.push_str(line);
        }
        let actor = format!("incident {}", incident.id);
        say(&Line { at: Some(local(at)), actor: &actor, text: &text, tone: Tone::Good });
        Ok(())
    }
}
