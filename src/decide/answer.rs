//! What people may say to a run: who may say it, and answers to what a step asks.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::decide::machine::Phase;
use crate::decide::machine::State;
use crate::decide::machine::YES;
use crate::decide::machine::ask_of;
use crate::decide::parameters;
use crate::model::playbook::Ask;
use crate::model::playbook::Parameter;
use crate::model::playbook::ParameterKind;
use crate::model::playbook::What;
use crate::model::run::Plan;
use crate::model::time::show_duration;

/// A question that a run waits for the answer to.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Name of the step that asks.
    pub step: &'a str,
    /// What it asks for.
    pub ask: &'a Ask,
    /// As people read it.
    pub text: &'a str,
    /// Whether the playbook asks others too, so that an answer must name its step.
    pub one_of_several: bool,
}

/// The question that a run waits for the answer to.
pub fn question<'a>(plan: &'a Plan, state: &'a State) -> Option<Question<'a>> {
    match &state.phase {
        Phase::Asking { step, question, .. } => {
            let steps = &plan.playbook.steps;
            let asks = steps.iter().filter(|step| matches!(step.what, What::Ask(_))).count();
            let (ask, name) = (ask_of(plan, *step)?, &steps.get(*step)?.name);
            Some(Question { step: name, ask, text: question, one_of_several: asks > 1 })
        }
        Phase::Empty
        | Phase::AwaitingApproval
        | Phase::Observing
        | Phase::Ready { .. }
        | Phase::InFlight { .. }
        | Phase::Waiting { .. }
        | Phase::Looking { .. }
        | Phase::ReadingBack { .. }
        | Phase::InDoubt { .. }
        | Phase::ToVerify
        | Phase::Verifying { .. }
        | Phase::Undoing { .. }
        | Phase::UndoInFlight { .. }
        | Phase::Final(_) => None,
    }
}

impl Question<'_> {
    /// Whether an answer that names this step, or none, was meant for this question: of two people who say yes at once, the
    /// second must not say it to the question that follows. The error is for that person.
    pub fn meant(&self, run: &str, step: Option<&str>) -> Result<(), String> {
        match step {
            Some(step) if step == self.step => Ok(()),
            Some(step) => {
                let asks = self.step;
                Err(format!("{run} asks `{asks}` now, not `{step}`; look again"))
            }
            None if self.one_of_several => Err(format!(
                "{run} asks more than once; name the step that is answered, which is `{}` now",
                self.step
            )),
            None => Ok(()),
        }
    }
}

/// The declarations of what is asked; a question without any takes yes or no.
pub fn declared(ask: &Ask) -> BTreeMap<String, Parameter> {
    if ask.answers.is_empty() {
        let yes_or_no = Parameter {
            kind: ParameterKind::Boolean,
            required: true,
            default: None,
            pattern: None,
            min: None,
            max: None,
            secret: false,
            description: String::new(),
        };
        return BTreeMap::from([(YES.to_owned(), yes_or_no)]);
    }
    ask.answers.clone()
}

/// Answers in the types that the step declares; what is silent takes its default. The error names each that is wrong.
pub fn check(
    ask: &Ask,
    given: &BTreeMap<String, Value>,
) -> Result<BTreeMap<String, Value>, Vec<String>> {
    let declared = declared(ask);
    let mut answers = BTreeMap::new();
    let mut wrong = Vec::new();
    for name in given.keys().filter(|name| !declared.contains_key(*name)) {
        let names: Vec<&str> = declared.keys().map(String::as_str).collect();
        wrong.push(format!("there is no answer `{name}`; it asks for: {}", names.join(", ")));
    }
    for (name, parameter) in &declared {
        let value = match (given.get(name), &parameter.default) {
            (Some(value), _) => parameters::check_value(parameter, value)
                .map_err(|reason| format!("answer `{name}`: {reason}")),
            (None, Some(default)) => Ok(default.clone()),
            (None, None) => {
                Err(format!("answer `{name}` is missing: it takes {}", takes(parameter)))
            }
        };
        match value {
            Ok(value) => drop(answers.insert(name.clone(), value)),
            Err(reason) => wrong.push(reason),
        }
    }
    if wrong.is_empty() { Ok(answers) } else { Err(wrong) }
}

