//! What a set of rules would have done with the alerts of the past: counts by rule and day, and what became of each episode.
//!
//! History does not know what a remedy would have changed. So a verification sees what really happened: healthy from when
//! the alert resolved. Steps succeed, nobody approves or acknowledges, nothing is silenced.

use std::collections::BTreeMap;
use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::decide::episode::Change;
use crate::library::Library;
use crate::model::alert::Alert;
use crate::model::config::Config;
use crate::model::decision::Decision;
use crate::model::decision::Verdict;
use crate::model::incident::EpisodeId;
use crate::model::playbook::Mode;
use crate::model::run::Event;
use crate::rehearse::Memory;
use crate::rehearse::World;
use crate::rehearse::happening::Happening;
use crate::rehearse::happening::What;

/// Source of the alerts of a backtest.
const SOURCE: &str = "history";
/// Seconds of a day.
const DAY: i64 = 86_400;

/// What one rule would have done, in a span of time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Episodes that it took.
    pub episodes: u64,
    /// Runs that would have acted, by playbook.
    pub ran: BTreeMap<String, u64>,
    /// Runs that would have waited for a person's yes, by playbook.
    pub asked: BTreeMap<String, u64>,
    /// Runs that would only have been planned, since a mode is observe, by playbook.
    pub observed: BTreeMap<String, u64>,
    /// Episodes that a guard would have held for a while, by guard.
    pub held: BTreeMap<String, u64>,
    /// Episodes that a guard would have refused, by guard.
    pub refused: BTreeMap<String, u64>,
    /// Times that an incident would have been given to people.
    pub people: u64,
    /// Why, the most frequent reasons.
    pub reasons: BTreeMap<String, u64>,
}

impl Tally {
    /// Runs that would have acted.
    pub fn acted(&self) -> u64 {
        self.ran.values().sum()
    }

    fn add(&mut self, other: &Self) {
        self.episodes += other.episodes;
        self.people += other.people;
        for (mine, theirs) in [
            (&mut self.ran, &other.ran),
            (&mut self.asked, &other.asked),
            (&mut self.observed, &other.observed),
            (&mut self.held, &other.held),
            (&mut self.refused, &other.refused),
            (&mut self.reasons, &other.reasons),
        ] {
            for (name, count) in theirs {
                *mine.entry(name.clone()).or_default() += count;
            }
        }
    }
}

/// What became of one episode, for a comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Fate {
    /// The alert.
    pub alert: String,
    /// What was done, or why nothing was, in order, each once: `api-error-rate: restart`, `api-error-rate: held by cooldown`.
    pub did: Vec<String>,
}

/// What a history came to under one set of rules.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Transitions taken.
    pub transitions: u64,
    /// Episodes opened.
    pub episodes: u64,
    /// The first and the last instant.
    pub span: Option<(Timestamp, Timestamp)>,
    /// By rule.
    pub rules: BTreeMap<String, Tally>,
    /// By day and rule.
    pub days: BTreeMap<String, BTreeMap<String, Tally>>,
    /// Episodes that no rule took, by alert name.
    pub unmatched: BTreeMap<String, u64>,
    /// Notifications, by channel.
    pub notified: BTreeMap<String, u64>,
    /// By episode: when it opened, and which alert; only for a comparison.
    #[serde(skip)]
    pub fates: BTreeMap<(Timestamp, String), Fate>,
}

/// A history under way.
#[derive(Debug)]
pub struct Backtest<'a> {
    world: World<'a>,
    /// By day since 1970 and position of the rule in `names`.
    counts: BTreeMap<(i64, usize), Tally>,
    names: Vec<String>,
    known: HashMap<String, usize>,
    /// What was counted of the latest episodes, so that each guard counts once an episode.
    counted: HashMap<EpisodeId, Counted>,
    with_fates: bool,
    report: Report,
    first: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Counted {
    key: Option<(Timestamp, String)>,
    rules: Vec<usize>,
    guards: Vec<(usize, String)>,
}

