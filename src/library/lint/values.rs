//! Values with a template whose fixed text is already refused by the parameter they are for.

use std::collections::BTreeMap;

use super::Gathered;
use crate::decide::parameters::is_template;
use crate::library::codes;
use crate::library::diagnostic::At;
use crate::library::diagnostic::Diagnostic;
use crate::library::diagnostic::Sink;
use crate::model::playbook::Parameter;
use crate::model::playbook::ParameterKind;
use crate::model::re2;

/// Reports values that no alert can make acceptable.
pub(super) fn check(sink: &Sink, gathered: &Gathered) {
    let mut patterns: BTreeMap<String, Option<regex::Regex>> = BTreeMap::new();
    let playbooks = gathered.playbooks_by_name();
    for (file, remedy) in gathered.remedies() {
        let at = At { file, text: "", sink };
        let Some((playbook, _)) = playbooks.get(remedy.remedy.playbook.as_str()) else { continue };
        for (key, value) in &remedy.with {
            let parameter = playbook.playbook.parameters.get(&key.value);
            let Some((parameter, text)) = parameter.zip(value.value.as_str()) else { continue };
            if !playbook.sound || !is_template(text) {
                continue;
            }
            let Some(fixed) = Fixed::of(text) else { continue };
            if let Some(why) = refused(parameter, &fixed, &mut patterns) {
                let message = format!(
                    "parameter `{}` of playbook `{}` refuses this whatever the alert says: {why}",
                    key.value, playbook.playbook.name
                );
                let label = "change the text around the template";
                let found = Diagnostic::error(codes::PARAMETER_VALUE, message).label(label);
                at.report(value.span, found);
            }
        }
    }
}

/// The text before the first template and after the last one, and what stands between them.
#[derive(Debug, PartialEq, Eq)]
struct Fixed<'a> {
    start: &'a str,
    between: Vec<&'a str>,
    end: &'a str,
}

impl<'a> Fixed<'a> {
    /// Of a text with `{{ … }}` only.
    fn of(text: &'a str) -> Option<Self> {
        if text.contains("{%") || text.contains("{#") {
            return None;
        }
        let (start, mut rest) = text.split_once("{{")?;
        let mut between = Vec::new();
        loop {
            // a text in the template with `}}` in it would need a parser; it is left alone
            let (template, tail) = rest.split_once("}}")?;
            if template.contains(['"', '\'']) {
                return None;
            }
            match tail.split_once("{{") {
                Some((text, next)) => {
                    between.push(text);
                    rest = next;
                }
                None => return Some(Self { start, between, end: tail }),
            }
        }
    }
}

fn refused(
    parameter: &Parameter,
    fixed: &Fixed<'_>,
    patterns: &mut BTreeMap<String, Option<regex::Regex>>,
) -> Option<String> {
    let (start, end) = (fixed.start, fixed.end);
    let texts = || [start, end].into_iter().chain(fixed.between.iter().copied());
    match &parameter.kind {
        ParameterKind::Enum(words) => {
            let fits = |word: &String| {
                word.len() >= start.len() + end.len()
                    && word.starts_with(start)
                    && word.ends_with(end)
            };
            (!words.iter().any(fits)).then(|| format!("it takes {}", words.join(", ")))
        }
        ParameterKind::Integer | ParameterKind::Number => {
            let wrong = texts().any(|it| it.contains(|c: char| !"+-.0123456789eE".contains(c)));
            let unlike = matches!(parameter.kind, ParameterKind::Integer);
            let wrong = wrong || unlike && texts().any(|it| it.contains(['.', 'e', 'E']));
            wrong.then(|| "it takes a number".to_owned())
        }
        ParameterKind::Duration => {
            let wrong = texts().any(|it| it.contains(|c: char| !"0123456789ywdhms".contains(c)));
            wrong.then(|| "it takes a duration such as 5m".to_owned())
        }
        ParameterKind::Boolean => {
            let fits = |word: &str| word.starts_with(start) && word.ends_with(end);
            (!fits("true") && !fits("false")).then(|| "it takes true or false".to_owned())
        }
        ParameterKind::String => {
            let pattern = parameter.pattern.as_deref()?;
            let class = patterns
                .entry(pattern.to_owned())
                .or_insert_with(|| repeated_class(pattern).and_then(|it| re2::compile(it).ok()));
            let class = class.as_ref()?;
            let strange = texts().flat_map(str::chars).find(|c| !class.is_match(&c.to_string()))?;
            Some(format!("`{strange}` does not fit the pattern {pattern}"))
        }
    }
}