/// What a parameter or an answer takes, with its bounds: `a whole number from 1 to 10`.
pub fn takes(parameter: &Parameter) -> String {
    let bound = |bound: f64| match parameter.kind {
        ParameterKind::Duration => std::time::Duration::try_from_secs_f64(bound)
            .map_or_else(|_| bound.to_string(), show_duration),
        ParameterKind::String
        | ParameterKind::Integer
        | ParameterKind::Number
        | ParameterKind::Boolean
        | ParameterKind::Enum(_) => bound.to_string(),
    };
    let mut words = match &parameter.kind {
        ParameterKind::Enum(words) => format!("one of {}", words.join(", ")),
        kind @ (ParameterKind::String
        | ParameterKind::Integer
        | ParameterKind::Number
        | ParameterKind::Boolean
        | ParameterKind::Duration) => parameters::kind(kind).to_owned(),
    };
    match (parameter.min.map(bound), parameter.max.map(bound)) {
        (Some(min), Some(max)) => words = format!("{words} from {min} to {max}"),
        (Some(min), None) => words = format!("{words} of at least {min}"),
        (None, Some(max)) => words = format!("{words} of at most {max}"),
        (None, None) => {}
    }
    if let Some(pattern) = &parameter.pattern {
        words = format!("{words} that matches {pattern}");
    }
    words
}

/// One line an answer: `replicas: a whole number from 1 to 10; how many to run`.
pub fn lines(ask: &Ask) -> Vec<String> {
    if ask.answers.is_empty() {
        return Vec::new();
    }
    let line = |(name, parameter): (&String, &Parameter)| {
        let default = parameter.default.as_ref().map(|value| {
            let words = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!(", {words} when silent")
        });
        let about = match parameter.description.as_str() {
            "" => String::new(),
            text => format!("; {text}"),
        };
        format!("{name}: {}{}{about}", takes(parameter), default.unwrap_or_default())
    };
    ask.answers.iter().map(line).collect()
}

/// What a person types to answer.
pub fn command(run: &str, question: &Question<'_>) -> String {
    let pairs: Vec<String> = question.ask.answers.keys().map(|name| format!("{name}=…")).collect();
    let answers = if pairs.is_empty() { "yes|no".to_owned() } else { pairs.join(" ") };
    let step = match question.step {
        _ if !question.one_of_several => String::new(),
        plain if plain.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') => {
            format!(" --step {plain}")
        }
        words => format!(" --step '{}'", words.replace('\'', "'\\''")),
    };
    format!("quell answer {run} {answers}{step} --by NAME")
}

