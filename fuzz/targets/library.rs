//! Files of rules, playbooks and settings: reading twice finds the same; without an error there is a library, and its
//! index selects; every finding has a code and a place in its file; no credential is shown.
//!
//! An input is one file, or several, each after a line `# file: NAME`.
#![no_main]

use libfuzzer_sys::Corpus;
use libfuzzer_sys::fuzz_target;
use quell::library::Loaded;
use quell::library::Severity;
use quell::library::fuzzing::read;
use quell::model::labels::Labels;

const SECRET: &str = "nobody-may-see-this";
const MAX_FILES: usize = 8;

fuzz_target!(|text: &str| -> Corpus {
    // libFuzzer finds out what is compared
    if text.contains(SECRET) {
        return Corpus::Reject;
    }
    let files = files(text);
    let (loaded, again) = (read(&files, &env), read(&files, &env));
    assert_eq!(loaded.diagnostics, again.diagnostics);
    assert_eq!(loaded.counts, again.counts);

    let errors = loaded.diagnostics.iter().any(|it| it.severity == Severity::Error);
    assert_eq!(loaded.library.is_some(), !errors);
    for found in &loaded.diagnostics {
        assert!(!found.message.is_empty(), "{found:?}");
        assert_eq!(found.code.is_empty(), found.severity == Severity::Note, "{found:?}");
        let text = files.iter().find(|(name, _)| *name == found.file).map_or("", |(_, text)| *text);
        if let Some(span) = found.span {
            assert!(text.get(span.start..span.end).is_some(), "{found:?} is not in {text:?}");
            assert!(span.line >= 1 && span.column >= 1, "{found:?}");
        }
    }
    let shown = loaded.render(false);
    assert!(!shown.contains(SECRET), "{shown}");
    assert!(!loaded.render(true).is_empty());
    select(&loaded);
    Corpus::Keep
});

fn files(text: &str) -> Vec<(&str, &str)> {
    let mut files: Vec<(&str, &str)> = Vec::new();
    for part in text.split("# file: ").take(MAX_FILES) {
        match part.split_once('\n') {
            // a name is one file
            Some((name, _)) if files.iter().any(|(it, _)| *it == name) => {}
            Some((name, rest)) if name.ends_with(".yml") => files.push((name, rest)),
            _ if files.is_empty() => files.push(("a.yml", part)),
            _ => {}
        }
    }
    files
}

fn env(name: &str) -> Option<String> {
    (name == "SECRET").then(|| SECRET.to_owned())
}

fn select(loaded: &Loaded) {
    let Some(library) = &loaded.library else { return };
    let alert: Labels = [("alertname", "HighErrorRate"), ("service", "api")].into_iter().collect();
    let found = library.rules.select(&alert, &Labels::default());
    assert!(found.rules.len() <= library.rules.rules().len());
}
