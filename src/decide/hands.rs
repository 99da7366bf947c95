//! What people do at an incident that makes automation step back (G15).

use crate::model::decision::Hand;
use crate::model::decision::HandKind;
use crate::model::incident::Incident;
use crate::model::incident::IncidentStatus;

/// Who has taken the incident over, or has acknowledged it since it was given back last.
pub fn at_incident(incident: &Incident) -> Option<Hand> {
    if incident.status == IncidentStatus::Resolved {
        return None;
    }
    if let Some(at) = incident.taken_at.filter(|_| !incident.taken_by.is_empty()) {
        let (kind, by) = (HandKind::TakenOver, incident.taken_by.clone());
        return Some(Hand { kind, by, at, what: incident.id.to_string() });
    }
    let at = incident.acked_at?;
    let counts = incident.given_back_at.is_none_or(|back| at > back);
    counts.then(|| Hand {
        kind: HandKind::Acknowledged,
        by: incident.acked_by.clone(),
        at,
        what: incident.id.to_string(),
    })
}