/// `[a-z]` of `[a-z]+`, `[a-z]*` and `[a-z]{1,9}`: of such a pattern each character is judged by itself.
fn repeated_class(pattern: &str) -> Option<&str> {
    let rest = pattern.strip_prefix('[')?;
    let (class, repeat) = rest.split_once(']')?;
    let plain = !class.is_empty() && !class.contains(['[', '\\', ']']);
    let repeats = matches!(repeat, "+" | "*" | "")
        || repeat.starts_with('{')
            && repeat.ends_with('}')
            && repeat.trim_matches(['{', '}']).chars().all(|c| c.is_ascii_digit() || c == ',');
    (plain && repeats).then(|| pattern.get(..class.len() + 2)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(kind: ParameterKind, pattern: Option<&str>) -> Parameter {
        Parameter {
            secret: false,
            kind,
            required: true,
            default: None,
            pattern: pattern.map(str::to_owned),
            min: None,
            max: None,
            description: String::new(),
        }
    }

    #[test]
    fn fixed_text_that_no_value_can_save_is_refused() {
        let text = |pattern| parameter(ParameterKind::String, Some(pattern));
        let words = || parameter(ParameterKind::Enum(vec!["a-soft".into(), "hard".into()]), None);
        for (parameter, value, wrong) in [
            (text("[a-z-]+"), "x-{{ labels.a }}", false),
            (text("[a-z-]+"), "x_{{ labels.a }}", true),
            (text("[a-z-]+"), "{{ labels.a }}.service", true),
            (text("[a-z-]+"), "{{ labels.a }}/{{ labels.b }}", true),
            (text("[a-z-]+"), "{{ labels.a | default(\"}}\") }}/", false),
            (text("[a-z-]{1,9}"), "X{{ labels.a }}", true),
            (text("[a-z]+|X.*"), "X{{ labels.a }}", false),
            (text("x[a-z]+"), "Y{{ labels.a }}", false), // true, and not looked for
            (text(r"[\w]+"), "-{{ labels.a }}", false),
            (text("[^/]+"), "a/{{ labels.a }}", true),
            (words(), "{{ labels.a }}", false),
            (words(), "a-{{ labels.a }}", false),
            (words(), "b-{{ labels.a }}", true),
            (words(), "har{{ labels.a }}rd", true),
            (parameter(ParameterKind::Integer, None), "1{{ labels.a }}", false),
            (parameter(ParameterKind::Integer, None), "{{ labels.a }}.5", true),
            (parameter(ParameterKind::Number, None), "{{ labels.a }}.5", false),
            (parameter(ParameterKind::Number, None), "{{ labels.a }} %", true),
            (parameter(ParameterKind::Duration, None), "{{ labels.a }}m", false),
            (parameter(ParameterKind::Duration, None), "{{ labels.a }} min", true),
            (parameter(ParameterKind::Boolean, None), "{{ labels.a }}e", false),
            (parameter(ParameterKind::Boolean, None), "{{ labels.a }}s", true),
            (parameter(ParameterKind::String, None), "anything {{ labels.a }}", false),
        ] {
            let refused = Fixed::of(value)
                .and_then(|fixed| refused(&parameter, &fixed, &mut BTreeMap::new()));
            assert_eq!(refused.is_some(), wrong, "{value} {:?}", parameter.pattern);
        }
    }
}
