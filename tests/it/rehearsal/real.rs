//! The engine itself, on a clock moved by hand.

use std::fs;
use std::time::Duration;

use jiff::Timestamp;
use quell::app::App;
use quell::clock::Clock;
use quell::decide::changed;
use quell::decide::glass;
use quell::decide::tell;
use quell::decide::trust;
use quell::library::Library;
use quell::model::alert::Alert;
use quell::model::alert::Delivery;
use quell::model::time::since;
use quell::store::people::Speaker;
use quell::store::people::Spoken;
use quell::store::people::Word as StoredWord;
use quell::store::runs::RunRow;
use tempfile::TempDir;

use super::START;
use super::both::Say;
use super::both::deploy;
use super::both::firing;
use super::both::latency;
use super::both::resolved;
use super::both::write;
use super::log::Log;
use super::log::decision_line;
use super::log::event_words;
use super::log::notice_line;
use super::log::run_lines;
use crate::support::recorder::Recorder;
use crate::support::wait::PATIENCE;
use crate::support::wait::until;

/// The engine in a folder of its own.
pub(super) struct Real {
    pub(super) app: App,
    folder: TempDir,
    page: Recorder,
}

impl Real {
    pub(super) async fn start(folder: TempDir, library: Library, page: Recorder) -> Self {
        let clock = Clock::manual(START.parse().unwrap());
        Self { app: App::start(library, clock).await.unwrap(), folder, page }
    }

    /// Moves the clock under a verification, and waits until it has looked again and its lease is renewed.
    pub(super) async fn watch_until(&self, at: Timestamp) {
        let looks = self.folder.path().join("looks");
        let count = || fs::read(&looks).map_or(0, |bytes| bytes.len());
        self.come_to(at);
        let before = count();
        until("the verification looks", PATIENCE, async || {
            let now = count();
            // a look that begins after another one begins after that one's lease
            if now >= before + 3 { Ok(()) } else { Err(now) }
        })
        .await;
    }

    pub(super) fn come_to(&self, at: Timestamp) {
        let clock = &self.app.engine.clock;
        clock.advance(since(at, clock.now()));
        self.app.engine.wake.all();
    }

    pub(super) async fn say(&self, say: Say) {
        let store = &self.app.engine.store;
        let runs = store.runs(None, None, 1).await.unwrap();
        let now = self.app.engine.clock.now();
        match say {
            Say::Fire(service) => self.deliver(firing(service, now)).await,
            Say::Resolve(service) => self.deliver(resolved(service, now)).await,
            Say::Sees(code) => write(self.folder.path(), "probe", code),
            Say::Exits(code) => write(self.folder.path(), "step", code),
            Say::Approve => self.word(&runs[0], "dana", approve(&runs[0])).await,
            Say::ApproveAs(who) => self.word(&runs[0], who, approve(&runs[0])).await,
            Say::Harm(code) => latency(&self.page, code),
            Say::Reject => {
                let word = StoredWord::Reject { reason: "no".to_owned() };
                self.word(&runs[0], "dana", word).await;
            }
            Say::Take | Say::GiveBack => {
                let incident = store.incidents(None, None, 1).await.unwrap()[0].id;
                let library = self.app.engine.library.load_full();
                let told = store.channels_told(incident).await.unwrap();
                let take = matches!(say, Say::Take);
                let owed = |it: &quell::model::incident::Incident| {
                    let notice = if take {
                        tell::taken(it, "dana", now)
                    } else {
                        tell::given_back(it, "dana", now)
                    };
                    quell::decide::audience::to_channels(&library.config, &notice, &told)
                };
                let (_, done) = if take {
                    store.take_incident(incident, "dana", None, owed).await.unwrap()
                } else {
                    store.give_back_incident(incident, owed).await.unwrap()
                };
                assert!(done);
            }
            Say::BreakGlass(scope, seconds) => {
                let config = &self.app.engine.library.load_full().config;
                let lasts = Duration::from_secs(seconds);
                let asked = glass::Asked { scope, by: ("dana", 4), reason: "outage", lasts };
                let new = glass::ask(config, asked, now).unwrap();
                let make = |it: &_| (glass::incident(it), glass::told(config, it));
                store.break_glass(&new, make).await.unwrap();
            }
            Say::Acknowledge => {
                let incident = store.incidents(None, None, 1).await.unwrap()[0].id;
                let library = self.app.engine.library.load_full();
                let told = store.channels_told(incident).await.unwrap();
                let owed = |it: &quell::model::incident::Incident| {
                    let notice = tell::acknowledged(it, "dana", now);
                    quell::decide::audience::to_channels(&library.config, &notice, &told)
                };
                store.acknowledge(incident, "dana", None, owed).await.unwrap();
            }
            Say::Cancel => drop(store.cancel_run(runs[0].id, "dana").await.unwrap()),
            Say::Pause => drop(store.pause("all", "dana", "").await.unwrap()),
            Say::Resume => {
                store.resume("all").await.unwrap();
                store.wake_all_episodes().await.unwrap();
            }
            Say::Adds(effect) => store.add_window(&deploy(effect, now)).await.unwrap(),
            Say::Ends => store.end_window("deploy", "dana").await.unwrap(),
            Say::Changed(target) => {
                let change = changed::told(target, "dana", "", now).unwrap();
                store.add_change(&change).await.unwrap();
            }
            Say::Promotes => {
                let library = self.app.engine.library.load_full();
                let rule = library.rules.rules().iter().find(|it| it.name == "api").unwrap();
                let last = store.trust("api").await.unwrap();
                let trust = trust::promotion(
                    &library.config,
                    rule,
                    last.as_ref(),
                    None,
                    "dana",
                    "mended",
                    now,
                );
                store.promote(last.as_ref(), &trust.unwrap()).await.unwrap();
            }
        }
        self.app.engine.wake.all();
    }

    async fn word(&self, run: &RunRow, name: &str, word: StoredWord) {
        let library = self.app.engine.library.load_full();
        let speaker = Speaker { name, tier: 4, link: None };
        let owed = |spoken: &Spoken<'_>| spoken.owed(&library.config);
        self.app.engine.store.say(run.id, speaker, word, owed).await.unwrap();
    }

    async fn deliver(&self, alert: Alert) {
        let (source, receiver) = ("test".to_owned(), String::new());
        let delivery = Delivery { source, receiver, truncated: 0, alerts: vec![alert] };
        self.app.engine.intake.accept(delivery).await.unwrap();
    }

    pub(super) async fn log(&self) -> Log {
        let store = &self.app.engine.store;
        let mut log = Log::default();
        let mut decisions = store.decisions(None, None, 1000).await.unwrap();
        decisions.reverse();
        log.decisions = decisions.iter().map(|it| decision_line(&it.decision)).collect();
        let mut runs = store.runs(None, None, 1000).await.unwrap();
        runs.reverse();
        for run in runs {
            let plan = store.plan(run.id).await.unwrap().unwrap();
            let entries = store.journal(run.id).await.unwrap();
            let events = entries.iter().map(|it| (it.at, event_words(&plan, &it.event)));
            log.runs.push(run_lines(run.id, events));
        }
        let mut incidents = store.incidents(None, None, 1000).await.unwrap();
        incidents.reverse();
        for incident in incidents {
            let told = store.notifications_of(incident.id).await.unwrap();
            log.notices.extend(told.iter().map(|it| notice_line(&it.channel, &it.notice)));
        }
        log.sorted()
    }
}

fn approve(run: &RunRow) -> StoredWord {
    StoredWord::Approve { digest: run.digest.clone() }
}