impl<'a> Backtest<'a> {
    /// Begins at `start` with the rules and playbooks of a library and these settings. `with_fates` keeps what became of
    /// each episode that a rule took.
    pub fn new(
        library: &'a Library,
        config: &'a Config,
        start: Timestamp,
        with_fates: bool,
    ) -> Self {
        let mut world = World::with(library, config, Memory::Stream, start);
        world.script(start, |script| script.alertmanager = true);
        Self {
            world,
            counts: BTreeMap::new(),
            names: Vec::new(),
            known: HashMap::new(),
            counted: HashMap::new(),
            with_fates,
            report: Report::default(),
            first: None,
        }
    }

    /// Takes the next transition.
    pub fn take(&mut self, at: Timestamp, alert: &Alert, truncated: u64) {
        self.first.get_or_insert(at);
        self.report.transitions += 1;
        self.world.alert(at, alert, SOURCE, truncated);
        self.note();
    }

    /// How far it has come.
    pub fn now(&self) -> Timestamp {
        self.world.now()
    }

    /// Lets time pass until everything that is still due has happened, at most to `until`, and reports.
    pub fn end(mut self, until: Timestamp) -> Report {
        self.world.run_until(until);
        self.note();
        let last = self.world.now();
        self.report.span = self.first.map(|first| (first, last));
        for ((day, rule), tally) in &self.counts {
            let Some(name) = self.names.get(*rule) else { continue };
            self.report.rules.entry(name.clone()).or_default().add(tally);
            let day = day_name(*day);
            self.report.days.entry(day).or_default().insert(name.clone(), tally.clone());
        }
        self.report
    }

    fn note(&mut self) {
        let happenings: Vec<Happening> = self.world.happenings().collect();
        for happening in happenings {
            self.count(&happening);
        }
    }

    fn count(&mut self, happening: &Happening) {
        let at = happening.at;
        match &happening.what {
            What::Alert { change: Change::Open | Change::Reopen, episode } => {
                self.report.episodes += 1;
                let key = self.with_fates.then(|| (episode.opened_at, episode.fingerprint.clone()));
                self.counted.insert(episode.id, Counted { key, ..Counted::default() });
            }
            What::Alert { change: Change::Close, episode } => {
                // what is judged after its end belongs to the end
                if !self.with_fates {
                    self.counted.remove(&episode.id);
                }
            }
            What::Decided { decision, news: true } => self.decided(at, decision),
            What::Run { plan, event, .. } => {
                if let Event::Planned { .. } = event.as_ref()
                    && plan.remedy > 0
                {
                    let playbook = plan.playbook.name.clone();
                    let tally = self.tally(at, &plan.rule);
                    let (counts, words) = match plan.mode {
                        Mode::Auto => (&mut tally.ran, playbook.clone()),
                        Mode::Approve => (&mut tally.asked, format!("asks for {playbook}")),
                        Mode::Observe => (&mut tally.observed, format!("would plan {playbook}")),
                    };
                    *counts.entry(playbook).or_default() += 1;
                    self.fate(plan.episode, &plan.labels.to_string(), &plan.rule, &words);
                }
            }
            What::Escalated { incident, reason } => {
                let tally = self.tally(at, &incident.rule);
                tally.people += 1;
                *tally.reasons.entry(reason.clone()).or_default() += 1;
            }
            What::Told(owed) => {
                *self.report.notified.entry(owed.channel.clone()).or_default() += 1;
            }
            What::Alert { .. }
            | What::Opened(_)
            | What::Decided { .. }
            | What::Acknowledged(_)
            | What::Resolved(_)
            | What::Said(_) => {}
        }
    }

