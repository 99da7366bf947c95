//! What happens in a rehearsal, and how people read it.

use std::sync::Arc;

use jiff::Timestamp;

use crate::decide::episode::Change;
use crate::decide::respond;
use crate::decide::tell;
use crate::model::decision::Decision;
use crate::model::decision::Verdict;
use crate::model::incident::Episode;
use crate::model::incident::Incident;
use crate::model::incident::NoticeKind;
use crate::model::incident::Owed;
use crate::model::incident::RunId;
use crate::model::run::Event;
use crate::model::run::Plan;

/// Something that happened, and when.
#[derive(Debug, Clone)]
pub struct Happening {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: What,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum What {
    /// An alert changed its episode. Repeats that change nothing do not happen.
    Alert {
        /// What it changed.
        change: Change,
        /// The episode after it.
        episode: Arc<Episode>,
    },
    /// An incident began.
    Opened(Arc<Incident>),
    /// A decision was made; `news` when it says something else than the one before it. Others are told only to a world
    /// that remembers everything.
    Decided {
        /// The decision.
        decision: Arc<Decision>,
        /// Whether it would be stored.
        news: bool,
    },
    /// An entry was written to the journal of a run.
    Run {
        /// The run.
        run: RunId,
        /// Its plan.
        plan: Arc<Plan>,
        /// The entry.
        event: Box<Event>,
    },
    /// A notification is owed.
    Told(Arc<Owed>),
    /// The automation gave an incident to people.
    Escalated {
        /// The incident.
        incident: Arc<Incident>,
        /// Why.
        reason: String,
    },
    /// A person said: mine.
    Acknowledged(Arc<Incident>),
    /// An incident is over.
    Resolved(Arc<Incident>),
    /// Something that people or the script did.
    Said(String),
}

impl Happening {
    /// Which column of a timeline it belongs to, and one line about it; `None` when people need not see it.
    pub fn line(&self) -> Option<(&'static str, String)> {
        Some(match &self.what {
            What::Alert { change, episode } => {
                let what = match change {
                    Change::Open => "fires",
                    Change::Reopen => "fires again, as if it had not resolved",
                    Change::Update => "has news",
                    Change::Close => "resolves",
                    Change::Nothing => return None,
                };
                ("alert", format!("{} {what}", episode.labels))
            }
            What::Opened(incident) => {
                let of = match incident.rule.as_str() {
                    "" => "without a rule".to_owned(),
                    rule => format!("of rule {rule}"),
                };
                ("incident", format!("{} {of} opens: {}", incident.id, incident.title))
            }
            What::Decided { news: false, .. } => return None,
            What::Decided { decision, .. } => ("verdict", decided(decision)),
            What::Run { run, plan, event } => match event.as_ref() {
                Event::Planned { .. } => {
                    let (remedy, of) = (plan.remedy, plan.remedies);
                    let which = match remedy {
                        0 => "takes measures back".to_owned(),
                        _ => format!("remedy {remedy} of {of}, {}", plan.mode.as_str()),
                    };
                    ("run", format!("{run} {}, {which}", tell::event_line(plan, event)))
                }
                event => ("run", format!("{run} {}", tell::event_line(plan, event))),
            },
            What::Told(owed) => {
                let kind = kind_word(owed.notice.kind);
                ("notice", format!("{} ({kind}): {}", owed.channel, owed.notice.headline))
            }
            What::Escalated { incident, reason } => {
                ("incident", format!("{} is given to people: {reason}", incident.id))
            }
            What::Acknowledged(incident) => {
                ("person", format!("{} acknowledges {}", incident.acked_by, incident.id))
            }
            What::Resolved(incident) => ("incident", format!("{} is resolved", incident.id)),
            What::Said(text) => ("person", text.clone()),
        })
    }
}

/// The word for a kind of notice, as people write it.
pub fn kind_word(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Opened => "opened",
        NoticeKind::Progress => "progress",
        NoticeKind::NeedsYou => "needs_you",
        NoticeKind::Acknowledged => "acknowledged",
        NoticeKind::Resolved => "resolved",
    }
}

/// The word for a verdict, as people write it.
pub fn verdict_word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Proceed => "proceed",
        Verdict::Ask => "ask",
        Verdict::Hold { .. } => "hold",
        Verdict::Refuse => "refuse",
    }
}

fn decided(decision: &Decision) -> String {
    let rule = if decision.rule.is_empty() { "no rule" } else { &decision.rule };
    let what = if decision.playbook.is_empty() {
        String::new()
    } else {
        format!(" {}", decision.playbook)
    };
    let word = verdict_word(&decision.verdict);
    let reason = &decision.reason;
    match decision.verdict {
        Verdict::Proceed => format!("{rule}:{what} {word}: {reason}"),
        _ if decision.rulings.is_empty() => format!("{rule}:{what} nothing: {reason}"),
        Verdict::Ask => {
            format!("{rule}:{what} {word} ({}): {reason}", respond::deciding(decision))
        }
        Verdict::Hold { .. } | Verdict::Refuse => format!("{rule}:{what} {word}: {reason}"),
    }
}