/// Whether a person of this tier may say something that needs one; 0 is a person who is no operator.
pub fn may(run: &str, who: &str, tier: u8, needs: u8) -> Result<(), String> {
    if tier >= needs {
        return Ok(());
    }
    let has =
        if tier == 0 { format!("{who} is no operator") } else { format!("{who} has tier {tier}") };
    Err(format!("{run} needs one person of tier {needs}, and {has}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn parameter(kind: ParameterKind) -> Parameter {
        Parameter {
            kind,
            required: true,
            default: None,
            pattern: None,
            min: None,
            max: None,
            secret: false,
            description: String::new(),
        }
    }

    fn ask(answers: Vec<(&str, Parameter)>) -> Ask {
        Ask {
            question: "how many?".into(),
            answers: answers.into_iter().map(|(name, it)| (name.to_owned(), it)).collect(),
            tier: 2,
            within: Duration::from_mins(1),
        }
    }

    fn scale() -> Ask {
        let replicas = Parameter {
            min: Some(1.0),
            max: Some(10.0),
            description: "how many to run".into(),
            ..parameter(ParameterKind::Integer)
        };
        let how = Parameter {
            required: false,
            default: Some(json!("slow")),
            ..parameter(ParameterKind::Enum(vec!["slow".into(), "fast".into()]))
        };
        ask(vec![("replicas", replicas), ("how", how)])
    }

    fn given(pairs: &[(&str, Value)]) -> BTreeMap<String, Value> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    #[test]
    fn answers_take_the_types_that_were_declared() {
        for (ask, pairs, expected) in [
            (scale(), vec![("replicas", json!("3"))], Ok(json!({ "replicas": 3, "how": "slow" }))),
            (
                scale(),
                vec![("replicas", json!(3)), ("how", json!("fast"))],
                Ok(json!({ "replicas": 3, "how": "fast" })),
            ),
            (
                scale(),
                vec![],
                Err("answer `replicas` is missing: it takes a whole number from 1 to 10"),
            ),
            (
                scale(),
                vec![("replicas", json!("many"))],
                Err("answer `replicas`: `many` is not a whole number"),
            ),
            (
                scale(),
                vec![("replicas", json!(11))],
                Err("answer `replicas`: `11` is above the maximum of 10"),
            ),
            (
                scale(),
                vec![("replicas", json!(3)), ("answer", json!(true))],
                Err("there is no answer `answer`; it asks for: how, replicas"),
            ),
            (ask(vec![]), vec![("answer", json!("true"))], Ok(json!({ "answer": true }))),
            (
                ask(vec![]),
                vec![("answer", json!("perhaps"))],
                Err("answer `answer`: `perhaps` is not true or false"),
            ),
            // what a person writes is text, never a template
            (
                ask(vec![("why", parameter(ParameterKind::String))]),
                vec![("why", json!("{{ labels.x }}"))],
                Ok(json!({ "why": "{{ labels.x }}" })),
            ),
        ] {
            let found = check(&ask, &given(&pairs)).map(|it| json!(it));
            assert_eq!(found, expected.map_err(|it| vec![it.to_owned()]), "{pairs:?}");
        }
    }

    #[test]
    fn each_type_takes_what_it_is_and_refuses_the_rest() {
        use ParameterKind::Boolean;
        use ParameterKind::Duration;
        use ParameterKind::Enum;
        use ParameterKind::Integer;
        use ParameterKind::Number;
        use ParameterKind::String;
        let bounded = |kind| Parameter { min: Some(60.0), max: Some(90.5), ..parameter(kind) };
        let named = Parameter { pattern: Some("[a-z]+-[0-9]+".into()), ..parameter(String) };
        let words = || Enum(vec!["slow".into(), "fast".into()]);
        for (parameter, value, expected) in [
            (parameter(String), json!(5), Ok(json!("5"))),
            (parameter(String), json!(["a"]), Err("is not text")),
            (named.clone(), json!("web-1"), Ok(json!("web-1"))),
            (named.clone(), json!("web-1; rm"), Err("does not match the pattern [a-z]+-[0-9]+")),
            (named, json!("web-1\n"), Err("does not match the pattern [a-z]+-[0-9]+")),
            (parameter(Integer), json!("-7"), Ok(json!(-7))),
            (parameter(Integer), json!("7.5"), Err("is not a whole number")),
            (parameter(Integer), json!(7.5), Err("is not a whole number")),
            (parameter(Integer), json!(""), Err("is not a whole number")),
            (parameter(Integer), json!(null), Err("is not a whole number")),
            (bounded(Integer), json!(60), Ok(json!(60))),
            (bounded(Integer), json!(59), Err("is below the minimum of 60")),
            (bounded(Number), json!("90.5"), Ok(json!(90.5))),
            (bounded(Number), json!("90.6"), Err("is above the maximum of 90.5")),
            (parameter(Number), json!("NaN"), Err("is not a number")),
            (parameter(Number), json!("inf"), Err("is not a number")),
            (parameter(Boolean), json!("false"), Ok(json!(false))),
            (parameter(Boolean), json!("yes"), Err("is not true or false")),
            (parameter(Boolean), json!(1), Err("is not true or false")),
            (bounded(Duration), json!("1m30s"), Ok(json!("1m30s"))),
            (bounded(Duration), json!("30s"), Err("is below the minimum of 1m")),
            (bounded(Duration), json!(75), Err("is not a duration such as 5m")),
            (parameter(words()), json!("fast"), Ok(json!("fast"))),
            (parameter(words()), json!("FAST"), Err("is not one of slow, fast")),
            (parameter(words()), json!({ "is": "fast" }), Err("is not one of the words possible")),
        ] {
            let kind = parameter.kind.clone();
            let found = check(&ask(vec![("a", parameter)]), &given(&[("a", value.clone())]));
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found["a"], expected, "{kind:?} {value}"),
                (Err(found), Err(expected)) => {
                    assert!(found[0].starts_with("answer `a`: "), "{found:?}");
                    assert!(found[0].ends_with(expected), "{kind:?} {value}: {found:?}");
                }
                (found, expected) => panic!("{kind:?} {value}: {found:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let pairs = given(&[("replicas", json!("many")), ("how", json!("so")), ("x", json!(1))]);
        assert_eq!(
            check(&scale(), &pairs).unwrap_err(),
            [
                "there is no answer `x`; it asks for: how, replicas",
                "answer `how`: `so` is not one of slow, fast",
                "answer `replicas`: `many` is not a whole number",
            ]
        );
    }

    #[test]
    fn people_read_what_is_asked_and_what_to_type() {
        assert_eq!(
            lines(&scale()),
            [
                "how: one of slow, fast, slow when silent",
                "replicas: a whole number from 1 to 10; how many to run"
            ]
        );
        let yes_or_no = ask(vec![]);
        for (ask, step, one_of_several, expected) in [
            (&scale(), "q", false, "quell answer r-1 how=… replicas=… --by NAME"),
            (&yes_or_no, "q", false, "quell answer r-1 yes|no --by NAME"),
            (&yes_or_no, "how-many", true, "quell answer r-1 yes|no --step how-many --by NAME"),
            (&yes_or_no, "it's so", true, "quell answer r-1 yes|no --step 'it'\\''s so' --by NAME"),
        ] {
            let question = Question { step, ask, text: "?", one_of_several };
            assert_eq!(command("r-1", &question), expected);
        }
    }

    #[test]
    fn an_answer_is_for_the_question_that_was_read() {
        let ask = ask(vec![]);
        let of = |one_of_several| Question { step: "sure", ask: &ask, text: "?", one_of_several };
        assert_eq!(of(false).meant("r-1", None), Ok(()));
        assert_eq!(of(true).meant("r-1", Some("sure")), Ok(()));
        for several in [true, false] {
            let words = "r-1 asks `sure` now, not `how-many`; look again";
            assert_eq!(of(several).meant("r-1", Some("how-many")), Err(words.to_owned()));
        }
        let words = "r-1 asks more than once; name the step that is answered, which is `sure` now";
        assert_eq!(of(true).meant("r-1", None), Err(words.to_owned()));
    }

    #[test]
    fn a_word_needs_its_tier() {
        assert_eq!(may("r-1", "dana", 2, 2), Ok(()));
        assert_eq!(may("r-1", "root", 0, 0), Ok(()));
        let words = "r-1 needs one person of tier 3, and dana has tier 2";
        assert_eq!(may("r-1", "dana", 2, 3), Err(words.to_owned()));
        let words = "r-1 needs one person of tier 1, and root is no operator";
        assert_eq!(may("r-1", "root", 0, 1), Err(words.to_owned()));
    }
}
