//! Episodes and incidents: what an alert changes, and what follows from it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Due;
use super::FORGETS_EVERY;
use super::Held;
use super::Memory;
use super::World;
use super::happening::What;
use super::script::Seen;
use crate::decide::episode;
use crate::decide::episode::Change;
use crate::decide::episode::Heard;
use crate::decide::guard;
use crate::decide::page;
use crate::decide::plan::Look;
use crate::decide::plan::Wanted;
use crate::decide::respond;
use crate::decide::respond::Asks;
use crate::decide::respond::Candidate;
use crate::decide::respond::Case;
use crate::decide::respond::Conclusion;
use crate::decide::respond::Then;
use crate::decide::schedule;
use crate::decide::surroundings;
use crate::decide::tell;
use crate::decide::tell::Try;
use crate::model::alert::Alert;
use crate::model::decision::Decision;
use crate::model::decision::Facts;
use crate::model::decision::Proof;
use crate::model::decision::Ruling;
use crate::model::incident::Episode;
use crate::model::incident::EpisodeId;
use crate::model::incident::Incident;
use crate::model::incident::IncidentId;
use crate::model::incident::RunId;
use crate::model::run::Health;
use crate::model::run::Observation;
use crate::model::run::RunState;
use crate::model::time::after;
use crate::model::time::before;
use crate::model::time::earlier;

/// A resolved incident whose measures could not all be taken back is looked at again after this time.
const TAKE_BACK_AGAIN: Duration = Duration::from_secs(1);
/// The longest that a streaming world waits before it judges again what is held for an unforeseeable time.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

