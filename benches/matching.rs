//! What it costs to find the rules that take an alert: by the index, and by trying every rule in turn.
//!
//! `cargo bench --bench matching` runs each shape of rules under divan, and then prints the medians side by side with
//! their ratio and with how many rules the index tried. `cargo bench --bench matching -- prefixes` runs one shape.
#![expect(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops at what is wrong"
)]

use std::fmt;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;
use std::time::Instant;

use divan::Bencher;
use quell::decide::matching::Index;
use quell::model::labels::Labels;
use quell::model::matcher::Matcher;
use quell::model::matcher::Op;
use quell::model::playbook::Mode;
use quell::model::rule::Place;
use quell::model::rule::Rule;
use quell::model::rule::RuleLimits;
use quell::model::rule::Set;

/// How many rules.
const COUNTS: [usize; 4] = [10, 1_000, 10_000, 100_000];
/// Different alerts, one after the other, so that no cache knows the answer.
const ALERTS: usize = 64;

type Matchers = Vec<(&'static str, Op, String)>;

/// Rules of one shape, each about something of its own.
#[derive(Debug, Clone, Copy)]
struct Shape {
    name: &'static str,
    /// The matchers of one rule.
    matchers: fn(usize) -> Matchers,
    /// What an alert has that this rule takes.
    alert: fn(usize) -> Vec<(&'static str, String)>,
}

const SHAPES: [Shape; 8] = [
    Shape {
        name: "equality",
        matchers: |it| {
            vec![
                ("alertname", Op::Equal, format!("Alert{it}")),
                ("severity", Op::Equal, "critical".into()),
                ("namespace", Op::Equal, "prod".into()),
                ("team", Op::NotEqual, "nobody".into()),
            ]
        },
        alert: |it| vec![("alertname", format!("Alert{it}"))],
    },
    Shape {
        name: "two labels",
        matchers: |it| {
            vec![
                ("alertname", Op::Equal, format!("Alert{}", it % 317)),
                ("service", Op::Equal, format!("service-{}", it / 317)),
                ("severity", Op::Regex, "critical|high".into()),
                ("namespace", Op::NotEqual, "dev".into()),
            ]
        },
        alert: |it| {
            let (alert, service) = (it % 317, it / 317);
            vec![("alertname", format!("Alert{alert}")), ("service", format!("service-{service}"))]
        },
    },
    Shape {
        name: "alternations",
        matchers: |it| {
            vec![
                ("alertname", Op::Regex, format!("Down{it}|Slow{it}|Full{it}")),
                ("severity", Op::Regex, "critical|high|warning".into()),
                ("namespace", Op::Equal, "prod".into()),
                ("team", Op::NotEqual, "nobody".into()),
            ]
        },
        alert: |it| vec![("alertname", format!("Slow{it}"))],
    },
    Shape {
        name: "prefixes",
        matchers: |it| {
            vec![
                ("severity", Op::Equal, "critical".into()),
                ("instance", Op::Regex, format!("host-{it}-.*")),
                ("namespace", Op::Regex, "prod.*".into()),
                ("team", Op::NotEqual, "nobody".into()),
            ]
        },
        alert: |it| vec![("instance", format!("host-{it}-eu-west:9100"))],
    },
    Shape {
        name: "suffixes",
        matchers: |it| {
            vec![
                ("severity", Op::Equal, "critical".into()),
                ("instance", Op::Regex, format!(".*-{it}:9100")),
                ("namespace", Op::Equal, "prod".into()),
                ("team", Op::NotRegex, "no.*".into()),
            ]
        },
        alert: |it| vec![("instance", format!("host-eu-{it}:9100"))],
    },
    Shape {
        name: "inner texts",
        matchers: |it| {
            vec![
                ("severity", Op::Equal, "critical".into()),
                ("instance", Op::Regex, format!(".*-rack-{it:06}-.*")),
                ("namespace", Op::Equal, "prod".into()),
                ("team", Op::NotEqual, "nobody".into()),
            ]
        },
        alert: |it| vec![("instance", format!("host-eu-rack-{it:06}-7:9100"))],
    },
    Shape {
        name: "regexes",
        matchers: |it| {
            vec![
                ("severity", Op::Regex, "critical|high".into()),
                ("instance", Op::Regex, format!("host-{it}-[a-z]+[0-9]*:\\d+")),
                ("namespace", Op::Regex, "(prod|stage)-?[a-z]*".into()),
                ("team", Op::NotRegex, "no[a-z]+".into()),
            ]
        },
        alert: |it| vec![("instance", format!("host-{it}-eu1:9100"))],
    },
    Shape {
        name: "mixed",
        matchers: |it| {
            let shape = SHAPES.get(it % 7).copied().unwrap_or(SHAPES[0]);
            (shape.matchers)(it)
        },
        alert: |it| {
            let shape = SHAPES.get(it % 7).copied().unwrap_or(SHAPES[0]);
            (shape.alert)(it)
        },
    },
];

/// So many rules of a shape, and alerts: half of them are taken by one rule, half by none.
#[derive(Debug)]
struct Case {
    shape: Shape,
    count: usize,
    built: OnceLock<(Index, Vec<Labels>)>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {:>6} rules", self.shape.name, self.count)
    }
}

impl Case {
    fn built(&self) -> &(Index, Vec<Labels>) {
        self.built.get_or_init(|| {
            let rules = (0..self.count).map(|number| rule(number, &(self.shape.matchers)(number)));
            let alerts = (0..ALERTS).map(|number| {
                // spread over all rules, since a rule that comes early is found early in turn
                let chosen = self.count * (number / 2) / (ALERTS / 2);
                let own = if number % 2 == 0 { chosen } else { self.count + chosen };
                alert(&(self.shape.alert)(own))
            });
            (Index::new(rules.collect()), alerts.collect())
        })
    }
}

fn rule(number: usize, matchers: &Matchers) -> Arc<Rule> {
    let matchers = matchers.iter().map(|(name, op, value)| {
        Matcher::new(name, *op, value).unwrap_or_else(|error| panic!("{value}: {error}"))
    });
    Arc::new(Rule {
        name: format!("rule-{number}"),
        description: String::new(),
        matchers: matchers.collect(),
        when: None,
        group_by: Vec::new(),
        target: "target".into(),
        response: Vec::new(),
        verify: None,
        limits: RuleLimits::default(),
        population: None,
        redundancy_group: None,
        page: None,
        updates: None,
        mode: Set::default_of(Mode::Auto),
        go_on: false,
        place: Place::default(),
    })
}

/// An alert with ten labels.
fn alert(own: &[(&'static str, String)]) -> Labels {
    let mut labels: Labels = [
        ("alertname", "HighErrorRate"),
        ("cluster", "eu-west-1"),
        ("container", "api"),
        ("instance", "10.0.0.7:9100"),
        ("job", "node"),
        ("namespace", "prod"),
        ("pod", "api-7d9f8b6c5-x2x8k"),
        ("service", "api"),
        ("severity", "critical"),
        ("team", "payments"),
    ]
    .into_iter()
    .collect();
    for (name, value) in own {
        labels.set(*name, value);
    }
    labels
}

/// What the index saves: the first rule that takes the alert, found by trying them in turn.
fn linear<'a>(rules: &'a [Arc<Rule>], labels: &Labels) -> Option<&'a Arc<Rule>> {
    rules.iter().find(|rule| rule.matchers.iter().all(|it| it.matches(labels)))
}

fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(|| {
        let case = |shape: Shape, count| Case { shape, count, built: OnceLock::new() };
        SHAPES.iter().flat_map(|shape| COUNTS.map(|count| case(*shape, count))).collect()
    })
}

