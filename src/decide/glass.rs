//! Break-glass (G11): what it covers, how long it may last, and whom it tells.
//!
//! It lifts the need for approval, windows that refuse, and the sickness ceiling, for one rule, target or incident and for a
//! bounded time. Nobody has to agree, so everybody is told: it takes a reason, an operator of the highest tier, and a page.

use std::time::Duration;

use jiff::Timestamp;

use crate::decide::audience;
use crate::model::config::Config;
use crate::model::decision::Glass;
use crate::model::glass::Broken;
use crate::model::incident::Incident;
use crate::model::incident::IncidentId;
use crate::model::incident::Notice;
use crate::model::incident::NoticeKind;
use crate::model::incident::Owed;
use crate::model::labels::Labels;
use crate::model::time::after;
use crate::model::time::show_duration;
use crate::model::time::since;

/// The tier of operators who may.
pub const TIER: u8 = 4;
/// The longest that it lasts.
pub const LONGEST: Duration = Duration::from_hours(1);
/// How long it lasts when nobody says.
pub const SILENT: Duration = Duration::from_mins(30);

/// Its incident's alert, for those who filter.
const ALERT: &str = "QuellBreakGlass";

/// What somebody asks for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// `rule:NAME`, `target:NAME` or `incident:i-12`.
    pub scope: &'a str,
    /// The operator, and their tier; 0 for a person who is none.
    pub by: (&'a str, u8),
    /// Why.
    pub reason: &'a str,
    /// For how long.
    pub lasts: Duration,
}

/// Why it cannot be broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// This person may not.
    Forbidden(String),
    /// Not like this.
    Invalid(String),
}

/// Checks what somebody asks for. Its ids are the store's to give.
pub fn ask(config: &Config, asked: Asked<'_>, now: Timestamp) -> Result<Broken, Refused> {
    let Asked { scope, by: (name, tier), reason, lasts } = asked;
    if tier < TIER {
        let has = if tier == 0 {
            format!("{name} is no operator")
        } else {
            format!("{name} has tier {tier}")
        };
        return Err(Refused::Forbidden(format!(
            "breaking the glass needs an operator of tier {TIER}, and {has}"
        )));
    }
    let invalid = |words: String| Err(Refused::Invalid(words));
    if reason.trim().is_empty() {
        return invalid("say why the glass is broken: everybody is told the reason".into());
    }
    if lasts.is_zero() || lasts > LONGEST {
        let (longest, got) = (show_duration(LONGEST), show_duration(lasts));
        return invalid(format!("break-glass lasts from 1s to {longest}, got {got}"));
    }
    if channels(config).is_empty() {
        return invalid(
            "breaking the glass pages people, and quell.yml has no channel: add one under `channels:`"
                .into(),
        );
    }
    match scope.split_once(':') {
        Some(("rule" | "target", name)) if !name.trim().is_empty() => {}
        Some(("incident", id)) if id.parse::<IncidentId>().is_ok() => {}
        _ => {
            return invalid(format!(
                "expected rule:NAME, target:NAME or incident:i-12, got `{scope}`"
            ));
        }
    }
    Ok(Broken {
        id: 0,
        scope: scope.to_owned(),
        by: name.to_owned(),
        reason: reason.trim().to_owned(),
        at: now,
        until: after(now, lasts),
        incident: IncidentId(0),
        ended_at: None,
        ended_by: String::new(),
    })
}

/// The one in force for this rule, target and incident: of several the one that lasts longest.
pub fn in_force(
    broken: &[Broken],
    rule: &str,
    target: &str,
    incident: IncidentId,
    now: Timestamp,
) -> Option<Glass> {
    let covers = |it: &&Broken| match it.scope.split_once(':') {
        Some(("rule", name)) => name == rule,
        Some(("target", name)) => name == target,
        Some(("incident", id)) => id.parse() == Ok(incident),
        _ => false,
    };
    let longest = broken.iter().filter(|it| it.holds(now)).filter(covers).max_by_key(|it| it.until);
    longest.map(|it| Glass { by: it.by.clone(), reason: it.reason.clone(), until: it.until })
}

/// Every channel that pages; every channel when none does.
pub fn channels(config: &Config) -> Vec<String> {
    if config.paging.is_empty() {
        return config.channels.keys().cloned().collect();
    }
    config.paging.iter().cloned().collect()
}

/// The incident that it is told by.
pub fn incident(broken: &Broken) -> Incident {
    let labels: Labels = [("alertname", ALERT), ("scope", &*broken.scope), ("by", &*broken.by)]
        .into_iter()
        .collect();
    Incident {
        id: broken.incident,
        group_key: format!("glass:{}", broken.id),
        title: format!("break-glass for {} by {}", broken.scope, broken.by),
        severity: "critical".to_owned(),
        labels,
        ..Incident::unstored(broken.at)
    }
}

/// The page at once.
pub fn told(config: &Config, broken: &Broken) -> Vec<Owed> {
    let lasts = show_duration(since(broken.until, broken.at));
    let headline = format!(
        "{} broke the glass for {} for {lasts}: {}",
        broken.by, broken.scope, broken.reason
    );
    let mut notice = notice(broken, NoticeKind::NeedsYou, headline, broken.at);
    notice.details = vec![
        format!(
            "until {:.0} nobody has to approve there, and windows and the sickness ceiling do not hold it",
            broken.until
        ),
        "the kill switch, the sanity of targets and missing evidence still stop everything".into(),
        format!("to end it now: quell break-glass --revoke {} --by NAME", broken.id),
    ];
    audience::to_channels(config, &notice, &channels(config))
}

/// Where it was told, it is told that it is over.
pub fn told_over(config: &Config, broken: &Broken, now: Timestamp) -> Vec<Owed> {
    let how = match broken.ended_by.as_str() {
        "" => "its time is over".to_owned(),
        by => format!("{by} ended it"),
    };
    let headline = format!("break-glass for {} by {} is over: {how}", broken.scope, broken.by);
    let notice = notice(broken, NoticeKind::Resolved, headline, now);
    audience::to_channels(config, &notice, &channels(config))
}

fn notice(broken: &Broken, kind: NoticeKind, headline: String, now: Timestamp) -> Notice {
    let incident = incident(broken);
    Notice {
        kind,
        incident: incident.id,
        title: incident.title,
        severity: incident.severity,
        headline,
        details: Vec::new(),
        tried: Vec::new(),
        proposes: None,
        labels: incident.labels,
        opened_at: broken.at,
        at: now,
    }
}
