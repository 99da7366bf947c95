//! `quell test`: runs the tests of rules on a virtual clock. No network, no store, no credential is read.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use crate::cli::Place;
use crate::cli::output;
use crate::error::Error;
use crate::library;
use crate::library::Library;
use crate::library::Loaded;
use crate::library::Sources;
use crate::library::Tested;
use crate::library::scenario::Scenario;
use crate::rehearse::coverage::Coverage;
use crate::rehearse::junit;
use crate::rehearse::report;
use crate::rehearse::scenario;
use crate::rehearse::scenario::Finished;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Files *.test.yml, or folders of them; when silent, those beside the configured rules and in tests/.
    paths: Vec<PathBuf>,
    /// Only tests with this text in their file or name.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Name the tests, and run none.
    #[arg(long)]
    list: bool,
    /// Show what happened in tests that pass, too.
    #[arg(long, short)]
    verbose: bool,
    /// Show which rules, remedies, limits, steps and guards no test reached.
    #[arg(long)]
    coverage: bool,
    /// Fail when less than this of 100 is reached.
    #[arg(long, value_name = "PERCENT")]
    coverage_min: Option<usize>,
    /// Write the results as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// A test that was run.
struct Ran<'a> {
    scenario: &'a Scenario,
    finished: Finished,
    took: Duration,
}

pub(super) fn run(at: &Place, options: &Options) -> Result<(), Error> {
    let began = Instant::now();
    let mut loaded = library::load_tests(&tested(at, &options.paths));
    let Some(library) = loaded.library.take() else {
        output::diagnostics(&loaded);
        return Err(Error::new("Q0100", "the files have errors").hint("correct them first"));
    };
    let Loaded { scenarios, sources, .. } = &loaded;
    let wanted = |it: &&Scenario| {
        let filter = options.filter.as_deref().unwrap_or_default();
        it.name.contains(filter) || it.file.contains(filter)
    };
    let scenarios: Vec<&Scenario> = scenarios.iter().filter(wanted).collect();
    if scenarios.is_empty() {
        return Err(nothing(&loaded, options));
    }
    if options.list {
        list(at, &scenarios);
        return Ok(());
    }
    let ran = run_all(&library, &scenarios);
    let mut coverage = Coverage::of(&library);
    for it in &ran {
        coverage.add(&it.finished.reached);
    }
    if let Some(file) = &options.junit {
        write_junit(file, &ran, sources)?;
    }
    if at.json {
        output::json(&as_json(&ran, options.coverage.then_some(&coverage)));
    } else {
        show(&library, &ran, sources, options, began.elapsed());
        if options.coverage {
            output::line(&format!("\n{}", coverage.render().trim_end()));
        }
    }
    let failed = ran.iter().filter(|it| !it.finished.passed()).count();
    if failed > 0 {
        return Err(Error::problems("Q0611", ""));
    }
    match options.coverage_min {
        Some(least) if coverage.percent() < least => {
            let (reached, all) = coverage.total();
            let message = format!(
                "the tests reach {reached} of {all}, {}% of the {least}% asked for",
                coverage.percent()
            );
            Err(Error::problems("Q0612", message)
                .hint("`quell test --coverage` shows what is missing"))
        }
        Some(_) | None => Ok(()),
    }
}

/// What is tested: the settings given; else those beside the paths; else the rules in the paths with the playbooks beside.
fn tested(at: &Place, paths: &[PathBuf]) -> Tested {
    let tests = paths.to_vec();
    if at.config.is_some() || paths.is_empty() {
        if let Some(config) = at.file() {
            return Tested { config: Some(config), rules: Vec::new(), tests };
        }
        let rules = ["rules", "playbooks"].map(PathBuf::from).into_iter().filter(|it| it.is_dir());
        return Tested { config: None, rules: rules.collect(), tests };
    }
    for path in paths {
        let config = upwards(path).into_iter().map(|it| it.join("quell.yml"));
        if let Some(config) = config.into_iter().find(|it| it.is_file()) {
            return Tested { config: Some(config), rules: Vec::new(), tests };
        }
    }
    let mut rules = BTreeSet::new();
    for path in paths {
        for folder in upwards(path) {
            let beside = |name: &str| Some(folder.join(name)).filter(|it| it.is_dir());
            let found: Vec<PathBuf> =
                ["rules", "playbooks"].into_iter().filter_map(beside).collect();
            if !found.is_empty() {
                rules.extend(found);
                break;
            }
        }
        if path.is_dir() {
            rules.insert(path.clone());
        }
    }
    Tested { config: None, rules: rules.into_iter().collect(), tests }
}

/// The folder of a path, or itself, and the one above.
fn upwards(path: &Path) -> Vec<PathBuf> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let parent = |path: &Path| {
        // as it was given where that is possible: names in messages stay short
        let given = path.parent().filter(|it| it.components().next().is_some());
        given.map(Path::to_owned)
    };
    let own = if path.is_dir() { Some(path.to_owned()) } else { parent(path) };
    let own = own.unwrap_or_default();
    let above = parent(&own);
    let above = above.or_else(|| (absolute.components().count() > 2).then(PathBuf::new));
    let mut folders = vec![own];
    folders.extend(above);
    folders
}

fn nothing(loaded: &Loaded, options: &Options) -> Error {
    match &options.filter {
        Some(filter) if !loaded.scenarios.is_empty() => {
            Error::new("Q0613", format!("no test has `{filter}` in its name or file"))
                .hint("`quell test --list` names them")
        }
        _ => Error::new("Q0613", "there are no tests: no file *.test.yml")
            .hint("write one beside your rules; README.md shows how"),
    }
}