fn next<'a>(alerts: &'a [Labels], turn: &mut usize) -> &'a Labels {
    *turn += 1;
    &alerts[*turn % alerts.len()]
}

#[divan::bench(args = cases(), max_time = 0.2)]
fn by_index(bencher: Bencher<'_, '_>, case: &Case) {
    let (index, alerts) = case.built();
    let nothing = Labels::default();
    let mut turn = 0;
    bencher.bench_local(|| index.select(next(alerts, &mut turn), &nothing));
}

#[divan::bench(args = cases(), max_time = 0.2)]
fn in_turn(bencher: Bencher<'_, '_>, case: &Case) {
    let (index, alerts) = case.built();
    let mut turn = 0;
    bencher.bench_local(|| linear(index.rules(), next(alerts, &mut turn)).is_some());
}

/// A label value of 64 KiB, which a sender chooses.
#[divan::bench(args = ["a", "host-1-", "-rack-000001-", ":9100", "é"], max_time = 0.2)]
fn long_value(bencher: Bencher<'_, '_>, piece: &str) {
    let mixed = cases().iter().rfind(|it| it.shape.name == "mixed" && it.count == 10_000);
    let (index, _) = mixed.unwrap_or(&cases()[0]).built();
    let long = piece.repeat((64 << 10) / piece.len());
    let own = ["alertname", "instance", "service"].map(|name| (name, long.clone()));
    let (alert, nothing) = (alert(&own), Labels::default());
    bencher.bench_local(|| index.select(&alert, &nothing));
}

/// The median over rounds of the time that one call takes.
fn median(alerts: &[Labels], mut call: impl FnMut(&Labels)) -> Duration {
    const ROUNDS: usize = 15;
    let mut rounds: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            let mut calls = 0;
            while calls == 0 || start.elapsed() < Duration::from_millis(4) {
                alerts.iter().for_each(&mut call);
                calls += u32::try_from(alerts.len()).unwrap_or(u32::MAX);
            }
            start.elapsed() / calls
        })
        .collect();
    rounds.sort_unstable();
    rounds[ROUNDS / 2]
}

fn main() {
    divan::main();

    let filter = std::env::args().skip(1).find(|it| !it.starts_with('-'));
    let micro = |time: Duration| time.as_secs_f64() * 1e6;
    println!("\nmedian of 15 rounds over {ALERTS} alerts of 10 labels; half are taken by one rule");
    println!("{:24} {:>10} {:>12} {:>9}  tried", "", "index µs", "in turn µs", "ratio");
    for case in cases() {
        if filter.as_ref().is_some_and(|it| !case.to_string().contains(it.as_str())) {
            continue;
        }
        let (index, alerts) = case.built();
        let nothing = Labels::default();
        let indexed = median(alerts, |alert| {
            black_box(index.select(alert, &nothing));
        });
        let in_turn = median(alerts, |alert| {
            black_box(linear(index.rules(), alert));
        });
        let tried = alerts.iter().map(|alert| index.candidates(alert).len()).max();
        println!(
            "{:24} {:>10.2} {:>12.2} {:>8.0}×  {}",
            case.to_string(),
            micro(indexed),
            micro(in_turn),
            in_turn.as_secs_f64() / indexed.as_secs_f64(),
            tried.unwrap_or_default(),
        );
    }
}