impl World<'_> {
    /// Says what an alert changes, and changes it.
    pub(super) fn take_alert(&mut self, alert: &Alert, source: &str, truncated: u64) -> Change {
        self.counters.alerts += 1;
        if self.memory == Memory::Stream && self.counters.alerts.is_multiple_of(FORGETS_EVERY) {
            self.forget();
        }
        let now = self.now;
        let fingerprint = alert.labels.fingerprint();
        let latest = self.latest.get(&fingerprint).copied();
        let held = latest.and_then(|id| self.episodes.get(&id));
        let heard = held.map(|it| Heard::from(&*it.episode));
        let change = episode::change(heard.as_ref(), alert, truncated, now);
        let id = match (change, latest) {
            (Change::Open, _) => self.open_episode(fingerprint, alert, source, truncated),
            (Change::Reopen | Change::Update | Change::Close, Some(id)) => {
                self.change_episode(id, change, alert, source, truncated);
                id
            }
            (Change::Nothing, _) | (_, None) => return change,
        };
        match change {
            Change::Open | Change::Reopen => self.counters.opened += 1,
            Change::Close => self.counters.closed += 1,
            Change::Update | Change::Nothing => {}
        }
        if let Some(held) = self.episodes.get(&id) {
            let episode = Arc::clone(&held.episode);
            self.happens(What::Alert { change, episode });
        }
        change
    }

    fn open_episode(
        &mut self,
        fingerprint: String,
        alert: &Alert,
        source: &str,
        truncated: u64,
    ) -> EpisodeId {
        let now = self.now;
        self.next_id.0 += 1;
        let id = EpisodeId(self.next_id.0);
        let episode = Episode {
            id,
            fingerprint: fingerprint.clone(),
            source: source.to_owned(),
            labels: alert.labels.clone(),
            annotations: alert.annotations.clone(),
            open: true,
            starts_at: alert.starts_at.unwrap_or(now),
            opened_at: now,
            seen_at: now,
            ended_at: None,
            reopened: 0,
            truncated,
            generator_url: alert.generator_url.clone(),
        };
        let held = Held {
            episode: Arc::new(episode),
            incidents: Vec::new(),
            decided: Vec::new(),
            claim: 0,
            waits: 0,
        };
        self.episodes.insert(id, held);
        if let Some(before) = self.latest.insert(fingerprint, id) {
            self.forget_episode(before);
        }
        if let Some(held) = self.episodes.get(&id) {
            let episode = Arc::clone(&held.episode);
            self.note_troubles(&episode);
        }
        self.wake_episode(id, now);
        id
    }

    fn change_episode(
        &mut self,
        id: EpisodeId,
        change: Change,
        alert: &Alert,
        source: &str,
        truncated: u64,
    ) {
        let now = self.now;
        let Some(held) = self.episodes.get_mut(&id) else { return };
        let episode = Arc::make_mut(&mut held.episode);
        let mut wakes = true;
        if change == Change::Close {
            episode.open = false;
            episode.ended_at = Some(alert.ends_at.unwrap_or(now));
        } else {
            // a mere repeat does not make it due: nothing that guards judge by became worse
            wakes = change == Change::Reopen || episode.truncated != truncated;
            source.clone_into(&mut episode.source);
            episode.annotations.clone_from(&alert.annotations);
            episode.starts_at =
                alert.starts_at.map_or(episode.starts_at, |at| at.min(episode.starts_at));
            (episode.open, episode.ended_at) = (true, None);
            (episode.seen_at, episode.truncated) = (now, truncated);
            episode.reopened += u32::from(change == Change::Reopen);
        }
        if wakes {
            self.wake_episode(id, now);
        }
        if change == Change::Close {
            self.trouble_is_over(id);
        }
        if matches!(change, Change::Close | Change::Reopen) {
            self.wake_watching(Some(id));
        }
    }

    /// Drops a closed episode that a later one of its fingerprint replaces, when nothing is left of it.
    fn forget_episode(&mut self, id: EpisodeId) {
        let Some(held) = self.episodes.get(&id) else { return };
        let over = held.incidents.iter().all(|it| !self.incidents.contains_key(it));
        if self.memory == Memory::Stream && over && !held.episode.open {
            self.episodes.remove(&id);
        }
    }

    /// Does what a due episode asks for, and says when it is due again.
    pub(super) fn take(&mut self, id: EpisodeId) {
        let Some(held) = self.episodes.get_mut(&id) else { return };
        let episode = Arc::clone(&held.episode);
        let claim = held.claim;
        let again = if episode.open { self.firing(&episode) } else { self.closed(&episode) };
        // whoever touched it meanwhile has made it due
        let untouched = self.episodes.get(&id).is_some_and(|held| held.claim == claim);
        if let (Some(at), true) = (again, untouched) {
            let at = self.patiently(id, at);
            self.enter(at, Due::Episode(id, claim));
        }
    }

    /// In a streaming world, what is held for an unforeseeable time waits longer each time.
    fn patiently(&mut self, id: EpisodeId, at: Timestamp) -> Timestamp {
        let now = self.now;
        let Some(held) = self.episodes.get_mut(&id) else { return at };
        if self.memory == Memory::Whole || at > after(now, guard::AGAIN_AFTER) {
            held.waits = 0;
            return at;
        }
        held.waits = held.waits.saturating_add(1);
        let wait = guard::AGAIN_AFTER.saturating_mul(2_u32.saturating_pow(held.waits - 1));
        after(now, wait.min(LONGEST_WAIT)).max(at)
    }

    fn firing(&mut self, episode: &Arc<Episode>) -> Option<Timestamp> {
        if let Some(name) = schedule::name_of(&episode.source) {
            return self.judge_slot(name, episode);
        }
        if surroundings::is_watchdog(self.config, &episode.labels) {
            return None;
        }
        let selection = self.library.rules.select(&episode.labels, &episode.annotations);
        for (rule, why) in &selection.unknown {
            self.note(episode, None, &rule.name, "", respond::when_unknown(rule, why));
        }
        if selection.rules.is_empty() {
            self.unmatched(episode);
            return None;
        }
        let mut again = None;
        for rule in &selection.rules {
            again = earlier(again, self.under_rule(rule, episode));
        }
        again
    }

    fn unmatched(&mut self, episode: &Episode) {
        let (config, now) = (self.config, self.now);
        let incident = respond::unmatched(config, episode, now).map(|new| {
            self.incident_for(new, episode, None, false, |incident| {
                respond::opened_unmatched(config, incident, episode, now)
            })
        });
        self.note(episode, incident.as_ref(), "", "", respond::NO_RULE.to_owned());
    }

    fn under_rule(
        &mut self,
        rule: &Arc<crate::model::rule::Rule>,
        episode: &Arc<Episode>,
    ) -> Option<Timestamp> {
        let (config, now) = (self.config, self.now);
        let mut opening = respond::opening(config, rule, episode, now);
        self.fold(rule, &mut opening.incident);
        self.flaps(&opening.incident, opening.ack_within, episode);
        let incident =
            self.incident_for(opening.incident, episode, opening.ack_within, true, |incident| {
                respond::opened(config, rule, incident, episode, now)
            });
        let target = match opening.target {
            Ok(target) => target,
            Err(error) => {
                self.escalate(&incident, &error);
                self.note(episode, Some(&incident), &rule.name, "", error);
                return None;
            }
        };
        let windows = Arc::clone(&self.windows);
        let windows = windows.as_slice();
        let (incident, target) = (&incident, target.as_str());
        let trust = self.trust.get(&rule.name).cloned();
        let trust = trust.as_ref();
        let case = Case { config, rule, episode, incident, target, windows, trust, now };
        let runs = self.past_runs(Timestamp::MAX, incident.id);
        match respond::asks(case, &self.library.playbooks, &runs) {
            Asks::Nothing { until } => until,
            Asks::Page { reason, until } => {
                self.page(incident, &reason);
                until
            }
            Asks::Note(reason) => {
                self.note(episode, Some(incident), &rule.name, target, reason);
                None
            }
            Asks::People(reason) => self.give_to_people(case, reason),
            Asks::Remedy(candidate) => self.try_remedy(case, &candidate),
        }
    }

    pub(super) fn try_remedy(
        &mut self,
        case: Case<'_>,
        candidate: &Candidate,
    ) -> Option<Timestamp> {
        let (facts, rulings) = self.judge(case, candidate);
        if self.trusts_less(case, candidate, &facts) {
            return Some(self.now);
        }
        let Conclusion { decision, owed, page, then } =
            respond::conclude(case, candidate, &facts, rulings);
        let verdict = decision.verdict.clone();
        let owed = self.held(case.incident, owed);
        if self.decide(decision) {
            self.owe(owed);
        }
        if let Some(why) = page {
            self.page(case.incident, &why);
        }
        let plan = match then {
            Then::Again(at) => return Some(at),
            Then::People(reason) => return self.give_to_people(case, reason),
            Then::Create(plan) => plan,
        };
        let words = self.words_of_hold(case.incident);
        let run = self.create_run(*plan, candidate.round, |run, plan| {
            let mut owed =
                respond::created(case.config, case.incident, run, plan, &verdict, case.now);
            page::explain(&mut owed, words.as_deref());
            owed
        });
        // another rule may have taken the target at this very instant
        if run.is_none() { Some(after(self.now, guard::AGAIN_AFTER)) } else { None }
    }

    fn judge(&mut self, case: Case<'_>, candidate: &Candidate) -> (Facts, Vec<Ruling>) {
        let Case { rule, episode, now, .. } = case;
        self.counters.judged += 1;
        let from = before(now, candidate.look_back());
        let around = self.circumstances(&rule.name, case.target, case.incident.id);
        let runs = self.past_runs(from, case.incident.id);
        let mut facts = Facts {
            pauses: self.pauses.clone(),
            runs,
            around,
            ..respond::facts(case.windows, episode, now)
        };
        let mut rulings = guard::judge(&candidate.subject, &facts, now);
        if respond::worth_asking(&rulings) {
            facts.standing = self.standing(episode);
            if respond::worth_looking(&facts.standing) {
                facts.precheck = respond::precheck(rule, episode).map(|probe| match probe {
                    Ok(probe) => self.observe(&Seen::Rule(&rule.name), &probe, episode),
                    Err(unseen) => unseen,
                });
            }
            if respond::worth_looking(&facts.standing) {
                facts.population = self.population(rule, episode);
                facts.proofs = self.proofs(&rule.name, candidate.wanted(rule, episode), episode);
            }
            rulings = guard::judge(&candidate.subject, &facts, now);
        }
        (facts, rulings)
    }

    /// What a playbook wants to be shown.
    pub(super) fn proofs(&self, rule: &str, wanted: Vec<Wanted>, episode: &Episode) -> Vec<Proof> {
        let mut proofs = Vec::with_capacity(wanted.len());
        for Wanted { of, name, look } in wanted {
            let seen = match look {
                Ok(Look::Probe(probe)) => self.observe(&Seen::Proof(rule, &name), &probe, episode),
                Ok(Look::Measure(_)) => {
                    let seen = self.script.observe(&Seen::Unharmed(rule, &name), episode);
                    match seen.health {
                        // what is worse later can be measured now
                        Health::Unhealthy => Observation { health: Health::Healthy, ..seen },
                        Health::Healthy | Health::Unknown => seen,
                    }
                }
                Err(measured) => Observation { health: Health::Unknown, measured, denied: false },
            };
            proofs.push(Proof { of, name, seen });
        }
        proofs
    }

    pub(super) fn give_to_people(&mut self, case: Case<'_>, reason: String) -> Option<Timestamp> {
        self.escalate(case.incident, &reason);
        self.note(case.episode, Some(case.incident), &case.rule.name, case.target, reason);
        None
    }

    /// A decision that no guard made.
    pub(super) fn note(
        &mut self,
        episode: &Episode,
        incident: Option<&Incident>,
        rule: &str,
        target: &str,
        reason: String,
    ) {
        let decision = respond::without_guards(episode, incident, rule, target, reason, self.now);
        self.decide(decision);
    }

    /// Keeps a decision; says whether it is news.
    fn decide(&mut self, decision: Decision) -> bool {
        let decision = Arc::new(decision);
        let Some(held) = self.episodes.get_mut(&decision.episode) else { return false };
        let last = held.decided.iter_mut().find(|it| it.rule == decision.rule);
        let news = last.as_ref().is_none_or(|last| !respond::same(last, &decision));
        if let Some(last) = last {
            *last = Arc::clone(&decision);
        } else {
            held.decided.push(Arc::clone(&decision));
        }
        if decision.verdict.caution() < 2 {
            held.waits = 0;
        }
        if news || self.memory == Memory::Whole {
            self.happens(What::Decided { decision, news });
        }
        news
    }

    /// A closed episode: runs that wait for a person learn of it, and incidents whose episodes are all closed resolve.
    fn closed(&mut self, episode: &Episode) -> Option<Timestamp> {
        let now = self.now;
        let waits = |state: RunState| {
            matches!(
                state,
                RunState::AwaitingApproval | RunState::AwaitingAnswer | RunState::InDoubt
            )
        };
        let held = self.episodes.get(&episode.id)?;
        let incidents = held.incidents.clone();
        let waiting: Vec<RunId> = incidents
            .iter()
            .filter_map(|id| self.incidents.get(id))
            .flat_map(|trouble| &trouble.runs)
            .filter(|id| {
                self.runs
                    .get(id)
                    .is_some_and(|work| work.plan.episode == episode.id && waits(work.past.state))
            })
            .copied()
            .collect();
        for run in waiting {
            self.wake_run(run, now);
        }
        let mut again = None;
        for id in incidents {
            if let Some(until) = self.flaps_until(id) {
                again = earlier(again, Some(until));
                continue;
            }
            let resolved = self.resolve(id);
            if resolved && !self.take_back(id) {
                again = earlier(again, Some(after(now, TAKE_BACK_AGAIN)));
            }
        }
        again
    }

    /// What was tried for an incident, and the playbook that was verified to help.
    pub(super) fn tried(&self, id: IncidentId) -> (Vec<String>, Option<String>) {
        tell::tried(self.tries(id))
    }

    /// Runs of an incident, in order of start.
    pub(super) fn tries(&self, id: IncidentId) -> impl Iterator<Item = Try<'_>> {
        let runs = self.incidents.get(&id).map(|trouble| trouble.runs.as_slice());
        runs.unwrap_or_default().iter().filter_map(|run| {
            let work = self.runs.get(run)?;
            Some(Try {
                run: *run,
                playbook: &work.past.playbook,
                target: &work.past.target,
                remedy: work.past.remedy,
                state: work.past.state,
                outcome: &work.outcome,
                started_at: work.past.started_at,
            })
        })
    }
}