    fn decided(&mut self, at: Timestamp, decision: &Decision) {
        if decision.rule.is_empty() {
            if let Some(name) =
                self.world.episode(decision.episode).map(|it| it.labels.get("alertname").to_owned())
            {
                *self.report.unmatched.entry(name).or_default() += 1;
            }
            return;
        }
        let rule = self.rule(&decision.rule);
        let counted = self.counted.entry(decision.episode).or_default();
        if !counted.rules.contains(&rule) {
            counted.rules.push(rule);
            self.tally(at, &decision.rule).episodes += 1;
        }
        let guard = decision.rulings.iter().find(|it| it.verdict == decision.verdict);
        let word = match decision.verdict {
            Verdict::Proceed | Verdict::Ask => return,
            Verdict::Hold { .. } => "held",
            Verdict::Refuse => "refused",
        };
        let alert = self.world.episode(decision.episode).map(|it| it.labels.to_string());
        let alert = alert.unwrap_or_default();
        let Some(guard) = guard.map(|it| it.guard.clone()) else {
            // not a guard: no remedy is left, or the plan cannot be made
            self.fate(decision.episode, &alert, &decision.rule, &decision.reason);
            return;
        };
        let seen = (rule, format!("{word} {guard}"));
        let counted = self.counted.entry(decision.episode).or_default();
        if counted.guards.contains(&seen) {
            return;
        }
        counted.guards.push(seen);
        let tally = self.tally(at, &decision.rule);
        let counts = if word == "held" { &mut tally.held } else { &mut tally.refused };
        *counts.entry(guard.clone()).or_default() += 1;
        self.fate(decision.episode, &alert, &decision.rule, &format!("{word} by {guard}"));
    }

    fn fate(&mut self, episode: EpisodeId, alert: &str, rule: &str, words: &str) {
        let Some(key) = self.counted.get(&episode).and_then(|it| it.key.clone()) else { return };
        let fate = self.report.fates.entry(key).or_default();
        if fate.alert.is_empty() {
            alert.clone_into(&mut fate.alert);
        }
        let words = format!("{rule}: {words}");
        if !fate.did.contains(&words) {
            fate.did.push(words);
        }
    }

    fn rule(&mut self, name: &str) -> usize {
        if let Some(known) = self.known.get(name) {
            return *known;
        }
        let position = self.names.len();
        self.names.push(name.to_owned());
        self.known.insert(name.to_owned(), position);
        position
    }

    fn tally(&mut self, at: Timestamp, rule: &str) -> &mut Tally {
        let rule = self.rule(rule);
        self.counts.entry((at.as_second().div_euclid(DAY), rule)).or_default()
    }
}

/// `2026-01-05` of the days since 1970, in UTC.
fn day_name(day: i64) -> String {
    Timestamp::from_second(day * DAY)
        .map_or_else(|_| day.to_string(), |at| at.strftime("%Y-%m-%d").to_string())
}

/// What another set of rules would have done differently with the same history.
#[derive(Debug, Default, Serialize)]
pub struct Comparison {
    /// By rule: before and after; only rules whose counts differ.
    pub rules: BTreeMap<String, (Tally, Tally)>,
    /// Episodes that would have gone another way.
    pub episodes: Vec<Difference>,
    /// Episodes that would have gone the same way.
    pub same: u64,
}

/// One episode that would have gone another way.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// When it opened.
    pub opened_at: Timestamp,
    /// The alert.
    pub alert: String,
    /// With the first set.
    pub before: Vec<String>,
    /// With the other.
    pub after: Vec<String>,
}

/// Compares two reports of one history, both made with fates.
pub fn compare(before: &Report, after: &Report) -> Comparison {
    let mut comparison = Comparison::default();
    let names = before.rules.keys().chain(after.rules.keys());
    for name in names {
        let of = |report: &Report| report.rules.get(name).cloned().unwrap_or_default();
        let pair = (of(before), of(after));
        if pair.0 != pair.1 {
            comparison.rules.insert(name.clone(), pair);
        }
    }
    let nothing = Fate::default();
    let mut keys: Vec<_> = before.fates.keys().chain(after.fates.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let then = before.fates.get(key).unwrap_or(&nothing);
        let now = after.fates.get(key).unwrap_or(&nothing);
        if then.did == now.did {
            comparison.same += 1;
            continue;
        }
        let alert = if then.alert.is_empty() { &now.alert } else { &then.alert };
        comparison.episodes.push(Difference {
            opened_at: key.0,
            alert: alert.clone(),
            before: then.did.clone(),
            after: now.did.clone(),
        });
    }
    comparison
}
