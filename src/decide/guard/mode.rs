//! Mode ladder: the lowest of global, rule, remedy and playbook wins.

use jiff::Timestamp;

use crate::decide::guard::Subject;
use crate::decide::guard::proceed;
use crate::model::decision::Facts;
use crate::model::decision::Ruling;
use crate::model::decision::Verdict;
use crate::model::playbook::Mode;

pub(super) const NAME: &str = "mode";

/// The lowest mode and the knob that set it.
pub fn lowest(subject: &Subject) -> (Mode, String) {
    subject
        .modes
        .iter()
        .min_by_key(|(_, mode)| *mode)
        .map_or((Mode::Observe, String::new()), |(knob, mode)| (*mode, knob.clone()))
}

/// Auto proceeds, approve asks. Observe proceeds too: to a run that is planned, told and never acts.
/// Break-glass lifts the need of approval.
pub(super) fn judge(subject: &Subject, facts: &Facts, _: Timestamp) -> Ruling {
    let (mode, knob) = lowest(subject);
    let ruling = proceed(NAME, mode.as_str()).limit("", knob);
    match (mode, &facts.around.glass) {
        (Mode::Auto, _) => ruling,
        (Mode::Approve, Some(glass)) => {
            Ruling { measured: format!("approve, lifted by {}", glass.by), ..ruling }
        }
        (Mode::Approve, None) => {
            Ruling { verdict: Verdict::Ask, reason: "a person must approve it".into(), ..ruling }
        }
        (Mode::Observe, _) => Ruling { reason: "planned and told, never done".into(), ..ruling },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::guard::tests::facts;
    use crate::decide::guard::tests::now;
    use crate::decide::guard::tests::subject;

    #[test]
    fn the_lowest_mode_wins_and_names_its_knob() {
        let modes = |modes: &[(&str, Mode)]| {
            let modes = modes.iter().map(|(knob, mode)| ((*knob).to_owned(), *mode)).collect();
            let ruling = judge(&Subject { modes, ..subject() }, &facts(), now());
            (ruling.measured, ruling.verdict.as_str(), ruling.knob)
        };
        let auto = ("mode (quell.yml:4)", Mode::Auto);
        let approve = ("mode (rules/api.yml:9)", Mode::Approve);
        let observe = ("mode (playbook)", Mode::Observe);
        let is = |a: &str, b: &'static str, c: &str| (a.to_owned(), b, c.to_owned());
        assert_eq!(modes(&[auto]), is("auto", "proceed", "mode (quell.yml:4)"));
        assert_eq!(
            modes(&[auto, approve]),
            is("approve", "ask approval", "mode (rules/api.yml:9)")
        );
        assert_eq!(modes(&[auto, approve, observe]), is("observe", "proceed", "mode (playbook)"));
        assert_eq!(modes(&[]).0, "observe", "no mode at all is the safest one");
    }
}
