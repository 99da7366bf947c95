//! Which remedy of a response is next, and when automation gives the incident to people.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::decision::PastRun;
use crate::model::incident::IncidentId;
use crate::model::run::RunState;
use crate::model::time::after;

/// After a verified fix the alert may go on firing this long before it counts as not fixed: rates look back
/// over minutes, and Alertmanager reports a resolution only at its next group interval.
pub const DECAY: Duration = Duration::from_mins(15);

/// What the response asks for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// This remedy, from 1, for the n-th time.
    Remedy {
        /// From 1.
        remedy: u32,
        /// How often it was begun before for this trouble and did nothing.
        round: u32,
    },
    /// A run is at work for it.
    Busy,
    /// It is verified; the alert has until then to resolve.
    Fixed {
        /// Until.
        until: Timestamp,
    },
    /// It was planned and told: mode observe.
    Observed {
        /// When.
        at: Timestamp,
        /// Which remedy, from 1.
        remedy: u32,
        /// How often it was begun for this trouble and did nothing.
        round: u32,
    },
    /// People take over, for this reason.
    People(String),
    /// The rule has no response: people only.
    NoResponse,
}

/// `runs` are the past runs of the rule, in order of start; those of this incident and target that ended
/// before `since` (when the episode opened) belong to an earlier trouble.
pub fn next(
    remedies: usize,
    incident: IncidentId,
    target: &str,
    since: Timestamp,
    runs: &[PastRun],
    now: Timestamp,
) -> Next {
    if remedies == 0 {
        return Next::NoResponse;
    }
    let mine: Vec<&PastRun> = runs
        .iter()
        .filter(|run| run.incident == incident && run.target == target && run.remedy > 0)
        .filter(|run| run.ended_at.is_none_or(|ended| ended >= since))
        .collect();
    let Some(last) = mine.last() else { return Next::Remedy { remedy: 1, round: 0 } };
    let words =
        |what: &str| Next::People(format!("remedy {} ({}) {what}", last.remedy, last.playbook));
    match last.state {
        RunState::Planned
        | RunState::AwaitingApproval
        | RunState::Running
        | RunState::AwaitingAnswer
        | RunState::InDoubt
        | RunState::Verifying
        | RunState::Undoing => Next::Busy,
        RunState::Superseded => Next::Remedy { remedy: last.remedy, round: rounds(&mine, last) },
        RunState::Observed => {
            let round = rounds(&mine, last);
            Next::Observed { at: last.started_at, remedy: last.remedy, round }
        }
        RunState::Fixed => {
            let until = after(last.ended_at.unwrap_or(last.started_at), DECAY);
            if now < until {
                Next::Fixed { until }
            } else {
                words("was verified, but the alert still fires")
            }
        }
        RunState::Failed if last.inconclusive => {
            words("ended without anybody knowing whether it helped")
        }
        RunState::Failed => {
            if (last.remedy as usize) < remedies {
                Next::Remedy { remedy: last.remedy + 1, round: 0 }
            } else if remedies == 1 {
                Next::People("the only remedy did not help".into())
            } else {
                Next::People(format!("none of {remedies} remedies helped"))
            }
        }
        RunState::Stuck => words("is stuck: an undo failed or its outcome cannot be known"),
        RunState::Cancelled => words("was stopped"),
        RunState::Expired => words("was not approved in time"),
        RunState::Rejected => words("was rejected"),
    }
}

/// How often a remedy was begun.
fn rounds(mine: &[&PastRun], remedy: &PastRun) -> u32 {
    let begun = mine.iter().filter(|run| run.remedy == remedy.remedy).count();
    u32::try_from(begun).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_767_607_200 + seconds).unwrap()
    }

    fn run(remedy: u32, state: RunState, ended: i64) -> PastRun {
        PastRun {
            rule: "r".into(),
            playbook: "restart".into(),
            target: "t".into(),
            incident: IncidentId(1),
            remedy,
            state,
            inconclusive: false,
            service: String::new(),
            group: String::new(),
            left_version: String::new(),
            started_at: at(ended - 5),
            ended_at: state.is_final().then(|| at(ended)),
        }
    }

    fn check(runs: &[PastRun], expected: &Next) {
        let found = next(2, IncidentId(1), "t", at(0), runs, at(100));
        assert_eq!(&found, expected, "{runs:?}");
    }

    #[test]
    fn remedies_follow_one_another_until_people_take_over() {
        let failed = |remedy| run(remedy, RunState::Failed, 50);
        check(&[], &Next::Remedy { remedy: 1, round: 0 });
        check(&[run(1, RunState::Running, 0)], &Next::Busy);
        check(&[failed(1)], &Next::Remedy { remedy: 2, round: 0 });
        check(&[failed(1), failed(2)], &Next::People("none of 2 remedies helped".into()));
        check(&[run(1, RunState::Fixed, 50)], &Next::Fixed { until: after(at(50), DECAY) });
        let observed = Next::Observed { at: at(45), remedy: 1, round: 1 };
        check(&[run(1, RunState::Observed, 50)], &observed);
    }

    #[test]
    fn what_did_nothing_is_begun_again_as_another_round() {
        let superseded = run(1, RunState::Superseded, 50);
        check(&[superseded.clone(), superseded], &Next::Remedy { remedy: 1, round: 2 });
    }

    #[test]
    fn runs_of_an_earlier_trouble_another_target_or_incident_do_not_count() {
        let first = Next::Remedy { remedy: 1, round: 0 };
        check(&[run(1, RunState::Failed, -1)], &first);
        check(&[PastRun { target: "u".into(), ..run(1, RunState::Failed, 50) }], &first);
        check(&[PastRun { incident: IncidentId(2), ..run(1, RunState::Failed, 50) }], &first);
    }

    #[test]
    fn what_nobody_can_judge_goes_to_people_and_not_to_the_next_remedy() {
        let to_people = |run: PastRun| {
            matches!(next(2, IncidentId(1), "t", at(0), &[run], at(5000)), Next::People(_))
        };
        assert!(to_people(PastRun { inconclusive: true, ..run(1, RunState::Failed, 50) }));
        for state in [RunState::Stuck, RunState::Cancelled, RunState::Expired, RunState::Rejected] {
            assert!(to_people(run(1, state, 50)), "{state:?}");
        }
        assert!(
            to_people(run(1, RunState::Fixed, 50)),
            "verified, and still firing after the decay"
        );
    }

    #[test]
    fn a_rule_without_remedies_is_for_people() {
        assert_eq!(next(0, IncidentId(1), "t", at(0), &[], at(1)), Next::NoResponse);
    }
}