fn list(at: &Place, scenarios: &[&Scenario]) {
    if at.json {
        let list: Vec<_> = scenarios
            .iter()
            .map(|it| json!({ "file": it.file, "line": it.span.line, "name": it.name }))
            .collect();
        output::json(&list);
    } else {
        for it in scenarios {
            output::line(&format!("{}:{}: {}", it.file, it.span.line, it.name));
        }
    }
}

/// Runs all tests on as many threads as there are cores; results keep the order of the tests.
fn run_all<'a>(library: &Library, scenarios: &[&'a Scenario]) -> Vec<Ran<'a>> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(scenarios.len());
    let next = AtomicUsize::new(0);
    let work = || {
        let mut mine = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(scenario) = scenarios.get(index).copied() else { return mine };
            let began = Instant::now();
            let finished = scenario::run(library, scenario);
            mine.push((index, Ran { scenario, finished, took: began.elapsed() }));
        }
    };
    let mut ran: Vec<(usize, Ran<'a>)> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut all = work();
        for other in others {
            match other.join() {
                Ok(more) => all.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    ran.sort_by_key(|(index, _)| *index);
    ran.into_iter().map(|(_, ran)| ran).collect()
}

fn show(library: &Library, ran: &[Ran<'_>], sources: &Sources, options: &Options, took: Duration) {
    let colour = output::colour();
    let paint = |word: &str, code: &str| {
        if colour { format!("\u{1b}[{code}m{word}\u{1b}[0m") } else { word.to_owned() }
    };
    let mut files: Vec<&str> = ran.iter().map(|it| it.scenario.file.as_str()).collect();
    files.dedup();
    output::line(&format!(
        "    Starting {} across {} ({}, {})",
        many(ran.len(), "test"),
        many(files.len(), "file"),
        many(library.rules.rules().len(), "rule"),
        many(library.playbooks.len(), "playbook"),
    ));
    for Ran { scenario, finished, took } in ran {
        let word = if finished.passed() { paint("PASS", "1;32") } else { paint("FAIL", "1;31") };
        let ms = took.as_secs_f64() * 1000.0;
        output::line(&format!("        {word} [{ms:>8.2}ms] {}: {}", scenario.file, scenario.name));
        if options.verbose && finished.passed() {
            output::line(report::timeline(scenario, &finished.happenings).trim_end());
        }
    }
    let failed: Vec<&Ran<'_>> = ran.iter().filter(|it| !it.finished.passed()).collect();
    for Ran { scenario, finished, .. } in &failed {
        output::line(&format!("\n--- {}: {} ---\n", scenario.file, scenario.name));
        output::line(report::failure(scenario, finished, sources, colour).trim_end());
    }
    let passed = ran.len() - failed.len();
    output::line("------------");
    output::line(&format!(
        "     Summary [{:>8.3}s] {} run: {passed} passed, {} failed",
        took.as_secs_f64(),
        many(ran.len(), "test"),
        failed.len()
    ));
    for Ran { scenario, .. } in &failed {
        let word = paint("FAIL", "1;31");
        let line = scenario.span.line;
        output::line(&format!("        {word} {}:{line}: {}", scenario.file, scenario.name));
    }
}

fn many(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

fn as_json(ran: &[Ran<'_>], coverage: Option<&Coverage>) -> serde_json::Value {
    let tests: Vec<_> = ran
        .iter()
        .map(|Ran { scenario, finished, took }| {
            let failures: Vec<_> = finished
                .failures
                .iter()
                .map(|it| {
                    json!({
                        "at": it.at, "line": it.span.line, "column": it.span.column,
                        "message": it.message, "label": it.label, "notes": it.notes,
                    })
                })
                .collect();
            let timeline: Vec<_> = finished
                .happenings
                .iter()
                .filter_map(|it| {
                    let (what, text) = it.line()?;
                    Some(json!({ "at": it.at, "what": what, "text": text }))
                })
                .collect();
            json!({
                "file": scenario.file, "line": scenario.span.line, "name": scenario.name,
                "passed": finished.passed(), "seconds": took.as_secs_f64(),
                "failures": failures, "timeline": timeline,
            })
        })
        .collect();
    let coverage = coverage.map(|coverage| {
        let items: Vec<_> = coverage
            .items()
            .map(|(it, tests)| json!({ "kind": it.kind(), "name": it.name(), "tests": tests }))
            .collect();
        let (reached, all) = coverage.total();
        json!({ "reached": reached, "of": all, "percent": coverage.percent(), "items": items })
    });
    json!({ "tests": tests, "coverage": coverage })
}

fn write_junit(file: &Path, ran: &[Ran<'_>], sources: &Sources) -> Result<(), Error> {
    let cases: Vec<junit::Case<'_>> = ran
        .iter()
        .map(|Ran { scenario, finished, took }| junit::Case {
            file: &scenario.file,
            line: scenario.span.line,
            name: &scenario.name,
            took: *took,
            failure: (!finished.passed()).then(|| {
                let text = report::failure(scenario, finished, sources, false);
                (report::first(finished), text)
            }),
        })
        .collect();
    std::fs::write(file, junit::render(&cases)).map_err(|error| {
        Error::new("Q0614", format!("could not write {}: {error}", file.display()))
    })
}
